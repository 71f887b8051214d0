//! What users allowed clients.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use resource_protector::StoreError;

use super::{
    TokenError, TokenIssuer,
    error::Worst,
    ledger::Decision,
    login::LoginGround,
    records::{Consent, Record as _, Session, was},
    sessions::LONGEST_LIST,
};
use crate::{
    random,
    store::{Becomes, Change, Id, Key, Kind},
    time::Millis,
};

/// How long a consent is remembered: a year.
const REMEMBERED: Duration = Duration::from_secs(366 * 24 * 3600);

impl TokenIssuer {
    /// The consent by which a user has allowed a client all of this before, if there is one.
    pub(crate) async fn consent_to(
        &self,
        subject: &str,
        client_id: &str,
        scopes: &[String],
        resources: &[String],
    ) -> Result<Option<String>, TokenError> {
        let Some(found) = self.0.ledger.find::<Consent>(Consent::key(subject, client_id)?).await? else {
            return Ok(None);
        };
        let consent = found.record;
        let is_over = consent.expires_at <= Millis::floor(self.now().wall);
        let covers = |resource: &str| {
            let allowed = consent.allowed.get(resource);
            allowed.is_some_and(|allowed| scopes.iter().all(|scope| allowed.contains(scope)))
        };
        let is_enough = !is_over && asked_for(resources).all(covers);
        Ok(is_enough.then_some(consent.id))
    }

    /// Remembers what a user who is logged in has allowed a client, beside what was allowed before, and says by which consent.
    pub(crate) async fn remember_consent(
        &self,
        (subject, login): (&str, &LoginGround),
        client_id: &str,
        scopes: &[String],
        resources: &[String],
    ) -> Result<String, TokenError> {
        let (key, id) = (&Consent::key(subject, client_id)?, &random::text::<16>()?);
        let (ledger, was_written) = (&self.0.ledger, &AtomicBool::new(false));
        ledger
            .transact(|| async move {
                let holders = ledger.holders(subject, client_id).await?;
                let grounds = self.ground_of_login(login, holders).await?;
                let found = ledger.find::<Consent>(key.clone()).await?;
                match &found {
                    Some(found) if found.record.id == *id => return Ok(Decision::Happened),
                    // It may have been written, and withdrawn since: then it is not to come back.
                    None if was_written.load(Ordering::Relaxed) => return Err(withdrawn()),
                    _ => was_written.store(true, Ordering::Relaxed),
                }
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
                    id: before.map_or(id, |before| &before.id).clone(),
                    subject: subject.to_owned(),
                    client_id: client_id.to_owned(),
                    allowed,
                    expires_at: now.after(REMEMBERED),
                };
                let id = after.id.clone();
                let change = Change::new().step(key.clone(), was(found.as_ref()), after.put()?);
                Ok(Decision::Commit(grounds.unchanged(change, subject, client_id)?, id))
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
            let page = page.into_iter().collect::<Result<Vec<_>, _>>()?;
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
    /// The codes are those of an [`AuthorizationServer`](crate::server::AuthorizationServer). One that an application has issued by
    /// [`issue_code`](Self::issue_code) rests on no consent that is remembered here: **it stays good until it is redeemed or over**,
    /// and begins a session.
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
        self.end_sessions_of(subject, client_id).await?;
        tracing::info!(
            target: "resource_protector_issuer::tokens",
            event = "consent_withdrawn",
            client_id,
            "a user has withdrawn what a client was allowed"
        );
        Ok(())
    }

    /// Ends the sessions of a user that a client has begun. One that cannot be ended keeps no other from it.
    async fn end_sessions_of(&self, subject: &str, client_id: &str) -> Result<(), TokenError> {
        let now = Some(Millis::floor(self.now().wall));
        let holders = self.0.ledger.holders(subject, client_id).await?;
        let mut worst = Worst::default();
        let mut pages = self.0.ledger.pages::<Session>(Some(Id::of(subject)));
        while let Some(page) = pages.next().await? {
            for session in page {
                let session = worst.note(session);
                let theirs = session.filter(|session| session.client_id == client_id && session.over_at() > now);
                let Some(session) = theirs else { continue };
                worst.note(match session.is_alive(&holders) {
                    true => self.logout_session(&session.sid).await,
                    // Whoever ended it may have been cut short.
                    false => self.tell_if_untold(&session.cut_offs()).await,
                });
            }
        }
        worst.into_result()
    }
}

pub(super) fn withdrawn() -> TokenError {
    TokenError::invalid_grant("the user has withdrawn what the client was allowed")
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
