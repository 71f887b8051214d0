//! So many calls and nothing else, for `benches/callgrind`: `callgrind hot RS256 1000`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

mod common;

use std::hint::black_box;

use common::{Bare, Protected, REVOCATIONS, ROOM_FOR_ALL, Tokens, bearer, call, revocations, revoke};
use http::{HeaderValue, StatusCode};

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let [what, algorithm, calls] = named.as_slice() else {
        println!("nothing to do without `benches/callgrind`");
        return;
    };
    let tokens = Tokens::new(algorithm);
    let list = revocations(if what.ends_with("listed") { REVOCATIONS } else { 0 });
    let mut protected = match what.as_str() {
        "listed" | "relisted" => tokens.listed(&list),
        _ => tokens.protected(ROOM_FOR_ALL),
    };
    let authorization = bearer(&tokens.mint());
    for _ in 0..100 {
        call(&mut protected, Some(&authorization));
    }
    for number in 0..calls.parse().unwrap() {
        match what.as_str() {
            "listed" => black_box(counted_hot(&mut protected, &authorization)),
            // The list has learned of another revocation since the last call.
            "relisted" => {
                revoke(&list, REVOCATIONS + number);
                black_box(counted_hot(&mut protected, &authorization))
            }
            "hot" => black_box(counted_hot(&mut protected, &authorization)),
            "bare" => black_box(counted_bare(&authorization)),
            other => panic!("expected hot, bare, listed or relisted, got {other:?}"),
        };
    }
}

/// What callgrind counts: it is told these names.
#[inline(never)]
fn counted_hot(protected: &mut Protected, authorization: &HeaderValue) -> StatusCode {
    call(protected, Some(authorization))
}

#[inline(never)]
fn counted_bare(authorization: &HeaderValue) -> StatusCode {
    call(&mut Bare, Some(authorization))
}
