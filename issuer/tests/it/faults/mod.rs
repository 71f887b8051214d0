//! What goes wrong, on real stores: no token that was answered is lost, and none lives that was revoked.

mod killed;
mod model;
mod outages;
mod overtaken;
mod races;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use resource_protector::{
    Clock, JwtValidator, MemoryRevocationList, ResourceProtectorLayer, RevocationTerms, Revoke, RevokeError,
    StoreError, StoreValidator,
};
use resource_protector_issuer::{
    AccessTokens, CodeExchange, IssuedTokens, KeyRing, RefreshRequest, TokenErrorKind, TokenIssuer, TokenIssuerBuilder,
    TokenRequest, TokenTable,
    store::{Change, Key, Listing, MemoryStore, Outcome, PostgresStore, RedisStore, Row, SqliteStore, Store},
};
use tempfile::TempDir;

use crate::{
    servers::{postgres_schema, redis_name},
    support::{API, ISSUER, present, terms},
};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Any of the stores. Clones share their connections.
#[derive(Clone)]
enum AnyStore {
    Memory(MemoryStore),
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
    Redis(RedisStore),
}

/// One of each, under its name. The folder has the file of SQLite.
async fn all_stores() -> ([(&'static str, AnyStore); 4], TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(folder.path().join("tokens.sqlite")).await.unwrap();
    let postgres = PostgresStore::connect(&postgres_schema().await).await.unwrap();
    let (url, name) = redis_name();
    let stores = [
        ("memory", AnyStore::Memory(MemoryStore::new())),
        ("SQLite", AnyStore::Sqlite(sqlite)),
        ("PostgreSQL", AnyStore::Postgres(postgres)),
        ("Redis", AnyStore::Redis(RedisStore::new(&url, &name).unwrap())),
    ];
    (stores, folder)
}

macro_rules! of_any {
    ($any:expr, $store:ident => $work:expr) => {
        match $any {
            AnyStore::Memory($store) => $work,
            AnyStore::Sqlite($store) => $work,
            AnyStore::Postgres($store) => $work,
            AnyStore::Redis($store) => $work,
        }
    };
}

impl Store for AnyStore {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        of_any!(self, store => store.load(keys).await)
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        of_any!(self, store => store.commit(change).await)
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        of_any!(self, store => store.list(listing).await)
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        of_any!(self, store => store.delete_expired(now).await)
    }
}

/// A call from outside into what an issuer has: its store, or its list of revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    BeforeRead,
    BeforeCommit,
    /// It has happened; what the hook answers is what the issuer hears.
    AfterCommit,
    BeforeTelling,
    AfterTelling,
}

type Hook = dyn Fn(Step) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>> + Send + Sync;

/// A store or a list, with something that happens beside each call.
#[derive(Clone)]
struct Hooked<T> {
    inner: T,
    hook: Arc<Hook>,
}

impl<T> Hooked<T> {
    fn new<F>(inner: T, hook: impl Fn(Step) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let hook: Arc<Hook> = Arc::new(move |step| Box::pin(hook(step)));
        Self { inner, hook }
    }
}

impl<S: Store> Store for Hooked<S> {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        (self.hook)(Step::BeforeRead).await?;
        self.inner.load(keys).await
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        (self.hook)(Step::BeforeCommit).await?;
        let outcome = self.inner.commit(change).await?;
        if outcome == Outcome::Done {
            (self.hook)(Step::AfterCommit).await?;
        }
        Ok(outcome)
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
        (self.hook)(Step::BeforeRead).await?;
        self.inner.list(listing).await
    }

    async fn delete_expired(&self, now: SystemTime) -> Result<usize, StoreError> {
        self.inner.delete_expired(now).await
    }
}

impl<L: Revoke> Revoke for Hooked<L> {
    async fn revoke(&self, cut_off: resource_protector::CutOff) -> Result<(), RevokeError> {
        let failed = |_| RevokeError::Unpublished("the list is away".to_owned());
        (self.hook)(Step::BeforeTelling).await.map_err(failed)?;
        self.inner.revoke(cut_off).await?;
        (self.hook)(Step::AfterTelling).await.map_err(failed)
    }

    fn terms(&self) -> &RevocationTerms {
        self.inner.terms()
    }
}

/// Counts down from a number that is set later; says at which call it is over.
#[derive(Clone, Default)]
struct Countdown(Arc<AtomicUsize>);

impl Countdown {
    /// From the next call on, the `n`-th one; none for 0.
    fn set(&self, n: usize) {
        self.0.store(n, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        let before = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        before == Ok(1)
    }

    /// Whether there were too few calls.
    fn is_running(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

/// A process of the issuer, and a resource server that it tells of revocations.
struct Node {
    issuer: TokenIssuer,
    protector: ResourceProtectorLayer,
}

/// What a node is made with.
#[derive(Clone)]
struct Setup {
    /// JWTs with a list, or opaque tokens in the table.
    keys: Option<KeyRing>,
    grace: Duration,
}

impl Setup {
    fn jwt(keys: KeyRing) -> Self {
        Self {
            keys: Some(keys),
            grace: Duration::ZERO,
        }
    }

    fn opaque() -> Self {
        Self {
            keys: None,
            grace: Duration::ZERO,
        }
    }

    fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// A process that has just started: its list is empty but for what `open` tells it.
    async fn start(&self, store: impl Store + Clone, clock: impl Clock + Clone) -> Node {
        let list = MemoryRevocationList::new(terms()).clock(clock.clone());
        self.start_with(store, clock, list.clone(), list).await
    }

    /// The same, with a list that is told by way of another.
    async fn start_with(
        &self,
        store: impl Store + Clone,
        clock: impl Clock + Clone,
        told: impl Revoke,
        list: MemoryRevocationList,
    ) -> Node {
        let access = match &self.keys {
            Some(keys) => AccessTokens::jwt(keys.clone(), told).unwrap(),
            None => AccessTokens::opaque().revocation_list(told).unwrap(),
        };
        let builder = TokenIssuer::builder(ISSUER, API, store.clone(), access).unwrap();
        let options = |builder: TokenIssuerBuilder| builder.rotation_grace(self.grace).unwrap().clock(clock.clone());
        let issuer = options(builder).open().await.unwrap();
        let protector = match &self.keys {
            Some(keys) => {
                let tokens = JwtValidator::with_jwks(ISSUER, keys.jwks(clock.now().wall), API).unwrap();
                ResourceProtectorLayer::new(tokens).revocation(list)
            }
            None => {
                let tokens = StoreValidator::new(TokenTable::new(store).clock(clock.clone()), API).unwrap();
                ResourceProtectorLayer::new(tokens.leeway(Duration::from_secs(1)).unwrap())
            }
        };
        Node {
            issuer,
            protector: protector.clock(clock),
        }
    }
}

fn setups() -> [Setup; 2] {
    let keys = KeyRing::generate(resource_protector::Algorithm::ES256).unwrap();
    [Setup::jwt(keys), Setup::opaque()]
}

fn request(subject: &str) -> TokenRequest {
    TokenRequest::for_subject("app", subject).scope("profile").unwrap()
}

fn refresh_token(tokens: &IssuedTokens) -> &str {
    tokens.refresh_token().unwrap()
}

impl Node {
    async fn issue(&self, subject: &str) -> IssuedTokens {
        self.issuer.issue(request(subject)).await.unwrap()
    }

    async fn code(&self, subject: &str) -> String {
        let request = resource_protector_issuer::CodeRequest::new(request(subject), CHALLENGE).unwrap();
        self.issuer.issue_code(request).await.unwrap()
    }

    async fn refresh(&self, token: &str) -> Result<IssuedTokens, TokenErrorKind> {
        let refreshed = self.issuer.refresh(RefreshRequest::new(token, "app")).await;
        refreshed.map_err(|error| error.kind())
    }

    async fn redeem(&self, code: &str) -> Result<IssuedTokens, TokenErrorKind> {
        let redeemed = self.issuer.redeem_code(CodeExchange::new(code, "app", VERIFIER)).await;
        redeemed.map_err(|error| error.kind())
    }

    async fn is_active(&self, token: &str) -> bool {
        self.issuer.introspect(token).await.unwrap().is_some()
    }

    /// Whether an access token is good: for introspection and for the resource server, who have to agree.
    async fn is_good(&self, access_token: &str) -> bool {
        let is_active = self.is_active(access_token).await;
        let seen = present(&self.protector, access_token).await;
        assert_eq!(seen.as_ref().err(), (!is_active).then_some(&401));
        is_active
    }

    /// Whether both tokens are good, or neither is.
    async fn are_good(&self, access_token: &str, refresh_token: &str) -> bool {
        let is_good = self.is_good(access_token).await;
        assert_eq!(self.is_active(refresh_token).await, is_good);
        is_good
    }
}
