//! The claims of a token, read once and with their right types.
//!
//! A JWT's payload (RFC 9068 §2.2), an introspection answer (RFC 7662 §2.2) and a record of the application's own all
//! use these names, so they are read in this one place. A claim of the wrong type makes the whole object unusable:
//! a `scope` that is a number is a sign that something else is wrong, too.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    error::{SetupError, shown},
    json::{self, JsonError, Object},
    rejection::{Reason, Rejection},
    scope::Scopes,
    texts::Texts,
};

/// What an issuer calls the claims that are not called the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct ClaimNames {
    /// Where the audience stands in tokens that have no `aud`.
    pub(crate) audience_instead: Option<String>,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    /// Where the subject stands instead of in `sub`, as a string or a whole number.
    pub(crate) subject_instead: Option<String>,
}

impl Default for ClaimNames {
    /// As in RFC 9068 and RFC 7662.
    fn default() -> Self {
        Self {
            audience_instead: None,
            client_id: "client_id".to_owned(),
            scope: "scope".to_owned(),
            subject_instead: None,
        }
    }
}

/// The claims that have a meaning here. An empty string says nothing and is read as absent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    pub(crate) issuer: Option<Text>,
    pub(crate) subject: Option<Text>,
    pub(crate) audience: Texts,
    pub(crate) client_id: Option<Text>,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) not_before: Option<SystemTime>,
    pub(crate) issued_at: Option<SystemTime>,
    pub(crate) auth_time: Option<SystemTime>,
    pub(crate) jwt_id: Option<Text>,
    pub(crate) session_id: Option<Text>,
    pub(crate) username: Option<Text>,
    pub(crate) acr: Option<Text>,
    pub(crate) amr: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) entitlements: Vec<String>,
    pub(crate) confirmation: Option<Confirmation>,
    /// About how much memory the lists and the confirmation take beside the JSON they stand in, in bytes: short elements
    /// take many times what they are long.
    pub(crate) made_of_json: usize,
}

/// What an element of a list takes beside its text: a `String`, and its piece of memory.
const MEMORY_OF_ELEMENT: usize = 64;

/// What each byte of a confirmation takes at the most, as a tree of values.
const MEMORY_OF_CONFIRMATION: usize = 16;

/// A string of the JSON that claims were read from: where it stands, or, if it has escapes, what it says.
///
/// It means something only together with that JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    At { start: u32, end: u32 },
    Own(Box<str>),
}

impl Text {
    fn found(text: &str, json: &[u8]) -> Self {
        let offset = (text.as_ptr() as usize).checked_sub(json.as_ptr() as usize);
        let place = offset.and_then(|start| {
            let end = start.checked_add(text.len()).filter(|end| *end <= json.len())?;
            Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?))
        });
        match place {
            Some((start, end)) => Self::At { start, end },
            None => Self::Own(text.into()),
        }
    }

    pub(crate) fn of<'a>(&'a self, json: &'a [u8]) -> &'a str {
        match self {
            Self::Own(text) => text,
            Self::At { start, end } => {
                let text = json.get(*start as usize..*end as usize).unwrap_or_default();
                std::str::from_utf8(text).unwrap_or_default()
            }
        }
    }

    pub(crate) fn within<'a>(&'a self, object: &Object<'a>) -> &'a str {
        self.of(object.json())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Own(text.into())
    }
}

/// Why claims cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadClaims {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("the claim `{claim}` is not {expected}")]
    Type { claim: String, expected: &'static str },
}

impl Claims {
    pub(crate) fn read(object: &Object<'_>, names: &ClaimNames) -> Result<Self, BadClaims> {
        // A token that does name its audience is judged by that, whatever else could stand for it.
        let audience = match &names.audience_instead {
            Some(instead) if !object.has("aud") => instead,
            _ => "aud",
        };
        let mut claims = Self::default();
        for (name, value) in object.members() {
            let claim = Claim {
                name,
                value,
                json: object.json(),
            };
            match name {
                "iss" => claims.issuer = claim.text()?,
                "sub" if names.subject_instead.is_none() => claims.subject = claim.text()?,
                "exp" => claims.expires_at = Some(claim.date()?),
                "nbf" => claims.not_before = Some(claim.date()?),
                "iat" => claims.issued_at = Some(claim.date()?),
                "auth_time" => claims.auth_time = Some(claim.date()?),
                "jti" => claims.jwt_id = claim.text()?,
                "sid" => claims.session_id = claim.text()?,
                "username" => claims.username = claim.text()?,
                "acr" => claims.acr = claim.text()?,
                "amr" => claims.amr = claim.methods()?,
                "roles" => claims.roles = claim.values()?,
                "groups" => claims.groups = claim.values()?,
                "entitlements" => claims.entitlements = claim.values()?,
                "cnf" => {
                    claims.confirmation = Some(claim.parse("an object")?);
                    claims.made_of_json += value.get().len() * MEMORY_OF_CONFIRMATION;
                }
                _ => {}
            }
            // These may be any claim, one of the above, too.
            if name == audience {
                claims.audience = claim.one_or_many()?;
            }
            if name == names.client_id {
                claims.client_id = claim.text()?;
            }
            if names.subject_instead.as_deref() == Some(name) {
                claims.subject = claim.text_or_whole_number()?;
            }
            if name == names.scope {
                claims.scopes = claim.scopes()?;
            }
        }
        let lists = [&claims.amr, &claims.roles, &claims.groups, &claims.entitlements];
        claims.made_of_json += lists.map(Vec::len).iter().sum::<usize>() * MEMORY_OF_ELEMENT;
        Ok(claims)
    }
}

/// One claim, about to be read.
struct Claim<'a> {
    name: &'a str,
    value: &'a RawValue,
    /// In which it stands.
    json: &'a [u8],
}

impl Claim<'_> {
    fn parse<T: DeserializeOwned>(&self, expected: &'static str) -> Result<T, BadClaims> {
        serde_json::from_str(self.value.get()).map_err(|_| self.is_not(expected))
    }

    fn is_not(&self, expected: &'static str) -> BadClaims {
        BadClaims::Type {
            claim: self.name.to_owned(),
            expected,
        }
    }

    fn text(&self) -> Result<Option<Text>, BadClaims> {
        let text = json::text(self.value).ok_or_else(|| self.is_not("a string"))?;
        Ok((!text.is_empty()).then(|| Text::found(&text, self.json)))
    }

    /// A string, or the digits of a whole number as they stand there.
    fn text_or_whole_number(&self) -> Result<Option<Text>, BadClaims> {
        let number = self.value.get();
        // JSON writes a whole number in one way only, but for zero, which it may write with a sign.
        let digits = number.strip_prefix('-').unwrap_or(number);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && number != "-0" {
            return Ok(Some(Text::found(number, self.json)));
        }
        let text = json::text(self.value).ok_or_else(|| self.is_not("a string or a whole number"))?;
        Ok((!text.is_empty()).then(|| Text::found(&text, self.json)))
    }

    /// Strings (RFC 8176 §1), or objects that say when each method was used, as Supabase has them.
    fn methods(&self) -> Result<Vec<String>, BadClaims> {
        let methods: Vec<Method> = self.parse("an array of strings")?;
        let name = |method| match method {
            Method::Plain(method) | Method::Used { method } => method,
        };
        Ok(methods.into_iter().map(name).collect())
    }

    fn one_or_many(&self) -> Result<Texts, BadClaims> {
        if let Some(one) = json::text(self.value) {
            return Ok(Texts::one(&one));
        }
        let many: Vec<Cow<'_, str>> = self.parse("a string or an array of strings")?;
        Ok(many.iter().map(|one| &**one).collect())
    }

    /// A space-delimited string (RFC 9068 §2.2.3), or an array of strings, which many issuers send instead. An
    /// element of an array is one scope, whatever is in it.
    fn scopes(&self) -> Result<Scopes, BadClaims> {
        if let Some(list) = json::text(self.value) {
            return Ok(Scopes::parse(&list));
        }
        let scopes: Vec<Cow<'_, str>> = self.parse("a string or an array of strings")?;
        Ok(scopes.iter().map(|scope| &**scope).collect())
    }

    /// Strings, or the complex values of RFC 7643 §4.1.2, of which `value` counts.
    fn values(&self) -> Result<Vec<String>, BadClaims> {
        let values: Vec<PlainOrComplex> = self.parse("an array of strings")?;
        let plain = |value| match value {
            PlainOrComplex::Plain(value) | PlainOrComplex::Complex { value } => value,
        };
        Ok(values.into_iter().map(plain).collect())
    }

    fn date(&self) -> Result<SystemTime, BadClaims> {
        // Nearly all dates are whole seconds of this era.
        if let Ok(seconds) = self.value.get().parse::<u32>() {
            return Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into()));
        }
        let NumericDate(date) = self.parse("a number of seconds")?;
        Ok(date)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PlainOrComplex {
    Plain(String),
    Complex { value: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Method {
    Plain(String),
    Used { method: String },
}

/// Seconds since 1970-01-01T00:00:00Z, with or without fraction (RFC 7519 §2).
///
/// Kept in milliseconds; what is beyond some 290 million years stops there instead of wrapping around.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Number")]
struct NumericDate(SystemTime);

impl TryFrom<serde_json::Number> for NumericDate {
    type Error = &'static str;

    #[allow(clippy::cast_possible_truncation, reason = "casting a float saturates")]
    fn try_from(seconds: serde_json::Number) -> Result<Self, Self::Error> {
        let seconds = seconds.as_f64().ok_or("a number that is too large")?;
        let milliseconds = (seconds * 1000.0) as i64;
        let distance = Duration::from_millis(milliseconds.unsigned_abs());
        let date = if milliseconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        };
        date.map(Self).ok_or("a date that the system cannot tell")
    }
}

/// How a token is bound to its sender: the `cnf` claim (RFC 7800 §3.1).
///
/// A token that has one is more than a bearer token: only who can prove to hold the key may use it. The protector
/// refuses a token whose confirmation no configured verifier understands.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Confirmation(BTreeMap<String, serde_json::Value>);

impl Confirmation {
    /// The thumbprint of the DPoP key, `jkt` (RFC 9449 §6.1).
    pub fn jkt(&self) -> Option<&str> {
        self.0.get("jkt")?.as_str()
    }

    /// The thumbprint of the client certificate, `x5t#S256` (RFC 8705 §3.1).
    pub fn x5t_s256(&self) -> Option<&str> {
        self.0.get("x5t#S256")?.as_str()
    }

    /// The names of all confirmation methods in the claim.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Claims by which ID tokens (OpenID Connect Core 1.0 §2, §3.3.2.11), logout tokens and other event tokens (RFC 8417
/// §2.2) give themselves away. Issuers sign them with the keys of access tokens, and may call them active.
const FOREIGN_CLAIMS: [&str; 4] = ["nonce", "at_hash", "c_hash", "events"];

/// The claim by which something is not an access token, but for those the issuer puts into access tokens, too.
pub(crate) fn foreign_claim(claims: &Object<'_>, may_carry: &[String]) -> Option<&'static str> {
    let is_foreign = |name: &&str| claims.has(name) && !may_carry.iter().any(|known| known == name);
    FOREIGN_CLAIMS.into_iter().find(is_foreign)
}

/// Checks the name of a foreign claim that access tokens may carry nevertheless.
pub(crate) fn checked_foreign_claim(option: &'static str, claim: String) -> Result<String, SetupError> {
    if FOREIGN_CLAIMS.contains(&claim.as_str()) {
        return Ok(claim);
    }
    Err(SetupError::new(
        option,
        format_args!(
            "expected one of {FOREIGN_CLAIMS:?}, got {}; other claims are not refused",
            shown(&claim)
        ),
    ))
}

/// Checks the name of a claim that was configured.
pub(crate) fn checked_name(option: &'static str, name: String) -> Result<String, SetupError> {
    if name.is_empty() {
        return Err(SetupError::new(
            option,
            "expected the name of a claim, got an empty string",
        ));
    }
    Ok(name)
}

/// A claim that tokens must have with one of these values.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedClaim {
    name: String,
    accepted: Vec<String>,
}

impl ExpectedClaim {
    pub(crate) fn new<I>(name: impl Into<String>, accepted: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let name = checked_name("expect_claim", name.into())?;
        let accepted: Vec<String> = accepted.into_iter().map(Into::into).collect();
        if accepted.is_empty() {
            return Err(SetupError::new(
                "expect_claim",
                format_args!("expected values that {} may have, got none", shown(&name)),
            ));
        }
        Ok(Self { name, accepted })
    }

    pub(crate) fn judge(&self, claims: &Object<'_>) -> Result<(), Rejection> {
        if claims
            .get(&self.name)
            .is_some_and(|value| matches_any(value, &self.accepted))
        {
            return Ok(());
        }
        let Self { name, accepted } = self;
        Err(Rejection::invalid_token(
            Reason::Claim,
            format!("expected the claim {} to be one of {accepted:?}", shown(name)),
        ))
    }
}

/// Whether a claim has, or as an array contains, one of these strings.
pub(crate) fn matches_any(value: &RawValue, accepted: &[String]) -> bool {
    if let Some(value) = json::text(value) {
        return accepted.iter().any(|one| *one == value);
    }
    let values: Vec<String> = serde_json::from_str(value.get()).unwrap_or_default();
    values.iter().any(|value| accepted.contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Claims, BadClaims> {
        Claims::read(&Object::parse(json.as_bytes())?, &ClaimNames::default())
    }

    fn seconds(date: Option<SystemTime>) -> f64 {
        date.unwrap()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
    }

    #[test]
    fn a_numeric_date_may_be_fractional_huge_or_negative() {
        assert!((seconds(read(r#"{"exp":1.5}"#).unwrap().expires_at) - 1.5).abs() < 1e-9);
        for whole in [0, 1, 1_700_000_000, u64::from(u32::MAX), u64::from(u32::MAX) + 1] {
            let date = read(&format!(r#"{{"exp":{whole}}}"#)).unwrap().expires_at;
            assert_eq!(date, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(whole)));
        }
        assert!(seconds(read(r#"{"exp":1e300}"#).unwrap().expires_at) > 1e15);
        assert!(seconds(read(r#"{"exp":18446744073709551615}"#).unwrap().expires_at) > 1e15);
        assert!(read(r#"{"exp":-1e300}"#).unwrap().expires_at < Some(SystemTime::UNIX_EPOCH));
        assert!(read(r#"{"exp":1e999}"#).is_err());
    }

    #[test]
    fn a_claim_of_the_wrong_type_is_refused() {
        for json in [
            r#"{"exp":"1"}"#,
            r#"{"exp":true}"#,
            r#"{"exp":null}"#,
            r#"{"iss":["a"]}"#,
            r#"{"sub":1}"#,
            r#"{"aud":{}}"#,
            r#"{"aud":[1]}"#,
            r#"{"scope":1}"#,
            r#"{"scope":[1]}"#,
            r#"{"amr":"pwd"}"#,
            r#"{"amr":[1]}"#,
            r#"{"auth_time":"1"}"#,
            r#"{"roles":"admin"}"#,
            r#"{"cnf":"x"}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn scopes_are_a_spaced_string_or_an_array_whose_elements_are_one_scope_each() {
        assert_eq!(read(r#"{"scope":"a b"}"#).unwrap().scopes.len(), 2);
        assert_eq!(
            read(r#"{"scope":["a b","c"]}"#)
                .unwrap()
                .scopes
                .iter()
                .collect::<Vec<_>>(),
            ["a b", "c"]
        );
        assert!(read(r#"{"scope":""}"#).unwrap().scopes.is_empty());
    }

    #[test]
    fn authentication_methods_are_strings_or_objects_that_name_them() {
        let used = read(r#"{"amr":[{"method":"password","timestamp":1},"otp"]}"#).unwrap();
        assert_eq!(used.amr, ["password", "otp"]);
        assert!(read(r#"{"amr":[{"timestamp":1}]}"#).is_err());
    }

    #[test]
    fn groups_are_strings_with_any_character_or_complex_values() {
        let claims = read(r#"{"groups":["the admins",{"value":"staff","display":"Staff"}]}"#).unwrap();
        assert_eq!(claims.groups, ["the admins", "staff"]);
    }

    #[test]
    fn short_elements_and_confirmations_count_for_the_memory_that_they_take() {
        let roles = vec!["a"; 1000];
        let claims = read(&serde_json::json!({ "roles": roles, "amr": ["pwd"] }).to_string()).unwrap();
        assert_eq!(claims.made_of_json, 1001 * 64);
        assert_eq!(read(r#"{"cnf":{"jkt":"x"}}"#).unwrap().made_of_json, 11 * 16);
        assert_eq!(read(r#"{"sub":"alice","scope":"a b"}"#).unwrap().made_of_json, 0);
    }

    #[test]
    fn a_subject_that_stands_elsewhere_is_a_string_or_a_whole_number_and_sub_is_not_looked_at() {
        let names = ClaimNames {
            subject_instead: Some("user_id".to_owned()),
            ..ClaimNames::default()
        };
        let subject = |json: &str| {
            let claims = Claims::read(&Object::parse(json.as_bytes()).unwrap(), &names);
            claims.map(|claims| claims.subject.map(|subject| subject.of(json.as_bytes()).to_owned()))
        };
        for (json, expected) in [
            (r#"{"user_id":7}"#, Some("7")),
            (r#"{"user_id":-12,"sub":"bob"}"#, Some("-12")),
            (r#"{"user_id":18446744073709551616}"#, Some("18446744073709551616")),
            (r#"{"user_id":"alice","sub":3}"#, Some("alice")),
            (r#"{"user_id":"","sub":"bob"}"#, None),
            (r#"{"sub":"bob"}"#, None),
        ] {
            assert_eq!(subject(json).unwrap().as_deref(), expected, "{json}");
        }
        for json in ["7.0", "1e3", "-0", "true", "null", "[7]", "{}"] {
            assert!(subject(&format!(r#"{{"user_id":{json}}}"#)).is_err(), "{json}");
        }
    }

    #[test]
    fn an_empty_subject_is_no_subject() {
        assert_eq!(read(r#"{"sub":""}"#).unwrap().subject, None);
    }
}
