//! Figures of an instance, in Prometheus' form.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tidemark_client::consumer::Fetched;

use super::TaskId;
use super::shared::Shared;
use super::task::Task;

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

    /// What has been counted; it begins anew.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Upper bounds of how long something took, in milliseconds.
const BOUNDS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 20_000];

/// How long things took.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// By bound; the last one is for what took longer than all of them.
    took: [Counter; BOUNDS.len() + 1],
    millis: Counter,
}

impl Latency {
    pub(crate) fn observe(&self, millis: u64) {
        let at = BOUNDS.partition_point(|bound| *bound < millis);
        self.took[at].inc();
        self.millis.inc_by(millis);
    }
}

/// What workers count.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) records_in: Counter,
    pub(crate) records_out: Counter,
    pub(crate) commits: Latency,
    pub(crate) skipped_outputs: Counter,
    pub(crate) snapshots: Counter,
    pub(crate) failed_snapshots: Counter,
}

impl Metrics {
    /// Counts what was fetched.
    pub(crate) fn count_in(&self, fetched: &Fetched) {
        let batches = fetched.batches.iter();
        let records: i64 = batches
            .map(|batch| i64::from(batch.header().records_count))
            .sum();
        self.records_in.inc_by(records.max(0) as u64);
    }
}

/// All figures as Prometheus reads them (text format 0.0.4).
pub(crate) fn text(shared: &Shared) -> String {
    let mut out = Text::default();
    let metrics = &shared.metrics;
    let counters = [
        (
            "records_in_total",
            "Records of source topics that were fetched, those of global tables included.",
            &metrics.records_in,
        ),
        (
            "records_out_total",
            "Records that the cluster has taken, for topics and repartition topics, as of the last commit.",
            &metrics.records_out,
        ),
        (
            "skipped_outputs_total",
            "Records that could not be written and were left out.",
            &metrics.skipped_outputs,
        ),
        (
            "snapshots_total",
            "Snapshots of state that were written to disk.",
            &metrics.snapshots,
        ),
        (
            "failed_snapshots_total",
            "Snapshots of state that could not be written, because the disk was full, say.",
            &metrics.failed_snapshots,
        ),
    ];
    for (name, help, counter) in counters {
        out.family(name, "counter", help).line("", counter.get());
    }
    out.latency(
        "commit_latency_seconds",
        "How long commits took that succeeded.",
        &metrics.commits,
    );
    tasks(&mut out, shared);
    let mut restoring = Family::new(
        "restore_remaining_offsets",
        "gauge",
        "Offsets of changelogs that are still to be read to restore a task; there is at most a record for each.",
    );
    for (id, task) in shared.restoring.lock().iter() {
        let progress = task.progress;
        let left = progress.total.saturating_sub(progress.restored);
        restoring.line(format_args!("{{task=\"{id}\"}}"), left);
    }
    out.put(restoring);
    out.0
}

fn tasks(out: &mut Text, shared: &Shared) {
    let wall = shared.config.clock.now().wall;
    let mut dropped = Family::new(
        "dropped_records_total",
        "counter",
        "Records that were left out, by reason; late ones may be in other windows.",
    );
    let mut watermarks = Family::new(
        "watermark_milliseconds",
        "gauge",
        "Event time that a task has come to, in milliseconds since 1970.",
    );
    let mut behind = Family::new(
        "event_time_lag_milliseconds",
        "gauge",
        "How far a task's event time is behind the wall clock.",
    );
    let mut lags = Family::new(
        "lag_records",
        "gauge",
        "Records of a source partition that are still to be processed, as of the last fetch.",
    );
    let mut waiting = Family::new(
        "waiting_records",
        "gauge",
        "Those of them that have been fetched.",
    );
    let mut bytes = Family::new("state_bytes", "gauge", "Memory that a store takes.");
    let mut keys = Family::new(
        "state_keys",
        "gauge",
        "Keys that a store has, each window of a key counted.",
    );
    // A task may be busy for a while: the others are not kept waiting for it.
    let copied = |tasks: &Mutex<BTreeMap<TaskId, Arc<Mutex<Task>>>>| tasks.lock().clone();
    let own = copied(&shared.tasks).into_iter();
    let global = copied(&shared.global_tasks).into_iter();
    let all = own.map(|own| (own, false));
    for ((id, task), global) in all.chain(global.map(|own| (own, true))) {
        let mut task = task.lock();
        for (reason, count) in task.counts().by_reason() {
            dropped.line(format_args!("{{task=\"{id}\",reason=\"{reason}\"}}"), count);
        }
        let watermark = task.watermark();
        // Those of global tables have none that means something.
        if watermark > i64::MIN && !global {
            watermarks.line(format_args!("{{task=\"{id}\"}}"), watermark);
            behind.line(
                format_args!("{{task=\"{id}\"}}"),
                wall.saturating_sub(watermark),
            );
        }
        let (position, ends) = (task.position(), task.ends());
        for (at, ((partition, offset, _), end)) in position.inputs.iter().zip(ends).enumerate() {
            let topic = &partition.topic;
            let partition = partition.partition;
            let labels = format!("{{task=\"{id}\",topic=\"{topic}\",partition=\"{partition}\"}}");
            if let Some(end) = end {
                lags.line(&labels, end.saturating_sub(*offset).max(0));
            }
            waiting.line(&labels, task.waiting(at).0);
        }
        for (number, store) in task.stores() {
            let name = &shared.topology.stores[number].name;
            let labels = format!("{{task=\"{id}\",store=\"{name}\"}}");
            bytes.line(&labels, store.bytes());
            keys.line(&labels, store.len());
        }
    }
    for (number, global) in shared.topology.globals.iter().enumerate() {
        let (count, size) = (global.size)(shared.globals.any(number));
        let labels = format!("{{store=\"{}\"}}", global.name);
        bytes.line(&labels, size);
        keys.line(&labels, count);
    }
    for family in [dropped, watermarks, behind, lags, waiting, bytes, keys] {
        out.put(family);
    }
}

/// The text as it is written.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family<'a>(&'a mut self, name: &'static str, kind: &str, help: &str) -> Writer<'a> {
        let _ = writeln!(self.0, "# HELP tidemark_streams_{name} {help}");
        let _ = writeln!(self.0, "# TYPE tidemark_streams_{name} {kind}");
        Writer {
            name,
            out: &mut self.0,
        }
    }

    fn put(&mut self, family: Family) {
        self.family(family.name, family.kind, family.help);
        self.0.push_str(&family.lines);
    }

    fn latency(&mut self, name: &'static str, help: &str, latency: &Latency) {
        self.family(name, "histogram", help);
        let mut count = 0;
        let bounds = BOUNDS
            .iter()
            .map(|bound| (*bound as f64 / 1000.0).to_string());
        for (bound, took) in bounds.chain(["+Inf".to_owned()]).zip(&latency.took) {
            count += took.get();
            let _ = writeln!(
                self.0,
                "tidemark_streams_{name}_bucket{{le=\"{bound}\"}} {count}"
            );
        }
        let sum = latency.millis.get() as f64 / 1000.0;
        let _ = writeln!(self.0, "tidemark_streams_{name}_sum {sum}");
        let _ = writeln!(self.0, "tidemark_streams_{name}_count {count}");
    }
}

struct Writer<'a> {
    name: &'static str,
    out: &'a mut String,
}

impl Writer<'_> {
    fn line(self, labels: impl Display, value: impl Display) {
        let _ = writeln!(self.out, "tidemark_streams_{}{labels} {value}", self.name);
    }
}

/// One figure with several labels: its lines have to stand together.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    lines: String,
}

impl Family {
    fn new(name: &'static str, kind: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind,
            help,
            lines: String::new(),
        }
    }

    fn line(&mut self, labels: impl Display, value: impl Display) {
        let _ = writeln!(self.lines, "tidemark_streams_{}{labels} {value}", self.name);
    }
}
