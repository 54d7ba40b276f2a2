//! The client's only door to time and chance: policy is handed a [`Now`], the shell asks a
//! [`Clock`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

/// A moment, as policy sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the clock was made. Never goes back.
    pub millis: u64,
    /// Milliseconds since 1970 (UTC): timestamps of records.
    pub wall: i64,
}

/// Where time and chance come from (Kafka: `Time`). Clones share both.
#[derive(Clone)]
pub struct Clock {
    source: Source,
    chance: Arc<Mutex<SmallRng>>,
}

#[derive(Clone)]
enum Source {
    System { started: tokio::time::Instant },
    Manual(watch::Receiver<Now>),
}

impl Clock {
    /// The machine's clocks and the system's randomness.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the client's door to time and chance"
    )]
    pub fn system() -> Self {
        Self {
            source: Source::System {
                started: tokio::time::Instant::now(),
            },
            chance: Arc::new(Mutex::new(SmallRng::seed_from_u64(rand::random()))),
        }
    }

    /// A clock that stands still until it is moved, and chance from a seed.
    #[must_use]
    pub fn manual(seed: u64) -> (Self, ManualClock) {
        let (time, moved) = watch::channel(Now::default());
        let clock = Self {
            source: Source::Manual(moved),
            chance: Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))),
        };
        (clock, ManualClock { time })
    }

    /// The moment.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the client's door to time"
    )]
    pub fn now(&self) -> Now {
        match &self.source {
            Source::System { started } => Now {
                millis: started.elapsed().as_millis() as u64,
                wall: std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |since| since.as_millis() as i64),
            },
            Source::Manual(moved) => *moved.borrow(),
        }
    }

    /// Ends when [`Now::millis`] has reached `millis`.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the client's door to time"
    )]
    pub async fn sleep_until(&self, millis: u64) {
        match &self.source {
            Source::System { started } => {
                // A moment too far away for the timer is never reached either.
                let until = started.checked_add(Duration::from_millis(millis));
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            }
            Source::Manual(moved) => {
                let mut moved = moved.clone();
                if moved.wait_for(|now| now.millis >= millis).await.is_err() {
                    // Whoever moves the clock has gone: time stands still for ever.
                    std::future::pending().await
                }
            }
        }
    }

    /// Ends after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.deadline(duration)).await;
    }

    /// The moment `duration` from now, in [`Now::millis`].
    #[must_use]
    pub fn deadline(&self, duration: Duration) -> u64 {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.now().millis.saturating_add(millis)
    }

    /// What `work` gives, or `None` if `deadline` comes first.
    pub async fn until<F: Future>(&self, deadline: u64, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = work => Some(output),
            () = self.sleep_until(deadline) => None,
        }
    }

    /// What `work` gives, or `None` if it takes longer than `limit`.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        self.until(self.deadline(limit), work).await
    }

    /// A random number: for jitter and for spreading load, not for secrets.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.chance.lock().next_u64()
    }
}

/// Moves the clock that it was made with, by [`Clock::manual`] (Kafka: `MockTime`). Once it is
/// dropped, time stands still.
pub struct ManualClock {
    time: watch::Sender<Now>,
}

impl ManualClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.time.send_modify(|now| {
            let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            now.millis = now.millis.saturating_add(millis);
            now.wall = now.wall.saturating_add_unsigned(millis);
        });
    }
}
