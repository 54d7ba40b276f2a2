//! `suppress`, and `changes` by which it is fed directly.

use std::time::Duration;

use tidemark_streams::time::{Window, Windowed};
use tidemark_streams::{Suppress, WhenFull};

use super::{Outcome, windows};
use crate::build::{Built, Handle};
use crate::case::Node;
use crate::value::Dyn;

/// The original counts what an entry takes in memory, the name of its topic included: that is a little
/// over 100 bytes where an entry in a changelog has 40. Of both, one fits and two do not.
const BYTES: [(i64, usize); 2] = [(200, 50), (60, 60)];

pub(super) fn build(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    match node.op.as_str() {
        "changes" => {
            let topic = node.need_text("topic")?;
            let stream = built.builder.stream_with([topic], built.consumed());
            let table = stream.map_values(Dyn::change).to_table_of_changes();
            built.changes.insert(node.id.clone(), stream);
            Ok(Outcome::Made(Handle::Table(table)))
        }
        "suppress" => suppress(built, node),
        _ => Ok(Outcome::NotMine),
    }
}

fn suppress(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    let from = node.need_text("from")?;
    let bounds = bounds(built, node)?;
    let handle = match (node.need_text("until")?, built.node(from)?) {
        ("time_limit", handle) => {
            let limit = node.int("limit").ok_or("no limit")?;
            let limit = Duration::from_millis(u64::try_from(limit).unwrap_or_default());
            match handle {
                Handle::Table(table) => {
                    Handle::Table(table.suppress_until_time_limit(limit, bounds))
                }
                Handle::WindowedTable(table) => {
                    Handle::WindowedTable(table.suppress_until_time_limit(limit, bounds))
                }
                _ => return Err(format!("{from} is no table")),
            }
        }
        ("window_close", Handle::WindowedTable(_)) => {
            let own = built.windowed.get(from);
            let own = own.map(|table| table.suppress_until_window_closes(bounds));
            let several = built.cogrouped.get(from);
            let several = several.map(|table| table.suppress_until_window_closes(bounds));
            let table = own.or(several);
            Handle::WindowedTable(table.ok_or_else(|| format!("{from} does not know its windows"))?)
        }
        ("window_close", _) => {
            let changes = built.changes.get(from);
            let changes = changes.ok_or_else(|| format!("{from} has no windows"))?;
            let grace = node.int("grace").ok_or("no grace")?;
            let windowed = changes.map(|key, value| {
                let key = key.windowed().unwrap_or(Windowed {
                    key: Dyn::Null,
                    window: Window { start: 0, end: 0 },
                });
                (key, value.change())
            });
            let final_at = move |window: Window| window.end + grace;
            let table = windowed.to_table_of_changes();
            Handle::WindowedTable(table.suppress_until_final(final_at, bounds))
        }
        (other, _) => return Err(format!("no suppression until {other:?}")),
    };
    Ok(Outcome::Made(handle))
}

fn bounds(built: &Built, node: &Node) -> Result<Suppress, String> {
    let mut bounds = Suppress::new().event_time(windows::event_time(built.time));
    if let Some(records) = node.int("max_records") {
        bounds = bounds.max_records(usize::try_from(records).unwrap_or_default());
    }
    if let Some(bytes) = node.int("max_bytes") {
        let own = BYTES.iter().find(|(original, _)| *original == bytes);
        bounds = bounds.max_bytes(own.ok_or("no such number of bytes")?.1);
    }
    Ok(bounds.when_full(match node.text("when_full") {
        Some("emit") => WhenFull::EmitEarly,
        Some("shut_down") | None => WhenFull::Fail,
        Some(other) => return Err(format!("nothing happens as {other:?}")),
    }))
}
