//! Passwords, kept as Argon2id hashes.

use std::{fmt, sync::Arc, thread};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::Error as HashError,
};
use resource_protector::SetupError;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task,
};

use crate::store::StoreError;

/// The longest password, in bytes. Its length costs time before anybody is known.
pub(super) const MAX_PASSWORD: usize = 1024;

/// The shortest password that is set, in characters: NIST SP 800-63B, section 5.1.1.1.
pub(super) const MIN_NEW_PASSWORD: usize = 8;

/// The length of a hash and of its salt, in bytes: RFC 9106, section 4.
const HASH: usize = 32;

/// The most memory that one hash may take, in KiB, be it asked for by the program or by a hash in a store.
const MAX_MEMORY: u32 = 1024 * 1024;

/// The least memory of OWASP's table, in KiB.
const MIN_MEMORY: u32 = 7 * 1024;

/// Memory × iterations of the cheapest row in OWASP's table, in KiB.
const MIN_WORK: u64 = 5 * 7 * 1024;

const MAX_ITERATIONS: u32 = 64;

const MAX_LANES: u32 = 16;

/// For each hash that is calculated so many may wait; what comes after that is told to come again.
const WAITING_PER_HASH: usize = 32;

/// How passwords are hashed: by Argon2id (RFC 9106), with 19 MiB, two iterations and one lane, which is OWASP's advice, unless
/// it is told otherwise. Clones share the limit of hashes at a time.
///
/// A hash is meant to be slow, so it is calculated on the runtime's threads for what blocks, only as many at a time as the
/// machine has processors, and no more than 32 times as many wait for it; who comes then is told to come again. Whoever can
/// send passwords can keep the processors busy, so the number of tries has to be limited as well.
#[derive(Clone)]
pub struct Passwords {
    hasher: Argon2<'static>,
    /// A place for everybody who is being served or waits.
    places: Arc<Semaphore>,
    /// A place for everybody who is being served.
    at_work: Arc<Semaphore>,
}

/// What a password is, held against a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wrong,
    Right,
    /// It is right, and the hash was made with other parameters than are used now; here is one that was made with these.
    RightAndRehashed(String),
}

impl Passwords {
    /// With the parameters of OWASP's advice.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn new() -> Result<Self, SetupError> {
        Self::with_cost(Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST)
    }

    /// With this memory in KiB, so many iterations, and so many lanes. Hashes that were made with others stay good, and are
    /// replaced when their users log in.
    ///
    /// # Errors
    ///
    /// When the memory is not between 7 MiB and 1 GiB, the iterations not between 1 and 64, the lanes not between 1 and 16, or
    /// memory × iterations is less than 35 MiB, the least that OWASP advises.
    pub fn with_cost(memory_kib: u32, iterations: u32, lanes: u32) -> Result<Self, SetupError> {
        if !(MIN_MEMORY..=MAX_MEMORY).contains(&memory_kib) {
            let problem = format!("expected {MIN_MEMORY} to {MAX_MEMORY} KiB of memory, got {memory_kib}");
            return Err(SetupError::new("passwords", problem));
        }
        if !(1..=MAX_ITERATIONS).contains(&iterations) {
            let problem = format!("expected 1 to {MAX_ITERATIONS} iterations, got {iterations}");
            return Err(SetupError::new("passwords", problem));
        }
        if !(1..=MAX_LANES).contains(&lanes) {
            let problem = format!("expected 1 to {MAX_LANES} lanes, got {lanes}");
            return Err(SetupError::new("passwords", problem));
        }
        let work = u64::from(memory_kib) * u64::from(iterations);
        if work < MIN_WORK {
            let problem = format!("expected memory × iterations to be {MIN_WORK} KiB or more, got {work}");
            return Err(SetupError::new("passwords", problem));
        }
        Self::unchecked(memory_kib, iterations, lanes)
    }

    pub(super) fn unchecked(memory_kib: u32, iterations: u32, lanes: u32) -> Result<Self, SetupError> {
        let params = Params::new(memory_kib, iterations, lanes, Some(HASH))
            .map_err(|error| SetupError::new("passwords", format_args!("cannot be hashed so: {error}")))?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self::limited(
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            processors,
        ))
    }

    /// So many hashes at a time, in place of one for each processor. Each takes its memory.
    ///
    /// # Errors
    ///
    /// When it is not between 1 and 1024.
    pub fn at_once(self, hashes: usize) -> Result<Self, SetupError> {
        if !(1..=1024).contains(&hashes) {
            let problem = format!("expected 1 to 1024 hashes at once, got {hashes}");
            return Err(SetupError::new("passwords", problem));
        }
        Ok(Self::limited(self.hasher, hashes))
    }

    fn limited(hasher: Argon2<'static>, hashes: usize) -> Self {
        Self {
            hasher,
            places: Arc::new(Semaphore::new(hashes.saturating_mul(1 + WAITING_PER_HASH))),
            at_work: Arc::new(Semaphore::new(hashes)),
        }
    }

    /// The hash of a new password, as a string of the PHC format.
    pub(super) async fn hash(&self, password: &str) -> Result<String, StoreError> {
        let (hasher, password) = (self.hasher.clone(), password.to_owned());
        self.work(move || hash(&hasher, &password)).await
    }

    /// Whether a password is the one of this hash. Without a hash it is wrong, after the same work.
    pub(super) async fn verify(&self, password: &str, known: Option<String>) -> Result<Verdict, StoreError> {
        // Nobody has such a password, so this tells nothing about who is known.
        if password.is_empty() || password.len() > MAX_PASSWORD {
            return Ok(Verdict::Wrong);
        }
        let (hasher, password) = (self.hasher.clone(), password.to_owned());
        self.work(move || match known {
            Some(known) => verify(&hasher, &password, &known),
            None => hash(&hasher, &password).map(|_| Verdict::Wrong),
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = |_| StoreError::new("passwords are no longer hashed");
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| StoreError::new("too many passwords wait to be hashed"))?;
        let at_work = Arc::clone(&self.at_work).acquire_owned().await.map_err(gone)?;
        // The places go with the work: a request that is given up does not end it, and makes no room for more.
        let done = task::spawn_blocking(move || {
            let _held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (place, at_work);
            work()
        });
        done.await
            .map_err(|_| StoreError::new("the hashing of a password was stopped"))?
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords")
            .field("params", self.hasher.params())
            .finish_non_exhaustive()
    }
}

fn hash(hasher: &Argon2<'_>, password: &str) -> Result<String, StoreError> {
    let hash: Result<PasswordHash, HashError> = hasher.hash_password(password.as_bytes());
    match hash {
        Ok(hash) => Ok(hash.to_string()),
        Err(error) => Err(StoreError::new(format_args!("a password cannot be hashed: {error}"))),
    }
}

fn verify(hasher: &Argon2<'_>, password: &str, known: &str) -> Result<Verdict, StoreError> {
    let (known, params) = parse(known).ok_or_else(|| StoreError::new("what is kept is no hash that can be used"))?;
    match hasher.verify_password(password.as_bytes(), &known) {
        Ok(()) if params == *hasher.params() => Ok(Verdict::Right),
        Ok(()) => Ok(Verdict::RightAndRehashed(hash(hasher, password)?)),
        Err(HashError::PasswordInvalid) => Ok(Verdict::Wrong),
        Err(error) => Err(StoreError::new(format_args!("a hash cannot be used: {error}"))),
    }
}

/// A hash that may be calculated again: Argon2id of the present version, and no more work than could be set here.
fn parse(known: &str) -> Option<(PasswordHash, Params)> {
    let known = PasswordHash::new(known).ok()?;
    let params = Params::try_from(&known).ok()?;
    let is_usable = known.algorithm.as_str() == Algorithm::Argon2id.as_str()
        && known.version == Some(u32::from(Version::V0x13))
        && params.m_cost() <= MAX_MEMORY
        && params.t_cost() <= MAX_ITERATIONS
        && params.p_cost() <= MAX_LANES
        && known.salt.is_some()
        && known.hash.is_some();
    is_usable.then_some((known, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Passwords {
        /// Takes every place where a hash is calculated, so that whoever needs one waits.
        pub(in crate::users) fn hold_all(&self) -> OwnedSemaphorePermit {
            let places = u32::try_from(self.at_work.available_permits()).unwrap();
            Arc::clone(&self.at_work).try_acquire_many_owned(places).unwrap()
        }
    }

    const PASSWORD: &str = "correct horse";

    /// Its hash by the reference implementation, with the salt `somesalt16bytes!`.
    const REFERENCE: &str =
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQxNmJ5dGVzIQ$MmvBYrAqCC986rmwQ7KaVeIEZg6o09wdeQsLWBCqmzQ";

    fn cheap() -> Passwords {
        Passwords::weak_for_tests().unwrap()
    }

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_only() {
        let hash = cheap().hash(PASSWORD).await.unwrap();
        let verdict = |password, hash: &str| {
            let hash = Some(hash.to_owned());
            async move { cheap().verify(password, hash).await.unwrap() }
        };
        assert_eq!(verdict(PASSWORD, &hash).await, Verdict::Right);
        assert_eq!(verdict("correct horsf", &hash).await, Verdict::Wrong);
        assert_eq!(verdict("Correct horse", &hash).await, Verdict::Wrong);
        assert_eq!(verdict("correct horse ", &hash).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_the_reference_implementation_is_a_hash() {
        let verdict = |password| async move { cheap().verify(password, Some(REFERENCE.to_owned())).await.unwrap() };
        assert_eq!(verdict(PASSWORD).await, Verdict::Right);
        assert_eq!(verdict("correct horsf").await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_password_is_hashed_with_a_salt_of_its_own() {
        let passwords = cheap();
        let first = passwords.hash(PASSWORD).await.unwrap();
        let second = passwords.hash(PASSWORD).await.unwrap();
        assert_ne!(first, second);
        assert!(first.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{first}");
    }

    #[test]
    fn the_parameters_are_those_of_owasp_unless_they_are_set() {
        let passwords = Passwords::new().unwrap();
        let params = passwords.hasher.params();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (19456, 2, 1));
    }

    #[test]
    fn every_row_of_owasp_can_be_set() {
        for (memory, iterations) in [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)] {
            assert!(
                Passwords::with_cost(memory, iterations, 1).is_ok(),
                "{memory} {iterations}"
            );
        }
    }

    #[test]
    fn what_is_too_cheap_or_too_dear_cannot_be_set() {
        let set = [
            (7167, 64, 1),
            (7168, 4, 1),
            (19456, 1, 1),
            (1024 * 1024 + 1, 1, 1),
            (19456, 0, 1),
            (19456, 65, 1),
            (19456, 2, 0),
            (19456, 2, 17),
        ];
        for (memory, iterations, lanes) in set {
            let refused = Passwords::with_cost(memory, iterations, lanes);
            assert_eq!(refused.err().map(|error| error.option()), Some("passwords"));
        }
        assert!(cheap().at_once(0).is_err());
        assert!(cheap().at_once(1025).is_err());
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_is_replaced_when_the_password_is_right() {
        let old = cheap().hash(PASSWORD).await.unwrap();
        let now = Passwords::unchecked(128, 1, 1).unwrap();
        assert_eq!(now.verify("another", Some(old.clone())).await.unwrap(), Verdict::Wrong);
        let Verdict::RightAndRehashed(new) = now.verify(PASSWORD, Some(old)).await.unwrap() else {
            panic!("expected another hash");
        };
        assert!(new.contains("$m=128,t=1,p=1$"), "{new}");
        assert_eq!(now.verify(PASSWORD, Some(new)).await.unwrap(), Verdict::Right);
    }

    #[tokio::test]
    async fn a_password_of_more_than_1024_bytes_is_wrong_without_any_work() {
        let passwords = cheap();
        passwords.at_work.close();
        let long = "x".repeat(1025);
        assert_eq!(passwords.verify(&long, None).await.unwrap(), Verdict::Wrong);
        assert_eq!(passwords.verify("", None).await.unwrap(), Verdict::Wrong);
        assert!(passwords.verify(&"x".repeat(1024), None).await.is_err());
    }

    #[tokio::test]
    async fn without_a_hash_a_password_is_wrong_after_the_same_work() {
        let passwords = cheap();
        assert_eq!(passwords.verify(PASSWORD, None).await.unwrap(), Verdict::Wrong);
        // It is work that is done, where a hash is: without anybody to do it there is no verdict.
        passwords.at_work.close();
        assert!(passwords.verify(PASSWORD, None).await.is_err());
    }

    #[tokio::test]
    async fn a_hash_that_is_not_argon2id_or_costs_too_much_is_an_error_and_no_verdict() {
        let good = cheap().hash(PASSWORD).await.unwrap();
        let spoilt = [
            "correct horse".to_owned(),
            String::new(),
            good.replace("$argon2id$", "$argon2i$"),
            good.replace("$v=19$", "$v=16$"),
            good.replace("$v=19$", "$"),
            good.replace("m=64", "m=1048577"),
            good.replace("t=1", "t=65"),
            good.rsplit_once('$').unwrap().0.to_owned(),
        ];
        for hash in spoilt {
            assert!(cheap().verify(PASSWORD, Some(hash.clone())).await.is_err(), "{hash}");
        }
    }

    #[tokio::test]
    async fn one_too_many_is_told_to_come_again() {
        let passwords = cheap().at_once(1).unwrap();
        let all = Arc::clone(&passwords.places).try_acquire_many_owned(33).unwrap();
        assert!(passwords.hash(PASSWORD).await.is_err());
        drop(all);
        assert!(passwords.hash(PASSWORD).await.is_ok());
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_makes_no_room_before_its_hash_is_done() {
        let passwords = cheap().at_once(1).unwrap();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let (tell, started) = tokio::sync::oneshot::channel();
        let work = passwords.work(move || {
            tell.send(()).map_err(|()| StoreError::new("nobody listens"))?;
            wait.recv().map_err(StoreError::new)
        });
        tokio::select! {
            biased;
            _ = work => panic!("the work ended"),
            heard = started => heard.unwrap(),
        }
        assert_eq!(passwords.at_work.available_permits(), 0);
        go_on.send(()).unwrap();
        drop(Arc::clone(&passwords.at_work).acquire_owned().await.unwrap());
        assert_eq!(passwords.places.available_permits(), 33);
    }
}
