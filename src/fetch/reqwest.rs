//! The default HTTP client.

use std::{sync::OnceLock, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};

use super::{Fetch, FetchError};
use crate::error::SetupError;

/// `reqwest` with rustls and the certificate authorities of the operating system: TLS 1.2 or newer, no redirects, no
/// cookies, no proxy from the environment, connections reused.
#[derive(Clone, Debug)]
pub struct ReqwestFetch(::reqwest::Client);

impl ReqwestFetch {
    /// A client of its own. Clones share its connections.
    ///
    /// # Errors
    ///
    /// When the TLS set-up of the system cannot be used, for example because there are no certificate authorities.
    pub fn new() -> Result<Self, SetupError> {
        ::reqwest::Client::builder()
            .redirect(::reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .user_agent(concat!("resource-protector/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(|error| SetupError::new("fetch", explain(error)))
    }
}

impl Fetch for ReqwestFetch {
    async fn fetch(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, FetchError> {
        let request = ::reqwest::Request::try_from(request).map_err(explain)?;
        let mut answer = self.0.execute(request).await.map_err(explain)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(explain)? {
            if body.len() + chunk.len() > max_body {
                return Err(FetchError(format!("the answer is longer than {max_body} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

/// The client of validators that were given none.
#[derive(Default)]
pub(super) struct DefaultFetch(OnceLock<ReqwestFetch>);

impl Fetch for DefaultFetch {
    async fn fetch(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, FetchError> {
        let client = match self.0.get() {
            Some(client) => client,
            None => {
                let client = ReqwestFetch::new().map_err(FetchError::new)?;
                self.0.get_or_init(|| client)
            }
        };
        client.fetch(request, max_body).await
    }
}

/// The whole chain of causes, without the URL: it may hold what should not be logged.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn explain(error: ::reqwest::Error) -> FetchError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    FetchError(text)
}
