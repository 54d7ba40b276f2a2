//! What runs have left that were killed: it is taken up again, or cleared away.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemark_client::TopicPartition;

use super::BatchError;
use super::plan::Plan;
use super::progress::{Done, Unfinished, noted};
use crate::serving::snapshot::paths::{self, EventsName};
use crate::serving::snapshot::{MOST_MANIFEST, SnapshotError, Snapshots};

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
    let mut taken = None;
    for run in runs(snapshots).await? {
        let left = left_of(snapshots, &run).await?;
        let usable = left.filter(|left| {
            taken.is_none()
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
                sweep(snapshots, &run, Some(&left.plan), &kept).await?;
                taken = Some((left, parts));
            }
            None => forget(snapshots, &run).await?,
        }
    }
    Ok(taken)
}

/// The runs that have left something.
async fn runs(snapshots: &Snapshots) -> Result<BTreeSet<String>, BatchError> {
    let files = snapshots.list(paths::UNFINISHED).await?;
    let runs = files
        .iter()
        .filter_map(|(path, _)| paths::run_of_unfinished(path));
    Ok(runs.map(str::to_owned).collect())
}

/// What a run has planned; `None` if that cannot be read any more.
async fn left_of(snapshots: &Snapshots, run: &str) -> Result<Option<Unfinished>, BatchError> {
    let left = read_note::<Unfinished>(snapshots, &paths::plan(run)).await?;
    Ok(left.filter(|left| left.run == run))
}

async fn parts_of(snapshots: &Snapshots, left: &Unfinished) -> Result<Parts, BatchError> {
    let mut parts = Parts::new();
    for (topic, range) in left.plan.ranges() {
        let path = paths::done(&left.run, &TopicPartition::new(topic, range.partition));
        let part = read_note::<Done>(snapshots, &path).await?;
        let within = |part: &Done| (range.from..=range.to).contains(&part.position);
        if let Some(part) = part.filter(|part| part.run == left.run && within(part)) {
            parts.insert((topic.to_owned(), range.partition), part);
        }
    }
    Ok(parts)
}

/// A note; `None` if it is not there, or damaged: then it is as if it had never been written.
async fn read_note<T: Serialize + DeserializeOwned>(
    snapshots: &Snapshots,
    path: &str,
) -> Result<Option<T>, BatchError> {
    // What it names is named in a manifest, too.
    match snapshots.read(path, Some(MOST_MANIFEST)).await {
        Ok(bytes) => Ok(noted(&bytes)),
        Err(SnapshotError::Missing { .. } | SnapshotError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the run was killed only after it had published its snapshot: then its files are the snapshot's.
async fn is_published(
    snapshots: &Snapshots,
    run: &str,
    plan: Option<&Plan>,
) -> Result<bool, BatchError> {
    let numbers = match plan {
        Some(plan) => vec![plan.snapshot],
        // It may be any of them.
        None => snapshots.numbers().await?,
    };
    for number in numbers.into_iter().rev() {
        match snapshots.manifest(number).await {
            Ok(manifest) if manifest.run == run => return Ok(true),
            Ok(_) | Err(SnapshotError::Missing { .. }) => {}
            Err(error @ SnapshotError::Store { .. }) => return Err(error.into()),
            // It may be that one: its files stay.
            Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

/// Deletes files of raw events that a dead run has left: those who read the folder would see their events
/// twice.
pub(super) async fn sweep(
    snapshots: &Snapshots,
    run: &str,
    plan: Option<&Plan>,
    kept: &BTreeSet<String>,
) -> Result<(), BatchError> {
    // What was in files already the run has not written.
    let its_own = |name: &EventsName<'_>| {
        name.run == run
            && plan.is_none_or(|plan| plan.writes(name.topic, name.partition, name.from))
    };
    for (path, _) in snapshots.list(paths::EVENTS).await? {
        if paths::events_name(&path).is_some_and(|name| its_own(&name)) && !kept.contains(&path) {
            snapshots.delete(&path).await?;
        }
    }
    Ok(())
}

/// Deletes what a run has noted.
pub(super) async fn clear(snapshots: &Snapshots, run: &str) -> Result<(), BatchError> {
    // The plan last: as long as it is there the rest is known to be left over.
    let mut files = snapshots.list(&paths::unfinished(run)).await?;
    files.sort_by_key(|(path, _)| paths::is_plan(path));
    for (path, _) in files {
        snapshots.delete(&path).await?;
    }
    Ok(())
}

/// Clears away what all runs have left. No other run may be at work.
pub(super) async fn forget_all(snapshots: &Snapshots) -> Result<(), BatchError> {
    for run in runs(snapshots).await? {
        forget(snapshots, &run).await?;
    }
    Ok(())
}

/// Clears away what a run has left that is not at work any more.
pub(super) async fn forget(snapshots: &Snapshots, run: &str) -> Result<(), BatchError> {
    let left = left_of(snapshots, run).await?;
    let plan = left.as_ref().map(|left| &left.plan);
    if !is_published(snapshots, run, plan).await? {
        sweep(snapshots, run, plan, &BTreeSet::new()).await?;
    }
    clear(snapshots, run).await
}

/// Whether a plan that was made before can still be carried out: the topics are the same, what is still to be
/// read is still there, and it ends nowhere behind where a run is to end now.
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
                same && there && range.to <= now.to
            })
        })
}
