//! The second listener, for whoever runs the gateway: does it live, can it judge tokens, what has it counted. Nothing that
//! is protected is served here, and nobody's token is looked at.

use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use resource_protector::ResourceProtectorLayer;
use tokio::time::{sleep, timeout};

use crate::reply::{self, Body};

/// Upper bounds for how long calls to the issuer take, in seconds.
const BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// How often samples are summed up that nobody reads.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long reading the metrics waits for keys to be fetched.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Admin {
    protector: ResourceProtectorLayer,
    counted: PrometheusHandle,
}

impl Admin {
    /// Counts from now on.
    pub(crate) fn new(protector: ResourceProtectorLayer) -> Result<Self, BuildError> {
        let counted = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
        Ok(Self { protector, counted })
    }

    pub(crate) async fn respond<B>(&self, request: &Request<B>) -> Response<Body> {
        let path = request.uri().path();
        if !["/livez", "/readyz", "/metrics"].contains(&path) {
            return text(
                StatusCode::NOT_FOUND,
                "there are /livez, /readyz and /metrics\n".to_owned(),
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, String::new());
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        match path {
            "/readyz" => match self.protector.ready().await {
                Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
                Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
            },
            "/metrics" => {
                // Whoever is asked tells its age and state.
                let _ = timeout(PATIENCE, self.protector.ready()).await;
                let mut response = text(StatusCode::OK, self.counted.render());
                let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, format);
                response
            }
            _ => text(StatusCode::OK, "ok\n".to_owned()),
        }
    }

    /// Keeps what was counted small, even if nobody ever reads it.
    pub(crate) async fn keep_up(&self) {
        loop {
            sleep(UPKEEP).await;
            self.counted.run_upkeep();
        }
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = reply::no_store(status, text);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
