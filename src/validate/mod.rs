//! The seam between the protector and whatever knows about tokens.

mod by_issuer;
mod digest;
mod flight;

use std::{fmt, pin::Pin, sync::Arc};

use http::request::Parts;

pub use self::by_issuer::ByIssuer;
pub(crate) use self::digest::{DigestKey, TokenDigest};
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

    /// The names of the one issuer whose tokens this accepts, if it is known. [`ByIssuer`] asks at start: to notice a
    /// mix-up, and to send it tokens under all of them.
    fn issuers(&self) -> &[String] {
        &[]
    }
}

impl<V: TokenValidator> TokenValidator for Arc<V> {
    fn validate(&self, presented: &Presented<'_>) -> impl Future<Output = Result<CurrentToken, Rejection>> + Send {
        V::validate(self, presented)
    }

    fn validate_now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        V::validate_now(self, presented)
    }

    fn issuers(&self) -> &[String] {
        V::issuers(self)
    }
}

/// What a validator may look at: the token, the request it came with, and the time.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    token: &'a str,
    request: &'a Parts,
    now: Moment,
}

impl<'a> Presented<'a> {
    /// A token that came with this request at this moment: for tests of a validator of your own.
    pub fn new(token: &'a str, request: &'a Parts, now: Moment) -> Self {
        Self { token, request, now }
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
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A validator of any type. Nothing outside this crate sees it, so that implementors write a plain `async fn`.
pub(crate) trait AnyValidator: Send + Sync {
    fn now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>>;

    fn later<'a>(&'a self, presented: &'a Presented<'a>) -> BoxFuture<'a, Result<CurrentToken, Rejection>>;
}

impl<V: TokenValidator> AnyValidator for V {
    fn now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        self.validate_now(presented)
    }

    fn later<'a>(&'a self, presented: &'a Presented<'a>) -> BoxFuture<'a, Result<CurrentToken, Rejection>> {
        Box::pin(self.validate(presented))
    }
}
