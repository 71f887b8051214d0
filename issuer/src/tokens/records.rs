//! What the rows of the store mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
    time::Duration,
};

use resource_protector::{CutOff, StoreError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    store::{Becomes, Change, Id, Key, Kind, Row, Version, Was},
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

    fn over_at(&self) -> Option<Millis> {
        let refreshable_until = self.refresh.as_ref().map(|refresh| refresh.expires_at);
        Some(
            self.last_token_over_at
                .max(refreshable_until.unwrap_or(self.last_token_over_at)),
        )
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
    pub(crate) fn is_alive(&self, holders: &Holders) -> bool {
        self.revoked_at.is_none() && holders.have_ended_nothing_since(self.epochs)
    }
}

impl Session {
    /// The keys of the revocations that it may have ended by.
    pub(crate) fn cut_offs(&self) -> [Key; 3] {
        [
            Revoked::key_of(By::Sid, &self.sid),
            Revoked::key_of(By::Sub, self.sub()),
            Revoked::key_of(By::Client, &self.client_id),
        ]
    }
}

/// What is known of the refresh tokens of a session.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
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
pub(crate) struct Exchanged {
    pub(crate) digest: String,
    pub(crate) at: Millis,
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

/// How often all tokens of a holder were ended, from the first time on. Counted, so that no clock decides whether a session
/// began before or after.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Epoch<Of> {
    pub(crate) number: u64,
    /// When the last time was: access tokens from before say so by their `iat`.
    pub(crate) issued_before: Millis,
    #[serde(skip)]
    of: PhantomData<Of>,
}

/// Who has tokens that can be ended all at once.
pub(crate) trait Holder {
    const KIND: Kind;
    const BY: By;
}

/// A subject, which is logged out everywhere.
#[derive(Clone)]
pub(crate) enum OfSubject {}

/// A client, whose tokens are revoked.
#[derive(Clone)]
pub(crate) enum OfClient {}

pub(crate) type SubjectEpoch = Epoch<OfSubject>;
pub(crate) type ClientEpoch = Epoch<OfClient>;

impl Holder for OfSubject {
    const KIND: Kind = Kind::Subject;
    const BY: By = By::Sub;
}

impl Holder for OfClient {
    const KIND: Kind = Kind::ClientTokens;
    const BY: By = By::Client;
}

impl<Of: Holder> Record for Epoch<Of> {
    const KIND: Kind = Of::KIND;

    /// Never over: a session counts from where its holder stands.
    fn over_at(&self) -> Option<Millis> {
        None
    }
}

impl<Of: Holder> Epoch<Of> {
    pub(crate) fn key(of: &str) -> Key {
        Key::of(Of::KIND, of)
    }

    /// The one that begins now, a moment ahead of what is being issued right now.
    pub(crate) fn after(before: Option<&Self>, now: Millis) -> Self {
        Self {
            number: before.map_or(0, |before| before.number) + 1,
            issued_before: before.map_or(now.next(), |before| before.issued_before.max(now.next())),
            of: PhantomData,
        }
    }
}

/// In which epochs of its holders something was issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Epochs {
    pub(crate) subject: u64,
    pub(crate) client: u64,
}

/// What is known of the subject and the client that tokens are of.
#[derive(Default)]
pub(crate) struct Holders {
    pub(crate) subject: Option<Found<SubjectEpoch>>,
    pub(crate) client: Option<Found<ClientEpoch>>,
}

impl Holders {
    /// Where they stand.
    pub(crate) fn epochs(&self) -> Epochs {
        Epochs {
            subject: self.subject.as_ref().map_or(0, |found| found.record.number),
            client: self.client.as_ref().map_or(0, |found| found.record.number),
        }
    }

    /// Whether what was issued in these epochs is good, as far as they are concerned.
    pub(crate) fn have_ended_nothing_since(&self, issued: Epochs) -> bool {
        let now = self.epochs();
        issued.subject >= now.subject && issued.client >= now.client
    }

    /// Before which moment tokens were cut off, if they were.
    pub(crate) fn cut_off_before(&self) -> Option<Millis> {
        let subject = self.subject.as_ref().map(|found| found.record.issued_before);
        let client = self.client.as_ref().map(|found| found.record.issued_before);
        subject.max(client)
    }

    /// The change, if nothing of theirs is ended between the look and it.
    pub(crate) fn unchanged(&self, change: Change, subject: &str, client: &str) -> Change {
        change
            .step(SubjectEpoch::key(subject), was(self.subject.as_ref()), Becomes::Same)
            .step(ClientEpoch::key(client), was(self.client.as_ref()), Becomes::Same)
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
    Client,
}

impl Record for Revoked {
    const KIND: Kind = Kind::CutOff;

    fn over_at(&self) -> Option<Millis> {
        Some(Self::known_until(self.until))
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

    /// Until when one of tokens that are over then has to be known: they live longer by the leeway of whoever reads them.
    fn known_until(until: Millis) -> Millis {
        until.after(MARGIN)
    }

    /// Whether one of tokens that are over then has to be known at this moment.
    pub(crate) fn is_known_at(until: Millis, now: Millis) -> bool {
        now < Self::known_until(until)
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
            By::Client => "client",
        };
        Key::of(Kind::CutOff, &format!("{by} {id}"))
    }

    pub(crate) fn cut_off(&self, issuer: &str) -> CutOff {
        // Without a moment, it is all that there are.
        let before = self.issued_before.unwrap_or(self.until).time();
        let cut_off = match self.by {
            By::Jti => CutOff::token(issuer, &self.id),
            By::Sid => CutOff::session(issuer, &self.id),
            By::Sub => CutOff::subject(issuer, &self.id, before),
            By::Client => CutOff::client(issuer, &self.id).issued_before(before),
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
