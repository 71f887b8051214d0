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
        let covers = |given: &[String], asked: &[String]| asked.iter().all(|one| given.contains(one));
        Ok(!is_over && covers(&consent.scopes, scopes) && covers(&consent.resources, resources))
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
                let both = |before: Option<&Vec<String>>, more: &[String]| {
                    let mut all: Vec<_> = before.into_iter().flatten().chain(more).cloned().collect();
                    all.sort();
                    all.dedup();
                    all
                };
                let after = Consent {
                    subject: subject.to_owned(),
                    client_id: client_id.to_owned(),
                    scopes: both(before.map(|consent| &consent.scopes), scopes),
                    resources: both(before.map(|consent| &consent.resources), resources),
                    expires_at: now.after(REMEMBERED),
                };
                let change = Change::new().step(key.clone(), was(found.as_ref()), after.put()?);
                Ok(Decision::Commit(change, ()))
            })
            .await
    }
}

/// As JSON, so that no two pairs make one name.
fn key(subject: &str, client_id: &str) -> Result<Key, TokenError> {
    let name = serde_json::to_string(&[subject, client_id]);
    let name = name.map_err(|_| resource_protector::StoreError::new("a subject cannot be written as JSON"))?;
    Ok(Key::of(Kind::Consent, &name))
}
