//! Tables: where they come from, what is worked out of them, their groups and joins.

use std::time::Duration;

use tidemark_streams::Table;

use super::{Aggregates, Outcome};
use crate::build::{Built, Handle, Keys};
use crate::case::Node;
use crate::functions::{self, Two};
use crate::value::Dyn;

/// The table in a store of its own, if the case says so.
fn kept(built: &mut Built, node: &Node, table: Table<Dyn, Dyn>) -> Outcome {
    built.stores.insert(node.id.clone(), Keys::Plain);
    let table = match node.int("history") {
        Some(history) => {
            let history = u64::try_from(history).unwrap_or_default();
            (*table.versioned(Duration::from_millis(history))).clone()
        }
        None => table,
    };
    Outcome::Made(Handle::Table(if node.flag("materialized") {
        table.materialized(&node.id)
    } else {
        table
    }))
}

pub(super) fn build(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    match node.op.as_str() {
        "table" => {
            let topic = node.need_text("topic")?;
            let table = built.builder.table_with(topic, built.consumed());
            return Ok(kept(built, node, table));
        }
        "global_table" => {
            let topic = node.need_text("topic")?;
            let table = built.builder.global_table_with(topic, built.consumed());
            return Ok(Outcome::Made(Handle::GlobalTable(table)));
        }
        "join" | "left_join" | "outer_join" => return join(built, node),
        _ => {}
    }
    let Some(from) = node.text("from") else {
        return Ok(Outcome::NotMine);
    };
    let table = match (node.op.as_str(), built.node(from)?.clone()) {
        ("to_table", Handle::Stream(stream)) => stream.to_table(),
        ("filter", Handle::Table(table)) => {
            let keep = functions::condition(node.need_text("fn")?)?;
            let not = node.flag("not");
            table.filter(move |key, value| keep(key, value) != not)
        }
        ("map_values", Handle::Table(table)) => {
            let map = functions::of_pair(node.need_text("fn")?)?;
            table.map_values_with_key(map)
        }
        ("group_by", Handle::Table(table)) => {
            let pair = functions::pair(node.need_text("fn")?)?;
            let grouped = table.group_by(move |key, value| pair(key.clone(), value.clone()));
            return Ok(Outcome::Made(Handle::GroupedTable(grouped)));
        }
        ("count" | "reduce" | "aggregate", Handle::GroupedTable(grouped)) => {
            let (aggregates, subtract) = (Aggregates::of(node, false)?, subtract(node)?);
            grouped.aggregate(aggregates, move |_, value, state| {
                *state = state
                    .take()
                    .and_then(|state| subtract(state, value).option());
            })
        }
        _ => return Ok(Outcome::NotMine),
    };
    Ok(kept(built, node, table))
}

fn subtract(node: &Node) -> Result<Box<Two>, String> {
    match node.op.as_str() {
        "count" => functions::fold("int_dec"),
        _ => functions::fold(node.need_text("sub")?),
    }
}

fn join(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    let (left, right) = (node.need_text("left")?, node.need_text("right")?);
    let (Handle::Table(left), Handle::Table(right)) = (built.node(left)?, built.node(right)?)
    else {
        return Ok(Outcome::NotMine);
    };
    let join = functions::joiner(node.need_text("joiner")?)?;
    let or_null = |value: Option<&Dyn>| value.cloned().unwrap_or_default();
    let table = match node.op.as_str() {
        "join" => left.join(right, move |left, right| join(left.clone(), right.clone())),
        "left_join" => left.left_join(right, move |left, right| join(left.clone(), or_null(right))),
        _ => left.outer_join(right, move |left, right| {
            join(or_null(left), or_null(right))
        }),
    };
    Ok(kept(built, node, table))
}
