//! Bodies on the way: piece by piece, as fast as the slower side, and what comes after them.

use resource_protector::testing::TestIssuer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Duration, timeout},
};

use super::{ByHand, Gateway, SOON, read_head, read_to_end, read_until};

const PUBLIC: &str = "[[route]]\npath = \"/\"\npublic = true\n";
const MANY: usize = 100 * 1024 * 1024;
/// More than the gateway and all sockets between hold, and less than the whole. Who writes to a reader that does not read
/// is stopped before this much: that proves backpressure, as a gateway that holds what it reads takes it all.
const SOME: usize = 80 * 1024 * 1024;
/// What is taken at least, as sockets hold some: else nothing flowed that could be stopped.
const FEW: usize = 64 * 1024;
/// How much the gateway's memory may grow, in KiB.
const FLAT: u64 = 8 * 1024;

async fn set_up() -> (ByHand, Gateway) {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = ByHand::start().await;
    let gateway = Gateway::before(upstream.address(), &issuer, "", PUBLIC).await;
    (upstream, gateway)
}

/// Writes until nobody takes any more. Gives back how much was written.
async fn write_until_it_stalls(stream: &mut TcpStream) -> usize {
    let chunk = vec![b'x'; 64 * 1024];
    let mut written = 0;
    while let Ok(count) = timeout(Duration::from_secs(1), stream.write(&chunk)).await {
        written += count.unwrap();
        assert!(written < SOME, "somebody takes it all");
    }
    assert!(written >= FEW, "nobody takes anything");
    written
}

async fn write_rest(stream: &mut TcpStream, mut count: usize) {
    let chunk = vec![b'x'; 64 * 1024];
    while count > 0 {
        let piece = &chunk[..count.min(chunk.len())];
        timeout(SOON, stream.write_all(piece))
            .await
            .expect("somebody reads")
            .unwrap();
        count -= piece.len();
    }
}

async fn read_exactly(stream: &mut TcpStream, mut count: usize) {
    let mut buffer = vec![0; 64 * 1024];
    while count > 0 {
        let read = timeout(SOON, stream.read(&mut buffer)).await.expect("more").unwrap();
        assert!(read > 0 && read <= count && buffer[..read].iter().all(|byte| *byte == b'x'));
        count -= read;
    }
}

#[tokio::test]
async fn a_large_body_goes_up_and_down_in_little_memory_however_slowly_it_is_read() {
    let (upstream, gateway) = set_up().await;
    let mut client = gateway.connect().await;
    let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {MANY}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut behind = upstream.accept().await;
    read_head(&mut behind).await;
    let before = gateway.peak_memory();

    let written = write_until_it_stalls(&mut client).await;
    tokio::join!(write_rest(&mut client, MANY - written), read_exactly(&mut behind, MANY));

    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MANY}\r\n\r\n");
    behind.write_all(head.as_bytes()).await.unwrap();
    let written = write_until_it_stalls(&mut behind).await;
    let reading = async {
        read_head(&mut client).await;
        read_exactly(&mut client, MANY).await;
    };
    tokio::join!(write_rest(&mut behind, MANY - written), reading);

    let grown = gateway.peak_memory() - before;
    assert!(grown < FLAT, "{grown} KiB more than before");
}

#[tokio::test]
async fn each_piece_arrives_before_the_next_is_sent() {
    let (upstream, gateway) = set_up().await;
    let mut client = gateway.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut behind = upstream.accept().await;
    read_head(&mut behind).await;
    for piece in ["3\r\none\r\n", "3\r\ntwo\r\n"] {
        client.write_all(piece.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut behind, piece).await, piece);
    }
    // The answer may begin before the request has ended.
    behind
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    read_head(&mut client).await;
    for piece in ["4\r\nfour\r\n", "4\r\nfive\r\n"] {
        behind.write_all(piece.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut client, piece).await, piece);
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(read_until(&mut behind, "0\r\n\r\n").await, "0\r\n\r\n");
    behind.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, "0\r\n\r\n");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (upstream, gateway) = set_up().await;
    let mut client = gateway.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTE: trailers\r\nTrailer: X-Sum\r\n";
    let body = "Transfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\nX-Sum: 1\r\n\r\n";
    client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut behind = upstream.accept().await;
    read_head(&mut behind).await;
    assert_eq!(
        read_until(&mut behind, "\r\n\r\n").await,
        "2\r\nup\r\n0\r\nx-sum: 1\r\n\r\n"
    );

    let head = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    behind
        .write_all(format!("{head}4\r\ndown\r\n0\r\nX-Sum: 2\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let response = read_to_end(&mut client).await;
    assert!(response.ends_with("4\r\ndown\r\n0\r\nx-sum: 2\r\n\r\n"), "{response}");
}
