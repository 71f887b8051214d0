//! Where resource servers ask what a token is worth.

use std::{fmt, sync::Arc};

use http::{StatusCode, request::Parts};
use http_body::Body;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Answer, BoxError, ErrorCode, OAuthError, json, read, service};
use crate::{
    clients::{Client, ClientAuthentication},
    tokens::{ActiveToken, TokenIssuer, TokenUse},
};

type Permission = Arc<dyn Fn(&Client, &ActiveToken) -> bool + Send + Sync>;

/// Answers resource servers that ask what a token is worth (RFC 7662): a form that is posted, whatever the path.
///
/// Who asks authenticates as a client that is not public. What is not active, be it unknown, over, revoked, another
/// issuer's, or not for whoever asks, is `{"active":false}` and nothing else (§2.2). `token_type_hint` is not needed,
/// and whatever it says is ignored: every token is searched for everywhere (§2.1). Answers are not to be stored. While
/// the store cannot be reached it answers 503, and never that a token is not active.
///
/// Unless [said otherwise](Self::permit), only clients that are registered as [resource
/// servers](Client::may_introspect) learn anything, and of access tokens only: a resource server that does not look at
/// `token_type` would let a refresh token in.
///
/// ```
/// use axum::Router;
/// use resource_protector_issuer::{
///     TokenIssuer,
///     clients::ClientAuthentication,
///     endpoints::{IntrospectionEndpoint, RevocationEndpoint},
/// };
///
/// fn endpoints(issuer: &TokenIssuer, clients: &ClientAuthentication) -> Router {
///     Router::new()
///         .route_service("/introspect", IntrospectionEndpoint::new(issuer.clone(), clients.clone()))
///         .route_service("/revoke", RevocationEndpoint::new(issuer.clone(), clients.clone()))
/// }
/// ```
#[derive(Clone)]
pub struct IntrospectionEndpoint {
    issuer: TokenIssuer,
    clients: ClientAuthentication,
    permission: Permission,
}

impl IntrospectionEndpoint {
    /// Tells about the tokens of this issuer those whom it finds to be clients.
    pub fn new(issuer: TokenIssuer, clients: ClientAuthentication) -> Self {
        Self {
            issuer,
            clients,
            permission: Arc::new(|client, token| client.is_resource_server() && token.token_use() == TokenUse::Access),
        }
    }

    /// Decides in another way who may learn what: the client that asks, which has authenticated, and the token that is
    /// active. **Who is told about tokens of others can find out who uses what** (RFC 7662 §4), so look at one of both
    /// at least.
    ///
    /// ```
    /// # use resource_protector_issuer::endpoints::IntrospectionEndpoint;
    /// # fn example(endpoint: IntrospectionEndpoint) -> IntrospectionEndpoint {
    /// // A client may also ask about its own tokens.
    /// endpoint.permit(|client, token| client.is_resource_server() || token.client_id() == Some(client.id()))
    /// # }
    /// ```
    #[must_use]
    pub fn permit(mut self, permission: impl Fn(&Client, &ActiveToken) -> bool + Send + Sync + 'static) -> Self {
        self.permission = Arc::new(permission);
        self
    }

    /// The same, for clients that authenticate in this way.
    pub(crate) fn authenticated_by(mut self, clients: ClientAuthentication) -> Self {
        self.clients = clients;
        self
    }

    pub(crate) async fn answer<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        match self.ask(parts, body).await {
            Ok(answer) => json(StatusCode::OK, &answer),
            Err(error) => error.into_response(),
        }
    }

    async fn ask<B>(&self, parts: &Parts, body: B) -> Result<Introspected, OAuthError>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let form = read(parts, body).await?;
        let client = self.clients.authenticate(parts, &form).await?;
        // RFC 7662 §2.1: the endpoint must not tell those about tokens who have proven nothing.
        if client.is_public() {
            return Err(OAuthError::new(
                ErrorCode::InvalidClient,
                "a public client cannot ask about tokens",
            ));
        }
        let token = form.require("token", "the parameter token is missing or empty")?;
        let found = self.issuer.introspect(token).await?;
        Ok(match found {
            Some(token) if (self.permission)(&client, &token) => Introspected {
                active: true,
                claims: token.claims().clone(),
            },
            _ => Introspected {
                active: false,
                claims: Map::new(),
            },
        })
    }
}

/// RFC 7662 §2.2.
#[derive(Serialize)]
struct Introspected {
    active: bool,
    #[serde(flatten)]
    claims: Map<String, Value>,
}

service!(IntrospectionEndpoint);

impl fmt::Debug for IntrospectionEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionEndpoint")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
