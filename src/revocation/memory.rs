//! Revocations of one process.

use std::{fmt, sync::Arc};

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
    /// are over: whoever can cause any number of revocations can bring that about.
    ///
    /// For a list that has no clones yet.
    #[must_use]
    pub fn capacity(mut self, cut_offs: usize) -> Self {
        if let Some(view) = Arc::get_mut(&mut self.view) {
            view.set_capacity(cut_offs);
        }
        self
    }

    /// Takes the time from another clock than the system's.
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
