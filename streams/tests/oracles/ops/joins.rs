//! Joins that a stream drives.

use serde_json::Value;
use std::time::Duration;

use tidemark_streams::time::{EventTime, JoinWindows};
use tidemark_streams::{GlobalTable, Stream, Table};

use super::Outcome;
use super::windows::{event_time, lateness};
use crate::build::{Built, Handle};
use crate::case::{Node, Time};
use crate::functions;
use crate::value::Dyn;

pub(crate) fn join_windows(windows: &Value, time: Time) -> Result<JoinWindows, String> {
    let millis = |field: &str| windows[field].as_i64().unwrap_or_default();
    Ok(JoinWindows::within(Duration::ZERO)
        .after_millis(millis("after"))
        .before_millis(millis("before"))
        .allowed_lateness(lateness(windows)?)
        .event_time(event_time(time)))
}

pub(super) fn build(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    if !matches!(node.op.as_str(), "join" | "left_join" | "outer_join") {
        return Ok(Outcome::NotMine);
    }
    let (left, right) = (node.need_text("left")?, node.need_text("right")?);
    let (left, right) = match (built.node(left)?.clone(), built.node(right)?.clone()) {
        (Handle::Stream(left), Handle::Stream(right)) => (left, right),
        (Handle::Stream(stream), Handle::Table(table)) => return with_table(node, &stream, &table),
        (Handle::Stream(stream), Handle::GlobalTable(table)) => {
            return with_global(node, &stream, &table);
        }
        _ => return Ok(Outcome::NotMine),
    };
    let windows = join_windows(node.need("windows")?, built.time)?;
    // Only deprecated windows have another one than ours.
    node.text("emit");
    let joiner = functions::joiner(node.need_text("joiner")?)?;
    let joined = match node.op.as_str() {
        "join" => left.join(
            &right,
            move |left, right| joiner(left.clone(), right.clone()),
            windows,
        ),
        "left_join" => left.left_join(
            &right,
            move |left, right| joiner(left.clone(), or_null(right)),
            windows,
        ),
        _ => left.outer_join(
            &right,
            move |left, right| joiner(or_null(left), or_null(right)),
            windows,
        ),
    };
    Ok(Outcome::Made(Handle::Stream((*joined).clone())))
}

fn or_null(value: Option<&Dyn>) -> Dyn {
    value.cloned().unwrap_or_default()
}

fn with_table(
    node: &Node,
    stream: &Stream<Dyn, Dyn>,
    table: &Table<Dyn, Dyn>,
) -> Result<Outcome, String> {
    let waiting = node.int("grace").map(|grace| {
        let grace = Duration::from_millis(u64::try_from(grace).unwrap_or_default());
        // Null values join nothing, and do not move Kafka's time on.
        let some = stream.filter(|_, value| *value != Dyn::Null);
        some.in_order(grace, EventTime::StreamTime)
    });
    let stream = waiting.as_ref().unwrap_or(stream);
    let join = functions::joiner(node.need_text("joiner")?)?;
    let joined = match node.op.as_str() {
        "join" => stream.join_table(table, move |value, found| {
            join(value.clone(), found.clone())
        }),
        "left_join" => stream.left_join_table(table, move |value, found| {
            join(value.clone(), or_null(found))
        }),
        _ => return Ok(Outcome::NotMine),
    };
    Ok(Outcome::Made(Handle::Stream(joined)))
}

fn with_global(
    node: &Node,
    stream: &Stream<Dyn, Dyn>,
    table: &GlobalTable<Dyn, Dyn>,
) -> Result<Outcome, String> {
    let join = functions::joiner(node.need_text("joiner")?)?;
    let key = functions::of_pair(node.need_text("key_fn")?)?;
    let joined = match node.op.as_str() {
        "join" => stream.join_global(table, key, move |value, found| {
            join(value.clone(), found.clone())
        }),
        "left_join" => stream.left_join_global(table, key, move |value, found| {
            join(value.clone(), or_null(found))
        }),
        _ => return Ok(Outcome::NotMine),
    };
    Ok(Outcome::Made(Handle::Stream(joined)))
}
