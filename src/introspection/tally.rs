//! Noticing that it is the asking that is wrong.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::{
    discovery::Place,
    rejection::{Reason, Rejection, RejectionKind},
    token::CurrentToken,
};

/// After how many answers, all of them inactive, something is probably set up wrongly.
const SUSPICIOUS: u32 = 10;

/// Whether the server has ever found a token active.
#[derive(Default)]
pub(super) struct Tally {
    any_active: AtomicBool,
    inactive: AtomicU32,
}

impl Tally {
    /// Several servers say `"active": false` of every token when it is the asking that is wrong.
    pub(super) fn count(&self, said: &Result<CurrentToken, Rejection>, place: &Place) {
        match said {
            Err(rejection) if rejection.reason() == Some(Reason::Inactive) => {
                let alone = !self.any_active.load(Ordering::Relaxed);
                if alone && self.inactive.fetch_add(1, Ordering::Relaxed) + 1 == SUSPICIOUS {
                    tracing::warn!(
                        target: "resource_protector::introspection",
                        asked = place.name(),
                        "every token so far was inactive, {SUSPICIOUS} of them: almost always a misconfiguration. Check \
                         this service's credentials, whether its client may introspect these tokens, and the host name \
                         under which it reaches the authorization server"
                    );
                }
            }
            Ok(_) => self.any_active.store(true, Ordering::Relaxed),
            // Active, but not for us.
            Err(rejection) if rejection.kind() == RejectionKind::InvalidToken => {
                self.any_active.store(true, Ordering::Relaxed);
            }
            Err(_) => {}
        }
    }
}
