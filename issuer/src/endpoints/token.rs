//! The token endpoint (RFC 6749 §3.2).

use std::{collections::BTreeMap, fmt, sync::Arc};

use http::{StatusCode, request::Parts};
use http_body::Body;
use resource_protector::SetupError;

use super::{Answer, BoxError, ErrorCode, Form, OAuthError, json, read, service};
use crate::{
    clients::ClientAuthentication,
    grants::{AnyGrant, Grant, GrantRequest},
    tokens::TokenIssuer,
};

/// Issues tokens to clients, by the grants that it has: `POST` with a form, whatever the path.
#[derive(Clone)]
pub struct TokenEndpoint {
    issuer: TokenIssuer,
    clients: ClientAuthentication,
    grants: Arc<BTreeMap<String, Arc<dyn AnyGrant>>>,
}

impl TokenEndpoint {
    /// An endpoint without grants, for clients that authenticate in this way.
    pub fn new(issuer: TokenIssuer, clients: ClientAuthentication) -> Self {
        Self {
            issuer,
            clients,
            grants: Arc::default(),
        }
    }

    /// The same, for clients that authenticate in this way.
    pub(crate) fn authenticated_by(mut self, clients: ClientAuthentication) -> Self {
        self.clients = clients;
        self
    }

    /// Adds a grant. Clients that are registered for it may use it.
    ///
    /// # Errors
    ///
    /// When there is one of this name already.
    pub fn grant(mut self, grant: impl Grant) -> Result<Self, SetupError> {
        let name = Grant::grant_type(&grant).to_owned();
        let grants = Arc::make_mut(&mut self.grants);
        if grants.contains_key(&name) {
            return Err(SetupError::new(
                "grant",
                format_args!("expected each grant once, got {name:?} twice"),
            ));
        }
        grants.insert(name, Arc::new(grant));
        Ok(self)
    }

    /// The names of its grants.
    pub(crate) fn grant_types(&self) -> impl Iterator<Item = &str> {
        self.grants.keys().map(String::as_str)
    }

    pub(crate) async fn answer<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let answered = async {
            let form = read(parts, body).await?;
            self.issue(parts, &form).await
        };
        answered.await.unwrap_or_else(OAuthError::into_response)
    }

    async fn issue(&self, parts: &Parts, form: &Form) -> Result<Answer, OAuthError> {
        let client = self.clients.authenticate(parts, form).await?;
        let name = form.require("grant_type", "expected the parameter grant_type")?;
        let grant = self
            .grants
            .get(name)
            .ok_or_else(|| OAuthError::new(ErrorCode::UnsupportedGrantType, "there is no such grant here"))?;
        if !client.allows_grant(name) {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "the client may not use this grant",
            ));
        }
        let issued = grant.exchange(&GrantRequest::new(&client, form, &self.issuer)).await?;
        tracing::info!(
            target: "resource_protector_issuer::tokens",
            event = "tokens_issued",
            client_id = client.id(),
            grant_type = name,
            session_id = issued.session_id(),
            "tokens were issued"
        );
        Ok(json(StatusCode::OK, &issued))
    }
}

service!(TokenEndpoint);

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint")
            .field("grants", &self.grants.keys())
            .finish_non_exhaustive()
    }
}
