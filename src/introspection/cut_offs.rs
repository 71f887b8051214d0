//! Whose remembered answers count no more, whatever tokens they have.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::token::CurrentToken;

/// How many there may be. Beyond that, everything is forgotten instead.
const MOST: usize = 10_000;

/// Subjects and sessions, each with the number of the first question whose answer counts again.
///
/// Questions have numbers and no times, so that it does not matter by which clock somebody is cut off.
#[derive(Default)]
pub(super) struct CutOffs {
    next: AtomicU64,
    /// Whether there is any: usually not, and then no hit takes the lock.
    any: AtomicBool,
    since: Mutex<HashMap<Whom, u64>>,
}

/// Whose tokens are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whom {
    Subject(String),
    Session(String),
}

impl CutOffs {
    /// The number of a question that is sent from now on.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// Lets no answer count to a question from before. Says no when there are too many already: then everything is to be
    /// forgotten, and [`clear`](Self::clear) called.
    pub(super) fn cut(&self, whom: Whom) -> bool {
        let mut since = self.lock();
        let number = self.number();
        if since.len() >= MOST && !since.contains_key(&whom) {
            return false;
        }
        since.insert(whom, number);
        self.any.store(true, Ordering::SeqCst);
        true
    }

    /// Nobody is cut off: nothing is remembered that could count.
    pub(super) fn clear(&self) {
        let mut since = self.lock();
        since.clear();
        self.any.store(false, Ordering::SeqCst);
    }

    /// Whether the answer to the question of this number counts no more.
    pub(super) fn cover(&self, token: &CurrentToken, number: u64) -> bool {
        if !self.any.load(Ordering::SeqCst) {
            return false;
        }
        let since = self.lock();
        let is_cut = |whom: Whom| since.get(&whom).is_some_and(|first| number < *first);
        let subject = token.subject().map(|subject| Whom::Subject(subject.to_owned()));
        let session = token.session_id().map(|session| Whom::Session(session.to_owned()));
        subject.is_some_and(&is_cut) || session.is_some_and(&is_cut)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whom, u64>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_cut_off_is_so_for_questions_from_before_and_for_no_others() {
        let cut_offs = CutOffs::default();
        let alice = CurrentToken::vouch_for(&json!({ "sub": "alice", "sid": "s1" })).unwrap();
        let bob = CurrentToken::vouch_for(&json!({ "sub": "bob", "sid": "alice" })).unwrap();
        let before = cut_offs.number();
        assert!(!cut_offs.cover(&alice, before));
        assert!(cut_offs.cut(Whom::Subject("alice".to_owned())));
        assert!(cut_offs.cover(&alice, before) && !cut_offs.cover(&bob, before));
        let after = cut_offs.number();
        assert!(!cut_offs.cover(&alice, after));
        assert!(cut_offs.cut(Whom::Session("s1".to_owned())));
        assert!(cut_offs.cover(&alice, after) && !cut_offs.cover(&bob, after));
    }

    #[test]
    fn there_are_never_more_than_ten_thousand() {
        let cut_offs = CutOffs::default();
        for n in 0..MOST {
            assert!(cut_offs.cut(Whom::Subject(n.to_string())));
        }
        assert!(cut_offs.cut(Whom::Subject("0".to_owned())));
        assert!(!cut_offs.cut(Whom::Subject("one more".to_owned())));
        cut_offs.clear();
        assert!(cut_offs.cut(Whom::Subject("one more".to_owned())));
    }
}
