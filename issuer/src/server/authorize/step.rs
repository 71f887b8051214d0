//! What comes next for a request that is in order.

use std::time::{Duration, SystemTime};

use super::{answer::ErrorCode, request::AuthorizationRequest};
use crate::server::login::Login;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Step {
    /// Ask who it is.
    Login,
    /// Ask whether the client may.
    Consent,
    /// Give the client a code.
    Grant,
    /// Send the client an error.
    Refuse(ErrorCode),
}

/// What comes next for a request, from who is logged in, whether it was for this very request that they logged in, and
/// whether they have allowed the client everything that it asks for.
pub(in crate::server) fn next_step(
    request: &AuthorizationRequest,
    login: Option<&Login>,
    is_made_for_this: bool,
    has_consent: bool,
    now: SystemTime,
) -> Step {
    let is_recent = |login: &Login| {
        request
            .max_age
            .is_none_or(|max_age| login.age(now) <= Duration::from_secs(max_age))
    };
    let is_enough = login.is_some_and(|login| is_made_for_this || !request.prompt.login && is_recent(login));
    match (is_enough, request.prompt.none) {
        (false, true) => Step::Refuse(ErrorCode::LoginRequired),
        (false, false) => Step::Login,
        (true, _) if has_consent && !request.prompt.consent => Step::Grant,
        (true, true) => Step::Refuse(ErrorCode::ConsentRequired),
        (true, false) => Step::Consent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::authorize::request::{AsksFor, Prompt};

    /// A request with this prompt and this greatest age.
    fn request(prompt: &str, max_age: Option<u64>) -> AuthorizationRequest {
        AuthorizationRequest {
            redirect_uri: "https://notes.example/cb".to_owned(),
            is_redirect_uri_named: true,
            state: None,
            scopes: Vec::new(),
            resources: Vec::new(),
            asks_for: AsksFor::Token,
            prompt: Prompt {
                none: prompt == "none",
                login: prompt == "login",
                consent: prompt == "consent",
            },
            max_age,
        }
    }

    /// Somebody who typed the password at 1000 s.
    fn login() -> Login {
        Login {
            subject: "alice".to_owned(),
            auth_time: 1000,
            expires_at: 5000,
            session: "s".to_owned(),
            epoch: 0,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn nobody_gets_a_code_who_is_not_logged_in() {
        for prompt in ["", "login", "consent"] {
            assert_eq!(
                next_step(&request(prompt, None), None, true, true, at(1000)),
                Step::Login
            );
        }
        let silent = next_step(&request("none", None), None, true, true, at(1000));
        assert_eq!(silent, Step::Refuse(ErrorCode::LoginRequired));
    }

    #[test]
    fn who_has_not_allowed_the_client_is_asked() {
        let step =
            |prompt, has_consent| next_step(&request(prompt, None), Some(&login()), false, has_consent, at(1000));
        assert_eq!(step("", false), Step::Consent);
        assert_eq!(step("", true), Step::Grant);
        assert_eq!(step("consent", true), Step::Consent);
        assert_eq!(step("none", true), Step::Grant);
        assert_eq!(step("none", false), Step::Refuse(ErrorCode::ConsentRequired));
    }

    #[test]
    fn prompt_login_asks_for_the_password_once() {
        let step = |is_made_for_this| {
            next_step(
                &request("login", None),
                Some(&login()),
                is_made_for_this,
                true,
                at(1000),
            )
        };
        assert_eq!(step(false), Step::Login);
        assert_eq!(step(true), Step::Grant);
    }

    #[test]
    fn a_log_in_that_is_older_than_max_age_is_not_enough() {
        let step = |max_age, now| next_step(&request("", Some(max_age)), Some(&login()), false, true, at(now));
        assert_eq!(step(60, 1060), Step::Grant);
        assert_eq!(step(60, 1061), Step::Login);
        assert_eq!(step(0, 1001), Step::Login);
        let silent = next_step(&request("none", Some(60)), Some(&login()), false, true, at(1061));
        assert_eq!(silent, Step::Refuse(ErrorCode::LoginRequired));
    }

    #[test]
    fn a_log_in_that_was_made_for_the_request_is_recent_enough_for_it() {
        let step = next_step(&request("", Some(0)), Some(&login()), true, true, at(1030));
        assert_eq!(step, Step::Grant);
    }
}
