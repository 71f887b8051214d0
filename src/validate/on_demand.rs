//! Validators of issuers that are known when their first token comes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::AnyValidator;

/// Validators that are made when their issuer is first seen.
pub(super) struct OnDemand {
    make: Box<MakeValidator>,
    capacity: usize,
    made: Mutex<Made>,
}

type MakeValidator = dyn Fn(&str) -> Option<Arc<dyn AnyValidator>> + Send + Sync;

#[derive(Default)]
struct Made {
    tenants: HashMap<String, Tenant>,
    /// Counts uses, to tell who was used last.
    uses: u64,
}

struct Tenant {
    validator: Arc<dyn AnyValidator>,
    /// Whether any token of it was ever good. A made-up name can make a tenant, but not a good token.
    proven: bool,
    last_use: u64,
}

impl OnDemand {
    /// At most this many at a time, made by this function.
    pub(super) fn new(
        capacity: usize,
        make: impl Fn(&str) -> Option<Arc<dyn AnyValidator>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Box::new(make),
            capacity: capacity.max(1),
            made: Mutex::default(),
        }
    }

    /// The validator of this issuer, which may be made now.
    pub(super) fn validator(&self, issuer: &str) -> Option<Arc<dyn AnyValidator>> {
        if let Some(tenant) = self.lock().used(issuer) {
            return Some(Arc::clone(&tenant.validator));
        }
        let validator = (self.make)(issuer)?;
        let mut made = self.lock();
        if let Some(tenant) = made.used(issuer) {
            // Somebody else was faster.
            return Some(Arc::clone(&tenant.validator));
        }
        if made.tenants.len() >= self.capacity {
            made.make_room();
        }
        let tenant = Tenant {
            validator: Arc::clone(&validator),
            proven: false,
            last_use: made.uses,
        };
        made.tenants.insert(issuer.to_owned(), tenant);
        Some(validator)
    }

    /// A token of this issuer was found good.
    pub(super) fn prove(&self, issuer: &str) {
        if let Some(tenant) = self.lock().tenants.get_mut(issuer) {
            tenant.proven = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    fn used(&mut self, issuer: &str) -> Option<&Tenant> {
        self.uses += 1;
        let tenant = self.tenants.get_mut(issuer)?;
        tenant.last_use = self.uses;
        Some(tenant)
    }

    /// Gives up the tenant that has no good token to show for itself, and of those the one that was not used for longest.
    fn make_room(&mut self) {
        let first_to_go = self
            .tenants
            .iter()
            .min_by_key(|(_, tenant)| (tenant.proven, tenant.last_use));
        if let Some(issuer) = first_to_go.map(|(issuer, _)| issuer.clone()) {
            self.tenants.remove(&issuer);
        }
    }
}
