//! In which form access tokens are issued, and who is told when they are taken back.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use resource_protector::{CutOff, Revoke, RevokeError, RevokedBy, SetupError};

use crate::keys::KeyRing;

/// In which form access tokens are issued.
///
/// What cannot be taken back has a long name: the others need to know how.
#[derive(Clone)]
pub struct AccessTokens {
    pub(super) form: Form,
    pub(super) list: Option<Arc<dyn AnyRevoke>>,
}

#[derive(Clone)]
pub(super) enum Form {
    Jwt(KeyRing),
    Opaque,
}

impl AccessTokens {
    /// JWTs (RFC 9068), signed by the key of this ring whose turn it is. Resource servers verify them by themselves, so they
    /// are told by this list which ones were taken back.
    ///
    /// With several processes, of whichever kind, give them a list that they share
    /// ([`RedisRevocationList`](resource_protector::RedisRevocationList), with the feature `redis`). With lists in memory each process
    /// knows at once what it has revoked itself, and by its upkeep, every 30 s, what the others have revoked in the same store; resource servers elsewhere know
    /// nothing of it.
    ///
    /// # Errors
    ///
    /// When the list does not go by `jti`, `sid`, `sub` and `client_id`: then a log-out would silently revoke nothing.
    pub fn jwt(keys: KeyRing, list: impl Revoke) -> Result<Self, SetupError> {
        Self {
            form: Form::Jwt(keys),
            list: None,
        }
        .revocation_list(list)
    }

    /// JWTs that stay good until they expire: log-outs and revocations end refresh tokens only. For resource servers that
    /// accept that, with access tokens that live for a few minutes.
    pub fn jwt_that_nobody_can_take_back(keys: KeyRing) -> Self {
        Self {
            form: Form::Jwt(keys),
            list: None,
        }
    }

    /// Opaque tokens: random strings, of which the store has the digests. Resource servers ask the introspection endpoint
    /// about them, or look into the same store by a [`TokenTable`](super::TokenTable); who remembers answers notices a
    /// revocation when they are too old.
    pub fn opaque() -> Self {
        Self {
            form: Form::Opaque,
            list: None,
        }
    }

    /// Tells this list, too, so that resource servers notice at once which opaque tokens were taken back.
    ///
    /// The `iat` of a token that is issued within a second after its subject was logged out everywhere lies ahead, by less
    /// than a second: give resource servers a leeway of a second, where they have none.
    ///
    /// # Errors
    ///
    /// When the list does not go by `jti`, `sid`, `sub` and `client_id`.
    pub fn revocation_list(mut self, list: impl Revoke) -> Result<Self, SetupError> {
        let needed = [
            RevokedBy::TokenId,
            RevokedBy::Session,
            RevokedBy::Subject,
            RevokedBy::Client,
        ];
        if let Some(missing) = needed.into_iter().find(|by| !list.terms().include(*by)) {
            return Err(SetupError::new(
                "access_tokens",
                format_args!(
                    "expected a list of revocations that goes by {needed:?}, got one that does not go by {missing:?}: \
                     what is revoked by that would stay good"
                ),
            ));
        }
        self.list = Some(Arc::new(list));
        Ok(self)
    }

    /// How long a token may live, so that a revocation is known for as long.
    pub(super) fn longest_lifetime(&self) -> Option<Duration> {
        self.list.as_ref().map(|list| list.longest_lifetime())
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            Form::Jwt(_) => "jwt",
            Form::Opaque => "opaque",
        };
        f.debug_struct("AccessTokens")
            .field("form", &form)
            .finish_non_exhaustive()
    }
}

/// A list of any type.
pub(super) trait AnyRevoke: Send + Sync {
    fn revoke(&self, cut_off: CutOff) -> Pin<Box<dyn Future<Output = Result<(), RevokeError>> + Send + '_>>;

    fn longest_lifetime(&self) -> Duration;
}

impl<L: Revoke> AnyRevoke for L {
    fn revoke(&self, cut_off: CutOff) -> Pin<Box<dyn Future<Output = Result<(), RevokeError>> + Send + '_>> {
        Box::pin(Revoke::revoke(self, cut_off))
    }

    fn longest_lifetime(&self) -> Duration {
        self.terms().longest_lifetime()
    }
}
