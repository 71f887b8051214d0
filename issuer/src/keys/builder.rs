//! What a ring is told before there is one.

use std::{
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use resource_protector::{Algorithm, SetupError};

use super::{
    KeyError, KeyRing, file,
    lock::Lock,
    roll_over::tell_published,
    signing_key::{SigningKey, check_algorithm},
    times::Times,
};

/// A [`KeyRing`] to be, with options that the usual one does not need, in any order. Once it is [opened](Self::open), its
/// clones have what was said here, and nothing but a `TokenIssuer`, which [lengthens `keep_retired`](Self::keep_retired),
/// changes it any more.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use resource_protector::Algorithm;
/// use resource_protector_issuer::KeyRing;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keys.json");
/// let keys = KeyRing::builder()
///     .roll_over_every(Duration::from_secs(30 * 24 * 3600))
///     .publish_ahead(Duration::from_secs(24 * 3600))
///     .open(path, Algorithm::ES256)?;
/// # let _ = keys;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is no ring before it is opened"]
pub struct KeyRingBuilder {
    times: Times,
}

impl KeyRingBuilder {
    pub(super) fn new() -> Self {
        Self {
            times: Times::default(),
        }
    }

    /// How long a new key is published before it signs; one hour unless set, 60 s to 7 days, and half of
    /// [`roll_over_every`](Self::roll_over_every) at the most. The set may be remembered for half of it
    /// ([`JwksEndpoint`](crate::endpoints::JwksEndpoint)), 5 minutes at the most. Resource servers that keep keys for longer
    /// than they are told, and do not ask again when they meet an unknown `kid`, need more; several processes need 2
    /// minutes, as each learns of a new key by its upkeep. It holds for the keys made from now on.
    pub fn publish_ahead(mut self, ahead: Duration) -> Self {
        self.times.publish_ahead = ahead;
        self
    }

    /// How old a key gets, from its publication on, until the upkeep makes and publishes the next one; 90 days unless set,
    /// one hour to three years, and twice [`publish_ahead`](Self::publish_ahead) at least. A key that was stolen and nobody
    /// knows of it signs for so long: 30 days bound that more tightly, and cost nothing where resource servers fetch the
    /// set. Processes that share a file should say the same, as the least of what they say counts.
    pub fn roll_over_every(mut self, every: Duration) -> Self {
        self.times.roll_over_every = Some(every);
        self
    }

    /// Gives up that keys roll over by themselves: **they live for ever**, and so does whatever a thief can do with one,
    /// until somebody calls [`roll_over`](KeyRing::roll_over). For resource servers that have the keys from a person. The
    /// upkeep still reads the file again and deletes what is retired. Of this and
    /// [`roll_over_every`](Self::roll_over_every), what was said last counts.
    pub fn roll_over_by_hand_alone(mut self) -> Self {
        self.times.roll_over_every = None;
        self
    }

    /// How long a key stays published after it signed for the last time; 24 hours unless set, and 300 s more in any
    /// case, for clocks that differ. It has to be as long as the longest life of a token that it signs, and so short that no
    /// more than 32 keys are published at a time: about 30 times [`roll_over_every`](Self::roll_over_every). A `TokenIssuer`
    /// that gets the ring lengthens it, for all clones, to what it needs, and does not open where that is too long.
    pub fn keep_retired(mut self, keep: Duration) -> Self {
        self.times.keep_retired = keep;
        self
    }

    /// The ring in this file, which is made if it is not there, like [`KeyRing::open`].
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds, or two of them do not go together; nothing is read or made then. Otherwise those of
    /// [`KeyRing::open`].
    pub fn open(self, path: impl AsRef<Path>, algorithm: Algorithm) -> Result<KeyRing, SetupError> {
        self.check(algorithm)?;
        let path = path.as_ref();
        let open = || {
            if let Some(keys) = file::read(path)? {
                return Ok(keys);
            }
            let _lock = Lock::take(path)?;
            // By now another process may have made it.
            if let Some(keys) = file::read(path)? {
                return Ok(keys);
            }
            let key = SigningKey::generate(algorithm, UNIX_EPOCH)?;
            file::replace(path, &[&key])?;
            tell_published(&key);
            Ok(vec![key])
        };
        let keys = open().map_err(|error: KeyError| SetupError::new("keys", error))?;
        Ok(KeyRing::of(algorithm, Some(path.to_owned()), self.times, keys))
    }

    /// A ring with one new key that is only in memory, like [`KeyRing::generate`].
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds, or two of them do not go together. Otherwise those of [`KeyRing::generate`].
    pub fn generate(self, algorithm: Algorithm) -> Result<KeyRing, SetupError> {
        self.check(algorithm)?;
        let key = SigningKey::generate(algorithm, UNIX_EPOCH).map_err(|error| SetupError::new("keys", error))?;
        tell_published(&key);
        Ok(KeyRing::of(algorithm, None, self.times, vec![key]))
    }

    fn check(&self, algorithm: Algorithm) -> Result<(), SetupError> {
        check_algorithm(algorithm)?;
        self.times.check()
    }
}
