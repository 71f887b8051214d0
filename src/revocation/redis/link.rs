//! One connection, and what is said over it.

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use redis::{Cmd, Pipeline, RedisError, Value, aio::MultiplexedConnection};
use tokio::time::timeout;

use super::{super::CutOff, server::Server, tls::Driver, wire};

/// How long is waited for a connection, and for an answer.
const DEADLINE: Duration = Duration::from_secs(1);

/// How many entries are read, and written, in one go.
pub(super) const PAGE: usize = 500;

/// The stream begins with a mark. This is the least identifier that there is, so that it can be written to an empty stream
/// only, once, and nothing can come before it.
pub(super) const MARK: &str = "0-1";

/// One entry of the stream.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What became of waiting for entries.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) entries: Vec<Entry>,
    /// With which mark the stream begins; `None` if there is none.
    pub(super) mark: Option<Vec<u8>>,
    /// The time of Redis, in milliseconds since 1970.
    pub(super) time: u64,
}

/// Why nothing can be said. It quotes no address, which may have a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkError {
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Late,
    #[error("{0}")]
    Redis(String),
    #[error("no connection: {0}")]
    Unreachable(io::ErrorKind),
    #[error("no TLS: {0}")]
    Tls(&'static str),
    #[error("an answer of another kind than expected")]
    Nonsense,
    /// There is no stream, and a revocation must not begin one.
    #[error("the stream is gone")]
    Gone,
    #[error("the operating system gives no random bytes")]
    NoRandomBytes,
}

impl From<RedisError> for LinkError {
    fn from(error: RedisError) -> Self {
        match error.code() {
            Some(code) => Self::Redis(format!("Redis says {code}")),
            None => Self::Redis(error.category().to_owned()),
        }
    }
}

#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    /// The connection ends with the last clone.
    _driver: Option<Arc<Driver>>,
    key: String,
}

impl Link {
    pub(super) async fn connect(server: &Server, key: &str) -> Result<Self, LinkError> {
        let (connection, driver) = timeout(DEADLINE, server.connect())
            .await
            .map_err(|_| LinkError::Late)??;
        Ok(Self {
            connection,
            _driver: driver.map(Arc::new),
            key: key.to_owned(),
        })
    }

    /// For how long Redis has run; `None` if it does not tell.
    pub(super) async fn uptime(&mut self) -> Result<Option<Duration>, LinkError> {
        let answer = match self.ask(redis::cmd("INFO").arg("server")).await {
            Ok(answer) => answer,
            // An ACL may forbid it.
            Err(LinkError::Redis(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(text) = redis::from_redis_value::<String>(answer) else {
            return Ok(None);
        };
        let seconds = text.lines().find_map(|line| line.strip_prefix("uptime_in_seconds:"));
        let seconds = seconds.and_then(|seconds| seconds.trim().parse().ok());
        Ok(seconds.map(Duration::from_secs))
    }

    /// Begins the stream with a mark, unless there is one.
    pub(super) async fn begin(&mut self) -> Result<(), LinkError> {
        let there = self.ask(redis::cmd("EXISTS").arg(&self.key)).await?;
        if there != Value::Int(0) {
            return Ok(());
        }
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| LinkError::NoRandomBytes)?;
        let random = u128::from_ne_bytes(random);
        let time = self.ask(&redis::cmd("TIME")).await?;
        let time = milliseconds(time)?.to_string();
        let mut mark = redis::cmd("XADD");
        mark.arg(&self.key)
            .arg(MARK)
            .arg("mark")
            .arg(format!("{random:032x}"))
            .arg("at")
            .arg(&time);
        match self.ask(&mark).await {
            Ok(_) => Ok(()),
            // Somebody else was faster. Whether there is a mark is looked at when the stream is read.
            Err(LinkError::Redis(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The first entries after that one, or of all; and the time of Redis.
    pub(super) async fn page(&mut self, after: Option<&str>) -> Result<(Vec<Entry>, u64), LinkError> {
        let from = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
        let mut both = Pipeline::new();
        both.cmd("XRANGE")
            .arg(&self.key)
            .arg(from)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE);
        both.cmd("TIME");
        let [page, time] = self.ask_all(&both, DEADLINE).await?;
        Ok((entries(page)?, milliseconds(time)?))
    }

    /// Waits for entries after that one. Which mark the stream has is looked at last, so that it was there all the time.
    pub(super) async fn listen(&mut self, after: &str, wait: Duration) -> Result<Heard, LinkError> {
        let mut all = Pipeline::new();
        all.cmd("XREAD").arg("COUNT").arg(PAGE).arg("BLOCK");
        // Zero would be without end.
        all.arg(wait.as_millis().max(1).to_string());
        all.arg("STREAMS").arg(&self.key).arg(after);
        all.cmd("XRANGE").arg(&self.key).arg(MARK).arg(MARK);
        all.cmd("TIME");
        let [read, mark, time] = self.ask_all(&all, wait + DEADLINE).await?;
        let read = match read {
            Value::Nil => Vec::new(),
            // Of one stream, since one was asked for: a map in RESP 3, pairs before.
            Value::Map(streams) => streams.into_iter().map(|(_, entries)| entries).collect(),
            Value::Array(streams) => streams
                .into_iter()
                .filter_map(|pair| match pair {
                    Value::Array(pair) => pair.into_iter().next_back(),
                    _ => None,
                })
                .collect(),
            _ => return Err(LinkError::Nonsense),
        };
        let mut heard = Vec::new();
        for stream in read {
            heard.extend(entries(stream)?);
        }
        Ok(Heard {
            entries: heard,
            mark: entries(mark)?.into_iter().next().and_then(|mark| mark_of(&mark)),
            time: milliseconds(time)?,
        })
    }

    /// Tells everybody of revocations.
    pub(super) async fn tell(&mut self, cut_offs: &[CutOff], again: bool) -> Result<(), LinkError> {
        let mut all = Pipeline::new();
        for cut_off in cut_offs {
            // Who begins a stream writes its mark first.
            all.cmd("XADD").arg(&self.key).arg("NOMKSTREAM").arg("*");
            for (field, value) in wire::written(cut_off, again) {
                all.arg(field).arg(value);
            }
        }
        let asked = timeout(DEADLINE, self.connection.send_packed_commands(&all, 0, cut_offs.len())).await;
        for answer in asked.map_err(|_| LinkError::Late)?? {
            match answer {
                Value::Nil => return Err(LinkError::Gone),
                Value::ServerError(error) => return Err(RedisError::from(error).into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes entries out of the stream.
    pub(super) async fn delete(&mut self, ids: &[&str]) -> Result<(), LinkError> {
        self.ask(redis::cmd("XDEL").arg(&self.key).arg(ids)).await.map(|_| ())
    }

    async fn ask(&mut self, command: &Cmd) -> Result<Value, LinkError> {
        let asked = timeout(DEADLINE, self.connection.send_packed_command(command)).await;
        asked.map_err(|_| LinkError::Late)??.extract_error().map_err(Into::into)
    }

    async fn ask_all<const N: usize>(
        &mut self,
        commands: &Pipeline,
        deadline: Duration,
    ) -> Result<[Value; N], LinkError> {
        let asked = timeout(deadline, self.connection.send_packed_commands(commands, 0, N)).await;
        let answers: Result<Vec<_>, _> = asked
            .map_err(|_| LinkError::Late)??
            .into_iter()
            .map(Value::extract_error)
            .collect();
        answers?.try_into().map_err(|_| LinkError::Nonsense)
    }
}

/// The random part of a mark, by which it is told from others; `None` if the entry is no mark.
pub(super) fn mark_of(entry: &Entry) -> Option<Vec<u8>> {
    match entry.fields.as_slice() {
        [(mark, random), (at, _)] if entry.id == MARK && mark == b"mark" && at == b"at" => Some(random.clone()),
        _ => None,
    }
}

/// When a stream was begun with this mark.
pub(super) fn begun_at(entry: &Entry) -> Option<u64> {
    let (_, at) = entry.fields.get(1)?;
    std::str::from_utf8(at).ok()?.parse().ok()
}

/// When Redis wrote an entry, by its own clock.
pub(super) fn written_at(id: &str) -> Option<u64> {
    id.split_once('-')?.0.parse().ok()
}

/// The same moment as Redis' milliseconds.
pub(super) fn wall(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(milliseconds))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn entries(answer: Value) -> Result<Vec<Entry>, LinkError> {
    let Value::Array(entries) = answer else {
        return Err(LinkError::Nonsense);
    };
    entries.into_iter().map(entry).collect()
}

fn entry(answer: Value) -> Result<Entry, LinkError> {
    let Value::Array(parts) = answer else {
        return Err(LinkError::Nonsense);
    };
    let Ok([Value::BulkString(id), Value::Array(fields)]) = <[Value; 2]>::try_from(parts) else {
        return Err(LinkError::Nonsense);
    };
    let id = String::from_utf8(id).map_err(|_| LinkError::Nonsense)?;
    let mut pairs = Vec::with_capacity(fields.len() / 2);
    let mut fields = fields.into_iter();
    while let Some(field) = fields.next() {
        let (Value::BulkString(field), Some(Value::BulkString(value))) = (field, fields.next()) else {
            return Err(LinkError::Nonsense);
        };
        pairs.push((field, value));
    }
    Ok(Entry { id, fields: pairs })
}

fn milliseconds(time: Value) -> Result<u64, LinkError> {
    let (seconds, micros): (u64, u64) = redis::from_redis_value(time).map_err(|_| LinkError::Nonsense)?;
    Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn an_entry_has_an_identifier_and_pairs() {
        let answer = Value::Array(vec![text("5-1"), Value::Array(vec![text("by"), text("sub")])]);
        let entry = entry(answer).unwrap();
        assert_eq!(entry.id, "5-1");
        assert_eq!(entry.fields, [(b"by".to_vec(), b"sub".to_vec())]);
        assert_eq!(written_at(&entry.id), Some(5));
    }

    #[test]
    fn an_answer_of_another_kind_is_nonsense() {
        for answer in [
            Value::Nil,
            Value::Array(vec![text("5-1")]),
            Value::Array(vec![text("5-1"), Value::Nil]),
            Value::Array(vec![text("5-1"), Value::Array(vec![text("by")])]),
            Value::Array(vec![Value::Int(5), Value::Array(vec![])]),
        ] {
            assert_eq!(entry(answer.clone()).unwrap_err(), LinkError::Nonsense, "{answer:?}");
        }
    }

    #[test]
    fn a_mark_is_one_at_the_very_beginning_only() {
        let fields = vec![
            (b"mark".to_vec(), b"abc".to_vec()),
            (b"at".to_vec(), b"1700000000000".to_vec()),
        ];
        let mut entry = Entry {
            id: MARK.to_owned(),
            fields,
        };
        assert_eq!(mark_of(&entry), Some(b"abc".to_vec()));
        assert_eq!(begun_at(&entry), Some(1_700_000_000_000));
        entry.id = "0-2".to_owned();
        assert_eq!(mark_of(&entry), None);
    }
}
