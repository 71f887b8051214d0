//! One operation in the middle of another: each case at its worst moment, which a race meets once in a year.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use resource_protector::{
    MemoryRevocationList, OpaqueToken, StoreError, StoredToken, TokenStore as _, testing::TestClock,
};
use resource_protector_issuer::{TokenErrorKind, TokenRequest, TokenTable, store::MemoryStore};

use super::{Hooked, Node, Setup, Step, refresh_token, request, setups};
use crate::support::{API, present, terms};

const SECOND: Duration = Duration::from_secs(1);

type Work = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// What happens at the next step of this kind.
#[derive(Clone, Default)]
struct Interruption(Arc<Mutex<Option<(Step, Work)>>>);

impl Interruption {
    fn at(&self, step: Step, work: impl Future<Output = Result<(), StoreError>> + Send + 'static) {
        *self.0.lock().unwrap() = Some((step, Box::pin(work)));
    }

    fn has_happened(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }

    fn take(&self, step: Step) -> Work {
        match self.0.lock().unwrap().take_if(|(at, _)| *at == step) {
            Some((_, work)) => work,
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }
}

/// Two processes of one issuer with one list. The first one is interrupted.
struct Two {
    clock: TestClock,
    store: MemoryStore,
    node: Node,
    other: Arc<Node>,
    interruption: Interruption,
}

impl Two {
    async fn new(setup: &Setup) -> Self {
        let (clock, store, interruption) = (TestClock::new(), MemoryStore::new(), Interruption::default());
        let list = MemoryRevocationList::new(terms()).clock(clock.clone());
        let other = setup.start_with(store.clone(), clock.clone(), list.clone(), list.clone());
        let other = Arc::new(other.await);
        let hook = {
            let interruption = interruption.clone();
            move |step| interruption.take(step)
        };
        let (broken, told) = (
            Hooked::new(store.clone(), hook.clone()),
            Hooked::new(list.clone(), hook),
        );
        Self {
            node: setup.start_with(broken, clock.clone(), told, list).await,
            clock,
            store,
            other,
            interruption,
        }
    }
}

#[tokio::test]
async fn what_the_store_lost_the_answer_to_is_reached_by_a_log_out_meanwhile() {
    for setup in setups() {
        let two = Two::new(&setup).await;
        let node = &two.node;
        let bystander = node.issue("bob").await;
        for operation in ["issue", "refresh", "redeem"] {
            let (tokens, code) = (node.issue("alice").await, node.code("alice").await);
            let (other, clock) = (Arc::clone(&two.other), two.clock.clone());
            two.interruption.at(Step::AfterCommit, async move {
                other.issuer.logout_everywhere("alice").await.unwrap();
                clock.advance(SECOND);
                Err(StoreError::new("the answer was lost"))
            });
            let answer = match operation {
                "issue" => node.issuer.issue(request("alice")).await.map_err(|error| error.kind()),
                "refresh" => node.refresh(refresh_token(&tokens)).await,
                _ => node.redeem(&code).await,
            };
            assert!(two.interruption.has_happened(), "{operation}");
            // Either is right: they were issued, and then they were revoked.
            if let Ok(dead) = answer {
                let is_good = node.are_good(dead.access_token(), refresh_token(&dead)).await;
                assert!(!is_good, "{operation}");
            }
            let new = node.issue("alice").await;
            assert!(node.are_good(new.access_token(), refresh_token(&new)).await);
        }
        assert!(node.are_good(bystander.access_token(), refresh_token(&bystander)).await);
    }
}

#[tokio::test]
async fn a_log_out_in_the_middle_of_an_operation_comes_first() {
    for setup in setups() {
        let two = Two::new(&setup).await;
        let node = &two.node;
        for operation in ["issue", "refresh", "redeem", "log out"] {
            let (tokens, code) = (node.issue("alice").await, node.code("alice").await);
            let (other, clock) = (Arc::clone(&two.other), two.clock.clone());
            let sid = tokens.session_id().to_owned();
            two.interruption.at(Step::BeforeCommit, async move {
                match operation {
                    "log out" => other.issuer.logout_session(&sid).await.unwrap(),
                    _ => other.issuer.logout_everywhere("alice").await.unwrap(),
                }
                clock.advance(SECOND);
                Ok(())
            });
            let answer = match operation {
                "issue" => node.issuer.issue(request("alice")).await.map_err(|error| error.kind()),
                "redeem" => node.redeem(&code).await,
                _ => node.refresh(refresh_token(&tokens)).await,
            };
            assert!(two.interruption.has_happened(), "{operation}");
            match (operation, answer) {
                // It is a log-in that came afterwards.
                ("issue", Ok(new)) => assert!(node.are_good(new.access_token(), refresh_token(&new)).await),
                (_, answer) => assert_eq!(answer.err(), Some(TokenErrorKind::InvalidGrant), "{operation}"),
            }
            assert!(!node.are_good(tokens.access_token(), refresh_token(&tokens)).await);
        }
    }
}

#[tokio::test]
async fn what_is_issued_after_a_log_out_everywhere_has_looked_at_the_clock_ends_with_it() {
    for setup in setups() {
        let two = Two::new(&setup).await;
        let before = two.node.issue("alice").await;
        let (other, clock) = (Arc::clone(&two.other), two.clock.clone());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let token = refresh_token(&before).to_owned();
        two.interruption.at(Step::BeforeCommit, async move {
            clock.advance(SECOND);
            let both = (other.refresh(&token).await.unwrap(), other.issue("alice").await);
            sender.send(both).map_err(|_| StoreError::new("nobody waits"))
        });
        two.node.issuer.logout_everywhere("alice").await.unwrap();
        let (refreshed, new) = receiver.await.unwrap();
        for dead in [&before, &refreshed, &new] {
            assert!(!two.node.is_good(dead.access_token()).await);
            assert!(!two.node.is_active(refresh_token(dead)).await);
        }
        let new = two.node.issue("alice").await;
        assert!(two.node.are_good(new.access_token(), refresh_token(&new)).await);
    }
}

#[tokio::test]
async fn a_second_log_out_everywhere_within_a_second_ends_what_was_issued_in_between() {
    for setup in setups() {
        let two = Two::new(&setup).await;
        for _ in 0..3 {
            let tokens = two.node.issue("alice").await;
            assert!(two.node.are_good(tokens.access_token(), refresh_token(&tokens)).await);
            two.node.issuer.logout_everywhere("alice").await.unwrap();
            assert!(!two.node.are_good(tokens.access_token(), refresh_token(&tokens)).await);
        }
    }
}

#[tokio::test]
async fn what_a_machine_issued_whose_clock_is_ahead_ends_with_a_log_out_everywhere() {
    for setup in setups() {
        let two = Two::new(&setup).await;
        let ahead = TestClock::at(resource_protector::Clock::now(&two.clock).wall + SECOND);
        let list = MemoryRevocationList::new(terms());
        let ahead = setup.start_with(two.store.clone(), ahead, list.clone(), list).await;
        let tokens = ahead.issue("alice").await;
        assert!(two.node.are_good(tokens.access_token(), refresh_token(&tokens)).await);
        two.node.issuer.logout_everywhere("alice").await.unwrap();
        assert!(!two.node.are_good(tokens.access_token(), refresh_token(&tokens)).await);
    }
}

#[tokio::test]
async fn a_session_that_could_not_be_told_of_is_told_of_when_somebody_comes_again() {
    for setup in setups() {
        let two = Two::new(&setup).await;
        let old = two.node.issue("alice").await;
        let tokens = two.node.refresh(refresh_token(&old)).await.unwrap();
        // The list is away, or the answer of the store to the end of the session is lost.
        for step in [Step::BeforeTelling, Step::AfterTelling] {
            two.interruption.at(step, async { Err(StoreError::new("away")) });
            let failed = two.node.refresh(refresh_token(&old)).await.unwrap_err();
            assert_eq!(failed, TokenErrorKind::Unavailable);
            assert!(two.interruption.has_happened());
        }
        let refused = two.node.refresh(refresh_token(&old)).await.unwrap_err();
        assert_eq!(refused, TokenErrorKind::InvalidGrant);
        assert!(!two.node.are_good(tokens.access_token(), refresh_token(&tokens)).await);
    }
}

#[tokio::test]
async fn a_token_that_comes_again_ends_its_session_though_the_store_loses_the_answer() {
    for setup in setups() {
        let two = Two::new(&setup).await;
        let old = two.node.issue("alice").await;
        let tokens = two.node.refresh(refresh_token(&old)).await.unwrap();
        two.interruption
            .at(Step::AfterCommit, async { Err(StoreError::new("the answer was lost")) });
        let refused = two.node.refresh(refresh_token(&old)).await.unwrap_err();
        assert_eq!(refused, TokenErrorKind::InvalidGrant);
        assert!(!two.node.are_good(tokens.access_token(), refresh_token(&tokens)).await);
    }
}

#[tokio::test]
async fn a_client_that_acts_for_itself_is_logged_out_everywhere_and_gets_new_tokens() {
    for setup in setups() {
        let two = Two::new(&setup).await;
        let issue = async || two.node.issuer.issue(TokenRequest::for_client("worker")).await.unwrap();
        for _ in 0..2 {
            let tokens = issue().await;
            assert!(two.node.is_good(tokens.access_token()).await);
            two.node.issuer.logout_everywhere("worker").await.unwrap();
            assert!(!two.node.is_good(tokens.access_token()).await);
        }
        assert!(two.node.is_good(issue().await.access_token()).await);
    }
}

#[tokio::test]
async fn two_tokens_of_the_application_with_one_jti_are_both_revoked() {
    let [_, setup] = setups();
    let two = Two::new(&setup).await;
    let table = TokenTable::new(two.store.clone());
    let mut record = StoredToken {
        client_id: Some("app".to_owned()),
        audience: vec![API.to_owned()],
        ..StoredToken::default()
    };
    record.extra.set("jti", "j1").unwrap();
    for token in ["t1", "t2"] {
        table.insert(&OpaqueToken::new(token), record.clone()).await.unwrap();
        assert!(present(&two.node.protector, token).await.is_ok());
    }
    for token in ["t1", "t2"] {
        two.node.issuer.revoke(token, "app").await.unwrap();
        assert_eq!(present(&two.node.protector, token).await.unwrap_err(), 401);
    }
}
