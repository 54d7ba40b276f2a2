//! What must happen from time to time: retention, timed flushes, checkpoints, removals.

use std::sync::Arc;

use tokio::sync::watch;

use crate::reconcile::Reconciler;
use crate::types::Monotonic;

/// How often timed flushes and removals are looked at, in milliseconds: fine enough for
/// `flush.ms` and `file.delete.delay.ms`, which are given in milliseconds but mean seconds.
const TICK_MS: i64 = 1_000;

/// When each duty is next due.
struct Duties {
    tick: Monotonic,
    retention: Monotonic,
    checkpoints: Monotonic,
}

/// Works until the broker stops.
pub(crate) async fn run(reconciler: Arc<Reconciler>, mut stopping: watch::Receiver<bool>) {
    let clock = Arc::clone(&reconciler.environment.clock);
    let start = clock.now().monotonic;
    let config = Arc::clone(&reconciler.base_config);
    let retention_ms = config.log_retention_check_interval_ms;
    let checkpoint_ms = i64::from(
        config
            .log_flush_offset_checkpoint_interval_ms
            .min(config.log_flush_start_offset_checkpoint_interval_ms)
            .max(1),
    );
    let mut duties = Duties {
        tick: start.plus_ms(TICK_MS),
        retention: start.plus_ms(retention_ms),
        checkpoints: start.plus_ms(checkpoint_ms),
    };
    loop {
        let next = duties.tick.min(duties.retention).min(duties.checkpoints);
        tokio::select! {
            () = clock.sleep_until(next) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let now = clock.now().monotonic;
        let reconciler = Arc::clone(&reconciler);
        let (tick, retention) = (duties.tick <= now, duties.retention <= now);
        let checkpoints = duties.checkpoints <= now;
        // Touches every partition and waits for the disk: not on a thread that serves requests.
        let work = tokio::task::spawn_blocking(move || {
            if tick {
                flush_timed(&reconciler);
                reconciler.remove_doomed();
            }
            if retention {
                apply_retention(&reconciler);
            }
            if checkpoints && let Err(error) = reconciler.write_checkpoints() {
                tracing::error!(%error, "cannot write the checkpoints");
            }
        });
        if let Err(error) = work.await {
            tracing::error!(%error, "the janitor has failed");
        }
        let now = clock.now().monotonic;
        if tick {
            duties.tick = now.plus_ms(TICK_MS);
        }
        if retention {
            duties.retention = now.plus_ms(retention_ms);
        }
        if checkpoints {
            duties.checkpoints = now.plus_ms(checkpoint_ms);
        }
    }
}

fn flush_timed(reconciler: &Reconciler) {
    let now = reconciler.environment.clock.now();
    for partition in reconciler.partitions.all() {
        partition.flush_if_due(now);
    }
}

/// Applies retention to every partition.
pub(crate) fn apply_retention(reconciler: &Reconciler) {
    let now = reconciler.environment.clock.now();
    for partition in reconciler.partitions.all() {
        match partition.maintain(now) {
            Ok(deleted) => reconciler.doom(deleted),
            Err(error) => {
                tracing::error!(partition = %partition.name(), %error, "retention failed");
            }
        }
    }
}
