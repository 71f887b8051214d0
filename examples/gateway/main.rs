//! How do I protect any HTTP service, written in whatever language? A reverse proxy that lets in only what has a good
//! token. What it reads, sets and drops is in the README beside this file.
//!
//! ```text
//! cargo run --example gateway --features config,metrics -- gateway.toml
//! ```
//!
//! With the feature `redis` it hears of log-outs, too, and refuses whoever is logged out with the next request.

mod admin;
mod answer;
mod forward_auth;
mod head;
mod headers;
mod identity;
mod inside;
mod proxy;
mod reply;
mod serve;
mod settings;

use std::{
    convert::Infallible, env, error::Error, fs, future::pending, net::SocketAddr, process::ExitCode, sync::Arc,
    time::Duration,
};

use http_body_util::BodyExt;
use resource_protector::{Diagnosis, ResourceProtectorLayer, config::ConfigError};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::{admin::Admin, inside::Inside, settings::Settings};

/// How long a list of revocations that can be reached takes at the most until it knows all of them.
const FIRST_LOOK: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = env::var("RUST_LOG").unwrap_or_else(|_| "resource_protector=info,gateway=info".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(file), None) = (arguments.next(), arguments.next()) else {
        return Err("usage: gateway gateway.toml".into());
    };
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let in_file = |error| format!("{file}: {error}");
    let in_line = |error: ConfigError| in_file(error.located_in(&text));
    let settings = Settings::from_toml(&text).map_err(in_file)?;
    let config = &settings.protector;
    let (protector, mirror) = config.protector_and_mirror().map_err(in_line)?;
    // Revocations are heard of until the process ends: also by requests that are in flight when it is told to stop.
    tokio::spawn(mirror);
    // Whatever a client calls its content type: a refusal is a status, and a proxy in front understands it.
    let protector = protector.http_refusals_only();
    let routes = config.routes(protector.clone()).map_err(in_line)?;
    let admin = match settings.admin {
        None => None,
        Some(address) => Some((address, Arc::new(Admin::new(protector.clone())?))),
    };
    if settings.fail_fast {
        if settings.hears_of_revocations {
            get_ready(&protector).await;
        }
        healthy(&protector.doctor().await).map_err(in_line)?;
    }

    let inside = Arc::new(settings.inside);
    let behind = Arc::clone(&inside);
    let protected = routes.layer(service_fn(move |request| {
        let inside = Arc::clone(&behind);
        async move { Ok::<_, Infallible>(inside.respond(request).await) }
    }));
    let gateway = service_fn(move |request| {
        let (inside, protected) = (Arc::clone(&inside), protected.clone());
        async move {
            let request = match &*inside {
                Inside::ForwardAuth => forward_auth::original(request),
                Inside::Answer | Inside::Proxy(_) => Ok(request),
            };
            match request {
                Ok(request) => protected
                    .oneshot(request)
                    .await
                    .map(|response| response.map(BodyExt::boxed_unsync)),
                Err(sentence) => Ok(reply::bad_request(sentence)),
            }
        }
    });

    // Before anybody can know that we run, so that the signal is never missed.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let listener = bind("listen", settings.listen).await.map_err(in_line)?;
    let admin = match admin {
        None => None,
        Some((address, admin)) => Some((bind("admin", address).await.map_err(in_line)?, admin)),
    };
    println!("listening on http://{}", listener.local_addr()?);
    if let Some((listener, admin)) = admin {
        println!("admin on http://{}", listener.local_addr()?);
        tokio::spawn(administer(listener, admin));
    }
    serve::serve(listener, serve::CONNECTIONS, gateway, stop).await;
    Ok(())
}

async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, ConfigError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| ConfigError::new(key, error))
}

/// Waits until all revocations are known, for as long as that should take. What is wrong otherwise is found by the diagnosis.
async fn get_ready(protector: &ResourceProtectorLayer) {
    let asking = async {
        while protector.ready().await.is_err() {
            sleep(LOOK_AGAIN).await;
        }
    };
    let _ = timeout(FIRST_LOOK, asking).await;
}

fn healthy(diagnosis: &Diagnosis) -> Result<(), ConfigError> {
    if diagnosis.is_healthy() {
        return Ok(());
    }
    let findings = diagnosis.findings().iter().filter(|finding| !finding.is_fine());
    let findings: Vec<String> = findings.map(ToString::to_string).collect();
    Err(ConfigError::new("fail_fast", findings.join("; ")))
}

/// Until the process ends: whoever probes it while it stops gets an answer.
async fn administer(listener: TcpListener, admin: Arc<Admin>) {
    let answering = Arc::clone(&admin);
    let service = service_fn(move |request| {
        let admin = Arc::clone(&answering);
        async move { Ok(admin.respond(&request).await) }
    });
    tokio::select! {
        () = serve::serve(listener, serve::ADMIN_CONNECTIONS, service, pending()) => {}
        () = admin.keep_up() => {}
    }
}
