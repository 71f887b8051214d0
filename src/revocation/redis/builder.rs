//! What a list is told before there is one.

use std::{fmt, sync::Arc, time::Duration};

use super::{RedisRevocationList, freshness::Freshness, server::Server};
use crate::{
    clock::{Clock, SystemClock},
    error::{SetupError, within},
    revocation::{
        RevocationTerms,
        view::{CAPACITY, View},
    },
};

/// A view that is all right is up to half a second old.
const SHORTEST_BOUND: Duration = Duration::from_secs(2);

const LONGEST_BOUND: Duration = Duration::from_secs(24 * 3600);

/// A [`RedisRevocationList`] to be, with options that the usual one does not need. Once it is [built](Self::build), its clones and
/// its mirror have what was said here, and nothing changes it any more.
///
/// ```
/// use std::time::Duration;
///
/// use resource_protector::{RedisRevocationList, RevocationTerms, RevokedBy, SetupError};
///
/// # fn main() -> Result<(), SetupError> {
/// let terms = RevocationTerms::new([RevokedBy::Session], Duration::from_secs(3600))?;
/// let revoked = RedisRevocationList::builder("redis://127.0.0.1/", "example", terms, Duration::from_secs(30))?
///     .accept_stale_up_to(Duration::from_secs(300))?
///     .capacity(100_000)
///     .build();
/// # let _ = revoked;
/// # Ok(()) }
/// ```
#[must_use = "it is no list before it is built"]
pub struct RedisRevocationListBuilder {
    server: Server,
    name: String,
    terms: RevocationTerms,
    unknown_after: Duration,
    stale_up_to: Duration,
    capacity: usize,
    clock: Arc<dyn Clock>,
}

impl RedisRevocationListBuilder {
    pub(super) fn new(
        url: &str,
        name: &str,
        terms: RevocationTerms,
        unknown_after: Duration,
    ) -> Result<Self, SetupError> {
        if name.is_empty() || name.len() > 200 || name.contains(['{', '}']) {
            return Err(SetupError::new(
                "name",
                "expected 1 to 200 bytes without braces, got something else",
            ));
        }
        let unknown_after = within("unknown_after", unknown_after, SHORTEST_BOUND..=LONGEST_BOUND)?;
        Ok(Self {
            server: Server::at(url)?,
            name: name.to_owned(),
            terms,
            unknown_after,
            stale_up_to: unknown_after,
            capacity: CAPACITY,
            clock: Arc::new(SystemClock),
        })
    }

    /// Lets tokens in by a mirror of up to this age, which is older than it should be. The event `mirror_stale` says when
    /// that begins.
    ///
    /// Somebody who was logged out meanwhile gets in for as long. What is known to be revoked is refused all the same.
    ///
    /// # Errors
    ///
    /// When it is not longer than `unknown_after`, or longer than a day.
    pub fn accept_stale_up_to(mut self, age: Duration) -> Result<Self, SetupError> {
        let age = within("accept_stale_up_to", age, self.unknown_after..=LONGEST_BOUND)?;
        if age == self.unknown_after {
            return Err(SetupError::new(
                "accept_stale_up_to",
                "expected longer than `unknown_after`, got the same",
            ));
        }
        self.stale_up_to = age;
        Ok(self)
    }

    /// How many revocations are kept at the most; a million unless set, and at least one. With more of them nobody is let in,
    /// and the event `mirror_full` says so: whoever can cause any number of revocations can bring that about.
    ///
    /// One takes about 250 bytes beside its identifier, here and in Redis, and twice that while the stream is read.
    pub fn capacity(mut self, cut_offs: usize) -> Self {
        self.capacity = cut_offs;
        self
    }

    /// Over `rediss://`, trusts these certificate authorities and no others: one or more sections `CERTIFICATE` in PEM. Whoever
    /// has the key of one of them can stand in for the Redis server, and log in whom he likes.
    ///
    /// # Errors
    ///
    /// When there is no such section, or one that is no certificate of an authority; when the URL is not `rediss://`, so that
    /// nobody would be asked for a certificate.
    pub fn trusting_only(mut self, authorities_pem: impl AsRef<[u8]>) -> Result<Self, SetupError> {
        self.server.trust_only(authorities_pem.as_ref())?;
        Ok(self)
    }

    /// Takes the time from another clock than the system's; it has to be the protector's, too. How long Redis is waited for
    /// is told by the runtime's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The list. It knows nothing, and lets nobody in, before its mirror is [driven](RedisRevocationList::run).
    ///
    /// Does no I/O.
    #[must_use]
    pub fn build(self) -> RedisRevocationList {
        let view = View::new(self.terms);
        view.set_capacity(self.capacity);
        let origin = self.clock.now().monotonic;
        let freshness = Freshness::new(origin, self.unknown_after, self.stale_up_to);
        RedisRevocationList::of(self.server, self.name, view, freshness, self.clock)
    }
}

impl fmt::Debug for RedisRevocationListBuilder {
    /// Without the URL, which may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocationListBuilder")
            .field("name", &self.name)
            .field("terms", &self.terms)
            .field("unknown_after", &self.unknown_after)
            .field("stale_up_to", &self.stale_up_to)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
