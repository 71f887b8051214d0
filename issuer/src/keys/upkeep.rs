//! What keys need from time to time.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use super::{KeyError, KeyRing, has_successor, is_ahead, signing, signing_key::SigningKey};

/// For how long the upkeep of an issuer waits for that of its keys: longer than for the lock of the file.
const DEADLINE: Duration = Duration::from_secs(10);

/// What was found about the keys, by their names.
#[derive(Default)]
pub(super) struct Told {
    /// The one that signed.
    signing: Option<String>,
    /// Those that lay ahead of the clock.
    ahead: Vec<String>,
}

/// What has to be done about the key that signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    /// Its age is not known yet, or was counted by a clock that is ahead.
    CountItsAge,
    RollOver,
}

/// What keys need from time to time.
impl KeyRing {
    /// Reads the file again, in which another process may have changed the keys; makes and publishes the next key, if the
    /// one that signs is as old as [`roll_over_every`](crate::KeyRingBuilder::roll_over_every) says and none is there that
    /// will sign soon; and deletes the keys that were retired so long ago that none of their tokens lives. [`TokenIssuer::run`](crate::TokenIssuer::run) does this every 30 s, so
    /// it is for who has the ring without an issuer.
    ///
    /// A file in which nothing has to be changed is only read: its folder need not be writable. The age of a ring's
    /// first key is counted from its first upkeep; where clocks differ by more than 300 s, from the earliest.
    ///
    /// It blocks: the file is read, and for a change it is locked, a key may have to be made, and the file is replaced.
    ///
    /// # Errors
    ///
    /// When the file is gone, cannot be read, or is no file of keys; when a change is due and another process holds the
    /// lock for 5 s, the file cannot be locked or replaced, no key can be made, or 32 keys are published. What can be
    /// read counts in any case; the keys sign on, and the next upkeep tries again.
    pub fn upkeep(&self, now: SystemTime) -> Result<(), KeyError> {
        let kept = self.reread().and_then(|()| {
            self.tell_which_are_ahead(now);
            self.keep_up(now)
        });
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
        let is_due = self.published(&keys, now).count() < keys.len() || self.next(&keys, now) != Next::Nothing;
        if !is_due {
            return Ok(());
        }
        // By now another process may have done it, so it is decided anew.
        self.change(|keys| {
            let mut kept: Vec<_> = self.published(keys, now).cloned().collect();
            match self.next(&kept, now) {
                Next::Nothing => {}
                Next::CountItsAge => {
                    let position = signing(&kept, now);
                    if let Some(key) = kept.get_mut(position) {
                        *key = Arc::new(key.counted_since(now)?);
                    }
                }
                Next::RollOver => kept.push(Arc::new(self.successor(now)?)),
            }
            Ok(kept)
        })
    }

    fn next(&self, keys: &[Arc<SigningKey>], now: SystemTime) -> Next {
        let (Some(every), Some(key)) = (self.times().roll_over_every, keys.get(signing(keys, now))) else {
            return Next::Nothing;
        };
        // Where not even the time of the key that signs has come, the clock is behind those of the others.
        if key.signs_from > now || has_successor(keys, now) {
            return Next::Nothing;
        }
        match key.since {
            // A first key alone signs before its age begins. Left as it is, one that was counted by a clock far ahead would
            // sign for as much longer. If it is this clock that is wrong, a first key is replaced early, in good order, once.
            Some(since) if !is_ahead(key, now) => match now.duration_since(since) {
                Ok(age) if age >= every => Next::RollOver,
                _ => Next::Nothing,
            },
            _ => Next::CountItsAge,
        }
    }

    /// Tells of keys that were made by a clock that is ahead of this one, of each once for as long as it is so.
    fn tell_which_are_ahead(&self, now: SystemTime) {
        let keys = self.keys();
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = keys.iter().filter(|key| is_ahead(key, now));
        for key in ahead.clone().filter(|key| !told.ahead.contains(&key.kid)) {
            tracing::warn!(
                target: "resource_protector_issuer::keys",
                event = "key_ahead_of_clock",
                kid = key.kid,
                alg = key.algorithm.name(),
                "a key was made by a clock that is ahead of this one: one of the two is wrong"
            );
        }
        told.ahead = ahead.map(|key| key.kid.clone()).collect();
    }

    /// Tells that another key signs than at the last upkeep of this process.
    fn tell_which_signs(&self, now: SystemTime) {
        let keys = self.keys();
        let Some(key) = keys.get(signing(&keys, now)) else {
            return;
        };
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.signing.replace(key.kid.clone());
        if before.is_some_and(|before| before != key.kid) {
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
