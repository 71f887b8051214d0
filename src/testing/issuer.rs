//! The authorization server itself: who it is, its keys, and how it behaves.

use std::{
    collections::{HashMap, VecDeque},
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::key::{Algorithm, SigningKey};
use crate::clock::{Clock, SystemClock};

/// An authorization server for tests; see the [module](crate::testing) for an example. Clones are the same server.
///
/// Paths in [`requests`](Self::requests), [`respond_at`](Self::respond_at) and the like are those of the request, so an
/// issuer `https://auth.test/tenant` has its keys at `/tenant/jwks`.
#[derive(Clone)]
pub struct TestIssuer(pub(super) Arc<Inner>);

pub(super) struct Inner {
    url: String,
    pub(super) origin: Uri,
    state: Mutex<State>,
    health: watch::Sender<Health>,
    keys_made: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Health {
    Up,
    Down,
    Stalled,
}

pub(super) struct State {
    clock: Arc<dyn Clock>,
    key: Arc<SigningKey>,
    old_keys: Vec<Arc<SigningKey>>,
    odd_jwks: Vec<Value>,
    pub(super) jwks_cache_control: Option<HeaderValue>,
    pub(super) client: (String, String),
    pub(super) tokens: HashMap<String, Map<String, Value>>,
    pub(super) asked: HashMap<String, Asked>,
    pub(super) scripted: HashMap<String, Scripted>,
}

/// What one path was asked.
pub(super) struct Asked {
    pub(super) times: usize,
    pub(super) last: Request<Bytes>,
}

/// What one path answers instead of the truth.
#[derive(Default)]
pub(super) struct Scripted {
    pub(super) next: VecDeque<Response<Bytes>>,
    pub(super) always: Option<Response<Bytes>>,
}

impl TestIssuer {
    /// The client that may ask the introspection endpoint, unless [`require_client`](Self::require_client) says
    /// otherwise.
    pub const CLIENT_ID: &str = "api";

    /// The secret of [`CLIENT_ID`](Self::CLIENT_ID).
    pub const CLIENT_SECRET: &str = "secret";

    /// An issuer with this URL, which need not exist. It signs by ES256.
    ///
    /// # Panics
    ///
    /// When this is not an absolute URL.
    #[track_caller]
    #[allow(clippy::panic, reason = "a documented panic at set-up")]
    pub fn new(url: &str) -> Self {
        let origin = match url.parse::<Uri>() {
            Ok(origin) if origin.scheme().is_some() && origin.authority().is_some() => origin,
            _ => panic!("expected an absolute URL, got {url:?}"),
        };
        let state = State {
            clock: Arc::new(SystemClock),
            key: Arc::new(SigningKey::generate("key-1".to_owned(), Algorithm::named("ES256"))),
            old_keys: Vec::new(),
            odd_jwks: Vec::new(),
            jwks_cache_control: Some(HeaderValue::from_static("max-age=600")),
            client: (Self::CLIENT_ID.to_owned(), Self::CLIENT_SECRET.to_owned()),
            tokens: HashMap::new(),
            asked: HashMap::new(),
            scripted: HashMap::new(),
        };
        Self(Arc::new(Inner {
            url: url.to_owned(),
            origin,
            state: Mutex::new(state),
            health: watch::Sender::new(Health::Up),
            keys_made: AtomicUsize::new(1),
        }))
    }

    /// Signs by another algorithm: `ES256`, `ES384`, `ES512`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512` or
    /// `EdDSA` (Ed25519). An RSA key has 2048 bits and takes a moment to make.
    ///
    /// # Panics
    ///
    /// When the algorithm is another one.
    #[must_use]
    #[track_caller]
    pub fn with_algorithm(self, algorithm: &str) -> Self {
        self.rotate_to(algorithm);
        self.withdraw_old_keys();
        self
    }

    /// Takes the time from this clock, best the one that the protector has, too.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.state().clock = Arc::new(clock);
        self
    }

    /// The issuer identifier, exactly as it was given.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Signs with a new key from now on, for the same algorithm. The old key stays published. Returns the new `kid`.
    pub fn rotate_key(&self) -> String {
        let algorithm = self.signing_key().algorithm;
        self.rotate(algorithm)
    }

    /// Signs with a new key for another algorithm from now on. The old key stays published. Returns the new `kid`.
    ///
    /// # Panics
    ///
    /// When the algorithm is not one of those in [`with_algorithm`](Self::with_algorithm).
    #[track_caller]
    pub fn rotate_to(&self, algorithm: &str) -> String {
        self.rotate(Algorithm::named(algorithm))
    }

    /// Publishes no other key of its own than the one it signs with.
    pub fn withdraw_old_keys(&self) {
        self.state().old_keys.clear();
    }

    /// Publishes something odd, ahead of the good keys: a key of an unknown type, a secret, a number.
    pub fn publish_jwk(&self, jwk: Value) {
        self.state().odd_jwks.push(jwk);
    }

    /// The header `Cache-Control` of the JWK set, `max-age=600` if nothing else is said; `None` leaves it out.
    ///
    /// # Panics
    ///
    /// When this cannot be the value of a header.
    #[track_caller]
    #[allow(clippy::expect_used, reason = "a documented panic at set-up")]
    pub fn set_jwks_cache_control(&self, value: Option<&str>) {
        let value = value.map(|value| HeaderValue::from_str(value).expect("the value of a header"));
        self.state().jwks_cache_control = value;
    }

    /// The published JWK set.
    pub fn jwks(&self) -> String {
        let state = self.state();
        let good = state.old_keys.iter().chain([&state.key]).map(|key| key.jwk());
        let keys: Vec<Value> = state.odd_jwks.iter().cloned().chain(good).collect();
        json!({ "keys": keys }).to_string()
    }

    /// The public key that belongs to the next token, in PEM.
    pub fn public_pem(&self) -> String {
        self.signing_key().public_pem()
    }

    /// Forgets a token. The introspection endpoint then says what it says of any unknown token; a JWT stays well
    /// signed.
    pub fn revoke(&self, token: &str) {
        self.state().tokens.remove(token);
    }

    /// Lets this client, and only this one, ask the introspection endpoint.
    pub fn require_client(&self, client_id: &str, secret: &str) {
        self.state().client = (client_id.to_owned(), secret.to_owned());
    }

    /// Answers nothing until [`come_back`](Self::come_back). In process that is a [`FetchError`](crate::FetchError);
    /// over HTTP, status 503.
    pub fn go_down(&self) {
        self.0.health.send_replace(Health::Down);
    }

    /// Takes requests, counts them, and keeps them waiting until [`come_back`](Self::come_back) or
    /// [`go_down`](Self::go_down).
    pub fn stall(&self) {
        self.0.health.send_replace(Health::Stalled);
    }

    /// Answers again.
    pub fn come_back(&self) {
        self.0.health.send_replace(Health::Up);
    }

    /// Gives this answer at a path, until [`respond_normally_at`](Self::respond_normally_at).
    pub fn respond_at(&self, path: &str, response: Response<Bytes>) {
        self.state().scripted.entry(path.to_owned()).or_default().always = Some(response);
    }

    /// Gives this answer to the next request at a path. Several of them are given one after the other.
    pub fn respond_once_at(&self, path: &str, response: Response<Bytes>) {
        let mut state = self.state();
        let scripted = state.scripted.entry(path.to_owned()).or_default();
        scripted.next.push_back(response);
    }

    /// Tells the truth at a path again.
    pub fn respond_normally_at(&self, path: &str) {
        self.state().scripted.remove(path);
    }

    /// How often a path was asked. Requests during an outage count, those that the loopback server could not read do
    /// not.
    pub fn requests(&self, path: &str) -> usize {
        self.state().asked.get(path).map_or(0, |asked| asked.times)
    }

    /// What a path was asked last.
    pub fn last_request(&self, path: &str) -> Option<Request<Bytes>> {
        self.state().asked.get(path).map(|asked| asked.last.clone())
    }

    pub(super) fn now(&self) -> SystemTime {
        self.state().clock.now().wall
    }

    pub(super) fn signing_key(&self) -> Arc<SigningKey> {
        self.state().key.clone()
    }

    fn rotate(&self, algorithm: &'static Algorithm) -> String {
        let kid = format!("key-{}", self.0.keys_made.fetch_add(1, Ordering::Relaxed) + 1);
        // Made before the lock is taken: an RSA key takes its time.
        let key = Arc::new(SigningKey::generate(kid.clone(), algorithm));
        let mut state = self.state();
        let old = mem::replace(&mut state.key, key);
        state.old_keys.push(old);
        kid
    }

    pub(super) fn remember(&self, token: &str, claims: Map<String, Value>) {
        self.state().tokens.insert(token.to_owned(), claims);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the server is stalled; whether it is up then.
    pub(super) async fn is_up(&self) -> bool {
        let mut health = self.0.health.subscribe();
        let health = health.wait_for(|health| *health != Health::Stalled).await;
        health.is_ok_and(|health| *health == Health::Up)
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer")
            .field("url", &self.0.url)
            .finish_non_exhaustive()
    }
}
