//! Where clients give tokens back.

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::{Answer, BoxError, EndpointFuture, OAuthError, empty, read};
use crate::{clients::ClientAuthentication, tokens::TokenIssuer};

/// Takes tokens back that clients give back (RFC 7009): a form that is posted, whatever the path.
///
/// The client authenticates in its way; a public one says who it is, and can revoke its own tokens (§2.1). With a
/// refresh token ends its session and all access tokens of it; an access token ends alone. When the answer is 200, with
/// an empty body, the token is good no more, here and wherever the list of revocations is known; so it is for a token
/// that was unknown or over before (§2.2). `token_type_hint` is ignored, and every token is searched for everywhere.
///
/// | what happened | answer |
/// |---|---|
/// | the token is another client's (§2.1: "refused") | 400 `invalid_grant`; nothing is revoked |
/// | a JWT, and there is no list of revocations | 400 `unsupported_token_type` (§2.2.1) |
/// | the store or the list cannot be reached | 503 and `Retry-After`: the token may still be good |
#[derive(Clone)]
pub struct RevocationEndpoint {
    issuer: TokenIssuer,
    clients: ClientAuthentication,
}

impl RevocationEndpoint {
    /// Takes back tokens of this issuer from those whom it finds to be clients.
    pub fn new(issuer: TokenIssuer, clients: ClientAuthentication) -> Self {
        Self { issuer, clients }
    }

    pub(crate) async fn answer<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        match self.revoke(parts, body).await {
            Ok(()) => empty(StatusCode::OK),
            Err(error) => error.into_response(),
        }
    }

    async fn revoke<B>(&self, parts: &Parts, body: B) -> Result<(), OAuthError>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let form = read(parts, body).await?;
        let client = self.clients.authenticate(parts, &form).await?;
        let token = form.require("token", "the parameter token is missing or empty")?;
        Ok(self.issuer.revoke(token, client.id()).await?)
    }
}

impl<B> Service<Request<B>> for RevocationEndpoint
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = EndpointFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> EndpointFuture {
        let endpoint = self.clone();
        let (parts, body) = request.into_parts();
        EndpointFuture::new(async move { endpoint.answer(&parts, body).await })
    }
}

impl fmt::Debug for RevocationEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationEndpoint")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
