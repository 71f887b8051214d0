//! Keycloak: `typ` in the payload, the client in `azp`, an audience only where a mapper puts one.

use resource_protector::{
    AccessTokenMark, ClientAuth, IntrospectionValidator, JwtValidator, Reason, Secret, SetupError,
};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn keycloak() -> Result<JwtValidator, SetupError> {
    JwtValidator::discover("https://id.example.com/realms/shop", "https://api.example.com")?
        .accept_types(["JWT"], AccessTokenMark::claim("typ", ["Bearer"]))?
        .client_id_claim("azp")
}
// end of recipe

// recipe
fn keycloak_introspection(secret: Secret) -> Result<IntrospectionValidator, SetupError> {
    let this_service = ClientAuth::basic("orders-api", secret);
    IntrospectionValidator::discover(
        "https://id.example.com/realms/shop",
        this_service,
        "https://api.example.com",
    )?
    .expect_claim("token_type", ["Bearer"])
}
// end of recipe

const REALM: &str = "https://id.example.com/realms/shop";
const INTROSPECT: &str = "https://id.example.com/realms/shop/protocol/openid-connect/token/introspect";

fn server() -> Server {
    let server = Server::new("RS256");
    let certs = "https://id.example.com/realms/shop/protocol/openid-connect/certs";
    let sig = server.jwk(
        json!({ "kid": "OShzSqQr0Tnc6cJ1u4YlBdRQ3SLqr3bC", "alg": "RS256", "use": "sig",
        "x5c": ["MIICmzCCAYMCBgF"], "x5t": "Zr3c", "x5t#S256": "Yc0b" }),
    );
    let enc = server.jwk(json!({ "kid": "enc-4c1f", "alg": "RSA-OAEP", "use": "enc" }));
    server
        .with(
            "https://id.example.com/realms/shop/.well-known/openid-configuration",
            json!({ "issuer": REALM, "jwks_uri": certs, "introspection_endpoint": INTROSPECT,
                "token_endpoint": format!("{REALM}/protocol/openid-connect/token"),
                "mtls_endpoint_aliases": { "introspection_endpoint": INTROSPECT },
                "backchannel_logout_supported": true, "acr_values_supported": ["0", "1"] }),
        )
        .with(certs, json!({ "keys": [enc, sig] }))
        .introspects_at(INTROSPECT, Some("Basic b3JkZXJzLWFwaTpzM2NyZXQ="))
}

fn header() -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": "OShzSqQr0Tnc6cJ1u4YlBdRQ3SLqr3bC" })
}

fn access_token() -> Value {
    json!({
        "exp": 1_780_315_500, "iat": 1_780_315_140, "auth_time": 1_780_315_139,
        "jti": "onrtac:3f2c7a10-6f6e-4c0c-9d0b-6a8f6b1d2a77", "iss": REALM,
        "aud": ["https://api.example.com", "account"], "sub": "b1a1c1f0-8a3e-4f1f-9f44-2f7f6a1d9c55", "typ": "Bearer",
        "azp": "webapp", "sid": "1c6e6f0e-44f5-4b7e-9d3a-5a6b7c8d9e0f", "acr": "1",
        "allowed-origins": ["https://shop.example.com"], "realm_access": { "roles": ["offline_access", "clerk"] },
        "resource_access": { "account": { "roles": ["view-profile"] } },
        "scope": "openid orders:read profile", "email_verified": true, "preferred_username": "ada"
    })
}

fn id_token() -> Value {
    json!({
        "exp": 1_780_315_500, "iat": 1_780_315_140, "auth_time": 1_780_315_139, "jti": "b2e5", "iss": REALM,
        "aud": "webapp", "sub": "b1a1c1f0-8a3e-4f1f-9f44-2f7f6a1d9c55", "typ": "ID", "azp": "webapp",
        "nonce": "n-0S6", "sid": "1c6e6f0e", "at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng", "acr": "1", "email_verified": true
    })
}

fn refresh_token() -> Value {
    json!({
        "exp": 1_780_317_000, "iat": 1_780_315_140, "jti": "7d1c", "iss": REALM, "aud": REALM,
        "sub": "b1a1c1f0-8a3e-4f1f-9f44-2f7f6a1d9c55", "typ": "Refresh", "azp": "webapp", "sid": "1c6e6f0e",
        "scope": "openid orders:read profile"
    })
}

#[test]
fn jwts_of_keycloak_are_told_apart_by_their_own_typ() {
    let server = server();
    let recipe = Recipe::new(keycloak().unwrap().fetch(server.clone()), "Keycloak", 0, &server);
    let access = access_token();
    let token = recipe.lets_in(&server.sign(&header(), &access));
    let subject = "b1a1c1f0-8a3e-4f1f-9f44-2f7f6a1d9c55";
    let scopes = vec!["openid", "orders:read", "profile"];
    assert_eq!(facts(&token), (Some(subject), Some("webapp"), Some(REALM), scopes));
    // The switch per client that makes the type the standard's.
    recipe.lets_in(&server.sign(&with(&header(), json!({ "typ": "at+jwt" })), &access));

    let id_for_us = with(&id_token(), json!({ "aud": "https://api.example.com" }));
    let plain_id = with(&id_for_us, json!({ "nonce": null, "at_hash": null }));
    let logout = json!({ "iat": 1_780_315_140, "exp": 1_780_315_500, "jti": "l1", "iss": REALM, "aud": "webapp",
        "sub": subject, "typ": "Logout", "sid": "1c6e6f0e",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} } });
    let refused = |what: &str, claims: &Value, reason: Reason| {
        recipe.refuses(what, &server.sign(&header(), claims), &[reason]);
    };
    refused("an ID token", &id_token(), Reason::Audience);
    refused("an ID token with our audience", &plain_id, Reason::Type);
    refused("a logout token", &logout, Reason::Audience);
    refused(
        "a logout token for us",
        &with(&logout, json!({ "aud": "https://api.example.com" })),
        Reason::Type,
    );
    refused(
        "a token for another API",
        &with(&access, json!({ "aud": "account" })),
        Reason::Audience,
    );
    refused(
        "a token for nobody",
        &with(&access, json!({ "aud": null })),
        Reason::Audience,
    );
    let other_realm = with(&access, json!({ "iss": "https://id.example.com/realms/hr" }));
    refused("a token of another realm", &other_realm, Reason::Issuer);
    refused("an expired token", &expired(&access), Reason::Expired);
    let hs512 = json!({ "alg": "HS512", "typ": "JWT", "kid": "2c6b1f8e" });
    let refresh = server.sign_with_secret("HS512", &hs512, &refresh_token());
    recipe.refuses("a refresh token", &refresh, &[Reason::Algorithm]);
}

#[test]
fn keycloak_answers_about_access_tokens_and_about_others() {
    let server = server();
    let tokens = keycloak_introspection("s3cret".into()).unwrap().fetch(server.clone());
    let recipe = Recipe::new(tokens, "Keycloak", 1, &server);
    let answer = |claims: &Value, kind: &str| {
        let more = json!({ "active": true, "client_id": "webapp", "username": "ada", "token_type": kind });
        with(claims, more)
    };
    let access = server.sign(&header(), &access_token());
    server.says(&access, &answer(&access_token(), "Bearer"));
    let token = recipe.lets_in(&access);
    assert_eq!((token.client_id(), token.username()), (Some("webapp"), Some("ada")));
    assert!(token.has_scope("orders:read"));
    assert_eq!(token.issuer(), Some(REALM));

    let id = server.sign(&header(), &id_token());
    server.says(&id, &answer(&id_token(), "ID"));
    recipe.refuses("an ID token", &id, &[Reason::Type]);
    let hs512 = json!({ "alg": "HS512", "typ": "JWT", "kid": "2c6b1f8e" });
    let refresh = server.sign_with_secret("HS512", &hs512, &refresh_token());
    server.says(&refresh, &answer(&refresh_token(), "Refresh"));
    recipe.refuses("a refresh token", &refresh, &[Reason::Type]);
    let other = with(&access_token(), json!({ "aud": "account" }));
    let for_another = server.sign(&header(), &other);
    server.says(&for_another, &answer(&other, "Bearer"));
    recipe.refuses("a token for another API", &for_another, &[Reason::Audience]);
    let unmarked = with(&answer(&access_token(), "Bearer"), json!({ "token_type": null }));
    let unnamed = server.sign(&header(), &with(&access_token(), json!({ "jti": "x" })));
    server.says(&unnamed, &unmarked);
    recipe.refuses(
        "an answer that does not say which token it is",
        &unnamed,
        &[Reason::Claim],
    );
    let logged_out = server.sign(&header(), &with(&access_token(), json!({ "jti": "y" })));
    recipe.refuses("a token whose session is over", &logged_out, &[Reason::Inactive]);
}

#[test]
fn the_recipe_for_keycloak_is_the_one_on_the_page() {
    assert_code_is_on_the_page("Keycloak", include_str!("keycloak.rs"));
}
