//! A request with a token that was never seen, beside the raw verification of the same token.
//!
//! The tokens are made before, and come round again; so that memory hides nothing, the validator has none.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod common;

use common::{ALGORITHMS, Raw, Tokens, bearers, call};
use criterion::{Criterion, criterion_group, criterion_main};

fn cold(criterion: &mut Criterion) {
    for algorithm in ALGORITHMS {
        let mut group = criterion.benchmark_group(format!("cold/{algorithm}"));
        let tokens = Tokens::new(algorithm);
        let shown = tokens.mint_many(500);
        let mut protected = tokens.protected(0);
        let raws = Raw::of_many(&tokens, shown.iter().map(String::as_str));
        let authorizations = bearers(&shown);
        let (mut raws, mut authorizations) = (raws.iter().cycle(), authorizations.iter().cycle());
        group.bench_function("call", |bencher| {
            bencher.iter(|| call(&mut protected, authorizations.next()))
        });
        group.bench_function("raw", |bencher| bencher.iter(|| raws.next().unwrap().verify()));
    }
}

criterion_group!(benches, cold);
criterion_main!(benches);
