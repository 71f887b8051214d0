//! Keys that roll over by the upkeep alone, also of several processes on one file.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use resource_protector::{
    Algorithm, Clock as _, JwtValidator, MemoryRevocationList, ResourceProtectorLayer, testing::TestClock,
};
use resource_protector_issuer::{
    AccessTokens, KeyRing, TokenErrorKind, TokenIssuer, TokenRequest, endpoints::JwksEndpoint,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{API, Breakable, ISSUER, MINUTE, present, terms};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// A process with a ring of its own on the file of all.
struct Process {
    clock: TestClock,
    store: Breakable,
    keys: KeyRing,
    list: MemoryRevocationList,
    issuer: TokenIssuer,
}

impl Process {
    /// One that rolls over every day.
    async fn start(file: &Path, store: &Breakable, clock: &TestClock) -> Self {
        let keys = KeyRing::builder().roll_over_every(DAY);
        let keys = keys.open(file, Algorithm::ES256).unwrap();
        let list = MemoryRevocationList::new(terms()).clock(clock.clone());
        let access = AccessTokens::jwt(keys.clone(), list.clone()).unwrap();
        let builder = TokenIssuer::builder(ISSUER, API, store.clone(), access).unwrap();
        Self {
            clock: clock.clone(),
            store: store.clone(),
            keys,
            list,
            issuer: builder.clock(clock.clone()).open().await.unwrap(),
        }
    }

    async fn alone() -> (Self, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let process = Self::start(
            &folder.path().join("keys.json"),
            &Breakable::default(),
            &TestClock::new(),
        )
        .await;
        (process, folder)
    }

    /// A resource server that fetches the keys from this process.
    fn protector(&self) -> ResourceProtectorLayer {
        let endpoint = JwksEndpoint::new(self.keys.clone()).clock(self.clock.clone());
        let tokens = JwtValidator::with_jwks_uri(ISSUER, format!("{ISSUER}/jwks"), API).unwrap();
        ResourceProtectorLayer::new(tokens.fetch(endpoint))
            .revocation(self.list.clone())
            .clock(self.clock.clone())
    }

    async fn token(&self) -> String {
        let issued = self.issuer.issue(TokenRequest::for_subject("app", "alice")).await;
        issued.unwrap().access_token().to_owned()
    }

    fn published(&self) -> Vec<String> {
        kids(&self.keys, self.clock.now().wall)
    }
}

fn kids(keys: &KeyRing, now: SystemTime) -> Vec<String> {
    let set: Value = serde_json::from_slice(&keys.jwks(now)).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn signed_by(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

#[tokio::test]
async fn by_upkeep_alone_a_key_is_published_when_its_time_has_come_signs_later_and_no_good_token_is_refused() {
    let (process, _folder) = Process::alone().await;
    let (clock, issuer) = (&process.clock, &process.issuer);
    let protector = process.protector();
    issuer.upkeep().await.unwrap();
    let first = process.published();
    assert!(present(&protector, &process.token().await).await.is_ok());

    clock.advance(DAY - SECOND);
    issuer.upkeep().await.unwrap();
    assert_eq!(process.published(), first);

    clock.advance(SECOND);
    issuer.upkeep().await.unwrap();
    let both = process.published();
    assert_eq!((both.len(), &both[0]), (2, &first[0]));

    // One hour ahead.
    clock.advance(HOUR - SECOND);
    let last = process.token().await;
    assert_eq!(signed_by(&last), both[0]);
    clock.advance(SECOND);
    let next = process.token().await;
    assert_eq!(signed_by(&next), both[1]);

    // 10 min of life, less the second; and then the leeway.
    clock.advance(10 * MINUTE - SECOND - SECOND);
    issuer.upkeep().await.unwrap();
    for token in [&last, &next] {
        assert!(present(&protector, token).await.is_ok());
    }
    clock.advance(MINUTE);
    assert_eq!(present(&protector, &last).await.unwrap_err(), 401);

    // 24 h and 300 s after it signed for the last time.
    clock.advance(DAY);
    issuer.upkeep().await.unwrap();
    assert!(!process.published().contains(&both[0]));
    assert!(present(&protector, &process.token().await).await.is_ok());
}

#[tokio::test]
async fn what_one_process_rolls_over_the_others_publish_by_their_upkeep_and_verify() {
    let (one, folder) = Process::alone().await;
    let other = Process::start(&folder.path().join("keys.json"), &one.store, &one.clock).await;
    let protector = other.protector();
    one.issuer.upkeep().await.unwrap();
    one.clock.advance(DAY);
    one.issuer.upkeep().await.unwrap();
    assert_eq!((one.published().len(), other.published().len()), (2, 1));
    other.issuer.upkeep().await.unwrap();
    assert_eq!(other.published(), one.published());
    one.clock.advance(HOUR);
    for token in [one.token().await, other.token().await] {
        assert_eq!(signed_by(&token), one.published()[1]);
        assert!(present(&protector, &token).await.is_ok());
    }
}

#[tokio::test]
async fn who_replaces_compromised_keys_takes_them_from_the_other_processes_with_their_next_upkeep() {
    let (one, folder) = Process::alone().await;
    let other = Process::start(&folder.path().join("keys.json"), &one.store, &one.clock).await;
    let token = other.token().await;
    one.keys.replace_compromised(one.clock.now().wall).unwrap();
    other.issuer.upkeep().await.unwrap();
    assert_eq!(other.published(), one.published());
    assert_eq!(present(&other.protector(), &token).await.unwrap_err(), 401);
    assert!(present(&other.protector(), &other.token().await).await.is_ok());
}

/// A row that is over, and a revocation that this process has not told its list; what it has told says whether.
async fn with_work_to_do(process: &Process, file: &Path) -> String {
    let other = Process::start(file, &process.store, &process.clock).await;
    let expiring = TokenRequest::for_subject("app", "bob");
    process.issuer.issue(expiring).await.unwrap();
    process.clock.advance(90 * DAY + MINUTE);
    let token = process.token().await;
    other.issuer.logout(&token).await.unwrap();
    assert!(present(&process.protector(), &token).await.is_ok());
    token
}

#[tokio::test]
async fn a_file_of_keys_that_cannot_be_replaced_is_an_error_of_an_upkeep_that_does_the_rest() {
    let (process, folder) = Process::alone().await;
    let file = folder.path().join("keys.json");
    process.issuer.upkeep().await.unwrap();
    let token = with_work_to_do(&process, &file).await;
    let before = process.published();
    // Not even the superuser writes to a folder as to a file.
    fs::create_dir(folder.path().join("keys.json.new")).unwrap();
    let error = process.issuer.upkeep().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unavailable);
    let detail = error.detail();
    assert!(
        detail.starts_with("keys: the file ") && detail.contains(r#"keys.json" cannot be written: "#),
        "{detail}"
    );
    assert_eq!(present(&process.protector(), &token).await.unwrap_err(), 401);
    assert_eq!(process.issuer.delete_expired().await.unwrap(), 0);
    assert_eq!(process.published(), before);
    assert!(present(&process.protector(), &process.token().await).await.is_ok());
    // As soon as it can be replaced, it is.
    fs::remove_dir(folder.path().join("keys.json.new")).unwrap();
    process.issuer.upkeep().await.unwrap();
    assert_eq!(process.published().len(), 2);
}

#[tokio::test]
async fn an_upkeep_that_waits_for_the_lock_has_told_revocations_and_deleted_what_is_over() {
    let (process, folder) = Process::alone().await;
    let file = folder.path().join("keys.json");
    process.issuer.upkeep().await.unwrap();
    let token = with_work_to_do(&process, &file).await;
    let lock = OpenOptions::new()
        .write(true)
        .open(folder.path().join("keys.json.lock"))
        .unwrap();
    lock.lock().unwrap();
    let issuer = process.issuer.clone();
    let upkeep = tokio::spawn(async move { issuer.upkeep().await });
    while present(&process.protector(), &token).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(process.issuer.delete_expired().await.unwrap(), 0);
    assert!(!upkeep.is_finished());
    assert_eq!(process.published().len(), 1);
    lock.unlock().unwrap();
    upkeep.await.unwrap().unwrap();
    assert_eq!(process.published().len(), 2);
}

/// Tells a process of this test program what to do, and with which file of keys.
const ORDER: &str = "KEYS_ORDER";

/// Starts this test in a process of its own, to do this.
fn process(test: &str, order: &str, file: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(ORDER, format!("{order} {}", file.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// What this process has to do, if it was started to do something.
fn ordered() -> Option<(String, PathBuf)> {
    let order = env::var(ORDER).ok()?;
    let (order, file) = order.split_once(' ')?;
    Some((order.to_owned(), file.into()))
}

fn after(days: u32) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000) + days * DAY
}

fn open(file: &Path) -> KeyRing {
    let keys = KeyRing::builder().keep_retired(25 * DAY).roll_over_every(DAY);
    keys.open(file, Algorithm::ES256).unwrap()
}

#[test]
fn processes_that_do_the_upkeep_of_one_file_at_once_make_one_key_a_day_and_lose_none() {
    if let Some((_, file)) = ordered() {
        let keys = open(&file);
        for day in 0..=20 {
            keys.upkeep(after(day)).unwrap();
        }
        for kid in kids(&keys, after(20)) {
            println!("\nkid:{kid}");
        }
        return;
    }
    let test = "keys::processes_that_do_the_upkeep_of_one_file_at_once_make_one_key_a_day_and_lose_none";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let running: Vec<_> = (0..4)
        .map(|_| process(test, "upkeep", &file).spawn().unwrap())
        .collect();
    let found = kids(&open(&file), after(20));
    let mut seen = BTreeSet::from_iter(found);
    for process in running {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        let written = String::from_utf8(output.stdout).unwrap();
        let names: Vec<_> = written.lines().filter_map(|line| line.strip_prefix("kid:")).collect();
        assert_eq!(names.len(), 21);
        seen.extend(names.into_iter().map(str::to_owned));
    }
    let last = BTreeSet::from_iter(kids(&open(&file), after(20)));
    assert_eq!(last.len(), 21);
    assert_eq!(seen, last);
}

#[test]
fn a_process_that_is_killed_while_it_holds_the_lock_leaves_it_to_the_others() {
    if let Some((_, file)) = ordered() {
        let lock = OpenOptions::new()
            .write(true)
            .open(file.with_extension("json.lock"))
            .unwrap();
        lock.lock().unwrap();
        println!("\nlocked");
        std::process::abort();
    }
    let test = "keys::a_process_that_is_killed_while_it_holds_the_lock_leaves_it_to_the_others";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let keys = open(&file);
    let output = process(test, "lock", &file).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("\nlocked\n"));
    keys.roll_over(after(0)).unwrap();
    assert_eq!(kids(&keys, after(0)).len(), 2);
}
