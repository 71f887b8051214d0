//! What happens while a request is on its way.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use http_body::{Body, Frame};
use http_body_util::Full;
use resource_protector::{StoreError, testing::TestClock};
use resource_protector_issuer::{
    AccessTokens, TokenIssuer,
    clients::{Client, ClientSecret, MemoryClients},
    grants::legacy::Password,
    server::{AuthorizationServer, SealingKey},
    store::MemoryStore,
    users::{Passwords, StoredUsers, User, UserDirectory},
};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use super::{Browser, ISSUER, PASSWORD, Page, Town, form, phone};
use crate::support::API;

/// A body that comes when it is sent.
struct Slow(Option<oneshot::Receiver<String>>);

impl Body for Slow {
    type Data = Bytes;
    type Error = oneshot::error::RecvError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let frame = std::task::ready!(Pin::new(body).poll(cx));
        self.0 = None;
        Poll::Ready(Some(frame.map(|text| Frame::data(text.into()))))
    }
}

/// The answer to a form that allows the client, and that was begun before this and sent after it.
async fn allowed_slowly(browser: &Browser<'_>, page: &Page, meanwhile: impl Future<Output = ()>) -> Page {
    let cookies: Vec<_> = browser
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let (send, body) = oneshot::channel();
    let request = Request::post(page.action())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ORIGIN, ISSUER)
        .header("sec-fetch-site", "same-origin")
        .header(header::COOKIE, cookies.join("; "))
        .body(Slow(Some(body)))
        .unwrap();
    let pending = tokio::spawn(browser.town.server.clone().oneshot(request));
    tokio::task::yield_now().await;
    meanwhile.await;
    let fields = [
        ("form", "consent"),
        ("proof", &page.field("proof")),
        ("decision", "allow"),
    ];
    send.send(form(&fields)).unwrap();
    Page::of(pending.await.unwrap().unwrap()).await
}

#[tokio::test]
async fn a_consent_form_that_takes_long_is_no_way_round_a_log_out_everywhere() {
    let town = Town::new().await;
    let alice = &town.alice.subject;
    let mut browser = town.browser();
    let page = browser.come_in(&phone()).await;
    let logging_out = async { town.issuer.logout_everywhere(alice).await.unwrap() };
    assert!(allowed_slowly(&browser, &page, logging_out).await.is_login());
    assert!(town.issuer.consents(alice).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_consent_form_that_takes_long_is_no_way_round_a_log_out_at_the_server() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let page = browser.come_in(&phone()).await;
    let mut same = browser.clone();
    let logging_out = async {
        let page = same.get("/logout").await;
        assert_eq!(same.logout(&page).await.status, 200);
    };
    assert!(allowed_slowly(&browser, &page, logging_out).await.is_login());
    assert!(town.issuer.consents(&town.alice.subject).await.unwrap().is_empty());
}

/// Users whose password is replaced, and who are logged out everywhere, while it is checked; by a clock that is behind.
#[derive(Clone)]
struct LoggedOutMeanwhile {
    users: StoredUsers,
    issuer: Arc<Mutex<Option<TokenIssuer>>>,
}

impl UserDirectory for LoggedOutMeanwhile {
    async fn authenticate(&self, username: &str, password: &str) -> Result<Option<User>, StoreError> {
        let user = UserDirectory::authenticate(&self.users, username, password).await?;
        let issuer = self.issuer.lock().unwrap().take();
        if let (Some(user), Some(issuer)) = (&user, issuer) {
            self.users
                .set_password(&user.subject, "another long password")
                .await
                .unwrap();
            issuer.logout_everywhere(&user.subject).await.map_err(StoreError::new)?;
        }
        Ok(user)
    }

    async fn find(&self, subject: &str) -> Result<Option<User>, StoreError> {
        UserDirectory::find(&self.users, subject).await
    }
}

/// A server for these users, and whether they are logged out while they log in.
async fn server(are_logged_out: bool) -> AuthorizationServer {
    let (clock, behind) = (TestClock::new(), TestClock::new());
    clock.advance(Duration::from_secs(2));
    let users = LoggedOutMeanwhile {
        users: StoredUsers::in_memory(Passwords::weak_for_tests().unwrap()),
        issuer: Arc::default(),
    };
    users.users.add("alice", PASSWORD).await.unwrap();
    let store = MemoryStore::new();
    let open = async |clock: TestClock| {
        let builder = TokenIssuer::builder(ISSUER, API, store.clone(), AccessTokens::opaque()).unwrap();
        builder.subject_rule(users.clone()).clock(clock).open().await.unwrap()
    };
    let (issuer, elsewhere) = (open(clock).await, open(behind).await);
    if are_logged_out {
        *users.issuer.lock().unwrap() = Some(elsewhere);
    }
    let secret = ClientSecret::new(super::SECRET).unwrap();
    let clients = MemoryClients::new([
        Client::public("phone")
            .unwrap()
            .redirect_uris(["https://phone.test/cb"])
            .unwrap()
            .grants(["authorization_code"])
            .unwrap()
            .scopes("profile")
            .unwrap(),
        Client::with_secret("web", &secret)
            .unwrap()
            .secret_in_form()
            .unwrap()
            .grants(["password"])
            .unwrap(),
    ]);
    let builder = AuthorizationServer::builder(issuer, clients, users.clone(), SealingKey::random().unwrap()).unwrap();
    builder.grant(Password::new(users)).unwrap().build().unwrap()
}

#[tokio::test]
async fn whoever_is_logged_out_everywhere_while_the_password_is_checked_is_not_logged_in() {
    for (are_logged_out, status) in [(false, 303), (true, 403)] {
        let server = server(are_logged_out).await;
        let request = Request::get(phone()).body(Full::<Bytes>::default()).unwrap();
        let page = Page::of(server.clone().oneshot(request).await.unwrap()).await;
        let browser = page.headers[header::SET_COOKIE].to_str().unwrap();
        let proof = page.field("proof");
        let fields = [
            ("form", "login"),
            ("proof", &proof),
            ("username", "alice"),
            ("password", PASSWORD),
        ];
        let request = Request::post(page.action())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, ISSUER)
            .header(header::COOKIE, browser.split_once(';').unwrap().0)
            .body(Full::<Bytes>::from(form(&fields)))
            .unwrap();
        let page = Page::of(server.oneshot(request).await.unwrap()).await;
        assert_eq!(page.status, status);
    }
}

#[tokio::test]
async fn whoever_is_logged_out_everywhere_while_the_password_is_checked_gets_no_tokens_for_it() {
    for (are_logged_out, status) in [(false, 200), (true, 400)] {
        let fields = [
            ("grant_type", "password"),
            ("client_id", "web"),
            ("client_secret", super::SECRET),
            ("username", "alice"),
            ("password", PASSWORD),
        ];
        let request = Request::post("/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::<Bytes>::from(form(&fields)))
            .unwrap();
        let page = Page::of(server(are_logged_out).await.oneshot(request).await.unwrap()).await;
        assert_eq!(page.status, status, "{}", page.text);
    }
}
