//! Okta, a custom authorization server: no type, `cid`, and `scp` as an array.

use resource_protector::{
    AccessTokenMark, ByIssuer, ClientAuth, IntrospectionValidator, JwtValidator, Reason, Secret, SetupError,
};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn okta() -> Result<JwtValidator, SetupError> {
    JwtValidator::discover("https://example.okta.com/oauth2/aus9orders", "api://orders")?
        .accept_types([""], AccessTokenMark::claim("cid", ["0oa1webapp", "0oa2worker"]))?
        .without_at_jwt()?
        .client_id_claim("cid")?
        .scope_claim("scp")
}
// end of recipe

// recipe
fn okta_introspection(secret: Secret) -> Result<IntrospectionValidator, SetupError> {
    let this_service = ClientAuth::basic("0oa3ordersapi", secret);
    IntrospectionValidator::discover(
        "https://example.okta.com/oauth2/aus9orders",
        this_service,
        "api://orders",
    )?
    .expect_claim("client_id", ["0oa1webapp", "0oa2worker"])
}

fn only_jwts(tokens: IntrospectionValidator) -> ByIssuer {
    ByIssuer::new().issuer("https://example.okta.com/oauth2/aus9orders", tokens)
}
// end of recipe

const ISSUER: &str = "https://example.okta.com/oauth2/aus9orders";
const INTROSPECT: &str = "https://example.okta.com/oauth2/aus9orders/v1/introspect";

fn server() -> Server {
    let server = Server::new("RS256");
    let keys = "https://example.okta.com/oauth2/aus9orders/v1/keys";
    let jwk = server.jwk(json!({ "alg": "RS256", "kid": "s7Xq2bPz0aT9cV4m", "use": "sig" }));
    server
        .with(
            "https://example.okta.com/.well-known/oauth-authorization-server/oauth2/aus9orders",
            json!({ "issuer": ISSUER, "jwks_uri": keys, "introspection_endpoint": INTROSPECT,
                "token_endpoint": format!("{ISSUER}/v1/token") }),
        )
        .with(keys, json!({ "keys": [jwk] }))
        .introspects_at(INTROSPECT, Some("Basic MG9hM29yZGVyc2FwaTpzM2NyZXQ="))
}

fn header() -> Value {
    json!({ "kid": "s7Xq2bPz0aT9cV4m", "alg": "RS256" })
}

fn access_token() -> Value {
    json!({ "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": ISSUER, "aud": "api://orders",
        "iat": 1_780_315_140, "exp": 1_780_318_740, "cid": "0oa1webapp", "uid": "00u5t60iloOHN9pBi0h7",
        "scp": ["openid", "offline_access", "orders:read"], "auth_time": 1_780_315_100, "sub": "ada@example.com" })
}

fn id_token() -> Value {
    json!({ "ver": 1, "sub": "00u5t60iloOHN9pBi0h7", "name": "Ada", "iss": ISSUER, "aud": "0oa1webapp",
        "iat": 1_780_315_140, "exp": 1_780_318_740, "jti": "ID.6NmnKpUVPbQ", "amr": ["pwd"], "idp": "00o1",
        "nonce": "n-0S6", "auth_time": 1_780_315_100, "at_hash": "preyLDJ7p" })
}

#[test]
fn jwts_of_okta_are_accepted_of_listed_clients() {
    let server = server();
    let recipe = Recipe::new(okta().unwrap().fetch(server.clone()), "Okta", 0, &server);
    let access = access_token();
    let token = recipe.lets_in(&server.sign(&header(), &access));
    let scopes = vec!["openid", "offline_access", "orders:read"];
    assert_eq!(
        facts(&token),
        (Some("ada@example.com"), Some("0oa1webapp"), Some(ISSUER), scopes)
    );
    let refused = |what: &str, claims: &Value, reason: Reason| {
        recipe.refuses(what, &server.sign(&header(), claims), &[reason]);
    };
    refused("an ID token", &id_token(), Reason::Audience);
    refused(
        "an ID token with our audience",
        &with(&id_token(), json!({ "aud": "api://orders" })),
        Reason::Type,
    );
    refused(
        "a token of another client",
        &with(&access, json!({ "cid": "0oa9other" })),
        Reason::Type,
    );
    refused(
        "a token for another API",
        &with(&access, json!({ "aud": "api://default" })),
        Reason::Audience,
    );
    let other = with(&access, json!({ "iss": "https://example.okta.com/oauth2/default" }));
    refused("a token of another authorization server", &other, Reason::Issuer);
    let org = with(
        &access,
        json!({ "iss": "https://example.okta.com", "aud": "https://example.okta.com" }),
    );
    refused("a token of the org server", &org, Reason::Issuer);
    refused("an expired token", &expired(&access), Reason::Expired);
    recipe.refuses("a refresh token", "7f5Xn1kQm2v9oPq0rStUvWxYz", &[Reason::Format]);
}

#[test]
fn okta_is_asked_about_jwts_only() {
    let server = server();
    let tokens = okta_introspection("s3cret".into()).unwrap().fetch(server.clone());
    let recipe = Recipe::new(only_jwts(tokens), "Okta", 1, &server);
    let access = server.sign(&header(), &access_token());
    let answer = json!({ "active": true, "scope": "openid offline_access orders:read", "username": "ada@example.com",
        "exp": 1_780_318_740, "iat": 1_780_315_140, "sub": "ada@example.com", "aud": "api://orders", "iss": ISSUER,
        "jti": "AT.0mP4", "token_type": "Bearer", "client_id": "0oa1webapp", "uid": "00u5t60iloOHN9pBi0h7" });
    server.says(&access, &answer);
    let token = recipe.lets_in(&access);
    assert_eq!(
        (token.subject(), token.client_id()),
        (Some("ada@example.com"), Some("0oa1webapp"))
    );
    assert!(token.has_scope("orders:read"));

    let id = server.sign(&header(), &id_token());
    server.says(
        &id,
        &with(&id_token(), json!({ "active": true, "client_id": "0oa1webapp" })),
    );
    recipe.refuses("an ID token", &id, &[Reason::Type, Reason::Audience]);
    let foreign = server.sign(&header(), &with(&access_token(), json!({ "cid": "0oa9other" })));
    server.says(&foreign, &with(&answer, json!({ "client_id": "0oa9other" })));
    recipe.refuses("a token of another client", &foreign, &[Reason::Claim]);
    let revoked = server.sign(&header(), &with(&access_token(), json!({ "jti": "AT.revoked" })));
    recipe.refuses("a revoked token", &revoked, &[Reason::Inactive]);
    let asked = server.asked();
    server.says("7f5Xn1kQm2v9oPq0rStUvWxYz", &answer);
    recipe.refuses("a refresh token", "7f5Xn1kQm2v9oPq0rStUvWxYz", &[Reason::Format]);
    assert_eq!(server.asked(), asked);
}

#[test]
fn the_recipes_for_okta_are_those_on_the_page() {
    assert_code_is_on_the_page("Okta", include_str!("okta.rs"));
}
