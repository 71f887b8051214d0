//! `[revocation]`: tokens that end before they expire.

#[cfg_attr(not(feature = "redis"), path = "no_redis.rs")]
mod redis;

use std::{
    fmt,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use serde::Deserialize;

use super::secret::Hidden;
use crate::revocation::RevokedBy;

/// `[revocation]`: a list of revocations on Redis. The keys are listed in the [module's documentation](super).
///
/// It does not show the URL of Redis in its `Debug` form, which may have a password in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationConfig {
    redis_url: Option<Hidden>,
    redis_url_file: Option<PathBuf>,
    redis_url_env: Option<String>,
    authorities_file: Option<PathBuf>,
    name: String,
    by: Vec<RevokedBy>,
    longest_lifetime_seconds: u64,
    assume_issuer: Option<String>,
    unknown_after_seconds: Option<u64>,
    accept_stale_up_to_seconds: Option<u64>,
    capacity: Option<usize>,
}

/// What keeps a protector informed of revocations: a future that never ends by itself and has to be driven for as long as
/// requests are judged, `tokio::spawn(mirror)`.
///
/// While it is not driven, or was dropped, nothing is heard of revocations, and every token is refused with 503 as soon as
/// what is known is older than `unknown_after_seconds`; before the first hearing, at once. The events that tell of it are
/// listed in the documentation of the crate.
///
/// Needs a tokio runtime with I/O and timer.
#[must_use = "every token is refused with 503 while nobody drives the mirror of revocations"]
pub struct RevocationMirror(Pin<Box<dyn Future<Output = ()> + Send>>);

impl RevocationMirror {
    /// Where nothing is revoked.
    pub(super) fn of_nothing() -> Self {
        Self(Box::pin(std::future::pending()))
    }
}

impl Future for RevocationMirror {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for RevocationMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevocationMirror")
    }
}
