//! A token table in memory.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{OpaqueToken, StoreError, StoredToken, TokenStore};

/// A token table in the memory of one process: for tests, demonstrations and small services that may forget.
///
/// Clones share the table, so that the application inserts where the validator reads. It grows with what is inserted;
/// call [`delete_expired`](TokenStore::delete_expired) now and then.
///
/// ```
/// use resource_protector::{
///     MemoryTokenStore, OpaqueToken, ResourceProtectorLayer, Scopes, StoreValidator, StoredToken, TokenStore,
/// };
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let table = MemoryTokenStore::new();
/// let layer = ResourceProtectorLayer::new(StoreValidator::for_tokens_of_this_service_only(table.clone()));
///
/// # let token = "2YotnFZFEjr1zCsicMWpAA";
/// let record = StoredToken { subject: Some("alice".to_owned()), ..StoredToken::default() };
/// table.insert(&OpaqueToken::new(token), record).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryTokenStore(Arc<Mutex<Table>>);

type Table = HashMap<[u8; 32], StoredToken>;

impl MemoryTokenStore {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenStore for MemoryTokenStore {
    async fn find(&self, token: &OpaqueToken<'_>) -> Result<Option<StoredToken>, StoreError> {
        Ok(self.table().get(&token.sha256()).cloned())
    }

    async fn insert(&self, token: &OpaqueToken<'_>, record: StoredToken) -> Result<(), StoreError> {
        self.table().insert(token.sha256(), record);
        Ok(())
    }

    async fn revoke(&self, token: &OpaqueToken<'_>) -> Result<(), StoreError> {
        if let Some(record) = self.table().get_mut(&token.sha256()) {
            record.revoked_at.get_or_insert_with(SystemTime::now);
        }
        Ok(())
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        let mut table = self.table();
        let before = table.len();
        table.retain(|_, record| record.expires_at.is_none_or(|exp| now < exp));
        Ok(before - table.len())
    }
}

impl fmt::Debug for MemoryTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryTokenStore({} tokens)", self.table().len())
    }
}
