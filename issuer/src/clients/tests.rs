use std::{
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{Request, StatusCode, header, request::Parts};
use jsonwebtoken::{EncodingKey, Header, jwk::Jwk};
use resource_protector::testing::TestClock;
use serde_json::{Value, json};

use super::*;
use crate::{
    endpoints::{ErrorCode, Form, OAuthError},
    rate_limit::RateLimit,
    store::{Change, Key, Listing, MeetingStore, MemoryStore, Outcome, Row, Store},
};

const ISSUER: &str = "https://as.example";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn secret(text: &str) -> ClientSecret {
    ClientSecret::new(text).unwrap()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// A private key, made by another library's hands: PKCS#8 that `jsonwebtoken` signs with.
struct Signer {
    key: EncodingKey,
    algorithm: jsonwebtoken::Algorithm,
}

impl Signer {
    fn new() -> Self {
        let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = pair.unwrap().to_pkcs8v1().unwrap();
        Self {
            key: EncodingKey::from_ec_der(pkcs8.as_ref()),
            algorithm: jsonwebtoken::Algorithm::ES256,
        }
    }

    fn jwks(&self) -> String {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some("k1".to_owned());
        json!({ "keys": [jwk] }).to_string()
    }

    fn sign(&self, typ: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.typ = typ.map(str::to_owned);
        header.kid = Some("k1".to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// Clients of every kind, and who finds them out.
struct World {
    clock: TestClock,
    signer: Signer,
    clients: MemoryClients,
    authentication: ClientAuthentication,
}

impl World {
    fn new() -> Self {
        Self::with_store(MemoryStore::new())
    }

    fn with_store(store: impl Store) -> Self {
        let (clock, signer) = (TestClock::at(now()), Signer::new());
        let clients = MemoryClients::new([
            Client::with_secret("basic", &secret(SECRET)).unwrap(),
            Client::with_secret("post", &secret(SECRET))
                .unwrap()
                .secret_in_form()
                .unwrap(),
            Client::with_keys("jwt", signer.jwks()).unwrap(),
            Client::public("public").unwrap(),
        ]);
        let authentication = ClientAuthentication::new(ISSUER, clients.clone(), store).unwrap();
        Self {
            authentication: authentication
                .clock(clock.clone())
                .failure_limit(RateLimit::new(1000, Duration::from_secs(300)).unwrap()),
            clock,
            signer,
            clients,
        }
    }

    /// Refuses after as many failures as it does unless set.
    fn strict(mut self) -> Self {
        self.authentication = self.authentication.failure_limit(RateLimit::default());
        self
    }

    async fn ask(&self, authorization: Option<&str>, form: &[(&str, &str)]) -> Result<String, OAuthError> {
        let client = self
            .authentication
            .authenticate(&head(authorization), &as_form(form))
            .await;
        client.map(|client| client.id().to_owned())
    }

    async fn basic(&self, id: &str, secret: &str) -> Result<String, OAuthError> {
        self.ask(Some(&basic(id, secret)), &[]).await
    }

    async fn assertion(&self, typ: Option<&str>, claims: &Value) -> Result<String, OAuthError> {
        self.present(&self.signer.sign(typ, claims)).await
    }

    async fn present(&self, assertion: &str) -> Result<String, OAuthError> {
        self.ask(None, &presenting(assertion)).await
    }
}

fn presenting(assertion: &str) -> [(&'static str, &str); 2] {
    [
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion),
    ]
}

fn claims(jti: &str) -> Value {
    json!({ "iss": "jwt", "sub": "jwt", "aud": ISSUER, "jti": jti, "iat": 1_700_000_000, "exp": 1_700_000_060 })
}

fn head(authorization: Option<&str>) -> Parts {
    let mut request = Request::post("/token");
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    request.body(()).unwrap().into_parts().0
}

fn as_form(pairs: &[(&str, &str)]) -> Form {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    Form::parse(form.as_bytes()).unwrap()
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn is_refused(answer: Result<String, OAuthError>) {
    let error = answer.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidClient);
    let answer = error.into_response();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.starts_with("Basic "), "{challenge}");
}

#[tokio::test]
async fn each_client_is_found_out_in_the_way_that_it_is_registered_with() {
    let world = World::new();
    assert_eq!(world.basic("basic", SECRET).await.unwrap(), "basic");
    let post = [("client_id", "post"), ("client_secret", SECRET)];
    assert_eq!(world.ask(None, &post).await.unwrap(), "post");
    assert_eq!(world.assertion(Some("JWT"), &claims("1")).await.unwrap(), "jwt");
    assert_eq!(world.ask(None, &[("client_id", "public")]).await.unwrap(), "public");
}

#[tokio::test]
async fn a_client_is_refused_in_any_other_way_than_its_own() {
    let world = World::new();
    is_refused(world.basic("post", SECRET).await);
    is_refused(world.basic("jwt", SECRET).await);
    is_refused(world.basic("public", SECRET).await);
    is_refused(world.basic("public", "").await);
    for id in ["basic", "jwt", "public"] {
        is_refused(world.ask(None, &[("client_id", id), ("client_secret", SECRET)]).await);
    }
    for id in ["basic", "post", "jwt"] {
        is_refused(world.ask(None, &[("client_id", id)]).await);
    }
    for id in ["basic", "post", "public"] {
        let mut claims = claims("1");
        (claims["iss"], claims["sub"]) = (id.into(), id.into());
        is_refused(world.assertion(Some("JWT"), &claims).await);
    }
}

#[tokio::test]
async fn nobody_no_secret_and_another_scheme_are_refused() {
    let world = World::new();
    is_refused(world.ask(None, &[]).await);
    is_refused(world.ask(None, &[("client_secret", SECRET)]).await);
    for authorization in [
        "Bearer abc",
        "Basic",
        "Basic ",
        "Basic !",
        "Basic YmFzaWM",
        "basic:secret",
        "Digest username=basic",
    ] {
        is_refused(world.ask(Some(authorization), &[]).await);
    }
}

#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_get_the_same_answer() {
    let world = World::new();
    let unknown = world.basic("nobody", SECRET).await.unwrap_err();
    assert_eq!(unknown, world.basic("basic", OTHER).await.unwrap_err());
    assert_eq!(unknown, world.ask(None, &[("client_id", "nobody")]).await.unwrap_err());
    let mut stranger = claims("1");
    (stranger["iss"], stranger["sub"]) = ("nobody".into(), "nobody".into());
    assert_eq!(unknown, world.assertion(None, &stranger).await.unwrap_err());
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn authenticating_in_two_ways_is_a_bad_request_even_if_both_are_right() {
    let world = World::new();
    let assertion = world.signer.sign(None, &claims("1"));
    let (basic, [kind, assertion]) = (basic("basic", SECRET), presenting(&assertion));
    let secret = [("client_id", "basic"), ("client_secret", SECRET)];
    for (authorization, form) in [
        (Some(basic.as_str()), secret.to_vec()),
        (Some(&basic), vec![kind, assertion]),
        (Some(&basic), vec![kind]),
        (None, [&secret[..], &[kind, assertion]].concat()),
        (Some(&basic), vec![("client_id", "post")]),
        (None, vec![kind, assertion, ("client_id", "public")]),
    ] {
        let error = world.ask(authorization, &form).await.unwrap_err();
        assert_eq!(
            (error.status(), error.code()),
            (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
            "{form:?}"
        );
    }
    let mut twice = head(Some(&basic));
    twice.headers.append(header::AUTHORIZATION, basic.parse().unwrap());
    let error = world
        .authentication
        .authenticate(&twice, &Form::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn the_client_may_be_named_once_more_in_the_form() {
    let world = World::new();
    let named = [("client_id", "basic")];
    assert!(world.ask(Some(&basic("basic", SECRET)), &named).await.is_ok());
    let assertion = world.signer.sign(None, &claims("1"));
    let [kind, assertion] = presenting(&assertion);
    assert!(world.ask(None, &[kind, assertion, ("client_id", "jwt")]).await.is_ok());
}

#[tokio::test]
async fn identifier_and_secret_are_form_decoded_and_a_secret_is_also_taken_as_it_stands() {
    let world = World::new();
    let (id, odd) = ("https://client.example/a b", "p%2Bq+r &=: 0123456789 0123456789");
    world.clients.insert(Client::with_secret(id, &secret(odd)).unwrap());
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    assert_eq!(world.basic(&encoded(id), &encoded(odd)).await.unwrap(), id);
    assert_eq!(world.basic(&encoded(id), odd).await.unwrap(), id);
    let lower_case = basic(&encoded(id), &encoded(odd)).replace("Basic", "bASIC");
    assert_eq!(world.ask(Some(&lower_case), &[]).await.unwrap(), id);
    is_refused(world.basic(&encoded(id), &encoded(&encoded(odd))).await);
}

#[tokio::test]
async fn what_is_not_in_the_encoding_of_forms_is_taken_as_it_stands_and_not_repaired() {
    let world = World::new();
    let (id, odd) = ("100%+1", "100% 0123456789 0123456789 0123456789");
    world.clients.insert(Client::with_secret(id, &secret(odd)).unwrap());
    assert_eq!(world.basic("100%25%2B1", odd).await.unwrap(), id);
    assert_eq!(world.basic(id, odd).await.unwrap(), id);
    // Half of it in the encoding: a reader that repairs would take the sign for itself, and `+` for a space.
    is_refused(world.basic(id, "100%+0123456789+0123456789+0123456789").await);
    is_refused(world.basic("100%%2B1", odd).await);
}

#[tokio::test]
async fn each_of_several_secrets_is_good_until_only_one_is_kept() {
    let world = World::new();
    let both = Client::with_secret("c", &secret(SECRET))
        .unwrap()
        .further_secret(&secret(OTHER))
        .unwrap();
    world.clients.insert(both.clone());
    assert!(world.basic("c", SECRET).await.is_ok());
    assert!(world.basic("c", OTHER).await.is_ok());
    world.clients.insert(both.only_secret(&secret(OTHER)).unwrap());
    is_refused(world.basic("c", SECRET).await);
    assert!(world.basic("c", OTHER).await.is_ok());
}

#[tokio::test]
async fn an_assertion_counts_once_even_when_it_comes_twice_at_the_same_time() {
    let store = MeetingStore::new();
    let world = World::with_store(store.clone());
    let assertion = world.signer.sign(None, &claims("1"));
    store.next_two_meet();
    let (one, other) = tokio::join!(world.present(&assertion), world.present(&assertion));
    assert_eq!(
        [one.is_ok(), other.is_ok()].into_iter().filter(|is_ok| *is_ok).count(),
        1
    );
    is_refused(world.present(&assertion).await);
    assert!(world.assertion(None, &claims("2")).await.is_ok());
}

#[tokio::test]
async fn two_clients_may_use_the_same_jti() {
    let world = World::new();
    let other = Client::with_keys("other", world.signer.jwks()).unwrap();
    world.clients.insert(other);
    let mut of_other = claims("1");
    (of_other["iss"], of_other["sub"]) = ("other".into(), "other".into());
    assert!(world.assertion(None, &claims("1")).await.is_ok());
    assert!(world.assertion(None, &of_other).await.is_ok());
}

#[tokio::test]
async fn an_assertion_lacks_nothing_and_is_for_this_server_alone() {
    let world = World::new();
    let cases: [(&str, Value); 9] = [
        ("iss", "other".into()),
        ("sub", "other".into()),
        ("aud", "https://other.example".into()),
        ("aud", "https://as.example/token".into()),
        ("aud", json!([ISSUER, "https://other.example"])),
        ("aud", json!([])),
        ("exp", "soon".into()),
        ("jti", json!(1)),
        ("nbf", json!(1_700_000_011)),
    ];
    for (name, value) in cases {
        let mut spoiled = claims("1");
        spoiled[name] = value;
        let answer = world.assertion(None, &spoiled).await;
        assert_eq!(answer.unwrap_err().status(), StatusCode::UNAUTHORIZED, "{spoiled}");
    }
    for missing in ["iss", "sub", "aud", "exp", "jti"] {
        let mut spoiled = claims("1");
        spoiled.as_object_mut().unwrap().remove(missing);
        let answer = world.assertion(None, &spoiled).await;
        assert_eq!(answer.unwrap_err().status(), StatusCode::UNAUTHORIZED, "{missing}");
    }
    assert!(world.assertion(None, &claims("1")).await.is_ok());
}

#[tokio::test]
async fn an_assertion_is_good_for_five_minutes_at_the_most_and_clocks_may_differ_by_10_s() {
    let world = World::new();
    let until = |seconds: u64, jti: &str| {
        let mut claims = claims(jti);
        claims["exp"] = json!(1_700_000_000 + seconds);
        claims
    };
    is_refused(world.assertion(None, &until(311, "1")).await);
    assert!(world.assertion(None, &until(310, "1")).await.is_ok());
    world.clock.advance(Duration::from_secs(70));
    is_refused(world.assertion(None, &until(60, "2")).await);
    assert!(world.assertion(None, &until(61, "2")).await.is_ok());
}

#[tokio::test]
async fn an_assertion_is_remembered_for_as_long_as_it_could_be_used_again() {
    let store = MemoryStore::new();
    let world = World::with_store(store.clone());
    let assertion = world.signer.sign(None, &claims("1"));
    assert!(world.present(&assertion).await.is_ok());
    // `exp` is 60 s from now, and 10 s are for clocks that differ.
    let at = |seconds| now() + Duration::from_secs(seconds);
    assert_eq!(Store::delete_expired(&store, at(69)).await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(69));
    is_refused(world.present(&assertion).await);
    assert_eq!(Store::delete_expired(&store, at(70)).await.unwrap(), 1);
    world.clock.advance(Duration::from_secs(1));
    is_refused(world.present(&assertion).await);
}

#[tokio::test]
async fn only_jwts_of_a_plain_type_and_of_the_registered_key_and_algorithm_are_assertions() {
    let world = World::new();
    is_refused(world.assertion(Some("at+jwt"), &claims("1")).await);
    is_refused(world.assertion(Some("logout+jwt"), &claims("1")).await);
    is_refused(world.present(&Signer::new().sign(None, &claims("1"))).await);
    let public = world.signer.jwks();
    let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some("k1".to_owned());
    let by_public_key = EncodingKey::from_secret(public.as_bytes());
    is_refused(
        world
            .present(&jsonwebtoken::encode(&header, &claims("1"), &by_public_key).unwrap())
            .await,
    );
    let encoded = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", encoded(json!({ "alg": "none" })), encoded(claims("1")));
    is_refused(world.present(&unsigned).await);
    for garbage in ["", ".", "..", "a.b.c", "a.e30.c"] {
        is_refused(world.present(garbage).await);
    }
    assert!(world.assertion(Some("jwt"), &claims("1")).await.is_ok());
}

#[tokio::test]
async fn an_assertion_of_another_kind_is_refused() {
    let world = World::new();
    let assertion = world.signer.sign(None, &claims("1"));
    let saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer";
    for form in [
        vec![("client_assertion_type", saml), ("client_assertion", &assertion)],
        vec![("client_assertion", assertion.as_str())],
        vec![presenting(&assertion)[0]],
    ] {
        is_refused(world.ask(None, &form).await);
    }
}

#[tokio::test]
async fn the_url_of_the_token_endpoint_is_an_audience_where_that_is_said() {
    let mut world = World::new();
    world.authentication = world.authentication.assertion_audience_too("https://as.example/token");
    for (jti, audience) in [("1", "https://as.example/token"), ("2", ISSUER)] {
        let mut claims = claims(jti);
        claims["aud"] = audience.into();
        assert!(world.assertion(None, &claims).await.is_ok(), "{audience}");
    }
    let mut both = claims("3");
    both["aud"] = json!(["https://as.example/token", ISSUER]);
    is_refused(world.assertion(None, &both).await);
}

#[tokio::test]
async fn after_ten_wrong_secrets_a_client_waits_until_five_minutes_have_passed_and_the_right_one_is_not_looked_at() {
    let mut world = World::new().strict();
    world.authentication = world.authentication.peer(|_| Some("192.0.2.1".to_owned()));
    for id in ["basic", "nobody"] {
        for _ in 0..10 {
            is_refused(world.basic(id, OTHER).await);
        }
        world.clock.advance(Duration::from_secs(1));
        let answer = world.basic(id, SECRET).await.unwrap_err().into_response();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "299");
    }
    assert!(world.assertion(None, &claims("1")).await.is_ok());
    world.clock.advance(Duration::from_secs(299));
    assert!(world.basic("basic", SECRET).await.is_ok());
}

#[tokio::test]
async fn where_it_is_not_known_who_fails_a_stranger_locks_no_client_out() {
    let world = World::new().strict();
    for _ in 0..10 {
        is_refused(world.basic("basic", OTHER).await);
    }
    for _ in 0..3 {
        let guessed = world.basic("basic", OTHER).await.unwrap_err();
        assert_eq!(guessed.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(world.basic("basic", SECRET).await.is_ok());
    }
}

#[tokio::test]
async fn the_right_secret_in_time_makes_failures_forgotten() {
    let world = World::new().strict();
    for _ in 0..3 {
        for _ in 0..9 {
            is_refused(world.basic("basic", OTHER).await);
        }
        assert!(world.basic("basic", SECRET).await.is_ok());
    }
}

#[tokio::test]
async fn wrong_assertions_count_too_and_no_proof_at_all_does_not() {
    let mut world = World::new().strict();
    world.authentication = world.authentication.peer(|_| Some("192.0.2.1".to_owned()));
    for _ in 0..20 {
        is_refused(world.ask(None, &[("client_id", "jwt")]).await);
    }
    let stranger = Signer::new();
    for _ in 0..10 {
        is_refused(world.present(&stranger.sign(None, &claims("1"))).await);
    }
    let answer = world.assertion(None, &claims("1")).await;
    assert_eq!(answer.unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_client_is_locked_out_only_where_the_failures_come_from_if_that_is_known() {
    let mut world = World::new().strict();
    let peer = |parts: &Parts| parts.extensions.get::<&'static str>().map(|peer| (*peer).to_owned());
    world.authentication = world.authentication.peer(peer);
    let from = |peer: &'static str, secret: &str| {
        let mut parts = head(Some(&basic("basic", secret)));
        parts.extensions.insert(peer);
        parts
    };
    let ask = async |parts: Parts| {
        world
            .authentication
            .authenticate(&parts, &Form::default())
            .await
            .map(drop)
    };
    for _ in 0..10 {
        assert!(ask(from("192.0.2.1", OTHER)).await.is_err());
    }
    let refused = ask(from("192.0.2.1", SECRET)).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(from("192.0.2.2", SECRET)).await, Ok(()));
}

/// A registry and a store that can go away.
#[derive(Clone, Default)]
struct Moody {
    rows: MemoryStore,
    is_away: Arc<AtomicBool>,
}

impl Moody {
    fn there(&self) -> Result<(), StoreError> {
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(StoreError::new("gone away")),
            false => Ok(()),
        }
    }
}

impl Store for Moody {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.there()?;
        Store::load(&self.rows, keys).await
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        self.there()?;
        Store::commit(&self.rows, change).await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        self.there()?;
        Store::list(&self.rows, listing).await
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        self.there()?;
        Store::delete_expired(&self.rows, now).await
    }
}

#[tokio::test]
async fn while_clients_cannot_be_looked_up_the_answer_is_503_and_nothing_is_counted() {
    let moody = Moody::default();
    let stored = StoredClients::new(moody.clone());
    stored
        .insert(&Client::with_secret("basic", &secret(SECRET)).unwrap())
        .await
        .unwrap();
    let mut world = World::new();
    world.authentication = ClientAuthentication::new(ISSUER, stored, moody.clone()).unwrap();
    assert!(world.basic("basic", SECRET).await.is_ok());
    moody.is_away.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        let answer = world.basic("basic", OTHER).await.unwrap_err().into_response();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key(header::RETRY_AFTER));
    }
    moody.is_away.store(false, Ordering::Relaxed);
    assert!(world.basic("basic", SECRET).await.is_ok());
}

#[tokio::test]
async fn an_assertion_that_cannot_be_remembered_is_503_and_can_be_used_later() {
    let moody = Moody::default();
    let world = World::with_store(moody.clone());
    let assertion = world.signer.sign(None, &claims("1"));
    moody.is_away.store(true, Ordering::Relaxed);
    let error = world.present(&assertion).await.unwrap_err();
    assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    moody.is_away.store(false, Ordering::Relaxed);
    assert!(world.present(&assertion).await.is_ok());
}

#[test]
fn a_client_that_cannot_be_is_a_set_up_error_that_names_what_is_wrong_and_what_came() {
    let public = || Client::public("c").unwrap();
    let with_secret = || Client::with_secret("c", &secret(SECRET)).unwrap();
    let many = || (0..101).map(|n| format!("x{n}")).collect::<Vec<_>>();
    let long = || "x".repeat(201);
    for (made, option) in [
        (Client::public(""), "client_id"),
        (Client::public(" "), "client_id"),
        (Client::public("c\n"), "client_id"),
        (Client::public("ü"), "client_id"),
        (Client::public(long()), "client_id"),
        (public().name(" "), "name"),
        (public().name("a\n"), "name"),
        (public().name(long()), "name"),
        (public().redirect_uris(["http://app.example/cb"]), "redirect_uris"),
        (with_secret().redirect_uris(["com.example.app:/cb"]), "redirect_uris"),
        (public().grants([""]), "grants"),
        (public().grants(many()), "grants"),
        (public().grants(["client_credentials"]), "grants"),
        (public().scopes("a\"b"), "scope"),
        (public().scopes(many().join(" ")), "scopes"),
        (public().audiences([" "]), "audiences"),
        (public().may_introspect(), "may_introspect"),
        (public().secret_in_form(), "secret"),
        (public().further_secret(&secret(SECRET)), "secret"),
        (public().only_secret(&secret(SECRET)), "secret"),
        (Client::with_keys("c", "{}"), "jwks"),
        (Client::with_keys("c", "s3cret"), "jwks"),
        (Client::with_keys("c", r#"{"keys":[]}"#), "jwks"),
        (
            Client::with_keys("c", r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#),
            "jwks",
        ),
        (
            Client::with_keys("c", r#"{"keys":[{"kty":"EC","d":"c2VjcmV0"}]}"#),
            "jwks",
        ),
        (Client::with_keys("c", " ".repeat(65_537)), "jwks"),
    ] {
        let error = made.unwrap_err();
        assert_eq!(error.option(), option, "{error}");
        assert!(error.to_string().contains(" got "), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn what_a_client_may_do_is_what_was_said_and_nothing_else() {
    let client = Client::with_secret("c", &secret(SECRET)).unwrap();
    assert!(!client.allows_grant("client_credentials") && !client.allows_scope("profile"));
    assert!(!client.allows_redirect_uri("https://app.example/cb") && !client.is_resource_server());
    let client = client
        .grants(["client_credentials"])
        .and_then(|client| client.scopes("profile email profile"))
        .and_then(|client| client.redirect_uris(["https://app.example/cb"]))
        .and_then(Client::may_introspect)
        .unwrap();
    assert!(client.allows_grant("client_credentials") && !client.allows_grant("refresh_token"));
    assert!(client.allows_scope("email") && !client.allows_scope("Email"));
    assert_eq!(client.allowed_scopes().len(), 2);
    assert!(
        client.allows_redirect_uri("https://app.example/cb") && !client.allows_redirect_uri("https://app.example/")
    );
    assert!(client.is_resource_server());
}

#[test]
fn a_client_is_written_without_its_secret_and_read_as_it_was() {
    let signer = Signer::new();
    for client in [
        Client::public("p")
            .unwrap()
            .redirect_uris(["http://127.0.0.1/cb"])
            .unwrap()
            .name("Höhle")
            .unwrap(),
        Client::with_secret("s", &secret(SECRET))
            .unwrap()
            .secret_in_form()
            .unwrap()
            .may_introspect()
            .unwrap(),
        Client::with_keys("k", signer.jwks())
            .unwrap()
            .audiences(["https://api.example"])
            .unwrap(),
    ] {
        let json = serde_json::to_string(&client).unwrap();
        assert!(!json.contains(SECRET), "{json}");
        assert_eq!(serde_json::from_str::<Client>(&json).unwrap(), client);
    }
}

#[test]
fn a_client_is_written_under_the_names_of_rfc_7591_and_with_no_more_than_it_has() {
    let client = Client::with_secret("c", &secret(SECRET))
        .and_then(|client| client.name("Notes"))
        .and_then(|client| client.redirect_uris(["https://app.example/cb"]))
        .and_then(|client| client.grants(["authorization_code", "refresh_token"]))
        .and_then(|client| client.scopes("profile email"))
        .unwrap();
    // The SHA-256 of the secret by `printf 0123456789abcdef0123456789abcdef | openssl dgst -sha256 -binary | basenc --base64url`.
    let written = json!({
        "client_id": "c",
        "client_name": "Notes",
        "token_endpoint_auth_method": "client_secret_basic",
        "client_secret_sha256": ["PrG9Q5lH63YpmOVmzMLgmceREYsvQFecxPfaK1Bht_k"],
        "redirect_uris": ["https://app.example/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "profile email",
    });
    assert_eq!(serde_json::to_value(&client).unwrap(), written);
    let public = serde_json::to_value(Client::public("p").unwrap()).unwrap();
    assert_eq!(
        public,
        json!({ "client_id": "p", "token_endpoint_auth_method": "none", "grant_types": [] })
    );
}

#[test]
fn a_client_that_says_what_is_not_known_here_is_not_read() {
    let good = json!({ "client_id": "c", "token_endpoint_auth_method": "none" });
    assert!(serde_json::from_value::<Client>(good.clone()).is_ok());
    for unknown in ["dpop_bound_access_tokens", "redirect_uri", "id"] {
        let mut newer = good.clone();
        newer[unknown] = json!(true);
        assert!(serde_json::from_value::<Client>(newer).is_err(), "{unknown}");
    }
}

#[test]
fn a_client_is_checked_when_it_is_read() {
    let good = json!({
        "client_id": "c", "token_endpoint_auth_method": "client_secret_basic",
        "client_secret_sha256": ["ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"],
    });
    let read = |client: &Value| serde_json::from_value::<Client>(client.clone());
    assert!(read(&good).is_ok());
    for (name, value) in [
        ("client_id", json!("")),
        ("token_endpoint_auth_method", json!("none")),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("token_endpoint_auth_method", json!("tls_client_auth")),
        ("client_secret_sha256", json!([])),
        ("client_secret_sha256", json!(["in clear"])),
        ("jwks", json!({ "keys": [] })),
        ("redirect_uris", json!(["http://app.example/cb"])),
        ("scope", json!("a\"b")),
        ("grant_types", json!([""])),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        assert!(read(&bad).is_err(), "{bad}");
    }
}

#[test]
fn debug_shows_neither_secrets_nor_digests() {
    let client = Client::with_secret("c", &secret(SECRET)).unwrap();
    assert_eq!(
        format!("{client:?}"),
        "Client { id: \"c\", method: ClientSecretBasic, .. }"
    );
    assert_eq!(format!("{:?}", secret(SECRET)), "ClientSecret");
}

#[tokio::test]
async fn stored_clients_are_inserted_once_updated_listed_and_deleted() {
    let clients = StoredClients::new(MemoryStore::new());
    let client = |id: &str| Client::public(id).unwrap();
    assert!(clients.insert(&client("a")).await.unwrap());
    assert!(!clients.insert(&client("a").name("other").unwrap()).await.unwrap());
    assert_eq!(clients.find("a").await.unwrap(), Some(client("a")));
    let named = client("a").name("named").unwrap();
    assert!(clients.update(&named).await.unwrap());
    assert!(!clients.update(&client("b")).await.unwrap());
    assert_eq!(clients.find("a").await.unwrap(), Some(named));
    assert_eq!(clients.find("A").await.unwrap(), None);
    for id in ["b", "c"] {
        assert!(clients.insert(&client(id)).await.unwrap());
    }
    let mut listed = Vec::new();
    loop {
        let after = listed.last().cloned();
        let page = clients.list(after.as_deref(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page.iter().map(|client| client.id().to_owned()));
    }
    listed.sort();
    assert_eq!(listed, ["a", "b", "c"]);
    assert!(clients.delete("a").await.unwrap());
    assert!(!clients.delete("a").await.unwrap());
    assert_eq!(clients.find("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_row_that_is_no_client_is_an_error_and_not_an_unknown_client() {
    let store = MemoryStore::new();
    let row = Row {
        version: crate::store::Version::draw().unwrap(),
        owner: None,
        expires_at: None,
        body: r#"{"client_id":"a","client_secret_sha256":"s3cret"}"#.to_owned(),
    };
    let change = Change::new().step(
        Key::of(crate::store::Kind::Client, "a"),
        crate::store::Was::Absent,
        crate::store::Becomes::Put(row),
    );
    Store::commit(&store, &change).await.unwrap();
    let error = StoredClients::new(store).find("a").await.unwrap_err();
    assert!(!error.to_string().contains("s3cret"));
}

/// What is told to the log, line by line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines with the event of this name.
    fn told(&self, event: &str) -> Vec<String> {
        let event = format!("event=\"{event}\"");
        let text = self.text();
        text.lines()
            .filter(|line| line.contains(&event))
            .map(str::to_owned)
            .collect()
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_has_each_client_that_is_refused_and_why() {
    let (log, world) = (Log::default(), World::new());
    let _listening = log.listen();
    let assertion = world.signer.sign(None, &claims("1"));
    assert!(world.present(&assertion).await.is_ok());
    let mut for_others = claims("2");
    for_others["aud"] = "https://other.example".into();
    let mut stale = claims("3");
    stale["exp"] = json!(1_600_000_000);
    let mut nameless = claims("4");
    nameless.as_object_mut().unwrap().remove("jti");
    is_refused(world.basic("basic", OTHER).await);
    is_refused(world.basic("post", SECRET).await);
    is_refused(world.ask(None, &[("client_id", "basic")]).await);
    is_refused(world.present(&assertion).await);
    is_refused(world.present(&Signer::new().sign(None, &claims("1"))).await);
    is_refused(world.assertion(None, &for_others).await);
    is_refused(world.assertion(None, &stale).await);
    is_refused(world.assertion(None, &nameless).await);
    let expected = [
        ("basic", "the secret is wrong"),
        ("post", "the client is registered to authenticate in another way"),
        ("basic", "the client is registered to authenticate in another way"),
        ("jwt", "the assertion was used before"),
        ("jwt", "no key of the client has signed the assertion"),
        ("jwt", "the assertion is not for this server alone"),
        ("jwt", "the assertion is not of this time, or is good for too long"),
        ("jwt", "the assertion lacks something, or cannot be read"),
    ];
    let told = log.told("client_refused");
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (line, (client_id, reason)) in told.iter().zip(expected) {
        let fields = format!("client_id=\"{client_id}\" reason=\"{reason}\"");
        assert!(
            line.contains("INFO resource_protector_issuer::clients: ") && line.contains(&fields),
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_log_has_each_429_of_a_client() {
    let (log, mut world) = (Log::default(), World::new().strict());
    let _listening = log.listen();
    for _ in 0..10 {
        is_refused(world.basic("basic", OTHER).await);
    }
    assert_eq!(log.told("rate_limited").len(), 0);
    // Guessed by nobody knows whom, or from where the wrong ones came.
    assert!(world.basic("basic", OTHER).await.is_err());
    world.authentication = world.authentication.peer(|_| Some(String::new()));
    assert!(world.basic("basic", SECRET).await.is_err());
    let told = log.told("rate_limited");
    assert_eq!((told.len(), log.told("client_refused").len()), (2, 10));
    for line in told {
        assert!(line.contains("WARN") && line.contains("client_id=\"basic\""), "{line}");
    }
}

#[tokio::test]
async fn what_a_stranger_says_and_what_is_secret_is_in_no_log() {
    let (log, world) = (Log::default(), World::new().strict());
    let _listening = log.listen();
    let mut stranger = claims("1");
    (stranger["iss"], stranger["sub"]) = ("n0body".into(), "n0body".into());
    let assertion = world.signer.sign(None, &stranger);
    for _ in 0..12 {
        assert!(world.basic("n0body", OTHER).await.is_err());
        assert!(world.ask(None, &[("client_id", "n0body")]).await.is_err());
        assert!(world.present(&assertion).await.is_err());
        assert!(world.basic("basic", OTHER).await.is_err());
    }
    assert!(!log.told("client_refused").is_empty() && !log.told("rate_limited").is_empty());
    let text = log.text();
    assert!(
        !text.contains("n0body") && !text.contains(OTHER) && !text.contains(&assertion),
        "{text}"
    );
}
