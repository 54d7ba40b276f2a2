//! Figures of an instance, in Prometheus' form.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shared::Shared;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn inc(&self) {
        self.inc_by(1);
    }

    pub(crate) fn inc_by(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What workers count.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) records_in: Counter,
    pub(crate) records_out: Counter,
    pub(crate) commits: Counter,
    pub(crate) commit_millis: Counter,
    pub(crate) skipped_outputs: Counter,
}

/// All figures as Prometheus reads them (text format 0.0.4).
pub(crate) fn text(shared: &Shared) -> String {
    let mut out = String::new();
    let metrics = &shared.metrics;
    let counters = [
        (
            "records_in_total",
            "Records that were fetched.",
            metrics.records_in.get(),
        ),
        (
            "records_out_total",
            "Records that were written to topics.",
            metrics.records_out.get(),
        ),
        (
            "commits_total",
            "Commits that succeeded.",
            metrics.commits.get(),
        ),
        (
            "commit_milliseconds_total",
            "Time spent in commits.",
            metrics.commit_millis.get(),
        ),
        (
            "skipped_outputs_total",
            "Records that could not be written and were left out.",
            metrics.skipped_outputs.get(),
        ),
    ];
    for (name, help, value) in counters {
        head(&mut out, name, "counter", help);
        let _ = writeln!(out, "tidemark_streams_{name} {value}");
    }
    tasks(&mut out, shared);
    head(
        &mut out,
        "restore_remaining_records",
        "gauge",
        "Changelog records still to be read.",
    );
    for (id, progress) in shared.restoring.lock().iter() {
        let left = progress.total.saturating_sub(progress.restored);
        let _ = writeln!(
            out,
            "tidemark_streams_restore_remaining_records{{task=\"{id}\"}} {left}"
        );
    }
    out
}

fn tasks(out: &mut String, shared: &Shared) {
    let wall = shared.config.clock.now().wall;
    let (mut counts, mut marks, mut lags, mut state) =
        (String::new(), String::new(), String::new(), String::new());
    for (id, task) in shared.tasks.lock().iter() {
        let mut task = task.lock();
        for (reason, count) in task.counts().by_reason() {
            let _ = writeln!(
                counts,
                "tidemark_streams_dropped_records_total{{task=\"{id}\",reason=\"{reason}\"}} {count}"
            );
        }
        let watermark = task.watermark();
        if watermark > i64::MIN {
            let _ = writeln!(
                marks,
                "tidemark_streams_watermark_milliseconds{{task=\"{id}\"}} {watermark}"
            );
            let lag = wall.saturating_sub(watermark);
            let _ = writeln!(
                lags,
                "tidemark_streams_event_time_lag_milliseconds{{task=\"{id}\"}} {lag}"
            );
        }
        for (number, store) in task.stores() {
            let name = &shared.topology.stores[number].name;
            let (bytes, keys) = (store.bytes(), store.len());
            let labels = format!("task=\"{id}\",store=\"{name}\"");
            let _ = writeln!(state, "tidemark_streams_state_bytes{{{labels}}} {bytes}");
            let _ = writeln!(state, "tidemark_streams_state_keys{{{labels}}} {keys}");
        }
    }
    head(
        out,
        "dropped_records_total",
        "counter",
        "Records that were left out, by reason.",
    );
    out.push_str(&counts);
    head(
        out,
        "watermark_milliseconds",
        "gauge",
        "Event time that a task has come to.",
    );
    out.push_str(&marks);
    head(
        out,
        "event_time_lag_milliseconds",
        "gauge",
        "How far it is behind the wall clock.",
    );
    out.push_str(&lags);
    head(
        out,
        "state_bytes",
        "gauge",
        "Memory that a store takes, and keys that it has.",
    );
    let (bytes, keys): (Vec<&str>, Vec<&str>) = state
        .lines()
        .partition(|line| line.starts_with("tidemark_streams_state_bytes"));
    for line in bytes {
        let _ = writeln!(out, "{line}");
    }
    head(
        out,
        "state_keys",
        "gauge",
        "Keys that a store has, each window of a key counted.",
    );
    for line in keys {
        let _ = writeln!(out, "{line}");
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP tidemark_streams_{name} {help}");
    let _ = writeln!(out, "# TYPE tidemark_streams_{name} {kind}");
}
