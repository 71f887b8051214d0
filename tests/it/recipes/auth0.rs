//! Auth0: strict with the RFC 9068 profile; the default profile has another type, `azp`, and no `jti`.

use resource_protector::{AccessTokenMark, JwtValidator, OptionalClaim, Reason, SetupError};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn auth0() -> Result<JwtValidator, SetupError> {
    JwtValidator::discover("https://example.eu.auth0.com/", "https://api.example.com")
}
// end of recipe

// recipe
fn auth0_default_profile() -> Result<JwtValidator, SetupError> {
    let clients = ["webappClientId", "workerClientId"];
    Ok(
        JwtValidator::discover("https://example.eu.auth0.com/", "https://api.example.com")?
            .accept_types(["JWT"], AccessTokenMark::claim("azp", clients))?
            .without_at_jwt()?
            .client_id_claim("azp")?
            .optional_claims([OptionalClaim::JwtId]),
    )
}
// end of recipe

const TENANT: &str = "https://example.eu.auth0.com/";
const USERINFO: &str = "https://example.eu.auth0.com/userinfo";

fn server() -> Server {
    let server = Server::new("RS256");
    let jwk = server.jwk(json!({ "use": "sig", "kid": "z7h2xQ9mRk0V", "alg": "RS256", "x5t": "ejd", "x5c": ["MIID"] }));
    server
        .with(
            "https://example.eu.auth0.com/.well-known/openid-configuration",
            json!({ "issuer": TENANT, "jwks_uri": "https://example.eu.auth0.com/.well-known/jwks.json",
                "token_endpoint": "https://example.eu.auth0.com/oauth/token",
                "id_token_signing_alg_values_supported": ["HS256", "RS256", "PS256"] }),
        )
        .with(
            "https://example.eu.auth0.com/.well-known/jwks.json",
            json!({ "keys": [jwk] }),
        )
}

fn header(typ: &str) -> Value {
    json!({ "alg": "RS256", "typ": typ, "kid": "z7h2xQ9mRk0V" })
}

fn id_token() -> Value {
    json!({ "nickname": "ada", "name": "Ada", "picture": "https://s.gravatar.com/avatar/1", "email": "ada@example.com",
        "email_verified": true, "iss": TENANT, "aud": "webappClientId", "sub": "auth0|6640f0", "iat": 1_780_315_140,
        "exp": 1_780_351_140, "sid": "Yx8d", "nonce": "bm9uY2U", "at_hash": "y1Z" })
}

fn refused_by_both_profiles(recipe: &Recipe, server: &Server, typ: &str, access: &Value) {
    let refused = |what: &str, claims: &Value, reasons: &[Reason]| {
        recipe.refuses(what, &server.sign(&header(typ), claims), reasons);
    };
    recipe.refuses(
        "an ID token",
        &server.sign(&header("JWT"), &id_token()),
        &[Reason::Type, Reason::Audience],
    );
    refused(
        "a token for another API",
        &with(access, json!({ "aud": "https://other.example.com" })),
        &[Reason::Audience],
    );
    let tenant = with(access, json!({ "iss": "https://other.eu.auth0.com/" }));
    refused("a token of another tenant", &tenant, &[Reason::Issuer]);
    let custom = with(access, json!({ "iss": "https://example.eu.auth0.com" }));
    refused("a token of the issuer without its slash", &custom, &[Reason::Issuer]);
    refused("an expired token", &expired(access), &[Reason::Expired]);
    recipe.refuses(
        "a refresh token",
        "v1.MRrtZkXTbc3dTlGm4dSeR2sXJUDa0Ft6VVPPbJlAJMb0",
        &[Reason::Format],
    );
    // What is issued where no audience was asked for: a JWE for the user info endpoint, in five parts.
    let jwe =
        "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwiaXNzIjoiaHR0cHM6Ly9leGFtcGxlLmV1LmF1dGgwLmNvbS8ifQ..aXY.Y3Q.dGFn";
    recipe.refuses("a token for user info", jwe, &[Reason::Format, Reason::Issuer]);
    let hs256 = json!({ "alg": "HS256", "typ": typ });
    let hs256 = server.sign_with_secret("HS256", &hs256, access);
    recipe.refuses("a token of an API that signs HS256", &hs256, &[Reason::Algorithm]);
}

#[test]
fn the_rfc_9068_profile_of_auth0_needs_no_relaxation() {
    let server = server();
    let recipe = Recipe::new(auth0().unwrap().fetch(server.clone()), "Auth0", 0, &server);
    let access = json!({ "iss": TENANT, "sub": "auth0|6640f0", "aud": ["https://api.example.com", USERINFO],
        "iat": 1_780_315_140, "exp": 1_780_401_540, "scope": "openid profile orders:read", "jti": "P2hnQ0d4",
        "client_id": "webappClientId", "permissions": ["orders:read"] });
    let token = recipe.lets_in(&server.sign(&header("at+jwt"), &access));
    let scopes = vec!["openid", "profile", "orders:read"];
    assert_eq!(
        facts(&token),
        (Some("auth0|6640f0"), Some("webappClientId"), Some(TENANT), scopes)
    );
    refused_by_both_profiles(&recipe, &server, "at+jwt", &access);
}

#[test]
fn the_default_profile_of_auth0_is_accepted_of_listed_clients() {
    let server = server();
    let tokens = auth0_default_profile().unwrap().fetch(server.clone());
    let recipe = Recipe::new(tokens, "Auth0", 1, &server);
    let access = json!({ "iss": TENANT, "sub": "auth0|6640f0", "aud": ["https://api.example.com", USERINFO],
        "iat": 1_780_315_140, "exp": 1_780_401_540, "scope": "openid orders:read", "azp": "webappClientId" });
    let token = recipe.lets_in(&server.sign(&header("JWT"), &access));
    let scopes = vec!["openid", "orders:read"];
    assert_eq!(
        facts(&token),
        (Some("auth0|6640f0"), Some("webappClientId"), Some(TENANT), scopes)
    );
    let machine = json!({ "iss": TENANT, "sub": "workerClientId@clients", "aud": "https://api.example.com",
        "iat": 1_780_315_140, "exp": 1_780_401_540, "scope": "orders:read", "gty": "client-credentials",
        "azp": "workerClientId" });
    let token = recipe.lets_in(&server.sign(&header("JWT"), &machine));
    assert_eq!(token.client_id(), Some("workerClientId"));
    refused_by_both_profiles(&recipe, &server, "JWT", &access);
    let foreign = with(&access, json!({ "azp": "someoneElsesClientId" }));
    recipe.refuses(
        "a token of another client",
        &server.sign(&header("JWT"), &foreign),
        &[Reason::Type],
    );
    let id_for_us = with(&id_token(), json!({ "aud": "https://api.example.com" }));
    recipe.refuses(
        "an ID token with our audience",
        &server.sign(&header("JWT"), &id_for_us),
        &[Reason::Type],
    );
}

#[test]
fn the_recipes_for_auth0_are_those_on_the_page() {
    assert_code_is_on_the_page("Auth0", include_str!("auth0.rs"));
}
