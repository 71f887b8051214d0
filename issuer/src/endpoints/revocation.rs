//! Where clients give tokens back.

use std::fmt;

use http::{StatusCode, request::Parts};
use http_body::Body;

use super::{Answer, BoxError, OAuthError, empty, read, service};
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

service!(RevocationEndpoint);

impl fmt::Debug for RevocationEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationEndpoint")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
