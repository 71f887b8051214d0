//! Guards: what a route demands, judged between the protector and the handler.
//!
//! ```text
//! protector ── CurrentToken in the request ──▶ guard ── enough? ──▶ handler
//!     ◀── renders ── a guard it passes adds its own demands ◀── Rejection
//! ```

mod claim_value;
mod demands;
mod guard;
mod requirement;
mod shortfall;
mod written;

pub use claim_value::ClaimValue;
pub use guard::{
    RequireFuture, RequireLayer, RequireService, require, require_any_scope, require_by_path, require_scope,
    require_scopes, require_token,
};
pub use requirement::Requirement;

pub(crate) use demands::{Authentication, Demands};
pub(crate) use guard::add_demand;
pub(crate) use shortfall::Remedy;
