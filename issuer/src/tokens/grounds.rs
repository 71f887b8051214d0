//! What tokens are issued on the strength of, and what has to stay so until they are.

use std::time::Duration;

use super::{
    TokenError, TokenIssuer, TokenRequest,
    consent::withdrawn,
    holders::{Holders, SubjectEpoch},
    records::{Consent, Found},
    request::LoginGround,
};
use crate::{
    store::{Becomes, Change, Key, Was},
    time::Millis,
    users::{AnyUserDirectory, User},
};

/// How far the clocks of machines may be apart that log users in and out.
const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(60);

/// What tokens are issued on the strength of.
pub(super) struct Grounds {
    pub(super) holders: Holders,
    consent: Option<Found<Consent>>,
    ended_login: Option<Key>,
}

impl TokenIssuer {
    /// How often a subject was logged out everywhere: who was logged in before is so no more.
    pub(crate) async fn logouts_of(&self, subject: &str) -> Result<u64, TokenError> {
        let found = self.0.ledger.find::<SubjectEpoch>(SubjectEpoch::key(subject)).await?;
        Ok(found.map_or(0, |found| found.record.number))
    }

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
        let found = self
            .0
            .ledger
            .find::<SubjectEpoch>(SubjectEpoch::key(&user.subject))
            .await?;
        let Some(epoch) = found.map(|found| found.record) else {
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

    /// What tokens of this request would be issued on the strength of.
    ///
    /// # Errors
    ///
    /// When some of it is there no more.
    pub(super) async fn grounds(&self, request: &TokenRequest, holders: Holders) -> Result<Grounds, TokenError> {
        let ended_login = match &request.login {
            Some(login) => self.ground_of_login(login, &holders).await?,
            None => None,
        };
        let consent = match &request.consent {
            None => None,
            Some(id) => Some(self.ground_of_consent(request, id).await?),
        };
        Ok(Grounds {
            holders,
            consent,
            ended_login,
        })
    }

    /// The row that a log-in would have if it had ended.
    pub(super) async fn ground_of_login(
        &self,
        login: &LoginGround,
        holders: &Holders,
    ) -> Result<Option<Key>, TokenError> {
        let ended = || TokenError::invalid_grant("the user was logged out meanwhile");
        if holders.epochs().subject != login.epoch {
            return Err(ended());
        }
        let Some(key) = &login.ended else { return Ok(None) };
        let rows = self.0.ledger.store().load(std::slice::from_ref(key)).await?;
        match rows.iter().any(Option::is_some) {
            true => Err(ended()),
            false => Ok(Some(key.clone())),
        }
    }

    async fn ground_of_consent(&self, request: &TokenRequest, id: &str) -> Result<Found<Consent>, TokenError> {
        let key = Consent::key(request.sub(), &request.client_id)?;
        let found = self.0.ledger.find::<Consent>(key).await?;
        let now = Millis::floor(self.now().wall);
        let found = found.filter(|found| now < found.record.expires_at && found.record.id == id);
        found.ok_or_else(withdrawn)
    }
}

impl Grounds {
    /// The consent, by its identifier.
    pub(super) fn consent(&self) -> Option<&str> {
        self.consent.as_ref().map(|consent| consent.record.id.as_str())
    }

    /// The change, if all of it is as it was when it happens: nobody is logged out, and nothing withdrawn, between the look and
    /// it.
    pub(super) fn unchanged(&self, change: Change, subject: &str, client: &str) -> Result<Change, TokenError> {
        let mut change = self.holders.unchanged(change, subject, client);
        if let Some(consent) = &self.consent {
            change = change.step(Consent::key(subject, client)?, consent.was(), Becomes::Same);
        }
        if let Some(ended) = &self.ended_login {
            change = change.step(ended.clone(), Was::Absent, Becomes::Same);
        }
        Ok(change)
    }
}
