//! One call about a token, from the question to what is remembered of the answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Inner,
    remembered::{Epoch, Recalled},
    response::is_broken,
};
use crate::{
    clock::Moment,
    fetch::Outcome,
    rejection::{Rejection, RejectionKind},
    token::CurrentToken,
    upstream::{Call, Cause, Shed, watch},
    validate::TokenDigest,
};

/// What a call is about. It has nothing else of the request that is its cause.
pub(super) struct Question {
    pub(super) token: String,
    pub(super) digest: TokenDigest,
    pub(super) now: Moment,
    pub(super) epoch: Epoch,
    pub(super) cause: Cause,
    /// An answer that is remembered from before is too old.
    pub(super) since: Option<Instant>,
    /// The place among the calls under way, where it was taken beforehand.
    pub(super) place: Option<Call>,
}

impl Question {
    pub(super) fn with_place(mut self, place: Call) -> Self {
        self.place = Some(place);
        self
    }
}

/// What came of a call.
#[derive(Clone)]
pub(super) enum Answer {
    /// What the server says; that it cannot be understood, or refuses this service, is something, too.
    Said(Result<CurrentToken, Rejection>),
    /// Nothing: an old answer may stand in.
    Outage(Rejection),
}

impl Inner {
    /// Takes a place for a call that renews what is known.
    pub(super) fn may_renew(&self, now: Moment) -> Option<Call> {
        let may = self.upstream.may_refresh(now.monotonic);
        may.then(|| self.place(Cause::Refresh, now).ok()).flatten()
    }

    fn place(&self, cause: Cause, now: Moment) -> Result<Call, Shed> {
        // Longer than the longest call: discovery and the exchange, and both again where a secret was replaced.
        let patience = self.client.timeout * 6;
        self.upstream
            .call(self.client.place.name(), cause, now.monotonic, patience)
    }

    pub(super) async fn ask(self: Arc<Self>, mut question: Question) -> Answer {
        let (now, digest) = (question.now, question.digest);
        // A call about the same token may have ended between the look into memory and this one's start.
        match self.remembered.recall(&digest, now, question.since) {
            Recalled::Good(token, _) => return Answer::Said(Ok(token)),
            Recalled::Refused(refusal) => return Answer::Said(Err(refusal)),
            Recalled::Old(_) | Recalled::Nothing => {}
        }
        let answer = self.call(&mut question).await;
        if let Answer::Said(said) = &answer {
            self.tally.count(said, &self.client.place);
            if self.remembered.is_cut_off(said, question.epoch) {
                // The server may not have known it yet, when it was asked.
                return Answer::Outage(Rejection::unavailable(
                    "introspection: cut off while the call was under way",
                ));
            }
            self.remembered.remember(digest, said, now, question.epoch);
        }
        if question.cause == Cause::Refresh
            && let Answer::Outage(failure) | Answer::Said(Err(failure)) = &answer
        {
            watch::refresh_failed(self.client.place.name(), failure.detail());
        }
        answer
    }

    async fn call(&self, question: &mut Question) -> Answer {
        let (who, now) = (self.client.place.name(), question.now);
        let place = question
            .place
            .take()
            .map_or_else(|| self.place(question.cause, now), Ok);
        let call = match place {
            Ok(call) => call,
            Err(Shed::Full) => {
                return Answer::Outage(Rejection::unavailable("introspection: too many calls are under way"));
            }
            Err(Shed::Open(wait)) => return Answer::Outage(left_alone(wait)),
        };
        let began = tokio::time::Instant::now();
        let asked = self.client.ask(&question.token, now, &call).await;
        let (said, outcome, wish) = match asked {
            Ok(body) => {
                let said = self.rules.judge(&body, now);
                let outcome = match &said {
                    Err(refusal) if refusal.kind() == RejectionKind::Unavailable && is_broken(&body) => Outcome::Failed,
                    Err(refusal) if refusal.kind() == RejectionKind::Unavailable => Outcome::Nonsense,
                    _ => Outcome::Ok,
                };
                (said, Some(outcome), None)
            }
            Err(failure) => (Err(failure.rejection), failure.outcome, failure.wish),
        };
        let took = began.elapsed();
        if let Some(outcome) = outcome {
            call.end(who, outcome, now.later(took).monotonic, took, wish);
        }
        match said {
            // Without an outcome the server was not found, which says as little.
            Err(outage) if outage.kind() == RejectionKind::Unavailable && outcome.is_none_or(Outcome::is_outage) => {
                Answer::Outage(outage)
            }
            said => Answer::Said(said),
        }
    }
}

/// The server failed, and is not asked again before this time has passed.
pub(super) fn left_alone(wait: Duration) -> Rejection {
    let detail = "introspection: the authorization server failed just now, and is not asked for a while";
    Rejection::unavailable(detail).retry_after(wait)
}
