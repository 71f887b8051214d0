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
    /// # Errors
    ///
    /// When it is more than a day, or when the validator knows of no revocation: a JWT that is verified here stays good
    /// until it expires, whenever it is looked at. Introspect such tokens, or leave the guard out and let them live for a
    /// shorter time. With several validators behind this protector, all of them have to be able to ask.
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
        if !self.policy.validator.about().asks_anew() {
            return Err(SetupError::new(
                "max_age",
                "expected validators that can ask whether a token was revoked, got one that cannot: a JWT that is verified \
                 here is as good as on the day it was issued. Introspect its tokens instead, or leave the demand out",
            ));
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
