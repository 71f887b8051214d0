//! Tokens that are good by what they say, and good no more: which ones, and until when that has to be known.

mod cut_off;
mod known;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod terms;
mod view;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[cfg(feature = "redis")]
pub use self::redis::{RedisRevocationList, RedisRevocationListBuilder};
pub use self::{
    cut_off::{CutOff, RevokedBy},
    memory::MemoryRevocationList,
    terms::RevocationTerms,
};
use crate::{
    clock::Moment,
    rejection::{Reason, Rejection},
    token::CurrentToken,
};

/// Says of a token whether it was revoked, at once and by what is known here: it is asked on every request.
///
/// "Log out everywhere", "the password was changed" and "the account is disabled" need no list of tokens: a [`CutOff`]
/// names whose tokens are over, and covers those, too, that nobody has seen yet. Give a list to
/// [`ResourceProtectorLayer::revocation`](crate::ResourceProtectorLayer::revocation). Something that has to be asked over the
/// network for each token is no list but a [`TokenValidator`](crate::TokenValidator).
///
/// ```
/// use std::{collections::HashSet, sync::RwLock};
///
/// use resource_protector::{CurrentToken, Moment, RevocationList, RevocationTerms, RevokedBy, Verdict};
///
/// /// Whose accounts are disabled. Tokens live for an hour at the most.
/// struct Disabled { subjects: RwLock<HashSet<String>>, terms: RevocationTerms }
///
/// impl RevocationList for Disabled {
///     fn verdict(&self, token: &CurrentToken, _: Moment) -> Verdict {
///         match self.subjects.read() {
///             Ok(subjects) if token.subject().is_some_and(|subject| subjects.contains(subject)) => Verdict::CutOff,
///             Ok(_) => Verdict::Clear,
///             Err(_) => Verdict::Unknown,
///         }
///     }
///
///     fn terms(&self) -> &RevocationTerms {
///         &self.terms
///     }
/// }
/// ```
pub trait RevocationList: Send + Sync + 'static {
    /// Whether this token was revoked. It must not block: it is called in the midst of every request.
    ///
    /// `Clear` for a revoked token lets in whoever stole it. `Unknown` is 503, and right whenever it cannot be said.
    fn verdict(&self, token: &CurrentToken, now: Moment) -> Verdict;

    /// What a token has to have, so that a revocation can be known to concern it. Tokens without are refused before
    /// [`verdict`](Self::verdict) is asked about them. A protector takes them once, when it is given the list.
    fn terms(&self) -> &RevocationTerms;

    /// Whether the list knows enough to answer at all, for a readiness probe.
    fn is_in_step(&self, now: Moment) -> bool {
        let _ = now;
        true
    }

    /// How old what is known here may be: every revocation that was made longer ago is known. `None`, as by default, where
    /// that is not told; [`Duration::MAX`] where it could be told, but nothing is known so far.
    ///
    /// A [guard for sensitive routes](crate::ResourceProtectorLayer::require_fresh) lets nobody in where it is older than the
    /// route bears, and is not built where it is `None`. What is too young lets in whose token was revoked meanwhile.
    fn age(&self, now: Moment) -> Option<Duration> {
        let _ = now;
        None
    }
}

impl<L: RevocationList> RevocationList for Arc<L> {
    fn verdict(&self, token: &CurrentToken, now: Moment) -> Verdict {
        L::verdict(self, token, now)
    }

    fn terms(&self) -> &RevocationTerms {
        L::terms(self)
    }

    fn is_in_step(&self, now: Moment) -> bool {
        L::is_in_step(self, now)
    }

    fn age(&self, now: Moment) -> Option<Duration> {
        L::age(self, now)
    }
}

/// What a [`RevocationList`] knows of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No revocation concerns it.
    Clear,
    /// It was revoked: 401.
    CutOff,
    /// It cannot be said, because what is known is too old: 503.
    Unknown,
}

/// A list that can be told of revocations. Whoever issues tokens, logs people out or disables accounts does so.
pub trait Revoke: Send + Sync + 'static {
    /// Puts a revocation into force. When it returns, no request gets in here with a token that it concerns.
    ///
    /// # Errors
    ///
    /// When it is not, or not everywhere: see [`RevokeError`]. Revoking the same once more is no error and does no harm.
    fn revoke(&self, cut_off: CutOff) -> impl Future<Output = Result<(), RevokeError>> + Send;

    /// What can be revoked, and for how long that is known.
    fn terms(&self) -> &RevocationTerms;
}

impl<L: Revoke> Revoke for Arc<L> {
    fn revoke(&self, cut_off: CutOff) -> impl Future<Output = Result<(), RevokeError>> + Send {
        L::revoke(self, cut_off)
    }

    fn terms(&self) -> &RevocationTerms {
        L::terms(self)
    }
}

/// Why a revocation is not in force, or not everywhere. The message quotes no subject and no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// It would concern no token: the list does not look at what it names, or it names nothing.
    #[error("nothing was revoked: {0}")]
    Unusable(String),
    /// The list holds as many revocations as it may, and none of them is over yet.
    #[error("nothing was revoked: the list holds {0} revocations, which is its capacity")]
    Full(usize),
    /// It is in force here, and nowhere else so far: whoever tells the others cannot be reached. It is told to them as soon
    /// as that is possible, if this process lives until then.
    #[error("revoked in this process only: {0}")]
    Unpublished(String),
}

const OUT_OF_STEP: &str = "what is known of revocations is out of date";

/// Numbers the lists and the versions of what they know, so that no two in this process ever have the same.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The list of a protector. It judges tokens on every request, whoever validated them.
#[derive(Clone)]
pub(crate) struct Revocation {
    list: Arc<dyn RevocationList>,
    terms: RevocationTerms,
    number: u64,
}

impl Revocation {
    pub(crate) fn by(list: impl RevocationList) -> Self {
        Self {
            terms: list.terms().clone(),
            list: Arc::new(list),
            number: next_number(),
        }
    }

    /// By knowledge that is no older than this.
    pub(crate) fn judge(&self, token: &CurrentToken, now: Moment, max_age: Option<Duration>) -> Result<(), Rejection> {
        // What a token says does not change, so that it meets them once and for all.
        if !token.meets_terms_of(self.number) {
            self.terms.judge(token)?;
            token.met_terms_of(self.number);
        }
        match self.list.verdict(token, now) {
            Verdict::Clear if max_age.is_some_and(|max_age| self.is_older_than(max_age, now)) => Err(
                Rejection::unavailable("the route demands younger knowledge of revocations than there is"),
            ),
            Verdict::Clear => Ok(()),
            Verdict::CutOff => Err(Rejection::invalid_token(Reason::Revoked, "the token was revoked")),
            Verdict::Unknown => Err(Rejection::unavailable(OUT_OF_STEP)),
        }
    }

    fn is_older_than(&self, max_age: Duration, now: Moment) -> bool {
        self.list.age(now).is_none_or(|age| age > max_age)
    }

    /// Why not everything that has to be known of revocations is.
    pub(crate) fn problem(&self, now: Moment) -> Option<&'static str> {
        (!self.list.is_in_step(now)).then_some(OUT_OF_STEP)
    }

    pub(crate) fn tells_its_age(&self, now: Moment) -> bool {
        self.list.age(now).is_some()
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Revocation").field(&self.terms).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use serde_json::json;

    use super::*;

    fn terms(by: RevokedBy, hours: u64) -> RevocationTerms {
        RevocationTerms::new([by], Duration::from_secs(hours * 3600)).unwrap()
    }

    #[test]
    fn a_token_that_meets_the_terms_of_one_list_does_not_thereby_meet_those_of_another() {
        let token =
            CurrentToken::vouch_for(&json!({ "iss": "i", "sub": "alice", "iat": 9000, "exp": 16_200 })).unwrap();
        let now = Moment {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(10_000),
            monotonic: Instant::now(),
        };
        let [fits, short, other] = [
            terms(RevokedBy::Subject, 2),
            terms(RevokedBy::Subject, 1),
            terms(RevokedBy::TokenId, 2),
        ]
        .map(|terms| Revocation::by(MemoryRevocationList::new(terms)));
        for _ in 0..3 {
            assert!(fits.judge(&token, now, None).is_ok());
            assert!(fits.clone().judge(&token.clone(), now, None).is_ok());
            for list in [&short, &other] {
                let refusal = list.judge(&token, now, None).unwrap_err();
                assert_eq!(refusal.reason(), Some(Reason::Claim));
            }
        }
    }
}
