//! Whose tokens can be ended all at once: a subject's and a client's.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::{
    records::{Found, Record, was},
    revocation::By,
};
use crate::{
    store::{Becomes, Change, Key, Kind},
    time::Millis,
};

/// How often all tokens of a holder were ended, from the first time on. Counted, so that no clock decides whether a session
/// began before or after.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub(crate) struct Epoch<Of> {
    pub(crate) number: u64,
    /// When the last time was: access tokens from before say so by their `iat`.
    pub(crate) issued_before: Millis,
    #[serde(skip)]
    of: PhantomData<Of>,
}

/// Who has tokens that can be ended all at once.
pub(crate) trait Holder {
    const KIND: Kind;
    const BY: By;
}

/// A subject, which is logged out everywhere.
#[derive(Clone)]
pub(crate) enum OfSubject {}

/// A client, whose tokens are revoked.
#[derive(Clone)]
pub(crate) enum OfClient {}

pub(crate) type SubjectEpoch = Epoch<OfSubject>;
pub(crate) type ClientEpoch = Epoch<OfClient>;

impl Holder for OfSubject {
    const KIND: Kind = Kind::SubjectEpoch;
    const BY: By = By::Sub;
}

impl Holder for OfClient {
    const KIND: Kind = Kind::ClientEpoch;
    const BY: By = By::Client;
}

impl<Of: Holder> Record for Epoch<Of> {
    const KIND: Kind = Of::KIND;

    /// Never over: a session counts from where its holder stands.
    fn over_at(&self) -> Option<Millis> {
        None
    }
}

impl<Of: Holder> Epoch<Of> {
    pub(crate) fn key(of: &str) -> Key {
        Key::of(Of::KIND, of)
    }

    /// The one that begins now, a moment ahead of what is being issued right now.
    pub(crate) fn after(before: Option<&Self>, now: Millis) -> Self {
        Self {
            number: before.map_or(0, |before| before.number) + 1,
            issued_before: before.map_or(now.next(), |before| before.issued_before.max(now.next())),
            of: PhantomData,
        }
    }
}

/// In which epochs of its holders something was issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Epochs {
    pub(crate) subject: u64,
    pub(crate) client: u64,
}

/// What is known of the subject and the client that tokens are of.
#[derive(Default)]
pub(crate) struct Holders {
    pub(crate) subject: Option<Found<SubjectEpoch>>,
    pub(crate) client: Option<Found<ClientEpoch>>,
}

impl Holders {
    /// Where they stand.
    pub(crate) fn epochs(&self) -> Epochs {
        Epochs {
            subject: self.subject.as_ref().map_or(0, |found| found.record.number),
            client: self.client.as_ref().map_or(0, |found| found.record.number),
        }
    }

    /// Whether what was issued in these epochs is good, as far as they are concerned.
    pub(crate) fn have_ended_nothing_since(&self, issued: Epochs) -> bool {
        let now = self.epochs();
        issued.subject >= now.subject && issued.client >= now.client
    }

    /// Before which moment tokens were cut off, if they were.
    pub(crate) fn cut_off_before(&self) -> Option<Millis> {
        let subject = self.subject.as_ref().map(|found| found.record.issued_before);
        let client = self.client.as_ref().map(|found| found.record.issued_before);
        subject.max(client)
    }

    /// The change, if nothing of theirs is ended between the look and it.
    pub(crate) fn unchanged(&self, change: Change, subject: &str, client: &str) -> Change {
        change
            .step(SubjectEpoch::key(subject), was(self.subject.as_ref()), Becomes::Same)
            .step(ClientEpoch::key(client), was(self.client.as_ref()), Becomes::Same)
    }
}
