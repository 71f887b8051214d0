//! What each key of `[resource]` and `[[issuer]]` does to a token.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response, header};
use resource_protector::{
    Fetch, FetchError, ResourceProtectorLayer,
    config::ProtectorConfig,
    testing::{TestClock, TestIssuer},
};
use tower::Layer as _;

use crate::support::{ask, ask_behind, assert_refused, challenge, hello, request};

const API: &str = "https://api.test";

/// `[resource]` and one issuer of this kind, with more keys.
fn toml(issuer: &str, kind: &str, more: &str) -> String {
    format!("[resource]\nidentifier = \"{API}\"\n[[issuer]]\nissuer = {issuer:?}\nkind = {kind:?}\n{more}\n")
}

fn protector(toml: &str, fetch: &(impl Fetch + Clone)) -> ResourceProtectorLayer {
    let config = ProtectorConfig::from_toml(toml).unwrap();
    config.protector_with(fetch.clone()).unwrap()
}

fn jwt(issuer: &TestIssuer, more: &str) -> ResourceProtectorLayer {
    protector(&toml(issuer.url(), "jwt", more), issuer)
}

fn introspection(issuer: &TestIssuer, more: &str) -> ResourceProtectorLayer {
    let more = format!("client_id = \"api\"\nclient_secret = \"secret\"\n{more}");
    protector(&toml(issuer.url(), "introspection", &more), issuer)
}

async fn status(protector: &ResourceProtectorLayer, token: &str) -> u16 {
    let reply = ask_behind(protector, request(&[&format!("Bearer {token}")])).await;
    reply.status().as_u16()
}

fn issuer() -> TestIssuer {
    TestIssuer::new("https://auth.test")
}

/// An introspection answer about an active token for this API.
fn active() -> Response<Bytes> {
    let exp = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        + 60;
    let json = format!(r#"{{"active":true,"sub":"alice","aud":"{API}","exp":{exp}}}"#);
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    response.body(Bytes::from(json)).unwrap()
}

/// Both of two authorization servers.
#[derive(Clone)]
struct Either(TestIssuer, TestIssuer);

impl Fetch for Either {
    async fn fetch(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, FetchError> {
        let to_first = request.uri().to_string().starts_with(self.0.url());
        let issuer = if to_first { &self.0 } else { &self.1 };
        issuer.fetch(request, max_body).await
    }
}

#[tokio::test]
async fn the_identifier_is_the_audience_unless_the_issuer_names_its_own() {
    let issuer = issuer();
    let (ours, other) = (issuer.access_token(API).mint(), issuer.access_token("other").mint());
    let by_resource = jwt(&issuer, "");
    assert_eq!(
        (status(&by_resource, &ours).await, status(&by_resource, &other).await),
        (200, 401)
    );
    let own = jwt(&issuer, "audience = [\"another\", \"other\"]");
    assert_eq!((status(&own, &ours).await, status(&own, &other).await), (401, 200));

    let (ours, other) = (issuer.opaque_token(API).mint(), issuer.opaque_token("other").mint());
    let by_resource = introspection(&issuer, "");
    assert_eq!(
        (status(&by_resource, &ours).await, status(&by_resource, &other).await),
        (200, 401)
    );
    let own = introspection(&issuer, "audience = [\"other\"]");
    assert_eq!((status(&own, &ours).await, status(&own, &other).await), (401, 200));
}

#[tokio::test]
async fn the_realm_stands_in_challenges() {
    let issuer = issuer();
    let text = toml(issuer.url(), "jwt", "").replace("[[issuer]]", "realm = \"example\"\n[[issuer]]");
    let reply = ask_behind(&protector(&text, &issuer), request(&[])).await;
    assert_eq!(challenge(&reply), "Bearer realm=\"example\"");
}

#[tokio::test]
async fn places_are_discovered_unless_they_are_given() {
    const METADATA: &str = "/.well-known/oauth-authorization-server";
    let issuer = issuer();
    assert_eq!(status(&jwt(&issuer, ""), &issuer.access_token(API).mint()).await, 200);
    assert_eq!(
        status(&introspection(&issuer, ""), &issuer.opaque_token(API).mint()).await,
        200
    );
    assert_eq!(issuer.requests(METADATA), 2);

    let given = jwt(&issuer, "jwks_uri = \"https://auth.test/jwks\"");
    assert_eq!(status(&given, &issuer.access_token(API).mint()).await, 200);
    let given = introspection(&issuer, "introspection_endpoint = \"https://auth.test/introspect\"");
    assert_eq!(status(&given, &issuer.opaque_token(API).mint()).await, 200);
    assert_eq!(issuer.requests(METADATA), 2);
}

#[tokio::test]
async fn an_answer_of_a_given_endpoint_about_another_issuer_is_refused() {
    let issuer = issuer();
    let given = introspection(&issuer, "introspection_endpoint = \"https://auth.test/introspect\"");
    let foreign = issuer.opaque_token(API).claim("iss", "https://other.test").mint();
    assert_eq!(status(&given, &foreign).await, 401);
}

#[tokio::test]
async fn only_the_listed_algorithms_are_accepted() {
    let issuer = issuer();
    let token = issuer.access_token(API).mint();
    assert_eq!(status(&jwt(&issuer, "algorithms = [\"ES256\"]"), &token).await, 200);
    assert_eq!(
        status(&jwt(&issuer, "algorithms = [\"RS256\", \"EdDSA\"]"), &token).await,
        401
    );
    let all = "algorithms = [\"RS256\", \"RS384\", \"RS512\", \"PS256\", \"PS384\", \"PS512\", \"ES256\", \"ES384\", \
               \"ES512\", \"EdDSA\"]";
    assert_eq!(status(&jwt(&issuer, all), &token).await, 200);
    let ed25519 = TestIssuer::new("https://auth.test").with_algorithm("EdDSA");
    let token = ed25519.access_token(API).mint();
    assert_eq!(status(&jwt(&ed25519, "algorithms = [\"Ed25519\"]"), &token).await, 200);
}

#[tokio::test]
async fn other_types_are_accepted_together_with_the_claim_that_marks_access_tokens() {
    let issuer = issuer();
    let token = |typ: &str| issuer.access_token(API).header("typ", typ).claim("use", "access");
    let strict = jwt(&issuer, "expect_claims = { use = \"access\" }");
    assert_eq!(status(&strict, &token("JWT").mint()).await, 401);

    let relaxed = jwt(&issuer, "token_types = [\"JWT\"]\nexpect_claims = { use = \"access\" }");
    assert_eq!(status(&relaxed, &token("JWT").mint()).await, 200);
    assert_eq!(status(&relaxed, &token("at+jwt").mint()).await, 401);
    assert_eq!(status(&relaxed, &token("x").mint()).await, 401);
    assert_eq!(status(&relaxed, &token("JWT").without("use").mint()).await, 401);
    assert_eq!(status(&relaxed, &token("JWT").claim("nonce", "n").mint()).await, 401);
    assert_eq!(status(&relaxed, &token("JWT").without_header("typ").mint()).await, 401);
    assert_eq!(
        status(&relaxed, &issuer.id_token(API).claim("client_id", "app").mint()).await,
        401
    );

    let both = jwt(
        &issuer,
        "token_types = [\"application/at+jwt\", \"JWT\"]\nexpect_claims = { use = \"access\" }",
    );
    assert_eq!(status(&both, &token("JWT").mint()).await, 200);
    assert_eq!(status(&both, &token("at+jwt").mint()).await, 200);

    let without = jwt(&issuer, "token_types = [\"\"]\nexpect_claims = { use = \"access\" }");
    assert_eq!(status(&without, &token("JWT").without_header("typ").mint()).await, 200);
    assert_eq!(status(&without, &token("JWT").mint()).await, 401);
}

#[tokio::test]
async fn all_expected_claims_must_be_there_as_a_value_or_in_a_list() {
    let issuer = issuer();
    let expected = "expect_claims = { use = \"access\", tier = [\"gold\", \"silver\"] }";
    let (jwts, answers) = (jwt(&issuer, expected), introspection(&issuer, expected));
    for (use_claim, tier, expected) in [
        (serde_json::json!("access"), serde_json::json!("gold"), 200),
        (serde_json::json!(["x", "access"]), serde_json::json!(["silver"]), 200),
        (serde_json::json!("access"), serde_json::json!("bronze"), 401),
        (serde_json::json!("access2"), serde_json::json!("gold"), 401),
        (serde_json::json!(["x"]), serde_json::json!("gold"), 401),
        (serde_json::json!(true), serde_json::json!("gold"), 401),
    ] {
        let token = issuer
            .access_token(API)
            .claim("use", &use_claim)
            .claim("tier", &tier)
            .mint();
        assert_eq!(status(&jwts, &token).await, expected, "{use_claim} {tier}");
        let token = issuer
            .opaque_token(API)
            .claim("use", &use_claim)
            .claim("tier", &tier)
            .mint();
        assert_eq!(status(&answers, &token).await, expected, "{use_claim} {tier}");
    }
    let without = issuer.access_token(API).claim("use", "access").mint();
    assert_eq!(status(&jwts, &without).await, 401);
}

#[tokio::test]
async fn optional_claims_may_be_missing() {
    let issuer = issuer();
    let all = ["sub", "client_id", "iat", "jti"];
    let strict = jwt(&issuer, "");
    for claim in all {
        let relaxed = jwt(&issuer, &format!("optional_claims = [{claim:?}]"));
        for missing in all {
            let token = issuer.access_token(API).without(missing).mint();
            assert_eq!(status(&strict, &token).await, 401, "{missing}");
            let expected = if missing == claim { 200 } else { 401 };
            assert_eq!(
                status(&relaxed, &token).await,
                expected,
                "{missing} where {claim} is optional"
            );
        }
    }
}

#[tokio::test]
async fn claims_are_read_from_where_they_stand() {
    let issuer = issuer();
    let names = "claims = { client_id = \"azp\", scope = \"scp\", audience = \"cid\" }\naudience = [\"app\"]";
    let config = |kind: &str, more: &str| {
        let text = toml(issuer.url(), kind, &format!("{names}\n{more}"));
        let text = format!("{text}[[route]]\npath = \"/me\"\nscope = \"profile\"\n");
        let config = ProtectorConfig::from_toml(&text).unwrap();
        config.routes(config.protector_with(issuer.clone()).unwrap()).unwrap()
    };
    let claims = |scope: &'static str, client: &'static str| [("azp", "x"), ("scp", scope), ("cid", client)];
    for (claims, expected) in [
        (claims("profile", "app"), 200),
        (claims("email", "app"), 403),
        (claims("profile", "other"), 401),
    ] {
        let mut draft = issuer
            .access_token(API)
            .without("aud")
            .without("client_id")
            .scope("profile");
        for (name, value) in claims {
            draft = draft.claim(name, value);
        }
        let bearer = format!("Bearer {}", draft.mint());
        let service = config("jwt", "").layer(tower::service_fn(hello));
        assert_eq!(ask(service, request(&[&bearer])).await.status(), expected, "{claims:?}");

        let mut draft = issuer
            .opaque_token(API)
            .without("aud")
            .without("client_id")
            .scope("profile");
        for (name, value) in claims {
            draft = draft.claim(name, value);
        }
        let bearer = format!("Bearer {}", draft.mint());
        let client = "client_id = \"api\"\nclient_secret = \"secret\"";
        let service = config("introspection", client).layer(tower::service_fn(hello));
        assert_eq!(ask(service, request(&[&bearer])).await.status(), expected, "{claims:?}");
    }
    let no_client = issuer.access_token(API).mint();
    assert_eq!(
        status(&jwt(&issuer, "claims = { client_id = \"azp\" }"), &no_client).await,
        401
    );
}

#[tokio::test]
async fn the_leeway_lets_a_token_live_on() {
    let issuer = issuer();
    let long_ago = SystemTime::now() - Duration::from_secs(100);
    let jwt_token = issuer
        .access_token(API)
        .issued_at(long_ago)
        .lifetime(Duration::from_secs(60))
        .mint();
    assert_eq!(status(&jwt(&issuer, ""), &jwt_token).await, 401);
    assert_eq!(status(&jwt(&issuer, "leeway_seconds = 30"), &jwt_token).await, 401);
    assert_eq!(status(&jwt(&issuer, "leeway_seconds = 60"), &jwt_token).await, 200);
    // The server itself calls a token inactive that is over, so this one begins in a moment.
    let soon = SystemTime::now() + Duration::from_secs(40);
    let seconds = soon.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    issuer.respond_at("/introspect", {
        let body = String::from_utf8(active().body().to_vec()).unwrap();
        active().map(|_| {
            body.replace("{\"active\"", &format!("{{\"nbf\":{seconds},\"active\""))
                .into()
        })
    });
    assert_eq!(status(&introspection(&issuer, ""), "opaque").await, 401);
    assert_eq!(
        status(&introspection(&issuer, "leeway_seconds = 60"), "opaque").await,
        200
    );
}

#[tokio::test]
async fn this_service_authenticates_as_it_is_told() {
    let issuer = issuer();
    issuer.require_client("a pi", "se/cret");
    let endpoint = "introspection_endpoint = \"https://auth.test/introspect\"\nclient_id = \"a pi\"";
    let asked = async |more: &str| {
        let text = toml(issuer.url(), "introspection", &format!("{endpoint}\n{more}"));
        let status = status(&protector(&text, &issuer), &issuer.opaque_token(API).mint()).await;
        let request = issuer.last_request("/introspect").unwrap();
        let authorization = request.headers().get(header::AUTHORIZATION);
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        (
            status,
            authorization,
            String::from_utf8(request.body().to_vec()).unwrap(),
        )
    };
    let basic = |pair: &str| Some(format!("Basic {}", STANDARD.encode(pair)));
    let secret = "client_secret = \"se/cret\"";
    // By default, and by name.
    for method in ["", "client_auth = \"client_secret_basic\""] {
        let (status, authorization, body) = asked(&format!("{secret}\n{method}")).await;
        assert_eq!((status, authorization), (200, basic("a%20pi:se%2Fcret")));
        assert!(!body.contains("client_"), "{body}");
    }
    let (_, authorization, _) = asked(&format!("{secret}\nclient_auth = \"client_secret_basic_raw\"")).await;
    assert_eq!(authorization, basic("a pi:se/cret"));
    let (status, authorization, body) = asked(&format!("{secret}\nclient_auth = \"client_secret_post\"")).await;
    assert_eq!((status, authorization), (200, None));
    assert!(body.contains("client_id=a%20pi&client_secret=se%2Fcret"), "{body}");

    issuer.respond_at("/introspect", active());
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/self-signed.key.pem");
    let (status, authorization, body) = asked(&format!(
        "client_auth = \"private_key_jwt\"\nprivate_key_file = {key:?}"
    ))
    .await;
    assert_eq!((status, authorization), (200, None));
    assert!(
        body.contains("client_id=a%20pi") && body.contains("client_assertion=ey"),
        "{body}"
    );
    let (status, authorization, body) = asked("client_auth = \"none\"").await;
    assert_eq!((status, authorization), (200, None));
    assert!(!body.contains("client_"), "{body}");
}

#[tokio::test]
async fn a_secret_comes_from_a_file_and_is_read_again_when_it_is_refused() {
    let issuer = issuer();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first\n").unwrap();
    issuer.require_client("api", "first");
    let path = file.path();
    let more = format!("client_id = \"api\"\nclient_secret_file = {path:?}\n");
    let protector = protector(&toml(issuer.url(), "introspection", &more), &issuer);
    assert_eq!(status(&protector, &issuer.opaque_token(API).mint()).await, 200);
    issuer.require_client("api", "second");
    assert_eq!(status(&protector, &issuer.opaque_token(API).mint()).await, 500);
    std::fs::write(file.path(), "second\n").unwrap();
    assert_eq!(status(&protector, &issuer.opaque_token(API).mint()).await, 200);
}

#[tokio::test]
async fn a_secret_comes_from_an_environment_variable() {
    let issuer = issuer();
    issuer.require_client("api", &std::env::var("PATH").unwrap());
    let more = "client_id = \"api\"\nclient_secret_env = \"PATH\"";
    let protector = protector(&toml(issuer.url(), "introspection", more), &issuer);
    assert_eq!(status(&protector, &issuer.opaque_token(API).mint()).await, 200);
}

/// How often the server is asked about a token that comes twice, with so many seconds between.
async fn calls_about(more: &str, is_good: bool, after: u64) -> usize {
    let (issuer, clock) = (issuer(), TestClock::new());
    let protector = introspection(&issuer, more).clock(clock.clone());
    let (token, expected) = match is_good {
        true => (issuer.opaque_token(API).mint(), 200),
        false => ("unknown".to_owned(), 401),
    };
    assert_eq!(status(&protector, &token).await, expected);
    clock.advance(Duration::from_secs(after));
    assert_eq!(status(&protector, &token).await, expected);
    issuer.requests("/introspect")
}

#[tokio::test]
async fn answers_are_remembered_for_as_long_as_they_may_be() {
    for (more, after, calls) in [
        ("", 59, 1),
        ("", 61, 2),
        ("cache_seconds = 60", 59, 1),
        ("cache_seconds = 200", 199, 1),
        ("cache_seconds = 200", 201, 2),
        ("cache_seconds = 1", 2, 2),
        ("cache_seconds = 0", 0, 2),
    ] {
        assert_eq!(calls_about(more, true, after).await, calls, "{more}, after {after} s");
    }
}

#[tokio::test]
async fn refusals_are_remembered_for_five_seconds_at_the_most() {
    for (more, after, calls) in [
        ("", 4, 1),
        ("", 6, 2),
        ("cache_seconds = 200", 4, 1),
        ("cache_seconds = 200", 6, 2),
        ("cache_seconds = 2", 1, 1),
        ("cache_seconds = 2", 3, 2),
        ("cache_seconds = 0", 0, 2),
    ] {
        assert_eq!(calls_about(more, false, after).await, calls, "{more}, after {after} s");
    }
}

#[tokio::test]
async fn plain_http_is_used_where_it_is_allowed() {
    let issuer = TestIssuer::new("http://auth.internal");
    let allowed = jwt(&issuer, "allow_insecure_http = true");
    assert_eq!(status(&allowed, &issuer.access_token(API).mint()).await, 200);
    let allowed = introspection(&issuer, "allow_insecure_http = true");
    assert_eq!(status(&allowed, &issuer.opaque_token(API).mint()).await, 200);
    let text = toml(issuer.url(), "jwt", "");
    let config = ProtectorConfig::from_toml(&text).unwrap();
    let error = config.protector_with(issuer).unwrap_err().located_in(&text);
    assert_eq!((error.key(), error.line()), ("issuer[0].issuer", Some(4)));
}

#[tokio::test]
async fn both_kinds_of_one_issuer_share_its_tokens_by_shape() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let client = "client_id = \"api\"\nclient_secret = \"secret\"";
    let text = format!(
        "{}[[issuer]]\nissuer = {:?}\nkind = \"introspection\"\n{client}\n",
        toml(issuer.url(), "jwt", ""),
        issuer.url()
    );
    // By the default client, over a socket.
    let protector = ProtectorConfig::from_toml(&text).unwrap().protector().unwrap();
    let token = issuer.access_token(API).mint();
    assert_eq!(status(&protector, &token).await, 200);
    assert_eq!((issuer.requests("/jwks"), issuer.requests("/introspect")), (1, 0));
    assert_eq!(status(&protector, &issuer.opaque_token(API).mint()).await, 200);
    assert_eq!(issuer.requests("/introspect"), 1);
    let forged = issuer.access_token(API).signed_by_a_stranger().mint();
    assert_eq!(status(&protector, &forged).await, 401);
    assert_eq!(
        issuer.requests("/introspect"),
        1,
        "what one refuses is not tried at the other"
    );
}

#[tokio::test]
async fn jwts_go_by_issuer_and_other_tokens_by_prefix() {
    let (a, b) = (TestIssuer::new("https://a.test"), TestIssuer::new("https://b.test"));
    let client = "kind = \"introspection\"\nclient_id = \"api\"\nclient_secret = \"secret\"";
    let more = "client_id = \"api\"\nclient_secret = \"secret\"\nopaque_prefix = \"a_\"";
    let text = format!(
        "{}[[issuer]]\nissuer = \"https://b.test\"\n{client}\nopaque_prefix = \"a_b_\"\n\
         [[issuer]]\nissuer = \"https://b.test\"\nkind = \"jwt\"\n",
        toml(a.url(), "introspection", more)
    );
    let protector = protector(&text, &Either(a.clone(), b.clone()));
    let asked = || {
        (
            a.requests("/introspect"),
            b.requests("/introspect"),
            b.requests("/jwks"),
        )
    };
    let stranger = TestIssuer::new("https://c.test").access_token(API).mint();
    for (token, expected) in [
        ("a_x", (1, 0, 0)),
        ("a_b_x", (1, 1, 0)),
        ("other", (1, 1, 0)),
        (&stranger, (1, 1, 0)),
    ] {
        let reply = ask_behind(&protector, request(&[&format!("Bearer {token}")])).await;
        assert_refused(&reply, 401, Some("invalid_token"));
        assert_eq!(asked(), expected, "{token}");
    }
    // An issuer without an entry of kind `jwt` is asked about its JWTs; the other's are verified here.
    assert_eq!(status(&protector, &a.access_token(API).mint()).await, 200);
    assert_eq!(asked(), (2, 1, 0));
    assert_eq!(status(&protector, &b.access_token(API).mint()).await, 200);
    assert_eq!(asked(), (2, 1, 1));
}

#[tokio::test]
async fn what_is_remembered_of_a_token_is_judged_by_the_route_of_each_request() {
    let issuer = issuer();
    let client = "client_id = \"api\"\nclient_secret = \"secret\"";
    let text = toml(issuer.url(), "introspection", client)
        + "[[route]]\npath = \"/profile\"\nscope = \"profile\"\n[[route]]\npath = \"/email\"\nscope = \"email\"\n";
    let config = ProtectorConfig::from_toml(&text).unwrap();
    let protector = config.protector_with(issuer.clone()).unwrap();
    let routes = config.routes(protector).unwrap();
    let bearer = format!("Bearer {}", issuer.opaque_token(API).scope("profile").mint());
    for (path, status) in [("/profile", 200), ("/email", 403), ("/", 200)] {
        let mut request = request(&[&bearer]);
        *request.uri_mut() = path.parse().unwrap();
        let reply = ask(routes.layer(tower::service_fn(hello)), request).await;
        assert_eq!(reply.status(), status, "{path}");
    }
    assert_eq!(issuer.requests("/introspect"), 1);
}

#[tokio::test]
async fn with_a_list_of_revocations_a_token_needs_what_that_goes_by_and_nobody_is_let_in_while_its_mirror_is_not_driven()
 {
    let issuer = issuer();
    let table = "[revocation]\nredis_url = \"redis://127.0.0.1:1/\"\nname = \"test\"\nby = [\"sid\"]\n\
                 longest_lifetime_seconds = 600\n";
    let config = ProtectorConfig::from_toml(&toml(issuer.url(), "jwt", table)).unwrap();
    let (protector, _not_driven) = config.protector_and_mirror_with(issuer.clone()).unwrap();
    let token = |lifetime: u64| {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let draft = issuer.access_token(API).claim("sid", "s");
        draft.claim("iat", now).claim("exp", now + lifetime)
    };
    assert_eq!(status(&protector, &token(600).mint()).await, 503);
    assert_eq!(status(&protector, &token(601).mint()).await, 401);
    assert_eq!(status(&protector, &token(600).without("sid").mint()).await, 401);
}

#[tokio::test]
async fn without_a_list_of_revocations_the_mirror_has_nothing_to_do() {
    let issuer = issuer();
    let config = ProtectorConfig::from_toml(&toml(issuer.url(), "jwt", "")).unwrap();
    let (protector, mirror) = config.protector_and_mirror_with(issuer.clone()).unwrap();
    let mirror = tokio::spawn(mirror);
    assert_eq!(status(&protector, &issuer.access_token(API).mint()).await, 200);
    assert!(!mirror.is_finished());
    mirror.abort();
}

#[test]
fn a_program_that_would_not_hear_of_revocations_does_not_start_with_a_list_of_them() {
    let issuer = issuer();
    let table = "[revocation]\nredis_url = \"redis://127.0.0.1:1/\"\nname = \"test\"\nby = [\"sid\"]\n\
                 longest_lifetime_seconds = 600\n";
    let text = toml(issuer.url(), "jwt", table);
    let config = ProtectorConfig::from_toml(&text).unwrap();
    for protector in [config.protector(), config.protector_with(issuer.clone())] {
        let error = protector.unwrap_err().located_in(&text);
        assert_eq!((error.line(), error.key()), (Some(6), "revocation"));
        assert!(error.to_string().contains("`protector_and_mirror`"), "{error}");
    }
}
