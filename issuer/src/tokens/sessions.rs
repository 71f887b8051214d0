//! The sessions of a subject, for its own eyes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    time::SystemTime,
};

use super::{TokenError, TokenIssuer, records::Session};
use crate::{store::Id, time::Millis};

/// How many entries a list for people has.
pub(super) const LONGEST_LIST: usize = 1_000;

/// A session that has not ended, as its user may see it.
#[derive(Clone)]
pub struct ActiveSession(Session);

impl ActiveSession {
    /// Its `sid`, by which [`logout_session`](TokenIssuer::logout_session) ends it.
    pub fn session_id(&self) -> &str {
        &self.0.sid
    }

    /// The client that it was begun with.
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// What was granted, separated by spaces.
    pub fn scope(&self) -> &str {
        &self.0.scope
    }

    /// When it began.
    pub fn started_at(&self) -> SystemTime {
        self.0.started_at.time()
    }

    /// When its refresh token was exchanged for the last time, if it was.
    pub fn refreshed_at(&self) -> Option<SystemTime> {
        let exchanged = self.0.refresh.as_ref()?.exchanged.as_ref()?;
        Some(exchanged.at.time())
    }

    /// Until when something of it is good, unless it is refreshed.
    pub fn expires_at(&self) -> SystemTime {
        self.0.good_until().time()
    }
}

impl fmt::Debug for ActiveSession {
    /// Without the subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveSession")
            .field("session_id", &self.session_id())
            .field("client_id", &self.client_id())
            .finish_non_exhaustive()
    }
}

impl TokenIssuer {
    /// The sessions of a subject that have not ended, the youngest first, up to 1,000 of them: for a page on which users see where
    /// they are logged in. Which browser or device it is, an application has to remember by the `sid`.
    ///
    /// It costs one look through all sessions of the subject.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn sessions(&self, subject: &str) -> Result<Vec<ActiveSession>, TokenError> {
        let now = Millis::floor(self.now().wall);
        let ledger = &self.0.ledger;
        // By the client, which many sessions have in common.
        let mut holders = BTreeMap::new();
        let mut youngest = Vec::new();
        let mut pages = ledger.pages::<Session>(Some(Id::of(subject)));
        while let Some(page) = pages.next().await? {
            for session in page {
                let session = session?;
                let holders = match holders.entry(session.client_id.clone()) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => place.insert(ledger.holders(session.sub(), &session.client_id).await?),
                };
                if session.good_until() > now && session.is_alive(holders) {
                    youngest.push(ActiveSession(session));
                }
            }
            youngest.sort_by_key(|ActiveSession(session)| Reverse(session.started_at));
            youngest.truncate(LONGEST_LIST);
        }
        Ok(youngest)
    }
}
