//! A store for tests, in which two changes meet.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use tokio::sync::Barrier;

use super::{Change, Key, Listing, MemoryStore, Outcome, Row, Store, StoreError};

/// Rows in memory, of which two changes are made at the same time when that is asked for: each is decided before the other has
/// happened. Without that, two who are joined come one after the other, because nothing here waits.
#[derive(Clone)]
pub(crate) struct MeetingStore {
    rows: MemoryStore,
    expected: Arc<AtomicUsize>,
    meeting: Arc<Barrier>,
}

impl MeetingStore {
    pub(crate) fn new() -> Self {
        Self {
            rows: MemoryStore::new(),
            expected: Arc::default(),
            meeting: Arc::new(Barrier::new(2)),
        }
    }

    /// Neither of the next two changes happens before both have come.
    pub(crate) fn next_two_meet(&self) {
        self.expected.store(2, Ordering::SeqCst);
    }
}

impl Store for MeetingStore {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        Store::load(&self.rows, keys).await
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        let expected = self
            .expected
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if expected.is_ok() {
            self.meeting.wait().await;
        }
        Store::commit(&self.rows, change).await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        Store::list(&self.rows, listing).await
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        Store::delete_expired(&self.rows, now).await
    }
}
