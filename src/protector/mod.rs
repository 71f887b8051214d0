//! The story of a request.
//!
//! ```text
//! ResourceProtector<S>::call                                          service.rs
//!  └ Policy::admit(parts)          the crate's security argument       admit.rs
//!     1 read       Authorization, and other enabled places → absent |
//!                  other | malformed | too long | cross-site | token  credentials/
//!     2 validate   a TokenValidator → CurrentToken                     validate/ jwt/ introspection/ store/
//!     3 time       expiry, not before, issued at
//!     4 bound?     a token bound to its sender needs its proof
//!     5 enough?    the protector's own Requirement, if it has one      require/
//!     6 inject     CurrentToken or Anonymous → request extensions → inner service
//!  refused at any step → one Rejection → rendered in one place         rejection/ → challenge.rs
//! ```

mod admit;
mod body;
mod cache_control;
mod doctor;
mod fresh;
mod future;
mod layer;
mod ready;
mod respond;
mod service;

pub use self::{
    admit::Anonymous,
    body::RefusalBody,
    doctor::{Diagnosis, Finding},
    fresh::RequireFreshLayer,
    future::ResponseFuture,
    layer::ResourceProtectorLayer,
    ready::NotReady,
    service::ResourceProtector,
};
