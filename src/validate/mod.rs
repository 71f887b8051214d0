//! The seam between the protector and whatever knows about tokens.

mod book;
mod by_issuer;
mod digest;
mod flight;
mod on_demand;

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::request::Parts;

pub use self::by_issuer::ByIssuer;
pub(crate) use self::digest::TokenDigest;
pub(crate) use self::flight::{Flights, Landed};
use crate::{clock::Moment, rejection::Rejection, token::CurrentToken};

/// Decides what a token is worth. Implement it to check tokens in a way of your own.
///
/// ```
/// use resource_protector::{CurrentToken, Presented, Reason, Rejection, TokenValidator};
///
/// struct OneToken;
///
/// impl TokenValidator for OneToken {
///     async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
///         if presented.token() != "open-sesame" {
///             return Err(Rejection::invalid_token(Reason::Inactive, "not the one token"));
///         }
///         CurrentToken::vouch_for(&serde_json::json!({ "sub": "alibaba", "scope": "cave" }))
///     }
/// }
/// ```
///
/// What is answered with `Ok` is let in, once the protector has found its time right and its requirement met. So a
/// validator checks that the token is genuine, not revoked, and meant for this service. When it cannot find out, it
/// answers [`Rejection::unavailable`], and never that the token is invalid: clients throw invalid tokens away.
pub trait TokenValidator: Send + Sync + 'static {
    /// Judges a token.
    ///
    /// # Errors
    ///
    /// The refusal that the client gets.
    fn validate(&self, presented: &Presented<'_>) -> impl Future<Output = Result<CurrentToken, Rejection>> + Send;

    /// The same, where the answer is at hand without waiting; `None` means that it is not, and
    /// [`validate`](Self::validate) is called. It must not block. A right answer here saves the request an allocation
    /// and a trip through the scheduler.
    fn validate_now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        let _ = presented;
        None
    }

    /// What is known of this validator before the first token comes.
    fn about(&self) -> About<'_> {
        About::default()
    }

    /// Whether it could judge a token that it has never seen. Fetches what that needs, where it is not there yet, and
    /// waits for it no longer than a request would. Outages that only keep it from asking about a token do not count: what
    /// it remembers may still let requests in.
    ///
    /// # Errors
    ///
    /// What a request would be refused with.
    fn ready(&self, now: Moment) -> impl Future<Output = Result<(), Rejection>> + Send {
        let _ = now;
        std::future::ready(Ok(()))
    }
}

/// What a validator says about itself at start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct About<'a> {
    issuers: &'a [String],
    opaque_prefixes: &'a [String],
    asks_anew: bool,
}

impl<'a> About<'a> {
    /// The names in `iss` of the tokens that it accepts, where they are known. [`ByIssuer`] needs them to notice a mix-up,
    /// and to send it tokens under all of them.
    pub fn with_issuers(mut self, issuers: &'a [String]) -> Self {
        self.issuers = issuers;
        self
    }

    /// With what the opaque tokens begin that it accepts, where it tells them apart by that.
    /// [`ResourceProtectorLayer::doctor`](crate::ResourceProtectorLayer::doctor) makes up a token for each.
    pub fn with_opaque_prefixes(mut self, prefixes: &'a [String]) -> Self {
        self.opaque_prefixes = prefixes;
        self
    }

    /// It heeds [`Presented::max_age`] for every token: where what it knows is older, it asks whoever knows whether the
    /// token was revoked. A validator that says so and does not lets revoked tokens through guards that are there to
    /// keep them out.
    pub fn with_asking_anew(mut self) -> Self {
        self.asks_anew = true;
        self
    }

    /// The names of the issuers whose tokens it accepts; none where they are not known.
    pub fn issuers(&self) -> &'a [String] {
        self.issuers
    }

    /// With what the opaque tokens begin that it accepts; none where it does not go by that.
    pub fn opaque_prefixes(&self) -> &'a [String] {
        self.opaque_prefixes
    }

    /// Whether it heeds [`Presented::max_age`].
    pub fn asks_anew(&self) -> bool {
        self.asks_anew
    }
}

impl<V: TokenValidator> TokenValidator for Arc<V> {
    fn validate(&self, presented: &Presented<'_>) -> impl Future<Output = Result<CurrentToken, Rejection>> + Send {
        V::validate(self, presented)
    }

    fn validate_now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        V::validate_now(self, presented)
    }

    fn about(&self) -> About<'_> {
        V::about(self)
    }

    fn ready(&self, now: Moment) -> impl Future<Output = Result<(), Rejection>> + Send {
        V::ready(self, now)
    }
}

/// What a validator may look at: the token, the request it came with, and the time.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    token: &'a str,
    request: &'a Parts,
    now: Moment,
    max_age: Option<Duration>,
    digest: Option<TokenDigest>,
}

impl<'a> Presented<'a> {
    /// A token that came with this request at this moment: for tests of a validator of your own.
    pub fn new(token: &'a str, request: &'a Parts, now: Moment) -> Self {
        Self {
            token,
            request,
            now,
            max_age: None,
            digest: None,
        }
    }

    /// The answer may rest on nothing that is older than this.
    #[must_use]
    pub fn no_older_than(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// The raw token. It is a secret: keep it out of logs, errors and cache keys.
    pub fn token(&self) -> &'a str {
        self.token
    }

    /// The request, without its body. Whatever is in it was chosen by the client.
    pub fn request(&self) -> &'a Parts {
        self.request
    }

    /// The time for which the token is judged.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// How old the knowledge that the token is not revoked may be, where the route demands that. A validator that does not know how to ask anew
    /// ignores it, and guards that would need it are not built.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// The name under which the token can be remembered; computed with every call, unless it was [before](Self::named).
    pub(crate) fn digest(&self) -> Option<TokenDigest> {
        self.digest.or_else(|| TokenDigest::of(self.token))
    }

    /// The same, and the name with it, for whoever needs it further on.
    pub(crate) fn named(&self) -> Self {
        Self {
            digest: self.digest(),
            ..*self
        }
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Waits for all of them at the same time.
pub(crate) async fn all<T>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx: &mut Context<'_>| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *done = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// A validator of any type. Nothing outside this crate sees it, so that implementors write a plain `async fn`.
pub(crate) trait AnyValidator: Send + Sync {
    fn now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>>;

    fn later<'a>(&'a self, presented: &'a Presented<'a>) -> BoxFuture<'a, Result<CurrentToken, Rejection>>;

    fn about(&self) -> About<'_>;

    fn ready(&self, now: Moment) -> BoxFuture<'_, Result<(), Rejection>>;
}

impl<V: TokenValidator> AnyValidator for V {
    fn now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        self.validate_now(presented)
    }

    fn later<'a>(&'a self, presented: &'a Presented<'a>) -> BoxFuture<'a, Result<CurrentToken, Rejection>> {
        Box::pin(self.validate(presented))
    }

    fn about(&self) -> About<'_> {
        TokenValidator::about(self)
    }

    fn ready(&self, now: Moment) -> BoxFuture<'_, Result<(), Rejection>> {
        Box::pin(TokenValidator::ready(self, now))
    }
}
