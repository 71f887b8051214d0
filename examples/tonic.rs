//! How do I protect gRPC services, with a scope for each method, and leave the health service open?
//!
//! ```text
//! cargo run --example tonic --features testing
//! ```
//!
//! tonic's own health service stands for yours: `Health/Check` needs `health:read`, everything else `health:admin`; a
//! second server beside it is open. Methods of your own find the token by `request.extensions().get::<CurrentToken>()`.
//! Servers and client are in this one process.

use std::{error::Error, net::SocketAddr};

use resource_protector::{JwtValidator, Requirement, ResourceProtectorLayer, require_by_path, testing::TestIssuer};
use tokio::net::TcpListener;
use tonic::{
    Request, Status,
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

async fn serve() -> Result<(SocketAddr, SocketAddr, String, String), Box<dyn Error>> {
    let issuer = TestIssuer::on_loopback().await?;
    let audience = "https://grpc.example.com";
    let tokens = JwtValidator::discover(issuer.url(), audience)?;
    let per_method = require_by_path(
        Requirement::scope("health:admin")?,
        [("/grpc.health.v1.Health/Check", Requirement::scope("health:read")?)],
    )?;
    let (protected, open) = (
        TcpListener::bind("127.0.0.1:0").await?,
        TcpListener::bind("127.0.0.1:0").await?,
    );
    let addresses = (protected.local_addr()?, open.local_addr()?);
    let reader = issuer.access_token(audience).scope("health:read").mint();
    let stranger = issuer.access_token(audience).scope("mail").mint();
    tokio::spawn(async move {
        // The issuer serves for as long as this task does.
        let _issuer = issuer;
        Server::builder()
            .layer(ResourceProtectorLayer::new(tokens))
            .layer(per_method)
            .add_service(tonic_health::server::health_reporter().1)
            .serve_with_incoming(TcpIncoming::from(protected))
            .await
    });
    // Where only one service of a server is protected: `tonic::service::LayerExt::named_layer`.
    tokio::spawn(
        Server::builder()
            .add_service(tonic_health::server::health_reporter().1)
            .serve_with_incoming(TcpIncoming::from(open)),
    );
    Ok((addresses.0, addresses.1, reader, stranger))
}

async fn call(address: SocketAddr, method: &str, token: Option<&str>) -> Result<String, Box<dyn Error>> {
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let mut client = HealthClient::new(channel);
    let mut request = Request::new(HealthCheckRequest::default());
    if let Some(token) = token {
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse()?);
    }
    let answer: Result<(), Status> = match method {
        "Check" => client.check(request).await.map(drop),
        _ => client.watch(request).await.map(drop),
    };
    Ok(answer.map_or_else(
        |status| format!("{:?}: {}", status.code(), status.message()),
        |()| "Ok".to_owned(),
    ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (protected, open, reader, stranger) = serve().await?;
    println!(
        "Check with health:read    {}",
        call(protected, "Check", Some(&reader)).await?
    );
    println!(
        "Check with another scope  {}",
        call(protected, "Check", Some(&stranger)).await?
    );
    println!(
        "Watch with health:read    {}",
        call(protected, "Watch", Some(&reader)).await?
    );
    println!("Check without token       {}", call(protected, "Check", None).await?);
    println!("Check at the open server  {}", call(open, "Check", None).await?);
    Ok(())
}
