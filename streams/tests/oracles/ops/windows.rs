//! `windowed_by`.

use std::time::Duration;

use serde_json::Value;
use tidemark_streams::time::{EventTime, SessionWindows, SlidingWindows, TimeWindows};

use super::Outcome;
use crate::build::{Built, Handle};
use crate::case::{Node, Time};
use crate::functions;

/// A number of milliseconds; definitions that are negative cannot even be written here.
pub(crate) fn number(windows: &Value, field: &str) -> Result<Duration, String> {
    let millis = windows[field].as_i64().unwrap_or_default();
    let millis = u64::try_from(millis).map_err(|_| format!("{field} is negative"))?;
    Ok(Duration::from_millis(millis))
}

pub(crate) fn event_time(time: Time) -> EventTime {
    match time {
        Time::Stream => EventTime::StreamTime,
        Time::Watermark => EventTime::Watermark,
    }
}

/// How long windows take late records: Flink's lateness and Kafka's grace are one thing here.
pub(crate) fn lateness(windows: &Value) -> Result<Duration, String> {
    match windows.get("lateness") {
        Some(_) => number(windows, "lateness"),
        None => number(windows, "grace"),
    }
}

/// Tumbling and hopping windows; `None` for other kinds.
pub(crate) fn time_windows(windows: &Value, time: Time) -> Result<Option<TimeWindows>, String> {
    let made = match windows["kind"].as_str() {
        Some("tumbling") => TimeWindows::tumbling(number(windows, "size")?),
        Some("hopping") => {
            TimeWindows::hopping(number(windows, "size")?, number(windows, "advance")?)
        }
        _ => return Ok(None),
    };
    let made = made
        .allowed_lateness(lateness(windows)?)
        .offset_millis(windows["offset"].as_i64().unwrap_or_default())
        .event_time(event_time(time));
    Ok(Some(made))
}

pub(super) fn build(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    if node.op == "join" {
        return join(built, node);
    }
    if node.op != "windowed_by" {
        return Ok(Outcome::NotMine);
    }
    let Handle::Grouped(grouped) = built.from(node)? else {
        return Ok(Outcome::NotMine);
    };
    let windows = node.need("windows")?;
    if let Some(made) = time_windows(windows, built.time)? {
        let size = windows["size"].as_i64().unwrap_or_default();
        let windowed = grouped.windowed_by(made);
        return Ok(Outcome::Made(Handle::TimeWindowed(windowed, size)));
    }
    let handle = match windows["kind"].as_str() {
        Some("session") => {
            let made = session_windows(windows, built.time)?;
            Handle::SessionWindowed(grouped.windowed_by_session(made), number(windows, "gap")?)
        }
        Some("sliding") => {
            let made = sliding_windows(windows, built.time)?;
            let difference = windows["difference"].as_i64().unwrap_or_default();
            Handle::SlidingWindowed(grouped.windowed_by_sliding(made), difference)
        }
        _ => return Err(format!("nobody builds windows {windows}")),
    };
    Ok(Outcome::Made(handle))
}

pub(crate) fn session_windows(windows: &Value, time: Time) -> Result<SessionWindows, String> {
    if windows.get("gap_fn").is_some() {
        return Err("nobody builds sessions whose gap is the record's own".to_owned());
    }
    Ok(SessionWindows::with_gap(number(windows, "gap")?)
        .allowed_lateness(lateness(windows)?)
        .event_time(event_time(time)))
}

pub(crate) fn sliding_windows(windows: &Value, time: Time) -> Result<SlidingWindows, String> {
    Ok(SlidingWindows::of(number(windows, "difference")?)
        .allowed_lateness(lateness(windows)?)
        .event_time(event_time(time)))
}

/// Joins tables whose keys have windows.
fn join(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    let (left, right) = (node.need_text("left")?, node.need_text("right")?);
    let (Handle::WindowedTable(left), Handle::WindowedTable(right)) =
        (built.node(left)?, built.node(right)?)
    else {
        return Ok(Outcome::NotMine);
    };
    let joiner = functions::joiner(node.need_text("joiner")?)?;
    let joined = left.join(right, move |left, right| {
        joiner(left.clone(), right.clone())
    });
    Ok(Outcome::Made(Handle::WindowedTable(joined)))
}
