//! Google: ID tokens of service accounts, made for this service's own audience.

use resource_protector::{AccessTokenMark, JwtValidator, OptionalClaim, Reason, SetupError};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn google() -> Result<JwtValidator, SetupError> {
    let accounts = ["104029292853099978293", "117002345678901234567"];
    Ok(
        JwtValidator::discover("https://accounts.google.com", "https://api.example.com")?
            .accept_types(["JWT"], AccessTokenMark::claim("sub", accounts))?
            .without_at_jwt()?
            .client_id_claim("azp")?
            .optional_claims([OptionalClaim::JwtId]),
    )
}
// end of recipe

const ISSUER: &str = "https://accounts.google.com";
const ACCOUNT: &str = "104029292853099978293";
const KID: &str = "f833e8a7fe3fe4b878948219a1684afa373ca86f";

fn server() -> Server {
    let server = Server::new("RS256");
    let certs = "https://www.googleapis.com/oauth2/v3/certs";
    let jwk = server.jwk(json!({ "kid": KID, "use": "sig", "alg": "RS256" }));
    server
        .with(
            "https://accounts.google.com/.well-known/openid-configuration",
            json!({ "issuer": ISSUER, "jwks_uri": certs, "token_endpoint": "https://oauth2.googleapis.com/token" }),
        )
        .with(certs, json!({ "keys": [jwk] }))
}

#[test]
fn service_accounts_of_google_are_accepted_by_list() {
    let server = server();
    let recipe = Recipe::new(google().unwrap().fetch(server.clone()), "Google", 0, &server);
    let header = json!({ "alg": "RS256", "kid": KID, "typ": "JWT" });
    let access = json!({ "aud": "https://api.example.com", "azp": ACCOUNT,
        "email": "worker@example.iam.gserviceaccount.com", "email_verified": true, "exp": 1_780_318_740,
        "iat": 1_780_315_140, "iss": ISSUER, "sub": ACCOUNT });
    let token = recipe.lets_in(&server.sign(&header, &access));
    assert_eq!(facts(&token), (Some(ACCOUNT), Some(ACCOUNT), Some(ISSUER), vec![]));

    let refused = |what: &str, claims: &Value, reason: Reason| {
        recipe.refuses(what, &server.sign(&header, claims), &[reason]);
    };
    let client = "407408718192.apps.googleusercontent.com";
    let login = json!({ "iss": ISSUER, "azp": client, "aud": client, "sub": "110169484474386276334",
        "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "hd": "example.com", "email": "ada@example.com", "email_verified": true,
        "iat": 1_780_315_140, "exp": 1_780_318_740, "nonce": "0394852-3190485-2490358" });
    refused("an ID token of a person", &login, Reason::Audience);
    refused(
        "an ID token of a listed account at a login",
        &with(&access, json!({ "at_hash": "x" })),
        Reason::Type,
    );
    let stranger = with(&access, json!({ "sub": "999", "azp": "999" }));
    refused("a token of another account", &stranger, Reason::Type);
    // Should the server ever issue RFC 9068 tokens, the list still holds.
    let at_jwt = with(&header, json!({ "typ": "at+jwt" }));
    recipe.refuses(
        "a typed token of a stranger",
        &server.sign(&at_jwt, &stranger),
        &[Reason::Type],
    );
    let other = with(&access, json!({ "aud": "https://billing.example.com" }));
    refused("a token for another service", &other, Reason::Audience);
    let firebase = with(&access, json!({ "iss": "https://securetoken.google.com/example" }));
    refused("a token of Firebase", &firebase, Reason::Issuer);
    refused("an expired token", &expired(&access), Reason::Expired);
    recipe.refuses(
        "an opaque access token",
        "ya29.a0AfH6SMBx_opaque-access-token",
        &[Reason::Format],
    );
    recipe.refuses("a refresh token", "1//04refresh-token", &[Reason::Format]);
}

#[test]
fn the_recipe_for_google_is_the_one_on_the_page() {
    assert_code_is_on_the_page("Google", include_str!("google.rs"));
}
