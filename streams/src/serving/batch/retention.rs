//! Which files go when a new snapshot is there.

use std::collections::{BTreeMap, BTreeSet};

use super::BatchError;
use crate::serving::snapshot::{Manifest, SnapshotError, Snapshots};

/// So many snapshots are looked through for the one before a snapshot that was computed from the beginning.
const LOOKED_AT: usize = 256;

/// Deletes the states of all but the last `keep` snapshots of the view as it is now, and what runs have left
/// that were never published. Manifests and raw events stay, and so does all that other versions of the view
/// have: each looks after its own.
pub(super) async fn apply(
    snapshots: &Snapshots,
    keep: usize,
    newest: &Manifest,
) -> Result<(), BatchError> {
    let Some(kept) = kept(snapshots, keep, newest).await? else {
        return Ok(());
    };
    let files = snapshots.list("state").await?;
    let mut owners: BTreeMap<(u64, &str), bool> = BTreeMap::new();
    for (path, _) in &files {
        let Some((number, run)) = run_of_states(path) else {
            continue;
        };
        // Those of later snapshots are being written by others.
        if number > newest.snapshot || kept.contains(path) {
            continue;
        }
        let goes = match owners.get(&(number, run)) {
            Some(goes) => *goes,
            None => {
                let goes = is_ours(snapshots, number, run, newest).await?;
                owners.insert((number, run), goes);
                goes
            }
        };
        if goes {
            snapshots.delete(path).await?;
        }
    }
    Ok(())
}

/// The files of states that the last snapshots need; `None` if that cannot be found out.
async fn kept(
    snapshots: &Snapshots,
    keep: usize,
    newest: &Manifest,
) -> Result<Option<BTreeSet<String>>, BatchError> {
    let paths = |manifest: &Manifest| -> Vec<String> {
        let states = manifest.states.iter();
        states.map(|file| file.path.clone()).collect()
    };
    let mut kept = BTreeSet::from_iter(paths(newest));
    let (mut number, mut parent, mut numbers) = (newest.snapshot, newest.parent, None);
    for _ in 1..keep {
        let before = match parent {
            Some(before) => before,
            None => {
                let all = match &numbers {
                    Some(all) => all,
                    None => numbers.insert(snapshots.numbers().await?),
                };
                match before(snapshots, all, number, newest).await? {
                    Some(before) => before,
                    None => break,
                }
            }
        };
        match snapshots.manifest(before).await {
            Ok(manifest) => {
                kept.extend(paths(&manifest));
                (number, parent) = (manifest.snapshot, manifest.parent);
            }
            Err(error) => {
                // Another version of this program may read it.
                tracing::warn!(snapshot = before, %error, "old states stay: its files are not known");
                return Ok(None);
            }
        }
    }
    Ok(Some(kept))
}

/// The snapshot of the same view in front of one that was computed from the beginning.
async fn before(
    snapshots: &Snapshots,
    numbers: &[u64],
    number: u64,
    newest: &Manifest,
) -> Result<Option<u64>, BatchError> {
    let older = numbers.iter().rev().filter(|own| **own < number);
    for own in older.take(LOOKED_AT) {
        match snapshots.manifest(*own).await {
            Ok(manifest) if manifest.fingerprint == newest.fingerprint => return Ok(Some(*own)),
            Ok(_) | Err(SnapshotError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Whether states of a run may go: those of a snapshot of the same view, or of a run that has lost.
async fn is_ours(
    snapshots: &Snapshots,
    number: u64,
    run: &str,
    newest: &Manifest,
) -> Result<bool, BatchError> {
    match snapshots.manifest(number).await {
        Ok(manifest) => Ok(manifest.run != run || manifest.fingerprint == newest.fingerprint),
        Err(error @ SnapshotError::Store { .. }) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// The snapshot and the run that a file of states was written for.
fn run_of_states(path: &str) -> Option<(u64, &str)> {
    let (folder, _) = path.strip_prefix("state/")?.split_once('/')?;
    let (number, run) = folder.split_once('-')?;
    Some((number.parse().ok()?, run))
}

/// The run that has written a file of raw events.
pub(super) fn run_of_events(path: &str) -> Option<&str> {
    let (_, name) = path.strip_prefix("events/topic=")?.rsplit_once('/')?;
    let name = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    Some(name.rsplit_once('-')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_states_tell_whose_they_are() {
        let path = "state/00000000000000000012-00ab12ff/t-0-0.parquet";
        assert_eq!(run_of_states(path), Some((12, "00ab12ff")));
        for path in ["state/strange", "state/x-y/z", "events/1-a/b"] {
            assert_eq!(run_of_states(path), None, "{path}");
        }
    }

    #[test]
    fn names_of_events_tell_whose_they_are() {
        let path = "events/topic=a-b.c/year=2023/month=01/day=02/part-3-15-20-00ab12ff.parquet";
        assert_eq!(run_of_events(path), Some("00ab12ff"));
        for path in [
            "events/x",
            "state/part-1-2-3-ab.parquet",
            "events/topic=a/part-1.parquet",
        ] {
            assert_eq!(run_of_events(path), None, "{path}");
        }
    }
}
