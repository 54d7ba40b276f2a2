//! What runs have left that were killed: it is taken up again, or cleared away.

use std::collections::{BTreeMap, BTreeSet};

use super::BatchError;
use super::plan::Plan;
use super::progress::{Done, FOLDER, Unfinished};
use super::retention::run_of_events;
use crate::serving::snapshot::{SnapshotError, Snapshots};

/// What has been done, by topic and partition.
pub(super) type Parts = BTreeMap<(String, i32), Done>;

/// What a run that was not done has left, if it can be taken up with what is planned now. Whatever else is
/// left is cleared away. No other run may be at work.
pub(super) async fn take(
    snapshots: &Snapshots,
    fingerprint: &str,
    archive: bool,
    planned: &Plan,
) -> Result<Option<(Unfinished, Parts)>, BatchError> {
    let files = snapshots.list(FOLDER).await?;
    let runs = files
        .iter()
        .filter_map(|(path, _)| Unfinished::run_of(path));
    let runs: BTreeSet<&str> = runs.collect();
    let mut taken = None;
    for run in runs {
        let left = match snapshots.read(&Unfinished::path(run), None).await {
            Ok(bytes) => serde_json::from_slice::<Unfinished>(&bytes).ok(),
            Err(SnapshotError::Missing { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let usable = left.filter(|left| {
            taken.is_none()
                && left.run == run
                && left.fingerprint == fingerprint
                && left.plan.snapshot == planned.snapshot
                && left.plan.parent == planned.parent
                && left.archive == archive
        });
        let usable = match usable {
            Some(left) => {
                let parts = parts_of(snapshots, &left).await?;
                fits(&left.plan, planned, &parts).then_some((left, parts))
            }
            None => None,
        };
        match usable {
            Some((left, parts)) => {
                let kept = parts.values().flat_map(|part| &part.events);
                let kept = kept.map(|file| file.path.clone()).collect();
                sweep(snapshots, run, &kept).await?;
                taken = Some((left, parts));
            }
            None => forget(snapshots, run).await?,
        }
    }
    Ok(taken)
}

async fn parts_of(snapshots: &Snapshots, left: &Unfinished) -> Result<Parts, BatchError> {
    let mut parts = Parts::new();
    for (topic, range) in left.plan.ranges() {
        let path = Done::path(&left.run, topic, range.partition);
        let part = match snapshots.read(&path, None).await {
            Ok(bytes) => serde_json::from_slice::<Done>(&bytes).ok(),
            Err(SnapshotError::Missing { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let within = |part: &Done| (range.from..=range.to).contains(&part.position);
        if let Some(part) = part.filter(|part| part.run == left.run && within(part)) {
            parts.insert((topic.to_owned(), range.partition), part);
        }
    }
    Ok(parts)
}

/// Whether the run was killed only after it had published its snapshot: then its files are the snapshot's.
async fn is_published(snapshots: &Snapshots, run: &str) -> Result<bool, BatchError> {
    let numbers = snapshots.numbers().await?;
    // Its plan may be unreadable; one that has been published is among the newest.
    for number in numbers.iter().rev().take(LOOKED_AT) {
        match snapshots.manifest(*number).await {
            Ok(manifest) if manifest.run == run => return Ok(true),
            Ok(_) => {}
            Err(error @ SnapshotError::Store { .. }) => return Err(error.into()),
            // It may be that one: its files stay.
            Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

/// A run that has died is cleared away by the next one: no more snapshots than these can have come since.
const LOOKED_AT: usize = 64;

/// Deletes files of raw events that a dead run has left: those who read the folder would see their events
/// twice.
async fn sweep(
    snapshots: &Snapshots,
    run: &str,
    kept: &BTreeSet<String>,
) -> Result<(), BatchError> {
    for (path, _) in snapshots.list("events").await? {
        if run_of_events(&path) == Some(run) && !kept.contains(&path) {
            snapshots.delete(&path).await?;
        }
    }
    Ok(())
}

/// Deletes what a run has noted.
pub(super) async fn clear(snapshots: &Snapshots, run: &str) -> Result<(), BatchError> {
    // The plan last: as long as it is there the rest is known to be left over.
    let mut files = snapshots.list(&format!("{FOLDER}/{run}")).await?;
    files.sort_by_key(|(path, _)| Unfinished::is_plan(path));
    for (path, _) in files {
        snapshots.delete(&path).await?;
    }
    Ok(())
}

/// Deletes what all runs have noted.
pub(super) async fn clear_all(snapshots: &Snapshots) -> Result<(), BatchError> {
    let files = snapshots.list(FOLDER).await?;
    let runs = files
        .iter()
        .filter_map(|(path, _)| Unfinished::run_of(path));
    let runs: BTreeSet<&str> = runs.collect();
    for run in runs {
        forget(snapshots, run).await?;
    }
    Ok(())
}

/// Clears away what a dead run has left.
async fn forget(snapshots: &Snapshots, run: &str) -> Result<(), BatchError> {
    if !is_published(snapshots, run).await? {
        sweep(snapshots, run, &BTreeSet::new()).await?;
    }
    clear(snapshots, run).await
}

/// Whether a plan that was made before can still be carried out: the topics are the same, and what is still
/// to be read is still there.
fn fits(old: &Plan, new: &Plan, parts: &Parts) -> bool {
    let old_topics = old.topics.iter().map(|topic| (&topic.topic, &topic.id));
    let new_topics = new.topics.iter().map(|topic| (&topic.topic, &topic.id));
    old_topics.eq(new_topics)
        && old.ranges().all(|(topic, range)| {
            let part = parts.get(&(topic.to_owned(), range.partition));
            let position = part.map_or(range.from, |part| part.position);
            let mut now = new.ranges();
            now.any(|(other, now)| {
                let same = other == topic && now.partition == range.partition;
                let there = now.log_start <= position || position >= range.to;
                same && there && range.to <= now.end
            })
        })
}
