//! Waiting for an offset: a number that only grows, and those who wait until it is large enough.
//!
//! Waiters are woken by the offset they wait for, never by a timed loop. High watermarks (parked
//! fetches) and durable offsets (acks=all) are both a [`Progress`].

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
    waiters: Vec<Waiter>,
}

struct Waiter {
    id: u64,
    threshold: Offset,
    signal: Signal,
}

/// Keeps a signal registered; dropping it takes the signal out again.
pub struct Registration<'a> {
    progress: &'a Progress,
    id: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.progress
            .0
            .lock()
            .waiters
            .retain(|waiter| waiter.id != self.id);
    }
}

impl Progress {
    /// Starts at `reached`.
    pub fn new(reached: Offset) -> Self {
        Self(Mutex::new(State {
            reached,
            closed: false,
            next_id: 0,
            waiters: Vec::new(),
        }))
    }

    /// Moves on to `to` (never back) and wakes those who waited for an offset up to it.
    pub fn advance(&self, to: Offset) {
        let mut state = self.0.lock();
        if to > state.reached {
            state.reached = to;
            state.wake(|threshold| threshold <= to);
        }
    }

    /// Wakes everybody, whatever they wait for: something else about the partition has changed
    /// (its start moved, it rolled) and the waiters should look again.
    pub fn wake_all(&self) {
        self.0.lock().wake(|_| true);
    }

    /// Says that nothing more will come, and wakes everybody.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.wake(|_| true);
    }

    /// Has `signal` woken when `threshold` is reached, at once if it has been.
    pub fn register(&self, threshold: Offset, signal: &Signal) -> Registration<'_> {
        let mut state = self.0.lock();
        let id = state.next_id;
        state.next_id += 1;
        if state.closed || threshold <= state.reached {
            signal.notify_one();
        } else {
            state.waiters.push(Waiter {
                id,
                threshold,
                signal: Arc::clone(signal),
            });
        }
        Registration { progress: self, id }
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
    fn wake(&mut self, due: impl Fn(Offset) -> bool) {
        self.waiters.retain(|waiter| {
            let due = due(waiter.threshold);
            if due {
                waiter.signal.notify_one();
            }
            !due
        });
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
}
