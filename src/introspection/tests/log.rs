//! What is told to the log.

use super::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
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
