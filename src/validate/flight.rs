//! One call, however many wait for it.

use std::{
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch};

use super::book::{Book, Entered};

/// Calls under way, by what they ask for.
///
/// A call runs as a task of its own: it captures nothing of the request that started it and goes on when that request
/// goes away. It ends by itself, so whoever starts one gives it a deadline. Which calls there are is kept in a [`Book`].
pub(crate) struct Flights<K, V>(Arc<Mutex<Book<K, Landing<V>>>>);

/// Where the answer of a call will be. It is lost when the sender is gone and there is none.
type Landing<V> = watch::Receiver<Option<V>>;

/// How a call came out for one who waited.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Landed<V> {
    /// With an answer to a call that was started for this request.
    Own(V),
    /// With an answer to a call that was under way already.
    Joined(V),
    /// Without an answer: the call broke off, or there is no runtime to run it on.
    Lost,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Book::new())))
    }

    /// Waits for the call that asks for `key`, no longer than `patience`; starts it if none is under way.
    ///
    /// The call has a deadline of its own. It lapses unnoticed where the runtime that the call runs on stands still; so
    /// whoever loses patience with a call takes it off the list, and the next one starts another.
    pub(crate) async fn join<F>(&self, key: K, patience: Duration, start: impl FnOnce() -> F) -> Landed<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let Some(Entered {
            number,
            mut landing,
            own,
        }) = self.launch(key.clone(), start)
        else {
            return Landed::Lost;
        };
        let landed = match tokio::time::timeout(patience, landing.wait_for(Option::is_some)).await {
            Ok(landed) => landed.ok().and_then(|value| value.clone()),
            Err(_) => {
                self.lock().end(&key, number);
                None
            }
        };
        match landed {
            Some(value) if own => Landed::Own(value),
            Some(value) => Landed::Joined(value),
            None => Landed::Lost,
        }
    }

    /// Starts the call that asks for `key`, if none is under way, and waits for nothing.
    pub(crate) fn start<F>(&self, key: K, start: impl FnOnce() -> F)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let _ = self.launch(key, start);
    }

    /// Whoever asks from now on does not get the answer of the call that is under way.
    pub(crate) fn forget(&self, key: &K) {
        self.lock().forget(key);
    }

    /// Enters the call in the book, and starts it if it was not there.
    fn launch<F>(&self, key: K, start: impl FnOnce() -> F) -> Option<Entered<Landing<V>>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let runtime = Handle::try_current().ok()?;
        let mut land = None;
        let entered = self.lock().join(key.clone(), || {
            let (sender, landing) = watch::channel(None);
            land = Some(sender);
            landing
        });
        let Some(land) = land else { return Some(entered) };
        // From here on it is taken off the book however it ends, be it that starting it panics.
        let end = End {
            flights: Self(Arc::clone(&self.0)),
            key,
            number: entered.number,
        };
        let call = start();
        runtime.spawn(async move {
            let value = call.await;
            // Off the book before the answer is out: who comes after the answer starts a new call.
            drop(end);
            land.send_replace(Some(value));
        });
        Some(entered)
    }

    fn lock(&self) -> MutexGuard<'_, Book<K, Landing<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a call off the book when it is over, even if it panicked.
struct End<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    flights: Flights<K, V>,
    key: K,
    number: u64,
}

impl<K, V> Drop for End<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        self.flights.lock().end(&self.key, self.number);
    }
}

impl<K, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_call_that_never_ends_is_left_behind_when_patience_is_over() {
        let flights = Flights::<u8, u32>::new();
        assert_eq!(flights.join(1, PATIENCE, std::future::pending).await, Landed::Lost);
        assert_eq!(flights.join(1, PATIENCE, || async { 1 }).await, Landed::Own(1));
    }

    #[tokio::test]
    async fn a_thousand_waiters_make_one_call_and_survive_the_one_who_started_it() {
        let flights = Flights::<u8, u32>::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let wait = |_| {
            let (flights, calls, gate) = (flights.clone(), calls.clone(), gate.clone());
            tokio::spawn(async move {
                let landed = flights.join(1, PATIENCE, || async move {
                    calls.fetch_add(1, Ordering::SeqCst);
                    let _open = gate.acquire().await;
                    7
                });
                landed.await
            })
        };
        let waiters: Vec<_> = (0..1000).map(wait).collect();
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        waiters[0].abort();
        gate.add_permits(1);
        let mut answered = 0;
        for waiter in waiters {
            if let Ok(landed) = waiter.await {
                assert!(matches!(landed, Landed::Own(7) | Landed::Joined(7)));
                answered += 1;
            }
        }
        assert_eq!((answered, calls.load(Ordering::SeqCst)), (999, 1));
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_call_that_panics_is_lost_for_its_waiters_and_the_next_one_starts_anew() {
        let flights = Flights::<u8, u32>::new();
        let landed = flights.join(1, PATIENCE, || async { panic!("on purpose") }).await;
        assert_eq!(landed, Landed::Lost);
        assert_eq!(flights.join(1, PATIENCE, || async { 1 }).await, Landed::Own(1));
    }

    #[tokio::test]
    async fn a_forgotten_call_answers_only_those_who_wait_already() {
        let flights = Flights::<u8, u32>::new();
        let gate = Arc::new(Semaphore::new(0));
        let slow = {
            let gate = gate.clone();
            || async move {
                let _open = gate.acquire().await;
                1
            }
        };
        let early = tokio::spawn({
            let flights = flights.clone();
            async move { flights.join(1, PATIENCE, slow).await }
        });
        while flights.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        flights.forget(&1);
        assert_eq!(flights.join(1, PATIENCE, || async { 2 }).await, Landed::Own(2));
        gate.add_permits(1);
        assert_eq!(early.await.unwrap(), Landed::Own(1));
    }

    #[test]
    fn without_a_runtime_nothing_panics() {
        let flights = Flights::<u8, u32>::new();
        let mut join = std::pin::pin!(flights.join(1, PATIENCE, || async { 1 }));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert_eq!(join.as_mut().poll(&mut cx), std::task::Poll::Ready(Landed::Lost));
    }
}
