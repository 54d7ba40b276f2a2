//! Whether the tasks that the broker cannot be without still run.
//!
//! A task that panics takes nobody with it: without the catalog no topic is made, without the
//! flusher no acks=all is answered, and everything else would go on as if nothing had happened.
//! So each of them holds a [`Pulse`]; one that is dropped without having been told that the work is
//! over means that the broker is broken and must be started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Watches over the tasks of one broker.
pub struct Vitals {
    failure: watch::Sender<Option<Arc<str>>>,
    stopping: AtomicBool,
}

/// Held by a task for as long as it runs.
pub struct Pulse {
    vitals: Arc<Vitals>,
    name: String,
    over: bool,
}

impl Vitals {
    /// Nothing has failed yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            failure: watch::Sender::new(None),
            stopping: AtomicBool::new(false),
        })
    }

    /// For a task to hold while it runs; the name is for whoever reads of its end.
    pub fn pulse(self: &Arc<Self>, name: impl Into<String>) -> Pulse {
        Pulse {
            vitals: Arc::clone(self),
            name: name.into(),
            over: false,
        }
    }

    /// The broker stops: from here on tasks may end, or be ended.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// What has failed, if something has.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.failure.borrow().clone()
    }

    /// Waits until something has failed, and says what.
    pub async fn failed(&self) -> Arc<str> {
        let mut failure = self.failure.subscribe();
        loop {
            if let Some(failed) = &*failure.borrow_and_update() {
                return Arc::clone(failed);
            }
            if failure.changed().await.is_err() {
                // The sender is in `self`.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Pulse {
    /// The task's work is over.
    pub fn rest(mut self) {
        self.over = true;
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if self.over || self.vitals.stopping.load(Ordering::Acquire) {
            return;
        }
        let text = format!("{} has failed", self.name);
        tracing::error!("{text}: the broker must be started again");
        // The first failure is the one that explains the others.
        self.vitals.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(text.into());
            }
            first
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_noticed_and_one_that_ends_is_not() {
        let vitals = Vitals::new();
        let pulse = vitals.pulse("the good one");
        tokio::spawn(async move { pulse.rest() }).await.unwrap();
        assert_eq!(vitals.failure(), None);
        for name in ["the catalog", "the janitor"] {
            let pulse = vitals.pulse(name);
            let task = tokio::spawn(async move {
                let _pulse = pulse;
                panic!("as a test");
            });
            assert!(task.await.is_err());
        }
        assert_eq!(&*vitals.failed().await, "the catalog has failed");
        assert_eq!(vitals.failure().as_deref(), Some("the catalog has failed"));
    }

    #[tokio::test]
    async fn nothing_fails_while_the_broker_stops() {
        let vitals = Vitals::new();
        let pulse = vitals.pulse("the catalog");
        vitals.stop();
        drop(pulse);
        assert_eq!(vitals.failure(), None);
    }
}
