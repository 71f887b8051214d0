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

/// The routes of a configuration, as a layer in front of a service.
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
