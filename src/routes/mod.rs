//! Routes in front of a service: which path demands what.
//!
//! ```text
//! request ── path.rs ──▶ decoded path ── table.rs ──▶ the longest route ──▶ its method? ──▶ public | protector
//!               └ 400                                                         └ 405
//! ```

mod future;
mod path;
mod service;
mod table;

use std::sync::Arc;

use tower_layer::Layer;

pub(crate) use self::table::{Access, Routes, Rule, Taken};
pub use self::{future::RoutesFuture, service::RoutesService};

/// The routes of a configuration, as a layer in front of a service. Made by
/// [`ProtectorConfig::routes`](crate::config::ProtectorConfig::routes).
///
/// It judges the path of a request first: 400 for one that somebody may read in another way, 405 for a method that its
/// route does not have. Then its route lets it in at once, or behind the protector. A layer inside must not change the
/// path; one outside may, and then the changed one is judged.
///
/// The service has to be [`Clone`], and its response body's data `Bytes`, as for
/// [`ResourceProtectorLayer`](crate::ResourceProtectorLayer). On an `axum::Router` it goes around the whole router:
/// `nest` strips prefixes from the path that layers inside see.
#[derive(Clone, Debug)]
pub struct RoutesLayer {
    routes: Arc<Routes>,
}

impl RoutesLayer {
    pub(crate) fn new(routes: Routes) -> Self {
        Self {
            routes: Arc::new(routes),
        }
    }
}

impl<S> Layer<S> for RoutesLayer {
    type Service = RoutesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RoutesService::new(inner, Arc::clone(&self.routes))
    }
}
