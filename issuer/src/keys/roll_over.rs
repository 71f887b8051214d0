//! How keys take the place of each other.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{KeyError, KeyRing, MAX_KEYS, file, in_order, signing_key::SigningKey};

/// How keys are replaced.
impl KeyRing {
    /// Makes and publishes a new key, which signs after [`publish_ahead`](Self::publish_ahead). The one that signs now
    /// is retired then.
    ///
    /// It blocks: a key is made, and the file is read and replaced.
    ///
    /// # Errors
    ///
    /// When a key that does not sign yet is published already, there are 32 keys, or no key can be made or kept.
    /// Nothing has changed then.
    pub fn roll_over(&self, now: SystemTime) -> Result<(), KeyError> {
        self.change(|keys| {
            if keys.iter().any(|key| key.signs_from > now) {
                return Err(KeyError::new(
                    "a new key is published already, and has not begun to sign",
                ));
            }
            let mut keys = keys.to_vec();
            keys.push(Arc::new(self.successor(now)?));
            Ok(keys)
        })
    }

    /// [Rolls over](Self::roll_over) if the newest key is older than this, and says whether it did. The age of a ring's
    /// first key is counted from the first call.
    ///
    /// # Errors
    ///
    /// When no key can be made or kept.
    pub fn roll_over_after(&self, age: Duration, now: SystemTime) -> Result<bool, KeyError> {
        let mut is_new = false;
        self.change(|keys| {
            let mut keys = keys.to_vec();
            let Some(newest) = keys.last_mut() else {
                return Ok(keys);
            };
            let Some(since) = newest.since else {
                *newest = Arc::new(newest.counted_since(now)?);
                return Ok(keys);
            };
            let is_waiting = newest.signs_from > now;
            if !is_waiting && now.duration_since(since).is_ok_and(|passed| passed >= age) {
                keys.push(Arc::new(self.successor(now)?));
                is_new = true;
            }
            Ok(keys)
        })?;
        Ok(is_new)
    }

    /// Puts one new key, which signs at once, in the place of all others: when somebody else may know them. **Every
    /// token that was signed before is refused** as soon as a resource server has fetched the set again, and new ones
    /// may be refused until then.
    ///
    /// # Errors
    ///
    /// When no key can be made or kept. Nothing has changed then.
    pub fn replace_compromised(&self, now: SystemTime) -> Result<(), KeyError> {
        self.change(|_| {
            let key = SigningKey::generate(self.0.algorithm, now)?;
            Ok(vec![Arc::new(key.counted_since(now)?)])
        })
    }

    /// Deletes the keys that were retired so long ago that none of their tokens lives, and says how many. Such keys are
    /// published no more in any case.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or replaced. Nothing has changed then.
    pub fn forget_retired(&self, now: SystemTime) -> Result<usize, KeyError> {
        let mut forgotten = 0;
        self.change(|keys| {
            let kept: Vec<_> = self.published(keys, now).cloned().collect();
            forgotten = keys.len() - kept.len();
            Ok(kept)
        })?;
        Ok(forgotten)
    }

    /// Reads the file again, in which another process may have changed the keys. Nothing happens to a ring that is only
    /// in memory. It blocks.
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

    fn successor(&self, now: SystemTime) -> Result<SigningKey, KeyError> {
        let signs_from = now
            .checked_add(self.times().publish_ahead)
            .ok_or_else(|| KeyError::new("the new key would sign at a time that no clock can show"))?;
        SigningKey::generate(self.0.algorithm, signs_from)?.counted_since(now)
    }

    /// Changes the keys as they are in the file, and there first.
    fn change(
        &self,
        change: impl FnOnce(&[Arc<SigningKey>]) -> Result<Vec<Arc<SigningKey>>, KeyError>,
    ) -> Result<(), KeyError> {
        let _changing = self.changing();
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
