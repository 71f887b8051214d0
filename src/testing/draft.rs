//! A token before it is minted: good by default, spoiled on request.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{issuer::TestIssuer, jwt::Jwt, key::random_name};

/// How long a token lives if nothing else is said.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How far off a token's time is if it is to be expired or not valid yet: more than any leeway.
const FAR_OFF: Duration = Duration::from_secs(60 * 60);

/// A token that is about to be minted, as a [`Jwt`] or [`Opaque`].
///
/// It begins with the claims of RFC 9068 §2.2: `iss`, `aud`, `exp` in five minutes, `iat` now, `sub` (`alice`), a
/// random `jti` and, in an access token, `client_id` (`app`). Whatever is called afterwards changes that and nothing
/// else. Drafts can be cloned, to mint several tokens that are alike but for `jti`.
#[derive(Clone)]
#[must_use = "call `mint` to get the token"]
pub struct TokenDraft<F> {
    pub(super) issuer: TestIssuer,
    issued_at: Option<SystemTime>,
    lifetime: Duration,
    expired: bool,
    claims: Map<String, Value>,
    edits: Edits,
    pub(super) format: F,
}

/// The format of a token that only its issuer can read: a random name for what the introspection endpoint tells.
#[derive(Clone, Debug)]
pub struct Opaque(());

/// Members to set, or with `None` to remove.
pub(super) type Edits = Vec<(String, Option<Value>)>;

impl TestIssuer {
    /// A JWT access token (RFC 9068) for this audience.
    pub fn access_token(&self, audience: &str) -> TokenDraft<Jwt> {
        TokenDraft::new(self, audience, Jwt::new("at+jwt", true)).claim("client_id", "app")
    }

    /// An opaque access token for this audience. It is known to the introspection endpoint once it is minted, with the
    /// same claims that a JWT would have.
    pub fn opaque_token(&self, audience: &str) -> TokenDraft<Opaque> {
        TokenDraft::new(self, audience, Opaque(())).claim("client_id", "app")
    }

    /// An ID token (OpenID Connect Core 1.0 §2) for this client. A resource server must not take it for an access
    /// token.
    pub fn id_token(&self, client_id: &str) -> TokenDraft<Jwt> {
        TokenDraft::new(self, client_id, Jwt::new("JWT", false))
    }

    /// A logout token (OpenID Connect Back-Channel Logout 1.0 §2.4) for this client: everything of the subject, unless
    /// it also has a claim `sid`.
    pub fn logout_token(&self, client_id: &str) -> TokenDraft<Jwt> {
        TokenDraft::new(self, client_id, Jwt::new("logout+jwt", false)).claim(
            "events",
            json!({ "http://schemas.openid.net/event/backchannel-logout": {} }),
        )
    }
}

impl<F> TokenDraft<F> {
    fn new(issuer: &TestIssuer, audience: &str, format: F) -> Self {
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), issuer.url().into());
        claims.insert("aud".to_owned(), audience.into());
        claims.insert("sub".to_owned(), "alice".into());
        Self {
            issuer: issuer.clone(),
            issued_at: None,
            lifetime: LIFETIME,
            expired: false,
            claims,
            edits: Vec::new(),
            format,
        }
    }

    /// Sets the claim `sub`.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Sets the claim `client_id`.
    pub fn client_id(self, client_id: &str) -> Self {
        self.claim("client_id", client_id)
    }

    /// Sets the claim `scope`: scopes with spaces between them.
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Sets any claim to any value, however wrong.
    ///
    /// # Panics
    ///
    /// When the value cannot be written as JSON.
    #[track_caller]
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        self.edits.push((name.to_owned(), Some(to_json(value))));
        self
    }

    /// Leaves out a claim.
    pub fn without(mut self, claim: &str) -> Self {
        self.edits.push((claim.to_owned(), None));
        self
    }

    /// How long the token lives: the claim `exp` is `iat` and this. For dates that no clock can show, set the
    /// [`claim`](Self::claim).
    ///
    /// # Panics
    ///
    /// Minting panics when [`SystemTime`] cannot hold the date.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the claim `iat`, and `exp` with it.
    pub fn issued_at(mut self, time: SystemTime) -> Self {
        self.issued_at = Some(time);
        self
    }

    /// Makes the token one that lived its life and expired an hour ago.
    pub fn expired(mut self) -> Self {
        self.expired = true;
        self
    }

    /// Sets the claim `nbf` to a time one hour from now.
    pub fn not_yet_valid(self) -> Self {
        let later = seconds(self.issuer.now() + FAR_OFF);
        self.claim("nbf", later)
    }

    pub(super) fn claims(&self) -> Map<String, Value> {
        let now = self.issuer.now();
        let issued_at = match self.issued_at {
            Some(time) => time,
            None if self.expired => now - FAR_OFF - self.lifetime,
            None => now,
        };
        let expires_at = if self.expired {
            now - FAR_OFF
        } else {
            issued_at + self.lifetime
        };
        let mut claims = self.claims.clone();
        claims.insert("iat".to_owned(), seconds(issued_at).into());
        claims.insert("exp".to_owned(), seconds(expires_at).into());
        // Not earlier: tokens minted from clones of a draft are different tokens.
        claims.insert("jti".to_owned(), random_name::<16>().into());
        apply(&self.edits, &mut claims);
        claims
    }
}

impl TokenDraft<Opaque> {
    /// The token. The introspection endpoint knows it from now on.
    pub fn mint(self) -> String {
        let token = random_name::<32>();
        self.issuer.remember(&token, self.claims());
        token
    }
}

impl<F> fmt::Debug for TokenDraft<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDraft")
            .field("claims", &self.claims())
            .finish_non_exhaustive()
    }
}

pub(super) fn apply(edits: &Edits, object: &mut Map<String, Value>) {
    for (name, value) in edits {
        match value {
            Some(value) => object.insert(name.clone(), value.clone()),
            None => object.remove(name),
        };
    }
}

#[track_caller]
#[allow(clippy::expect_used, reason = "a documented panic at set-up")]
pub(super) fn to_json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("a value that can be written as JSON")
}

/// Whole seconds since 1970 (RFC 7519 §2, NumericDate), negative before.
fn seconds(time: SystemTime) -> i64 {
    let whole = |distance: Duration| i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole(since),
        Err(before) => -whole(before.duration()),
    }
}
