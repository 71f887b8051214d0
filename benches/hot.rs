//! A request with a token that is remembered, beside the bare service and the raw verification of the same token.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod common;

use common::{ALGORITHMS, Bare, REVOCATIONS, ROOM_FOR_ALL, Raw, Tokens, bearer, call, fill, revocations};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn hot(criterion: &mut Criterion) {
    for algorithm in ALGORITHMS {
        let mut group = criterion.benchmark_group(format!("hot/{algorithm}"));
        let tokens = Tokens::new(algorithm);
        let mut protected = tokens.protected(ROOM_FOR_ALL);
        let token = tokens.mint();
        let (raw, authorization) = (Raw::of(&tokens, &token), bearer(&token));
        group.bench_function("call", |bencher| {
            bencher.iter(|| call(&mut protected, Some(&authorization)))
        });
        group.bench_function("bare", |bencher| bencher.iter(|| call(&mut Bare, Some(&authorization))));
        group.bench_function("raw", |bencher| bencher.iter(|| raw.verify()));
    }
}

/// The same token, without a list of revocations and with one.
fn listed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("listed");
    let tokens = Tokens::new("RS256");
    let authorization = bearer(&tokens.mint());
    let mut without = tokens.protected(ROOM_FOR_ALL);
    group.bench_function("without", |bencher| {
        bencher.iter(|| call(&mut without, Some(&authorization)))
    });
    let mut with = tokens.listed(&revocations(REVOCATIONS));
    group.bench_function("with", |bencher| bencher.iter(|| call(&mut with, Some(&authorization))));
}

/// Hits in turn, among few and among many remembered tokens. To fill a million takes a minute, and only when it is run.
fn remembered(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("remembered");
    let tokens = Tokens::new("EdDSA");
    for (count, keep) in [(1_000, 1), (1_000_000, 50)] {
        let mut filled = None;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let (protected, kept) = filled.get_or_insert_with(|| {
                let protected = tokens.protected(ROOM_FOR_ALL);
                let kept = fill(&protected, &tokens, count, keep);
                (protected, kept)
            });
            let mut shown = kept.iter().cycle();
            bencher.iter(|| call(protected, shown.next()));
        });
    }
}

criterion_group!(benches, hot, listed, remembered);
criterion_main!(benches);
