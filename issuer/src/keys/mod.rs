//! The keys that tokens are signed with, and the set of public keys that resource servers check them by.

mod endpoint;
mod file;
mod roll_over;
mod signing_key;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use resource_protector::{Algorithm, SetupError};
use serde::Serialize;

pub use self::endpoint::JwksEndpoint;
use self::signing_key::{SigningKey, check_algorithm};
use crate::setup::within;

/// The most keys in a ring.
const MAX_KEYS: usize = 32;

/// How long resource servers may hold on to a token beyond its end, for the difference of clocks: the most that
/// `resource_protector` allows.
const LEEWAY: Duration = Duration::from_secs(300);

/// What `publish_ahead` may be.
const AHEAD: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600);

/// The private keys of an issuer: the one that signs, the next one, and those whose tokens still live. Clones share
/// them.
///
/// A key is replaced without any token being refused: by [`roll_over`](Self::roll_over) the next key is published at
/// once, and signs only when every resource server has had the time to fetch it
/// ([`publish_ahead`](Self::publish_ahead)); from then on the one before is retired, and stays published until the last
/// token that it signed is over ([`keep_retired`](Self::keep_retired)). Which key signs, and which are published, is
/// decided by the time of the request, so nothing has to run at that moment.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::{Duration, SystemTime};
/// use resource_protector::Algorithm;
/// use resource_protector_issuer::keys::KeyRing;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keys.json");
/// let keys = KeyRing::open(path, Algorithm::ES256)?;
/// // once a day, for example
/// keys.roll_over_after(Duration::from_secs(30 * 24 * 3600), SystemTime::now())?;
/// keys.forget_retired(SystemTime::now())?;
/// # Ok(())
/// # }
/// ```
///
/// # Several processes
///
/// Processes may share a file, but **one** of them, or a command of an administrator, rolls over; the others call
/// [`reread`](Self::reread) from time to time, at least twice in [`publish_ahead`](Self::publish_ahead): what they serve
/// lacks a new key until then. Two that roll over at the same moment may lose one of the two new keys: the process that
/// made it signs with it, and no other knows it, until it rereads. A process that never rereads signs with a retired
/// key, and its tokens are refused from when that is published no more.
#[derive(Clone)]
pub struct KeyRing(Arc<Shared>);

struct Shared {
    algorithm: Algorithm,
    path: Option<PathBuf>,
    times: RwLock<Times>,
    /// In the order in which they sign. Never empty.
    keys: RwLock<Arc<[Arc<SigningKey>]>>,
    /// Held by whoever changes the keys, from reading to writing.
    changing: Mutex<()>,
}

#[derive(Clone, Copy)]
struct Times {
    publish_ahead: Duration,
    keep_retired: Duration,
}

/// Keys could not be made, read, kept or used. The message quotes nothing of a key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(Cow<'static, str>);

impl KeyError {
    pub(crate) fn new(problem: impl Into<Cow<'static, str>>) -> Self {
        Self(problem.into())
    }
}

impl KeyRing {
    /// A ring with one new key that is only in memory: tokens are refused after a restart. For tests, and for trying
    /// things out. `RS256` (2048 bits), `ES256`, `ES384` and `EdDSA` (Ed25519) are there.
    ///
    /// # Errors
    ///
    /// When the algorithm is another one, or the operating system has no random numbers.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SetupError> {
        check_algorithm(algorithm)?;
        let key = SigningKey::generate(algorithm, UNIX_EPOCH).map_err(|error| SetupError::new("keys", error))?;
        Ok(Self::of(algorithm, None, vec![key]))
    }

    /// The ring in this file: JSON with the private keys, **in clear**. It is made, with one new key, if it is not
    /// there; then only its owner may read it. Every change replaces it as a whole, so the folder has to be writable.
    ///
    /// The algorithm is that of new keys. Keys of another one that are in the file sign on until the next
    /// [`roll_over`](Self::roll_over).
    ///
    /// It blocks: the file is read, and a key may have to be made.
    ///
    /// # Errors
    ///
    /// When no keys are made for the algorithm, the file cannot be read or made, is not of this form, or, on Unix, may
    /// be read or written by others than its owner.
    pub fn open(path: impl AsRef<Path>, algorithm: Algorithm) -> Result<Self, SetupError> {
        check_algorithm(algorithm)?;
        let path = path.as_ref();
        let open = || {
            if let Some(keys) = file::read(path)? {
                return Ok(keys);
            }
            let key = SigningKey::generate(algorithm, UNIX_EPOCH)?;
            Ok(file::create(path, &[&key])?.unwrap_or_else(|| vec![key]))
        };
        let keys = open().map_err(|error: KeyError| SetupError::new("keys", error))?;
        Ok(Self::of(algorithm, Some(path.to_owned()), keys))
    }

    fn of(algorithm: Algorithm, path: Option<PathBuf>, keys: Vec<SigningKey>) -> Self {
        Self(Arc::new(Shared {
            algorithm,
            path,
            times: RwLock::new(Times {
                publish_ahead: Duration::from_secs(3600),
                keep_retired: Duration::from_secs(24 * 3600),
            }),
            keys: RwLock::new(in_order(keys.into_iter().map(Arc::new).collect())),
            changing: Mutex::new(()),
        }))
    }

    /// How long a new key is published before it signs; one hour unless set, 60 s to 7 days. The set may be remembered
    /// for half of it ([`JwksEndpoint`]), 5 minutes at the most. Resource servers that keep keys for longer than they
    /// are told, and do not ask again when they meet an unknown `kid`, need more. It holds for all clones, and for the
    /// keys made from now on.
    ///
    /// # Errors
    ///
    /// When it is out of these bounds.
    pub fn publish_ahead(self, ahead: Duration) -> Result<Self, SetupError> {
        let ahead = within("publish_ahead", ahead, AHEAD)?;
        self.times_mut(|times| times.publish_ahead = ahead);
        Ok(self)
    }

    /// How long a key stays published after it signed for the last time; 24 hours unless set, and 300 s more in any
    /// case, for clocks that differ. It has to be as long as the longest life of a token that it signs. A `TokenIssuer`
    /// that gets the ring lengthens it to what it needs. It holds for all clones.
    #[must_use]
    pub fn keep_retired(self, keep: Duration) -> Self {
        self.times_mut(|times| times.keep_retired = keep);
        self
    }

    /// Keeps retired keys for as long as the tokens live that they may have signed, if that is longer than was said.
    pub(crate) fn outlive(&self, longest_lifetime: Duration) {
        self.times_mut(|times| times.keep_retired = times.keep_retired.max(longest_lifetime));
    }

    /// The public keys as a JWK set (RFC 7517 §5): those that sign, will sign, or have signed what is still good.
    pub fn jwks(&self, now: SystemTime) -> Bytes {
        let keys = self.keys();
        let jwks: Vec<&[u8]> = self.published(&keys, now).map(|key| key.jwk.as_slice()).collect();
        [br#"{"keys":["#, jwks.join(&b","[..]).as_slice(), b"]}"]
            .concat()
            .into()
    }

    /// The algorithms of the keys that sign now or will sign, each once: what metadata name.
    pub fn algorithms(&self, now: SystemTime) -> Vec<Algorithm> {
        let keys = self.keys();
        let mut algorithms = Vec::new();
        for key in keys.iter().skip(signing(&keys, now)) {
            if !algorithms.contains(&key.algorithm) {
                algorithms.push(key.algorithm);
            }
        }
        algorithms
    }

    /// Signs claims with the key of this moment, as a JWS with `alg`, `kid` and this `typ`.
    pub(crate) fn sign(&self, typ: &str, claims: &impl Serialize, now: SystemTime) -> Result<String, KeyError> {
        let keys = self.keys();
        let key = keys.get(signing(&keys, now));
        key.ok_or_else(|| KeyError::new("there is no key"))?.sign(typ, claims)
    }

    /// How long the set may be remembered by others. A key that is published now signs only later than that.
    pub(crate) fn max_age(&self) -> Duration {
        (self.times().publish_ahead / 2).min(Duration::from_secs(300))
    }

    /// The keys that resource servers need at this moment.
    fn published<'a>(
        &self,
        keys: &'a [Arc<SigningKey>],
        now: SystemTime,
    ) -> impl Iterator<Item = &'a Arc<SigningKey>> + use<'a> {
        let keep = self.times().keep_retired.saturating_add(LEEWAY);
        let is_published = move |position: usize| match keys.get(position + 1) {
            Some(next) => next.signs_from.checked_add(keep).is_none_or(|end| now < end),
            None => true,
        };
        keys.iter()
            .enumerate()
            .filter(move |(position, _)| is_published(*position))
            .map(|(_, key)| key)
    }

    fn keys(&self) -> Arc<[Arc<SigningKey>]> {
        Arc::clone(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, keys: Arc<[Arc<SigningKey>]>) {
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    fn times(&self) -> Times {
        *self.0.times.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn times_mut(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.0.times.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The position of the key that signs at this moment: the last one whose time has come. Were the clock set back before
/// all of them, the first one signs.
fn signing(keys: &[Arc<SigningKey>], now: SystemTime) -> usize {
    keys.iter().rposition(|key| key.signs_from <= now).unwrap_or(0)
}

fn in_order(mut keys: Vec<Arc<SigningKey>>) -> Arc<[Arc<SigningKey>]> {
    keys.sort_by_key(|key| key.signs_from);
    keys.into()
}

impl fmt::Debug for KeyRing {
    /// How many keys there are, and nothing of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("keys", &self.keys().len())
            .finish_non_exhaustive()
    }
}
