//! Who logs in, and whether a log-in is over.

use super::{TokenError, TokenIssuer, holders::SubjectEpoch};
use crate::{
    store::Key,
    time::{CLOCKS_DIFFER_BY, Millis},
    users::{AnyUserDirectory, User},
};

/// A log-in that may have ended since it was looked at.
#[derive(Clone)]
pub(crate) struct LoginGround {
    /// How often the subject had been logged out everywhere when it began.
    pub(crate) epoch: u64,
    /// The row that there is once it has ended by itself, if it can.
    pub(crate) ended: Option<Key>,
}

impl TokenIssuer {
    /// Who this is, if the password is right and the user may log in, and how often they had been logged out everywhere before it
    /// was checked.
    pub(crate) async fn check_password(
        &self,
        users: &dyn AnyUserDirectory,
        username: &str,
        password: &str,
    ) -> Result<Option<(User, u64)>, TokenError> {
        let began = Millis::floor(self.now().wall);
        let Some(user) = users.authenticate(username, password).await? else {
            return Ok(None);
        };
        let Some(epoch) = self.epoch_of(&user.subject).await? else {
            return Ok(Some((user, 0)));
        };
        // A log-out that may have come while the password was checked, by whichever clock, may be for another password. Checked
        // once more it was right after that log-out, whose number is known by now; a further one counts.
        if began < epoch.issued_before.after(CLOCKS_DIFFER_BY) {
            let again = users.authenticate(username, password).await?;
            if again.is_none_or(|again| again.subject != user.subject) {
                return Ok(None);
            }
        }
        Ok(Some((user, epoch.number)))
    }

    /// Whether a log-in of this subject has not ended, by itself or with all others.
    pub(crate) async fn is_logged_in(&self, subject: &str, login: &LoginGround) -> Result<bool, TokenError> {
        let epoch = self.epoch_of(subject).await?.map_or(0, |epoch| epoch.number);
        Ok(!self.is_over(login, epoch).await?)
    }

    /// The same for one whose subject was logged out everywhere so often by now.
    pub(super) async fn is_over(&self, login: &LoginGround, logouts: u64) -> Result<bool, TokenError> {
        if logouts != login.epoch {
            return Ok(true);
        }
        let Some(ended) = &login.ended else { return Ok(false) };
        let rows = self.0.ledger.store().load(std::slice::from_ref(ended)).await?;
        Ok(rows.iter().any(Option::is_some))
    }

    async fn epoch_of(&self, subject: &str) -> Result<Option<SubjectEpoch>, TokenError> {
        let found = self.0.ledger.find::<SubjectEpoch>(SubjectEpoch::key(subject)).await?;
        Ok(found.map(|found| found.record))
    }
}
