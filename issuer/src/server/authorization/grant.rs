//! What a client is given.

use std::time::{Duration, UNIX_EPOCH};

use resource_protector::StoreError;

use super::{AuthorizationEndpoint, visit::Visit};
use crate::{
    grants,
    server::{
        authorize::{self, AsksFor},
        ended::ground_of,
        frontend::Stop,
        login::Login,
        pages::{Limit, LoginProblem},
    },
    tokens::{CodeRequest, IssuedTokens, TokenError, TokenErrorKind, TokenRequest},
};

pub(super) enum Granted {
    Code(String),
    Token(IssuedTokens),
}

impl Granted {
    pub(super) fn answer(&self) -> authorize::Answer<'_> {
        match self {
            Self::Code(code) => authorize::Answer::Code(code),
            Self::Token(tokens) => authorize::Answer::Token(tokens),
        }
    }
}

impl AuthorizationEndpoint {
    /// A code, or an access token, unless the user was granted too many of late: each leads to a session, whose rows are kept
    /// for as long as its tokens may live.
    pub(super) async fn grant(&self, visit: &Visit<'_>, consent: &str) -> Result<Granted, Stop> {
        let Some((login, _)) = &visit.login else {
            return Err(StoreError::new("nobody is logged in").into());
        };
        let now = self.frontend.issuer.now();
        // For each client, so that none uses up what the others are granted. None has a line break in its identifier.
        let counted = format!("code\n{}\n{}", visit.client.id(), login.subject);
        let counted = match self.code_limit.begin(&counted, now) {
            Ok(counted) => counted,
            Err(too_many) => return Err(self.too_many(visit, Limit::Codes, too_many).into()),
        };
        let granted = self.issue(visit, login, consent).await;
        if granted.is_err() {
            counted.undecided();
        }
        self.unless_logged_out(visit, granted)
    }

    /// The page for a log-in, where the one that was found has ended meanwhile, or the consent was withdrawn.
    pub(super) fn unless_logged_out<T>(&self, visit: &Visit<'_>, done: Result<T, TokenError>) -> Result<T, Stop> {
        done.map_err(|error| match error.kind() {
            TokenErrorKind::InvalidGrant => self.login_page(visit, "", Some(LoginProblem::OutOfDate)).into(),
            _ => error.into(),
        })
    }

    async fn issue(&self, visit: &Visit<'_>, login: &Login, consent: &str) -> Result<Granted, TokenError> {
        let issuer = &self.frontend.issuer;
        let auth_time = UNIX_EPOCH + Duration::from_secs(login.auth_time);
        let mut tokens = TokenRequest::for_subject(visit.client.id(), &login.subject)
            .scope(visit.request.scopes.join(" "))?
            .audience(visit.request.resources.clone())
            .authenticated_at(auth_time)
            .resting_on_login(ground_of(login))
            .resting_on_consent(consent);
        if visit.is_made_for_this {
            tokens = tokens.fresh();
        }
        let challenge = match &visit.request.asks_for {
            AsksFor::Code { challenge } => challenge,
            // RFC 6749 §4.2.2: "The authorization server MUST NOT issue a refresh token."
            AsksFor::Token => {
                let issued = issuer.issue(tokens.without_refresh_token()).await?;
                return Ok(Granted::Token(issued));
            }
        };
        if !visit.client.allows_grant(grants::RefreshToken::GRANT_TYPE) {
            tokens = tokens.without_refresh_token();
        }
        let mut request = CodeRequest::new(tokens, challenge)?;
        if visit.request.is_redirect_uri_named {
            request = request.redirect_uri(&visit.request.redirect_uri);
        }
        Ok(Granted::Code(issuer.issue_code(request).await?))
    }
}
