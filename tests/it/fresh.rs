//! Sensitive routes: a guard that judges by what is known now, and not by what is remembered.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::Full;
use resource_protector::{
    About, ByIssuer, ClientAuth, CurrentToken, FormTokenLayer, IntrospectionValidator, JwtValidator, MemoryTokenStore,
    Presented, Reason, Rejection, RequireFreshLayer, Requirement, ResourceProtectorLayer, StoreValidator,
    TokenValidator, require_scope,
    testing::{TestClock, TestIssuer},
};
use serde_json::json;
use tower::ServiceBuilder;

use crate::support::{Known, Reply, ask, assert_refused, challenge, hello, preflight, request};

const SECOND: Duration = Duration::from_secs(1);

/// Asks whoever knows about tokens, and remembers the answer for as long as nobody wants a newer one.
#[derive(Clone, Default)]
struct Remembering(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    remembered: HashMap<String, Instant>,
    asked: usize,
    is_down: bool,
    is_revoked: bool,
    /// What is granted from now on; `profile` before it is said.
    scope: Option<&'static str>,
}

impl Remembering {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }
}

impl TokenValidator for Remembering {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let mut state = self.0.lock().unwrap();
        let (token, now) = (presented.token().to_owned(), presented.now().monotonic);
        let known = state.remembered.get(&token).map(|then| now - *then);
        let first = json!({ "sub": "alice", "client_id": "app", "scope": "profile" });
        if known.is_some_and(|age| presented.max_age().is_none_or(|max_age| age <= max_age)) {
            return CurrentToken::vouch_for(&first);
        }
        state.asked += 1;
        if state.is_down {
            return Err(Rejection::unavailable("nobody answers"));
        }
        if state.is_revoked {
            return Err(Rejection::invalid_token(Reason::Inactive, "it was revoked"));
        }
        state.remembered.insert(token, now);
        let mut claims = first;
        claims["scope"] = json!(state.scope.unwrap_or("profile"));
        CurrentToken::vouch_for(&claims)
    }

    fn about(&self) -> About<'_> {
        About::default().with_asking_anew()
    }
}

struct World {
    tokens: Remembering,
    clock: TestClock,
    protector: ResourceProtectorLayer,
}

impl World {
    fn new() -> Self {
        Self::with(|protector| protector)
    }

    fn with(options: impl FnOnce(ResourceProtectorLayer) -> ResourceProtectorLayer) -> Self {
        let (tokens, clock) = (Remembering::default(), TestClock::new());
        let protector = ResourceProtectorLayer::new(tokens.clone())
            .realm("api")
            .clock(clock.clone());
        Self {
            tokens,
            clock,
            protector: options(protector),
        }
    }

    fn guard(&self, seconds: u64) -> RequireFreshLayer {
        self.protector.require_fresh(Duration::from_secs(seconds)).unwrap()
    }

    /// Asks a route that demands nothing but a token.
    async fn plain(&self) -> u16 {
        let service = ServiceBuilder::new().layer(self.protector.clone()).service_fn(hello);
        ask(service, request(&["Bearer t"])).await.status().as_u16()
    }

    /// Asks the sensitive route.
    async fn sensitive(&self, seconds: u64, request: Request<Full<Bytes>>) -> Reply {
        let service = ServiceBuilder::new()
            .layer(self.protector.clone())
            .layer(self.guard(seconds))
            .service_fn(hello);
        ask(service, request).await
    }
}

fn good() -> Request<Full<Bytes>> {
    request(&["Bearer t"])
}

#[tokio::test]
async fn an_answer_of_the_demanded_age_is_good_enough_and_an_older_one_is_asked_for_anew() {
    let world = World::new();
    assert_eq!(world.plain().await, 200);
    world.clock.advance(5 * SECOND);
    assert_eq!(world.sensitive(5, good()).await.status(), 200);
    assert_eq!(world.tokens.asked(), 1);
    world.clock.advance(SECOND);
    assert_eq!(world.plain().await, 200);
    assert_eq!(world.tokens.asked(), 1);
    assert_eq!(world.sensitive(5, good()).await.status(), 200);
    assert_eq!(world.tokens.asked(), 2);
    // What was learned serves everybody.
    assert_eq!(world.sensitive(5, good()).await.status(), 200);
    assert_eq!(world.tokens.asked(), 2);
}

#[tokio::test]
async fn a_revoked_token_is_refused_by_the_guard_while_other_routes_still_remember_it() {
    let world = World::new();
    assert_eq!(world.plain().await, 200);
    world.tokens.change(|state| state.is_revoked = true);
    world.clock.advance(SECOND);
    assert_eq!(world.plain().await, 200);
    let reply = world.sensitive(0, good()).await;
    assert_refused(&reply, 401, Some("invalid_token"));
    assert!(challenge(&reply).starts_with(r#"Bearer realm="api", error="#));
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_guard_answers_503_whatever_is_remembered() {
    let world = World::new();
    assert_eq!(world.plain().await, 200);
    world.tokens.change(|state| state.is_down = true);
    world.clock.advance(SECOND);
    assert_eq!(world.plain().await, 200);
    let reply = world.sensitive(0, good()).await;
    assert_refused(&reply, 503, Some("temporarily_unavailable"));
    assert_eq!(world.sensitive(1, good()).await.status(), 200);
}

#[tokio::test]
async fn further_in_the_token_is_the_one_that_was_found_now() {
    let world = World::new();
    assert_eq!(world.plain().await, 200);
    world.tokens.change(|state| state.scope = Some("email"));
    world.clock.advance(SECOND);
    let handler = |request: Request<Full<Bytes>>| async move {
        let token = request.extensions().get::<CurrentToken>().unwrap();
        Ok::<_, std::convert::Infallible>(Response::new(Full::from(token.scopes().to_string())))
    };
    let service = ServiceBuilder::new()
        .layer(world.protector.clone())
        .layer(require_scope("profile"))
        .layer(world.guard(0))
        .layer(require_scope("email"))
        .service_fn(handler);
    assert_eq!(ask(service, good()).await.body(), "email");
}

#[tokio::test]
async fn what_the_protector_demands_is_demanded_of_the_fresh_token_too() {
    let world = World::with(|protector| protector.requiring(Requirement::scope("profile").unwrap()));
    assert_eq!(world.plain().await, 200);
    world.tokens.change(|state| state.scope = Some("email"));
    world.clock.advance(SECOND);
    assert_eq!(world.plain().await, 200);
    assert_refused(&world.sensitive(0, good()).await, 403, Some("insufficient_scope"));
}

#[tokio::test]
async fn a_refusal_further_in_names_the_scopes_of_everyone_it_passes() {
    let world = World::with(|protector| protector.requiring(Requirement::scope("profile").unwrap()));
    world.tokens.change(|state| state.scope = Some("profile email"));
    let service = ServiceBuilder::new()
        .layer(world.protector.clone())
        .layer(require_scope("email"))
        .layer(world.guard(0))
        .layer(require_scope("admin"))
        .service_fn(hello);
    let reply = ask(service, good()).await;
    assert_refused(&reply, 403, Some("insufficient_scope"));
    assert!(challenge(&reply).ends_with(r#", scope="profile email admin""#));
}

#[tokio::test]
async fn a_refusal_of_the_guard_is_rendered_once_and_by_the_protector() {
    let rendered = Arc::new(AtomicUsize::new(0));
    let count = rendered.clone();
    let world = World::with(|protector| {
        protector.replace_refusals(move |_, response| {
            count.fetch_add(1, Ordering::SeqCst);
            response.map(|_| Bytes::from_static(b"ours"))
        })
    });
    assert_eq!(world.plain().await, 200);
    world.tokens.change(|state| state.is_revoked = true);
    world.clock.advance(SECOND);
    let reply = world.sensitive(0, good()).await;
    assert_eq!((reply.status().as_u16(), &reply.body()[..]), (401, &b"ours"[..]));
    assert_eq!(rendered.load(Ordering::SeqCst), 1);
    assert!(challenge(&reply).starts_with(r#"Bearer realm="api", "#));
}

#[tokio::test]
async fn who_has_no_token_is_refused_even_where_the_protector_lets_the_anonymous_in() {
    let world = World::with(|protector| protector.optional().allow_cors_preflight());
    let reply = world.sensitive(5, request(&[])).await;
    assert_refused(&reply, 401, None);
    assert_eq!(challenge(&reply), r#"Bearer realm="api""#);
    assert_eq!(world.sensitive(5, preflight()).await.body(), "anonymous");
    assert_eq!(world.tokens.asked(), 0);
}

#[tokio::test]
async fn the_token_is_found_again_in_each_place_and_the_handler_still_cannot_see_one_of_a_websocket() {
    let world = World::with(|protector| {
        let protector = protector.token_in_header("x-token").unwrap();
        let protector = protector.token_in_websocket_protocol("bearer.").unwrap();
        let protector = protector.token_in_cookie("session", [] as [&str; 0]).unwrap();
        protector.dangerous_token_in_uri_query()
    });
    let handler = |request: Request<Full<Bytes>>| async move {
        assert!(request.extensions().get::<CurrentToken>().is_some());
        let offers = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).cloned();
        let mut response = Response::new(Full::<Bytes>::default());
        response
            .headers_mut()
            .extend(offers.map(|offers| (header::VIA, offers)));
        Ok::<_, std::convert::Infallible>(response)
    };
    let with = |fields: &[(&'static str, &'static str)]| {
        let mut request = request(&[]);
        for (name, value) in fields {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    };
    let handshake = with(&[("upgrade", "websocket"), ("sec-websocket-protocol", "chat, bearer.ws")]);
    let mut query = with(&[]);
    *query.uri_mut() = Uri::from_static("/?access_token=query");
    let mut form = with(&[("content-type", "application/x-www-form-urlencoded")]);
    *form.method_mut() = Method::POST;
    *form.body_mut() = Full::from("access_token=form");
    for (place, request) in [
        ("authorization", with(&[("authorization", "Bearer a")])),
        ("header", with(&[("x-token", "header")])),
        ("websocket", handshake),
        ("query", query),
        ("form", form),
        ("cookie", with(&[("cookie", "session=cookie")])),
    ] {
        let asked = world.tokens.asked();
        let inside = ServiceBuilder::new()
            .map_request(|request: Request<_>| request.map(|_| Full::<Bytes>::default()))
            .service_fn(handler);
        // A second guard finds what the first one has found.
        let service = ServiceBuilder::new()
            .layer(FormTokenLayer::new())
            .layer(world.protector.clone())
            .layer(world.guard(5))
            .layer(world.guard(5))
            .service(inside);
        let reply = ask(service, request).await;
        assert_eq!(reply.status(), 200, "{place}");
        assert_eq!(world.tokens.asked(), asked + 1, "{place}");
        let left = reply.headers().get(header::VIA).map(|offers| offers.to_str().unwrap());
        assert_eq!(left, (place == "websocket").then_some("chat"), "{place}");
    }
}

#[tokio::test]
async fn an_introspected_token_is_asked_about_anew_and_no_old_answer_stands_in() {
    let clock = TestClock::new();
    let issuer = TestIssuer::new("https://auth.test").with_clock(clock.clone());
    let auth = ClientAuth::basic(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET);
    let tokens = IntrospectionValidator::discover(issuer.url(), auth, "https://api.test").unwrap();
    let tokens = tokens.fetch(issuer.clone()).stale_if_error(600 * SECOND).unwrap();
    let protector = ResourceProtectorLayer::new(tokens).clock(clock.clone());
    let token = format!("Bearer {}", issuer.opaque_token("https://api.test").mint());
    let plain = ServiceBuilder::new().layer(protector.clone()).service_fn(hello);
    let sensitive = ServiceBuilder::new()
        .layer(protector.clone())
        .layer(protector.require_fresh(10 * SECOND).unwrap())
        .service_fn(hello);
    assert_eq!(ask(sensitive.clone(), request(&[&token])).await.body(), "alice");
    clock.advance(10 * SECOND);
    assert_eq!(ask(sensitive.clone(), request(&[&token])).await.body(), "alice");
    assert_eq!(issuer.requests("/introspect"), 1);
    clock.advance(SECOND);
    assert_eq!(ask(sensitive.clone(), request(&[&token])).await.body(), "alice");
    assert_eq!(issuer.requests("/introspect"), 2);
    issuer.go_down();
    clock.advance(61 * SECOND);
    assert_eq!(ask(plain, request(&[&token])).await.body(), "alice");
    let reply = ask(sensitive, request(&[&token])).await;
    assert_refused(&reply, 503, Some("temporarily_unavailable"));
}

/// Hands tokens on without what the route demands of their age.
struct Careless(IntrospectionValidator);

impl TokenValidator for Careless {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let anew = Presented::new(presented.token(), presented.request(), presented.now());
        self.0.validate(&anew).await
    }

    fn about(&self) -> About<'_> {
        self.0.about()
    }
}

#[tokio::test]
async fn an_older_answer_than_the_route_demands_is_503_even_where_a_validator_gives_one() {
    let clock = TestClock::new();
    let issuer = TestIssuer::new("https://auth.test").with_clock(clock.clone());
    let auth = ClientAuth::basic(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET);
    let tokens = IntrospectionValidator::discover(issuer.url(), auth, "https://api.test").unwrap();
    let protector = ResourceProtectorLayer::new(Careless(tokens.fetch(issuer.clone()))).clock(clock.clone());
    let token = format!("Bearer {}", issuer.opaque_token("https://api.test").mint());
    let sensitive = ServiceBuilder::new()
        .layer(protector.clone())
        .layer(protector.require_fresh(10 * SECOND).unwrap())
        .service_fn(hello);
    assert_eq!(ask(sensitive.clone(), request(&[&token])).await.body(), "alice");
    clock.advance(11 * SECOND);
    let reply = ask(sensitive, request(&[&token])).await;
    assert_refused(&reply, 503, Some("temporarily_unavailable"));
}

#[test]
fn a_guard_is_not_built_where_nobody_could_be_asked() {
    let jwt = || JwtValidator::discover("https://auth.test", "https://api.test").unwrap();
    let asks = || StoreValidator::for_tokens_of_this_service_only(MemoryTokenStore::new());
    let both = ByIssuer::new().issuer("https://auth.test", jwt()).opaque(asks());
    let on_demand = ByIssuer::new()
        .opaque(asks())
        .tenants(1, |_| Some(Remembering::default()));
    for protector in [
        ResourceProtectorLayer::new(jwt()),
        ResourceProtectorLayer::new(Known::new()),
        ResourceProtectorLayer::new(both),
        ResourceProtectorLayer::new(on_demand),
    ] {
        let error = protector.require_fresh(SECOND).unwrap_err().to_string();
        assert!(
            error.starts_with("max_age: ") && error.contains("Introspect"),
            "{error}"
        );
    }
    let all_ask = ByIssuer::new().issuer("https://auth.test", asks()).opaque(asks());
    assert!(ResourceProtectorLayer::new(all_ask).require_fresh(SECOND).is_ok());
}

#[test]
fn an_age_of_more_than_a_day_is_refused() {
    let world = World::new();
    let day = Duration::from_secs(24 * 3600);
    assert!(world.protector.require_fresh(day).is_ok());
    let error = world.protector.require_fresh(day + SECOND).unwrap_err();
    assert_eq!(error.option(), "max_age");
    assert!(error.to_string().contains("0 s to 86400 s"), "{error}");
}
