//! Several things in turns, so that whatever else the machine does falls on all of them alike.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// One of the things that are compared.
pub struct Contestant<'a> {
    calls: u32,
    run: Box<dyn FnMut(u32) + 'a>,
}

/// Runs this so many times in every round.
pub fn contestant<'a, T>(calls: u32, mut run: impl FnMut() -> T + 'a) -> Contestant<'a> {
    let run = move |calls| {
        for _ in 0..calls {
            black_box(run());
        }
    };
    Contestant {
        calls,
        run: Box::new(run),
    }
}

/// Nanoseconds per call: of each contestant, one number for each round.
pub struct Rounds(Vec<Vec<f64>>);

/// Lets all run in every round, in changing order. One round more is run first, and not counted.
pub fn race<const N: usize>(rounds: usize, mut contestants: [Contestant<'_>; N]) -> Rounds {
    let mut times = vec![Vec::with_capacity(rounds); N];
    for round in 0..=rounds {
        for turn in 0..N {
            // Each is first, and each follows each other, equally often.
            let index = (if round % 2 == 0 { turn } else { N - 1 - turn } + round / 2) % N;
            let contestant = &mut contestants[index];
            let start = Instant::now();
            (contestant.run)(contestant.calls);
            if round > 0 {
                times[index].push(start.elapsed().as_secs_f64() * 1e9 / f64::from(contestant.calls));
            }
        }
    }
    Rounds(times)
}

impl Rounds {
    pub fn of(times: Vec<Vec<f64>>) -> Self {
        Self(times)
    }

    /// The median time of one contestant.
    pub fn time(&self, index: usize) -> f64 {
        median(self.0[index].clone())
    }

    /// The median of what is computed from the times of one round.
    pub fn each<const N: usize>(&self, compute: impl Fn([f64; N]) -> f64) -> f64 {
        let rounds = 0..self.0[0].len();
        median(
            rounds
                .map(|round| compute(std::array::from_fn(|index| self.0[index][round])))
                .collect(),
        )
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Calls per second, all threads together, while each repeats what it was given for this long.
pub fn throughput<F: FnMut() + Send>(time: Duration, threads: Vec<F>) -> f64 {
    let barrier = Barrier::new(threads.len());
    let repeat = |mut run: F| {
        barrier.wait();
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed() < time {
            for _ in 0..64 {
                run();
            }
            calls += 64;
        }
        f64::from(calls) / start.elapsed().as_secs_f64()
    };
    thread::scope(|scope| {
        let repeat = &repeat;
        let threads: Vec<_> = threads
            .into_iter()
            .map(|run| scope.spawn(move || repeat(run)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}
