//! The targets that are ratios of times: both sides in one run, in turns, medians of the rounds. Less than 3 minutes.
//!
//! `cargo bench --bench ratios --all-features`, and names of sections for some of them:
//! `cargo bench --bench ratios --all-features -- hot cold`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]

mod common;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{
    ALGORITHMS, Bare, Protected, REVOCATIONS, ROOM_FOR_ALL, Raw, Tokens, bearer, bearers, call, fill,
    introspection::{Introspected, in_process, on_loopback},
    race::{Rounds, contestant, median, race, throughput},
    refusals, revocations, revoke,
    table::{Met, Row, Table, fraction, nanoseconds, sections},
};
use http::HeaderValue;
use resource_protector::Fetch;

fn main() {
    // A million tokens leave the allocator busy with giving their memory back, so they come last.
    let sections = sections(&[
        "hot",
        "listed",
        "cold",
        "refused",
        "threads",
        "introspection",
        "million",
    ]);
    let mut table = Table::begin();
    for section in sections {
        match section {
            "hot" => hot(&mut table),
            "listed" => listed(&mut table),
            "cold" => cold(&mut table),
            "refused" => refused(&mut table),
            "threads" => threads(&mut table),
            "million" => million(&mut table),
            _ => introspection(&mut table),
        }
    }
}

/// What the layer adds to a request with a token that it knows, against the raw verification by the same algorithm.
fn hot(table: &mut Table) {
    for algorithm in ALGORITHMS {
        let tokens = Tokens::new(algorithm);
        let mut protected = tokens.protected(ROOM_FOR_ALL);
        let token = tokens.mint();
        let raw = Raw::of(&tokens, &token);
        let authorization = bearer(&token);
        let times = race_against_raw(&mut protected, &authorization, &raw);
        let added = times.each(|[bare, hot, raw]| (hot - bare) / raw);
        let shown = format!(
            "{} (call {}, bare {}, raw {})",
            fraction(added),
            nanoseconds(times.time(1)),
            nanoseconds(times.time(0)),
            nanoseconds(times.time(2)),
        );
        let rs256 = algorithm == "RS256";
        table.row(Row {
            what: format!("hot, what the layer adds, of one raw {algorithm} verification"),
            target: if rs256 { "1/20, goal 1/40" } else { "" },
            measured: shown,
            met: if rs256 {
                Met::at_most(added, 1.0 / 20.0, 1.0 / 40.0)
            } else {
                Met::Published
            },
        });
    }
}

/// A call with a list of revocations, against the same call without; and while more are revoked.
fn listed(table: &mut Table) {
    const PAUSE: Duration = Duration::from_millis(10);
    let tokens = Tokens::new("RS256");
    let (still, moving) = (revocations(REVOCATIONS), revocations(REVOCATIONS));
    let mut without = tokens.protected(ROOM_FOR_ALL);
    let (mut with, mut with_moving) = (tokens.listed(&still), tokens.listed(&moving));
    let authorization = bearer(&tokens.mint());
    let is_over = AtomicBool::new(false);
    let times = thread::scope(|scope| {
        scope.spawn(|| {
            for number in REVOCATIONS.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                revoke(&moving, number);
                thread::sleep(PAUSE);
            }
        });
        let times = race(
            2001,
            [
                contestant(400, || call(&mut without, Some(&authorization))),
                contestant(400, || call(&mut with, Some(&authorization))),
                contestant(400, || call(&mut with_moving, Some(&authorization))),
            ],
        );
        is_over.store(true, Ordering::Relaxed);
        times
    });
    let ratio = times.each(|[without, with, _]| with / without);
    let moving = times.each(|[without, _, moving]| moving / without);
    table.row(Row {
        what: "hot, with a list of 100,000 revocations, of the call without".to_owned(),
        target: "at most 1.03",
        measured: format!(
            "{ratio:.3} (call {}, without {}; while 100 more come in a second {moving:.3})",
            nanoseconds(times.time(1)),
            nanoseconds(times.time(0)),
        ),
        met: Met::at_most(ratio, 1.03, 1.03),
    });
}

fn race_against_raw(protected: &mut Protected, authorization: &HeaderValue, raw: &Raw) -> Rounds {
    race(
        // Short slices: what else the machine does falls between most of them.
        501,
        [
            contestant(400, || call(&mut Bare, Some(authorization))),
            contestant(400, || call(protected, Some(authorization))),
            contestant(20, || raw.verify()),
        ],
    )
}

/// A token that was never seen, with and without remembering it, against the raw verification of the same token.
///
/// Where it is remembered, the memory is full already, as it is in a service that runs: each token drives another out.
fn cold(table: &mut Table) {
    const ROUNDS: usize = 41;
    const ROOM: usize = 1000;
    const CALLS: u32 = 60;
    for (algorithm, target, must, goal) in [
        ("RS256", "1.20, goal 1.12", 1.20, 1.12),
        ("ES256", "1.08, goal 1.05", 1.08, 1.05),
        ("EdDSA", "1.10, goal 1.06", 1.10, 1.06),
    ] {
        let tokens = Tokens::new(algorithm);
        let shown = tokens.mint_many((ROUNDS + 1) * CALLS as usize);
        let raw = Raw::of_many(&tokens, shown.iter().map(String::as_str));
        let authorizations = bearers(&shown);
        let (mut keeping, mut forgetting) = (tokens.protected(ROOM), tokens.protected(0));
        for authorization in bearers(&tokens.mint_many(2 * ROOM)) {
            assert_eq!(call(&mut keeping, Some(&authorization)), 200);
        }
        // Each takes every token once.
        let mut raws = raw.iter();
        let (mut kept, mut forgotten) = (authorizations.iter(), authorizations.iter());
        let times = race(
            ROUNDS,
            [
                contestant(CALLS, || raws.next().unwrap().verify()),
                contestant(CALLS, || call(&mut keeping, kept.next())),
                contestant(CALLS, || call(&mut forgetting, forgotten.next())),
            ],
        );
        let ratio = times.each(|[raw, keeping, _]| keeping / raw);
        let forgetting = times.each(|[raw, _, forgetting]| forgetting / raw);
        table.row(Row {
            what: format!("cold {algorithm}, of the raw verification"),
            target,
            measured: format!(
                "{ratio:.2} (call {}, raw {}; remembering nothing {forgetting:.2})",
                nanoseconds(times.time(1)),
                nanoseconds(times.time(0)),
            ),
            met: Met::at_most(ratio, must, goal),
        });
    }
}

fn refused(table: &mut Table) {
    const ROUNDS: usize = 41;
    const CALLS: u32 = 250;
    let tokens = Tokens::new("RS256");
    let raw = Raw::of(&tokens, &tokens.mint());
    for mut refused in refusals((ROUNDS + 1) * CALLS as usize) {
        let mut shown = refused.shown.iter().cycle();
        let protected = &mut refused.protected;
        let times = race(
            ROUNDS,
            [
                contestant(CALLS, || {
                    assert_eq!(call(protected, shown.next().unwrap().as_ref()), 401);
                }),
                contestant(60, || raw.verify()),
            ],
        );
        let ratio = times.each(|[refused, raw]| refused / raw);
        table.row(Row {
            what: format!("refused: {}, of one raw RS256 verification", refused.what),
            target: "1/30",
            measured: format!("{} ({})", fraction(ratio), nanoseconds(times.time(0))),
            met: Met::at_most(ratio, 1.0 / 30.0, 1.0 / 30.0),
        });
    }
}

/// Two threads against one, each slice of a round as long as the others.
fn threads(table: &mut Table) {
    const ROUNDS: usize = 31;
    const SLICE: Duration = Duration::from_millis(40);
    let tokens = Tokens::new("RS256");
    let protected = tokens.protected(ROOM_FOR_ALL);
    let (one, other) = (bearer(&tokens.mint()), bearer(&tokens.mint()));
    let repeat = |authorization: &HeaderValue| {
        let (mut protected, authorization) = (protected.clone(), authorization.clone());
        move || {
            call(&mut protected, Some(&authorization));
        }
    };
    let mut rates = vec![Vec::new(); 3];
    for round in 0..=ROUNDS {
        let measured = [
            throughput(SLICE, vec![repeat(&one)]),
            throughput(SLICE, vec![repeat(&one), repeat(&other)]),
            throughput(SLICE, vec![repeat(&one), repeat(&one)]),
        ];
        if round > 0 {
            (0..3).for_each(|index| rates[index].push(measured[index]));
        }
    }
    let rates = Rounds::of(rates);
    let (own, same) = (
        rates.each(|[alone, own, _]| own / alone),
        rates.each(|[alone, _, same]| same / alone),
    );
    table.row(Row {
        what: "two threads with tokens of their own, of the throughput of one".to_owned(),
        target: "at least 1.6",
        measured: format!("{own:.2} (one: {:.0} calls/s)", rates.time(0)),
        met: Met::at_least(own, 1.6, 1.6),
    });
    table.row(Row {
        what: "two threads with the same token".to_owned(),
        target: "",
        measured: format!("{same:.2}"),
        met: Met::Published,
    });
}

/// How long a hit takes when 1 k and when 1 M tokens are remembered.
///
/// Those that are asked for lie far apart in memory. What stands in the request was just read from a socket, so it is
/// looked at before the time is taken.
fn million(table: &mut Table) {
    const ROUNDS: usize = 61;
    const BATCHES: usize = 40;
    let tokens = Tokens::new("EdDSA");
    let filled = |count: usize, keep: usize| {
        let protected = tokens.protected(ROOM_FOR_ALL);
        let kept = fill(&protected, &tokens, count, keep);
        // Not in the order in which they came.
        let shown: Vec<HeaderValue> = (0..kept.len())
            .map(|index| kept[index * 997 % kept.len()].clone())
            .collect();
        (protected, shown)
    };
    let (few, many) = (filled(1000, 1), filled(1_000_000, 50));
    let mut times = vec![Vec::new(), Vec::new()];
    for (index, (protected, shown)) in [few, many].into_iter().enumerate() {
        let (mut protected, mut batches) = (protected, shown.chunks_exact(16).cycle());
        for _ in 0..ROUNDS {
            let mut total = Duration::ZERO;
            for _ in 0..BATCHES {
                let batch = batches.next().unwrap();
                let bytes = batch.iter().flat_map(|value| value.as_bytes());
                std::hint::black_box(bytes.map(|byte| u32::from(*byte)).sum::<u32>());
                let start = Instant::now();
                for authorization in batch {
                    std::hint::black_box(call(&mut protected, Some(authorization)));
                }
                total += start.elapsed();
            }
            times[index].push(total.as_secs_f64() * 1e9 / (BATCHES * 16) as f64);
        }
    }
    let times = Rounds::of(times);
    let ratio = times.each(|[few, many]| many / few);
    table.row(Row {
        what: "a hit among 1 M remembered tokens, of one among 1 k".to_owned(),
        target: "at most 3",
        measured: format!(
            "{ratio:.2} ({}, {})",
            nanoseconds(times.time(1)),
            nanoseconds(times.time(0))
        ),
        met: Met::at_most(ratio, 3.0, 3.0),
    });
}

fn introspection(table: &mut Table) {
    first_uses(table);
    hit(table);
    let miss_in_process = miss(in_process(Duration::from_millis(10)), 31);
    let miss_on_loopback = miss(on_loopback(), 301);
    for (server, (ratio, bare)) in [
        ("10 ms away", miss_in_process),
        ("on loopback, by the default client", miss_on_loopback),
    ] {
        table.row(Row {
            what: format!("introspection miss, server {server}, in round trips"),
            target: "at most 1.3",
            measured: format!("{ratio:.2} (round trip {})", nanoseconds(bare)),
            met: Met::at_most(ratio, 1.3, 1.3),
        });
    }
}

/// 1,000 requests come at once, with one token that nobody has shown before.
fn first_uses(table: &mut Table) {
    const TIME: Duration = Duration::from_millis(20);
    let introspected = in_process(TIME);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (mut most, mut times) = (0, Vec::new());
    for _ in 0..11 {
        let (authorization, before) = (introspected.mint(), introspected.exchange.calls());
        let start = Instant::now();
        runtime.block_on(async {
            let requests: Vec<_> = (0..1000)
                .map(|_| {
                    let mut protected = introspected.protected.clone();
                    let request = common::request(Some(&authorization));
                    tokio::spawn(async move { tower::Service::call(&mut protected, request).await })
                })
                .collect();
            for request in requests {
                assert_eq!(request.await.unwrap().unwrap().status(), 200);
            }
        });
        times.push(start.elapsed().as_secs_f64() / TIME.as_secs_f64());
        most = most.max(introspected.exchange.calls() - before);
    }
    let waited = times.iter().copied().fold(0.0, f64::max);
    table.row(Row {
        what: "1,000 concurrent first uses of one opaque token".to_owned(),
        target: "1 upstream call, all answered within 3 round trips",
        measured: format!("{most}, {:.2} round trips (worst of 11: {waited:.2})", median(times)),
        met: Met::all(most == 1 && waited <= 3.0),
    });
}

fn hit(table: &mut Table) {
    let mut introspected = in_process(Duration::ZERO);
    let authorization = introspected.mint();
    common::runtime().block_on(introspected.call(&authorization));
    let tokens = Tokens::new("RS256");
    let raw = Raw::of(&tokens, &tokens.mint());
    let times = race_against_raw(&mut introspected.protected, &authorization, &raw);
    let added = times.each(|[bare, hit, raw]| (hit - bare) / raw);
    table.row(Row {
        what: "introspection hit, what the layer adds, of one raw RS256 verification".to_owned(),
        target: "1/20, goal 1/40",
        measured: format!("{} (call {})", fraction(added), nanoseconds(times.time(1))),
        met: Met::at_most(added, 1.0 / 20.0, 1.0 / 40.0),
    });
}

/// A whole call that has to ask, in bare exchanges of the same request; and how long one of these takes.
fn miss<F: Fetch + Clone>(mut introspected: Introspected<F>, rounds: usize) -> (f64, f64) {
    let runtime = common::runtime();
    let mut times = vec![Vec::new(), Vec::new()];
    for round in 0..=rounds {
        let authorization = introspected.mint();
        runtime.block_on(async {
            let start = Instant::now();
            introspected.call(&authorization).await;
            let called = start.elapsed();
            let start = Instant::now();
            introspected.exchange.again().await;
            if round > 0 {
                times[0].push(called.as_secs_f64() * 1e9);
                times[1].push(start.elapsed().as_secs_f64() * 1e9);
            }
        });
    }
    let times = Rounds::of(times);
    (times.each(|[miss, bare]| miss / bare), times.time(1))
}
