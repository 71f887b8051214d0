//! Ends: of the gateway, of a client, of an upstream.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use resource_protector::testing::TestIssuer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Duration, Instant, timeout},
};

use super::{ByHand, Gateway, SOON, body, body_json, read_head, read_to_end, read_until, status, values};

/// The grace time is 25 s: more than the first of these, and clearly less than the second.
const SOME_GRACE: Duration = Duration::from_secs(20);
const PAST_GRACE: Duration = Duration::from_secs(60);

const PUBLIC: &str = "[[route]]\npath = \"/\"\npublic = true\n";

async fn set_up() -> (ByHand, Gateway) {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = ByHand::start().await;
    let gateway = Gateway::before(upstream.address(), &issuer, "", PUBLIC).await;
    (upstream, gateway)
}

async fn send(gateway: &Gateway, request: &str) -> TcpStream {
    let mut client = gateway.connect().await;
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

/// Whether the other side closes or resets the connection, whatever it sends before.
async fn is_closed(stream: &mut TcpStream) -> bool {
    is_closed_within(SOON, stream).await
}

async fn is_closed_within(limit: Duration, stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(limit, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn told_to_stop_it_finishes_what_is_in_flight_and_takes_nothing_new() {
    let (upstream, gateway) = set_up().await;
    let mut idle = gateway.connect().await;
    let mut client = send(&gateway, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut behind = upstream.accept().await;
    read_head(&mut behind).await;

    gateway.terminate().await;
    assert!(is_closed(&mut idle).await);
    let refused = async {
        while TcpStream::connect(gateway.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, refused).await.expect("new connections are refused");

    behind
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        .await
        .unwrap();
    let response = read_to_end(&mut client).await;
    assert_eq!((status(&response), body(&response)), (200, "late"));
    let (how, printed) = gateway.ended().await;
    assert!(how.success(), "{how}");
    assert_eq!(printed, "");
}

#[tokio::test]
async fn when_a_client_goes_away_its_request_to_the_upstream_ends() {
    let (upstream, gateway) = set_up().await;
    // While it waits for the answer.
    let client = send(&gateway, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut behind = upstream.accept().await;
    read_head(&mut behind).await;
    drop(client);
    assert!(is_closed(&mut behind).await);

    // In the middle of its own body: the upstream must not take the half for the whole.
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let client = send(&gateway, &format!("{head}4\r\nhalf\r\n")).await;
    let mut behind = upstream.accept().await;
    read_until(&mut behind, "half\r\n").await;
    drop(client);
    assert_eq!(read_to_end(&mut behind).await, "");

    // In the middle of the answer.
    let mut client = send(&gateway, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut behind = upstream.accept().await;
    read_head(&mut behind).await;
    behind
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        .await
        .unwrap();
    read_until(&mut client, "half").await;
    drop(client);
    assert!(is_closed(&mut behind).await);
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_502() {
    let (upstream, gateway) = set_up().await;
    // Hangs up without a word, and says something else than HTTP.
    for nonsense in ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"] {
        let answering = async {
            let mut behind = upstream.accept().await;
            read_head(&mut behind).await;
            behind.write_all(nonsense.as_bytes()).await.unwrap();
        };
        let (response, ()) = tokio::join!(gateway.ask("GET", "/", &[]), answering);
        assert_eq!(status(&response), 502, "{response}");
        assert_eq!(values(&response, "cache-control"), ["no-store"]);
        assert_eq!(body_json(&response)["error"], "bad_gateway");
    }
    drop(upstream);
    assert_eq!(status(&gateway.ask("GET", "/", &[]).await), 502);
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let (upstream, gateway) = set_up().await;
    let answering = async {
        let mut behind = upstream.accept().await;
        read_head(&mut behind).await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        behind
            .write_all(format!("{head}4\r\nhalf\r\n").as_bytes())
            .await
            .unwrap();
    };
    let (response, ()) = tokio::join!(gateway.ask("GET", "/", &[]), answering);
    assert!(
        response.contains("half") && !response.ends_with("0\r\n\r\n"),
        "{response}"
    );
}

#[tokio::test]
async fn a_request_that_breaks_off_is_no_fault_of_the_upstream() {
    let (upstream, gateway) = set_up().await;
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let reading = async {
        let mut behind = upstream.accept().await;
        read_to_end(&mut behind).await
    };
    let (response, sent) = tokio::join!(gateway.exchange(format!("{head}4\r\nhalf\r\nnonsense\r\n")), reading);
    assert_eq!(status(&response), 400, "{response}");
    assert!(!sent.ends_with("0\r\n\r\n"), "{sent}");
}

#[tokio::test]
async fn over_http_2_both_hold_as_well() {
    let (upstream, gateway) = set_up().await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<Bytes>>();
    let ask = |path: &str| {
        let request = Request::get(format!("http://{}{path}", gateway.address));
        tokio::spawn(client.request(request.body(Full::default()).unwrap()))
    };
    // One of two requests on the same connection is given up.
    let kept = ask("/kept");
    let mut behind_kept = upstream.accept().await;
    read_head(&mut behind_kept).await;
    let given_up = ask("/given-up");
    let mut behind_given_up = upstream.accept().await;
    read_head(&mut behind_given_up).await;
    given_up.abort();
    assert!(is_closed(&mut behind_given_up).await);

    gateway.terminate().await;
    let refused = async {
        while TcpStream::connect(gateway.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, refused).await.expect("new connections are refused");
    behind_kept
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        .await
        .unwrap();
    let response = timeout(SOON, kept).await.unwrap().unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "late");
    assert!(gateway.ended().await.0.success());
}

// The two tests below wait for as long as the gateway says that it does: its time is that of a real process.
#[tokio::test]
async fn whoever_does_not_ask_is_hung_up_on() {
    let (upstream, gateway) = set_up().await;
    let mut waiting = Vec::new();
    // Nothing, the beginning of HTTP/1.1, the beginning of HTTP/2, and nothing more after a whole request.
    for beginning in ["", "GET / HTTP/1.1\r\nHost: a", "PRI * HTTP/2.0\r\n"] {
        waiting.push(send(&gateway, beginning).await);
    }
    let mut client = send(&gateway, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut behind = upstream.accept().await;
    read_head(&mut behind).await;
    behind
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        .await
        .unwrap();
    read_until(&mut client, "hi").await;
    waiting.push(client);
    // The control: who has asked may wait.
    let mut patient = send(&gateway, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
    for mut stream in waiting {
        assert!(is_closed(&mut stream).await);
    }
    let mut held = tokio::select! {
        stream = upstream.accept() => stream,
        head = read_head(&mut behind) => { assert!(head.starts_with("GET / ")); behind }
    };
    held.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        .await
        .unwrap();
    assert!(read_to_end(&mut patient).await.ends_with("late"));
}

#[tokio::test]
async fn requests_in_flight_have_a_grace_time_and_no_more() {
    let (upstream, gateway) = set_up().await;
    let mut client = send(&gateway, "GET /never HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut behind = upstream.accept().await;
    read_head(&mut behind).await;
    let told = Instant::now();
    gateway.terminate().await;
    assert!(is_closed_within(PAST_GRACE, &mut client).await);
    let waited = told.elapsed();
    assert!(waited >= SOME_GRACE, "{waited:?}");
    assert!(gateway.ended().await.0.success());
}
