//! The calls to an authorization server: whether one may be made now, and what its end means for the next.
//!
//! What decides are three machines without clock and lock: places for calls under way ([`in_flight`]), a breaker
//! ([`breaker`]) and a budget for second tries ([`retry`]). [`Upstream`] holds them for one endpoint under one lock, which
//! is never held while something is waited for, and tells what happens ([`watch`]).

mod breaker;
mod in_flight;
mod retry;
pub(crate) mod watch;

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub(crate) use self::{breaker::Outlook, in_flight::Cause};
use self::{
    breaker::{Breaker, Change, Ticket},
    in_flight::InFlight,
    retry::RetryBudget,
};
use crate::fetch::Outcome;

/// What is known about calling one endpoint.
pub(crate) struct Upstream(Mutex<Machines>);

struct Machines {
    breaker: Breaker,
    in_flight: InFlight,
    retries: RetryBudget,
    /// Old answers have been used since the server last answered.
    bridging: bool,
}

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shed {
    /// All places are taken.
    Full,
    /// The server failed; it is asked again when this time has passed.
    Open(Duration),
}

/// A call that may be made. Dropped without [`end`](Self::end), it counts as broken off on our side.
pub(crate) struct Call {
    upstream: Arc<Upstream>,
    cause: Cause,
    ticket: Ticket,
    ended: bool,
}

impl Upstream {
    pub(crate) fn new(places: usize) -> Self {
        // Chosen by nobody; it need not be unpredictable.
        let seed = RandomState::new().hash_one(places);
        Self(Mutex::new(Machines {
            breaker: Breaker::new(seed),
            in_flight: InFlight::new(places),
            retries: RetryBudget::new(),
            bridging: false,
        }))
    }

    /// What a call would meet.
    pub(crate) fn outlook(&self, now: Instant) -> Outlook {
        self.lock().breaker.outlook(now)
    }

    /// Whether there is a place for a refresh, at a server that works.
    pub(crate) fn may_refresh(&self, now: Instant) -> bool {
        let machines = self.lock();
        machines.breaker.outlook(now) == Outlook::Good && machines.in_flight.has_room(Cause::Refresh)
    }

    /// Allows a call, which ends within `patience`.
    pub(crate) fn call(
        self: &Arc<Self>,
        who: &str,
        cause: Cause,
        now: Instant,
        patience: Duration,
    ) -> Result<Call, Shed> {
        let mut machines = self.lock();
        if !machines.in_flight.has_room(cause) {
            drop(machines);
            watch::call_shed(who, "too many calls are under way");
            return Err(Shed::Full);
        }
        let ticket = match machines.breaker.ask(now, patience) {
            Ok(ticket) => ticket,
            Err(wait) => {
                drop(machines);
                watch::call_shed(who, "the breaker is open");
                return Err(Shed::Open(wait));
            }
        };
        machines.in_flight.enter(cause);
        machines.retries.called();
        drop(machines);
        if ticket.is_probe {
            watch::breaker_probing(who);
        }
        Ok(Call {
            upstream: Arc::clone(self),
            cause,
            ticket,
            ended: false,
        })
    }

    /// An answer was used that is older than it should be.
    pub(crate) fn stale_served(&self, who: &str) {
        let first = !std::mem::replace(&mut self.lock().bridging, true);
        watch::stale_served(who, first);
    }

    fn lock(&self) -> MutexGuard<'_, Machines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// Whether it may be made once more, because nothing was sent the first time.
    pub(crate) fn may_retry(&self, who: &str) -> bool {
        let may = self.upstream.lock().retries.spend();
        if may {
            watch::retried(who);
        }
        may
    }

    /// It came out like this, at this moment. `wish` is the time for which the server asked not to be called.
    pub(crate) fn end(mut self, who: &str, outcome: Outcome, now: Instant, took: Duration, wish: Option<Duration>) {
        self.ended = true;
        let mut machines = self.upstream.lock();
        let change = match outcome.is_outage() {
            true => machines.breaker.failed(self.ticket, now, wish),
            false => {
                machines.bridging = false;
                machines.breaker.answered(self.ticket)
            }
        };
        drop(machines);
        watch::call_ended(who, outcome, took);
        match change {
            Change::None => {}
            Change::Opened(wait) => watch::breaker_opened(who, outcome, wait),
            Change::Closed => watch::breaker_closed(who),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut machines = self.upstream.lock();
        machines.in_flight.leave(self.cause);
        if !self.ended {
            machines.breaker.lost(self.ticket);
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_is_broken_off_gives_its_place_back_and_the_next_one_goes_out() {
        let upstream = Arc::new(Upstream::new(4));
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        for _ in 0..5 {
            let call = upstream.call("as", Cause::Known, now, second).ok().unwrap();
            call.end("as", Outcome::Failed, now, second, None);
        }
        assert!(matches!(upstream.outlook(now), Outlook::Bad(_)));
        let later = now + second;
        for _ in 0..10 {
            let probe = upstream.call("as", Cause::Known, later, second).ok().unwrap();
            assert!(probe.ticket.is_probe && upstream.call("as", Cause::Known, later, second).is_err());
        }
        assert!(upstream.lock().in_flight.enter(Cause::Unknown));
    }
}
