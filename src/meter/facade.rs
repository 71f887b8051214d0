//! Everything is counted by whichever recorder the program has installed.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::{Asked, Breaker, Decision, How};
use crate::rejection::RejectionKind;

pub(crate) fn decided(decision: Decision) {
    // Labels are literals, so that a key is no allocation.
    macro_rules! count {
        ($decision:literal, $kind:literal) => {
            counter!("resource_protector_decisions_total", "decision" => $decision, "kind" => $kind).increment(1)
        };
    }
    match decision {
        Decision::Admitted => count!("admitted", "none"),
        Decision::Anonymous => count!("anonymous", "none"),
        Decision::Preflight => count!("preflight", "none"),
        Decision::Public => count!("public", "none"),
        Decision::Refused(RejectionKind::NoCredentials) => count!("refused", "no_credentials"),
        Decision::Refused(RejectionKind::Malformed) => count!("refused", "malformed"),
        Decision::Refused(RejectionKind::InvalidToken) => count!("refused", "invalid_token"),
        Decision::Refused(RejectionKind::InsufficientScope) => count!("refused", "insufficient_scope"),
        Decision::Refused(RejectionKind::InsufficientAuthentication) => {
            count!("refused", "insufficient_authentication");
        }
        Decision::Refused(RejectionKind::CrossSite) => count!("refused", "cross_site"),
        Decision::Refused(RejectionKind::TooLarge) => count!("refused", "too_large"),
        Decision::Refused(RejectionKind::Unavailable) => count!("refused", "unavailable"),
        Decision::Refused(RejectionKind::Misconfigured) => count!("refused", "misconfigured"),
        Decision::BadPath => count!("refused", "bad_path"),
        Decision::NotAllowed => count!("refused", "method_not_allowed"),
    }
}

pub(crate) fn token(how: How) {
    macro_rules! count {
        ($how:literal) => {
            counter!("resource_protector_tokens_total", "how" => $how).increment(1)
        };
    }
    match how {
        How::Remembered => count!("remembered"),
        How::Verified => count!("verified"),
        How::Asked => count!("asked"),
        How::Stale => count!("stale"),
    }
}

impl Asked {
    fn as_str(self) -> &'static str {
        match self {
            Self::Introspection => "introspection",
            Self::Jwks => "jwks",
            Self::Metadata => "metadata",
        }
    }
}

pub(crate) fn call_ended(asked: Asked, outcome: &'static str, took: Duration) {
    let endpoint = asked.as_str();
    counter!("resource_protector_upstream_calls_total", "endpoint" => endpoint, "outcome" => outcome).increment(1);
    histogram!("resource_protector_upstream_seconds", "endpoint" => endpoint).record(took.as_secs_f64());
}

pub(crate) fn call_shed(asked: Asked) {
    let endpoint = asked.as_str();
    counter!("resource_protector_upstream_calls_total", "endpoint" => endpoint, "outcome" => "shed").increment(1);
}

pub(crate) fn breaker_changed(to: Breaker) {
    let to = match to {
        Breaker::Closed => "closed",
        Breaker::HalfOpen => "half_open",
        Breaker::Open => "open",
    };
    counter!("resource_protector_breaker_changes_total", "to" => to).increment(1);
}

pub(crate) fn breaker_state(who: &str, state: Breaker) {
    let state = match state {
        Breaker::Closed => 0.0,
        Breaker::HalfOpen => 1.0,
        Breaker::Open => 2.0,
    };
    gauge!("resource_protector_breaker_state", "asked" => who.to_owned()).set(state);
}

pub(crate) fn key_set_age(who: &str, age: Duration) {
    gauge!("resource_protector_key_set_age_seconds", "asked" => who.to_owned()).set(age.as_secs_f64());
}

pub(crate) fn revocations_age(list: &str, age: Duration) {
    gauge!("resource_protector_revocations_age_seconds", "list" => list.to_owned()).set(age.as_secs_f64());
}
