//! The default HTTP client.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use ::reqwest::{Certificate, ClientBuilder};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, uri::Scheme};

use super::{Fetch, FetchError};
use crate::{
    endpoint::{Endpoint, Http},
    error::SetupError,
    secret::Secret,
};

/// `reqwest` with rustls and the certificate authorities of the operating system: TLS 1.2 or newer, no redirects, no
/// cookies, no proxy from the environment, connections reused.
#[derive(Clone, Debug)]
pub struct ReqwestFetch {
    client: ::reqwest::Client,
    bearer: Option<Arc<Bearer>>,
}

/// What is shown to one server that lets nobody see even its public keys without.
#[derive(Debug)]
struct Bearer {
    origin: Origin,
    token: Secret,
}

type Origin = (Scheme, String, u16);

impl ReqwestFetch {
    /// A client of its own. Clones share its connections.
    ///
    /// # Errors
    ///
    /// When the TLS set-up of the system cannot be used, for example because there are no certificate authorities.
    pub fn new() -> Result<Self, SetupError> {
        Self::with_client(Self::builder())
    }

    /// A client that trusts these certificate authorities, too: one or more sections `CERTIFICATE` in PEM. Whoever has
    /// the key of one of them can stand in for any server.
    ///
    /// # Errors
    ///
    /// When there is no such section, or as [`new`](Self::new).
    pub fn trusting(authorities_pem: impl AsRef<[u8]>) -> Result<Self, SetupError> {
        let certificates = Certificate::from_pem_bundle(authorities_pem.as_ref()).unwrap_or_default();
        if certificates.is_empty() {
            return Err(SetupError::new(
                "trusting",
                "expected the certificates of authorities in PEM (BEGIN CERTIFICATE), got none",
            ));
        }
        Self::with_client(Self::builder().tls_certs_merge(certificates))
    }

    /// Shows a bearer token to one server, in requests that carry no other credentials: to the API server of Kubernetes,
    /// for its keys. The server is named by any URL of it, and the token goes to no other. A token in a file is read
    /// again when the server answers 401.
    ///
    /// # Errors
    ///
    /// When the URL is not `https` (`http` for a loopback host), or the token cannot stand in a header.
    pub fn bearer(self, server: impl AsRef<str>, token: impl Into<Secret>) -> Result<Self, SetupError> {
        let server = Endpoint::parse("bearer", server.as_ref(), Http::OnLoopback)?;
        let origin = server.as_str().parse().ok().as_ref().and_then(origin);
        let bearer = Bearer {
            origin: origin.ok_or_else(|| SetupError::new("bearer", "expected the URL of a server"))?,
            token: token.into(),
        };
        bearer.value().map_err(|problem| SetupError::new("bearer", problem))?;
        Ok(Self {
            bearer: Some(Arc::new(bearer)),
            ..self
        })
    }

    fn builder() -> ClientBuilder {
        ::reqwest::Client::builder()
            .redirect(::reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .user_agent(concat!("resource-protector/", env!("CARGO_PKG_VERSION")))
    }

    fn with_client(builder: ClientBuilder) -> Result<Self, SetupError> {
        let client = builder
            .build()
            .map_err(|error| SetupError::new("fetch", explain(error)))?;
        Ok(Self { client, bearer: None })
    }

    /// The token for this request, if it goes where the token belongs.
    fn bearer_for(&self, request: &Request<Bytes>) -> Option<&Arc<Bearer>> {
        let is_free = !request.headers().contains_key(header::AUTHORIZATION);
        let bearer = self.bearer.as_ref().filter(|_| is_free)?;
        (origin(request.uri()).as_ref() == Some(&bearer.origin)).then_some(bearer)
    }

    async fn exchange(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, FetchError> {
        let request = ::reqwest::Request::try_from(request).map_err(explain)?;
        let mut answer = self.client.execute(request).await.map_err(explain)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(explain)? {
            if body.len() + chunk.len() > max_body {
                return Err(FetchError::too_long(max_body));
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl Fetch for ReqwestFetch {
    async fn fetch(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, FetchError> {
        let Some(bearer) = self.bearer_for(&request) else {
            return self.exchange(request, max_body).await;
        };
        let shown = bearer.token.version();
        let response = match bearer.authorize(request.clone()) {
            Ok(request) => Some(self.exchange(request, max_body).await?),
            // It was read while it was being written.
            Err(_) => None,
        };
        let is_refused = response
            .as_ref()
            .is_none_or(|response| response.status() == StatusCode::UNAUTHORIZED);
        // The caller's deadline holds for this, too.
        if is_refused && bearer.token.renewed_since(shown).await {
            return self.exchange(bearer.authorize(request)?, max_body).await;
        }
        response.ok_or_else(unusable_token)
    }
}

impl Bearer {
    fn value(&self) -> Result<HeaderValue, FetchError> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.token.text())).map_err(|_| unusable_token())?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn authorize(&self, mut request: Request<Bytes>) -> Result<Request<Bytes>, FetchError> {
        request.headers_mut().insert(header::AUTHORIZATION, self.value()?);
        Ok(request)
    }
}

fn unusable_token() -> FetchError {
    FetchError::new("the bearer token cannot stand in a header")
}

fn origin(url: &Uri) -> Option<Origin> {
    let host = url.host()?.to_ascii_lowercase();
    let scheme = url.scheme()?.clone();
    let usual = if scheme == Scheme::HTTPS { 443 } else { 80 };
    Some((scheme, host, url.port_u16().unwrap_or(usual)))
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
    let is_connection = error.is_connect();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    match is_connection {
        true => FetchError::connection(text),
        false => FetchError::new(text),
    }
}
