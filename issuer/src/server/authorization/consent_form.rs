//! The form with the decision about a client, as it comes back.

use super::{AuthorizationEndpoint, visit::Visit};
use crate::{
    endpoints::{Answer, Form},
    server::{
        authorize::{self, AuthorizationRequest, ErrorCode, Step, next_step},
        ended::ground_of,
        frontend::Stop,
        login::Login,
        pages::LoginProblem,
    },
};

impl AuthorizationEndpoint {
    pub(super) async fn consent(&self, visit: &Visit<'_>, form: &Form) -> Result<Answer, Stop> {
        let frontend = &self.frontend;
        let login = visit.login.as_ref().map(|(login, _)| login);
        // With consent, is there anything else that is missing?
        let now = frontend.issuer.now().wall;
        let step = next_step(&visit.request, login, visit.is_made_for_this, true, now);
        let (Some(login), Step::Grant | Step::Consent) = (login, step) else {
            return Ok(self.login_page(visit, "", Some(LoginProblem::OutOfDate)));
        };
        let proof = form.get("proof").unwrap_or_default();
        let browser = &visit.browser;
        if browser.is_new || !frontend.logins.is_consent_proof(&browser.id, login, visit.query, proof) {
            return Ok(self.consent_page(visit, true));
        }
        match form.get("decision") {
            Some("allow") => {
                let consent = self.remember_consent(visit, login).await?;
                let granted = self.grant(visit, &consent).await?;
                Ok(self.redirect(visit, granted.answer()))
            }
            Some("deny") => {
                tracing::info!(
                    target: "resource_protector_issuer::authorize",
                    event = "consent_refused",
                    client_id = visit.client.id(),
                    "a user has not allowed a client what it asks for"
                );
                let denied = authorize::Answer::Error(ErrorCode::AccessDenied, Some("the user has refused"));
                Ok(self.redirect(visit, denied))
            }
            Some("switch") => frontend.log_out(login, self.login_page(visit, "", None)).await,
            _ => Ok(self.consent_page(visit, true)),
        }
    }

    async fn remember_consent(&self, visit: &Visit<'_>, login: &Login) -> Result<String, Stop> {
        let AuthorizationRequest { scopes, resources, .. } = &visit.request;
        let client_id = visit.client.id();
        let by = (login.subject.as_str(), &ground_of(login));
        let remembered = self.frontend.issuer.remember_consent(by, client_id, scopes, resources);
        let consent = self.unless_logged_out(visit, remembered.await)?;
        tracing::info!(
            target: "resource_protector_issuer::authorize",
            event = "consent_given",
            client_id,
            "a user has allowed a client what it asks for"
        );
        Ok(consent)
    }
}
