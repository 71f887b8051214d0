//! An authorization server of any make: its documents, its key, its answers about tokens.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use resource_protector::{Fetch, FetchError, testing::TestIssuer};
use serde_json::{Value, json};

use crate::support::Web;

#[derive(Clone)]
pub struct Server {
    key: TestIssuer,
    web: Web,
    introspection: Arc<Mutex<Introspection>>,
}

#[derive(Default)]
struct Introspection {
    endpoint: String,
    authorization: Option<&'static str>,
    answers: HashMap<String, (StatusCode, String)>,
    asked: usize,
}

impl Server {
    /// Signs by this algorithm.
    pub fn new(algorithm: &str) -> Self {
        Self {
            key: TestIssuer::new("https://unused.test").with_algorithm(algorithm),
            web: Web::default(),
            introspection: Arc::default(),
        }
    }

    /// Has this document at this URL.
    pub fn with(self, url: &str, document: Value) -> Self {
        let web = self.web.with(url, document);
        Self { web, ..self }
    }

    /// The public key as a JWK with these members beside what makes up the key.
    pub fn jwk(&self, members: Value) -> Value {
        let jwks: Value = serde_json::from_str(&self.key.jwks()).unwrap();
        let mut jwk = members;
        for name in ["kty", "n", "e", "crv", "x", "y"] {
            if let Some(value) = jwks["keys"][0].get(name) {
                jwk[name] = value.clone();
            }
        }
        jwk
    }

    /// Exactly this header and these claims, signed.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let draft = self.key.access_token("unused");
        let draft = draft.header_bytes(header.to_string());
        draft.payload_bytes(claims.to_string()).mint()
    }

    /// As [`sign`](Self::sign), with a secret.
    pub fn sign_with_secret(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        let draft = self.key.access_token("unused").header_bytes(header.to_string());
        let draft = draft.payload_bytes(claims.to_string());
        draft.signed_with_secret([7; 64], algorithm).mint()
    }

    /// Answers questions about tokens here, to who shows these credentials (or none).
    pub fn introspects_at(self, endpoint: &str, authorization: Option<&'static str>) -> Self {
        let mut introspection = self.introspection.lock().unwrap();
        introspection.endpoint = endpoint.to_owned();
        introspection.authorization = authorization;
        drop(introspection);
        self
    }

    /// Says this about a token; about any other that it is not active.
    pub fn says(&self, token: &str, answer: &Value) {
        self.says_with(StatusCode::OK, token, answer.to_string());
    }

    pub fn says_with(&self, status: StatusCode, token: &str, body: impl Into<String>) {
        let mut introspection = self.introspection.lock().unwrap();
        introspection.answers.insert(token.to_owned(), (status, body.into()));
    }

    /// How often it was asked about tokens.
    pub fn asked(&self) -> usize {
        self.introspection.lock().unwrap().asked
    }

    fn introspect(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let mut introspection = self.introspection.lock().unwrap();
        if request.uri().to_string() != introspection.endpoint {
            return None;
        }
        introspection.asked += 1;
        let shown = request.headers().get(header::AUTHORIZATION);
        assert_eq!(shown.map(|value| value.to_str().unwrap()), introspection.authorization);
        let form = std::str::from_utf8(request.body()).unwrap();
        let token = form.strip_prefix("token=").unwrap().split('&').next().unwrap();
        let inactive = (StatusCode::OK, json!({ "active": false }).to_string());
        let (status, body) = introspection.answers.get(token).unwrap_or(&inactive);
        let mut response = Response::new(Bytes::from(body.clone()));
        *response.status_mut() = *status;
        let json = "application/json".parse().unwrap();
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        Some(response)
    }
}

impl Fetch for Server {
    async fn fetch(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, FetchError> {
        match self.introspect(&request) {
            Some(response) => Ok(response),
            None => self.web.fetch(request, max_body).await,
        }
    }
}
