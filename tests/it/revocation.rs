//! Tokens that are good by what they say, and good no more: whoever validated them, and whatever is remembered.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use resource_protector::{
    AccessTokenMark, ByIssuer, ClientAuth, Clock as _, CurrentToken, CutOff, IntrospectionValidator, JwtValidator,
    MemoryRevocationList, MemoryTokenStore, Moment, OpaqueToken, OptionalClaim, Presented, Reason, Rejection,
    RejectionKind, Requirement, ResourceProtectorLayer, RevocationList, RevocationTerms, Revoke as _, RevokedBy,
    Scopes, StoreValidator, StoredToken, TokenStore as _, TokenValidator, Verdict,
    testing::{TestClock, TestIssuer},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::{Layer as _, Service, ServiceBuilder};

use crate::support::{Reply, World, ask, ask_behind, assert_refused, hello, request};

const ISSUER: &str = World::ISSUER;
const API: &str = World::API;
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

const ALL: [RevokedBy; 4] = [
    RevokedBy::TokenId,
    RevokedBy::Session,
    RevokedBy::Subject,
    RevokedBy::Client,
];

/// Who validates the tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Jwt,
    Introspected,
    Stored,
}

const KINDS: [Kind; 3] = [Kind::Jwt, Kind::Introspected, Kind::Stored];

/// An API with a list of revocations.
struct Api {
    kind: Kind,
    clock: TestClock,
    issuer: TestIssuer,
    table: MemoryTokenStore,
    revoked: MemoryRevocationList,
    /// Without the list.
    bare: ResourceProtectorLayer,
    layer: ResourceProtectorLayer,
}

fn terms(by: impl IntoIterator<Item = RevokedBy>) -> RevocationTerms {
    RevocationTerms::new(by, HOUR).unwrap()
}

fn jwts(issuer: &TestIssuer) -> JwtValidator {
    let optional = [
        OptionalClaim::Subject,
        OptionalClaim::ClientId,
        OptionalClaim::IssuedAt,
        OptionalClaim::JwtId,
    ];
    let tokens = JwtValidator::discover(issuer.url(), API).unwrap();
    tokens.fetch(issuer.clone()).optional_claims(optional)
}

fn introspected(issuer: &TestIssuer) -> IntrospectionValidator {
    let auth = ClientAuth::basic(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET);
    let tokens = IntrospectionValidator::discover(issuer.url(), auth, API).unwrap();
    tokens.fetch(issuer.clone())
}

impl Api {
    fn new(kind: Kind, by: impl IntoIterator<Item = RevokedBy>) -> Self {
        Self::with(kind, terms(by))
    }

    fn with(kind: Kind, terms: RevocationTerms) -> Self {
        let clock = TestClock::new();
        let issuer = TestIssuer::new(ISSUER).with_clock(clock.clone());
        let table = MemoryTokenStore::new();
        let bare = match kind {
            Kind::Jwt => ResourceProtectorLayer::new(jwts(&issuer)),
            Kind::Introspected => ResourceProtectorLayer::new(introspected(&issuer)),
            Kind::Stored => ResourceProtectorLayer::new(StoreValidator::new(table.clone(), API).unwrap()),
        };
        let bare = bare.clock(clock.clone());
        let revoked = MemoryRevocationList::new(terms).clock(clock.clone());
        Self {
            kind,
            issuer,
            table,
            layer: bare.clone().revocation(revoked.clone()),
            bare,
            clock,
            revoked,
        }
    }

    /// A token of alice and the app, with `j`, `s` and an hour to live, but for what is said; `null` is for without.
    async fn mint(&self, edits: &[(&str, Value)]) -> String {
        let now = self.now_in_seconds();
        let mut claims = json!({
            "iss": ISSUER, "sub": "alice", "client_id": "app", "jti": "j", "sid": "s", "scope": "profile",
            "iat": now, "exp": now + 3600,
        });
        for (name, value) in edits {
            claims[*name] = value.clone();
        }
        if self.kind == Kind::Stored {
            return self.insert(claims).await;
        }
        macro_rules! edited {
            ($draft:expr) => {{
                let mut draft = $draft;
                for (name, value) in claims.as_object().unwrap() {
                    draft = match value {
                        Value::Null => draft.without(name),
                        value => draft.claim(name, value),
                    };
                }
                draft.mint()
            }};
        }
        match self.kind {
            Kind::Jwt => edited!(self.issuer.access_token(API)),
            _ => edited!(self.issuer.opaque_token(API)),
        }
    }

    async fn insert(&self, claims: Value) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let token = format!("token-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        let time = |name: &str| {
            let seconds = claims[name].as_u64()?;
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        };
        let mut record = StoredToken {
            subject: text("sub"),
            client_id: text("client_id"),
            scopes: Scopes::parse(claims["scope"].as_str().unwrap()),
            audience: vec![API.to_owned()],
            issued_at: time("iat"),
            expires_at: time("exp"),
            ..StoredToken::default()
        };
        for name in ["iss", "jti", "sid"] {
            if !claims[name].is_null() {
                record.extra.set(name, &claims[name]).unwrap();
            }
        }
        self.table.insert(&OpaqueToken::new(&token), record).await.unwrap();
        token
    }

    fn now_in_seconds(&self) -> u64 {
        let since = self.clock.now().wall.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs()
    }

    async fn revoke(&self, cut_off: CutOff) {
        self.revoked.revoke(cut_off).await.unwrap();
    }

    async fn present(&self, token: &str) -> Reply {
        present(&self.layer, token).await
    }

    async fn status(&self, token: &str) -> u16 {
        self.present(token).await.status().as_u16()
    }

    async fn reason(&self, token: &str) -> Option<Reason> {
        self.present(token).await.extensions().get::<Rejection>()?.reason()
    }

    fn moment(&self) -> SystemTime {
        self.clock.now().wall
    }
}

async fn present(layer: &ResourceProtectorLayer, token: &str) -> Reply {
    ask_behind(layer, request(&[&format!("Bearer {token}")])).await
}

/// Whose tokens are over, by each identifier of theirs.
fn cut_offs(moment: SystemTime) -> [(CutOff, &'static str); 4] {
    [
        (CutOff::token(ISSUER, "j"), "jti"),
        (CutOff::session(ISSUER, "s"), "sid"),
        (CutOff::subject(ISSUER, "alice", moment), "sub"),
        (CutOff::client(ISSUER, "app"), "client_id"),
    ]
}

#[tokio::test]
async fn revoking_takes_effect_on_remembered_tokens_at_once_by_each_identifier() {
    for kind in KINDS {
        for (cut_off, claim) in cut_offs(SystemTime::now() + HOUR) {
            let api = Api::new(kind, ALL);
            let (token, other) = (api.mint(&[]).await, api.mint(&[(claim, json!("another"))]).await);
            for token in [&token, &other] {
                assert_eq!(
                    (api.status(token).await, api.status(token).await),
                    (200, 200),
                    "{kind:?}"
                );
            }
            api.revoke(cut_off).await;
            let reply = api.present(&token).await;
            assert_refused(&reply, 401, Some("invalid_token"));
            assert_eq!(api.reason(&token).await, Some(Reason::Revoked), "{kind:?} {claim}");
            assert_eq!(api.status(&other).await, 200, "{kind:?} {claim}");
        }
    }
}

#[tokio::test]
async fn a_cut_off_also_stops_tokens_nobody_has_seen_yet() {
    for kind in KINDS {
        for (cut_off, claim) in cut_offs(SystemTime::now() + HOUR) {
            let api = Api::new(kind, ALL);
            let token = api.mint(&[]).await;
            api.revoke(cut_off).await;
            assert_eq!(api.reason(&token).await, Some(Reason::Revoked), "{kind:?} {claim}");
        }
    }
}

#[tokio::test]
async fn who_logs_in_again_after_a_log_out_everywhere_gets_in() {
    for kind in KINDS {
        let api = Api::new(kind, [RevokedBy::Subject]);
        let before = api.mint(&[]).await;
        api.clock.advance(SECOND);
        api.revoke(CutOff::subject(ISSUER, "alice", api.moment())).await;
        api.clock.advance(SECOND);
        let after = api.mint(&[]).await;
        assert_eq!(
            (api.status(&before).await, api.status(&after).await),
            (401, 200),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn another_issuers_subject_of_the_same_name_is_untouched() {
    let clock = TestClock::new();
    let (one, other) = (
        TestIssuer::new("https://one.test"),
        TestIssuer::new("https://other.test"),
    );
    let (one, other) = (one.with_clock(clock.clone()), other.with_clock(clock.clone()));
    let list = MemoryRevocationList::new(terms([RevokedBy::Subject])).clock(clock.clone());
    let both = ByIssuer::new()
        .issuer(one.url(), jwts(&one))
        .issuer(other.url(), jwts(&other))
        .opaque(introspected(&one));
    let layer = ResourceProtectorLayer::new(both)
        .clock(clock.clone())
        .revocation(list.clone());
    let tokens = [
        one.access_token(API).lifetime(HOUR).mint(),
        one.opaque_token(API).lifetime(HOUR).mint(),
        other.access_token(API).lifetime(HOUR).mint(),
    ];
    let statuses = async || {
        let mut statuses = Vec::new();
        for token in &tokens {
            statuses.push(present(&layer, token).await.status().as_u16());
        }
        statuses
    };
    assert_eq!(statuses().await, [200, 200, 200]);
    list.revoke(CutOff::subject(one.url(), "alice", clock.now().wall + SECOND))
        .await
        .unwrap();
    assert_eq!(statuses().await, [401, 401, 200]);
}

#[tokio::test]
async fn a_token_without_what_the_list_goes_by_is_401() {
    for kind in KINDS {
        for (by, claim) in [
            (RevokedBy::TokenId, "jti"),
            (RevokedBy::Session, "sid"),
            (RevokedBy::Subject, "sub"),
            (RevokedBy::Client, "client_id"),
            (RevokedBy::Subject, "iat"),
            (RevokedBy::Subject, "exp"),
        ] {
            let api = Api::new(kind, [by]);
            let (whole, lacking) = (api.mint(&[]).await, api.mint(&[(claim, Value::Null)]).await);
            assert_eq!(api.status(&whole).await, 200, "{kind:?} {claim}");
            assert_refused(&api.present(&lacking).await, 401, Some("invalid_token"));
            // It is the list that demands it; but for the `exp` of JWTs, which is always there.
            let without_list = present(&api.bare, &lacking).await.status().as_u16();
            assert_eq!(
                without_list == 200,
                (kind, claim) != (Kind::Jwt, "exp"),
                "{kind:?} {claim}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_that_lives_longer_than_revocations_are_known_is_401() {
    for kind in KINDS {
        let api = Api::new(kind, [RevokedBy::Subject]);
        let too_long = api.mint(&[("exp", json!(api.now_in_seconds() + 3601))]).await;
        assert_refused(&api.present(&too_long).await, 401, Some("invalid_token"));
        assert_eq!(present(&api.bare, &too_long).await.status(), 200);
    }
}

#[tokio::test]
async fn a_token_table_that_names_no_issuer_has_the_one_that_is_assumed() {
    let api = Api::new(Kind::Stored, [RevokedBy::Subject]);
    let nobodys = api.mint(&[("iss", Value::Null)]).await;
    assert_refused(&api.present(&nobodys).await, 401, Some("invalid_token"));

    let api = Api::with(Kind::Stored, terms([RevokedBy::Subject]).assume_issuer(ISSUER).unwrap());
    let ours = api.mint(&[("iss", Value::Null)]).await;
    assert_eq!(api.status(&ours).await, 200);
    api.revoke(CutOff::subject(ISSUER, "alice", api.moment() + SECOND))
        .await;
    assert_eq!(api.reason(&ours).await, Some(Reason::Revoked));
}

/// What it is told to say.
#[derive(Clone)]
struct Scripted {
    terms: RevocationTerms,
    says: Arc<Mutex<(Verdict, Option<Duration>)>>,
}

impl Scripted {
    fn saying(verdict: Verdict) -> Self {
        Self {
            terms: terms([RevokedBy::Subject]),
            says: Arc::new(Mutex::new((verdict, Some(Duration::ZERO)))),
        }
    }

    fn says(&self, verdict: Verdict) {
        self.says.lock().unwrap().0 = verdict;
    }

    fn is_old(&self, age: Option<Duration>) {
        self.says.lock().unwrap().1 = age;
    }
}

impl RevocationList for Scripted {
    fn verdict(&self, _: &CurrentToken, _: Moment) -> Verdict {
        self.says.lock().unwrap().0
    }

    fn terms(&self) -> &RevocationTerms {
        &self.terms
    }

    fn is_in_step(&self, _: Moment) -> bool {
        self.says.lock().unwrap().0 != Verdict::Unknown
    }

    fn age(&self, _: Moment) -> Option<Duration> {
        self.says.lock().unwrap().1
    }
}

#[tokio::test]
async fn a_list_says_clear_revoked_or_unknown_and_unknown_is_503() {
    for kind in KINDS {
        let api = Api::new(kind, [RevokedBy::Subject]);
        let list = Scripted::saying(Verdict::Clear);
        let layer = api.bare.clone().revocation(list.clone());
        let token = api.mint(&[]).await;
        assert_eq!(present(&layer, &token).await.status(), 200, "{kind:?}");
        list.says(Verdict::CutOff);
        assert_refused(&present(&layer, &token).await, 401, Some("invalid_token"));
        list.says(Verdict::Unknown);
        assert_refused(&present(&layer, &token).await, 503, Some("temporarily_unavailable"));
        list.says(Verdict::Clear);
        assert_eq!(present(&layer, &token).await.status(), 200, "{kind:?}");
    }
}

#[tokio::test]
async fn a_service_whose_list_is_out_of_step_is_not_ready_and_doctor_says_so() {
    let list = Scripted::saying(Verdict::Clear);
    let tokens = StoreValidator::new(MemoryTokenStore::new(), API).unwrap();
    let layer = ResourceProtectorLayer::new(tokens).revocation(list.clone());
    layer.ready().await.unwrap();
    let diagnosis = layer.doctor().await;
    assert!(diagnosis.is_healthy());
    assert!(
        diagnosis
            .to_string()
            .contains("\nfine    what it takes to know of revocations\n"),
        "{diagnosis}"
    );

    list.says(Verdict::Unknown);
    let problem = layer.ready().await.unwrap_err().to_string();
    assert_eq!(problem, "not ready: what is known of revocations is out of date");
    let diagnosis = layer.doctor().await.to_string();
    let expected = "TROUBLE what it takes to know of revocations: what is known of revocations is out of date";
    assert!(diagnosis.contains(expected), "{diagnosis}");
}

/// Revokes while it gets ready.
#[derive(Clone)]
struct Readying<F>(F);

impl<F: FnMut()> Service<Request<Full<Bytes>>> for Readying<F> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        (self.0)();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_while_the_service_gets_ready_is_refused() {
    let api = Api::new(Kind::Stored, [RevokedBy::Subject]);
    let token = api.mint(&[]).await;
    let list = Scripted::saying(Verdict::Clear);
    let layer = api.bare.clone().revocation(list.clone());
    // The table is asked by a future, so the service is made ready twice: before the question and after the answer.
    let times = Arc::new(AtomicUsize::new(0));
    let count = times.clone();
    let service = layer.layer(Readying(move || {
        if count.fetch_add(1, Ordering::SeqCst) == 1 {
            list.says(Verdict::CutOff);
        }
    }));
    let reply = ask(service, request(&[&format!("Bearer {token}")])).await;
    assert_refused(&reply, 401, Some("invalid_token"));
    assert_eq!(times.load(Ordering::SeqCst), 2);
}

/// Knows the token when the gate opens.
struct Gated(Arc<Semaphore>, Value);

impl TokenValidator for Gated {
    async fn validate(&self, _: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let _open = self.0.acquire().await;
        CurrentToken::vouch_for(&self.1)
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_while_the_validator_waits_is_refused() {
    let gate = Arc::new(Semaphore::new(0));
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = json!({ "iss": ISSUER, "sub": "alice", "iat": now - 1, "exp": now + 60 });
    let list = MemoryRevocationList::new(terms([RevokedBy::Subject]));
    let layer = ResourceProtectorLayer::new(Gated(gate.clone(), claims)).revocation(list.clone());
    let asking = async { present(&layer, "t").await };
    let revoking = async {
        tokio::task::yield_now().await;
        list.revoke(CutOff::subject(ISSUER, "alice", SystemTime::now()))
            .await
            .unwrap();
        gate.add_permits(1);
    };
    let (reply, ()) = tokio::join!(asking, revoking);
    assert_refused(&reply, 401, Some("invalid_token"));
    assert_eq!(
        reply.extensions().get::<Rejection>().unwrap().reason(),
        Some(Reason::Revoked)
    );
}

#[tokio::test]
async fn an_expired_token_is_expired_and_one_that_was_revoked_is_401_whatever_else_it_lacks() {
    for kind in KINDS {
        let api = Api::new(kind, [RevokedBy::Subject]);
        let layer = api.layer.clone().requiring(Requirement::claim("fresh", ["yes"]));
        let token = api.mint(&[]).await;
        assert_refused(&present(&layer, &token).await, 403, Some("insufficient_scope"));
        api.revoke(CutOff::subject(ISSUER, "alice", api.moment() + SECOND))
            .await;
        assert_refused(&present(&layer, &token).await, 401, Some("invalid_token"));
        assert_eq!(api.reason(&token).await, Some(Reason::Revoked));
        api.clock.advance(HOUR + 11 * SECOND);
        let reason = api.reason(&token).await;
        assert!(
            matches!(reason, Some(Reason::Expired | Reason::Inactive)),
            "{kind:?} {reason:?}"
        );
    }
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token_and_an_access_token_no_refresh_token() {
    let issuer = TestIssuer::new(ISSUER);
    let route = |kind: &str| {
        let mark = AccessTokenMark::claim("type", [kind]);
        let tokens = jwts(&issuer).accept_types(["JWT"], mark).unwrap();
        ResourceProtectorLayer::new(tokens)
    };
    let token = |kind: &str| {
        let draft = issuer.access_token(API).claim("type", kind);
        draft.header("typ", "JWT").mint()
    };
    for (on, shown, status) in [
        ("access", "access", 200),
        ("access", "refresh", 401),
        ("refresh", "refresh", 200),
        ("refresh", "access", 401),
    ] {
        let reply = present(&route(on), &token(shown)).await;
        assert_eq!(reply.status(), status, "{shown} on the route for {on}");
    }
}

#[tokio::test]
async fn whose_user_is_gone_is_401_and_whom_the_application_turns_down_is_403() {
    /// Looks users up, as an application does.
    struct WithUser<V>(V);

    impl<V: TokenValidator> TokenValidator for WithUser<V> {
        async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
            let token = self.0.validate(presented).await?;
            match token.subject() {
                Some("alice") => Ok(token),
                _ => Err(Rejection::invalid_token(Reason::Claim, "there is no such user")),
            }
        }
    }
    let issuer = TestIssuer::new(ISSUER);
    let layer = ResourceProtectorLayer::new(WithUser(jwts(&issuer)));
    let layer = layer.requiring(Requirement::claim("verified", ["yes"]));
    for (subject, verified, status) in [("alice", "yes", 200), ("gone", "yes", 401), ("alice", "no", 403)] {
        let token = issuer
            .access_token(API)
            .subject(subject)
            .claim("verified", verified)
            .mint();
        assert_eq!(present(&layer, &token).await.status(), status, "{subject} {verified}");
    }
}

/// Asks a sensitive route of this protector.
async fn sensitive(layer: &ResourceProtectorLayer, max_age: Duration, token: &str) -> Reply {
    let service = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(layer.require_fresh(max_age).unwrap())
        .service_fn(hello);
    ask(service, request(&[&format!("Bearer {token}")])).await
}

#[tokio::test]
async fn with_a_list_a_sensitive_route_may_be_for_jwts_and_demands_that_it_is_young() {
    for kind in KINDS {
        let api = Api::new(kind, [RevokedBy::Subject]);
        let list = Scripted::saying(Verdict::Clear);
        let layer = api.bare.clone().revocation(list.clone());
        let token = api.mint(&[]).await;
        for (age, status) in [
            (5 * SECOND, 200),
            (6 * SECOND, 503),
            (Duration::MAX, 503),
            (Duration::ZERO, 200),
        ] {
            list.is_old(Some(age));
            assert_eq!(
                sensitive(&layer, 5 * SECOND, &token).await.status(),
                status,
                "{kind:?} {age:?}"
            );
            // Routes without the guard go by the list's own bounds.
            assert_eq!(present(&layer, &token).await.status(), 200);
        }
        // Whatever is old, what is known to be revoked is.
        list.is_old(Some(Duration::MAX));
        list.says(Verdict::CutOff);
        assert_refused(&sensitive(&layer, 5 * SECOND, &token).await, 401, Some("invalid_token"));
    }
}

#[tokio::test]
async fn on_a_sensitive_route_a_revocation_counts_and_so_does_the_answer_about_an_opaque_token() {
    let api = Api::new(Kind::Introspected, [RevokedBy::Subject]);
    let token = api.mint(&[]).await;
    assert_eq!(sensitive(&api.layer, 5 * SECOND, &token).await.status(), 200);
    // The list is young, the answer is not, and no other can be had.
    api.clock.advance(6 * SECOND);
    api.issuer.go_down();
    assert_eq!(api.status(&token).await, 200);
    let reply = sensitive(&api.layer, 5 * SECOND, &token).await;
    assert_refused(&reply, 503, Some("temporarily_unavailable"));
    api.issuer.come_back();

    let api = Api::new(Kind::Jwt, [RevokedBy::Subject]);
    let token = api.mint(&[]).await;
    assert_eq!(sensitive(&api.layer, Duration::ZERO, &token).await.status(), 200);
    api.revoke(CutOff::subject(ISSUER, "alice", api.moment() + SECOND))
        .await;
    assert_eq!(sensitive(&api.layer, Duration::ZERO, &token).await.status(), 401);
}

#[tokio::test]
async fn behind_one_guard_jwts_go_by_the_list_alone_and_opaque_tokens_are_asked_about_as_well() {
    let clock = TestClock::new();
    let issuer = TestIssuer::new(ISSUER).with_clock(clock.clone());
    let both = ByIssuer::new()
        .issuer(ISSUER, jwts(&issuer))
        .opaque(introspected(&issuer));
    let list = Scripted::saying(Verdict::Clear);
    let layer = ResourceProtectorLayer::new(both).clock(clock.clone());
    assert!(layer.require_fresh(5 * SECOND).is_err());
    let layer = layer.revocation(list.clone());
    let jwt = issuer.access_token(API).lifetime(HOUR).mint();
    let opaque = issuer.opaque_token(API).lifetime(HOUR).mint();
    for token in [&jwt, &opaque] {
        assert_eq!(sensitive(&layer, 5 * SECOND, token).await.status(), 200);
    }
    clock.advance(6 * SECOND);
    for token in [&jwt, &opaque] {
        assert_eq!(sensitive(&layer, 5 * SECOND, token).await.status(), 200);
    }
    assert_eq!(issuer.requests("/tenant/introspect"), 2);
    list.is_old(Some(6 * SECOND));
    for token in [&jwt, &opaque] {
        let reply = sensitive(&layer, 5 * SECOND, token).await;
        assert_refused(&reply, 503, Some("temporarily_unavailable"));
    }
}

#[tokio::test]
async fn a_sensitive_route_is_not_built_over_a_list_that_does_not_tell_how_old_it_is() {
    for kind in KINDS {
        let api = Api::new(kind, [RevokedBy::Subject]);
        let list = Scripted::saying(Verdict::Clear);
        let layer = api.bare.clone().revocation(list.clone());
        let token = api.mint(&[]).await;
        let guard = layer.require_fresh(SECOND).unwrap();
        list.is_old(None);
        let error = layer.require_fresh(SECOND).unwrap_err();
        assert!(error.to_string().contains("RevocationList::age"), "{error}");
        // And one that stops telling it lets nobody in.
        let service = ServiceBuilder::new()
            .layer(layer.clone())
            .layer(guard)
            .service_fn(hello);
        let reply = ask(service, request(&[&format!("Bearer {token}")])).await;
        assert_refused(&reply, 503, Some("temporarily_unavailable"));
    }
}

#[tokio::test]
async fn a_list_that_is_shared_or_set_twice_counts_as_the_last_one_set() {
    let api = Api::new(Kind::Jwt, [RevokedBy::Subject]);
    let token = api.mint(&[]).await;
    let layer = api.bare.clone().revocation(Scripted::saying(Verdict::CutOff));
    assert_eq!(present(&layer, &token).await.status(), 401);
    let layer = layer.revocation(Arc::new(api.revoked.clone()));
    assert_eq!(present(&layer, &token).await.status(), 200);
    api.revoke(CutOff::subject(ISSUER, "alice", api.moment() + SECOND))
        .await;
    assert_eq!(present(&layer, &token).await.status(), 401);
}

#[tokio::test]
async fn two_protectors_with_lists_of_their_own_do_not_confuse_what_is_clear() {
    let api = Api::new(Kind::Jwt, [RevokedBy::Subject]);
    let other = MemoryRevocationList::new(terms([RevokedBy::TokenId])).clock(api.clock.clone());
    // One inside of the other, over one memory of verified tokens.
    let service = ServiceBuilder::new()
        .layer(api.layer.clone())
        .layer(api.bare.clone().revocation(other.clone()))
        .service_fn(hello);
    let token = api.mint(&[]).await;
    let bearer = format!("Bearer {token}");
    assert_eq!(ask(service.clone(), request(&[&bearer])).await.status(), 200);
    assert_eq!(ask(service.clone(), request(&[&bearer])).await.status(), 200);
    other.revoke(CutOff::token(ISSUER, "j")).await.unwrap();
    assert_eq!(ask(service, request(&[&bearer])).await.status(), 401);
    assert_eq!(api.status(&token).await, 200);
}

#[tokio::test]
async fn refusals_of_a_list_have_kinds_of_their_own() {
    let api = Api::new(Kind::Jwt, [RevokedBy::Subject]);
    let list = Scripted::saying(Verdict::CutOff);
    let layer = api.bare.clone().revocation(list.clone());
    let token = api.mint(&[]).await;
    for (verdict, kind) in [
        (Verdict::CutOff, RejectionKind::InvalidToken),
        (Verdict::Unknown, RejectionKind::Unavailable),
    ] {
        list.says(verdict);
        let reply = present(&layer, &token).await;
        assert_eq!(reply.extensions().get::<Rejection>().unwrap().kind(), kind);
    }
}
