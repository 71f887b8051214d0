//! An authorization server with moods, on a port of this machine. `benches/soak.rs` uses it, too.

#![allow(dead_code, reason = "each of the two programs uses a part of it")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// How it treats whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Tokens that begin with `good` are active, the others are not.
    Good,
    /// The same, so much later: it is far away.
    Late(Duration),
    /// Nobody listens on the port, and connections that were there are closed.
    Refusing,
    /// It reads the question and says nothing.
    Hanging,
    /// It sends the answer a byte at a time, and never the last one.
    Dripping,
    /// A status, with the seconds of its `Retry-After`.
    Status(u16, Option<u32>),
    /// A redirect to where a good answer would be.
    Redirecting,
    /// The connection is closed in the middle of the answer.
    BreakingOff,
    /// A whole answer, whose JSON is cut off.
    CutOff,
    /// Ten megabytes.
    Endless,
    /// HTML, as from a proxy.
    Html,
}

/// The server; it stops when it goes out of scope.
pub struct MoodyServer {
    pub address: SocketAddr,
    mood: watch::Sender<Mood>,
    pub seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// What the server remembers.
#[derive(Default)]
pub struct Seen {
    questions: AtomicUsize,
    /// When it last said that a token is active, of those that begin with `good-user`.
    active: Mutex<HashMap<String, Instant>>,
}

impl Seen {
    pub fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    pub fn said_active(&self, token: &str) -> Option<Instant> {
        self.active.lock().unwrap().get(token).copied()
    }
}

impl MoodyServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, listening) = watch::channel(Mood::Good);
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn(serve(listener, address, listening, Arc::clone(&seen)));
        Self {
            address,
            mood,
            seen,
            task,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}/introspect", self.address)
    }

    /// Changes the mood. That it refuses connections is true once this has returned.
    pub async fn is(&self, mood: Mood) {
        self.mood.send_replace(mood);
        let refuses = mood == Mood::Refusing;
        while TcpStream::connect(self.address).await.is_err() != refuses {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for MoodyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, address: SocketAddr, mut mood: watch::Receiver<Mood>, seen: Arc<Seen>) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let current = *mood.borrow_and_update();
        if current == Mood::Refusing {
            listener = None;
            connections.shutdown().await;
            if mood.changed().await.is_err() {
                return;
            }
            continue;
        }
        if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let Some(open) = &listener else {
            tokio::task::yield_now().await;
            continue;
        };
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, mood.clone(), Arc::clone(&seen)));
                }
                while connections.try_join_next().is_some() {}
            }
            changed = mood.changed() => if changed.is_err() { return },
        }
    }
}

/// Answers questions on one connection until it breaks.
async fn converse(mut stream: TcpStream, mood: watch::Receiver<Mood>, seen: Arc<Seen>) {
    while let Some(token) = question(&mut stream).await {
        seen.questions.fetch_add(1, Ordering::SeqCst);
        let mood = *mood.borrow();
        if answer(&mut stream, mood, &token, &seen).await.is_none() {
            return;
        }
    }
}

/// Reads one request; the token in its form.
async fn question(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.ok().filter(|&read| read > 0)?;
        text.extend_from_slice(&buffer[..read]);
        let known = std::str::from_utf8(&text).ok()?;
        let Some((head, body)) = known.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if body.len() >= length {
            let token = body.split('&').find_map(|pair| pair.strip_prefix("token="));
            return Some(token.unwrap_or_default().to_owned());
        }
    }
}

/// `None` when the connection is not to be used any more.
async fn answer(stream: &mut TcpStream, mood: Mood, token: &str, seen: &Seen) -> Option<()> {
    let is_active = token.starts_with("good");
    let said = match is_active {
        true => json!({ "active": true, "sub": "alice", "aud": "https://api.test", "client_id": "app", "scope": "a" }),
        false => json!({ "active": false }),
    };
    let body = said.to_string();
    let send = async |stream: &mut TcpStream, head: &str, body: &str| {
        let text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.ok()
    };
    const JSON: &str = "content-type: application/json";
    match mood {
        Mood::Good | Mood::Late(_) => {
            if let Mood::Late(time) = mood {
                tokio::time::sleep(time).await;
            }
            send(stream, &format!("200 OK\r\n{JSON}"), &body).await?;
            // Only of so many as there are users.
            if token.starts_with("good-user") {
                seen.active.lock().unwrap().insert(token.to_owned(), Instant::now());
            }
            Some(())
        }
        Mood::Refusing => None,
        Mood::Hanging => std::future::pending().await,
        Mood::Dripping => {
            let text = format!(
                "HTTP/1.1 200 OK\r\n{JSON}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            for byte in &text.as_bytes()[..text.len() - 1] {
                stream.write_all(&[*byte]).await.ok()?;
                stream.flush().await.ok()?;
                tokio::task::yield_now().await;
            }
            std::future::pending().await
        }
        Mood::Status(status, retry_after) => {
            let wait = retry_after.map_or(String::new(), |wait| format!("\r\nretry-after: {wait}"));
            send(stream, &format!("{status} x\r\n{JSON}{wait}"), "{}").await
        }
        Mood::Redirecting => send(stream, "307 x\r\nlocation: /introspect", "").await,
        Mood::BreakingOff => {
            let half = &body[..body.len() / 2];
            let text = format!(
                "HTTP/1.1 200 OK\r\n{JSON}\r\ncontent-length: {}\r\n\r\n{half}",
                body.len()
            );
            stream.write_all(text.as_bytes()).await.ok()?;
            None
        }
        Mood::CutOff => send(stream, &format!("200 OK\r\n{JSON}"), &body[..body.len() / 2]).await,
        Mood::Endless => {
            let endless = format!("{{\"x\":\"{}\"}}", "x".repeat(10 * 1024 * 1024));
            send(stream, &format!("200 OK\r\n{JSON}"), &endless).await
        }
        Mood::Html => send(stream, "200 OK\r\ncontent-type: text/html", &body).await,
    }
}
