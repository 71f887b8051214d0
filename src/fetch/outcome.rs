//! What became of an exchange, in one word for logs and metrics.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::FetchError;

/// How a call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server said what the token is worth.
    Ok,
    /// There was no connection: nothing was sent.
    Connection,
    /// There was no answer in time.
    Timeout,
    /// It asks for patience: 429, 503.
    Busy,
    /// It cannot do its work: 5xx, a connection or an answer that broke off, what is not JSON.
    Failed,
    /// It refuses this service's own request: 400, 401, 403.
    Refused,
    /// It answers, and not as such a server does.
    Nonsense,
}

impl Outcome {
    /// Whether it says that the server is not available: those failures are counted, and old answers stand in for the one
    /// that is missing. What was answered, however odd, is never replaced by something older.
    pub(crate) fn is_outage(self) -> bool {
        match self {
            Self::Connection | Self::Timeout | Self::Busy | Self::Failed => true,
            Self::Ok | Self::Refused | Self::Nonsense => false,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Nonsense => "nonsense",
        }
    }
}

/// What an exchange that is for a document came to, in one word.
pub(crate) fn outcome(answer: &Result<Response<Bytes>, FetchError>) -> Outcome {
    match answer.as_ref().map(Response::status) {
        Ok(StatusCode::OK | StatusCode::NOT_MODIFIED) => Outcome::Ok,
        Ok(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => Outcome::Busy,
        Ok(status) if !status.is_server_error() => Outcome::Nonsense,
        Err(error) if error.is_connection() => Outcome::Connection,
        Err(error) if error.is_timeout() => Outcome::Timeout,
        Err(error) if error.is_too_long() => Outcome::Nonsense,
        Ok(_) | Err(_) => Outcome::Failed,
    }
}
