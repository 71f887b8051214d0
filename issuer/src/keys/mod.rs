//! The keys that tokens are signed with, and the set of public keys that resource servers check them by.

mod endpoint;
mod file;
mod signing_key;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use resource_protector::{Algorithm, SetupError};
use serde::Serialize;

pub use self::endpoint::JwksEndpoint;
use self::signing_key::{SigningKey, check_algorithm};

/// The most keys in a ring.
const MAX_KEYS: usize = 32;

/// How long resource servers may hold on to a token beyond its end, for the difference of clocks: the most that
/// `resource_protector` allows.
const LEEWAY: Duration = Duration::from_secs(300);

/// What `publish_ahead` may be.
const AHEAD: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600);

/// The private keys of an issuer: the one that signs, the next one, and those whose tokens still live. Clones share them.
///
/// A key is replaced without any token being refused: by [`roll_over`](Self::roll_over) the next key is published at once,
/// and signs only when every resource server has had the time to fetch it ([`publish_ahead`](Self::publish_ahead)); from
/// then on the one before is retired, and stays published until the last token that it signed is over
/// ([`keep_retired`](Self::keep_retired)). Which key signs, and which are published, is decided by the time of the request,
/// so nothing has to run at that moment.
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
/// [`reread`](Self::reread) from time to time, more often than [`publish_ahead`](Self::publish_ahead). Two that roll over at
/// the same moment may lose one of the two new keys, which the one that lost it goes on to sign with. A process that never rereads
/// signs with a retired key, and its tokens are refused from when that is published no more.
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
    /// A ring with one new key that is only in memory: tokens are refused after a restart. For tests, and for trying things
    /// out. `RS256` (2048 bits), `ES256`, `ES384` and `EdDSA` (Ed25519) are there.
    ///
    /// # Errors
    ///
    /// When the algorithm is another one, or the operating system has no random numbers.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SetupError> {
        check_algorithm(algorithm)?;
        let key = SigningKey::generate(algorithm, UNIX_EPOCH).map_err(|error| SetupError::new("keys", error))?;
        Ok(Self::of(algorithm, None, vec![key]))
    }

    /// The ring in this file: JSON with the private keys, **in clear**. It is made, with one new key, if it is not there;
    /// then only its owner may read it. Every change replaces it as a whole, so the folder has to be writable.
    ///
    /// The algorithm is that of new keys. Keys of another one that are in the file sign on until the next
    /// [`roll_over`](Self::roll_over).
    ///
    /// It blocks: the file is read, and a key may have to be made.
    ///
    /// # Errors
    ///
    /// When no keys are made for the algorithm, the file cannot be read or made, is not of this form, or, on Unix, may be read or
    /// written by others than its owner.
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

    /// How long a new key is published before it signs; one hour unless set, 60 s to 7 days. The set may be remembered for
    /// half of it ([`JwksEndpoint`]), 5 minutes at the most. Resource servers that keep keys for longer than they are told, and do not ask
    /// again when they meet an unknown `kid`, need more. It holds for all clones, and for the keys made from now on.
    ///
    /// # Errors
    ///
    /// When it is out of these bounds.
    pub fn publish_ahead(self, ahead: Duration) -> Result<Self, SetupError> {
        if !AHEAD.contains(&ahead) {
            return Err(SetupError::new(
                "publish_ahead",
                format_args!("expected 60 s to 604800 s, got {} s", ahead.as_secs_f64()),
            ));
        }
        self.times_mut(|times| times.publish_ahead = ahead);
        Ok(self)
    }

    /// How long a key stays published after it signed for the last time; 24 hours unless set, and 300 s more in any case,
    /// for clocks that differ. It has to be as long as the longest life of a token that it signs. A
    /// `TokenIssuer` that gets the ring lengthens it to what it needs. It holds for all clones.
    #[must_use]
    pub fn keep_retired(self, keep: Duration) -> Self {
        self.times_mut(|times| times.keep_retired = keep);
        self
    }

    /// Keeps retired keys for as long as the tokens live that they may have signed, if that is longer than was said.
    pub(crate) fn outlive(&self, longest_life: Duration) {
        self.times_mut(|times| times.keep_retired = times.keep_retired.max(longest_life));
    }

    /// Makes and publishes a new key, which signs after [`publish_ahead`](Self::publish_ahead). The one that signs now is
    /// retired then.
    ///
    /// It blocks: a key is made, and the file is read and replaced.
    ///
    /// # Errors
    ///
    /// When a key that does not sign yet is published already, there are 32 keys, or no key can be made or kept. Nothing has changed then.
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

    /// [Rolls over](Self::roll_over) if the newest key is older than this, and says whether it did. The age of a ring's first key is counted from the
    /// first call.
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

    /// Puts one new key, which signs at once, in the place of all others: when somebody else may know them. **Every token
    /// that was signed before is refused** as soon as a resource server has fetched the set again, and new ones may be
    /// refused until then.
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

    /// Reads the file again, in which another process may have changed the keys. Nothing happens to a ring that is only in
    /// memory. It blocks.
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

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The position of the key that signs at this moment: the last one whose time has come. Were the clock set back before all
/// of them, the first one signs.
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
