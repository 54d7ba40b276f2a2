//! `group_by`, `group_by_key` of streams; `count`, `reduce`, `aggregate` of what they give.

use tidemark_streams::{Aggregator, Emit, Late, LateWindow, Stream};

use super::Outcome;
use crate::build::{Built, Handle, Keys};
use crate::case::{Node, Time};
use crate::functions::{self, Two};
use crate::value::Dyn;

/// `count`, `reduce` and `aggregate` alike.
pub(crate) struct Aggregates {
    kind: Kind,
    add: Box<Two>,
    merge: Option<Box<Two>>,
    can_merge: bool,
}

enum Kind {
    Reduce,
    /// What it begins with.
    Aggregate(Dyn),
}

impl Aggregates {
    /// What `count`, `reduce` or `aggregate` says. `sessions` cannot do without merging; other
    /// windows do it only where the case's values do not show in which order it is done.
    pub(crate) fn of(node: &Node, sessions: bool) -> Result<Self, String> {
        let kind = match node.op.as_str() {
            "reduce" => Kind::Reduce,
            "count" => Kind::Aggregate(Dyn::Int(0)),
            _ => Kind::Aggregate(functions::init(node.need_text("init")?)?),
        };
        let (add, merge) = match node.op.as_str() {
            "count" => (
                functions::fold("int_inc")?,
                Some(functions::fold("int_sum")?),
            ),
            "reduce" => {
                // Its merge is itself; cases that name it say the same.
                node.text("merge");
                let name = node.need_text("add")?;
                (functions::fold(name)?, Some(functions::fold(name)?))
            }
            _ => {
                let add = functions::fold(node.need_text("add")?)?;
                (add, node.text("merge").map(functions::fold).transpose()?)
            }
        };
        let no_order = node.op == "count" || node.text("add") == Some("int_sum");
        let can_merge = merge.is_some() && (sessions || no_order);
        Ok(Self {
            kind,
            add,
            merge,
            can_merge,
        })
    }

    fn with(&self, state: &mut Option<Dyn>, value: Dyn, put: &Two) {
        let old = match (state.take(), &self.kind) {
            (Some(old), _) => old,
            (None, Kind::Aggregate(init)) => init.clone(),
            (None, Kind::Reduce) => {
                *state = value.option();
                return;
            }
        };
        *state = put(old, value).option();
    }
}

impl Aggregator<Dyn, Dyn> for Aggregates {
    type State = Dyn;

    fn add(&self, _key: &Dyn, value: Dyn, state: &mut Option<Dyn>) {
        self.with(state, value, &self.add);
    }

    fn merge(&self, _key: &Dyn, state: &mut Option<Dyn>, other: Dyn) -> bool {
        match &self.merge {
            Some(merge) => self.with(state, other, merge),
            None => return false,
        }
        true
    }

    fn can_merge(&self) -> bool {
        self.can_merge
    }
}

/// The strategy that a node names; without a name Kafka's own and Flink's own.
pub(crate) fn emit(node: &Node, time: Time) -> Result<Emit, String> {
    match (node.text("emit"), time) {
        (Some("update"), _) | (None, Time::Stream) => Ok(Emit::Update),
        (Some("final"), _) => Ok(Emit::Final),
        (None, Time::Watermark) => Ok(Emit::Close),
        (Some(other), _) => Err(format!("no emit {other:?}")),
    }
}

/// Late records as cases have them: those that no window took.
pub(crate) fn late(late: &Stream<Dyn, Late<Dyn>>) -> Stream<Dyn, Dyn> {
    late.filter(|_, late| !late.taken)
        .map_values(|late: Late<Dyn>| {
            let LateWindow { start, end } = late.window;
            Dyn::List(vec![late.value, Dyn::Int(start), Dyn::Int(end)])
        })
}

pub(super) fn build(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    let Some(from) = node.text("from") else {
        return Ok(Outcome::NotMine);
    };
    let made = match (node.op.as_str(), built.node(from)?.clone()) {
        ("group_by_key", Handle::Stream(stream)) => Handle::Grouped(stream.group_by_key()),
        ("group_by", Handle::Stream(stream)) => {
            let pair = functions::pair(node.need_text("fn")?)?;
            Handle::Grouped(stream.group_by(move |key, value| pair(key.clone(), value.clone()).0))
        }
        ("count" | "reduce" | "aggregate", Handle::Grouped(grouped)) => {
            built.stores.insert(node.id.clone(), Keys::Plain);
            Handle::Table(grouped.aggregate(Aggregates::of(node, false)?))
        }
        ("count" | "reduce" | "aggregate", Handle::TimeWindowed(windowed, size)) => {
            // How often closed windows are looked for by the wall clock: here always.
            node.int("emit_interval");
            // Stores keep what their windows need.
            node.int("retention");
            let windowed = windowed.emit(emit(node, built.time)?);
            let table = windowed.aggregate(Aggregates::of(node, false)?);
            built.stores.insert(node.id.clone(), Keys::Starts(size));
            built.late.push(late(&table.late()));
            built.windowed.insert(node.id.clone(), table.clone());
            Handle::WindowedTable((*table).clone())
        }
        ("count" | "reduce" | "aggregate", Handle::SessionWindowed(windowed, gap)) => {
            node.int("emit_interval");
            node.int("retention");
            let windowed = windowed.emit(emit(node, built.time)?);
            let table = windowed.aggregate(Aggregates::of(node, true)?);
            built.late.push(late(&table.late()));
            built.stores.insert(node.id.clone(), Keys::Ends);
            if built.time == Time::Watermark {
                // Flink's sessions end behind the gap.
                let gap = i64::try_from(gap.as_millis()).unwrap_or(i64::MAX);
                built.end_shift.insert(node.id.clone(), gap);
            }
            built.windowed.insert(node.id.clone(), table.clone());
            Handle::WindowedTable((*table).clone())
        }
        ("count" | "reduce" | "aggregate", Handle::SlidingWindowed(windowed, difference)) => {
            node.int("emit_interval");
            node.int("retention");
            let windowed = windowed.emit(emit(node, built.time)?);
            let table = windowed.aggregate(Aggregates::of(node, false)?);
            built.late.push(late(&table.late()));
            built
                .stores
                .insert(node.id.clone(), Keys::Starts(difference));
            built.windowed.insert(node.id.clone(), table.clone());
            Handle::WindowedTable((*table).clone())
        }
        _ => return Ok(Outcome::NotMine),
    };
    Ok(Outcome::Made(made))
}
