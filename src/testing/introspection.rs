//! The introspection endpoint (RFC 7662).

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    endpoints::{error_response, json_response},
    issuer::TestIssuer,
};

/// Why a request is not answered: RFC 6749 §5.2.
enum Refused {
    BadRequest,
    BadClient,
}

impl TestIssuer {
    pub(super) fn introspect(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let mut response = match self.introspection_answer(request) {
            Ok(answer) => json_response(StatusCode::OK, answer.to_string()),
            Err(Refused::BadRequest) => error_response(StatusCode::BAD_REQUEST, "invalid_request"),
            Err(Refused::BadClient) => {
                let mut response = error_response(StatusCode::UNAUTHORIZED, "invalid_client");
                let challenge = HeaderValue::from_static("Basic realm=\"introspection\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
        };
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, no_store);
        response
    }

    fn introspection_answer(&self, request: &Request<Bytes>) -> Result<Value, Refused> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_form = content_type.is_some_and(|value| value == "application/x-www-form-urlencoded");
        if request.method() != Method::POST || !is_form {
            return Err(Refused::BadRequest);
        }
        let body = std::str::from_utf8(request.body()).map_err(|_| Refused::BadRequest)?;
        let form = Form::parse(body).ok_or(Refused::BadRequest)?;
        let client = client(request.headers(), &form)?;
        if client != self.state().client {
            return Err(Refused::BadClient);
        }
        let token = form.only("token")?.ok_or(Refused::BadRequest)?;
        Ok(self.what_is_known(token))
    }

    /// RFC 7662 §2.2: of a token that is not active, nothing else is told.
    fn what_is_known(&self, token: &str) -> Value {
        let now = self.now();
        let state = self.state();
        match state.tokens.get(token) {
            Some(claims) if is_current(claims, now) => {
                let mut answer = Map::new();
                answer.insert("active".to_owned(), true.into());
                answer.insert("token_type".to_owned(), "Bearer".into());
                answer.extend(claims.clone());
                answer.into()
            }
            _ => json!({ "active": false }),
        }
    }
}

/// Whether it is time for a token. A time that is none, because the test wants it so, does not count.
fn is_current(claims: &Map<String, Value>, now: SystemTime) -> bool {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64();
    let time = |name| claims.get(name).and_then(Value::as_f64);
    time("exp").is_none_or(|expiry| now < expiry) && time("nbf").is_none_or(|start| start <= now)
}

/// Who asks (RFC 6749 §2.3.1): `client_secret_basic` or `client_secret_post`, and not both.
fn client(headers: &HeaderMap, form: &Form) -> Result<(String, String), Refused> {
    let posted = (form.only("client_id")?, form.only("client_secret")?);
    match (headers.get(header::AUTHORIZATION), posted) {
        (Some(_), (_, Some(_))) => Err(Refused::BadRequest),
        (Some(header), _) => header.to_str().ok().and_then(basic).ok_or(Refused::BadClient),
        (None, (Some(id), Some(secret))) => Ok((id.to_owned(), secret.to_owned())),
        (None, _) => Err(Refused::BadClient),
    }
}

/// RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

/// `application/x-www-form-urlencoded`.
struct Form(Vec<(String, String)>);

impl Form {
    fn parse(body: &str) -> Option<Self> {
        let fields = body.split('&').filter(|field| !field.is_empty()).map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            Some((form_decode(name)?, form_decode(value)?))
        });
        fields.collect::<Option<_>>().map(Self)
    }

    /// The value of a field, which may be there only once (RFC 6749 §3.2).
    fn only(&self, name: &str) -> Result<Option<&str>, Refused> {
        let mut values = self
            .0
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Refused::BadRequest),
        }
    }
}

fn form_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next()?)? * 16 + digit(bytes.next()?)?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fetch::Fetch, testing::TestClock};

    const API: &str = "https://api.test";

    async fn ask(issuer: &TestIssuer, authorization: Option<&str>, body: &str) -> (StatusCode, Value) {
        let mut request = Request::post("https://auth.test/introspect")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let response = issuer.fetch(request, 10_000).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
        assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), unauthorized);
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }

    fn basic(id: &str, secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
    }

    async fn introspect(issuer: &TestIssuer, token: &str) -> Value {
        let (status, answer) = ask(issuer, Some(&basic("api", "secret")), &format!("token={token}")).await;
        assert_eq!(status, StatusCode::OK);
        answer
    }

    fn inactive() -> Value {
        json!({ "active": false })
    }

    #[tokio::test]
    async fn an_opaque_token_is_told_with_all_its_claims() {
        let clock = TestClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        let issuer = TestIssuer::new("https://auth.test").with_clock(clock);
        let draft = issuer
            .opaque_token(API)
            .subject("bob")
            .scope("profile")
            .claim("jti", "1");
        assert_eq!(
            introspect(&issuer, &draft.mint()).await,
            json!({
                "active": true, "token_type": "Bearer", "iss": "https://auth.test", "aud": API, "sub": "bob",
                "client_id": "app", "scope": "profile", "jti": "1", "iat": 1000, "exp": 1300,
            })
        );
    }

    #[tokio::test]
    async fn a_jwt_access_token_is_known_while_its_signature_is_the_issuers() {
        let issuer = TestIssuer::new("https://auth.test");
        let good = issuer.access_token(API).mint();
        assert_eq!(introspect(&issuer, &good).await["active"], true);
        for unknown in [
            issuer.access_token(API).signed_by_a_stranger().mint(),
            issuer.access_token(API).tampered().mint(),
            issuer.access_token(API).unsigned().mint(),
            issuer.access_token(API).payload_bytes("{}").mint(),
            issuer.id_token("app").mint(),
            issuer.logout_token("app").mint(),
            TestIssuer::new("https://auth.test").access_token(API).mint(),
            "never-seen".to_owned(),
        ] {
            assert_eq!(introspect(&issuer, &unknown).await, inactive());
        }
    }

    #[tokio::test]
    async fn nothing_is_told_of_a_token_that_is_expired_early_or_revoked() {
        let clock = TestClock::new();
        let issuer = TestIssuer::new("https://auth.test").with_clock(clock.clone());
        let draft = issuer.opaque_token(API);
        assert_eq!(introspect(&issuer, &draft.clone().expired().mint()).await, inactive());
        assert_eq!(
            introspect(&issuer, &draft.clone().not_yet_valid().mint()).await,
            inactive()
        );

        let (revoked, kept) = (draft.mint(), issuer.access_token(API).mint());
        issuer.revoke(&revoked);
        assert_eq!(introspect(&issuer, &revoked).await, inactive());
        assert_eq!(introspect(&issuer, &kept).await["active"], true);
        clock.advance(Duration::from_secs(301));
        assert_eq!(introspect(&issuer, &kept).await, inactive());
    }

    #[tokio::test]
    async fn an_answer_is_spoiled_like_a_token() {
        let issuer = TestIssuer::new("https://auth.test");
        let draft = issuer.opaque_token(API).claim("active", "true").claim("exp", "soon");
        let answer = introspect(&issuer, &draft.without("aud").mint()).await;
        assert_eq!((&answer["active"], &answer["exp"]), (&json!("true"), &json!("soon")));
        assert!(answer.get("aud").is_none());
    }

    #[tokio::test]
    async fn a_client_proves_itself_by_basic_or_in_the_form_and_not_by_both() {
        let issuer = TestIssuer::new("https://auth.test");
        issuer.require_client("my api", "p:a%s+s/ä");
        let good = basic("my+api", "p%3Aa%25s%2Bs%2F%C3%A4");
        let posted = "token=x&client_id=my%20api&client_secret=p%3aa%25s%2bs%2f%c3%a4";
        assert_eq!(ask(&issuer, Some(&good), "token=x").await, (StatusCode::OK, inactive()));
        assert_eq!(ask(&issuer, None, posted).await, (StatusCode::OK, inactive()));
        assert_eq!(ask(&issuer, Some(&good), posted).await.0, StatusCode::BAD_REQUEST);
        for bad in [
            None,
            Some(basic("api", "secret")),
            // Not form-encoded.
            Some(basic("my api", "p:a%s+s/ä")),
            Some("Basic ?".to_owned()),
            Some("Bearer x".to_owned()),
        ] {
            let (status, answer) = ask(&issuer, bad.as_deref(), "token=x").await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{bad:?}");
            assert_eq!(answer, json!({ "error": "invalid_client" }));
        }
    }

    #[tokio::test]
    async fn a_request_without_one_token_in_a_form_is_bad() {
        let issuer = TestIssuer::new("https://auth.test");
        let client = basic("api", "secret");
        for body in [
            "",
            "token_type_hint=access_token",
            "token=a&token=b",
            "token=%zz",
            "token=%f",
        ] {
            let (status, answer) = ask(&issuer, Some(&client), body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert_eq!(answer, json!({ "error": "invalid_request" }));
        }
        let no_form = Request::post("https://auth.test/introspect")
            .header(header::AUTHORIZATION, client)
            .body(Bytes::from("token=x"))
            .unwrap();
        let answer = issuer.fetch(no_form, 1000).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let asked = issuer.last_request("/introspect").unwrap();
        assert_eq!((asked.method(), asked.body()), (&Method::POST, &Bytes::from("token=x")));
    }
}
