//! Who may enter.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, Method, Request, header, request::Parts};

use crate::{
    audit,
    challenge::ChallengeParams,
    clock::{Clock, Moment},
    credentials::{Credentials, Place, Places},
    meter::Decision,
    rejection::{Forms, Reason, Rejection, ReplaceRefusal},
    require::{Demands, Requirement},
    revocation::Revocation,
    token::{CurrentToken, ScopeHierarchy},
    validate::{AnyValidator, BoxFuture, Presented},
};

/// Everything a protector was told when it was set up.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) validator: Arc<dyn AnyValidator>,
    pub(crate) requirement: Option<Requirement>,
    pub(crate) optional: bool,
    pub(crate) cors_preflight: bool,
    pub(crate) places: Places,
    pub(crate) forms: Forms,
    pub(crate) challenge: ChallengeParams,
    pub(crate) hierarchy: Option<ScopeHierarchy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) replace: Option<Arc<ReplaceRefusal>>,
    /// How old the knowledge about a token may be.
    pub(crate) max_age: Option<Duration>,
    pub(crate) revocation: Option<Revocation>,
    /// It judges again what a protector further out has let in, and leaves to that one how refusals look.
    pub(crate) is_guard: bool,
}

/// Stands in the extensions of a request that was let in without a token.
///
/// There is either this or a [`CurrentToken`], never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anonymous {
    /// There were no credentials, and the protector is [optional](crate::ResourceProtectorLayer::optional). Guards
    /// refuse it with 401, unless they are made with [`or_anonymous`](crate::RequireLayer::or_anonymous).
    NoCredentials,
    /// It is a CORS preflight, and the protector
    /// [lets those through](crate::ResourceProtectorLayer::allow_cors_preflight). Guards let it pass.
    Preflight,
}

/// Where a request stands once everything was judged that needs no waiting.
pub(crate) enum Admission {
    Enter(Entered),
    Refuse(Rejection),
    /// The validator has to wait for something, to judge this token.
    Ask(String, Place),
}

/// With what a request enters.
pub(crate) enum Entered {
    With(CurrentToken, Place),
    Without(Anonymous),
}

/// The answer to a request that had to wait, which comes back with it.
pub(crate) type Asking = BoxFuture<'static, (Parts, Result<Entered, Rejection>)>;

impl Policy {
    /// Steps 1 to 6 for a request. Whoever is let in here is inside; read it from top to bottom.
    pub(crate) fn admit(&self, request: &Parts, now: Moment) -> Admission {
        let (token, place) = match self.places.read(request) {
            Credentials::Token(token, place) => (token, place),
            Credentials::Malformed(why) => return Admission::Refuse(Rejection::malformed(why)),
            Credentials::TooLong => return Admission::Refuse(Rejection::too_large("a form longer than is searched")),
            Credentials::CrossSite => {
                return Admission::Refuse(Rejection::cross_site("a cookie, not from our own page"));
            }
            Credentials::OtherScheme => return Admission::Refuse(self.no_credentials("another scheme than Bearer")),
            Credentials::Absent if self.cors_preflight && is_preflight(request) => {
                return Admission::Enter(Entered::Without(Anonymous::Preflight));
            }
            Credentials::Absent if self.optional => {
                return Admission::Enter(Entered::Without(Anonymous::NoCredentials));
            }
            Credentials::Absent => return Admission::Refuse(self.no_credentials("no credentials")),
        };
        match self.validator.now(&self.presented(&token, request, now)) {
            None => Admission::Ask(token.into_owned(), place),
            Some(answer) => match answer.and_then(|token| self.judge(token, now, now)) {
                Ok(token) => Admission::Enter(Entered::With(token, place)),
                Err(rejection) => Admission::Refuse(rejection),
            },
        }
    }

    fn presented<'a>(&self, token: &'a str, request: &'a Parts, now: Moment) -> Presented<'a> {
        let presented = Presented::new(token, request, now);
        match self.max_age {
            None => presented,
            Some(max_age) => presented.no_older_than(max_age),
        }
    }

    /// Steps 3 to 6: judged on every request, whoever validated the token and however long ago.
    fn judge(&self, token: CurrentToken, asked: Moment, now: Moment) -> Result<CurrentToken, Rejection> {
        token.judge_time(now)?;
        self.judge_revocation(&token, now)?;
        // The validator heeds it. One around it may not have passed it on.
        let is_too_old = |max_age| {
            let oldest = asked.monotonic.checked_sub(max_age);
            token.is_stale() || oldest.is_some_and(|oldest| token.was_asked_before(oldest))
        };
        if self.max_age.is_some_and(is_too_old) {
            return Err(Rejection::unavailable(
                "the route demands a younger answer than there is",
            ));
        }
        if token.confirmation().is_some() {
            // RFC 7800 §3.1 would let a binding be ignored that is not understood. Then a stolen token would be as good
            // as any.
            return Err(Rejection::invalid_token(
                Reason::Unbound,
                "no verifier is configured for the token's `cnf`",
            ));
        }
        let token = token.admitted(now, self.hierarchy.as_ref());
        if let Some(requirement) = &self.requirement {
            token.require(requirement)?;
        }
        Ok(token)
    }

    /// Step 4.
    fn judge_revocation(&self, token: &CurrentToken, now: Moment) -> Result<(), Rejection> {
        match &self.revocation {
            None => Ok(()),
            Some(revocation) => revocation.judge(token, now, self.max_age),
        }
    }

    /// Steps 2 to 6, where step 2 has to wait. Owns the request's head; the body is not needed.
    pub(crate) fn ask(self: Arc<Self>, token: String, place: Place, request: Parts) -> Asking {
        Box::pin(async move {
            let asked = self.clock.now();
            let presented = self.presented(&token, &request, asked);
            let answer = self.validator.later(&presented).await;
            // It may have taken a while: what is over by now is over.
            let answer = answer.and_then(|token| self.judge(token, asked, self.clock.now()));
            (request, answer.map(|token| Entered::With(token, place)))
        })
    }

    /// Steps 3 and 4 once more: the service may have taken its time to get ready.
    pub(super) fn still_good<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        match request.extensions().get::<CurrentToken>() {
            Some(token) if token.is_withdrawn() => Err(Rejection::invalid_token(
                Reason::UnknownKey,
                "the key was withdrawn meanwhile",
            )),
            Some(token) => {
                let now = self.clock.now();
                token.judge_time(now)?;
                self.judge_revocation(token, now)
            }
            None => Ok(()),
        }
    }

    /// Step 7. What an outer protector has put there counts no more.
    pub(crate) fn enter(&self, entered: Entered, request: &mut Parts) {
        request.extensions.remove::<CurrentToken>();
        request.extensions.remove::<Anonymous>();
        if !self.is_guard {
            report(&entered, request);
        }
        match entered {
            Entered::With(token, place) => {
                self.places.tidy(place, request);
                request.extensions.insert(token);
            }
            Entered::Without(anonymous) => {
                request.extensions.insert(anonymous);
            }
        }
    }

    fn no_credentials(&self, detail: &'static str) -> Rejection {
        let mut rejection = Rejection::no_credentials(detail);
        rejection.demand(self.demanded(None));
        rejection
    }

    pub(super) fn demanded(&self, token: Option<&CurrentToken>) -> Demands {
        self.requirement
            .as_ref()
            .map(|requirement| requirement.demands(token))
            .unwrap_or_default()
    }
}

/// One event for a request, however many judge it further in.
fn report(entered: &Entered, request: &Parts) {
    let asked = (&request.method, &request.uri);
    match entered {
        Entered::With(token, place) => audit::admitted(asked, token, place.as_str()),
        Entered::Without(Anonymous::NoCredentials) => audit::anonymous(asked, Decision::Anonymous),
        Entered::Without(Anonymous::Preflight) => audit::anonymous(asked, Decision::Preflight),
    }
}

/// As browsers send it: <https://fetch.spec.whatwg.org/#cors-preflight-request>.
fn is_preflight(request: &Parts) -> bool {
    const REQUEST_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;
    request.method == Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request.headers.contains_key(REQUEST_METHOD)
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("requirement", &self.requirement)
            .field("optional", &self.optional)
            .field("cors_preflight", &self.cors_preflight)
            .field("places", &self.places)
            .field("revocation", &self.revocation)
            .field("forms", &self.forms)
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{MemoryTokenStore, ResourceProtectorLayer, StoreValidator, token::Grounds};

    #[test]
    fn a_token_whose_key_was_withdrawn_while_the_service_got_ready_does_not_enter() {
        let tokens = StoreValidator::for_tokens_of_this_service_only(MemoryTokenStore::new());
        let protector = ResourceProtectorLayer::new(tokens);
        let grounds = Grounds::default();
        let token = CurrentToken::vouch_for(&json!({ "sub": "alice" })).unwrap();
        let mut request = Request::new(());
        request.extensions_mut().insert(token.resting_on(grounds.clone()));
        assert!(protector.policy.still_good(&request).is_ok());
        grounds.withdraw();
        let refusal = protector.policy.still_good(&request).unwrap_err();
        assert_eq!(refusal.reason(), Some(Reason::UnknownKey));
    }
}
