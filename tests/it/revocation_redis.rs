//! What processes tell each other by a real Redis server, which fails in several ways.
//!
//! Time is the real one here: nothing is slept for, but what has to become true is waited for up to a bound.

use std::{
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use redis::aio::MultiplexedConnection;
use resource_protector::{
    Clock as _, CurrentToken, CutOff, RedisRevocationList, RedisRevocationListBuilder, RevocationList, RevocationTerms,
    Revoke as _, RevokeError, RevokedBy, SystemClock, Verdict,
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};
use tracing::Level;
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

use crate::{
    audit::Trail,
    redis_server::{Redis, TlsFront, Wire, eventually, signal, within},
    support::example,
};

const ISSUER: &str = "https://auth.test";
const STREAM: &str = "{test}:cut-offs";
const A_SECOND: Duration = Duration::from_secs(1);

/// A process of its own. Ends when it goes out of scope.
struct Node {
    address: SocketAddr,
    process: Child,
}

impl Node {
    async fn start(redis: &str, unknown_after: u64) -> Self {
        let mut process = Command::new(example("revocation_node"))
            .env("LISTEN", "127.0.0.1:0")
            .env("REDIS_URL", redis)
            .env("UNKNOWN_AFTER_SECONDS", unknown_after.to_string())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let address = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address, process }
    }

    async fn three(redis: &Redis, unknown_after: u64) -> [Self; 3] {
        let url = redis.url();
        let start = || Self::start(&url, unknown_after);
        let nodes: [Self; 3] = tokio::join!(start(), start(), start()).into();
        for node in &nodes {
            node.get_ready().await;
        }
        nodes
    }

    async fn get_ready(&self) {
        eventually("ready", async || {
            (self.ask("GET", "/ready", "").await.0 == 200).then_some(())
        })
        .await;
    }

    fn signal(&self, name: &str) {
        signal(name, self.process.id().unwrap());
    }

    async fn ask(&self, method: &str, path: &str, token: &str) -> (StatusCode, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Full::<Bytes>::default())
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        (parts.status, body.collect().await.unwrap().to_bytes())
    }

    async fn login(&self, subject: &str) -> String {
        let (_, body) = self.ask("POST", &format!("/login/{subject}"), "").await;
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn log_out(&self, subject: &str) -> u16 {
        self.ask("POST", &format!("/logout/{subject}"), "").await.0.as_u16()
    }

    async fn me(&self, token: &str) -> u16 {
        self.ask("GET", "/me", token).await.0.as_u16()
    }

    async fn refuses(&self, token: &str, time: Duration) {
        within(time, "the token is refused", async || {
            (self.me(token).await == 401).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn three_processes_refuse_within_a_second_what_one_of_them_revokes_or_when_a_redis_that_hung_goes_on() {
    let redis = Redis::start().await;
    let nodes = Node::three(&redis, 30).await;
    let (alice, bob) = (nodes[0].login("alice").await, nodes[0].login("bob").await);
    for node in &nodes {
        assert_eq!((node.me(&alice).await, node.me(&bob).await), (200, 200));
    }
    assert_eq!(nodes[1].log_out("alice").await, 200);
    assert_eq!(nodes[1].me(&alice).await, 401);
    let revoked = Instant::now();
    for node in &nodes {
        node.refuses(&alice, A_SECOND.saturating_sub(revoked.elapsed())).await;
        assert_eq!(node.me(&bob).await, 200);
    }

    redis.freeze();
    let asked = Instant::now();
    assert_eq!(nodes[0].log_out("bob").await, 202);
    assert!(asked.elapsed() < 3 * A_SECOND, "{:?}", asked.elapsed());
    assert_eq!((nodes[0].me(&bob).await, nodes[1].me(&bob).await), (401, 200));
    redis.thaw();
    for node in &nodes {
        node.refuses(&bob, 5 * A_SECOND).await;
    }
}

#[tokio::test]
async fn processes_go_on_without_redis_and_tell_it_what_it_lost_when_it_is_restarted_empty() {
    let mut redis = Redis::start().await;
    let nodes = Node::three(&redis, 30).await;
    let mut tokens = Vec::new();
    for name in ["alice", "bob", "carol"] {
        tokens.push(nodes[0].login(name).await);
    }
    let [alice, bob, carol] = tokens.try_into().unwrap();
    assert_eq!(nodes[0].log_out("alice").await, 200);
    nodes[1].refuses(&alice, A_SECOND).await;

    redis.stop();
    assert_eq!((nodes[1].me(&alice).await, nodes[1].me(&carol).await), (401, 200));
    // In force where it was revoked, and nowhere else.
    assert_eq!(nodes[0].log_out("bob").await, 202);
    assert_eq!((nodes[0].me(&bob).await, nodes[1].me(&bob).await), (401, 200));

    // The others cannot tell Redis before the newcomer asks it, and that one knows nothing either.
    nodes.iter().for_each(|node| node.signal("-STOP"));
    redis.start_again().await;
    let newcomer = Node::start(&redis.url(), 30).await;
    let started = Instant::now();
    while started.elapsed() < A_SECOND / 2 {
        assert_eq!(newcomer.me(&alice).await, 503);
    }
    nodes.iter().for_each(|node| node.signal("-CONT"));
    eventually("the newcomer is ready", async || {
        let seen = (newcomer.me(&alice).await, newcomer.me(&bob).await);
        assert!(seen.0 != 200 && seen.1 != 200, "{seen:?}");
        (newcomer.me(&carol).await == 200).then_some(())
    })
    .await;
    for node in nodes.iter().chain([&newcomer]) {
        let seen = (node.me(&alice).await, node.me(&bob).await, node.me(&carol).await);
        assert_eq!(seen, (401, 401, 200));
    }
    // The feed is that of the new Redis.
    assert_eq!(newcomer.log_out("carol").await, 200);
    for node in &nodes {
        node.refuses(&carol, A_SECOND).await;
    }
}

#[tokio::test]
async fn a_process_that_is_cut_off_lets_nobody_in_beyond_its_bound_and_learns_what_it_missed() {
    let redis = Redis::start().await;
    let wire = Wire::to(redis.address()).await;
    let (cut_off, other) = (Node::start(&wire.url(), 2).await, Node::start(&redis.url(), 2).await);
    cut_off.get_ready().await;
    other.get_ready().await;
    let (alice, bob) = (other.login("alice").await, other.login("bob").await);
    assert_eq!((cut_off.me(&alice).await, cut_off.me(&bob).await), (200, 200));

    wire.cut();
    let cut = Instant::now();
    assert_eq!(other.log_out("alice").await, 200);
    assert_eq!(cut_off.me(&bob).await, 200);
    within(Duration::from_secs(5), "nobody is let in", async || {
        (cut_off.me(&bob).await == 503).then_some(())
    })
    .await;
    assert!(cut.elapsed() > A_SECOND, "{:?}", cut.elapsed());
    assert_eq!((cut_off.me(&alice).await, other.me(&bob).await), (503, 200));

    wire.mend();
    eventually("back in step", async || {
        let alice = cut_off.me(&alice).await;
        assert!(alice != 200, "let in by what it had missed");
        (alice == 401 && cut_off.me(&bob).await == 200).then_some(())
    })
    .await;
}

/// A list in this process, whose mirror is driven until this goes out of scope.
struct Driven {
    list: RedisRevocationList,
    mirror: JoinHandle<()>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.mirror.abort();
    }
}

fn options(url: &str) -> RedisRevocationListBuilder {
    let terms = RevocationTerms::new([RevokedBy::Subject], 3600 * A_SECOND).unwrap();
    RedisRevocationList::builder(url, "test", terms, 10 * A_SECOND).unwrap()
}

fn list(url: &str) -> RedisRevocationList {
    options(url).build()
}

impl Driven {
    async fn start(list: RedisRevocationList) -> Self {
        let mirror = tokio::spawn(list.run());
        let driven = Self { list, mirror };
        driven.get("bob", Verdict::Clear).await;
        driven
    }

    async fn get(&self, subject: &str, verdict: Verdict) {
        eventually("the verdict", async || (self.of(subject) == verdict).then_some(())).await;
    }

    fn of(&self, subject: &str) -> Verdict {
        verdict(&self.list, subject)
    }
}

fn verdict(list: &RedisRevocationList, subject: &str) -> Verdict {
    let token = CurrentToken::vouch_for(&json!({ "iss": ISSUER, "sub": subject, "iat": 1, "exp": 2 })).unwrap();
    list.verdict(&token, SystemClock.now())
}

fn cut_off(subject: &str) -> CutOff {
    CutOff::subject(ISSUER, subject, SystemTime::now())
}

/// Writes an entry as somebody else would.
async fn write(connection: &mut MultiplexedConnection, fields: &[(&str, &str)]) -> String {
    let mut entry = redis::cmd("XADD");
    entry.arg(STREAM).arg("NOMKSTREAM").arg("*");
    for (field, value) in fields {
        entry.arg(field).arg(value);
    }
    entry.query_async(connection).await.unwrap()
}

async fn length(connection: &mut MultiplexedConnection) -> usize {
    redis::cmd("XLEN").arg(STREAM).query_async(connection).await.unwrap()
}

#[tokio::test]
async fn a_redis_that_is_emptied_while_it_runs_is_told_again_and_the_trail_says_so() {
    let trail = Trail::of("resource_protector::revocation");
    let _guard = tracing::subscriber::set_default(Registry::default().with(trail.clone()));
    let redis = Redis::start().await;
    let driven = Driven::start(list(&redis.url())).await;
    driven.list.revoke(cut_off("alice")).await.unwrap();
    let mut connection = redis.connection().await;
    let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    // The mark, and Alice.
    within(3 * A_SECOND, "told again", async || {
        (length(&mut connection).await == 2).then_some(())
    })
    .await;
    assert_eq!(driven.of("bob"), Verdict::Clear);
    let expected = [
        (Level::WARN, "mirror_unknown"),
        (Level::INFO, "mirror_loaded"),
        (Level::INFO, "mirror_in_step"),
        (Level::WARN, "mirror_reset"),
        (Level::WARN, "mirror_told_again"),
    ];
    let expected = expected.map(|(level, name)| (level, name.to_owned()));
    within(A_SECOND, "the trail", async || {
        (trail.named() == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_was_closed_is_no_reason_not_to_tell_redis() {
    let redis = Redis::start().await;
    let list = list(&redis.url());
    list.revoke(cut_off("alice")).await.unwrap();
    let mut connection = redis.connection().await;
    let mut kill = redis::cmd("CLIENT");
    let killed: usize = kill
        .arg("KILL")
        .arg("TYPE")
        .arg("normal")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(killed, 1);
    list.revoke(cut_off("bob")).await.unwrap();
    assert_eq!(length(&mut connection).await, 3);
}

#[tokio::test]
async fn revocations_of_several_pages_are_told_when_redis_comes_and_read_by_others() {
    let mut redis = Redis::start().await;
    redis.stop();
    let teller = list(&redis.url());
    for i in 0..1203 {
        let untold = teller.revoke(cut_off(&format!("user-{i}"))).await;
        assert!(matches!(untold, Err(RevokeError::Unpublished(_))), "{untold:?}");
    }
    redis.start_again().await;
    let (teller, other) = tokio::join!(Driven::start(teller), Driven::start(list(&redis.url())));
    for i in 0..1203 {
        assert_eq!(other.of(&format!("user-{i}")), Verdict::CutOff);
    }
    assert_eq!(length(&mut redis.connection().await).await, 1204);
    drop(teller);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_lets_nobody_in_until_it_is_gone() {
    let redis = Redis::start().await;
    let driven = Driven::start(list(&redis.url())).await;
    let mut connection = redis.connection().await;
    let id = write(
        &mut connection,
        &[("by", "device"), ("iss", ISSUER), ("id", "x"), ("until", "1")],
    )
    .await;
    driven.get("bob", Verdict::Unknown).await;
    driven.list.revoke(cut_off("alice")).await.unwrap();
    assert_eq!(driven.of("alice"), Verdict::CutOff);
    let _: () = redis::cmd("XDEL")
        .arg(STREAM)
        .arg(id)
        .query_async(&mut connection)
        .await
        .unwrap();
    driven.get("bob", Verdict::Clear).await;
}

#[tokio::test]
async fn a_list_with_more_revocations_than_it_may_hold_lets_nobody_in() {
    let redis = Redis::start().await;
    let driven = Driven::start(options(&redis.url()).capacity(1).build()).await;
    let other = list(&redis.url());
    other.revoke(cut_off("alice")).await.unwrap();
    driven.get("alice", Verdict::CutOff).await;
    assert_eq!(driven.of("bob"), Verdict::Clear);
    other.revoke(cut_off("carol")).await.unwrap();
    driven.get("bob", Verdict::Unknown).await;
}

#[tokio::test]
async fn what_was_revoked_before_a_process_starts_is_known_to_it_and_what_is_long_over_is_taken_out_of_the_stream() {
    let redis = Redis::start().await;
    // Nobody drives this one: it only tells.
    list(&redis.url()).revoke(cut_off("alice")).await.unwrap();
    let mut connection = redis.connection().await;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    for ended in [3590, 3610] {
        let until = (now - ended * A_SECOND).as_millis().to_string();
        write(
            &mut connection,
            &[("by", "sub"), ("iss", ISSUER), ("id", "dave"), ("until", &until)],
        )
        .await;
    }
    let driven = Driven::start(list(&redis.url())).await;
    assert_eq!(
        (driven.of("alice"), driven.of("dave")),
        (Verdict::CutOff, Verdict::Clear)
    );
    eventually("taken out", async || (length(&mut connection).await == 3).then_some(())).await;
}

#[tokio::test]
async fn a_mirror_that_is_dropped_hears_nothing_and_leaves_no_connection() {
    let redis = Redis::start().await;
    let mut connection = redis.connection().await;
    let mut clients = async |count: usize| {
        eventually("so many connections", async || {
            let clients: String = redis::cmd("CLIENT")
                .arg("LIST")
                .query_async(&mut connection)
                .await
                .unwrap();
            (clients.lines().count() == count).then_some(())
        })
        .await;
    };
    let silent = list(&redis.url());
    let mirror = tokio::spawn(silent.run());
    clients(2).await;
    mirror.abort();
    clients(1).await;
    list(&redis.url()).revoke(cut_off("alice")).await.unwrap();
    assert_eq!(verdict(&silent, "alice"), Verdict::Unknown);
}

const AUTHORITY: &[u8] = include_bytes!("private-authority.pem");

#[tokio::test]
async fn over_tls_revocations_are_told_and_heard_of_until_the_mirror_is_dropped() {
    let redis = Redis::start().await;
    let front = TlsFront::to(redis.address()).await;
    let list = || {
        let options = options(&front.url("localhost")).trusting_only(AUTHORITY);
        options.unwrap().build()
    };
    let driven = Driven::start(list()).await;
    assert_eq!(front.open(), 1);
    let teller = list();
    teller.revoke(cut_off("alice")).await.unwrap();
    driven.get("alice", Verdict::CutOff).await;
    assert_eq!((driven.of("bob"), front.open()), (Verdict::Clear, 2));
    drop(teller);
    drop(driven);
    eventually("no connection", async || (front.open() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_server_that_does_not_prove_to_be_the_one_in_the_url_is_told_nothing() {
    let redis = Redis::start().await;
    let front = TlsFront::to(redis.address()).await;
    let (name, address) = (front.url("localhost"), front.url("127.0.0.1"));
    for (list, problem) in [
        (options(&name).build(), "by an authority that is not trusted"),
        (
            options(&address).trusting_only(AUTHORITY).unwrap().build(),
            "for another name",
        ),
    ] {
        let untold = list.revoke(cut_off("alice")).await.unwrap_err();
        assert!(matches!(untold, RevokeError::Unpublished(_)), "{untold}");
        assert!(untold.to_string().contains(problem), "{untold}");
        assert!(
            !untold.to_string().contains("localhost") && !untold.to_string().contains("127.0.0.1"),
            "{untold}"
        );
    }
    assert_eq!(front.let_in(), 0);
}
