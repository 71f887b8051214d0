//! Every example is run as its user would run it: started, and every line it prints to paste is pasted.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use crate::servers::redis_name;

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
        let mut process = command(name, environment)
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

fn command(name: &str, environment: &[(&str, &str)]) -> Command {
    let mut binary = PathBuf::from(std::env::current_exe().unwrap().parent().unwrap().parent().unwrap());
    binary.extend(["examples", name]);
    assert!(binary.exists(), "{}: build it with --examples", binary.display());
    let mut command = Command::new(binary);
    command
        .env("LISTEN", "127.0.0.1:0")
        .env("PORT", "0")
        .envs(environment.iter().copied());
    command
}

fn paste(line: &str) -> u16 {
    answer(line).0
}

/// Does what `curl` would do with the line; understands the options the examples use, and no other.
#[tokio::main(flavor = "current_thread")]
async fn answer(line: &str) -> (u16, String) {
    let mut request = Request::builder();
    let mut form: Option<Vec<String>> = None;
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
            "-u" => {
                let credentials = STANDARD.encode(words.next().unwrap());
                request.header(header::AUTHORIZATION, format!("Basic {credentials}"))
            }
            "-d" => {
                form.get_or_insert_default().push(words.next().unwrap());
                request
            }
            url => {
                assert!(url.starts_with("http://"), "{url}");
                request.uri(url)
            }
        };
    }
    if form.is_some() {
        request = request
            .method("POST")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let body = Full::from(form.unwrap_or_default().join("&"));
    let answered = async {
        let response = client.request(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    tokio::time::timeout(Duration::from_secs(30), answered).await.unwrap()
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
fn token_table_answers_as_it_says_and_so_it_does_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tokens.db");
    for _ in 0..2 {
        let environment = [("DATABASE", database.to_str().unwrap())];
        let seen = Example::start("token_table", &environment).paste(9);
        assert_eq!(seen, [200, 200, 200, 400, 200, 401, 200, 200, 401]);
    }
}

#[test]
fn issuer_quickstart_hides_no_path_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name| folder.path().join(name).to_str().unwrap().to_owned();
    let (database, keys) = (file("db"), file("keys"));
    let example = Example::start("issuer_quickstart", &[("DATABASE", &database), ("KEYS", &keys)]);
    let line = example.line().unwrap();
    let url = line.strip_prefix("listening on ").unwrap();
    // The API's protector would say 401.
    for (path, status) in [
        ("/authorize", 400),
        ("/token", 405),
        ("/revoke", 405),
        ("/introspect", 405),
        ("/jwks", 200),
        ("/.well-known/oauth-authorization-server", 200),
    ] {
        assert_eq!(paste(&format!("curl {url}{path}")), status, "{path}");
    }
    let (status, page) = answer(&format!("curl {url}/logout"));
    assert!(status == 200 && page.contains("Nobody is signed in"), "{status} {page}");
    for path in ["/logout-session", "/logout-everywhere"] {
        assert_eq!(paste(&format!("curl -X POST {url}{path}")), 401, "{path}");
    }
}

#[test]
fn issuer_quickstart_says_which_port_is_taken_and_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = command("issuer_quickstart", &[("PORT", &address.port().to_string())])
        .current_dir(tempfile::tempdir().unwrap().path())
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(
        !ended.status.success() && said.contains(&format!("cannot listen on {address}")),
        "{said}"
    );
    assert!(
        said.contains("PORT") && said.contains("0 for any that is free"),
        "{said}"
    );
}

#[test]
fn scoped_routes_answers_as_it_says() {
    let seen = Example::start("scoped_routes", &[]).paste(9);
    assert_eq!(seen, [200, 400, 200, 403, 403, 200, 200, 200, 401]);
}

#[test]
fn log_out_and_rotate_answers_as_it_says() {
    let seen = Example::start("log_out_and_rotate", &[]).paste(14);
    assert_eq!(
        seen,
        [200, 200, 400, 401, 403, 422, 204, 204, 401, 200, 204, 401, 400, 200]
    );
}

#[test]
fn fresh_and_blocklist_answers_as_it_says() {
    let (url, name) = redis_name();
    let seen = Example::start("fresh_and_blocklist", &[("REDIS_URL", &url), ("LIST", &name)]).paste(8);
    assert_eq!(seen, [200, 200, 200, 401, 204, 401, 401, 400]);
}

#[test]
fn oauth2_client_logs_in_refreshes_and_logs_out_everywhere() {
    let example = Example::start("oauth2_client", &[]);
    let lines: Vec<String> = std::iter::from_fn(|| example.line()).collect();
    assert_eq!(
        lines,
        [
            r#"logged in: Some([Scope("profile")]), for Some(600s)"#,
            "the API says 200 OK",
            "refreshed: the API says 200 OK",
            "log out everywhere: 204 No Content",
            "the API says 401 Unauthorized",
            "refresh: invalid_grant",
        ]
    );
}
