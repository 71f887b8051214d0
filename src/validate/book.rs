//! Which calls are under way.

use std::{collections::HashMap, hash::Hash};

/// The calls under way, by what they ask for, and where the answer of each will be (`L`). At any time there is at most one
/// for each thing that can be asked.
///
/// It takes no lock, waits for nothing and makes no call: [`Flights`](super::Flights) does.
#[derive(Debug)]
pub(super) struct Book<K, L> {
    calls: HashMap<K, Call<L>>,
    next: u64,
}

#[derive(Debug)]
struct Call<L> {
    number: u64,
    landing: L,
}

/// A call that somebody waits for.
#[derive(Debug)]
pub(super) struct Entered<L> {
    /// Tells it from a later one that asks for the same.
    pub(super) number: u64,
    pub(super) landing: L,
    /// It has to be made, by the one who got this.
    pub(super) own: bool,
}

impl<K: Eq + Hash, L: Clone> Book<K, L> {
    pub(super) fn new() -> Self {
        Self {
            calls: HashMap::new(),
            next: 0,
        }
    }

    /// Joins the call that asks for `key`, or enters a new one.
    pub(super) fn join(&mut self, key: K, landing: impl FnOnce() -> L) -> Entered<L> {
        if let Some(call) = self.calls.get(&key) {
            return Entered {
                number: call.number,
                landing: call.landing.clone(),
                own: false,
            };
        }
        let (number, landing) = (self.next, landing());
        self.next = self.next.wrapping_add(1);
        let call = Call {
            number,
            landing: landing.clone(),
        };
        self.calls.insert(key, call);
        Entered {
            number,
            landing,
            own: true,
        }
    }

    /// Takes this one call off, and none that came after it.
    pub(super) fn end(&mut self, key: &K, number: u64) {
        if self.calls.get(key).is_some_and(|call| call.number == number) {
            self.calls.remove(key);
        }
    }

    /// Whoever asks for `key` from now on does not get the answer of the call that is under way.
    pub(super) fn forget(&mut self, key: &K) {
        self.calls.remove(key);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loom::{
        sync::{Condvar, Mutex},
        thread,
    };

    use super::*;

    /// What stands for the channel of an answer in the model.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Landing {
        Awaited,
        Answered(usize),
        Lost,
    }

    /// The shell around the book, in the model's own locks; it makes calls on the thread that entered them.
    struct Model {
        state: Mutex<State>,
        landed: Condvar,
    }

    struct State {
        book: Book<u8, usize>,
        landings: Vec<Landing>,
        /// The calls that are under way and not forgotten, by where they land.
        under_way: Vec<usize>,
    }

    impl Model {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                state: Mutex::new(State {
                    book: Book::new(),
                    landings: Vec::new(),
                    under_way: Vec::new(),
                }),
                landed: Condvar::new(),
            })
        }

        fn join(&self) -> Entered<usize> {
            let mut state = self.state.lock().unwrap();
            let State {
                book,
                landings,
                under_way,
            } = &mut *state;
            let entered = book.join(1, || {
                landings.push(Landing::Awaited);
                landings.len() - 1
            });
            if entered.own {
                assert!(under_way.is_empty(), "two calls for one thing");
                under_way.push(entered.landing);
            }
            entered
        }

        /// As the shell does it: off the book first, then the answer is out.
        fn land(&self, call: &Entered<usize>, answer: Landing) {
            let mut state = self.state.lock().unwrap();
            state.book.end(&1, call.number);
            state.under_way.retain(|landing| *landing != call.landing);
            drop(state);
            self.state.lock().unwrap().landings[call.landing] = answer;
            self.landed.notify_all();
        }

        fn forget(&self) {
            let mut state = self.state.lock().unwrap();
            state.book.forget(&1);
            state.under_way.clear();
        }

        fn wait(&self, call: &Entered<usize>) -> Landing {
            let mut state = self.state.lock().unwrap();
            while state.landings[call.landing] == Landing::Awaited {
                state = self.landed.wait(state).unwrap();
            }
            state.landings[call.landing]
        }

        /// What a request does: makes the call if it is its own, and waits for it in any case.
        fn ask(&self) -> Landing {
            let call = self.join();
            if call.own {
                self.land(&call, Landing::Answered(call.landing));
            }
            self.wait(&call)
        }

        fn is_empty(&self) -> bool {
            let state = self.state.lock().unwrap();
            state.book.is_empty() && state.under_way.is_empty()
        }
    }

    #[test]
    fn in_every_order_of_three_threads_there_is_one_call_at_a_time_and_all_are_answered() {
        let mut orders = loom::model::Builder::new();
        // How often a thread is stopped where it could go on; more finds nothing else, and takes long.
        orders.preemption_bound = Some(2);
        orders.check(|| {
            let model = Model::new();
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let model = Arc::clone(&model);
                    thread::spawn(move || model.ask())
                })
                .collect();
            assert!(matches!(model.ask(), Landing::Answered(_)));
            for other in others {
                assert!(matches!(other.join().unwrap(), Landing::Answered(_)));
            }
            assert!(model.is_empty());
        });
    }

    #[test]
    fn in_every_order_who_waits_for_a_call_that_breaks_off_learns_it_and_the_next_one_calls_anew() {
        loom::model(|| {
            let model = Model::new();
            let broken = model.join();
            let waiting = thread::spawn({
                let model = Arc::clone(&model);
                move || {
                    let call = model.join();
                    if call.own {
                        model.land(&call, Landing::Answered(call.landing));
                    }
                    (call.landing, model.wait(&call))
                }
            });
            model.land(&broken, Landing::Lost);
            match waiting.join().unwrap() {
                (joined, answer) if joined == broken.landing => assert_eq!(answer, Landing::Lost),
                (own, answer) => assert_eq!(answer, Landing::Answered(own)),
            }
            assert!(matches!(model.ask(), Landing::Answered(_)));
        });
    }

    #[test]
    fn in_every_order_a_forgotten_call_never_answers_who_comes_after_nor_ends_a_later_one() {
        let mut orders = loom::model::Builder::new();
        orders.preemption_bound = Some(2);
        orders.check(|| {
            let model = Model::new();
            let old = model.join();
            model.forget();
            let landing = thread::spawn({
                let model = Arc::clone(&model);
                let old = Entered { ..old };
                move || model.land(&old, Landing::Answered(old.landing))
            });
            let other = thread::spawn({
                let model = Arc::clone(&model);
                move || model.ask()
            });
            for answer in [model.ask(), other.join().unwrap()] {
                assert!(answer != Landing::Answered(old.landing) && answer != Landing::Lost);
            }
            landing.join().unwrap();
            assert!(model.is_empty());
        });
    }
}
