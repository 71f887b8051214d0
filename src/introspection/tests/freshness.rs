//! How old an answer may be, and when it is renewed.

use super::*;

const MINUTE: u64 = 60_000;

#[tokio::test(start_paused = true)]
async fn a_token_in_use_is_asked_about_again_before_its_answer_is_too_old_and_nobody_waits_for_it() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    server.hold();
    api.clock.advance(MINUTE * 79 / 100);
    assert_eq!(api.status("t1").await, 200);
    settle().await;
    assert_eq!(server.calls(), 1);
    api.clock.advance(MINUTE * 11 / 100);
    // The call hangs, and the requests that come are answered.
    for _ in 0..10 {
        assert_eq!(api.status_at_once("t1"), Some(200));
    }
    server.until_asked(2).await;
    server.release(1);
    settle().await;
    api.clock.advance(MINUTE / 2);
    assert_eq!(api.present("t1").await.unwrap().age(), Duration::from_secs(30));
    assert_eq!(server.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_used_is_not_asked_about() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(2 * MINUTE);
    settle().await;
    assert_eq!(server.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn renewing_ahead_can_be_left_out() {
    let server = Server::new(good());
    let api = Api::with(&server, IntrospectionValidator::without_refresh_ahead);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(MINUTE - 1);
    assert_eq!(api.status("t1").await, 200);
    settle().await;
    assert_eq!(server.calls(), 1);
    api.clock.advance(1);
    assert_eq!(api.status("t1").await, 200);
    assert_eq!(server.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_remembered_together_is_not_renewed_together() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| validator.max_calls_in_flight(10_000).unwrap());
    for token in 0..200 {
        assert_eq!(api.status(&format!("t{token}")).await, 200);
    }
    let mut renewed = Vec::new();
    api.clock.advance(MINUTE * 80 / 100);
    for _ in 0..10 {
        let before = server.calls();
        for token in 0..200 {
            assert_eq!(api.status(&format!("t{token}")).await, 200);
            settle().await;
        }
        renewed.push(server.calls() - before);
        api.clock.advance(MINUTE / 100);
    }
    let sum: usize = renewed.iter().sum();
    // Of 200 tokens 20 have their turn in each of ten steps. In one step 60 would be nine standard deviations too many.
    assert!(sum > 150 && renewed.iter().all(|&calls| calls < 60), "{renewed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_could_not_be_renewed_is_used_until_it_is_too_old_and_not_tried_again_before() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    server.goes_down();
    api.clock.advance(MINUTE * 95 / 100);
    for _ in 0..20 {
        assert_eq!(api.status("t1").await, 200);
        settle().await;
    }
    assert_eq!(server.calls(), 2);
    api.clock.advance(MINUTE * 5 / 100);
    assert_eq!(api.status("t1").await, 503);
    assert_eq!(server.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_is_learned_ahead_counts_from_then_on() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    server.says(json!({ "active": false }));
    api.clock.advance(MINUTE * 95 / 100);
    assert_eq!(api.status("t1").await, 200);
    settle().await;
    assert_eq!(api.status("t1").await, 401);
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_token_expires_before_is_not_renewed() {
    let server = Server::new(good_but("exp", json!(NOW + 45)));
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(44_000);
    assert_eq!(api.status("t1").await, 200);
    settle().await;
    assert_eq!(server.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn renewals_are_a_part_of_the_calls_and_one_that_finds_no_place_has_its_turn_later() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| validator.max_calls_in_flight(16).unwrap());
    for token in 0..10 {
        assert_eq!(api.status(&format!("t{token}")).await, 200);
    }
    server.hold();
    api.clock.advance(MINUTE * 95 / 100);
    let use_all = async || {
        for token in 0..10 {
            assert_eq!(api.status_at_once(&format!("t{token}")), Some(200));
        }
        settle().await;
    };
    use_all().await;
    // An eighth of 16.
    assert_eq!(server.calls(), 12);
    server.release(2);
    settle().await;
    use_all().await;
    assert_eq!(server.calls(), 14);
    server.release(20);
}

#[tokio::test(start_paused = true)]
async fn where_a_younger_answer_is_demanded_the_server_is_asked_and_everybody_profits() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert!(api.validator.about().asks_anew());
    let ten = Duration::from_secs(10);
    assert!(api.present_within("t1", ten).await.is_ok());
    api.clock.advance(10_000);
    assert!(api.present_within("t1", ten).await.is_ok());
    assert_eq!(server.calls(), 1);
    api.clock.advance(1);
    assert!(api.present_within("t1", ten).await.is_ok());
    assert_eq!(server.calls(), 2);
    assert_eq!(api.present("t1").await.unwrap().age(), Duration::ZERO);
    server.says(json!({ "active": false }));
    api.clock.advance(10_001);
    let refused = api.present_within("t1", ten).await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::Inactive));
    assert_eq!(api.status("t1").await, 401);
}

#[tokio::test(start_paused = true)]
async fn who_demands_a_younger_answer_is_not_content_with_a_call_that_was_begun_too_early() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let early = tokio::spawn({
        let api = api.clone();
        async move { api.status("t1").await }
    });
    server.until_asked(1).await;
    api.clock.advance(5_000);
    let strict = tokio::spawn({
        let api = api.clone();
        async move { api.present_within("t1", Duration::from_secs(1)).await }
    });
    settle().await;
    assert_eq!(server.calls(), 1);
    server.release(1);
    server.until_asked(2).await;
    server.says(json!({ "active": false }));
    server.release(1);
    assert_eq!(early.await.unwrap(), 200);
    // The second answer was made when the server was asked: before it was told to say no. It is young enough.
    assert!(strict.await.unwrap().is_ok());
    assert_eq!(server.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_demands_a_younger_answer_shares_a_call_that_was_begun_late_enough() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let early = tokio::spawn({
        let api = api.clone();
        async move { api.status("t1").await }
    });
    server.until_asked(1).await;
    api.clock.advance(500);
    let strict = tokio::spawn({
        let api = api.clone();
        async move { api.present_within("t1", Duration::from_secs(1)).await }
    });
    settle().await;
    server.release(1);
    assert!(strict.await.unwrap().is_ok() && early.await.unwrap() == 200);
    assert_eq!(server.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_younger_answer_that_cannot_be_had_is_a_503_though_an_older_one_is_remembered() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| {
        validator.stale_if_error(Duration::from_secs(3600)).unwrap()
    });
    assert_eq!(api.status("t1").await, 200);
    server.goes_down();
    api.clock.advance(20_000);
    let refused = api.present_within("t1", Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Unavailable);
    api.clock.advance(60_000);
    let refused = api.present_within("t1", Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Unavailable);
    assert_eq!(api.status("t1").await, 200);
}

#[tokio::test(start_paused = true)]
async fn those_who_demand_a_younger_answer_share_the_next_call() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let mut waiting = tokio::task::JoinSet::new();
    let first = api.clone();
    waiting.spawn(async move { first.status("t1").await == 200 });
    server.until_asked(1).await;
    for _ in 0..10 {
        // Both clocks go, that of the requests and that of the runtime.
        api.clock.advance(10);
        tokio::time::advance(Duration::from_millis(10)).await;
        let strict = api.clone();
        waiting.spawn(async move { strict.present_within("t1", Duration::ZERO).await.is_ok() });
        settle().await;
    }
    server.release(1);
    server.until_asked(2).await;
    settle().await;
    server.release(100);
    while let Some(let_in) = waiting.join_next().await {
        assert!(let_in.unwrap());
    }
    assert_eq!(server.calls(), 2);
}
