//! How soon a server is asked again.

use std::time::{Duration, Instant};

use crate::clock::Moment;

/// When a server was last asked, and for how long it wants to be left alone since then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
    wish: Duration,
}

impl Pace {
    /// It is asked at this moment, or was when this is said later.
    pub(crate) fn asked(&mut self, now: Moment) {
        self.last = Some(now.monotonic);
    }

    /// It was answered, with this wish, or with none.
    pub(crate) fn answered(&mut self, wish: Option<Duration>) {
        self.wish = wish.unwrap_or_default();
    }

    /// Whether the last time was this long ago, or longer, if the server asked for that.
    pub(crate) fn has_rested(&self, now: Moment, pause: Duration) -> bool {
        self.left(now, pause).is_zero()
    }

    /// What is left of this pause.
    pub(crate) fn left(&self, now: Moment, pause: Duration) -> Duration {
        let pause = pause.max(self.wish);
        self.last
            .map_or(Duration::ZERO, |then| pause.saturating_sub(now.since(then)))
    }

    /// When these pauses end, or the longer one that the server asked for.
    pub(crate) fn ends<const N: usize>(&self, pauses: [Duration; N]) -> impl Iterator<Item = Instant> {
        let wish = self.wish;
        let ends = self
            .last
            .map(|then| pauses.map(|pause| then.checked_add(pause.max(wish))));
        ends.into_iter().flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    #[test]
    fn a_pause_is_as_long_as_ours_or_as_the_server_wants_it() {
        let start = Moment {
            wall: SystemTime::UNIX_EPOCH,
            monotonic: Instant::now(),
        };
        let after = |seconds| Moment {
            monotonic: start.monotonic + Duration::from_secs(seconds),
            ..start
        };
        let mut pace = Pace::default();
        assert!(pace.has_rested(start, PAUSE));
        pace.asked(start);
        assert!(!pace.has_rested(after(29), PAUSE) && pace.has_rested(after(30), PAUSE));
        for (wish, end) in [(10, 30), (50, 50)] {
            pace.answered(Some(Duration::from_secs(wish)));
            assert!(!pace.has_rested(after(end - 1), PAUSE) && pace.has_rested(after(end), PAUSE));
            assert_eq!(pace.left(after(end - 1), PAUSE), Duration::from_secs(1));
            assert_eq!(pace.ends([PAUSE]).collect::<Vec<_>>(), [after(end).monotonic]);
        }
        pace.answered(None);
        assert!(pace.has_rested(after(30), PAUSE));
    }
}
