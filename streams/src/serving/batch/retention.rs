//! Which files go when a new snapshot is there.

use std::collections::{BTreeMap, BTreeSet};

use super::BatchError;
use crate::serving::snapshot::{Manifest, Snapshots};

/// So many times as many snapshots as are kept are looked at for those of other versions of the view.
const LOOKED_AT: usize = 4;

/// Deletes the states of all but the last `keep` snapshots, and what runs have left that were never
/// published. Manifests and raw events stay.
pub(super) async fn apply(
    snapshots: &Snapshots,
    keep: usize,
    newest: &Manifest,
) -> Result<(), BatchError> {
    let numbers = snapshots.numbers().await?;
    let mut kept = BTreeSet::new();
    // Versions of a view that run beside one another each have their own.
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for number in numbers.iter().rev().take(keep.saturating_mul(LOOKED_AT)) {
        let manifest = match snapshots.manifest(*number).await {
            Ok(manifest) => manifest,
            Err(error) => {
                // Another version of this program may read it.
                tracing::warn!(snapshot = number, %error, "old states stay: its files are not known");
                return Ok(());
            }
        };
        let count = counts.entry(manifest.fingerprint).or_default();
        *count += 1;
        if *count <= keep {
            kept.extend(manifest.states.into_iter().map(|file| file.path));
        }
    }
    let files = snapshots.list("state").await?;
    let paths = files.iter().map(|(path, _)| &**path);
    for path in outdated(paths, &kept, newest.snapshot) {
        snapshots.delete(path).await?;
    }
    Ok(())
}

/// Those of `paths` that no kept snapshot needs. Those of later snapshots are being written by others.
fn outdated<'a>(
    paths: impl Iterator<Item = &'a str>,
    kept: &BTreeSet<String>,
    newest: u64,
) -> Vec<&'a str> {
    paths
        .filter(|path| {
            let number = path
                .strip_prefix("state/")
                .and_then(|rest| rest.split_once('-'));
            let number = number.and_then(|(number, _)| number.parse::<u64>().ok());
            number.is_some_and(|number| number <= newest) && !kept.contains(*path)
        })
        .collect()
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
    fn what_a_kept_snapshot_needs_stays() {
        let paths = [
            "state/00000000000000000001-aa/t-0-0.parquet",
            "state/00000000000000000002-bb/t-0-0.parquet",
            "state/00000000000000000002-cc/t-0-0.parquet",
            "state/00000000000000000003-dd/t-0-0.parquet",
            "state/strange",
        ];
        let kept = BTreeSet::from([paths[1].to_owned()]);
        let found = outdated(paths.into_iter(), &kept, 2);
        assert_eq!(found, [paths[0], paths[2]]);
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
