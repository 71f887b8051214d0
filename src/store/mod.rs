//! Opaque tokens that the application itself keeps.

mod memory;
mod stored;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub use self::{
    memory::MemoryTokenStore,
    stored::{ExtraClaims, OpaqueToken, StoredToken},
};
use crate::{
    audience::Audience,
    error::{SetupError, within_leeway},
    rejection::{Reason, Rejection},
    token::CurrentToken,
    validate::{About, Presented, TokenValidator},
};

/// A table of opaque tokens. Implement it for yours.
///
/// ```
/// use std::{collections::HashMap, sync::Mutex, time::SystemTime};
///
/// use resource_protector::{OpaqueToken, StoreError, StoredToken, TokenStore};
///
/// /// Has digests for keys, so that nobody who reads the table learns a token.
/// #[derive(Default)]
/// struct MyTable(Mutex<HashMap<[u8; 32], StoredToken>>);
///
/// impl MyTable {
///     fn rows(&self) -> Result<std::sync::MutexGuard<'_, HashMap<[u8; 32], StoredToken>>, StoreError> {
///         self.0.lock().map_err(StoreError::new)
///     }
/// }
///
/// impl TokenStore for MyTable {
///     async fn find(&self, token: &OpaqueToken<'_>) -> Result<Option<StoredToken>, StoreError> {
///         Ok(self.rows()?.get(&token.sha256()).cloned())
///     }
///
///     async fn insert(&self, token: &OpaqueToken<'_>, record: StoredToken) -> Result<(), StoreError> {
///         self.rows()?.insert(token.sha256(), record);
///         Ok(())
///     }
///
///     async fn revoke(&self, token: &OpaqueToken<'_>) -> Result<(), StoreError> {
///         if let Some(record) = self.rows()?.get_mut(&token.sha256()) {
///             record.revoked_at = Some(SystemTime::now());
///         }
///         Ok(())
///     }
///
///     async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
///         let mut rows = self.rows()?;
///         let before = rows.len();
///         rows.retain(|_, record| record.expires_at.is_none_or(|exp| now < exp));
///         Ok(before - rows.len())
///     }
/// }
/// ```
///
/// Every method gives up after a time of its own choosing: a request waits for it.
pub trait TokenStore: Send + Sync + 'static {
    /// The record of a token, be it revoked or expired; `None` when there is none.
    ///
    /// A record for the wrong token lets somebody in as somebody else: compare the whole token, byte for byte, which a
    /// column with a case-insensitive collation does not. `None` instead of an error makes clients throw good tokens
    /// away.
    ///
    /// # Errors
    ///
    /// When the table cannot be read; the client is told to come again.
    fn find(&self, token: &OpaqueToken<'_>) -> impl Future<Output = Result<Option<StoredToken>, StoreError>> + Send;

    /// Keeps a record for a token, in the place of what was there.
    ///
    /// # Errors
    ///
    /// When the table cannot be written.
    fn insert(
        &self,
        token: &OpaqueToken<'_>,
        record: StoredToken,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Marks a token as revoked; nothing happens when there is none (RFC 7009 §2.2). When it returns, [`find`](Self::find)
    /// has seen it: a replica that lags lets the token in for as long.
    ///
    /// # Errors
    ///
    /// When the table cannot be written; then the token may still be good.
    fn revoke(&self, token: &OpaqueToken<'_>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes the records that have expired at `now`, and says how many. Nobody is let in by what is left over; a
    /// record that is deleted too early is a good token lost.
    ///
    /// # Errors
    ///
    /// When the table cannot be written.
    fn delete_expired(&self, now: SystemTime) -> impl Future<Output = Result<usize, StoreError>> + Send;
}

impl<S: TokenStore> TokenStore for Arc<S> {
    fn find(&self, token: &OpaqueToken<'_>) -> impl Future<Output = Result<Option<StoredToken>, StoreError>> + Send {
        S::find(self, token)
    }

    fn insert(
        &self,
        token: &OpaqueToken<'_>,
        record: StoredToken,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        S::insert(self, token, record)
    }

    fn revoke(&self, token: &OpaqueToken<'_>) -> impl Future<Output = Result<(), StoreError>> + Send {
        S::revoke(self, token)
    }

    fn delete_expired(&self, now: SystemTime) -> impl Future<Output = Result<usize, StoreError>> + Send {
        S::delete_expired(self, now)
    }
}

/// Why a table could not be read or written. The message goes to the log; it must not quote a token or a secret.
///
/// It is opaque: whatever it is, the request is answered with 503.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(String);

impl StoreError {
    /// A table that failed in this way.
    pub fn new(problem: impl fmt::Display) -> Self {
        Self(problem.to_string())
    }
}

/// Looks tokens up in a [`TokenStore`] with every request, so that a revocation is in force at once.
///
/// An unknown or revoked token is a 401; a table that cannot be read is a 503, and lets nobody in.
pub struct StoreValidator<S> {
    store: S,
    audience: Audience,
    leeway: Duration,
}

impl<S: TokenStore> StoreValidator<S> {
    /// Accepts the tokens whose record has one of these in its audience. A record without audience is refused.
    ///
    /// # Errors
    ///
    /// When the audience is blank.
    pub fn new(store: S, audience: impl Into<Audience>) -> Result<Self, SetupError> {
        Ok(Self {
            store,
            audience: audience.into().checked()?,
            leeway: Duration::ZERO,
        })
    }

    /// Accepts every token in the table, whatever its audience.
    ///
    /// For a table that only ever holds tokens of this very service. When another service's tokens get into it, whoever
    /// runs that service can use the tokens it is sent here, as the users that they belong to.
    pub fn for_tokens_of_this_service_only(store: S) -> Self {
        Self {
            store,
            audience: Audience::dangerous_any_even_tokens_meant_for_others(),
            leeway: Duration::ZERO,
        }
    }

    /// How far the clock of whoever writes the table may differ from ours; none unless set. Tokens live longer by as much.
    ///
    /// # Errors
    ///
    /// When it is more than 300 s.
    pub fn leeway(mut self, leeway: Duration) -> Result<Self, SetupError> {
        self.leeway = within_leeway(leeway)?;
        Ok(self)
    }
}

impl<S: TokenStore> TokenValidator for StoreValidator<S> {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let found = self.store.find(&OpaqueToken::new(presented.token())).await;
        let record = found
            .map_err(|error| Rejection::unavailable(format!("token table: {error}")))?
            .ok_or_else(|| Rejection::invalid_token(Reason::Inactive, "the token table does not know the token"))?;
        if record.revoked_at.is_some() {
            return Err(Rejection::invalid_token(Reason::Inactive, "the token was revoked"));
        }
        self.audience.judge(record.audience.iter().map(String::as_str))?;
        Ok(CurrentToken::vouch_for(&record)?.with_leeway(self.leeway))
    }

    /// The table is asked with every request.
    fn about(&self) -> About<'_> {
        About::default().with_asking_anew()
    }
}

impl<S> fmt::Debug for StoreValidator<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreValidator")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
