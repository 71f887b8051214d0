//! How do I protect a bare hyper service, without any framework?
//!
//! ```text
//! cargo run --example hyper --features testing
//! ```

use std::{convert::Infallible, error::Error};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use resource_protector::{CurrentToken, JwtValidator, ResourceProtectorLayer, require_scope, testing::TestIssuer};
use tower::ServiceBuilder;

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // The protector has put the token there; nothing that a client sends can.
    let subject = request
        .extensions()
        .get::<CurrentToken>()
        .and_then(CurrentToken::subject)
        .unwrap_or("nobody");
    Ok(Response::new(Full::from(format!("hello {subject}\n"))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = TestIssuer::on_loopback().await?;
    let audience = "https://api.example.com";

    let tokens = JwtValidator::discover(issuer.url(), audience)?;
    let service = ServiceBuilder::new()
        .layer(ResourceProtectorLayer::new(tokens))
        .layer(require_scope("profile"))
        .service_fn(hello);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    let token = |scope| issuer.access_token(audience).scope(scope).mint();
    println!(
        "\n# 200\ncurl -i -H 'Authorization: Bearer {}' {here}/",
        token("profile")
    );
    println!(
        "\n# 403, another scope\ncurl -i -H 'Authorization: Bearer {}' {here}/",
        token("mail")
    );
    println!("\n# 401, no token\ncurl -i {here}/");

    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // HTTP/1.1 and HTTP/2 on the same port.
            let connection = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}
