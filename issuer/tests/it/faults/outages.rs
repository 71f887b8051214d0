//! The store goes away in the middle of an operation: the client gets its tokens or is told to come again, never that its
//! token is not good.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use resource_protector::{StoreError, SystemClock};
use resource_protector_issuer::{
    TokenErrorKind,
    store::{Key, Kind, PostgresStore, RedisStore, Store},
};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{Countdown, Hooked, Node, Step, all_stores, refresh_token, setups};
use crate::servers::{OwnServer, postgres_schema};

const GRACE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn an_answer_that_a_store_lost_is_found_out_whatever_was_asked() {
    let (stores, _folder) = all_stores().await;
    for (name, store) in stores {
        for setup in setups() {
            let losing = Countdown::default();
            let hook = {
                let losing = losing.clone();
                move |step| {
                    let is_lost = step == Step::AfterCommit && losing.is_over();
                    std::future::ready(match is_lost {
                        true => Err(StoreError::new("the answer was lost")),
                        false => Ok(()),
                    })
                }
            };
            let node = setup.start(Hooked::new(store.clone(), hook), SystemClock).await;
            losing.set(1);
            let tokens = node.issue("alice").await;
            assert!(
                node.are_good(tokens.access_token(), refresh_token(&tokens)).await,
                "{name}"
            );
            losing.set(1);
            let tokens = node.refresh(refresh_token(&tokens)).await.unwrap();
            assert!(
                node.are_good(tokens.access_token(), refresh_token(&tokens)).await,
                "{name}"
            );
            losing.set(1);
            let code = node.code("alice").await;
            losing.set(1);
            let redeemed = node.redeem(&code).await.unwrap();
            let is_good = node.are_good(redeemed.access_token(), refresh_token(&redeemed)).await;
            assert!(is_good, "{name}");
            losing.set(1);
            node.issuer.revoke(redeemed.access_token(), "app").await.unwrap();
            assert!(!node.is_good(redeemed.access_token()).await, "{name}");
            losing.set(1);
            node.issuer.logout(redeemed.access_token()).await.unwrap();
            assert!(!node.is_active(refresh_token(&redeemed)).await, "{name}");
            losing.set(1);
            node.issuer.logout_everywhere("alice").await.unwrap();
            let is_good = node.are_good(tokens.access_token(), refresh_token(&tokens)).await;
            assert!(!is_good, "{name}");
            // All of these were lost.
            assert!(!losing.is_running(), "{name}");
        }
    }
}

/// The exchange has happened, and nobody can be told so.
#[tokio::test]
async fn who_is_told_to_come_again_goes_on_within_the_grace_window() {
    let (stores, _folder) = all_stores().await;
    for (name, store) in stores {
        for setup in setups() {
            let is_away = Arc::new(AtomicBool::new(false));
            let hook = {
                let is_away = Arc::clone(&is_away);
                move |step| {
                    // It goes away after the next change.
                    let is_away = is_away.load(Ordering::SeqCst) && step != Step::BeforeCommit;
                    std::future::ready(match is_away {
                        true => Err(StoreError::new("the store is away")),
                        false => Ok(()),
                    })
                }
            };
            let away_after_commit = {
                let is_away = Arc::clone(&is_away);
                move |step| {
                    if step == Step::BeforeCommit {
                        is_away.store(true, Ordering::SeqCst);
                    }
                    hook(step)
                }
            };
            for grace in [GRACE, Duration::ZERO] {
                let setup = setup.clone().grace(grace);
                let steady = setup.start(store.clone(), SystemClock).await;
                let tokens = steady.issue("alice").await;
                let broken = Hooked::new(store.clone(), away_after_commit.clone());
                let node = setup.start(broken, SystemClock).await;
                let failed = node.refresh(refresh_token(&tokens)).await.unwrap_err();
                assert_eq!(failed, TokenErrorKind::Unavailable, "{name}");
                is_away.store(false, Ordering::SeqCst);
                assert!(steady.is_good(tokens.access_token()).await, "{name}");
                let next = steady.refresh(refresh_token(&tokens)).await;
                match grace.is_zero() {
                    // As if a thief had exchanged it (RFC 9700 §4.14.2).
                    true => assert_eq!(next.unwrap_err(), TokenErrorKind::InvalidGrant, "{name}"),
                    false => {
                        let next = next.unwrap();
                        assert!(steady.are_good(next.access_token(), refresh_token(&next)).await);
                        assert!(steady.refresh(refresh_token(&next)).await.is_ok(), "{name}");
                    }
                }
            }
        }
    }
}

/// A PostgreSQL store whose connections have a name, by which somebody else finds them.
async fn named_postgres() -> (PostgresStore, PgConnection, String) {
    let url = postgres_schema().await;
    let name = url.rsplit_once("%3D").unwrap().1.to_owned();
    let store = PostgresStore::connect(&format!("{url}&application_name={name}")).await;
    (store.unwrap(), PgConnection::connect(&url).await.unwrap(), name)
}

#[tokio::test]
async fn connections_that_are_terminated_at_any_step_of_an_exchange_cost_nobody_a_session() {
    let (store, somebody, name) = named_postgres().await;
    let somebody = Arc::new(tokio::sync::Mutex::new(somebody));
    for setup in setups() {
        let (setup, counting) = (setup.grace(GRACE), Countdown::default());
        let hook = {
            let (somebody, name, counting) = (Arc::clone(&somebody), name.clone(), counting.clone());
            move |_| {
                let (somebody, name) = (Arc::clone(&somebody), name.clone());
                let is_now = counting.is_over();
                async move {
                    if is_now {
                        let query =
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
                        let mut somebody = somebody.lock().await;
                        let ended = sqlx::query(query).bind(name).execute(&mut *somebody).await.unwrap();
                        assert!(ended.rows_affected() > 0);
                    }
                    Ok(())
                }
            }
        };
        let node = setup.start(Hooked::new(store.clone(), hook), SystemClock).await;
        let mut tokens = node.issue("alice").await;
        for step in 1.. {
            counting.set(step);
            let answer = node.refresh(refresh_token(&tokens)).await;
            let is_through = counting.is_running();
            counting.set(0);
            let next = match answer {
                Ok(next) => next,
                Err(kind) => {
                    assert_eq!(kind, TokenErrorKind::Unavailable, "step {step}");
                    node.refresh(refresh_token(&tokens)).await.unwrap()
                }
            };
            for one in [&tokens, &next] {
                assert!(node.is_good(one.access_token()).await, "step {step}");
            }
            tokens = next;
            if is_through {
                assert!(step > 3);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_terminated_within_the_commit_costs_nobody_a_session() {
    let (store, mut somebody, name) = named_postgres().await;
    for setup in setups() {
        let node = setup.start(store.clone(), SystemClock).await;
        let tokens = node.issue("alice").await;
        // The exchange waits for its session.
        let lock = "BEGIN; SELECT 1 FROM resource_protector_rows WHERE kind = 'session' FOR UPDATE";
        somebody.execute(lock).await.unwrap();
        let terminating = async {
            let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE application_name = $1 AND wait_event_type = 'Lock'";
            let started = Instant::now();
            loop {
                let ended = sqlx::query(query).bind(&name).execute(&mut somebody).await.unwrap();
                if ended.rows_affected() > 0 {
                    break;
                }
                assert!(started.elapsed() < Duration::from_secs(4));
                // What is known of other connections stays the same within a transaction, unless asked for anew.
                somebody.execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
            }
            somebody.execute("ROLLBACK").await.unwrap();
        };
        let (next, ()) = tokio::join!(node.refresh(refresh_token(&tokens)), terminating);
        let next = next.unwrap();
        assert!(node.are_good(next.access_token(), refresh_token(&next)).await);
        assert!(node.refresh(refresh_token(&next)).await.is_ok());
    }
}

/// The server is killed within an exchange, before or after it has happened, and started again.
async fn killed_within_exchanges<S: Store + Clone>(store: S, server: OwnServer) {
    let server = Arc::new(Mutex::new(server));
    for at in [Step::BeforeRead, Step::BeforeCommit, Step::AfterCommit] {
        for setup in setups() {
            let setup = match at {
                Step::AfterCommit => setup.grace(GRACE),
                _ => setup,
            };
            let is_armed = Arc::new(AtomicBool::new(false));
            let hook = {
                let (server, is_armed) = (Arc::clone(&server), Arc::clone(&is_armed));
                move |step| {
                    let is_now = step == at && is_armed.swap(false, Ordering::SeqCst);
                    if is_now {
                        server.lock().unwrap().kill();
                    }
                    std::future::ready(match is_now && step == Step::AfterCommit {
                        true => Err(StoreError::new("the answer was lost")),
                        false => Ok(()),
                    })
                }
            };
            let node = setup.start(Hooked::new(store.clone(), hook), SystemClock).await;
            let tokens = node.issue("alice").await;
            is_armed.store(true, Ordering::SeqCst);
            let failed = node.refresh(refresh_token(&tokens)).await.unwrap_err();
            assert_eq!(failed, TokenErrorKind::Unavailable, "{at:?}");
            let out = node.issuer.introspect(tokens.access_token()).await.err().unwrap();
            assert_eq!(out.kind(), TokenErrorKind::Unavailable);
            server.lock().unwrap().start();
            is_back(&store).await;
            goes_on(&node, &tokens).await;
        }
    }
}

/// It listens some moments before it answers.
async fn is_back(store: &impl Store) {
    let started = Instant::now();
    while store.load(&[Key::of(Kind::User, "a")]).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}

async fn goes_on(node: &Node, tokens: &resource_protector_issuer::IssuedTokens) {
    assert!(node.is_good(tokens.access_token()).await);
    let next = node.refresh(refresh_token(tokens)).await.unwrap();
    assert!(node.are_good(next.access_token(), refresh_token(&next)).await);
    assert!(node.refresh(refresh_token(&next)).await.is_ok());
}

const SHORT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_postgresql_that_is_killed_within_an_exchange_costs_nobody_a_session() {
    let server = OwnServer::postgres();
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port());
    let started = Instant::now();
    let store = loop {
        match PostgresStore::connect(&url).await {
            Ok(store) => break store.timeout(SHORT).unwrap(),
            Err(error) => assert!(started.elapsed() < Duration::from_secs(30), "{error}"),
        }
    };
    killed_within_exchanges(store, server).await;
}

#[tokio::test]
async fn a_redis_that_is_killed_within_an_exchange_costs_nobody_a_session() {
    let server = OwnServer::redis();
    let url = format!("redis://127.0.0.1:{}/", server.port());
    let store = RedisStore::new(&url, "t").unwrap().timeout(SHORT).unwrap();
    killed_within_exchanges(store, server).await;
}
