//! What tokens are issued on the strength of, and what has to stay so until they are.

use std::time::SystemTime;

use super::{
    TokenError, TokenIssuer, TokenRequest,
    holders::{Holders, SubjectEpoch},
    records::{Consent, Found},
    request::{ConsentGround, LoginGround},
};
use crate::{
    store::{Becomes, Change, Key, Was},
    time::Millis,
};

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

    /// The same for somebody whose password was checked from this moment on; `None` if they were logged out everywhere since: the
    /// password may have been replaced meanwhile.
    pub(crate) async fn logouts_before_login(
        &self,
        subject: &str,
        began: SystemTime,
    ) -> Result<Option<u64>, TokenError> {
        let found = self.0.ledger.find::<SubjectEpoch>(SubjectEpoch::key(subject)).await?;
        let began = Millis::floor(began);
        Ok(match found {
            None => Some(0),
            // A log-out names the moment after its own.
            Some(found) if found.record.issued_before <= began.next() => Some(found.record.number),
            Some(_) => None,
        })
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
            ConsentGround::None => None,
            wanted => Some(self.ground_of_consent(request, wanted).await?),
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

    async fn ground_of_consent(
        &self,
        request: &TokenRequest,
        wanted: &ConsentGround,
    ) -> Result<Found<Consent>, TokenError> {
        let key = Consent::key(request.sub(), &request.client_id)?;
        let found = self.0.ledger.find::<Consent>(key).await?;
        let now = Millis::floor(self.now().wall);
        let is_wanted = |consent: &Consent| match wanted {
            ConsentGround::This(id) => consent.id == *id,
            ConsentGround::None | ConsentGround::Present => true,
        };
        let found = found.filter(|found| now < found.record.expires_at && is_wanted(&found.record));
        found.ok_or_else(|| TokenError::invalid_grant("the user has withdrawn what the client was allowed"))
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
