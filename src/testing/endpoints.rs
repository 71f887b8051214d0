//! What the server answers, in process and over HTTP alike.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::issuer::{Asked, TestIssuer};
use crate::fetch::{Fetch, FetchError};

/// The server in process: reached under its own URL, and under no other.
impl Fetch for TestIssuer {
    async fn fetch(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, FetchError> {
        let origin = |uri: &Uri| (uri.scheme().cloned(), uri.authority().cloned());
        if origin(request.uri()) != origin(&self.0.origin) {
            return Err(FetchError::new(format_args!(
                "{} is the only host there is",
                self.url()
            )));
        }
        match self.answer(request).await {
            Some(response) if response.body().len() > max_body => Err(FetchError::new(format_args!(
                "the answer is longer than {max_body} bytes"
            ))),
            Some(response) => Ok(response),
            None => Err(FetchError::new("the test issuer is down")),
        }
    }
}

impl TestIssuer {
    /// The answer to a request, or `None` when the server is down.
    pub(super) async fn answer(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        self.count(&request);
        self.is_up().await.then(|| {
            self.scripted(request.uri().path())
                .unwrap_or_else(|| self.true_answer(&request))
        })
    }

    /// The metadata document (RFC 8414 §2, OpenID Connect Discovery 1.0 §3), so far as a resource server needs it.
    pub fn metadata(&self) -> String {
        let url = self.url().trim_end_matches('/');
        json!({
            "issuer": self.url(),
            "jwks_uri": format!("{url}/jwks"),
            "introspection_endpoint": format!("{url}/introspect"),
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.signing_key().algorithm.name],
        })
        .to_string()
    }

    fn count(&self, request: &Request<Bytes>) {
        let mut state = self.state();
        let path = request.uri().path().to_owned();
        let times = state.asked.get(&path).map_or(0, |asked| asked.times) + 1;
        let last = request.clone();
        state.asked.insert(path, Asked { times, last });
    }

    fn scripted(&self, path: &str) -> Option<Response<Bytes>> {
        let mut state = self.state();
        let scripted = state.scripted.get_mut(path)?;
        scripted.next.pop_front().or_else(|| scripted.always.clone())
    }

    fn true_answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let base = self.0.origin.path().trim_end_matches('/');
        let path = request.uri().path();
        let below_issuer = path.strip_prefix(base);
        // RFC 8414 §3.1 inserts the well-known part before the issuer's path, OpenID Connect Discovery 1.0 §4 appends
        // it. Either document is found either way.
        let inserted = path.strip_suffix(base);
        let is_metadata = |place| {
            matches!(
                place,
                Some("/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration")
            )
        };
        if is_metadata(inserted) || is_metadata(below_issuer) {
            return get_only(request, || json_response(StatusCode::OK, self.metadata()));
        }
        match below_issuer {
            Some("/jwks") => get_only(request, || {
                let mut response = json_response(StatusCode::OK, self.jwks());
                if let Some(value) = self.state().jwks_cache_control.clone() {
                    response.headers_mut().insert(header::CACHE_CONTROL, value);
                }
                response
            }),
            Some("/introspect") => self.introspect(request),
            _ => error_response(StatusCode::NOT_FOUND, "not_found"),
        }
    }
}

fn get_only(request: &Request<Bytes>, answer: impl FnOnce() -> Response<Bytes>) -> Response<Bytes> {
    if request.method() == Method::GET {
        answer()
    } else {
        error_response(StatusCode::METHOD_NOT_ALLOWED, "invalid_request")
    }
}

pub(super) fn json_response(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

pub(super) fn error_response(status: StatusCode, error: &str) -> Response<Bytes> {
    let body: Value = json!({ "error": error });
    json_response(status, body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(issuer: &TestIssuer, url: &str) -> Response<Bytes> {
        let request = Request::get(url).body(Bytes::new()).unwrap();
        issuer.fetch(request, 100_000).await.unwrap()
    }

    #[tokio::test]
    async fn metadata_is_found_inserted_before_and_appended_to_the_issuers_path() {
        let issuer = TestIssuer::new("https://auth.test/tenant/");
        for url in [
            "https://auth.test/.well-known/oauth-authorization-server/tenant",
            "https://auth.test/.well-known/openid-configuration/tenant",
            "https://auth.test/tenant/.well-known/oauth-authorization-server",
            "https://auth.test/tenant/.well-known/openid-configuration",
        ] {
            let metadata: Value = serde_json::from_slice(get(&issuer, url).await.body()).unwrap();
            assert_eq!(metadata["issuer"], "https://auth.test/tenant/", "{url}");
            assert_eq!(metadata["jwks_uri"], "https://auth.test/tenant/jwks", "{url}");
        }
        let elsewhere = get(&issuer, "https://auth.test/.well-known/openid-configuration").await;
        assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            get(&issuer, "https://auth.test/tenant/jwks").await.body(),
            &issuer.jwks()
        );
    }

    #[tokio::test]
    async fn the_key_set_says_how_long_it_may_be_kept() {
        let issuer = TestIssuer::new("https://auth.test");
        let keys = get(&issuer, "https://auth.test/jwks").await;
        assert_eq!(keys.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(keys.headers()[header::CACHE_CONTROL], "max-age=600");
        issuer.set_jwks_cache_control(None);
        let keys = get(&issuer, "https://auth.test/jwks").await;
        assert!(!keys.headers().contains_key(header::CACHE_CONTROL));
    }

    #[tokio::test]
    async fn no_other_host_is_reached_in_process() {
        let issuer = TestIssuer::new("https://auth.test");
        for url in [
            "https://auth.test:8443/jwks",
            "http://auth.test/jwks",
            "https://evil.test/jwks",
            "/jwks",
        ] {
            let request = Request::get(url).body(Bytes::new()).unwrap();
            assert!(issuer.fetch(request, 100_000).await.is_err(), "{url}");
        }
        assert_eq!(issuer.requests("/jwks"), 0);
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_no_answer() {
        let issuer = TestIssuer::new("https://auth.test");
        let request = Request::get("https://auth.test/jwks").body(Bytes::new()).unwrap();
        assert!(issuer.fetch(request, issuer.jwks().len() - 1).await.is_err());
    }

    #[tokio::test]
    async fn a_scripted_answer_is_given_once_or_until_it_is_cleared() {
        let issuer = TestIssuer::new("https://auth.test");
        let url = "https://auth.test/jwks";
        let odd = |body: &'static str| Response::new(Bytes::from(body));
        issuer.respond_at("/jwks", odd("always"));
        issuer.respond_once_at("/jwks", odd("once"));
        assert_eq!(get(&issuer, url).await.body(), "once");
        assert_eq!(get(&issuer, url).await.body(), "always");
        assert_eq!(get(&issuer, url).await.body(), "always");
        issuer.respond_normally_at("/jwks");
        assert_eq!(get(&issuer, url).await.body(), &issuer.jwks());
        assert_eq!(issuer.requests("/jwks"), 4);
    }

    #[tokio::test]
    async fn a_stalled_server_takes_the_request_and_answers_when_it_comes_back() {
        let issuer = TestIssuer::new("https://auth.test");
        issuer.stall();
        let mut waiting = std::pin::pin!(get(&issuer, "https://auth.test/jwks"));
        let mut now = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut now).is_pending());
        assert_eq!(issuer.requests("/jwks"), 1);
        issuer.come_back();
        assert_eq!(waiting.await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_server_that_is_down_answers_nothing_until_it_comes_back() {
        let issuer = TestIssuer::new("https://auth.test");
        issuer.go_down();
        let request = || Request::get("https://auth.test/jwks").body(Bytes::new()).unwrap();
        assert!(issuer.fetch(request(), 100_000).await.is_err());
        issuer.come_back();
        assert!(issuer.fetch(request(), 100_000).await.is_ok());
        assert_eq!(issuer.requests("/jwks"), 2);
    }
}
