//! The authorization endpoint: who it is, whether the client may, and back to the client (RFC 6749 §3.1).

use std::{collections::BTreeMap, sync::Arc};

use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, RETRY_AFTER, SET_COOKIE},
    request::Parts,
};
use http_body::Body;
use http_body_util::Full;
use resource_protector::StoreError;

use super::{
    authorize::{self, Asking, AsksFor, AuthorizationRequest, ErrorCode, Parameters, Refused, Step, next_step},
    browser::{BrowserId, Cookie, Site},
    headers::{Forms, html, redirect},
    pages::{
        ConsentPage, ErrorPage, GoOnPage, HiddenField, Page, Pages, ScopeText, SignInPage, SignInProblem, Trouble,
    },
    sign_in::{LogIn, LogIns},
};
use crate::{
    attempts::{Attempt, Attempts, TooMany},
    clients::{AnyClients, Client},
    endpoints::{Answer, BoxError, Form, read},
    grants,
    tokens::{CodeRequest, IssuedTokens, TokenError, TokenIssuer, TokenRequest},
    users::{AnyUserDirectory, User, Username},
};

/// What is added to the query when somebody has logged in because the request asked for it.
const SIGNED_IN: &str = "&signed_in=";

/// Where a request comes from, as far as the application says.
pub(super) type Peer = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

pub(super) struct AuthorizationEndpoint {
    pub(super) issuer: TokenIssuer,
    pub(super) clients: Arc<dyn AnyClients>,
    pub(super) users: Arc<dyn AnyUserDirectory>,
    pub(super) pages: Arc<dyn Pages>,
    pub(super) site: Site,
    pub(super) log_ins: LogIns,
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
    log_in: Option<(LogIn, User)>,
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
                let mut answer = Response::new(Full::default());
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
            Step::SignIn => Ok(self.sign_in_page(&visit, "", None)),
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
            Some("sign_in") => self.sign_in(&visit, &form, parts).await,
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
        let (query, made_for) = match whole_query.rsplit_once(SIGNED_IN) {
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
        let log_in = self.site.cookie(headers, Cookie::LogIn);
        let log_in = match log_in.and_then(|cookie| self.log_ins.read(cookie, now)) {
            None => None,
            Some(log_in) => self.still_good(log_in).await?,
        };
        let is_made_for_this = match (&log_in, made_for) {
            (Some((log_in, _)), Some(proof)) => self.log_ins.is_made_for(log_in, query, proof, now),
            _ => false,
        };
        Ok(Visit {
            client,
            request,
            query,
            whole_query,
            browser,
            is_new_browser,
            log_in,
            is_made_for_this,
        })
    }

    /// A log-in of somebody who may still log in, and was not logged out everywhere since.
    async fn still_good(&self, log_in: LogIn) -> Result<Option<(LogIn, User)>, Stop> {
        let user = self.users.find(&log_in.subject).await?.filter(|user| user.is_active);
        let is_current = self.issuer.logouts_of(&log_in.subject).await? == log_in.epoch;
        Ok(user.filter(|_| is_current).map(|user| (log_in, user)))
    }

    async fn next(&self, visit: &Visit<'_>) -> Result<Step, Stop> {
        let has_consent = match &visit.log_in {
            None => false,
            Some((log_in, _)) => self.has_consent(visit, log_in).await?,
        };
        let log_in = visit.log_in.as_ref().map(|(log_in, _)| log_in);
        let now = self.issuer.now().wall;
        Ok(next_step(
            &visit.request,
            log_in,
            visit.is_made_for_this,
            has_consent,
            now,
        ))
    }

    /// Whether they need not be asked again. A client that anybody can pretend to be is asked about every time, unless it is
    /// known by an `https` address that is its own (RFC 6749 §10.2, RFC 8252 §8.6).
    async fn has_consent(&self, visit: &Visit<'_>, log_in: &LogIn) -> Result<bool, Stop> {
        let AuthorizationRequest { scopes, resources, .. } = &visit.request;
        if visit.client.is_public() && visit.request.redirect_scheme() != "https" {
            return Ok(false);
        }
        let client_id = visit.client.id();
        Ok(self
            .issuer
            .has_consent(&log_in.subject, client_id, scopes, resources)
            .await?)
    }

    async fn sign_in(&self, visit: &Visit<'_>, form: &Form, parts: &Parts) -> Result<Answer, Stop> {
        let (username, password) = (
            form.get("username").unwrap_or_default(),
            form.get("password").unwrap_or_default(),
        );
        let proof = form.get("proof").unwrap_or_default();
        if visit.is_new_browser || !self.log_ins.is_sign_in_proof(&visit.browser, visit.query, proof) {
            return Ok(self.sign_in_page(visit, username, Some(SignInProblem::OutOfDate)));
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
                event = "sign_in_refused",
                client_id = visit.client.id(),
                "a username or a password was wrong"
            );
            return Ok(self.sign_in_page(visit, username, Some(SignInProblem::Refused)));
        };
        attempt.succeeded();
        // It does not count, and makes up for nothing: a stranger may have an account, too.
        of_peer.into_iter().for_each(Attempt::undecided);
        let epoch = self.issuer.logouts_of(&user.subject).await?;
        let log_in = self.log_ins.start(&user.subject, epoch, now.wall)?;
        let made_for = self.log_ins.made_for(&log_in, visit.query);
        let location = format!("{}?{}{SIGNED_IN}{made_for}", self.path, visit.query);
        let mut answer =
            redirect(&location).ok_or_else(|| StoreError::new("the query has characters that no URL has"))?;
        // Whoever knew the browser's identifier before knows nothing any more.
        let cookies = [
            (Cookie::LogIn, self.log_ins.cookie(&log_in)?),
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
        let log_in = visit.log_in.as_ref().map(|(log_in, _)| log_in);
        // With consent, is there anything else that is missing?
        let now = self.issuer.now().wall;
        let step = next_step(&visit.request, log_in, visit.is_made_for_this, true, now);
        let (Some(log_in), Step::Grant | Step::Consent) = (log_in, step) else {
            return Ok(self.sign_in_page(visit, "", Some(SignInProblem::OutOfDate)));
        };
        let proof = form.get("proof").unwrap_or_default();
        if visit.is_new_browser
            || !self
                .log_ins
                .is_consent_proof(&visit.browser, log_in, visit.query, proof)
        {
            return Ok(self.consent_page(visit, true));
        }
        match form.get("decision") {
            Some("allow") => {
                let AuthorizationRequest { scopes, resources, .. } = &visit.request;
                let client_id = visit.client.id();
                let subject = &log_in.subject;
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
                let mut answer = self.sign_in_page(visit, "", None);
                if let Some(cookie) = self.site.unset(Cookie::LogIn) {
                    answer.headers_mut().append(SET_COOKIE, cookie);
                }
                Ok(answer)
            }
            _ => Ok(self.consent_page(visit, true)),
        }
    }

    /// What the client gets.
    async fn granted(&self, visit: &Visit<'_>) -> Result<Granted, Stop> {
        let Some((log_in, _)) = &visit.log_in else {
            return Err(StoreError::new("nobody is logged in").into());
        };
        let auth_time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(log_in.auth_time);
        let mut tokens = TokenRequest::for_subject(visit.client.id(), &log_in.subject)
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

    fn sign_in_page(&self, visit: &Visit<'_>, username: &str, problem: Option<SignInProblem>) -> Answer {
        let proof = self.log_ins.sign_in_proof(&visit.browser, visit.query);
        let page = self.pages.sign_in(&SignInPage {
            client_name: visit.client.display_name(),
            action: &format!("{}?{}", self.path, visit.query),
            hidden: &hidden("sign_in", &proof),
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
        let Some((log_in, user)) = &visit.log_in else {
            return self.sign_in_page(visit, "", None);
        };
        let proof = self.log_ins.consent_proof(&visit.browser, log_in, visit.query);
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
