//! Whether anything still happens on a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::environment::Clock;
use crate::types::Monotonic;

/// When the connection last did something, and how many answers are still to come: they keep it
/// alive, however long they take.
pub(super) struct Activity {
    clock: Arc<dyn Clock>,
    /// `connections.max.idle.ms`; negative for no limit.
    idle_ms: i64,
    last: AtomicU64,
    unanswered: AtomicUsize,
}

impl Activity {
    pub(super) fn new(clock: Arc<dyn Clock>, idle_ms: i64) -> Self {
        Self {
            last: AtomicU64::new(clock.now().monotonic.0),
            clock,
            idle_ms,
            unanswered: AtomicUsize::new(0),
        }
    }

    /// Bytes have arrived, or have been taken by the client.
    pub(super) fn touch(&self) {
        self.last
            .store(self.clock.now().monotonic.0, Ordering::Relaxed);
    }

    /// A request has arrived.
    pub(super) fn begin(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.touch();
    }

    /// A request has been answered.
    pub(super) fn end(&self) {
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
        self.touch();
    }

    /// Ready when nothing has happened for too long.
    pub(super) async fn idle(&self) {
        if self.idle_ms < 0 {
            return std::future::pending().await;
        }
        loop {
            self.quiet(self.idle_ms).await;
            if self.unanswered.load(Ordering::Relaxed) == 0 {
                return;
            }
            self.touch();
        }
    }

    /// Ready when nothing has happened for `ms` milliseconds, whatever is still to come.
    pub(super) async fn quiet(&self, ms: i64) {
        loop {
            let last = self.last.load(Ordering::Relaxed);
            self.clock.sleep_until(Monotonic(last).plus_ms(ms)).await;
            if self.last.load(Ordering::Relaxed) == last {
                return;
            }
        }
    }

    /// Ready after as long as a connection may be idle: nothing could be written for that long.
    pub(super) async fn period(&self) {
        if self.idle_ms < 0 {
            return std::future::pending().await;
        }
        let deadline = self.clock.now().monotonic.plus_ms(self.idle_ms);
        self.clock.sleep_until(deadline).await;
    }
}
