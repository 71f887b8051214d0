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
//! | `RedisStore`, without TLS | `redis` | what Redis is told to keep, but not every failover | any |
//!
//! The types of this module are all of what a store has to keep, so none of them has parts that others do not see: one more is
//! a change that every store has to hear of.
//!
//! No store goes away for good: a database that cannot be reached is a [`StoreError`] in time, and is used again when it
//! is back.

mod change;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod deadline;
#[cfg(test)]
mod meeting;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod row;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod written;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

#[cfg(test)]
pub(crate) use self::meeting::MeetingStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "postgres")]
pub use self::sql::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sql::sqlite::SqliteStore;
pub use self::{
    change::{Becomes, Change, Outcome, Was},
    memory::MemoryStore,
    row::{Id, Key, Kind, Row, Version},
};
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
