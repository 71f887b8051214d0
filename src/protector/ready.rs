//! Whether requests can be judged at all.

use super::ResourceProtectorLayer;

/// Why a protector could not judge a token that it has never seen. The message is for logs and for people; it quotes no
/// secret.
///
/// It is opaque: whatever it is, the answer of a readiness probe is 503.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not ready: {0}")]
pub struct NotReady(String);

impl ResourceProtectorLayer {
    /// For a readiness probe: whether a token that was never seen could be judged now.
    ///
    /// Keys that are not there yet, or too old for anything, are fetched, and waited for no longer than by a request; after
    /// a failure that is not tried again before a pause is over, so that a probe every second does no harm. A service that
    /// starts while its authorization server is down answers its first requests with 503, and is ready once the server is
    /// back, without any request. An introspection endpoint is not asked: [`doctor`](Self::doctor) does that.
    ///
    /// # Errors
    ///
    /// When it could not be judged. Tokens that are remembered may be let in all the same.
    pub async fn ready(&self) -> Result<(), NotReady> {
        let now = self.policy.clock.now();
        let ready = self.policy.validator.ready(now).await;
        ready.map_err(|refusal| NotReady(refusal.detail().to_owned()))?;
        let list = self.policy.revocation.as_ref();
        match list.and_then(|list| list.problem(now)) {
            None => Ok(()),
            Some(problem) => Err(NotReady(problem.to_owned())),
        }
    }
}
