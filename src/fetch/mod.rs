//! The network, behind one small method.

#[cfg(not(feature = "reqwest"))]
mod no_client;
mod outcome;
mod pace;
#[cfg(feature = "reqwest")]
mod reqwest;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};

#[cfg(not(feature = "reqwest"))]
use self::no_client::DefaultFetch;
#[cfg(feature = "reqwest")]
use self::reqwest::DefaultFetch;
#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestFetch;
pub(crate) use self::{
    outcome::{Outcome, outcome},
    pace::Pace,
};
use crate::validate::BoxFuture;

/// Makes HTTP exchanges with an authorization server: metadata, JWK sets, introspection.
///
/// The default is [`ReqwestFetch`](crate::ReqwestFetch). Implement it to go through a proxy, to trust a private
/// certificate authority, to add mutual TLS, or to script an authorization server in a test.
///
/// An implementation verifies the server's certificate and name; follows no redirect; and reads no more than
/// `max_body` bytes of an answer. Who follows a redirect sends a token, or takes keys, from where somebody else says.
/// The caller drops the future when its deadline passes.
pub trait Fetch: Send + Sync + 'static {
    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// When there is no answer, or one with a body of more than `max_body` bytes. An answer with an error status is an
    /// answer.
    fn fetch(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, FetchError>> + Send;
}

impl<F: Fetch> Fetch for Arc<F> {
    fn fetch(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, FetchError>> + Send {
        F::fetch(self, request, max_body)
    }
}

/// The longest wait that a busy server can impose on our clients, in seconds.
const LONGEST_RETRY: u64 = 60 * 60;

/// The longest time for which a busy server is left alone because it says so.
pub(crate) const LONGEST_WISH: Duration = Duration::from_secs(60);

/// Why there was no answer. The message goes to the log; it must not quote a token or a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub struct FetchError {
    problem: String,
    stage: Stage,
    /// For how long the server asked not to be asked.
    wish: Option<Duration>,
}

/// How far an exchange came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    Connecting,
    /// The server may have seen the request, and more is not known.
    Exchanging,
    /// The deadline passed.
    OutOfTime,
    /// There is an answer, and it is longer than is read.
    TooLong,
}

impl FetchError {
    /// An exchange that failed in this way.
    pub fn new(problem: impl fmt::Display) -> Self {
        Self::at(Stage::Exchanging, problem)
    }

    /// There was no connection to the server: its name was not found, it refused, or TLS did not come about. Say so only
    /// where **nothing of the request was sent**: such an exchange may be made once more.
    pub fn connection(problem: impl fmt::Display) -> Self {
        Self::at(Stage::Connecting, problem)
    }

    /// Whether nothing was sent, because there was no connection.
    pub fn is_connection(&self) -> bool {
        self.stage == Stage::Connecting
    }

    /// For how long the server asked not to be asked; a minute at the most, as it may be wrong about that, too.
    pub(crate) fn wish(&self) -> Option<Duration> {
        self.wish.map(|wish| wish.min(LONGEST_WISH))
    }

    /// Says for how long the server asked not to be asked.
    pub(crate) fn wishing(mut self, wish: Option<Duration>) -> Self {
        self.wish = wish;
        self
    }

    /// Whether the deadline passed.
    pub(crate) fn is_timeout(&self) -> bool {
        self.stage == Stage::OutOfTime
    }

    /// Whether there was an answer, longer than is read.
    pub(crate) fn is_too_long(&self) -> bool {
        self.stage == Stage::TooLong
    }

    fn too_long(max_body: usize) -> Self {
        Self::at(
            Stage::TooLong,
            format_args!("the answer is longer than {max_body} bytes"),
        )
    }

    fn at(stage: Stage, problem: impl fmt::Display) -> Self {
        Self {
            problem: problem.to_string(),
            wish: None,
            stage,
        }
    }
}

/// A `Fetch` of any type, with a deadline.
#[derive(Clone)]
pub(crate) struct Network(Arc<dyn AnyFetch>);

trait AnyFetch: Send + Sync {
    fn fetch(&self, request: Request<Bytes>, max_body: usize) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>>;
}

impl<F: Fetch> AnyFetch for F {
    fn fetch(&self, request: Request<Bytes>, max_body: usize) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(Fetch::fetch(self, request, max_body))
    }
}

impl Network {
    pub(crate) fn new(fetch: impl Fetch) -> Self {
        Self(Arc::new(fetch))
    }

    /// The client that is compiled in, set up when it is first needed: it reads certificates from disk.
    pub(crate) fn default_client() -> Self {
        Self::new(DefaultFetch::default())
    }

    /// One exchange. Call it in a task of the runtime: the deadline needs its timer.
    pub(crate) async fn exchange(
        &self,
        request: Request<Bytes>,
        max_body: usize,
        deadline: Duration,
    ) -> Result<Response<Bytes>, FetchError> {
        let answer = tokio::time::timeout(deadline, self.0.fetch(request, max_body)).await;
        let response =
            answer.map_err(|_| FetchError::at(Stage::OutOfTime, format_args!("no answer within {deadline:?}")))??;
        if response.body().len() > max_body {
            return Err(FetchError::too_long(max_body));
        }
        Ok(response)
    }
}

/// So that several validators share one.
impl Fetch for Network {
    fn fetch(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, FetchError>> + Send {
        self.0.fetch(request, max_body)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

/// Whether an answer says that its body is JSON, as it is: one `application/json`, and no content encoding.
pub(crate) fn is_json(response: &Response<Bytes>) -> bool {
    let headers = response.headers();
    let mut content_types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(content_type), None) = (content_types.next(), content_types.next()) else {
        return false;
    };
    let media_type = content_type.to_str().ok().and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
        && headers
            .get(header::CONTENT_ENCODING)
            .is_none_or(|encoding| encoding == "identity")
}

/// Refuses anything but 200, naming the status only.
pub(crate) fn expect_ok(response: &Response<Bytes>) -> Result<(), FetchError> {
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let wish = is_busy.then(|| retry_after(response.headers())).flatten();
    Err(FetchError::new(format_args!("expected status 200, got {}", status.as_u16())).wishing(wish))
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3). A date is not read: it would need the server's clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_RETRY)))
}
