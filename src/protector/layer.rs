//! What a protector is told.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use tower_layer::Layer;

use super::{admit::Policy, service::ResourceProtector};
use crate::{
    challenge::ChallengeParams,
    clock::{Clock, SystemClock},
    credentials::{Places, TokenCookie, TokenHeader, TokenProtocol},
    endpoint::{Endpoint, Http},
    error::{SetupError, at_start},
    rejection::{Forms, Rejection},
    require::Requirement,
    revocation::{Revocation, RevocationList},
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
    pub(super) policy: Arc<Policy>,
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
                places: Places::default(),
                forms: Forms::default(),
                challenge: ChallengeParams::default(),
                hierarchy: None,
                clock: Arc::new(SystemClock),
                replace: None,
                max_age: None,
                revocation: None,
                is_guard: false,
            }),
        }
    }

    /// Hides the tokens of a request that is let in without looking at them.
    pub(crate) fn hide_tokens(&self, headers: &mut HeaderMap) {
        let places = &self.policy.places;
        places.mark_sensitive(headers);
        places.remove_offered_token(headers);
    }

    pub(super) fn policy(&mut self) -> &mut Policy {
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
    /// there must be good: bad ones and other schemes are refused as ever. Adds `Vary: Authorization` to every response,
    /// and the other headers that are looked at.
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

    /// The longest `Authorization` field that is read, and the longest token from any other place, in bytes; 16 KiB
    /// unless set. Longer ones are refused with 400 before anything else is looked at.
    #[must_use]
    pub fn max_authorization_length(mut self, bytes: usize) -> Self {
        self.policy().places.max_length = bytes;
        self
    }

    /// Looks for the token in this header, too: its whole value is the token, without a scheme. That is how some proxies
    /// pass a token on: `Cf-Access-Jwt-Assertion`, `X-Forwarded-Access-Token`.
    ///
    /// The token is checked like any other, so that nothing is won by sending the header past the proxy. Still, a proxy
    /// that sets it must take away what clients send in it. And if the proxy adds it to whatever a browser with a session
    /// sends, a forged request gets it, too: then the defence against forged requests (CSRF) is the proxy's. A header that
    /// stands twice is 400, an empty one is none. An answer to it gets `Cache-Control: private`, as for every place but
    /// `Authorization`.
    ///
    /// # Errors
    ///
    /// When it is no field name, or one with another meaning (`Authorization`, `Cookie`, `Host`, `Content-…`, `Sec-…`,
    /// those of the connection and their like), or a header was set before.
    pub fn token_in_header(mut self, name: impl AsRef<str>) -> Result<Self, SetupError> {
        let header = TokenHeader::new(name.as_ref())?;
        set_once("token_in_header", &mut self.policy().places.header, header)?;
        Ok(self)
    }

    /// Looks for the token among the subprotocols that a WebSocket client offers, too: the one that begins with this
    /// prefix, such as `bearer.`, continues with the token. Pages cannot set any other header of a WebSocket.
    ///
    /// ```js
    /// new WebSocket("wss://api.example.com/events", ["events", "bearer." + token])
    /// ```
    ///
    /// It is looked for in WebSocket handshakes only (RFC 6455 §4.1, RFC 8441 §5). There, a token has none of the
    /// characters `/` and `=`; a JWT never does. Two of them are 400. So that the service cannot send the token back, it is
    /// taken away from the headers before the request goes further in; a second protector that looks for one there finds it
    /// all the same. The page offers another
    /// protocol beside it, and the service chooses that: browsers give up where none of those they offer is chosen.
    ///
    /// # Errors
    ///
    /// When the prefix is empty or has other than token characters (RFC 9110 §5.6.2), or was set before.
    pub fn token_in_websocket_protocol(mut self, prefix: impl AsRef<str>) -> Result<Self, SetupError> {
        let protocol = TokenProtocol::new(prefix.as_ref())?;
        set_once(
            "token_in_websocket_protocol",
            &mut self.policy().places.websocket,
            protocol,
        )?;
        Ok(self)
    }

    /// Looks for the token in the query of the URI, too: in its parameter `access_token` (RFC 6750 §2.3).
    ///
    /// URIs end up in the logs of every server and proxy on the way, in the browser's history, in bookmarks, and in the
    /// `Referer` of the pages and images that an answer links to, and a bearer token belongs to whoever reads it there.
    /// OAuth 2.1 and FAPI forbid it. Use it only for what cannot send a header, with short-lived tokens, and keep queries
    /// out of your logs. The query is passed on as it is; a parameter that stands twice is 400.
    #[must_use]
    pub fn dangerous_token_in_uri_query(mut self) -> Self {
        self.policy().places.query = true;
        self
    }

    /// Looks for the token in this cookie, too, if the request has no other credentials: any `Authorization` field, even
    /// a bad one or one of another scheme, decides alone, and so does what stands in any other place that is looked at.
    ///
    /// Browsers add cookies to whatever any page makes them send. So unsafe methods (all but `GET`, `HEAD`, `OPTIONS` and
    /// `TRACE`), WebSocket handshakes and other upgrades are refused with 403 unless the browser says that a page of our
    /// own sent the request: by `Sec-Fetch-Site: same-origin`, or by an `Origin` that is exactly one of `own_origins`, such
    /// as `https://app.example.com`. With no `own_origins`, the former alone counts. `Origin: null` never does; browsers send
    /// it, among others, with forms of pages that have the referrer policy `no-referrer`.
    ///
    /// Handlers of safe methods must change nothing, and no layer further in may make another method of them. Whoever
    /// sets the cookie makes it `Secure`, `HttpOnly` and `SameSite=Lax` or `Strict`, and gives it a name that begins with
    /// `__Host-`, so that no other host of the domain can set it (RFC 6265bis §4.1.3). If it stands twice all the same, it
    /// is 400. An empty cookie is none. It is not percent-decoded, and a value in quotation marks is 400.
    ///
    /// # Errors
    ///
    /// When the name is not a cookie's (RFC 6265 §4.1.1), or was set before; when an origin is not `https` (`http` for a
    /// loopback host), or not written as browsers write it: in lower case, without a path and the scheme's own port.
    pub fn token_in_cookie<O: AsRef<str>>(
        mut self,
        name: impl AsRef<str>,
        own_origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, SetupError> {
        let cookie = TokenCookie::new(name.as_ref(), own_origins)?;
        set_once("token_in_cookie", &mut self.policy().places.cookie, cookie)?;
        Ok(self)
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

    /// Refuses tokens that this list knows to be revoked, on every request, whoever validated them and however long they have
    /// been remembered. Set again, the new list takes the place of the old one.
    ///
    /// Every token then needs what the list goes by ([`RevocationTerms`](crate::RevocationTerms)); others are refused. What
    /// the list cannot say is 503.
    #[must_use]
    pub fn revocation(mut self, list: impl RevocationList) -> Self {
        self.policy().revocation = Some(Revocation::by(list));
        self
    }

    /// Takes the time from another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.policy().clock = Arc::new(clock);
        self
    }
}

fn set_once<T>(option: &'static str, place: &mut Option<T>, value: T) -> Result<(), SetupError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(SetupError::new(
            option,
            "expected once, was set before: call it only once",
        )),
    }
}

impl<S> Layer<S> for ResourceProtectorLayer {
    type Service = ResourceProtector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResourceProtector::new(inner, Arc::clone(&self.policy))
    }
}
