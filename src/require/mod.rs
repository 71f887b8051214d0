//! Guards: what a route demands, judged between the protector and the handler.
//!
//! ```text
//! protector ── CurrentToken in the request ──▶ guard ── enough? ──▶ handler
//!     ◀── renders ── a guard it passes adds its own demand ◀── Rejection
//! ```

mod guard;
mod requirement;
mod written;

pub use guard::{
    RequireFuture, RequireLayer, RequireService, require, require_any_scope, require_by_path, require_scope,
    require_scopes, require_token,
};
pub use requirement::Requirement;

pub(crate) use guard::add_demand;
