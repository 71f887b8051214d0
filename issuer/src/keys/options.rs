//! When keys begin to sign, are replaced, and are forgotten.

use std::{ops::RangeInclusive, sync::PoisonError, time::Duration};

use resource_protector::SetupError;

use super::{KeyRing, MAX_KEYS};
use crate::setup::within;

/// How long resource servers may hold on to a token beyond its end, for the difference of clocks: the most that
/// `resource_protector` allows.
pub(super) const LEEWAY: Duration = Duration::from_secs(300);

/// What `publish_ahead` may be at the most.
pub(super) const LONGEST_AHEAD: Duration = Duration::from_secs(7 * 24 * 3600);

/// What `publish_ahead` may be.
const AHEAD: RangeInclusive<Duration> = Duration::from_secs(60)..=LONGEST_AHEAD;

/// What `roll_over_every` may be. Three years are the longest that NIST SP 800-57 Part 1, §5.3.6, has a key sign.
const EVERY: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(3 * 366 * 24 * 3600);

/// How many times `roll_over_every` the life of a key may last beyond that, so that one more, rolled over by hand, has
/// room in the ring.
const OVERLAPPING: u32 = 30;

/// How long things last.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) publish_ahead: Duration,
    pub(super) keep_retired: Duration,
    /// Never, if it is `None`.
    pub(super) roll_over_every: Option<Duration>,
}

impl Default for Times {
    /// 90 days are often enough that a key that leaked unnoticed is of no use some day, and seldom enough that a set of keys
    /// that somebody copies by hand, against all advice, is not out of date within weeks.
    fn default() -> Self {
        Self {
            publish_ahead: Duration::from_secs(3600),
            keep_retired: Duration::from_secs(24 * 3600),
            roll_over_every: Some(Duration::from_secs(90 * 24 * 3600)),
        }
    }
}

/// When keys begin to sign, are replaced, and are forgotten.
impl KeyRing {
    /// How long a new key is published before it signs; one hour unless set, 60 s to 7 days, and half of
    /// [`roll_over_every`](Self::roll_over_every) at the most. The set may be remembered for half of it
    /// ([`JwksEndpoint`](crate::endpoints::JwksEndpoint)), 5 minutes at the most. Resource servers that keep keys for longer
    /// than they are told, and do not ask again when they meet an unknown `kid`, need more; several processes need 2
    /// minutes, as each learns of a new key by its upkeep. It holds for all clones, and for the keys made from now on.
    ///
    /// # Errors
    ///
    /// When it is out of these bounds.
    pub fn publish_ahead(self, ahead: Duration) -> Result<Self, SetupError> {
        let ahead = within("publish_ahead", ahead, AHEAD)?;
        self.times_mut(|times| match times.roll_over_every {
            Some(every) if ahead.saturating_mul(2) > every => Err(SetupError::new(
                "publish_ahead",
                format_args!(
                    "expected {} s at the most, half of roll_over_every, got {} s: set roll_over_every first, or \
                     publish for less long",
                    (every / 2).as_secs_f64(),
                    ahead.as_secs_f64()
                ),
            )),
            _ => {
                times.publish_ahead = ahead;
                Ok(())
            }
        })?;
        Ok(self)
    }

    /// How old a key gets, from its publication on, until the upkeep makes and publishes the next one; 90 days unless set,
    /// one hour to three years, and twice [`publish_ahead`](Self::publish_ahead) at least. A key that was stolen and nobody
    /// knows of it signs for so long: 30 days bound that more tightly, and cost nothing where resource servers fetch the
    /// set. It holds for all clones; processes that share a file should say the same, as the least of what they say counts.
    ///
    /// # Errors
    ///
    /// When it is out of these bounds.
    pub fn roll_over_every(self, every: Duration) -> Result<Self, SetupError> {
        let every = within("roll_over_every", every, EVERY)?;
        self.times_mut(|times| {
            if every < times.publish_ahead.saturating_mul(2) {
                return Err(SetupError::new(
                    "roll_over_every",
                    format_args!(
                        "expected {} s at least, twice publish_ahead, got {} s: set publish_ahead first, or roll \
                         over less often",
                        (times.publish_ahead * 2).as_secs_f64(),
                        every.as_secs_f64()
                    ),
                ));
            }
            times.roll_over_every = Some(every);
            Ok(())
        })?;
        Ok(self)
    }

    /// Gives up that keys roll over by themselves: **they live for ever**, and so does whatever a thief can do with one,
    /// until somebody calls [`roll_over`](Self::roll_over). For resource servers that have the keys from a person. The
    /// upkeep still reads the file again and deletes what is retired. It holds for all clones.
    #[must_use]
    pub fn roll_over_by_hand_alone(self) -> Self {
        self.times_mut(|times| times.roll_over_every = None);
        self
    }

    /// How long a key stays published after it signed for the last time; 24 hours unless set, and 300 s more in any
    /// case, for clocks that differ. It has to be as long as the longest life of a token that it signs. A `TokenIssuer`
    /// that gets the ring lengthens it to what it needs, and does not open where more than 32 keys would be published at
    /// a time. It holds for all clones.
    #[must_use]
    pub fn keep_retired(self, keep: Duration) -> Self {
        self.times_mut(|times| times.keep_retired = keep);
        self
    }

    /// Keeps retired keys for as long as the tokens live that they may have signed, if that is longer than was said.
    ///
    /// # Errors
    ///
    /// When keys would come faster than they can be forgotten.
    pub(crate) fn outlive(&self, longest_lifetime: Duration) -> Result<(), SetupError> {
        self.times_mut(|times| {
            times.keep_retired = times.keep_retired.max(longest_lifetime);
            let overlap = times.publish_ahead.saturating_add(times.keep_retired).saturating_add(LEEWAY);
            match times.roll_over_every {
                Some(every) if overlap > every.saturating_mul(OVERLAPPING) => Err(SetupError::new(
                    "roll_over_every",
                    format_args!(
                        "expected {} s at least, as retired keys are kept for {} s and a ring has {MAX_KEYS} keys, got {} s",
                        (overlap / OVERLAPPING).as_secs() + 1,
                        times.keep_retired.as_secs(),
                        every.as_secs()
                    ),
                )),
                _ => Ok(()),
            }
        })
    }

    /// How long the set may be remembered by others. A key that is published now signs only later than that.
    pub(crate) fn max_age(&self) -> Duration {
        (self.times().publish_ahead / 2).min(Duration::from_secs(300))
    }

    pub(super) fn times(&self) -> Times {
        *self.0.times.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn times_mut<T>(&self, change: impl FnOnce(&mut Times) -> T) -> T {
        change(&mut self.0.times.write().unwrap_or_else(PoisonError::into_inner))
    }
}
