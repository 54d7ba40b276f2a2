//! What comes out.

use serde::{Deserialize, Serialize};
use tidemark_streams::time::Windowed;
use tidemark_streams::{Late, LateReason};

use crate::event::Event;
use crate::sum::ExactSum;

/// What is kept of the events of a window.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Stats {
    count: u64,
    /// How many of them had a value.
    values: u64,
    sum: ExactSum,
    /// The earliest and the latest.
    times: Option<(i64, i64)>,
}

impl Stats {
    pub(crate) fn add(&mut self, event: &Event) {
        self.count += 1;
        if let Some(value) = event.value {
            self.values += 1;
            self.sum.add(value);
        }
        self.reach(event.timestamp, event.timestamp);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.values += other.values;
        self.sum.merge(&other.sum);
        if let Some((first, last)) = other.times {
            self.reach(first, last);
        }
    }

    fn reach(&mut self, first: i64, last: i64) {
        let (own_first, own_last) = self.times.unwrap_or((first, last));
        self.times = Some((own_first.min(first), own_last.max(last)));
    }
}

/// Events of one type in one window.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct OfType {
    event_type: String,
    window_start: i64,
    window_end: i64,
    event_count: u64,
    total_value: f64,
    /// Null if no event had a value.
    avg_value: Option<f64>,
}

impl OfType {
    pub(crate) fn of(key: Windowed<String>, stats: Stats) -> (String, Self) {
        let total_value = stats.sum.value();
        let result = Self {
            event_type: key.key.clone(),
            window_start: key.window.start,
            window_end: key.window.end,
            event_count: stats.count,
            total_value,
            avg_value: (stats.values > 0).then(|| total_value / stats.values as f64),
        };
        (key.key, result)
    }
}

/// Events of one user in one window or session.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct OfUser {
    user_id: String,
    window_start: i64,
    window_end: i64,
    session_events: u64,
    session_value: f64,
    session_start: i64,
    session_end: i64,
}

impl OfUser {
    /// `gap` is what belongs to a session behind its last event.
    pub(crate) fn of(key: Windowed<String>, stats: &Stats, gap: i64) -> (String, Self) {
        let window = key.window;
        let (first, last) = stats.times.unwrap_or((window.start, window.end));
        let result = Self {
            user_id: key.key.clone(),
            window_start: window.start,
            window_end: window.end.saturating_add(gap),
            session_events: stats.count,
            session_value: stats.sum.value(),
            session_start: first,
            session_end: last,
        };
        (key.key, result)
    }
}

/// An event that came too late.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct LateEvent {
    /// For which topic's results.
    output: String,
    event: Event,
    /// The window that it would have been in.
    window_start: i64,
    window_end: i64,
    /// Where the watermark was.
    watermark: i64,
    /// By how many milliseconds it was too late.
    lateness: i64,
    reason: LateReason,
}

impl LateEvent {
    pub(crate) fn of(late: Late<Event>, output: &str, gap: i64) -> (String, Self) {
        let result = Self {
            output: output.to_owned(),
            window_start: late.window.start,
            window_end: late.window.end.saturating_add(gap),
            watermark: late.watermark,
            lateness: late.lateness,
            reason: late.reason,
            event: late.value,
        };
        (result.event.user_id.clone(), result)
    }
}

tidemark_streams::json_data!(Stats, OfType, OfUser, LateEvent);
