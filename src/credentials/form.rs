//! A token in a form: the one place that needs the body, and so a layer of its own.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, header, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Credentials, FormBody, Place, at_most_one,
    form_body::{Reading, Unread},
    query,
};

/// The longest form that is searched, unless set otherwise.
const DEFAULT_MAX_LENGTH: usize = 64 * 1024;

/// Looks for the token in forms, too: in their parameter `access_token` (RFC 6750 §2.2).
///
/// It stands in front, outside of the [`ResourceProtectorLayer`](crate::ResourceProtectorLayer), which judges what it
/// finds; inside of it, it has no effect. A form is a `POST`, `PUT` or `PATCH` with the one content type
/// `application/x-www-form-urlencoded` and no content coding; of nothing else the body is touched. A form with a token
/// is ASCII throughout. The body is handed on as it came, the token in it.
///
/// ```
/// use axum::{Router, routing::post};
/// use resource_protector::{FormTokenLayer, JwtValidator, ResourceProtectorLayer};
///
/// # fn main() -> Result<(), resource_protector::SetupError> {
/// let tokens = JwtValidator::discover("https://auth.example.com", "https://api.example.com")?;
/// let app: Router = Router::new()
///     .route("/orders", post(|| async { "ordered" }))
///     .layer(ResourceProtectorLayer::new(tokens))
///     .layer(FormTokenLayer::new());
/// # Ok(())
/// # }
/// ```
///
/// Every form is read into memory before the protector decides, up to [`max_length`](Self::max_length); a longer one is
/// refused by the protector with 413, even if it has a good token somewhere else, because a token in the form as well
/// would make it a 400. The layer itself refuses nothing: routes without a protector get any form. A body that arrives
/// slowly or never ends is waited for, so put a time-out outside, as for any service that reads bodies. Meanwhile the
/// request holds no capacity of the services further in.
///
/// RFC 6750 §2.2 wants it only where a browser cannot send an `Authorization` field. In the body the token is seen by
/// the handler, and by whatever logs bodies.
#[derive(Clone, Copy, Debug)]
pub struct FormTokenLayer {
    max_length: usize,
}

impl FormTokenLayer {
    /// Searches forms of up to 64 KiB.
    pub fn new() -> Self {
        Self {
            max_length: DEFAULT_MAX_LENGTH,
        }
    }

    /// The longest form that is searched, in bytes. Longer ones are refused with 413, if possible without reading them.
    #[must_use]
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.max_length = bytes;
        self
    }
}

impl Default for FormTokenLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for FormTokenLayer {
    type Service = FormTokenService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FormTokenService { inner, layer: *self }
    }
}

/// The service that [`FormTokenLayer`] makes.
#[derive(Clone, Debug)]
pub struct FormTokenService<S> {
    inner: S,
    layer: FormTokenLayer,
}

impl<S, B> Service<Request<B>> for FormTokenService<S>
where
    S: Service<Request<FormBody<B>>> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FormTokenFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        // What a layer further out has found is not ours.
        parts.extensions.remove::<InForm>();
        let limit = self.layer.max_length;
        let is_form = is_form(&parts);
        if is_form && body.size_hint().lower() <= limit as u64 {
            // The service that was polled ready gives its reservation back while the client takes its time.
            let clone = self.inner.clone();
            drop(mem::replace(&mut self.inner, clone));
            let state = State::Reading {
                reading: Reading::new(body, limit),
                waiting: Some((parts, self.inner.clone())),
            };
            return FormTokenFuture { state };
        }
        if is_form {
            parts.extensions.insert(InForm::TooLong);
        }
        let request = Request::from_parts(parts, FormBody::untouched(body));
        FormTokenFuture {
            state: State::Inner {
                future: self.inner.call(request),
            },
        }
    }
}

/// "The HTTP request method is one for which the request-body has defined semantics", "single-part" (RFC 6750 §2.2).
fn is_form(request: &Parts) -> bool {
    if !matches!(request.method, Method::POST | Method::PUT | Method::PATCH) {
        return false;
    }
    let Ok(Some(sent)) = at_most_one(request.headers.get_all(header::CONTENT_TYPE).iter()) else {
        return false;
    };
    let media_type = sent.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
    media_type
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        && !request.headers.contains_key(header::CONTENT_ENCODING)
}

/// What a form says, on its way to the protector. It stays there for a protector further in, as the other places do.
#[derive(Clone)]
enum InForm {
    Nothing,
    Token(Arc<str>),
    Malformed(&'static str),
    TooLong,
}

impl InForm {
    fn of(form: &[u8]) -> Self {
        match query::access_token(form) {
            Err(()) => Self::Malformed("access_token stands twice in the form"),
            Ok(None) => Self::Nothing,
            // RFC 6750 §2.2: "The content to be encoded in the entity-body MUST consist entirely of ASCII characters."
            Ok(Some(_)) if !form.is_ascii() => Self::Malformed("the form is not ASCII"),
            Ok(Some(token)) => Self::Token(token.into()),
        }
    }
}

/// What the layer has left, if there is one.
pub(super) fn read(request: &Parts, limit: usize) -> Credentials<'_> {
    match request.extensions.get::<InForm>() {
        None | Some(InForm::Nothing) => Credentials::Absent,
        Some(InForm::Malformed(why)) => Credentials::Malformed(why),
        Some(InForm::TooLong) => Credentials::TooLong,
        Some(InForm::Token(token)) => {
            let why = "access_token in the form is something else than a token68, or too long";
            Credentials::of_token((&**token).into(), Place::Form, limit, why)
        }
    }
}

pin_project! {
    /// The response of the service behind the layer.
    pub struct FormTokenFuture<S, B>
    where
        S: Service<Request<FormBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B: Body, F> {
        Reading {
            reading: Reading<B>,
            waiting: Option<(Parts, S)>,
        },
        Readying {
            request: Option<Request<FormBody<B>>>,
            inner: S,
        },
        Inner { #[pin] future: F },
    }
}

impl<S, B> Future for FormTokenFuture<S, B>
where
    S: Service<Request<FormBody<B>>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Reading { reading, waiting } => {
                    ready!(reading.poll(cx));
                    let Some((mut parts, inner)) = waiting.take() else {
                        return Poll::Pending;
                    };
                    parts.extensions.insert(match reading.whole() {
                        Ok(form) => InForm::of(form),
                        Err(Unread::TooLong) => InForm::TooLong,
                        Err(Unread::Broken) => InForm::Malformed("the form broke off"),
                    });
                    State::Readying {
                        request: Some(Request::from_parts(parts, reading.hand_on())),
                        inner,
                    }
                }
                StateProjection::Readying { request, inner } => {
                    ready!(inner.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    State::Inner {
                        future: inner.call(request),
                    }
                }
                StateProjection::Inner { future } => return future.poll(cx),
            };
            this.state.set(next);
        }
    }
}
