//! The clients of the authorization server: who they are, what they may do, and how they prove it.

mod assertion;
mod auth_method;
mod authentication;
mod checks;
mod client;
mod credentials;
mod memory;
mod redirect_uri;
mod secret;
mod stored;
#[cfg(test)]
mod tests;
mod written;

use std::{future::Future, pin::Pin, sync::Arc};

use resource_protector::StoreError;

pub(crate) use self::assertion::ASSERTION_ALGORITHMS;
pub use self::{
    auth_method::ClientAuthMethod, authentication::ClientAuthentication, client::Client, memory::MemoryClients,
    secret::ClientSecret, stored::StoredClients,
};

/// Knows the clients. Implement it for a table of your own.
///
/// It gives up after a time of its own choosing: a request waits for it.
pub trait ClientRegistry: Send + Sync + 'static {
    /// The client with exactly this identifier, compared byte for byte; `None` when there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be found out. `None` instead would make clients think that they were deleted.
    fn find(&self, client_id: &str) -> impl Future<Output = Result<Option<Client>, StoreError>> + Send;
}

impl<R: ClientRegistry> ClientRegistry for Arc<R> {
    fn find(&self, client_id: &str) -> impl Future<Output = Result<Option<Client>, StoreError>> + Send {
        R::find(self, client_id)
    }
}

/// A registry of any type. Nothing outside this crate sees it, so that implementors write a plain `async fn`.
pub(crate) trait AnyClients: Send + Sync {
    fn look_up<'a>(
        &'a self,
        client_id: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Client>, StoreError>> + Send + 'a>>;
}

impl<R: ClientRegistry> AnyClients for R {
    fn look_up<'a>(
        &'a self,
        client_id: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Client>, StoreError>> + Send + 'a>> {
        Box::pin(ClientRegistry::find(self, client_id))
    }
}
