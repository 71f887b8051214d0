//! How many calls are made, for whom, and how often.

use super::*;

/// Makes so many requests with tokens of their own, which hang at the server.
async fn hanging(api: &Api, server: &Server, name: &str, requests: usize) -> tokio::task::JoinSet<u16> {
    let before = server.calls();
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..requests {
        let (api, token) = (api.clone(), format!("{name}-{n}"));
        waiting.spawn(async move { api.status(&token).await });
    }
    server.until_asked(before + requests).await;
    waiting
}

async fn all(mut waiting: tokio::task::JoinSet<u16>, status: u16) {
    while let Some(found) = waiting.join_next().await {
        assert_eq!(found.unwrap(), status);
    }
}

#[tokio::test]
async fn no_more_than_192_calls_for_unknown_tokens_are_under_way_and_the_next_is_refused_at_once() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let waiting = hanging(&api, &server, "unknown", 192).await;
    let refused = api.present("one-too-many").await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Unavailable);
    server.release(192);
    all(waiting, 200).await;
    assert_eq!(server.calls(), 192);
    server.release(1);
    assert_eq!(api.status("one-too-many").await, 200);
}

#[tokio::test]
async fn known_tokens_find_a_place_when_unknown_ones_are_refused_and_no_more_than_all() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| validator.max_calls_in_flight(8).unwrap());
    for n in 0..3 {
        assert_eq!(api.status(&format!("known-{n}")).await, 200);
    }
    // Too old to be used, and not so old as to be forgotten.
    api.clock.advance(61_000);
    server.hold();
    let unknown = hanging(&api, &server, "unknown", 6).await;
    assert_eq!(api.status("another-unknown").await, 503);
    let known = hanging(&api, &server, "known", 2).await;
    assert_eq!(api.status("known-2").await, 503);
    server.release(8);
    all(unknown, 200).await;
    all(known, 200).await;
}

#[tokio::test]
async fn a_known_token_that_finds_no_place_is_bridged_by_its_old_answer() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| {
        let validator = validator.max_calls_in_flight(4).unwrap();
        validator.stale_if_error(Duration::from_secs(600)).unwrap()
    });
    for n in 0..5 {
        assert_eq!(api.status(&format!("known-{n}")).await, 200);
    }
    api.clock.advance(61_000);
    server.hold();
    let waiting = hanging(&api, &server, "known", 4).await;
    assert!(api.present("known-4").await.unwrap().is_stale());
    server.release(4);
    all(waiting, 200).await;
}

#[test]
fn the_number_of_calls_is_from_one_to_ten_thousand() {
    let validator = || IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), API).unwrap();
    for calls in [1, 10_000] {
        assert!(validator().max_calls_in_flight(calls).is_ok());
    }
    for calls in [0, 10_001] {
        let error = validator().max_calls_in_flight(calls).unwrap_err();
        assert_eq!(error.option(), "max_calls_in_flight");
    }
}

#[tokio::test]
async fn a_call_without_connection_is_made_once_more_and_no_other_is() {
    let answers: Vec<(Box<Handler>, usize)> = vec![
        (Box::new(|_| Err(FetchError::connection("refused"))), 2),
        (Box::new(|_| Err(FetchError::new("the connection broke"))), 1),
        (Box::new(|_| Ok(with_status(500, "{}"))), 1),
        (Box::new(|_| Ok(with_status(429, "{}"))), 1),
        (Box::new(|_| Ok(ok("{"))), 1),
    ];
    for (answer, calls) in answers {
        let server = Server::new(good());
        server.answers(answer);
        assert_eq!(Api::new(&server).status("t1").await, 503);
        assert_eq!(server.calls(), calls);
    }
}

#[tokio::test]
async fn a_second_try_that_finds_a_connection_is_as_good_as_a_first() {
    let server = Server::new(good());
    let calls = AtomicU32::new(0);
    server.answers(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err(FetchError::connection("refused")),
        _ => Ok(ok(&good().to_string())),
    });
    assert_eq!(Api::new(&server).status("t1").await, 200);
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn second_tries_are_ten_and_then_a_tenth_of_the_calls() {
    let server = Server::new(good());
    let api = Api::new(&server);
    // Every other call fails at first, so that the breaker stays closed.
    for n in 0..400 {
        server.says(good());
        assert_eq!(api.status(&format!("good-{n}")).await, 200);
        server.answers(|_| Err(FetchError::connection("refused")));
        assert_eq!(api.status(&format!("bad-{n}")).await, 503);
    }
    let second = server.calls() - 800;
    // By hand: 10 in store, 799 calls after that bring 79.9 more.
    assert_eq!(second, 89);
}

#[tokio::test(start_paused = true)]
async fn both_tries_share_one_timeout() {
    #[derive(Clone)]
    struct Slow(Arc<AtomicU32>);
    impl Fetch for Slow {
        async fn fetch(&self, _: Request<Bytes>, _: usize) -> Result<Response<Bytes>, FetchError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1500)).await;
            Err(FetchError::connection("no route"))
        }
    }
    let tries = Arc::new(AtomicU32::new(0));
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), API).unwrap();
    let api = Api::of(
        validator
            .timeout(Duration::from_secs(2))
            .unwrap()
            .fetch(Slow(tries.clone())),
    );
    let started = tokio::time::Instant::now();
    assert_eq!(api.status("t1").await, 503);
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}
