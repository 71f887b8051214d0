//! The gateway example as its users run it: a process, started with a file, asked over the network.

mod admin;
mod answer;
mod forward_auth;
mod headers;
mod proxy;
mod revocation;
mod start_up;
mod stopping;
mod streams;

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use resource_protector::testing::TestIssuer;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::support::example;

pub const API: &str = "https://api.test";

/// Clearly longer than anything takes that has to happen, the 10 s included for which the gateway waits for the head of a
/// request. Its grace time has a limit of its own. No test that passes waits until this is over.
const SOON: Duration = Duration::from_secs(30);

/// A running gateway. It is stopped when this is dropped.
pub struct Gateway {
    process: Child,
    output: BufReader<tokio::process::ChildStdout>,
    pub address: SocketAddr,
    _file: NamedTempFile,
}

/// A file with this text, removed when it is dropped.
pub fn written(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    file
}

pub fn command() -> Command {
    let mut command = Command::new(example("gateway"));
    command
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Gateway {
    pub async fn start(text: &str) -> Self {
        let file = written(text);
        let mut process = command().arg(file.path()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let address = said_address(&mut output, "listening").await;
        Self {
            address,
            process,
            output,
            _file: file,
        }
    }

    /// Where its second listener is, if it has one. To be asked once.
    pub async fn admin(&mut self) -> SocketAddr {
        said_address(&mut self.output, "admin").await
    }

    /// A gateway for tokens of this issuer, with more keys at the top and more tables at the end.
    pub async fn with(issuer: &TestIssuer, top: &str, tables: &str) -> Self {
        Self::start(&settings(issuer, top, tables)).await
    }

    /// In front of this upstream.
    pub async fn before(upstream: SocketAddr, issuer: &TestIssuer, top: &str, tables: &str) -> Self {
        Self::with(issuer, &format!("upstream = \"http://{upstream}\"\n{top}"), tables).await
    }

    /// Sends this and reads until the connection is closed, which the request should ask for.
    pub async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        read_to_end(&mut stream).await
    }

    /// A request without body, with these header lines.
    pub async fn ask(&self, method: &str, target: &str, headers: &[&str]) -> String {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n{lines}\r\n");
        self.exchange(head).await
    }

    pub async fn get(&self, target: &str, token: &str) -> String {
        self.ask("GET", target, &[&bearer(token)]).await
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The most memory it ever had, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub async fn terminate(&self) {
        let pid = self.process.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .await
                .unwrap()
                .success()
        );
    }

    /// Waits for its end. Gives back how it went, and what else it printed.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let mut printed = String::new();
        timeout(SOON, self.output.read_to_string(&mut printed))
            .await
            .unwrap()
            .unwrap();
        (timeout(SOON, self.process.wait()).await.unwrap().unwrap(), printed)
    }
}

/// The address in the line that comes next, `WHAT on http://ADDRESS`.
async fn said_address(output: &mut BufReader<tokio::process::ChildStdout>, what: &str) -> SocketAddr {
    let mut line = String::new();
    timeout(SOON, output.read_line(&mut line)).await.unwrap().unwrap();
    let address = line.strip_prefix(&format!("{what} on http://"));
    address
        .unwrap_or_else(|| panic!("{line:?}"))
        .trim_end()
        .parse()
        .unwrap()
}

/// A request without body and header lines of its own, to any address.
pub async fn ask_at(address: SocketAddr, method: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    read_to_end(&mut stream).await
}

pub fn settings(issuer: &TestIssuer, top: &str, tables: &str) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\n{top}\n[resource]\nidentifier = \"{API}\"\nrealm = \"test\"\n\n\
         [[issuer]]\nissuer = \"{0}\"\nkind = \"jwt\"\n\n\
         [[issuer]]\nissuer = \"{0}\"\nkind = \"introspection\"\nclient_id = \"{1}\"\nclient_secret = \"{2}\"\n\n{tables}",
        issuer.url(),
        TestIssuer::CLIENT_ID,
        TestIssuer::CLIENT_SECRET,
    )
}

pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// A token that any route without a demand lets in.
pub fn good(issuer: &TestIssuer) -> String {
    issuer.access_token(API).scope("profile").mint()
}

pub fn status(response: &str) -> u16 {
    response
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .parse()
        .unwrap_or_else(|_| panic!("no response: {response:?}"))
}

/// All values of a header in a response or request, as it stands on the wire.
pub fn values<'a>(message: &'a str, name: &str) -> Vec<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap();
    let fields = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": ").or(line.split_once(':')));
    fields
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

/// What comes after the head, when its length was given.
pub fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").unwrap().1
}

pub fn body_json(message: &str) -> Value {
    serde_json::from_str(body(message)).unwrap_or_else(|_| panic!("no JSON: {message}"))
}

pub async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(SOON, stream.read_to_end(&mut bytes))
        .await
        .expect("an end")
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Reads up to and with this.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = timeout(SOON, stream.read_u8()).await;
        match byte.unwrap_or_else(|_| panic!("no {end:?} after {:?}", String::from_utf8_lossy(&bytes))) {
            Ok(byte) => bytes.push(byte),
            Err(_) => panic!("no {end:?} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8(bytes).unwrap()
}

pub async fn read_head(stream: &mut TcpStream) -> String {
    read_until(stream, "\r\n\r\n").await
}

/// An upstream that is played by hand, byte by byte.
pub struct ByHand(TcpListener);

impl ByHand {
    pub async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub async fn accept(&self) -> TcpStream {
        timeout(SOON, self.0.accept()).await.expect("a connection").unwrap().0
    }

    /// Whether nobody has connected who was not accepted yet.
    pub async fn is_untouched(&self) -> bool {
        tokio::select! {
            biased;
            _ = self.0.accept() => false,
            () = tokio::task::yield_now() => true,
        }
    }
}

/// An upstream that says as JSON what it was asked.
pub struct Echo {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Echo {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo));
                tokio::spawn(async move {
                    let _ = connection.await;
                });
            }
        });
        Self { address, task }
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let collected = body.collect().await.unwrap();
    let fields = |map: &http::HeaderMap| -> Value {
        let fields = map
            .iter()
            .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]));
        fields.collect()
    };
    let answer = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": fields(&parts.headers),
        "trailers": collected.trailers().map(fields),
        "body": String::from_utf8_lossy(&collected.to_bytes()),
    });
    Ok(Response::new(answer.to_string().into()))
}

/// All values of a header that the echo was sent.
pub fn sent<'a>(answer: &'a Value, name: &str) -> Vec<&'a str> {
    let fields = answer["headers"].as_array().unwrap().iter();
    fields
        .filter(|field| field[0] == name)
        .map(|field| field[1].as_str().unwrap())
        .collect()
}
