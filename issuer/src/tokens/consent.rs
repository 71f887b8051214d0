//! What users allowed clients, and how often they were logged out everywhere.

use std::time::Duration;

use super::{
    TokenError, TokenIssuer,
    ledger::Decision,
    records::{Consent, Record as _, Subject, was},
};
use crate::{
    store::{Change, Key, Kind},
    time::Millis,
};

/// How long a consent is remembered: a year.
const REMEMBERED: Duration = Duration::from_secs(366 * 24 * 3600);

impl TokenIssuer {
    /// How often a subject was logged out everywhere: who was logged in before is so no more.
    pub(crate) async fn logouts_of(&self, subject: &str) -> Result<u64, TokenError> {
        let found = self.0.ledger.find::<Subject>(Subject::key(subject)).await?;
        Ok(found.map_or(0, |found| found.record.logouts))
    }

    /// Whether a user has allowed a client all of this before.
    pub(crate) async fn has_consent(
        &self,
        subject: &str,
        client_id: &str,
        scopes: &[String],
        resources: &[String],
    ) -> Result<bool, TokenError> {
        let Some(found) = self.0.ledger.find::<Consent>(key(subject, client_id)?).await? else {
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
        let key = &key(subject, client_id)?;
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

/// The names of the resources that a consent is about: that of the issuer's own audience is empty, as no resource is.
fn asked_for(resources: &[String]) -> impl Iterator<Item = &str> {
    let own = resources.is_empty().then_some("");
    own.into_iter().chain(resources.iter().map(String::as_str))
}

/// As JSON, so that no two pairs make one name.
fn key(subject: &str, client_id: &str) -> Result<Key, TokenError> {
    let name = serde_json::to_string(&[subject, client_id]);
    let name = name.map_err(|_| resource_protector::StoreError::new("a subject cannot be written as JSON"))?;
    Ok(Key::of(Kind::Consent, &name))
}
