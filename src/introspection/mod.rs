//! Asking the authorization server what a token is worth (RFC 7662).
//!
//! One request: what is remembered about the token answers at once ([`remembered`]). Otherwise one call goes out,
//! however many requests wait for the same token: it finds the endpoint ([`Place`]), asks there ([`client`]) as this
//! service ([`client_auth`]), and what comes back is judged ([`response`]) and remembered.

mod client;
mod client_auth;
mod remembered;
mod response;
mod tally;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::sync::Semaphore;

pub use self::client_auth::ClientAuth;
use self::{
    client::Client,
    remembered::{Epoch, Lifetimes, Remembered},
    response::Rules,
    tally::Tally,
};
use crate::{
    audience::Audience,
    claims::{ClaimNames, ExpectedClaim, checked_foreign_claim, checked_name},
    clock::Moment,
    discovery::{Issuer, Place, Wanted},
    endpoint::Http,
    error::{SetupError, within, within_leeway, within_timeout},
    fetch::{Fetch, Network},
    rejection::{Rejection, RejectionKind},
    token::CurrentToken,
    validate::{DigestKey, Flights, Landed, Presented, TokenDigest, TokenValidator},
};

/// Asks the authorization server about each token (RFC 7662), and remembers its answers for a short time.
///
/// For opaque tokens, and for JWTs whose revocation must be noticed soon. Use it behind
/// [`ByIssuer`](crate::ByIssuer) where there are several kinds of tokens. To [`invalidate`](Self::invalidate) tokens,
/// share it in an [`Arc`]: `ResourceProtectorLayer::new(Arc::clone(&tokens))`.
///
/// ```
/// use resource_protector::{ClientAuth, IntrospectionValidator, ResourceProtectorLayer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = "from your secret store";
/// let tokens = IntrospectionValidator::new(
///     "https://auth.example.com/introspect",
///     ClientAuth::basic("my-api", secret),
///     "https://api.example.com",
/// )?;
/// let layer = ResourceProtectorLayer::new(tokens);
/// # Ok(())
/// # }
/// ```
///
/// # What is let in
///
/// 1. The answer says `"active": true`, and more than that; `token_type`, `token_use` and `typ`, if present, name an
///    access token; nothing in it is a sign of an ID token.
/// 2. Its `aud` has one of the expected values. An answer without `aud` is refused.
/// 3. Its `iss`, if present, is the expected one.
/// 4. The protector's own checks pass: time, binding, requirement.
///
/// Everything else that the server says about the token is a 401. That the server cannot be reached, is slow or busy,
/// or answers with what is not an introspection answer, is a 503; that it refuses *our* request (400, 401, 403) is our
/// fault and a 500.
///
/// # What is remembered
///
/// Good answers for 60 seconds and never beyond `exp`; refusals for 5 seconds; outages not at all. So a token that is
/// revoked at the authorization server is let in for up to 60 seconds more, unless it is
/// [invalidated](Self::invalidate) here; [`remember_for`](Self::remember_for) is that bound. Answers are this
/// validator's own, by a keyed digest of the token: neither the token nor anything to find it by is in memory.
pub struct IntrospectionValidator {
    inner: Arc<Inner>,
}

/// What a call needs, which outlives the request that started it.
#[derive(Clone)]
struct Inner {
    client: Client,
    rules: Rules,
    remembered: Remembered,
    digest_key: Arc<DigestKey>,
    flights: Flights<TokenDigest, Answer>,
    tally: Arc<Tally>,
    calls: Arc<Semaphore>,
}

/// How many calls may be under way at the same time. They outlive the requests that started them, so no limit further out
/// bounds them.
const MAX_CALLS: usize = 256;

/// The longest time for which an answer can be remembered.
const LONGEST_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// What is known about a token, or why nothing is.
type Answer = Result<CurrentToken, Rejection>;

impl IntrospectionValidator {
    /// Asks at this endpoint. It does no I/O yet.
    ///
    /// `audience` is what this service is called in the `aud` of tokens that are meant for it.
    ///
    /// # Errors
    ///
    /// When the endpoint is not an absolute `https` URL (`http` for a loopback host), an identifier or secret is empty,
    /// or the audience is blank.
    pub fn new(
        endpoint: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::asked_at(endpoint.as_ref(), client_auth, audience.into(), Http::OnLoopback)
    }

    /// Asks where the issuer's metadata says (RFC 8414, OpenID Connect Discovery 1.0), and expects this issuer in
    /// `iss`. It does no I/O yet: the endpoint is looked up when it is first needed, again after one hour, and after a
    /// call to it that failed, but at most once a minute. While the metadata cannot be had it is used for a day.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); an issuer is a URL without query and fragment.
    pub fn discover(
        issuer: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::discovered(issuer.as_ref(), client_auth, audience.into(), Http::OnLoopback)
    }

    /// As [`new`](Self::new), over plain `http` beyond a loopback host: **whoever is on the way reads every token and
    /// this service's secret, and can answer in the server's place** (RFC 7662 §4 demands TLS). For a private network
    /// that is trusted with that.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn new_over_plain_http(
        endpoint: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::asked_at(endpoint.as_ref(), client_auth, audience.into(), Http::Everywhere)
    }

    /// As [`discover`](Self::discover), over plain `http` beyond a loopback host, for issuer and endpoint; see
    /// [`new_over_plain_http`](Self::new_over_plain_http).
    ///
    /// # Errors
    ///
    /// As [`discover`](Self::discover).
    pub fn discover_over_plain_http(
        issuer: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::discovered(issuer.as_ref(), client_auth, audience.into(), Http::Everywhere)
    }

    /// Asks where the metadata at this URL say, for an issuer that is not a URL, or that cannot be reached under its own
    /// name. The document's `issuer` must be exactly this one all the same.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), for the URL; when the issuer is empty.
    pub fn discover_at(
        issuer: impl Into<String>,
        metadata_url: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        let issuer = issuer.into();
        let place = Place::of(
            Issuer::at(&issuer, metadata_url.as_ref(), Http::OnLoopback)?,
            Wanted::IntrospectionEndpoint,
        );
        Self::at(place, None, client_auth, audience.into())?.issuer(issuer)
    }

    /// As [`discover_at`](Self::discover_at), over plain `http` beyond a loopback host, for metadata and endpoint; see
    /// [`new_over_plain_http`](Self::new_over_plain_http).
    ///
    /// # Errors
    ///
    /// As [`discover_at`](Self::discover_at).
    pub fn discover_at_over_plain_http(
        issuer: impl Into<String>,
        metadata_url: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        let issuer = issuer.into();
        let place = Place::of(
            Issuer::at(&issuer, metadata_url.as_ref(), Http::Everywhere)?,
            Wanted::IntrospectionEndpoint,
        );
        Self::at(place, None, client_auth, audience.into())?.issuer(issuer)
    }

    fn asked_at(endpoint: &str, auth: ClientAuth, audience: Audience, http: Http) -> Result<Self, SetupError> {
        Self::at(Place::endpoint("endpoint", endpoint, http)?, None, auth, audience)
    }

    fn discovered(issuer: &str, auth: ClientAuth, audience: Audience, http: Http) -> Result<Self, SetupError> {
        Self::at(
            Place::of(Issuer::new(issuer, http)?, Wanted::IntrospectionEndpoint),
            Some(issuer.to_owned()),
            auth,
            audience,
        )
    }

    fn at(
        place: Place,
        issuer: Option<String>,
        client_auth: ClientAuth,
        audience: Audience,
    ) -> Result<Self, SetupError> {
        client_auth.check()?;
        let digest_key = DigestKey::random()
            .ok_or_else(|| SetupError::new("random", "the operating system gives no random bytes"))?;
        Ok(Self {
            inner: Arc::new(Inner {
                client: Client {
                    place,
                    auth: Arc::new(client_auth),
                    network: Network::default_client(),
                    timeout: Duration::from_secs(5),
                    hint: true,
                    unknown_token: None,
                },
                rules: Rules {
                    audience: audience.checked()?,
                    issuer,
                    names: ClaimNames::default(),
                    leeway: Duration::from_secs(10),
                    may_carry: Vec::new(),
                    expected: Vec::new(),
                    expiry_required: false,
                },
                remembered: Remembered::new(
                    10_000,
                    Lifetimes {
                        good: Duration::from_secs(60),
                        refused: Duration::from_secs(5),
                    },
                ),
                digest_key: Arc::new(digest_key),
                flights: Flights::new(),
                tally: Arc::default(),
                calls: Arc::new(Semaphore::new(MAX_CALLS)),
            }),
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// Expects exactly this in `iss`, compared byte for byte. An answer that does not name its issuer is taken to be
    /// about this one. Unless set, the endpoint is trusted to answer for whatever issuer it names.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn issuer(self, issuer: impl Into<String>) -> Result<Self, SetupError> {
        let issuer = issuer.into();
        if issuer.is_empty() {
            return Err(SetupError::new(
                "issuer",
                "expected the `iss` of the server's answers, got an empty string",
            ));
        }
        Ok(self.with(|inner| inner.rules.issuer = Some(issuer)))
    }

    /// Makes HTTP exchanges in another way than the default client.
    #[must_use]
    pub fn fetch(self, fetch: impl Fetch) -> Self {
        self.with(|inner| inner.client.network = Network::new(fetch))
    }

    /// How long one exchange with the authorization server may take; 5 s unless set. A request that has to wait for
    /// discovery first may wait twice as long, and one that joined another's failing call twice as long again.
    ///
    /// # Errors
    ///
    /// When it is not from 1 ms to 60 s.
    pub fn timeout(self, timeout: Duration) -> Result<Self, SetupError> {
        let timeout = within_timeout(timeout)?;
        Ok(self.with(|inner| inner.client.timeout = timeout))
    }

    /// How long a good answer may be used; 60 s unless set, zero to ask on every request. It is how long a token may go
    /// on being let in after it was revoked. No answer is used beyond its `exp`.
    ///
    /// # Errors
    ///
    /// When it is more than 24 h.
    pub fn remember_for(self, time: Duration) -> Result<Self, SetupError> {
        let time = within("remember_for", time, Duration::ZERO..=LONGEST_MEMORY)?;
        Ok(self.with(|inner| inner.remembered = inner.remembered.with_lifetimes(|lifetimes| lifetimes.good = time)))
    }

    /// How long a refusal may be used; 5 s unless set, zero to ask on every request. It keeps one bad token from
    /// becoming many calls; and a token that becomes active at the server is refused for as long.
    ///
    /// # Errors
    ///
    /// When it is more than 24 h.
    pub fn remember_refusals_for(self, time: Duration) -> Result<Self, SetupError> {
        let time = within("remember_refusals_for", time, Duration::ZERO..=LONGEST_MEMORY)?;
        Ok(self.with(|inner| inner.remembered = inner.remembered.with_lifetimes(|lifetimes| lifetimes.refused = time)))
    }

    /// How many good answers are remembered; 10 000 unless set, zero for none. An answer of more than 4 KiB counts as
    /// several. Refusals have room of their own, a tenth of it.
    #[must_use]
    pub fn capacity(self, answers: usize) -> Self {
        self.with(|inner| inner.remembered = inner.remembered.resized(answers.try_into().unwrap_or(u64::MAX)))
    }

    /// How far the server's clock may differ from ours when `exp`, `nbf` and `iat` are judged; 10 seconds unless set.
    /// Tokens live longer by as much.
    ///
    /// # Errors
    ///
    /// When it is more than 300 seconds.
    pub fn leeway(self, leeway: Duration) -> Result<Self, SetupError> {
        let leeway = within_leeway(leeway)?;
        Ok(self.with(|inner| inner.rules.leeway = leeway))
    }

    /// Leaves `token_type_hint=access_token` (RFC 7662 §2.1) out, for servers that refuse what they do not know.
    #[must_use]
    pub fn without_token_type_hint(self) -> Self {
        self.with(|inner| inner.client.hint = false)
    }

    /// Demands that a member of the answer is one of these strings, or an array with one of them.
    ///
    /// # Errors
    ///
    /// When the name is empty, or there are no values.
    pub fn expect_claim<I>(self, name: impl Into<String>, accepted: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let expected = ExpectedClaim::new(name, accepted)?;
        Ok(self.with(|inner| inner.rules.expected.push(expected)))
    }

    /// Refuses answers without `exp`, which RFC 7662 §2.2 has as optional. Without this they are good for as long as
    /// they are remembered.
    #[must_use]
    pub fn expiry_required(self) -> Self {
        self.with(|inner| inner.rules.expiry_required = true)
    }

    /// Says that an answer with this status and no body means that the token is not known: Kanidm's 401.
    ///
    /// RFC 7662 §2.3 has 200 for that, and keeps 401 for the credentials of the one who asks. So it is only for an
    /// endpoint that is asked without any: there such an answer can mean nothing else.
    ///
    /// # Errors
    ///
    /// When it is not 400, 401, 403 or 404, or the server is asked with credentials.
    pub fn unknown_token_status(self, status: StatusCode) -> Result<Self, SetupError> {
        let is_possible = matches!(status.as_u16(), 400 | 401 | 403 | 404);
        if !is_possible || !self.inner.client.auth.is_none() {
            return Err(SetupError::new(
                "unknown_token_status",
                format_args!(
                    "expected 400, 401, 403 or 404, and a server that is asked without credentials, got {} and {:?}",
                    status.as_u16(),
                    self.inner.client.auth
                ),
            ));
        }
        Ok(self.with(|inner| inner.client.unknown_token = Some(status)))
    }

    /// Says that this server puts one of `nonce`, `at_hash`, `c_hash` and `events` into answers about access tokens, so
    /// that it does not speak against one. Make sure that the expected audience is one that no ID token has.
    ///
    /// # Errors
    ///
    /// When it is another claim: those are not refused anyway.
    pub fn access_tokens_may_carry(self, claim: impl Into<String>) -> Result<Self, SetupError> {
        let claim = checked_foreign_claim("access_tokens_may_carry", claim.into())?;
        Ok(self.with(|inner| inner.rules.may_carry.push(claim)))
    }

    /// Reads the audience of answers that have no `aud` from this claim, and compares it with the audience the validator
    /// was made with: list the accepted values there, for example client identifiers. An answer that has an `aud` is
    /// judged by it.
    ///
    /// A token of a listed client passes, whichever API it was issued for.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn audience_claim(self, name: impl Into<String>) -> Result<Self, SetupError> {
        let name = checked_name("audience_claim", name.into())?;
        Ok(self.with(|inner| inner.rules.names.audience_instead = Some(name)))
    }

    /// Reads the client from another claim than `client_id`.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn client_id_claim(self, name: impl Into<String>) -> Result<Self, SetupError> {
        let name = checked_name("client_id_claim", name.into())?;
        Ok(self.with(|inner| inner.rules.names.client_id = name))
    }

    /// Reads the scopes from another claim than `scope`. A claim whose content clients or users may choose gives them
    /// whatever scope they want.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn scope_claim(self, name: impl Into<String>) -> Result<Self, SetupError> {
        let name = checked_name("scope_claim", name.into())?;
        Ok(self.with(|inner| inner.rules.names.scope = name))
    }

    /// Forgets what is remembered about a token: the next request with it asks the authorization server. Call it when
    /// you learn that the token was revoked. An answer that is on its way at that moment is not remembered.
    pub fn invalidate(&self, token: &str) {
        let digest = self.inner.digest_key.digest(token);
        self.inner.remembered.invalidate(&digest);
        self.inner.flights.forget(&digest);
    }

    /// Waits for one call about the token, be it one that is under way.
    async fn call(&self, presented: &Presented<'_>, digest: TokenDigest) -> Landed<Answer> {
        let now = presented.now();
        let start = || {
            let (inner, token) = (Arc::clone(&self.inner), presented.token().to_owned());
            let epoch = inner.remembered.epoch(&digest);
            async move { inner.ask(&token, digest, now, epoch).await }
        };
        // Discovery and the exchange have one timeout each.
        let patience = self.inner.client.timeout * 2;
        self.inner.flights.join(digest, patience, start).await
    }
}

impl Inner {
    async fn ask(&self, token: &str, digest: TokenDigest, now: Moment, epoch: Epoch) -> Answer {
        // A call about the same token may have ended between the look into memory and this one's start.
        if let Some(known) = self.remembered.recall(&digest, now) {
            return known;
        }
        let Ok(_permit) = self.calls.try_acquire() else {
            return Err(Rejection::unavailable("introspection: too many calls are under way"));
        };
        let said = self.client.ask(token, now).await;
        let answer = said.and_then(|body| self.rules.judge(&body, now));
        self.tally.count(&answer, &self.client.place);
        self.remembered.remember(digest, &answer, now, epoch);
        answer
    }
}

impl TokenValidator for IntrospectionValidator {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let digest = self.inner.digest_key.digest(presented.token());
        if let Some(known) = self.inner.remembered.recall(&digest, presented.now()) {
            return known;
        }
        let landed = match self.call(presented, digest).await {
            // It may have failed only because it was started earlier and its time was up; so this request gets a call
            // with a whole deadline, once. All who waited share that one, too.
            Landed::Joined(Err(outage)) if outage.kind() == RejectionKind::Unavailable => {
                self.call(presented, digest).await
            }
            landed => landed,
        };
        match landed {
            Landed::Own(answer) | Landed::Joined(answer) => answer,
            Landed::Lost => Err(Rejection::unavailable("introspection: the call broke off")),
        }
    }

    fn issuers(&self) -> &[String] {
        self.inner.rules.issuer.as_slice()
    }

    fn validate_now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        let digest = self.inner.digest_key.digest(presented.token());
        self.inner.remembered.recall(&digest, presented.now())
    }
}

impl fmt::Debug for IntrospectionValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionValidator")
            .field("place", &self.inner.client.place.name())
            .field("client_auth", &self.inner.client.auth)
            .field("rules", &self.inner.rules)
            .finish_non_exhaustive()
    }
}
