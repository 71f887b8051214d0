//! What a request says about who sends it.

use std::borrow::Cow;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD},
};
use http::{HeaderValue, header::AUTHORIZATION, request::Parts};
use serde::Deserialize;

use crate::{
    endpoints::{ErrorCode, Form, OAuthError},
    form_encoding::decoded,
};

/// `client_assertion_type` (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The alphabet of HTTP Basic (RFC 7617 §2), with or without padding.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who a client says it is, and what it proves it by.
pub(super) struct Credentials<'a> {
    pub(super) client_id: Cow<'a, str>,
    pub(super) proof: Proof<'a>,
}

pub(super) enum Proof<'a> {
    /// A secret by HTTP Basic: as it stands there, and decoded, if it is in the encoding of forms.
    Basic {
        raw: String,
        decoded: Option<String>,
    },
    /// A secret in the form.
    Post(&'a str),
    Assertion(&'a str),
    None,
}

impl<'a> Credentials<'a> {
    /// Reads the one way in which the client authenticates: RFC 6749 §2.3 allows no second one in the same request.
    pub(super) fn read(parts: &Parts, form: &'a Form) -> Result<Self, OAuthError> {
        let mut authorization = parts.headers.get_all(AUTHORIZATION).iter();
        let header = authorization.next();
        let (id, secret) = (form.get("client_id"), form.get("client_secret"));
        let (assertion, kind) = (form.get("client_assertion"), form.get("client_assertion_type"));
        let ways = [
            header.is_some(),
            secret.is_some(),
            assertion.is_some() || kind.is_some(),
        ];
        if authorization.next().is_some() || ways.into_iter().filter(|is_there| *is_there).count() > 1 {
            return Err(OAuthError::invalid_request(
                "the client authenticates in more than one way",
            ));
        }
        let named = |id: Option<&'a str>| id.map(Cow::Borrowed).ok_or_else(refused);
        match (header, secret, assertion) {
            (Some(header), ..) => {
                let (client_id, proof) = basic(header).ok_or_else(refused)?;
                if id.is_some_and(|id| id != client_id) {
                    return Err(two_names());
                }
                let client_id = Cow::Owned(client_id);
                Ok(Self { client_id, proof })
            }
            (_, Some(secret), _) => Ok(Self {
                client_id: named(id)?,
                proof: Proof::Post(secret),
            }),
            (.., Some(assertion)) if kind == Some(JWT_BEARER) => {
                // RFC 7521 §4.2: `client_id` may be left out, since the subject is the client.
                let subject = subject_of(assertion).ok_or_else(refused)?;
                if id.is_some_and(|id| id != subject) {
                    return Err(two_names());
                }
                Ok(Self {
                    client_id: Cow::Owned(subject),
                    proof: Proof::Assertion(assertion),
                })
            }
            _ if assertion.is_some() || kind.is_some() => Err(refused()),
            _ => Ok(Self {
                client_id: named(id)?,
                proof: Proof::None,
            }),
        }
    }
}

/// The one answer to whatever is wrong with a client, so that it does not tell which clients there are.
pub(super) fn refused() -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidClient,
        "the client is not known, or did not authenticate in its way",
    )
}

fn two_names() -> OAuthError {
    OAuthError::invalid_request("client_id is another one than that which authenticates")
}

/// Identifier and secret, each form-encoded before (RFC 6749 §2.3.1). Many clients leave the encoding out: an identifier that
/// is not in it is taken as it stands, and nothing is repaired.
fn basic(header: &HeaderValue) -> Option<(String, Proof<'static>)> {
    let (scheme, credentials) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(BASIC.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    let proof = Proof::Basic {
        raw: secret.to_owned(),
        decoded: decoded(secret.as_bytes()),
    };
    Some((decoded(id.as_bytes()).unwrap_or_else(|| id.to_owned()), proof))
}

/// Whose assertion it says it is. Nothing is verified yet: it only says whose keys to look for.
fn subject_of(assertion: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Some(claims.sub)
}
