//! What tokens are issued on the strength of, and what has to stay so until they are.

use super::{
    TokenError, TokenIssuer, TokenRequest,
    consent::withdrawn,
    holders::Holders,
    login::LoginGround,
    records::{Consent, Found},
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
    /// What tokens of this request would be issued on the strength of.
    ///
    /// # Errors
    ///
    /// When some of it is there no more.
    pub(super) async fn grounds(&self, request: &TokenRequest, holders: Holders) -> Result<Grounds, TokenError> {
        let mut grounds = match &request.login {
            Some(login) => self.ground_of_login(login, holders).await?,
            None => Grounds {
                holders,
                consent: None,
                ended_login: None,
            },
        };
        if let Some(id) = &request.consent {
            grounds.consent = Some(self.ground_of_consent(request, id).await?);
        }
        Ok(grounds)
    }

    /// That somebody is logged in, and nothing else.
    pub(super) async fn ground_of_login(&self, login: &LoginGround, holders: Holders) -> Result<Grounds, TokenError> {
        if self.is_over(login, holders.epochs().subject).await? {
            return Err(TokenError::invalid_grant("the user was logged out meanwhile"));
        }
        Ok(Grounds {
            holders,
            consent: None,
            ended_login: login.ended.clone(),
        })
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
