//! What is counted, by the `metrics` crate where the feature of that name is switched on.
//!
//! The names and labels are stable and listed in the [crate's documentation](crate#metrics). A label is one of a few fixed
//! words, or the name of somebody who is asked as it was configured; never anything that a client sent, so that nobody can
//! make up series.

#[cfg(feature = "metrics")]
mod facade;
#[cfg(not(feature = "metrics"))]
mod silent;

#[cfg(feature = "metrics")]
pub(crate) use self::facade::{
    breaker_changed, breaker_state, call_ended, call_shed, decided, key_set_age, revocations_age, token,
};
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::{
    breaker_changed, breaker_state, call_ended, call_shed, decided, key_set_age, revocations_age, token,
};
use crate::rejection::RejectionKind;

/// What was decided about a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision {
    Admitted,
    Anonymous,
    Preflight,
    Public,
    Refused(RejectionKind),
    /// By a route, whoever asked.
    BadPath,
    NotAllowed,
}

/// How it was found out what a token is worth.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Remembered,
    /// By a signature that was checked.
    Verified,
    /// By a call that the request waited for.
    Asked,
    /// By an answer that is older than it should be.
    Stale,
}

/// What is asked of an authorization server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    Introspection,
    Jwks,
    Metadata,
}

/// Whether an authorization server is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Breaker {
    Closed,
    HalfOpen,
    Open,
}
