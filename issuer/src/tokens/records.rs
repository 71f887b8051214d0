//! What the rows of the store mean.

use std::collections::{BTreeMap, BTreeSet};

use resource_protector::StoreError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    holders::{Epochs, Holders},
    revocation::Revocation,
};
use crate::{
    store::{Becomes, Id, Key, Kind, Row, Version, Was},
    time::Millis,
};

/// A row of one kind, read.
///
/// One with something in it that is not known here is not read: what a newer program has written, such as to whom a token is bound,
/// is neither passed over nor lost by the next change.
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
#[serde(deny_unknown_fields)]
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
    /// How often the subject had been logged out everywhere when it began, and the client's tokens revoked.
    pub(crate) epochs: Epochs,
    /// `None` where there is no refresh token.
    pub(crate) refresh: Option<Refresh>,
    /// Until when those of its access tokens live that were revoked alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) revoked_tokens: Vec<Millis>,
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

    /// Its tokens live longer by the leeway of whoever reads them, and may be revoked for as long.
    fn over_at(&self) -> Option<Millis> {
        Some(Revocation::known_until(self.last_token_over_at).max(self.good_until()))
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

    /// Until when something of it is good, unless it is refreshed.
    pub(crate) fn good_until(&self) -> Millis {
        let refresh = self.refresh.as_ref().map(|refresh| refresh.expires_at);
        self.last_token_over_at.max(refresh.unwrap_or(self.last_token_over_at))
    }

    /// Whether tokens that rest on it are good, as far as it is concerned.
    pub(crate) fn is_alive(&self, holders: &Holders) -> bool {
        self.revoked_at.is_none() && holders.have_ended_nothing_since(self.epochs)
    }
}

/// What is known of the refresh tokens of a session.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// What all of them have in common, as a digest.
    pub(crate) family: String,
    /// The digests of those whose turn it is: one, and more where several came within the window of grace.
    pub(crate) next: Vec<String>,
    /// Until when it is their turn.
    pub(crate) expires_at: Millis,
    /// The one that was exchanged for these.
    pub(crate) exchanged: Option<Exchanged>,
}

/// A refresh token that was exchanged.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchanged {
    pub(crate) digest: String,
    pub(crate) at: Millis,
}

/// An opaque access token, under its digest.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// How often the subject had been logged out everywhere when it was issued, and the client's tokens revoked.
    pub(crate) epochs: Epochs,
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
#[serde(deny_unknown_fields)]
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
    /// The consent that it is good with only, if it rests on one.
    pub(crate) consent: Option<String>,
    pub(crate) epochs: Epochs,
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

/// For whose tokens the store is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreIssuer {
    pub(crate) issuer: String,
}

impl Record for StoreIssuer {
    const KIND: Kind = Kind::Issuer;

    fn over_at(&self) -> Option<Millis> {
        None
    }
}

/// What a user allowed a client.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consent {
    /// Tells it from one that was withdrawn.
    pub(crate) id: String,
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
