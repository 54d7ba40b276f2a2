//! Whether the catalog's log, as it is on the disk, tells the whole catalog.
//!
//! Kafka writes snapshots of its metadata and then cuts the log before them. Snapshots are not read
//! here. Without what they hold topics would be missing, and their directories would be taken for
//! leftovers and set aside: so such a directory is refused, before anything in it is changed.

use std::io;
use std::path::{Path, PathBuf};

use super::StartError;
use crate::environment::Disk;
use crate::storage::{Kind, LogDir, StorageError, parse_file_name};
use crate::types::{Offset, TopicPartition};

/// How the names of snapshots end.
const SNAPSHOT: &str = ".checkpoint";
/// What formatting a directory writes: it lies before all records and holds no topic
/// (`Snapshots.BOOTSTRAP_SNAPSHOT_ID`).
const BOOTSTRAP: &str = "00000000000000000000-0000000000.checkpoint";

/// Refuses a catalog whose beginning is not in its log.
pub(super) fn check_whole(
    disk: &dyn Disk,
    log_dir: &LogDir,
    name: &TopicPartition,
) -> Result<(), StartError> {
    let dir = log_dir.partition_path(name);
    let entries = match disk.list(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StorageError::io(&dir, "list", error).into()),
        Ok(entries) => entries,
    };
    let names: Vec<&str> = entries.iter().map(|entry| &*entry.name).collect();
    let refuse = |path, why| Err(StartError::PartOfCatalog { path, why });
    if let Some((path, why)) = fault(&dir, &names) {
        return refuse(path, why);
    }
    let start = log_dir.start_of(name).log_start;
    if start > Offset::ZERO {
        return refuse(dir, begins_at(start));
    }
    Ok(())
}

/// What is wrong with a directory that has files of these names, and with which of them.
fn fault(dir: &Path, names: &[&str]) -> Option<(PathBuf, String)> {
    let is_snapshot = |name: &&&str| name.ends_with(SNAPSHOT) && **name != BOOTSTRAP;
    if let Some(name) = names.iter().find(is_snapshot) {
        let why = "it is a snapshot of the metadata, which this broker cannot read";
        return Some((dir.join(name), why.to_owned()));
    }
    let segments = names
        .iter()
        .filter_map(|name| match parse_file_name(name)? {
            (base, Kind::Log) => Some((base, name)),
            _ => None,
        });
    let (base, name) = segments.min()?;
    (base > Offset::ZERO).then(|| (dir.join(name), begins_at(base)))
}

fn begins_at(start: Offset) -> String {
    format!("the metadata log begins at offset {start}, and what was before is not in it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], expected: Option<&str>) {
        let found = fault(Path::new("/d"), names);
        let expected = expected.map(|name| Path::new("/d").join(name));
        assert_eq!(found.map(|(path, _)| path), expected, "{names:?}");
    }

    #[test]
    fn a_log_from_offset_0_without_snapshots_is_whole() {
        check(&[], None);
        check(
            &[
                BOOTSTRAP,
                "00000000000000000000.log",
                "00000000000000000000.index",
                "00000000000000000917.log",
                "00000000000000000917.snapshot",
                "00000000000000000400-0000000003.checkpoint.deleted",
                "leader-epoch-checkpoint",
                "partition.metadata",
                "quorum-state",
            ],
            None,
        );
    }

    #[test]
    fn a_snapshot_or_a_later_beginning_is_named() {
        let snapshot = "00000000000000000400-0000000003.checkpoint";
        check(&["00000000000000000000.log", snapshot], Some(snapshot));
        let later = "00000000000000000400.log";
        check(&["00000000000000000917.log", later], Some(later));
    }
}
