//! The form with username and password, as it comes back.

use http::{header::SET_COOKIE, request::Parts};
use resource_protector::StoreError;

use super::{AuthorizationEndpoint, LOGGED_IN, visit::Visit};
use crate::{
    endpoints::{Answer, Form},
    rate_limit::Attempt,
    server::{
        browser::{BrowserId, Cookie},
        ended,
        frontend::Stop,
        headers::redirect,
        pages::{Limit, LoginProblem},
    },
    users::{User, Username},
};

impl AuthorizationEndpoint {
    pub(super) async fn login(&self, visit: &Visit<'_>, form: &Form, parts: &Parts) -> Result<Answer, Stop> {
        let frontend = &self.frontend;
        let (username, password) = (
            form.get("username").unwrap_or_default(),
            form.get("password").unwrap_or_default(),
        );
        let proof = form.get("proof").unwrap_or_default();
        let browser = &visit.browser;
        if browser.is_new || !frontend.logins.is_login_proof(&browser.id, visit.query, proof) {
            return Ok(self.login_page(visit, username, Some(LoginProblem::OutOfDate)));
        }
        let now = frontend.issuer.now();
        let peer = self.peer.as_ref().and_then(|peer| peer(parts));
        // Each name has its own count, and each try costs a hash: whoever tries many names is stopped by where they come from.
        let counted = peer.as_ref().map(|peer| format!("peer\n{peer}"));
        let of_peer = counted.map(|key| self.peer_limit.begin(&key, now));
        let of_peer = match of_peer.transpose() {
            Ok(of_peer) => of_peer,
            Err(too_many) => return Ok(self.too_many(visit, Limit::Peer, too_many)),
        };
        let peer = peer.unwrap_or_default();
        // As the directory compares it: another spelling is no further attempt. None has a line break in it.
        let name = Username::parse(username);
        let name = name.as_ref().map_or("", Username::as_str);
        let attempt = match self.login_limit.begin(&format!("user\n{name}\n{peer}"), now) {
            Ok(attempt) => attempt,
            Err(too_many) => {
                // Nothing was hashed.
                of_peer.into_iter().for_each(Attempt::undecided);
                return Ok(self.too_many(visit, Limit::Login, too_many));
            }
        };
        let checked = frontend
            .issuer
            .check_password(&*frontend.users, username, password)
            .await;
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => {
                attempt.undecided();
                of_peer.into_iter().for_each(Attempt::undecided);
                return Err(error.into());
            }
        };
        let Some((user, epoch)) = checked else {
            tracing::info!(
                target: "resource_protector_issuer::authorize",
                event = "login_refused",
                client_id = visit.client.id(),
                "a username or a password was wrong"
            );
            return Ok(self.login_page(visit, username, Some(LoginProblem::Refused)));
        };
        attempt.succeeded();
        // It does not count, and makes up for nothing: a stranger may have an account, too.
        of_peer.into_iter().for_each(Attempt::undecided);
        // Each log-in that ends early leaves a row for its time.
        if let Err(too_many) = self.code_limit.begin(&format!("login\n{}", user.subject), now) {
            return Ok(self.too_many(visit, Limit::Codes, too_many));
        }
        // No button of the browser's reaches it any more.
        if let Some(before) = frontend.sealed_login(&parts.headers) {
            ended::end(&frontend.issuer.store(), &before).await?;
        }
        self.logged_in(visit, &user, epoch)
    }

    /// Back to the request, by a redirect, with a log-in that was made for it.
    fn logged_in(&self, visit: &Visit<'_>, user: &User, epoch: u64) -> Result<Answer, Stop> {
        let frontend = &self.frontend;
        let login = frontend
            .logins
            .start(&user.subject, epoch, frontend.issuer.now().wall)?;
        let made_for = frontend.logins.made_for(&login, visit.query);
        let location = format!("{}?{}{LOGGED_IN}{made_for}", self.path, visit.query);
        let mut answer =
            redirect(&location).ok_or_else(|| StoreError::new("the query has characters that no URL has"))?;
        // Whoever knew the browser's identifier before knows nothing any more.
        let cookies = [
            (Cookie::Login, frontend.logins.cookie(&login)?),
            (Cookie::Browser, BrowserId::draw()?.as_str().to_owned()),
        ];
        for (cookie, value) in cookies {
            let cookie = frontend.site.set(cookie, &value);
            let cookie = cookie.ok_or_else(|| StoreError::new("a cookie cannot be written"))?;
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
        tracing::info!(
            target: "resource_protector_issuer::authorize",
            event = "logged_in",
            client_id = visit.client.id(),
            "somebody has logged in"
        );
        Ok(answer)
    }
}
