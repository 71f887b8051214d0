//! The token endpoint, as clients see it (RFC 6749 §5).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full};
use resource_protector_issuer::{
    IssuedTokens, TokenRequest,
    clients::{Client, ClientAuthentication, ClientSecret, MemoryClients},
    endpoints::{ErrorCode, OAuthError, TokenEndpoint},
    grants::{AuthorizationCode, ClientCredentials, Grant, GrantRequest, RefreshToken},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{API, ISSUER, World, present};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const WRONG: &str = "fedcba9876543210fedcba9876543210";
const TICKET: &str = "urn:test:ticket";

/// A grant of the application's own: whoever has a ticket travels.
struct Ticket;

impl Grant for Ticket {
    fn grant_type(&self) -> &str {
        TICKET
    }

    async fn exchange(&self, request: &GrantRequest<'_>) -> Result<IssuedTokens, OAuthError> {
        match request.parameter("ticket") {
            Some("good") => {
                let tokens = TokenRequest::for_subject(request.client().id(), "traveller");
                request.issue(tokens).await
            }
            Some(_) => Err(OAuthError::new(ErrorCode::InvalidGrant, "the ticket is not good")),
            None => Err(OAuthError::new(
                ErrorCode::InvalidRequest,
                "expected the parameter ticket",
            )),
        }
    }
}

/// `app` may refresh and use tickets, `other` may refresh, `worker` acts for itself, and `spa`, which is public, may refresh.
fn endpoint(world: &World) -> TokenEndpoint {
    let secret = ClientSecret::new(SECRET).unwrap();
    let client = |client: Client, grants: &[&str]| {
        let client = client.grants(grants.iter().copied()).unwrap();
        client.scopes("profile email").unwrap()
    };
    let with_secret = |id: &str| Client::with_secret(id, &secret).unwrap();
    let clients = MemoryClients::new([
        client(with_secret("app"), &["refresh_token", TICKET, "unheard-of"]),
        client(with_secret("other"), &["refresh_token"]),
        client(with_secret("worker"), &["client_credentials", TICKET])
            .audiences(["https://mail.test"])
            .unwrap(),
        client(Client::public("spa").unwrap(), &["refresh_token"]),
    ]);
    let clients = ClientAuthentication::new(ISSUER, clients, world.store.clone()).unwrap();
    TokenEndpoint::new(world.issuer.clone(), clients.clock(world.clock.clone()))
        .grant(AuthorizationCode)
        .unwrap()
        .grant(ClientCredentials)
        .unwrap()
        .grant(RefreshToken)
        .unwrap()
        .grant(Ticket)
        .unwrap()
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn access_token(&self) -> &str {
        self.body["access_token"].as_str().unwrap()
    }

    fn refresh_token(&self) -> &str {
        self.body["refresh_token"].as_str().unwrap()
    }

    fn is_error(&self, status: u16, error: &str) {
        assert_eq!(
            (self.status, &self.body["error"]),
            (status, &json!(error)),
            "{}",
            self.body
        );
        assert!(self.body.get("access_token").is_none());
    }
}

fn post(pairs: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    Request::post("/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from(form))
        .unwrap()
}

async fn ask(endpoint: &TokenEndpoint, request: Request<Full<Bytes>>) -> Answer {
    let (parts, body) = endpoint.clone().oneshot(request).await.unwrap().into_parts();
    // Whatever the answer is, and whoever asks.
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(parts.headers[header::PRAGMA], "no-cache");
    assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap(),
    }
}

/// Asks as this client.
async fn by(endpoint: &TokenEndpoint, client: &str, pairs: &[(&str, &str)]) -> Answer {
    let mut request = post(pairs);
    let credentials = format!("Basic {}", STANDARD.encode(format!("{client}:{SECRET}")));
    let fields = request.headers_mut();
    fields.insert(header::AUTHORIZATION, credentials.parse().unwrap());
    ask(endpoint, request).await
}

async fn refresh(endpoint: &TokenEndpoint, client: &str, token: &str, scope: Option<&str>) -> Answer {
    let mut pairs = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    pairs.extend(scope.map(|scope| ("scope", scope)));
    by(endpoint, client, &pairs).await
}

async fn refresh_token(world: &World) -> String {
    let issued = world.issuer.issue(world.request()).await.unwrap();
    issued.refresh_token().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_that_acts_for_itself_gets_an_access_token_that_nobody_keeps_and_no_refresh_token() {
    let world = World::jwt().await;
    let asked = [("grant_type", "client_credentials"), ("scope", "profile")];
    let answer = by(&endpoint(&world), "worker", &asked).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        json!({
            "access_token": answer.access_token(), "token_type": "Bearer", "expires_in": 600, "scope": "profile",
        })
    );
    let seen = present(&world.jwt_protector(), answer.access_token()).await.unwrap();
    assert_eq!(seen.client_id(), Some("worker"));
    assert!(seen.has_scope("profile") && !seen.has_scope("email"));
}

#[tokio::test]
async fn an_unknown_grant_none_and_two_are_400() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    // Be it registered for the client or not.
    for grant in ["unheard-of", "password", "Refresh_Token", "refresh_token "] {
        let answer = by(&endpoint, "app", &[("grant_type", grant)]).await;
        answer.is_error(400, "unsupported_grant_type");
    }
    let twice = ("grant_type", "refresh_token");
    for form in [vec![], vec![("grant_type", "")], vec![twice, twice]] {
        by(&endpoint, "app", &form).await.is_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn what_is_no_form_that_is_posted_is_refused() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    let token = refresh_token(&world).await;
    let query = format!("/token?grant_type=refresh_token&client_id=spa&refresh_token={token}");
    let request = |method: &str, kind: &str, body: String| {
        let request = Request::builder().method(method).uri(&query);
        request
            .header(header::CONTENT_TYPE, kind)
            .body(Full::from(body))
            .unwrap()
    };
    let form = "application/x-www-form-urlencoded";
    let get = ask(&endpoint, request("GET", form, String::new())).await;
    get.is_error(405, "invalid_request");
    assert_eq!(get.headers[header::ALLOW], "POST");
    let json = json!({ "grant_type": "refresh_token", "client_id": "spa", "refresh_token": token });
    ask(&endpoint, request("POST", "application/json", json.to_string()))
        .await
        .is_error(400, "invalid_request");
    // What stands in the query is as if it were not there.
    ask(&endpoint, request("POST", form, String::new()))
        .await
        .is_error(401, "invalid_client");
    assert_eq!(refresh(&endpoint, "app", &token, None).await.status, 200);
}

#[tokio::test]
async fn nobody_gets_tokens_without_authenticating_as_a_client() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    let token = refresh_token(&world).await;
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", &token)];
    let basic = |client: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{client}:{secret}")));
    for credentials in [
        None,
        Some(basic("app", WRONG)),
        Some(basic("nobody", SECRET)),
        Some(basic("app", "")),
        Some(format!("Bearer {token}")),
    ] {
        let mut request = post(&pairs);
        if let Some(credentials) = credentials {
            let fields = request.headers_mut();
            fields.insert(header::AUTHORIZATION, credentials.parse().unwrap());
        }
        let answer = ask(&endpoint, request).await;
        answer.is_error(401, "invalid_client");
        let challenge = answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with("Basic "), "{challenge}");
    }
    // A name alone is enough for a public client only.
    let named = [pairs.as_slice(), &[("client_id", "app")]].concat();
    ask(&endpoint, post(&named)).await.is_error(401, "invalid_client");
    assert_eq!(refresh(&endpoint, "app", &token, None).await.status, 200);
}

#[tokio::test]
async fn a_client_uses_the_grants_that_it_is_registered_for_and_no_other() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    let token = refresh_token(&world).await;
    for (client, grant) in [
        ("app", "client_credentials"),
        ("app", "authorization_code"),
        ("worker", "refresh_token"),
        ("other", TICKET),
    ] {
        let pairs = [("grant_type", grant), ("refresh_token", &token), ("ticket", "good")];
        by(&endpoint, client, &pairs).await.is_error(400, "unauthorized_client");
    }
}

#[tokio::test]
async fn a_scope_that_the_client_may_not_have_is_refused_and_not_left_out() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    for scope in ["admin", "profile admin", "Profile", "pro\"file", "pr\u{f6}file"] {
        let pairs = [("grant_type", "client_credentials"), ("scope", scope)];
        by(&endpoint, "worker", &pairs).await.is_error(400, "invalid_scope");
    }
    // Whoever asks for nothing gets nothing.
    let answer = by(&endpoint, "worker", &[("grant_type", "client_credentials")]).await;
    assert_eq!((answer.status, answer.body.get("scope")), (200, None));
}

#[tokio::test]
async fn tokens_are_for_resource_servers_that_the_client_may_have_them_for() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    let grant = ("grant_type", "client_credentials");
    let answer = by(&endpoint, "worker", &[grant, ("resource", "https://mail.test")]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        present(&world.jwt_protector(), answer.access_token())
            .await
            .unwrap_err(),
        401,
        "it is not for {API}"
    );
    by(&endpoint, "worker", &[grant, ("resource", "https://bank.test")])
        .await
        .is_error(400, "invalid_target");
}

#[tokio::test]
async fn a_refresh_token_that_is_missing_unknown_or_anothers_is_refused_and_not_used_up() {
    for world in [World::jwt().await, World::opaque().await] {
        let endpoint = endpoint(&world);
        let missing = by(&endpoint, "app", &[("grant_type", "refresh_token")]).await;
        missing.is_error(400, "invalid_request");
        refresh(&endpoint, "app", "", None)
            .await
            .is_error(400, "invalid_request");
        refresh(&endpoint, "app", "unknown", None)
            .await
            .is_error(400, "invalid_grant");
        let issued = world.issuer.issue(world.request()).await.unwrap();
        refresh(&endpoint, "app", issued.access_token(), None)
            .await
            .is_error(400, "invalid_grant");
        let token = issued.refresh_token().unwrap();
        refresh(&endpoint, "other", token, None)
            .await
            .is_error(400, "invalid_grant");
        let spa = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", "spa"),
        ];
        ask(&endpoint, post(&spa)).await.is_error(400, "invalid_grant");
        assert_eq!(refresh(&endpoint, "app", token, None).await.status, 200);
    }
}

#[tokio::test]
async fn a_refreshed_token_grants_what_was_granted_or_less_and_never_more() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    let only_profile = TokenRequest::for_subject("app", "alice").scope("profile").unwrap();
    let issued = world.issuer.issue(only_profile).await.unwrap();
    // The client may have it, and the user has not granted it.
    let wider = refresh(&endpoint, "app", issued.refresh_token().unwrap(), Some("profile email")).await;
    wider.is_error(400, "invalid_scope");
    let same = refresh(&endpoint, "app", issued.refresh_token().unwrap(), Some("profile")).await;
    assert_eq!((same.status, &same.body["scope"]), (200, &json!("profile")));

    let narrowed = refresh(&endpoint, "app", &refresh_token(&world).await, Some("email")).await;
    assert_eq!((narrowed.status, &narrowed.body["scope"]), (200, &json!("email")));
    let whole = refresh(&endpoint, "app", narrowed.refresh_token(), None).await;
    assert_eq!(whole.body["scope"], "profile email");

    let nothing = world.issuer.issue(TokenRequest::for_subject("app", "alice")).await;
    let nothing = nothing.unwrap();
    let more_than_nothing = refresh(&endpoint, "app", nothing.refresh_token().unwrap(), Some("profile")).await;
    more_than_nothing.is_error(400, "invalid_scope");
}

#[tokio::test]
async fn a_refresh_token_that_was_used_is_400_and_nothing_of_its_session_works_any_more() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    let token = refresh_token(&world).await;
    let next = refresh(&endpoint, "app", &token, None).await;
    assert!(present(&world.jwt_protector(), next.access_token()).await.is_ok());
    refresh(&endpoint, "app", &token, None)
        .await
        .is_error(400, "invalid_grant");
    refresh(&endpoint, "app", next.refresh_token(), None)
        .await
        .is_error(400, "invalid_grant");
    assert_eq!(
        present(&world.jwt_protector(), next.access_token()).await.unwrap_err(),
        401
    );
}

#[tokio::test]
async fn of_two_requests_with_one_refresh_token_one_gets_tokens() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    let token = refresh_token(&world).await;
    world.store.next_two_meet();
    let (one, other) = tokio::join!(
        refresh(&endpoint, "app", &token, None),
        refresh(&endpoint, "app", &token, None)
    );
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}

#[tokio::test]
async fn a_public_client_refreshes_by_its_name_alone() {
    let world = World::jwt().await;
    let issued = world.issuer.issue(TokenRequest::for_subject("spa", "alice")).await;
    let issued = issued.unwrap();
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", issued.refresh_token().unwrap()),
        ("client_id", "spa"),
    ];
    assert_eq!(ask(&endpoint(&world), post(&pairs)).await.status, 200);
}

#[tokio::test]
async fn a_grant_of_the_applications_own_issues_tokens_by_the_same_rules() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    let ask = async |client: &str, ticket: &str, scope: &str| {
        let pairs = [("grant_type", TICKET), ("ticket", ticket), ("scope", scope)];
        by(&endpoint, client, &pairs).await
    };
    let answer = ask("app", "good", "profile").await;
    assert_eq!(answer.status, 200);
    let seen = present(&world.jwt_protector(), answer.access_token()).await.unwrap();
    assert_eq!((seen.subject(), seen.client_id()), (Some("traveller"), Some("app")));
    assert_eq!(
        refresh(&endpoint, "app", answer.refresh_token(), None).await.status,
        200
    );
    // A client that may not refresh has no use for a refresh token.
    let answer = ask("worker", "good", "profile").await;
    assert_eq!((answer.status, answer.body.get("refresh_token")), (200, None));
    ask("app", "bad", "profile").await.is_error(400, "invalid_grant");
    ask("app", "", "profile").await.is_error(400, "invalid_request");
    ask("app", "good", "admin").await.is_error(400, "invalid_scope");
}

#[tokio::test]
async fn each_grant_is_there_once() {
    let world = World::jwt().await;
    let error = endpoint(&world).grant(Ticket).unwrap_err();
    assert_eq!(error.option(), "grant");
}

#[tokio::test]
async fn while_the_store_is_away_a_refresh_is_503_and_is_done_afterwards() {
    let world = World::jwt().await;
    let endpoint = endpoint(&world);
    let token = refresh_token(&world).await;
    world.store.go_down();
    let answer = refresh(&endpoint, "app", &token, None).await;
    answer.is_error(503, "temporarily_unavailable");
    assert_eq!(answer.headers[header::RETRY_AFTER], "5");
    world.store.come_back();
    assert_eq!(refresh(&endpoint, "app", &token, None).await.status, 200);
}
