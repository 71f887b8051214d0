//! What an authorization server is made of, and how.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use http::{Uri, request::Parts};
use resource_protector::SetupError;

use super::{
    AUTHORIZE, AuthorizationServer, LOGOUT, SealingKey,
    authorization::{AuthorizationEndpoint, Peer},
    authorization_server::Endpoints,
    browser::Site,
    frontend::Frontend,
    login::Logins,
    logout::LogoutEndpoint,
    metadata::Metadata,
    pages::{DefaultPages, Pages},
};
use crate::{
    clients::{Client, ClientAuthentication, ClientRegistry},
    endpoints::{IntrospectionEndpoint, RevocationEndpoint, TokenEndpoint},
    grants::{AuthorizationCode, ClientCredentials, Grant, RefreshToken},
    keys::JwksEndpoint,
    rate_limit::RateLimit,
    setup::within,
    tokens::{ActiveToken, TokenIssuer},
    users::UserDirectory,
};

/// How long a log-in lasts, unless set: a day of work.
const LOGIN_LIFETIME: Duration = Duration::from_secs(8 * 3600);

/// RFC 8414 §3.
const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// What an [`AuthorizationServer`] is made of. Made by [`AuthorizationServer::builder`].
pub struct AuthorizationServerBuilder {
    issuer: TokenIssuer,
    authentication: ClientAuthentication,
    token: TokenEndpoint,
    introspect: IntrospectionEndpoint,
    pub(super) authorize: AuthorizationEndpoint,
}

impl AuthorizationServer {
    /// A server that issues the tokens of this issuer to these clients, for these users. What its pages seal for browsers is
    /// sealed by this key.
    ///
    /// # Errors
    ///
    /// When the issuer's name is not an `https` URL (`http` for a loopback host), or when nobody asks the issuer whether
    /// [a subject may have tokens](crate::TokenIssuerBuilder::subject_rule): then a disabled user would go on refreshing.
    pub fn builder(
        issuer: TokenIssuer,
        clients: impl ClientRegistry,
        users: impl UserDirectory,
        key: SealingKey,
    ) -> Result<AuthorizationServerBuilder, SetupError> {
        if !issuer.has_subject_rule() {
            return Err(SetupError::new(
                "issuer",
                "expected one with a `subject_rule`, got one without: a user who is disabled would go on getting tokens. Give \
                 it the users, by `subject_rule(users.clone())`",
            ));
        }
        let name = issuer.issuer().to_owned();
        let site = Site::new(&name)?;
        let clients = Arc::new(clients);
        let authentication =
            ClientAuthentication::new(&name, Arc::clone(&clients), issuer.store())?.clock(issuer.clock());
        let token = TokenEndpoint::new(issuer.clone(), authentication.clone())
            .grant(AuthorizationCode)?
            .grant(ClientCredentials)?
            .grant(RefreshToken)?;
        let path = path_of(&name);
        Ok(AuthorizationServerBuilder {
            introspect: IntrospectionEndpoint::new(issuer.clone(), authentication.clone()),
            authorize: AuthorizationEndpoint {
                frontend: Frontend {
                    issuer: issuer.clone(),
                    users: Arc::new(users),
                    pages: Arc::new(DefaultPages),
                    site,
                    logins: Logins::new(key, LOGIN_LIFETIME),
                },
                clients,
                login_limit: RateLimit::default(),
                peer: None,
                peer_limit: RateLimit::new(100, Duration::from_secs(300))?,
                code_limit: RateLimit::new(100, Duration::from_secs(300))?,
                scopes: BTreeMap::new(),
                path: format!("{path}{AUTHORIZE}"),
                has_implicit_grant: false,
            },
            issuer,
            authentication,
            token,
        })
    }
}

impl AuthorizationServerBuilder {
    /// Adds a grant of the application's own. Clients that are registered for it may use it.
    ///
    /// # Errors
    ///
    /// When there is one of this name already.
    pub fn grant(mut self, grant: impl Grant) -> Result<Self, SetupError> {
        self.token = self.token.grant(grant)?;
        Ok(self)
    }

    /// Shows these pages instead of the plain ones.
    #[must_use]
    pub fn pages(mut self, pages: impl Pages) -> Self {
        self.authorize.frontend.pages = Arc::new(pages);
        self
    }

    /// What a scope allows, in words, for the page that asks the user. Without it, the scope's name is shown. Scopes that are
    /// described stand in the metadata, too.
    #[must_use]
    pub fn describe_scope(mut self, scope: impl Into<String>, description: impl Into<String>) -> Self {
        self.authorize.scopes.insert(scope.into(), description.into());
        self
    }

    /// Says where a request comes from: the address of its connection, from the request's extensions, or what a **trusted**
    /// proxy has written. Then failed attempts to authenticate are counted for each user and each client from each peer, and
    /// nobody can lock out others from elsewhere. A value that the client can choose makes the limit useless.
    ///
    /// Whoever fails to log in 100 times in 5 min from one peer, under whatever names, is refused there, too. **Without this,
    /// one stranger can try as many names as the processors can hash passwords for**, and keep everybody else waiting. Of an
    /// address of IPv6 take the first 64 bits: the others are the stranger's to choose.
    #[must_use]
    pub fn peer(mut self, peer: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        let peer: Peer = Arc::new(peer);
        let same = Arc::clone(&peer);
        self.authentication = self.authentication.peer(move |parts| same(parts));
        self.authorize.peer = Some(peer);
        self
    }

    /// Counts the failed log-ins of each [peer](Self::peer), under whatever names, here, in place of 100 in 5 min: for peers that
    /// many users share, such as the gateway of a company.
    #[must_use]
    pub fn peer_limit(mut self, failures: RateLimit) -> Self {
        self.authorize.peer_limit = failures;
        self
    }

    /// Counts failed log-ins and failed authentications of clients here, in place of 10 in 5 min.
    #[must_use]
    pub fn failure_limit(mut self, failures: RateLimit) -> Self {
        self.authentication = self.authentication.failure_limit(failures.clone());
        self.authorize.login_limit = failures;
        self
    }

    /// Counts the codes that each user is granted for each client here, in place of 100 in 5 min; with the implicit grant,
    /// the access tokens, too. Whoever is logged in needs no password for the next code, and each leads to a session that the
    /// store keeps for as long as its tokens may live. The log-ins of each user are counted in the same way: each leaves a row,
    /// for as long as it would last, when it is ended early. Beyond the limit a page says how long to wait, with 429 and
    /// `Retry-After`, until the time has passed since the first of them. A user whom a program logs in many times a minute needs
    /// a higher one.
    #[must_use]
    pub fn code_limit(mut self, codes: RateLimit) -> Self {
        self.authorize.code_limit = codes;
        self
    }

    /// Accepts another `aud` of clients' assertions beside the issuer, such as the token endpoint's URL, for which many
    /// clients sign: [`ClientAuthentication::assertion_audience_too`] says what that costs.
    #[must_use]
    pub fn assertion_audience_too(mut self, audience: impl Into<String>) -> Self {
        self.authentication = self.authentication.assertion_audience_too(audience);
        self
    }

    /// How far ahead `exp` of clients' assertions may be; 5 minutes unless set. One that is stolen before it was used is good
    /// for as long.
    ///
    /// # Errors
    ///
    /// When it is not 1 s to one hour.
    pub fn assertion_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.authentication = self.authentication.assertion_lifetime(life)?;
        Ok(self)
    }

    /// For how long somebody who has logged in here is not asked for the password again; 8 hours unless set. Whoever finds the
    /// browser open within that time gets codes for clients, unless its user has logged out at `/logout`.
    ///
    /// # Errors
    ///
    /// When it is not 1 min to 30 days.
    pub fn login_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        let life = within(
            "login_lifetime",
            life,
            Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600),
        )?;
        self.authorize.frontend.logins.set_lifetime(life);
        Ok(self)
    }

    /// Decides in another way which client may learn what at the introspection endpoint: see
    /// [`IntrospectionEndpoint::permit`].
    #[must_use]
    pub fn permit_introspection(
        mut self,
        permission: impl Fn(&Client, &ActiveToken) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.introspect = self.introspect.permit(permission);
        self
    }

    /// The server.
    ///
    /// # Errors
    ///
    /// When its metadata cannot be written.
    pub fn build(self) -> Result<AuthorizationServer, SetupError> {
        let name = self.issuer.issuer().to_owned();
        let token = self.token.authenticated_by(self.authentication.clone());
        let mut grant_types: Vec<_> = token.grant_types().map(str::to_owned).collect();
        grant_types.sort();
        let scopes = self.authorize.scopes.keys().cloned().collect();
        if self.authorize.has_implicit_grant {
            grant_types.push("implicit".to_owned());
        }
        let metadata = Metadata::new(&name, self.issuer.keys().is_some(), grant_types, scopes);
        let metadata = serde_json::to_vec(&metadata).map_err(|error| SetupError::new("metadata", error))?;
        let path = path_of(&name);
        let clock = self.issuer.clock();
        Ok(AuthorizationServer(Arc::new(Endpoints {
            logout: LogoutEndpoint {
                frontend: self.authorize.frontend.clone(),
                path: format!("{path}{LOGOUT}"),
            },
            authorize: self.authorize,
            revoke: RevocationEndpoint::new(self.issuer.clone(), self.authentication.clone()),
            introspect: self.introspect.authenticated_by(self.authentication),
            jwks: self
                .issuer
                .keys()
                .map(|keys| JwksEndpoint::new(keys.clone()).clock(clock)),
            token,
            metadata: metadata.into(),
            metadata_path: format!("{WELL_KNOWN}{path}"),
            path,
        })))
    }
}

/// The path of a URL, without a slash at its end.
fn path_of(issuer: &str) -> String {
    let path = issuer.parse::<Uri>().ok().map(|uri| uri.path().to_owned());
    path.unwrap_or_default().trim_end_matches('/').to_owned()
}

impl fmt::Debug for AuthorizationServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServerBuilder")
            .field("issuer", &self.issuer)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
