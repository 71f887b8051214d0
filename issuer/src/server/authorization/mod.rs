//! The authorization endpoint: who it is, whether the client may, and back to the client (RFC 6749 §3.1).

mod consent_form;
mod grant;
mod login_form;
mod shown;
mod visit;

use std::{collections::BTreeMap, sync::Arc};

use http::{Method, StatusCode, request::Parts};
use http_body::Body;

use self::visit::Visit;
use super::{
    authorize::{self, AuthorizationRequest, Step, next_step},
    frontend::{Frontend, Stop},
    headers::not_allowed,
    pages::Trouble,
};
use crate::{
    clients::AnyClients,
    endpoints::{Answer, BoxError},
    rate_limit::RateLimit,
};

/// What is added to the query when somebody has logged in because the request asked for it.
const LOGGED_IN: &str = "&logged_in=";

/// Where a request comes from, as far as the application says.
pub(in crate::server) type Peer = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

pub(in crate::server) struct AuthorizationEndpoint {
    pub(in crate::server) frontend: Frontend,
    pub(in crate::server) clients: Arc<dyn AnyClients>,
    /// Failures under one name from one peer.
    pub(in crate::server) login_limit: RateLimit,
    pub(in crate::server) peer: Option<Peer>,
    /// Failures of one peer under any names.
    pub(in crate::server) peer_limit: RateLimit,
    /// What each user is granted for each client.
    pub(in crate::server) code_limit: RateLimit,
    /// What scopes allow, in words.
    pub(in crate::server) scopes: BTreeMap<String, String>,
    pub(in crate::server) path: String,
    /// Whether clients that are registered for it may have access tokens in the URL.
    pub(in crate::server) has_implicit_grant: bool,
}

impl AuthorizationEndpoint {
    pub(in crate::server) async fn answer<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let answered = match parts.method {
            Method::GET => self.show(parts).await,
            Method::POST => self.decide(parts, body).await,
            _ => Ok(not_allowed("GET, POST")),
        };
        self.frontend.answer(answered)
    }

    async fn show(&self, parts: &Parts) -> Result<Answer, Stop> {
        let visit = self.visit(parts).await?;
        let consent = self.consent_before(&visit).await?;
        let login = visit.login.as_ref().map(|(login, _)| login);
        let now = self.frontend.issuer.now().wall;
        let step = next_step(&visit.request, login, visit.is_made_for_this, consent.is_some(), now);
        match (step, consent) {
            (Step::Grant, Some(consent)) => {
                let granted = self.grant(&visit, &consent).await?;
                Ok(self.back(&visit, granted.answer()))
            }
            (Step::Login, _) => Ok(self.login_page(&visit, "", None)),
            (Step::Consent | Step::Grant, _) => Ok(self.consent_page(&visit, false)),
            (Step::Refuse(code), _) => Ok(self.back(&visit, authorize::Answer::Error(code, None))),
        }
    }

    async fn decide<B>(&self, parts: &Parts, body: B) -> Result<Answer, Stop>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let frontend = &self.frontend;
        // First, since it may take long: who they are is judged by what is so afterwards.
        let form = frontend.own_form(parts, body).await?;
        let visit = self.visit(parts).await?;
        match form.get("form") {
            Some("login") => self.login(&visit, &form, parts).await,
            Some("consent") => self.consent(&visit, &form).await,
            _ => Ok(frontend.error(
                StatusCode::BAD_REQUEST,
                Trouble::BadRequest,
                Some("It is a form of no page."),
            )),
        }
    }

    /// The consent by which they need not be asked again. A client that anybody can pretend to be is asked about every time,
    /// unless it is known by an `https` address that is its own (RFC 6749 §10.2, RFC 8252 §8.6).
    async fn consent_before(&self, visit: &Visit<'_>) -> Result<Option<String>, Stop> {
        let AuthorizationRequest { scopes, resources, .. } = &visit.request;
        let Some((login, _)) = &visit.login else {
            return Ok(None);
        };
        if visit.client.is_public() && visit.request.redirect_scheme() != "https" {
            return Ok(None);
        }
        let client_id = visit.client.id();
        let issuer = &self.frontend.issuer;
        Ok(issuer.consent_to(&login.subject, client_id, scopes, resources).await?)
    }
}
