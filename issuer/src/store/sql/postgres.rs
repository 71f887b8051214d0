//! Rows in PostgreSQL.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr as _,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;
use resource_protector::SetupError;
use sqlx::{
    ConnectOptions as _, Executor as _, PgPool, Postgres,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{BATCH, Columns, Lease, are_as_expected, gone, in_order, missing, puts, read, said};
use crate::store::{
    Becomes, Change, Key, Listing, Outcome, Row, Store, StoreError, check_keys,
    deadline::Deadline,
    written::{self, expiry},
};

const POSTGRESQL: &str = "PostgreSQL";

const MIGRATIONS: [&str; 1] = [include_str!("../../../migrations/postgres/0001_rows.sql")];

/// The lock for migrations: `reso` as a number. Those of rows are anywhere in 64 bits.
const MIGRATION_LOCK: i64 = 0x7265_736f;

/// In the order of the numbers, so that no two changes wait for each other. Those that leave a row as it is share its lock.
const LOCK: &str = "SELECT CASE WHEN alone THEN pg_advisory_xact_lock(number) ELSE pg_advisory_xact_lock_shared(number) END \
    FROM unnest($1::bigint[], $2::boolean[]) AS locks (number, alone)";

const LOAD: &str = "SELECT rows.kind, rows.id, rows.version, rows.owner, rows.expires_at, rows.body \
    FROM unnest($1::text[], $2::text[]) AS asked (kind, id) \
    JOIN resource_protector_rows AS rows ON rows.kind = asked.kind AND rows.id = asked.id";

/// Locks the rows as well, against `DELETE_EXPIRED` and people, who know nothing of our locks. They are shared: whoever changes one
/// has its lock above alone.
const VERSIONS: &str = "SELECT rows.kind, rows.id, rows.version \
    FROM unnest($1::text[], $2::text[]) AS asked (kind, id) \
    JOIN resource_protector_rows AS rows ON rows.kind = asked.kind AND rows.id = asked.id \
    ORDER BY rows.kind, rows.id FOR SHARE OF rows";

const PUT: &str = "INSERT INTO resource_protector_rows (kind, id, version, owner, expires_at, body) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[]) \
    ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, \
    owner = excluded.owner, expires_at = excluded.expires_at, body = excluded.body";

const DELETE: &str = "DELETE FROM resource_protector_rows AS rows \
    USING unnest($1::text[], $2::text[]) AS asked (kind, id) \
    WHERE rows.kind = asked.kind AND rows.id = asked.id";

const LIST: &str = "SELECT kind, id, version, owner, expires_at, body FROM resource_protector_rows \
    WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3";

const LIST_OF_OWNER: &str = "SELECT kind, id, version, owner, expires_at, body FROM resource_protector_rows \
    WHERE kind = $1 AND id > $2 AND owner = $4 ORDER BY id LIMIT $3";

/// Leaves out the rows that a change holds: whoever waits for nothing is in nobody's way.
const DELETE_EXPIRED: &str = "WITH expired AS (SELECT kind, id FROM resource_protector_rows \
    WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) \
    DELETE FROM resource_protector_rows AS rows USING expired WHERE rows.kind = expired.kind AND rows.id = expired.id";

/// Rows in PostgreSQL 12 or later, shared by any number of processes. Clones share their connections.
///
/// A change holds an advisory lock for each of its keys, present or not, from before it looks until after it is committed;
/// so no isolation level but `READ COMMITTED` is needed, and no change is tried twice. What was answered survives whatever
/// a commit survives there: by default the crash of the server, with synchronous replication also the loss of its machine.
/// A commit is not safe while `synchronous_commit` is `off`, nor a read from a replica, so the URL is that of the primary.
///
/// The rows are in the table `resource_protector_rows`, in the first schema of the search path;
/// `resource_protector_sessions` is a view for people.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    deadline: Deadline,
}

impl PostgresStore {
    /// Connects to a database, and makes or brings up to date the tables in it, for which its role needs the right to create
    /// in the schema; later not.
    ///
    /// The URL is `postgres://user:password@host/database`; `?sslmode=verify-full` makes it check who the server is, by the
    /// authorities of the web or by `sslrootcert`, a file. Without it, nobody notices somebody between. There are up to
    /// ten connections.
    ///
    /// # Errors
    ///
    /// When the URL cannot be used, the database cannot be reached or lacks a right, or has tables of a younger program. The
    /// error never quotes the URL.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        // The driver reads a URL of any scheme.
        let is_ours = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let options = PgConnectOptions::from_str(url).ok().filter(|_| is_ours);
        let options = options.ok_or_else(|| {
            StoreError::new(
                "the URL for PostgreSQL cannot be used: expected `postgres://user:password@host/database`, got something \
                 else, which is not shown, since it may have a password in it",
            )
        })?;
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .acquire_timeout(Duration::from_secs(60))
            .connect_lazy_with(options.disable_statement_logging());
        let deadline = Deadline::of(POSTGRESQL);
        let store = Self { pool, deadline };
        store.deadline.give(store.migrate()).await?;
        Ok(store)
    }

    /// How long one method may take, from 1 ms to 60 s; 5 s unless set. It includes connecting, and waiting for other changes.
    ///
    /// # Errors
    ///
    /// When it is out of these bounds.
    pub fn timeout(self, timeout: Duration) -> Result<Self, SetupError> {
        let deadline = self.deadline.with(timeout)?;
        Ok(Self { deadline, ..self })
    }

    /// Closes the connections, for all clones; after it, every method answers with an error.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut lease = Lease::of(&self.pool).await.map_err(failed)?;
        self.begin(&mut lease).await.map_err(failed)?;
        let had = count_migrations(&mut lease).await.map_err(failed)?;
        let missing = missing(POSTGRESQL, &MIGRATIONS, had)?;
        let work = async {
            for (version, migration) in (had + 1..).zip(missing) {
                lease.execute(*migration).await?;
                let note = sqlx::query("INSERT INTO resource_protector_migrations (version) VALUES ($1)");
                note.bind(version).execute(&mut *lease).await?;
            }
            sqlx::query("COMMIT").execute(&mut *lease).await
        };
        work.await.map_err(failed)?;
        lease.give_back();
        Ok(())
    }

    /// Begins a transaction. The server gives it up itself when we have gone away or are frozen, so that its locks end.
    async fn begin(&self, lease: &mut Lease<Postgres>) -> Result<(), sqlx::Error> {
        let timeout = self.deadline.timeout.as_millis().max(1);
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = {timeout}; \
            SET LOCAL idle_in_transaction_session_timeout = {timeout}"
        );
        lease.execute(begin.as_str()).await.map(drop)
    }

    async fn write(&self, change: &Change) -> Result<Outcome, StoreError> {
        let mut lease = Lease::of(&self.pool).await.map_err(failed)?;
        let work = async {
            self.begin(&mut lease).await?;
            let (numbers, alone): (Vec<_>, Vec<_>) = locks(change).into_iter().unzip();
            let lock = sqlx::query(LOCK).bind(numbers).bind(alone);
            lock.execute(&mut *lease).await?;
            let (kinds, ids) = named(change.steps().map(|(key, ..)| key));
            // A statement of its own: it sees all that was committed before the locks were had.
            let versions = sqlx::query_as(VERSIONS).bind(kinds).bind(ids);
            if !are_as_expected(change, &versions.fetch_all(&mut *lease).await?) {
                sqlx::query("ROLLBACK").execute(&mut *lease).await?;
                return Ok(Outcome::Conflict);
            }
            let (kinds, ids) = named(puts(change).map(|(key, _)| key));
            if !kinds.is_empty() {
                let rows = || puts(change).map(|(_, row)| row);
                let put = sqlx::query(PUT).bind(kinds).bind(ids);
                let put = put.bind(rows().map(|row| row.version.number()).collect::<Vec<_>>());
                let put = put.bind(
                    rows()
                        .map(|row| row.owner.as_ref().map(|owner| owner.as_str()))
                        .collect::<Vec<_>>(),
                );
                let put = put.bind(rows().map(|row| row.expires_at.map(expiry)).collect::<Vec<_>>());
                let put = put.bind(rows().map(|row| row.body.as_str()).collect::<Vec<_>>());
                put.execute(&mut *lease).await?;
            }
            let (kinds, ids) = named(gone(change));
            if !kinds.is_empty() {
                let delete = sqlx::query(DELETE).bind(kinds).bind(ids);
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
        let mut lease = Lease::of(&self.pool).await.map_err(failed)?;
        let work = async {
            self.begin(&mut lease).await?;
            let delete = sqlx::query(DELETE_EXPIRED).bind(now).bind(BATCH);
            let deleted = delete.execute(&mut *lease).await?.rows_affected();
            sqlx::query("COMMIT").execute(&mut *lease).await?;
            Ok(deleted)
        };
        let deleted = work.await.map_err(failed)?;
        lease.give_back();
        Ok(deleted)
    }
}

impl Store for PostgresStore {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        check_keys(keys)?;
        let load = async {
            let mut lease = Lease::of(&self.pool).await.map_err(failed)?;
            let (kinds, ids) = named(keys);
            let found = sqlx::query_as(LOAD).bind(kinds).bind(ids);
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
            let mut lease = Lease::of(&self.pool).await.map_err(failed)?;
            let list = match listing.owner {
                Some(_) => sqlx::query_as(LIST_OF_OWNER),
                None => sqlx::query_as(LIST),
            };
            let list = list.bind(listing.kind.as_str());
            let list = list.bind(listing.after.as_ref().map_or("", |after| after.as_str()));
            let mut list = list.bind(i64::try_from(listing.limit).unwrap_or(i64::MAX));
            if let Some(owner) = &listing.owner {
                list = list.bind(owner.as_str());
            }
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
            if deleted < BATCH.unsigned_abs() {
                return Ok(all);
            }
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// How many migrations this schema has had. The lock is held until the transaction ends.
async fn count_migrations(lease: &mut Lease<Postgres>) -> Result<i64, sqlx::Error> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK);
    lock.execute(&mut **lease).await?;
    // A role that may not create tables is one of a service that goes on with those there are.
    let is_there = "SELECT to_regclass('resource_protector_migrations') IS NOT NULL";
    if !sqlx::query_scalar(is_there).fetch_one(&mut **lease).await? {
        let book = "CREATE TABLE resource_protector_migrations (version bigint PRIMARY KEY)";
        sqlx::query(book).execute(&mut **lease).await?;
    }
    let count = "SELECT count(*) FROM resource_protector_migrations";
    sqlx::query_scalar(count).fetch_one(&mut **lease).await
}

/// The numbers of the locks for the keys of a change, and whether it needs them alone. Two keys may have the same one: then changes
/// wait for each other that would not have to.
fn locks(change: &Change) -> BTreeMap<i64, bool> {
    let mut locks = BTreeMap::new();
    for (key, _, becomes) in change.steps() {
        let name = format!("resource-protector {} {}", key.kind.as_str(), key.id.as_str());
        let digest = digest::digest(&digest::SHA256, name.as_bytes());
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        *locks.entry(i64::from_le_bytes(first)).or_default() |= *becomes != Becomes::Same;
    }
    locks
}

fn failed(error: sqlx::Error) -> StoreError {
    said(POSTGRESQL, &error)
}

/// Keys as two arrays.
fn named<'a>(keys: impl IntoIterator<Item = &'a Key>) -> (Vec<&'static str>, Vec<&'a str>) {
    keys.into_iter().map(|key| (key.kind.as_str(), key.id.as_str())).unzip()
}
