//! How keys take the place of each other.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{KeyError, KeyRing, MAX_KEYS, file, has_successor, in_order, lock::Lock, signing_key::SigningKey};

/// How keys are replaced.
impl KeyRing {
    /// Makes and publishes a new key, which signs after [`publish_ahead`](crate::KeyRingBuilder::publish_ahead). The one
    /// that signs now is retired then. For who does not wait until
    /// [`roll_over_every`](crate::KeyRingBuilder::roll_over_every) says so.
    ///
    /// It blocks: the file is locked, for which it waits 5 s at the most, read and replaced, and a key is made.
    ///
    /// # Errors
    ///
    /// When a key that will sign soon is published already (one that lies [further ahead](Self#clocks-that-are-wrong) is in
    /// nobody's way), `now` is before the time of every key, there are 32 keys, the file cannot be locked or replaced, or no
    /// key can be made. Nothing has changed then.
    pub fn roll_over(&self, now: SystemTime) -> Result<(), KeyError> {
        self.change(|keys| {
            // It would sign at once by this clock, and by the others never.
            if keys.iter().all(|key| key.signs_from > now) {
                return Err(KeyError::new(
                    "the time of every key is yet to come by this clock: set it, or, if it is right, replace the keys as \
                     compromised ones are",
                ));
            }
            if has_successor(keys, now) {
                return Err(KeyError::new(
                    "a new key is published already, and has not begun to sign",
                ));
            }
            let mut keys = keys.to_vec();
            keys.push(Arc::new(self.successor(now)?));
            Ok(keys)
        })
    }

    /// Puts one new key, which signs at once, in the place of all others: when somebody else may know them. **Every
    /// token that was signed before is refused** as soon as a resource server has fetched the set again, and new ones
    /// may be refused until then. Other processes on the file sign with what others may know, and publish it, until their
    /// next upkeep.
    ///
    /// It blocks, like [`roll_over`](Self::roll_over).
    ///
    /// # Errors
    ///
    /// When the file cannot be locked or replaced, or no key can be made. Nothing has changed then.
    pub fn replace_compromised(&self, now: SystemTime) -> Result<(), KeyError> {
        let key = SigningKey::generate(self.0.algorithm, now)?;
        let key = Arc::new(key.counted_since(now)?);
        self.change(|_| Ok(vec![Arc::clone(&key)]))?;
        tracing::warn!(
            target: "resource_protector_issuer::keys",
            event = "compromised_keys_replaced",
            kid = key.kid,
            alg = key.algorithm.name(),
            "one new key is in the place of all others, and what they signed is refused"
        );
        Ok(())
    }

    /// Reads the file again, in which another process may have changed the keys, and changes nothing: for who may not
    /// write to it. [`upkeep`](Self::upkeep) begins with it. Nothing happens to a ring that is only in memory. It blocks.
    ///
    /// # Errors
    ///
    /// When the file is gone, cannot be read, or is no file of keys. The keys stay as they are then.
    pub fn reread(&self) -> Result<(), KeyError> {
        let _changing = self.changing();
        if let Some(keys) = self.read()? {
            self.set(keys);
        }
        Ok(())
    }

    pub(super) fn successor(&self, now: SystemTime) -> Result<SigningKey, KeyError> {
        let signs_from = now
            .checked_add(self.times().publish_ahead)
            .ok_or_else(|| KeyError::new("the new key would sign at a time that no clock can show"))?;
        SigningKey::generate(self.0.algorithm, signs_from)?.counted_since(now)
    }

    /// Changes the keys as they are in the file, and there first.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&[Arc<SigningKey>]) -> Result<Vec<Arc<SigningKey>>, KeyError>,
    ) -> Result<(), KeyError> {
        let _changing = self.changing();
        // From before reading to after writing: what another process writes in between would be lost.
        let _lock = self.0.path.as_deref().map(Lock::take).transpose()?;
        let before = self.read()?.unwrap_or_else(|| self.keys());
        let after = change(&before)?;
        if after.len() > MAX_KEYS {
            return Err(KeyError::new(format!(
                "there are {MAX_KEYS} keys, and none can be forgotten yet"
            )));
        }
        let is_same =
            before.len() == after.len() && before.iter().zip(&after).all(|(one, other)| Arc::ptr_eq(one, other));
        if let Some(path) = self.0.path.as_ref().filter(|_| !is_same) {
            let keys: Vec<&SigningKey> = after.iter().map(|key| &**key).collect();
            file::replace(path, &keys)?;
        }
        tell_changes(&before, &after);
        self.set(in_order(after));
        Ok(())
    }

    /// The keys in the file; `None` if there is none to be.
    fn read(&self) -> Result<Option<Arc<[Arc<SigningKey>]>>, KeyError> {
        let Some(path) = &self.0.path else {
            return Ok(None);
        };
        let keys = file::read(path)?.ok_or_else(|| KeyError::new("the file of keys is gone"))?;
        Ok(Some(in_order(keys.into_iter().map(Arc::new).collect())))
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell_changes(before: &[Arc<SigningKey>], after: &[Arc<SigningKey>]) {
    let has = |keys: &[Arc<SigningKey>], key: &SigningKey| keys.iter().any(|other| other.kid == key.kid);
    for key in after.iter().filter(|key| !has(before, key)) {
        tell_published(key);
    }
    for key in before.iter().filter(|key| !has(after, key)) {
        tracing::info!(
            target: "resource_protector_issuer::keys",
            event = "key_forgotten",
            kid = key.kid,
            alg = key.algorithm.name(),
            "a key is deleted and published no more"
        );
    }
}

pub(super) fn tell_published(key: &SigningKey) {
    tracing::info!(
        target: "resource_protector_issuer::keys",
        event = "key_published",
        kid = key.kid,
        alg = key.algorithm.name(),
        "a new key is published"
    );
}
