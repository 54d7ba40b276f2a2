//! The clock: what time it is, and waiting until a moment has come.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::types::{Monotonic, Now, Timestamp};

/// A boxed future that is ready when its moment has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time and waits for it.
pub trait Clock: Send + Sync {
    /// Both clocks, read at one moment.
    fn now(&self) -> Now;

    /// The monotonic clock in microseconds: for measuring, never for deciding.
    fn monotonic_micros(&self) -> u64 {
        self.now().monotonic.0.saturating_mul(1000)
    }

    /// Ready once the monotonic clock has reached `deadline`; at once if it has already.
    fn sleep_until(&self, deadline: Monotonic) -> Sleep;
}

/// The machine's clock.
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at 0 now.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one door to the system clock"
    )]
    pub fn start() -> Self {
        Self {
            started: std::time::Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one door to the system clock"
    )]
    fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            wall: Timestamp(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
            monotonic: Monotonic(
                u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            ),
        }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one door to the system clock"
    )]
    fn monotonic_micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one door to the system clock"
    )]
    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        // A deadline in the far future (a timeout of i64::MAX) must not overflow an Instant.
        let longest = Duration::from_secs(365 * 24 * 3600);
        let from_start = Duration::from_millis(deadline.0).min(self.started.elapsed() + longest);
        Box::pin(tokio::time::sleep_until((self.started + from_start).into()))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Clone)]
pub struct ManualClock {
    now: Arc<Mutex<Now>>,
    moved: Arc<Notify>,
}

impl ManualClock {
    /// A clock that shows `wall`, and 0 on its monotonic side.
    pub fn new(wall: Timestamp) -> Self {
        let now = Now {
            wall,
            monotonic: Monotonic(0),
        };
        Self {
            now: Arc::new(Mutex::new(now)),
            moved: Arc::new(Notify::new()),
        }
    }

    /// Moves both clocks forward by `ms` milliseconds and wakes whoever waited for that.
    pub fn advance(&self, ms: u64) {
        {
            let mut now = self.now.lock();
            now.wall.0 = now.wall.0.saturating_add_unsigned(ms);
            now.monotonic.0 = now.monotonic.0.saturating_add(ms);
        }
        self.moved.notify_waiters();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.now.lock()
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        let clock = self.clone();
        Box::pin(async move {
            loop {
                // Registered before the check, so that an advance in between is not missed.
                let moved = clock.moved.notified();
                if clock.now().monotonic >= deadline {
                    return;
                }
                moved.await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_its_moment_comes_and_not_before() {
        let clock = ManualClock::new(Timestamp(1_000));
        let mut sleep = clock.sleep_until(Monotonic(50));
        let pending =
            std::future::poll_fn(|cx| std::task::Poll::Ready(sleep.as_mut().poll(cx).is_pending()));
        assert!(pending.await);
        clock.advance(50);
        sleep.await;
        assert_eq!(
            clock.now(),
            Now {
                wall: Timestamp(1_050),
                monotonic: Monotonic(50)
            }
        );
    }
}
