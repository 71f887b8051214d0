//! Ory Hydra: opaque tokens by an endpoint without client authentication, or JWTs with `scp`.

use resource_protector::{AccessTokenMark, ClientAuth, IntrospectionValidator, JwtValidator, Reason, SetupError};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn hydra() -> Result<IntrospectionValidator, SetupError> {
    IntrospectionValidator::new(
        "https://hydra-admin.internal/admin/oauth2/introspect",
        ClientAuth::none_on_a_private_network(),
        "https://api.example.com",
    )?
    .issuer("https://auth.example.com/")?
    .expect_claim("token_use", ["access_token"])
}
// end of recipe

// recipe
fn hydra_jwt() -> Result<JwtValidator, SetupError> {
    JwtValidator::discover("https://auth.example.com/", "https://api.example.com")?
        .accept_types(["JWT"], AccessTokenMark::claim("scp", ["orders:read", "orders:write"]))?
        .scope_claim("scp")
}
// end of recipe

const ISSUER: &str = "https://auth.example.com/";
const API: &str = "https://api.example.com";
const CLIENT: &str = "1c5c5d7e-0c6b-4f9f-8d7e-2b6d0c9a1f33";
const SUBJECT: &str = "a8ee6e0c-3ee2-43c8-8f8c-0f6cfb8a5b1b";
const ACCESS_KEY: &str = "4b8d9f7e-jwt";
const ID_KEY: &str = "9a1e2c3d-oidc";

fn server() -> Server {
    let server = Server::new("RS256");
    let keys = "https://auth.example.com/.well-known/jwks.json";
    let jwk = |kid: &str| server.jwk(json!({ "use": "sig", "kid": kid, "alg": "RS256" }));
    let set = json!({ "keys": [jwk(ID_KEY), jwk(ACCESS_KEY)] });
    server
        .with(
            "https://auth.example.com/.well-known/openid-configuration",
            json!({ "issuer": ISSUER, "jwks_uri": keys, "revocation_endpoint": "https://auth.example.com/oauth2/revoke",
                "token_endpoint": "https://auth.example.com/oauth2/token" }),
        )
        .with(keys, set)
        .introspects_at("https://hydra-admin.internal/admin/oauth2/introspect", None)
}

#[test]
fn hydra_is_asked_about_opaque_tokens() {
    let server = server();
    let recipe = Recipe::new(hydra().unwrap().fetch(server.clone()), "Ory Hydra", 0, &server);
    let answer = json!({ "active": true, "aud": [API], "client_id": CLIENT, "exp": 1_780_318_740, "ext": { "team": "x" },
        "iat": 1_780_315_140, "iss": ISSUER, "nbf": 1_780_315_140, "scope": "openid orders:read", "sub": SUBJECT,
        "token_type": "Bearer", "token_use": "access_token", "username": "" });
    server.says("ory_at_good", &answer);
    let token = recipe.lets_in("ory_at_good");
    let scopes = vec!["openid", "orders:read"];
    assert_eq!(facts(&token), (Some(SUBJECT), Some(CLIENT), Some(ISSUER), scopes));

    server.says(
        "ory_rt_refresh",
        &with(&answer, json!({ "token_use": "refresh_token" })),
    );
    recipe.refuses("a refresh token", "ory_rt_refresh", &[Reason::Type]);
    server.says("ory_at_nobody", &with(&answer, json!({ "aud": [] })));
    recipe.refuses(
        "a token whose client asked for no audience",
        "ory_at_nobody",
        &[Reason::Audience],
    );
    server.says(
        "ory_at_other",
        &with(&answer, json!({ "aud": ["https://api.example.com/orders"] })),
    );
    recipe.refuses("a token for another API", "ory_at_other", &[Reason::Audience]);
    server.says(
        "ory_at_slash",
        &with(&answer, json!({ "iss": "https://auth.example.com" })),
    );
    recipe.refuses("a token of another issuer", "ory_at_slash", &[Reason::Issuer]);
    server.says("ory_at_late", &with(&answer, json!({ "exp": 1_780_315_100 })));
    recipe.refuses("an expired token", "ory_at_late", &[Reason::Expired]);
    recipe.refuses("a revoked token", "ory_at_revoked", &[Reason::Inactive]);
    recipe.refuses(
        "an ID token",
        &server.sign(&header(ID_KEY), &id_token()),
        &[Reason::Inactive],
    );
}

fn header(kid: &str) -> Value {
    json!({ "alg": "RS256", "kid": kid, "typ": "JWT" })
}

fn id_token() -> Value {
    json!({ "acr": "1", "amr": ["pwd"], "at_hash": "kvS", "aud": [CLIENT], "auth_time": 1_780_315_100,
        "exp": 1_780_318_740, "iat": 1_780_315_140, "iss": ISSUER, "jti": "b7f1", "nonce": "wz", "rat": 1_780_315_100,
        "sid": "d0a1", "sub": SUBJECT })
}

#[test]
fn jwts_of_hydra_have_a_scope_of_this_api() {
    let server = server();
    let recipe = Recipe::new(hydra_jwt().unwrap().fetch(server.clone()), "Ory Hydra", 1, &server);
    let access = json!({ "aud": [API], "client_id": CLIENT, "exp": 1_780_318_740, "ext": { "team": "x" },
        "iat": 1_780_315_140, "iss": ISSUER, "jti": "f01d", "nbf": 1_780_315_140, "scp": ["openid", "orders:read"],
        "sub": SUBJECT });
    let token = recipe.lets_in(&server.sign(&header(ACCESS_KEY), &access));
    let scopes = vec!["openid", "orders:read"];
    assert_eq!(facts(&token), (Some(SUBJECT), Some(CLIENT), Some(ISSUER), scopes));

    let id = server.sign(&header(ID_KEY), &id_token());
    recipe.refuses("an ID token", &id, &[Reason::Audience]);
    let for_us = with(&id_token(), json!({ "aud": [API], "nonce": null, "at_hash": null }));
    let for_us = server.sign(&header(ID_KEY), &for_us);
    recipe.refuses("an ID token with our audience", &for_us, &[Reason::Type]);
    let refused = |what: &str, claims: &Value, reason: Reason| {
        recipe.refuses(what, &server.sign(&header(ACCESS_KEY), claims), &[reason]);
    };
    refused(
        "a token without a scope of ours",
        &with(&access, json!({ "scp": ["openid"] })),
        Reason::Type,
    );
    refused(
        "a token for nobody",
        &with(&access, json!({ "aud": [] })),
        Reason::Audience,
    );
    refused(
        "a token for another API",
        &with(&access, json!({ "aud": ["https://b.example.com"] })),
        Reason::Audience,
    );
    refused(
        "a token of another issuer",
        &with(&access, json!({ "iss": "https://auth.example.com" })),
        Reason::Issuer,
    );
    let logout = with(
        &access,
        json!({ "aud": [CLIENT], "scp": null, "sid": "d0a1",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
    );
    refused("a logout token", &logout, Reason::Audience);
    refused("an expired token", &expired(&access), Reason::Expired);
    recipe.refuses("a refresh token", "ory_rt_refresh", &[Reason::Format]);
}

#[test]
fn the_recipes_for_hydra_are_those_on_the_page() {
    assert_code_is_on_the_page("Ory Hydra", include_str!("hydra.rs"));
}
