//! Waiting for another process.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(5);
/// After how long a test gives up. Not a demand on speed: a broker that takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` until it gives a value. Gives up with `what` was waited for.
#[allow(
    clippy::disallowed_methods,
    reason = "another process can only be polled, and this is the one place that does it"
)]
#[track_caller]
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "still waiting for {what}");
        std::thread::sleep(STEP);
    }
}
