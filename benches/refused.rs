//! What a refusal costs: no token, garbage, a key that nobody has, and a token that is remembered but expired.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod common;

use common::{Raw, Tokens, call, refusals};
use criterion::{Criterion, criterion_group, criterion_main};

fn refused(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refused");
    // Keys are not fetched again for made-up names within 30 s; each of these takes 8.
    for mut refused in refusals(5000) {
        let mut shown = refused.shown.iter().cycle();
        group.bench_function(refused.what, |bencher| {
            bencher.iter(|| call(&mut refused.protected, shown.next().unwrap().as_ref()));
        });
    }
    let tokens = Tokens::new("RS256");
    let raw = Raw::of(&tokens, &tokens.mint());
    group.bench_function("raw RS256", |bencher| bencher.iter(|| raw.verify()));
}

criterion_group!(benches, refused);
criterion_main!(benches);
