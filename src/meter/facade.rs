//! Everything is counted by whichever recorder the program has installed.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::{Asked, Decision, How};
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
    }
}

pub(crate) fn call_ended(asked: Asked, outcome: &'static str, took: Duration) {
    let endpoint = match asked {
        Asked::Jwks => "jwks",
        Asked::Metadata => "metadata",
    };
    counter!("resource_protector_upstream_calls_total", "endpoint" => endpoint, "outcome" => outcome).increment(1);
    histogram!("resource_protector_upstream_seconds", "endpoint" => endpoint).record(took.as_secs_f64());
}

pub(crate) fn key_set_age(who: &str, age: Duration) {
    gauge!("resource_protector_key_set_age_seconds", "issuer" => who.to_owned()).set(age.as_secs_f64());
}
