//! The response of a service that a layer stands in front of, or the layer's own.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{CACHE_CONTROL, COOKIE, VARY},
};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::endpoints::ResponseBody;

pin_project! {
    /// The body of the service's response, or of the layer's own.
    #[derive(Debug)]
    pub struct GuardedBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Own { #[pin] body: ResponseBody },
    }
}

impl<B> GuardedBody<B> {
    fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    fn own(body: ResponseBody) -> Self {
        Self {
            kind: Kind::Own { body },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for GuardedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Own { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Own { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Own { body } => body.size_hint(),
        }
    }
}

pin_project! {
    /// The response of the service behind a layer, or the layer's own.
    #[must_use = "futures do nothing unless polled"]
    pub struct GuardedFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Inner { #[pin] future: F, of_cookie: OfCookie },
        Refused { response: Option<Response<ResponseBody>> },
    }
}

/// What caches have to know of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfCookie {
    /// No cookie was looked for.
    NotAsked,
    /// There was none that counted. With one there might be another response.
    Without,
    /// It is an answer to a token in a cookie.
    With,
}

impl<F> GuardedFuture<F> {
    pub(super) fn inner(future: F, of_cookie: OfCookie) -> Self {
        Self {
            state: State::Inner { future, of_cookie },
        }
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        let response = Some(response);
        Self {
            state: State::Refused { response },
        }
    }
}

impl<F, B, E> Future for GuardedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<GuardedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future, of_cookie } => {
                let mut response = ready!(future.poll(cx))?;
                let headers = response.headers_mut();
                if *of_cookie != OfCookie::NotAsked {
                    headers.append(VARY, HeaderValue::from(COOKIE));
                }
                if *of_cookie == OfCookie::With {
                    make_private(headers);
                }
                Poll::Ready(Ok(response.map(GuardedBody::inner)))
            }
            StateProjection::Refused { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map(GuardedBody::own))),
                None => Poll::Pending,
            },
        }
    }
}

/// Keeps shared caches off an answer to a token that they do not notice: RFC 9111 §3.5 knows of `Authorization` alone. What
/// says neither more nor less than that the client may keep it, or nobody, stays; everything else gives way.
fn make_private(headers: &mut HeaderMap) {
    let targeted: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_for_shared_caches(name))
        .cloned()
        .collect();
    for name in targeted {
        headers.remove(name);
    }
    let said: Vec<&str> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .map(|field| field.to_str().unwrap_or("\""))
        .collect();
    let said = said.join(",");
    let directives: Vec<&str> = said.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    let is = |name: &str| directives.iter().any(|one| one.eq_ignore_ascii_case(name));
    // In quotation marks there may be anything.
    let is_plain = !said.contains('"') && !is("public") && !said.to_ascii_lowercase().contains("s-maxage");
    let value = match (is_plain, is("no-store") || is("private")) {
        (true, true) => return,
        (true, false) => HeaderValue::try_from([&["private"], &directives[..]].concat().join(", ")),
        (false, _) => Ok(HeaderValue::from_static("private")),
    };
    headers.insert(CACHE_CONTROL, value.unwrap_or(HeaderValue::from_static("private")));
}

/// RFC 9213 §2, and what was there before it.
fn is_for_shared_caches(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.ends_with("-cache-control") || ["surrogate-control", "x-accel-expires"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shared_cache_keeps_an_answer_to_a_cookie() {
        for (said, expected) in [
            (&[][..], "private"),
            (&["max-age=60"], "private, max-age=60"),
            (
                &["max-age=60", "must-revalidate"],
                "private, max-age=60, must-revalidate",
            ),
            (&["public, max-age=60"], "private"),
            (&["Private, s-maxage=60"], "private"),
            (&["S-MaxAge=60"], "private"),
            (&["no-store"], "no-store"),
            (&["private, max-age=60"], "private, max-age=60"),
            (&["private=\"set-cookie\", max-age=60"], "private"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("cdn-cache-control", HeaderValue::from_static("max-age=60"));
            for one in said {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(one));
            }
            make_private(&mut headers);
            let fields: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(fields, [expected], "{said:?}");
            assert!(!headers.contains_key("cdn-cache-control"));
        }
    }
}
