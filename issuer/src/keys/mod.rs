//! The keys that tokens are signed with, and the set of public keys that resource servers check them by.

mod builder;
mod endpoint;
mod file;
mod lock;
mod roll_over;
mod signing_key;
#[cfg(test)]
mod tests;
mod times;
mod upkeep;

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use resource_protector::{Algorithm, SetupError};
use serde::Serialize;

pub use self::{builder::KeyRingBuilder, endpoint::JwksEndpoint};
use self::{
    signing_key::SigningKey,
    times::{LEEWAY, LONGEST_AHEAD, Times},
    upkeep::Told,
};

/// The most keys in a ring.
const MAX_KEYS: usize = 32;

/// The private keys of an issuer: the one that signs, the next one, and those whose tokens still live. Clones share
/// them.
///
/// A key is replaced without any token being refused: the next key is published at once, and signs only when every
/// resource server has had the time to fetch it ([`publish_ahead`](KeyRingBuilder::publish_ahead)); from then on the one before is
/// retired, and stays published until the last token that it signed is over ([`keep_retired`](KeyRingBuilder::keep_retired)). Which
/// key signs, and which are published, is decided by the time of the request, so nothing has to run at that moment.
///
/// That happens by itself, every 90 days unless [`roll_over_every`](KeyRingBuilder::roll_over_every) says another time, as long as
/// [`TokenIssuer::run`](crate::TokenIssuer::run) or [`upkeep`](Self::upkeep) does. So a set of keys that was copied once
/// is no longer enough some day: resource servers fetch it, from the server or, in the same process, from a
/// [`JwksEndpoint`](crate::endpoints::JwksEndpoint).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use resource_protector::Algorithm;
/// use resource_protector_issuer::KeyRing;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keys.json");
/// let keys = KeyRing::open(path, Algorithm::ES256)?;
/// # Ok(())
/// # }
/// ```
///
/// # Several processes
///
/// Any number of processes of one user may have the same file, each by the same path, which is no symbolic link. All of
/// them run the upkeep: the first one that finds that the time has come makes the next key, and the others have it with their next
/// upkeep, 30 s later at the most. Whoever changes keys holds a lock from reading to writing, so none is lost, and one key is
/// made. The lock is on a file of the same name with `.lock` behind it, which is empty and has to stay; the operating system
/// takes it back from a process that is killed. So all processes need to see the locks of each other: on one machine
/// they do, on a file system of a network where that says so.
///
/// A process that may only read the file serves and signs like the others, as long as these make the changes; give it
/// the same options, and its upkeep fails only while something is due that the others have not done yet. Without upkeep it has to [`reread`](Self::reread) at least twice in
/// [`publish_ahead`](KeyRingBuilder::publish_ahead): what it serves lacks a new key until then, and when its own is published no more,
/// the tokens that it signs are refused.
///
/// # Clocks that are wrong
///
/// A key that another process has made by a clock that is more than 300 s ahead is kept and published, since nobody can tell
/// from the keys whose clock is wrong; the event `key_ahead_of_clock` names it. Nobody waits for it: the key that signs is
/// replaced when it is old enough, and the one that lies ahead signs when its time comes, like any other. A clock that is
/// behind all keys signs with the first one and makes none. But what is over is judged by the clock of whoever judges: one
/// that stays ahead deletes the keys that are retired by its time, and the tokens that they signed are refused.
#[derive(Clone)]
pub struct KeyRing(Arc<Shared>);

struct Shared {
    algorithm: Algorithm,
    path: Option<PathBuf>,
    /// `keep_retired` may be lengthened.
    times: RwLock<Times>,
    /// In the order in which they sign. Never empty.
    keys: RwLock<Arc<[Arc<SigningKey>]>>,
    /// Held by whoever changes the keys, from reading to writing.
    changing: Mutex<()>,
    /// What the last upkeep found, and need not be told again.
    told: Mutex<Told>,
    /// Held by the upkeep that is going on in behalf of an issuer.
    upkeep: Arc<tokio::sync::Mutex<()>>,
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
        Self::builder().generate(algorithm)
    }

    /// The ring in this file: JSON with the private keys, **in clear**. It is made, with one new key, if it is not
    /// there; then only its owner may read it. Every change replaces it as a whole, under a lock on a file beside it, so the
    /// folder has to be writable; to read the file is enough for who leaves changes to
    /// [other processes](Self#several-processes).
    ///
    /// The algorithm is that of new keys. Keys of another one that are in the file sign on until the next
    /// [`roll_over`](Self::roll_over).
    ///
    /// It blocks: the file is read, and a key may have to be made, for which it waits for the lock, 5 s at the most.
    ///
    /// # Errors
    ///
    /// When no keys are made for the algorithm, the file cannot be read, made or locked, is not of this form, or, on Unix,
    /// may be read or written by others than its owner.
    pub fn open(path: impl AsRef<Path>, algorithm: Algorithm) -> Result<Self, SetupError> {
        Self::builder().open(path, algorithm)
    }

    /// A ring with other times than the usual ones, which [`open`](Self::open) and [`generate`](Self::generate) have.
    pub fn builder() -> KeyRingBuilder {
        KeyRingBuilder::new()
    }

    fn of(algorithm: Algorithm, path: Option<PathBuf>, times: Times, keys: Vec<SigningKey>) -> Self {
        Self(Arc::new(Shared {
            algorithm,
            path,
            times: RwLock::new(times),
            keys: RwLock::new(in_order(keys.into_iter().map(Arc::new).collect())),
            changing: Mutex::new(()),
            told: Mutex::default(),
            upkeep: Arc::default(),
        }))
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

    /// Keeps retired keys for as long as the tokens live that they may have signed, if that is longer than was said.
    ///
    /// # Errors
    ///
    /// When keys would come faster than they can be forgotten. Nothing has changed then.
    pub(crate) fn outlive(&self, longest_lifetime: Duration) -> Result<(), SetupError> {
        let mut times = self.0.times.write().unwrap_or_else(PoisonError::into_inner);
        let longer = Times {
            keep_retired: times.keep_retired.max(longest_lifetime),
            ..*times
        };
        longer.check()?;
        *times = longer;
        Ok(())
    }

    /// How long the set may be remembered by others. A key that is published now signs only later than that.
    pub(crate) fn max_age(&self) -> Duration {
        (self.times().publish_ahead / 2).min(Duration::from_secs(300))
    }

    fn times(&self) -> Times {
        *self.0.times.read().unwrap_or_else(PoisonError::into_inner)
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
}

/// The position of the key that signs at this moment: the last one whose time has come. Were the clock set back before
/// all of them, the first one signs.
fn signing(keys: &[Arc<SigningKey>], now: SystemTime) -> usize {
    keys.iter().rposition(|key| key.signs_from <= now).unwrap_or(0)
}

/// Whether a key was published, or signs, at a time that no key has that is made by now, whatever its ring was told: made
/// by a clock that is ahead of this one, of which either may be wrong.
fn is_ahead(key: &SigningKey, now: SystemTime) -> bool {
    let is_beyond = |moment: SystemTime, most: Duration| moment.duration_since(now).is_ok_and(|ahead| ahead > most);
    key.since.is_some_and(|since| is_beyond(since, LEEWAY)) || is_beyond(key.signs_from, LONGEST_AHEAD + LEEWAY)
}

/// Whether there is a successor already, which will sign soon.
fn has_successor(keys: &[Arc<SigningKey>], now: SystemTime) -> bool {
    keys.iter().any(|key| key.signs_from > now && !is_ahead(key, now))
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
