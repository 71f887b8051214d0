//! The store, as records.

use std::{future::Future, marker::PhantomData, sync::Arc};

use resource_protector::StoreError;

use super::{
    TokenError,
    holders::{ClientEpoch, Holders, SubjectEpoch},
    records::{Found, Record},
};
use crate::store::{AnyStore, Change, Id, Key, Kind, Listing, Outcome, Row};

/// How often a change is tried that others get in the way of. Each time, one of them has succeeded. It is more than may change a
/// session by one refresh token within the window of grace.
const TRIES: usize = 40;

/// How many rows are looked at together.
const PAGE: usize = 500;

#[derive(Clone)]
pub(crate) struct Ledger(Arc<dyn AnyStore>);

/// What a look at the records has come to.
pub(crate) enum Decision<T> {
    /// This change is to happen, and then that is the result.
    Commit(Change, T),
    /// Nothing has to change.
    Answer(T),
    /// The change of which nobody knew has happened. Its result is the one that was drawn up with it, and not one that is
    /// drawn up later: what was not part of a change may have been overtaken by another.
    Happened,
}

impl Ledger {
    pub(crate) fn new(store: Arc<dyn AnyStore>) -> Self {
        Self(store)
    }

    pub(crate) fn shared(&self) -> Arc<dyn AnyStore> {
        Arc::clone(&self.0)
    }

    pub(crate) fn store(&self) -> &dyn AnyStore {
        &*self.0
    }

    /// The record under a key of its kind.
    pub(crate) async fn find<R: Record>(&self, key: Key) -> Result<Option<Found<R>>, StoreError> {
        debug_assert_eq!(key.kind, R::KIND);
        let rows = self.0.load(std::slice::from_ref(&key)).await?;
        rows.into_iter().next().flatten().as_ref().map(Found::read).transpose()
    }

    /// What is known of the subject and the client that tokens are of.
    pub(crate) async fn holders(&self, subject: &str, client: &str) -> Result<Holders, StoreError> {
        let rows = self
            .load(&[SubjectEpoch::key(subject), ClientEpoch::key(client)])
            .await?;
        rows.holders()
    }

    /// The rows under several keys, each of a kind of its own.
    pub(crate) async fn load(&self, keys: &[Key]) -> Result<Rows, StoreError> {
        let rows = self.0.load(keys).await?;
        let rows = keys.iter().map(|key| key.kind).zip(rows).collect();
        Ok(Rows(rows))
    }

    /// All rows of a kind, of this owner if there is one, some at a time.
    pub(crate) fn pages<R: Record>(&self, owner: Option<Id>) -> Pages<'_, R> {
        let listing = Listing {
            kind: R::KIND,
            owner,
            after: None,
            limit: PAGE,
        };
        Pages {
            ledger: self,
            listing: Some(listing),
            of: PhantomData,
        }
    }

    /// Looks, decides and changes, until nobody changes what was looked at meanwhile.
    ///
    /// When a change fails, it may have happened all the same. So `look` is asked once more, and recognizes its own change
    /// by what it draws before it looks for the first time.
    pub(crate) async fn transact<T, F>(&self, mut look: impl FnMut() -> F) -> Result<T, TokenError>
    where
        F: Future<Output = Result<Decision<T>, TokenError>>,
    {
        let mut failed: Option<(TokenError, T)> = None;
        for _ in 0..TRIES {
            let (change, answer) = match look().await {
                Ok(Decision::Answer(answer)) => return Ok(answer),
                Ok(Decision::Happened) => {
                    let drawn_twice = || StoreError::new("the same random numbers were drawn twice").into();
                    return failed.map(|(_, answer)| answer).ok_or_else(drawn_twice);
                }
                Ok(Decision::Commit(change, answer)) => (change, answer),
                // The first failure is the one to be told.
                Err(error) => return Err(failed.map_or(error, |(first, _)| first)),
            };
            match self.0.commit(&change).await {
                Ok(Outcome::Done) => return Ok(answer),
                Ok(Outcome::Conflict) => {}
                Err(error) if failed.is_none() => failed = Some((error.into(), answer)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::new("too many change the same rows at the same time").into())
    }
}

/// Rows of one kind, some at a time.
pub(crate) struct Pages<'a, R> {
    ledger: &'a Ledger,
    /// What comes next; `None` after the last page.
    listing: Option<Listing>,
    of: PhantomData<fn() -> R>,
}

impl<R: Record> Pages<'_, R> {
    /// The next records, each of which can be read or not; `None` when there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Result<R, StoreError>>>, StoreError> {
        let Some(mut listing) = self.listing.take() else {
            return Ok(None);
        };
        let rows = self.ledger.0.list(&listing).await?;
        if let Some((last, _)) = rows.last().filter(|_| rows.len() == listing.limit) {
            listing.after = Some(last.id.clone());
            self.listing = Some(listing);
        }
        let records = rows.iter().map(|(_, row)| Found::read(row).map(|found| found.record));
        Ok(Some(records.collect()))
    }
}

/// Rows of different kinds that were read together.
pub(crate) struct Rows(Vec<(Kind, Option<Row>)>);

impl Rows {
    /// The one of this kind.
    pub(crate) fn read<R: Record>(&self) -> Result<Option<Found<R>>, StoreError> {
        let row = self.0.iter().find(|(kind, _)| *kind == R::KIND);
        row.and_then(|(_, row)| row.as_ref()).map(Found::read).transpose()
    }

    /// What they say of the subject and the client.
    pub(crate) fn holders(&self) -> Result<Holders, StoreError> {
        Ok(Holders {
            subject: self.read()?,
            client: self.read()?,
        })
    }
}
