//! Requests with remembered tokens on one thread, on two with tokens of their own, and on two with the same token.
//!
//! Criterion shows calls per second, all threads together.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod common;

use std::{sync::Barrier, thread, time::Instant};

use common::{ROOM_FOR_ALL, Tokens, bearer, call};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("threads");
    let tokens = Tokens::new("RS256");
    let protected = tokens.protected(ROOM_FOR_ALL);
    let (one, other) = (bearer(&tokens.mint()), bearer(&tokens.mint()));
    for (name, shown) in [
        ("one", vec![&one]),
        ("two, tokens of their own", vec![&one, &other]),
        ("two, the same token", vec![&one, &one]),
    ] {
        group.throughput(Throughput::Elements(shown.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| {
                let barrier = Barrier::new(shown.len() + 1);
                let work = |authorization| {
                    let mut protected = protected.clone();
                    barrier.wait();
                    for _ in 0..calls {
                        call(&mut protected, Some(authorization));
                    }
                };
                let work = &work;
                thread::scope(|scope| {
                    let start = |&authorization| scope.spawn(move || work(authorization));
                    let threads: Vec<_> = shown.iter().map(start).collect();
                    barrier.wait();
                    let start = Instant::now();
                    threads.into_iter().for_each(|thread| thread.join().unwrap());
                    start.elapsed()
                })
            });
        });
    }
}

criterion_group!(benches, threads);
criterion_main!(benches);
