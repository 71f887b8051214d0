//! The sessions of a subject, and the tokens of a client, as a whole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use resource_protector::{
    Algorithm, CutOff, JwtValidator, MemoryRevocationList, OpaqueToken, ResourceProtectorLayer, RevocationTerms,
    Revoke, RevokeError, StoredToken, TokenStore as _, testing::TestClock,
};
use resource_protector_issuer::{
    AccessTokens, CodeExchange, CodeRequest, IssuedTokens, KeyRing, RefreshRequest, TokenErrorKind, TokenIssuer,
    TokenRequest, TokenTable,
    store::{Becomes, Change, Key, Kind, Listing, Outcome, Row, Store as _, Version, Was},
};

use tracing::Level;

use crate::support::{API, Breakable, Fields, ISSUER, MINUTE, Trail, World, present, terms};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

impl World {
    async fn begun(&self, client: &str, subject: &str) -> IssuedTokens {
        let request = TokenRequest::for_subject(client, subject).scope("profile").unwrap();
        self.issuer.issue(request).await.unwrap()
    }

    async fn refreshed(&self, tokens: &IssuedTokens, client: &str) -> Result<IssuedTokens, TokenErrorKind> {
        let request = RefreshRequest::new(tokens.refresh_token().unwrap(), client);
        self.issuer.refresh(request).await.map_err(|error| error.kind())
    }

    async fn is_good(&self, tokens: &IssuedTokens) -> bool {
        self.issuer.introspect(tokens.access_token()).await.unwrap().is_some()
    }
}

fn to_the_millisecond(moment: SystemTime) -> SystemTime {
    let since = moment.duration_since(UNIX_EPOCH).unwrap();
    UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap())
}

#[tokio::test]
async fn a_subject_sees_its_sessions_that_have_not_ended_the_youngest_first() {
    let world = World::jwt().await;
    let started = to_the_millisecond(world.wall());
    let first = world.begun("app", "alice").await;
    let ended = world.begun("app", "alice").await;
    world.begun("app", "bob").await;
    world.issuer.logout_session(ended.session_id()).await.unwrap();
    world.clock.advance(MINUTE);
    let second = world.begun("other", "alice").await;
    world.clock.advance(MINUTE);
    let first = world.refreshed(&first, "app").await.unwrap();

    let sessions = world.issuer.sessions("alice").await.unwrap();
    let ids: Vec<_> = sessions.iter().map(|session| session.session_id()).collect();
    assert_eq!(ids, [second.session_id(), first.session_id()]);
    assert_eq!((sessions[0].client_id(), sessions[0].scope()), ("other", "profile"));
    assert_eq!(sessions[0].refreshed_at(), None);
    assert_eq!(sessions[1].started_at(), started);
    assert_eq!(sessions[1].refreshed_at(), Some(started + 2 * MINUTE));
    let fortnight = Duration::from_secs(14 * 24 * 3600);
    assert_eq!(sessions[1].expires_at(), started + 2 * MINUTE + fortnight);
    assert!(!format!("{sessions:?}").contains("alice"));
}

#[tokio::test]
async fn a_session_whose_refresh_token_is_over_is_none() {
    let world = World::jwt().await;
    world.begun("app", "alice").await;
    world.clock.advance(Duration::from_secs(14 * 24 * 3600));
    assert!(world.issuer.sessions("alice").await.unwrap().is_empty());
}

#[tokio::test]
async fn whoever_is_logged_out_everywhere_has_no_sessions() {
    let world = World::jwt().await;
    world.begun("app", "alice").await;
    world.issuer.logout_everywhere("alice").await.unwrap();
    assert!(world.issuer.sessions("alice").await.unwrap().is_empty());
}

#[tokio::test]
async fn when_a_clients_tokens_are_revoked_all_of_them_are_refused_and_nobody_elses() {
    for world in [World::jwt().await, World::opaque().await] {
        let table = TokenTable::new(world.store.clone()).clock(world.clock.clone());
        let own = StoredToken {
            subject: Some("alice".to_owned()),
            client_id: Some("app".to_owned()),
            audience: vec![API.to_owned()],
            expires_at: Some(world.wall() + MINUTE),
            ..StoredToken::default()
        };
        let tokens = [world.begun("app", "alice").await, world.begun("app", "bob").await];
        let worker = world.issuer.issue(TokenRequest::for_client("app")).await.unwrap();
        let others = world.begun("other", "alice").await;
        let code = CodeRequest::new(TokenRequest::for_subject("app", "alice"), CHALLENGE).unwrap();
        let code = world.issuer.issue_code(code).await.unwrap();
        table
            .insert(&OpaqueToken::new("of-the-application"), own)
            .await
            .unwrap();
        let protector = match worker.access_token().contains('.') {
            true => world.jwt_protector(),
            false => world.table_protector(),
        };
        for alive in tokens.iter().chain([&worker, &others]) {
            assert!(world.is_good(alive).await && present(&protector, alive.access_token()).await.is_ok());
        }

        world.issuer.revoke_client("app").await.unwrap();
        for dead in tokens.iter().chain([&worker]) {
            assert!(!world.is_good(dead).await);
            assert_eq!(present(&protector, dead.access_token()).await.unwrap_err(), 401);
        }
        for dead in &tokens {
            assert_eq!(
                world.refreshed(dead, "app").await.unwrap_err(),
                TokenErrorKind::InvalidGrant
            );
        }
        let refused = world.issuer.redeem_code(CodeExchange::new(code, "app", VERIFIER)).await;
        assert_eq!(refused.unwrap_err().kind(), TokenErrorKind::InvalidGrant);
        let found = table
            .find(&OpaqueToken::new("of-the-application"))
            .await
            .unwrap()
            .unwrap();
        assert!(found.revoked_at.is_some());
        assert!(world.is_good(&others).await && present(&protector, others.access_token()).await.is_ok());
        assert!(world.refreshed(&others, "other").await.is_ok());
    }
}

#[tokio::test]
async fn what_a_client_is_issued_after_its_tokens_were_revoked_is_good_at_once() {
    for world in [World::jwt().await, World::opaque().await] {
        world.begun("app", "alice").await;
        world.issuer.revoke_client("app").await.unwrap();
        // In the same second.
        let tokens = world.begun("app", "alice").await;
        assert!(world.is_good(&tokens).await);
        let protector = match tokens.access_token().contains('.') {
            true => world.jwt_protector(),
            false => world.table_protector(),
        };
        world.clock.advance(Duration::from_secs(1));
        assert!(present(&protector, tokens.access_token()).await.is_ok());
        assert!(world.refreshed(&tokens, "app").await.is_ok());
    }
}

#[tokio::test]
async fn a_clients_token_that_says_it_was_issued_later_than_the_revocation_is_refused_too() {
    let world = World::jwt().await;
    // Its `iat` lies ahead, because it was issued in the second of a log-out everywhere.
    world.issuer.logout_everywhere("alice").await.unwrap();
    let ahead = world.begun("app", "alice").await;
    let others = world.begun("other", "alice").await;
    world.issuer.revoke_client("app").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let protector = world.jwt_protector();
    assert_eq!(present(&protector, ahead.access_token()).await.unwrap_err(), 401);
    assert!(present(&protector, others.access_token()).await.is_ok());
}

#[tokio::test]
async fn the_tokens_of_no_client_and_of_one_with_an_endless_name_cannot_be_revoked() {
    let world = World::jwt().await;
    for name in ["", &"a".repeat(16 * 1024 + 1)] {
        let error = world.issuer.revoke_client(name).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Unusable);
    }
}

#[tokio::test]
async fn a_client_that_revokes_one_access_token_after_the_other_ends_its_session_before_it_fills_the_list() {
    for world in [World::jwt().await, World::opaque().await] {
        let mut tokens = world.begun("app", "alice").await;
        for _ in 0..16 {
            world.issuer.revoke(tokens.access_token(), "app").await.unwrap();
            assert!(!world.is_good(&tokens).await);
            tokens = world.refreshed(&tokens, "app").await.unwrap();
        }
        world.issuer.revoke(tokens.access_token(), "app").await.unwrap();
        assert!(!world.is_good(&tokens).await);
        assert_eq!(
            world.refreshed(&tokens, "app").await.unwrap_err(),
            TokenErrorKind::InvalidGrant
        );
        let listing = Listing {
            kind: Kind::Revocation,
            owner: None,
            after: None,
            limit: 100,
        };
        assert_eq!(world.store.list(&listing).await.unwrap().len(), 17);
    }
}

#[tokio::test]
async fn access_tokens_that_are_over_need_no_room_in_the_list() {
    for world in [World::jwt().await, World::opaque().await] {
        let mut tokens = vec![world.begun("app", "alice").await];
        for _ in 0..20 {
            tokens.push(world.refreshed(&tokens[tokens.len() - 1], "app").await.unwrap());
        }
        // Beyond the longest leeway, too.
        world.clock.advance(20 * MINUTE);
        for tokens in &tokens {
            world.issuer.revoke(tokens.access_token(), "app").await.unwrap();
        }
        assert_eq!(world.cut_offs().await, 0);
        assert!(world.refreshed(&tokens[20], "app").await.is_ok());
    }
}

#[tokio::test]
async fn a_client_that_revokes_its_access_tokens_as_they_come_keeps_its_session() {
    let world = World::jwt().await;
    let mut tokens = world.begun("app", "alice").await;
    for _ in 0..40 {
        world.issuer.revoke(tokens.access_token(), "app").await.unwrap();
        world.clock.advance(2 * MINUTE);
        tokens = world.refreshed(&tokens, "app").await.unwrap();
    }
    assert!(world.is_good(&tokens).await);
    let session = Key::of(Kind::Session, tokens.session_id());
    let rows = world.store.load(&[session]).await.unwrap();
    assert!(rows[0].as_ref().unwrap().body.len() < 2_000);
}

#[tokio::test]
async fn a_token_is_for_the_resources_that_are_asked_for_of_those_that_were_granted() {
    for world in [World::jwt().await, World::opaque().await] {
        let request = TokenRequest::for_subject("app", "alice").audience([API, "https://mail.test"]);
        let code = world
            .issuer
            .issue_code(CodeRequest::new(request, CHALLENGE).unwrap())
            .await
            .unwrap();
        let audience = async |tokens: &IssuedTokens| {
            let active = world.issuer.introspect(tokens.access_token()).await.unwrap().unwrap();
            active.claims()["aud"].clone()
        };
        let exchange = |resource: &str| CodeExchange::new(&code, "app", VERIFIER).resources([resource]);
        let refused = world
            .issuer
            .redeem_code(exchange("https://bank.test"))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), TokenErrorKind::InvalidTarget);
        let tokens = world.issuer.redeem_code(exchange("https://mail.test")).await.unwrap();
        assert_eq!(audience(&tokens).await, "https://mail.test");

        // The session has all of them.
        let refresh = |tokens: &IssuedTokens| RefreshRequest::new(tokens.refresh_token().unwrap(), "app");
        let tokens = world
            .issuer
            .refresh(refresh(&tokens).resources([API, API]))
            .await
            .unwrap();
        assert_eq!(audience(&tokens).await, API);
        let too_much = world
            .issuer
            .refresh(refresh(&tokens).resources([API, "https://bank.test"]))
            .await;
        assert_eq!(too_much.unwrap_err().kind(), TokenErrorKind::InvalidTarget);
        let tokens = world.issuer.refresh(refresh(&tokens)).await.unwrap();
        assert_eq!(audience(&tokens).await, serde_json::json!([API, "https://mail.test"]));
    }
}

#[tokio::test]
async fn an_issuer_starts_while_others_cannot_be_told_and_tells_them_with_the_next_upkeep() {
    let world = World::jwt().await;
    let tokens = world.begun("app", "alice").await;
    world.issuer.logout_session(tokens.session_id()).await.unwrap();
    let list = MemoryRevocationList::new(terms()).clock(world.clock.clone());
    let times = Arc::new(AtomicUsize::new(100));
    let away = Away {
        list: list.clone(),
        times: Arc::clone(&times),
        takes_nothing: false,
    };
    let access = AccessTokens::jwt(world.keys.clone(), away).unwrap();
    let builder = TokenIssuer::builder(ISSUER, API, world.store.clone(), access).unwrap();
    let issuer = builder.clock(world.clock.clone()).open().await.unwrap();
    // Here it is in force.
    let keys = JwtValidator::with_jwks(ISSUER, world.keys.jwks(world.wall()), API).unwrap();
    let protector = ResourceProtectorLayer::new(keys)
        .revocation(list)
        .clock(world.clock.clone());
    assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
    assert_eq!(issuer.upkeep().await.unwrap_err().kind(), TokenErrorKind::Unavailable);
    times.store(0, Ordering::SeqCst);
    issuer.upkeep().await.unwrap();
}

#[tokio::test]
async fn that_others_cannot_be_told_hides_nothing_that_is_not_in_force_here() {
    let world = World::jwt().await;
    let (issuer, times) = world.telling(true, &world.clock).await;
    let tokens = world.begun("app", "alice").await;
    times.store(1, Ordering::SeqCst);
    issuer.logout_everywhere("alice").await.unwrap_err();
    // A session of hers that may have to be ended one by one, and cannot be read.
    let key = Key::of(Kind::Session, tokens.session_id());
    let found = world
        .store
        .load(std::slice::from_ref(&key))
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    let newer = Row {
        version: Version::draw().unwrap(),
        body: found.body.replacen('{', "{\"newer\":1,", 1),
        ..found.clone()
    };
    let change = Change::new().step(key, Was::At(found.version), Becomes::Put(newer));
    assert_eq!(world.store.commit(&change).await.unwrap(), Outcome::Done);

    let list = Away {
        list: MemoryRevocationList::new(terms()).clock(world.clock.clone()),
        times: Arc::new(AtomicUsize::new(100)),
        takes_nothing: false,
    };
    let access = AccessTokens::jwt(world.keys.clone(), list).unwrap();
    let builder = TokenIssuer::builder(ISSUER, API, world.store.clone(), access).unwrap();
    let refused = builder.clock(world.clock.clone()).open().await.unwrap_err();
    assert_eq!(refused.option(), "revocations");
}

#[tokio::test]
async fn an_issuer_does_not_start_with_a_list_that_has_no_room_for_what_was_revoked() {
    let world = World::jwt().await;
    for _ in 0..2 {
        let tokens = world.begun("app", "alice").await;
        world.issuer.logout_session(tokens.session_id()).await.unwrap();
    }
    let list = MemoryRevocationList::new(terms())
        .clock(world.clock.clone())
        .capacity(1);
    let access = AccessTokens::jwt(world.keys.clone(), list).unwrap();
    let builder = TokenIssuer::builder(ISSUER, API, world.store.clone(), access).unwrap();
    let refused = builder.clock(world.clock.clone()).open().await.unwrap_err();
    assert_eq!(refused.option(), "revocations");
}

#[tokio::test]
async fn every_end_of_tokens_is_an_event_that_names_no_subject_and_no_token() {
    let world = World::jwt().await;
    let tokens = world.begun("app", "alice").await;
    let other = world.begun("app", "alice").await;
    let (trail, _guard) = Trail::begin();
    world.issuer.revoke(tokens.access_token(), "app").await.unwrap();
    world.issuer.logout(tokens.refresh_token().unwrap()).await.unwrap();
    world.issuer.logout_everywhere("alice").await.unwrap();
    world.issuer.revoke_client("app").await.unwrap();
    world.issuer.withdraw_consent("alice", "app").await.unwrap();
    let next = world.begun("app", "alice").await;
    world.refreshed(&next, "app").await.unwrap();
    world.refreshed(&next, "app").await.unwrap_err();
    let code = CodeRequest::new(TokenRequest::for_subject("app", "alice"), CHALLENGE).unwrap();
    let code = world.issuer.issue_code(code).await.unwrap();
    let exchange = CodeExchange::new(&code, "app", VERIFIER);
    world.issuer.redeem_code(exchange.clone()).await.unwrap();
    world.issuer.redeem_code(exchange).await.unwrap_err();
    let events = trail.events();
    let names: Vec<_> = events
        .iter()
        .map(|(level, Fields(fields))| (*level, fields["event"].as_str()))
        .collect();
    assert_eq!(
        names,
        [
            (Level::INFO, "token_revoked"),
            (Level::INFO, "session_ended"),
            (Level::INFO, "logged_out_everywhere"),
            (Level::INFO, "client_revoked"),
            (Level::INFO, "consent_withdrawn"),
            (Level::WARN, "refresh_token_reused"),
            (Level::WARN, "code_reused"),
            (Level::INFO, "session_ended"),
        ]
    );
    let said = format!("{events:?}");
    let secrets = [&tokens, &other, &next].map(|tokens| [tokens.access_token(), tokens.refresh_token().unwrap()]);
    for secret in secrets.as_flattened().iter().chain([&"alice", &code.as_str()]) {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(said.contains(tokens.session_id()) && said.contains("app"));
}

/// The list, which is in force here at once, and says that nobody else was told while it is away, as the one on Redis does; or
/// takes nothing while it is away.
#[derive(Clone)]
struct Away {
    list: MemoryRevocationList,
    times: Arc<AtomicUsize>,
    takes_nothing: bool,
}

impl Revoke for Away {
    async fn revoke(&self, cut_off: CutOff) -> Result<(), RevokeError> {
        let left = self
            .times
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let away = || Err(RevokeError::Unpublished("it is away".into()));
        if left.is_ok() && self.takes_nothing {
            return away();
        }
        self.list.revoke(cut_off).await?;
        match left {
            Ok(_) => away(),
            Err(_) => Ok(()),
        }
    }

    fn terms(&self) -> &RevocationTerms {
        Revoke::terms(&self.list)
    }
}

impl World {
    /// The same, with an issuer that tells its list by way of this, and a clock of its own.
    async fn telling(&self, takes_nothing: bool, clock: &TestClock) -> (TokenIssuer, Arc<AtomicUsize>) {
        let times = Arc::new(AtomicUsize::new(0));
        let list = Away {
            list: self.list.clone(),
            times: Arc::clone(&times),
            takes_nothing,
        };
        let access = AccessTokens::jwt(self.keys.clone(), list).unwrap();
        let builder = TokenIssuer::builder(ISSUER, API, self.store.clone(), access).unwrap();
        (builder.clock(clock.clone()).open().await.unwrap(), times)
    }

    async fn cut_offs(&self) -> usize {
        let listing = Listing {
            kind: Kind::Revocation,
            owner: None,
            after: None,
            limit: 1_000,
        };
        self.store.list(&listing).await.unwrap().len()
    }
}

#[tokio::test]
async fn the_access_tokens_of_what_has_ended_need_no_room_of_their_own_in_the_list() {
    for world in [World::jwt().await, World::opaque().await] {
        for end in ["session", "subject", "client"] {
            // In a second of its own, so that no token says that it was issued after what ends it.
            world.clock.advance(Duration::from_secs(1));
            let before = world.cut_offs().await;
            let mut tokens = vec![world.begun("app", "alice").await];
            for _ in 0..40 {
                tokens.push(world.refreshed(&tokens[tokens.len() - 1], "app").await.unwrap());
            }
            let last = tokens[40].refresh_token().unwrap();
            match end {
                "session" => world.issuer.revoke(last, "app").await.unwrap(),
                "subject" => world.issuer.logout_everywhere("alice").await.unwrap(),
                _ => world.issuer.revoke_client("app").await.unwrap(),
            }
            // And once more, as whoever got no answer does.
            for tokens in tokens.iter().chain(&tokens) {
                world.issuer.revoke(tokens.access_token(), "app").await.unwrap();
            }
            assert_eq!(world.cut_offs().await, before + 1, "{end}");
        }
    }
}

#[tokio::test]
async fn who_revokes_all_tokens_of_one_session_leaves_room_in_the_list_for_others() {
    let clock = TestClock::new();
    let list = MemoryRevocationList::new(terms()).clock(clock.clone()).capacity(20);
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    let access = AccessTokens::jwt(keys.clone(), list.clone()).unwrap();
    let store = Breakable::default();
    let builder = TokenIssuer::builder(ISSUER, API, store.clone(), access).unwrap();
    let issuer = builder.clock(clock.clone()).open().await.unwrap();
    let world = World {
        clock,
        store,
        keys,
        list,
        issuer,
    };
    let mut tokens = vec![world.begun("app", "mallory").await];
    for _ in 0..60 {
        tokens.push(world.refreshed(&tokens[tokens.len() - 1], "app").await.unwrap());
    }
    for tokens in &tokens {
        world.issuer.revoke(tokens.access_token(), "app").await.unwrap();
    }
    let victim = world.begun("app", "alice").await;
    world.issuer.logout_everywhere("alice").await.unwrap();
    assert_eq!(
        present(&world.jwt_protector(), victim.access_token())
            .await
            .unwrap_err(),
        401
    );
}

#[tokio::test]
async fn while_others_cannot_be_told_a_log_out_everywhere_is_in_force_here_whatever_else_has_to_end_for_it() {
    let world = World::jwt().await;
    let protector = world.jwt_protector();
    let (here, times) = world.telling(false, &world.clock).await;
    // The clock of another machine is ahead, and so is what it issues.
    let ahead = TestClock::at(world.wall() + Duration::from_secs(2));
    let (there, _) = world.telling(false, &ahead).await;
    let plain = world.begun("app", "alice").await;
    let later = there.issue(TokenRequest::for_subject("app", "alice")).await.unwrap();
    times.store(100, Ordering::SeqCst);
    let failed = here.logout_everywhere("alice").await.unwrap_err();
    assert_eq!(failed.kind(), TokenErrorKind::Unavailable);
    world.clock.advance(Duration::from_secs(2));
    for tokens in [&plain, &later] {
        assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
    }
    times.store(0, Ordering::SeqCst);
    here.upkeep().await.unwrap();
}

#[tokio::test]
async fn one_revocation_that_the_list_does_not_take_keeps_no_other_from_it() {
    let world = World::jwt().await;
    let (issuer, times) = world.telling(true, &world.clock).await;
    let mut tokens = Vec::new();
    times.store(100, Ordering::SeqCst);
    for _ in 0..5 {
        tokens.push(world.begun("app", "alice").await);
        let session = tokens[tokens.len() - 1].session_id();
        issuer.logout_session(session).await.unwrap_err();
    }
    // The first one fails once more.
    times.store(1, Ordering::SeqCst);
    issuer.upkeep().await.unwrap_err();
    let protector = world.jwt_protector();
    let mut refused = 0;
    for tokens in &tokens {
        refused += usize::from(present(&protector, tokens.access_token()).await.is_err());
    }
    assert_eq!(refused, 4);
}

#[tokio::test]
async fn a_consent_that_is_withdrawn_again_because_the_list_was_away_is_told_before_it_is_answered() {
    let world = World::jwt().await;
    let (issuer, times) = world.telling(true, &world.clock).await;
    let tokens = [world.begun("app", "alice").await, world.begun("app", "alice").await];
    times.store(2, Ordering::SeqCst);
    let failed = issuer.withdraw_consent("alice", "app").await.unwrap_err();
    assert_eq!(failed.kind(), TokenErrorKind::Unavailable);
    issuer.withdraw_consent("alice", "app").await.unwrap();
    let protector = world.jwt_protector();
    for tokens in &tokens {
        assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
    }
}
