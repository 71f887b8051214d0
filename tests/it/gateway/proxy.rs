//! What passes through, and what is put in order on the way.

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use resource_protector::testing::TestIssuer;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{
    ByHand, Echo, Gateway, bearer, body, body_json, good, read_head, read_to_end, read_until, sent, status, values,
};

const PUBLIC: &str = "[[route]]\npath = \"/\"\npublic = true\n";

async fn before_echo() -> (Echo, Gateway) {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = Echo::start().await;
    let gateway = Gateway::before(upstream.address, &issuer, "", PUBLIC).await;
    (upstream, gateway)
}

async fn before_by_hand() -> (ByHand, Gateway) {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = ByHand::start().await;
    let gateway = Gateway::before(upstream.address(), &issuer, "", PUBLIC).await;
    (upstream, gateway)
}

#[tokio::test]
async fn method_path_query_headers_and_body_pass_through() {
    let (_upstream, gateway) = before_echo().await;
    for method in ["GET", "POST", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        for target in [
            "/",
            "/caf%C3%A9/%41/?a=%2e%2e/&b;=c",
            "/a?",
            "/x?q=http://other.test/../y",
            "/~a!$&'()*+,=:@",
        ] {
            for framing in [
                "Content-Length: 5\r\n\r\nhello",
                "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ] {
                let head = format!(
                    "{method} {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nX-One: 1\r\nX-One: 2\r\n"
                );
                let answer = body_json(&gateway.exchange(format!("{head}{framing}")).await);
                assert_eq!(
                    (&answer["method"], &answer["target"], &answer["body"]),
                    (&json!(method), &json!(target), &json!("hello")),
                    "{framing}"
                );
                assert_eq!(sent(&answer, "x-one"), ["1", "2"]);
            }
        }
    }
}

#[tokio::test]
async fn http_2_clients_are_served_by_an_http_1_upstream() {
    let (_upstream, gateway) = before_echo().await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<bytes::Bytes>>();
    for (method, text) in [(Method::GET, ""), (Method::POST, "hello"), (Method::GET, "hello")] {
        let request = Request::builder()
            .method(&method)
            .uri(format!("http://{}/a?b", gateway.address));
        let request = request
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Full::from(text))
            .unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let answer: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(answer["method"], method.as_str());
        assert_eq!((&answer["target"], &answer["body"]), (&json!("/a?b"), &json!(text)));
        assert_eq!(sent(&answer, "host"), [gateway.address.to_string()]);
        assert_eq!(sent(&answer, "cookie"), ["a=1; b=2"]);
    }
}

#[tokio::test]
async fn a_length_that_is_written_oddly_goes_on_once_and_plainly() {
    let (_upstream, gateway) = before_echo().await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<bytes::Bytes>>();
    let request = Request::post(format!("http://{}/", gateway.address))
        .header("content-length", "010")
        .header("content-length", "10")
        .body(Full::from("helloworld"))
        .unwrap();
    let response = client.request(request).await.unwrap();
    let answer: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(answer["body"], "helloworld");
    assert_eq!(sent(&answer, "content-length"), ["10"]);
}

#[tokio::test]
async fn an_upstream_cannot_change_the_protocol_by_itself() {
    let (upstream, gateway) = before_by_hand().await;
    let answering = async {
        let mut behind = upstream.accept().await;
        read_head(&mut behind).await;
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nHELLO";
        behind.write_all(answer).await.unwrap();
    };
    let (response, ()) = tokio::join!(gateway.ask("GET", "/", &[]), answering);
    assert_eq!(status(&response), 502, "{response}");
}

#[tokio::test]
async fn refused_requests_never_reach_the_upstream() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = ByHand::start().await;
    let routes = "[[route]]\npath = \"/me\"\nmethods = [\"GET\"]\nscope = \"admin\"\n";
    let gateway = Gateway::before(upstream.address(), &issuer, "", routes).await;
    let authorization = bearer(&good(&issuer));
    for (method, path, headers, expected) in [
        ("GET", "/me", &[] as &[&str], 401),
        ("GET", "/me", &[&authorization], 403),
        ("POST", "/me", &[&authorization], 405),
        ("GET", "/../me", &[&authorization], 400),
        (
            "GET",
            "/",
            &[&authorization, "Connection: upgrade", "Upgrade: websocket"],
            501,
        ),
    ] {
        assert_eq!(status(&gateway.ask(method, path, headers).await), expected);
    }
    assert!(upstream.is_untouched().await);
}

#[tokio::test]
async fn the_upstreams_answer_is_its_own_whatever_it_is() {
    let (upstream, gateway) = before_by_hand().await;
    for (answer, expected) in [
        (
            "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"mine\"\r\nContent-Length: 2\r\n\r\nno",
            401,
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://other.test/\r\nContent-Length: 0\r\n\r\n",
            302,
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 500\r\n\r\n",
            304,
        ),
        (
            "HTTP/1.0 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nuntil the end",
            200,
        ),
        (
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n",
            599,
        ),
    ] {
        let answering = async {
            let mut behind = upstream.accept().await;
            read_head(&mut behind).await;
            behind.write_all(answer.as_bytes()).await.unwrap();
        };
        let (response, ()) = tokio::join!(gateway.ask("GET", "/", &[]), answering);
        assert_eq!(status(&response), expected, "{response}");
        assert!(response.starts_with("HTTP/1.1 "));
        for name in ["www-authenticate", "location", "etag", "set-cookie"] {
            assert_eq!(values(&response, name), values(answer, name), "{response}");
        }
    }
}

#[tokio::test]
async fn a_length_is_told_to_both_sides_and_to_head_too() {
    let (upstream, gateway) = before_by_hand().await;
    let answering = async {
        let mut behind = upstream.accept().await;
        let head = read_head(&mut behind).await;
        behind
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
            .await
            .unwrap();
        head
    };
    let (response, head) = tokio::join!(gateway.ask("HEAD", "/", &[]), answering);
    assert_eq!(
        (values(&response, "content-length"), body(&response)),
        (vec!["500"], "")
    );
    assert!(values(&head, "content-length").is_empty() && values(&head, "transfer-encoding").is_empty());

    let answering = async {
        let mut behind = upstream.accept().await;
        let head = read_until(&mut behind, "hello").await;
        behind.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        head
    };
    let request = "PUT / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let (response, head) = tokio::join!(gateway.exchange(request), answering);
    assert_eq!(status(&response), 204);
    assert_eq!(
        (
            values(&head, "content-length"),
            values(&head, "transfer-encoding").len()
        ),
        (vec!["5"], 0)
    );
}

#[tokio::test]
async fn an_answer_with_two_lengths_has_one_afterwards() {
    let (upstream, gateway) = before_by_hand().await;
    for (framing, expected) in [
        (
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            200,
        ),
        ("Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello", 502),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 502),
    ] {
        let answering = async {
            let mut behind = upstream.accept().await;
            read_head(&mut behind).await;
            let answer = format!("HTTP/1.1 200 OK\r\n{framing}");
            behind.write_all(answer.as_bytes()).await.unwrap();
        };
        let (response, ()) = tokio::join!(gateway.ask("GET", "/", &[]), answering);
        assert_eq!(status(&response), expected, "{response}");
        if expected == 200 {
            assert_eq!(values(&response, "content-length"), [""; 0]);
            assert_eq!(values(&response, "transfer-encoding"), ["chunked"]);
            assert!(body(&response).ends_with("5\r\nhello\r\n0\r\n\r\n"), "{response}");
        }
    }
}

/// What one side takes for the end of a message the other must, too: whoever disagrees takes the rest for a request of
/// its own.
#[tokio::test]
async fn requests_with_two_lengths_smuggle_nothing() {
    let (upstream, gateway) = before_by_hand().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for framing in [
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
            5 + smuggled.len()
        ),
        format!(
            "Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n0\r\n\r\n{smuggled}",
            5 + smuggled.len()
        ),
    ] {
        let answering = async {
            let mut behind = upstream.accept().await;
            let request = read_until(&mut behind, "0\r\n\r\n").await;
            behind
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await
                .unwrap();
            (request, behind)
        };
        let request = format!("POST / HTTP/1.1\r\nHost: a.test\r\n{framing}");
        let (response, (request, mut behind)) = tokio::join!(gateway.exchange(request), answering);
        assert_eq!(
            (status(&response), response.matches("HTTP/1.1 ").count()),
            (200, 1),
            "{response}"
        );
        assert_eq!(
            (
                values(&request, "content-length").len(),
                values(&request, "transfer-encoding")
            ),
            (0, vec!["chunked"])
        );
        // Neither on this connection nor on another one does the rest come.
        let control = async {
            let mut second = tokio::select! {
                request = read_head(&mut behind) => return request,
                stream = upstream.accept() => stream,
            };
            read_head(&mut second).await
        };
        let (_, next) = tokio::join!(
            async {
                let mut client = gateway.connect().await;
                client
                    .write_all(b"GET /control HTTP/1.1\r\nHost: a.test\r\n\r\n")
                    .await
                    .unwrap();
                client
            },
            control
        );
        assert!(next.starts_with("GET /control "), "{next}");
    }
    for (framing, expected) in [
        ("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        ("Content-Length: 5, 6\r\n\r\nhello", 400),
        ("Content-Length: +5\r\n\r\nhello", 400),
        ("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        ("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        ("X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ] {
        let response = gateway
            .exchange(format!(
                "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{framing}"
            ))
            .await;
        assert_eq!(status(&response), expected, "{framing}: {response}");
    }
    assert!(upstream.is_untouched().await);
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_once_it_is_let_in() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = Echo::start().await;
    let gateway = Gateway::before(upstream.address, &issuer, "", "").await;
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n";

    let mut client = gateway.connect().await;
    client
        .write_all(format!("{head}{}\r\n\r\n", bearer(&good(&issuer))).as_bytes())
        .await
        .unwrap();
    assert_eq!(status(&read_head(&mut client).await), 100);
    client.write_all(b"hello").await.unwrap();
    assert_eq!(body_json(&read_to_end(&mut client).await)["body"], "hello");

    let mut client = gateway.connect().await;
    client.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    assert_eq!(status(&read_head(&mut client).await), 401);
}
