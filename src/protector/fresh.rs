//! A guard that judges the token again, by what is known of it now.

use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{ResourceProtector, ResourceProtectorLayer, admit::Policy};
use crate::error::{SetupError, within};

/// The longest age that can be demanded: nothing is remembered for longer.
const OLDEST: Duration = Duration::from_secs(24 * 3600);

/// Guards a sensitive route: the token is judged again, by an answer that is no older than the route demands. Made by
/// [`ResourceProtectorLayer::require_fresh`].
#[derive(Clone, Debug)]
pub struct RequireFreshLayer {
    policy: Arc<Policy>,
}

impl ResourceProtectorLayer {
    /// A guard for sensitive routes, to be put inside of this protector: it lets in only whose token is good by knowledge
    /// that is no older than `max_age`, and asks the authorization server, or whoever knows, where it has to. Zero asks
    /// for every request; a day is the most.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use axum::{Router, routing::post};
    /// use resource_protector::{MemoryTokenStore, ResourceProtectorLayer, StoreValidator};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tokens = StoreValidator::new(MemoryTokenStore::new(), "https://api.example.com")?;
    /// let protector = ResourceProtectorLayer::new(tokens);
    /// let app: Router = Router::new()
    ///     .route("/transfers", post(|| async { "done" }).layer(protector.require_fresh(Duration::from_secs(5))?))
    ///     .layer(protector);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It reads the same credentials once more, so layers between leave them where they are, and what it finds out
    /// replaces the [`CurrentToken`](crate::CurrentToken) for everything further in: guards that are to judge by that stand
    /// inside of it. Where nobody can be asked it answers 503, and never by an older or a stale answer. A request without
    /// credentials is 401, even if the protector is [optional](Self::optional); preflights pass where they pass the
    /// protector. What was set on this protector before holds for the guard, too; how its refusals look is left to the
    /// protector that it stands in.
    ///
    /// With a [list of revocations](Self::revocation), what that knows has to be as young, too, for every token, and where
    /// the validator cannot ask, as for JWTs that are verified here, the list is all there is. It then has to be told of the
    /// revocations of every issuer whose validator cannot ask: leave the guard out where there is one that tells nobody. A
    /// list that hears from others is always some moments old; zero is 503 with it.
    ///
    /// # Errors
    ///
    /// When it is more than a day, or when nobody here knows of revocations: a JWT that is verified here stays good until it
    /// expires, whenever it is looked at. Introspect such tokens, use a list, or leave the guard out and let them live for a
    /// shorter time. Without a list, all of several validators behind this protector have to be able to ask. A list has to
    /// tell its [age](crate::RevocationList::age). It is the one that this protector has got before.
    pub fn require_fresh(&self, max_age: Duration) -> Result<RequireFreshLayer, SetupError> {
        let mut guard = self.clone().resting_on_the_last(max_age)?;
        let policy = guard.policy();
        policy.optional = false;
        policy.is_guard = true;
        Ok(RequireFreshLayer { policy: guard.policy })
    }

    /// Judges all tokens by knowledge that is no older than this.
    pub(crate) fn resting_on_the_last(mut self, max_age: Duration) -> Result<Self, SetupError> {
        let max_age = within("max_age", max_age, Duration::ZERO..=OLDEST)?;
        let problem = match &self.policy.revocation {
            Some(list) if list.tells_its_age(self.policy.clock.now()) => None,
            Some(_) => Some(
                "expected a list of revocations that tells how old its knowledge is, got one that does not: see \
                 `RevocationList::age`",
            ),
            None if self.policy.validator.about().asks_anew() => None,
            None => Some(
                "expected validators that can ask whether a token was revoked, got one that cannot: a JWT that is verified \
                 here is as good as on the day it was issued. Introspect its tokens instead, give the protector a list of \
                 revocations, or leave the demand out",
            ),
        };
        if let Some(problem) = problem {
            return Err(SetupError::new("max_age", problem));
        }
        self.policy().max_age = Some(max_age);
        Ok(self)
    }
}

impl<S> Layer<S> for RequireFreshLayer {
    type Service = ResourceProtector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResourceProtector::new(inner, Arc::clone(&self.policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        harness::present,
        rejection::{Rejection, RejectionKind},
        token::CurrentToken,
        validate::{About, Presented, TokenValidator},
    };

    /// Says that it asks, and does not.
    struct Lazy;

    impl TokenValidator for Lazy {
        async fn validate(&self, _: &Presented<'_>) -> Result<CurrentToken, Rejection> {
            Ok(CurrentToken::vouch_for(&serde_json::json!({ "sub": "alice" }))?.gone_stale())
        }

        fn about(&self) -> About<'_> {
            About::default().with_asking_anew()
        }
    }

    #[tokio::test]
    async fn an_answer_that_stands_in_for_another_is_good_enough_for_no_sensitive_route() {
        let protector = ResourceProtectorLayer::new(Lazy);
        assert!(present(protector.clone(), "t").await.unwrap().is_stale());
        let sensitive = protector.resting_on_the_last(OLDEST).unwrap();
        let refusal = present(sensitive, "t").await.unwrap_err();
        assert_eq!(refusal.kind(), RejectionKind::Unavailable);
    }
}
