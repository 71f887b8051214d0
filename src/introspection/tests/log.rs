//! What is told to the log.

use super::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_warning_is_given_once_when_every_token_was_inactive() {
    let log = Log::default();
    let _listening = log.listen();
    let api = Api::new(&Server::new(json!({ "active": false })));
    let warnings = || log.text().matches("almost always a misconfiguration").count();
    for token in 0..9 {
        api.status(&format!("t{token}")).await;
    }
    assert_eq!(warnings(), 0);
    for token in 9..40 {
        api.status(&format!("t{token}")).await;
    }
    assert_eq!(warnings(), 1);
}

#[tokio::test]
async fn no_warning_is_given_when_any_token_was_active() {
    let log = Log::default();
    let _listening = log.listen();
    let server = Server::new(good());
    let api = Api::new(&server);
    api.status("t").await;
    server.says(json!({ "active": false }));
    for token in 0..40 {
        api.status(&format!("t{token}")).await;
    }
    assert!(!log.text().contains("almost always a misconfiguration"));
}

#[tokio::test]
async fn neither_token_nor_secret_is_in_logs_or_debug_forms() {
    let log = Log::default();
    let _listening = log.listen();
    let server = Server::new(good());
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::post("api", "s3cret-s3cret"), API).unwrap();
    let api = Api::of(validator.fetch(server.clone()));
    let mut shown = String::new();
    for answer in [good(), json!({ "active": false }), json!({})] {
        server.says(answer);
        api.validator.invalidate("t0ken-t0ken");
        shown += &format!("{:?}", api.present("t0ken-t0ken").await);
    }
    server.answers(|_| Ok(with_status(401, "{}")));
    shown += &format!("{:?} {:?}", api.present("t0ken-t0ken-2").await, api.validator);
    shown += &log.text();
    assert!(
        shown.contains("401") && !shown.contains("t0ken-t0ken") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn every_turn_of_an_outage_is_told_by_its_name_and_each_once() {
    let log = Log::default();
    let _listening = log.listen();
    let server = Server::new(good());
    let api = Api::with(&server, |validator| {
        validator.stale_if_error(Duration::from_secs(600)).unwrap()
    });
    let told = |event: &str| log.text().matches(&format!("event=\"{event}\"")).count();
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(50_000);
    server.goes_down();
    // 54 s: whichever part of the time is this token's, it is over.
    api.clock.advance(4_000);
    assert_eq!(api.status("t1").await, 200);
    settle().await;
    assert_eq!(
        (told("refresh_failed"), told("breaker_opened"), told("stale_served")),
        (1, 0, 0)
    );
    api.clock.advance(6_000);
    for _ in 0..20 {
        assert_eq!(api.status("t1").await, 200);
    }
    assert_eq!((told("breaker_opened"), told("stale_served")), (1, 20));
    let text = log.text();
    let opened = text.lines().find(|line| line.contains("breaker_opened")).unwrap();
    assert!(opened.contains("WARN") && opened.contains("why=\"failed\"") && opened.contains("milliseconds="));
    assert!(opened.contains("asked=\"https://as.example/introspect\""), "{opened}");
    let warnings = text
        .lines()
        .filter(|line| line.contains("stale_served") && line.contains("WARN"));
    assert_eq!(warnings.count(), 1);
    server.says(good());
    api.clock.advance(1_000);
    assert_eq!(api.status("t1").await, 200);
    settle().await;
    assert_eq!((told("breaker_probing"), told("breaker_closed")), (1, 1));
    // The next outage is a new one, and is told again.
    server.goes_down();
    api.clock.advance(60_000);
    assert_eq!(api.status("t1").await, 200);
    let text = log.text();
    let warnings = text
        .lines()
        .filter(|line| line.contains("stale_served") && line.contains("WARN"));
    assert_eq!(warnings.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn neither_token_nor_secret_is_in_what_is_told_of_an_outage() {
    let log = Log::default();
    let _listening = log.listen();
    let server = Server::new(good());
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::post("api", "s3cret-s3cret"), API).unwrap();
    let validator = validator.stale_if_error(Duration::from_secs(600)).unwrap();
    let api = Api::of(validator.fetch(server.clone()));
    let mut shown = String::new();
    assert_eq!(api.status("t0ken-t0ken").await, 200);
    server.answers(|_| Err(FetchError::connection("refused")));
    for _ in 0..10 {
        api.clock.advance(55_000);
        for token in ["t0ken-t0ken", "t0ken-t0ken-2"] {
            shown += &format!("{:?}", api.present(token).await);
        }
        settle().await;
    }
    shown += &format!("{:?} {}", api.validator, log.text());
    for event in ["call_ended", "call_shed", "retried", "breaker_opened", "stale_served"] {
        assert!(shown.contains(event), "{event}");
    }
    assert!(!shown.contains("t0ken-t0ken") && !shown.contains("s3cret"), "{shown}");
}
