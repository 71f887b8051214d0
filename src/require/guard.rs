//! A tower layer that lets through only what meets a requirement.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Extensions, Method, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Demands, Requirement};
use crate::{
    audit,
    error::{SetupError, at_start},
    protector::{Anonymous, RefusalBody},
    rejection::{Form, Forms, Rejection, RejectionKind},
    token::CurrentToken,
};

/// Guards a route, a router, or a gRPC service: only tokens that meet a [`Requirement`] get through.
///
/// It stands inside a [`ResourceProtectorLayer`](crate::ResourceProtectorLayer), which finds the token. Without one
/// outside, it lets nothing through: it answers 500 and logs an error, so that a forgotten protector shows at once.
///
/// A request without credentials, which an [optional](crate::ResourceProtectorLayer::optional) protector lets in, is
/// refused here with 401, unless the guard is made with [`or_anonymous`](Self::or_anonymous).
#[derive(Clone, Debug)]
pub struct RequireLayer {
    demand: Arc<Demand>,
    or_anonymous: bool,
}

#[derive(Debug)]
enum Demand {
    Always(Arc<Requirement>),
    ByPath {
        paths: HashMap<String, Arc<Requirement>>,
        otherwise: Arc<Requirement>,
    },
}

/// Demands all scopes of a space-separated list; usually just one.
///
/// ```
/// use axum::{Router, routing::get};
/// use resource_protector::require_scope;
///
/// let app: Router = Router::new().route("/me", get(|| async { "hello" }).layer(require_scope("profile")));
/// ```
///
/// # Panics
///
/// When the scope is blank or has a character that scopes cannot have: meant for literals, at start. For what comes
/// from configuration, use [`Requirement::scope`] with [`require`].
#[track_caller]
pub fn require_scope(scope: impl AsRef<str>) -> RequireLayer {
    require(at_start(Requirement::scope(scope)))
}

/// Demands all of these scopes; none of them: just a valid token.
///
/// # Panics
///
/// As [`require_scope`]; the fallible twin is [`Requirement::scopes`].
#[track_caller]
pub fn require_scopes<I>(scopes: I) -> RequireLayer
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    require(at_start(Requirement::scopes(scopes)))
}

/// Demands any of these alternatives, each a space-separated list of scopes that are all needed.
///
/// # Panics
///
/// As [`require_scope`], and when there is no alternative; the fallible twin is [`Requirement::any_scope`].
#[track_caller]
pub fn require_any_scope<I>(alternatives: I) -> RequireLayer
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    require(at_start(Requirement::any_scope(alternatives)))
}

/// Demands a valid token, whatever it grants.
pub fn require_token() -> RequireLayer {
    require(Requirement::valid_token())
}

/// Demands what the requirement says.
pub fn require(requirement: Requirement) -> RequireLayer {
    RequireLayer {
        demand: Arc::new(Demand::Always(Arc::new(requirement))),
        or_anonymous: false,
    }
}

/// Demands what is said for exactly this path, and `otherwise` for every other: one guard for the methods of a gRPC
/// service.
///
/// ```
/// use resource_protector::{Requirement, require_by_path};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let guard = require_by_path(
///     Requirement::scope("admin")?,
///     [("/helloworld.Greeter/SayHello", Requirement::scope("greet")?)],
/// )?;
/// # Ok(())
/// # }
/// ```
///
/// Paths are compared byte for byte with the request's, as gRPC writes them. For paths that people write, which may be
/// spelt in several ways, use the router's own matching and one guard per route.
///
/// # Errors
///
/// When a path does not begin with `/` or stands twice.
pub fn require_by_path<I, P>(otherwise: Requirement, paths: I) -> Result<RequireLayer, SetupError>
where
    I: IntoIterator<Item = (P, Requirement)>,
    P: Into<String>,
{
    let mut by_path = HashMap::new();
    for (path, requirement) in paths {
        let path = path.into();
        if !path.starts_with('/') {
            return Err(SetupError::new(
                "paths",
                format_args!("expected a path that begins with /, got {path:?}"),
            ));
        }
        if by_path.contains_key(&path) {
            return Err(SetupError::new(
                "paths",
                format_args!("{path:?} stands twice; join its requirements by `and`"),
            ));
        }
        by_path.insert(path, Arc::new(requirement));
    }
    Ok(RequireLayer {
        demand: Arc::new(Demand::ByPath {
            paths: by_path,
            otherwise: Arc::new(otherwise),
        }),
        or_anonymous: false,
    })
}

impl RequireLayer {
    /// Lets a request without credentials pass, where the protector does; a token that is there is still judged.
    #[must_use]
    pub fn or_anonymous(mut self) -> Self {
        self.or_anonymous = true;
        self
    }

    fn requirement(&self, path: &str) -> &Arc<Requirement> {
        match &*self.demand {
            Demand::Always(requirement) => requirement,
            Demand::ByPath { paths, otherwise } => paths.get(path).unwrap_or(otherwise),
        }
    }

    /// The guard's decision: what it demanded of a request that may pass, or the refusal.
    fn judge<B>(&self, request: &Request<B>) -> Result<Demanded, Rejection> {
        let requirement = self.requirement(request.uri().path());
        let extensions = request.extensions();
        let token = extensions.get::<CurrentToken>();
        match (token, extensions.get::<Anonymous>()) {
            (Some(token), _) => token.require(requirement)?,
            // A layer between may have made another method of it, and then it is no preflight any more.
            (None, Some(Anonymous::Preflight)) if request.method() == Method::OPTIONS => {}
            (None, Some(Anonymous::NoCredentials)) if self.or_anonymous => {}
            (None, Some(Anonymous::NoCredentials | Anonymous::Preflight)) => {
                let mut rejection = Rejection::no_credentials("this route is not open to the anonymous");
                rejection.demand(requirement.demands(None));
                return Err(rejection);
            }
            (None, None) => {
                return Err(Rejection::misconfigured(
                    "a guard found neither a token nor an anonymous request: put ResourceProtectorLayer outside of it",
                ));
            }
        }
        Ok(Demanded {
            requirement: Arc::clone(requirement),
            token: token.cloned(),
        })
    }
}

/// What a guard demanded of the request it let pass.
#[derive(Debug)]
struct Demanded {
    requirement: Arc<Requirement>,
    token: Option<CurrentToken>,
}

impl Demanded {
    fn demands(&self) -> Demands {
        self.requirement.demands(self.token.as_ref())
    }
}

/// Adds the demands of a layer to a refusal that passes by, so that the client learns all of them at once.
pub(crate) fn add_demand(extensions: &mut Extensions, demands: impl FnOnce() -> Demands) {
    let passing = extensions.get_mut::<Rejection>().filter(|rejection| {
        let names_them = matches!(
            rejection.kind(),
            RejectionKind::InsufficientScope | RejectionKind::InsufficientAuthentication | RejectionKind::NoCredentials
        );
        names_them && !rejection.is_rendered()
    });
    if let Some(rejection) = passing {
        rejection.demand(demands());
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService {
            inner,
            guard: self.clone(),
        }
    }
}

/// The service that [`RequireLayer`] makes.
#[derive(Clone, Debug)]
pub struct RequireService<S> {
    inner: S,
    guard: RequireLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<RefusalBody<ResBody>>;
    type Error = S::Error;
    type Future = RequireFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let state = match self.guard.judge(&request) {
            Ok(demanded) => State::Inner {
                future: self.inner.call(request),
                demanded,
            },
            Err(mut rejection) => {
                audit::refused(
                    &mut rejection,
                    Some((request.method(), request.uri())),
                    request.extensions().get(),
                );
                let form = Forms::default().of_request(request.method(), request.version(), request.headers());
                State::Refused {
                    refusal: Some((rejection, form)),
                }
            }
        };
        RequireFuture { state }
    }
}

pin_project! {
    /// The response of a guarded service, or the guard's refusal.
    pub struct RequireFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Inner {
            #[pin]
            future: F,
            demanded: Demanded,
        },
        Refused { refusal: Option<(Rejection, Form)> },
    }
}

impl<F, B, E> Future for RequireFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<RefusalBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future, demanded } => {
                let mut response = ready!(future.poll(cx))?;
                add_demand(response.extensions_mut(), || demanded.demands());
                Poll::Ready(Ok(response.map(RefusalBody::inner)))
            }
            StateProjection::Refused { refusal } => match refusal.take() {
                Some((rejection, form)) => Poll::Ready(Ok(rejection.by_itself(form))),
                None => Poll::Pending,
            },
        }
    }
}
