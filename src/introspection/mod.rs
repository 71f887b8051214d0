//! Asking the authorization server what a token is worth (RFC 7662).
//!
//! One request: what is remembered about the token answers at once ([`remembered`]). Otherwise one call goes out,
//! however many requests wait for the same token: it finds the endpoint ([`Place`]), asks there ([`client`]) as this
//! service ([`client_auth`], [`assertion`]), and what comes back is judged ([`response`]) and remembered.

mod assertion;
mod client;
mod client_auth;
mod remembered;
mod response;
mod setup;
mod tally;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;

pub use self::client_auth::ClientAuth;
use self::{
    client::Client,
    remembered::{Epoch, Remembered},
    response::Rules,
    tally::Tally,
};
use crate::{
    clock::Moment,
    rejection::{Rejection, RejectionKind},
    token::CurrentToken,
    validate::{About, Flights, Landed, Presented, TokenDigest, TokenValidator},
};

/// Asks the authorization server about each token (RFC 7662), and remembers its answers for a short time.
///
/// For opaque tokens, and for JWTs whose revocation must be noticed soon. Use it behind
/// [`ByIssuer`](crate::ByIssuer) where there are several kinds of tokens. To [`invalidate`](Self::invalidate) tokens,
/// share it in an [`Arc`]: `ResourceProtectorLayer::new(Arc::clone(&tokens))`.
///
/// ```
/// use resource_protector::{ClientAuth, IntrospectionValidator, ResourceProtectorLayer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = "from your secret store";
/// let tokens = IntrospectionValidator::new(
///     "https://auth.example.com/introspect",
///     ClientAuth::basic("my-api", secret),
///     "https://api.example.com",
/// )?;
/// let layer = ResourceProtectorLayer::new(tokens);
/// # Ok(())
/// # }
/// ```
///
/// # What is let in
///
/// 1. The answer says `"active": true`, and more than that; `token_type`, `token_use` and `typ`, if present, name an
///    access token; nothing in it is a sign of an ID token.
/// 2. Its `aud` has one of the expected values. An answer without `aud` is refused.
/// 3. Its `iss`, if present, is the expected one.
/// 4. The protector's own checks pass: time, binding, requirement.
///
/// Everything else that the server says about the token is a 401. That the server cannot be reached, is slow or busy,
/// or answers with what is not an introspection answer, is a 503; that it refuses *our* request (400, 401, 403) is our
/// fault and a 500.
///
/// # What is remembered
///
/// Good answers for 60 seconds and never beyond `exp`; refusals for 5 seconds; outages not at all. So a token that is
/// revoked at the authorization server is let in for up to 60 seconds more, unless it is
/// [invalidated](Self::invalidate) here; [`remember_for`](Self::remember_for) is that bound. Answers are this
/// validator's own, by a keyed digest of the token: neither the token nor anything to find it by is in memory.
pub struct IntrospectionValidator {
    inner: Arc<Inner>,
}

/// What a call needs, which outlives the request that started it.
#[derive(Clone)]
struct Inner {
    client: Client,
    rules: Rules,
    remembered: Remembered,
    flights: Flights<TokenDigest, Answer>,
    tally: Arc<Tally>,
    calls: Arc<Semaphore>,
}

/// What is known about a token, or why nothing is.
type Answer = Result<CurrentToken, Rejection>;

impl IntrospectionValidator {
    /// Forgets what is remembered about a token: the next request with it asks the authorization server. Call it when
    /// you learn that the token was revoked. An answer that is on its way at that moment is not remembered.
    pub fn invalidate(&self, token: &str) {
        let Some(digest) = TokenDigest::of(token) else { return };
        self.inner.remembered.invalidate(&digest);
        self.inner.flights.forget(&digest);
    }

    /// Waits for one call about the token, be it one that is under way.
    async fn call(&self, presented: &Presented<'_>, digest: TokenDigest) -> Landed<Answer> {
        let now = presented.now();
        let start = || {
            let (inner, token) = (Arc::clone(&self.inner), presented.token().to_owned());
            let epoch = inner.remembered.epoch(&digest);
            async move { inner.ask(&token, digest, now, epoch).await }
        };
        // Discovery and the exchange have one timeout each.
        let patience = self.inner.client.timeout * 2;
        self.inner.flights.join(digest, patience, start).await
    }
}

impl Inner {
    async fn ask(&self, token: &str, digest: TokenDigest, now: Moment, epoch: Epoch) -> Answer {
        // A call about the same token may have ended between the look into memory and this one's start.
        if let Some(known) = self.remembered.recall(&digest, now) {
            return known;
        }
        let Ok(_permit) = self.calls.try_acquire() else {
            return Err(Rejection::unavailable("introspection: too many calls are under way"));
        };
        let said = self.client.ask(token, now).await;
        let answer = said.and_then(|body| self.rules.judge(&body, now));
        self.tally.count(&answer, &self.client.place);
        self.remembered.remember(digest, &answer, now, epoch);
        answer
    }
}

impl TokenValidator for IntrospectionValidator {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let Some(digest) = presented.digest() else {
            return Err(Rejection::misconfigured("the operating system gives no random bytes"));
        };
        if let Some(known) = self.inner.remembered.recall(&digest, presented.now()) {
            return known;
        }
        let landed = match self.call(presented, digest).await {
            // It may have failed only because it was started earlier and its time was up; so this request gets a call
            // with a whole deadline, once. All who waited share that one, too.
            Landed::Joined(Err(outage)) if outage.kind() == RejectionKind::Unavailable => {
                self.call(presented, digest).await
            }
            landed => landed,
        };
        match landed {
            Landed::Own(answer) | Landed::Joined(answer) => answer,
            Landed::Lost => Err(Rejection::unavailable("introspection: the call broke off")),
        }
    }

    fn about(&self) -> About<'_> {
        About::default().with_issuers(self.inner.rules.issuer.as_slice())
    }

    fn validate_now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        self.inner.remembered.recall(&presented.digest()?, presented.now())
    }
}

impl fmt::Debug for IntrospectionValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionValidator")
            .field("place", &self.inner.client.place.name())
            .field("client_auth", &self.inner.client.auth)
            .field("rules", &self.inner.rules)
            .finish_non_exhaustive()
    }
}
