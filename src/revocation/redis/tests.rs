use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{RevokedBy, testing::TestClock};

const SECOND: Duration = Duration::from_secs(1);
const AUTHORITY: &str = include_str!("../../../tests/it/private-authority.pem");
const URL: &str = "redis://user:swordfish@127.0.0.1:1/";

fn terms() -> RevocationTerms {
    RevocationTerms::new([RevokedBy::Subject], 3600 * SECOND).unwrap()
}

fn list(clock: &TestClock) -> RedisRevocationList {
    let builder = RedisRevocationList::builder(URL, "test", terms(), 10 * SECOND).unwrap();
    let builder = builder.accept_stale_up_to(60 * SECOND).unwrap();
    builder.clock(clock.clone()).build()
}

fn of(subject: &str) -> CurrentToken {
    CurrentToken::vouch_for(&json!({ "iss": "https://auth.test", "sub": subject, "iat": 1, "exp": 2 })).unwrap()
}

#[test]
fn a_list_whose_mirror_was_never_loaded_lets_nobody_in() {
    let clock = TestClock::new();
    let list = list(&clock);
    assert_eq!(list.verdict(&of("bob"), clock.now()), Verdict::Unknown);
    assert!(!list.is_in_step(clock.now()));
}

#[test]
fn a_list_is_in_step_up_to_its_bounds() {
    let clock = TestClock::new();
    let list = list(&clock);
    list.0.freshness.heard(clock.now().monotonic);
    for (passed, verdict) in [
        (0, Verdict::Clear),
        (10, Verdict::Clear),
        (50, Verdict::Clear),
        (1, Verdict::Unknown),
    ] {
        clock.advance(passed * SECOND);
        assert_eq!(list.verdict(&of("bob"), clock.now()), verdict, "{passed}");
        assert_eq!(list.is_in_step(clock.now()), verdict == Verdict::Clear);
    }
}

#[test]
fn setting_the_wall_clock_does_not_make_a_mirror_younger() {
    let clock = TestClock::new();
    let list = list(&clock);
    list.0.freshness.heard(clock.now().monotonic);
    clock.advance(61 * SECOND);
    clock.set_wall(SystemTime::now() - 3600 * SECOND);
    assert_eq!(list.verdict(&of("bob"), clock.now()), Verdict::Unknown);
}

#[tokio::test]
async fn what_is_revoked_while_redis_is_away_is_in_force_here_and_the_error_shows_no_password() {
    let clock = TestClock::new();
    let list = list(&clock);
    list.0.freshness.heard(clock.now().monotonic);
    let cut_off = CutOff::subject("https://auth.test", "alice", clock.now().wall);
    let error = list.revoke(cut_off).await.unwrap_err();
    assert!(matches!(error, RevokeError::Unpublished(_)), "{error}");
    assert!(
        !error.to_string().contains("swordfish") && !error.to_string().contains("alice"),
        "{error}"
    );
    assert!(list.0.is_untold.load(Ordering::Acquire));
    assert_eq!(list.verdict(&of("alice"), clock.now()), Verdict::CutOff);
    // A mirror that is too old knows as much.
    clock.advance(61 * SECOND);
    assert_eq!(list.verdict(&of("alice"), clock.now()), Verdict::CutOff);
}

#[tokio::test]
async fn a_revocation_that_nobody_waits_for_any_more_is_told_by_the_mirror() {
    let clock = TestClock::new();
    let list = list(&clock);
    let teller = list.0.teller.lock().await;
    let mut revoking = Box::pin(list.revoke(CutOff::subject("https://auth.test", "alice", clock.now().wall)));
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(revoking.as_mut().poll(cx).is_pending())).await);
    drop(revoking);
    drop(teller);
    assert!(list.0.is_untold.load(Ordering::Acquire));
}

#[test]
fn what_cannot_be_used_is_refused_without_quoting_the_url() {
    let new = |url: &str, name: &str, bound: Duration| RedisRevocationList::builder(url, name, terms(), bound);
    for (list, option) in [
        (new("http://u:swordfish@h/", "test", 10 * SECOND), "url"),
        (new("rediss://u:swordfish@h/#insecure", "test", 10 * SECOND), "url"),
        (new("rediss://u:swordfish@a b/", "test", 10 * SECOND), "url"),
        (new("REDISS://u:swordfish@h/", "test", 10 * SECOND), "url"),
        (new("valkeys://u:swordfish@h/", "test", 10 * SECOND), "url"),
        (new("swordfish", "test", 10 * SECOND), "url"),
        (new(URL, "", 10 * SECOND), "name"),
        (new(URL, "a{b", 10 * SECOND), "name"),
        (new(URL, "test", SECOND), "unknown_after"),
        (new(URL, "test", 100_000 * SECOND), "unknown_after"),
        (
            new(URL, "test", 10 * SECOND).and_then(|list| list.accept_stale_up_to(10 * SECOND)),
            "accept_stale_up_to",
        ),
        (
            new(URL, "test", 10 * SECOND).and_then(|list| list.trusting_only(AUTHORITY)),
            "trusting_only",
        ),
    ] {
        let error = list.unwrap_err();
        assert_eq!(error.option(), option, "{error}");
        assert!(!error.to_string().contains("swordfish"), "{error}");
    }
}

#[test]
fn neither_the_url_nor_its_password_shows() {
    let clock = TestClock::new();
    let builder = RedisRevocationList::builder(URL, "test", terms(), 10 * SECOND).unwrap();
    let shown = format!("{:?} {builder:?}", list(&clock));
    assert!(!shown.contains("swordfish") && !shown.contains("127.0.0.1"), "{shown}");
    assert!(shown.contains("test"));
}
