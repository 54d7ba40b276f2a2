//! What to do with the files found in a partition's directory at start: facts in, actions out
//! (Kafka's `LogLoader`). `docs/storage-format.md` shows the same as a table.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{CLEANED, DELETED, Kind, SWAP, parse_file_name};
use crate::types::Offset;

/// What is known before anything is touched.
pub(crate) struct Facts<'a> {
    /// The names of all files, sorted.
    pub(crate) names: &'a [String],
    /// For each `.log.swap`, the offset after its last record.
    pub(crate) swap_ends: &'a BTreeMap<Offset, Offset>,
    /// Whether the broker had shut down in order.
    pub(crate) clean: bool,
    /// Everything below it had been synced.
    pub(crate) recovery_point: Offset,
}

/// One step on the way to a directory that holds only live files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Remove a file.
    Delete(String, Why),
    /// Give a file its final name.
    Rename(String, String),
}

/// Why a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was marked for removal.
    Marked,
    /// A compaction did not finish writing it.
    Unfinished,
    /// A finished compaction replaces it.
    Replaced,
    /// The segment it belongs to is gone.
    Orphan,
    /// A small file's replacement that was never put in place.
    Temporary,
}

/// A segment that will be there after the actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundSegment {
    pub(crate) base: Offset,
    /// Whether every byte must be checked.
    pub(crate) scan: bool,
}

/// What to do, and what will be there then.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    /// By base offset.
    pub(crate) segments: Vec<FoundSegment>,
    /// Offsets of the producer snapshots, rising.
    pub(crate) snapshots: Vec<Offset>,
}

/// The plan that follows from the facts.
pub(crate) fn plan(facts: &Facts<'_>) -> Plan {
    let mut actions = Vec::new();
    let mut live: BTreeSet<(Offset, Kind)> = BTreeSet::new();
    let mut swaps: Vec<(Offset, Kind)> = Vec::new();
    let cleaned = |name: &String| name.strip_suffix(CLEANED).and_then(parse_file_name);
    let first_cleaned = facts
        .names
        .iter()
        .filter_map(cleaned)
        .map(|(base, _)| base)
        .min();
    for name in facts.names {
        let mut delete = |why| actions.push(Action::Delete(name.clone(), why));
        if let Some(file) = parse_file_name(name) {
            live.insert(file);
        } else if name.ends_with(DELETED) {
            delete(Why::Marked);
        } else if cleaned(name).is_some() {
            delete(Why::Unfinished);
        } else if name.ends_with(".tmp") {
            delete(Why::Temporary);
        } else if let Some(file) = name.strip_suffix(SWAP).and_then(parse_file_name) {
            // A swap file at or above an unfinished one is itself part of what did not finish.
            if first_cleaned.is_some_and(|first| file.0 >= first) {
                delete(Why::Unfinished);
            } else {
                swaps.push(file);
            }
        }
    }
    put_swaps_in_place(facts, &swaps, &mut live, &mut actions);
    drop_orphans(&mut live, &mut actions);
    let bases: Vec<Offset> = of_kind(&live, Kind::Log);
    Plan {
        segments: segments(facts, &bases),
        snapshots: of_kind(&live, Kind::Snapshot),
        actions,
    }
}

/// Removes the segments that the swap files replace, then gives the swap files their names.
fn put_swaps_in_place(
    facts: &Facts<'_>,
    swaps: &[(Offset, Kind)],
    live: &mut BTreeSet<(Offset, Kind)>,
    actions: &mut Vec<Action>,
) {
    let logs = || {
        swaps
            .iter()
            .filter(|(_, kind)| *kind == Kind::Log)
            .map(|(base, _)| *base)
    };
    let first = logs().min();
    let end = logs()
        .map(|base| facts.swap_ends.get(&base).copied().unwrap_or(base))
        .max();
    if let (Some(first), Some(end)) = (first, end) {
        let replaced = |(base, kind): &(Offset, Kind)| {
            *kind != Kind::Snapshot && *base >= first && *base < end
        };
        for file in live.extract_if(.., replaced) {
            actions.push(Action::Delete(name(file), Why::Replaced));
        }
    }
    for file in swaps {
        let plain = name(*file);
        actions.push(Action::Rename(format!("{plain}{SWAP}"), plain));
        live.insert(*file);
    }
}

/// Removes index files without a log, and snapshots that belong to no segment, but for the newest
/// one if it lies above all segments: a clean shutdown wrote it.
fn drop_orphans(live: &mut BTreeSet<(Offset, Kind)>, actions: &mut Vec<Action>) {
    let logs: BTreeSet<Offset> = of_kind(live, Kind::Log).into_iter().collect();
    let newest = of_kind(live, Kind::Snapshot).last().copied();
    let orphan = |(base, kind): &(Offset, Kind)| {
        let at_end = Some(*base) == newest && logs.last().is_none_or(|log| base > log);
        let kept = logs.contains(base) || (*kind == Kind::Snapshot && at_end);
        !kept
    };
    for file in live.extract_if(.., orphan) {
        actions.push(Action::Delete(name(file), Why::Orphan));
    }
}

/// After an unclean stop every segment is scanned from the one on that holds the last record below
/// the recovery point. That one may end right there: then it may have been sealed after the last
/// sync, and its records are on the disk but its indexes are not, nor its end.
fn segments(facts: &Facts<'_>, bases: &[Offset]) -> Vec<FoundSegment> {
    let from = bases
        .partition_point(|base| *base < facts.recovery_point)
        .saturating_sub(1);
    let found = |(index, base): (usize, &Offset)| FoundSegment {
        base: *base,
        scan: !facts.clean && index >= from,
    };
    bases.iter().enumerate().map(found).collect()
}

fn of_kind(live: &BTreeSet<(Offset, Kind)>, wanted: Kind) -> Vec<Offset> {
    live.iter()
        .filter(|(_, kind)| *kind == wanted)
        .map(|(base, _)| *base)
        .collect()
}

fn name((base, kind): (Offset, Kind)) -> String {
    super::names::file_name(base, kind)
}

#[cfg(test)]
mod tests;
