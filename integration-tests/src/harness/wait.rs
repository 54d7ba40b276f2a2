//! Waiting for another process.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(5);
/// After how long a test gives up. Not a demand on speed: a broker that takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` until it gives a value. Gives up with `what` was waited for.
#[track_caller]
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    let value = within(PATIENCE, probe);
    value.unwrap_or_else(|| panic!("still waiting for {what}"))
}

/// Asks `probe` until it gives a value, or for this long: for what may be given up.
#[allow(
    clippy::disallowed_methods,
    reason = "another process can only be polled, and this is the one place that does it"
)]
pub fn within<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if started.elapsed() >= patience {
            return None;
        }
        std::thread::sleep(STEP);
    }
}
