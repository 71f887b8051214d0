//! The token table: opaque access tokens in a store, for whoever validates them there.

use std::{fmt, sync::Arc, time::SystemTime};

use resource_protector::{Clock, OpaqueToken, Scopes, StoreError, StoredToken, SystemClock, TokenStore};
use serde_json::{Map, Value};

use super::{
    TokenError,
    holders::{ClientEpoch, Epochs, SubjectEpoch},
    ledger::{Decision, Ledger, Rows},
    records::{AccessToken, Found, Record as _, Session, was},
};
use crate::{
    store::{Change, Key, Kind, Store},
    time::Millis,
};

/// Opaque access tokens in a [`Store`], under their digests: for `StoreValidator`, and for an application that issues tokens
/// by itself.
///
/// It sees the tokens that a [`TokenIssuer`](super::TokenIssuer) has put into the same store, and that their sessions have
/// ended or their subjects were logged out.
///
/// ```
/// use resource_protector::{ResourceProtectorLayer, StoreValidator};
/// use resource_protector_issuer::{TokenTable, store::MemoryStore};
///
/// # fn main() -> Result<(), resource_protector::SetupError> {
/// let table = TokenTable::new(MemoryStore::new());
/// let protector = ResourceProtectorLayer::new(StoreValidator::new(table, "https://api.example.com")?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TokenTable {
    ledger: Ledger,
    clock: Arc<dyn Clock>,
}

impl TokenTable {
    /// The tokens in this store.
    pub fn new(store: impl Store) -> Self {
        Self {
            ledger: Ledger::new(Arc::new(store)),
            clock: Arc::new(SystemClock),
        }
    }

    /// Takes the time from another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenTable").finish_non_exhaustive()
    }
}

impl TokenStore for TokenTable {
    async fn find(&self, token: &OpaqueToken<'_>) -> Result<Option<StoredToken>, StoreError> {
        let Some(found) = self.ledger.find::<AccessToken>(key(token)).await? else {
            return Ok(None);
        };
        let is_alive = found.record.is_of_a_living_session(&self.ledger).await?;
        let mut stored = found.record.stored()?;
        if !is_alive && stored.revoked_at.is_none() {
            stored.revoked_at = Some(self.clock.now().wall);
        }
        Ok(Some(stored))
    }

    async fn insert(&self, token: &OpaqueToken<'_>, record: StoredToken) -> Result<(), StoreError> {
        let (key, ledger) = (&key(token), &self.ledger);
        let record = &AccessToken::read(record)?;
        let inserted = ledger.transact(|| async move {
            let before = ledger.find::<AccessToken>(key.clone()).await?;
            let after = AccessToken {
                epochs: record.rest(ledger).await?.holders()?.epochs(),
                ..record.clone()
            };
            let change = Change::new().step(key.clone(), was(before.as_ref()), after.put()?);
            Ok(Decision::Commit(change, ()))
        });
        inserted.await.map_err(stored)
    }

    async fn revoke(&self, token: &OpaqueToken<'_>) -> Result<(), StoreError> {
        let (key, ledger) = (&key(token), &self.ledger);
        let revoked = ledger.transact(|| async move {
            let Some(found) = ledger.find::<AccessToken>(key.clone()).await? else {
                return Ok(Decision::Answer(()));
            };
            if found.record.revoked_at.is_some() {
                return Ok(Decision::Answer(()));
            }
            let after = AccessToken {
                revoked_at: Some(Millis::floor(self.clock.now().wall)),
                ..found.record.clone()
            };
            Ok(Decision::Commit(
                Change::new().step(key.clone(), found.was(), after.put()?),
                (),
            ))
        });
        revoked.await.map_err(stored)
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        self.ledger.store().delete_expired(now).await
    }
}

fn key(token: &OpaqueToken<'_>) -> Key {
    Key::of(Kind::AccessToken, token.reveal())
}

fn stored(error: TokenError) -> StoreError {
    StoreError::new(error)
}

impl AccessToken {
    /// Whether what it rests on is still there: its session, if it was issued in one, and its subject and its client, if nothing
    /// of theirs was ended since.
    pub(super) async fn is_of_a_living_session(&self, ledger: &Ledger) -> Result<bool, StoreError> {
        let rows = self.rest(ledger).await?;
        if !rows.holders()?.have_ended_nothing_since(self.epochs) {
            return Ok(false);
        }
        Ok(match self.is_of_session {
            true => rows
                .read::<Session>()?
                .is_some_and(|session: Found<Session>| session.record.revoked_at.is_none()),
            false => true,
        })
    }

    /// What it rests on, as far as it names that.
    async fn rest(&self, ledger: &Ledger) -> Result<Rows, StoreError> {
        let keys = [
            self.sid.as_deref().filter(|_| self.is_of_session).map(Session::key),
            self.subject.as_deref().map(SubjectEpoch::key),
            self.client_id.as_deref().map(ClientEpoch::key),
        ];
        let keys: Vec<_> = keys.into_iter().flatten().collect();
        ledger.load(&keys).await
    }

    fn stored(&self) -> Result<StoredToken, StoreError> {
        let mut stored = StoredToken {
            subject: self.subject.clone(),
            client_id: self.client_id.clone(),
            scopes: Scopes::parse(&self.scope),
            audience: self.audience.clone(),
            issued_at: self.issued_at.map(Millis::time),
            expires_at: self.expires_at.map(Millis::time),
            revoked_at: self.revoked_at.map(Millis::time),
            ..StoredToken::default()
        };
        for (name, value) in &self.claims {
            stored.extra.set(name, value).map_err(StoreError::new)?;
        }
        Ok(stored)
    }

    fn read(stored: StoredToken) -> Result<Self, StoreError> {
        // It would become two.
        if stored.scopes.iter().any(|scope| scope.contains(' ')) {
            return Err(StoreError::new("a scope with a space in it cannot be kept"));
        }
        let unreadable = |_| StoreError::new("the further claims of the record cannot be read");
        let claims = serde_json::to_value(&stored.extra).map_err(unreadable)?;
        let claims: Map<String, Value> = serde_json::from_value(claims).map_err(unreadable)?;
        Ok(Self {
            subject: stored.subject,
            client_id: stored.client_id,
            scope: stored.scopes.to_string(),
            audience: stored.audience,
            issued_at: stored.issued_at.map(Millis::floor),
            expires_at: stored.expires_at.map(Millis::floor),
            revoked_at: stored.revoked_at.map(Millis::floor),
            sid: claims.get("sid").and_then(Value::as_str).map(str::to_owned),
            is_of_session: false,
            epochs: Epochs::default(),
            claims,
        })
    }
}
