//! Revocations, for lists that do not know of them yet.

use std::time::Duration;

use resource_protector::CutOff;
use serde::{Deserialize, Serialize};

use super::records::{Record, Session};
use crate::{
    store::{Key, Kind},
    time::Millis,
};

/// A revocation, and whether the list knows of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    pub(crate) by: By,
    pub(crate) id: String,
    pub(crate) issued_before: Option<Millis>,
    /// The epoch that it began, if it began one: two may name the same moment.
    pub(crate) epoch: Option<u64>,
    pub(crate) until: Millis,
    /// Whether the list was told.
    pub(crate) told: bool,
}

/// The longest leeway there is, and a minute.
const MARGIN: Duration = Duration::from_secs(360);

/// By what tokens are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    Jti,
    Sid,
    Sub,
    Client,
}

impl Record for Revocation {
    const KIND: Kind = Kind::Revocation;

    fn over_at(&self) -> Option<Millis> {
        Some(Self::known_until(self.until))
    }
}

impl Revocation {
    pub(crate) fn new(by: By, id: &str, until: Millis) -> Self {
        Self {
            by,
            id: id.to_owned(),
            issued_before: None,
            epoch: None,
            until,
            told: false,
        }
    }

    /// Until when one of tokens that are over then has to be known: they live longer by the leeway of whoever reads them.
    pub(super) fn known_until(until: Millis) -> Millis {
        until.after(MARGIN)
    }

    /// Whether one of tokens that are over then has to be known at this moment.
    pub(crate) fn is_known_at(until: Millis, now: Millis) -> bool {
        now < Self::known_until(until)
    }

    /// Whether the other one says all that this one does.
    pub(crate) fn is_said_by(&self, other: &Self) -> bool {
        self.until == other.until && self.issued_before == other.issued_before && self.epoch == other.epoch
    }

    pub(crate) fn key(&self) -> Key {
        Self::key_of(self.by, &self.id)
    }

    pub(crate) fn key_of(by: By, id: &str) -> Key {
        let by = match by {
            By::Jti => "jti",
            By::Sid => "sid",
            By::Sub => "sub",
            By::Client => "client",
        };
        Key::of(Kind::Revocation, &format!("{by} {id}"))
    }

    pub(crate) fn cut_off(&self, issuer: &str) -> CutOff {
        // Without a moment, it is all that there are.
        let before = self.issued_before.unwrap_or(self.until).time();
        let cut_off = match self.by {
            By::Jti => CutOff::token(issuer, &self.id),
            By::Sid => CutOff::session(issuer, &self.id),
            By::Sub => CutOff::subject(issuer, &self.id, before),
            By::Client => CutOff::client(issuer, &self.id).issued_before(before),
        };
        cut_off.until(self.until.time())
    }
}

impl Session {
    /// The keys of the revocations that it may have ended by.
    pub(crate) fn cut_offs(&self) -> [Key; 3] {
        [
            Revocation::key_of(By::Sid, &self.sid),
            Revocation::key_of(By::Sub, self.sub()),
            Revocation::key_of(By::Client, &self.client_id),
        ]
    }
}
