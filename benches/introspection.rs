//! Opaque tokens: an answer that is remembered, and one that has to be asked for, beside the bare exchange.
//!
//! The run `ratios` also counts the calls for 1,000 concurrent first uses of one token.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod common;

use std::time::{Duration, Instant};

use common::{
    call,
    introspection::{Introspected, in_process, on_loopback},
    runtime,
};
use criterion::{Criterion, criterion_group, criterion_main};
use resource_protector::Fetch;

fn hit(criterion: &mut Criterion) {
    let mut introspected = in_process(Duration::ZERO);
    let authorization = introspected.mint();
    runtime().block_on(introspected.call(&authorization));
    criterion.bench_function("introspection/hit", |bencher| {
        bencher.iter(|| call(&mut introspected.protected, Some(&authorization)));
    });
}

fn miss(criterion: &mut Criterion) {
    miss_at(criterion, "5 ms away", in_process(Duration::from_millis(5)));
    miss_at(criterion, "loopback", on_loopback());
}

fn miss_at<F: Fetch + Clone>(criterion: &mut Criterion, server: &str, mut introspected: Introspected<F>) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group(format!("introspection/{server}"));
    group.bench_function("miss", |bencher| {
        bencher.iter_custom(|calls| {
            let shown: Vec<_> = (0..calls).map(|_| introspected.mint()).collect();
            let start = Instant::now();
            runtime.block_on(async {
                for authorization in &shown {
                    introspected.call(authorization).await;
                }
            });
            start.elapsed()
        });
    });
    let authorization = introspected.mint();
    runtime.block_on(introspected.call(&authorization));
    group.bench_function("bare exchange", |bencher| {
        bencher.iter(|| runtime.block_on(introspected.exchange.again()));
    });
}

criterion_group!(benches, hit, miss);
criterion_main!(benches);
