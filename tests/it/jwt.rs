//! Cases 82–115: what makes a JWT an access token (RFC 9068), one thing spoilt at a time.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use resource_protector::{
    AccessTokenMark, Algorithm, Audience, HmacAlgorithm, JwtValidator, OptionalClaim, Reason, Rejection, RejectionKind,
    ResourceProtectorLayer, SetupError,
    testing::{Jwt, TestClock, TestIssuer, TokenDraft},
};
use serde_json::json;

use crate::support::{Reply, ask_behind, request};

const API: &str = "https://api.test";
const ISSUER: &str = "https://auth.test";

/// An issuer in process and a protector that trusts it.
struct World {
    clock: TestClock,
    issuer: TestIssuer,
}

impl World {
    fn new() -> Self {
        let clock = TestClock::new();
        let issuer = TestIssuer::new(ISSUER).with_clock(clock.clone());
        Self { clock, issuer }
    }

    /// A good token; spoil it.
    fn token(&self) -> TokenDraft<Jwt> {
        self.issuer
            .access_token(API)
            .subject("alice")
            .client_id("app")
            .scope("profile")
    }

    fn strict(&self) -> JwtValidator {
        JwtValidator::with_jwks(ISSUER, self.issuer.jwks(), API).unwrap()
    }

    async fn ask(&self, validator: JwtValidator, token: &str) -> Reply {
        let layer = ResourceProtectorLayer::new(validator).clock(self.clock.clone());
        ask_behind(&layer, request(&[&format!("Bearer {token}")])).await
    }

    async fn strictly(&self, token: &str) -> Option<Reason> {
        verdict(&self.ask(self.strict(), token).await)
    }
}

/// Why the token was refused with 401; `None` if it was let in.
#[track_caller]
fn verdict(reply: &Reply) -> Option<Reason> {
    let rejection = reply.extensions().get::<Rejection>();
    match rejection {
        None => {
            assert_eq!(
                (reply.status().as_u16(), reply.body().as_ref()),
                (200, b"alice".as_slice())
            );
            None
        }
        Some(rejection) => {
            assert_eq!(
                (reply.status().as_u16(), rejection.kind()),
                (401, RejectionKind::InvalidToken),
                "{rejection:?}"
            );
            rejection.reason()
        }
    }
}

#[tokio::test]
async fn a_token_as_in_rfc_9068_is_let_in() {
    let world = World::new();
    assert_eq!(world.strictly(&world.token().mint()).await, None);
}

#[tokio::test]
async fn every_algorithm_verifies_and_the_name_ed25519_too() {
    for algorithm in [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ] {
        let world = World::new();
        world.issuer.rotate_to(algorithm);
        assert_eq!(world.strictly(&world.token().mint()).await, None, "{algorithm}");
        assert_eq!(
            world.strictly(&world.token().tampered().mint()).await,
            Some(Reason::Signature),
            "{algorithm}"
        );
        assert_eq!(
            world.strictly(&world.token().signed_by_a_stranger().mint()).await,
            Some(Reason::Signature),
            "{algorithm}"
        );
    }
    let world = World::new();
    world.issuer.rotate_to("EdDSA");
    assert_eq!(
        world.strictly(&world.token().header("alg", "Ed25519").mint()).await,
        None
    );
}

#[tokio::test]
async fn the_type_is_at_jwt_in_any_case_and_nothing_else() {
    let world = World::new();
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
        assert_eq!(
            world.strictly(&world.token().header("typ", typ).mint()).await,
            None,
            "{typ}"
        );
    }
    for typ in [
        "JWT",
        "invalid",
        "",
        "logout+jwt",
        "dpop+jwt",
        "token-introspection+jwt",
        "secevent+jwt",
        "statuslist+jwt",
    ] {
        assert_eq!(
            world.strictly(&world.token().header("typ", typ).mint()).await,
            Some(Reason::Type),
            "{typ}"
        );
    }
    assert_eq!(
        world.strictly(&world.token().without_header("typ").mint()).await,
        Some(Reason::Type)
    );
}

#[tokio::test]
async fn every_required_claim_is_required() {
    let world = World::new();
    for (claim, reason) in [
        ("iss", Reason::Issuer),
        ("exp", Reason::Claim),
        ("aud", Reason::Audience),
        ("sub", Reason::Claim),
        ("client_id", Reason::Claim),
        ("iat", Reason::Claim),
        ("jti", Reason::Claim),
    ] {
        assert_eq!(
            world.strictly(&world.token().without(claim).mint()).await,
            Some(reason),
            "{claim}"
        );
    }
}

#[tokio::test]
async fn the_issuer_is_compared_byte_for_byte() {
    let world = World::new();
    for issuer in [
        "https://auth.test/",
        "https://AUTH.test",
        "https://other.test",
        "https://auth.tes",
        "",
    ] {
        let token = world.token().claim("iss", issuer).mint();
        assert_eq!(world.strictly(&token).await, Some(Reason::Issuer), "{issuer}");
    }
    let list = world.token().claim("iss", [ISSUER]).mint();
    assert_eq!(world.strictly(&list).await, Some(Reason::Claim));
}

#[tokio::test]
async fn the_audience_is_one_of_a_string_or_a_list() {
    let world = World::new();
    let audience = |aud: serde_json::Value| world.token().claim("aud", aud).mint();
    assert_eq!(world.strictly(&audience(json!(API))).await, None);
    assert_eq!(
        world.strictly(&audience(json!(["https://other.test", API]))).await,
        None
    );
    for other in [
        json!("https://other.test"),
        json!(["https://other.test"]),
        json!([]),
        json!(""),
        json!("https://api.test/v1"),
    ] {
        assert_eq!(
            world.strictly(&audience(other.clone())).await,
            Some(Reason::Audience),
            "{other}"
        );
    }
    for wrong in [json!(null), json!(1), json!({ API: true }), json!([1])] {
        assert_eq!(
            world.strictly(&audience(wrong.clone())).await,
            Some(Reason::Claim),
            "{wrong}"
        );
    }
    let several = JwtValidator::discover(ISSUER, ["https://other.test", API])
        .unwrap()
        .fetch(world.issuer.clone());
    assert_eq!(verdict(&world.ask(several, &audience(json!(API))).await), None);
}

#[tokio::test]
async fn a_token_is_over_at_its_exp_plus_the_leeway() {
    let world = World::new();
    let token = world.token().lifetime(Duration::from_secs(60)).mint();
    world.clock.advance(Duration::from_secs(69));
    assert_eq!(world.strictly(&token).await, None);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.strictly(&token).await, Some(Reason::Expired));
    let lenient = || world.strict().leeway(Duration::from_secs(60)).unwrap();
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(verdict(&world.ask(lenient(), &token).await), None);
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(verdict(&world.ask(lenient(), &token).await), Some(Reason::Expired));
    let exact = world.strict().leeway(Duration::ZERO).unwrap();
    let token = world.token().lifetime(Duration::ZERO).mint();
    assert_eq!(verdict(&world.ask(exact, &token).await), Some(Reason::Expired));
    assert!(world.strict().leeway(Duration::from_secs(301)).is_err());
}

#[tokio::test]
async fn a_token_from_the_future_is_refused_beyond_the_leeway() {
    let world = World::new();
    let now = world.clock_seconds();
    for claim in ["nbf", "iat"] {
        assert_eq!(
            world.strictly(&world.token().claim(claim, now + 30).mint()).await,
            Some(Reason::NotYetValid),
            "{claim}"
        );
        assert_eq!(
            world.strictly(&world.token().claim(claim, now + 10).mint()).await,
            None,
            "{claim}"
        );
    }
}

impl World {
    fn clock_seconds(&self) -> u64 {
        use resource_protector::Clock as _;
        self.clock
            .now()
            .wall
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    }
}

#[tokio::test]
async fn numeric_dates_are_numbers() {
    let world = World::new();
    let later = world.clock_seconds() + 60;
    for wrong in [json!(later.to_string()), json!(true), json!(null), json!([later])] {
        assert_eq!(
            world.strictly(&world.token().claim("exp", &wrong).mint()).await,
            Some(Reason::Claim),
            "{wrong}"
        );
        assert_eq!(
            world.strictly(&world.token().claim("nbf", &wrong).mint()).await,
            Some(Reason::Claim),
            "{wrong}"
        );
    }
    for number in [json!(later as f64 + 0.5), json!(1e300), json!(u64::MAX)] {
        assert_eq!(
            world.strictly(&world.token().claim("exp", &number).mint()).await,
            None,
            "{number}"
        );
    }
    for number in [json!(-1), json!(-1e300), json!(0)] {
        assert_eq!(
            world.strictly(&world.token().claim("exp", &number).mint()).await,
            Some(Reason::Expired),
            "{number}"
        );
    }
}

#[tokio::test]
async fn no_algorithm_is_no_algorithm_in_any_spelling() {
    let world = World::new();
    assert_eq!(
        world.strictly(&world.token().unsigned().mint()).await,
        Some(Reason::Algorithm)
    );
    for alg in ["none", "None", "nOnE", "NONE", ""] {
        assert_eq!(
            world.strictly(&world.token().header("alg", alg).mint()).await,
            Some(Reason::Algorithm),
            "{alg}"
        );
    }
}

#[tokio::test]
async fn a_public_key_is_never_a_shared_secret() {
    let world = World::new();
    world.issuer.rotate_to("RS256");
    for secret in [world.issuer.public_pem(), world.issuer.jwks()] {
        let forged = world.token().signed_with_secret(secret, "HS256").mint();
        assert_eq!(world.strictly(&forged).await, Some(Reason::Algorithm));
    }
}

#[tokio::test]
async fn a_key_in_the_token_is_never_looked_at() {
    let (world, stranger) = (World::new(), TestIssuer::new(ISSUER));
    let keys: serde_json::Value = serde_json::from_str(&stranger.jwks()).unwrap();
    for (member, value) in [
        ("jwk", keys["keys"][0].clone()),
        ("jku", json!("https://evil.test/jwks")),
        ("x5u", json!("https://evil.test/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        let forged = world.token().signed_by_a_stranger().header(member, &value).mint();
        assert_eq!(world.strictly(&forged).await, Some(Reason::Signature), "{member}");
        let harmless = world.token().header(member, &value).mint();
        assert_eq!(world.strictly(&harmless).await, None, "{member}");
    }
}

#[tokio::test]
async fn extensions_that_are_not_understood_make_a_token_invalid() {
    let world = World::new();
    for (member, value) in [
        ("crit", json!(["bork"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
    ] {
        assert_eq!(
            world.strictly(&world.token().header(member, &value).mint()).await,
            Some(Reason::Format),
            "{member}"
        );
    }
    assert_eq!(
        world.strictly(&world.token().header("unknown", "member").mint()).await,
        None
    );
}

#[tokio::test]
async fn only_allowed_algorithms_verify_even_with_the_right_key() {
    let world = World::new();
    world.issuer.rotate_to("RS512");
    let only = |algorithm| world.strict().algorithms([algorithm]).unwrap();
    let token = world.token().mint();
    assert_eq!(
        verdict(&world.ask(only(Algorithm::RS256), &token).await),
        Some(Reason::Algorithm)
    );
    assert_eq!(verdict(&world.ask(only(Algorithm::RS512), &token).await), None);
    assert!(world.strict().algorithms([]).is_err());
}

#[tokio::test]
async fn a_token_that_is_not_three_canonical_segments_is_refused() {
    let world = World::new();
    let good = world.token().mint();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for bad in [
        format!("{header}.{payload}"),
        format!("{good}.x"),
        format!("{good}.x.y"),
        format!("{header}.{payload}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{good}="),
        format!("{good}=="),
        format!("{header}+.{payload}.{signature}"),
        "not.a.jwt".to_owned(),
        "opaque".to_owned(),
        "..".to_owned(),
    ] {
        assert!(world.strictly(&bad).await.is_some(), "{bad}");
    }
    for spaced in [format!("{header} .{payload}.{signature}"), format!("{good} x")] {
        assert_eq!(world.ask(world.strict(), &spaced).await.status(), 400);
    }
}

#[tokio::test]
async fn a_payload_that_is_not_one_plain_json_object_is_refused() {
    let world = World::new();
    let deep = format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500));
    for payload in [
        "[]",
        "null",
        "\"text\"",
        "1",
        "",
        "{",
        "{}{}",
        "\u{feff}{}",
        r#"{"a":1,"a":1}"#,
        &deep,
    ] {
        let token = world.token().payload_bytes(payload.as_bytes()).mint();
        assert_eq!(world.strictly(&token).await, Some(Reason::Format), "{payload:.40}");
    }
    let repeated = format!(r#"{{"iss":"https://evil.test","iss":"{ISSUER}"}}"#);
    assert_eq!(
        world.strictly(&world.token().payload_bytes(repeated).mint()).await,
        Some(Reason::Format)
    );
    assert_eq!(
        world
            .strictly(&world.token().payload_bytes(b"{\"a\":\"\xff\"}".to_vec()).mint())
            .await,
        Some(Reason::Format)
    );
}

#[tokio::test]
async fn a_header_that_is_too_long_is_refused() {
    let world = World::new();
    let long = world.token().header("x", "x".repeat(7_000)).mint();
    assert_eq!(world.strictly(&long).await, Some(Reason::Format));
}

#[tokio::test]
async fn a_signature_of_zeros_is_refused() {
    let world = World::new();
    let good = world.token().mint();
    let signed = good.rsplit_once('.').unwrap().0;
    for signature in [vec![0; 64], Vec::new(), vec![0; 63], vec![0xff; 64]] {
        let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert!(world.strictly(&forged).await.is_some());
    }
}

#[tokio::test]
async fn claims_of_the_wrong_type_are_refused() {
    let world = World::new();
    for (claim, value) in [
        ("scope", json!(1)),
        ("scope", json!([1])),
        ("sub", json!(1)),
        ("sub", json!("")),
        ("client_id", json!(["app"])),
        ("jti", json!(1)),
        ("amr", json!("pwd")),
        ("auth_time", json!("1")),
        ("acr", json!(1)),
        ("groups", json!("admins")),
        ("cnf", json!("x")),
    ] {
        assert_eq!(
            world.strictly(&world.token().claim(claim, &value).mint()).await,
            Some(Reason::Claim),
            "{claim}: {value}"
        );
    }
    assert_eq!(
        world
            .strictly(&world.token().claim("scope", ["profile", "email"]).mint())
            .await,
        None
    );
}

#[tokio::test]
async fn a_token_bound_to_its_sender_is_not_a_plain_bearer_token() {
    let world = World::new();
    for cnf in [
        json!({ "jkt": "x" }),
        json!({ "x5t#S256": "x" }),
        json!({ "unknown": 1 }),
        json!({}),
    ] {
        assert_eq!(
            world.strictly(&world.token().claim("cnf", &cnf).mint()).await,
            Some(Reason::Unbound),
            "{cnf}"
        );
    }
}

#[tokio::test]
async fn id_and_logout_tokens_of_the_issuer_are_refused() {
    let world = World::new();
    for token in [
        world.issuer.id_token(API).subject("alice").mint(),
        world.issuer.logout_token(API).subject("alice").mint(),
    ] {
        assert_eq!(world.strictly(&token).await, Some(Reason::Type));
    }
}

#[tokio::test]
async fn another_type_is_accepted_only_with_the_mark_of_access_tokens() {
    let world = World::new();
    let keycloak = || {
        world
            .strict()
            .accept_types(["JWT"], AccessTokenMark::claim("typ", ["Bearer"]))
            .unwrap()
    };
    let token = || world.token().header("typ", "JWT");
    assert_eq!(
        verdict(&world.ask(keycloak(), &token().claim("typ", "Bearer").mint()).await),
        None
    );
    assert_eq!(verdict(&world.ask(keycloak(), &world.token().mint()).await), None);
    for other in ["ID", "Refresh", "bearer", ""] {
        let token = token().claim("typ", other).mint();
        assert_eq!(
            verdict(&world.ask(keycloak(), &token).await),
            Some(Reason::Type),
            "{other}"
        );
    }
    assert_eq!(
        verdict(&world.ask(keycloak(), &token().mint()).await),
        Some(Reason::Type)
    );
    let missing = world.token().without_header("typ").claim("typ", "Bearer").mint();
    assert_eq!(verdict(&world.ask(keycloak(), &missing).await), Some(Reason::Type));
    let okta = world
        .strict()
        .accept_types([""], AccessTokenMark::any_claim_of(["scp"]))
        .unwrap();
    assert_eq!(
        verdict(
            &world
                .ask(okta, &world.token().without_header("typ").claim("scp", ["a"]).mint())
                .await
        ),
        None
    );
}

#[tokio::test]
async fn where_the_type_is_relaxed_the_signs_of_other_tokens_are_refused() {
    let world = World::new();
    let relaxed = || {
        world
            .strict()
            .accept_types(["JWT"], AccessTokenMark::claim("use", ["access"]))
            .unwrap()
    };
    for sign in ["nonce", "at_hash", "c_hash", "events"] {
        let token = world
            .token()
            .header("typ", "JWT")
            .claim("use", "access")
            .claim(sign, "x")
            .mint();
        assert_eq!(
            verdict(&world.ask(relaxed(), &token).await),
            Some(Reason::Type),
            "{sign}"
        );
        let known = relaxed().access_tokens_may_carry(sign).unwrap();
        assert_eq!(verdict(&world.ask(known, &token).await), None, "{sign}");
        // A token whose type says what it is may carry anything.
        assert_eq!(world.strictly(&world.token().claim(sign, "x").mint()).await, None);
    }
    assert!(relaxed().access_tokens_may_carry("sub").is_err());
}

#[tokio::test]
async fn other_known_types_are_refused_whatever_is_relaxed() {
    let world = World::new();
    let mark = || AccessTokenMark::claim("use", ["access"]);
    for typ in [
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "statuslist+jwt",
        "token-introspection+jwt",
    ] {
        assert!(world.strict().accept_types([typ], mark()).is_err(), "{typ}");
        let relaxed = world.strict().accept_types(["JWT", ""], mark()).unwrap();
        let token = world.token().header("typ", typ).claim("use", "access").mint();
        assert_eq!(verdict(&world.ask(relaxed, &token).await), Some(Reason::Type), "{typ}");
    }
}

#[tokio::test]
async fn a_missing_audience_can_be_replaced_by_a_claim_with_expected_values() {
    let world = World::new();
    let clients = || {
        let validator = JwtValidator::discover(ISSUER, ["app", "other-app"]).unwrap();
        validator
            .fetch(world.issuer.clone())
            .audience_claim("client_id")
            .unwrap()
    };
    assert_eq!(
        verdict(&world.ask(clients(), &world.token().without("aud").mint()).await),
        None
    );
    let stranger = world.token().without("aud").client_id("stranger").mint();
    assert_eq!(verdict(&world.ask(clients(), &stranger).await), Some(Reason::Audience));
    // A token that does name its audience is judged by it.
    assert_eq!(
        verdict(&world.ask(clients(), &world.token().mint()).await),
        Some(Reason::Audience)
    );
}

#[tokio::test]
async fn the_audience_is_given_up_only_by_a_long_name() {
    let world = World::new();
    let any = JwtValidator::discover(ISSUER, Audience::dangerous_any_even_tokens_meant_for_others()).unwrap();
    assert_eq!(
        verdict(
            &world
                .ask(any.fetch(world.issuer.clone()), &world.token().without("aud").mint())
                .await
        ),
        None
    );
    assert!(JwtValidator::discover(ISSUER, "").is_err());
    assert!(JwtValidator::discover(ISSUER, Vec::<String>::new()).is_err());
}

#[tokio::test]
async fn claims_can_be_optional_one_by_one_but_never_exp() {
    let world = World::new();
    for (name, claim) in [
        ("sub", OptionalClaim::Subject),
        ("client_id", OptionalClaim::ClientId),
        ("iat", OptionalClaim::IssuedAt),
        ("jti", OptionalClaim::JwtId),
    ] {
        let relaxed = || world.strict().optional_claims([claim]);
        let without = world.token().without(name).mint();
        assert_eq!(world.ask(relaxed(), &without).await.status(), 200, "{name}");
        for other in ["sub", "client_id", "iat", "jti", "exp"]
            .into_iter()
            .filter(|other| *other != name)
        {
            let without = world.token().without(other).mint();
            assert_eq!(
                verdict(&world.ask(relaxed(), &without).await),
                Some(Reason::Claim),
                "{name} {other}"
            );
        }
    }
}

#[tokio::test]
async fn client_and_scopes_are_read_from_where_the_issuer_puts_them_and_only_there() {
    use resource_protector::require_scope;
    use tower::ServiceBuilder;
    let world = World::new();
    let okta = || {
        world
            .strict()
            .client_id_claim("cid")
            .unwrap()
            .scope_claim("scp")
            .unwrap()
    };
    let ask = async |token: String| {
        let layer = ResourceProtectorLayer::new(okta()).clock(world.clock.clone());
        let service = ServiceBuilder::new()
            .layer(layer)
            .layer(require_scope("read"))
            .service_fn(crate::support::hello);
        crate::support::ask(service, request(&[&format!("Bearer {token}")]))
            .await
            .status()
            .as_u16()
    };
    let token = || world.token().without("client_id").without("scope").claim("cid", "app");
    assert_eq!(ask(token().claim("scp", ["read", "write"]).mint()).await, 200);
    assert_eq!(ask(token().claim("scp", "write read").mint()).await, 200);
    assert_eq!(ask(token().claim("scope", "read").mint()).await, 403);
    assert_eq!(ask(world.token().claim("scp", ["read"]).mint()).await, 401);
}

#[tokio::test]
async fn a_claim_can_be_demanded_with_expected_values() {
    let world = World::new();
    let gold = || world.strict().expect_claim("tenant", ["t1", "t2"]).unwrap();
    assert_eq!(
        verdict(&world.ask(gold(), &world.token().claim("tenant", "t2").mint()).await),
        None
    );
    assert_eq!(
        verdict(
            &world
                .ask(gold(), &world.token().claim("tenant", ["x", "t1"]).mint())
                .await
        ),
        None
    );
    for wrong in [json!("t3"), json!(["x"]), json!(1), json!({})] {
        let token = world.token().claim("tenant", &wrong).mint();
        assert_eq!(
            verdict(&world.ask(gold(), &token).await),
            Some(Reason::Claim),
            "{wrong}"
        );
    }
    assert_eq!(
        verdict(&world.ask(gold(), &world.token().mint()).await),
        Some(Reason::Claim)
    );
}

#[tokio::test]
async fn a_shared_secret_verifies_its_one_algorithm_and_is_long_enough() {
    let world = World::new();
    let secret = "a secret that is long enough for SHA-256, and then for more of them.";
    let shared = |algorithm| JwtValidator::with_shared_secret(ISSUER, algorithm, secret, API).unwrap();
    for (algorithm, name) in [
        (HmacAlgorithm::HS256, "HS256"),
        (HmacAlgorithm::HS384, "HS384"),
        (HmacAlgorithm::HS512, "HS512"),
    ] {
        let token = world.token().signed_with_secret(secret, name).mint();
        assert_eq!(verdict(&world.ask(shared(algorithm), &token).await), None, "{name}");
        let other = world
            .token()
            .signed_with_secret("another secret, that is just as long as needed", name)
            .mint();
        assert_eq!(
            verdict(&world.ask(shared(algorithm), &other).await),
            Some(Reason::Signature),
            "{name}"
        );
    }
    let token = world.token().signed_with_secret(secret, "HS512").mint();
    assert_eq!(
        verdict(&world.ask(shared(HmacAlgorithm::HS256), &token).await),
        Some(Reason::Algorithm)
    );
    assert_eq!(
        verdict(&world.ask(shared(HmacAlgorithm::HS256), &world.token().mint()).await),
        Some(Reason::Algorithm)
    );
    for (algorithm, too_short) in [
        (HmacAlgorithm::HS256, 31),
        (HmacAlgorithm::HS384, 47),
        (HmacAlgorithm::HS512, 63),
        (HmacAlgorithm::HS256, 0),
    ] {
        assert!(JwtValidator::with_shared_secret(ISSUER, algorithm, vec![7; too_short], API).is_err());
        assert!(JwtValidator::with_shared_secret(ISSUER, algorithm, vec![7; 64], API).is_ok());
    }
    assert!(shared(HmacAlgorithm::HS256).algorithms([Algorithm::ES256]).is_err());
}

#[tokio::test]
async fn under_a_secret_that_signs_nothing_else_a_token_may_lack_its_issuer_and_never_name_another() {
    let world = World::new();
    let secret = "a secret that is long enough for SHA-256";
    let strict = || JwtValidator::with_shared_secret(ISSUER, HmacAlgorithm::HS256, secret, API).unwrap();
    let relaxed = || {
        strict()
            .accept_tokens_without_issuer_by_a_secret_that_signs_nothing_else()
            .unwrap()
    };
    let token = || world.token().signed_with_secret(secret, "HS256");
    assert_eq!(
        verdict(&world.ask(strict(), &token().without("iss").mint()).await),
        Some(Reason::Issuer)
    );
    assert_eq!(
        verdict(&world.ask(relaxed(), &token().without("iss").mint()).await),
        None
    );
    assert_eq!(verdict(&world.ask(relaxed(), &token().mint()).await), None);
    let other = token().claim("iss", "https://other.test").mint();
    assert_eq!(verdict(&world.ask(relaxed(), &other).await), Some(Reason::Issuer));
    let public_keys = world.strict();
    assert!(
        public_keys
            .accept_tokens_without_issuer_by_a_secret_that_signs_nothing_else()
            .is_err()
    );
}

#[tokio::test]
async fn the_subject_may_stand_in_another_claim_as_text_or_whole_number_and_is_needed_there() {
    let world = World::new();
    let elsewhere = || world.strict().subject_claim("user_id").unwrap();
    let token = || world.token().without("sub");
    assert_eq!(
        verdict(&world.ask(elsewhere(), &token().claim("user_id", "alice").mint()).await),
        None
    );
    let number = world.ask(elsewhere(), &token().claim("user_id", 7).mint()).await;
    assert_eq!(
        (number.status().as_u16(), number.body().as_ref()),
        (200, b"7".as_slice())
    );
    for spoilt in [
        world.token(),
        token(),
        token().claim("user_id", 7.5),
        token().claim("user_id", true),
        world.token().claim("user_id", ""),
    ] {
        assert_eq!(
            verdict(&world.ask(elsewhere(), &spoilt.mint()).await),
            Some(Reason::Claim)
        );
    }
    let number = world.token().claim("sub", 7).mint();
    assert_eq!(verdict(&world.ask(world.strict(), &number).await), Some(Reason::Claim));
    let in_sub = world.strict().subject_claim("sub").unwrap();
    assert_eq!(world.ask(in_sub, &number).await.status(), 200);
    assert!(world.strict().subject_claim("").is_err());
}

#[tokio::test]
async fn where_no_audience_is_expected_a_token_that_names_one_is_refused() {
    let world = World::new();
    let nobody = || {
        let none = Audience::dangerous_only_tokens_that_name_none();
        JwtValidator::with_jwks(ISSUER, world.issuer.jwks(), none).unwrap()
    };
    assert_eq!(
        verdict(&world.ask(nobody(), &world.token().without("aud").mint()).await),
        None
    );
    assert_eq!(
        verdict(&world.ask(nobody(), &world.token().mint()).await),
        Some(Reason::Audience)
    );
}

#[tokio::test]
async fn keys_at_hand_verify_without_any_fetch() {
    let world = World::new();
    for algorithm in ["RS256", "ES256", "ES384", "ES512", "EdDSA"] {
        world.issuer.rotate_to(algorithm);
        world.issuer.withdraw_old_keys();
        let (token, stranger) = (world.token().mint(), world.token().signed_by_a_stranger().mint());
        for validator in [
            JwtValidator::with_jwks(ISSUER, world.issuer.jwks(), API),
            JwtValidator::with_public_key_pem(ISSUER, world.issuer.public_pem(), API),
            JwtValidator::with_public_key_der(ISSUER, der(&world.issuer.public_pem()), API),
        ] {
            let layer = ResourceProtectorLayer::new(validator.unwrap()).clock(world.clock.clone());
            let ask = async |token| verdict(&ask_behind(&layer, request(&[&format!("Bearer {token}")])).await);
            assert_eq!(ask(&token).await, None, "{algorithm}");
            assert_eq!(ask(&stranger).await, Some(Reason::Signature), "{algorithm}");
        }
    }
    assert_eq!(world.issuer.requests("/jwks"), 0);
}

fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

#[test]
fn keys_that_are_no_public_keys_are_setup_errors_that_quote_nothing() {
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    for pem in [
        private,
        "",
        "nonsense",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        let error = JwtValidator::with_public_key_pem(ISSUER, pem, API)
            .map(drop)
            .unwrap_err();
        assert_eq!(SetupError::option(&error), "public_key");
        assert!(!error.to_string().contains("MC4CAQ"), "{error}");
    }
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    assert!(JwtValidator::with_public_key_pem(ISSUER, public.repeat(16), API).is_ok());
    assert!(JwtValidator::with_public_key_pem(ISSUER, public.repeat(17), API).is_err());
    assert!(JwtValidator::with_jwks(ISSUER, "{}", API).is_err());
    assert!(JwtValidator::with_public_key_der(ISSUER, [0x30, 0x00], API).is_err());
}

#[test]
fn an_issuer_or_key_url_that_is_not_https_is_a_setup_error() {
    for url in [
        "http://auth.test",
        "ftp://auth.test",
        "auth.test",
        "",
        "https://user@auth.test",
    ] {
        assert!(JwtValidator::discover(url, API).is_err(), "{url}");
        assert!(JwtValidator::with_jwks_uri("acme.com", url, API).is_err(), "{url}");
    }
    assert!(JwtValidator::discover("http://127.0.0.1:8080", API).is_ok());
    assert!(JwtValidator::discover_over_plain_http("http://auth.test", API).is_ok());
    assert!(JwtValidator::with_jwks_uri_over_plain_http("acme.com", "http://auth.test/jwks", API).is_ok());
    assert!(JwtValidator::with_jwks_uri("acme.com", "https://auth.test/jwks", API).is_ok());
}

#[tokio::test]
async fn tokens_minted_by_an_independent_implementation_verify() {
    use jsonwebtoken::{Algorithm as Theirs, EncodingKey, Header, encode};
    let world = World::new();
    // RFC 8037 A.1 and RFC 8410 §10.3 have this very pair; the PEM is the key of RFC 8410 §10.3.
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let now = world.clock_seconds();
    let mut header = Header::new(Theirs::EdDSA);
    header.typ = Some("at+jwt".to_owned());
    let claims = json!({
        "iss": ISSUER, "aud": API, "sub": "alice", "client_id": "app", "jti": "1", "iat": now, "exp": now + 60,
    });
    let token = encode(&header, &claims, &EncodingKey::from_ed_pem(private.as_bytes()).unwrap()).unwrap();
    let validator = JwtValidator::with_public_key_pem(ISSUER, public, API).unwrap();
    assert_eq!(verdict(&world.ask(validator, &token).await), None);
}

#[tokio::test]
async fn at_jwt_can_be_refused_where_another_type_is_accepted_in_its_place() {
    let world = World::new();
    assert!(world.strict().without_at_jwt().is_err());
    let mark = || AccessTokenMark::claim("kind", ["access"]);
    let relaxed = || world.strict().accept_types(["JWT"], mark()).unwrap();
    let token = |typ: &str| world.token().header("typ", typ).claim("kind", "access").mint();
    assert_eq!(verdict(&world.ask(relaxed(), &token("at+jwt")).await), None);
    let only = || relaxed().without_at_jwt().unwrap();
    assert_eq!(verdict(&world.ask(only(), &token("at+jwt")).await), Some(Reason::Type));
    assert_eq!(verdict(&world.ask(only(), &token("JWT")).await), None);
}
