//! What keys need from time to time.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use super::{KeyError, KeyRing, signing, signing_key::SigningKey};

/// For how long the upkeep of an issuer waits for that of its keys: longer than for the lock of the file.
const DEADLINE: Duration = Duration::from_secs(10);

/// What has to be done about the newest key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    /// Its age is not known yet.
    CountItsAge,
    RollOver,
}

/// What keys need from time to time.
impl KeyRing {
    /// Reads the file again, in which another process may have changed the keys; makes and publishes the next key, if the
    /// newest one is as old as [`roll_over_every`](Self::roll_over_every) says; and deletes the keys that were retired so
    /// long ago that none of their tokens lives. [`TokenIssuer::run`](crate::TokenIssuer::run) does this every 30 s, so
    /// it is for who has the ring without an issuer.
    ///
    /// A file in which nothing has to be changed is only read: its folder need not be writable. The age of a ring's
    /// first key is counted from its first upkeep.
    ///
    /// It blocks: the file is read, and for a change it is locked, a key may have to be made, and the file is replaced.
    ///
    /// # Errors
    ///
    /// When the file is gone, cannot be read, or is no file of keys; when a change is due and another process holds the
    /// lock for 5 s, the file cannot be locked or replaced, no key can be made, or 32 keys are published. What can be
    /// read counts in any case; the keys sign on, and the next upkeep tries again.
    pub fn upkeep(&self, now: SystemTime) -> Result<(), KeyError> {
        let kept = self.reread().and_then(|()| self.keep_up(now));
        self.tell_which_signs(now);
        kept
    }

    /// [Upkeep](Self::upkeep) on a thread that may block, and waited for by one that may not. One at a time, so that a file
    /// system that hangs holds one thread and no more.
    pub(crate) async fn upkeep_on_another_thread(&self, now: SystemTime) -> Result<(), KeyError> {
        let ring = self.clone();
        let upkeep = async move {
            let turn = Arc::clone(&ring.0.upkeep).lock_owned().await;
            let upkeep = tokio::task::spawn_blocking(move || {
                let done = ring.upkeep(now);
                drop(turn);
                done
            });
            upkeep
                .await
                .unwrap_or_else(|_| Err(KeyError::new("the upkeep of the keys broke off")))
        };
        tokio::time::timeout(DEADLINE, upkeep).await.unwrap_or_else(|_| {
            Err(KeyError::new(format!(
                "the file of keys cannot be read or replaced within {} s: the file system hangs",
                DEADLINE.as_secs()
            )))
        })
    }

    fn keep_up(&self, now: SystemTime) -> Result<(), KeyError> {
        let keys = self.keys();
        let is_due = self.published(&keys, now).count() < keys.len()
            || keys
                .last()
                .is_some_and(|newest| self.next(newest, now) != Next::Nothing);
        if !is_due {
            return Ok(());
        }
        // By now another process may have done it, so it is decided anew.
        self.change(|keys| {
            let mut kept: Vec<_> = self.published(keys, now).cloned().collect();
            let Some(newest) = kept.last_mut() else {
                return Ok(kept);
            };
            match self.next(newest, now) {
                Next::Nothing => {}
                Next::CountItsAge => *newest = Arc::new(newest.counted_since(now)?),
                Next::RollOver => kept.push(Arc::new(self.successor(now)?)),
            }
            Ok(kept)
        })
    }

    fn next(&self, newest: &SigningKey, now: SystemTime) -> Next {
        let Some(every) = self.times().roll_over_every else {
            return Next::Nothing;
        };
        let Some(since) = newest.since else {
            return Next::CountItsAge;
        };
        let is_waiting = newest.signs_from > now;
        match now.duration_since(since) {
            Ok(age) if age >= every && !is_waiting => Next::RollOver,
            _ => Next::Nothing,
        }
    }

    /// Tells that another key signs than at the last upkeep of this process.
    fn tell_which_signs(&self, now: SystemTime) {
        let keys = self.keys();
        let Some(key) = keys.get(signing(&keys, now)) else {
            return;
        };
        let mut known = self.0.signing.lock().unwrap_or_else(PoisonError::into_inner);
        if known.replace(key.kid.clone()).is_some_and(|known| known != key.kid) {
            tracing::info!(
                target: "resource_protector_issuer::keys",
                event = "key_signs",
                kid = key.kid,
                alg = key.algorithm.name(),
                "another key signs from now on"
            );
        }
    }
}
