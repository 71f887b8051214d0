//! What a counting allocator sees: allocations of a call, bytes of a remembered token, and a flood of tokens that were
//! never seen. How long a hit takes among many is in `ratios` and `hot`, since counting takes time of its own.
//!
//! Whether a token is still remembered is told by the allocations of its call: a verification makes more of them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]

mod common;

use std::hint::black_box;

use allocation_counter::measure;
use common::{
    Bare, Protected, ROOM_FOR_ALL, Tokens, bearer, bearers, call,
    table::{Met, Row, Table, sections},
};
use http::HeaderValue;
use metrics_exporter_prometheus::PrometheusBuilder;

fn main() {
    let sections = sections(&["allocations", "bytes", "flood"]);
    let mut table = Table::begin();
    for section in sections {
        match section {
            "allocations" => {
                allocations(&mut table);
                watched(&mut table);
            }
            "bytes" => bytes(&mut table),
            _ => flood(&mut table),
        }
    }
}

fn count(mut calls: impl FnMut()) -> u64 {
    measure(&mut calls).count_total
}

fn count_call(protected: &mut Protected, authorization: &HeaderValue) -> u64 {
    count(|| {
        black_box(call(protected, Some(authorization)));
    })
}

/// The most of 1,000 hot calls, beyond what the bare service takes.
fn allocations(table: &mut Table) {
    let tokens = Tokens::new("RS256");
    let (authorization, mut protected) = (bearer(&tokens.mint()), tokens.protected(ROOM_FOR_ALL));
    let cold = count_call(&mut protected, &authorization);
    for _ in 0..100 {
        call(&mut protected, Some(&authorization));
    }
    let bare = count(|| {
        black_box(call(&mut Bare, Some(&authorization)));
    });
    let counted: Vec<u64> = (0..1000).map(|_| count_call(&mut protected, &authorization)).collect();
    let most = counted.iter().max().unwrap() - bare;
    table.row(Row {
        what: "hot, allocations beyond those of the bare service".to_owned(),
        target: "at most 3",
        measured: format!(
            "{most} (least {}, bare {bare}, cold {})",
            counted.iter().min().unwrap() - bare,
            cold - bare
        ),
        met: Met::at_most(most as f64, 3.0, 3.0),
    });
}

/// The same while metrics and `tracing` listen as they do in production.
fn watched(table: &mut Table) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let subscriber = || {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO);
        subscriber.with_writer(std::io::sink).finish()
    };
    let by_metrics = metrics::with_local_recorder(&recorder, most_of_hot_calls);
    let by_tracing = tracing::subscriber::with_default(subscriber(), most_of_hot_calls);
    let by_both = metrics::with_local_recorder(&recorder, || {
        tracing::subscriber::with_default(subscriber(), most_of_hot_calls)
    });
    // Or else nothing was counted, and the row is worth nothing. The first call of each time verified.
    let shown = recorder.handle().render();
    assert!(shown.contains(r#"tokens_total{how="remembered"} 2198"#), "{shown}");
    table.row(Row {
        what: "hot, the same with a metrics recorder and a tracing subscriber at INFO".to_owned(),
        target: "at most 3",
        measured: format!("{by_both} (recorder alone {by_metrics}, subscriber alone {by_tracing})"),
        met: Met::at_most(by_both as f64, 3.0, 3.0),
    });
}

/// Of 1,000 calls, after 100 that are not counted, beyond what the bare service takes.
fn most_of_hot_calls() -> u64 {
    let tokens = Tokens::new("RS256");
    let (authorization, mut protected) = (bearer(&tokens.mint()), tokens.protected(ROOM_FOR_ALL));
    for _ in 0..100 {
        call(&mut protected, Some(&authorization));
    }
    let bare = count(|| {
        black_box(call(&mut Bare, Some(&authorization)));
    });
    let counted = (0..1000).map(|_| count_call(&mut protected, &authorization));
    counted.max().unwrap() - bare
}

/// What stays allocated per remembered token, its claims included.
fn bytes(table: &mut Table) {
    const COUNT: usize = 200_000;
    let tokens = Tokens::new("EdDSA");
    let mut protected = tokens.protected(ROOM_FOR_ALL);
    let mut kept = 0;
    for _ in 0..COUNT {
        let authorization = bearer(&tokens.mint());
        kept += measure(|| {
            call(&mut protected, Some(&authorization));
        })
        .bytes_current;
    }
    table.row(Row {
        what: format!("bytes per remembered 1 KiB token, of {COUNT}"),
        target: "",
        measured: format!("{:.0}", kept as f64 / COUNT as f64),
        met: Met::Published,
    });
}

/// Room for 10,000 tokens. Of every 11 requests, ten bring a token that nobody has seen and one brings one of 1,000 that
/// come again and again: between two uses of such a token, as many new ones come as there is room for.
fn flood(table: &mut Table) {
    const CAPACITY: usize = 10_000;
    const HOT: usize = 1_000;
    const NEVER_SEEN: usize = 300_000;
    let tokens = Tokens::new("EdDSA");
    let hot = bearers(&tokens.mint_many(HOT));
    let mut protected = tokens.protected(CAPACITY);
    let cold = count_call(&mut protected, &hot[0]);
    for _ in 0..5 {
        for authorization in &hot {
            call(&mut protected, Some(authorization));
        }
    }
    let remembered = count_call(&mut protected, &hot[0]);
    let is_verified = |count: u64| count * 2 >= cold + remembered;
    let (mut verified_again, mut kept, mut after_a_tenth) = (0, 0, 0);
    for number in 0..NEVER_SEEN {
        let authorization = bearer(&tokens.mint());
        kept += measure(|| {
            call(&mut protected, Some(&authorization));
        })
        .bytes_current;
        if number % 10 == 0 {
            let again = &hot[number / 10 % HOT];
            verified_again += usize::from(is_verified(count_call(&mut protected, again)));
        }
        if number + 1 == NEVER_SEEN / 10 {
            after_a_tenth = kept;
        }
    }
    let uses = NEVER_SEEN / 10;
    let growth = (kept - after_a_tenth) as f64 / after_a_tenth.max(1) as f64;
    table.row(Row {
        what: format!("{NEVER_SEEN} never-seen tokens against a capacity of {CAPACITY}, {HOT} hot ones"),
        target: "no hot token evicted, memory flat",
        measured: format!(
            "{verified_again} of {uses} hot uses verified again; {} KiB after a tenth, {} KiB after all",
            after_a_tenth / 1024,
            kept / 1024
        ),
        met: Met::all(verified_again == 0 && growth < 0.05),
    });
}
