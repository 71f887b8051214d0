//! What is told of the calls to an authorization server: every event, and every place where something is worth counting.
//!
//! The names in `event` are stable. Who is asked is told by its URL without the query, or by the issuer's name; nothing
//! here knows a token.

use std::time::Duration;

use super::breaker::Outlook;
use crate::fetch::Outcome;
use crate::meter::{self, Asked, Breaker, How};

/// The target of everything about introspection.
const INTROSPECTION: &str = "resource_protector::introspection";

/// A call ended, `took` after it was begun; a look-up of the endpoint is counted in.
pub(crate) fn call_ended(who: &str, outcome: Outcome, took: Duration) {
    let (outcome, milliseconds) = (outcome.as_str(), took.as_millis());
    meter::call_ended(Asked::Introspection, outcome, took);
    tracing::trace!(target: INTROSPECTION, event = "call_ended", asked = who, outcome, milliseconds);
}

/// A call was not made: all places were taken, or the breaker is open.
pub(crate) fn call_shed(who: &str, why: &'static str) {
    meter::call_shed(Asked::Introspection);
    tracing::debug!(target: INTROSPECTION, event = "call_shed", asked = who, why, "a call was not made");
}

/// A call is made once more, because nothing was sent the first time.
pub(crate) fn retried(who: &str) {
    tracing::debug!(target: INTROSPECTION, event = "retried", asked = who, "no connection: the call is made once more");
}

/// The server is left alone for a while.
pub(crate) fn breaker_opened(who: &str, why: Outcome, wait: Duration) {
    meter::breaker_changed(Breaker::Open);
    tracing::warn!(
        target: INTROSPECTION,
        event = "breaker_opened",
        asked = who,
        why = why.as_str(),
        milliseconds = wait.as_millis(),
        "the authorization server is not asked for a while"
    );
}

/// One call goes out, to see whether the server is back.
pub(crate) fn breaker_probing(who: &str) {
    meter::breaker_changed(Breaker::HalfOpen);
    tracing::debug!(target: INTROSPECTION, event = "breaker_probing", asked = who, "is the authorization server back?");
}

/// The server is asked as ever again.
pub(crate) fn breaker_closed(who: &str) {
    meter::breaker_changed(Breaker::Closed);
    tracing::info!(target: INTROSPECTION, event = "breaker_closed", asked = who, "the authorization server is back");
}

/// An answer was used that is older than it should be. `first` since the server last answered: that is worth a warning,
/// and the many that follow are not.
pub(crate) fn stale_served(who: &str, first: bool) {
    meter::token(How::Stale);
    if first {
        tracing::warn!(
            target: INTROSPECTION,
            event = "stale_served",
            asked = who,
            "answers are used that are older than they should be: tokens that were revoked may be among them"
        );
    } else {
        tracing::debug!(target: INTROSPECTION, event = "stale_served", asked = who, "an old answer is used");
    }
}

/// An answer that will soon be too old could not be renewed. It is used on, for as long as it may be.
pub(crate) fn refresh_failed(who: &str, why: &str) {
    tracing::debug!(target: INTROSPECTION, event = "refresh_failed", asked = who, why, "an answer was not renewed");
}

/// How the server stands with us, told by name. Only who was configured is asked for it: see [`meter`].
pub(crate) fn outlook(who: &str, outlook: Outlook) {
    let state = match outlook {
        Outlook::Good => Breaker::Closed,
        Outlook::Unsure => Breaker::HalfOpen,
        Outlook::Bad(_) => Breaker::Open,
    };
    meter::breaker_state(who, state);
}
