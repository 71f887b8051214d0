//! One event for every decision, with stable fields and no secret.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use resource_protector::{
    About, Clock as _, CurrentToken, CutOff, JwtValidator, MemoryRevocationList, Presented, Reason, Rejection,
    Requirement, ResourceProtectorLayer, RevocationTerms, Revoke as _, RevokedBy, TokenValidator,
    config::ProtectorConfig,
    require_scope,
    testing::{TestClock, TestIssuer},
};
use tower::{Layer as _, ServiceBuilder};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Registry,
    layer::{Context, Layer, SubscriberExt as _},
};

use crate::support::{ask, ask_behind, hello, protector, request};

/// Keeps the events of one target.
#[derive(Clone)]
pub struct Trail {
    target: &'static str,
    events: Arc<Mutex<Vec<(Level, Fields)>>>,
}

impl Trail {
    pub fn of(target: &'static str) -> Self {
        Self {
            target,
            events: Arc::default(),
        }
    }

    /// The levels of the events so far, and their stable names.
    pub fn named(&self) -> Vec<(Level, String)> {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .map(|(level, fields)| (*level, fields.0.get("event").cloned().unwrap_or_default()))
            .collect()
    }
}

#[derive(Clone, Default, Debug)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber> Layer<S> for Trail {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == self.target {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.events.lock().unwrap().push((*event.metadata().level(), fields));
        }
    }
}

type Decisions = Vec<(Level, BTreeMap<&'static str, String>)>;

/// The decisions of one request to a protector and a guard.
async fn decisions(request: Request<Full<Bytes>>) -> Decisions {
    let handler = |request: Request<Full<Bytes>>| async move {
        let mut response = hello(Request::default()).await?;
        if let Some(token) = request.extensions().get::<CurrentToken>()
            && let Err(refusal) = token.require(&Requirement::scope("email").unwrap())
        {
            response.extensions_mut().insert(refusal);
        }
        Ok::<Response<_>, std::convert::Infallible>(response)
    };
    let service = ServiceBuilder::new()
        .layer(protector().optional())
        .layer(require_scope("profile").or_anonymous())
        .service_fn(handler);
    decisions_of(ask(service, request)).await
}

/// What is decided meanwhile.
async fn decisions_of<T>(asking: impl Future<Output = T>) -> Decisions {
    let trail = Trail::of("resource_protector::decision");
    let _guard = tracing::subscriber::set_default(Registry::default().with(trail.clone()));
    asking.await;
    let decided = std::mem::take(&mut *trail.events.lock().unwrap());
    decided.into_iter().map(|(level, fields)| (level, fields.0)).collect()
}

#[tokio::test]
async fn what_a_route_decides_by_itself_is_one_event_without_query() {
    let config = ProtectorConfig::from_toml(
        r#"
        resource.identifier = "https://api.test"
        [[route]]
        path = "/open"
        methods = ["GET"]
        public = true
        "#,
    );
    let routes = config.unwrap().routes(protector()).unwrap();
    for (method, path, level, decision, status) in [
        ("GET", "/open", Level::DEBUG, "public", None),
        ("POST", "/open", Level::INFO, "refused", Some("405")),
        ("GET", "/open//", Level::INFO, "refused", Some("400")),
        ("GET", "/other", Level::INFO, "refused", Some("401")),
    ] {
        let mut request = request(&[]);
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = format!("{path}?code=s3cret").parse().unwrap();
        let decided = decisions_of(ask(routes.layer(tower::service_fn(hello)), request)).await;
        let [(found, fields)] = decided.as_slice() else {
            panic!("one event, got {decided:?}");
        };
        assert_eq!((*found, fields["decision"].as_str()), (level, decision));
        assert_eq!(fields.get("status").map(String::as_str), status);
        assert_eq!((fields["method"].as_str(), fields["path"].as_str()), (method, path));
        assert!(!format!("{fields:?}").contains("s3cret"), "{fields:?}");
    }
}

#[tokio::test]
async fn every_decision_is_one_event_with_its_fields() {
    for (field, level, decision, kind, status) in [
        (Some("Bearer both"), Level::DEBUG, "admitted", None, None),
        (None, Level::DEBUG, "anonymous", None, None),
        (
            Some("Basic x"),
            Level::INFO,
            "refused",
            Some("NoCredentials"),
            Some("401"),
        ),
        (Some("Bearer"), Level::INFO, "refused", Some("Malformed"), Some("400")),
        (
            Some("Bearer nope"),
            Level::INFO,
            "refused",
            Some("InvalidToken"),
            Some("401"),
        ),
        (
            Some("Bearer exp"),
            Level::INFO,
            "refused",
            Some("InvalidToken"),
            Some("401"),
        ),
        (
            Some("Bearer down"),
            Level::WARN,
            "refused",
            Some("Unavailable"),
            Some("503"),
        ),
        (
            Some("Bearer broken"),
            Level::ERROR,
            "refused",
            Some("Misconfigured"),
            Some("500"),
        ),
    ] {
        let events = decisions(request(field.as_slice())).await;
        let [(seen, fields)] = &events[..] else {
            panic!("{field:?}: {events:?}")
        };
        assert_eq!((*seen, fields["decision"].as_str()), (level, decision), "{field:?}");
        assert_eq!(fields.get("kind").map(String::as_str), kind);
        assert_eq!(fields.get("status").map(String::as_str), status);
        assert_eq!((fields["method"].as_str(), fields["path"].as_str()), ("GET", "/me"));
    }
}

#[tokio::test]
async fn a_refusal_by_guard_or_handler_is_one_event_after_the_admission() {
    for token in ["noscope", "a1"] {
        let events = decisions(request(&[&format!("Bearer {token}")])).await;
        let told: Vec<_> = events.iter().map(|(_, fields)| fields["decision"].as_str()).collect();
        assert_eq!(told, ["admitted", "refused"], "{token}");
        assert_eq!(events[1].1["kind"], "InsufficientScope");
    }
}

/// Remembers that every token is good, and learns that one was revoked when it has to look again.
struct Remembering;

impl TokenValidator for Remembering {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        match (presented.token(), presented.max_age()) {
            ("revoked", Some(_)) => Err(Rejection::invalid_token(Reason::Inactive, "it was revoked")),
            _ => CurrentToken::vouch_for(&serde_json::json!({ "sub": "alice" })),
        }
    }

    fn about(&self) -> About<'_> {
        About::default().with_asking_anew()
    }
}

#[tokio::test]
async fn a_guard_that_asks_again_reports_what_it_refuses_and_no_second_admission() {
    let protector = ResourceProtectorLayer::new(Remembering);
    let service = ServiceBuilder::new()
        .layer(protector.clone())
        .layer(protector.require_fresh(Duration::ZERO).unwrap())
        .service_fn(hello);
    for (token, expected) in [("good", &["admitted"][..]), ("revoked", &["admitted", "refused"])] {
        let decided = decisions_of(ask(service.clone(), request(&[&format!("Bearer {token}")]))).await;
        let told: Vec<_> = decided.iter().map(|(_, fields)| fields["decision"].as_str()).collect();
        assert_eq!(told, expected, "{token}");
    }
}

#[tokio::test]
async fn an_admitted_token_is_named_by_issuer_and_client_and_not_by_subject() {
    let events = decisions(request(&["Bearer both"])).await;
    let fields = &events[0].1;
    assert_eq!(
        (fields["issuer"].as_str(), fields["client_id"].as_str()),
        ("https://auth.test", "app")
    );
    assert!(!format!("{events:?}").contains("alice"));
}

#[tokio::test]
async fn an_admission_says_where_the_token_stood() {
    let admitted = decisions(request(&["Bearer both"])).await;
    assert_eq!(admitted[0].1["place"], "authorization");
    let trail = Trail::of("resource_protector::decision");
    let _guard = tracing::subscriber::set_default(Registry::default().with(trail.clone()));
    let layer = protector().token_in_cookie("token", [""; 0]).unwrap();
    let mut from_cookie = request(&[]);
    from_cookie
        .headers_mut()
        .insert(http::header::COOKIE, "token=both".parse().unwrap());
    ask_behind(&layer, from_cookie).await;
    assert_eq!(trail.events.lock().unwrap()[0].1.0["place"], "cookie");
}

#[tokio::test]
async fn a_refusal_says_why_and_an_admission_how_old_the_answer_is() {
    let refused = decisions(request(&["Bearer nope"])).await;
    let fields = &refused[0].1;
    assert_eq!(
        (fields["reason"].as_str(), fields["detail"].as_str()),
        ("Inactive", "nobody knows this token")
    );
    let admitted = decisions(request(&["Bearer both"])).await;
    assert_eq!(admitted[0].1["age_seconds"], "0");
}

#[tokio::test]
async fn a_token_that_was_revoked_is_refused_for_that_reason_and_its_subject_is_not_named() {
    let clock = TestClock::new();
    let issuer = TestIssuer::new("https://auth.test").with_clock(clock.clone());
    let hour = Duration::from_secs(3600);
    let terms = RevocationTerms::new([RevokedBy::Subject], hour).unwrap();
    let list = MemoryRevocationList::new(terms).clock(clock.clone());
    let tokens = JwtValidator::discover(issuer.url(), "https://api.test").unwrap();
    let layer = ResourceProtectorLayer::new(tokens.fetch(issuer.clone()));
    let layer = layer.clock(clock.clone()).revocation(list.clone());
    let token = issuer
        .access_token("https://api.test")
        .subject("alice")
        .lifetime(hour)
        .mint();
    let cut_off = CutOff::subject(issuer.url(), "alice", clock.now().wall + hour);
    list.revoke(cut_off).await.unwrap();
    let decided = decisions_of(ask_behind(&layer, request(&[&format!("Bearer {token}")]))).await;
    let [(Level::INFO, fields)] = decided.as_slice() else {
        panic!("one event, got {decided:?}");
    };
    assert_eq!(
        (fields["kind"].as_str(), fields["reason"].as_str()),
        ("InvalidToken", "Revoked")
    );
    assert_eq!(fields["detail"], "the token was revoked");
    assert!(!format!("{fields:?}").contains("alice"), "{fields:?}");
}

#[tokio::test]
async fn no_event_has_the_token_or_the_query() {
    for field in ["Bearer secret-token", "Bearer secret-token x", "Basic secret-token"] {
        let mut asked = request(&[field]);
        *asked.uri_mut() = "/me?access_token=secret-token".parse().unwrap();
        let events = decisions(asked).await;
        assert!(
            !events.is_empty() && !format!("{events:?}").contains("secret-token"),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn a_guard_without_a_protector_is_an_error_event() {
    let trail = Trail::of("resource_protector::decision");
    let _guard = tracing::subscriber::set_default(Registry::default().with(trail.clone()));
    ask(require_scope("x").layer(tower::service_fn(hello)), request(&[])).await;
    let events = trail.events.lock().unwrap();
    assert_eq!((events.len(), events[0].0), (1, Level::ERROR));
}

#[tokio::test]
async fn a_useless_key_is_logged_once_however_often_the_set_is_fetched() {
    let trail = Trail::of("resource_protector::keys");
    let _guard = tracing::subscriber::set_default(Registry::default().with(trail.clone()));
    let clock = TestClock::new();
    let issuer = TestIssuer::new("https://auth.test").with_clock(clock.clone());
    issuer.publish_jwk(serde_json::json!({ "kty": "AKP", "kid": "odd" }));
    let tokens = JwtValidator::discover(issuer.url(), "https://api.test")
        .unwrap()
        .fetch(issuer.clone());
    let layer = ResourceProtectorLayer::new(tokens).clock(clock.clone());
    for _ in 0..3 {
        let token = issuer.access_token("https://api.test").mint();
        assert_eq!(
            ask_behind(&layer, request(&[&format!("Bearer {token}")]))
                .await
                .status(),
            200
        );
        clock.advance(Duration::from_secs(3600));
    }
    assert_eq!(issuer.requests("/jwks"), 3);
    let events = trail.events.lock().unwrap();
    let [(Level::WARN, fields)] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(fields.0["kid"].contains("odd"));
}
