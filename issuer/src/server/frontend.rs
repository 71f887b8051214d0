//! What all pages of the server need: which browser it is, who is logged in there, and how a page is shown.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{RETRY_AFTER, SET_COOKIE},
    request::Parts,
};
use http_body::Body;
use resource_protector::StoreError;

use super::{
    browser::{BrowserId, Cookie, Site},
    ended,
    headers::{Forms, html},
    login::{Login, Logins},
    pages::{ErrorPage, HiddenField, Pages, Trouble},
};
use crate::{
    endpoints::{Answer, BoxError, Form, read},
    tokens::{TokenError, TokenIssuer},
    users::{AnyUserDirectory, User},
};

#[derive(Clone)]
pub(super) struct Frontend {
    pub(super) issuer: TokenIssuer,
    pub(super) users: Arc<dyn AnyUserDirectory>,
    pub(super) pages: Arc<dyn Pages>,
    pub(super) site: Site,
    pub(super) logins: Logins,
}

/// The browser that a request is from.
pub(super) struct Browser {
    pub(super) id: BrowserId,
    /// Whether the identifier was drawn for this answer: no form can have been made for it.
    pub(super) is_new: bool,
}

/// What stands in the way of an answer.
pub(super) enum Stop {
    Answer(Box<Answer>),
    Failed(TokenError),
}

impl From<TokenError> for Stop {
    fn from(error: TokenError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Answer> for Stop {
    fn from(answer: Answer) -> Self {
        Self::Answer(Box::new(answer))
    }
}

impl Frontend {
    /// The answer, or the page that says why there is none.
    pub(super) fn answer(&self, answered: Result<Answer, Stop>) -> Answer {
        match answered {
            Ok(answer) => answer,
            Err(Stop::Answer(answer)) => *answer,
            Err(Stop::Failed(error)) => {
                tracing::warn!(target: "resource_protector_issuer::authorize", %error, "nobody can be asked");
                let mut answer = self.error(StatusCode::SERVICE_UNAVAILABLE, Trouble::Unavailable, None);
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
                answer
            }
        }
    }

    /// The form that was posted. It has to come from a page of this server: the proof in it is a second defence, which a page of
    /// another site cannot have.
    pub(super) async fn own_form<B>(&self, parts: &Parts, body: B) -> Result<Form, Stop>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if !self.site.is_own_form(&parts.headers) {
            return Err(self.error(StatusCode::FORBIDDEN, Trouble::CrossSite, None).into());
        }
        read(parts, body).await.map_err(|refused| {
            let detail = Some(refused.description());
            self.error(refused.status(), Trouble::BadRequest, detail).into()
        })
    }

    /// The browser by its cookie; one without gets an identifier with the next page that [keeps](Self::keep) it.
    pub(super) fn browser(&self, headers: &HeaderMap) -> Result<Browser, StoreError> {
        let known = self.site.cookie(headers, Cookie::Browser).and_then(BrowserId::parse);
        let is_new = known.is_none();
        let id = match known {
            Some(id) => id,
            None => BrowserId::draw()?,
        };
        Ok(Browser { id, is_new })
    }

    /// The log-in that the browser keeps, whatever has become of its user since.
    pub(super) fn sealed_login(&self, headers: &HeaderMap) -> Option<Login> {
        let cookie = self.site.cookie(headers, Cookie::Login)?;
        self.logins.read(cookie, self.issuer.now().wall)
    }

    /// Who is logged in: somebody who may still log in, and was not logged out since, here or everywhere.
    pub(super) async fn logged_in(&self, headers: &HeaderMap) -> Result<Option<(Login, User)>, Stop> {
        let Some(login) = self.sealed_login(headers) else {
            return Ok(None);
        };
        let ground = ended::ground_of(&login);
        if !self.issuer.is_logged_in(&login.subject, &ground).await? {
            return Ok(None);
        }
        let user = self.users.find(&login.subject).await?.filter(|user| user.is_active);
        Ok(user.map(|user| (login, user)))
    }

    /// The page, and the identifier of a browser that had none.
    pub(super) fn keep(&self, browser: &Browser, mut answer: Answer) -> Answer {
        if browser.is_new
            && let Some(cookie) = self.site.set(Cookie::Browser, browser.id.as_str())
        {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
        answer
    }

    /// The answer, by which the browser is logged out. What it forgets is good no more, whoever has a copy.
    pub(super) async fn log_out(&self, login: &Login, answer: Answer) -> Result<Answer, Stop> {
        ended::end(&self.issuer.store(), login).await?;
        tracing::info!(
            target: "resource_protector_issuer::authorize",
            event = "logged_out",
            "somebody has logged out of the server"
        );
        Ok(self.forget_login(answer))
    }

    /// The answer, by which the browser forgets its log-in.
    pub(super) fn forget_login(&self, mut answer: Answer) -> Answer {
        if let Some(cookie) = self.site.unset(Cookie::Login) {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
        answer
    }

    /// The page that says what went wrong.
    pub(super) fn error(&self, status: StatusCode, trouble: Trouble, detail: Option<&str>) -> Answer {
        let page = self.pages.error(&ErrorPage { trouble, detail });
        html(status, page, &Forms::Nowhere)
    }
}

/// The status of a page with a form, which is shown again where the form was sent and could not be heeded.
pub(super) fn asking(is_shown_again: bool) -> StatusCode {
    match is_shown_again {
        false => StatusCode::OK,
        true => StatusCode::FORBIDDEN,
    }
}

/// What a form has in it beside what people type: which form it is, and the proof that a page of ours made it.
pub(super) fn hidden<'a>(form: &'a str, proof: &'a str) -> [HiddenField<'a>; 2] {
    [("form", form), ("proof", proof)].map(|(name, value)| HiddenField { name, value })
}
