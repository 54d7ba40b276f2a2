//! Waiting for an offset: a number that only grows, and those who wait until it is large enough.
//!
//! Waiters are woken by the offset they wait for, never by a timed loop. High watermarks (parked
//! fetches) and durable offsets (acks=all) are both a [`Progress`].

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::types::Offset;

/// Wakes one waiter. It may be registered with several [`Progress`]es at once; a wake-up that
/// comes before the waiter sleeps is kept.
pub type Signal = Arc<Notify>;

/// The offset will never be reached: the partition is gone or its disk has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A growing offset.
pub struct Progress(Mutex<State>);

struct State {
    reached: Offset,
    closed: bool,
    next_id: u64,
    /// By what they wait for, so that neither waking nor leaving looks at those who are not
    /// concerned: there may be a great many.
    waiters: BTreeMap<Place, Signal>,
}

/// A waiter's offset, and a number that tells it from others with the same one.
type Place = (Offset, u64);

/// Keeps a signal registered; dropping it takes the signal out again.
pub struct Registration<'a> {
    progress: &'a Progress,
    place: Place,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.progress.0.lock().waiters.remove(&self.place);
    }
}

impl Progress {
    /// Starts at `reached`.
    pub fn new(reached: Offset) -> Self {
        Self(Mutex::new(State {
            reached,
            closed: false,
            next_id: 0,
            waiters: BTreeMap::new(),
        }))
    }

    /// Moves on to `to` (never back) and wakes those who waited for an offset up to it.
    pub fn advance(&self, to: Offset) {
        let mut state = self.0.lock();
        if to > state.reached {
            state.reached = to;
            state.wake_up_to(to);
        }
    }

    /// Wakes everybody, whatever they wait for: something else about the partition has changed
    /// (its start moved, it rolled) and the waiters should look again.
    pub fn wake_all(&self) {
        self.0.lock().wake_up_to(Offset(i64::MAX));
    }

    /// Says that nothing more will come, and wakes everybody.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.wake_up_to(Offset(i64::MAX));
    }

    /// Has `signal` woken when `threshold` is reached, at once if it has been.
    pub fn register(&self, threshold: Offset, signal: &Signal) -> Registration<'_> {
        let mut state = self.0.lock();
        let place = (threshold, state.next_id);
        state.next_id += 1;
        if state.closed || threshold <= state.reached {
            signal.notify_one();
        } else {
            state.waiters.insert(place, Arc::clone(signal));
        }
        Registration {
            progress: self,
            place,
        }
    }

    /// Waits until `threshold` is reached.
    pub async fn wait(&self, threshold: Offset) -> Result<(), Closed> {
        let signal = Signal::default();
        loop {
            {
                let state = self.0.lock();
                if threshold <= state.reached {
                    return Ok(());
                }
                if state.closed {
                    return Err(Closed);
                }
            }
            let _registration = self.register(threshold, &signal);
            signal.notified().await;
        }
    }
}

impl State {
    fn wake_up_to(&mut self, reached: Offset) {
        while let Some(first) = self.waiters.first_entry() {
            if first.key().0 > reached {
                break;
            }
            first.remove().notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = Box::pin(future);
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match future.as_mut().poll(cx) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn only_those_whose_offset_is_reached_wake() {
        let progress = Progress::new(Offset(5));
        let (near, far) = (Signal::default(), Signal::default());
        let near_registration = progress.register(Offset(6), &near);
        let _far = progress.register(Offset(8), &far);
        progress.advance(Offset(7));
        assert!(ready(near.notified()).await.is_some());
        assert!(ready(far.notified()).await.is_none());
        drop(near_registration);
        assert_eq!(progress.wait(Offset(7)).await, Ok(()));
        progress.close();
        assert!(ready(far.notified()).await.is_some());
        assert_eq!(progress.wait(Offset(9)).await, Err(Closed));
    }

    #[tokio::test]
    async fn a_dropped_registration_leaves_nothing_behind() {
        let progress = Progress::new(Offset(0));
        drop(progress.register(Offset(1), &Signal::default()));
        assert!(progress.0.lock().waiters.is_empty());
        progress.advance(Offset(3));
        progress.advance(Offset(2));
        assert_eq!(progress.wait(Offset(3)).await, Ok(()));
    }

    /// A fetch registers with each of its partitions and leaves them all at once. If leaving looked
    /// at everybody who stays, this would take minutes.
    #[tokio::test]
    async fn a_great_many_waiters_come_and_go() {
        const MANY: i64 = 200_000;
        let progress = Progress::new(Offset(0));
        let (waiting, woken) = (Signal::default(), Signal::default());
        let register = |offset| progress.register(Offset(offset), &waiting);
        let registrations: Vec<_> = (1..=MANY).map(register).collect();
        let last = progress.register(Offset(MANY), &woken);
        progress.advance(Offset(MANY / 2));
        assert!(ready(waiting.notified()).await.is_some());
        assert!(ready(woken.notified()).await.is_none());
        assert_eq!(progress.0.lock().waiters.len(), MANY as usize / 2 + 1);
        drop(registrations);
        assert_eq!(
            progress.0.lock().waiters.len(),
            1,
            "who was woken is gone already"
        );
        progress.wake_all();
        assert!(ready(woken.notified()).await.is_some());
        drop(last);
    }
}
