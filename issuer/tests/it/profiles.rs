//! Cases 118–144 and 177–189, as far as they concern tokens in the form of older frameworks.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, body::Body, routing::any};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use resource_protector::{
    Clock as _, CurrentToken, CutOff, HmacAlgorithm, JwtValidator, MemoryRevocationList, ResourceProtectorLayer,
    RevocationList, RevocationTerms, Revoke as _, RevokedBy, Verdict, testing::TestClock,
};
use resource_protector_issuer::{
    TokenErrorKind,
    profiles::{FlaskJwtExtended, MintedToken, NewToken, SimpleJwt, TokenCookies, require_fresh_token},
};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use crate::support::{MINUTE, present};

const SECRET: &str = "a secret that both of the services have";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn flask(clock: &TestClock) -> FlaskJwtExtended {
    FlaskJwtExtended::new(SECRET).unwrap().clock(clock.clone())
}

fn simple(clock: &TestClock) -> SimpleJwt {
    SimpleJwt::new(SECRET).unwrap().clock(clock.clone())
}

fn protector(clock: &TestClock, tokens: JwtValidator) -> ResourceProtectorLayer {
    ResourceProtectorLayer::new(tokens).clock(clock.clone())
}

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A claim set as Flask-JWT-Extended writes it.
fn flask_claims(clock: &TestClock) -> Map<String, Value> {
    let now = seconds(clock.now().wall);
    let claims = json!({
        "fresh": false, "iat": now, "jti": "d6a4e5f7-4a1a-4ab4-9c1e-58df7bd1b9d1", "type": "access", "sub": "alice",
        "nbf": now, "csrf": "5f0f1ad6-1a3b-4b4f-8d3e-6a5b4c3d2e1f", "exp": now + 900,
    });
    claims.as_object().unwrap().clone()
}

/// A claim set as simplejwt writes it.
fn simple_claims(clock: &TestClock) -> Map<String, Value> {
    let now = seconds(clock.now().wall);
    let claims = json!({
        "token_type": "access", "exp": now + 300, "iat": now, "jti": "b54a4d0bfb9e4d5f9d2b7f6f1e0d9c8b", "user_id": "7",
    });
    claims.as_object().unwrap().clone()
}

/// Signed by somebody else's code.
fn signed_with(secret: &str, algorithm: Algorithm, claims: &Map<String, Value>) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn signed(claims: &Map<String, Value>) -> String {
    signed_with(SECRET, Algorithm::HS256, claims)
}

fn with(claims: &Map<String, Value>, name: &str, value: impl Into<Value>) -> Map<String, Value> {
    let mut claims = claims.clone();
    claims.insert(name.to_owned(), value.into());
    claims
}

fn without(claims: &Map<String, Value>, name: &str) -> Map<String, Value> {
    let mut claims = claims.clone();
    assert!(claims.remove(name).is_some(), "{name}");
    claims
}

fn claims_of(token: &str) -> Map<String, Value> {
    let mut validation = jsonwebtoken::Validation::new(Algorithm::HS256);
    validation.validate_aud = false;
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::decode(token, &key, &validation).unwrap().claims
}

fn names(claims: &Map<String, Value>) -> BTreeSet<&str> {
    claims.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn tokens_of_flask_jwt_extended_and_simplejwt_are_accepted_with_their_subjects() {
    let clock = TestClock::new();
    let flask_api = protector(&clock, flask(&clock).access_tokens().unwrap());
    let seen = present(&flask_api, &signed(&flask_claims(&clock))).await.unwrap();
    assert_eq!((seen.subject(), seen.issuer()), (Some("alice"), None));
    let simple_api = protector(&clock, simple(&clock).access_tokens().unwrap());
    let seen = present(&simple_api, &signed(&simple_claims(&clock))).await.unwrap();
    assert_eq!(seen.subject(), Some("7"));
    let number = signed(&with(&simple_claims(&clock), "user_id", 7));
    assert_eq!(present(&simple_api, &number).await.unwrap().subject(), Some("7"));
    // Neither is the other.
    assert_eq!(present(&flask_api, &number).await.unwrap_err(), 401);
    assert_eq!(
        present(&simple_api, &signed(&flask_claims(&clock))).await.unwrap_err(),
        401
    );
}

#[tokio::test]
async fn minted_tokens_have_the_claims_of_their_framework_and_no_others() {
    let clock = TestClock::new();
    let now = seconds(clock.now().wall);
    let access = flask(&clock).mint_access("alice").unwrap();
    let claims = claims_of(access.token());
    assert_eq!(names(&claims), names(&flask_claims(&clock)));
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["type"], "access");
    assert_eq!(claims["fresh"], false);
    assert_eq!((&claims["iat"], &claims["nbf"]), (&json!(now), &json!(now)));
    assert_eq!(claims["exp"], now + 15 * 60);
    assert_eq!(
        (claims["jti"].as_str(), claims["csrf"].as_str()),
        (Some(access.jwt_id()), access.csrf())
    );
    let refresh = claims_of(
        flask(&clock)
            .mint_refresh(NewToken::of("alice").fresh())
            .unwrap()
            .token(),
    );
    assert_eq!(names(&refresh), names(&flask_claims(&clock)));
    assert_eq!(
        (&refresh["type"], &refresh["fresh"]),
        (&json!("refresh"), &json!(false))
    );
    assert_eq!(refresh["exp"], now + 30 * 86400);

    let access = claims_of(simple(&clock).mint_access(7).unwrap().token());
    assert_eq!(names(&access), names(&simple_claims(&clock)));
    assert_eq!(
        (&access["user_id"], &access["token_type"]),
        (&json!(7), &json!("access"))
    );
    assert_eq!(access["exp"], now + 5 * 60);
    let refresh = claims_of(simple(&clock).mint_refresh("7").unwrap().token());
    assert_eq!(
        (&refresh["user_id"], &refresh["token_type"]),
        (&json!("7"), &json!("refresh"))
    );
    assert_eq!(refresh["exp"], now + 86400);
}

#[tokio::test]
async fn settings_of_the_other_side_are_settings_here() {
    let clock = TestClock::new();
    let secret = "a secret that both of the services have, and that is long enough for any hash";
    let profile = FlaskJwtExtended::new(secret)
        .unwrap()
        .clock(clock.clone())
        .algorithm(HmacAlgorithm::HS512)
        .unwrap()
        .issuer("https://old.test")
        .unwrap()
        .audience(["https://api.test"])
        .unwrap()
        .identity_claim("uid")
        .unwrap()
        .access_token_lifetime(MINUTE)
        .unwrap();
    let api = protector(&clock, profile.access_tokens().unwrap());
    let token = profile
        .mint_access(NewToken::of(7).claim("role", "admin").unwrap())
        .unwrap();
    let seen = present(&api, token.token()).await.unwrap();
    assert_eq!((seen.subject(), seen.issuer()), (Some("7"), Some("https://old.test")));
    assert_eq!(seen.audience().collect::<Vec<_>>(), ["https://api.test"]);
    assert_eq!(seen.claim::<String>("role").as_deref(), Some("admin"));
    assert_eq!(seconds(token.expires_at()), seconds(clock.now().wall) + 60);
    let claims = with(&without(&flask_claims(&clock), "sub"), "uid", 7);
    let claims = with(&with(&claims, "iss", "https://old.test"), "aud", "https://api.test");
    assert!(
        present(&api, &signed_with(secret, Algorithm::HS512, &claims))
            .await
            .is_ok()
    );
    for spoilt in [
        signed_with(secret, Algorithm::HS256, &claims),
        signed_with(secret, Algorithm::HS512, &without(&claims, "iss")),
        signed_with(secret, Algorithm::HS512, &without(&claims, "aud")),
        signed_with(secret, Algorithm::HS512, &with(&claims, "aud", "https://other.test")),
        signed_with(secret, Algorithm::HS512, &without(&claims, "uid")),
    ] {
        assert_eq!(present(&api, &spoilt).await.unwrap_err(), 401);
    }
}

#[tokio::test]
async fn while_an_issuer_is_being_introduced_tokens_name_it_or_none_and_never_another() {
    let clock = TestClock::new();
    let claims = flask_claims(&clock);
    let ours = signed(&with(&claims, "iss", "https://old.test"));
    let other = signed(&with(&claims, "iss", "https://other.test"));
    let before = signed(&claims);
    let meanwhile = flask(&clock).issuer_or_none("https://old.test").unwrap();
    let afterwards = flask(&clock).issuer("https://old.test").unwrap();
    let minted = claims_of(meanwhile.mint_access("alice").unwrap().token());
    assert_eq!(minted["iss"], "https://old.test");
    for (profile, is_before_accepted) in [(meanwhile, true), (afterwards, false)] {
        let api = protector(&clock, profile.access_tokens().unwrap());
        assert!(present(&api, &ours).await.is_ok());
        assert_eq!(present(&api, &other).await.unwrap_err(), 401);
        assert_eq!(present(&api, &before).await.is_ok(), is_before_accepted);
    }
}

#[tokio::test]
async fn a_refresh_token_opens_no_access_route_and_an_access_token_no_refresh_route() {
    let clock = TestClock::new();
    let (flask, simple) = (flask(&clock), simple(&clock));
    let of_flask = [
        flask.mint_access("alice").unwrap(),
        flask.mint_refresh("alice").unwrap(),
    ];
    let of_simple = [simple.mint_access(7).unwrap(), simple.mint_refresh(7).unwrap()];
    for ([access, refresh], [for_access, for_refresh]) in [
        (
            &of_flask,
            [flask.access_tokens().unwrap(), flask.refresh_tokens().unwrap()],
        ),
        (
            &of_simple,
            [simple.access_tokens().unwrap(), simple.refresh_tokens().unwrap()],
        ),
    ] {
        let (for_access, for_refresh) = (protector(&clock, for_access), protector(&clock, for_refresh));
        assert!(present(&for_access, access.token()).await.is_ok());
        assert_eq!(present(&for_access, refresh.token()).await.unwrap_err(), 401);
        assert!(present(&for_refresh, refresh.token()).await.is_ok());
        assert_eq!(present(&for_refresh, access.token()).await.unwrap_err(), 401);
    }
    let log_out = protector(&clock, flask.tokens_of_both_types_for_log_out_only().unwrap());
    for token in &of_flask {
        assert!(present(&log_out, token.token()).await.is_ok());
    }
    let neither = signed(&with(&flask_claims(&clock), "type", "app"));
    assert_eq!(present(&log_out, &neither).await.unwrap_err(), 401);
}

#[tokio::test]
async fn a_token_of_another_type_is_an_access_token_only_where_that_is_said() {
    let clock = TestClock::new();
    let strict = protector(&clock, flask(&clock).access_tokens().unwrap());
    let app = signed(&with(&flask_claims(&clock), "type", "app"));
    let untyped = signed(&without(&flask_claims(&clock), "type"));
    for token in [&app, &untyped] {
        assert_eq!(present(&strict, token).await.unwrap_err(), 401);
    }
    let relaxed = flask(&clock).access_token_types(["access", "app"]).unwrap();
    let relaxed = protector(&clock, relaxed.access_tokens().unwrap());
    assert!(present(&relaxed, &app).await.is_ok());
    assert_eq!(present(&relaxed, &untyped).await.unwrap_err(), 401);
    assert!(flask(&clock).access_token_types(["access", "refresh"]).is_err());
    assert!(flask(&clock).access_token_types([""; 0]).is_err());
}

#[tokio::test]
async fn whatever_is_missing_wrong_or_over_in_a_token_it_is_401() {
    let clock = TestClock::new();
    let (of_flask, of_simple) = (flask_claims(&clock), simple_claims(&clock));
    let now = seconds(clock.now().wall);
    let none = signed(&of_flask);
    let (_, rest) = none.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"}
    let none = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        rest.split_once('.').unwrap().0
    );
    let other = "a secret that neither of the services has";
    let api = protector(&clock, flask(&clock).access_tokens().unwrap());
    for (what, token) in [
        ("garbage", "garbage".to_owned()),
        ("none", none),
        ("key", signed_with(other, Algorithm::HS256, &of_flask)),
        ("algorithm", signed_with(SECRET, Algorithm::HS512, &of_flask)),
        ("exp", signed(&without(&of_flask, "exp"))),
        ("jti", signed(&without(&of_flask, "jti"))),
        ("sub", signed(&without(&of_flask, "sub"))),
        ("a number in sub", signed(&with(&of_flask, "sub", 7))),
        ("iat", signed(&without(&of_flask, "iat"))),
        ("expired", signed(&with(&of_flask, "exp", now - 11))),
        ("nbf", signed(&with(&of_flask, "nbf", now + 60))),
        ("issued later", signed(&with(&of_flask, "iat", now + 60))),
        ("another issuer", signed(&with(&of_flask, "iss", "https://other.test"))),
        ("for others", signed(&with(&of_flask, "aud", "https://other.test"))),
    ] {
        assert_eq!(present(&api, &token).await.unwrap_err(), 401, "{what}");
    }
    let api = protector(&clock, simple(&clock).access_tokens().unwrap());
    for (what, token) in [
        ("exp", signed(&without(&of_simple, "exp"))),
        ("jti", signed(&without(&of_simple, "jti"))),
        ("type", signed(&without(&of_simple, "token_type"))),
        ("user", signed(&without(&of_simple, "user_id"))),
        (
            "sub instead",
            signed(&with(&without(&of_simple, "user_id"), "sub", "7")),
        ),
        (
            "sliding",
            signed(&with(
                &with(&of_simple, "token_type", "sliding"),
                "refresh_exp",
                now + 900,
            )),
        ),
    ] {
        assert_eq!(present(&api, &token).await.unwrap_err(), 401, "{what}");
    }
}

#[tokio::test]
async fn clocks_may_differ_by_as_much_as_is_said() {
    let clock = TestClock::new();
    let now = seconds(clock.now().wall);
    let ago = |ago: u64| signed(&with(&simple_claims(&clock), "exp", now - ago));
    let tokens = |leeway| {
        let profile = simple(&clock).leeway(Duration::from_secs(leeway)).unwrap();
        protector(&clock, profile.access_tokens().unwrap())
    };
    assert!(present(&tokens(10), &ago(5)).await.is_ok());
    assert_eq!(present(&tokens(10), &ago(15)).await.unwrap_err(), 401);
    assert_eq!(present(&tokens(0), &ago(5)).await.unwrap_err(), 401);
    assert!(simple(&clock).leeway(Duration::from_secs(301)).is_err());
}

#[test]
fn settings_that_cannot_be_used_are_refused_at_start() {
    let clock = TestClock::new();
    assert!(FlaskJwtExtended::new("super-secret").is_err() && SimpleJwt::new([7; 31]).is_err());
    assert!(
        FlaskJwtExtended::new(SECRET)
            .unwrap()
            .algorithm(HmacAlgorithm::HS512)
            .is_err()
    );
    assert!(flask(&clock).issuer("").is_err() && simple(&clock).issuer("").is_err());
    assert!(flask(&clock).audience([""; 0]).is_err() && simple(&clock).audience([" "]).is_err());
    assert!(flask(&clock).identity_claim("").is_err() && simple(&clock).user_id_claim("").is_err());
    assert!(flask(&clock).access_token_lifetime(Duration::ZERO).is_err());
    assert!(simple(&clock).refresh_token_lifetime(400 * DAY).is_err());
    // A mark that every token has tells nothing apart.
    assert!(simple(&clock).token_type_claim("jti").unwrap().access_tokens().is_err());
    for shown in [
        format!("{:?}", flask(&clock)),
        format!("{:?}", simple(&clock).mint_access("alice")),
    ] {
        assert!(
            !shown.contains(SECRET) && !shown.contains("alice") && !shown.contains("eyJ"),
            "{shown}"
        );
    }
}

#[test]
fn a_profile_writes_its_own_claims_and_nobody_else_does() {
    let clock = TestClock::new();
    let refused = |minted: Result<MintedToken, resource_protector_issuer::TokenError>| {
        assert_eq!(minted.unwrap_err().kind(), TokenErrorKind::Unusable);
    };
    for name in ["type", "fresh", "sub", "exp", "jti", "iss", "csrf"] {
        refused(flask(&clock).mint_access(NewToken::of("alice").claim(name, "x").unwrap()));
    }
    for name in ["token_type", "user_id", "exp", "aud"] {
        refused(simple(&clock).mint_access(NewToken::of("alice").claim(name, "x").unwrap()));
    }
    refused(flask(&clock).mint_access(""));
    refused(simple(&clock).mint_access(NewToken::of("alice").fresh()));
}

/// An API whose routes are there for every method.
fn app(protector: ResourceProtectorLayer, clock: &TestClock) -> Router {
    async fn subject(token: Option<axum::Extension<CurrentToken>>, headers: HeaderMap) -> String {
        let subject = token.map(|token| token.subject().unwrap_or_default().to_owned());
        let cookies = headers
            .get(header::COOKIE)
            .map(|cookies| cookies.to_str().unwrap().to_owned());
        format!("{} {}", subject.unwrap_or_default(), cookies.unwrap_or_default())
    }
    Router::new()
        .route("/", any(subject))
        .route("/fresh", any(subject).layer(require_fresh_token().clock(clock.clone())))
        .layer(protector)
}

async fn ask(app: &Router, method: Method, path: &str, headers: &[(HeaderName, &str)]) -> Response<String> {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_route_for_fresh_tokens_refuses_stale_ones_and_those_whose_time_is_over() {
    let clock = TestClock::new();
    let profile = flask(&clock);
    let app = app(protector(&clock, profile.access_tokens().unwrap()), &clock);
    let now = seconds(clock.now().wall);
    let fresh = |fresh: Value| signed(&with(&flask_claims(&clock), "fresh", fresh));
    for (token, expected) in [
        (profile.mint_access("alice").unwrap().token().to_owned(), 401),
        (
            profile
                .mint_access(NewToken::of("alice").fresh())
                .unwrap()
                .token()
                .to_owned(),
            200,
        ),
        (
            profile
                .mint_access(NewToken::of("alice").fresh_for(5 * MINUTE))
                .unwrap()
                .token()
                .to_owned(),
            200,
        ),
        (fresh(json!(true)), 200),
        (fresh(json!(false)), 401),
        (fresh(json!(now + 300)), 200),
        // As there: with a fraction.
        (fresh(json!(now as f64 + 300.25)), 200),
        (fresh(json!(now - 300)), 401),
        (fresh(json!("true")), 401),
        (fresh(json!(null)), 401),
        (signed(&without(&flask_claims(&clock), "fresh")), 401),
    ] {
        let bearer = format!("Bearer {token}");
        let answer = ask(&app, Method::GET, "/fresh", &[(header::AUTHORIZATION, &bearer)]).await;
        assert_eq!(
            answer.status(),
            expected,
            "{:?}",
            claims_of(&token)["fresh".to_owned().as_str()]
        );
        if expected == 401 {
            let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
            assert_eq!(
                ask(&app, Method::GET, "/", &[(header::AUTHORIZATION, &bearer)])
                    .await
                    .status(),
                200
            );
        }
    }
    let timed = profile
        .mint_access(NewToken::of("alice").fresh_for(5 * MINUTE))
        .unwrap();
    let bearer = format!("Bearer {}", timed.token());
    clock.advance(5 * MINUTE + Duration::from_secs(1));
    assert_eq!(
        ask(&app, Method::GET, "/fresh", &[(header::AUTHORIZATION, &bearer)])
            .await
            .status(),
        401
    );
    assert_eq!(ask(&app, Method::GET, "/fresh", &[]).await.status(), 401);
}

#[tokio::test]
async fn a_route_for_fresh_tokens_is_closed_without_a_protector_and_to_the_anonymous() {
    let clock = TestClock::new();
    let bare = Router::new().route("/", any(|| async { "open" }).layer(require_fresh_token()));
    assert_eq!(ask(&bare, Method::GET, "/", &[]).await.status(), 500);
    let optional = protector(&clock, flask(&clock).access_tokens().unwrap()).optional();
    let app = app(optional, &clock);
    assert_eq!(ask(&app, Method::GET, "/", &[]).await.status(), 200);
    assert_eq!(ask(&app, Method::GET, "/fresh", &[]).await.status(), 401);
}

const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

struct Browser {
    app: Router,
    token: MintedToken,
    cookie: String,
}

impl Browser {
    fn new(clock: &TestClock) -> Self {
        let profile = flask(clock);
        let token = profile.mint_access("alice").unwrap();
        let protector = protector(clock, profile.access_tokens().unwrap());
        Self {
            app: app(protector, clock).layer(TokenCookies::flask_jwt_extended().access_layer()),
            cookie: format!("theme=dark; access_token_cookie={}; lang=en", token.token()),
            token,
        }
    }

    async fn sends(&self, method: Method, more: &[(HeaderName, &str)]) -> Response<String> {
        let headers = [&[(header::COOKIE, self.cookie.as_str())], more].concat();
        ask(&self.app, method, "/", &headers).await
    }

    fn csrf(&self) -> &str {
        self.token.csrf().unwrap()
    }
}

#[tokio::test]
async fn a_token_in_a_cookie_opens_safe_methods_alone_and_others_with_its_csrf_claim_in_a_header() {
    let clock = TestClock::new();
    let browser = Browser::new(&clock);
    let answer = browser.sends(Method::GET, &[]).await;
    assert_eq!(answer.status(), 200);
    // The token goes no further, other cookies do, and no shared cache keeps the answer.
    assert_eq!(answer.body(), "alice theme=dark; lang=en");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "private");
    assert_eq!(answer.headers()[header::VARY], "cookie");
    for method in ["POST", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(
            browser.sends(method.clone(), &[(CSRF, browser.csrf())]).await.status(),
            200,
            "{method}"
        );
        let other = flask(&clock).mint_access("alice").unwrap();
        for spoilt in [
            &[][..],
            &[(CSRF, "")],
            &[(CSRF, other.csrf().unwrap())],
            &[(CSRF, &browser.csrf()[1..])],
            &[(CSRF, browser.csrf()), (CSRF, browser.csrf())],
        ] {
            let answer = browser.sends(method.clone(), spoilt).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method} {spoilt:?}");
            assert!(answer.body().contains("access_denied") && !answer.headers().contains_key("www-authenticate"));
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        }
    }
    for method in [Method::HEAD, Method::OPTIONS, Method::TRACE] {
        assert_eq!(browser.sends(method, &[]).await.status(), 200);
    }
    // A page of others may open a WebSocket, and read what it says.
    let upgrade = [(header::UPGRADE, "websocket"), (header::CONNECTION, "upgrade")];
    assert_eq!(browser.sends(Method::GET, &upgrade).await.status(), 403);
}

#[tokio::test]
async fn a_header_decides_alone_and_a_cookie_that_stands_twice_is_refused() {
    let clock = TestClock::new();
    let browser = Browser::new(&clock);
    let bob = flask(&clock).mint_access("bob").unwrap();
    let bearer = format!("Bearer {}", bob.token());
    let answer = browser.sends(Method::POST, &[(header::AUTHORIZATION, &bearer)]).await;
    assert!(
        answer.status() == 200 && answer.body().starts_with("bob "),
        "{answer:?}"
    );
    assert!(!answer.headers().contains_key(header::CACHE_CONTROL));
    for bad in ["Bearer nonsense", "Basic YTpi", ""] {
        assert_eq!(
            browser
                .sends(Method::GET, &[(header::AUTHORIZATION, bad)])
                .await
                .status(),
            401,
            "{bad}"
        );
    }
    let again = format!("access_token_cookie={}", bob.token());
    assert_eq!(
        browser.sends(Method::GET, &[(header::COOKIE, &again)]).await.status(),
        400
    );
    let csrf = [(header::COOKIE, again.as_str()), (CSRF, browser.csrf())];
    assert_eq!(browser.sends(Method::POST, &csrf).await.status(), 403);
}

#[tokio::test]
async fn what_is_in_the_cookie_is_verified_whatever_its_csrf_claim_says() {
    let clock = TestClock::new();
    let mut browser = Browser::new(&clock);
    let csrf = "5f0f1ad6-1a3b-4b4f-8d3e-6a5b4c3d2e1f";
    let forged = signed_with(
        "a secret that neither of the services has",
        Algorithm::HS256,
        &flask_claims(&clock),
    );
    let expired = signed(&with(&flask_claims(&clock), "exp", 1));
    let refresh = signed(&with(&flask_claims(&clock), "type", "refresh"));
    for (token, expected) in [
        (signed(&flask_claims(&clock)), 200),
        (forged, 401),
        (expired, 401),
        (refresh, 401),
        (signed(&without(&flask_claims(&clock), "csrf")), 403),
        (signed(&with(&flask_claims(&clock), "csrf", 7)), 403),
        ("garbage".to_owned(), 403),
        ("a.b.c".to_owned(), 403),
        ("x".repeat(20_000), 403),
        (String::new(), 401),
    ] {
        browser.cookie = format!("access_token_cookie={token}");
        assert_eq!(
            browser.sends(Method::POST, &[(CSRF, csrf)]).await.status(),
            expected,
            "{token}"
        );
    }
    browser.cookie = "xaccess_token_cookie=a; access_token_cookiex=b; theme=dark".to_owned();
    assert_eq!(browser.sends(Method::GET, &[]).await.status(), 401);
}

#[tokio::test]
async fn a_refresh_token_is_read_from_its_own_cookie() {
    let clock = TestClock::new();
    let profile = flask(&clock);
    let cookies = TokenCookies::host_only();
    let refresh = profile.mint_refresh("alice").unwrap();
    let app = app(protector(&clock, profile.refresh_tokens().unwrap()), &clock).layer(cookies.refresh_layer());
    let cookie = format!("__Host-refresh_token_cookie={}", refresh.token());
    let with_csrf = [(header::COOKIE, cookie.as_str()), (CSRF, refresh.csrf().unwrap())];
    assert_eq!(ask(&app, Method::POST, "/", &with_csrf).await.status(), 200);
    assert_eq!(ask(&app, Method::POST, "/", &with_csrf[..1]).await.status(), 403);
    let access = format!("__Host-access_token_cookie={}", refresh.token());
    assert_eq!(
        ask(
            &app,
            Method::POST,
            "/",
            &[(header::COOKIE, &access), with_csrf[1].clone()]
        )
        .await
        .status(),
        401
    );
}

#[test]
fn cookies_are_set_for_the_browser_alone_and_taken_away_again() {
    let clock = TestClock::new();
    let cookies = TokenCookies::flask_jwt_extended()
        .refresh_path("/token/refresh")
        .unwrap();
    let token = flask(&clock).mint_access("alice").unwrap();
    let [access, csrf] = cookies.set_access(&token).unwrap();
    let (jwt, sign) = (token.token(), token.csrf().unwrap());
    assert_eq!(
        access,
        format!("access_token_cookie={jwt}; Path=/; HttpOnly; Secure; SameSite=Lax")
    );
    assert_eq!(csrf, format!("csrf_access_token={sign}; Path=/; Secure; SameSite=Lax"));
    assert!(access.is_sensitive() && csrf.is_sensitive());
    let [refresh, csrf] = cookies.set_refresh(&token).unwrap();
    assert!(refresh.to_str().unwrap().contains("; Path=/token/refresh; HttpOnly"));
    assert!(csrf.to_str().unwrap().starts_with("csrf_refresh_token="));
    assert_eq!(
        cookies.unset(),
        [
            "access_token_cookie=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0",
            "csrf_access_token=; Path=/; Secure; SameSite=Lax; Max-Age=0",
            "refresh_token_cookie=; Path=/token/refresh; HttpOnly; Secure; SameSite=Lax; Max-Age=0",
            "csrf_refresh_token=; Path=/; Secure; SameSite=Lax; Max-Age=0",
        ]
    );
    let simple = simple(&clock).mint_access("alice").unwrap();
    assert_eq!(
        cookies.set_access(&simple).unwrap_err().kind(),
        TokenErrorKind::Unusable
    );
}

#[test]
fn names_and_paths_that_no_cookie_has_are_refused() {
    let cookies = TokenCookies::flask_jwt_extended;
    for (token, csrf) in [
        ("", "b"),
        ("a", ""),
        ("a b", "c"),
        ("a;", "b"),
        ("a=", "b"),
        ("a", "a"),
        ("csrf_refresh_token", "b"),
    ] {
        assert!(cookies().access_names(token, csrf).is_err(), "{token} {csrf}");
    }
    assert!(cookies().refresh_names("a", "access_token_cookie").is_err());
    assert!(cookies().access_names("a", "b").is_ok() && cookies().refresh_names("a", "b").is_ok());
    for path in ["", "refresh", "/a;b", "/a b", "/ä"] {
        assert!(cookies().refresh_path(path).is_err(), "{path}");
    }
    assert!(TokenCookies::host_only().refresh_path("/refresh").is_err());
    for header in ["", "x y", "Accept", "content-type"] {
        assert!(cookies().csrf_header(header).is_err(), "{header}");
    }
    assert!(cookies().csrf_header("X-XSRF-TOKEN").is_ok());
}

#[tokio::test]
async fn a_blocklist_by_jti_and_a_changed_password_stop_tokens_that_name_no_issuer() {
    let clock = TestClock::new();
    let profile = flask(&clock);
    let terms = profile
        .revocation_terms([RevokedBy::TokenId, RevokedBy::Subject], 30 * DAY)
        .unwrap();
    let list = MemoryRevocationList::new(terms).clock(clock.clone());
    let guarded = |tokens| protector(&clock, tokens).revocation(list.clone());
    let (api, refresh) = (
        guarded(profile.access_tokens().unwrap()),
        guarded(profile.refresh_tokens().unwrap()),
    );
    let (mine, other) = (
        profile.mint_access("alice").unwrap(),
        profile.mint_access("alice").unwrap(),
    );
    let long = profile.mint_refresh("alice").unwrap();
    let seen = present(&api, mine.token()).await.unwrap();
    list.revoke(profile.cut_off(&seen).unwrap()).await.unwrap();
    assert_eq!(present(&api, mine.token()).await.unwrap_err(), 401);
    assert!(present(&api, other.token()).await.is_ok() && present(&refresh, long.token()).await.is_ok());
    // Of both, whether anybody has seen them or not; and nobody else's.
    clock.advance(MINUTE);
    revoke_all(&list, profile.cut_offs_of("alice", clock.now().wall)).await;
    assert_eq!(present(&api, other.token()).await.unwrap_err(), 401);
    assert_eq!(present(&refresh, long.token()).await.unwrap_err(), 401);
    assert!(present(&api, profile.mint_access("bob").unwrap().token()).await.is_ok());
    clock.advance(Duration::from_secs(1));
    assert!(
        present(&api, profile.mint_access("alice").unwrap().token())
            .await
            .is_ok()
    );

    let simple = simple(&clock);
    let terms = simple.revocation_terms([RevokedBy::Subject], DAY).unwrap();
    let list = MemoryRevocationList::new(terms).clock(clock.clone());
    let api = protector(&clock, simple.access_tokens().unwrap()).revocation(list.clone());
    let old = simple.mint_access(7).unwrap();
    assert!(present(&api, old.token()).await.is_ok());
    clock.advance(MINUTE);
    revoke_all(&list, simple.cut_offs_of("7", clock.now().wall)).await;
    assert_eq!(present(&api, old.token()).await.unwrap_err(), 401);
    clock.advance(Duration::from_secs(1));
    assert!(present(&api, simple.mint_access(7).unwrap().token()).await.is_ok());
}

async fn revoke_all(list: &MemoryRevocationList, cut_offs: Vec<CutOff>) {
    assert!(!cut_offs.is_empty());
    for cut_off in cut_offs {
        list.revoke(cut_off).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_revoked_before_an_issuer_was_introduced_stays_so_and_a_log_out_everywhere_ends_both_kinds() {
    let clock = TestClock::new();
    let before = flask(&clock);
    let by = [RevokedBy::TokenId, RevokedBy::Subject];
    let list = MemoryRevocationList::new(before.revocation_terms(by, DAY).unwrap()).clock(clock.clone());
    let api = protector(&clock, before.access_tokens().unwrap());
    let [dead, old] = ["alice", "alice"].map(|user| before.mint_access(user).unwrap());
    let seen = present(&api, dead.token()).await.unwrap();
    list.revoke(before.cut_off(&seen).unwrap()).await.unwrap();

    let meanwhile = flask(&clock).issuer_or_none("https://old.test").unwrap();
    let api = protector(&clock, meanwhile.access_tokens().unwrap()).revocation(list.clone());
    let new = meanwhile.mint_access("alice").unwrap();
    assert_eq!(present(&api, dead.token()).await.unwrap_err(), 401);
    assert!(present(&api, old.token()).await.is_ok() && present(&api, new.token()).await.is_ok());
    clock.advance(MINUTE);
    revoke_all(&list, meanwhile.cut_offs_of("alice", clock.now().wall)).await;
    for token in [&old, &new] {
        assert_eq!(present(&api, token.token()).await.unwrap_err(), 401);
    }
}

/// A blocklist that cannot be read.
struct Broken(RevocationTerms);

impl RevocationList for Broken {
    fn verdict(&self, _: &CurrentToken, _: resource_protector::Moment) -> Verdict {
        Verdict::Unknown
    }

    fn terms(&self) -> &RevocationTerms {
        &self.0
    }

    fn is_in_step(&self, _: resource_protector::Moment) -> bool {
        false
    }
}

#[tokio::test]
async fn a_blocklist_that_cannot_be_read_is_503_and_no_reason_to_let_a_token_in() {
    let clock = TestClock::new();
    let profile = flask(&clock);
    let list = Broken(profile.revocation_terms([RevokedBy::TokenId], DAY).unwrap());
    let api = protector(&clock, profile.access_tokens().unwrap()).revocation(list);
    assert_eq!(
        present(&api, profile.mint_access("alice").unwrap().token())
            .await
            .unwrap_err(),
        503
    );
}

#[tokio::test]
async fn an_access_token_made_from_a_refresh_token_has_its_claims_and_an_identifier_and_end_of_its_own() {
    let clock = TestClock::new();
    let profile = simple(&clock);
    let refresh = profile
        .mint_refresh(NewToken::of(7).claim("tenant", "t1").unwrap())
        .unwrap();
    let seen = present(&protector(&clock, profile.refresh_tokens().unwrap()), refresh.token())
        .await
        .unwrap();
    clock.advance(MINUTE);
    let access = profile.mint_access_from(&seen).unwrap();
    let claims = claims_of(access.token());
    assert_eq!((&claims["user_id"], &claims["tenant"]), (&json!(7), &json!("t1")));
    assert_eq!(claims["token_type"], "access");
    assert_eq!(claims["exp"], seconds(clock.now().wall) + 300);
    assert_ne!(access.jwt_id(), refresh.jwt_id());
    assert!(
        present(&protector(&clock, profile.access_tokens().unwrap()), access.token())
            .await
            .is_ok()
    );
}
