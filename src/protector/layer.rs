//! What a protector is told.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;

use super::{admit::Policy, service::ResourceProtector};
use crate::{
    challenge::ChallengeParams,
    clock::{Clock, SystemClock},
    credentials,
    endpoint::{Endpoint, Http},
    error::{SetupError, at_start},
    rejection::{Forms, Rejection},
    require::Requirement,
    validate::TokenValidator,
};

/// Protects a service: every request needs a valid access token, which the handler finds as
/// [`CurrentToken`](crate::CurrentToken).
///
/// It goes unchanged on an `axum::Router` or `MethodRouter`, a `tonic` server or service, or any tower service of
/// `http` requests. Options are set on the layer; what must not be forgotten (issuer, audience) belongs to the
/// validator.
///
/// ```
/// use axum::{Router, routing::get};
/// use resource_protector::{CurrentToken, JwtValidator, ResourceProtectorLayer, require_scope};
///
/// async fn me(token: CurrentToken) -> String {
///     format!("hello {}", token.subject().unwrap_or("nobody"))
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = JwtValidator::discover("https://auth.example.com", "https://api.example.com")?;
/// let app: Router = Router::new()
///     .route("/me", get(me).layer(require_scope("profile")))
///     .layer(ResourceProtectorLayer::new(tokens).realm("example"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ResourceProtectorLayer {
    policy: Arc<Policy>,
}

impl ResourceProtectorLayer {
    /// A protector that accepts the tokens this validator finds good.
    pub fn new(validator: impl TokenValidator) -> Self {
        Self {
            policy: Arc::new(Policy {
                validator: Arc::new(validator),
                requirement: None,
                optional: false,
                cors_preflight: false,
                max_length: credentials::DEFAULT_MAX_LENGTH,
                forms: Forms::default(),
                challenge: ChallengeParams::default(),
                hierarchy: None,
                clock: Arc::new(SystemClock),
                replace: None,
            }),
        }
    }

    fn policy(&mut self) -> &mut Policy {
        Arc::make_mut(&mut self.policy)
    }

    /// Demands this of every token, and names its scopes in the challenge to a request without one (RFC 6750 §3).
    /// Called again, it demands both.
    #[must_use]
    pub fn requiring(mut self, requirement: Requirement) -> Self {
        let policy = self.policy();
        policy.requirement = Some(match policy.requirement.take() {
            None => requirement,
            Some(before) => before.and(requirement),
        });
        self
    }

    /// Lets requests without any credentials in, marked as [`Anonymous`](super::Anonymous). Whatever credentials are
    /// there must be good: bad ones and other schemes are refused as ever. Adds `Vary: Authorization` to every response.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.policy().optional = true;
        self
    }

    /// Lets CORS preflight requests in without credentials: `OPTIONS` with `Origin` and
    /// `Access-Control-Request-Method`. Browsers never send credentials with them. Needed where the CORS layer stands
    /// inside the protector; better is to put it outside. Guards let them pass, too: whatever answers `OPTIONS` further
    /// in is open to everybody.
    #[must_use]
    pub fn allow_cors_preflight(mut self) -> Self {
        self.policy().cors_preflight = true;
        self
    }

    /// The longest `Authorization` field that is read, in bytes; 16 KiB unless set. Longer ones are refused with 400
    /// before anything else is looked at.
    #[must_use]
    pub fn max_authorization_length(mut self, bytes: usize) -> Self {
        self.policy().max_length = bytes;
        self
    }

    /// Names the protected space in every challenge (RFC 9110 §11.5).
    ///
    /// # Panics
    ///
    /// When it has other than printable ASCII characters, or was set before: meant for literals, at start.
    /// [`try_realm`](Self::try_realm) is the fallible twin.
    #[must_use]
    #[track_caller]
    pub fn realm(self, realm: impl AsRef<str>) -> Self {
        at_start(self.try_realm(realm))
    }

    /// Names the protected space in every challenge.
    ///
    /// # Errors
    ///
    /// When it has other than printable ASCII characters, or was set before.
    pub fn try_realm(self, realm: impl AsRef<str>) -> Result<Self, SetupError> {
        self.with_param("realm", "realm", realm.as_ref())
    }

    /// Points clients to the metadata of this resource, by its URL, in every challenge (RFC 9728 §5.1).
    ///
    /// # Errors
    ///
    /// When it is not an `https` URL (`http` for a loopback host), or was set before.
    pub fn resource_metadata(self, url: impl AsRef<str>) -> Result<Self, SetupError> {
        let url = Endpoint::parse("resource_metadata", url.as_ref(), Http::OnLoopback)?;
        self.with_param("resource_metadata", "resource_metadata", url.as_str())
    }

    /// Adds a parameter of your own to every challenge (RFC 9110 §11.2).
    ///
    /// # Errors
    ///
    /// When the name is not a token, the value has other than printable ASCII characters, or the parameter stands in
    /// the challenge anyway.
    pub fn challenge_param(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self, SetupError> {
        self.with_param("challenge_param", name.as_ref(), value.as_ref())
    }

    fn with_param(mut self, option: &'static str, name: &str, value: &str) -> Result<Self, SetupError> {
        self.policy().challenge.set(option, name, value)?;
        Ok(self)
    }

    /// Lets broader scopes cover narrower ones. The function is called with a granted and a demanded scope; equal ones
    /// always cover each other. It is asked by every guard and by [`CurrentToken::has_scope`](crate::CurrentToken::has_scope).
    ///
    /// A function that answers true too often grants rights that nobody granted.
    ///
    /// ```
    /// # use resource_protector::{MemoryTokenStore, ResourceProtectorLayer, StoreValidator};
    /// # let tokens = StoreValidator::for_tokens_of_this_service_only(MemoryTokenStore::new());
    /// // `orders` covers `orders:read`
    /// let layer = ResourceProtectorLayer::new(tokens).scope_hierarchy(|granted, demanded| {
    ///     demanded.strip_prefix(granted).is_some_and(|rest| rest.starts_with(':'))
    /// });
    /// ```
    #[must_use]
    pub fn scope_hierarchy(mut self, covers: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        self.policy().hierarchy = Some(Arc::new(covers));
        self
    }

    /// Answers refusals with HTTP statuses even to gRPC and gRPC-Web requests.
    #[must_use]
    pub fn http_refusals_only(mut self) -> Self {
        self.policy().forms.http_only = true;
        self
    }

    /// Answers refusals to gRPC-Web requests in their own content type. Without it they get an HTTP status.
    #[must_use]
    pub fn grpc_web_refusals(mut self) -> Self {
        self.policy().forms.grpc_web = true;
        self
    }

    /// Replaces what refusals look like over HTTP: gets the refusal and the response it would be, gives the response
    /// to send. gRPC refusals stay as they are.
    ///
    /// A refusal stays one: a status below 400 is put back, and a 401 without a challenge gets it again.
    #[must_use]
    pub fn replace_refusals(
        mut self,
        replace: impl Fn(&Rejection, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.policy().replace = Some(Arc::new(replace));
        self
    }

    /// Takes the time from another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.policy().clock = Arc::new(clock);
        self
    }
}

impl<S> Layer<S> for ResourceProtectorLayer {
    type Service = ResourceProtector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResourceProtector::new(inner, Arc::clone(&self.policy))
    }
}
