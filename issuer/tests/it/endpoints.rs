//! The introspection and the revocation endpoint, as clients and resource servers see them.

use std::{convert::Infallible, fs, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use jsonwebtoken::{EncodingKey, Header};
use resource_protector::{
    Algorithm, ClientAuth, Fetch, FetchError, IntrospectionValidator, MemoryRevocationList, ResourceProtectorLayer,
};
use resource_protector_issuer::{
    AccessTokens, IssuedTokens, KeyRing, RefreshRequest, TokenIssuer, TokenRequest,
    clients::{Client, ClientAuthentication, ClientSecret, MemoryClients},
    endpoints::{IntrospectionEndpoint, ResponseBody, RevocationEndpoint},
    store::MemoryStore,
};
use serde_json::{Value, json};
use tower::{Service, ServiceExt as _};

use crate::support::{API, ISSUER, MINUTE, World, present, terms};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const WRONG: &str = "fedcba9876543210fedcba9876543210";

/// The endpoints of a world with five clients: `app` and `other` get tokens, `spa` does so and is public, `api` is a
/// resource server, and `poster` sends its secret in the form.
#[derive(Clone)]
struct Endpoints {
    introspection: IntrospectionEndpoint,
    revocation: RevocationEndpoint,
}

fn endpoints(world: &World) -> Endpoints {
    let secret = ClientSecret::new(SECRET).unwrap();
    let with_secret = |id: &str| Client::with_secret(id, &secret).unwrap();
    let clients = MemoryClients::new([
        with_secret("app"),
        with_secret("other"),
        with_secret("api").may_introspect().unwrap(),
        with_secret("poster")
            .secret_in_form()
            .unwrap()
            .may_introspect()
            .unwrap(),
        Client::public("spa").unwrap(),
    ]);
    let clients = ClientAuthentication::new(ISSUER, clients, world.store.clone()).unwrap();
    let clients = clients.clock(world.clock.clone());
    Endpoints {
        introspection: IntrospectionEndpoint::new(world.issuer.clone(), clients.clone()),
        revocation: RevocationEndpoint::new(world.issuer.clone(), clients),
    }
}

/// An answer, read.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    challenge: String,
    body: Value,
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

async fn ask<S>(endpoint: &S, request: Request<Full<Bytes>>) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    let (parts, body) = endpoint.clone().oneshot(request).await.unwrap().into_parts();
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
    let body = body.collect().await.unwrap().to_bytes();
    let challenge = parts.headers.get(header::WWW_AUTHENTICATE);
    Answer {
        status: parts.status.as_u16(),
        challenge: challenge
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default(),
        body: if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap()
        },
    }
}

async fn post<S>(endpoint: &S, authorization: Option<&str>, pairs: &[(&str, &str)]) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    let mut request = Request::post("/").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    ask(endpoint, request.body(Full::from(form(pairs))).unwrap()).await
}

impl Endpoints {
    async fn introspect_as(&self, client: &str, pairs: &[(&str, &str)]) -> Answer {
        post(&self.introspection, Some(&basic(client, SECRET)), pairs).await
    }

    /// What the resource server is told.
    async fn introspect(&self, token: &str) -> Value {
        let answer = self.introspect_as("api", &[("token", token)]).await;
        assert_eq!(answer.status, 200);
        answer.body
    }

    async fn revoke_as(&self, client: &str, pairs: &[(&str, &str)]) -> Answer {
        post(&self.revocation, Some(&basic(client, SECRET)), pairs).await
    }

    async fn revoke(&self, token: &str) -> Answer {
        self.revoke_as("app", &[("token", token)]).await
    }
}

fn inactive() -> Value {
    json!({ "active": false })
}

fn done() -> Answer {
    Answer {
        status: 200,
        challenge: String::new(),
        body: Value::Null,
    }
}

fn failed(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status, &answer.body["error"]),
        (status, &json!(error)),
        "{answer:?}"
    );
    assert_eq!(answer.challenge.starts_with("Basic "), status == 401, "{answer:?}");
}

async fn tokens(world: &World) -> IssuedTokens {
    world.issuer.issue(world.request()).await.unwrap()
}

async fn both_worlds() -> [World; 2] {
    [World::jwt().await, World::opaque().await]
}

/// Cases 145 to 147, and 156: what is refused at both endpoints. Nothing is looked up for it.
async fn refuses_strangers<S>(endpoint: &S, token: &str)
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    let pair = ("token", token);
    for authorization in [
        None,
        Some(basic("api", WRONG)),
        Some(basic("nobody", SECRET)),
        Some(basic("poster", SECRET)),
        Some(basic("spa", "")),
        Some(format!("Bearer {token}")),
        Some("Basic".to_owned()),
    ] {
        failed(
            &post(endpoint, authorization.as_deref(), &[pair]).await,
            401,
            "invalid_client",
        );
    }
    for form in [
        vec![pair, ("client_id", "api")],
        vec![pair, ("client_id", "nobody")],
        vec![pair, ("client_id", "api"), ("client_secret", SECRET)],
        vec![pair, ("client_id", "poster"), ("client_secret", WRONG)],
        vec![pair, ("client_secret", SECRET)],
    ] {
        failed(&post(endpoint, None, &form).await, 401, "invalid_client");
    }
    let twice = [pair, ("client_id", "api"), ("client_secret", SECRET)];
    failed(
        &post(endpoint, Some(&basic("api", SECRET)), &twice).await,
        400,
        "invalid_request",
    );
}

/// Cases 148, 153 and 168: what is no form with one token in it.
async fn refuses_what_is_no_request<S>(endpoint: &S, token: &str)
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    let authorization = basic("api", SECRET);
    for form in [
        vec![],
        vec![("token", "")],
        vec![("token_type_hint", "access_token")],
        vec![("token", token), ("token", token)],
    ] {
        failed(
            &post(endpoint, Some(&authorization), &form).await,
            400,
            "invalid_request",
        );
    }
    let request = |method: &str, content_type: &str, body: String| {
        Request::builder()
            .method(method)
            .uri(format!("/?{}", form(&[("token", token)])))
            .header(header::AUTHORIZATION, &authorization)
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::from(body))
            .unwrap()
    };
    let form_type = "application/x-www-form-urlencoded";
    let get = ask(endpoint, request("GET", form_type, String::new())).await;
    failed(&get, 405, "invalid_request");
    let query = ask(endpoint, request("POST", form_type, String::new())).await;
    failed(&query, 400, "invalid_request");
    let json = json!({ "token": token }).to_string();
    failed(
        &ask(endpoint, request("POST", "application/json", json)).await,
        400,
        "invalid_request",
    );
}

#[tokio::test]
async fn nobody_introspects_without_authenticating_as_a_client_in_its_way() {
    let world = World::opaque().await;
    let tokens = tokens(&world).await;
    let endpoint = endpoints(&world).introspection;
    refuses_strangers(&endpoint, tokens.access_token()).await;
    let public = [("token", tokens.access_token()), ("client_id", "spa")];
    failed(&post(&endpoint, None, &public).await, 401, "invalid_client");
}

#[tokio::test]
async fn nobody_revokes_without_authenticating_as_a_client_in_its_way() {
    let world = World::opaque().await;
    let tokens = tokens(&world).await;
    let endpoints = endpoints(&world);
    refuses_strangers(&endpoints.revocation, tokens.access_token()).await;
    assert_eq!(endpoints.introspect(tokens.access_token()).await["active"], true);
}

#[tokio::test]
async fn an_endpoint_wants_a_form_that_is_posted_with_one_token_in_it() {
    let world = World::opaque().await;
    let tokens = tokens(&world).await;
    let endpoints = endpoints(&world);
    refuses_what_is_no_request(&endpoints.introspection, tokens.access_token()).await;
    refuses_what_is_no_request(&endpoints.revocation, tokens.access_token()).await;
    assert_eq!(endpoints.introspect(tokens.access_token()).await["active"], true);
}

#[tokio::test]
async fn a_secret_in_the_form_is_accepted_from_the_client_that_is_registered_so() {
    let world = World::opaque().await;
    let tokens = tokens(&world).await;
    let form = [
        ("token", tokens.access_token()),
        ("client_id", "poster"),
        ("client_secret", SECRET),
    ];
    let answer = post(&endpoints(&world).introspection, None, &form).await;
    assert_eq!((answer.status, &answer.body["active"]), (200, &json!(true)));
}

#[tokio::test]
async fn a_resource_server_is_told_what_a_live_access_token_says() {
    for world in both_worlds().await {
        let tokens = tokens(&world).await;
        let said = endpoints(&world).introspect(tokens.access_token()).await;
        let issued_at = world.wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        for (name, value) in [
            ("active", json!(true)),
            ("iss", json!(ISSUER)),
            ("sub", json!("alice")),
            ("client_id", json!("app")),
            ("scope", json!("profile email")),
            ("aud", json!(API)),
            ("token_type", json!("Bearer")),
            ("sid", json!(tokens.session_id())),
            ("iat", json!(issued_at)),
            ("exp", json!(issued_at + 600)),
        ] {
            assert_eq!(said[name], value, "{name}");
        }
        assert!(said["jti"].is_string());
    }
}

#[tokio::test]
async fn a_hint_is_never_more_than_one() {
    for world in both_worlds().await {
        let tokens = tokens(&world).await;
        let endpoints = endpoints(&world);
        for hint in ["access_token", "refresh_token", "unheard-of", ""] {
            let form = [("token", tokens.access_token()), ("token_type_hint", hint)];
            let answer = endpoints.introspect_as("api", &form).await;
            assert_eq!((answer.status, &answer.body["active"]), (200, &json!(true)), "{hint}");
        }
    }
}

#[tokio::test]
async fn what_is_not_active_is_told_in_one_way_and_with_nothing_else() {
    for world in both_worlds().await {
        let endpoints = endpoints(&world);
        let (over, revoked) = (tokens(&world).await, tokens(&world).await);
        let logged_out = tokens(&world).await;
        world.issuer.revoke(revoked.access_token(), "app").await.unwrap();
        world.issuer.logout(logged_out.access_token()).await.unwrap();
        for token in ["unknown", "a.b.c", revoked.access_token(), logged_out.access_token()] {
            assert_eq!(endpoints.introspect(token).await, inactive(), "{token}");
        }
        assert_eq!(endpoints.introspect(over.access_token()).await["active"], true);
        world.clock.advance(10 * MINUTE);
        assert_eq!(endpoints.introspect(over.access_token()).await, inactive());
    }
}

#[tokio::test]
async fn a_client_that_is_no_resource_server_learns_nothing_of_any_token() {
    for world in both_worlds().await {
        let tokens = tokens(&world).await;
        let endpoints = endpoints(&world);
        for client in ["app", "other"] {
            let answer = endpoints
                .introspect_as(client, &[("token", tokens.access_token())])
                .await;
            assert_eq!((answer.status, answer.body), (200, inactive()), "{client}");
        }
    }
}

#[tokio::test]
async fn a_refresh_token_is_not_active_for_a_resource_server() {
    let world = World::opaque().await;
    let tokens = tokens(&world).await;
    let refresh_token = tokens.refresh_token().unwrap();
    assert_eq!(endpoints(&world).introspect(refresh_token).await, inactive());
}

#[tokio::test]
async fn the_application_may_decide_in_another_way_who_learns_what() {
    let world = World::opaque().await;
    let tokens = tokens(&world).await;
    let endpoint = endpoints(&world)
        .introspection
        .permit(|client, token| token.client_id() == Some(client.id()));
    let refresh_token = [
        ("token", tokens.refresh_token().unwrap()),
        ("token_type_hint", "access_token"),
    ];
    let own = post(&endpoint, Some(&basic("app", SECRET)), &refresh_token).await;
    assert_eq!(own.body["active"], true);
    assert_eq!(own.body["token_type"], "refresh_token");
    for other in ["other", "api"] {
        assert_eq!(
            post(&endpoint, Some(&basic(other, SECRET)), &refresh_token).await.body,
            inactive()
        );
    }
}

/// Signs with the key that an issuer has in its file.
fn signed_with_the_key_of(path: &std::path::Path, claims: &Value) -> String {
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let pkcs8 = URL_SAFE_NO_PAD
        .decode(file["keys"][0]["pkcs8"].as_str().unwrap())
        .unwrap();
    let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
    header.typ = Some("at+jwt".to_owned());
    let keys = KeyRing::open(path, Algorithm::ES256).unwrap();
    let jwks: Value = serde_json::from_slice(&keys.jwks(std::time::SystemTime::now())).unwrap();
    header.kid = jwks["keys"][0]["kid"].as_str().map(str::to_owned);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&pkcs8)).unwrap()
}

#[tokio::test]
async fn a_jwt_is_active_only_with_claims_of_this_issuer_that_have_their_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let mut world = World::jwt().await;
    let list = MemoryRevocationList::new(terms()).clock(world.clock.clone());
    let keys = KeyRing::open(&path, Algorithm::ES256).unwrap();
    let access = AccessTokens::jwt(keys.clone(), list.clone()).unwrap();
    let builder = TokenIssuer::builder(ISSUER, API, world.store.clone(), access).unwrap();
    world.issuer = builder.clock(world.clock.clone()).open().await.unwrap();
    let endpoints = endpoints(&world);
    let good = tokens(&world).await;
    let payload = URL_SAFE_NO_PAD
        .decode(good.access_token().split('.').nth(1).unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(
        endpoints.introspect(&signed_with_the_key_of(&path, &claims)).await["active"],
        true
    );
    for (name, value) in [
        ("exp", json!("4000000000")),
        ("exp", json!(null)),
        ("iss", json!("https://other.test")),
        ("sid", json!("unknown")),
        ("sub", json!(1)),
    ] {
        let mut spoiled = claims.clone();
        spoiled[name] = value;
        let token = signed_with_the_key_of(&path, &spoiled);
        assert_eq!(endpoints.introspect(&token).await, inactive(), "{spoiled}");
    }
    let stranger = folder.path().join("stranger.json");
    KeyRing::open(&stranger, Algorithm::ES256).unwrap();
    assert_eq!(
        endpoints.introspect(&signed_with_the_key_of(&stranger, &claims)).await,
        inactive()
    );
}

#[tokio::test]
async fn while_the_store_is_away_no_token_is_said_to_be_inactive_or_revoked() {
    for world in both_worlds().await {
        let tokens = tokens(&world).await;
        let endpoints = endpoints(&world);
        world.store.go_down();
        let asked = endpoints
            .introspect_as("api", &[("token", tokens.access_token())])
            .await;
        failed(&asked, 503, "temporarily_unavailable");
        failed(
            &endpoints.revoke(tokens.access_token()).await,
            503,
            "temporarily_unavailable",
        );
        world.store.come_back();
        assert_eq!(endpoints.introspect(tokens.access_token()).await["active"], true);
        assert_eq!(endpoints.revoke(tokens.access_token()).await, done());
    }
}

#[tokio::test]
async fn a_revocation_whose_answer_the_store_loses_has_happened_when_the_client_is_answered() {
    for world in both_worlds().await {
        let tokens = tokens(&world).await;
        let endpoints = endpoints(&world);
        world.store.lose_answers(1);
        assert_eq!(endpoints.revoke(tokens.access_token()).await, done());
        assert_eq!(endpoints.introspect(tokens.access_token()).await, inactive());
    }
}

#[tokio::test]
async fn a_token_that_is_unknown_or_not_ours_is_revoked_already() {
    for world in both_worlds().await {
        let endpoints = endpoints(&world);
        for token in ["unknown", "a.b.c", "ü"] {
            assert_eq!(endpoints.revoke(token).await, done(), "{token}");
        }
    }
}

#[tokio::test]
async fn a_revoked_token_is_not_active_and_is_revoked_once_more_without_harm() {
    for world in both_worlds().await {
        let tokens = tokens(&world).await;
        let endpoints = endpoints(&world);
        for _ in 0..2 {
            assert_eq!(endpoints.revoke(tokens.access_token()).await, done());
            assert_eq!(endpoints.introspect(tokens.access_token()).await, inactive());
        }
    }
}

#[tokio::test]
async fn whatever_the_hint_says_the_token_is_revoked() {
    for world in both_worlds().await {
        let endpoints = endpoints(&world);
        for hint in ["access_token", "refresh_token", "unheard-of"] {
            let tokens = tokens(&world).await;
            let form = [("token", tokens.access_token()), ("token_type_hint", hint)];
            assert_eq!(endpoints.revoke_as("app", &form).await, done());
            assert_eq!(endpoints.introspect(tokens.access_token()).await, inactive(), "{hint}");
            let refresh_token = tokens.refresh_token().unwrap();
            let form = [("token", refresh_token), ("token_type_hint", hint)];
            assert_eq!(endpoints.revoke_as("app", &form).await, done());
            assert!(
                world
                    .issuer
                    .refresh(RefreshRequest::new(refresh_token, "app"))
                    .await
                    .is_err(),
                "{hint}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_of_another_client_is_not_revoked() {
    for world in both_worlds().await {
        let tokens = tokens(&world).await;
        let endpoints = endpoints(&world);
        for token in [tokens.access_token(), tokens.refresh_token().unwrap()] {
            for client in ["other", "api"] {
                let answer = endpoints.revoke_as(client, &[("token", token)]).await;
                failed(&answer, 400, "invalid_grant");
            }
            let public = [("token", token), ("client_id", "spa")];
            failed(&post(&endpoints.revocation, None, &public).await, 400, "invalid_grant");
        }
        assert_eq!(endpoints.introspect(tokens.access_token()).await["active"], true);
        let refreshed = world
            .issuer
            .refresh(RefreshRequest::new(tokens.refresh_token().unwrap(), "app"))
            .await;
        assert!(refreshed.is_ok());
    }
}

#[tokio::test]
async fn with_a_refresh_token_end_the_access_tokens_of_its_session_and_no_others() {
    for world in both_worlds().await {
        let (one, other) = (tokens(&world).await, tokens(&world).await);
        let endpoints = endpoints(&world);
        let next = world
            .issuer
            .refresh(RefreshRequest::new(one.refresh_token().unwrap(), "app"))
            .await
            .unwrap();
        assert_eq!(endpoints.revoke(next.refresh_token().unwrap()).await, done());
        for token in [one.access_token(), next.access_token()] {
            assert_eq!(endpoints.introspect(token).await, inactive());
        }
        assert_eq!(endpoints.introspect(other.access_token()).await["active"], true);
    }
}

#[tokio::test]
async fn an_access_token_ends_alone() {
    for world in both_worlds().await {
        let tokens = tokens(&world).await;
        let endpoints = endpoints(&world);
        assert_eq!(endpoints.revoke(tokens.access_token()).await, done());
        let refreshed = world
            .issuer
            .refresh(RefreshRequest::new(tokens.refresh_token().unwrap(), "app"))
            .await;
        let refreshed = refreshed.unwrap();
        assert_eq!(endpoints.introspect(refreshed.access_token()).await["active"], true);
    }
}

#[tokio::test]
async fn a_resource_server_that_verifies_jwts_by_itself_refuses_a_revoked_one_with_the_next_request() {
    let world = World::jwt().await;
    let tokens = tokens(&world).await;
    let protector = world.jwt_protector();
    assert!(present(&protector, tokens.access_token()).await.is_ok());
    assert_eq!(endpoints(&world).revoke(tokens.access_token()).await, done());
    assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
}

#[tokio::test]
async fn a_jwt_that_nobody_can_take_back_is_no_type_of_token_to_revoke() {
    let mut world = World::jwt().await;
    let access = AccessTokens::jwt_that_nobody_can_take_back(world.keys.clone());
    let builder = TokenIssuer::builder(ISSUER, API, MemoryStore::new(), access).unwrap();
    world.issuer = builder.clock(world.clock.clone()).open().await.unwrap();
    let tokens = tokens(&world).await;
    let answer = endpoints(&world).revoke(tokens.access_token()).await;
    failed(&answer, 400, "unsupported_token_type");
}

#[tokio::test]
async fn a_public_client_revokes_its_own_tokens_by_its_name_alone() {
    for world in both_worlds().await {
        let request = TokenRequest::for_subject("spa", "alice");
        let tokens = world.issuer.issue(request).await.unwrap();
        let endpoints = endpoints(&world);
        let form = [("token", tokens.access_token()), ("client_id", "spa")];
        assert_eq!(post(&endpoints.revocation, None, &form).await, done());
        assert_eq!(endpoints.introspect(tokens.access_token()).await, inactive());
    }
}

#[tokio::test]
async fn who_guesses_a_secret_is_refused_after_ten_failures_for_five_minutes() {
    let world = World::opaque().await;
    let tokens = tokens(&world).await;
    let endpoints = endpoints(&world);
    let form = [("token", tokens.access_token())];
    for _ in 0..10 {
        let answer = post(&endpoints.introspection, Some(&basic("api", WRONG)), &form).await;
        failed(&answer, 401, "invalid_client");
    }
    // The endpoints count together, and each client by itself.
    let guessed = post(&endpoints.introspection, Some(&basic("api", WRONG)), &form).await;
    failed(&guessed, 429, "temporarily_unavailable");
    let guessed = post(&endpoints.revocation, Some(&basic("api", WRONG)), &form).await;
    failed(&guessed, 429, "temporarily_unavailable");
    // The right one was not guessed.
    assert_eq!(endpoints.introspect_as("api", &form).await.status, 200);
    assert_eq!(endpoints.introspect_as("poster", &form).await.status, 401);
    assert_eq!(endpoints.revoke_as("app", &form).await, done());
    world.clock.advance(5 * MINUTE);
    let guessed = post(&endpoints.introspection, Some(&basic("api", WRONG)), &form).await;
    failed(&guessed, 401, "invalid_client");
}

/// Goes to an endpoint without a network.
struct ByHand(IntrospectionEndpoint);

impl Fetch for ByHand {
    async fn fetch(&self, request: Request<Bytes>, _: usize) -> Result<Response<Bytes>, FetchError> {
        let answer = self.0.clone().oneshot(request.map(Full::new)).await.unwrap();
        let (parts, body) = answer.into_parts();
        Ok(Response::from_parts(parts, body.collect().await.unwrap().to_bytes()))
    }
}

#[tokio::test]
async fn a_resource_server_that_introspects_sees_what_was_issued_and_notices_a_revocation() {
    for world in both_worlds().await {
        let endpoints = endpoints(&world);
        let auth = ClientAuth::basic("api", SECRET);
        let validator = IntrospectionValidator::new("https://auth.test/introspect", auth, API)
            .unwrap()
            .fetch(ByHand(endpoints.introspection.clone()))
            .remember_for(Duration::from_secs(30))
            .unwrap();
        let protector = ResourceProtectorLayer::new(validator).clock(world.clock.clone());
        let tokens = tokens(&world).await;
        let seen = present(&protector, tokens.access_token()).await.unwrap();
        assert_eq!((seen.subject(), seen.client_id()), (Some("alice"), Some("app")));
        assert!(seen.has_scope("profile"));
        assert_eq!(
            present(&protector, tokens.refresh_token().unwrap()).await.unwrap_err(),
            401
        );
        assert_eq!(endpoints.revoke(tokens.access_token()).await, done());
        // What it remembers is good for as long as it says.
        world.clock.advance(Duration::from_secs(30));
        assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
    }
}

#[tokio::test]
async fn both_endpoints_are_services_of_an_axum_router() {
    let world = World::opaque().await;
    let tokens = tokens(&world).await;
    let Endpoints {
        introspection,
        revocation,
    } = endpoints(&world);
    let router: axum::Router = axum::Router::new()
        .route_service("/introspect", introspection)
        .route_service("/revoke", revocation);
    for (path, status) in [
        ("/introspect", StatusCode::OK),
        ("/revoke", StatusCode::OK),
        ("/", StatusCode::NOT_FOUND),
    ] {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, basic("app", SECRET))
            .body(axum::body::Body::from(form(&[("token", tokens.access_token())])))
            .unwrap();
        assert_eq!(
            router.clone().oneshot(request).await.unwrap().status(),
            status,
            "{path}"
        );
    }
}
