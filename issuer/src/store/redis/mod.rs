//! Rows in Redis.
//!
//! Under `{name}`, which keeps all keys in one hash slot, stand:
//!
//! | key | type | what |
//! |---|---|---|
//! | `:row:<kind>:<id>` | hash | `version`, `owner`, `expires_at`, `body` |
//! | `:kind:<kind>` | sorted set | identifiers, all with the score 0, so that they are in the order of their bytes |
//! | `:of:<kind>:<owner>` | sorted set | identifiers in the same way |
//! | `:expiry` | sorted set | `<kind>:<id>` by the milliseconds since 1970 |
//!
//! Redis' own expiry is not used: it goes by another clock than the issuer's, and takes a row away without its places in
//! the sorted sets.

mod link;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use redis::{RedisError, Script, aio::MultiplexedConnection};
use resource_protector::SetupError;

use self::link::Link;
use super::{
    Becomes, Change, Key, Listing, Outcome, Row, Store, StoreError, Was, check_keys,
    deadline::Deadline,
    written::{self, Written, expiry},
};
use crate::setup::shown;

/// How many rows are deleted by one call, during which Redis does nothing else.
const BATCH: u64 = 200;

/// The fields of a row, as Redis answers them: all are texts.
type Fields = (Option<String>, Option<String>, Option<String>, Option<String>);

/// Rows in Redis 6.2 or later, shared by any number of processes. Clones share their connection.
///
/// Redis answers before anything is on a disk, unless it is told otherwise. With `appendonly yes` and `appendfsync always`,
/// what was answered survives the crash of the server and a power cut; with `appendfsync everysec` the last second may be
/// lost, and without `appendonly` much more: then refresh tokens that were exchanged come back, and so does what was revoked.
/// The same holds for a failover to a replica, which may lack the last changes whatever is set. Where this is not bearable,
/// take PostgreSQL.
///
/// What goes to Redis is **not encrypted**, and `rediss://` is refused: where others can listen or write on the way, lead it through
/// a tunnel, or take PostgreSQL.
///
/// `maxmemory-policy` has to be `noeviction`: a row that is put out is a session lost, or a revocation. Of a Redis cluster
/// it speaks to the one node that its URL names.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    link: Arc<Link>,
    /// What all keys begin with.
    prefix: String,
    commit: Script,
    list: Script,
    delete_expired: Script,
    deadline: Deadline,
}

impl RedisStore {
    /// Keeps rows in the Redis of this URL, `redis://user:password@host:6379/0`, under keys that begin with `{name}`. Nothing
    /// is connected yet; that happens with the first row, and again whenever the connection is lost.
    ///
    /// # Errors
    ///
    /// When the URL cannot be used, or asks for TLS, `rediss://`, which is not spoken here; or the name is not 1 to 64 letters, digits, `-`, `_`, `.` or `:` of ASCII. The error never
    /// quotes the URL.
    pub fn new(url: &str, name: &str) -> Result<Self, SetupError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_allowed) {
            let expected = "1 to 64 letters, digits, `-`, `_`, `.` or `:` of ASCII";
            return Err(SetupError::new(
                "name",
                format_args!("expected {expected}, got {}", shown(name)),
            ));
        }
        Ok(Self(Arc::new(Inner {
            link: Arc::new(Link::to(url)?),
            prefix: format!("{{{name}}}"),
            commit: Script::new(include_str!("commit.lua")),
            list: Script::new(include_str!("list.lua")),
            delete_expired: Script::new(include_str!("delete_expired.lua")),
            deadline: Deadline::of("Redis"),
        })))
    }

    /// How long one method may take, from 1 ms to 60 s; 5 s unless set. It includes connecting.
    ///
    /// # Errors
    ///
    /// When it is out of these bounds.
    pub fn timeout(self, timeout: Duration) -> Result<Self, SetupError> {
        let deadline = self.0.deadline.with(timeout)?;
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.deadline = deadline;
        Ok(Self(Arc::new(inner)))
    }

    /// Has work done by a connection in good order. After a failure the next work gets another one.
    async fn ask<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let Inner { link, deadline, .. } = &*self.0;
        let mut used = None;
        let asked = async {
            let connection = link.connection().await.map_err(|error| said(&error))?;
            let connection = used.insert(connection);
            work(&mut connection.to).await.map_err(|error| said(&error))
        };
        let answer = deadline.give(asked).await;
        if let (Err(_), Some(used)) = (&answer, &used) {
            link.forget(used);
        }
        answer
    }
}

impl Store for RedisStore {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        check_keys(keys)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for key in keys {
            let name = format!("{}:row:{}:{}", self.0.prefix, key.kind.as_str(), key.id.as_str());
            let get = pipeline.cmd("HMGET").arg(name);
            get.arg(&["version", "owner", "expires_at", "body"]);
        }
        let found: Vec<Fields> = self
            .ask(async move |connection| pipeline.query_async(connection).await)
            .await?;
        let row = |(key, fields): (&Key, Fields)| match fields {
            (None, ..) => Ok(None),
            fields => read(key.kind.as_str(), key.id.as_str().to_owned(), fields).map(|(_, row)| Some(row)),
        };
        keys.iter().zip(found).map(row).collect()
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        change.check()?;
        let mut call = self.0.commit.key(&self.0.prefix);
        for (key, was, becomes) in change.steps() {
            call.arg(key.kind.as_str()).arg(key.id.as_str());
            match was {
                Was::Absent => call.arg(""),
                Was::At(version) => call.arg(version.number()),
            };
            match becomes {
                Becomes::Same => call.arg("same"),
                Becomes::Gone => call.arg("gone"),
                Becomes::Put(row) => call
                    .arg("put")
                    .arg(row.version.number())
                    .arg(row.owner.as_ref().map_or("", |owner| owner.as_str()))
                    .arg(row.expires_at.map_or_else(String::new, |at| expiry(at).to_string()))
                    .arg(row.body.as_str()),
            };
        }
        let done: bool = self
            .ask(async move |connection| call.invoke_async(connection).await)
            .await?;
        Ok(if done { Outcome::Done } else { Outcome::Conflict })
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        let mut call = self.0.list.key(&self.0.prefix);
        call.arg(listing.kind.as_str())
            .arg(listing.owner.as_ref().map_or("", |owner| owner.as_str()))
            .arg(listing.after.as_ref().map_or("", |after| after.as_str()))
            .arg(i64::try_from(listing.limit).unwrap_or(i64::MAX));
        let found: Vec<(String, Fields)> = self
            .ask(async move |connection| call.invoke_async(connection).await)
            .await?;
        let row = |(id, fields)| read(listing.kind.as_str(), id, fields);
        found.into_iter().map(row).collect()
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        let mut all = 0;
        loop {
            let mut call = self.0.delete_expired.key(&self.0.prefix);
            call.arg(written::now(now)).arg(BATCH);
            let deleted: u64 = self
                .ask(async move |connection| call.invoke_async(connection).await)
                .await?;
            all += usize::try_from(deleted).unwrap_or(usize::MAX);
            if deleted < BATCH {
                return Ok(all);
            }
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

fn read(kind: &str, id: String, (version, owner, expires_at, body): Fields) -> Result<(Key, Row), StoreError> {
    let not_ours = || StoreError::new("a row in Redis is not as this library writes it");
    let number = |text: String| text.parse::<i64>().map_err(|_| not_ours());
    let written = Written {
        kind: kind.to_owned(),
        id,
        version: number(version.ok_or_else(not_ours)?)?,
        owner: owner.filter(|owner| !owner.is_empty()),
        expires_at: expires_at.filter(|at| !at.is_empty()).map(number).transpose()?,
        body: body.ok_or_else(not_ours)?,
    };
    written.read()
}

/// What went wrong, without quoting values, addresses or passwords: Redis' own message may.
fn said(error: &RedisError) -> StoreError {
    let code = error.code().unwrap_or_default();
    let is_code = (1..=32).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_code {
        return StoreError::new(format_args!("Redis answered {code}"));
    }
    if error.is_io_error() {
        return StoreError::new("Redis cannot be reached");
    }
    StoreError::new(format_args!("Redis failed: {:?}", error.kind()))
}
