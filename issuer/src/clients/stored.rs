//! Clients in a store.

use std::{fmt, sync::Arc};

use resource_protector::StoreError;

use super::{Client, ClientRegistry};
use crate::store::{AnyStore, Becomes, Change, Id, Key, Kind, Listing, Outcome, Row, Store, Version, Was};

/// How often a change is tried while others change the same client.
const TRIES: usize = 8;

/// Clients in a [`Store`]: what an administrator registers, changes and deletes while the server runs. Clones share
/// them.
#[derive(Clone)]
pub struct StoredClients(Arc<dyn AnyStore>);

impl StoredClients {
    /// The clients in this store.
    pub fn new(store: impl Store) -> Self {
        Self(Arc::new(store))
    }

    /// Registers a client, and says whether it did: not if there is one with the same identifier.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn insert(&self, client: &Client) -> Result<bool, StoreError> {
        let change = Change::new().step(key(client.id()), Was::Absent, put(client)?);
        Ok(self.0.commit(&change).await? == Outcome::Done)
    }

    /// Puts a client in the place of the one with the same identifier, and says whether it did: not if there is none.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or others change the client again and again.
    pub async fn update(&self, client: &Client) -> Result<bool, StoreError> {
        self.change(client.id(), || put(client)).await
    }

    /// Deletes a client, and says whether there was one. It gets no further tokens. Access tokens that it has live on until they are
    /// over, unless they are [revoked](crate::TokenIssuer::revoke_client) afterwards.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or others change the client again and again.
    pub async fn delete(&self, client_id: &str) -> Result<bool, StoreError> {
        self.change(client_id, || Ok(Becomes::Gone)).await
    }

    /// Up to this many clients, in an order that is always the same: those after this one, if one is named.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or has a client that cannot be read.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<Client>, StoreError> {
        let listing = Listing {
            kind: Kind::Client,
            owner: None,
            after: after.map(Id::of),
            limit,
        };
        let rows = self.0.list(&listing).await?;
        rows.iter().map(|(_, row)| read(row)).collect()
    }

    async fn change(
        &self,
        client_id: &str,
        becomes: impl Fn() -> Result<Becomes, StoreError>,
    ) -> Result<bool, StoreError> {
        let key = key(client_id);
        for _ in 0..TRIES {
            let rows = self.0.load(std::slice::from_ref(&key)).await?;
            let Some(row) = rows.into_iter().next().flatten() else {
                return Ok(false);
            };
            let change = Change::new().step(key.clone(), Was::At(row.version), becomes()?);
            if self.0.commit(&change).await? == Outcome::Done {
                return Ok(true);
            }
        }
        Err(StoreError::new("others change the client again and again"))
    }
}

impl ClientRegistry for StoredClients {
    async fn find(&self, client_id: &str) -> Result<Option<Client>, StoreError> {
        let rows = self.0.load(&[key(client_id)]).await?;
        let row = rows.into_iter().next().flatten();
        row.as_ref().map(read).transpose()
    }
}

impl fmt::Debug for StoredClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredClients").finish_non_exhaustive()
    }
}

fn key(client_id: &str) -> Key {
    Key::of(Kind::Client, client_id)
}

fn put(client: &Client) -> Result<Becomes, StoreError> {
    Ok(Becomes::Put(Row {
        version: Version::draw()?,
        owner: None,
        expires_at: None,
        body: serde_json::to_string(client).map_err(|_| StoreError::new("the client cannot be written as JSON"))?,
    }))
}

/// What the parser says quotes the row.
fn read(row: &Row) -> Result<Client, StoreError> {
    serde_json::from_str(&row.body).map_err(|_| {
        StoreError::new(
            "the row of a client cannot be read: it is damaged, or a newer version of this library has written it",
        )
    })
}
