//! Several at the same moment, on every store, with JWTs and with opaque tokens.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use resource_protector::{Algorithm, SystemClock, testing::TestClock};
use resource_protector_issuer::{IssuedTokens, KeyRing, TokenErrorKind, TokenRequest, store::MemoryStore};
use tokio::task::JoinSet;

use super::{Hooked, Node, Setup, Step, all_stores, refresh_token, request};
use crate::support::{ISSUER, present};

/// How many come at the same moment.
const CROWD: usize = 20;

const ROUNDS: usize = 8;

fn setups() -> [Setup; 2] {
    [Setup::jwt(KeyRing::generate(Algorithm::ES256).unwrap()), Setup::opaque()]
}

/// What all of them get for the same refresh token.
async fn refreshed_at_once(node: &Arc<Node>, token: &str) -> Vec<Result<IssuedTokens, TokenErrorKind>> {
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let (node, token) = (Arc::clone(node), token.to_owned());
        crowd.spawn(async move { node.refresh(&token).await });
    }
    crowd.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_exchanges_of_one_token_one_succeeds_and_its_session_ends() {
    let (stores, _folder) = all_stores().await;
    for (name, store) in stores {
        for setup in setups() {
            let node = Arc::new(setup.start(store.clone(), SystemClock).await);
            let (tokens, other) = (node.issue("alice").await, node.issue("alice").await);
            let answers = refreshed_at_once(&node, refresh_token(&tokens)).await;
            let (issued, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            assert_eq!(issued.len(), 1, "{name}");
            for refused in refused {
                assert_eq!(refused.unwrap_err(), TokenErrorKind::InvalidGrant, "{name}");
            }
            for dead in issued.into_iter().flatten().chain([tokens]) {
                assert!(!node.are_good(dead.access_token(), refresh_token(&dead)).await, "{name}");
            }
            assert!(
                node.are_good(other.access_token(), refresh_token(&other)).await,
                "{name}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_the_grace_window_all_get_tokens_of_one_generation_of_one_session() {
    let (stores, _folder) = all_stores().await;
    for (name, store) in stores {
        for setup in setups() {
            let setup = setup.grace(Duration::from_secs(300));
            let node = Arc::new(setup.start(store.clone(), SystemClock).await);
            let tokens = node.issue("alice").await;
            let mut issued = Vec::new();
            for answer in refreshed_at_once(&node, refresh_token(&tokens)).await {
                issued.push(answer.unwrap_or_else(|kind| panic!("{name}: {kind}")));
            }
            for one in &issued {
                assert_eq!(one.session_id(), tokens.session_id());
                assert!(node.are_good(one.access_token(), refresh_token(one)).await, "{name}");
            }
            // The one before is two generations old when one of them has been exchanged, and all others are one old.
            let next = node.refresh(refresh_token(&issued[0])).await.unwrap();
            for one in &issued {
                assert!(!node.is_active(refresh_token(one)).await, "{name}");
            }
            assert!(node.are_good(next.access_token(), refresh_token(&next)).await, "{name}");
            assert_eq!(
                node.refresh(refresh_token(&tokens)).await.unwrap_err(),
                TokenErrorKind::InvalidGrant
            );
            for dead in issued.iter().chain([&next]) {
                assert!(!node.are_good(dead.access_token(), refresh_token(dead)).await, "{name}");
            }
        }
    }
}

/// Exchanges one refresh token for the next until it is refused.
async fn refreshed_until_the_end(node: Arc<Node>, tokens: IssuedTokens) -> Vec<IssuedTokens> {
    let mut all = vec![tokens];
    loop {
        match node.refresh(refresh_token(&all[all.len() - 1])).await {
            Ok(next) => all.push(next),
            Err(TokenErrorKind::InvalidGrant) => return all,
            Err(kind) => panic!("{kind}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_exchange_that_races_a_log_out_outlives_it() {
    let (stores, _folder) = all_stores().await;
    for (name, store) in stores {
        for setup in setups() {
            let node = Arc::new(setup.start(store.clone(), SystemClock).await);
            let mut exchanged = 0;
            for round in 0..ROUNDS {
                let mut sessions = JoinSet::new();
                let first = node.issue("alice").await;
                sessions.spawn(refreshed_until_the_end(Arc::clone(&node), first.clone()));
                for _ in 0..round % 2 * 3 {
                    let tokens = node.issue("alice").await;
                    sessions.spawn(refreshed_until_the_end(Arc::clone(&node), tokens));
                }
                // So that the log-out comes at another moment each time.
                for _ in 0..round {
                    node.is_active("nobody knows it").await;
                }
                match round % 2 {
                    0 => node.issuer.logout(first.access_token()).await.unwrap(),
                    _ => node.issuer.logout_everywhere("alice").await.unwrap(),
                }
                for tokens in sessions.join_all().await.into_iter().flatten() {
                    exchanged += 1;
                    let is_good = node.are_good(tokens.access_token(), refresh_token(&tokens)).await;
                    assert!(!is_good, "{name}, round {round}");
                }
                let new = node.issue("alice").await;
                assert!(node.are_good(new.access_token(), refresh_token(&new)).await, "{name}");
            }
            assert!(exchanged > ROUNDS, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_code_that_many_redeem_at_once_no_session_survives() {
    let (stores, _folder) = all_stores().await;
    for (name, store) in stores {
        for setup in setups() {
            let node = Arc::new(setup.start(store.clone(), SystemClock).await);
            let code = node.code("alice").await;
            let mut crowd = JoinSet::new();
            for _ in 0..CROWD {
                let (node, code) = (Arc::clone(&node), code.clone());
                crowd.spawn(async move { node.redeem(&code).await });
            }
            let (issued, refused): (Vec<_>, Vec<_>) = crowd.join_all().await.into_iter().partition(Result::is_ok);
            assert_eq!((issued.len(), refused.len()), (1, CROWD - 1), "{name}");
            for refused in refused {
                assert_eq!(refused.unwrap_err(), TokenErrorKind::InvalidGrant, "{name}");
            }
            for dead in issued.into_iter().flatten() {
                assert!(!node.are_good(dead.access_token(), refresh_token(&dead)).await, "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_log_outs_at_once_all_succeed() {
    let (stores, _folder) = all_stores().await;
    for (name, store) in stores {
        let node = Arc::new(setups()[0].clone().start(store, SystemClock).await);
        let tokens = node.issue("alice").await;
        let mut crowd = JoinSet::new();
        for number in 0..CROWD {
            let (node, token) = (Arc::clone(&node), tokens.access_token().to_owned());
            crowd.spawn(async move {
                match number % 2 {
                    0 => node.issuer.logout(&token).await,
                    _ => node.issuer.revoke(&token, "app").await,
                }
            });
        }
        assert!(crowd.join_all().await.iter().all(Result::is_ok), "{name}");
        assert!(
            !node.are_good(tokens.access_token(), refresh_token(&tokens)).await,
            "{name}"
        );
    }
}

// What happens between two steps, one case after the other.

/// What somebody else does at a step of an operation, once.
type Interruption = Arc<Mutex<Option<(Step, Arc<Node>, &'static str)>>>;

const SECOND: Duration = Duration::from_secs(1);

/// An issuer, in the middle of whose operations another one of the same store and list does something; and that one.
async fn interrupted(clock: &TestClock, setup: &Setup, lose_the_answer: bool) -> (Node, Arc<Node>, Interruption) {
    let store = MemoryStore::new();
    let list = resource_protector::MemoryRevocationList::new(crate::support::terms()).clock(clock.clone());
    let other = setup.start_with(store.clone(), clock.clone(), list.clone(), list.clone());
    let (other, interruption) = (Arc::new(other.await), Interruption::default());
    let hook = {
        let (interruption, clock) = (Arc::clone(&interruption), clock.clone());
        move |step| {
            let (interruption, clock) = (Arc::clone(&interruption), clock.clone());
            async move {
                let mine = interruption.lock().unwrap().take_if(|(at, ..)| *at == step);
                let Some((_, other, on)) = mine else { return Ok(()) };
                match on {
                    "alice" => other.issuer.logout_everywhere(on).await.unwrap(),
                    token => drop(other.refresh(token).await.unwrap()),
                }
                clock.advance(SECOND);
                match lose_the_answer {
                    true => Err(resource_protector::StoreError::new("the answer was lost")),
                    false => Ok(()),
                }
            }
        }
    };
    let node = setup.start_with(Hooked::new(store, hook), clock.clone(), list.clone(), list);
    (node.await, other, interruption)
}

/// The tokens are part of the session that the log-out has ended, so nothing of them may say that it came later.
#[tokio::test]
async fn what_the_store_lost_the_answer_to_is_reached_by_a_log_out_meanwhile() {
    for setup in setups() {
        let clock = TestClock::new();
        let (node, other, interruption) = interrupted(&clock, &setup, true).await;
        let (before, code) = (node.issue("bob").await, node.code("alice").await);
        let tokens = node.issue("alice").await;
        for operation in ["issue", "refresh", "redeem"] {
            *interruption.lock().unwrap() = Some((Step::AfterCommit, Arc::clone(&other), "alice"));
            let answer = match operation {
                "issue" => node.issuer.issue(request("alice")).await.map_err(|error| error.kind()),
                "refresh" => node.refresh(refresh_token(&tokens)).await,
                _ => node.redeem(&code).await,
            };
            assert!(interruption.lock().unwrap().is_none(), "{operation}");
            // Either is right: they were issued, and then they were revoked.
            if let Ok(dead) = answer {
                assert!(!node.are_good(dead.access_token(), refresh_token(&dead)).await, "{operation}");
            }
            let new = node.issue("alice").await;
            assert!(node.are_good(new.access_token(), refresh_token(&new)).await);
        }
        assert!(node.are_good(before.access_token(), refresh_token(&before)).await);
    }
}
