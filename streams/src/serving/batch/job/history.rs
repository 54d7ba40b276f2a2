//! What snapshots there are, for a run to go on from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::data::Data;
use crate::serving::aggregate::Aggregate;
use crate::serving::batch::plan::{Plan, Range, TopicPlan};
use crate::serving::batch::{BatchError, LeftOut};
use crate::serving::snapshot::{Manifest, SnapshotError, Snapshots, paths};
use crate::serving::view::View;

/// So many snapshots in a row may be unreadable before a run gives up.
const MOST_UNREADABLE: usize = 8;

/// Snapshots that cannot be read, with the reasons.
#[derive(Default)]
pub(super) struct Unreadable(BTreeMap<u64, String>);

impl Unreadable {
    pub(super) fn note(&mut self, snapshot: u64, error: &SnapshotError) {
        self.0.entry(snapshot).or_insert_with(|| error.to_string());
    }

    /// The newest first.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        let all = self.0.iter().rev();
        let all = all.map(|(snapshot, reason)| LeftOut {
            snapshot: *snapshot,
            reason: reason.clone(),
        });
        all.collect()
    }
}

/// What there is already.
pub(super) struct History {
    /// The number behind the largest one of a snapshot, readable or not.
    pub(super) next: u64,
    /// The newest readable snapshot, of whatever definition of the view.
    pub(super) newest: Option<Manifest>,
    /// The numbers of those in front of it, in order.
    older: Vec<u64>,
    /// The one to go on from.
    pub(super) parent: Option<Manifest>,
    /// The newest one, if it is of another definition, and therefore there is none to go on from.
    pub(super) changed_since: Option<u64>,
}

impl History {
    /// Looks for it, the newest first. What is found to be unreadable is noted.
    pub(super) async fn find<K: Data, A: Aggregate>(
        snapshots: &Snapshots,
        view: &Arc<View<K, A>>,
        from_scratch: bool,
        unreadable: &mut Unreadable,
    ) -> Result<Self, BatchError> {
        let numbers = snapshots.numbers().await?;
        let last = numbers.last().copied().unwrap_or(0);
        let mut history = Self {
            next: next(snapshots, last)?,
            newest: None,
            older: Vec::new(),
            parent: None,
            changed_since: None,
        };
        let fingerprint = view.fingerprint();
        let mut passed = 0;
        for (at, number) in numbers.iter().copied().enumerate().rev() {
            // From scratch none is needed, but to know which raw events have been written.
            if passed > MOST_UNREADABLE && !from_scratch {
                break;
            }
            let manifest = match snapshots.manifest(number).await {
                Ok(manifest) => manifest,
                Err(error @ SnapshotError::Store { .. }) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(snapshot = number, %error, "it is left out");
                    unreadable.note(number, &error);
                    passed += 1;
                    continue;
                }
            };
            if history.newest.is_none() {
                history.newest = Some(manifest.clone());
                history.older = numbers[..at].to_vec();
            }
            if from_scratch {
                return Ok(history);
            }
            // There may be some of other versions, which run beside this one.
            if manifest.fingerprint == fingerprint && !unreadable.0.contains_key(&number) {
                history.parent = Some(manifest);
                return Ok(history);
            }
            passed += usize::from(unreadable.0.contains_key(&number));
        }
        if from_scratch {
            return Ok(history);
        }
        // To begin anew, unasked, would lose what the log has not got any more.
        if let Some((snapshot, reason)) = unreadable.0.last_key_value() {
            return Err(BatchError::NothingToGoOnFrom {
                snapshot: *snapshot,
                reason: reason.clone(),
            });
        }
        if let Some(newest) = &history.newest {
            tracing::info!(
                snapshot = newest.snapshot,
                was = %newest.definition,
                is = %view.definition(),
                "the view has changed: it is computed from the beginning"
            );
            history.changed_since = Some(newest.snapshot);
        }
        Ok(history)
    }

    /// Finds out where raw events go on of partitions that the newest snapshot has left out: the newest one
    /// that has them says so. Else they would be written again.
    pub(super) async fn find_archived(
        &self,
        snapshots: &Snapshots,
        planned: &mut Plan,
    ) -> Result<(), BatchError> {
        let Some(newest) = &self.newest else {
            return Ok(());
        };
        let mut unknown: Vec<(&str, &str, &mut Range)> = Vec::new();
        for TopicPlan { topic, id, ranges } in &mut planned.topics {
            let (topic, id): (&str, &str) = (topic, id);
            let ranges = ranges.iter_mut();
            unknown.extend(
                ranges
                    .filter(|range| archived(newest, topic, id, range.partition).is_none())
                    .map(|range| (topic, id, range)),
            );
        }
        for number in self.older.iter().rev() {
            if unknown.is_empty() {
                break;
            }
            let manifest = match snapshots.manifest(*number).await {
                Ok(manifest) => manifest,
                Err(error @ SnapshotError::Store { .. }) => return Err(error.into()),
                // Files that only this one names are lost to whoever goes by manifests.
                Err(_) => continue,
            };
            unknown.retain_mut(|(topic, id, range)| {
                let found = archived(&manifest, topic, id, range.partition);
                range.archived = found.unwrap_or(range.archived);
                found.is_none()
            });
        }
        Ok(())
    }
}

/// Up to where raw events of a partition are in files.
fn archived(manifest: &Manifest, topic: &str, id: &str, partition: i32) -> Option<i64> {
    let mut sources = manifest.sources.iter();
    let source = sources.find(|source| source.topic == topic && source.id == id)?;
    let mut partitions = source.partitions.iter();
    let own = partitions.find(|own| own.partition == partition)?;
    Some(own.archived)
}

/// The number behind that of the newest snapshot.
fn next(snapshots: &Snapshots, last: u64) -> Result<u64, SnapshotError> {
    last.checked_add(1).ok_or_else(|| SnapshotError::Store {
        path: snapshots.shown(&paths::manifest(last)),
        reason: "there is no number behind this one, which no run has given: take the file away"
            .to_owned(),
    })
}
