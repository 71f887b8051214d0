//! The process is killed between any two steps.
//!
//! A process of its own carries out one operation, and aborts at its n-th step: a look into the store, a change of it before
//! and after it has happened, and what the list of revocations is told likewise. What it has answered it has written out.
//! Then another process opens the same store, for every n until the operation gets through.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use resource_protector::{MemoryRevocationList, SystemClock};
use resource_protector_issuer::{
    CodeExchange, IssuedTokens, KeyRing, RefreshRequest, TokenError, TokenErrorKind, store::PostgresStore,
};
use serde_json::{Value, json};

use super::{AnyStore, Countdown, Hooked, Node, Setup, VERIFIER, refresh_token, request};
use crate::{
    servers::{killed_after, postgres_schema},
    support::terms,
};

/// Tells a process that it is the one to be killed, and what it has to do.
const ORDER: &str = "FAULTS_ORDER";

const GRACE: Duration = Duration::from_secs(300);

/// What a process carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Issue,
    Refresh,
    Redeem,
    Logout,
    LogoutEverywhere,
    Revoke,
}

impl Operation {
    fn parse(name: &str) -> Self {
        let all = [
            Self::Issue,
            Self::Refresh,
            Self::Redeem,
            Self::Logout,
            Self::LogoutEverywhere,
            Self::Revoke,
        ];
        all.into_iter().find(|one| format!("{one:?}") == name).unwrap()
    }

    async fn carry_out(self, node: &Node, on: &str) -> Result<Option<IssuedTokens>, TokenError> {
        let issuer = &node.issuer;
        match self {
            Self::Issue => issuer.issue(request(on)).await.map(Some),
            Self::Refresh => issuer.refresh(RefreshRequest::new(on, "app")).await.map(Some),
            Self::Redeem => issuer
                .redeem_code(CodeExchange::new(on, "app", VERIFIER))
                .await
                .map(Some),
            Self::Logout => issuer.logout(on).await.map(|()| None),
            Self::LogoutEverywhere => issuer.logout_everywhere(on).await.map(|()| None),
            Self::Revoke => issuer.revoke(on, "app").await.map(|()| None),
        }
    }
}

/// What another process has answered before it was gone.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It was killed before.
    None,
    Tokens {
        access_token: String,
        refresh_token: String,
    },
    Done,
    Refused(String),
}

/// A database, and the file of the keys that all processes have.
struct Place {
    /// The path of a file, or a URL.
    database: String,
    /// A file is opened anew each time. A server does not notice whether a connection is new, but it costs time.
    connected: Option<AnyStore>,
    keys: PathBuf,
    /// The name of this test, by which another process finds it.
    test: &'static str,
    is_opaque: bool,
    grace: Duration,
}

impl Place {
    async fn store(database: &str) -> AnyStore {
        match database.starts_with("postgres") {
            true => AnyStore::Postgres(PostgresStore::connect(database).await.unwrap()),
            false => {
                let store = resource_protector_issuer::store::SqliteStore::open(database).await;
                AnyStore::Sqlite(store.unwrap())
            }
        }
    }

    fn setup(&self) -> Setup {
        let keys = KeyRing::open(&self.keys, resource_protector::Algorithm::ES256).unwrap();
        let setup = match self.is_opaque {
            true => Setup::opaque(),
            false => Setup::jwt(keys),
        };
        setup.grace(self.grace)
    }

    fn order(&self, operation: &str, on: &str, kill_at: usize) -> String {
        let order = json!({
            "database": self.database,
            "keys": self.keys,
            "opaque": self.is_opaque,
            "grace": self.grace.as_secs(),
            "operation": operation,
            "on": on,
            "kill_at": kill_at,
        });
        order.to_string()
    }

    /// A process that has just started.
    async fn open(&self) -> Node {
        let store = match &self.connected {
            Some(store) => store.clone(),
            None => Self::store(&self.database).await,
        };
        self.setup().start(store, SystemClock).await
    }

    /// Has another process carry this out, and kills it at a step, counted from 1.
    fn run(&self, operation: Operation, on: &str, kill_at: usize) -> Answer {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", self.test, "--nocapture"])
            .env(ORDER, self.order(&format!("{operation:?}"), on, kill_at))
            .output()
            .unwrap();
        let written = String::from_utf8(output.stdout).unwrap();
        let mut answers = written.lines().filter_map(|line| line.strip_prefix("answer:"));
        let answer = match answers.next().map(|answer| answer.split(' ').collect::<Vec<_>>()) {
            None => Answer::None,
            Some(words) => match words[..] {
                ["tokens", access_token, refresh_token] => Answer::Tokens {
                    access_token: access_token.to_owned(),
                    refresh_token: refresh_token.to_owned(),
                },
                ["done"] => Answer::Done,
                ["refused", code] => Answer::Refused(code.to_owned()),
                _ => panic!("{written}"),
            },
        };
        // Either it has answered, or it was killed.
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), answer != Answer::None, "{written}{said}");
        assert!(!said.contains("panicked"), "{said}");
        answer
    }
}

/// Carries out what this process was told to, if it was, and says whether it was.
async fn was_ordered() -> bool {
    let Ok(order) = env::var(ORDER) else { return false };
    let order: Value = serde_json::from_str(&order).unwrap();
    let text = |name: &str| order[name].as_str().unwrap().to_owned();
    let place = Place {
        database: text("database"),
        connected: None,
        keys: text("keys").into(),
        test: "",
        is_opaque: order["opaque"].as_bool().unwrap(),
        grace: Duration::from_secs(order["grace"].as_u64().unwrap()),
    };
    let killing = Countdown::default();
    let hook = {
        let killing = killing.clone();
        move |_| {
            if killing.is_over() {
                std::process::abort();
            }
            std::future::ready(Ok(()))
        }
    };
    let store = Hooked::new(Place::store(&place.database).await, hook.clone());
    let list = MemoryRevocationList::new(terms());
    let told = Hooked::new(list.clone(), hook);
    let node = place.setup().start_with(store, SystemClock, told, list).await;
    killing.set(order["kill_at"].as_u64().unwrap().try_into().unwrap());
    let on = text("on");
    if text("operation") == "Rotate" {
        rotate(&node, &on).await;
    }
    // A line of its own, whatever the test runner has begun.
    match Operation::parse(&text("operation")).carry_out(&node, &on).await {
        Ok(Some(tokens)) => println!("\nanswer:tokens {} {}", tokens.access_token(), refresh_token(&tokens)),
        Ok(None) => println!("\nanswer:done"),
        Err(error) => println!("\nanswer:refused {}", error.kind().code()),
    }
    true
}

/// Exchanges one refresh token for the next without end.
async fn rotate(node: &Node, on: &str) -> ! {
    let mut refresh_token = on.to_owned();
    loop {
        let tokens = node.refresh(&refresh_token).await.unwrap();
        refresh_token = super::refresh_token(&tokens).to_owned();
        println!("\nanswer:tokens {} {refresh_token}", tokens.access_token());
    }
}

/// Nothing had happened up to some step, and all from there on.
fn assert_at_once(has_happened: &[bool], what: &str) {
    assert!(has_happened.len() > 3, "{what}: {has_happened:?}");
    assert!(has_happened.is_sorted(), "{what}: {has_happened:?}");
    assert!(!has_happened[0] && has_happened[has_happened.len() - 1], "{what}");
}

/// Tokens that were answered are good whenever the next process is killed.
async fn issuing(place: &Place) {
    let node = place.open().await;
    for step in 1.. {
        let before = node.issue("ina").await;
        let answer = place.run(Operation::Issue, "ina", step);
        let node = place.open().await;
        assert!(node.are_good(before.access_token(), refresh_token(&before)).await);
        if let Answer::Tokens {
            access_token,
            refresh_token,
        } = answer
        {
            assert!(node.are_good(&access_token, &refresh_token).await);
            assert!(node.refresh(&refresh_token).await.is_ok());
            assert!(step > 3);
            return;
        }
        assert_eq!(answer, Answer::None);
    }
}

/// With a grace window, who got no answer comes again and goes on.
async fn refreshing_with_grace(place: &Place) {
    let node = place.open().await;
    for step in 1.. {
        let before = node.issue("rosa").await;
        let answer = place.run(Operation::Refresh, refresh_token(&before), step);
        let node = place.open().await;
        assert!(node.is_good(before.access_token()).await);
        if let Answer::Tokens {
            access_token,
            refresh_token,
        } = &answer
        {
            assert!(node.are_good(access_token, refresh_token).await);
            assert!(node.refresh(refresh_token).await.is_ok());
        }
        let next = node.refresh(refresh_token(&before)).await;
        match answer {
            // Its successor was exchanged, too. Both cannot be lost answers.
            Answer::Tokens { .. } => {
                assert_eq!(next.unwrap_err(), TokenErrorKind::InvalidGrant);
                assert!(step > 3);
                return;
            }
            Answer::None => {
                let next = next.unwrap();
                assert!(node.are_good(next.access_token(), refresh_token(&next)).await);
                assert!(node.is_good(before.access_token()).await);
                assert!(node.refresh(refresh_token(&next)).await.is_ok());
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Without one, a token whose exchange was not answered is good until the exchange has happened; from then on it is a
/// token that comes again, whoever brings it, and ends the session (RFC 9700 §4.14.2).
async fn refreshing_without_grace(place: &Place) {
    let node = place.open().await;
    let mut has_happened = Vec::new();
    for step in 1.. {
        let before = node.issue("rita").await;
        let answer = place.run(Operation::Refresh, refresh_token(&before), step);
        let node = place.open().await;
        assert!(node.is_good(before.access_token()).await);
        if let Answer::Tokens {
            access_token,
            refresh_token,
        } = &answer
        {
            assert!(node.are_good(access_token, refresh_token).await);
            assert!(node.refresh(refresh_token).await.is_ok());
            return assert_at_once(&has_happened, "refreshing");
        }
        assert_eq!(answer, Answer::None);
        match node.refresh(refresh_token(&before)).await {
            Ok(next) => {
                assert!(node.are_good(next.access_token(), refresh_token(&next)).await);
                assert!(node.is_good(before.access_token()).await);
                has_happened.push(false);
            }
            Err(kind) => {
                assert_eq!(kind, TokenErrorKind::InvalidGrant);
                assert!(!node.are_good(before.access_token(), refresh_token(&before)).await);
                has_happened.push(true);
            }
        }
    }
}

/// A code whose exchange was not answered is good until the exchange has happened; from then on it was used, and whoever
/// comes with it ends the session that it began (RFC 6749 §4.1.2).
async fn redeeming(place: &Place) {
    let node = place.open().await;
    let mut has_happened = Vec::new();
    for step in 1.. {
        let before = node.issue("cora").await;
        let code = node.code("cora").await;
        let answer = place.run(Operation::Redeem, &code, step);
        let node = place.open().await;
        assert!(node.are_good(before.access_token(), refresh_token(&before)).await);
        if let Answer::Tokens {
            access_token,
            refresh_token,
        } = &answer
        {
            assert!(node.are_good(access_token, refresh_token).await);
            let next = node.refresh(refresh_token).await.unwrap();
            assert_eq!(node.redeem(&code).await.unwrap_err(), TokenErrorKind::InvalidGrant);
            assert!(!node.is_good(next.access_token()).await && !node.is_good(access_token).await);
            return assert_at_once(&has_happened, "redeeming");
        }
        assert_eq!(answer, Answer::None);
        match node.redeem(&code).await {
            Ok(tokens) => {
                assert!(node.are_good(tokens.access_token(), refresh_token(&tokens)).await);
                has_happened.push(false);
            }
            Err(kind) => {
                assert_eq!(kind, TokenErrorKind::InvalidGrant);
                has_happened.push(true);
            }
        }
    }
}

/// Whatever ends a session ends all of it at once, and once it was answered it stays so; who got no answer does it again.
async fn ending(place: &Place, what: &str) {
    let node = place.open().await;
    let mut has_happened = Vec::new();
    for step in 1.. {
        let subject = format!("{what} {step}");
        let (mut tokens, other) = (node.issue(&subject).await, node.issue(&subject).await);
        let somebody = node.issue("somebody").await;
        let (operation, on) = match what {
            "logging out" => (Operation::Logout, tokens.access_token().to_owned()),
            "logging out by refresh token" => (Operation::Logout, refresh_token(&tokens).to_owned()),
            "logging out everywhere" => (Operation::LogoutEverywhere, subject.clone()),
            "revoking" => (Operation::Revoke, refresh_token(&tokens).to_owned()),
            "reusing" => {
                let old = refresh_token(&tokens).to_owned();
                tokens = node.refresh(&old).await.unwrap();
                (Operation::Refresh, old)
            }
            other => panic!("{other}"),
        };
        let answer = place.run(operation, &on, step);
        let node = place.open().await;
        let is_good = node.are_good(tokens.access_token(), refresh_token(&tokens)).await;
        let reaches_other = operation == Operation::LogoutEverywhere;
        let is_other_good = node.are_good(other.access_token(), refresh_token(&other)).await;
        assert_eq!(is_other_good, is_good || !reaches_other);
        match &answer {
            Answer::None => {
                let again = operation.carry_out(&node, &on).await;
                assert_eq!(again.is_err(), what == "reusing");
            }
            Answer::Done => assert!(!is_good && what != "reusing"),
            Answer::Refused(code) => assert!(!is_good && what == "reusing" && code == "invalid_grant"),
            Answer::Tokens { .. } => panic!("{what}"),
        }
        // In the process that did it again, and in one that starts afterwards.
        for node in [&node, &place.open().await] {
            assert!(!node.are_good(tokens.access_token(), refresh_token(&tokens)).await);
            assert_eq!(
                node.refresh(refresh_token(&tokens)).await.unwrap_err(),
                TokenErrorKind::InvalidGrant
            );
            let is_other_good = node.are_good(other.access_token(), refresh_token(&other)).await;
            assert_eq!(is_other_good, !reaches_other);
            assert!(node.are_good(somebody.access_token(), refresh_token(&somebody)).await);
            let new = node.issue(&subject).await;
            assert!(node.are_good(new.access_token(), refresh_token(&new)).await);
        }
        has_happened.push(!is_good);
        if answer != Answer::None {
            return assert_at_once(&has_happened, what);
        }
    }
}

/// An access token is revoked alone.
async fn revoking_an_access_token(place: &Place) {
    let node = place.open().await;
    let mut has_happened = Vec::new();
    for step in 1.. {
        let tokens = node.issue("anna").await;
        let answer = place.run(Operation::Revoke, tokens.access_token(), step);
        let node = place.open().await;
        has_happened.push(!node.is_good(tokens.access_token()).await);
        if answer == Answer::None {
            node.issuer.revoke(tokens.access_token(), "app").await.unwrap();
        } else {
            assert_eq!((&answer, has_happened.last()), (&Answer::Done, Some(&true)));
        }
        for node in [&node, &place.open().await] {
            assert!(!node.is_good(tokens.access_token()).await);
        }
        assert!(node.refresh(refresh_token(&tokens)).await.is_ok());
        if answer != Answer::None {
            return assert_at_once(&has_happened, "revoking an access token");
        }
    }
}

/// Killed from outside while it exchanges one refresh token after the other: also within a step.
async fn rotating_without_end(place: &Place) {
    let node = place.open().await;
    for lines in [4, 5, 9, 16] {
        let tokens = node.issue("ruth").await;
        let order = place.order("Rotate", refresh_token(&tokens), 0);
        let written = killed_after(lines, place.test, ORDER, &order);
        let answers: Vec<Vec<&str>> = written
            .iter()
            .filter_map(|line| line.strip_prefix("answer:tokens "))
            .map(|answer| answer.split(' ').collect())
            .collect();
        let node = place.open().await;
        for answer in &answers {
            assert!(node.is_good(answer[0]).await);
        }
        let next = node.refresh(answers[answers.len() - 1][1]).await.unwrap();
        assert!(node.refresh(refresh_token(&next)).await.is_ok());
    }
}

async fn at_every_step(database: &str, is_opaque: bool, test: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let is_server = database.starts_with("postgres");
    let mut place = Place {
        database: database.to_owned(),
        connected: match is_server {
            true => Some(Place::store(database).await),
            false => None,
        },
        keys: folder.path().join("keys.json"),
        test,
        is_opaque,
        grace: Duration::ZERO,
    };
    issuing(&place).await;
    refreshing_without_grace(&place).await;
    redeeming(&place).await;
    for what in [
        "logging out",
        "logging out by refresh token",
        "logging out everywhere",
        "revoking",
        "reusing",
    ] {
        ending(&place, what).await;
    }
    revoking_an_access_token(&place).await;
    place.grace = GRACE;
    refreshing_with_grace(&place).await;
    rotating_without_end(&place).await;
}

/// One test each, so that they run side by side.
macro_rules! killed_at_every_step {
    ($name:ident, $is_opaque:literal, $database:expr) => {
        #[tokio::test]
        async fn $name() {
            if was_ordered().await {
                return;
            }
            let folder = tempfile::tempdir().unwrap();
            let test = concat!("faults::killed::", stringify!($name));
            at_every_step(&$database(folder.path()).await, $is_opaque, test).await;
        }
    };
}

async fn file(folder: &Path) -> String {
    folder.join("tokens.sqlite").to_str().unwrap().to_owned()
}

async fn schema(_: &Path) -> String {
    postgres_schema().await
}

killed_at_every_step!(
    a_process_killed_at_any_step_loses_and_revives_no_jwt_in_sqlite,
    false,
    file
);
killed_at_every_step!(
    a_process_killed_at_any_step_loses_and_revives_no_opaque_token_in_sqlite,
    true,
    file
);
killed_at_every_step!(
    a_process_killed_at_any_step_loses_and_revives_no_jwt_in_postgresql,
    false,
    schema
);
killed_at_every_step!(
    a_process_killed_at_any_step_loses_and_revives_no_opaque_token_in_postgresql,
    true,
    schema
);
