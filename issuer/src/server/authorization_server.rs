//! Everything that an authorization server answers, behind one service.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use http_body::Body;

use super::{authorization::AuthorizationEndpoint, headers::not_allowed, logout::LogoutEndpoint};
use crate::{
    endpoints::{Answer, BoxError, IntrospectionEndpoint, ResponseBody, RevocationEndpoint, TokenEndpoint, service},
    keys::JwksEndpoint,
};

/// The paths below the issuer's own.
pub(super) const AUTHORIZE: &str = "/authorize";
pub(super) const TOKEN: &str = "/token";
pub(super) const REVOKE: &str = "/revoke";
pub(super) const INTROSPECT: &str = "/introspect";
pub(super) const JWKS: &str = "/jwks";
pub(super) const LOGOUT: &str = "/logout";

/// An authorization server: it logs users in, asks them what clients may do, and issues tokens. A tower service; clones share
/// everything.
///
/// | path, below the issuer's own | what |
/// |---|---|
/// | `/authorize` | login and consent, and back to the client with a code (RFC 6749 §4.1, with PKCE always) |
/// | `/token` | tokens, for a code, a refresh token, a client's own credentials, or by a [grant](super::AuthorizationServerBuilder::grant) of the application |
/// | `/revoke` | RFC 7009 |
/// | `/introspect` | RFC 7662, for clients that are registered as resource servers |
/// | `/jwks` | the public keys, where access tokens are JWTs |
/// | `/logout` | asks whether to log out of the server itself, and does |
///
/// Metadata are at `/.well-known/oauth-authorization-server`, followed by the issuer's path (RFC 8414 §3.1). Scripts of every
/// origin may read them and the keys, and nothing else: the package's README shows how `/token` and `/revoke` are opened to clients
/// in browsers. Everything else is 404. With axum: `Router::new().fallback_service(server)`, not nested, because it takes the whole path.
///
/// **All these paths are the server's.** A route of the application goes before the fallback: one for `/logout`, say, hides the page
/// of the server, and nobody can end the log-in there.
///
/// `/logout` is for links: a page whose button ends the log-in of this browser, so that the next client is asked for a password
/// again, and a cookie that was copied is good no more. It ends no session of a client, which has its own log-out, and reads no
/// parameter, so nobody is led on from there. The log-out that a client begins (OpenID Connect RP-Initiated Logout) is not there;
/// whatever somebody is logged in to ends by [`TokenIssuer::logout_everywhere`](crate::TokenIssuer::logout_everywhere).
///
/// It has to be reached by TLS, which ends before it; for an `http` issuer, which has to be on a loopback host, it is as open
/// as that.
#[derive(Clone)]
pub struct AuthorizationServer(pub(super) Arc<Endpoints>);

pub(super) struct Endpoints {
    pub(super) authorize: AuthorizationEndpoint,
    pub(super) logout: LogoutEndpoint,
    pub(super) token: TokenEndpoint,
    pub(super) revoke: RevocationEndpoint,
    pub(super) introspect: IntrospectionEndpoint,
    pub(super) jwks: Option<JwksEndpoint>,
    pub(super) metadata: Bytes,
    pub(super) metadata_path: String,
    /// The issuer's own, without a slash at its end.
    pub(super) path: String,
}

impl AuthorizationServer {
    async fn answer<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        self.0.answer(parts, body).await
    }
}

impl Endpoints {
    async fn answer<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let path = parts.uri.path();
        if path == self.metadata_path {
            return self.metadata(&parts.method);
        }
        match (path.strip_prefix(self.path.as_str()), &self.jwks) {
            (Some(AUTHORIZE), _) => self.authorize.answer(parts, body).await,
            (Some(LOGOUT), _) => self.logout.answer(parts, body).await,
            (Some(TOKEN), _) => self.token.answer(parts, body).await,
            (Some(REVOKE), _) => self.revoke.answer(parts, body).await,
            (Some(INTROSPECT), _) => self.introspect.answer(parts, body).await,
            (Some(JWKS), Some(jwks)) => jwks.answer(&parts.method, &parts.headers),
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn metadata(&self, method: &Method) -> Answer {
        let body = match *method {
            Method::GET => self.metadata.clone(),
            Method::HEAD => Bytes::new(),
            _ => return not_allowed("GET, HEAD"),
        };
        let mut answer = Response::new(ResponseBody::from(body));
        let fields = answer.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        // It is public, and clients that run in browsers read it.
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        answer
    }
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(ResponseBody::empty());
    *answer.status_mut() = status;
    answer
}

service!(AuthorizationServer);

impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer")
            .field("token", &self.0.token)
            .finish_non_exhaustive()
    }
}
