//! The directories that were there when the data directory was opened, and what can be done with
//! those that no topic claims.
//!
//! What a kill leaves in the middle of a topic's deletion is settled by the catalog, which is read
//! later: nothing is removed here on its own account.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::LogDir;
use crate::environment::Disk;
use crate::storage::error::{At, StorageError};
use crate::storage::names::{
    DELETE_DIR, STRAY_DIR, marked_dir_name, parse_delete_dir, parse_partition_dir,
};
use crate::storage::partition_metadata;
use crate::types::TopicPartition;

/// A directory that is a partition's by its name, or was one until the partition was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDir {
    /// Where it is.
    pub path: PathBuf,
    /// Which partition it is. Of a deleted one only the number counts: the topic's name may have
    /// been cut short to make room for the mark.
    pub partition: TopicPartition,
    /// It carries the mark of a deleted partition, `-delete`.
    pub deleted: bool,
}

impl LogDir {
    /// The partitions' directories found when the data directory was opened, by name.
    pub fn found(&self) -> &[FoundDir] {
        &self.found
    }

    /// Whether the partition had a directory when the data directory was opened.
    pub fn has(&self, partition: &TopicPartition) -> bool {
        let path = self.partition_path(partition);
        let found = self.found.binary_search_by(|found| found.path.cmp(&path));
        found.is_ok()
    }

    /// Which topic a directory belongs to; `None` if it does not say so in a readable way.
    pub fn topic_id(&self, found: &FoundDir) -> Option<Uuid> {
        let content = self
            .disk
            .read(&found.path.join(partition_metadata::FILE_NAME));
        partition_metadata::decode(&content.ok()?).ok()
    }

    /// Undoes the mark of a deleted partition.
    pub fn put_back(
        &self,
        found: &FoundDir,
        partition: &TopicPartition,
    ) -> Result<(), StorageError> {
        let target = self.partition_path(partition);
        let disk = self.disk.as_ref();
        disk.rename(&found.path, &target)
            .at(&found.path, "rename")?;
        disk.sync_dir(&self.path).at(&self.path, "sync")
    }

    /// Marks a directory as one to be removed and returns its new path.
    pub fn mark_deleted(&self, path: &Path, unique: Uuid) -> Result<PathBuf, StorageError> {
        rename_marked(self.disk.as_ref(), path, unique, DELETE_DIR)
    }

    /// Renames a directory that no topic claims, as Kafka does: it stays for a person to look at.
    /// Returns its new path.
    pub fn set_aside(&self, path: &Path, unique: Uuid) -> Result<PathBuf, StorageError> {
        rename_marked(self.disk.as_ref(), path, unique, STRAY_DIR)
    }

    pub(super) fn list_partitions(&mut self) -> Result<(), StorageError> {
        for entry in self.disk.list(&self.path).at(&self.path, "list")? {
            let path = self.path.join(&entry.name);
            if !entry.is_dir {
                continue;
            }
            let live = parse_partition_dir(&entry.name).map(|partition| (partition, false));
            let known = live.or_else(|| Some((parse_delete_dir(&entry.name)?, true)));
            match known {
                Some((partition, deleted)) => self.found.push(FoundDir {
                    path,
                    partition,
                    deleted,
                }),
                None => {
                    let warning = format!("{} is no partition: left alone", path.display());
                    self.warnings.push(warning);
                }
            }
        }
        self.found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(())
    }
}

/// Renames a partition's directory so that no start takes it for a partition again, durably.
pub(in crate::storage) fn rename_marked(
    disk: &dyn Disk,
    dir: &Path,
    unique: Uuid,
    mark: &str,
) -> Result<PathBuf, StorageError> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let target = dir.with_file_name(marked_dir_name(&name, unique, mark));
    disk.rename(dir, &target).at(dir, "rename")?;
    let parent = dir.parent().unwrap_or(Path::new("."));
    disk.sync_dir(parent).at(parent, "sync")?;
    Ok(target)
}
