//! What users allowed clients, and how often they were logged out everywhere.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use resource_protector::StoreError;

use super::{
    TokenError, TokenIssuer, TokenRequest,
    ledger::Decision,
    records::{Consent, Found, Record as _, SubjectEpoch, was},
    sessions::LONGEST_LIST,
};
use crate::{
    store::{Becomes, Change, Id, Key, Kind},
    time::Millis,
};

/// How long a consent is remembered: a year.
const REMEMBERED: Duration = Duration::from_secs(366 * 24 * 3600);

impl TokenIssuer {
    /// How often a subject was logged out everywhere: who was logged in before is so no more.
    pub(crate) async fn logouts_of(&self, subject: &str) -> Result<u64, TokenError> {
        let found = self.0.ledger.find::<SubjectEpoch>(SubjectEpoch::key(subject)).await?;
        Ok(found.map_or(0, |found| found.record.number))
    }

    /// Whether a user has allowed a client all of this before.
    pub(crate) async fn has_consent(
        &self,
        subject: &str,
        client_id: &str,
        scopes: &[String],
        resources: &[String],
    ) -> Result<bool, TokenError> {
        let Some(found) = self.0.ledger.find::<Consent>(Consent::key(subject, client_id)?).await? else {
            return Ok(false);
        };
        let consent = found.record;
        let is_over = consent.expires_at <= Millis::floor(self.now().wall);
        let covers = |resource: &str| {
            let allowed = consent.allowed.get(resource);
            allowed.is_some_and(|allowed| scopes.iter().all(|scope| allowed.contains(scope)))
        };
        Ok(!is_over && asked_for(resources).all(covers))
    }

    /// Remembers what a user has allowed a client, beside what was allowed before.
    pub(crate) async fn remember_consent(
        &self,
        subject: &str,
        client_id: &str,
        scopes: &[String],
        resources: &[String],
    ) -> Result<(), TokenError> {
        let key = &Consent::key(subject, client_id)?;
        let ledger = &self.0.ledger;
        ledger
            .transact(|| async move {
                let found = ledger.find::<Consent>(key.clone()).await?;
                let now = Millis::floor(self.now().wall);
                let before = found.as_ref().map(|found| &found.record);
                let before = before.filter(|consent| consent.expires_at > now);
                let mut allowed = before.map(|consent| consent.allowed.clone()).unwrap_or_default();
                for resource in asked_for(resources) {
                    allowed
                        .entry(resource.to_owned())
                        .or_default()
                        .extend(scopes.iter().cloned());
                }
                let after = Consent {
                    subject: subject.to_owned(),
                    client_id: client_id.to_owned(),
                    allowed,
                    expires_at: now.after(REMEMBERED),
                };
                let change = Change::new().step(key.clone(), was(found.as_ref()), after.put()?);
                Ok(Decision::Commit(change, ()))
            })
            .await
    }
}

/// A client that a user has allowed something, as its user may see it.
#[derive(Clone, Debug)]
pub struct ConsentedClient {
    client_id: String,
    scopes: BTreeSet<String>,
    expires_at: SystemTime,
}

impl ConsentedClient {
    /// The client.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What it was allowed, at any resource server.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }

    /// Until when it is remembered.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

/// Consents, for a page on which users see whom they have allowed what.
impl TokenIssuer {
    /// The clients that a user has allowed something on the page of an
    /// [`AuthorizationServer`](crate::server::AuthorizationServer), up to 1,000 of them.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn consents(&self, subject: &str) -> Result<Vec<ConsentedClient>, TokenError> {
        let now = Millis::floor(self.now().wall);
        let mut all = Vec::new();
        let mut pages = self.0.ledger.pages::<Consent>(Some(Id::of(subject)));
        while let Some(page) = pages.next().await? {
            let alive = page.into_iter().filter(|consent| now < consent.expires_at);
            all.extend(alive.map(|consent| ConsentedClient {
                client_id: consent.client_id,
                scopes: consent.allowed.into_values().flatten().collect(),
                expires_at: consent.expires_at.time(),
            }));
            if all.len() >= LONGEST_LIST {
                break;
            }
        }
        all.truncate(LONGEST_LIST);
        Ok(all)
    }

    /// Withdraws what a user has allowed a client: the user is asked again, codes that the client has are good no more, and all
    /// sessions of the user that the client has begun end, with all their tokens.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](super::TokenErrorKind::Unavailable) when the store or the list of revocations cannot be reached: then it
    /// may be withdrawn or not, and is to be withdrawn again.
    pub async fn withdraw_consent(&self, subject: &str, client_id: &str) -> Result<(), TokenError> {
        let key = &Consent::key(subject, client_id)?;
        let ledger = &self.0.ledger;
        ledger
            .transact(|| async move {
                Ok(match ledger.find::<Consent>(key.clone()).await? {
                    None => Decision::Answer(()),
                    Some(found) => Decision::Commit(Change::new().step(key.clone(), found.was(), Becomes::Gone), ()),
                })
            })
            .await?;
        // Whoever redeems a code from now on finds that there is no consent.
        let mut alive = self.alive_sessions(subject);
        while let Some(page) = alive.next().await? {
            for session in page.into_iter().filter(|session| session.client_id == client_id) {
                self.logout_session(&session.sid).await?;
            }
        }
        tracing::info!(
            target: "resource_protector_issuer::tokens",
            event = "consent_withdrawn",
            client_id,
            "a user has withdrawn what a client was allowed"
        );
        Ok(())
    }

    /// The consent that tokens of this request rest on.
    pub(super) async fn consent_to(&self, request: &TokenRequest) -> Result<Found<Consent>, TokenError> {
        let key = Consent::key(request.sub(), &request.client_id)?;
        let found = self.0.ledger.find::<Consent>(key).await?;
        let now = Millis::floor(self.now().wall);
        let found = found.filter(|found| now < found.record.expires_at);
        found.ok_or_else(|| TokenError::invalid_grant("the user has withdrawn what the client was allowed"))
    }
}

/// The names of the resources that a consent is about: that of the issuer's own audience is empty, as no resource is.
fn asked_for(resources: &[String]) -> impl Iterator<Item = &str> {
    let own = resources.is_empty().then_some("");
    own.into_iter().chain(resources.iter().map(String::as_str))
}

impl Consent {
    /// As JSON, so that no two pairs make one name.
    pub(super) fn key(subject: &str, client_id: &str) -> Result<Key, TokenError> {
        let name = serde_json::to_string(&[subject, client_id]);
        let name = name.map_err(|_| StoreError::new("a subject cannot be written as JSON"))?;
        Ok(Key::of(Kind::Consent, &name))
    }
}
