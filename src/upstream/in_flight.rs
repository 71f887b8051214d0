//! How many calls may be under way at the same time, and for whom.

/// For whose sake a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A token that nothing good is known of. Anybody can make up such tokens.
    Unknown,
    /// A token that was good the last time.
    Known,
    /// A token that is good still: nobody waits for it.
    Refresh,
}

/// Counts the calls under way. A quarter of the places is kept for tokens that are known, and refreshes have an eighth of
/// all.
#[derive(Debug)]
pub(crate) struct InFlight {
    places: usize,
    taken: usize,
    refreshes: usize,
}

impl InFlight {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places,
            taken: 0,
            refreshes: 0,
        }
    }

    pub(crate) fn has_room(&self, cause: Cause) -> bool {
        let for_all = self.places - self.places / 4;
        match cause {
            Cause::Known => self.taken < self.places,
            Cause::Unknown => self.taken < for_all,
            Cause::Refresh => self.taken < for_all && self.refreshes < (self.places / 8).max(1),
        }
    }

    /// Takes a place, if there is one.
    pub(crate) fn enter(&mut self, cause: Cause) -> bool {
        let may = self.has_room(cause);
        if may {
            self.taken += 1;
            self.refreshes += usize::from(cause == Cause::Refresh);
        }
        may
    }

    /// Gives a place back that was taken for the same cause.
    pub(crate) fn leave(&mut self, cause: Cause) {
        self.taken = self.taken.saturating_sub(1);
        self.refreshes = self.refreshes.saturating_sub(usize::from(cause == Cause::Refresh));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loom::{sync::Mutex, thread};

    use super::*;

    fn taken(calls: &mut InFlight, cause: Cause) -> usize {
        (0..1000).filter(|_| calls.enter(cause)).count()
    }

    #[test]
    fn unknown_tokens_take_three_quarters_and_known_ones_the_rest_too() {
        let mut calls = InFlight::new(256);
        assert_eq!(taken(&mut calls, Cause::Unknown), 192);
        assert_eq!(taken(&mut calls, Cause::Known), 64);
        calls.leave(Cause::Known);
        assert!(!calls.enter(Cause::Unknown) && calls.enter(Cause::Known));
    }

    #[test]
    fn refreshes_take_an_eighth_and_nothing_of_what_is_kept_for_known_tokens() {
        let mut calls = InFlight::new(256);
        assert_eq!(taken(&mut calls, Cause::Refresh), 32);
        calls.leave(Cause::Refresh);
        assert!(calls.enter(Cause::Refresh));
        assert_eq!(taken(&mut calls, Cause::Unknown), 160);
        calls.leave(Cause::Refresh);
        assert!(calls.enter(Cause::Known) && !calls.enter(Cause::Refresh));
    }

    #[test]
    fn where_there_is_one_place_anybody_gets_it() {
        for cause in [Cause::Unknown, Cause::Known, Cause::Refresh] {
            assert_eq!(taken(&mut InFlight::new(1), cause), 1);
        }
    }

    #[test]
    fn in_every_order_of_three_threads_no_more_are_under_way_than_there_are_places() {
        loom::model(|| {
            // Four places, three of them for anybody.
            let mut calls = InFlight::new(4);
            assert!(calls.enter(Cause::Unknown) && calls.enter(Cause::Unknown));
            let calls = Arc::new(Mutex::new(calls));
            let go = |calls: Arc<Mutex<InFlight>>, cause| {
                let entered = calls.lock().unwrap().enter(cause);
                if entered {
                    let mut calls = calls.lock().unwrap();
                    assert!(calls.taken <= 4);
                    calls.leave(cause);
                }
                entered
            };
            let others: Vec<_> = [Cause::Unknown, Cause::Refresh]
                .into_iter()
                .map(|cause| {
                    let calls = Arc::clone(&calls);
                    thread::spawn(move || go(calls, cause))
                })
                .collect();
            // Whatever the others do, its place is kept.
            assert!(go(Arc::clone(&calls), Cause::Known));
            for other in others {
                other.join().unwrap();
            }
            assert_eq!(calls.lock().unwrap().taken, 2);
            assert_eq!(calls.lock().unwrap().refreshes, 0);
        });
    }
}
