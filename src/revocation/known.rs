//! The revocations that are known, found by issuer and identifier: a machine without clock and lock.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{CutOff, RevocationTerms, RevokeError, RevokedBy};
use crate::token::CurrentToken;

/// Revocations that are over within the same so many seconds are forgotten together.
const BUCKET: u64 = 60;

/// How many are forgotten at one go: whoever looks something up waits meanwhile.
const AT_ONE_GO: usize = 256;

#[derive(Default)]
pub(super) struct Known {
    issuers: HashMap<Arc<str>, OfIssuer>,
    /// What is over, and when, in [`BUCKET`]s since the first revocation.
    ends: BTreeMap<u64, Vec<Name>>,
    began: Option<Instant>,
    count: usize,
}

/// The revocations of one issuer's tokens.
#[derive(Default)]
struct OfIssuer {
    tokens: HashMap<Arc<str>, Entry>,
    sessions: HashMap<Arc<str>, Entry>,
    subjects: HashMap<Arc<str>, Entry>,
    clients: HashMap<Arc<str>, Entry>,
}

/// Whose tokens are over: issuer and identifier.
pub(super) type Name = (Arc<str>, RevokedBy, Arc<str>);

#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Tokens that are issued later are spared.
    pub(super) issued_before: Option<SystemTime>,
    pub(super) until: SystemTime,
    pub(super) over_at: Instant,
}

impl Known {
    /// Whether one of them concerns this token.
    pub(super) fn concern(&self, token: &CurrentToken, terms: &RevocationTerms) -> bool {
        let of_issuer = terms.issuer_of(token).and_then(|issuer| self.issuers.get(issuer));
        let Some(of_issuer) = of_issuer else {
            return false;
        };
        let issued_at = token.issued_at();
        let concerned = |entries: &HashMap<Arc<str>, Entry>, id: Option<&str>| {
            let entry = id.and_then(|id| entries.get(id));
            entry.is_some_and(|entry| match (entry.issued_before, issued_at) {
                (Some(before), Some(issued_at)) => issued_at < before,
                _ => true,
            })
        };
        concerned(&of_issuer.tokens, token.jwt_id())
            || concerned(&of_issuer.sessions, token.session_id())
            || concerned(&of_issuer.subjects, token.subject())
            || concerned(&of_issuer.clients, token.client_id())
    }

    /// Keeps a revocation; `None` if one is there already that covers it. What is known of one identifier only grows.
    pub(super) fn keep(
        &mut self,
        cut_off: &CutOff,
        entry: Entry,
        now: Instant,
        capacity: usize,
    ) -> Result<Option<Entry>, RevokeError> {
        let began = *self.began.get_or_insert(now);
        self.forget_what_is_over(now, AT_ONE_GO);
        if let Some(there) = self.entry(cut_off) {
            let before = *there;
            // Its bucket may come too early now. It is put into the right one when that is looked into.
            *there = before.and(entry);
            let after = *there;
            return Ok((!after.covers_no_more_than(before)).then_some(after));
        }
        if self.count >= capacity {
            self.forget_what_is_over(now, usize::MAX);
        }
        if self.count >= capacity {
            return Err(RevokeError::Full(capacity));
        }
        let issuer: Arc<str> = match self.issuers.get_key_value(cut_off.issuer.as_str()) {
            Some((issuer, _)) => Arc::clone(issuer),
            None => cut_off.issuer.as_str().into(),
        };
        let id: Arc<str> = cut_off.id.as_str().into();
        let of_issuer = self.issuers.entry(Arc::clone(&issuer)).or_default();
        of_issuer.by(cut_off.by).insert(Arc::clone(&id), entry);
        self.count += 1;
        self.ends
            .entry(bucket(began, entry.over_at))
            .or_default()
            .push((issuer, cut_off.by, id));
        Ok(Some(entry))
    }

    fn entry(&mut self, cut_off: &CutOff) -> Option<&mut Entry> {
        let of_issuer = self.issuers.get_mut(cut_off.issuer.as_str())?;
        of_issuer.by(cut_off.by).get_mut(cut_off.id.as_str())
    }

    /// So many of them at the most.
    fn forget_what_is_over(&mut self, now: Instant, limit: usize) {
        let Some(began) = self.began else { return };
        let current = bucket(began, now);
        for _ in 0..limit {
            let Some(mut first) = self.ends.first_entry().filter(|first| *first.key() < current) else {
                return;
            };
            let Some((issuer, by, id)) = first.get_mut().pop() else {
                first.remove();
                continue;
            };
            let Some(of_issuer) = self.issuers.get_mut(&issuer) else {
                continue;
            };
            match of_issuer.by(by).get(&id).map(|entry| bucket(began, entry.over_at)) {
                // It was said again meanwhile, and lasts longer.
                Some(bucket) if bucket >= current => self.ends.entry(bucket).or_default().push((issuer, by, id)),
                Some(_) => {
                    of_issuer.by(by).remove(&id);
                    self.count -= 1;
                    if of_issuer.is_empty() {
                        self.issuers.remove(&issuer);
                    }
                }
                None => {}
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// What is known of one name, unless it is over.
    pub(super) fn known_of(&self, (issuer, by, id): &Name, now: Instant) -> Option<CutOff> {
        let entry = self.issuers.get(issuer)?.of(*by).get(id)?;
        (entry.over_at > now).then(|| CutOff {
            issued_before: entry.issued_before,
            until: Some(entry.until),
            ..CutOff::new(*by, issuer.as_ref(), id.as_ref())
        })
    }

    /// The names of which the others say nothing, or less, in no order.
    pub(super) fn names_beyond(&self, others: &Self) -> Vec<Name> {
        let mut names = Vec::new();
        for (issuer, of_issuer) in &self.issuers {
            let of_theirs = others.issuers.get(issuer);
            for by in RevokedBy::ALL {
                for (id, entry) in of_issuer.of(by) {
                    let there = of_theirs.and_then(|of_issuer| of_issuer.of(by).get(id));
                    if there.is_none_or(|there| !there.and(*entry).covers_no_more_than(*there)) {
                        names.push((Arc::clone(issuer), by, Arc::clone(id)));
                    }
                }
            }
        }
        names
    }

    /// Whether what is counted is what is there.
    #[cfg(test)]
    pub(super) fn is_counted_right(&self) -> bool {
        let entries = self
            .issuers
            .values()
            .flat_map(|of_issuer| RevokedBy::ALL.map(|by| of_issuer.of(by).len()));
        entries.sum::<usize>() == self.count && self.ends.values().map(Vec::len).sum::<usize>() == self.count
    }
}

fn bucket(began: Instant, moment: Instant) -> u64 {
    moment.saturating_duration_since(began).as_secs() / BUCKET
}

impl OfIssuer {
    fn by(&mut self, by: RevokedBy) -> &mut HashMap<Arc<str>, Entry> {
        match by {
            RevokedBy::TokenId => &mut self.tokens,
            RevokedBy::Session => &mut self.sessions,
            RevokedBy::Subject => &mut self.subjects,
            RevokedBy::Client => &mut self.clients,
        }
    }

    fn of(&self, by: RevokedBy) -> &HashMap<Arc<str>, Entry> {
        match by {
            RevokedBy::TokenId => &self.tokens,
            RevokedBy::Session => &self.sessions,
            RevokedBy::Subject => &self.subjects,
            RevokedBy::Client => &self.clients,
        }
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.sessions.is_empty() && self.subjects.is_empty() && self.clients.is_empty()
    }
}

impl Entry {
    fn and(self, other: Self) -> Self {
        Self {
            issued_before: match (self.issued_before, other.issued_before) {
                (Some(one), Some(other)) => Some(one.max(other)),
                _ => None,
            },
            until: self.until.max(other.until),
            over_at: self.over_at.max(other.over_at),
        }
    }

    /// By what others would be told of it.
    fn covers_no_more_than(self, other: Self) -> bool {
        self.issued_before == other.issued_before && self.until == other.until
    }
}
