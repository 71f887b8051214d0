//! Asking the authorization server what a token is worth (RFC 7662).
//!
//! One request: what is remembered about the token answers at once ([`remembered`]); it may start a call that renews
//! the answer, and waits for none. Otherwise one call goes out, however many requests wait for the same token, if the
//! endpoint can bear it ([`Upstream`]): it finds the endpoint ([`Place`](crate::discovery::Place)), asks there
//! ([`client`]) as this service ([`client_auth`], [`assertion`]), and what comes back is judged ([`response`]) and
//! remembered ([`asking`]). Where there is no answer, an old one may stand in.

mod asking;
mod assertion;
mod client;
mod client_auth;
mod cut_offs;
mod options;
mod remembered;
mod response;
mod sources;
mod tally;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::client_auth::ClientAuth;
use self::{
    asking::{Answer, Question},
    client::Client,
    cut_offs::Whom,
    remembered::{Recalled, Remembered, Renewal},
    response::Rules,
    tally::Tally,
};
use crate::{
    clock::Moment,
    discovery::Place,
    meter::{self, How},
    rejection::Rejection,
    token::CurrentToken,
    upstream::{Cause, Outlook, Upstream, watch},
    validate::{About, Flights, Landed, Presented, TokenDigest, TokenValidator},
};

/// How many calls a request waits for at the most: one that was begun too early for what it demands, one that failed because
/// its time was nearly up, and one of its own.
const CALLS: usize = 3;

/// Asks the authorization server about each token (RFC 7662), and remembers its answers for a short time.
///
/// For opaque tokens, and for JWTs whose revocation must be noticed soon. Use it behind
/// [`ByIssuer`](crate::ByIssuer) where there are several kinds of tokens. To [`invalidate`](Self::invalidate) tokens,
/// share it in an [`Arc`]: `ResourceProtectorLayer::new(Arc::clone(&tokens))`.
///
/// ```
/// use resource_protector::{ClientAuth, IntrospectionValidator, ResourceProtectorLayer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = "from your secret store";
/// let tokens = IntrospectionValidator::new(
///     "https://auth.example.com/introspect",
///     ClientAuth::basic("my-api", secret),
///     "https://api.example.com",
/// )?;
/// let layer = ResourceProtectorLayer::new(tokens);
/// # Ok(())
/// # }
/// ```
///
/// # What is let in
///
/// 1. The answer says `"active": true`, and more than that; `token_type`, `token_use` and `typ`, if present, name an
///    access token; nothing in it is a sign of an ID token.
/// 2. Its `aud` has one of the expected values. An answer without `aud` is refused.
/// 3. Its `iss`, if present, is the expected one.
/// 4. The protector's own checks pass: time, binding, requirement.
///
/// Everything else that the server says about the token is a 401. That the server cannot be reached, is slow or busy,
/// or answers with what is not an introspection answer, is a 503; that it refuses *our* request (400, 401, 403) is our
/// fault and a 500.
///
/// # What is remembered
///
/// Good answers for 60 seconds and never beyond `exp`; refusals for 5 seconds; outages not at all. So a token that is
/// revoked at the authorization server is let in for up to 60 seconds more, unless it is
/// [invalidated](Self::invalidate) here, by its value, its [subject](Self::invalidate_subject) or its
/// [session](Self::invalidate_session); [`remember_for`](Self::remember_for) is that bound, and on single routes a guard
/// can demand a younger answer. A token that goes on being used is asked about again when 80 to 90 % of that time are
/// over, and the request that is the occasion does not wait. Answers are this validator's own, by a keyed digest of the
/// token: neither the token nor anything to find it by is in memory.
///
/// # When the authorization server does not answer
///
/// 1. Each exchange has a [`timeout`](Self::timeout). Where there was no connection, a second one is tried, for one call
///    in ten.
/// 2. There is a [bound](Self::max_calls_in_flight) on the calls under way. A quarter of them is kept for tokens that were
///    good in the last minutes: who floods the service with made-up tokens does not shut those out.
/// 3. After five calls in a row without an answer none is made for a second, then one; if that fails, none for two seconds,
///    and so on up to thirty. A `Retry-After` of the server is heeded, up to a minute. Until then requests are answered at
///    once.
/// 4. That answer is a 503 with `Retry-After`; or, with [`stale_if_error`](Self::stale_if_error), what the server said last,
///    for so much longer. [`CurrentToken::is_stale`] tells the handler.
///
/// What the server does say always counts, be it a refusal of the token or of this service.
pub struct IntrospectionValidator {
    inner: Arc<Inner>,
}

/// What a call needs, which outlives the request that started it.
#[derive(Clone)]
struct Inner {
    client: Client,
    rules: Rules,
    remembered: Remembered,
    refresh_ahead: bool,
    flights: Flights<TokenDigest, Answer>,
    upstream: Arc<Upstream>,
    tally: Arc<Tally>,
}

/// What can be done for a request without waiting.
enum Decision {
    Answer(Result<CurrentToken, Rejection>),
    Ask(TokenDigest, Cause),
}

impl IntrospectionValidator {
    /// Forgets what is remembered about a token: the next request with it asks the authorization server. Call it when
    /// you learn that the token was revoked. An answer that is on its way at that moment is not remembered.
    pub fn invalidate(&self, token: &str) {
        let Some(digest) = TokenDigest::of(token) else { return };
        self.inner.remembered.invalidate(&digest);
        self.inner.flights.forget(&digest);
    }

    /// Forgets what is remembered about all tokens of a subject, by its `sub`: the next request with any of them asks the
    /// authorization server. Call it when you learn that the subject was disabled, or logged out everywhere. An answer that
    /// is on its way at that moment lets nobody in: its requests are 503, and ask again.
    ///
    /// Where answers name several issuers, the subjects of that name of all of them are asked about anew. Ten thousand
    /// subjects and sessions are kept apart; beyond that, everything is forgotten.
    pub fn invalidate_subject(&self, subject: impl Into<String>) {
        self.inner.remembered.cut_off(Whom::Subject(subject.into()));
    }

    /// As [`invalidate_subject`](Self::invalidate_subject), for all tokens of a login session, by its `sid`.
    pub fn invalidate_session(&self, session_id: impl Into<String>) {
        self.inner.remembered.cut_off(Whom::Session(session_id.into()));
    }

    fn who(&self) -> &str {
        self.inner.client.place.name()
    }

    fn decide(&self, presented: &Presented<'_>) -> Decision {
        let Some(digest) = presented.digest() else {
            let problem = "the operating system gives no random bytes";
            return Decision::Answer(Err(Rejection::misconfigured(problem)));
        };
        let now = presented.now();
        let (stale, cause) = match self.inner.remembered.recall(&digest, now, oldest(presented, now)) {
            Recalled::Good(token, renewal) => {
                meter::token(How::Remembered);
                if let Some(renewal) = renewal {
                    self.renew(presented, digest, renewal);
                }
                return Decision::Answer(Ok(token));
            }
            Recalled::Refused(refusal) => {
                meter::token(How::Remembered);
                return Decision::Answer(Err(refusal));
            }
            // Whose answer is good enough for other routes can ask with every request: that may not take what is kept for
            // tokens that need a call to enter at all.
            Recalled::Old(stale) if presented.max_age().is_some() => (stale, Cause::Unknown),
            Recalled::Old(stale) => (stale, Cause::Known),
            Recalled::Nothing => (None, Cause::Unknown),
        };
        match (self.inner.upstream.outlook(now.monotonic), stale) {
            (Outlook::Good, _) | (Outlook::Unsure, None) => Decision::Ask(digest, cause),
            (Outlook::Unsure, Some(token)) => {
                // Whether the server is back is found out by a call that nobody waits for.
                let start = || Arc::clone(&self.inner).ask(self.question(presented, digest, now, cause, None));
                self.inner.flights.start(digest, start);
                Decision::Answer(Ok(self.served(token)))
            }
            (Outlook::Bad(_), Some(token)) => Decision::Answer(Ok(self.served(token))),
            (Outlook::Bad(wait), None) => Decision::Answer(Err(asking::left_alone(wait))),
        }
    }

    fn served(&self, stale: CurrentToken) -> CurrentToken {
        self.inner.upstream.stale_served(self.who());
        stale
    }

    /// Starts a call that nobody waits for, if there is a place for it and one about the token is not under way.
    fn renew(&self, presented: &Presented<'_>, digest: TokenDigest, renewal: Renewal) {
        let (inner, now) = (&self.inner, presented.now());
        if !inner.refresh_ahead {
            return;
        }
        // The chance is taken only where there is a place, and the place only by whoever takes the chance.
        let Some(call) = inner.may_renew(now) else { return };
        let Some(asked_at) = renewal.take() else { return };
        // Nothing but an answer to a later question ends it before it has asked.
        let since = asked_at.checked_add(Duration::from_nanos(1));
        let start = || {
            let question = self.question(presented, digest, now, Cause::Refresh, since);
            Arc::clone(inner).ask(question.with_place(call))
        };
        inner.flights.start(digest, start);
    }

    fn question(
        &self,
        presented: &Presented<'_>,
        digest: TokenDigest,
        now: Moment,
        cause: Cause,
        since: Option<Instant>,
    ) -> Question {
        Question {
            token: presented.token().to_owned(),
            digest,
            now,
            epoch: self.inner.remembered.epoch(&digest),
            cause,
            since,
            place: None,
        }
    }

    /// Waits for a call about the token, be it one that is under way; for a second one where the first says nothing of use.
    async fn wait(
        &self,
        presented: &Presented<'_>,
        digest: TokenDigest,
        cause: Cause,
    ) -> Result<CurrentToken, Rejection> {
        meter::token(How::Asked);
        let began = tokio::time::Instant::now();
        let since = oldest(presented, presented.now());
        // Discovery and the exchange have one timeout each.
        let patience = self.inner.client.timeout * 2;
        let mut failed_before = false;
        for call in 0..CALLS {
            // What is begun at once is as old as the request; a later one is begun when the one before it is over.
            let now = match call {
                0 => presented.now(),
                _ => presented.now().later(began.elapsed()),
            };
            let start = || Arc::clone(&self.inner).ask(self.question(presented, digest, now, cause, since));
            let landed = self.inner.flights.join(digest, patience, start).await;
            let now = presented.now().later(began.elapsed());
            let (outage, joined) = match landed {
                Landed::Own(Answer::Said(said)) => return said,
                Landed::Joined(Answer::Said(Ok(token))) if since.is_some_and(|since| !token.was_asked_since(since)) => {
                    // It was asked for by somebody who was content with less.
                    continue;
                }
                Landed::Joined(Answer::Said(said)) => return said,
                Landed::Own(Answer::Outage(outage)) => (outage, false),
                Landed::Joined(Answer::Outage(outage)) => (outage, true),
                Landed::Lost => (Rejection::unavailable("introspection: the call broke off"), false),
            };
            if let Some(answer) = self.stand_in(presented, digest, now) {
                return answer;
            }
            // It may have failed only because it was started earlier and its time was up; so this request gets a call with
            // a whole deadline, once. All who waited share that one, too. While the server is left alone there is none.
            let is_worth_it = joined && !failed_before && self.inner.upstream.outlook(now.monotonic) == Outlook::Good;
            if !is_worth_it {
                return Err(outage);
            }
            failed_before = true;
        }
        Err(Rejection::unavailable("introspection: no answer is young enough"))
    }

    /// What is remembered now that the call has failed: an old answer may do. It is looked for at the end, as it may have
    /// been taken back, or another call have ended better.
    fn stand_in(
        &self,
        presented: &Presented<'_>,
        digest: TokenDigest,
        now: Moment,
    ) -> Option<Result<CurrentToken, Rejection>> {
        match self.inner.remembered.recall(&digest, now, oldest(presented, now)) {
            Recalled::Good(token, _) => Some(Ok(token)),
            Recalled::Refused(refusal) => Some(Err(refusal)),
            Recalled::Old(stale) => stale.map(|token| Ok(self.served(token))),
            Recalled::Nothing => None,
        }
    }
}

/// When the server must have been asked at the earliest.
fn oldest(presented: &Presented<'_>, now: Moment) -> Option<Instant> {
    let max_age = presented.max_age()?;
    // Where the clock cannot show that moment nothing but a new answer will do.
    Some(now.monotonic.checked_sub(max_age).unwrap_or(now.monotonic))
}

impl TokenValidator for IntrospectionValidator {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        match self.decide(presented) {
            Decision::Answer(answer) => answer,
            Decision::Ask(digest, cause) => self.wait(presented, digest, cause).await,
        }
    }

    fn validate_now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        match self.decide(presented) {
            Decision::Answer(answer) => Some(answer),
            Decision::Ask(..) => None,
        }
    }

    fn about(&self) -> About<'_> {
        About::default()
            .with_issuers(self.inner.rules.issuer.as_slice())
            .with_asking_anew()
    }

    async fn ready(&self, now: Moment) -> Result<(), Rejection> {
        let Client {
            place,
            network,
            timeout,
            ..
        } = &self.inner.client;
        watch::outlook(self.who(), self.inner.upstream.outlook(now.monotonic));
        match place {
            Place::Endpoint(_) => Ok(()),
            Place::Issuer(_) => place.find(network, *timeout, now).await.map(drop),
        }
    }
}

impl fmt::Debug for IntrospectionValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionValidator")
            .field("place", &self.inner.client.place.name())
            .field("client_auth", &self.inner.client.auth)
            .field("rules", &self.inner.rules)
            .finish_non_exhaustive()
    }
}
