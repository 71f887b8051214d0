//! The token of the current request.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    claims::{ClaimNames, Claims, Confirmation, Text},
    clock::Moment,
    json::Object,
    rejection::{Reason, Rejection},
    require::Requirement,
    scope::Scopes,
};

/// The access token of the current request, found good.
///
/// The [protector](crate::ResourceProtectorLayer) puts it into the request's extensions; nothing that a client sends
/// can. It is cheap to clone. The raw token is not in it, and its `Debug` form shows neither subject nor claims.
///
/// ```
/// use resource_protector::{CurrentToken, Requirement};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let token = CurrentToken::vouch_for(&serde_json::json!({ "sub": "alice", "scope": "profile email" }))?;
/// assert_eq!(token.subject(), Some("alice"));
/// assert!(token.has_scope("profile"));
/// assert!(token.require(&Requirement::scope("admin")?).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CurrentToken {
    facts: Arc<Facts>,
    /// The moment of the request that it was let in with.
    admitted: Option<Moment>,
    stale: bool,
    hierarchy: Option<ScopeHierarchy>,
}

/// What a validator found out about a token.
struct Facts {
    claims: Claims,
    json: Bytes,
    leeway: Duration,
    answered_at: Option<Instant>,
    /// When `exp` and the leeway are over on the monotonic clock, by the wall clock of the moment when it was first seen.
    over_at: Option<Instant>,
    grounds: Option<Grounds>,
    /// The number of the list of revocations whose terms it was found to meet; zero if there was none.
    meets: AtomicU64,
    /// The version of a list of revocations that did not concern it; zero if there was none.
    cleared_by: AtomicU64,
}

/// What a token rests on besides its claims: the key that verified it. Whoever has the key can withdraw it from all tokens
/// that rest on it, at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grounds(Arc<AtomicBool>);

impl Grounds {
    pub(crate) fn withdraw(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn are_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Says whether a granted scope covers a demanded one; called with (granted, demanded).
pub(crate) type ScopeHierarchy = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// Whose rights a token carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StandsFor {
    /// A user, who let the client act for them: the subject is another than the client.
    ///
    /// Some issuers give clients a subject of their own (Auth0: `…@clients`; Keycloak: a service account), which looks
    /// the same; there, look for what they mark such tokens with.
    User,
    /// The client itself: there is no subject beside it (RFC 9068 §2.2, RFC 6749 §4.4).
    Client,
    /// The token does not say which client it was issued to, so its subject may be either.
    Unknown,
}

/// Claims that do not have the shape that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the token's claims do not have the expected shape")]
pub struct ClaimsError(#[source] serde_json::Error);

impl CurrentToken {
    /// Makes a token out of claims **that the caller vouches for**. This is the one way to make a `CurrentToken` by
    /// hand, for a [`TokenValidator`](crate::TokenValidator) of your own: whoever gets it is let in.
    ///
    /// The claims have the names and types of RFC 9068 §2.2 and RFC 7662 §2.2 (`sub`, `client_id`, `scope`, `aud`,
    /// `exp`, …); none is demanded. Time, confirmation and requirement are judged by the protector afterwards, so a
    /// token with an `exp` in the past is refused. Signature, issuer, audience and revocation are yours to check.
    ///
    /// # Errors
    ///
    /// A [`Misconfigured`](crate::RejectionKind::Misconfigured) refusal when the claims are not one JSON object, or one
    /// of them has the wrong type.
    pub fn vouch_for(claims: &impl Serialize) -> Result<Self, Rejection> {
        let unusable = |problem: String| Rejection::misconfigured(format!("vouched claims cannot be used: {problem}"));
        let json = serde_json::to_vec(claims).map_err(|error| unusable(error.to_string()))?;
        let object = Object::parse(&json).map_err(|error| unusable(error.to_string()))?;
        let claims = Claims::read(&object, &ClaimNames::default()).map_err(|error| unusable(error.to_string()))?;
        Ok(Self::new(claims, json.into()))
    }

    pub(crate) fn new(claims: Claims, json: Bytes) -> Self {
        Self {
            facts: Arc::new(Facts {
                claims,
                json,
                leeway: Duration::ZERO,
                answered_at: None,
                over_at: None,
                grounds: None,
                meets: AtomicU64::new(0),
                cleared_by: AtomicU64::new(0),
            }),
            admitted: None,
            stale: false,
            hierarchy: None,
        }
    }

    /// How far clocks may differ when the protector judges the token's times; not at all unless set, 300 s at the most.
    /// For a token that was just [vouched for](Self::vouch_for); a clone of one keeps what was set.
    #[must_use]
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        if let Some(facts) = Arc::get_mut(&mut self.facts) {
            facts.leeway = leeway.min(Duration::from_secs(300));
        }
        self
    }

    /// When the authorization server said what the token holds.
    pub(crate) fn answered_at(mut self, moment: Instant) -> Self {
        if let Some(facts) = Arc::get_mut(&mut self.facts) {
            facts.answered_at = Some(moment);
        }
        self
    }

    /// Counts what is left of its life on the monotonic clock from now on, too: whoever remembers the token says so, and
    /// a wall clock that is set back later does not lengthen its life. Say it after the leeway.
    pub(crate) fn remembered_from(mut self, now: Moment) -> Self {
        if let Some(facts) = Arc::get_mut(&mut self.facts) {
            let end = facts.claims.expires_at.and_then(|exp| exp.checked_add(facts.leeway));
            // What is over already may be so by a clock that is ahead, and will be corrected. Nothing is granted meanwhile.
            let left = end.and_then(|end| end.duration_since(now.wall).ok());
            let left = left.filter(|left| !left.is_zero());
            facts.over_at = left.and_then(|left| now.monotonic.checked_add(left));
        }
        self
    }

    /// Says of this one copy that the answer it holds is older than it should be, and used for want of another.
    pub(crate) fn gone_stale(mut self) -> Self {
        self.stale = true;
        self
    }

    /// Whether the authorization server was asked at this moment or later.
    pub(crate) fn was_asked_since(&self, earliest: Instant) -> bool {
        self.facts.answered_at.is_some_and(|then| then >= earliest)
    }

    /// Says what the token rests on.
    pub(crate) fn resting_on(mut self, grounds: Grounds) -> Self {
        if let Some(facts) = Arc::get_mut(&mut self.facts) {
            facts.grounds = Some(grounds);
        }
        self
    }

    /// Whether the authorization server was asked about it before this moment.
    pub(crate) fn was_asked_before(&self, moment: Instant) -> bool {
        self.facts.answered_at.is_some_and(|then| then < moment)
    }

    /// Whether what the token rests on was withdrawn.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.facts.grounds.as_ref().is_some_and(Grounds::are_withdrawn)
    }

    /// Whether it was found to have what the list of revocations with this number goes by.
    pub(crate) fn meets_terms_of(&self, list: u64) -> bool {
        self.facts.meets.load(Ordering::Relaxed) == list
    }

    /// Keeps that it has what this list goes by. Only the latest one is kept.
    pub(crate) fn met_terms_of(&self, list: u64) {
        self.facts.meets.store(list, Ordering::Relaxed);
    }

    /// Whether this version of a list of revocations was found not to concern it.
    pub(crate) fn was_cleared_by(&self, version: u64) -> bool {
        self.facts.cleared_by.load(Ordering::Relaxed) == version
    }

    /// Keeps that this version of a list does not concern it. Only the latest one is kept.
    pub(crate) fn clear_by(&self, version: u64) {
        self.facts.cleared_by.store(version, Ordering::Relaxed);
    }

    fn text<'a>(&'a self, claim: Option<&'a Text>) -> Option<&'a str> {
        claim.map(|text| text.of(&self.facts.json))
    }

    /// Prepares the token for one request.
    pub(crate) fn admitted(mut self, now: Moment, hierarchy: Option<&ScopeHierarchy>) -> Self {
        self.admitted = Some(now);
        self.hierarchy = hierarchy.cloned();
        self
    }

    /// Judges `exp`, `nbf` and `iat`. The protector does so on every request, whoever validated the token.
    pub(crate) fn judge_time(&self, now: Moment) -> Result<(), Rejection> {
        let Facts {
            claims,
            leeway,
            over_at,
            ..
        } = &*self.facts;
        // A moment that no clock can show lies further away than any token's.
        let earliest = now.wall.checked_sub(*leeway).unwrap_or(SystemTime::UNIX_EPOCH);
        let latest = now.wall.checked_add(*leeway).unwrap_or(now.wall);
        if claims.expires_at.is_some_and(|exp| earliest >= exp) {
            return Err(Rejection::invalid_token(Reason::Expired, "`exp` has passed"));
        }
        if over_at.is_some_and(|end| now.monotonic >= end) {
            return Err(Rejection::invalid_token(
                Reason::Expired,
                "the time from its first use to `exp` has passed, though the wall clock does not say so",
            ));
        }
        if claims.not_before.is_some_and(|nbf| latest < nbf) {
            return Err(Rejection::invalid_token(Reason::NotYetValid, "`nbf` lies ahead"));
        }
        if claims.issued_at.is_some_and(|iat| latest < iat) {
            return Err(Rejection::invalid_token(Reason::NotYetValid, "`iat` lies ahead"));
        }
        Ok(())
    }

    /// Who the token is about: `sub`. Unique only together with the [issuer](Self::issuer).
    pub fn subject(&self) -> Option<&str> {
        self.text(self.facts.claims.subject.as_ref())
    }

    /// The client the token was issued to: `client_id`.
    pub fn client_id(&self) -> Option<&str> {
        self.text(self.facts.claims.client_id.as_ref())
    }

    /// Who issued the token: `iss`.
    pub fn issuer(&self) -> Option<&str> {
        self.text(self.facts.claims.issuer.as_ref())
    }

    /// For whom the token was issued: `aud`.
    pub fn audience(&self) -> impl Iterator<Item = &str> + Clone {
        self.facts.claims.audience.iter()
    }

    /// The scopes that were granted, as the issuer wrote them.
    pub fn scopes(&self) -> &Scopes {
        &self.facts.claims.scopes
    }

    /// Whether the scope was granted, or one that covers it by the protector's
    /// [scope hierarchy](crate::ResourceProtectorLayer::scope_hierarchy).
    pub fn has_scope(&self, scope: &str) -> bool {
        match &self.hierarchy {
            None => self.scopes().contains(scope),
            Some(covers) => self
                .scopes()
                .iter()
                .any(|granted| granted == scope || covers(granted, scope)),
        }
    }

    /// Checks a requirement inside a handler.
    ///
    /// # Errors
    ///
    /// A 403 refusal that names the scopes that are needed (RFC 6750 §3.1), or, where the user has to authenticate anew, a
    /// 401 refusal that says how (RFC 9470 §3). Returned from a handler, it passes through the guards and the protector,
    /// which complete it.
    pub fn require(&self, requirement: &Requirement) -> Result<(), Rejection> {
        if requirement.is_met_by(self) {
            return Ok(());
        }
        Err(Rejection::not_enough(requirement, self))
    }

    /// When the token stops being valid: `exp`.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.facts.claims.expires_at
    }

    /// When the token was issued: `iat`.
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.facts.claims.issued_at
    }

    /// When the token starts being valid: `nbf`.
    pub fn not_before(&self) -> Option<SystemTime> {
        self.facts.claims.not_before
    }

    /// The token's own identifier: `jti`.
    pub fn jwt_id(&self) -> Option<&str> {
        self.text(self.facts.claims.jwt_id.as_ref())
    }

    /// The login session at the authorization server: `sid`.
    pub fn session_id(&self) -> Option<&str> {
        self.text(self.facts.claims.session_id.as_ref())
    }

    /// A name for people to read: `username` (RFC 7662 §2.2). It may change and may be given to someone else.
    pub fn username(&self) -> Option<&str> {
        self.text(self.facts.claims.username.as_ref())
    }

    /// How strongly the user was authenticated: `acr` (RFC 9470 §6).
    pub fn acr(&self) -> Option<&str> {
        self.text(self.facts.claims.acr.as_ref())
    }

    /// By which methods the user was authenticated: `amr`.
    pub fn amr(&self) -> &[String] {
        &self.facts.claims.amr
    }

    /// When the user was authenticated: `auth_time`.
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.facts.claims.auth_time
    }

    /// Whether the user was authenticated this long before the request or later, by clocks that may differ by the leeway.
    pub(crate) fn was_authenticated_within(&self, max_age: Duration) -> bool {
        let (Some(then), Some(now)) = (self.auth_time(), self.admitted) else {
            return false;
        };
        let leeway = self.facts.leeway;
        match now.wall.duration_since(then) {
            Ok(age) => age <= max_age.saturating_add(leeway),
            Err(ahead) => ahead.duration() <= leeway,
        }
    }

    /// When the user was authenticated, in words for the log.
    pub(crate) fn said_of_authentication(&self) -> String {
        let (Some(then), Some(now)) = (self.auth_time(), self.admitted) else {
            return "authenticated at an unknown time".to_owned();
        };
        match now.wall.duration_since(then) {
            Ok(age) => format!("authenticated {} s ago", age.as_secs()),
            Err(ahead) => format!("authenticated {} s ahead of now", ahead.duration().as_secs()),
        }
    }

    /// How the token is bound to its sender: `cnf`.
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.facts.claims.confirmation.as_ref()
    }

    /// The roles of the subject: `roles` (RFC 9068 §2.2.3.1).
    pub fn roles(&self) -> &[String] {
        &self.facts.claims.roles
    }

    /// The groups of the subject: `groups` (RFC 9068 §2.2.3.1).
    pub fn groups(&self) -> &[String] {
        &self.facts.claims.groups
    }

    /// The entitlements of the subject: `entitlements` (RFC 9068 §2.2.3.1).
    pub fn entitlements(&self) -> &[String] {
        &self.facts.claims.entitlements
    }

    /// Whether the token stands for a user or for the client itself.
    ///
    /// An authorization server may let clients choose identifiers that are a user's, too; look here before you look up
    /// the subject (RFC 9700 §4.15).
    pub fn stands_for(&self) -> StandsFor {
        match (self.subject(), self.client_id()) {
            (Some(subject), Some(client)) if subject != client => StandsFor::User,
            (_, Some(_)) => StandsFor::Client,
            (_, None) => StandsFor::Unknown,
        }
    }

    /// One claim of the token; `None` when it is absent or not a `T`.
    ///
    /// It is parsed again with every call; a handler that needs many claims calls [`claims`](Self::claims) once.
    pub fn claim<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.with_raw_claim(name, |value| serde_json::from_str(value.get()).ok())
            .flatten()
    }

    /// All claims of the token, in a type of your own.
    ///
    /// # Errors
    ///
    /// When the claims do not have the shape of `T`.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        serde_json::from_slice(&self.facts.json).map_err(ClaimsError)
    }

    /// How old the authorization server's answer about the token is, counted from when it was asked. Zero where
    /// nobody was asked: for a JWT that was verified here, whenever that was, and for a token of one's own table.
    pub fn age(&self) -> Duration {
        match (self.admitted, self.facts.answered_at) {
            (Some(now), Some(then)) => now.since(then),
            _ => Duration::ZERO,
        }
    }

    /// Whether the authorization server's answer is older than it should be, and was used because the server cannot be
    /// reached: where [`IntrospectionValidator::stale_if_error`](crate::IntrospectionValidator::stale_if_error) allows it.
    /// The token may have been revoked since; [`age`](Self::age) tells how long ago the server was asked.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// About how many bytes of memory the claims take: their JSON, and what was made of it.
    pub(crate) fn size(&self) -> usize {
        self.facts.json.len() + self.facts.claims.made_of_json
    }

    pub(crate) fn with_raw_claim<T>(&self, name: &str, look: impl FnOnce(&RawValue) -> T) -> Option<T> {
        Object::parse(&self.facts.json).ok()?.get(name).map(look)
    }
}

impl fmt::Debug for CurrentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentToken")
            .field("issuer", &self.issuer())
            .field("client_id", &self.client_id())
            .field("scopes", self.scopes())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(claims: serde_json::Value) -> CurrentToken {
        CurrentToken::vouch_for(&claims).unwrap()
    }

    fn at(seconds: u64) -> Moment {
        Moment {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            monotonic: Instant::now(),
        }
    }

    #[test]
    fn a_token_is_expired_at_its_exp_and_leeway_moves_that() {
        let exact = token(json!({ "exp": 1000 }));
        assert!(exact.judge_time(at(999)).is_ok());
        assert_eq!(exact.judge_time(at(1000)).unwrap_err().reason(), Some(Reason::Expired));
        let lenient = token(json!({ "exp": 1000 })).with_leeway(Duration::from_secs(60));
        assert!(lenient.judge_time(at(1059)).is_ok());
        assert!(lenient.judge_time(at(1060)).is_err());
    }

    #[test]
    fn a_leeway_is_five_minutes_at_the_most() {
        let token = token(json!({ "exp": 1000 })).with_leeway(Duration::from_secs(3600));
        assert!(token.judge_time(at(1299)).is_ok());
        assert!(token.judge_time(at(1300)).is_err());
    }

    #[test]
    fn a_token_from_the_future_is_not_valid_yet() {
        for claim in ["nbf", "iat"] {
            let strict = token(json!({ claim: 1030 }));
            assert_eq!(
                strict.judge_time(at(1000)).unwrap_err().reason(),
                Some(Reason::NotYetValid)
            );
            assert!(strict.judge_time(at(1030)).is_ok());
            assert!(
                token(json!({ claim: 1010 }))
                    .with_leeway(Duration::from_secs(10))
                    .judge_time(at(1000))
                    .is_ok()
            );
        }
    }

    #[test]
    fn an_authentication_is_as_old_as_it_was_when_the_request_came() {
        let within = Duration::from_secs(300);
        let exact = |now| token(json!({ "auth_time": 1000 })).admitted(at(now), None);
        assert!(exact(1000).was_authenticated_within(within) && exact(1300).was_authenticated_within(within));
        assert!(!exact(1301).was_authenticated_within(within));
        assert!(exact(1000).was_authenticated_within(Duration::ZERO));
        assert!(exact(u32::MAX.into()).was_authenticated_within(Duration::MAX));
        let lenient = token(json!({ "auth_time": 1000 })).with_leeway(Duration::from_secs(60));
        assert!(
            lenient
                .clone()
                .admitted(at(1360), None)
                .was_authenticated_within(within)
        );
        assert!(!lenient.admitted(at(1361), None).was_authenticated_within(within));
    }

    #[test]
    fn an_authentication_at_an_unknown_time_or_ahead_is_never_recent() {
        assert!(
            !token(json!({}))
                .admitted(at(1000), None)
                .was_authenticated_within(Duration::MAX)
        );
        let ahead = token(json!({ "auth_time": 1060 }));
        assert!(
            !ahead
                .clone()
                .admitted(at(1000), None)
                .was_authenticated_within(Duration::MAX)
        );
        assert!(!ahead.was_authenticated_within(Duration::MAX), "let in with no request");
        let lenient = token(json!({ "auth_time": 1060 })).with_leeway(Duration::from_secs(60));
        assert!(
            lenient
                .clone()
                .admitted(at(1000), None)
                .was_authenticated_within(Duration::ZERO)
        );
        assert!(!lenient.admitted(at(999), None).was_authenticated_within(Duration::ZERO));
    }

    #[test]
    fn no_time_however_odd_panics() {
        for exp in [f64::MIN, f64::MAX, -1.0, 0.0, 1e18] {
            let token =
                token(json!({ "exp": exp, "nbf": exp, "auth_time": exp })).with_leeway(Duration::from_secs(300));
            for now in [at(0), at(u64::from(u32::MAX))] {
                let _ = token.judge_time(now);
                let _ = token
                    .clone()
                    .admitted(now, None)
                    .was_authenticated_within(Duration::MAX);
                let _ = token.clone().remembered_from(now).judge_time(at(0));
            }
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_lengthen_the_life_of_a_remembered_token() {
        let token = |now| {
            token(json!({ "exp": 1000 }))
                .with_leeway(Duration::from_secs(10))
                .remembered_from(now)
        };
        let seen = at(900);
        let remembered = token(seen);
        let later = |wall, elapsed| Moment {
            wall: at(wall).wall,
            monotonic: seen.monotonic + Duration::from_secs(elapsed),
        };
        assert!(remembered.judge_time(later(900, 109)).is_ok());
        assert_eq!(
            remembered.judge_time(later(900, 110)).unwrap_err().reason(),
            Some(Reason::Expired)
        );
        // Who is seen first by a clock that was set back is judged by that clock.
        let first_seen = later(900, 110);
        assert!(token(first_seen).judge_time(first_seen).is_ok());
        // A clock that was ahead for a while, after the token was first seen or when it was, has done no harm.
        let ahead = later(5000, 0);
        assert!(token(ahead).judge_time(ahead).is_err() && token(ahead).judge_time(later(930, 30)).is_ok());
        assert!(remembered.judge_time(later(5000, 20)).is_err());
        assert!(remembered.judge_time(later(930, 30)).is_ok());
    }

    #[test]
    fn a_token_is_withdrawn_with_what_it_rests_on() {
        let grounds = Grounds::default();
        let (resting, free) = (token(json!({})).resting_on(grounds.clone()), token(json!({})));
        assert!(!resting.is_withdrawn());
        grounds.withdraw();
        assert!(resting.is_withdrawn() && !free.is_withdrawn());
    }

    #[test]
    fn a_client_that_is_its_own_subject_does_not_pass_for_a_user() {
        assert_eq!(
            token(json!({ "sub": "alice", "client_id": "app" })).stands_for(),
            StandsFor::User
        );
        assert_eq!(
            token(json!({ "sub": "app", "client_id": "app" })).stands_for(),
            StandsFor::Client
        );
        assert_eq!(token(json!({ "client_id": "app" })).stands_for(), StandsFor::Client);
        assert_eq!(token(json!({ "sub": "alice" })).stands_for(), StandsFor::Unknown);
    }

    #[test]
    fn debug_shows_neither_subject_nor_claims() {
        let shown = format!(
            "{:?}",
            token(json!({ "sub": "alice", "email": "a@example.com", "client_id": "app" }))
        );
        assert!(shown.contains("app") && !shown.contains("alice") && !shown.contains("example"));
    }

    #[test]
    fn extra_claims_are_visible() {
        let token = token(json!({ "sub": "alice", "tenant": "t1" }));
        assert_eq!(token.claim::<String>("tenant").as_deref(), Some("t1"));
        assert_eq!(token.claim::<u32>("tenant"), None);
        assert_eq!(token.claim::<String>("nothing"), None);
        #[derive(serde::Deserialize)]
        struct Mine {
            tenant: String,
        }
        assert_eq!(token.claims::<Mine>().unwrap().tenant, "t1");
    }
}
