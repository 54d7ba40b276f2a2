//! Which files go when a new snapshot is there.

use std::collections::{BTreeMap, BTreeSet};

use super::BatchError;
use crate::serving::snapshot::{Manifest, SnapshotError, Snapshots, paths};

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
    let files = snapshots.list(paths::STATE).await?;
    let mut owners: BTreeMap<(u64, &str), bool> = BTreeMap::new();
    for (path, _) in &files {
        let Some((number, run)) = paths::run_of_states(path) else {
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
            Err(error @ SnapshotError::Store { .. }) => return Err(error.into()),
            // Whose it is cannot be told; as with parents it is none that could be gone back to.
            Err(error) => tracing::warn!(snapshot = own, %error, "it is passed over"),
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
