//! What the rows of the store mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use resource_protector::{CutOff, StoreError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    store::{Becomes, Id, Key, Kind, Row, Version, Was},
    time::Millis,
};

/// A row of one kind, read.
pub(crate) trait Record: Serialize + DeserializeOwned {
    const KIND: Kind;

    /// Whose it is.
    fn owner(&self) -> Option<Id> {
        None
    }

    /// When nobody needs it any more.
    fn over_at(&self) -> Option<Millis>;

    fn row(&self) -> Result<Row, StoreError> {
        Ok(Row {
            version: Version::draw()?,
            owner: self.owner(),
            expires_at: self.over_at().map(Millis::time),
            body: serde_json::to_string(self).map_err(StoreError::new)?,
        })
    }

    fn put(&self) -> Result<Becomes, StoreError> {
        self.row().map(Becomes::Put)
    }
}

/// A record together with the state of the row that it was read from.
#[derive(Clone)]
pub(crate) struct Found<R> {
    version: Version,
    pub(crate) record: R,
}

impl<R: Record> Found<R> {
    pub(crate) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            version: row.version,
            // The message of the library could quote the row.
            record: serde_json::from_str(&row.body).map_err(|_| {
                StoreError::new(format_args!("a row of the kind `{}` cannot be read", R::KIND.as_str()))
            })?,
        })
    }

    pub(crate) fn was(&self) -> Was {
        Was::At(self.version)
    }
}

/// How a row is to be found again: as it was read, or still absent.
pub(crate) fn was<R: Record>(found: Option<&Found<R>>) -> Was {
    found.map_or(Was::Absent, Found::was)
}

/// What one log-in has led to: all tokens that were issued on the strength of it, which end together.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) sid: String,
    /// `None` where the client stands for itself.
    pub(crate) subject: Option<String>,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    pub(crate) audience: Vec<String>,
    pub(crate) auth_time: Option<Millis>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) started_at: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) revoked_at: Option<Millis>,
    /// How often the subject had been logged out everywhere when it began.
    pub(crate) logouts: u64,
    /// How often its refresh token was exchanged.
    pub(crate) generation: u64,
    pub(crate) rotated_at: Option<Millis>,
    /// The identifier of the refresh token that was exchanged last.
    pub(crate) exchanged: Option<String>,
    /// When the last access token that may rest on it is over.
    pub(crate) last_token_over_at: Millis,
    /// The latest `iat` of its access tokens.
    pub(crate) last_token_issued_at: Millis,
}

impl Record for Session {
    const KIND: Kind = Kind::Session;

    fn owner(&self) -> Option<Id> {
        Some(Id::of(self.sub()))
    }

    fn over_at(&self) -> Option<Millis> {
        Some(self.expires_at.max(self.last_token_over_at))
    }
}

impl Session {
    pub(crate) fn key(sid: &str) -> Key {
        Key::of(Kind::Session, sid)
    }

    /// The `sub` of its tokens: of a client that acts for itself, it is the client (RFC 9068 §2.2). Whoever logs out this
    /// name everywhere means them, too.
    pub(crate) fn sub(&self) -> &str {
        self.subject.as_deref().unwrap_or(&self.client_id)
    }

    /// Whether tokens that rest on it are good, as far as it is concerned.
    pub(crate) fn is_alive(&self, subject: Option<&Found<Subject>>) -> bool {
        self.revoked_at.is_none() && subject.is_none_or(|subject| self.logouts >= subject.record.logouts)
    }
}

/// A refresh token, under its digest.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RefreshToken {
    pub(crate) sid: String,
    /// It is the one to be exchanged while the session is in this generation, and one that was exchanged afterwards.
    pub(crate) generation: u64,
    /// Until then it is noticed if somebody comes with it again.
    pub(crate) expires_at: Millis,
}

impl Record for RefreshToken {
    const KIND: Kind = Kind::RefreshToken;

    fn owner(&self) -> Option<Id> {
        Some(Id::of(&self.sid))
    }

    fn over_at(&self) -> Option<Millis> {
        Some(self.expires_at)
    }
}

/// An opaque access token, under its digest.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AccessToken {
    pub(crate) subject: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) scope: String,
    pub(crate) audience: Vec<String>,
    pub(crate) issued_at: Option<Millis>,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) revoked_at: Option<Millis>,
    /// The session it names.
    pub(crate) sid: Option<String>,
    /// Whether that is a session of ours, so that it ends with it.
    pub(crate) is_of_session: bool,
    /// How often the subject had been logged out everywhere when it was issued.
    pub(crate) logouts: u64,
    /// Other claims: `jti`, `auth_time`, or of the application.
    pub(crate) claims: Map<String, Value>,
}

impl Record for AccessToken {
    const KIND: Kind = Kind::AccessToken;

    fn owner(&self) -> Option<Id> {
        self.subject
            .as_ref()
            .or(self.client_id.as_ref())
            .map(|name| Id::of(name))
    }

    fn over_at(&self) -> Option<Millis> {
        self.expires_at
    }
}

impl AccessToken {
    /// The session that it ends with. One that the application has put here may name a session of somebody else's.
    pub(crate) fn session_of_ours(&self) -> Option<String> {
        self.sid.clone().filter(|_| self.is_of_session)
    }
}

/// An authorization code, under its digest.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) scope: String,
    pub(crate) audience: Vec<String>,
    pub(crate) auth_time: Option<Millis>,
    pub(crate) fresh: bool,
    pub(crate) claims: Map<String, Value>,
    /// The one that was in the request; `None` if there was none (RFC 6749 §4.1.3).
    pub(crate) redirect_uri: Option<String>,
    pub(crate) code_challenge: String,
    pub(crate) with_refresh_token: bool,
    pub(crate) logouts: u64,
    pub(crate) expires_at: Millis,
    /// The session it was redeemed for. Who comes with it again ends that.
    pub(crate) redeemed_for: Option<String>,
    pub(crate) over_at: Millis,
}

impl Record for Code {
    const KIND: Kind = Kind::Code;

    fn over_at(&self) -> Option<Millis> {
        Some(self.over_at)
    }
}

/// What is known of a subject, from its first log-out everywhere on.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// How often it was logged out everywhere. Counted, so that no clock decides whether a session began before or after.
    pub(crate) logouts: u64,
    /// When the last time was: access tokens from before say so by their `iat`.
    pub(crate) issued_before: Millis,
}

impl Record for Subject {
    const KIND: Kind = Kind::Subject;

    /// Never over: a session counts log-outs from where its subject stands.
    fn over_at(&self) -> Option<Millis> {
        None
    }
}

impl Subject {
    pub(crate) fn key(subject: &str) -> Key {
        Key::of(Kind::Subject, subject)
    }
}

/// A revocation, for lists that do not know of it yet.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Revoked {
    pub(crate) by: By,
    pub(crate) id: String,
    pub(crate) issued_before: Option<Millis>,
    pub(crate) until: Millis,
    /// Whether the list was told.
    pub(crate) told: bool,
}

/// The longest leeway there is, and a minute.
const MARGIN: Duration = Duration::from_secs(360);

/// By what tokens are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    Jti,
    Sid,
    Sub,
}

impl Record for Revoked {
    const KIND: Kind = Kind::CutOff;

    /// Tokens live longer by the leeway of whoever reads them.
    fn over_at(&self) -> Option<Millis> {
        Some(self.until.after(MARGIN))
    }
}

impl Revoked {
    pub(crate) fn new(by: By, id: &str, until: Millis) -> Self {
        Self {
            by,
            id: id.to_owned(),
            issued_before: None,
            until,
            told: false,
        }
    }

    /// Whether the other one says all that this one does.
    pub(crate) fn is_said_by(&self, other: &Self) -> bool {
        self.until == other.until && self.issued_before == other.issued_before
    }

    pub(crate) fn key(&self) -> Key {
        Self::key_of(self.by, &self.id)
    }

    pub(crate) fn key_of(by: By, id: &str) -> Key {
        let by = match by {
            By::Jti => "jti",
            By::Sid => "sid",
            By::Sub => "sub",
        };
        Key::of(Kind::CutOff, &format!("{by} {id}"))
    }

    pub(crate) fn cut_off(&self, issuer: &str) -> CutOff {
        let cut_off = match self.by {
            By::Jti => CutOff::token(issuer, &self.id),
            By::Sid => CutOff::session(issuer, &self.id),
            By::Sub => {
                // Without a moment, it is all that there are.
                let before = self.issued_before.unwrap_or(self.until);
                CutOff::subject(issuer, &self.id, before.time())
            }
        };
        cut_off.until(self.until.time())
    }
}

/// For whose tokens the store is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoreOf {
    pub(crate) issuer: String,
}

impl Record for StoreOf {
    const KIND: Kind = Kind::Issuer;

    fn over_at(&self) -> Option<Millis> {
        None
    }
}

/// What a user allowed a client.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Consent {
    pub(crate) subject: String,
    pub(crate) client_id: String,
    /// Which scopes, for each resource by its name; for the issuer's own audience under the empty one. What was allowed for
    /// one resource is not allowed for another.
    pub(crate) allowed: BTreeMap<String, BTreeSet<String>>,
    pub(crate) expires_at: Millis,
}

impl Record for Consent {
    const KIND: Kind = Kind::Consent;

    fn owner(&self) -> Option<Id> {
        Some(Id::of(&self.subject))
    }

    fn over_at(&self) -> Option<Millis> {
        Some(self.expires_at)
    }
}
