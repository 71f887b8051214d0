//! What is not an answer.

use super::*;

#[tokio::test]
async fn an_outage_is_a_503_and_never_remembered() {
    let server = Server::new(good());
    let api = Api::new(&server);
    let html = || {
        let mut response = ok(&good().to_string());
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, "text/html".parse().unwrap());
        response
    };
    let outages: Vec<Box<Handler>> = vec![
        Box::new(|_| Err(FetchError::new("connection refused"))),
        Box::new(|_| Ok(with_status(500, "{}"))),
        Box::new(|_| Ok(with_status(503, "{}"))),
        Box::new(|_| Ok(with_status(429, "{}"))),
        Box::new(|_| Ok(with_status(404, "{}"))),
        Box::new(|_| Ok(with_status(302, &good().to_string()))),
        Box::new(|_| Ok(with_status(201, &good().to_string()))),
        Box::new(move |_| Ok(html())),
        // One byte more than the 64 KiB that are read.
        Box::new(|_| {
            Ok(ok(&format!(
                "{}{}",
                good(),
                " ".repeat(65_537 - good().to_string().len())
            )))
        }),
    ];
    for (calls, outage) in outages.into_iter().enumerate() {
        server.answers(outage);
        assert_eq!(api.status("t1").await, 503, "{calls}");
        assert_eq!(server.calls(), calls + 1);
    }
    server.says(good());
    assert_eq!(api.status("t1").await, 200);
}

#[tokio::test]
async fn a_server_that_refuses_our_own_request_is_our_fault_and_not_a_401() {
    for status in [400, 401, 403] {
        let server = Server::new(json!({}));
        server.answers(move |_| Ok(with_status(status, r#"{"error":"invalid_client"}"#)));
        let api = Api::new(&server);
        let refused = api.present("t1").await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::Misconfigured);
        assert!(refused.detail().contains(&status.to_string()) && !refused.detail().contains("invalid_client"));
        // It may be the token's doing: one odd token does not become many calls.
        for _ in 0..10 {
            assert_eq!(api.status("t1").await, 500);
        }
        assert_eq!(server.calls(), 1);
        server.says(good());
        assert_eq!(api.status("t2").await, 200);
        api.clock.advance(5_000);
        assert_eq!(api.status("t1").await, 200);
    }
}

#[tokio::test]
async fn a_busy_server_tells_our_clients_when_to_come_again() {
    for (said, told) in [("7", "7"), ("soon", "1"), ("-1", "1"), ("99999999999", "3600")] {
        let server = Server::new(json!({}));
        server.answers(move |_| {
            let mut response = with_status(429, "{}");
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, said.parse().unwrap());
            Ok(response)
        });
        let api = Api::new(&server);
        let layer = ResourceProtectorLayer::new(Arc::clone(&api.validator)).clock(api.clock.clone());
        let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) });
        let request = Request::get("/").header("authorization", "Bearer t1").body(()).unwrap();
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_within_the_timeout_is_a_503() {
    let server = Server::new(good());
    server.hold();
    let started = tokio::time::Instant::now();
    let api = Api::with(&server, |validator| validator.timeout(Duration::from_secs(2)).unwrap());
    assert_eq!(api.status("t1").await, 503);
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[test]
fn outside_a_runtime_a_token_is_refused_and_nothing_panics() {
    let api = Api::new(&Server::new(good()));
    presented("t1", api.clock.now(), |presented| {
        let mut validate = std::pin::pin!(api.validator.validate(presented));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match validate.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(Err(refused)) => assert_eq!(refused.kind(), RejectionKind::Unavailable),
            other => panic!("{other:?}"),
        }
    });
}
