//! Revocations of one process.

use std::{fmt, sync::Arc, time::Duration};

use super::{CutOff, RevocationList, RevocationTerms, Revoke, RevokeError, Verdict, view::View};
use crate::{
    clock::{Clock, Moment, SystemClock},
    token::CurrentToken,
};

/// Revocations in the memory of this process. Clones share them.
///
/// Who has several processes tells each of them, or uses a list that does. After a restart it is empty: whoever revoked
/// something tells it again, or waits for as long as a token lives.
///
/// A revocation takes about 250 bytes beside its identifier.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use resource_protector::{
///     CutOff, JwtValidator, MemoryRevocationList, ResourceProtectorLayer, RevocationTerms, Revoke, RevokedBy,
/// };
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let an_hour = Duration::from_secs(3600);
/// let revoked = MemoryRevocationList::new(RevocationTerms::new([RevokedBy::Subject], an_hour)?);
/// let tokens = JwtValidator::discover("https://auth.example.com", "https://api.example.com")?;
/// let protector = ResourceProtectorLayer::new(tokens).revocation(revoked.clone());
///
/// // Alice has changed her password: whoever holds an older token of hers is out with the next request.
/// revoked.revoke(CutOff::subject("https://auth.example.com", "alice", SystemTime::now())).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MemoryRevocationList {
    view: Arc<View>,
    clock: Arc<dyn Clock>,
}

impl MemoryRevocationList {
    /// A list without revocations.
    pub fn new(terms: RevocationTerms) -> Self {
        Self {
            view: Arc::new(View::new(terms)),
            clock: Arc::new(SystemClock),
        }
    }

    /// How many revocations are kept at the most; a million unless set. Beyond that, nothing more can be revoked until some
    /// are over: whoever can cause any number of revocations can bring that about. Clones have the same revocations, so it
    /// holds for all of them, also for those made before.
    #[must_use]
    pub fn capacity(self, cut_offs: usize) -> Self {
        self.view.set_capacity(cut_offs);
        self
    }

    /// Takes the time from another clock than the system's. Clones made before keep theirs.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl RevocationList for MemoryRevocationList {
    fn verdict(&self, token: &CurrentToken, _: Moment) -> Verdict {
        match self.view.cuts_off(token) {
            true => Verdict::CutOff,
            false => Verdict::Clear,
        }
    }

    fn terms(&self) -> &RevocationTerms {
        self.view.terms()
    }

    /// Zero: who revokes something does so here.
    fn age(&self, _: Moment) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}

impl Revoke for MemoryRevocationList {
    async fn revoke(&self, cut_off: CutOff) -> Result<(), RevokeError> {
        self.view.record(&cut_off, self.clock.now()).map(|_| ())
    }

    fn terms(&self) -> &RevocationTerms {
        self.view.terms()
    }
}

impl fmt::Debug for MemoryRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocationList")
            .field("terms", self.view.terms())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;
    use crate::{harness::MovedClock, revocation::RevokedBy};

    const ISSUER: &str = "https://auth.test";

    fn list() -> (MemoryRevocationList, MovedClock) {
        let terms = RevocationTerms::new([RevokedBy::TokenId], Duration::from_secs(3600)).unwrap();
        let clock = MovedClock::at(10_000);
        (MemoryRevocationList::new(terms).clock(clock.clone()), clock)
    }

    fn token(jti: &str) -> CurrentToken {
        CurrentToken::vouch_for(&json!({ "iss": ISSUER, "jti": jti, "iat": 9000, "exp": 12_600 })).unwrap()
    }

    #[tokio::test]
    async fn a_revocation_is_in_force_as_soon_as_it_has_returned_and_in_every_clone() {
        let (list, clock) = list();
        let (clone, token) = (list.clone(), token("j"));
        assert_eq!(clone.verdict(&token, clock.now()), Verdict::Clear);
        list.revoke(CutOff::token(ISSUER, "j")).await.unwrap();
        assert_eq!(clone.verdict(&token, clock.now()), Verdict::CutOff);
        // Twice is no error.
        clone.revoke(CutOff::token(ISSUER, "j")).await.unwrap();
        assert_eq!(list.verdict(&token, clock.now()), Verdict::CutOff);
    }

    #[tokio::test]
    async fn a_capacity_counts_for_clones_too_and_is_never_nothing() {
        let (list, _) = list();
        let clone = list.clone();
        let list = list.capacity(0);
        list.revoke(CutOff::token(ISSUER, "j")).await.unwrap();
        let full = clone.revoke(CutOff::token(ISSUER, "k")).await;
        assert_eq!(full, Err(RevokeError::Full(1)));
    }

    #[tokio::test]
    async fn what_nobody_could_mean_is_an_error() {
        let (list, clock) = list();
        let moment = SystemTime::UNIX_EPOCH;
        let error = list.revoke(CutOff::subject(ISSUER, "alice", moment)).await.unwrap_err();
        assert!(matches!(error, RevokeError::Unusable(_)), "{error}");
        assert!(!error.to_string().contains("alice"));
        assert_eq!(list.verdict(&token("j"), clock.now()), Verdict::Clear);
    }

    #[tokio::test]
    async fn what_is_over_is_forgotten_by_the_lists_own_clock() {
        let (list, clock) = list();
        list.revoke(CutOff::token(ISSUER, "j")).await.unwrap();
        clock.advance(3_899_000);
        list.revoke(CutOff::token(ISSUER, "k")).await.unwrap();
        assert_eq!(list.verdict(&token("j"), clock.now()), Verdict::CutOff);
        clock.advance(181_000);
        list.revoke(CutOff::token(ISSUER, "l")).await.unwrap();
        assert_eq!(list.view.len(), 2);
    }

    #[test]
    fn it_is_in_step_and_knows_all_there_is() {
        let (list, clock) = list();
        assert!(list.is_in_step(clock.now()));
        assert_eq!(list.age(clock.now()), Some(Duration::ZERO));
        let shared = Arc::new(list);
        assert_eq!(shared.age(clock.now()), Some(Duration::ZERO));
    }

    #[tokio::test]
    async fn debug_shows_what_it_goes_by_and_nobody() {
        let terms = RevocationTerms::new([RevokedBy::Subject], Duration::from_secs(60)).unwrap();
        let list = MemoryRevocationList::new(terms);
        let cut_off = CutOff::subject(ISSUER, "alice", SystemTime::now());
        let shown = format!("{cut_off:?}");
        list.revoke(cut_off).await.unwrap();
        let shown = format!("{shown} {list:?}");
        assert!(shown.contains("Subject") && !shown.contains("alice"), "{shown}");
    }
}
