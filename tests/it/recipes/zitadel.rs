//! Zitadel: opaque tokens, introspected; JWTs without scope that need a mark of an action.

use resource_protector::{
    AccessTokenMark, ClientAuth, IntrospectionValidator, JwtValidator, Reason, Secret, SetupError,
};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn zitadel(secret: Secret) -> Result<IntrospectionValidator, SetupError> {
    let this_service = ClientAuth::basic("269901234567890123", secret);
    let project = "269887234514159619";
    IntrospectionValidator::discover("https://example-a1b2c3.zitadel.cloud", this_service, project)?
        .expect_claim("token_type", ["Bearer"])
}
// end of recipe

// recipe
fn zitadel_jwt() -> Result<JwtValidator, SetupError> {
    let project = "269887234514159619";
    JwtValidator::discover("https://example-a1b2c3.zitadel.cloud", project)?
        .accept_types(["JWT"], AccessTokenMark::claim("token_use", ["access"]))
}
// end of recipe

const INSTANCE: &str = "https://example-a1b2c3.zitadel.cloud";
const INTROSPECT: &str = "https://example-a1b2c3.zitadel.cloud/oauth/v2/introspect";
const PROJECT: &str = "269887234514159619";
const WEBAPP: &str = "269895555555555555";

fn server() -> Server {
    let server = Server::new("RS256");
    let keys = "https://example-a1b2c3.zitadel.cloud/oauth/v2/keys";
    let jwk = server.jwk(json!({ "use": "sig", "kid": "270512345678901234", "alg": "RS256" }));
    server
        .with(
            "https://example-a1b2c3.zitadel.cloud/.well-known/openid-configuration",
            json!({ "issuer": INSTANCE, "jwks_uri": keys, "introspection_endpoint": INTROSPECT,
                "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"] }),
        )
        .with(keys, json!({ "keys": [jwk] }))
        .introspects_at(INTROSPECT, Some("Basic MjY5OTAxMjM0NTY3ODkwMTIzOnMzY3JldA=="))
}

fn header() -> Value {
    json!({ "alg": "RS256", "kid": "270512345678901234", "typ": "JWT" })
}

fn audience() -> Value {
    json!([WEBAPP, "269901234567890123", PROJECT])
}

fn access_token() -> Value {
    json!({ "iss": INSTANCE, "sub": "269876543210987654", "aud": audience(), "exp": 1_780_358_340,
        "iat": 1_780_315_140, "nbf": 1_780_315_140, "jti": "V2_274000-at_275000", "client_id": WEBAPP,
        "urn:zitadel:iam:org:project:roles": { "clerk": { "269876000000000000": "example.zitadel.cloud" } },
        "token_use": "access" })
}

fn id_token() -> Value {
    json!({ "iss": INSTANCE, "sub": "269876543210987654", "aud": audience(), "exp": 1_780_358_340,
        "iat": 1_780_315_140, "auth_time": 1_780_315_100, "nonce": "n-0S6", "amr": ["pwd", "mfa"], "azp": WEBAPP,
        "client_id": WEBAPP, "at_hash": "dKi", "sid": "V1_273" })
}

#[test]
fn zitadel_is_asked_about_opaque_tokens_and_jwts() {
    let server = server();
    let tokens = zitadel("s3cret".into()).unwrap().fetch(server.clone());
    let recipe = Recipe::new(tokens, "Zitadel", 0, &server);
    let answer = json!({ "active": true, "scope": "openid orders:read", "client_id": WEBAPP, "token_type": "Bearer",
        "exp": 1_780_358_340, "iat": 1_780_315_140, "auth_time": 1_780_315_100, "nbf": 1_780_315_140,
        "sub": "269876543210987654", "aud": audience(), "iss": INSTANCE, "jti": "V2_274000-at_275000",
        "username": "ada@example.zitadel.cloud", "name": "Ada", "email_verified": true,
        "urn:zitadel:iam:org:project:roles": { "clerk": { "269876000000000000": "example.zitadel.cloud" } } });
    let opaque = "fLq0Yk3vB7hXw2mJ5tRzKc8nPdAeGsUo1iTxVbMy";
    server.says(opaque, &answer);
    let token = recipe.lets_in(opaque);
    let scopes = vec!["openid", "orders:read"];
    assert_eq!(
        facts(&token),
        (Some("269876543210987654"), Some(WEBAPP), Some(INSTANCE), scopes)
    );
    let jwt = server.sign(&header(), &access_token());
    server.says(&jwt, &answer);
    recipe.lets_in(&jwt);

    server.says("other", &with(&answer, json!({ "aud": ["1", "2"] })));
    recipe.refuses("a token of another project", "other", &[Reason::Audience]);
    server.says(
        "stranger",
        &with(&answer, json!({ "iss": "https://other.zitadel.cloud" })),
    );
    recipe.refuses("a token of another instance", "stranger", &[Reason::Issuer]);
    server.says("late", &with(&answer, json!({ "exp": 1_780_315_100 })));
    recipe.refuses("an expired token", "late", &[Reason::Expired]);
    // Neither is in its table of access tokens.
    recipe.refuses("a refresh token", "RnJlc2hUb2tlbg", &[Reason::Inactive]);
    recipe.refuses("an ID token", &server.sign(&header(), &id_token()), &[Reason::Inactive]);
}

#[test]
fn jwts_of_zitadel_need_the_mark_that_an_action_sets() {
    let server = server();
    let recipe = Recipe::new(zitadel_jwt().unwrap().fetch(server.clone()), "Zitadel", 1, &server);
    let access = access_token();
    let token = recipe.lets_in(&server.sign(&header(), &access));
    assert_eq!(
        facts(&token),
        (Some("269876543210987654"), Some(WEBAPP), Some(INSTANCE), vec![])
    );
    let refused = |what: &str, claims: &Value, reason: Reason| {
        recipe.refuses(what, &server.sign(&header(), claims), &[reason]);
    };
    refused("an ID token", &id_token(), Reason::Type);
    let bare = with(&id_token(), json!({ "nonce": null, "at_hash": null, "jti": "1" }));
    refused("an ID token without any other sign of one", &bare, Reason::Type);
    refused(
        "a token for another project",
        &with(&access, json!({ "aud": [WEBAPP] })),
        Reason::Audience,
    );
    let instance = with(&access, json!({ "iss": "https://other.zitadel.cloud" }));
    refused("a token of another instance", &instance, Reason::Issuer);
    let logout = with(
        &access,
        json!({ "token_use": null, "client_id": null, "sid": "V1_273",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
    );
    refused("a logout token", &logout, Reason::Type);
    refused("an expired token", &expired(&access), Reason::Expired);
    recipe.refuses("a refresh token", "RnJlc2hUb2tlbg", &[Reason::Format]);
}

#[test]
fn the_recipes_for_zitadel_are_those_on_the_page() {
    assert_code_is_on_the_page("Zitadel", include_str!("zitadel.rs"));
}
