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

/// The topic, the partition and the first offset of a file of raw events.
pub(super) fn parse_events(path: &str) -> Option<(&str, i32, i64)> {
    let rest = path.strip_prefix("events/topic=")?;
    let (topic, rest) = rest.split_once('/')?;
    let (_, name) = rest.rsplit_once('/')?;
    let name = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let mut numbers = name.splitn(3, '-');
    let (partition, from) = (numbers.next()?, numbers.next()?);
    Some((topic, partition.parse().ok()?, from.parse().ok()?))
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
    fn names_of_events_tell_where_they_are_from() {
        let path = "events/topic=a-b.c/year=2023/month=01/day=02/part-3-15-20.parquet";
        assert_eq!(parse_events(path), Some(("a-b.c", 3, 15)));
        for path in [
            "events/x",
            "events/topic=a/part-x-1-2.parquet",
            "state/part-1-2-3.parquet",
        ] {
            assert_eq!(parse_events(path), None, "{path}");
        }
    }
}
