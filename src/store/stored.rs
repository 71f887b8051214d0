//! What a token table keeps about a token.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{error::SetupError, scope::Scopes};

/// An opaque token on its way to a table, which must not end up in a log. Its `Debug` form shows nothing.
#[derive(Clone, Copy)]
pub struct OpaqueToken<'a>(&'a str);

impl<'a> OpaqueToken<'a> {
    /// Takes a raw token.
    pub fn new(token: &'a str) -> Self {
        Self(token)
    }

    /// The raw token. It is a secret: whoever reads it can use it.
    pub fn reveal(&self) -> &'a str {
        self.0
    }

    /// The SHA-256 of the token. Keep this instead of the token, as the key of the table.
    ///
    /// Then a leaked table, backup or query log gives nobody a token; and how long a look-up takes says nothing about
    /// the tokens in it, because nobody can choose a digest. It needs no salt, as tokens are random: a token that could
    /// be guessed has 128 bits or more to guess (RFC 6749 §10.10).
    pub fn sha256(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let digest = digest::digest(&digest::SHA256, self.0.as_bytes());
        for (byte, of_digest) in bytes.iter_mut().zip(digest.as_ref()) {
            *byte = *of_digest;
        }
        bytes
    }
}

impl fmt::Debug for OpaqueToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueToken(…)")
    }
}

/// The record of one token.
///
/// It serializes with the claim names of RFC 7662 §2.2, without `revoked_at`. Write it with
/// `..StoredToken::default()`, so that it is complete with the fields of later versions.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use resource_protector::{Scopes, StoredToken};
///
/// let record = StoredToken {
///     subject: Some("alice".to_owned()),
///     client_id: Some("app".to_owned()),
///     scopes: Scopes::parse("profile email"),
///     audience: vec!["https://api.example.com".to_owned()],
///     expires_at: Some(SystemTime::now() + Duration::from_secs(3600)),
///     ..StoredToken::default()
/// };
/// # let _ = record;
/// ```
#[derive(Clone, Default, Serialize)]
pub struct StoredToken {
    /// Who the token is about: `sub`.
    #[serde(rename = "sub", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The client it was issued to: `client_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What it grants: `scope`.
    #[serde(rename = "scope", serialize_with = "scope_claim")]
    pub scopes: Scopes,
    /// For whom it was issued: `aud`.
    #[serde(rename = "aud", skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// When it was issued: `iat`, in whole seconds.
    #[serde(
        rename = "iat",
        serialize_with = "date_claim",
        skip_serializing_if = "Option::is_none"
    )]
    pub issued_at: Option<SystemTime>,
    /// When it stops being valid: `exp`, in whole seconds. A token without it is valid until it is revoked.
    #[serde(
        rename = "exp",
        serialize_with = "date_claim",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<SystemTime>,
    /// When it was revoked. A token that has this is refused, whatever time it is.
    #[serde(skip)]
    pub revoked_at: Option<SystemTime>,
    /// Other claims: `username`, `jti`, `sid`, `acr`, `cnf`, or of your own.
    #[serde(flatten)]
    pub extra: ExtraClaims,
}

/// Claims of a [`StoredToken`] beside those that are its fields. Serializes as one JSON object, for a column of a table.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct ExtraClaims(Map<String, Value>);

/// The claims that are fields of [`StoredToken`].
const FIELDS: [&str; 6] = ["sub", "client_id", "scope", "aud", "iat", "exp"];

impl TryFrom<Map<String, Value>> for ExtraClaims {
    type Error = SetupError;

    /// What stands in a column must not supply a field that the record leaves out.
    fn try_from(claims: Map<String, Value>) -> Result<Self, SetupError> {
        match FIELDS.iter().find(|field| claims.contains_key(**field)) {
            None => Ok(Self(claims)),
            Some(field) => Err(SetupError::new(
                "extra",
                format_args!("`{field}` is a field of the record"),
            )),
        }
    }
}

impl ExtraClaims {
    /// Sets a claim.
    ///
    /// # Errors
    ///
    /// When it is a field of [`StoredToken`], or its value cannot be written as JSON.
    pub fn set(&mut self, name: impl Into<String>, value: impl Serialize) -> Result<(), SetupError> {
        let name = name.into();
        if FIELDS.contains(&name.as_str()) {
            return Err(SetupError::new(
                "extra",
                format_args!("`{name}` is a field of the record, set that"),
            ));
        }
        let value = serde_json::to_value(value).map_err(|error| SetupError::new("extra", error))?;
        self.0.insert(name, value);
        Ok(())
    }

    /// One claim; `None` when it is absent or not a `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.0.get(name)?).ok()
    }
}

impl fmt::Debug for ExtraClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for StoredToken {
    /// Without the subject, like [`CurrentToken`](crate::CurrentToken).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredToken")
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

/// A space-delimited string; an array only where a scope has a space, which would make two of it.
fn scope_claim<S: Serializer>(scopes: &Scopes, serializer: S) -> Result<S::Ok, S::Error> {
    if scopes.iter().any(|scope| scope.contains(' ')) {
        return serializer.collect_seq(scopes.iter());
    }
    serializer.collect_str(scopes)
}

/// Whole seconds, rounded down: a token rather ends a moment early.
fn date_claim<S: Serializer>(date: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match date.map(|date| date.duration_since(UNIX_EPOCH)) {
        None => serializer.serialize_none(),
        Some(Ok(since)) => serializer.serialize_u64(since.as_secs()),
        // Before 1970, which only a broken record says.
        Some(Err(_)) => serializer.serialize_u64(0),
    }
}
