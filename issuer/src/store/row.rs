//! A row, under what it is kept, and how its states are told apart.

use std::{fmt, time::SystemTime};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::StoreError;
use crate::random;

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
    ClientEpoch,
    /// An authorization code.
    Code,
    /// What a user allowed a client.
    Consent,
    /// A log-in at the authorization server that was ended before its time.
    EndedLogin,
    /// Whose tokens the store is for.
    Issuer,
    /// A revocation, for the lists that have to learn of it.
    Revocation,
    /// The session that tokens belong to: what one log-in has led to.
    Session,
    /// What is known of a subject: how often it was logged out everywhere.
    SubjectEpoch,
    /// A user who can log in.
    User,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AccessToken,
        Self::Assertion,
        Self::Client,
        Self::ClientEpoch,
        Self::Code,
        Self::Consent,
        Self::EndedLogin,
        Self::Issuer,
        Self::Revocation,
        Self::Session,
        Self::SubjectEpoch,
        Self::User,
    ];

    /// Its name in a database. It never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::Assertion => "assertion",
            Self::Client => "client",
            Self::ClientEpoch => "client_epoch",
            Self::Code => "code",
            Self::Consent => "consent",
            Self::EndedLogin => "ended_login",
            Self::Issuer => "issuer",
            Self::Revocation => "revocation",
            Self::Session => "session",
            Self::SubjectEpoch => "subject_epoch",
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
    /// Whose it is: what a [`Listing`](super::Listing) goes by.
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
