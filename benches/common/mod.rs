//! What all benchmarks share: an issuer, 1 KiB tokens, a service to protect, one call of it, and the raw verification
//! of the same token.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "benchmarks; each uses a part of this"
)]

pub mod introspection;
pub mod race;
pub mod table;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, SystemTime},
};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use resource_protector::{
    Clock, CutOff, JwtValidator, MemoryRevocationList, Moment, ResourceProtector, ResourceProtectorLayer,
    RevocationTerms, Revoke as _, RevokedBy, SystemClock,
    testing::{Jwt, TestIssuer, TokenDraft},
};
use serde_json::Value;
use tower::{Layer as _, Service, ServiceExt as _};

pub const ISSUER: &str = "https://auth.example.com";
pub const AUDIENCE: &str = "https://api.example.com";
pub const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

/// As long as every token is, in its compact form.
pub const TOKEN_LENGTH: usize = 1024;

/// How many revocations there are, where there is a list of them.
pub const REVOCATIONS: usize = 100_000;

/// More tokens than any benchmark shows to a validator with this capacity: nothing is evicted.
pub const ROOM_FOR_ALL: usize = 2_000_000;

/// The one place where a validator is told how many verified tokens it remembers, 0 for none.
pub fn remembering(validator: JwtValidator, tokens: usize) -> JwtValidator {
    validator.capacity(tokens)
}

/// An issuer, and the claims of its tokens that make them 1 KiB long.
#[derive(Clone)]
pub struct Tokens {
    pub issuer: TestIssuer,
    roles: Vec<String>,
}

impl Tokens {
    pub fn new(algorithm: &str) -> Self {
        Self::of(TestIssuer::new(ISSUER).with_algorithm(algorithm))
    }

    pub fn of(issuer: TestIssuer) -> Self {
        let mut tokens = Self {
            issuer,
            roles: Vec::new(),
        };
        loop {
            let missing = TOKEN_LENGTH.saturating_sub(tokens.mint().len()) * 3 / 4;
            // A role of one byte takes four: quotation marks and the comma.
            let Some(role) = missing.checked_sub(3).filter(|length| *length > 0) else {
                return tokens;
            };
            let role = "inventory-reader".chars().cycle().take(role.min(16)).collect();
            tokens.roles.push(role);
        }
    }

    /// A token that is good for an hour, and like no other.
    pub fn mint(&self) -> String {
        let token = self.draft().mint();
        // Or else the issuer keeps them all, for introspection.
        self.issuer.revoke(&token);
        token
    }

    /// As good, but for the signature: it is by somebody else.
    pub fn forge(&self) -> String {
        self.draft().signed_by_a_stranger().mint()
    }

    pub fn mint_many(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.mint()).collect()
    }

    fn draft(&self) -> TokenDraft<Jwt> {
        self.issuer
            .access_token(AUDIENCE)
            .subject("5ba552d67e3a4b0c9f9d1c1f64e0a2b7")
            .client_id("s6BhdRkqt3")
            .scope("openid profile reademail orders:read orders:write")
            .claim("roles", &self.roles)
            .lifetime(Duration::from_secs(3600))
    }

    /// Keys come over the (scripted) network, as they do in life.
    pub fn validator(&self) -> JwtValidator {
        JwtValidator::discover(self.issuer.url(), AUDIENCE)
            .unwrap()
            .fetch(self.issuer.clone())
    }

    pub fn protected(&self, capacity: usize) -> Protected {
        self.protected_at(capacity, SystemClock)
    }

    /// The same, with this list of revocations.
    pub fn listed(&self, list: &MemoryRevocationList) -> Protected {
        let validator = remembering(self.validator(), ROOM_FOR_ALL);
        let layer = ResourceProtectorLayer::new(validator).revocation(list.clone());
        let mut protected = layer.layer(Bare);
        warm_up(&mut protected, &bearer(&self.mint()));
        protected
    }

    /// A protected service that has its keys already.
    pub fn protected_at(&self, capacity: usize, clock: impl Clock) -> Protected {
        let validator = remembering(self.validator(), capacity);
        let mut protected = ResourceProtectorLayer::new(validator).clock(clock).layer(Bare);
        warm_up(&mut protected, &bearer(&self.mint()));
        protected
    }
}

/// A list of so many revocations, by subject and by token. None of them concerns a token of the benchmarks.
pub fn revocations(count: usize) -> MemoryRevocationList {
    let by = [RevokedBy::Subject, RevokedBy::TokenId];
    let list = MemoryRevocationList::new(RevocationTerms::new(by, Duration::from_secs(3600)).unwrap());
    for number in 0..count {
        revoke(&list, number);
    }
    list
}

/// Adds one more that concerns nobody.
pub fn revoke(list: &MemoryRevocationList, number: usize) {
    let cut_off = match number % 2 {
        0 => CutOff::subject(ISSUER, format!("{number:032x}"), SystemTime::now()),
        _ => CutOff::token(ISSUER, format!("{number:032x}")),
    };
    let revoking = pin!(list.revoke(cut_off));
    let done = revoking.poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(done, Poll::Ready(Ok(()))));
}

/// The trivial service behind the layer.
pub type Protected = ResourceProtector<Bare>;

/// A service that answers at once, with nothing.
#[derive(Clone)]
pub struct Bare;

impl Service<Request<Full<Bytes>>> for Bare {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Full::default())))
    }
}

pub fn bearer(token: &str) -> HeaderValue {
    let authorization = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    // The first clone allocates what later ones share. That is not to be counted.
    drop(authorization.clone());
    authorization
}

pub fn bearers(tokens: &[String]) -> Vec<HeaderValue> {
    tokens.iter().map(|token| bearer(token)).collect()
}

pub fn request(authorization: Option<&HeaderValue>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    if let Some(authorization) = authorization {
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, authorization.clone());
    }
    request
}

/// One whole call that waits for nothing: the request is made, answered, and everything dropped.
pub fn call<S, Out>(service: &mut S, authorization: Option<&HeaderValue>) -> StatusCode
where
    S: Service<Request<Full<Bytes>>, Response = Response<Out>>,
{
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let future = pin!(service.call(request(authorization)));
    match future.poll(&mut context) {
        Poll::Ready(Ok(response)) => response.status(),
        Poll::Ready(Err(_)) => panic!("the service failed"),
        Poll::Pending => panic!("the call has to wait"),
    }
}

/// One call that may have to wait for keys, and lets the token in.
pub fn warm_up(protected: &mut Protected, authorization: &HeaderValue) {
    let runtime = runtime();
    let request = request(Some(authorization));
    let response = runtime.block_on(async { protected.ready().await.unwrap().call(request).await.unwrap() });
    assert_eq!(response.status(), StatusCode::OK);
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Lets all threads of this machine show new tokens; every `keep`th of them comes back.
pub fn fill(protected: &Protected, tokens: &Tokens, count: usize, keep: usize) -> Vec<HeaderValue> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work = || {
            let mut protected = protected.clone();
            let mut kept = Vec::new();
            for number in 0..count / workers {
                let authorization = bearer(&tokens.mint());
                assert_eq!(call(&mut protected, Some(&authorization)), StatusCode::OK);
                if number % keep == 0 {
                    kept.push(authorization);
                }
            }
            kept
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// What `aws-lc-rs` needs to verify one token: everything is parsed and decoded already.
pub struct Raw {
    key: Arc<ParsedPublicKey>,
    signed: String,
    signature: Vec<u8>,
}

impl Raw {
    pub fn of(tokens: &Tokens, token: &str) -> Self {
        Self::of_many(tokens, [token]).pop().unwrap()
    }

    pub fn of_many<'a>(tokens: &Tokens, shown: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let jwks: Value = serde_json::from_str(&tokens.issuer.jwks()).unwrap();
        let jwk = &jwks["keys"][0];
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let key = match jwk["kty"].as_str().unwrap() {
            "RSA" => {
                let key = RsaPublicKeyComponents {
                    n: part("n"),
                    e: part("e"),
                };
                key.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).unwrap()
            }
            "EC" => {
                let point = [vec![4], part("x"), part("y")].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).unwrap()
            }
            "OKP" => ParsedPublicKey::new(&ED25519, part("x")).unwrap(),
            other => panic!("a key of type {other}"),
        };
        let key = Arc::new(key);
        let raw = |token: &str| {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            Self {
                key: Arc::clone(&key),
                signed: signed.to_owned(),
                signature: URL_SAFE_NO_PAD.decode(signature).unwrap(),
            }
        };
        shown.into_iter().map(raw).collect()
    }

    pub fn verify(&self) {
        self.key.verify_sig(self.signed.as_bytes(), &self.signature).unwrap();
    }
}

/// The clock of the operating system, ahead by what it is moved.
#[derive(Clone, Default)]
pub struct MovedClock(Arc<AtomicU64>);

impl MovedClock {
    pub fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Moment {
        let ahead = Duration::from_secs(self.0.load(Ordering::Relaxed));
        let now = SystemClock.now();
        Moment {
            wall: now.wall + ahead,
            monotonic: now.monotonic + ahead,
        }
    }
}

/// A request that is refused, and why.
pub struct Refused {
    pub what: &'static str,
    pub protected: Protected,
    /// Each is shown once, before they are shown again.
    pub shown: Vec<Option<HeaderValue>>,
}

/// One protected service for each kind of refusal, `count` requests for each.
pub fn refusals(count: usize) -> Vec<Refused> {
    let tokens = Tokens::new("RS256");
    let good = tokens.mint();
    // Nothing of a header, and no signature of ours: 1 KiB that only looks like a token.
    let garbage = |number: usize| {
        Some(bearer(&format!(
            "{number:0>342}.{}.{}",
            "A".repeat(340),
            "B".repeat(340)
        )))
    };
    // A stranger can make these: the header names a key that nobody has, the rest was seen elsewhere.
    let wrong_key = |number: usize| {
        let header = format!(r#"{{"alg":"RS256","kid":"k{number:0>4}","typ":"at+jwt"}}"#);
        let (_, rest) = good.split_once('.').unwrap();
        Some(bearer(&format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))))
    };
    let clock = MovedClock::default();
    let mut expired = tokens.protected_at(ROOM_FOR_ALL, clock.clone());
    let remembered = bearer(&tokens.draft().lifetime(Duration::from_secs(60)).mint());
    for _ in 0..3 {
        assert_eq!(call(&mut expired, Some(&remembered)), StatusCode::OK);
    }
    // The token is too old then; the keys, which are good for ten minutes, are not.
    clock.advance(Duration::from_secs(120));
    let fresh = || tokens.protected(ROOM_FOR_ALL);
    // The first name of a key that nobody has may have the keys fetched again; the others within 30 s do not.
    let mut asked = fresh();
    let runtime = runtime();
    let first = asked.call(request(wrong_key(0).as_ref()));
    assert_eq!(runtime.block_on(first).unwrap().status(), StatusCode::UNAUTHORIZED);
    let mut refusals = vec![
        Refused {
            what: "no token",
            protected: fresh(),
            shown: vec![None],
        },
        Refused {
            what: "garbage",
            protected: fresh(),
            shown: (0..count).map(garbage).collect(),
        },
        Refused {
            what: "wrong `kid`",
            protected: asked,
            shown: (0..count).map(wrong_key).collect(),
        },
        Refused {
            what: "expired and remembered",
            protected: expired,
            shown: vec![Some(remembered)],
        },
    ];
    for refused in &mut refusals {
        let status = call(&mut refused.protected, refused.shown[0].as_ref());
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{}", refused.what);
    }
    refusals
}
