//! One call to the introspection endpoint (RFC 7662 §2).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use tokio::time::Instant;

use super::client_auth::{ClientAuth, form_encoded};
use crate::{
    clock::Moment,
    discovery::Place,
    endpoint::Endpoint,
    fetch::{FetchError, Network, Outcome, is_json, retry_after},
    rejection::{Reason, Rejection},
    upstream::Call,
};

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// Asks the authorization server, as this service.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) place: Place,
    pub(super) auth: Arc<ClientAuth>,
    pub(super) network: Network,
    pub(super) timeout: Duration,
    pub(super) hint: bool,
    /// What this server answers, without a body, about a token it does not know.
    pub(super) unknown_token: Option<StatusCode>,
}

/// What an answer's status means.
enum Meaning {
    /// The body says what the token holds.
    Answer,
    /// The server does not know the token, and says so in its own way.
    Unknown,
    /// The request was refused because of who asks or how, so the token was not judged.
    OurFault,
    /// The server asks for patience.
    Busy,
    /// The server, or one before it, cannot do its work.
    Outage,
    /// Whatever this is, it is not an introspection endpoint.
    Nonsense,
}

/// Why there is no answer that could be judged.
pub(super) struct Failure {
    pub(super) rejection: Rejection,
    /// How the call came out; `None` when there was none.
    pub(super) outcome: Option<Outcome>,
    /// For how long the server asked not to be called.
    pub(super) wish: Option<Duration>,
}

/// The one place that gives statuses a meaning. RFC 7662 §2.3: a token that is not active is told by 200 and nothing
/// else, so no error status can make a token invalid.
///
/// Some servers have an error status for it all the same, which has to be named.
fn meaning_of(response: &Response<Bytes>, unknown_token: Option<StatusCode>) -> Meaning {
    match response.status() {
        status if Some(status) == unknown_token && response.body().is_empty() => Meaning::Unknown,
        StatusCode::OK => Meaning::Answer,
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Meaning::OurFault,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Meaning::Busy,
        StatusCode::REQUEST_TIMEOUT => Meaning::Outage,
        status if status.is_server_error() => Meaning::Outage,
        _ => Meaning::Nonsense,
    }
}

impl Failure {
    fn new(outcome: Outcome, rejection: Rejection) -> Self {
        Self {
            rejection,
            outcome: Some(outcome),
            wish: None,
        }
    }
}

/// Without an outcome: it did not come to a call.
impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self {
            rejection,
            outcome: None,
            wish: None,
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let outcome = match &error {
            error if error.is_connection() => Outcome::Connection,
            error if error.is_timeout() => Outcome::Timeout,
            // There is an answer. That it is long may be the doing of the token, which must not stop calls about others.
            error if error.is_too_long() => Outcome::Nonsense,
            _ => Outcome::Failed,
        };
        Self::new(outcome, Rejection::unavailable(format!("introspection: {error}")))
    }
}

impl Client {
    /// Asks about a token; once more where the server refuses a secret that has been replaced in its file.
    pub(super) async fn ask(&self, token: &str, now: Moment, call: &Call) -> Result<Bytes, Failure> {
        let asked_with = self.auth.version();
        let answer = self.ask_once(token, now, call).await;
        let is_our_fault = matches!(&answer, Err(failure) if failure.outcome == Some(Outcome::Refused));
        if !is_our_fault {
            return answer;
        }
        let renewed = tokio::time::timeout(self.timeout, self.auth.renewed_since(asked_with)).await;
        if renewed == Ok(true) {
            return self.ask_once(token, now, call).await;
        }
        answer
    }

    /// `Ok` is a body that says it is JSON, not yet judged.
    async fn ask_once(&self, token: &str, now: Moment, call: &Call) -> Result<Bytes, Failure> {
        let endpoint = self.place.find(&self.network, self.timeout, now).await?;
        let response = match self.exchange(&endpoint, token, now, call).await {
            Ok(response) => response,
            Err(failure) => {
                if failure.outcome.is_some() {
                    self.place.doubt();
                }
                return Err(failure);
            }
        };
        let status = response.status().as_u16();
        match meaning_of(&response, self.unknown_token) {
            Meaning::Answer if is_json(&response) => Ok(response.into_body()),
            Meaning::Answer => {
                self.place.doubt();
                Err(Failure::new(
                    Outcome::Failed,
                    Rejection::unavailable("introspection: expected content type application/json"),
                ))
            }
            Meaning::Unknown => Err(Failure::new(
                Outcome::Ok,
                Rejection::invalid_token(Reason::Inactive, "the authorization server does not know the token"),
            )),
            Meaning::OurFault => Err(Failure::new(
                Outcome::Refused,
                Rejection::misconfigured(format!(
                    "introspection: the authorization server refuses this service's own request with status {status}: \
                     check `client_auth`, and whether this client may introspect"
                )),
            )),
            Meaning::Busy => {
                let busy = Rejection::unavailable(format!("introspection: status {status}"));
                let wish = retry_after(response.headers());
                Err(Failure {
                    rejection: wish.map_or(busy.clone(), |wish| busy.retry_after(wish)),
                    outcome: Some(Outcome::Busy),
                    wish,
                })
            }
            unexpected => {
                self.place.doubt();
                let outcome = match unexpected {
                    Meaning::Outage => Outcome::Failed,
                    _ => Outcome::Nonsense,
                };
                let rejection = Rejection::unavailable(format!("introspection: expected status 200, got {status}"));
                Err(Failure::new(outcome, rejection))
            }
        }
    }

    /// One exchange; a second one within the same time where the first did not get as far as sending anything, and the
    /// budget has one left.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        token: &str,
        now: Moment,
        call: &Call,
    ) -> Result<Response<Bytes>, Failure> {
        let deadline = Instant::now() + self.timeout;
        let request = self.request(endpoint, token, now)?;
        let first = self.network.exchange(request, MAX_ANSWER, self.timeout).await;
        let left = deadline.saturating_duration_since(Instant::now());
        match first {
            Err(error) if error.is_connection() && !left.is_zero() && call.may_retry(self.place.name()) => {
                let request = self.request(endpoint, token, now)?;
                Ok(self.network.exchange(request, MAX_ANSWER, left).await?)
            }
            first => Ok(first?),
        }
    }

    /// RFC 7662 §2.1: "The protected resource calls the introspection endpoint using an HTTP POST request with
    /// parameters sent as 'application/x-www-form-urlencoded' data". The token is never in the URL, which gets logged.
    fn request(&self, endpoint: &Endpoint, token: &str, now: Moment) -> Result<Request<Bytes>, Rejection> {
        let audience = match &self.place {
            Place::Issuer(_) => self.place.name(),
            Place::Endpoint(_) => endpoint.as_str(),
        };
        let proof = self
            .auth
            .prove(audience, now.wall)
            .map_err(|_| Rejection::misconfigured("introspection: the request cannot be authenticated"))?;
        let mut form = format!("token={}", form_encoded(token));
        if self.hint {
            form.push_str("&token_type_hint=access_token");
        }
        for (name, value) in &proof.parameters {
            form.push('&');
            form.push_str(name);
            form.push('=');
            form.push_str(&form_encoded(value));
        }
        let mut request = Request::post(endpoint.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .map_err(|_| Rejection::misconfigured("introspection: the endpoint's URL cannot be asked"))?;
        if let Some(authorization) = proof.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }
}
