//! The form that a client posts.

use std::{collections::HashSet, fmt, time::Duration};

use bytes::{Buf as _, BufMut as _, BytesMut};
use http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body::Body;
use http_body_util::BodyExt as _;

use super::{BoxError, answer::OAuthError};
use crate::form_encoding::{self, Unreadable};

/// The longest form, in bytes.
const MAX_FORM: usize = 64 * 1024;

/// The most parameters in a form.
const MAX_PARAMETERS: usize = 100;

/// How long a form may take to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// The parameters that may be there more than once (RFC 8707 §2, RFC 8693 §2.1).
const MAY_REPEAT: [&str; 2] = ["resource", "audience"];

/// The parameters of a request, from a form that was posted. Those in the query are ignored (RFC 6749 §2.3.1, §3.2).
///
/// None is empty, since parameters without a value count as left out, and none is there twice, since that is refused
/// (RFC 6749 §3.2); but for `resource` and `audience`, which may be repeated. The `Debug` form shows names only.
#[derive(Clone, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// The value of a parameter; the first one where it may be repeated.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// All values of a parameter that may be repeated.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = move |(known, _): &&(String, String)| known == name;
        self.0.iter().filter(named).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that has to be there.
    pub(crate) fn require(&self, name: &str, problem: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::invalid_request(problem))
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, OAuthError> {
        let pairs = form_encoding::pairs(bytes, MAX_PARAMETERS).map_err(|unreadable| {
            OAuthError::invalid_request(match unreadable {
                Unreadable::TooMany => "the form has too many parameters",
                Unreadable::Malformed => "the form is not in the encoding of forms, or not UTF-8",
            })
        })?;
        // Also where one of them has no value: whoever stands between may go by the other.
        let mut names = HashSet::new();
        let mut once = pairs
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !MAY_REPEAT.contains(&name.as_str()));
        if !once.all(|name| names.insert(name)) {
            return Err(OAuthError::invalid_request("a parameter is there more than once"));
        }
        let has_value = |(_, value): &(String, String)| !value.is_empty();
        Ok(Self(pairs.into_iter().filter(has_value).collect()))
    }
}

/// Reads the form of a request: it is posted, of the media type for forms, no longer than 64 KiB, and there within ten
/// seconds.
pub(crate) async fn read<B>(parts: &Parts, body: B) -> Result<Form, OAuthError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    if parts.method != Method::POST {
        return Err(OAuthError::invalid_request("expected the method POST").with_status(StatusCode::METHOD_NOT_ALLOWED));
    }
    if !is_form(&parts.headers) {
        return Err(OAuthError::invalid_request(
            "expected a body of the type application/x-www-form-urlencoded",
        ));
    }
    let late = |_| OAuthError::invalid_request("the form took too long").with_status(StatusCode::REQUEST_TIMEOUT);
    let bytes = tokio::time::timeout(DEADLINE, whole(body)).await.map_err(late)??;
    Form::parse(&bytes)
}

async fn whole<B>(body: B) -> Result<BytesMut, OAuthError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let error: BoxError = error.into();
            tracing::debug!(target: "resource_protector_issuer::endpoints", error = %error, "a form broke off");
            OAuthError::invalid_request("the form cannot be read")
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.remaining() > MAX_FORM - whole.len() {
            return Err(OAuthError::invalid_request("the form is too long").with_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        whole.put(data);
    }
    Ok(whole)
}

/// Whether the body is said to be a form, whatever the parameters of its type.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(said), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = said.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };

    use bytes::Bytes;
    use http::Request;
    use http_body::Frame;
    use http_body_util::Full;

    use super::{super::ErrorCode, *};

    fn post(content_type: &str) -> Parts {
        let request = Request::post("/token?token=from-the-query").header(CONTENT_TYPE, content_type);
        request.body(()).unwrap().into_parts().0
    }

    async fn posted(body: impl Into<Bytes>) -> Result<Form, OAuthError> {
        read(&post("application/x-www-form-urlencoded"), Full::new(body.into())).await
    }

    /// A body that says this, once or for ever.
    struct Says(Option<Result<Frame<Bytes>, io::Error>>);

    impl Body for Says {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            match self.0.take() {
                Some(said) => Poll::Ready(Some(said)),
                None => Poll::Pending,
            }
        }
    }

    #[tokio::test]
    async fn parameters_are_decoded_and_those_without_value_are_left_out() {
        let form = posted("a=1+%C3%BC%26&b=&c&resource=x&resource=y").await.unwrap();
        assert_eq!(form.get("a"), Some("1 ü&"));
        assert_eq!((form.get("b"), form.get("c"), form.get("d")), (None, None, None));
        assert_eq!(form.get_all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[tokio::test]
    async fn parameters_in_the_query_are_ignored() {
        assert_eq!(posted("a=1").await.unwrap().get("token"), None);
    }

    #[tokio::test]
    async fn a_parameter_that_is_there_twice_is_refused_even_without_value() {
        for body in ["token=a&token=a", "token=&token=a", "token=a&%74oken=b"] {
            let error = posted(body).await.unwrap_err();
            assert_eq!(
                (error.status(), error.code()),
                (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_not_utf_8_in_the_encoding_of_forms_is_refused() {
        for body in [&b"token=%ff"[..], b"%ff=1", b"token=\xff", b"token=100%"] {
            let error = posted(body.to_vec()).await.unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        }
    }

    #[tokio::test]
    async fn other_methods_are_405_and_are_told_that_it_is_post() {
        for method in [Method::GET, Method::PUT, Method::HEAD] {
            let (mut parts, ()) = Request::new(()).into_parts();
            parts.method = method;
            let answer = read(&parts, Full::<Bytes>::default())
                .await
                .unwrap_err()
                .into_response();
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers()[http::header::ALLOW], "POST");
        }
    }

    #[tokio::test]
    async fn other_types_of_bodies_are_refused() {
        for other in ["application/json", "multipart/form-data; boundary=x", "text/plain", ""] {
            let error = read(&post(other), Full::<Bytes>::from("token=a")).await.unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{other}");
        }
        for same in [
            "Application/X-WWW-Form-URLencoded",
            "application/x-www-form-urlencoded ; charset=UTF-8",
        ] {
            assert!(
                read(&post(same), Full::<Bytes>::from("token=a")).await.is_ok(),
                "{same}"
            );
        }
    }

    #[tokio::test]
    async fn a_form_has_64_kib_and_100_parameters_at_the_most() {
        let longest = format!("a={}", "x".repeat(64 * 1024 - 2));
        assert!(posted(longest.clone()).await.is_ok());
        assert_eq!(
            posted(longest + "x").await.unwrap_err().status(),
            StatusCode::PAYLOAD_TOO_LARGE
        );
        let parameters = |number: usize| (0..number).map(|n| format!("p{n}=1&")).collect::<String>();
        assert!(posted(parameters(100)).await.is_ok());
        assert_eq!(
            posted(parameters(101)).await.unwrap_err().status(),
            StatusCode::BAD_REQUEST
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_that_does_not_come_is_waited_for_no_longer_than_10_s() {
        let start = tokio::time::Instant::now();
        let body = Says(Some(Ok(Frame::data(Bytes::from("token=")))));
        let error = read(&post("application/x-www-form-urlencoded"), body)
            .await
            .unwrap_err();
        assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test]
    async fn a_form_that_breaks_off_is_refused() {
        let body = Says(Some(Err(io::Error::other("secret=x"))));
        let error = read(&post("application/x-www-form-urlencoded"), body)
            .await
            .unwrap_err();
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn debug_shows_names_only() {
        let form = Form::parse(b"client_secret=s3cret").unwrap();
        assert_eq!(format!("{form:?}"), r#"{"client_secret"}"#);
    }
}
