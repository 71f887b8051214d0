//! authentik: access tokens are ID tokens with `azp` and `uid` beside.

use resource_protector::{
    AccessTokenMark, ByIssuer, ClientAuth, IntrospectionValidator, JwtValidator, OptionalClaim, Reason, Secret,
    SetupError,
};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn authentik() -> Result<JwtValidator, SetupError> {
    Ok(
        JwtValidator::discover("https://sso.example.com/application/o/orders/", "ordersClientId")?
            .accept_types(["JWT"], AccessTokenMark::claim("azp", ["ordersClientId"]))?
            .without_at_jwt()?
            .access_tokens_may_carry("nonce")?
            .client_id_claim("azp")?
            .optional_claims([OptionalClaim::JwtId]),
    )
}
// end of recipe

// recipe
fn authentik_introspection(secret: Secret) -> Result<IntrospectionValidator, SetupError> {
    let this_service = ClientAuth::basic("ordersClientId", secret);
    IntrospectionValidator::discover(
        "https://sso.example.com/application/o/orders/",
        this_service,
        "ordersClientId",
    )?
    .access_tokens_may_carry("nonce")
}

fn only_jwts(tokens: IntrospectionValidator) -> ByIssuer {
    ByIssuer::new().issuer("https://sso.example.com/application/o/orders/", tokens)
}
// end of recipe

const ISSUER: &str = "https://sso.example.com/application/o/orders/";
const INTROSPECT: &str = "https://sso.example.com/application/o/introspect/";
const SUBJECT: &str = "9f1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcdef";

fn server() -> Server {
    let server = Server::new("RS256");
    let keys = "https://sso.example.com/application/o/orders/jwks/";
    let sig = server.jwk(json!({ "kid": "a1b2c3d4e5f60718", "alg": "RS256", "use": "sig", "x5c": ["MIIFUz"] }));
    let enc = server.jwk(json!({ "kid": "0123456789abcdef", "alg": "RSA-OAEP-256", "use": "enc" }));
    server
        .with(
            "https://sso.example.com/application/o/orders/.well-known/openid-configuration",
            json!({ "issuer": ISSUER, "jwks_uri": keys, "introspection_endpoint": INTROSPECT,
                "claims_parameter_supported": false }),
        )
        .with(keys, json!({ "keys": [sig, enc] }))
        .introspects_at(INTROSPECT, Some("Basic b3JkZXJzQ2xpZW50SWQ6czNjcmV0"))
}

fn header() -> Value {
    json!({ "alg": "RS256", "kid": "a1b2c3d4e5f60718", "typ": "JWT" })
}

fn id_token() -> Value {
    json!({ "iss": ISSUER, "sub": SUBJECT, "aud": "ordersClientId", "exp": 1_780_315_500, "iat": 1_780_315_140,
        "auth_time": 1_780_315_100, "acr": "goauthentik.io/providers/oauth2/default", "amr": ["pwd", "mfa"],
        "sid": "c0ffee", "email": "ada@example.com", "groups": ["authentik Admins", "clerks"] })
}

fn access_token() -> Value {
    with(
        &id_token(),
        json!({ "azp": "ordersClientId", "uid": "kXo3b7Zq9LmN2pRtV5wY8aBc" }),
    )
}

#[test]
fn access_tokens_of_authentik_are_marked_by_their_client() {
    let server = server();
    let recipe = Recipe::new(authentik().unwrap().fetch(server.clone()), "authentik", 0, &server);
    let access = access_token();
    let token = recipe.lets_in(&server.sign(&header(), &access));
    assert_eq!(
        facts(&token),
        (Some(SUBJECT), Some("ordersClientId"), Some(ISSUER), vec![])
    );
    assert_eq!(token.groups(), ["authentik Admins", "clerks"]);
    // The nonce of the client's request is in both tokens.
    let with_nonce = server.sign(&header(), &with(&access, json!({ "nonce": "n-0S6" })));
    recipe.only_code_lets_in(&with_nonce, Reason::Type);

    let refused = |what: &str, claims: &Value, reason: Reason| {
        recipe.refuses(what, &server.sign(&header(), claims), &[reason]);
    };
    refused("an ID token", &id_token(), Reason::Type);
    refused(
        "an ID token with nonce",
        &with(&id_token(), json!({ "nonce": "n-0S6" })),
        Reason::Type,
    );
    refused(
        "a token with at_hash",
        &with(&access, json!({ "at_hash": "x" })),
        Reason::Type,
    );
    let other = with(&access, json!({ "aud": "wikiClientId", "azp": "wikiClientId" }));
    refused("a token for another application", &other, Reason::Audience);
    let provider = with(&access, json!({ "iss": "https://sso.example.com/application/o/wiki/" }));
    refused("a token of another provider", &provider, Reason::Issuer);
    refused("an expired token", &expired(&access), Reason::Expired);
    recipe.refuses("a refresh token", "Hq7Zk2Lm9Np4Rs6Tv8Wx0Yz1Ab3Cd5Ef", &[Reason::Format]);
    // A provider without a signing key signs with the client's secret.
    let hs256 = server.sign_with_secret("HS256", &json!({ "alg": "HS256", "typ": "JWT" }), &access);
    recipe.refuses("a token signed with the client's secret", &hs256, &[Reason::Algorithm]);
}

#[test]
fn authentik_is_asked_about_jwts_only() {
    let server = server();
    let tokens = authentik_introspection("s3cret".into()).unwrap().fetch(server.clone());
    let recipe = Recipe::new(only_jwts(tokens), "authentik", 1, &server);
    let access = server.sign(&header(), &access_token());
    // What the ID token would say, the scope, and the provider of the one who asks.
    let answer = with(
        &id_token(),
        json!({ "active": true, "scope": "openid orders:read", "client_id": "ordersClientId" }),
    );
    server.says(&access, &answer);
    let token = recipe.lets_in(&access);
    let scopes = vec!["openid", "orders:read"];
    assert_eq!(
        facts(&token),
        (Some(SUBJECT), Some("ordersClientId"), Some(ISSUER), scopes)
    );

    recipe.refuses("an ID token", &server.sign(&header(), &id_token()), &[Reason::Inactive]);
    let other = server.sign(&header(), &with(&access_token(), json!({ "uid": "other" })));
    server.says(&other, &with(&answer, json!({ "aud": "wikiClientId" })));
    recipe.refuses("a token for another application", &other, &[Reason::Audience]);
    let revoked = server.sign(&header(), &with(&access_token(), json!({ "uid": "revoked" })));
    server.says(&revoked, &with(&answer, json!({ "active": false })));
    recipe.refuses("a revoked token", &revoked, &[Reason::Inactive]);
    let refresh = "Hq7Zk2Lm9Np4Rs6Tv8Wx0Yz1Ab3Cd5Ef";
    server.says(refresh, &answer);
    let asked = server.asked();
    recipe.refuses("a refresh token", refresh, &[Reason::Format]);
    assert_eq!(server.asked(), asked);
}

#[test]
fn the_recipes_for_authentik_are_those_on_the_page() {
    assert_code_is_on_the_page("authentik", include_str!("authentik.rs"));
}
