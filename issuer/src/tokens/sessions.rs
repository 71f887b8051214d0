//! The sessions of a subject, for its own eyes.

use std::{cmp::Reverse, collections::BTreeMap, fmt, time::SystemTime};

use resource_protector::StoreError;

use super::{
    TokenError, TokenIssuer,
    holders::Holders,
    ledger::{Ledger, Pages},
    records::Session,
};
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
        let mut youngest = Vec::new();
        let mut alive = self.alive_sessions(subject);
        while let Some(page) = alive.next().await? {
            youngest.extend(page.into_iter().map(ActiveSession));
            youngest.sort_by_key(|ActiveSession(session)| Reverse(session.started_at));
            youngest.truncate(LONGEST_LIST);
        }
        Ok(youngest)
    }

    /// The sessions of a subject that have not ended, some at a time.
    pub(super) fn alive_sessions(&self, subject: &str) -> AliveSessions<'_> {
        AliveSessions {
            ledger: &self.0.ledger,
            pages: self.0.ledger.pages(Some(Id::of(subject))),
            holders: BTreeMap::new(),
            now: Millis::floor(self.now().wall),
        }
    }
}

/// Sessions of one subject that have not ended, some at a time.
pub(super) struct AliveSessions<'a> {
    ledger: &'a Ledger,
    pages: Pages<'a, Session>,
    /// By the client, which many sessions have in common.
    holders: BTreeMap<String, Holders>,
    now: Millis,
}

impl AliveSessions<'_> {
    /// The next of them; `None` when there are no more.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Session>>, StoreError> {
        let Some(page) = self.pages.next().await? else {
            return Ok(None);
        };
        let mut page = page.into_iter().collect::<Result<Vec<_>, _>>()?;
        for session in &page {
            if !self.holders.contains_key(&session.client_id) {
                let holders = self.ledger.holders(session.sub(), &session.client_id).await?;
                self.holders.insert(session.client_id.clone(), holders);
            }
        }
        page.retain(|session| {
            let holders = self.holders.get(&session.client_id);
            session.good_until() > self.now && holders.is_some_and(|holders| session.is_alive(holders))
        });
        Ok(Some(page))
    }
}
