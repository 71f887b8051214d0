//! The authorization endpoint: who it is, whether the client may, and back to the client (RFC 6749 §3.1).

use std::{collections::BTreeMap, sync::Arc};

use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, RETRY_AFTER, SET_COOKIE},
    request::Parts,
};
use http_body::Body;
use resource_protector::StoreError;

use super::{
    authorize::{self, Asking, AsksFor, AuthorizationRequest, ErrorCode, Parameters, Refused, Step, next_step},
    browser::{BrowserId, Cookie, Site},
    headers::{Forms, html, redirect},
    login::{Login, Logins},
    pages::{ConsentPage, ErrorPage, GoOnPage, HiddenField, LoginPage, LoginProblem, Page, Pages, ScopeText, Trouble},
};
use crate::{
    attempts::{Attempt, Attempts, TooMany},
    clients::{AnyClients, Client},
    endpoints::{Answer, BoxError, Form, ResponseBody, read},
    grants,
    tokens::{CodeRequest, IssuedTokens, TokenError, TokenIssuer, TokenRequest},
    users::{AnyUserDirectory, User, Username},
};

/// What is added to the query when somebody has logged in because the request asked for it.
const LOGGED_IN: &str = "&logged_in=";

/// Where a request comes from, as far as the application says.
pub(super) type Peer = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

pub(super) struct AuthorizationEndpoint {
    pub(super) issuer: TokenIssuer,
    pub(super) clients: Arc<dyn AnyClients>,
    pub(super) users: Arc<dyn AnyUserDirectory>,
    pub(super) pages: Arc<dyn Pages>,
    pub(super) site: Site,
    pub(super) logins: Logins,
    pub(super) attempts: Attempts,
    pub(super) peer: Option<Peer>,
    /// Failures of one peer under any names.
    pub(super) peer_attempts: Attempts,
    /// What scopes allow, in words.
    pub(super) scopes: BTreeMap<String, String>,
    pub(super) path: String,
    /// Whether clients that are registered for it may have access tokens in the URL.
    pub(super) has_implicit_grant: bool,
}

/// A browser that comes with a request of a client.
struct Visit<'a> {
    client: Client,
    request: AuthorizationRequest,
    /// The query as the client made it.
    query: &'a str,
    /// The query with what was added to it.
    whole_query: &'a str,
    browser: BrowserId,
    is_new_browser: bool,
    login: Option<(Login, User)>,
    /// Whether they logged in because of this request.
    is_made_for_this: bool,
}

/// What stands in the way of a visit.
enum Stop {
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

impl AuthorizationEndpoint {
    pub(super) async fn answer<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let answered = match parts.method {
            Method::GET => self.show(parts).await,
            Method::POST => self.decide(parts, body).await,
            _ => {
                let mut answer = Response::new(ResponseBody::empty());
                *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                answer
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("GET, POST"));
                Ok(answer)
            }
        };
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

    async fn show(&self, parts: &Parts) -> Result<Answer, Stop> {
        let visit = self.visit(parts).await?;
        match self.next(&visit).await? {
            Step::Login => Ok(self.login_page(&visit, "", None)),
            Step::Consent => Ok(self.consent_page(&visit, false)),
            Step::Refuse(code) => Ok(self.back(&visit, authorize::Answer::Error(code, None))),
            Step::Grant => {
                let granted = self.granted(&visit).await?;
                Ok(self.back(&visit, granted.answer()))
            }
        }
    }

    async fn decide<B>(&self, parts: &Parts, body: B) -> Result<Answer, Stop>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if !self.site.is_own_form(&parts.headers) {
            return Ok(self.error(StatusCode::FORBIDDEN, Trouble::CrossSite, None));
        }
        let visit = self.visit(parts).await?;
        let form = match read(parts, body).await {
            Ok(form) => form,
            Err(refused) => {
                return Ok(self.error(refused.status(), Trouble::BadRequest, Some(refused.description())));
            }
        };
        match form.get("form") {
            Some("login") => self.login(&visit, &form, parts).await,
            Some("consent") => self.consent(&visit, &form).await,
            _ => Ok(self.error(
                StatusCode::BAD_REQUEST,
                Trouble::BadRequest,
                Some("It is a form of no page."),
            )),
        }
    }

    /// Who comes, with which request. Client and redirect URI are judged first.
    async fn visit<'a>(&self, parts: &'a Parts) -> Result<Visit<'a>, Stop> {
        let whole_query = parts.uri.query().unwrap_or_default();
        let (query, made_for) = match whole_query.rsplit_once(LOGGED_IN) {
            Some((query, proof)) => (query, Some(proof)),
            None => (whole_query, None),
        };
        let bad = |detail| self.error(StatusCode::BAD_REQUEST, Trouble::BadRequest, Some(detail));
        let parameters = Parameters::parse(query).ok_or_else(|| bad("The query of the request cannot be read."))?;
        let judged = match parameters.client_id() {
            Err(refused) => Err(refused),
            Ok(client_id) => {
                let client = self.clients.look_up(client_id).await?;
                let asking = client.as_ref().map(|client| Asking {
                    client,
                    has_implicit_grant: self.has_implicit_grant,
                });
                authorize::judge(&parameters, asking.as_ref()).map(|request| (client, request))
            }
        };
        let (client, request) = match judged {
            Ok((Some(client), request)) => (client, request),
            Ok((None, _)) => return Err(bad("There is no client of this client_id.").into()),
            Err(refused) => return Err(self.refused(&refused).into()),
        };
        let now = self.issuer.now().wall;
        let headers = &parts.headers;
        let known = self.site.cookie(headers, Cookie::Browser).and_then(BrowserId::parse);
        let is_new_browser = known.is_none();
        let browser = match known {
            Some(browser) => browser,
            None => BrowserId::draw()?,
        };
        let login = self.site.cookie(headers, Cookie::Login);
        let login = match login.and_then(|cookie| self.logins.read(cookie, now)) {
            None => None,
            Some(login) => self.still_good(login).await?,
        };
        let is_made_for_this = match (&login, made_for) {
            (Some((login, _)), Some(proof)) => self.logins.is_made_for(login, query, proof, now),
            _ => false,
        };
        Ok(Visit {
            client,
            request,
            query,
            whole_query,
            browser,
            is_new_browser,
            login,
            is_made_for_this,
        })
    }

    /// A log-in of somebody who may still log in, and was not logged out everywhere since.
    async fn still_good(&self, login: Login) -> Result<Option<(Login, User)>, Stop> {
        let user = self.users.find(&login.subject).await?.filter(|user| user.is_active);
        let is_current = self.issuer.logouts_of(&login.subject).await? == login.epoch;
        Ok(user.filter(|_| is_current).map(|user| (login, user)))
    }

    async fn next(&self, visit: &Visit<'_>) -> Result<Step, Stop> {
        let has_consent = match &visit.login {
            None => false,
            Some((login, _)) => self.has_consent(visit, login).await?,
        };
        let login = visit.login.as_ref().map(|(login, _)| login);
        let now = self.issuer.now().wall;
        Ok(next_step(
            &visit.request,
            login,
            visit.is_made_for_this,
            has_consent,
            now,
        ))
    }

    /// Whether they need not be asked again. A client that anybody can pretend to be is asked about every time, unless it is
    /// known by an `https` address that is its own (RFC 6749 §10.2, RFC 8252 §8.6).
    async fn has_consent(&self, visit: &Visit<'_>, login: &Login) -> Result<bool, Stop> {
        let AuthorizationRequest { scopes, resources, .. } = &visit.request;
        if visit.client.is_public() && visit.request.redirect_scheme() != "https" {
            return Ok(false);
        }
        let client_id = visit.client.id();
        Ok(self
            .issuer
            .has_consent(&login.subject, client_id, scopes, resources)
            .await?)
    }

    async fn login(&self, visit: &Visit<'_>, form: &Form, parts: &Parts) -> Result<Answer, Stop> {
        let (username, password) = (
            form.get("username").unwrap_or_default(),
            form.get("password").unwrap_or_default(),
        );
        let proof = form.get("proof").unwrap_or_default();
        if visit.is_new_browser || !self.logins.is_login_proof(&visit.browser, visit.query, proof) {
            return Ok(self.login_page(visit, username, Some(LoginProblem::OutOfDate)));
        }
        let now = self.issuer.now();
        let peer = self.peer.as_ref().and_then(|peer| peer(parts));
        // Each name has its own count, and each try costs a hash: whoever tries many names is stopped by where they come from.
        let of_peer = peer.as_ref().map(|peer| self.peer_attempts.begin(peer, now));
        let of_peer = match of_peer.transpose() {
            Ok(of_peer) => of_peer,
            Err(too_many) => return Ok(self.too_many(too_many)),
        };
        let peer = peer.unwrap_or_default();
        // As the directory compares it: another spelling is no further attempt. None has a line break in it.
        let name = Username::parse(username);
        let name = name.as_ref().map_or("", Username::as_str);
        let attempt = match self.attempts.begin(&format!("user\n{name}\n{peer}"), now) {
            Ok(attempt) => attempt,
            Err(too_many) => {
                // Nothing was hashed.
                of_peer.into_iter().for_each(Attempt::undecided);
                return Ok(self.too_many(too_many));
            }
        };
        let user = match self.users.authenticate(username, password).await {
            Ok(user) => user,
            Err(error) => {
                attempt.undecided();
                of_peer.into_iter().for_each(Attempt::undecided);
                return Err(error.into());
            }
        };
        let Some(user) = user else {
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
        let epoch = self.issuer.logouts_of(&user.subject).await?;
        let login = self.logins.start(&user.subject, epoch, now.wall)?;
        let made_for = self.logins.made_for(&login, visit.query);
        let location = format!("{}?{}{LOGGED_IN}{made_for}", self.path, visit.query);
        let mut answer =
            redirect(&location).ok_or_else(|| StoreError::new("the query has characters that no URL has"))?;
        // Whoever knew the browser's identifier before knows nothing any more.
        let cookies = [
            (Cookie::Login, self.logins.cookie(&login)?),
            (Cookie::Browser, BrowserId::draw()?.as_str().to_owned()),
        ];
        for (cookie, value) in cookies {
            let cookie = self.site.set(cookie, &value);
            let cookie = cookie.ok_or_else(|| StoreError::new("a cookie cannot be written"))?;
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(answer)
    }

    fn too_many(&self, too_many: TooMany) -> Answer {
        let wait = too_many.retry_after;
        let trouble = Trouble::TooManyAttempts { wait };
        let mut answer = self.error(StatusCode::TOO_MANY_REQUESTS, trouble, None);
        let seconds = wait.as_secs().saturating_add(1);
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        answer
    }

    async fn consent(&self, visit: &Visit<'_>, form: &Form) -> Result<Answer, Stop> {
        let login = visit.login.as_ref().map(|(login, _)| login);
        // With consent, is there anything else that is missing?
        let now = self.issuer.now().wall;
        let step = next_step(&visit.request, login, visit.is_made_for_this, true, now);
        let (Some(login), Step::Grant | Step::Consent) = (login, step) else {
            return Ok(self.login_page(visit, "", Some(LoginProblem::OutOfDate)));
        };
        let proof = form.get("proof").unwrap_or_default();
        if visit.is_new_browser || !self.logins.is_consent_proof(&visit.browser, login, visit.query, proof) {
            return Ok(self.consent_page(visit, true));
        }
        match form.get("decision") {
            Some("allow") => {
                let AuthorizationRequest { scopes, resources, .. } = &visit.request;
                let client_id = visit.client.id();
                let subject = &login.subject;
                self.issuer
                    .remember_consent(subject, client_id, scopes, resources)
                    .await?;
                let granted = self.granted(visit).await?;
                Ok(self.redirect(visit, granted.answer()))
            }
            Some("deny") => {
                let denied = authorize::Answer::Error(ErrorCode::AccessDenied, Some("the user has refused"));
                Ok(self.redirect(visit, denied))
            }
            Some("switch") => {
                let mut answer = self.login_page(visit, "", None);
                if let Some(cookie) = self.site.unset(Cookie::Login) {
                    answer.headers_mut().append(SET_COOKIE, cookie);
                }
                Ok(answer)
            }
            _ => Ok(self.consent_page(visit, true)),
        }
    }

    /// What the client gets.
    async fn granted(&self, visit: &Visit<'_>) -> Result<Granted, Stop> {
        let Some((login, _)) = &visit.login else {
            return Err(StoreError::new("nobody is logged in").into());
        };
        let auth_time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(login.auth_time);
        let mut tokens = TokenRequest::for_subject(visit.client.id(), &login.subject)
            .scope(visit.request.scopes.join(" "))?
            .audience(visit.request.resources.clone())
            .authenticated_at(auth_time);
        if visit.is_made_for_this {
            tokens = tokens.fresh();
        }
        let challenge = match &visit.request.asks_for {
            AsksFor::Code { challenge } => challenge,
            // RFC 6749 §4.2.2: "The authorization server MUST NOT issue a refresh token."
            AsksFor::Token => {
                let issued = self.issuer.issue(tokens.without_refresh_token()).await?;
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
        Ok(Granted::Code(self.issuer.issue_code(request).await?))
    }

    /// To the client, from a page that was asked for. After a log-in it is a page that leads on, because browsers hold
    /// redirects that follow the form with the password against that page's policy.
    fn back(&self, visit: &Visit<'_>, answer: authorize::Answer<'_>) -> Answer {
        if !visit.is_made_for_this {
            return self.redirect(visit, answer);
        }
        let url = visit.request.url(answer, self.issuer.issuer());
        let page = self.pages.go_on(&GoOnPage {
            client_name: visit.client.display_name(),
            url: &url,
        });
        html(StatusCode::OK, page, &Forms::Nowhere)
    }

    fn redirect(&self, visit: &Visit<'_>, answer: authorize::Answer<'_>) -> Answer {
        let url = visit.request.url(answer, self.issuer.issuer());
        redirect(&url).unwrap_or_else(|| self.error(StatusCode::BAD_REQUEST, Trouble::BadRequest, None))
    }

    fn refused(&self, refused: &Refused) -> Answer {
        let detail = match refused {
            Refused::Page(sentence) => Some(*sentence),
            Refused::Redirect { description, .. } => Some(*description),
        };
        refused
            .url(self.issuer.issuer())
            .and_then(|url| redirect(&url))
            .unwrap_or_else(|| self.error(StatusCode::BAD_REQUEST, Trouble::BadRequest, detail))
    }

    fn login_page(&self, visit: &Visit<'_>, username: &str, problem: Option<LoginProblem>) -> Answer {
        let proof = self.logins.login_proof(&visit.browser, visit.query);
        let page = self.pages.login(&LoginPage {
            client_name: visit.client.display_name(),
            action: &format!("{}?{}", self.path, visit.query),
            hidden: &hidden("login", &proof),
            username,
            problem,
        });
        let status = match problem {
            None => StatusCode::OK,
            Some(_) => StatusCode::FORBIDDEN,
        };
        self.with_browser(visit, html(status, page, &Forms::Here))
    }

    fn consent_page(&self, visit: &Visit<'_>, is_shown_again: bool) -> Answer {
        let Some((login, user)) = &visit.login else {
            return self.login_page(visit, "", None);
        };
        let proof = self.logins.consent_proof(&visit.browser, login, visit.query);
        let describe = |name: &'_ String| self.scopes.get(name).map(String::as_str);
        let scopes: Vec<_> = visit.request.scopes.iter().map(|name| (name, describe(name))).collect();
        let scopes: Vec<_> = scopes
            .iter()
            .map(|(name, description)| ScopeText {
                name,
                description: *description,
            })
            .collect();
        let page = self.pages.consent(&ConsentPage {
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
        let status = match is_shown_again {
            false => StatusCode::OK,
            true => StatusCode::FORBIDDEN,
        };
        self.with_browser(visit, html(status, page, &Forms::HereAndOnTo { scheme }))
    }

    fn with_browser(&self, visit: &Visit<'_>, mut answer: Answer) -> Answer {
        if visit.is_new_browser
            && let Some(cookie) = self.site.set(Cookie::Browser, visit.browser.as_str())
        {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
        answer
    }

    fn error(&self, status: StatusCode, trouble: Trouble, detail: Option<&str>) -> Answer {
        let page: Page = self.pages.error(&ErrorPage { trouble, detail });
        html(status, page, &Forms::Nowhere)
    }
}

/// What a client was given.
enum Granted {
    Code(String),
    Token(IssuedTokens),
}

impl Granted {
    fn answer(&self) -> authorize::Answer<'_> {
        match self {
            Self::Code(code) => authorize::Answer::Code(code),
            Self::Token(tokens) => authorize::Answer::Token(tokens),
        }
    }
}

fn hidden<'a>(form: &'a str, proof: &'a str) -> [HiddenField<'a>; 2] {
    [
        HiddenField {
            name: "form",
            value: form,
        },
        HiddenField {
            name: "proof",
            value: proof,
        },
    ]
}
