//! What is remembered, and for how long.

use super::*;

#[tokio::test]
async fn three_requests_with_one_token_make_one_call_and_the_token_ages() {
    let server = Server::new(good());
    let api = Api::new(&server);
    for _ in 0..3 {
        assert_eq!(api.status("t1").await, 200);
    }
    assert_eq!(server.calls(), 1);
    api.clock.advance(20_000);
    assert_eq!(api.present("t1").await.unwrap().age(), Duration::from_secs(20));
}

#[tokio::test]
async fn remembering_for_no_time_asks_on_every_request() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| {
        validator
            .remember_for(Duration::ZERO)
            .unwrap()
            .remember_refusals_for(Duration::ZERO)
            .unwrap()
    });
    api.status("t1").await;
    api.status("t1").await;
    assert_eq!(server.calls(), 2);
    server.says(json!({ "active": false }));
    api.status("t1").await;
    api.status("t1").await;
    assert_eq!(server.calls(), 4);
}

#[tokio::test]
async fn a_remembered_token_is_refused_when_its_exp_has_passed() {
    let server = Server::new(good_but("exp", json!(NOW + 30)));
    let api = Api::with(&server, |validator| validator.leeway(Duration::ZERO).unwrap());
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(29_999);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(1);
    assert_eq!(api.present("t1").await.unwrap_err().reason(), Some(Reason::Expired));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn between_exp_and_the_leeway_after_it_the_server_is_asked_anew() {
    let server = Server::new(good_but("exp", json!(NOW + 30)));
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(30_000);
    server.says(json!({ "active": false }));
    assert_eq!(api.present("t1").await.unwrap_err().reason(), Some(Reason::Inactive));
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn an_answer_that_has_expired_already_is_remembered_as_a_refusal_only() {
    let server = Server::new(good_but("exp", json!(NOW - 11)));
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 401);
    assert_eq!(api.status("t1").await, 401);
    assert_eq!(server.calls(), 1);
    api.clock.advance(5_000);
    assert_eq!(api.status("t1").await, 401);
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_refusal_is_remembered_for_five_seconds() {
    let server = Server::new(json!({ "active": false }));
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 401);
    server.says(good());
    api.clock.advance(4_999);
    assert_eq!(api.status("t1").await, 401);
    assert_eq!(server.calls(), 1);
    api.clock.advance(1);
    assert_eq!(api.status("t1").await, 200);
}

#[tokio::test]
async fn a_token_that_is_revoked_at_the_server_is_refused_after_sixty_seconds_at_the_latest() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    server.says(json!({ "active": false }));
    api.clock.advance(59_999);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(1);
    assert_eq!(api.status("t1").await, 401);
}

#[tokio::test]
async fn a_good_answer_without_exp_is_remembered_for_the_same_sixty_seconds() {
    let server = Server::new(good_but("exp", Value::Null));
    let api = Api::new(&server);
    api.status("t1").await;
    api.clock.advance(59_999);
    api.status("t1").await;
    assert_eq!(server.calls(), 1);
    api.clock.advance(1);
    api.status("t1").await;
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn setting_the_wall_clock_back_does_not_lengthen_what_is_remembered() {
    let server = Server::new(good());
    let api = Api::new(&server);
    api.status("t1").await;
    api.clock.advance(60_000);
    api.clock.set_wall_back(3_000);
    server.says(json!({ "active": false }));
    assert_eq!(api.status("t1").await, 401);
}

#[tokio::test]
async fn a_thousand_first_requests_with_one_token_make_one_call() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let wait = |_| {
        let api = api.clone();
        tokio::spawn(async move { api.status("t1").await })
    };
    let waiters: Vec<_> = (0..1000).map(wait).collect();
    server.until_asked(1).await;
    // The one who started the call goes away.
    waiters[0].abort();
    server.release(1);
    for waiter in waiters.into_iter().skip(1) {
        assert_eq!(waiter.await.unwrap(), 200);
    }
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn all_who_joined_a_call_that_failed_share_another_one() {
    let server = Server::new(good());
    server.hold();
    let calls = AtomicU32::new(0);
    server.answers(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err(FetchError::new("no answer within 5s")),
        _ => Ok(ok(&good().to_string())),
    });
    let api = Api::new(&server);
    let wait = |api: Api| tokio::spawn(async move { api.status("t1").await });
    let first = wait(api.clone());
    server.until_asked(1).await;
    let joined: Vec<_> = (0..9).map(|_| wait(api.clone())).collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    server.release(10);
    assert_eq!(first.await.unwrap(), 503);
    for waiter in joined {
        assert_eq!(waiter.await.unwrap(), 200);
    }
    assert_eq!(server.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_joined_a_call_late_gets_one_with_a_whole_deadline() {
    let seconds = Duration::from_secs;
    let server = Server::new(good());
    server.hold();
    let api = Api::with(&server, |validator| validator.timeout(seconds(4)).unwrap());
    let wait = |api: Api| tokio::spawn(async move { api.status("t1").await });
    let first = wait(api.clone());
    server.until_asked(1).await;
    tokio::time::advance(seconds(3)).await;
    let late = wait(api.clone());
    settle().await;
    tokio::time::advance(seconds(1)).await;
    server.until_asked(2).await;
    assert_eq!(first.await.unwrap(), 503);
    tokio::time::advance(Duration::from_millis(3_900)).await;
    server.release(1);
    assert_eq!(late.await.unwrap(), 200);
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn an_invalidated_token_is_asked_about_at_once() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!((api.status("t1").await, api.status("t2").await), (200, 200));
    server.says(json!({ "active": false }));
    api.validator.invalidate("t1");
    assert_eq!((api.status("t1").await, api.status("t2").await), (401, 200));
    server.says(good());
    api.validator.invalidate("t1");
    assert_eq!(api.status("t1").await, 200);
}

#[tokio::test]
async fn an_answer_on_its_way_when_its_token_is_invalidated_is_not_remembered() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let early = tokio::spawn({
        let api = api.clone();
        async move { api.status("t1").await }
    });
    server.until_asked(1).await;
    api.validator.invalidate("t1");
    server.says(json!({ "active": false }));
    server.release(2);
    assert_eq!(early.await.unwrap(), 200);
    assert_eq!(api.status("t1").await, 401);
}

#[tokio::test]
async fn who_comes_after_an_invalidation_does_not_wait_for_an_answer_from_before() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let wait = |api: Api| tokio::spawn(async move { api.status("t1").await });
    let early = wait(api.clone());
    server.until_asked(1).await;
    api.validator.invalidate("t1");
    server.says(json!({ "active": false }));
    let late = wait(api.clone());
    server.until_asked(2).await;
    server.release(2);
    assert_eq!((early.await.unwrap(), late.await.unwrap()), (200, 401));
}

#[tokio::test]
async fn two_validators_share_no_answers() {
    let server = Server::new(good());
    let (one, other) = (Api::new(&server), Api::new(&server));
    assert_eq!(one.status("t1").await, 200);
    server.says(json!({ "active": false }));
    assert_eq!(other.status("t1").await, 401);
    assert_eq!(one.status("t1").await, 200);
}

#[tokio::test]
async fn what_a_route_demands_is_judged_of_a_remembered_token_too() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    let requiring = |layer: ResourceProtectorLayer| layer.requiring(Requirement::scope("admin").unwrap());
    let refused = api.through("t1", requiring).await.unwrap_err();
    assert_eq!((refused.kind(), server.calls()), (RejectionKind::InsufficientScope, 1));
}

#[tokio::test]
async fn a_flood_of_made_up_tokens_neither_grows_memory_nor_drives_out_a_good_one() {
    let server = Server::new(json!({}));
    server.answers(|request| {
        let known = request.body().starts_with(b"token=good");
        Ok(ok(&if known { good() } else { json!({ "active": false }) }.to_string()))
    });
    let api = Api::with(&server, |validator| validator.capacity(100));
    for token in 0..100 {
        assert_eq!(api.status(&format!("good{token}")).await, 200);
    }
    for token in 0..2_000 {
        assert_eq!(api.status(&format!("made-up-{token}")).await, 401);
    }
    let (good, refused) = api.validator.inner.remembered.counted();
    assert!(good <= 100 && refused <= 10, "{good} {refused}");
    let calls = server.calls();
    for token in 0..100 {
        assert_eq!(api.status(&format!("good{token}")).await, 200);
    }
    assert_eq!(server.calls(), calls);
}

#[tokio::test]
async fn a_full_memory_goes_on_remembering() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| validator.capacity(10));
    for token in 0..1_000 {
        assert_eq!(api.status(&format!("t{token}")).await, 200);
    }
    let (good, _) = api.validator.inner.remembered.counted();
    assert!((1..=10).contains(&good), "{good}");
}

#[tokio::test]
async fn a_full_memory_lets_go_of_some_answers_and_never_of_all() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| validator.capacity(10));
    for token in 0..500 {
        assert_eq!(api.status(&format!("t{token}")).await, 200);
        let (good, _) = api.validator.inner.remembered.counted();
        assert!(token < 10 || (5..=10).contains(&good), "{token}: {good}");
    }
}

#[tokio::test]
async fn a_long_answer_counts_as_several() {
    let answer = good_but("authorization_details", json!("x".repeat(16 * 1024)));
    let server = Server::new(answer);
    let api = Api::with(&server, |validator| validator.capacity(10));
    for token in 0..10 {
        assert_eq!(api.status(&format!("t{token}")).await, 200);
    }
    let (good, _) = api.validator.inner.remembered.counted();
    assert!((1..=2).contains(&good), "{good}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_remembered_answer_is_used_beyond_its_time_or_its_exp(
        exp in 0_u64..200, lifetime in 0_u64..200, stale in 0_u64..200, leeway in 0_u64..60, later in 0_u64..400,
        back in 0_u64..400,
    ) {
        let seconds = Duration::from_secs;
        let lifetimes = Lifetimes { good: seconds(lifetime), refused: seconds(5), stale: seconds(stale) };
        let remembered = Remembered::new(10, lifetimes);
        let digest = TokenDigest::of("t1").unwrap();
        let clock = MovedClock::at(NOW);
        let token = CurrentToken::vouch_for(&json!({ "exp": NOW + exp })).unwrap().with_leeway(seconds(leeway));
        remembered.remember(digest, &Ok(token), clock.now(), remembered.epoch(&digest));
        clock.advance(later * 1000);
        clock.set_wall_back(back);
        let now = clock.now();
        let (token, bound) = match remembered.recall(&digest, now, None) {
            Recalled::Good(token, _) => (token, lifetime),
            Recalled::Old(Some(token)) => (token, lifetime + stale),
            _ => return Ok(()),
        };
        if token.judge_time(now).is_ok() {
            prop_assert_eq!(token.is_stale(), later >= lifetime);
            // On the monotonic clock, and on the wall clock however it was set.
            prop_assert!(later < bound && later < exp);
            prop_assert!(now.wall < SystemTime::UNIX_EPOCH + seconds(NOW + exp));
        }
    }
}

#[tokio::test]
async fn invalidating_one_token_leaves_the_answers_about_others_alone() {
    let server = Server::new(good());
    let api = Api::new(&server);
    for n in 0..50 {
        assert_eq!(api.status("t1").await, 200);
        api.validator.invalidate(&format!("another-{n}"));
    }
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn all_tokens_of_a_subject_are_asked_about_anew_once_it_is_cut_off_and_those_of_others_are_not() {
    let server = Server::new(good_but("sub", json!("alice")));
    let api = Api::new(&server);
    assert_eq!((api.status("a1").await, api.status("a2").await), (200, 200));
    server.says(good_but("sub", json!("bob")));
    assert_eq!(api.status("b1").await, 200);
    server.says(json!({ "active": false }));
    api.validator.invalidate_subject("alice");
    assert_eq!((api.status("a1").await, api.status("a2").await), (401, 401));
    assert_eq!(api.status("b1").await, 200);
    // A token that is issued afterwards is remembered as ever.
    server.says(good_but("sub", json!("alice")));
    assert_eq!((api.status("a3").await, api.status("a3").await), (200, 200));
    assert_eq!(server.calls(), 6);
}

#[tokio::test]
async fn all_tokens_of_a_session_are_asked_about_anew_once_it_is_cut_off() {
    let server = Server::new(good_but("sid", json!("s1")));
    let api = Api::new(&server);
    assert_eq!((api.status("t1").await, api.status("t2").await), (200, 200));
    server.says(json!({ "active": false }));
    api.validator.invalidate_session("s2");
    assert_eq!(api.status("t1").await, 200);
    api.validator.invalidate_session("s1");
    assert_eq!((api.status("t1").await, api.status("t2").await), (401, 401));
}

#[tokio::test]
async fn an_answer_on_its_way_when_its_subject_is_cut_off_lets_nobody_in() {
    let server = Server::new(good_but("sub", json!("alice")));
    server.hold();
    let api = Api::new(&server);
    let early = tokio::spawn({
        let api = api.clone();
        async move { api.status("t1").await }
    });
    server.until_asked(1).await;
    api.validator.invalidate_subject("alice");
    server.release(1);
    assert_eq!(early.await.unwrap(), 503);
    server.release(1);
    assert_eq!(api.status("t1").await, 200);
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn no_old_answer_stands_in_for_who_was_cut_off() {
    let server = Server::new(good_but("sub", json!("alice")));
    let api = Api::with(&server, |validator| {
        validator.stale_if_error(Duration::from_secs(600)).unwrap()
    });
    assert_eq!(api.status("t1").await, 200);
    server.goes_down();
    api.clock.advance(61);
    assert_eq!(api.status("t1").await, 200);
    api.validator.invalidate_subject("alice");
    assert_eq!(api.status("t1").await, 503);
}

#[tokio::test]
async fn when_more_are_cut_off_than_are_kept_apart_everybody_is_asked_about_anew() {
    let server = Server::new(good_but("sub", json!("alice")));
    let api = Api::new(&server);
    for n in 0..10_000 {
        api.validator.invalidate_subject(n.to_string());
    }
    assert_eq!((api.status("t1").await, api.status("t1").await), (200, 200));
    assert_eq!(server.calls(), 1);
    api.validator.invalidate_subject("one more");
    assert_eq!((api.status("t1").await, server.calls()), (200, 2));
}
