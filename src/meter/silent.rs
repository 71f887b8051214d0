//! Nothing is counted.

use std::time::Duration;

use super::{Asked, Breaker, Decision, How};

#[inline]
pub(crate) fn decided(_: Decision) {}

#[inline]
pub(crate) fn token(_: How) {}

#[inline]
pub(crate) fn call_ended(_: Asked, _: &'static str, _: Duration) {}

#[inline]
pub(crate) fn call_shed(_: Asked) {}

#[inline]
pub(crate) fn breaker_changed(_: Breaker) {}

#[inline]
pub(crate) fn breaker_state(_: &str, _: Breaker) {}

#[inline]
pub(crate) fn key_set_age(_: &str, _: Duration) {}

#[inline]
pub(crate) fn revocations_age(_: &str, _: Duration) {}
