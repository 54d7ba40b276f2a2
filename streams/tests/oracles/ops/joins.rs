//! Joins that a stream drives.

use serde_json::Value;
use tidemark_streams::time::JoinWindows;

use super::Outcome;
use super::windows::{event_time, lateness, number};
use crate::build::{Built, Handle};
use crate::case::{Node, Time};
use crate::functions;

fn join_windows(windows: &Value, time: Time) -> Result<JoinWindows, String> {
    let millis = |field: &str| windows[field].as_i64().unwrap_or_default();
    Ok(JoinWindows::within(number(windows, "before")?)
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
    let (Handle::Stream(left), Handle::Stream(right)) =
        (built.node(left)?.clone(), built.node(right)?.clone())
    else {
        return Ok(Outcome::NotMine);
    };
    let windows = join_windows(node.need("windows")?, built.time)?;
    // Only deprecated windows have another one than ours.
    node.text("emit");
    let joiner = functions::joiner(node.need_text("joiner")?)?;
    let joined = match node.op.as_str() {
        "join" => left.join(
            &right,
            move |_, left, right| joiner(left.clone(), right.clone()),
            windows,
        ),
        "left_join" => left.left_join(
            &right,
            move |_, left, right| joiner(left.clone(), right.cloned().unwrap_or_default()),
            windows,
        ),
        _ => left.outer_join(
            &right,
            move |_, left, right| {
                let (left, right) = (left.cloned(), right.cloned());
                joiner(left.unwrap_or_default(), right.unwrap_or_default())
            },
            windows,
        ),
    };
    Ok(Outcome::Made(Handle::Stream(joined.clone())))
}
