//! The order of a consumer's commits: each is sent when the one before has ended.

use tokio::sync::oneshot::{self, error::TryRecvError};

/// What a commit hands to the one behind it when it ends: whom it was still waiting for itself, if
/// it was given up before its turn.
struct Behind(oneshot::Receiver<Option<Behind>>);

/// Where commits line up, in the order in which they were begun.
#[derive(Default)]
pub(in crate::consumer) struct CommitQueue {
    last: Option<Behind>,
}

/// A place in the line. Dropping it lets the next one come.
pub(in crate::consumer) struct Turn {
    before: Option<Behind>,
    done: Option<oneshot::Sender<Option<Behind>>>,
}

impl CommitQueue {
    /// The next place.
    pub(in crate::consumer) fn join(&mut self) -> Turn {
        let (done, ended) = oneshot::channel();
        Turn {
            before: self.last.replace(Behind(ended)),
            done: Some(done),
        }
    }
}

impl Turn {
    /// Waits until all commits before it have ended.
    pub(in crate::consumer) async fn wait(&mut self) {
        while let Some(before) = &mut self.before {
            self.before = (&mut before.0).await.unwrap_or_default();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // What it need not wait for is not handed on: chains stay short however many are given up.
        while let Some(before) = &mut self.before {
            self.before = match before.0.try_recv() {
                Ok(earlier) => earlier,
                Err(TryRecvError::Closed) => None,
                Err(TryRecvError::Empty) => break,
            };
        }
        if let Some(done) = self.done.take() {
            // Nobody may be behind it.
            let _ = done.send(self.before.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn waits(turn: &mut Turn) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(turn.wait()).poll(&mut context).is_pending()
    }

    #[test]
    fn each_waits_for_all_before_it() {
        let mut queue = CommitQueue::default();
        let mut first = queue.join();
        let mut second = queue.join();
        let mut third = queue.join();
        assert!(!waits(&mut first) && waits(&mut second) && waits(&mut third));
        // One that is given up lets nobody overtake those that it waited for.
        drop(second);
        assert!(waits(&mut third));
        let mut fourth = queue.join();
        drop(first);
        assert!(!waits(&mut third) && waits(&mut fourth));
        drop(third);
        assert!(!waits(&mut fourth));
    }

    #[test]
    fn whoever_comes_late_waits_for_nobody() {
        let mut queue = CommitQueue::default();
        drop(queue.join());
        drop(queue.join());
        assert!(!waits(&mut queue.join()));
    }
}
