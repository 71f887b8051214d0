//! What the browser takes back to the client.

use form_urlencoded::Serializer;

use crate::tokens::IssuedTokens;

/// What went wrong, in the words of RFC 6749, section 4.1.2.1, RFC 8707, RFC 9101, RFC 9470, and OpenID Connect Core, section 3.1.2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum ErrorCode {
    AccessDenied,
    ConsentRequired,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    LoginRequired,
    RequestNotSupported,
    RequestUriNotSupported,
    UnauthorizedClient,
    UnmetAuthenticationRequirements,
    UnsupportedResponseType,
}

impl ErrorCode {
    pub(in crate::server) fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::ConsentRequired => "consent_required",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::UnsupportedResponseType => "unsupported_response_type",
        }
    }
}

/// What the client gets.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) enum Answer<'a> {
    /// A code.
    Code(&'a str),
    /// An access token.
    Token(&'a IssuedTokens),
    /// What went wrong, and a fixed sentence about it.
    Error(ErrorCode, Option<&'static str>),
}

/// Where in the URL it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Place {
    Query,
    /// Browsers do not send it to the server that the URL names (RFC 6749, section 4.2.2).
    Fragment,
}

impl Answer<'_> {
    /// The redirect URI with this answer, the state as it came, and who answers (RFC 9207): so a client that knows several
    /// servers sees when it was led to another one than it believes.
    ///
    /// A query that the redirect URI has is kept (RFC 6749, section 3.1.2). It has no fragment; the judgement sees to it.
    pub(in crate::server) fn url(self, redirect_uri: &str, state: Option<&str>, issuer: &str, place: Place) -> String {
        let mut query = Serializer::new(String::new());
        match self {
            Answer::Code(code) => {
                query.append_pair("code", code);
            }
            Answer::Token(tokens) => {
                query.append_pair("access_token", tokens.access_token());
                query.append_pair("token_type", "Bearer");
                query.append_pair("expires_in", &tokens.expires_in().as_secs().to_string());
                if !tokens.scope().is_empty() {
                    query.append_pair("scope", tokens.scope());
                }
            }
            Answer::Error(code, description) => {
                query.append_pair("error", code.as_str());
                if let Some(description) = description {
                    query.append_pair("error_description", description);
                }
            }
        }
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
        let joint = match (place, redirect_uri.split_once('?')) {
            (Place::Fragment, _) => "#",
            (Place::Query, None) => "?",
            (Place::Query, Some((_, kept))) if kept.is_empty() || kept.ends_with('&') => "",
            (Place::Query, Some(_)) => "&",
        };
        format!("{redirect_uri}{joint}{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://auth.example.com";

    #[test]
    fn the_answer_names_the_issuer_and_keeps_the_query_of_the_redirect_uri() {
        let url = |redirect_uri| Answer::Code("c").url(redirect_uri, Some("s"), ISSUER, Place::Query);
        let answer = "code=c&state=s&iss=https%3A%2F%2Fauth.example.com";
        assert_eq!(url("https://a.example/cb"), format!("https://a.example/cb?{answer}"));
        assert_eq!(
            url("https://a.example/cb?x=1"),
            format!("https://a.example/cb?x=1&{answer}")
        );
        assert_eq!(url("https://a.example/cb?"), format!("https://a.example/cb?{answer}"));
        assert_eq!(url("com.example.app:/cb"), format!("com.example.app:/cb?{answer}"));
    }

    #[test]
    fn a_state_cannot_add_parameters_or_a_fragment() {
        let hostile = "1&code=evil#x\r\nSet-Cookie: a=b;\"<>%";
        let url = Answer::Error(ErrorCode::AccessDenied, None).url(
            "https://a.example/cb",
            Some(hostile),
            ISSUER,
            Place::Query,
        );
        assert_eq!(
            url,
            "https://a.example/cb?error=access_denied&state=1%26code%3Devil%23x%0D%0ASet-Cookie%3A+a%3Db%3B%22%3C%3E%25\
             &iss=https%3A%2F%2Fauth.example.com"
        );
    }

    #[test]
    fn without_a_state_none_is_made_up() {
        let url = Answer::Code("c").url("https://a.example/cb", None, ISSUER, Place::Query);
        assert!(!url.contains("state"), "{url}");
    }

    #[test]
    fn an_error_has_a_sentence_for_who_runs_the_client() {
        let answer = Answer::Error(ErrorCode::InvalidRequest, Some("no code_challenge"));
        let url = answer.url("https://a.example/cb", None, ISSUER, Place::Query);
        assert!(
            url.contains("?error=invalid_request&error_description=no+code_challenge&iss="),
            "{url}"
        );
    }
}
