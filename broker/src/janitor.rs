//! What must happen from time to time: retention, timed flushes, checkpoints, removals, forgetting
//! producers.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::BrokerConfig;
use crate::reconcile::Reconciler;
use crate::types::Monotonic;

/// How often timed flushes and removals are looked at, in milliseconds: fine enough for
/// `flush.ms` and `file.delete.delay.ms`, which are given in milliseconds but mean seconds.
const TICK_MS: i64 = 1_000;

/// Something to do over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    /// Timed flushes and removals.
    Tick,
    Retention,
    Checkpoints,
    /// Forgetting idle producers, as in Kafka at an interval of its own.
    Producers,
}

/// When each duty is next due, and how long it then rests.
struct Duties([(Duty, Monotonic, i64); 4]);

impl Duties {
    fn new(config: &BrokerConfig, start: Monotonic) -> Self {
        let checkpoints = config
            .log_flush_offset_checkpoint_interval_ms
            .min(config.log_flush_start_offset_checkpoint_interval_ms)
            .max(1);
        let producers = config.producer_id_expiration_check_interval_ms;
        let every = |duty, interval_ms| (duty, start.plus_ms(interval_ms), interval_ms);
        Self([
            every(Duty::Tick, TICK_MS),
            every(Duty::Retention, config.log_retention_check_interval_ms),
            every(Duty::Checkpoints, i64::from(checkpoints)),
            every(Duty::Producers, i64::from(producers)),
        ])
    }

    /// When the next one is due.
    fn next(&self) -> Monotonic {
        let [(_, first, _), others @ ..] = self.0;
        others
            .iter()
            .fold(first, |next, (_, due, _)| next.min(*due))
    }

    /// Those that are due.
    fn due(&self, now: Monotonic) -> Vec<Duty> {
        let due = self.0.iter().filter(|(_, due, _)| *due <= now);
        due.map(|(duty, _, _)| *duty).collect()
    }

    /// These are done: each rests for its interval.
    fn done(&mut self, duties: &[Duty], now: Monotonic) {
        for (duty, due, interval_ms) in &mut self.0 {
            if duties.contains(duty) {
                *due = now.plus_ms(*interval_ms);
            }
        }
    }
}

/// Works until the broker stops.
pub(crate) async fn run(reconciler: Arc<Reconciler>, mut stopping: watch::Receiver<bool>) {
    let clock = Arc::clone(&reconciler.environment.clock);
    let mut duties = Duties::new(&reconciler.base_config, clock.now().monotonic);
    loop {
        tokio::select! {
            () = clock.sleep_until(duties.next()) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let due = duties.due(clock.now().monotonic);
        let (reconciler, work) = (Arc::clone(&reconciler), due.clone());
        // Touches every partition and waits for the disk: not on a thread that serves requests.
        let work = tokio::task::spawn_blocking(move || {
            for duty in work {
                perform(duty, &reconciler);
            }
        });
        if let Err(error) = work.await {
            tracing::error!(%error, "the janitor has failed");
        }
        duties.done(&due, clock.now().monotonic);
    }
}

fn perform(duty: Duty, reconciler: &Reconciler) {
    match duty {
        Duty::Tick => {
            flush_timed(reconciler);
            reconciler.remove_doomed();
        }
        Duty::Retention => apply_retention(reconciler),
        Duty::Checkpoints => {
            if let Err(error) = reconciler.write_checkpoints() {
                tracing::error!(%error, "cannot write the checkpoints");
            }
        }
        Duty::Producers => expire_producers(reconciler),
    }
}

fn flush_timed(reconciler: &Reconciler) {
    let now = reconciler.environment.clock.now();
    for partition in reconciler.partitions.all() {
        partition.flush_if_due(now);
    }
}

fn expire_producers(reconciler: &Reconciler) {
    let now = reconciler.environment.clock.now();
    for partition in reconciler.partitions.all() {
        partition.expire_producers(now);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duty_has_its_own_interval() {
        let config = BrokerConfig::from_pairs([
            ("log.retention.check.interval.ms", "5000"),
            ("log.flush.offset.checkpoint.interval.ms", "4000"),
            ("producer.id.expiration.check.interval.ms", "2500"),
        ]);
        let mut duties = Duties::new(&config.unwrap(), Monotonic(100));
        let mut told = Vec::new();
        while duties.next() < Monotonic(5_200) {
            let now = duties.next();
            let due = duties.due(now);
            told.push((now.0, due.clone()));
            duties.done(&due, now);
        }
        use Duty::{Checkpoints, Producers, Retention, Tick};
        let expected = [
            (1_100, vec![Tick]),
            (2_100, vec![Tick]),
            (2_600, vec![Producers]),
            (3_100, vec![Tick]),
            (4_100, vec![Tick, Checkpoints]),
            (5_100, vec![Tick, Retention, Producers]),
        ];
        assert_eq!(told, expected);
    }
}
