//! What has to end, at whatever moment its end comes.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use resource_protector::{
    Algorithm, Clock as _, CutOff, JwtValidator, MemoryRevocationList, ResourceProtectorLayer, RevocationTerms, Revoke,
    RevokeError, StoreError, testing::TestClock,
};
use resource_protector_issuer::{
    AccessTokens, CodeExchange, KeyRing, TokenErrorKind, TokenIssuer, TokenIssuerBuilder, TokenRequest,
    clients::{Client, MemoryClients},
    server::{AuthorizationServer, SealingKey},
    store::{Becomes, Change, Key, Kind, Listing, Outcome, Row, Store, Version, Was},
    users::{Passwords, StoredUsers},
};

use super::{ISSUER, PASSWORD, Town, VERIFIER, asked, form, phone, web};
use crate::support::{API, Breakable, World, present, terms};

type Hook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A store after whose next listing, or change, of a kind something else happens; the answer to the change may be lost then.
#[derive(Clone, Default)]
struct Hooked {
    store: Breakable,
    after_list: Arc<Mutex<Option<(Kind, Hook)>>>,
    after_commit: Arc<Mutex<Option<(Kind, bool, Hook)>>>,
}

impl Store for Hooked {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.store.load(keys).await
    }
    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        let done = self.store.commit(change).await;
        let hook = {
            let mut hook = self.after_commit.lock().unwrap();
            let is_it = hook.as_ref().is_some_and(|(kind, ..)| {
                change
                    .steps()
                    .any(|(key, _, becomes)| key.kind == *kind && matches!(becomes, Becomes::Put(_)))
            });
            if is_it { hook.take() } else { None }
        };
        if let Some((_, lost, hook)) = hook {
            hook().await;
            if lost {
                return Err(StoreError::new("the answer was lost"));
            }
        }
        done
    }
    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        let rows = self.store.list(listing).await;
        let hook = {
            let mut hook = self.after_list.lock().unwrap();
            if hook.as_ref().is_some_and(|(kind, _)| *kind == listing.kind) {
                hook.take()
            } else {
                None
            }
        };
        if let Some((_, hook)) = hook {
            hook().await;
        }
        rows
    }
    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        self.store.delete_expired(now).await
    }
}

/// Carries a future as far as it comes without waiting, and drops it there.
fn killed<T>(future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
}

/// A list that hangs when it is told to.
#[derive(Clone)]
struct Hanging {
    list: MemoryRevocationList,
    hangs: Arc<AtomicBool>,
}

impl Revoke for Hanging {
    async fn revoke(&self, cut_off: CutOff) -> Result<(), RevokeError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.list.revoke(cut_off).await
    }
    fn terms(&self) -> &RevocationTerms {
        Revoke::terms(&self.list)
    }
}

#[tokio::test]
async fn no_log_out_notes_as_told_what_another_one_has_not_told() {
    let clock = TestClock::new();
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    let list = MemoryRevocationList::new(terms()).clock(clock.clone());
    let hanging = Hanging {
        list: list.clone(),
        hangs: Arc::default(),
    };
    let store = Hooked::default();
    let access = AccessTokens::jwt(keys.clone(), hanging.clone()).unwrap();
    let issuer = TokenIssuer::builder(ISSUER, API, store.clone(), access)
        .unwrap()
        .clock(clock.clone())
        .open()
        .await
        .unwrap();
    let tokens = JwtValidator::with_jwks(ISSUER, keys.jwks(clock.now().wall), API).unwrap();
    let protector = ResourceProtectorLayer::new(tokens)
        .revocation(list.clone())
        .clock(clock.clone());

    let slot: Arc<Mutex<Option<String>>> = Arc::default();
    let (i, h, s) = (issuer.clone(), hanging.clone(), slot.clone());
    *store.after_list.lock().unwrap() = Some((
        Kind::Session,
        Box::new(move || {
            Box::pin(async move {
                // Logged in again after the first log-out ..
                let tokens = i.issue(TokenRequest::for_subject("app", "alice")).await.unwrap();
                *s.lock().unwrap() = Some(tokens.access_token().to_owned());
                // .. and logged out again by a process that is killed before it tells anybody.
                h.hangs.store(true, Ordering::SeqCst);
                killed(i.logout_everywhere("alice"));
                h.hangs.store(false, Ordering::SeqCst);
            })
        }),
    ));
    issuer.logout_everywhere("alice").await.unwrap();
    let token = slot.lock().unwrap().clone().unwrap();
    assert!(issuer.introspect(&token).await.unwrap().is_none(), "it has ended");
    clock.advance(Duration::from_secs(30));
    issuer.upkeep().await.unwrap();
    assert_eq!(
        present(&protector, &token).await.map(drop),
        Err(401),
        "after the upkeep the list knows"
    );
}

/// A server on this store, by this clock.
async fn shop(store: impl Store, users: &StoredUsers, clock: &TestClock) -> (AuthorizationServer, TokenIssuer) {
    let clients = MemoryClients::new([Client::public("phone")
        .unwrap()
        .redirect_uris(["https://phone.test/cb"])
        .unwrap()
        .grants(["authorization_code"])
        .unwrap()
        .scopes("profile email")
        .unwrap()]);
    let issuer = TokenIssuer::builder(ISSUER, API, store, AccessTokens::opaque())
        .unwrap()
        .subject_rule(users.clone())
        .clock(clock.clone())
        .open()
        .await
        .unwrap();
    let server = AuthorizationServer::builder(issuer.clone(), clients, users.clone(), SealingKey::random().unwrap())
        .unwrap()
        .build()
        .unwrap();
    (server, issuer)
}

/// A town on a hooked store.
async fn hooked() -> (Town, Hooked) {
    let (clock, store) = (TestClock::new(), Hooked::default());
    let users = StoredUsers::in_memory(Passwords::weak_for_tests().unwrap());
    let alice = users.add("alice", PASSWORD).await.unwrap();
    let (server, issuer) = shop(store.clone(), &users, &clock).await;
    let town = Town {
        server,
        users,
        alice,
        issuer,
        store: store.store.clone(),
        clock,
    };
    (town, store)
}

async fn redeem(town: &Town, code: &str) -> Result<(), String> {
    let exchange = CodeExchange::new(code, "phone", VERIFIER).redirect_uri("https://phone.test/cb");
    town.issuer
        .redeem_code(exchange)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_withdrawn_consent_does_not_come_back_with_its_codes() {
    let (town, store) = hooked().await;
    let mut browser = town.browser();
    let page = browser.come_in(&phone()).await;
    let (issuer, subject) = (town.issuer.clone(), town.alice.subject.clone());
    let mut other_tab = browser.cookies.clone();
    let server = town.server.clone();
    let code: Arc<Mutex<Option<String>>> = Arc::default();
    let kept = code.clone();
    *store.after_commit.lock().unwrap() = Some((
        Kind::Consent,
        true,
        Box::new(move || {
            Box::pin(async move {
                // While the answer is waited for: another tab gets a code by that consent ..
                let cookies: Vec<_> = std::mem::take(&mut other_tab)
                    .iter()
                    .map(|(n, v)| format!("{n}={v}"))
                    .collect();
                let request = http::Request::get(asked("phone", "https://phone.test/cb", &[("state", Some("2"))]))
                    .header("cookie", cookies.join("; "))
                    .body(http_body_util::Full::<bytes::Bytes>::default())
                    .unwrap();
                let page = super::Page::of(tower::ServiceExt::oneshot(server, request).await.unwrap()).await;
                *kept.lock().unwrap() = Some(page.answer()["code"].clone());
                // .. and the user withdraws, and is answered that it is done.
                assert_eq!(issuer.consents(&subject).await.unwrap().len(), 1);
                issuer.withdraw_consent(&subject, "phone").await.unwrap();
                assert!(issuer.consents(&subject).await.unwrap().is_empty());
            })
        }),
    ));
    let page = browser.decide(&page, "allow").await;
    assert_eq!(page.status, 503);
    let code = code.lock().unwrap().clone().unwrap();
    let consents = town.issuer.consents(&town.alice.subject).await.unwrap();
    let redeemed = redeem(&town, &code).await;
    assert!(
        consents.is_empty() && redeemed.is_err(),
        "consents {consents:?}, code of the withdrawn consent: {redeemed:?}"
    );
}

#[tokio::test]
async fn whoever_is_logged_out_everywhere_between_consent_and_code_gets_none() {
    let (town, store) = hooked().await;
    let mut browser = town.browser();
    let page = browser.come_in(&phone()).await;
    let (issuer, subject) = (town.issuer.clone(), town.alice.subject.clone());
    let logging_out: Hook =
        Box::new(move || Box::pin(async move { issuer.logout_everywhere(&subject).await.unwrap() }));
    *store.after_commit.lock().unwrap() = Some((Kind::Consent, false, logging_out));
    assert!(browser.decide(&page, "allow").await.is_login());
    let listing = Listing {
        kind: Kind::Code,
        owner: None,
        after: None,
        limit: 10,
    };
    assert!(town.store.list(&listing).await.unwrap().is_empty());
}

#[tokio::test]
async fn whoever_logs_out_after_logging_in_again_is_out_with_every_cookie_of_the_browser() {
    let town = Town::new().await;
    let mut browser = town.browser();
    browser.come_in(&web()).await;
    let mut thief = browser.clone();
    // The client asks for a young log-in.
    let page = browser
        .get(&asked("web", "https://app.test/cb", &[("prompt", Some("login"))]))
        .await;
    assert!(page.is_login());
    browser.login(&page, "alice", PASSWORD).await;
    let page = browser.get("/logout").await;
    assert_eq!(browser.logout(&page).await.status, 200);
    assert!(browser.get(&web()).await.is_login());
    assert!(
        thief.get(&web()).await.is_login(),
        "the cookie before is still logged in"
    );
}

/// Where a user was logged out everywhere by a machine whose clock is ahead by this.
async fn logged_out_by_a_clock_ahead(ahead: Duration) -> Town {
    let store = Breakable::default();
    let users = StoredUsers::in_memory(Passwords::weak_for_tests().unwrap());
    let alice = users.add("alice", PASSWORD).await.unwrap();
    let (clock, there) = (TestClock::new(), TestClock::new());
    there.set_wall(clock.now().wall + ahead);
    let (server, issuer) = shop(store.clone(), &users, &clock).await;
    let (_, elsewhere) = shop(store.clone(), &users, &there).await;
    elsewhere.logout_everywhere(&alice.subject).await.unwrap();
    Town {
        server,
        users,
        alice,
        issuer,
        store,
        clock,
    }
}

impl Town {
    /// What comes of the right password.
    async fn logs_in(&self) -> u16 {
        let mut browser = self.browser();
        let page = browser.get(&phone()).await;
        browser.login(&page, "alice", PASSWORD).await.status
    }
}

#[tokio::test]
async fn a_user_who_was_logged_out_by_a_machine_whose_clock_was_ahead_can_log_in() {
    let town = logged_out_by_a_clock_ahead(Duration::from_secs(24 * 3600)).await;
    for hours in [0, 1, 21, 3] {
        town.clock.advance(Duration::from_secs(3600 * hours));
        assert_eq!(town.logs_in().await, 303);
    }
}

#[tokio::test]
async fn a_user_logs_in_with_a_new_password_though_the_log_out_that_came_with_it_was_by_a_clock_a_second_ahead() {
    let town = logged_out_by_a_clock_ahead(Duration::from_secs(1)).await;
    town.clock.advance(Duration::from_millis(500));
    assert_eq!(town.logs_in().await, 303);
}

/// Another process on the store of this world that is about to start, and its list.
fn another(world: &World) -> (TokenIssuerBuilder, MemoryRevocationList) {
    let list = MemoryRevocationList::new(terms()).clock(world.clock.clone());
    let access = AccessTokens::jwt(world.keys.clone(), list.clone()).unwrap();
    let builder = TokenIssuer::builder(ISSUER, API, world.store.clone(), access).unwrap();
    (builder.clock(world.clock.clone()), list)
}

#[tokio::test]
async fn where_a_revocation_cannot_be_read_no_process_starts_and_who_runs_goes_on_with_the_others() {
    let world = World::jwt().await;
    let (running, list) = another(&world);
    let running = running.open().await.unwrap();
    let mut ended = Vec::new();
    for _ in 0..3 {
        let tokens = world.issuer.issue(world.request()).await.unwrap();
        world.issuer.logout_session(tokens.session_id()).await.unwrap();
        ended.push(tokens);
    }
    let row = Row {
        version: Version::draw().unwrap(),
        owner: None,
        expires_at: None,
        body: r#"{"by":"sid","id":"x","issued_before":null,"epoch":null,"until":1,"told":false,"why":"newer"}"#
            .to_owned(),
    };
    let change = Change::new().step(Key::of(Kind::Revocation, "sid x"), Was::Absent, Becomes::Put(row));
    world.store.commit(&change).await.unwrap();

    let failed = running.upkeep().await.unwrap_err();
    assert_eq!(failed.kind(), TokenErrorKind::Unavailable);
    let keys = JwtValidator::with_jwks(ISSUER, world.keys.jwks(world.wall()), API).unwrap();
    let protector = ResourceProtectorLayer::new(keys)
        .revocation(list)
        .clock(world.clock.clone());
    for tokens in &ended {
        assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
    }
    let (starting, _) = another(&world);
    assert_eq!(starting.open().await.unwrap_err().option(), "revocations");
}

#[tokio::test]
async fn what_is_answered_as_ended_is_refused_also_within_the_leeway() {
    for way in ["logout_session", "withdraw", "revoke", "everywhere"] {
        let world = World::jwt().await;
        let request = world.request().without_refresh_token();
        let tokens = world.issuer.issue(request).await.unwrap();
        world.clock.advance(tokens.expires_in() + Duration::from_secs(2));
        world.issuer.upkeep().await.unwrap();
        assert!(
            present(&world.jwt_protector(), tokens.access_token()).await.is_ok(),
            "the leeway is 10 s"
        );
        match way {
            "logout_session" => world.issuer.logout_session(tokens.session_id()).await.unwrap(),
            "withdraw" => world.issuer.withdraw_consent("alice", "app").await.unwrap(),
            "everywhere" => world.issuer.logout_everywhere("alice").await.unwrap(),
            _ => world.issuer.revoke(tokens.access_token(), "app").await.unwrap(),
        }
        let now = present(&world.jwt_protector(), tokens.access_token()).await;
        assert_eq!(now.map(drop), Err(401), "{way}");
    }
}

#[tokio::test]
async fn a_code_grants_no_more_than_the_consent_that_it_rests_on() {
    let (town, store) = hooked().await;
    let mut browser = town.browser();
    let wide = asked("phone", "https://phone.test/cb", &[("scope", Some("profile email"))]);
    let page = browser.come_in(&wide).await;
    let mut other = browser.clone();
    let narrow = other
        .get(&asked("phone", "https://phone.test/cb", &[("scope", Some("profile"))]))
        .await;
    let narrow_form = form(&[
        ("form", "consent"),
        ("proof", &narrow.field("proof")),
        ("decision", "allow"),
    ]);
    let cookies: Vec<_> = other.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let (issuer, subject, server) = (town.issuer.clone(), town.alice.subject.clone(), town.server.clone());
    let action = narrow.action();
    *store.after_commit.lock().unwrap() = Some((
        Kind::Consent,
        false,
        Box::new(move || {
            Box::pin(async move {
                issuer.withdraw_consent(&subject, "phone").await.unwrap();
                let request = http::Request::post(action)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .header("origin", ISSUER)
                    .header("cookie", cookies.join("; "))
                    .body(http_body_util::Full::<bytes::Bytes>::from(narrow_form))
                    .unwrap();
                let page = super::Page::of(tower::ServiceExt::oneshot(server, request).await.unwrap()).await;
                assert_eq!(page.status, 303);
            })
        }),
    ));
    let page = browser.decide(&page, "allow").await;
    assert!(page.is_login(), "{} {}", page.status, page.text);
    let consents = town.issuer.consents(&town.alice.subject).await.unwrap();
    assert_eq!(consents[0].scopes().collect::<Vec<_>>(), ["profile"]);
}

#[tokio::test]
async fn an_issuer_does_not_start_where_its_store_does_not_say_what_was_revoked() {
    #[derive(Clone)]
    struct Once(Breakable, Arc<AtomicBool>);
    impl Store for Once {
        async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
            self.0.load(keys).await
        }
        async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
            self.0.commit(change).await
        }
        async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
            if self.1.swap(false, Ordering::SeqCst) {
                return Err(StoreError::new("did not answer within 5 s"));
            }
            self.0.list(listing).await
        }
        async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
            self.0.delete_expired(now).await
        }
    }
    let world = World::jwt().await;
    let tokens = world.issuer.issue(world.request()).await.unwrap();
    world.issuer.logout_session(tokens.session_id()).await.unwrap();
    let list = MemoryRevocationList::new(terms()).clock(world.clock.clone());
    let access = AccessTokens::jwt(world.keys.clone(), list.clone()).unwrap();
    let store = Once(world.store.clone(), Arc::new(AtomicBool::new(true)));
    let opened = TokenIssuer::builder(ISSUER, API, store, access)
        .unwrap()
        .clock(world.clock.clone())
        .open()
        .await;
    assert_eq!(opened.unwrap_err().option(), "revocations");
}

#[tokio::test]
async fn one_session_that_cannot_be_read_keeps_no_other_from_being_ended() {
    let world = World::jwt().await;
    let tokens = world.issuer.issue(world.request()).await.unwrap();
    let other = world.issuer.issue(world.request()).await.unwrap();
    let key = Key::of(Kind::Session, other.session_id());
    let row = world.store.load(std::slice::from_ref(&key)).await.unwrap()[0]
        .clone()
        .unwrap();
    let newer = Row {
        version: Version::draw().unwrap(),
        body: row.body.replacen('{', r#"{"newer":1,"#, 1),
        ..row.clone()
    };
    let change = Change::new().step(key, Was::At(row.version), Becomes::Put(newer));
    world.store.commit(&change).await.unwrap();
    let failed = world.issuer.withdraw_consent("alice", "app").await.unwrap_err();
    assert_eq!(failed.kind(), TokenErrorKind::Unavailable);
    let alive = world.issuer.introspect(tokens.access_token()).await.unwrap().is_some();
    assert!(!alive);
}

#[tokio::test]
async fn whoever_logs_in_and_out_again_and_again_has_to_wait() {
    let town = Town::new().await;
    for round in 0..=100 {
        let mut browser = town.browser();
        let page = browser.get(&phone()).await;
        let page = browser.login(&page, "alice", PASSWORD).await;
        assert_eq!(page.status, if round < 100 { 303 } else { 429 }, "{round}");
        let page = browser.get("/logout").await;
        if round < 100 {
            browser.logout(&page).await;
        }
    }
    town.clock.advance(Duration::from_secs(300));
    let mut browser = town.browser();
    let page = browser.get(&phone()).await;
    assert_eq!(browser.login(&page, "alice", PASSWORD).await.status, 303);
}

#[tokio::test]
async fn a_second_revocation_of_a_jti_does_not_shorten_the_first() {
    use resource_protector::{OpaqueToken, StoredToken, TokenStore as _};
    let world = World::opaque().await;
    let table = resource_protector_issuer::TokenTable::new(world.store.clone()).clock(world.clock.clone());
    for (token, minutes) in [("long", 50), ("short", 1)] {
        let mut stored = StoredToken {
            subject: Some("alice".into()),
            client_id: Some("app".into()),
            audience: vec![API.into()],
            issued_at: Some(world.wall()),
            expires_at: Some(world.wall() + Duration::from_secs(60 * minutes)),
            ..StoredToken::default()
        };
        stored.extra.set("jti", "same").unwrap();
        table.insert(&OpaqueToken::new(token), stored).await.unwrap();
        world.issuer.revoke(token, "app").await.unwrap();
    }
    world.clock.advance(Duration::from_secs(10 * 60));
    world.issuer.upkeep().await.unwrap();
    let listing = Listing {
        kind: Kind::Revocation,
        owner: None,
        after: None,
        limit: 10,
    };
    assert_eq!(world.store.list(&listing).await.unwrap().len(), 1);
}
