//! Rows in a table, for all databases that speak SQL.
//!
//! The table and its migrations are ours: sqlx's own migrator keeps its book in a table whose name is fixed, and the
//! application that shares the database with us may be using it.

#[cfg(feature = "postgres")]
pub(super) mod postgres;
#[cfg(feature = "sqlite")]
pub(super) mod sqlite;

use std::ops::{Deref, DerefMut};

use sqlx::{Database, Pool, pool::PoolConnection};

use super::{Becomes, Change, Key, Row, StoreError, Was, written::Written};

/// How many rows are deleted in one transaction.
const BATCH: i64 = 500;

/// A connection that goes back to its pool only after all went well. One that was given up in the middle, because time was
/// over or nobody waits any more, is closed, so that nobody gets the answer to another's question.
struct Lease<DB: Database> {
    connection: PoolConnection<DB>,
    is_in_order: bool,
}

impl<DB: Database> Lease<DB> {
    async fn of(pool: &Pool<DB>) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: pool.acquire().await?,
            is_in_order: false,
        })
    }

    fn give_back(mut self) {
        self.is_in_order = true;
    }
}

impl<DB: Database> Drop for Lease<DB> {
    fn drop(&mut self) {
        if !self.is_in_order {
            self.connection.close_on_drop();
        }
    }
}

impl<DB: Database> Deref for Lease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Lease<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

/// The columns `kind, id, version, owner, expires_at, body`.
type Columns = (String, String, i64, Option<String>, Option<i64>, String);

fn read((kind, id, version, owner, expires_at, body): Columns) -> Result<(Key, Row), StoreError> {
    let written = Written {
        kind,
        id,
        version,
        owner,
        expires_at,
        body,
    };
    written.read()
}

/// The rows that were found, in the order of the keys.
fn in_order(keys: &[Key], found: Vec<Columns>) -> Result<Vec<Option<Row>>, StoreError> {
    let found = found.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let row_of = |key: &Key| found.iter().find(|(of, _)| of == key).map(|(_, row)| row.clone());
    Ok(keys.iter().map(row_of).collect())
}

/// Whether all rows are as a change expects them, by the versions `kind, id, version` of those that there are.
fn are_as_expected(change: &Change, found: &[(String, String, i64)]) -> bool {
    let version_of = |key: &Key| {
        let is_of = |(kind, id, _): &&(String, String, i64)| kind == key.kind.as_str() && id == key.id.as_str();
        found.iter().find(is_of).map(|(_, _, version)| *version)
    };
    change.steps().all(|(key, was, _)| match was {
        Was::Absent => version_of(key).is_none(),
        Was::At(version) => version_of(key) == Some(version.number()),
    })
}

/// The rows that a change puts.
fn puts(change: &Change) -> impl Iterator<Item = (&Key, &Row)> {
    change.steps().filter_map(|(key, _, becomes)| match becomes {
        Becomes::Put(row) => Some((key, row)),
        Becomes::Same | Becomes::Gone => None,
    })
}

/// The keys of the rows that a change deletes.
fn gone(change: &Change) -> impl Iterator<Item = &Key> {
    let is_gone = |(key, _, becomes)| matches!(becomes, &Becomes::Gone).then_some(key);
    change.steps().filter_map(is_gone)
}

/// Which migrations are missing from a database that has had so many.
fn missing<'a>(database: &str, all: &'a [&'static str], had: i64) -> Result<&'a [&'static str], StoreError> {
    let known = all.len();
    let missing = usize::try_from(had).ok().and_then(|had| all.get(had..));
    missing.ok_or_else(|| {
        StoreError::new(format_args!(
            "the tables in {database} are of version {had}, and this program knows them up to {known}: it is too old"
        ))
    })
}

/// What went wrong, without quoting values, addresses or passwords: a database's own message may.
fn said(database: &'static str, error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            StoreError::new(format_args!("{database} answered with its code {code}"))
        }
        sqlx::Error::Io(error) => StoreError::new(format_args!("{database} cannot be reached: {}", error.kind())),
        sqlx::Error::Tls(_) => StoreError::new(format_args!("there is no TLS connection to {database}")),
        sqlx::Error::Configuration(_) => StoreError::new(format_args!("the URL for {database} cannot be used")),
        sqlx::Error::PoolClosed => StoreError::new(format_args!("the store in {database} has been closed")),
        sqlx::Error::PoolTimedOut => StoreError::new(format_args!("{database} has no connection to spare")),
        sqlx::Error::Protocol(_) => StoreError::new(format_args!("{database} answered with something else")),
        _ => StoreError::new(format_args!("{database} failed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_go_on_where_they_have_stopped() {
        assert_eq!(missing("SQLite", &["a", "b", "c"], 1).unwrap(), ["b", "c"]);
        assert!(missing("SQLite", &["a"], 1).unwrap().is_empty());
    }

    #[test]
    fn tables_of_a_younger_program_are_refused() {
        let refused = missing("SQLite", &["a"], 2).unwrap_err().to_string();
        let expected = "the tables in SQLite are of version 2, and this program knows them up to 1: it is too old";
        assert_eq!(refused, expected);
    }

    #[test]
    fn what_a_driver_says_of_a_url_is_not_repeated() {
        let error = sqlx::Error::Configuration("postgres://u:hidden@h".into());
        assert_eq!(
            said("PostgreSQL", &error).to_string(),
            "the URL for PostgreSQL cannot be used"
        );
    }
}
