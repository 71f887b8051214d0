//! One `tracing` event for every decision: the audit trail.
//!
//! The target and the field names are stable and listed in the [crate's documentation](crate#seeing-what-happens).

use http::{Method, Uri};

use crate::{
    meter::{self, Decision},
    rejection::{Rejection, RejectionKind},
    token::CurrentToken,
};

/// The target of all decisions.
const DECISION: &str = "resource_protector::decision";

/// What was asked for: the query is left out, as it may hold secrets.
type Asked<'a> = (&'a Method, &'a Uri);

pub(crate) fn admitted(asked: Asked<'_>, token: &CurrentToken, place: &'static str) {
    meter::decided(Decision::Admitted);
    tracing::debug!(
        target: DECISION,
        decision = "admitted",
        method = %asked.0,
        path = asked.1.path(),
        issuer = token.issuer(),
        client_id = token.client_id(),
        token_id = token.jwt_id(),
        place,
        age_seconds = token.age().as_secs(),
    );
}

/// Reports a request that was let in without a token.
pub(crate) fn anonymous(asked: Asked<'_>, decision: Decision) {
    meter::decided(decision);
    let decision = match decision {
        Decision::Preflight => "preflight",
        Decision::Public => "public",
        _ => "anonymous",
    };
    tracing::debug!(target: DECISION, decision, method = %asked.0, path = asked.1.path());
}

/// Reports a request for which there is no route, whoever sent it.
pub(crate) fn no_route(asked: Asked<'_>, status: u16, detail: &'static str) {
    meter::decided(match status {
        405 => Decision::NotAllowed,
        _ => Decision::BadPath,
    });
    tracing::info!(
        target: DECISION,
        decision = "refused",
        status,
        detail,
        method = %asked.0,
        path = asked.1.path(),
    );
}

/// Reports a refusal, once, wherever it is met first.
pub(crate) fn refused(rejection: &mut Rejection, asked: Option<Asked<'_>>, token: Option<&CurrentToken>) {
    if !rejection.tell_once() {
        return;
    }
    meter::decided(Decision::Refused(rejection.kind()));
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                target: DECISION,
                decision = "refused",
                status = rejection.status().as_u16(),
                kind = ?rejection.kind(),
                reason = rejection.reason().map(tracing::field::debug),
                detail = rejection.detail(),
                method = asked.map(|(method, _)| tracing::field::display(method)),
                path = asked.map(|(_, uri)| uri.path()),
                issuer = token.and_then(CurrentToken::issuer),
                client_id = token.and_then(CurrentToken::client_id),
                token_id = token.and_then(CurrentToken::jwt_id),
            )
        };
    }
    match rejection.kind() {
        RejectionKind::Misconfigured => event!(error),
        RejectionKind::Unavailable => event!(warn),
        _ => event!(info),
    }
}
