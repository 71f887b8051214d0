//! An issuer on a moved clock, a resource server that it tells of revocations, and a store that can be broken.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use resource_protector::{
    Algorithm, Clock as _, CurrentToken, JwtValidator, MemoryRevocationList, ResourceProtectorLayer, RevocationTerms,
    RevokedBy, StoreError, StoreValidator, testing::TestClock,
};
use resource_protector_issuer::{
    AccessTokens, KeyRing, TokenIssuer, TokenIssuerBuilder, TokenRequest, TokenTable,
    store::{Change, Key, Listing, MemoryStore, Outcome, Row, Store},
};
use tokio::sync::Barrier;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Registry,
    layer::{self, SubscriberExt as _},
};

pub const ISSUER: &str = "https://auth.test";
pub const API: &str = "https://api.test";
pub const MINUTE: Duration = Duration::from_secs(60);

/// An issuer with everything that belongs to it.
pub struct World {
    pub clock: TestClock,
    pub store: Breakable,
    pub keys: KeyRing,
    pub list: MemoryRevocationList,
    pub issuer: TokenIssuer,
}

pub fn terms() -> RevocationTerms {
    RevocationTerms::new(RevokedBy::ALL, 60 * MINUTE).unwrap()
}

impl World {
    pub async fn jwt() -> Self {
        Self::new(true, |builder| builder).await
    }

    pub async fn opaque() -> Self {
        Self::new(false, |builder| builder).await
    }

    pub async fn new(jwt: bool, options: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Self {
        let clock = TestClock::new();
        let keys = KeyRing::generate(Algorithm::ES256).unwrap();
        let list = MemoryRevocationList::new(terms()).clock(clock.clone());
        let access = match jwt {
            true => AccessTokens::jwt(keys.clone(), list.clone()).unwrap(),
            false => AccessTokens::opaque().revocation_list(list.clone()).unwrap(),
        };
        let store = Breakable::default();
        let builder = TokenIssuer::builder(ISSUER, API, store.clone(), access).unwrap();
        let issuer = options(builder.clock(clock.clone())).open().await.unwrap();
        Self {
            clock,
            store,
            keys,
            list,
            issuer,
        }
    }

    /// The same, after a restart: the store is still there, and nothing else.
    pub async fn restarted(&self) -> Self {
        let list = MemoryRevocationList::new(terms()).clock(self.clock.clone());
        let access = AccessTokens::jwt(self.keys.clone(), list.clone()).unwrap();
        let builder = TokenIssuer::builder(ISSUER, API, self.store.clone(), access).unwrap();
        Self {
            clock: self.clock.clone(),
            store: self.store.clone(),
            keys: self.keys.clone(),
            list,
            issuer: builder.clock(self.clock.clone()).open().await.unwrap(),
        }
    }

    pub fn request(&self) -> TokenRequest {
        TokenRequest::for_subject("app", "alice")
            .scope("profile email")
            .unwrap()
    }

    /// A resource server for JWTs of this issuer.
    pub fn jwt_protector(&self) -> ResourceProtectorLayer {
        let keys = self.keys.jwks(self.clock.now().wall);
        let tokens = JwtValidator::with_jwks(ISSUER, keys, API).unwrap();
        ResourceProtectorLayer::new(tokens)
            .revocation(self.list.clone())
            .clock(self.clock.clone())
    }

    /// A resource server that looks into the same store.
    pub fn table_protector(&self) -> ResourceProtectorLayer {
        let table = TokenTable::new(self.store.clone()).clock(self.clock.clone());
        let tokens = StoreValidator::new(table, API)
            .unwrap()
            .leeway(Duration::from_secs(1))
            .unwrap();
        ResourceProtectorLayer::new(tokens).clock(self.clock.clone())
    }

    pub fn wall(&self) -> SystemTime {
        self.clock.now().wall
    }
}

/// What a handler behind this protector sees, or the status of the refusal.
pub async fn present(protector: &ResourceProtectorLayer, token: &str) -> Result<CurrentToken, u16> {
    let inner = service_fn(|request: Request<()>| async move {
        let mut response = Response::new(Empty::<Bytes>::new());
        let token = request.extensions().get::<CurrentToken>().unwrap().clone();
        response.extensions_mut().insert(token);
        Ok::<_, std::convert::Infallible>(response)
    });
    let request = Request::get("/")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .unwrap();
    let response = protector.layer(inner).oneshot(request).await.unwrap();
    match response.extensions().get::<CurrentToken>() {
        Some(token) => Ok(token.clone()),
        None => Err(response.status().as_u16()),
    }
}

/// Keeps the events of this crate, whatever the target: the levels and the fields.
#[derive(Clone, Default)]
pub struct Trail(Arc<Mutex<Vec<(Level, Fields)>>>);

/// The fields of an event, and what each says.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub BTreeMap<&'static str, String>);

impl Trail {
    /// What happens until the guard is dropped, in this thread.
    pub fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let trail = Self::default();
        let guard = tracing::subscriber::set_default(Registry::default().with(trail.clone()));
        (trail, guard)
    }

    pub fn events(&self) -> Vec<(Level, Fields)> {
        self.0.lock().unwrap().clone()
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber> layer::Layer<S> for Trail {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        if event.metadata().target().starts_with("resource_protector_issuer::") {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.0.lock().unwrap().push((*event.metadata().level(), fields));
        }
    }
}

/// A store in memory that can go away: before a change, or after it, so that nobody hears whether it has happened.
#[derive(Clone, Default)]
pub struct Breakable {
    store: MemoryStore,
    is_down: Arc<AtomicBool>,
    is_full: Arc<AtomicBool>,
    deaf: Arc<AtomicUsize>,
    meeting: Arc<Meeting>,
}

struct Meeting {
    expected: AtomicUsize,
    barrier: Barrier,
}

impl Default for Meeting {
    fn default() -> Self {
        Self {
            expected: AtomicUsize::new(0),
            barrier: Barrier::new(2),
        }
    }
}

impl Meeting {
    /// Waits for the other one, if two are expected.
    async fn attend(&self) {
        let expected = self
            .expected
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if expected.is_ok() {
            self.barrier.wait().await;
        }
    }
}

impl Breakable {
    pub fn go_down(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    pub fn come_back(&self) {
        self.is_down.store(false, Ordering::SeqCst);
        self.is_full.store(false, Ordering::SeqCst);
    }

    /// Shows what there is, and carries out no change.
    pub fn take_no_changes(&self) {
        self.is_full.store(true, Ordering::SeqCst);
    }

    /// Carries out this many changes and says that they failed.
    pub fn lose_answers(&self, changes: usize) {
        self.deaf.store(changes, Ordering::SeqCst);
    }

    /// Neither of the next two changes happens before both have come: each is decided before the other has happened.
    pub fn next_two_meet(&self) {
        self.meeting.expected.store(2, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(StoreError::new("the store is down")),
            false => Ok(()),
        }
    }
}

impl Store for Breakable {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.check()?;
        self.store.load(keys).await
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        self.check()?;
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::new("the store is full"));
        }
        self.meeting.attend().await;
        let outcome = self.store.commit(change).await?;
        let lost = self
            .deaf
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match lost {
            Ok(_) => Err(StoreError::new("the answer was lost")),
            Err(_) => Ok(outcome),
        }
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        self.check()?;
        self.store.list(listing).await
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        self.check()?;
        self.store.delete_expired(now).await
    }
}
