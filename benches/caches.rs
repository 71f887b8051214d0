//! Which cache stands on the path of every request: how long a hit takes, on one thread and on each of two.
//!
//! Names of tokens as keys, one shared piece of memory as the value of each, ten thousand of them, as the validators have.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::Instant,
};

const ENTRIES: u128 = 10_000;
const HITS: usize = 200_000;
const ROUNDS: usize = 15;

type Value = Arc<[u8; 64]>;

/// Nanoseconds of a hit, with this many threads, each with keys of its own.
fn hit(threads: u128, get: &(impl Fn(u128) -> Value + Sync)) -> f64 {
    let start = Barrier::new(usize::try_from(threads).unwrap_or(1));
    let slowest = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let begun = Instant::now();
                    for n in 0..HITS {
                        // Spread over the keys, and never one of the other thread's.
                        let key = (n as u128 * 7919 * threads + thread) % ENTRIES;
                        black_box(get(black_box(key)));
                    }
                    begun.elapsed()
                })
            })
            .collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).max()
    });
    slowest.unwrap_or_default().as_secs_f64() * 1e9 / HITS as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let quick = quick_cache::sync::Cache::new(20_000);
    let moka = moka::sync::Cache::new(20_000);
    for key in 0..ENTRIES {
        let value: Value = Arc::new([0; 64]);
        quick.insert(key, Arc::clone(&value));
        moka.insert(key, value);
    }
    let from_quick = |key| quick.get(&key).unwrap();
    let from_moka = |key| moka.get(&key).unwrap();
    // No row of targets.
    println!("\n| a hit | one thread | each of two |\n|---|---|---|");
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(hit(1, &from_quick));
        times[1].push(hit(1, &from_moka));
        times[2].push(hit(2, &from_quick));
        times[3].push(hit(2, &from_moka));
    }
    let [quick_one, moka_one, quick_two, moka_two] = times.map(median);
    println!("| quick_cache | {quick_one:.0} ns | {quick_two:.0} ns |");
    println!("| moka | {moka_one:.0} ns | {moka_two:.0} ns |");
}
