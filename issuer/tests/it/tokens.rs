//! Tokens from their issue to their end.

use std::time::Duration;

use resource_protector::{
    Algorithm, MemoryRevocationList, OpaqueToken, RevocationTerms, RevokedBy, Scopes, StoreError, StoredToken,
    TokenStore as _,
};
use resource_protector_issuer::{
    AccessTokens, CodeExchange, CodeRequest, IssuedTokens, KeyRing, RefreshRequest, SubjectRule, TokenErrorKind,
    TokenIssuer, TokenRequest, TokenTable, TokenUse,
    store::{Becomes, Change, Key, Kind, Listing, MemoryStore, Outcome, Row, Store as _, Version, Was},
    users::{Passwords, StoredUsers},
};
use serde_json::json;

use crate::support::{API, Breakable, ISSUER, MINUTE, World, present, terms};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn refresh_token(tokens: &IssuedTokens) -> &str {
    tokens.refresh_token().unwrap()
}

impl World {
    async fn issue(&self) -> IssuedTokens {
        self.issuer.issue(self.request()).await.unwrap()
    }

    async fn refresh(&self, tokens: &IssuedTokens) -> Result<IssuedTokens, TokenErrorKind> {
        let refreshed = self
            .issuer
            .refresh(RefreshRequest::new(refresh_token(tokens), "app"))
            .await;
        refreshed.map_err(|error| error.kind())
    }

    async fn is_active(&self, token: &str) -> bool {
        self.issuer.introspect(token).await.unwrap().is_some()
    }

    async fn code(&self, tokens: TokenRequest) -> String {
        let request = CodeRequest::new(tokens, CHALLENGE)
            .unwrap()
            .redirect_uri("https://app.test/cb");
        self.issuer.issue_code(request).await.unwrap()
    }

    async fn redeem(&self, code: &str, verifier: &str) -> Result<IssuedTokens, TokenErrorKind> {
        let redeemed = self
            .issuer
            .redeem_code(CodeExchange::new(code, "app", verifier).redirect_uri("https://app.test/cb"))
            .await;
        redeemed.map_err(|error| error.kind())
    }
}

#[tokio::test]
async fn a_jwt_access_token_is_one_of_rfc_9068_and_opens_a_resource_server() {
    let world = World::jwt().await;
    let request = world
        .request()
        .authenticated_at(world.wall())
        .claim("tenant", "t1")
        .unwrap();
    let tokens = world.issuer.issue(request).await.unwrap();
    let seen = present(&world.jwt_protector(), tokens.access_token()).await.unwrap();
    assert_eq!(seen.subject(), Some("alice"));
    assert_eq!(seen.client_id(), Some("app"));
    assert_eq!(seen.issuer(), Some(ISSUER));
    assert!(seen.has_scope("profile") && seen.has_scope("email"));
    assert_eq!(seen.session_id(), Some(tokens.session_id()));
    assert_eq!(seen.claim::<String>("tenant").as_deref(), Some("t1"));
    assert!(seen.auth_time().is_some() && seen.jwt_id().is_some());
}

#[tokio::test]
async fn the_answer_of_a_token_endpoint_has_the_members_of_rfc_6749() {
    let world = World::opaque().await;
    let tokens = world.issue().await;
    let answer = serde_json::to_value(&tokens).unwrap();
    assert_eq!(
        answer,
        json!({
            "access_token": tokens.access_token(),
            "token_type": "Bearer",
            "expires_in": 600,
            "refresh_token": refresh_token(&tokens),
            "scope": "profile email",
        })
    );
    let shown = format!("{tokens:?}");
    assert!(!shown.contains(tokens.access_token()) && !shown.contains(refresh_token(&tokens)));
}

#[tokio::test]
async fn no_row_has_a_token_in_it() {
    let world = World::opaque().await;
    let tokens = world.issue().await;
    let code = world.code(world.request()).await;
    for kind in Kind::ALL {
        let all = Listing {
            kind,
            owner: None,
            after: None,
            limit: 100,
        };
        for (key, row) in world.store.list(&all).await.unwrap() {
            for secret in [tokens.access_token(), refresh_token(&tokens), &code] {
                assert!(!row.body.contains(secret) && key.id.as_str() != secret, "{kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_opaque_access_token_opens_a_resource_server_that_looks_into_the_store() {
    let world = World::opaque().await;
    let tokens = world.issue().await;
    let protector = world.table_protector();
    let seen = present(&protector, tokens.access_token()).await.unwrap();
    assert_eq!((seen.subject(), seen.client_id()), (Some("alice"), Some("app")));
    assert!(seen.has_scope("email"));
    assert_eq!(present(&protector, refresh_token(&tokens)).await.unwrap_err(), 401);
    world.clock.advance(10 * MINUTE + Duration::from_secs(1));
    assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
}

#[tokio::test]
async fn a_client_that_acts_for_itself_gets_no_refresh_token() {
    let world = World::jwt().await;
    let tokens = world.issuer.issue(TokenRequest::for_client("worker")).await.unwrap();
    assert_eq!(tokens.refresh_token(), None);
    let seen = present(&world.jwt_protector(), tokens.access_token()).await.unwrap();
    assert_eq!(seen.stands_for(), resource_protector::StandsFor::Client);
}

#[tokio::test]
async fn the_issuer_writes_its_own_claims_and_nobody_else_does() {
    for claim in [
        "iss",
        "sub",
        "aud",
        "exp",
        "jti",
        "sid",
        "scope",
        "cnf",
        "client_id",
        "active",
    ] {
        let refused = TokenRequest::for_client("app").claim(claim, "x").err().unwrap();
        assert_eq!(refused.kind(), TokenErrorKind::Unusable, "{claim}");
    }
    let refused = TokenRequest::for_client("app").scope("a\"b").err().unwrap();
    assert_eq!(refused.kind(), TokenErrorKind::InvalidScope);
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_exchange_and_the_next_carries_on() {
    let world = World::jwt().await;
    let first = world.issue().await;
    let second = world.refresh(&first).await.unwrap();
    assert_ne!(refresh_token(&first), refresh_token(&second));
    assert_eq!(first.session_id(), second.session_id());
    let protector = world.jwt_protector();
    let (one, two) = (
        present(&protector, first.access_token()).await.unwrap(),
        present(&protector, second.access_token()).await.unwrap(),
    );
    assert_ne!(one.jwt_id(), two.jwt_id());
    assert_eq!(one.scopes().to_string(), two.scopes().to_string());
    let third = world.refresh(&second).await.unwrap();
    assert!(world.refresh(&third).await.is_ok());
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_ends_the_session_and_all_its_tokens() {
    for jwt in [true, false] {
        let world = World::new(jwt, |builder| builder).await;
        let protector = if jwt {
            world.jwt_protector()
        } else {
            world.table_protector()
        };
        let (first, others) = (world.issue().await, world.issue().await);
        let second = world.refresh(&first).await.unwrap();
        assert!(present(&protector, second.access_token()).await.is_ok());
        assert_eq!(world.refresh(&first).await.unwrap_err(), TokenErrorKind::InvalidGrant);
        assert_eq!(world.refresh(&second).await.unwrap_err(), TokenErrorKind::InvalidGrant);
        for dead in [&first, &second] {
            assert_eq!(present(&protector, dead.access_token()).await.unwrap_err(), 401);
            assert!(!world.is_active(dead.access_token()).await && !world.is_active(refresh_token(dead)).await);
        }
        assert!(present(&protector, others.access_token()).await.is_ok());
        assert!(world.refresh(&others).await.is_ok());
    }
}

#[tokio::test]
async fn within_the_grace_window_the_last_refresh_token_is_exchanged_again_and_never_one_before_it() {
    let world = World::new(true, |builder| builder.rotation_grace(Duration::from_secs(10)).unwrap()).await;
    let first = world.issue().await;
    let (one, other) = (
        world.refresh(&first).await.unwrap(),
        world.refresh(&first).await.unwrap(),
    );
    assert_ne!(refresh_token(&one), refresh_token(&other));
    // They are of one generation: when one of them is exchanged, the other is old.
    world.clock.advance(Duration::from_secs(9));
    let next = world.refresh(&one).await.unwrap();
    assert!(world.refresh(&one).await.is_ok(), "within the window");
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.refresh(&one).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    assert_eq!(
        world.refresh(&next).await.unwrap_err(),
        TokenErrorKind::InvalidGrant,
        "the session ended"
    );

    let first = world.issue().await;
    let second = world.refresh(&first).await.unwrap();
    let third = world.refresh(&second).await.unwrap();
    assert_eq!(world.refresh(&first).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    assert_eq!(world.refresh(&third).await.unwrap_err(), TokenErrorKind::InvalidGrant);
}

#[tokio::test]
async fn a_thief_who_follows_each_exchange_within_the_grace_window_is_found_out_with_the_next_one() {
    let world = World::new(true, |builder| builder.rotation_grace(Duration::from_secs(10)).unwrap()).await;
    let first = world.issue().await;
    let own = world.refresh(&first).await.unwrap();
    let stolen = world.refresh(&first).await.unwrap();
    let next = world.refresh(&own).await.unwrap();
    assert_eq!(world.refresh(&stolen).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    assert_eq!(world.refresh(&next).await.unwrap_err(), TokenErrorKind::InvalidGrant);
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_with_a_scope_that_was_not_granted_ends_the_session_too() {
    let world = World::jwt().await;
    let first = world.issue().await;
    let next = world.refresh(&first).await.unwrap();
    let again = world
        .issuer
        .refresh(
            RefreshRequest::new(refresh_token(&first), "app")
                .scope("admin")
                .unwrap(),
        )
        .await;
    assert_eq!(again.unwrap_err().kind(), TokenErrorKind::InvalidGrant);
    assert_eq!(world.refresh(&next).await.unwrap_err(), TokenErrorKind::InvalidGrant);
}

#[tokio::test]
async fn who_comes_again_and_again_within_the_grace_window_is_in_no_log_outs_way() {
    let world = World::new(true, |builder| builder.rotation_grace(Duration::from_secs(10)).unwrap()).await;
    let first = world.issue().await;
    let next = world.refresh(&first).await.unwrap();
    for _ in 1..32 {
        world.refresh(&first).await.unwrap();
    }
    let session = [Key::of(Kind::Session, next.session_id())];
    let before = world.store.load(&session).await.unwrap();
    // A log-out that has looked by now.
    for _ in 0..20 {
        assert_eq!(world.refresh(&first).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    }
    assert_eq!(world.store.load(&session).await.unwrap(), before);
    assert!(world.refresh(&next).await.is_ok());
}

#[tokio::test]
async fn however_often_a_session_is_refreshed_it_is_one_row() {
    let world = World::jwt().await;
    let mut tokens = world.issue().await;
    let all = |kind| Listing {
        kind,
        owner: None,
        after: None,
        limit: 100,
    };
    for _ in 0..20 {
        world.clock.advance(MINUTE);
        tokens = world.refresh(&tokens).await.unwrap();
    }
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        rows.extend(world.store.list(&all(kind)).await.unwrap());
    }
    let kinds: Vec<_> = rows.iter().map(|(key, _)| key.kind).collect();
    assert_eq!(kinds, [Kind::Issuer, Kind::Session]);
}

#[tokio::test]
async fn a_refresh_token_that_was_exchanged_long_ago_ends_its_session() {
    let world = World::jwt().await;
    let first = world.issue().await;
    let mut tokens = world.refresh(&first).await.unwrap();
    // Longer than it would have been good for.
    for _ in 0..5 {
        world.clock.advance(4 * DAY);
        tokens = world.refresh(&tokens).await.unwrap();
    }
    assert_eq!(world.refresh(&first).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    assert_eq!(world.refresh(&tokens).await.unwrap_err(), TokenErrorKind::InvalidGrant);
}

#[tokio::test]
async fn who_knows_a_session_and_none_of_its_refresh_tokens_cannot_end_it() {
    let world = World::jwt().await;
    let tokens = world.issue().await;
    let (sid, rest) = refresh_token(&tokens).split_at(22);
    assert!(sid.starts_with(&tokens.session_id()[..21]), "they begin with the `sid`");
    let forged = format!("{sid}{}", "A".repeat(rest.len()));
    let refused = world.issuer.refresh(RefreshRequest::new(&forged, "app")).await;
    assert_eq!(refused.unwrap_err().kind(), TokenErrorKind::InvalidGrant);
    world.issuer.logout(&forged).await.unwrap();
    world.issuer.revoke(&forged, "app").await.unwrap();
    assert!(!world.is_active(&forged).await);
    assert!(world.refresh(&tokens).await.is_ok());
}

#[tokio::test]
async fn of_two_exchanges_at_once_one_succeeds() {
    let world = World::jwt().await;
    let first = world.issue().await;
    world.store.next_two_meet();
    let (one, other) = tokio::join!(world.refresh(&first), world.refresh(&first));
    let issued: Vec<_> = [one, other].into_iter().flatten().collect();
    assert_eq!(issued.len(), 1);
    // The other one was a reuse.
    assert!(!world.is_active(issued[0].access_token()).await);
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_by_its_own_client_for_what_was_granted_or_less() {
    let world = World::jwt().await;
    let tokens = world.issue().await;
    let token = refresh_token(&tokens);
    let kind = |result: Result<IssuedTokens, resource_protector_issuer::TokenError>| result.unwrap_err().kind();
    assert_eq!(
        kind(world.issuer.refresh(RefreshRequest::new(token, "other")).await),
        TokenErrorKind::InvalidGrant
    );
    assert_eq!(
        kind(
            world
                .issuer
                .refresh(RefreshRequest::new(token, "app").scope("profile admin").unwrap())
                .await
        ),
        TokenErrorKind::InvalidScope
    );
    assert_eq!(
        kind(world.issuer.refresh(RefreshRequest::new("unknown", "app")).await),
        TokenErrorKind::InvalidGrant
    );
    assert_eq!(
        kind(
            world
                .issuer
                .refresh(RefreshRequest::new(tokens.access_token(), "app"))
                .await
        ),
        TokenErrorKind::InvalidGrant
    );
    let narrowed = world
        .issuer
        .refresh(RefreshRequest::new(token, "app").scope("email").unwrap())
        .await
        .unwrap();
    assert_eq!(narrowed.scope(), "email");
    let seen = present(&world.jwt_protector(), narrowed.access_token()).await.unwrap();
    assert!(seen.has_scope("email") && !seen.has_scope("profile"));
    assert_eq!(world.refresh(&narrowed).await.unwrap().scope(), "profile email");
}

#[tokio::test]
async fn without_any_scope_granted_none_can_be_asked_for() {
    let world = World::jwt().await;
    let tokens = world
        .issuer
        .issue(TokenRequest::for_subject("app", "alice"))
        .await
        .unwrap();
    let refused = world
        .issuer
        .refresh(
            RefreshRequest::new(refresh_token(&tokens), "app")
                .scope("profile")
                .unwrap(),
        )
        .await;
    assert_eq!(refused.unwrap_err().kind(), TokenErrorKind::InvalidScope);
}

#[tokio::test]
async fn a_refresh_token_that_is_left_lying_is_over_and_so_is_a_session() {
    let world = World::jwt().await;
    let tokens = world.issue().await;
    world.clock.advance(14 * DAY - MINUTE);
    let tokens = world.refresh(&tokens).await.unwrap();
    world.clock.advance(14 * DAY);
    assert_eq!(world.refresh(&tokens).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    let mut tokens = world.issue().await;
    for _ in 0..8 {
        world.clock.advance(11 * DAY);
        tokens = world.refresh(&tokens).await.unwrap();
    }
    world.clock.advance(2 * DAY);
    assert_eq!(world.refresh(&tokens).await.unwrap_err(), TokenErrorKind::InvalidGrant);
}

#[tokio::test]
async fn a_log_out_ends_one_session_by_any_of_its_tokens_and_no_other() {
    for jwt in [true, false] {
        let world = World::new(jwt, |builder| builder).await;
        let protector = if jwt {
            world.jwt_protector()
        } else {
            world.table_protector()
        };
        for by_refresh_token in [true, false] {
            let (mine, other) = (world.issue().await, world.issue().await);
            assert!(present(&protector, mine.access_token()).await.is_ok());
            let token = if by_refresh_token {
                refresh_token(&mine)
            } else {
                mine.access_token()
            };
            world.issuer.logout(token).await.unwrap();
            world.issuer.logout(token).await.unwrap();
            assert_eq!(present(&protector, mine.access_token()).await.unwrap_err(), 401);
            assert_eq!(world.refresh(&mine).await.unwrap_err(), TokenErrorKind::InvalidGrant);
            assert!(present(&protector, other.access_token()).await.is_ok());
            assert!(world.refresh(&other).await.is_ok());
        }
        world.issuer.logout("nobody knows it").await.unwrap();
    }
}

#[tokio::test]
async fn nobody_logs_another_subject_out_by_a_token_of_theirs() {
    for jwt in [true, false] {
        let world = World::new(jwt, |builder| builder).await;
        let alice = world.issue().await;
        let old = refresh_token(&alice).to_owned();
        let alice = world.refresh(&alice).await.unwrap();
        for token in [alice.access_token(), refresh_token(&alice), &old] {
            let refused = world.issuer.logout_own(token, "bob").await.unwrap_err();
            assert_eq!(refused.kind(), TokenErrorKind::NotYours);
        }
        assert!(world.is_active(alice.access_token()).await);
        let worker = world.issuer.issue(TokenRequest::for_client("bob")).await.unwrap();
        let of_a_client = world.issuer.logout_own(worker.access_token(), "alice").await;
        assert_eq!(of_a_client.unwrap_err().kind(), TokenErrorKind::NotYours);
        // One that was exchanged is as good a name for the session as the one that it was exchanged for.
        for _ in 0..2 {
            world.issuer.logout_own(&old, "alice").await.unwrap();
            assert!(!world.is_active(alice.access_token()).await);
        }
        assert_eq!(world.refresh(&alice).await.unwrap_err(), TokenErrorKind::InvalidGrant);
        world.issuer.logout_own("nobody knows it", "alice").await.unwrap();
    }
}

#[tokio::test]
async fn a_log_out_everywhere_ends_all_sessions_of_a_subject_and_leaves_the_next_one_alone() {
    for jwt in [true, false] {
        let world = World::new(jwt, |builder| builder).await;
        let protector = if jwt {
            world.jwt_protector()
        } else {
            world.table_protector()
        };
        let old = [world.issue().await, world.issue().await];
        let code = world.code(world.request()).await;
        let bob = world
            .issuer
            .issue(TokenRequest::for_subject("app", "bob"))
            .await
            .unwrap();
        world.issuer.logout_everywhere("alice").await.unwrap();
        // Without any time passing.
        let new = world.issue().await;
        for tokens in &old {
            assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
            assert!(!world.is_active(tokens.access_token()).await);
            assert_eq!(world.refresh(tokens).await.unwrap_err(), TokenErrorKind::InvalidGrant);
        }
        assert_eq!(
            world.redeem(&code, VERIFIER).await.unwrap_err(),
            TokenErrorKind::InvalidGrant
        );
        for tokens in [&new, &bob] {
            assert!(present(&protector, tokens.access_token()).await.is_ok());
            assert!(world.refresh(tokens).await.is_ok());
        }
    }
}

#[tokio::test]
async fn a_client_revokes_its_own_tokens_and_nobody_elses() {
    for jwt in [true, false] {
        let world = World::new(jwt, |builder| builder).await;
        let protector = if jwt {
            world.jwt_protector()
        } else {
            world.table_protector()
        };
        let tokens = world.issue().await;
        for token in [tokens.access_token(), refresh_token(&tokens)] {
            let refused = world.issuer.revoke(token, "other").await.unwrap_err();
            assert_eq!(refused.kind(), TokenErrorKind::NotYours);
        }
        assert!(present(&protector, tokens.access_token()).await.is_ok());
        // An access token ends alone.
        world.issuer.revoke(tokens.access_token(), "app").await.unwrap();
        world.issuer.revoke(tokens.access_token(), "app").await.unwrap();
        assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
        assert!(!world.is_active(tokens.access_token()).await);
        let next = world.refresh(&tokens).await.unwrap();
        // A refresh token ends with all.
        world.issuer.revoke(refresh_token(&next), "app").await.unwrap();
        assert_eq!(present(&protector, next.access_token()).await.unwrap_err(), 401);
        assert_eq!(world.refresh(&next).await.unwrap_err(), TokenErrorKind::InvalidGrant);
        world.issuer.revoke("nobody knows it", "app").await.unwrap();
    }
}

#[tokio::test]
async fn jwts_that_nobody_can_take_back_say_so() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    let access = AccessTokens::jwt_that_nobody_can_take_back(keys);
    let builder = TokenIssuer::builder(ISSUER, API, MemoryStore::new(), access).unwrap();
    let issuer = builder.open().await.unwrap();
    let tokens = issuer.issue(TokenRequest::for_subject("app", "alice")).await.unwrap();
    let refused = issuer.revoke(tokens.access_token(), "app").await.unwrap_err();
    assert_eq!(refused.kind(), TokenErrorKind::UnsupportedTokenType);
    assert!(issuer.introspect(tokens.access_token()).await.unwrap().is_some());
}

#[tokio::test]
async fn an_introspected_token_says_what_it_is() {
    let world = World::opaque().await;
    let tokens = world.issue().await;
    let access = world.issuer.introspect(tokens.access_token()).await.unwrap().unwrap();
    assert_eq!(access.token_use(), TokenUse::Access);
    let claims = access.claims();
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["client_id"], "app");
    assert_eq!(claims["scope"], "profile email");
    assert_eq!(claims["aud"], API);
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["token_type"], "Bearer");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 600);
    let refresh = world.issuer.introspect(refresh_token(&tokens)).await.unwrap().unwrap();
    assert_eq!(refresh.token_use(), TokenUse::Refresh);
    assert_eq!(refresh.claims()["token_type"], "refresh_token");
    assert!(!world.is_active("").await && !world.is_active("a.b.c").await);
}

#[tokio::test]
async fn a_jwt_of_another_issuer_is_not_active_here() {
    let (here, there) = (World::jwt().await, World::jwt().await);
    let stranger = there.issue().await;
    assert!(there.is_active(stranger.access_token()).await);
    assert!(!here.is_active(stranger.access_token()).await);
    here.issuer.logout(stranger.access_token()).await.unwrap();
}

#[tokio::test]
async fn an_expired_jwt_is_not_active() {
    let world = World::jwt().await;
    let tokens = world.issue().await;
    assert!(world.is_active(tokens.access_token()).await);
    world.clock.advance(10 * MINUTE);
    assert!(!world.is_active(tokens.access_token()).await);
}

#[tokio::test]
async fn a_code_is_redeemed_once_by_its_client_with_its_verifier_and_its_redirect_uri() {
    let world = World::jwt().await;
    let code = world.code(world.request().authenticated_at(world.wall()).fresh()).await;
    let wrong = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXx";
    assert_eq!(
        world.redeem(&code, wrong).await.unwrap_err(),
        TokenErrorKind::InvalidGrant
    );
    assert_eq!(
        world.redeem(&code, CHALLENGE).await.unwrap_err(),
        TokenErrorKind::InvalidGrant
    );
    assert_eq!(
        world.redeem(&code, "short").await.unwrap_err(),
        TokenErrorKind::InvalidGrant
    );
    for (client, uri) in [
        ("other", Some("https://app.test/cb")),
        ("app", Some("https://app.test/other")),
        ("app", None),
    ] {
        let mut exchange = CodeExchange::new(&code, client, VERIFIER);
        if let Some(uri) = uri {
            exchange = exchange.redirect_uri(uri);
        }
        let refused = world.issuer.redeem_code(exchange).await.unwrap_err();
        assert_eq!(refused.kind(), TokenErrorKind::InvalidGrant);
    }
    let tokens = world.redeem(&code, VERIFIER).await.unwrap();
    let seen = present(&world.jwt_protector(), tokens.access_token()).await.unwrap();
    assert_eq!(seen.subject(), Some("alice"));
    assert!(seen.auth_time().is_some());
}

#[tokio::test]
async fn a_code_that_comes_again_ends_the_session_that_it_began() {
    let world = World::jwt().await;
    let code = world.code(world.request()).await;
    let tokens = world.redeem(&code, VERIFIER).await.unwrap();
    let tokens = world.refresh(&tokens).await.unwrap();
    world.clock.advance(DAY);
    assert_eq!(
        world.redeem(&code, VERIFIER).await.unwrap_err(),
        TokenErrorKind::InvalidGrant
    );
    assert_eq!(world.refresh(&tokens).await.unwrap_err(), TokenErrorKind::InvalidGrant);
}

#[tokio::test]
async fn a_code_is_good_for_a_minute() {
    let world = World::jwt().await;
    let code = world.code(world.request()).await;
    world.clock.advance(MINUTE);
    assert_eq!(
        world.redeem(&code, VERIFIER).await.unwrap_err(),
        TokenErrorKind::InvalidGrant
    );
}

#[test]
fn there_is_no_code_without_a_challenge_of_s256() {
    for challenge in [
        "",
        "short",
        VERIFIER.split_at(40).0,
        &format!("{CHALLENGE}="),
        &"!".repeat(43),
    ] {
        let refused = CodeRequest::new(TokenRequest::for_subject("app", "alice"), challenge);
        assert!(refused.is_err(), "{challenge}");
    }
}

#[tokio::test]
async fn a_fresh_token_says_so_and_what_it_is_refreshed_to_does_not() {
    let world = World::jwt().await;
    let protector = world.jwt_protector();
    let fresh = world.issuer.issue(world.request().fresh()).await.unwrap();
    let seen = present(&protector, fresh.access_token()).await.unwrap();
    assert_eq!(seen.claim::<bool>("fresh"), Some(true));
    let stale = world.refresh(&fresh).await.unwrap();
    let seen = present(&protector, stale.access_token()).await.unwrap();
    assert_eq!(seen.claim::<bool>("fresh"), None);
}

struct OnlyAlice;

impl SubjectRule for OnlyAlice {
    async fn may_have_tokens(&self, subject: &str) -> Result<bool, StoreError> {
        match subject {
            "alice" => Ok(true),
            "nobody knows" => Err(StoreError::new("the users cannot be read")),
            _ => Ok(false),
        }
    }
}

#[tokio::test]
async fn who_was_disabled_gets_no_further_tokens() {
    let world = World::new(true, |builder| builder.subject_rule(OnlyAlice)).await;
    let alice = world.issue().await;
    assert!(world.refresh(&alice).await.is_ok());
    let bob = world
        .issuer
        .issue(TokenRequest::for_subject("app", "bob"))
        .await
        .unwrap();
    assert_eq!(world.refresh(&bob).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    let unknown = world
        .issuer
        .issue(TokenRequest::for_subject("app", "nobody knows"))
        .await
        .unwrap();
    assert_eq!(world.refresh(&unknown).await.unwrap_err(), TokenErrorKind::Unavailable);
    let code = world.code(TokenRequest::for_subject("app", "bob")).await;
    assert_eq!(
        world.redeem(&code, VERIFIER).await.unwrap_err(),
        TokenErrorKind::InvalidGrant
    );
}

#[tokio::test]
async fn what_was_revoked_before_a_restart_is_so_after_it() {
    let world = World::jwt().await;
    let (session, everywhere, alone) = (
        world.issue().await,
        world
            .issuer
            .issue(TokenRequest::for_subject("app", "bob"))
            .await
            .unwrap(),
        world.issue().await,
    );
    let kept = world.issue().await;
    world.issuer.logout(session.access_token()).await.unwrap();
    world.issuer.logout_everywhere("bob").await.unwrap();
    world.issuer.revoke(alone.access_token(), "app").await.unwrap();
    let world = world.restarted().await;
    let protector = world.jwt_protector();
    for dead in [&session, &everywhere, &alone] {
        assert_eq!(present(&protector, dead.access_token()).await.unwrap_err(), 401);
    }
    assert!(present(&protector, kept.access_token()).await.is_ok());
    assert!(world.refresh(&kept).await.is_ok());
}

#[tokio::test]
async fn what_another_process_on_the_store_has_revoked_is_told_by_the_next_upkeep() {
    let world = World::jwt().await;
    let tokens = world.issue().await;
    // Another process on the same store, whose list is not the one of the resource server.
    let other = world.restarted().await;
    other.issuer.logout(tokens.access_token()).await.unwrap();
    let protector = world.jwt_protector();
    assert!(present(&protector, tokens.access_token()).await.is_ok());
    world.issuer.upkeep().await.unwrap();
    assert_eq!(present(&protector, tokens.access_token()).await.unwrap_err(), 401);
}

#[tokio::test]
async fn an_answer_that_the_store_lost_is_found_out_and_nobody_is_logged_out() {
    for jwt in [true, false] {
        let world = World::new(jwt, |builder| builder).await;
        world.store.lose_answers(1);
        let tokens = world.issue().await;
        world.store.lose_answers(1);
        let tokens = world.refresh(&tokens).await.unwrap();
        assert!(world.is_active(tokens.access_token()).await);
        assert!(world.refresh(&tokens).await.is_ok());
        let code = world.code(world.request()).await;
        world.store.lose_answers(1);
        let tokens = world.redeem(&code, VERIFIER).await.unwrap();
        assert!(world.is_active(tokens.access_token()).await && world.refresh(&tokens).await.is_ok());
    }
}

#[tokio::test]
async fn without_the_store_nothing_is_issued_or_revoked_and_everything_goes_on_afterwards() {
    let world = World::jwt().await;
    let tokens = world.issue().await;
    world.store.go_down();
    assert_eq!(world.refresh(&tokens).await.unwrap_err(), TokenErrorKind::Unavailable);
    let failed = world.issuer.logout_everywhere("alice").await.unwrap_err();
    assert_eq!(failed.kind(), TokenErrorKind::Unavailable);
    assert!(world.issuer.issue(world.request()).await.is_err());
    world.store.come_back();
    assert!(world.refresh(&tokens).await.is_ok());
}

#[tokio::test]
async fn a_row_with_something_that_is_not_known_here_is_not_read_and_not_changed() {
    let world = World::jwt().await;
    let tokens = world.issue().await;
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
        body: found
            .body
            .replacen('{', "{\"jkt\":\"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\",", 1),
        ..found.clone()
    };
    let change = Change::new().step(key.clone(), Was::At(found.version), Becomes::Put(newer.clone()));
    assert_eq!(world.store.commit(&change).await.unwrap(), Outcome::Done);
    assert_eq!(world.refresh(&tokens).await.unwrap_err(), TokenErrorKind::Unavailable);
    let failed = world.issuer.logout_session(tokens.session_id()).await.unwrap_err();
    assert_eq!(failed.kind(), TokenErrorKind::Unavailable);
    assert_eq!(world.store.load(&[key]).await.unwrap(), [Some(newer)]);
}

#[tokio::test]
async fn what_is_over_is_deleted_and_nothing_else() {
    let world = World::jwt().await;
    let old = world.issue().await;
    world.clock.advance(60 * DAY);
    let new = world.issue().await;
    world.issuer.logout(new.access_token()).await.unwrap();
    world.clock.advance(30 * DAY + MINUTE);
    let kept = world.issue().await;
    // Both sessions, and the revocation of the younger one.
    assert_eq!(world.issuer.upkeep().await.unwrap(), 3);
    assert_eq!(world.issuer.delete_expired().await.unwrap(), 0);
    assert_eq!(world.refresh(&old).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    assert!(world.refresh(&kept).await.is_ok());
}

#[tokio::test]
async fn a_list_that_would_silently_revoke_nothing_does_not_build() {
    let keys = || KeyRing::generate(Algorithm::ES256).unwrap();
    for by in RevokedBy::ALL {
        let others = RevokedBy::ALL.into_iter().filter(|other| *other != by);
        let list = MemoryRevocationList::new(RevocationTerms::new(others, 60 * MINUTE).unwrap());
        let error = AccessTokens::jwt(keys(), list).unwrap_err();
        assert_eq!(error.option(), "access_tokens");
        assert!(error.to_string().contains(&format!("{by:?}")));
    }
    let list = MemoryRevocationList::new(terms());
    let access = AccessTokens::jwt(keys(), list).unwrap();
    let builder = TokenIssuer::builder(ISSUER, API, MemoryStore::new(), access).unwrap();
    let builder = builder.access_token_lifetime(61 * MINUTE).unwrap();
    assert_eq!(builder.open().await.unwrap_err().option(), "access_token_lifetime");
}

#[tokio::test]
async fn a_store_is_one_issuers_alone() {
    let store = MemoryStore::new();
    let open = |issuer: &str| {
        let builder = TokenIssuer::builder(issuer, API, store.clone(), AccessTokens::opaque()).unwrap();
        builder.open()
    };
    assert!(open(ISSUER).await.is_ok() && open(ISSUER).await.is_ok());
    assert_eq!(open("https://other.test").await.unwrap_err().option(), "store");
}

#[tokio::test]
async fn an_application_keeps_tokens_of_its_own_in_the_table() {
    let store = Breakable::default();
    let table = TokenTable::new(store.clone());
    let mut record = StoredToken {
        subject: Some("alice".to_owned()),
        scopes: Scopes::parse("profile"),
        audience: vec![API.to_owned()],
        ..StoredToken::default()
    };
    record.extra.set("username", "alice@example.com").unwrap();
    let token = OpaqueToken::new("t1");
    table.insert(&token, record.clone()).await.unwrap();
    let found = table.find(&token).await.unwrap().unwrap();
    assert_eq!(found.subject.as_deref(), Some("alice"));
    assert_eq!(
        found.extra.get::<String>("username").as_deref(),
        Some("alice@example.com")
    );
    assert!(found.revoked_at.is_none());
    assert!(table.find(&OpaqueToken::new("T1")).await.unwrap().is_none());
    table.revoke(&token).await.unwrap();
    assert!(table.find(&token).await.unwrap().unwrap().revoked_at.is_some());
    table.revoke(&OpaqueToken::new("unknown")).await.unwrap();
    store.go_down();
    assert!(table.find(&token).await.is_err());
}

#[tokio::test]
async fn a_log_out_everywhere_ends_the_applications_own_tokens_too() {
    let world = World::opaque().await;
    let table = TokenTable::new(world.store.clone());
    let record = StoredToken {
        subject: Some("alice".to_owned()),
        audience: vec![API.to_owned()],
        ..StoredToken::default()
    };
    table.insert(&OpaqueToken::new("t1"), record).await.unwrap();
    world.issuer.logout_everywhere("alice").await.unwrap();
    assert_eq!(present(&world.table_protector(), "t1").await.unwrap_err(), 401);
}

#[tokio::test]
async fn after_an_exchange_the_old_refresh_token_is_not_active_the_new_one_is_and_the_session_is_one() {
    let world = World::jwt().await;
    let first = world.issue().await;
    let second = world.refresh(&first).await.unwrap();
    assert!(!world.is_active(refresh_token(&first)).await);
    assert!(world.is_active(refresh_token(&second)).await);
    let sessions = Listing {
        kind: Kind::Session,
        owner: None,
        after: None,
        limit: 10,
    };
    assert_eq!(world.store.list(&sessions).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_exchange_carries_the_applications_claims_on_and_gives_an_end_of_its_own() {
    let world = World::jwt().await;
    let request = world.request().authenticated_at(world.wall());
    let request = request.claim("tenant", "t1").unwrap();
    let mut tokens = world.issuer.issue(request).await.unwrap();
    let protector = world.jwt_protector();
    for _ in 0..2 {
        let before = present(&protector, tokens.access_token()).await.unwrap();
        world.clock.advance(5 * MINUTE);
        tokens = world.refresh(&tokens).await.unwrap();
        let after = present(&protector, tokens.access_token()).await.unwrap();
        assert_eq!(after.claim::<String>("tenant").as_deref(), Some("t1"));
        assert_eq!(after.subject(), before.subject());
        assert!(after.audience().eq(before.audience()));
        assert_eq!(after.auth_time(), before.auth_time());
        assert_ne!(after.jwt_id(), before.jwt_id());
        assert_eq!(after.expires_at().unwrap(), before.expires_at().unwrap() + 5 * MINUTE);
    }
}

#[tokio::test]
async fn who_logs_out_by_the_session_in_their_own_token_logs_nobody_else_out() {
    let world = World::jwt().await;
    let protector = world.jwt_protector();
    let alice = world.issue().await;
    let bob = TokenRequest::for_subject("app", "bob");
    let bob = world.issuer.issue(bob).await.unwrap();
    let seen = present(&protector, alice.access_token()).await.unwrap();
    world.issuer.logout_session(seen.session_id().unwrap()).await.unwrap();
    assert_eq!(present(&protector, alice.access_token()).await.unwrap_err(), 401);
    assert_eq!(world.refresh(&alice).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    assert!(present(&protector, bob.access_token()).await.is_ok());
    assert!(world.refresh(&bob).await.is_ok());
}

#[tokio::test]
async fn who_is_removed_gets_no_further_tokens_and_what_was_revoked_stays_so() {
    let users = StoredUsers::in_memory(Passwords::weak_for_tests().unwrap());
    let world = World::new(true, |builder| builder.subject_rule(users.clone())).await;
    let alice = users.add("alice", "correct horse").await.unwrap().subject;
    let issue = async || {
        let request = TokenRequest::for_subject("app", &alice);
        world.issuer.issue(request).await.unwrap()
    };
    let (revoked, kept) = (issue().await, issue().await);
    world.issuer.logout(revoked.access_token()).await.unwrap();
    users.remove(&alice).await.unwrap();
    assert_eq!(world.refresh(&kept).await.unwrap_err(), TokenErrorKind::InvalidGrant);
    assert_eq!(
        present(&world.jwt_protector(), revoked.access_token())
            .await
            .unwrap_err(),
        401
    );
    // Removing a user ends no access token. The log-out everywhere does, which belongs to it.
    assert!(present(&world.jwt_protector(), kept.access_token()).await.is_ok());
    world.issuer.logout_everywhere(&alice).await.unwrap();
    assert_eq!(
        present(&world.jwt_protector(), kept.access_token()).await.unwrap_err(),
        401
    );
}

#[tokio::test]
async fn a_log_out_by_a_token_that_only_names_a_session_says_that_it_belongs_to_none() {
    let world = World::opaque().await;
    let alices = world.issue().await;
    let table = TokenTable::new(world.store.clone());
    let mut record = StoredToken {
        subject: Some("mallory".to_owned()),
        audience: vec![API.to_owned()],
        ..StoredToken::default()
    };
    record.extra.set("sid", alices.session_id()).unwrap();
    table.insert(&OpaqueToken::new("t1"), record).await.unwrap();
    for refused in [
        world.issuer.logout("t1").await,
        world.issuer.logout_own("t1", "mallory").await,
    ] {
        assert_eq!(refused.unwrap_err().kind(), TokenErrorKind::UnsupportedTokenType);
    }
    assert!(world.is_active(alices.access_token()).await);
}

#[tokio::test]
async fn a_subject_that_nobody_is_cannot_be_logged_out_and_leaves_nothing_behind() {
    let world = World::jwt().await;
    for nobody in [String::new(), "x".repeat(16 * 1024 + 1)] {
        let refused = world.issuer.logout_everywhere(&nobody).await.unwrap_err();
        assert_eq!(refused.kind(), TokenErrorKind::Unusable);
    }
    world.issuer.upkeep().await.unwrap();
    world.restarted().await;
}

#[tokio::test]
async fn a_revocation_that_the_list_never_takes_keeps_neither_the_others_nor_a_start_nor_the_upkeep() {
    let world = World::opaque().await;
    let table = TokenTable::new(world.store.clone());
    for (token, jti) in [("t1", ""), ("t2", "j2")] {
        let mut record = StoredToken {
            client_id: Some("app".to_owned()),
            ..StoredToken::default()
        };
        record.extra.set("jti", jti).unwrap();
        table.insert(&OpaqueToken::new(token), record).await.unwrap();
    }
    let refused = world.issuer.revoke("t1", "app").await.unwrap_err();
    assert_eq!(refused.kind(), TokenErrorKind::Unusable);
    world.issuer.revoke("t2", "app").await.unwrap();
    world.issuer.upkeep().await.unwrap();
    world.restarted().await;
}

#[tokio::test]
async fn what_is_issued_and_what_is_asked_about_it_show_no_subject_in_their_debug_form() {
    let world = World::opaque().await;
    let request = TokenRequest::for_subject("app", "s0bject").scope("profile").unwrap();
    let request = request.claim("email", "s0bject@app.test").unwrap();
    let tokens = world.issuer.issue(request.clone()).await.unwrap();
    let active = world.issuer.introspect(tokens.access_token()).await.unwrap().unwrap();
    let code = CodeRequest::new(request.clone(), CHALLENGE).unwrap();
    for shown in [format!("{request:?}"), format!("{code:?}"), format!("{active:?}")] {
        assert!(shown.contains("\"app\"") && !shown.contains("s0bject"), "{shown}");
    }
}

#[tokio::test]
async fn what_is_over_is_deleted_while_the_list_takes_nothing_more() {
    let world = World::jwt().await;
    let (first, second) = (world.issue().await, world.issue().await);
    // It has room for one, and is shared.
    drop(world.list.clone().capacity(1));
    world.issuer.logout_session(first.session_id()).await.unwrap();
    assert!(world.issuer.logout_session(second.session_id()).await.is_err());
    world.code(world.request()).await;
    world.clock.advance(MINUTE * 2);
    assert!(world.issuer.upkeep().await.is_err());
    assert_eq!(world.issuer.delete_expired().await.unwrap(), 0);
}

#[tokio::test]
async fn however_often_a_subject_is_logged_out_at_once_its_next_token_lies_less_than_a_second_ahead() {
    let world = World::opaque().await;
    // The last millisecond of a second but one.
    let seconds = world.wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    let moment = std::time::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(998);
    world.clock.set_wall(moment);
    for _ in 0..5 {
        world.issuer.logout_everywhere("alice").await.unwrap();
    }
    let tokens = world.issue().await;
    // It has a leeway of a second.
    assert!(present(&world.table_protector(), tokens.access_token()).await.is_ok());
}
