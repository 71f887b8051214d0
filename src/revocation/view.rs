//! What this process knows of revocations.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::{CutOff, RevocationTerms, RevokeError, RevokedBy};
use crate::{clock::Moment, token::CurrentToken};

/// How many revocations are known at the most, unless set.
pub(super) const CAPACITY: usize = 1_000_000;

/// The longest identifier and issuer, in bytes. No token that is read has a longer one.
const LONGEST_NAME: usize = 16 * 1024;

/// For how much longer than it has to be a revocation is known: tokens live longer by a leeway, 300 s at the most.
pub(super) const MARGIN: Duration = Duration::from_secs(360);

/// Revocations that are over within the same so many seconds are forgotten together.
const BUCKET: u64 = 60;

/// Numbers the versions of all views, so that no two of them ever have the same.
static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);

/// Revocations, found by issuer and identifier.
///
/// A token that was found clear keeps the version by which it was: until something is added, one comparison finds it clear
/// again. So the usual request looks nothing up, however many revocations there are.
pub(super) struct View {
    terms: RevocationTerms,
    capacity: usize,
    version: AtomicU64,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
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
struct Entry {
    /// Tokens that are issued later are spared.
    issued_before: Option<SystemTime>,
    until: SystemTime,
    over_at: Instant,
}

impl View {
    pub(super) fn new(terms: RevocationTerms) -> Self {
        Self {
            terms,
            capacity: CAPACITY,
            version: AtomicU64::new(NEXT_VERSION.fetch_add(1, Ordering::Relaxed)),
            known: RwLock::default(),
        }
    }

    /// A view of the same kind, without revocations.
    pub(super) fn empty(&self) -> Self {
        Self {
            capacity: self.capacity,
            ..Self::new(self.terms.clone())
        }
    }

    pub(super) fn set_capacity(&mut self, cut_offs: usize) {
        self.capacity = cut_offs.max(1);
    }

    pub(super) fn terms(&self) -> &RevocationTerms {
        &self.terms
    }

    /// Whether a revocation concerns this token.
    pub(super) fn cuts_off(&self, token: &CurrentToken) -> bool {
        // Taken before the look, so that what is added meanwhile makes it look again.
        let version = self.version.load(Ordering::Acquire);
        if token.was_cleared_by(version) {
            return false;
        }
        let is_cut_off = self.concern(token);
        if !is_cut_off {
            token.clear_by(version);
        }
        is_cut_off
    }

    fn concern(&self, token: &CurrentToken) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of_issuer = self.terms.issuer_of(token).and_then(|issuer| known.issuers.get(issuer));
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

    /// Learns of a revocation. Says what is known of it now, if that is new.
    pub(super) fn record(&self, cut_off: &CutOff, now: Moment) -> Result<Option<CutOff>, RevokeError> {
        let unusable = |problem: &str| Err(RevokeError::Unusable(problem.to_owned()));
        if !self.terms.include(cut_off.by) {
            return Err(RevokeError::Unusable(format!(
                "expected a revocation by one of {:?}, which the list goes by, got one by {:?}",
                self.terms.revoked_by(),
                cut_off.by
            )));
        }
        if cut_off.issuer.is_empty() || cut_off.id.is_empty() {
            return unusable("expected an issuer and an identifier, got an empty one");
        }
        if cut_off.issuer.len() > LONGEST_NAME || cut_off.id.len() > LONGEST_NAME {
            return unusable("expected an issuer and an identifier of 16 KiB at the most, got a longer one");
        }
        // A token that is issued now, or was before, is over then.
        let last = now.wall.checked_add(self.terms.longest_life());
        let until = match (cut_off.until, last) {
            (Some(until), Some(last)) => until.min(last),
            (None, Some(last)) => last,
            (_, None) => return unusable("the clock shows no time that can be reckoned with"),
        };
        let left = until.duration_since(now.wall).unwrap_or_default() + MARGIN;
        let Some(over_at) = now.monotonic.checked_add(left) else {
            return unusable("it would have to be known for too long");
        };
        let entry = Entry {
            issued_before: cut_off.issued_before,
            until,
            over_at,
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.forget_what_is_over(now.monotonic);
        let Some(kept) = known.keep(cut_off, entry, now.monotonic, self.capacity)? else {
            return Ok(None);
        };
        // Before the lock is given back: who finds this version finds what was added, too.
        self.version
            .store(NEXT_VERSION.fetch_add(1, Ordering::Relaxed), Ordering::Release);
        drop(known);
        Ok(Some(CutOff {
            issued_before: kept.issued_before,
            until: Some(kept.until),
            ..cut_off.clone()
        }))
    }

    /// How many revocations are known.
    pub(super) fn len(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).count
    }

    /// What is known of one name, unless it is over.
    pub(super) fn known_of(&self, (issuer, by, id): &Name, now: Moment) -> Option<CutOff> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.issuers.get(issuer)?.of(*by).get(id)?;
        (entry.over_at > now.monotonic).then(|| CutOff {
            issued_before: entry.issued_before,
            until: Some(entry.until),
            ..CutOff::new(*by, issuer.as_ref(), id.as_ref())
        })
    }

    /// The names of which another view knows nothing, or less, in no order.
    pub(super) fn names_beyond(&self, other: &Self) -> Vec<Name> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let theirs = other.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut names = Vec::new();
        for (issuer, of_issuer) in &known.issuers {
            let of_theirs = theirs.issuers.get(issuer);
            for by in [
                RevokedBy::TokenId,
                RevokedBy::Session,
                RevokedBy::Subject,
                RevokedBy::Client,
            ] {
                for (id, entry) in of_issuer.of(by) {
                    let there = of_theirs.and_then(|of_issuer| of_issuer.of(by).get(id));
                    if there.is_none_or(|there| !there.and(*entry).covers_no_more_than(there)) {
                        names.push((Arc::clone(issuer), by, Arc::clone(id)));
                    }
                }
            }
        }
        names
    }
}

impl Known {
    /// Keeps a revocation; `None` if one is there already that covers it. What is known of one identifier only grows.
    fn keep(
        &mut self,
        cut_off: &CutOff,
        entry: Entry,
        now: Instant,
        capacity: usize,
    ) -> Result<Option<Entry>, RevokeError> {
        let began = *self.began.get_or_insert(now);
        if let Some(there) = self.entry(cut_off) {
            let both = there.and(entry);
            if both.covers_no_more_than(there) {
                return Ok(None);
            }
            // Its bucket may come too early now. It is put into the right one when that is looked into.
            *there = both;
            return Ok(Some(both));
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
        let bucket = bucket(began, entry.over_at);
        self.ends.entry(bucket).or_default().push((issuer, cut_off.by, id));
        Ok(Some(entry))
    }

    fn entry(&mut self, cut_off: &CutOff) -> Option<&mut Entry> {
        let of_issuer = self.issuers.get_mut(cut_off.issuer.as_str())?;
        of_issuer.by(cut_off.by).get_mut(cut_off.id.as_str())
    }

    fn forget_what_is_over(&mut self, now: Instant) {
        let Some(began) = self.began else { return };
        let current = bucket(began, now);
        while let Some(first) = self.ends.first_entry()
            && *first.key() < current
        {
            for (issuer, by, id) in first.remove() {
                let Some(of_issuer) = self.issuers.get_mut(&issuer) else {
                    continue;
                };
                match of_issuer.by(by).get(&id) {
                    Some(entry) if bucket(began, entry.over_at) >= current => {
                        let bucket = bucket(began, entry.over_at);
                        self.ends.entry(bucket).or_default().push((issuer, by, id));
                    }
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

    /// Beside the same again, said a moment later: its end moves with the clock where none was named.
    fn covers_no_more_than(self, other: &Self) -> bool {
        self.issued_before == other.issued_before && self.until == other.until
    }
}
