//! Rows in one SQLite file.

use std::{
    fmt, fs, io,
    path::{self, Path},
    time::{Duration, SystemTime},
};

use resource_protector::SetupError;
use sqlx::{
    ConnectOptions as _, Executor as _, Sqlite, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Columns, Lease, are_as_expected, gone, in_order, missing, puts, read, said};
use crate::store::{
    Change, Key, Listing, Outcome, Row, Store, StoreError, check_keys,
    deadline::Deadline,
    written::{self, expiry},
};

const SQLITE: &str = "SQLite";

const MIGRATIONS: [&str; 1] = [include_str!("../../../migrations/sqlite/0001_rows.sql")];

/// How long SQLite itself waits for another process that writes, before we look at our own deadline and try again.
const BUSY: Duration = Duration::from_millis(250);

const LOAD: &str = "SELECT kind, id, version, owner, expires_at, body FROM resource_protector_rows \
    WHERE (kind, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))";

const VERSIONS: &str = "SELECT kind, id, version FROM resource_protector_rows \
    WHERE (kind, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))";

const PUT: &str = "INSERT INTO resource_protector_rows (kind, id, version, owner, expires_at, body) \
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, \
    owner = excluded.owner, expires_at = excluded.expires_at, body = excluded.body";

const DELETE: &str = "DELETE FROM resource_protector_rows WHERE kind = ? AND id = ?";

const LIST: &str = "SELECT kind, id, version, owner, expires_at, body FROM resource_protector_rows \
    WHERE kind = ? AND id > ? ORDER BY id LIMIT ?";

const LIST_OF_OWNER: &str = "SELECT kind, id, version, owner, expires_at, body FROM resource_protector_rows \
    WHERE kind = ? AND owner = ? AND id > ? ORDER BY id LIMIT ?";

const DELETE_EXPIRED: &str = "DELETE FROM resource_protector_rows WHERE rowid IN \
    (SELECT rowid FROM resource_protector_rows WHERE expires_at <= ? LIMIT ?)";

/// Rows in one SQLite file, which several processes of one machine may share; not over a network file system. Clones share
/// their connections.
///
/// What was answered survives the end of the process and a power cut (a write-ahead log, `synchronous = FULL`), as far as
/// the disk keeps what it has promised. For a copy of the file while it is in use, take `VACUUM INTO` or the backup of
/// `sqlite3`; beside it stand the files `-wal` and `-shm`, which belong to it.
///
/// The rows are in the table `resource_protector_rows`; `resource_protector_sessions` is a view for people.
#[derive(Clone)]
pub struct SqliteStore {
    readers: SqlitePool,
    /// One connection: SQLite has one writer at a time, and here they wait in their order.
    writer: SqlitePool,
    deadline: Deadline,
}

impl SqliteStore {
    /// Opens a file, and makes or brings up to date the tables in it. A file that is not there is made, for its owner alone
    /// (mode 0600); one that is there keeps its mode. The folder has to be there.
    ///
    /// # Errors
    ///
    /// When the file cannot be made, read or written, is no SQLite file, or has tables of a younger program.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let given = path.as_ref().to_owned();
        let cannot = |problem: &dyn fmt::Display| {
            StoreError::new(format_args!("the SQLite file {given:?} cannot be opened: {problem}"))
        };
        // So SQLite takes no name for anything but a file, and it is the same one wherever the process goes.
        let path = path::absolute(path).map_err(|error| cannot(&error.kind()))?;
        create(&path).map_err(|error| cannot(&error.kind()))?;
        // A file that somebody takes away later is an error, and not replaced by an empty one.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .disable_statement_logging();
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(60))
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(options.clone())
        };
        let store = Self {
            readers: pool(4),
            writer: pool(1),
            deadline: Deadline::of(SQLITE),
        };
        let migrated = store.deadline.give(store.migrate()).await;
        migrated.map_err(|error| cannot(&error))?;
        Ok(store)
    }

    /// How long one method may take, from 1 ms to 60 s; 5 s unless set. It includes waiting for other processes that write.
    ///
    /// # Errors
    ///
    /// When it is out of these bounds.
    pub fn timeout(self, timeout: Duration) -> Result<Self, SetupError> {
        let deadline = self.deadline.with(timeout)?;
        Ok(Self { deadline, ..self })
    }

    /// Closes the file, for all clones; after it, every method answers with an error. A process that just ends loses nothing.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut lease = lease(&self.writer).await?;
        begin(&mut lease).await.map_err(failed)?;
        let had = count_migrations(&mut lease).await.map_err(failed)?;
        let missing = missing(SQLITE, &MIGRATIONS, had)?;
        let work = async {
            for (version, migration) in (had + 1..).zip(missing) {
                lease.execute(*migration).await?;
                let note = sqlx::query("INSERT INTO resource_protector_migrations (version) VALUES (?)");
                note.bind(version).execute(&mut *lease).await?;
            }
            sqlx::query("COMMIT").execute(&mut *lease).await
        };
        work.await.map_err(failed)?;
        lease.give_back();
        Ok(())
    }

    async fn write(&self, change: &Change) -> Result<Outcome, StoreError> {
        let mut lease = lease(&self.writer).await?;
        let work = async {
            begin(&mut lease).await?;
            let keys = named(change.steps().map(|(key, ..)| key));
            let versions = sqlx::query_as(VERSIONS).bind(keys);
            if !are_as_expected(change, &versions.fetch_all(&mut *lease).await?) {
                sqlx::query("ROLLBACK").execute(&mut *lease).await?;
                return Ok(Outcome::Conflict);
            }
            for (key, row) in puts(change) {
                sqlx::query(PUT)
                    .bind(key.kind.as_str())
                    .bind(key.id.as_str())
                    .bind(row.version.number())
                    .bind(row.owner.as_ref().map(|owner| owner.as_str()))
                    .bind(row.expires_at.map(expiry))
                    .bind(row.body.as_str())
                    .execute(&mut *lease)
                    .await?;
            }
            for key in gone(change) {
                let delete = sqlx::query(DELETE).bind(key.kind.as_str()).bind(key.id.as_str());
                delete.execute(&mut *lease).await?;
            }
            sqlx::query("COMMIT").execute(&mut *lease).await?;
            Ok(Outcome::Done)
        };
        let outcome = work.await.map_err(failed)?;
        lease.give_back();
        Ok(outcome)
    }

    /// Deletes some rows, and says how many.
    async fn delete_some(&self, now: i64) -> Result<u64, StoreError> {
        let mut lease = lease(&self.writer).await?;
        let work = async {
            begin(&mut lease).await?;
            let delete = sqlx::query(DELETE_EXPIRED).bind(now).bind(super::BATCH);
            let deleted = delete.execute(&mut *lease).await?.rows_affected();
            sqlx::query("COMMIT").execute(&mut *lease).await?;
            Ok(deleted)
        };
        let deleted = work.await.map_err(failed)?;
        lease.give_back();
        Ok(deleted)
    }
}

impl Store for SqliteStore {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        check_keys(keys)?;
        let load = async {
            let mut lease = lease(&self.readers).await?;
            let found = sqlx::query_as(LOAD).bind(named(keys));
            let found = found.fetch_all(&mut *lease).await.map_err(failed)?;
            lease.give_back();
            Ok(found)
        };
        in_order(keys, self.deadline.give(load).await?)
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        change.check()?;
        self.deadline.give(self.write(change)).await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        let list = async {
            let mut lease = lease(&self.readers).await?;
            let mut list = match &listing.owner {
                Some(owner) => sqlx::query_as(LIST_OF_OWNER)
                    .bind(listing.kind.as_str())
                    .bind(owner.as_str()),
                None => sqlx::query_as(LIST).bind(listing.kind.as_str()),
            };
            list = list.bind(listing.after.as_ref().map_or("", |after| after.as_str()));
            list = list.bind(i64::try_from(listing.limit).unwrap_or(i64::MAX));
            let found: Vec<Columns> = list.fetch_all(&mut *lease).await.map_err(failed)?;
            lease.give_back();
            Ok(found)
        };
        self.deadline.give(list).await?.into_iter().map(read).collect()
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        let now = written::now(now);
        let mut all = 0;
        loop {
            let deleted = self.deadline.give(self.delete_some(now)).await?;
            all += usize::try_from(deleted).unwrap_or(usize::MAX);
            if deleted < super::BATCH.unsigned_abs() {
                return Ok(all);
            }
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

/// A connection. Setting the journal mode of a new file is refused while another process does, without waiting.
async fn lease(pool: &SqlitePool) -> Result<Lease<Sqlite>, StoreError> {
    loop {
        match Lease::of(pool).await {
            Err(error) if is_busy(&error) => tokio::time::sleep(Duration::from_millis(10)).await,
            lease => return lease.map_err(failed),
        }
    }
}

/// Begins a transaction that may write: what it reads stays true until it has written. It waits for another process that
/// writes, until the deadline of the whole. When the lease ends before the transaction does, nothing of it has happened.
async fn begin(lease: &mut Lease<Sqlite>) -> Result<(), sqlx::Error> {
    loop {
        match sqlx::query("BEGIN IMMEDIATE").execute(&mut **lease).await {
            Err(error) if is_busy(&error) => {}
            begun => return begun.map(drop),
        }
    }
}

/// How many migrations this file has had.
async fn count_migrations(lease: &mut Lease<Sqlite>) -> Result<i64, sqlx::Error> {
    let book = "CREATE TABLE IF NOT EXISTS resource_protector_migrations (version INTEGER PRIMARY KEY) STRICT";
    sqlx::query(book).execute(&mut **lease).await?;
    let count = "SELECT count(*) FROM resource_protector_migrations";
    sqlx::query_scalar(count).fetch_one(&mut **lease).await
}

fn is_busy(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY; extended codes have more above the lowest eight bits.
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == 5)
}

fn failed(error: sqlx::Error) -> StoreError {
    said(SQLITE, &error)
}

/// Keys as a JSON array of pairs, so that one statement does for any number. They are ASCII without quotes.
fn named<'a>(keys: impl IntoIterator<Item = &'a Key>) -> String {
    let pair = |key: &Key| format!(r#"["{}","{}"]"#, key.kind.as_str(), key.id.as_str());
    format!("[{}]", keys.into_iter().map(pair).collect::<Vec<_>>().join(","))
}

/// Makes the file, unless it is there. The files beside it get its mode from SQLite.
fn create(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    for_its_owner_alone(&mut options);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        file => file.map(drop),
    }
}

#[cfg(unix)]
fn for_its_owner_alone(options: &mut fs::OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn for_its_owner_alone(_: &mut fs::OpenOptions) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_connection_writes_ahead_and_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("a")).await.unwrap();
        for pool in [&store.readers, &store.writer] {
            let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
            assert_eq!(mode, "wal");
            // 2 is FULL.
            let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.unwrap();
            assert_eq!(synchronous, 2);
        }
    }
}
