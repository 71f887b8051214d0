//! Where everything is kept that has to outlive a request.
//!
//! A store knows nothing of tokens: it keeps [`Row`]s under [`Key`]s, and carries out a [`Change`] as a whole or not at all.
//! What the rows mean, and what may follow what, is decided in one place for all stores. So whatever happens between two
//! changes, be it that the process is killed, leaves nothing half done.
//!
//! | store | feature | what was answered survives | shared by |
//! |---|---|---|---|
//! | `MemoryStore` | | nothing | one process |
//! | `SqliteStore` | `sqlite` | a power cut | the processes of one machine |
//! | `PostgresStore` | `postgres` | what a commit survives there | any |
//! | `RedisStore` | `redis` | what Redis is told to keep, but not every failover | any |
//!
//! None of them goes away for good: a database that cannot be reached is a [`StoreError`] in time, and is used again when it
//! is back.

#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod deadline;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod written;

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use crate::random;
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "postgres")]
pub use self::sql::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sql::sqlite::SqliteStore;
pub use resource_protector::StoreError;

/// Up to how many keys a [`load`](Store::load) and how many steps a [`Change`] may have.
pub const MAX_KEYS: usize = 1_000;

/// Keeps rows. Implement it for a database of your own; the feature `testing` has the tests for it.
///
/// Every method gives up after a time of its own choosing: a request waits for it. Its future may be dropped at any moment;
/// then a change has happened as a whole or not at all, as when it fails.
pub trait Store: Send + Sync + 'static {
    /// The rows under these keys, in their order; `None` where there is none. They are of one moment, or each is at least
    /// as young as the last change that was committed before the call.
    ///
    /// Rows that have expired are there until they are deleted. One key may be asked for twice.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or are more than [`MAX_KEYS`].
    fn load(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<Row>>, StoreError>> + Send;

    /// Carries out all steps of a change, or none of them and answers [`Outcome::Conflict`], if a row is not as a step
    /// expects it. No other change happens in between. When it answers [`Outcome::Done`], the change survives whatever the
    /// store promises to survive.
    ///
    /// # Errors
    ///
    /// When the rows cannot be written, or the change is beyond [a limit](Change::check). Then it may have happened or not;
    /// trying again is safe, because what has happened makes a conflict.
    fn commit(&self, change: &Change) -> impl Future<Output = Result<Outcome, StoreError>> + Send;

    /// Rows of one kind in the order of the bytes of their identifiers, up to the number that is asked for. They are as
    /// young as those that [`load`](Self::load) answers.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn list(&self, listing: &Listing) -> impl Future<Output = Result<Vec<(Key, Row)>, StoreError>> + Send;

    /// Deletes the rows whose `expires_at` is this moment or earlier, and says how many. None is ever deleted before its
    /// time; one that a change is at work on meanwhile may be left for the next call.
    ///
    /// It may do so in several steps, so that no change waits long, and each of them has a deadline of its own.
    ///
    /// # Errors
    ///
    /// When they cannot be deleted.
    fn delete_expired(&self, now: SystemTime) -> impl Future<Output = Result<usize, StoreError>> + Send;
}

impl<S: Store> Store for Arc<S> {
    fn load(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<Row>>, StoreError>> + Send {
        S::load(self, keys)
    }

    fn commit(&self, change: &Change) -> impl Future<Output = Result<Outcome, StoreError>> + Send {
        S::commit(self, change)
    }

    fn list(&self, listing: &Listing) -> impl Future<Output = Result<Vec<(Key, Row)>, StoreError>> + Send {
        S::list(self, listing)
    }

    fn delete_expired(&self, now: SystemTime) -> impl Future<Output = Result<usize, StoreError>> + Send {
        S::delete_expired(self, now)
    }
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// An opaque access token.
    AccessToken,
    /// The identifier of a client's assertion, which counts once.
    Assertion,
    /// A client of the authorization server.
    Client,
    /// What is known of all tokens of a client: how often they were revoked.
    ClientTokens,
    /// An authorization code.
    Code,
    /// What a user allowed a client.
    Consent,
    /// A revocation, for the lists that have to learn of it.
    CutOff,
    /// A log-in at the authorization server that was ended before its time.
    EndedLogin,
    /// Whose tokens the store is for.
    Issuer,
    /// The session that tokens belong to: what one log-in has led to.
    Session,
    /// What is known of a subject: how often it was logged out everywhere.
    Subject,
    /// A user who can log in.
    User,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AccessToken,
        Self::Assertion,
        Self::Client,
        Self::ClientTokens,
        Self::Code,
        Self::Consent,
        Self::CutOff,
        Self::EndedLogin,
        Self::Issuer,
        Self::Session,
        Self::Subject,
        Self::User,
    ];

    /// Its name in a database. It never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::Assertion => "assertion",
            Self::Client => "client",
            Self::ClientTokens => "client_tokens",
            Self::Code => "code",
            Self::Consent => "consent",
            Self::CutOff => "cut_off",
            Self::EndedLogin => "ended_login",
            Self::Issuer => "issuer",
            Self::Session => "session",
            Self::Subject => "subject",
            Self::User => "user",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The identifier of a row: the SHA-256 of a name, in base64url, so 43 characters of ASCII.
///
/// Names are tokens, among others, so none stands in a store; and whatever characters a name has, all databases compare
/// identifiers in the same way.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// The identifier for what has this name.
    pub fn of(name: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, name.as_bytes());
        Self(URL_SAFE_NO_PAD.encode(digest))
    }

    /// An identifier as a store keeps it; `None` when it is not 43 characters of base64url.
    pub fn parse(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let is_one = text.len() == 43
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        is_one.then_some(Self(text))
    }

    /// As a store keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Under what a row is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What the row is about.
    pub kind: Kind,
    /// Which of them it is.
    pub id: Id,
}

impl Key {
    /// The key for what has this name among its kind.
    pub fn of(kind: Kind, name: &str) -> Self {
        Self { kind, id: Id::of(name) }
    }
}

/// Tells one state of a row from all others that it ever has: a random number from 1 to 2⁶³ − 1, drawn for every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(i64);

impl Version {
    /// Another one than any before.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn draw() -> Result<Self, StoreError> {
        let bytes = random::bytes::<8>()?;
        Ok(Self((i64::from_le_bytes(bytes) & i64::MAX).max(1)))
    }

    /// A version as a store keeps it.
    pub fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// As a store keeps it.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// What is kept under a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Which state of the row this is.
    pub version: Version,
    /// Whose it is: what [`Listing`] goes by.
    pub owner: Option<Id>,
    /// When it may be deleted, to the millisecond; never, if there is no such moment. A store may round it up to the next
    /// millisecond, so that no row goes too early.
    pub expires_at: Option<SystemTime>,
    /// One JSON object of up to [`MAX_BODY`](Self::MAX_BODY) bytes. A store keeps it byte for byte.
    pub body: String,
}

impl Row {
    /// How many bytes a body may have: 1 MiB.
    pub const MAX_BODY: usize = 1 << 20;
}

impl fmt::Debug for Row {
    /// Without the body, which has names of people in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("version", &self.version)
            .field("owner", &self.owner)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// How a row has to be, so that a change may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    /// There is none.
    Absent,
    /// It is in this state.
    At(Version),
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// It stays as it is. The change depends on it all the same.
    Same,
    /// It is put in the place of what was there.
    Put(Row),
    /// It is deleted.
    Gone,
}

/// A change to several rows, which happens as a whole or not at all. No key stands in it twice.
#[derive(Clone, Debug, Default)]
pub struct Change {
    steps: BTreeMap<Key, (Was, Becomes)>,
}

impl Change {
    /// A change of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step. A second one for the same key takes the place of the first.
    #[must_use]
    pub fn step(mut self, key: Key, was: Was, becomes: Becomes) -> Self {
        self.steps.insert(key, (was, becomes));
        self
    }

    /// The steps, in the order of their keys: a store that locks rows one after the other never waits for one that waits for
    /// it.
    pub fn steps(&self) -> impl Iterator<Item = (&Key, Was, &Becomes)> {
        self.steps.iter().map(|(key, (was, becomes))| (key, *was, becomes))
    }

    /// Whether it keeps the limits that all stores have. A store asks this before anything else.
    ///
    /// # Errors
    ///
    /// When there are more than [`MAX_KEYS`] steps, or a body is longer than [`Row::MAX_BODY`].
    pub fn check(&self) -> Result<(), StoreError> {
        if self.steps.len() > MAX_KEYS {
            return Err(StoreError::new("a change has more than 1000 steps"));
        }
        let is_too_long = |(_, becomes): &(Was, Becomes)| match becomes {
            Becomes::Put(row) => row.body.len() > Row::MAX_BODY,
            Becomes::Same | Becomes::Gone => false,
        };
        if self.steps.values().any(is_too_long) {
            return Err(StoreError::new("the body of a row is longer than 1 MiB"));
        }
        Ok(())
    }
}

/// What became of a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it has happened.
    Done,
    /// Nothing has happened, because a row was not as expected.
    Conflict,
}

/// Which rows are asked for.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Of this kind.
    pub kind: Kind,
    /// Of this owner only.
    pub owner: Option<Id>,
    /// Those whose identifiers come after this one.
    pub after: Option<Id>,
    /// So many at the most.
    pub limit: usize,
}

/// Whether a load keeps the limit.
pub(crate) fn check_keys(keys: &[Key]) -> Result<(), StoreError> {
    if keys.len() > MAX_KEYS {
        return Err(StoreError::new("more than 1000 rows are asked for at once"));
    }
    Ok(())
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store of any type. Nothing outside this crate sees it, so that implementors write plain `async fn`s.
pub(crate) trait AnyStore: Send + Sync {
    fn load<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Vec<Option<Row>>>;

    fn commit<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Outcome>;

    fn list<'a>(&'a self, listing: &'a Listing) -> BoxFuture<'a, Vec<(Key, Row)>>;

    fn delete_expired(&self, now: SystemTime) -> BoxFuture<'_, usize>;
}

impl<S: Store> AnyStore for S {
    fn load<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Vec<Option<Row>>> {
        Box::pin(Store::load(self, keys))
    }

    fn commit<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Outcome> {
        Box::pin(Store::commit(self, change))
    }

    fn list<'a>(&'a self, listing: &'a Listing) -> BoxFuture<'a, Vec<(Key, Row)>> {
        Box::pin(Store::list(self, listing))
    }

    fn delete_expired(&self, now: SystemTime) -> BoxFuture<'_, usize> {
        Box::pin(Store::delete_expired(self, now))
    }
}

/// A store that others have, too.
pub(crate) struct SharedStore(Arc<dyn AnyStore>);

impl SharedStore {
    pub(crate) fn new(store: Arc<dyn AnyStore>) -> Self {
        Self(store)
    }
}

impl Store for SharedStore {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.0.load(keys).await
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        self.0.commit(change).await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        self.0.list(listing).await
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        self.0.delete_expired(now).await
    }
}
