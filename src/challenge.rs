//! The `WWW-Authenticate` challenge of the Bearer scheme.
//!
//! ```text
//! challenge  = "Bearer" 1*SP auth-param *( "," SP auth-param )      RFC 6750 §3
//! auth-param = token "=" quoted-string                              RFC 9110 §11.2
//!
//! Bearer realm="api"
//! Bearer realm="api", error="invalid_token", error_description="The access token expired"
//! Bearer realm="api", error="insufficient_scope", error_description="…", scope="profile admin"
//! Bearer error="insufficient_user_authentication", error_description="…", scope="profile", acr_values="phrh phr", max_age="300"
//! ```

use http::HeaderValue;

use crate::{
    error::{SetupError, shown},
    rejection::ErrorSaid,
    require::Demands,
    scope::Scope,
};

/// What every challenge of one protector says.
#[derive(Clone, Debug)]
pub(crate) struct ChallengeParams {
    params: Vec<(String, String)>,
    /// The challenges that name no demands, made once: by their sentence.
    made: Vec<(Option<&'static str>, HeaderValue)>,
}

impl Default for ChallengeParams {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

/// Names that a challenge gives a meaning of its own; each may stand in it at most once.
const RESERVED: [&str; 7] = [
    "realm",
    "scope",
    "error",
    "error_description",
    "error_uri",
    "acr_values",
    "max_age",
];

impl ChallengeParams {
    fn of(params: Vec<(String, String)>) -> Self {
        let errors = [None].into_iter().chain(ErrorSaid::CHALLENGED.into_iter().map(Some));
        let nothing = Demands::default();
        let made = errors.map(|error| (error.map(|error| error.sentence), write(&params, error, &nothing)));
        Self {
            made: made.collect(),
            params,
        }
    }

    /// Adds a parameter, or says why it cannot be one.
    pub(crate) fn set(&mut self, option: &'static str, name: &str, value: &str) -> Result<(), SetupError> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(SetupError::new(
                option,
                format_args!("expected a parameter name (RFC 9110 §5.6.2), got {}", shown(name)),
            ));
        }
        if !value.bytes().all(|b| matches!(b, 0x20..=0x7E)) {
            return Err(SetupError::new(
                option,
                format_args!("expected printable ASCII characters, got {}", shown(value)),
            ));
        }
        let is_known = |(known, _): &(String, String)| known.eq_ignore_ascii_case(name);
        let is_reserved = option != name && RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name));
        if is_reserved || self.params.iter().any(is_known) {
            return Err(SetupError::new(
                option,
                format_args!("the parameter {} may stand in a challenge only once", shown(name)),
            ));
        }
        let mut params = std::mem::take(&mut self.params);
        params.push((name.to_owned(), value.to_owned()));
        *self = Self::of(params);
        Ok(())
    }

    /// The challenge: these parameters, the error if there was one, and what is demanded.
    pub(crate) fn challenge(&self, error: Option<ErrorSaid>, demands: &Demands) -> HeaderValue {
        let sentence = error.map(|error| error.sentence);
        let mut made = self.made.iter().filter(|_| demands.is_empty());
        match made.find(|(said, _)| *said == sentence) {
            Some((_, challenge)) => challenge.clone(),
            None => write(&self.params, error, demands),
        }
    }
}

fn write(params: &[(String, String)], error: Option<ErrorSaid>, demands: &Demands) -> HeaderValue {
    let mut text = String::with_capacity(160);
    for (name, value) in params {
        add_param(&mut text, name, value);
    }
    if let Some(error) = error {
        add_param(&mut text, "error", error.code);
        add_param(&mut text, "error_description", error.sentence);
    }
    if !demands.scopes.is_empty() {
        let list: Vec<_> = demands.scopes.iter().map(Scope::as_str).collect();
        add_param(&mut text, "scope", &list.join(" "));
    }
    let authentication = &demands.authentication;
    if !authentication.acr_values.is_empty() {
        add_param(&mut text, "acr_values", &authentication.acr_values.join(" "));
    }
    if let Some(max_age) = authentication.max_age {
        add_param(&mut text, "max_age", &max_age.to_string());
    }
    if text.is_empty() {
        // RFC 6750 §3: the scheme "MUST be followed by one or more auth-param values". With nothing else to say, the
        // challenge says where a token is best put, in the words of RFC 9728 §2: that place is always looked at.
        add_param(&mut text, "bearer_methods_supported", "header");
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer error=\"invalid_token\""))
}

fn add_param(challenge: &mut String, name: &str, value: &str) {
    challenge.push_str(if challenge.is_empty() { "Bearer " } else { ", " });
    challenge.push_str(name);
    challenge.push_str("=\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            challenge.push('\\');
        }
        challenge.push(c);
    }
    challenge.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(list: &[(&str, &str)]) -> ChallengeParams {
        let mut params = ChallengeParams::default();
        for (name, value) in list {
            params.set("realm", name, value).unwrap();
        }
        params
    }

    fn demanding(scopes: &[&str]) -> Demands {
        let scopes = scopes.iter().map(|scope| Scope::new(*scope).unwrap());
        Demands {
            scopes: scopes.collect(),
            ..Demands::default()
        }
    }

    #[test]
    fn parameters_are_separated_by_commas_and_quoted() {
        let challenge = params(&[("realm", r#"a "b" \c"#), ("note", "x")])
            .challenge(Some(ErrorSaid::INSUFFICIENT_SCOPE), &demanding(&["a", "b"]));
        assert_eq!(
            challenge,
            r#"Bearer realm="a \"b\" \\c", note="x", error="insufficient_scope", error_description="The access token does not grant what this request needs", scope="a b""#
        );
    }

    #[test]
    fn authentication_is_named_in_the_order_of_preference_and_in_seconds() {
        let mut demands = demanding(&["a"]);
        demands.authentication.acr_values = vec!["phrh".to_owned(), "phr".to_owned()];
        demands.authentication.max_age = Some(0);
        let challenge = ChallengeParams::default().challenge(Some(ErrorSaid::INSUFFICIENT_AUTHENTICATION), &demands);
        assert_eq!(
            challenge,
            r#"Bearer error="insufficient_user_authentication", error_description="The user has to authenticate anew or more strongly for this request", scope="a", acr_values="phrh phr", max_age="0""#
        );
    }

    #[test]
    fn a_challenge_has_at_least_one_parameter_and_no_realm_unless_set() {
        let challenge = ChallengeParams::default().challenge(None, &Demands::default());
        assert_eq!(challenge, r#"Bearer bearer_methods_supported="header""#);
    }

    #[test]
    fn what_is_made_once_says_what_is_written_anew() {
        let params = params(&[("realm", "a"), ("note", "x")]);
        let nothing = Demands::default();
        for error in [None].into_iter().chain(ErrorSaid::CHALLENGED.into_iter().map(Some)) {
            assert_eq!(
                params.challenge(error, &nothing),
                write(&params.params, error, &nothing)
            );
        }
        assert_eq!(
            params.challenge(Some(ErrorSaid::EXPIRED), &nothing),
            r#"Bearer realm="a", note="x", error="invalid_token", error_description="The access token expired""#
        );
    }

    #[test]
    fn a_value_that_could_split_the_header_is_refused() {
        for bad in ["a\r\nSet-Cookie: x", "a\0", "é", "\u{7f}"] {
            assert!(
                ChallengeParams::default().set("realm", "realm", bad).is_err(),
                "{bad:?}"
            );
        }
        assert!(ChallengeParams::default().set("challenge_param", "a b", "x").is_err());
        assert!(ChallengeParams::default().set("challenge_param", "", "x").is_err());
    }

    #[test]
    fn no_parameter_stands_twice() {
        let mut params = params(&[("realm", "a")]);
        assert!(params.set("realm", "realm", "b").is_err());
        assert!(params.set("challenge_param", "Error", "b").is_err());
        assert!(params.set("challenge_param", "scope", "b").is_err());
        assert!(params.set("challenge_param", "acr_values", "b").is_err());
        assert!(params.set("challenge_param", "max_age", "5").is_err());
    }
}
