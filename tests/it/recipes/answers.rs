//! What servers answer when they do not simply say whether a token is active, and what comes of it.

use http::StatusCode;
use resource_protector::{ClientAuth, IntrospectionValidator, Reason, RejectionKind, ResourceProtectorLayer};
use serde_json::json;

use super::{judge, server::Server};

const ENDPOINT: &str = "https://auth.example.com/introspect";
const API: &str = "https://api.example.com";

/// What comes of this answer about a token.
fn outcome(auth: ClientAuth, status: u16, body: &str) -> (RejectionKind, Option<Reason>) {
    let tokens = IntrospectionValidator::new(ENDPOINT, auth, API).unwrap();
    outcome_of(tokens, status, body)
}

fn outcome_of(tokens: IntrospectionValidator, status: u16, body: &str) -> (RejectionKind, Option<Reason>) {
    let server = Server::new("ES256").introspects_at(ENDPOINT, None);
    server.says_with(StatusCode::from_u16(status).unwrap(), "token", body);
    let layer = ResourceProtectorLayer::new(tokens.fetch(server.clone()));
    let refusal = judge(&layer, "token").expect_err("a refusal");
    assert_eq!(server.asked(), 1);
    (refusal.kind(), refusal.reason())
}

fn post() -> ClientAuth {
    ClientAuth::post("orders-api", "s3cret")
}

#[test]
fn answers_mean_what_the_page_says() {
    let our_fault = (RejectionKind::Misconfigured, None);
    let outage = (RejectionKind::Unavailable, None);
    let inactive = (RejectionKind::InvalidToken, Some(Reason::Inactive));
    for (server, status, body, expected) in [
        ("authentik, our credentials", 200, r#"{"active": false}"#, inactive),
        (
            "Okta, our credentials",
            401,
            r#"{"error": "invalid_client"}"#,
            our_fault,
        ),
        ("Okta, the rate limit", 429, r#"{"errorCode": "E0000047"}"#, outage),
        (
            "Zitadel, our credentials",
            400,
            r#"{"error": "unauthorized_client"}"#,
            our_fault,
        ),
        ("Hydra, the public port", 404, r#"{"error": "not_found"}"#, outage),
        ("Logto, a JWT", 400, r#"{"error": "unsupported_token_type"}"#, our_fault),
        (
            "Authelia, another host",
            400,
            r#"{"error": "invalid_request"}"#,
            our_fault,
        ),
        (
            "Keycloak, a hint that it does not know",
            400,
            r#"{"error": "invalid_request"}"#,
            our_fault,
        ),
    ] {
        assert_eq!(outcome(post(), status, body), expected, "{server}");
    }
    let bare = outcome(post(), 200, r#"{"active": true}"#);
    assert_eq!(
        bare,
        (RejectionKind::InvalidToken, Some(Reason::Type)),
        "PingFederate, a refresh token"
    );
    let refresh = json!({ "active": true, "aud": [API], "sub": "a", "client_id": "b", "token_type": "Bearer",
        "token_use": "refresh_token", "exp": 4_102_444_800_u64 });
    let refresh = outcome(post(), 200, &refresh.to_string());
    assert_eq!(
        refresh,
        (RejectionKind::InvalidToken, Some(Reason::Type)),
        "Hydra, a refresh token"
    );
}

#[test]
fn kanidm_tells_an_unknown_token_by_401_without_body() {
    let kanidm = || IntrospectionValidator::new(ENDPOINT, ClientAuth::none_on_a_private_network(), API).unwrap();
    assert_eq!(outcome_of(kanidm(), 401, "").0, RejectionKind::Misconfigured);
    let told = kanidm().unknown_token_status(StatusCode::UNAUTHORIZED).unwrap();
    assert_eq!(
        outcome_of(told, 401, ""),
        (RejectionKind::InvalidToken, Some(Reason::Inactive))
    );
    let told = kanidm().unknown_token_status(StatusCode::UNAUTHORIZED).unwrap();
    assert_eq!(
        outcome_of(told, 401, r#"{"error": "x"}"#).0,
        RejectionKind::Misconfigured
    );
}
