//! Rows in the memory of this process.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{Becomes, Change, Key, Listing, Outcome, Row, Store, StoreError, Was, check_keys};

/// Rows in the memory of this process, gone when it ends. Clones share them. For tests, and for trying things out.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<Key, Row>>>);

impl MemoryStore {
    /// A store without rows.
    pub fn new() -> Self {
        Self::default()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Key, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        check_keys(keys)?;
        let rows = self.rows();
        Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        change.check()?;
        let mut rows = self.rows();
        let is_as_expected = |(key, was, _): (&Key, Was, &Becomes)| match (was, rows.get(key)) {
            (Was::Absent, row) => row.is_none(),
            (Was::At(version), row) => row.is_some_and(|row| row.version == version),
        };
        if !change.steps().all(is_as_expected) {
            return Ok(Outcome::Conflict);
        }
        for (key, _, becomes) in change.steps() {
            match becomes {
                Becomes::Same => {}
                Becomes::Put(row) => {
                    rows.insert(key.clone(), row.clone());
                }
                Becomes::Gone => {
                    rows.remove(key);
                }
            }
        }
        Ok(Outcome::Done)
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        let is_asked_for = |(key, row): &(&Key, &Row)| {
            key.kind == listing.kind
                && listing
                    .owner
                    .as_ref()
                    .is_none_or(|owner| row.owner.as_ref() == Some(owner))
                && listing.after.as_ref().is_none_or(|after| key.id > *after)
        };
        let rows = self.rows();
        let asked_for = rows.iter().filter(is_asked_for).take(listing.limit);
        Ok(asked_for.map(|(key, row)| (key.clone(), row.clone())).collect())
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        let mut rows = self.rows();
        let before = rows.len();
        rows.retain(|_, row| row.expires_at.is_none_or(|at| now < at));
        Ok(before - rows.len())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
