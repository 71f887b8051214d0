//! Cognito: no type, no audience, `token_use`.

use resource_protector::{AccessTokenMark, JwtValidator, OptionalClaim, Reason, SetupError};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn cognito() -> Result<JwtValidator, SetupError> {
    let pool = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab3dEfGhI";
    let clients = ["1example23456789", "2example98765432", "https://api.example.com"];
    Ok(JwtValidator::discover(pool, clients)?
        .accept_types([""], AccessTokenMark::claim("token_use", ["access"]))?
        .audience_claim("client_id")?
        .optional_claims([OptionalClaim::JwtId]))
}
// end of recipe

const POOL: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab3dEfGhI";
const ACCESS_KEY: &str = "lJAtuzL3GZqkAD7VJgGk5Q5dmjH6LOlLvHlDjEgQzXY=";
const ID_KEY: &str = "MZbBnmMTlWGCSUn6Y4LoLU4nKrYRqEmqhwjbYVqdMTk=";

fn server() -> Server {
    let server = Server::new("RS256");
    let keys = format!("{POOL}/.well-known/jwks.json");
    let jwk = |kid: &str| server.jwk(json!({ "alg": "RS256", "kid": kid, "use": "sig" }));
    let set = json!({ "keys": [jwk(ID_KEY), jwk(ACCESS_KEY)] });
    server
        .with(
            &format!("{POOL}/.well-known/openid-configuration"),
            json!({ "issuer": POOL, "jwks_uri": keys, "response_types_supported": ["code", "token"],
                "token_endpoint": "https://shop.auth.eu-west-1.amazoncognito.com/oauth2/token" }),
        )
        .with(&keys, set)
}

fn header(kid: &str) -> Value {
    json!({ "kid": kid, "alg": "RS256" })
}

fn access_token() -> Value {
    json!({ "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": ["clerks"], "iss": POOL, "version": 2,
        "client_id": "1example23456789", "origin_jti": "aaaa", "event_id": "64f513be", "token_use": "access",
        "scope": "openid https://api.example.com/orders.read", "auth_time": 1_780_315_100, "exp": 1_780_318_740,
        "iat": 1_780_315_140, "jti": "bbbb", "username": "ada" })
}

#[test]
fn tokens_of_cognito_are_accepted_of_listed_clients() {
    let server = server();
    let recipe = Recipe::new(cognito().unwrap().fetch(server.clone()), "Cognito", 0, &server);
    let access = access_token();
    let sign = |claims: &Value| server.sign(&header(ACCESS_KEY), claims);
    let token = recipe.lets_in(&sign(&access));
    let subject = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
    let scopes = vec!["openid", "https://api.example.com/orders.read"];
    assert_eq!(
        facts(&token),
        (Some(subject), Some("1example23456789"), Some(POOL), scopes)
    );
    assert_eq!(token.username(), Some("ada"));
    // Without token revocation there is no `jti`; with a resource asked for there is an `aud`.
    recipe.lets_in(&sign(&with(&access, json!({ "jti": null, "origin_jti": null }))));
    recipe.lets_in(&sign(&with(&access, json!({ "aud": "https://api.example.com" }))));

    let id = json!({ "sub": subject, "aud": "1example23456789", "cognito:username": "ada", "email_verified": true,
        "iss": POOL, "token_use": "id", "auth_time": 1_780_315_100, "exp": 1_780_318_740, "iat": 1_780_315_140,
        "nonce": "abc", "at_hash": "x9", "origin_jti": "aaaa", "jti": "cccc", "event_id": "64f513be" });
    recipe.refuses("an ID token", &server.sign(&header(ID_KEY), &id), &[Reason::Type]);
    let no_nonce = with(&id, json!({ "nonce": null, "at_hash": null }));
    recipe.refuses(
        "an ID token without nonce",
        &server.sign(&header(ID_KEY), &no_nonce),
        &[Reason::Type],
    );
    let refused = |what: &str, claims: &Value, reason: Reason| recipe.refuses(what, &sign(claims), &[reason]);
    refused(
        "a token of another client",
        &with(&access, json!({ "client_id": "3other" })),
        Reason::Audience,
    );
    let for_another = with(&access, json!({ "aud": "https://billing.example.com" }));
    refused("a token for another resource", &for_another, Reason::Audience);
    refused(
        "a token without client",
        &with(&access, json!({ "client_id": null })),
        Reason::Audience,
    );
    let pool = with(
        &access,
        json!({ "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other1234" }),
    );
    refused("a token of another pool", &pool, Reason::Issuer);
    refused("an expired token", &expired(&access), Reason::Expired);
    let refresh = "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ.a2V5.aXY.Y3Q.dGFn";
    recipe.refuses("a refresh token", refresh, &[Reason::Format, Reason::Issuer]);
}

#[test]
fn the_recipe_for_cognito_is_the_one_on_the_page() {
    assert_code_is_on_the_page("Cognito", include_str!("cognito.rs"));
}
