//! A server that fails is left alone.

use super::*;

/// Fails for five tokens in a row.
async fn open(api: &Api, server: &Server) {
    server.goes_down();
    for n in 0..5 {
        assert_eq!(api.status(&format!("down-{n}")).await, 503);
    }
}

fn retry_after(status: u16, wait: &'static str) -> impl Fn(&Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
    move |_| {
        let mut response = with_status(status, "{}");
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, wait.parse().unwrap());
        Ok(response)
    }
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_in_a_row_the_server_is_not_asked_and_the_answer_is_immediate() {
    let server = Server::new(good());
    let api = Api::new(&server);
    open(&api, &server).await;
    assert_eq!(server.calls(), 5);
    for _ in 0..100 {
        assert_eq!(api.status_at_once("t1"), Some(503));
    }
    api.clock.advance(799);
    assert_eq!(api.status_at_once("t1"), Some(503));
    assert_eq!(server.calls(), 5);
    server.says(good());
    api.clock.advance(201);
    assert_eq!(api.status("t1").await, 200);
    assert_eq!(api.status("t2").await, 200);
}

#[tokio::test]
async fn while_it_is_open_nothing_needs_a_runtime() {
    let server = Server::new(good());
    let api = Api::new(&server);
    open(&api, &server).await;
    let (api, calls) = (api.clone(), server.calls());
    let status = std::thread::spawn(move || api.status_at_once("t1")).join().unwrap();
    assert_eq!((status, server.calls()), (Some(503), calls));
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_used_as_ever_while_it_is_open() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    open(&api, &server).await;
    assert_eq!(api.status_at_once("t1"), Some(200));
}

#[tokio::test(start_paused = true)]
async fn half_open_one_call_goes_out_and_the_others_are_refused_at_once() {
    let server = Server::new(good());
    let api = Api::new(&server);
    open(&api, &server).await;
    api.clock.advance(1_000);
    server.says(good());
    server.hold();
    let probe = tokio::spawn({
        let api = api.clone();
        async move { api.status("t1").await }
    });
    server.until_asked(6).await;
    for n in 0..50 {
        assert_eq!(api.status_at_once(&format!("t{n}")), Some(503));
    }
    assert_eq!(server.calls(), 6);
    server.release(1);
    assert_eq!(probe.await.unwrap(), 200);
    server.release(1);
    assert_eq!(api.status("t2").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_doubles_the_time() {
    let server = Server::new(good());
    let api = Api::new(&server);
    open(&api, &server).await;
    let mut wait = 1_000;
    for (probe, longest) in [2_000, 4_000, 8_000, 16_000, 30_000, 30_000].into_iter().enumerate() {
        api.clock.advance(wait);
        assert_eq!(api.status("t1").await, 503);
        assert_eq!(server.calls(), 6 + probe);
        let almost = longest * 79 / 100;
        api.clock.advance(almost);
        assert_eq!(api.status_at_once("t1"), Some(503), "{longest}");
        wait = longest - almost;
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_that_the_server_asks_for_is_kept_and_clients_are_told_what_is_left_of_it() {
    let server = Server::new(good());
    let api = Api::new(&server);
    server.answers(retry_after(503, "20"));
    assert_eq!(api.status("t1").await, 503);
    api.clock.advance(12_500);
    let layer = ResourceProtectorLayer::new(Arc::clone(&api.validator)).clock(api.clock.clone());
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) });
    let request = Request::get("/").header("authorization", "Bearer t2").body(()).unwrap();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), server.calls()), (503, 1));
    // 7.5 s, rounded up.
    assert_eq!(response.headers()[header::RETRY_AFTER], "8");
    server.says(good());
    api.clock.advance(7_499);
    assert_eq!(api.status_at_once("t2"), Some(503));
    api.clock.advance(1);
    assert_eq!(api.status("t2").await, 200);
}

#[tokio::test(start_paused = true)]
async fn one_busy_answer_that_names_a_time_stops_calls_until_that_time_is_over() {
    for status in [429, 503] {
        let server = Server::new(good());
        let api = Api::new(&server);
        server.answers(retry_after(status, "30"));
        assert_eq!(api.status("t1").await, 503);
        server.says(good());
        api.clock.advance(29_000);
        assert_eq!((api.status("t1").await, server.calls()), (503, 1), "{status}");
        api.clock.advance(1_000);
        assert_eq!((api.status("t1").await, server.calls()), (200, 2), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_server_can_ask_to_be_left_alone_for_more_than_a_minute() {
    let server = Server::new(good());
    let api = Api::new(&server);
    server.answers(retry_after(503, "86400"));
    assert_eq!(api.status("t1").await, 503);
    server.says(good());
    api.clock.advance(59_999);
    assert_eq!(api.status("t1").await, 503);
    api.clock.advance(1);
    assert_eq!(api.status("t1").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_that_names_no_time_counts_as_one_that_fails() {
    for status in [429, 503] {
        let server = Server::new(good());
        let api = Api::new(&server);
        server.answers(move |_| Ok(with_status(status, "{}")));
        for n in 0..20 {
            assert_eq!(api.status(&format!("t{n}")).await, 503);
        }
        assert_eq!(server.calls(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_any_kind_keep_it_closed() {
    let answers: Vec<Box<Handler>> = vec![
        Box::new(|_| Ok(ok(r#"{"active":false}"#))),
        Box::new(|_| Ok(with_status(400, "{}"))),
        Box::new(|_| Ok(with_status(401, "{}"))),
        Box::new(|_| Ok(with_status(403, "{}"))),
        Box::new(|_| Ok(with_status(404, "{}"))),
        Box::new(|_| Ok(ok("{}"))),
        // That the answer is long may be the doing of the token.
        Box::new(|_| Ok(ok(&" ".repeat(65_537)))),
    ];
    for answer in answers {
        let server = Server::new(good());
        let api = Api::new(&server);
        server.answers(answer);
        for n in 0..20 {
            api.status(&format!("t{n}")).await;
        }
        assert_eq!(server.calls(), 20);
    }
}

#[tokio::test(start_paused = true)]
async fn old_answers_are_used_at_once_while_it_is_open_and_the_probe_goes_out_beside_them() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| {
        validator.stale_if_error(Duration::from_secs(600)).unwrap()
    });
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(61_000);
    open(&api, &server).await;
    assert_eq!(api.status_at_once("t1"), Some(200));
    assert_eq!(server.calls(), 6);
    server.hold();
    server.says(good());
    api.clock.advance(1_000);
    // It is the probe, and does not wait for it.
    assert_eq!(api.status_at_once("t1"), Some(200));
    server.until_asked(7).await;
    assert_eq!(api.status_at_once("t1"), Some(200));
    server.release(1);
    settle().await;
    assert!(!api.present("t1").await.unwrap().is_stale());
    assert_eq!(server.calls(), 7);
}

#[tokio::test(start_paused = true)]
async fn who_joined_a_call_that_failed_makes_no_second_one_while_it_is_open() {
    let server = Server::new(good());
    let api = Api::new(&server);
    server.goes_down();
    server.hold();
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..100 {
        let api = api.clone();
        waiting.spawn(async move { api.status(&format!("t{}", n % 5)).await });
    }
    server.until_asked(5).await;
    settle().await;
    server.release(1000);
    while let Some(status) = waiting.join_next().await {
        assert_eq!(status.unwrap(), 503);
    }
    // Those who woke up before the fifth failure may have made another; nobody did after it.
    assert!(server.calls() <= 9, "{}", server.calls());
    let calls = server.calls();
    assert_eq!((api.status("t1").await, server.calls()), (503, calls));
}

#[tokio::test(start_paused = true)]
async fn the_time_is_counted_from_the_end_of_the_call_that_failed() {
    let server = Server::new(good());
    server.hold();
    let api = Api::with(&server, |validator| validator.timeout(Duration::from_secs(4)).unwrap());
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..5 {
        let api = api.clone();
        waiting.spawn(async move { api.status(&format!("t{n}")).await });
    }
    // Time passes by itself where everybody waits for the time-outs.
    while let Some(status) = waiting.join_next().await {
        assert_eq!(status.unwrap(), 503);
    }
    api.clock.advance(4_000);
    assert_eq!(api.status_at_once("t1"), Some(503));
    api.clock.advance(1_000);
    assert_eq!(api.status_at_once("t1"), None);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_be_discovered_is_paced_by_discovery_and_asked_once_it_is_found() {
    let server = Server::new(good());
    server.goes_down();
    let auth = ClientAuth::basic("api", "secret");
    let validator = IntrospectionValidator::discover("https://as.example", auth, API).unwrap();
    let api = Api::of(validator.fetch(server.clone()));
    let refused = api.validator.ready(api.clock.now()).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Unavailable);
    for n in 0..50 {
        assert_eq!(api.status(&format!("t{n}")).await, 503);
    }
    server.answers(|request| {
        let metadata = json!({ "issuer": "https://as.example", "introspection_endpoint": ENDPOINT });
        let is_question = request.method() == http::Method::POST;
        Ok(ok(&if is_question { good() } else { metadata }.to_string()))
    });
    api.clock.advance(1_000);
    assert!(api.validator.ready(api.clock.now()).await.is_ok());
    assert_eq!(api.status("t1").await, 200);
}

#[tokio::test]
async fn with_a_given_endpoint_it_is_ready_whether_the_server_is_up_or_not() {
    let server = Server::new(good());
    let api = Api::new(&server);
    open(&api, &server).await;
    assert!(api.validator.ready(api.clock.now()).await.is_ok());
    assert_eq!(server.calls(), 5);
}
