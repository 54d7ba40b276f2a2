//! `cogroup`, with its windows.

use tidemark_streams::{CogroupedStream, Contribution, WindowedTable};

use super::{Outcome, aggregates, windows};
use crate::build::{Built, Handle, Keys};
use crate::case::Node;
use crate::functions;
use crate::value::Dyn;

pub(super) fn build(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    if node.op != "cogroup" {
        return Ok(Outcome::NotMine);
    }
    let mut cogrouped: Option<CogroupedStream<Dyn, Dyn>> = None;
    for (id, add) in node.texts("from")?.iter().zip(node.texts("add")?) {
        let Handle::Grouped(grouped) = built.node(id)? else {
            return Err(format!("{id} is no grouped stream"));
        };
        let add = functions::fold(&add)?;
        let add = move |_: &Dyn, value, state: &mut Dyn| *state = add(std::mem::take(state), value);
        cogrouped = Some(match cogrouped {
            Some(cogrouped) => cogrouped.and(grouped, add),
            None => grouped.cogroup(add),
        });
    }
    let cogrouped = cogrouped.ok_or("a cogroup of nothing")?;
    let init = functions::init(node.need_text("init")?)?;
    let fold = Contribution::fold(move || init.clone());
    let emit = aggregates::emit(node, built.time)?;
    let Some(made) = node.get("windows") else {
        built.stores.insert(node.id.clone(), Keys::Plain);
        let table = cogrouped.aggregate_with(fold);
        return Ok(Outcome::Made(Handle::Table(table)));
    };
    let table: WindowedTable<Dyn, _, Dyn> = match made["kind"].as_str() {
        Some("session") => {
            let merge = functions::fold(node.need_text("merge")?)?;
            let fold = fold.merging(move |_: &Dyn, state: &mut Dyn, other| {
                *state = merge(std::mem::take(state), other);
            });
            let windows = windows::session_windows(made, built.time)?;
            let windowed = cogrouped.windowed_by_session(windows);
            windowed.emit(emit).aggregate(fold)
        }
        Some("sliding") => {
            let windows = windows::sliding_windows(made, built.time)?;
            let windowed = cogrouped.windowed_by_sliding(windows);
            windowed.emit(emit).aggregate(fold)
        }
        _ => {
            let windows = windows::time_windows(made, built.time)?;
            let windowed = cogrouped.windowed_by(windows.ok_or("no such windows")?);
            windowed.emit(emit).aggregate(fold)
        }
    };
    built.cogrouped.insert(node.id.clone(), table.clone());
    Ok(Outcome::Made(Handle::WindowedTable((*table).clone())))
}
