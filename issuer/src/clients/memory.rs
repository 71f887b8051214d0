//! Clients in the memory of this process.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use resource_protector::StoreError;

use super::{Client, ClientRegistry};

/// Clients in the memory of this process: for those that stand in the program or its configuration. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryClients(Arc<RwLock<HashMap<String, Client>>>);

impl MemoryClients {
    /// These clients. Of two with the same identifier the later one counts.
    pub fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        let clients = clients.into_iter().map(|client| (client.id().to_owned(), client));
        Self(Arc::new(RwLock::new(clients.collect())))
    }

    /// Adds a client, in the place of the one with the same identifier.
    pub fn insert(&self, client: Client) {
        let mut clients = self.0.write().unwrap_or_else(PoisonError::into_inner);
        clients.insert(client.id().to_owned(), client);
    }

    /// Removes a client, and says whether there was one. It gets no further ones. Access tokens that it has live on until they are
    /// over, or until a list that goes by `client_id` is told of a [cut-off](resource_protector::CutOff::client).
    pub fn remove(&self, client_id: &str) -> bool {
        let mut clients = self.0.write().unwrap_or_else(PoisonError::into_inner);
        clients.remove(client_id).is_some()
    }
}

impl ClientRegistry for MemoryClients {
    async fn find(&self, client_id: &str) -> Result<Option<Client>, StoreError> {
        let clients = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(clients.get(client_id).cloned())
    }
}

impl fmt::Debug for MemoryClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryClients").finish_non_exhaustive()
    }
}
