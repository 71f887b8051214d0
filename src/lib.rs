//! wip

mod audience;
mod audit;
#[cfg(feature = "axum")]
mod axum;
mod challenge;
mod claims;
mod clock;
mod credentials;
#[cfg(any(feature = "jwt", feature = "introspection"))]
mod discovery;
mod endpoint;
mod error;
#[cfg(any(feature = "jwt", feature = "introspection"))]
mod fetch;
#[cfg(feature = "introspection")]
mod introspection;
mod json;
#[cfg(feature = "jwt")]
mod jwt;
mod peek;
mod protector;
mod rejection;
mod require;
mod scope;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod validate;

/// The futures of this crate's services.
pub mod future {
    pub use crate::{protector::ResponseFuture, require::RequireFuture};
}

#[cfg(feature = "reqwest")]
pub use crate::fetch::ReqwestFetch;
#[cfg(any(feature = "jwt", feature = "introspection"))]
pub use crate::fetch::{Fetch, FetchError};
#[cfg(feature = "introspection")]
pub use crate::introspection::{ClientAuth, IntrospectionValidator};
pub use crate::{
    audience::Audience,
    claims::Confirmation,
    clock::{Clock, Moment, SystemClock},
    error::SetupError,
    protector::{Anonymous, RefusalBody, ResourceProtector, ResourceProtectorLayer},
    rejection::{Reason, Rejection, RejectionKind},
    require::{
        RequireLayer, RequireService, Requirement, require, require_any_scope, require_by_path, require_scope,
        require_scopes, require_token,
    },
    scope::{Scope, Scopes},
    store::{ExtraClaims, MemoryTokenStore, OpaqueToken, StoreError, StoreValidator, StoredToken, TokenStore},
    token::{ClaimsError, CurrentToken, StandsFor},
    validate::{ByIssuer, Presented, TokenValidator},
};
