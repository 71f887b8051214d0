//! Where somebody logs out of the server itself.

use http::{Method, StatusCode, request::Parts};
use http_body::Body;

use super::{
    frontend::{Frontend, Stop, asking, hidden},
    headers::{Forms, html, not_allowed},
    pages::LogoutPage,
};
use crate::endpoints::{Answer, BoxError};

/// It reads no parameter of the request: nobody is ever sent elsewhere from here.
pub(super) struct LogoutEndpoint {
    pub(super) frontend: Frontend,
    pub(super) path: String,
}

impl LogoutEndpoint {
    pub(super) async fn answer<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let answered = match parts.method {
            Method::GET => self.ask(parts, false).await,
            Method::POST => self.log_out(parts, body).await,
            _ => Ok(not_allowed("GET, POST")),
        };
        self.frontend.answer(answered)
    }

    async fn ask(&self, parts: &Parts, is_shown_again: bool) -> Result<Answer, Stop> {
        let frontend = &self.frontend;
        let Some((login, user)) = frontend.logged_in(&parts.headers).await? else {
            return Ok(self.nobody());
        };
        let browser = frontend.browser(&parts.headers)?;
        let proof = frontend.logins.logout_proof(&browser.id, &login);
        let page = frontend.pages.logout(&LogoutPage::Ask {
            user_name: user.shown_name(),
            action: &self.path,
            hidden: &hidden("logout", &proof),
            is_shown_again,
        });
        Ok(frontend.keep(&browser, html(asking(is_shown_again), page, &Forms::Here)))
    }

    async fn log_out<B>(&self, parts: &Parts, body: B) -> Result<Answer, Stop>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let frontend = &self.frontend;
        let form = frontend.own_form(parts, body).await?;
        // Whoever is disabled meanwhile may end a log-in all the same.
        let Some(login) = frontend.sealed_login(&parts.headers) else {
            return Ok(self.nobody());
        };
        let proof = form.get("proof").unwrap_or_default();
        let browser = frontend.browser(&parts.headers)?;
        if browser.is_new || !frontend.logins.is_logout_proof(&browser.id, &login, proof) {
            return self.ask(parts, true).await;
        }
        let page = frontend.pages.logout(&LogoutPage::LoggedOut);
        let answer = html(StatusCode::OK, page, &Forms::Nowhere);
        frontend.log_out(&login, answer).await
    }

    /// A cookie that is good no more goes with it.
    fn nobody(&self) -> Answer {
        let page = self.frontend.pages.logout(&LogoutPage::NobodyLoggedIn);
        self.frontend.forget_login(html(StatusCode::OK, page, &Forms::Nowhere))
    }
}
