//! Whole calls of the same trivial service behind each layer, in turns: same key, same 1 KiB token.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum_07::{body::Body as Body07, response::Response as Response07};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use resource_protector::testing::TestIssuer;
use tower::{Layer as _, Service};

use crate::{
    common::{
        ALGORITHMS, Bare, ROOM_FOR_ALL, Raw, Tokens, bearer, call,
        race::{Rounds, contestant, race},
        table::{Met, Row, Table, nanoseconds},
    },
    layers,
};

const PEERS: [&str; 4] = [
    "jwt-authorizer",
    "tower-oauth2-resource-server",
    "oauth-resource-server",
    "huskarl-resource-server",
];

const TARGETS: [(&str, f64, f64); 3] = [
    ("25, goal 50", 25.0, 50.0),
    ("60, goal 130", 60.0, 130.0),
    ("40, goal 85", 40.0, 85.0),
];

/// `Bare`, with the one response type that jwt-authorizer can refuse with.
#[derive(Clone)]
struct Bare07;

impl Service<Request<Full<Bytes>>> for Bare07 {
    type Response = Response07;
    type Error = Infallible;
    type Future = Ready<Result<Response07, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Body07::empty())))
    }
}

pub fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // Some of them look for the runtime.
    let _entered = runtime.enter();
    let measured: Vec<Rounds> = ALGORITHMS
        .iter()
        .map(|algorithm| {
            let server = runtime
                .block_on(TestIssuer::on_loopback())
                .unwrap()
                .with_algorithm(algorithm);
            measure(&runtime, &server, algorithm)
        })
        .collect();

    let mut table = Table::begin();
    for (index, (target, must, goal)) in TARGETS.into_iter().enumerate() {
        let times = &measured[index];
        let fastest = (0..PEERS.len())
            .min_by(|a, b| times.time(3 + a).total_cmp(&times.time(3 + b)))
            .unwrap();
        let ratio = times.each(|[_, _, ours, a, b, c, d]| [a, b, c, d][fastest] / ours);
        table.row(Row {
            what: format!(
                "hot {}, times as fast as the fastest peer, whole call",
                ALGORITHMS[index]
            ),
            target,
            measured: format!("{ratio:.1} ({})", PEERS[fastest]),
            met: Met::at_least(ratio, must, goal),
        });
    }
    println!("\n| whole call | RS256 | ES256 | EdDSA |\n|---|---|---|---|");
    let names = [
        "the bare service",
        "raw verification, no call",
        "resource-protector, hot",
    ];
    for (index, name) in names.into_iter().chain(PEERS).enumerate() {
        let times: Vec<String> = measured.iter().map(|times| nanoseconds(times.time(index))).collect();
        println!("| {name} | {} |", times.join(" | "));
    }
}

fn measure(runtime: &tokio::runtime::Runtime, issuer: &TestIssuer, algorithm: &str) -> Rounds {
    let tokens = Tokens::of(issuer.clone());
    let token = tokens.mint();
    let raw = Raw::of(&tokens, &token);
    let authorization = bearer(&token);
    let shown = Some(&authorization);

    let mut ours = tokens.protected(ROOM_FOR_ALL);
    let mut jwt_authorizer = runtime.block_on(layers::jwt_authorizer(issuer)).layer(Bare07);
    let mut tower_oauth2 = runtime.block_on(layers::tower_oauth2(issuer)).into_layer().layer(Bare);
    let mut oauth_resource_server = layers::oauth_resource_server(issuer, algorithm).layer(Bare);
    let mut huskarl = runtime.block_on(layers::huskarl(issuer)).layer(Bare);

    // A refusal would be fast, too. And all of them refuse a token of somebody else.
    let stranger = Some(bearer(&tokens.forge()));
    for (authorization, status) in [(shown, 200), (stranger.as_ref(), 401)] {
        assert_eq!(call(&mut ours, authorization), status, "resource-protector");
        assert_eq!(call(&mut jwt_authorizer, authorization), status, "{}", PEERS[0]);
        assert_eq!(call(&mut tower_oauth2, authorization), status, "{}", PEERS[1]);
        assert_eq!(call(&mut oauth_resource_server, authorization), status, "{}", PEERS[2]);
        assert_eq!(call(&mut huskarl, authorization), status, "{}", PEERS[3]);
    }
    race(
        // Short slices: what else the machine does falls between most of them.
        501,
        [
            contestant(200, || call(&mut Bare, shown)),
            contestant(12, || raw.verify()),
            contestant(200, || call(&mut ours, shown)),
            contestant(12, || call(&mut jwt_authorizer, shown)),
            contestant(12, || call(&mut tower_oauth2, shown)),
            contestant(12, || call(&mut oauth_resource_server, shown)),
            contestant(12, || call(&mut huskarl, shown)),
        ],
    )
}
