//! An authorization server that flaps for a minute, and what the requests behind it notice.
//!
//! ```text
//! cargo bench --bench soak --features full,testing             one minute
//! cargo bench --bench soak --features full,testing -- 10       ten seconds
//! ```
//!
//! Ends with an error if a request with a remembered token fails while its answer may be used, if any other refusal is
//! not a 503 (401 for tokens that do not exist), or if memory grows. The table goes into `docs/reliability.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "not a part of the library"
)]

#[path = "../tests/it/moody.rs"]
mod moody;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Empty;
use resource_protector::{ClientAuth, CurrentToken, IntrospectionValidator, ResourceProtectorLayer};
use tower::{Layer as _, ServiceExt as _, service_fn};

use self::moody::{Mood, MoodyServer};

const FRESH: Duration = Duration::from_secs(2);
const STALE: Duration = Duration::from_secs(12);
const TIMEOUT: Duration = Duration::from_millis(250);

/// How far what the server says of an answer's age may differ from what is known here: it notes when the answer went out,
/// and what counts is when it was asked, which is up to one call earlier.
const MARGIN: Duration = Duration::from_millis(750);

/// Users whose tokens are used all the time, and requests that each does in a second.
const USERS: usize = 200;
const PACE: Duration = Duration::from_millis(20);

/// How much more memory may be resident after the last third than after the one before it. At some 10,000 requests a second
/// it is what five bytes per request come to.
const GROWTH_KIB: u64 = 1024;

/// A round of moods, and for how long each.
const ROUND: [(Mood, u64); 14] = [
    (Mood::Good, 2000),
    (Mood::Refusing, 2500),
    (Mood::Good, 2500),
    (Mood::Hanging, 2000),
    (Mood::Good, 2500),
    (Mood::Status(500, None), 2000),
    (Mood::Good, 2000),
    (Mood::Status(429, Some(1)), 1500),
    (Mood::Status(429, None), 500),
    (Mood::Good, 1500),
    (Mood::CutOff, 1500),
    (Mood::BreakingOff, 500),
    (Mood::Good, 1000),
    (Mood::Dripping, 500),
];

#[derive(Default)]
struct Figures {
    fresh: u64,
    stale: u64,
    refused: u64,
    /// Requests with a remembered token that failed inside its window: there must be none.
    failed: Vec<String>,
    /// By kind of token and status.
    others: BTreeMap<(&'static str, u16), u64>,
    slowest: Duration,
    slowest_remembered: Duration,
}

impl Figures {
    fn count(&mut self, other: (&'static str, u16), took: Duration) {
        *self.others.entry(other).or_default() += 1;
        self.slowest = self.slowest.max(took);
    }
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(60));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let good = runtime.block_on(soak(length));
    std::process::exit(i32::from(!good));
}

async fn soak(length: Duration) -> bool {
    let server = Arc::new(MoodyServer::start().await);
    let auth = ClientAuth::basic("api", "secret");
    let tokens = IntrospectionValidator::new(server.endpoint(), auth, "https://api.test").unwrap();
    let tokens = tokens.timeout(TIMEOUT).unwrap().remember_for(FRESH).unwrap();
    let tokens = tokens.stale_if_error(STALE).unwrap().max_calls_in_flight(64).unwrap();
    // Full within seconds, so that memory has found its size when it is first looked at.
    let layer = ResourceProtectorLayer::new(tokens.capacity(1000));
    let figures = Arc::new(Mutex::new(Figures::default()));
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for user in 0..USERS {
        let (layer, server) = (layer.clone(), Arc::clone(&server));
        let (figures, over) = (Arc::clone(&figures), Arc::clone(&over));
        tasks.spawn(async move {
            let token = format!("good-user-{user}");
            while !over.load(Ordering::Relaxed) {
                use_known(&layer, &server, &token, &figures).await;
                tokio::time::sleep(PACE).await;
            }
        });
    }
    for kind in ["good-new", "made-up"] {
        let (layer, figures, over) = (layer.clone(), Arc::clone(&figures), Arc::clone(&over));
        tasks.spawn(async move {
            for n in 0_u64.. {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (status, _, took) = present(&layer, &format!("{kind}-{n}")).await;
                figures.lock().unwrap().count((kind, status), took);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    let started = Instant::now();
    let mut memory = Vec::new();
    'rounds: loop {
        for (mood, milliseconds) in ROUND {
            server.is(mood).await;
            let until = Instant::now() + Duration::from_millis(milliseconds);
            while Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if started.elapsed() >= length * u32::try_from(memory.len() + 1).unwrap() / 3 {
                    memory.push(resident_kib());
                }
                if memory.len() == 3 {
                    break 'rounds;
                }
            }
        }
    }
    over.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    let figures = std::mem::take(&mut *figures.lock().unwrap());
    report(length, &server, &figures, &memory)
}

/// One request with a token that is used all the time.
async fn use_known(layer: &ResourceProtectorLayer, server: &MoodyServer, token: &str, figures: &Mutex<Figures>) {
    let said = server.seen.said_active(token);
    let began = Instant::now();
    let (status, is_stale, took) = present(layer, token).await;
    let mut figures = figures.lock().unwrap();
    figures.slowest = figures.slowest.max(took);
    // Judged at the end of the request: by then the answer may have grown too old.
    let is_remembered = said.is_some_and(|said| began + took + MARGIN < said + FRESH + STALE);
    if is_remembered {
        figures.slowest_remembered = figures.slowest_remembered.max(took);
    }
    match status {
        200 if is_stale => figures.stale += 1,
        200 => figures.fresh += 1,
        status if is_remembered => {
            let age = said.map(|said| began - said);
            figures.failed.push(format!("{token}: {status}, answer {age:?} old"));
        }
        503 => figures.refused += 1,
        status => *figures.others.entry(("known", status)).or_default() += 1,
    }
}

/// The status, whether the answer was old, and how long it took.
async fn present(layer: &ResourceProtectorLayer, token: &str) -> (u16, bool, Duration) {
    let inner = service_fn(|request: Request<()>| async move {
        let mut response = Response::new(Empty::<Bytes>::new());
        let token = request.extensions().get::<CurrentToken>().unwrap().clone();
        response.extensions_mut().insert(token);
        Ok::<_, Infallible>(response)
    });
    let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let began = Instant::now();
    let response = layer.layer(inner).oneshot(request.body(()).unwrap()).await.unwrap();
    let is_stale = response
        .extensions()
        .get::<CurrentToken>()
        .is_some_and(CurrentToken::is_stale);
    (response.status().as_u16(), is_stale, began.elapsed())
}

fn resident_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * 4
}

fn report(length: Duration, server: &MoodyServer, figures: &Figures, memory: &[u64]) -> bool {
    let other = |kind, status| figures.others.get(&(kind, status)).copied().unwrap_or(0);
    let requests = figures.fresh
        + figures.stale
        + figures.refused
        + figures.failed.len() as u64
        + figures.others.values().sum::<u64>();
    println!("| in {} s | |", length.as_secs());
    println!("|---|---|");
    println!("| requests | {requests} |");
    println!("| calls that reached the server | {} |", server.seen.questions());
    println!("| known tokens, answer fresh | {} |", figures.fresh);
    println!("| known tokens, answer stale | {} |", figures.stale);
    println!(
        "| known tokens refused inside their window | {} |",
        figures.failed.len()
    );
    println!("| known tokens before their first answer, 503 | {} |", figures.refused);
    println!(
        "| slowest request with a remembered token | {} ms |",
        figures.slowest_remembered.as_millis()
    );
    println!(
        "| new good tokens let in / 503 | {} / {} |",
        other("good-new", 200),
        other("good-new", 503)
    );
    println!(
        "| made-up tokens 401 / 503 | {} / {} |",
        other("made-up", 401),
        other("made-up", 503)
    );
    println!("| slowest request of all | {} ms |", figures.slowest.as_millis());
    let shown: Vec<_> = memory
        .iter()
        .map(|kib| format!("{:.1}", *kib as f64 / 1024.0))
        .collect();
    println!("| memory after each third | {} MiB |", shown.join(", "));
    for failed in figures.failed.iter().take(10) {
        eprintln!("refused inside its window: {failed}");
    }
    let expected = [("good-new", 200), ("good-new", 503), ("made-up", 401), ("made-up", 503)];
    let strange: Vec<_> = figures.others.keys().filter(|kind| !expected.contains(kind)).collect();
    if !strange.is_empty() {
        eprintln!("neither let in nor 503: {strange:?}");
    }
    // The caches, connections and buffers have found their size in the first third.
    let grown = memory[2].saturating_sub(memory[1]);
    let is_flat = grown <= GROWTH_KIB;
    if !is_flat {
        eprintln!("memory grew by {grown} KiB in the last third");
    }
    figures.failed.is_empty() && strange.is_empty() && is_flat
}
