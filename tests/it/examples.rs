//! Every example is run as its user would run it: started, and every line it prints to paste is pasted.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use crate::support::example;

/// Stops the example when it goes out of scope.
struct Example {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Example {
    fn start(name: &str, environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(example(name))
            .env("LISTEN", "127.0.0.1:0")
            .env_remove("ISSUER")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| send.send(line))
        });
        Self { process, lines }
    }

    /// The next line, within half a minute; `None` when the example has ended.
    fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(Duration::from_secs(30)) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the example prints nothing"),
        }
    }

    /// Pastes each printed line and compares the status with the one announced above it.
    fn paste(&self, count: usize) -> Vec<u16> {
        let mut seen = Vec::new();
        let mut announced = None;
        while seen.len() < count {
            let line = self.line().expect("more lines to paste");
            if let Some(text) = line.strip_prefix("# ") {
                announced = Some(text[..3].parse::<u16>().unwrap());
            } else if line.starts_with("curl ") {
                let status = paste(&line);
                assert_eq!(Some(status), announced, "{line}");
                seen.push(status);
            }
        }
        seen
    }
}

/// Does what `curl` would do with the line; understands the options the examples use, and no other.
#[tokio::main(flavor = "current_thread")]
async fn paste(line: &str) -> u16 {
    let mut request = Request::builder();
    let mut body = Bytes::new();
    let mut words = words(line).into_iter().skip(1);
    while let Some(word) = words.next() {
        request = match word.as_str() {
            "-i" => request,
            "-X" => request.method(words.next().unwrap().as_str()),
            "-H" => {
                let field = words.next().unwrap();
                let (name, value) = field.split_once(": ").unwrap();
                request.header(name, value)
            }
            "--data" => {
                body = words.next().unwrap().into();
                request
            }
            url => {
                assert!(url.starts_with("http://"), "{url}");
                request.uri(url)
            }
        };
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let response = client.request(request.body(Full::new(body)).unwrap());
    tokio::time::timeout(Duration::from_secs(30), response)
        .await
        .unwrap()
        .unwrap()
        .status()
        .as_u16()
}

/// Splits a line as a shell would that knows single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn quickstart_prints_lines_for_200_401_and_403_with_both_kinds_of_tokens() {
    let seen = Example::start("quickstart", &[]).paste(9);
    assert_eq!(seen, [200, 401, 401, 403, 200, 401, 403, 400, 401]);
}

#[test]
fn axum_jwt_answers_as_it_says() {
    Example::start("axum_jwt", &[]).paste(8);
}

#[test]
fn axum_introspection_answers_as_it_says() {
    Example::start("axum_introspection", &[]).paste(6);
}

#[test]
fn hyper_answers_as_it_says() {
    Example::start("hyper", &[]).paste(3);
}

#[test]
fn two_issuers_answers_as_it_says() {
    Example::start("two_issuers", &[]).paste(6);
}

#[test]
fn optional_answers_as_it_says() {
    Example::start("optional", &[]).paste(7);
}

#[test]
fn other_places_answers_as_it_says() {
    Example::start("other_places", &[]).paste(9);
}

#[test]
fn google_tokeninfo_answers_as_it_says() {
    Example::start("google_tokeninfo", &[]).paste(5);
}

#[test]
fn own_token_table_answers_as_it_says() {
    Example::start("own_token_table", &[]).paste(6);
}

#[test]
fn log_out_everywhere_answers_as_it_says() {
    Example::start("log_out_everywhere", &[]).paste(5);
}

#[test]
fn tonic_gets_the_status_of_each_refusal() {
    let example = Example::start("tonic", &[]);
    let lines: Vec<String> = std::iter::from_fn(|| example.line()).collect();
    let codes: Vec<&str> = lines.iter().map(|line| line[26..].split(':').next().unwrap()).collect();
    assert_eq!(
        codes,
        ["Ok", "PermissionDenied", "PermissionDenied", "Unauthenticated", "Ok"],
        "{lines:?}"
    );
}
