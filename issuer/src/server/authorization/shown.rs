//! What the browser gets: the pages that ask, and the way back to the client.

use http::{HeaderValue, StatusCode, header::RETRY_AFTER};

use super::{AuthorizationEndpoint, visit::Visit};
use crate::{
    endpoints::Answer,
    rate_limit::TooMany,
    server::{
        authorize::{self, Refused},
        frontend::{asking, hidden},
        headers::{Forms, html, redirect},
        pages::{ConsentPage, GoOnPage, Limit, LoginPage, LoginProblem, ScopeText, Trouble},
    },
};

impl AuthorizationEndpoint {
    /// To the client, from a page that was asked for. After a log-in it is a page that leads on, because browsers hold
    /// redirects that follow the form with the password against that page's policy.
    pub(super) fn back(&self, visit: &Visit<'_>, answer: authorize::Answer<'_>) -> Answer {
        if !visit.is_made_for_this {
            return self.redirect(visit, answer);
        }
        let url = visit.request.url(answer, self.frontend.issuer.issuer());
        let page = self.frontend.pages.go_on(&GoOnPage {
            client_name: visit.client.display_name(),
            url: &url,
        });
        html(StatusCode::OK, page, &Forms::Nowhere)
    }

    pub(super) fn redirect(&self, visit: &Visit<'_>, answer: authorize::Answer<'_>) -> Answer {
        let url = visit.request.url(answer, self.frontend.issuer.issuer());
        redirect(&url).unwrap_or_else(|| self.frontend.error(StatusCode::BAD_REQUEST, Trouble::BadRequest, None))
    }

    pub(super) fn refused(&self, refused: &Refused) -> Answer {
        let detail = match refused {
            Refused::Page(sentence) => Some(*sentence),
            Refused::Redirect { description, .. } => Some(*description),
        };
        refused
            .url(self.frontend.issuer.issuer())
            .and_then(|url| redirect(&url))
            .unwrap_or_else(|| {
                self.frontend
                    .error(StatusCode::BAD_REQUEST, Trouble::BadRequest, detail)
            })
    }

    /// The page that says how long to wait: 429 (RFC 6585 §4).
    pub(super) fn too_many(&self, visit: &Visit<'_>, limit: Limit, too_many: TooMany) -> Answer {
        tracing::warn!(
            target: "resource_protector_issuer::authorize",
            event = "rate_limited",
            limit = limit.as_str(),
            client_id = visit.client.id(),
            "somebody has to wait"
        );
        let wait = too_many.retry_after;
        let trouble = Trouble::RateLimited { limit, wait };
        let mut answer = self.frontend.error(StatusCode::TOO_MANY_REQUESTS, trouble, None);
        let seconds = wait.as_secs().saturating_add(1);
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        answer
    }

    pub(super) fn login_page(&self, visit: &Visit<'_>, username: &str, problem: Option<LoginProblem>) -> Answer {
        let proof = self.frontend.logins.login_proof(&visit.browser.id, visit.query);
        let page = self.frontend.pages.login(&LoginPage {
            client_name: visit.client.display_name(),
            action: &format!("{}?{}", self.path, visit.query),
            hidden: &hidden("login", &proof),
            username,
            problem,
        });
        let page = html(asking(problem.is_some()), page, &Forms::Here);
        self.frontend.keep(&visit.browser, page)
    }

    pub(super) fn consent_page(&self, visit: &Visit<'_>, is_shown_again: bool) -> Answer {
        let Some((login, user)) = &visit.login else {
            return self.login_page(visit, "", None);
        };
        let proof = self
            .frontend
            .logins
            .consent_proof(&visit.browser.id, login, visit.query);
        let describe = |name: &'_ String| self.scopes.get(name).map(String::as_str);
        let scopes: Vec<_> = visit.request.scopes.iter().map(|name| (name, describe(name))).collect();
        let scopes: Vec<_> = scopes
            .iter()
            .map(|(name, description)| ScopeText {
                name,
                description: *description,
            })
            .collect();
        let page = self.frontend.pages.consent(&ConsentPage {
            client_name: visit.client.display_name(),
            destination: visit.request.destination(),
            user_name: user.shown_name(),
            scopes: &scopes,
            resources: &visit.request.resources,
            action: &format!("{}?{}", self.path, visit.whole_query),
            hidden: &hidden("consent", &proof),
            is_shown_again,
        });
        let scheme = visit.request.redirect_scheme().to_owned();
        let page = html(asking(is_shown_again), page, &Forms::HereAndOnTo { scheme });
        self.frontend.keep(&visit.browser, page)
    }
}
