//! What stands in for an answer that cannot be had.

use super::*;

/// Fresh for a minute, and ten more while the server cannot be asked.
fn bridging(server: &Server) -> Api {
    Api::with(server, |validator| {
        validator.stale_if_error(Duration::from_secs(600)).unwrap()
    })
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_an_old_answer_is_used_up_to_its_bound_and_says_that_it_is_old() {
    let server = Server::new(good());
    let api = bridging(&server);
    assert!(!api.present("t1").await.unwrap().is_stale());
    server.goes_down();
    api.clock.advance(60_000);
    let token = api.present("t1").await.unwrap();
    assert_eq!((token.is_stale(), token.age()), (true, Duration::from_secs(60)));
    api.clock.advance(599_999);
    assert!(api.present("t1").await.unwrap().is_stale());
    api.clock.advance(1);
    assert_eq!(api.status("t1").await, 503);
    server.says(good());
    api.clock.advance(60_000);
    assert!(!api.present("t1").await.unwrap().is_stale());
}

#[tokio::test(start_paused = true)]
async fn unless_it_is_allowed_no_old_answer_is_used() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    server.goes_down();
    api.clock.advance(60_000);
    assert_eq!(api.status("t1").await, 503);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_never_seen_is_a_503_in_an_outage() {
    let server = Server::new(good());
    let api = bridging(&server);
    assert_eq!(api.status("t1").await, 200);
    server.goes_down();
    assert_eq!(api.status("t2").await, 503);
}

#[tokio::test(start_paused = true)]
async fn no_old_answer_is_used_beyond_the_exp_of_the_token() {
    let server = Server::new(good_but("exp", json!(NOW + 100)));
    let api = bridging(&server);
    assert_eq!(api.status("t1").await, 200);
    server.goes_down();
    api.clock.advance(99_999);
    assert!(api.present("t1").await.unwrap().is_stale());
    api.clock.advance(1);
    assert_eq!(api.status("t1").await, 503);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_back_lengthens_neither_the_bound_nor_the_life_of_an_old_answer() {
    for (exp, until) in [(3600, 660), (100, 100)] {
        let server = Server::new(good_but("exp", json!(NOW + exp)));
        let api = bridging(&server);
        assert_eq!(api.status("t1").await, 200);
        server.goes_down();
        api.clock.advance(until * 1000 - 1);
        api.clock.set_wall_back(until);
        assert_eq!(api.status("t1").await, 200);
        api.clock.advance(1);
        assert_eq!(api.status("t1").await, 503);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_was_seen_no_older_answer_is_used() {
    for refusals in [5, 0] {
        let server = Server::new(good());
        let api = Api::with(&server, |validator| {
            let validator = validator.stale_if_error(Duration::from_secs(600)).unwrap();
            validator.remember_refusals_for(Duration::from_secs(refusals)).unwrap()
        });
        assert_eq!(api.status("t1").await, 200);
        api.clock.advance(60_000);
        server.says(json!({ "active": false }));
        assert_eq!(api.status("t1").await, 401);
        server.goes_down();
        api.clock.advance(5_000);
        assert_eq!(api.status("t1").await, 503);
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_answer_that_arrives_after_a_later_refusal_is_not_remembered() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| {
        let validator = validator.stale_if_error(Duration::from_secs(600)).unwrap();
        validator.remember_refusals_for(Duration::ZERO).unwrap()
    });
    let inner = &api.validator.inner;
    let digest = TokenDigest::of("t1").unwrap();
    let (epoch, asked) = (inner.remembered.epoch(&digest), api.clock.now());
    api.clock.advance(10);
    let refusal = Err(Rejection::invalid_token(Reason::Inactive, "revoked"));
    inner.remembered.remember(digest, &refusal, api.clock.now(), epoch);
    let late = CurrentToken::vouch_for(&json!({ "sub": "alice" }));
    inner.remembered.remember(digest, &late, asked, epoch);
    server.goes_down();
    assert_eq!(api.status("t1").await, 503);
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_token_has_no_old_answer() {
    let server = Server::new(good());
    let api = bridging(&server);
    assert_eq!(api.status("t1").await, 200);
    server.goes_down();
    api.clock.advance(60_000);
    assert_eq!(api.status("t1").await, 200);
    api.validator.invalidate("t1");
    assert_eq!(api.status("t1").await, 503);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_back_while_a_request_waits_is_not_used_in_the_end() {
    let server = Server::new(good());
    let api = bridging(&server);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(60_000);
    server.goes_down();
    server.hold();
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { api.status("t1").await }
    });
    server.until_asked(2).await;
    api.validator.invalidate("t1");
    server.release(1);
    assert_eq!(waiting.await.unwrap(), 503);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_stands_in_for_what_is_no_answer() {
    let html = || {
        let mut response = ok("{}");
        let media_type = "text/html".parse().unwrap();
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    };
    let outages: Vec<Box<Handler>> = vec![
        Box::new(|_| Err(FetchError::connection("refused"))),
        Box::new(|_| Err(FetchError::new("the connection broke"))),
        Box::new(|_| Ok(with_status(500, "{}"))),
        Box::new(|_| Ok(with_status(502, "{}"))),
        Box::new(|_| Ok(with_status(503, "{}"))),
        Box::new(|_| Ok(with_status(429, "{}"))),
        Box::new(|_| Ok(with_status(408, "{}"))),
        Box::new(|_| Ok(ok(&good().to_string()[..40]))),
        Box::new(|_| Ok(ok(""))),
        Box::new(move |_| Ok(html())),
    ];
    for (case, outage) in outages.into_iter().enumerate() {
        let server = Server::new(good());
        let api = bridging(&server);
        assert_eq!(api.status("t1").await, 200);
        server.answers(outage);
        api.clock.advance(60_000);
        assert!(api.present("t1").await.is_ok_and(|token| token.is_stale()), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_stands_in_for_nothing_that_the_server_says() {
    let repeated = r#"{"active":false,"active":true,"sub":"a"}"#;
    let answers: Vec<(Box<Handler>, u16)> = vec![
        (Box::new(|_| Ok(ok(r#"{"active":false}"#))), 401),
        (Box::new(|_| Ok(ok(&good_but("aud", json!("other")).to_string()))), 401),
        (Box::new(|_| Ok(with_status(400, "{}"))), 500),
        (Box::new(|_| Ok(with_status(401, "{}"))), 500),
        (Box::new(|_| Ok(with_status(403, "{}"))), 500),
        (Box::new(|_| Ok(with_status(404, "{}"))), 503),
        (Box::new(|_| Ok(with_status(302, "{}"))), 503),
        (Box::new(|_| Ok(ok("{}"))), 503),
        (Box::new(|_| Ok(ok(r#"{"active":"true"}"#))), 503),
        (Box::new(|_| Ok(ok(repeated))), 503),
        (Box::new(|_| Ok(ok(&good_but("exp", json!("soon")).to_string()))), 503),
        (Box::new(|_| Ok(ok(&" ".repeat(65_537)))), 503),
    ];
    for (case, (answer, status)) in answers.into_iter().enumerate() {
        let server = Server::new(good());
        let api = bridging(&server);
        assert_eq!(api.status("t1").await, 200);
        server.answers(answer);
        api.clock.advance(60_000);
        assert_eq!(api.status("t1").await, status, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_call_that_fails_get_the_old_answer_from_that_one_call() {
    let server = Server::new(good());
    let api = bridging(&server);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(60_000);
    server.goes_down();
    server.hold();
    let wait = |_| {
        let api = api.clone();
        tokio::spawn(async move { api.present("t1").await.map(|token| token.is_stale()).ok() })
    };
    let waiters: Vec<_> = (0..50).map(wait).collect();
    server.until_asked(2).await;
    settle().await;
    server.release(10);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Some(true));
    }
    assert_eq!(server.calls(), 2);
}

#[test]
fn an_old_answer_may_stand_in_for_an_hour_at_the_most() {
    let validator = || IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), API).unwrap();
    assert!(validator().stale_if_error(Duration::from_secs(3600)).is_ok());
    let error = validator().stale_if_error(Duration::from_secs(3601)).unwrap_err();
    assert_eq!(error.option(), "stale_if_error");
}
