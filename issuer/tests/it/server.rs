//! The authorization server, as browsers and clients see it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use resource_protector::{Algorithm, MemoryRevocationList, testing::TestClock};
use resource_protector_issuer::{
    AccessTokens, KeyRing, TokenIssuer,
    clients::{Client, ClientSecret, MemoryClients},
    endpoints::ResponseBody,
    grants::legacy::Password,
    rate_limit::RateLimit,
    server::{AuthorizationServer, AuthorizationServerBuilder, SealingKey},
    store::MemoryStore,
    users::{Passwords, StoredUsers, User},
};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Level;

use crate::support::{API, Breakable, Trail, terms};

const ISSUER: &str = "https://auth.test";
const PASSWORD: &str = "correct horse battery staple";
const SECRET: &str = "a-secret-of-thirty-two-characters";

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Town {
    server: AuthorizationServer,
    users: StoredUsers,
    alice: User,
    issuer: TokenIssuer,
    store: Breakable,
    clock: TestClock,
}

impl Town {
    async fn new() -> Self {
        Self::with(ISSUER, |builder| builder).await
    }

    async fn with(name: &str, options: impl FnOnce(AuthorizationServerBuilder) -> AuthorizationServerBuilder) -> Self {
        let clock = TestClock::new();
        let users = StoredUsers::in_memory(Passwords::weak_for_tests().unwrap());
        let alice = users.add("alice", PASSWORD).await.unwrap();
        let secret = ClientSecret::new(SECRET).unwrap();
        let clients = MemoryClients::new([
            Client::with_secret("web", &secret)
                .unwrap()
                .name("Web <b>&amp;")
                .unwrap()
                .redirect_uris(["https://app.test/cb"])
                .unwrap()
                .grants(["authorization_code", "refresh_token", "password"])
                .unwrap()
                .scopes("profile email")
                .unwrap()
                .audiences(["https://mail.test"])
                .unwrap(),
            Client::with_secret("poster", &secret)
                .unwrap()
                .secret_in_form()
                .unwrap(),
            Client::public("phone")
                .unwrap()
                .redirect_uris(["http://127.0.0.1/cb", "https://phone.test/cb"])
                .unwrap()
                .grants(["authorization_code", "implicit"])
                .unwrap()
                .scopes("profile")
                .unwrap(),
        ]);
        let list = MemoryRevocationList::new(terms()).clock(clock.clone());
        let keys = KeyRing::generate(Algorithm::ES256).unwrap();
        let access = AccessTokens::jwt(keys, list).unwrap();
        let store = Breakable::default();
        let issuer = TokenIssuer::builder(name, API, store.clone(), access)
            .unwrap()
            .subject_rule(users.clone())
            .clock(clock.clone())
            .open()
            .await
            .unwrap();
        let builder =
            AuthorizationServer::builder(issuer.clone(), clients, users.clone(), SealingKey::random().unwrap());
        let builder = builder.unwrap().describe_scope("profile", "See your name");
        Self {
            server: options(builder).build().unwrap(),
            users,
            alice,
            issuer,
            store,
            clock,
        }
    }

    fn browser(&self) -> Browser<'_> {
        Browser {
            town: self,
            cookies: BTreeMap::new(),
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Page {
        let response = self.server.clone().oneshot(request).await.unwrap();
        Page::of(response).await
    }

    async fn post(&self, path: &str, form: &str) -> Page {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.to_owned().into());
        self.send(request.unwrap()).await
    }

    async fn token(&self, form: &str) -> Page {
        self.post("/token", &format!("client_id=phone&{form}")).await
    }
}

/// An answer.
struct Page {
    status: u16,
    headers: http::HeaderMap,
    text: String,
}

impl Page {
    async fn of(response: Response<ResponseBody>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.headers[header::LOCATION].to_str().unwrap()
    }

    /// What the client gets of it: the parameters of the query.
    fn answer(&self) -> BTreeMap<String, String> {
        let (_, query) = self.location().split_once('?').unwrap();
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// Where its form goes.
    fn action(&self) -> String {
        let action = between(&self.text, "action=\"", "\"");
        action.replace("&amp;", "&").replace("&#38;", "&")
    }

    fn field(&self, name: &str) -> String {
        between(&self.text, &format!("name=\"{name}\" value=\""), "\"").to_owned()
    }

    fn is_login(&self) -> bool {
        self.text.contains("name=\"password\"")
    }

    fn is_consent(&self) -> bool {
        self.text.contains("name=\"decision\"")
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start} in {text}"))
        .1;
    rest.split_once(end).unwrap().0
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// Keeps cookies, and sends what browsers send with forms.
#[derive(Clone)]
struct Browser<'a> {
    town: &'a Town,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    async fn send(&mut self, request: http::request::Builder, body: String) -> Page {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match cookies.is_empty() {
            true => request,
            false => request.header(header::COOKIE, cookies.join("; ")),
        };
        let page = self.town.send(request.body(body.into()).unwrap()).await;
        for cookie in page.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.starts_with("__Host-") && cookie.contains("; Secure; HttpOnly; SameSite=Lax"));
            let (pair, _) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match cookie.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        page
    }

    async fn get(&mut self, url: &str) -> Page {
        self.send(Request::get(url), String::new()).await
    }

    async fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, ISSUER)
            .header("sec-fetch-site", "same-origin");
        self.send(request, form(fields)).await
    }

    async fn login(&mut self, page: &Page, username: &str, password: &str) -> Page {
        let proof = page.field("proof");
        let fields = [
            ("form", "login"),
            ("proof", &proof),
            ("username", username),
            ("password", password),
        ];
        self.post(&page.action(), &fields).await
    }

    async fn decide(&mut self, page: &Page, decision: &str) -> Page {
        let proof = page.field("proof");
        let fields = [("form", "consent"), ("proof", &proof), ("decision", decision)];
        self.post(&page.action(), &fields).await
    }

    async fn logout(&mut self, page: &Page) -> Page {
        let fields = [("form", "logout"), ("proof", &page.field("proof"))];
        self.post(&page.action(), &fields).await
    }

    /// From the client's request to the page that asks for consent.
    async fn come_in(&mut self, url: &str) -> Page {
        let page = self.get(url).await;
        assert!(page.is_login(), "{}", page.text);
        let page = self.login(&page, "alice", PASSWORD).await;
        let onward = page.location().to_owned();
        self.get(&onward).await
    }
}

/// A request of a client, with one parameter set to something else, or left out.
fn asked(client: &str, redirect_uri: &str, changed: &[(&str, Option<&str>)]) -> String {
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect_uri),
        ("scope", "profile"),
        ("state", "s 1&2"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changed {
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (*name, value)));
    }
    format!("/authorize?{}", form(&fields))
}

fn web() -> String {
    asked("web", "https://app.test/cb", &[])
}

fn phone() -> String {
    asked("phone", "https://phone.test/cb", &[])
}

#[tokio::test]
async fn a_user_logs_in_allows_the_client_and_the_client_gets_tokens() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&phone()).await;
    assert!(page.is_consent() && page.text.contains("See your name") && page.text.contains("phone.test"));
    let page = browser.decide(&page, "allow").await;
    assert!(page.location().starts_with("https://phone.test/cb?code="));
    let answer = page.answer();
    assert_eq!((answer["state"].as_str(), answer["iss"].as_str()), ("s 1&2", ISSUER));
    let exchange = form(&[
        ("grant_type", "authorization_code"),
        ("code", &answer["code"]),
        ("redirect_uri", "https://phone.test/cb"),
        ("code_verifier", VERIFIER),
    ]);
    let page = town.token(&exchange).await;
    assert_eq!(
        (page.status, &page.headers[header::CACHE_CONTROL]),
        (200, &"no-store".parse().unwrap())
    );
    let tokens = page.json();
    assert_eq!(
        (&tokens["scope"], &tokens["token_type"]),
        (&json!("profile"), &json!("Bearer"))
    );
    // The client may not use the refresh grant.
    assert!(tokens.get("refresh_token").is_none());
    let access = tokens["access_token"].as_str().unwrap();
    let active = town.issuer.introspect(access).await.unwrap().unwrap();
    assert_eq!(active.claims()["sub"], town.alice.subject);
    assert_eq!(active.claims()["fresh"], true);
    // A second time, the code ends what it began.
    let page = town.token(&exchange).await;
    assert_eq!((page.status, &page.json()["error"]), (400, &json!("invalid_grant")));
    assert!(town.issuer.introspect(access).await.unwrap().is_none());
}

#[tokio::test]
async fn who_is_logged_in_is_not_asked_for_the_password_again_and_what_was_allowed_not_again_either() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "allow").await;
    let page = browser.get(&web()).await;
    assert!(page.location().starts_with("https://app.test/cb?code="));
    // More than what was allowed is asked about.
    let more = asked("web", "https://app.test/cb", &[("scope", Some("profile email"))]);
    assert!(browser.get(&more).await.is_consent());
    // So is another client.
    assert!(browser.get(&phone()).await.is_consent());
}

#[tokio::test]
async fn what_was_allowed_for_one_resource_is_asked_about_for_another_and_the_page_names_it() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let for_resource = |scope, resource| {
        let changed = [("scope", Some(scope)), ("resource", resource)];
        asked("web", "https://app.test/cb", &changed)
    };
    let page = browser.come_in(&for_resource("profile", None)).await;
    assert!(!page.text.contains("https://mail.test"));
    browser.decide(&page, "allow").await;
    let mail = for_resource("profile email", Some("https://mail.test"));
    let page = browser.get(&mail).await;
    assert!(
        page.is_consent() && page.text.contains("https://mail.test"),
        "{}",
        page.text
    );
    browser.decide(&page, "allow").await;
    // Both were allowed, but `email` for the mail server alone.
    assert!(browser.get(&mail).await.location().contains("?code="));
    assert!(
        browser
            .get(&for_resource("profile", None))
            .await
            .location()
            .contains("?code=")
    );
    assert!(browser.get(&for_resource("profile email", None)).await.is_consent());
}

#[tokio::test]
async fn a_client_that_anybody_can_pretend_to_be_is_asked_about_every_time() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let native = asked("phone", "http://127.0.0.1:4711/cb", &[]);
    let page = browser.come_in(&native).await;
    let page = browser.decide(&page, "allow").await;
    assert!(page.location().starts_with("http://127.0.0.1:4711/cb?code="));
    assert!(browser.get(&native).await.is_consent());
}

#[tokio::test]
async fn after_a_log_in_with_consent_given_before_a_page_leads_on() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "allow").await;
    browser.cookies.clear();
    let page = browser.come_in(&web()).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("http-equiv=\"refresh\"") && page.text.contains("https://app.test/cb?code="));
}

#[tokio::test]
async fn who_refuses_sends_the_client_an_error() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    let answer = browser.decide(&page, "deny").await.answer();
    assert_eq!(
        (answer["error"].as_str(), answer["state"].as_str()),
        ("access_denied", "s 1&2")
    );
    assert!(!answer.contains_key("code"));
}

#[tokio::test]
async fn who_uses_another_account_is_logged_out_and_asked_who_they_are() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    assert!(browser.decide(&page, "switch").await.is_login());
    assert!(browser.get(&web()).await.is_login());
}

#[tokio::test]
async fn who_logs_out_of_the_server_is_asked_for_the_password_again() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "allow").await;
    let page = browser.get("/logout").await;
    assert!(page.status == 200 && page.text.contains("You are signed in as <strong>alice</strong>"));
    // To ask changes nothing.
    assert_eq!(browser.get(&web()).await.status, 303);
    let page = browser.logout(&page).await;
    assert!(page.status == 200 && page.text.contains("You are signed out"));
    assert!(browser.get(&web()).await.is_login());
}

#[tokio::test]
async fn where_nobody_is_logged_in_the_page_for_logging_out_says_so() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.get("/logout").await;
    assert!(page.status == 200 && page.text.contains("Nobody is signed in") && !page.text.contains("<form"));
    let page = browser.post("/logout", &[("proof", "")]).await;
    assert!(page.status == 200 && page.text.contains("Nobody is signed in"));
}

#[tokio::test]
async fn a_cookie_that_was_copied_is_good_no_more_after_a_log_out_and_other_log_ins_are() {
    let town = Town::new().await;
    let (mut browser, mut elsewhere) = (town.browser(), town.browser());
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "allow").await;
    elsewhere.come_in(&web()).await;
    let mut copy = browser.clone();
    assert_eq!(copy.get(&web()).await.status, 303);
    let page = browser.get("/logout").await;
    browser.logout(&page).await;
    assert!(copy.get(&web()).await.is_login());
    // Not even after the upkeep, as long as the cookie says that it is good.
    town.clock.advance(Duration::from_secs(8 * 3600 - 1));
    town.issuer.upkeep().await.unwrap();
    assert!(copy.get(&web()).await.is_login());
    assert_eq!(elsewhere.get(&web()).await.status, 303);
}

#[tokio::test]
async fn a_cookie_that_was_copied_is_good_no_more_when_another_account_is_used() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    let mut copy = browser.clone();
    assert!(copy.get(&web()).await.is_consent());
    browser.decide(&page, "switch").await;
    assert!(copy.get(&web()).await.is_login());
}

#[tokio::test]
async fn a_log_out_of_the_server_ends_no_session_of_a_client() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&phone()).await;
    let answer = browser.decide(&page, "allow").await.answer();
    let exchange = form(&[
        ("grant_type", "authorization_code"),
        ("code", &answer["code"]),
        ("redirect_uri", "https://phone.test/cb"),
        ("code_verifier", VERIFIER),
    ]);
    let tokens = town.token(&exchange).await.json();
    let page = browser.get("/logout").await;
    browser.logout(&page).await;
    let access = tokens["access_token"].as_str().unwrap();
    assert!(town.issuer.introspect(access).await.unwrap().is_some());
}

#[tokio::test]
async fn csrf_no_form_but_our_own_for_this_browser_and_this_log_in_logs_anybody_out() {
    let town = Town::new().await;
    let (mut mallory, mut alice) = (town.browser(), town.browser());
    mallory.come_in(&web()).await;
    let page = alice.come_in(&web()).await;
    let consent = page.field("proof");
    alice.decide(&page, "allow").await;
    let theirs = mallory.get("/logout").await.field("proof");
    for proof in ["", &theirs, &consent] {
        let page = alice.post("/logout", &[("form", "logout"), ("proof", proof)]).await;
        assert!(page.status == 403 && page.text.contains("role=\"alert\"") && page.text.contains("<form"));
        assert!(!page.headers.contains_key(header::SET_COOKIE));
    }
    let own = alice.get("/logout").await.field("proof");
    for (name, value) in [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")] {
        let request = Request::post("/logout")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(name, value);
        let page = alice.send(request, form(&[("form", "logout"), ("proof", &own)])).await;
        assert!(
            page.status == 403 && !page.headers.contains_key(header::SET_COOKIE),
            "{name}: {value}"
        );
    }
    assert_eq!(alice.get(&web()).await.status, 303);
}

#[tokio::test]
async fn open_redirect_a_log_out_leads_nowhere() {
    let town = Town::new().await;
    let mut browser = town.browser();
    browser.come_in(&web()).await;
    let query = form(&[
        ("post_logout_redirect_uri", "https://evil.test"),
        ("redirect_uri", "https://app.test/cb"),
        ("client_id", "web"),
    ]);
    let url = format!("/logout?{query}");
    let asked = browser.get(&url).await;
    let proof = asked.field("proof");
    let fields = [("proof", proof.as_str()), ("redirect_uri", "https://evil.test")];
    let done = browser.post(&url, &fields).await;
    assert!(done.text.contains("You are signed out"));
    for page in [asked, done, browser.get(&url).await] {
        assert!(page.status == 200 && !page.headers.contains_key(header::LOCATION));
        assert!(!page.text.contains(".test") && !page.text.contains("href") && !page.text.contains("http-equiv"));
    }
}

#[tokio::test]
async fn who_cannot_be_logged_out_is_told_so_and_can_try_again() {
    let town = Town::new().await;
    let mut browser = town.browser();
    browser.come_in(&web()).await;
    let page = browser.get("/logout").await;
    town.store.go_down();
    let failed = browser.logout(&page).await;
    assert!(failed.status == 503 && failed.headers.contains_key(header::RETRY_AFTER));
    assert!(!failed.headers.contains_key(header::SET_COOKIE));
    town.store.come_back();
    // The first time it happens, and nobody hears of it.
    town.store.lose_answers(1);
    assert_eq!(browser.logout(&page).await.status, 503);
    assert!(browser.logout(&page).await.text.contains("You are signed out"));
    assert!(browser.get(&web()).await.is_login());
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_page() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.get(&web()).await;
    let mut shown = Vec::new();
    for (username, password) in [("alice", "wrong"), ("nobody", PASSWORD), ("", "")] {
        let page = browser.login(&page, username, password).await;
        assert!(page.status == 403 && page.is_login() && page.text.contains("role=\"alert\""));
        assert!(!page.headers.contains_key(header::SET_COOKIE));
        shown.push(page.text.replace(&format!("value=\"{username}\""), ""));
    }
    assert_eq!(shown[0].len(), shown[1].len());
    town.users.disable(&town.alice.subject).await.unwrap();
    let disabled = browser.login(&page, "alice", PASSWORD).await;
    assert_eq!(
        (disabled.status, disabled.text.replace("value=\"alice\"", "")),
        (403, shown[0].clone())
    );
}

#[tokio::test]
async fn after_ten_wrong_passwords_even_the_right_one_has_to_wait() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.get(&web()).await;
    for spelling in ["alice", "ALICE", " alice "].iter().cycle().take(10) {
        assert_eq!(browser.login(&page, spelling, "wrong").await.status, 403);
    }
    let refused = browser.login(&page, "alice", PASSWORD).await;
    assert_eq!(refused.status, 429);
    assert!(
        refused.headers[header::RETRY_AFTER]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            <= 301
    );
    town.clock.advance(Duration::from_secs(301));
    assert_eq!(browser.login(&page, "alice", PASSWORD).await.status, 303);
}

#[tokio::test]
async fn who_tries_many_names_is_stopped_by_where_they_come_from() {
    let is_elsewhere = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_elsewhere);
    let town = Town::with(ISSUER, |builder| {
        let attempts = RateLimit::new(3, Duration::from_secs(300)).unwrap();
        let peer = move |_: &_| Some(if seen.load(Ordering::Relaxed) { "b" } else { "a" }.to_owned());
        builder.peer(peer).peer_limit(attempts)
    })
    .await;
    let mut browser = town.browser();
    let page = browser.get(&web()).await;
    for name in ["bob", "carol"] {
        assert_eq!(browser.login(&page, name, "wrong").await.status, 403);
    }
    // One's own account makes up for nothing.
    let mut own = browser.clone();
    assert_eq!(own.login(&page, "alice", PASSWORD).await.status, 303);
    assert_eq!(browser.login(&page, "dave", "wrong").await.status, 403);
    for (name, password) in [("erin", "wrong"), ("alice", PASSWORD)] {
        let refused = browser.login(&page, name, password).await;
        assert_eq!(refused.status, 429);
        assert!(refused.headers.contains_key(header::RETRY_AFTER));
    }
    is_elsewhere.store(true, Ordering::Relaxed);
    assert_eq!(browser.clone().login(&page, "alice", PASSWORD).await.status, 303);
    is_elsewhere.store(false, Ordering::Relaxed);
    town.clock.advance(Duration::from_secs(301));
    assert_eq!(browser.login(&page, "alice", PASSWORD).await.status, 303);
}

#[tokio::test]
async fn where_one_limit_is_for_several_things_none_is_counted_as_another() {
    let elsewhere = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&elsewhere);
    let town = Town::with(ISSUER, |builder| {
        let limit = RateLimit::new(2, Duration::from_secs(300)).unwrap();
        let builder = builder.peer(move |_| Some(seen.lock().unwrap().clone()));
        builder
            .failure_limit(limit.clone())
            .peer_limit(limit.clone())
            .code_limit(limit)
    })
    .await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    // A peer, if peers are called so, by the name under which the codes of alice are counted.
    *elsewhere.lock().unwrap() = format!("code\nweb\n{}", town.alice.subject);
    let mut mallory = town.browser();
    let form = mallory.get(&web()).await;
    for name in ["bob", "carol"] {
        assert_eq!(mallory.login(&form, name, "wrong").await.status, 403);
    }
    assert_eq!(mallory.login(&form, "dave", "wrong").await.status, 429);
    assert!(browser.decide(&page, "allow").await.location().contains("?code="));
}

#[tokio::test]
async fn a_user_is_granted_a_hundred_codes_in_five_minutes_and_then_has_to_wait() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "allow").await;
    for _ in 1..100 {
        assert!(browser.get(&web()).await.location().contains("?code="));
    }
    town.clock.advance(Duration::from_secs(100));
    let refused = browser.get(&web()).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers[header::RETRY_AFTER], "201");
    assert!(refused.text.contains("Too many sign-ins") && !refused.headers.contains_key(header::LOCATION));
    town.clock.advance(Duration::from_secs(200));
    assert!(browser.get(&web()).await.location().contains("?code="));
}

#[tokio::test]
async fn codes_are_counted_for_each_user_and_client_whatever_the_browser() {
    let town = Town::with(ISSUER, |builder| {
        builder.code_limit(RateLimit::new(2, Duration::from_secs(300)).unwrap())
    })
    .await;
    town.users.add("bob", PASSWORD).await.unwrap();
    let mut browser = town.browser();
    let page = browser.come_in(&phone()).await;
    assert!(browser.decide(&page, "allow").await.location().contains("?code="));
    let mut another = town.browser();
    let page = another.get(&phone()).await;
    let page = another.login(&page, "alice", PASSWORD).await;
    // The page that leads on to the client, who is allowed by now.
    assert_eq!(another.get(page.location()).await.status, 200);
    assert_eq!(browser.get(&phone()).await.status, 429);
    assert_eq!(another.get(&phone()).await.status, 429);
    // One client uses up nothing that another is granted, and one user nothing of another's.
    let page = browser.get(&web()).await;
    assert!(browser.decide(&page, "allow").await.location().contains("?code="));
    let mut bobs = town.browser();
    let page = bobs.get(&phone()).await;
    let page = bobs.login(&page, "bob", PASSWORD).await;
    let page = bobs.get(page.location()).await;
    assert!(bobs.decide(&page, "allow").await.location().contains("?code="));
}

#[tokio::test]
async fn access_tokens_in_the_url_count_as_codes_do() {
    let town = Town::with(ISSUER, |builder| {
        let limit = RateLimit::new(1, Duration::from_secs(300)).unwrap();
        builder.dangerous_implicit_grant().code_limit(limit)
    })
    .await;
    let url = asked("phone", "https://phone.test/cb", &[("response_type", Some("token"))]);
    let mut browser = town.browser();
    let page = browser.come_in(&url).await;
    assert!(
        browser
            .decide(&page, "allow")
            .await
            .location()
            .contains("#access_token=")
    );
    assert_eq!(browser.get(&url).await.status, 429);
}

#[tokio::test]
async fn a_code_that_could_not_be_issued_does_not_count() {
    let town = Town::with(ISSUER, |builder| {
        builder.code_limit(RateLimit::new(2, Duration::from_secs(300)).unwrap())
    })
    .await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    assert!(browser.decide(&page, "allow").await.location().contains("?code="));
    town.store.take_no_changes();
    assert_eq!(browser.get(&web()).await.status, 503);
    town.store.come_back();
    assert!(browser.get(&web()).await.location().contains("?code="));
    assert_eq!(browser.get(&web()).await.status, 429);
}

#[tokio::test]
async fn what_happens_at_the_pages_is_an_event_each_that_names_the_client_and_nobody_else() {
    let town = Town::with(ISSUER, |builder| {
        let limit = |attempts| RateLimit::new(attempts, Duration::from_secs(300)).unwrap();
        let builder = builder
            .failure_limit(limit(1))
            .peer_limit(limit(2))
            .code_limit(limit(1));
        builder.peer(|_| Some("192.0.2.1".to_owned()))
    })
    .await;
    let (trail, _guard) = Trail::begin();
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "deny").await;
    browser.decide(&page, "allow").await;
    browser.get(&web()).await;
    let page = browser.get("/logout").await;
    browser.logout(&page).await;
    let page = browser.get(&web()).await;
    for name in ["alice", "alice", "mallory", "eve"] {
        browser.login(&page, name, "wr0ng").await;
    }
    let events = trail.events();
    let told: Vec<_> = events
        .iter()
        .map(|(level, fields)| {
            let field = |name| fields.0.get(name).map_or("", String::as_str);
            (*level, field("event"), field("client_id"), field("limit"))
        })
        .collect();
    let expected = [
        (Level::INFO, "logged_in", "web", ""),
        (Level::INFO, "consent_refused", "web", ""),
        (Level::INFO, "consent_given", "web", ""),
        (Level::WARN, "rate_limited", "web", "codes"),
        (Level::INFO, "logged_out", "", ""),
        (Level::INFO, "login_refused", "web", ""),
        (Level::WARN, "rate_limited", "web", "login"),
        (Level::INFO, "login_refused", "web", ""),
        (Level::WARN, "rate_limited", "web", "peer"),
    ];
    assert_eq!(told, expected);
    let text = format!("{events:?}");
    for hidden in ["alice", "mallory", &town.alice.subject, PASSWORD, "wr0ng", "192.0.2.1"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn a_client_in_a_browser_reads_metadata_and_keys_wherever_it_comes_from() {
    let town = Town::new().await;
    for path in ["/.well-known/oauth-authorization-server", "/jwks"] {
        let page = town.browser().get(path).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{path}");
    }
    for path in ["/token", "/revoke", "/introspect", "/logout"] {
        let page = town.post(path, "").await;
        assert!(
            !page.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_client_in_a_browser_may_read_the_tokens_where_its_origin_is_allowed() {
    let town = Town::new().await;
    // As the README has it.
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(|origin, request| {
            matches!(request.uri.path(), "/token" | "/revoke") && origin == "https://app.example.com"
        }))
        .allow_methods([Method::POST])
        .expose_headers([header::RETRY_AFTER]);
    let server = cors.layer(town.server.clone());
    let ask = async |method: Method, path: &str, origin: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::<Bytes>::from(
                "client_id=phone&grant_type=refresh_token&refresh_token=x",
            ))
            .unwrap();
        let page = Page::of(server.clone().oneshot(request).await.unwrap()).await;
        assert!(!page.headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let allowed = page.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        (page.status, allowed.map(|origin| origin.to_str().unwrap().to_owned()))
    };
    let (own, other) = ("https://app.example.com", "https://evil.test");
    assert_eq!(ask(Method::OPTIONS, "/token", own).await, (200, Some(own.to_owned())));
    // The client may not refresh, and reads so.
    assert_eq!(ask(Method::POST, "/token", own).await, (400, Some(own.to_owned())));
    assert_eq!(ask(Method::POST, "/revoke", own).await, (400, Some(own.to_owned())));
    assert_eq!(ask(Method::OPTIONS, "/token", other).await, (200, None));
    assert_eq!(ask(Method::POST, "/token", other).await, (400, None));
    assert_eq!(ask(Method::GET, "/authorize", own).await, (400, None));
    assert_eq!(ask(Method::GET, "/jwks", other).await, (200, Some("*".to_owned())));
}

#[tokio::test]
async fn csrf_a_form_that_no_page_of_ours_made_for_this_browser_does_nothing() {
    let town = Town::new().await;
    let (mut mallory, mut alice) = (town.browser(), town.browser());
    let theirs = mallory.get(&web()).await;
    let own = alice.get(&web()).await;
    // Mallory's proof, in Alice's browser; none at all; Alice's own, for another request.
    for (proof, url) in [
        (theirs.field("proof"), own.action()),
        (String::new(), own.action()),
        (own.field("proof"), phone()),
    ] {
        let fields = [
            ("form", "login"),
            ("proof", proof.as_str()),
            ("username", "alice"),
            ("password", PASSWORD),
        ];
        let page = alice.post(&url, &fields).await;
        assert!(page.status == 403 && page.is_login());
        assert!(!page.headers.contains_key(header::SET_COOKIE));
    }
    // A consent without proof, of who is logged in.
    let page = alice.come_in(&web()).await;
    assert!(page.is_consent());
    for proof in ["", &own.field("proof"), &theirs.field("proof")] {
        let fields = [("form", "consent"), ("proof", proof), ("decision", "allow")];
        let page = alice.post(&page.action(), &fields).await;
        assert!(page.status == 403 && page.is_consent(), "{}", page.status);
    }
}

#[tokio::test]
async fn csrf_a_form_that_another_site_sends_does_nothing() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    let proof = page.field("proof");
    for (name, value) in [
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let request = Request::post(page.action())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(name, value);
        let fields = form(&[("form", "consent"), ("proof", &proof), ("decision", "allow")]);
        assert_eq!(browser.send(request, fields).await.status, 403, "{name}: {value}");
    }
}

#[tokio::test]
async fn clickjacking_no_page_can_be_framed() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let login = browser.get(&web()).await;
    let consent = browser.come_in(&web()).await;
    let logout = browser.get("/logout").await;
    assert!(logout.text.contains("<form"), "{}", logout.text);
    let error = browser.get("/authorize").await;
    assert_eq!(error.status, 400);
    for page in [login, consent, logout, error] {
        assert_eq!(page.headers["x-frame-options"], "DENY");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && policy.starts_with("default-src 'none'"));
        assert_eq!(page.headers["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn open_redirect_nobody_is_sent_to_an_address_that_is_not_the_clients() {
    let town = Town::new().await;
    let mut browser = town.browser();
    for uri in [
        "https://evil.test/cb",
        "https://app.test/cb/",
        "https://app.test/cb?x=1",
        "https://app.test@evil.test/cb",
        "https://app.test/cb#x",
        "http://app.test/cb",
        "javascript:alert(1)",
        "//evil.test",
    ] {
        for response_type in ["code", "token", "nonsense"] {
            let url = asked("web", uri, &[("response_type", Some(response_type))]);
            let page = browser.get(&url).await;
            assert!(
                page.status == 400 && !page.headers.contains_key(header::LOCATION),
                "{uri}"
            );
            assert!(!page.text.contains("evil"));
        }
    }
    let unknown = browser.get(&asked("unknown", "https://app.test/cb", &[])).await;
    assert!(unknown.status == 400 && !unknown.headers.contains_key(header::LOCATION));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_sent_to_the_client_before_anybody_is_asked() {
    let town = Town::new().await;
    for (changed, error) in [
        (("response_type", Some("token")), "unsupported_response_type"),
        (("code_challenge", None), "invalid_request"),
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("scope", Some("admin")), "invalid_scope"),
        (("resource", Some("https://other.test")), "invalid_target"),
        (("prompt", Some("none")), "login_required"),
    ] {
        let page = town
            .browser()
            .get(&asked("web", "https://app.test/cb", &[changed]))
            .await;
        assert_eq!(page.answer()["error"], error);
    }
}

#[tokio::test]
async fn hostile_names_are_shown_as_text() {
    let town = Town::new().await;
    let page = town.browser().get(&web()).await;
    assert!(
        !page.text.contains("<b>") && page.text.contains("Web &#60;b&#62;&#38;amp;"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn a_log_out_everywhere_and_a_disabled_account_end_the_log_in_at_the_server_too() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "allow").await;
    assert_eq!(browser.get(&web()).await.status, 303);
    town.issuer.logout_everywhere(&town.alice.subject).await.unwrap();
    assert!(browser.get(&web()).await.is_login());
    browser.come_in(&web()).await;
    assert_eq!(browser.get(&web()).await.status, 303);
    town.users.disable(&town.alice.subject).await.unwrap();
    assert!(browser.get(&web()).await.is_login());
}

#[tokio::test]
async fn a_log_in_lasts_for_as_long_as_is_said() {
    let life = Duration::from_secs(600);
    let town = Town::with(ISSUER, |builder| builder.login_lifetime(life).unwrap()).await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "allow").await;
    town.clock.advance(life - Duration::from_secs(1));
    assert_eq!(browser.get(&web()).await.status, 303);
    town.clock.advance(Duration::from_secs(1));
    assert!(browser.get(&web()).await.is_login());
}

#[tokio::test]
async fn the_application_decides_who_learns_what_at_the_servers_introspection_endpoint() {
    let ask = async |town: &Town, token: &str| {
        let form = form(&[("client_id", "poster"), ("client_secret", SECRET), ("token", token)]);
        let page = town.post("/introspect", &form).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.json()["active"].clone()
    };
    let issue = async |town: &Town| {
        let request = resource_protector_issuer::TokenRequest::for_client("poster");
        town.issuer.issue(request).await.unwrap().access_token().to_owned()
    };
    let town = Town::new().await;
    assert_eq!(ask(&town, &issue(&town).await).await, json!(false));
    let own = |client: &Client, token: &resource_protector_issuer::ActiveToken| token.client_id() == Some(client.id());
    let town = Town::with(ISSUER, |builder| builder.permit_introspection(own)).await;
    assert_eq!(ask(&town, &issue(&town).await).await, json!(true));
}

#[tokio::test]
async fn a_log_in_lasts_for_a_day_of_work() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "allow").await;
    town.clock.advance(Duration::from_secs(8 * 3600 - 1));
    assert_eq!(browser.get(&web()).await.status, 303);
    town.clock.advance(Duration::from_secs(1));
    assert!(browser.get(&web()).await.is_login());
}

#[tokio::test]
async fn prompt_login_asks_for_the_password_of_who_is_logged_in_once() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&web()).await;
    browser.decide(&page, "allow").await;
    let anew = asked("web", "https://app.test/cb", &[("prompt", Some("login"))]);
    let page = browser.come_in(&anew).await;
    assert!(page.text.contains("https://app.test/cb?code="));
    // What was proven for one request is not for another.
    let page = browser.get(&anew).await;
    let logged_in = browser.login(&page, "alice", PASSWORD).await;
    let (_, proof) = logged_in.location().rsplit_once("&logged_in=").unwrap();
    let other = asked(
        "web",
        "https://app.test/cb",
        &[("prompt", Some("login")), ("state", Some("2"))],
    );
    assert!(browser.get(&format!("{other}&logged_in={proof}")).await.is_login());
}

#[tokio::test]
async fn a_client_finds_everything_by_the_servers_metadata() {
    let town = Town::with("https://auth.test/tenants/a", |builder| builder).await;
    let mut browser = town.browser();
    let page = browser.get("/.well-known/oauth-authorization-server/tenants/a").await;
    let metadata = page.json();
    assert_eq!(metadata["issuer"], "https://auth.test/tenants/a");
    assert_eq!(metadata["token_endpoint"], "https://auth.test/tenants/a/token");
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(metadata["response_types_supported"], json!(["code"]));
    assert_eq!(
        metadata["grant_types_supported"],
        json!(["authorization_code", "client_credentials", "refresh_token"])
    );
    assert_eq!(
        browser.get("/tenants/a/jwks").await.json()["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let url = web().replacen("/authorize", "/tenants/a/authorize", 1);
    let page = browser.get(&url).await;
    assert!(page.is_login() && page.action().starts_with("/tenants/a/authorize?"));
    for path in [
        "/authorize",
        "/jwks",
        "/tenants/a",
        "/tenants/a/nothing",
        "/.well-known/oauth-authorization-server",
    ] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn an_issuer_that_would_go_on_serving_disabled_users_is_no_server() {
    let users = StoredUsers::in_memory(Passwords::weak_for_tests().unwrap());
    let issuer = TokenIssuer::builder(ISSUER, API, MemoryStore::new(), AccessTokens::opaque()).unwrap();
    let issuer = issuer.open().await.unwrap();
    let key = SealingKey::random().unwrap();
    let error = AuthorizationServer::builder(issuer, MemoryClients::new([]), users, key).unwrap_err();
    assert!(error.to_string().contains("subject_rule"), "{error}");
}

#[tokio::test]
async fn the_implicit_grant_is_there_only_where_it_is_switched_on() {
    let url = asked("phone", "https://phone.test/cb", &[("response_type", Some("token"))]);
    let town = Town::new().await;
    let page = town.browser().get(&url).await;
    assert_eq!(page.answer()["error"], "unsupported_response_type");

    let town = Town::with(ISSUER, AuthorizationServerBuilder::dangerous_implicit_grant).await;
    let mut browser = town.browser();
    let page = browser.come_in(&url).await;
    let page = browser.decide(&page, "allow").await;
    let (uri, fragment) = page.location().split_once('#').unwrap();
    assert_eq!(uri, "https://phone.test/cb");
    let answer: BTreeMap<_, _> = form_urlencoded::parse(fragment.as_bytes()).into_owned().collect();
    assert_eq!(
        (answer["state"].as_str(), answer["scope"].as_str()),
        ("s 1&2", "profile")
    );
    assert!(!answer.contains_key("refresh_token"));
    assert!(town.issuer.introspect(&answer["access_token"]).await.unwrap().is_some());
    // Not for a client that is not registered for it.
    let page = browser
        .get(&asked(
            "web",
            "https://app.test/cb",
            &[("response_type", Some("token"))],
        ))
        .await;
    assert_eq!(page.answer()["error"], "unsupported_response_type");
}

#[tokio::test]
async fn the_password_grant_is_there_only_where_it_is_added() {
    let exchange = |password: &str| {
        form(&[
            ("client_id", "web"),
            ("client_secret", SECRET),
            ("grant_type", "password"),
            ("username", "alice"),
            ("password", password),
        ])
    };
    let basic = |town: &Town, body: String| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let server = town.server.clone();
        async move {
            let body = body
                .replace("client_id=web&", "")
                .replace(&format!("client_secret={SECRET}&"), "");
            let request: Request<Full<Bytes>> = Request::post("/token")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(
                    header::AUTHORIZATION,
                    format!("Basic {}", STANDARD.encode(format!("web:{SECRET}"))),
                )
                .body(Full::<Bytes>::from(body))
                .unwrap();
            Page::of(server.oneshot(request).await.unwrap()).await
        }
    };
    let town = Town::new().await;
    let page = basic(&town, exchange(PASSWORD)).await;
    assert_eq!(
        (page.status, &page.json()["error"]),
        (400, &json!("unsupported_grant_type"))
    );

    let users = StoredUsers::in_memory(Passwords::weak_for_tests().unwrap());
    users.add("alice", PASSWORD).await.unwrap();
    let town = Town::with(ISSUER, |builder| builder.grant(Password::new(users)).unwrap()).await;
    let page = basic(&town, exchange(PASSWORD)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.json()["refresh_token"].is_string() && page.json()["expires_in"] == 600);
    // RFC 6749 §5.2: invalid_grant.
    for _ in 0..10 {
        let page = basic(&town, exchange("wrong")).await;
        assert_eq!((page.status, &page.json()["error"]), (400, &json!("invalid_grant")));
    }
    assert_eq!(basic(&town, exchange(PASSWORD)).await.status, 429);
    // A public client could be anybody.
    let page = town.token("grant_type=password&username=alice&password=x").await;
    assert_eq!(page.json()["error"], "unauthorized_client");
}

mod consents;
mod ends;
mod meanwhile;
