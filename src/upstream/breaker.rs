//! When a server that fails is left alone, and when it is asked again.
//!
//! ```text
//!           5 failures in a row, or a Retry-After
//!   closed ─────────────────────────────────────▶ open, for 1 s, 2 s, 4 s … 30 s, or as long as the server said
//!     ▲                                            │   ▲
//!     │ it answers                     time is up; │   │ it fails
//!     │                             one probe goes │   │
//!     └────────────────────────────────────────── half-open
//! ```
//!
//! It has no clock, takes no lock and makes no call: it is told what time it is, and what became of calls. Calls have
//! numbers, so that the end of one that was begun before the breaker opened is not mistaken for that of the probe.

use std::time::{Duration, Instant};

use crate::fetch::LONGEST_WISH;

/// How many calls in a row fail before it opens.
const FAILURES: u32 = 5;

/// For how long it opens the first time; twice as long each time a probe fails.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// What those are told who come while a probe is out.
const PROBING: Duration = Duration::from_secs(1);

/// Whether a server may be called.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    /// Calls in a row that failed.
    failures: u32,
    /// How often it opened since the server last answered.
    openings: u32,
    /// The number of the next call, and of the first one since it was last closed.
    next: u64,
    closed_since: u64,
    random: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    HalfOpen {
        probe: u64,
        /// When the wait was over.
        until: Instant,
        /// When the probe is taken for lost.
        lost_at: Instant,
    },
}

/// A call that was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    number: u64,
    /// It is to find out whether the server is back.
    pub(crate) is_probe: bool,
}

/// What is known about a server before it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It is called as ever.
    Good,
    /// The next call is a probe.
    Unsure,
    /// It is not called before this time has passed.
    Bad(Duration),
}

/// What the end of a call changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Opened(Duration),
    Closed,
}

impl Breaker {
    /// Closed. The seed decides how far the times are spread, so that the instances of a service do not all probe at once.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: State::Closed,
            failures: 0,
            openings: 0,
            next: 0,
            closed_since: 0,
            // The generator stands still at zero.
            random: seed | 1,
        }
    }

    pub(crate) fn outlook(&self, now: Instant) -> Outlook {
        match self.state {
            State::Closed => Outlook::Good,
            State::Open { until } if now < until => Outlook::Bad(until.saturating_duration_since(now)),
            State::HalfOpen { lost_at, .. } if now < lost_at => Outlook::Bad(PROBING),
            State::Open { .. } | State::HalfOpen { .. } => Outlook::Unsure,
        }
    }

    /// Allows a call, or says how long there will be none. A probe that has not ended when `patience` is over is taken for
    /// lost, and another is let out.
    pub(crate) fn ask(&mut self, now: Instant, patience: Duration) -> Result<Ticket, Duration> {
        let is_probe = match self.outlook(now) {
            Outlook::Good => false,
            Outlook::Unsure => true,
            Outlook::Bad(wait) => return Err(wait),
        };
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        if let State::Open { until } | State::HalfOpen { until, .. } = self.state {
            self.state = State::HalfOpen {
                probe: number,
                until,
                lost_at: now.checked_add(patience).unwrap_or(now),
            };
        }
        Ok(Ticket { number, is_probe })
    }

    /// The server answered, whatever it said.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Change {
        match self.state {
            State::Closed => self.failures = 0,
            State::HalfOpen { probe, .. } if probe == ticket.number => {
                self.state = State::Closed;
                self.failures = 0;
                self.openings = 0;
                self.closed_since = self.next;
                return Change::Closed;
            }
            // From before it opened: the failures are younger.
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
        Change::None
    }

    /// The server could not be reached, or not make anything of the call. `wish` is the time for which it asked not to be
    /// called.
    pub(crate) fn failed(&mut self, ticket: Ticket, now: Instant, wish: Option<Duration>) -> Change {
        let wish = wish.filter(|wish| !wish.is_zero()).map(|wish| wish.min(LONGEST_WISH));
        match (self.state, wish) {
            // A wish counts whichever call it answers, but never shortens what is.
            (State::Open { until }, Some(wish)) => {
                let until = until.max(now.checked_add(wish).unwrap_or(until));
                self.state = State::Open { until };
                Change::None
            }
            (State::Open { .. }, None) => Change::None,
            (State::Closed | State::HalfOpen { .. }, Some(wish)) => self.open(now, wish),
            (State::HalfOpen { probe, .. }, None) if probe == ticket.number => {
                let wait = self.wait();
                self.open(now, wait)
            }
            (State::HalfOpen { .. }, None) => Change::None,
            // Calls that were begun before it was last open have been counted by that.
            (State::Closed, None) if ticket.number < self.closed_since => Change::None,
            (State::Closed, None) => {
                self.failures += 1;
                if self.failures < FAILURES {
                    return Change::None;
                }
                let wait = self.wait();
                self.open(now, wait)
            }
        }
    }

    /// The call ended without saying anything about the server: it was broken off on our side.
    pub(crate) fn lost(&mut self, ticket: Ticket) {
        if let State::HalfOpen { probe, until, .. } = self.state
            && probe == ticket.number
        {
            self.state = State::Open { until };
        }
    }

    fn open(&mut self, now: Instant, wait: Duration) -> Change {
        self.failures = 0;
        self.openings = self.openings.saturating_add(1);
        self.state = State::Open {
            until: now.checked_add(wait).unwrap_or(now),
        };
        Change::Opened(wait)
    }

    /// The next time in the row, shortened by up to a fifth.
    fn wait(&mut self) -> Duration {
        let doubled = 1_u32.checked_shl(self.openings.min(16)).unwrap_or(u32::MAX);
        let wait = SHORTEST.saturating_mul(doubled).min(LONGEST);
        // xorshift64.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let thousandths = u32::try_from(self.random % 201).unwrap_or_default();
        wait - wait * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loom::{sync::Mutex, thread};
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A breaker that opened just now by five failures, and for how long.
    fn opened(now: Instant) -> (Breaker, Duration) {
        let mut breaker = Breaker::new(7);
        for _ in 0..4 {
            let ticket = breaker.ask(now, PATIENCE).unwrap();
            assert_eq!(breaker.failed(ticket, now, None), Change::None);
        }
        let ticket = breaker.ask(now, PATIENCE).unwrap();
        match breaker.failed(ticket, now, None) {
            Change::Opened(wait) => (breaker, wait),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_opens_after_five_failures_in_a_row_and_an_answer_between_them_starts_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::new(1);
        for _ in 0..100 {
            for _ in 0..4 {
                let ticket = breaker.ask(now, PATIENCE).unwrap();
                assert_eq!(breaker.failed(ticket, now, None), Change::None);
            }
            let ticket = breaker.ask(now, PATIENCE).unwrap();
            assert_eq!(breaker.answered(ticket), Change::None);
        }
        let (breaker, _) = opened(now);
        assert!(matches!(breaker.outlook(now), Outlook::Bad(_)));
    }

    #[test]
    fn it_stays_open_for_a_second_less_a_fifth_and_twice_as_long_after_each_failed_probe_up_to_thirty() {
        let mut now = Instant::now();
        let (mut breaker, mut wait) = opened(now);
        for longest in [1, 2, 4, 8, 16, 30, 30, 30] {
            assert!(
                wait <= seconds(longest) && wait >= seconds(longest) * 4 / 5,
                "{wait:?} {longest}"
            );
            let almost = now + wait - Duration::from_nanos(1);
            assert_eq!(breaker.ask(almost, PATIENCE), Err(Duration::from_nanos(1)));
            now += wait;
            let probe = breaker.ask(now, PATIENCE).unwrap();
            assert!(probe.is_probe);
            match breaker.failed(probe, now, None) {
                Change::Opened(next) => wait = next,
                other => panic!("{other:?}"),
            }
        }
        // Once the server has answered, it begins with a second again.
        let probe = breaker.ask(now + wait, PATIENCE).unwrap();
        assert_eq!(breaker.answered(probe), Change::Closed);
        for _ in 0..5 {
            let ticket = breaker.ask(now, PATIENCE).unwrap();
            breaker.failed(ticket, now, None);
        }
        assert!(matches!(breaker.outlook(now), Outlook::Bad(wait) if wait <= seconds(1)));
    }

    #[test]
    fn the_times_are_spread() {
        let waits: std::collections::HashSet<_> = (0..50).map(|seed| Breaker::new(seed * 7919).wait()).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }

    #[test]
    fn what_the_server_asks_for_opens_at_once_for_exactly_that_long_but_for_no_more_than_a_minute() {
        for (wish, expected) in [(7, 7), (3600, 60)] {
            let now = Instant::now();
            let mut breaker = Breaker::new(1);
            let ticket = breaker.ask(now, PATIENCE).unwrap();
            let change = breaker.failed(ticket, now, Some(seconds(wish)));
            assert_eq!(change, Change::Opened(seconds(expected)));
            assert_eq!(
                breaker.ask(now + seconds(1), PATIENCE),
                Err(seconds(expected) - seconds(1))
            );
            assert!(breaker.ask(now + seconds(expected), PATIENCE).unwrap().is_probe);
        }
        let now = Instant::now();
        let mut breaker = Breaker::new(1);
        let ticket = breaker.ask(now, PATIENCE).unwrap();
        assert_eq!(breaker.failed(ticket, now, Some(Duration::ZERO)), Change::None);
    }

    #[test]
    fn a_wish_lengthens_the_time_it_is_open_and_never_shortens_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(1);
        let tickets: Vec<_> = (0..3).map(|_| breaker.ask(now, PATIENCE).unwrap()).collect();
        breaker.failed(tickets[0], now, Some(seconds(10)));
        breaker.failed(tickets[1], now, Some(seconds(5)));
        assert_eq!(breaker.outlook(now), Outlook::Bad(seconds(10)));
        breaker.failed(tickets[2], now, Some(seconds(20)));
        assert_eq!(breaker.outlook(now), Outlook::Bad(seconds(20)));
    }

    #[test]
    fn a_probe_that_never_returns_is_replaced_and_its_late_end_counts_for_nothing() {
        let now = Instant::now();
        let (mut breaker, wait) = opened(now);
        let lost = breaker.ask(now + wait, PATIENCE).unwrap();
        let later = now + wait + PATIENCE;
        assert_eq!(breaker.ask(later - Duration::from_nanos(1), PATIENCE), Err(PROBING));
        let probe = breaker.ask(later, PATIENCE).unwrap();
        assert_eq!(breaker.answered(lost), Change::None);
        assert_eq!(breaker.failed(lost, later, None), Change::None);
        assert_eq!(breaker.answered(probe), Change::Closed);
    }

    #[test]
    fn calls_from_before_it_opened_neither_close_it_nor_open_it_again() {
        let now = Instant::now();
        let mut breaker = Breaker::new(1);
        let old: Vec<_> = (0..20).map(|_| breaker.ask(now, PATIENCE).unwrap()).collect();
        for ticket in &old[..5] {
            breaker.failed(*ticket, now, None);
        }
        assert_eq!(breaker.answered(old[5]), Change::None);
        let later = now + seconds(1);
        let probe = breaker.ask(later, PATIENCE).unwrap();
        assert_eq!(breaker.answered(old[6]), Change::None);
        assert_eq!(breaker.failed(old[7], later, None), Change::None);
        assert_eq!(breaker.answered(probe), Change::Closed);
        for ticket in &old[8..] {
            assert_eq!(breaker.failed(*ticket, later, None), Change::None);
        }
        assert_eq!(breaker.outlook(later), Outlook::Good);
    }

    #[test]
    fn in_every_order_of_three_threads_half_open_lets_one_probe_out() {
        let now = Instant::now();
        loom::model(move || {
            let (breaker, wait) = opened(now);
            let breaker = Arc::new(Mutex::new(breaker));
            let ask = move |breaker: Arc<Mutex<Breaker>>| breaker.lock().unwrap().ask(now + wait, PATIENCE).is_ok();
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let breaker = Arc::clone(&breaker);
                    thread::spawn(move || ask(breaker))
                })
                .collect();
            let mut probes = usize::from(ask(Arc::clone(&breaker)));
            for other in others {
                probes += usize::from(other.join().unwrap());
            }
            assert_eq!(probes, 1);
        });
    }

    #[test]
    fn in_every_order_of_three_threads_the_probe_alone_decides() {
        let now = Instant::now();
        loom::model(move || {
            let mut breaker = Breaker::new(3);
            let old: Vec<_> = (0..7).map(|_| breaker.ask(now, PATIENCE).unwrap()).collect();
            for ticket in &old[..5] {
                breaker.failed(*ticket, now, None);
            }
            let later = now + seconds(1);
            let breaker = Arc::new(Mutex::new(breaker));
            let ends = [
                thread::spawn({
                    let (breaker, ticket) = (Arc::clone(&breaker), old[5]);
                    move || breaker.lock().unwrap().answered(ticket)
                }),
                thread::spawn({
                    let (breaker, ticket) = (Arc::clone(&breaker), old[6]);
                    move || breaker.lock().unwrap().failed(ticket, later, None)
                }),
            ];
            let probe = breaker.lock().unwrap().ask(later, PATIENCE).unwrap();
            assert_eq!(breaker.lock().unwrap().answered(probe), Change::Closed);
            for end in ends {
                assert_eq!(end.join().unwrap(), Change::None);
            }
            assert_eq!(breaker.lock().unwrap().outlook(later), Outlook::Good);
        });
    }

    #[test]
    fn in_every_order_a_probe_that_is_broken_off_makes_room_for_another_and_only_one() {
        let now = Instant::now();
        loom::model(move || {
            let (mut breaker, wait) = opened(now);
            let later = now + wait;
            let probe = breaker.ask(later, PATIENCE).unwrap();
            let breaker = Arc::new(Mutex::new(breaker));
            let other = thread::spawn({
                let breaker = Arc::clone(&breaker);
                move || breaker.lock().unwrap().ask(later, PATIENCE).is_ok()
            });
            breaker.lock().unwrap().lost(probe);
            let own = breaker.lock().unwrap().ask(later, PATIENCE).is_ok();
            assert!(own ^ other.join().unwrap());
        });
    }

    proptest! {
        #[test]
        fn whatever_happened_a_call_is_allowed_once_the_longest_wait_and_the_longest_call_are_over(
            seed: u64, steps in proptest::collection::vec((0_u8..6, 0_usize..8, 0_u64..20_000), 0..200),
        ) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(seed);
            let mut under_way: Vec<Ticket> = Vec::new();
            let mut probes = 0;
            for (what, which, milliseconds) in steps {
                let call = (!under_way.is_empty()).then(|| which % under_way.len());
                match (what, call) {
                    (0 | 1, _) => {
                        if let Ok(ticket) = breaker.ask(now, PATIENCE) {
                            under_way.push(ticket);
                            probes += usize::from(ticket.is_probe);
                        }
                    }
                    (2, Some(call)) => { breaker.failed(under_way.swap_remove(call), now, None); }
                    (3, Some(call)) => {
                        let wish = Some(Duration::from_millis(milliseconds * 10));
                        breaker.failed(under_way.swap_remove(call), now, wish);
                    }
                    (4, Some(call)) => { breaker.answered(under_way.swap_remove(call)); }
                    (5, Some(call)) => breaker.lost(under_way.swap_remove(call)),
                    _ => now += Duration::from_millis(milliseconds),
                }
            }
            prop_assert!(breaker.ask(now + LONGEST_WISH + PATIENCE, PATIENCE).is_ok(), "{breaker:?} {probes}");
        }
    }
}
