//! One data directory: its lock, its identity, its checkpoints and the partitions in it
//! (Kafka's `LogManager`).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::checkpoint;
use super::error::{At, StorageError};
use super::log::LogStart;
use super::meta_properties::{self, MetaProperties};
use super::names::partition_dir;
use crate::environment::disk::LockGuard;
use crate::environment::{Disk, Entropy};
use crate::types::{Offset, TopicPartition, uuid_text};

mod leftovers;

pub use leftovers::FoundDir;
pub(super) use leftovers::rename_marked;

const LOCK: &str = ".lock";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";

/// The offsets of one partition that outlive a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// Everything below it is synced.
    pub recovery_point: Offset,
    /// The first offset that can be read.
    pub log_start: Offset,
    /// Consumers may read below it.
    pub high_watermark: Offset,
}

/// An open, locked data directory.
pub struct LogDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    identity: MetaProperties,
    directory_id: Uuid,
    clean: bool,
    found: Vec<FoundDir>,
    offsets: BTreeMap<TopicPartition, Checkpoints>,
    warnings: Vec<String>,
    _lock: Box<dyn LockGuard>,
    /// Nothing is ever sent: the receiver learns that the lock has gone, which is the field before.
    released: Option<oneshot::Sender<Infallible>>,
}

impl LogDir {
    /// Opens a data directory, which is made if it does not exist. Takes its lock, reads or makes
    /// its identity, reads its checkpoints and lists what is in it; nothing of it changes before
    /// [`Self::begin`]. A checkpoint that cannot be read counts as empty, with a warning: then
    /// everything is checked and nothing is lost but the offsets of DeleteRecords.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        entropy: &dyn Entropy,
        node_id: i32,
    ) -> Result<Self, StorageError> {
        if !disk.exists(path).at(path, "look at")? {
            disk.create_dir_all(path).at(path, "make")?;
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            disk.sync_dir(parent).at(parent, "sync")?;
        }
        let lock = disk
            .lock(&path.join(LOCK))
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => StorageError::Locked {
                    path: path.to_path_buf(),
                },
                _ => StorageError::io(&path.join(LOCK), "lock", error),
            })?;
        let identity = identity(disk.as_ref(), path, entropy, node_id)?;
        let directory_id = identity.directory_id.unwrap_or_default();
        let marker = path.join(CLEAN_SHUTDOWN);
        let clean = disk.exists(&marker).at(&marker, "look at")?;
        let mut dir = Self {
            disk,
            path: path.to_path_buf(),
            identity,
            directory_id,
            clean,
            found: Vec::new(),
            offsets: BTreeMap::new(),
            warnings: Vec::new(),
            _lock: lock,
            released: None,
        };
        dir.list_partitions()?;
        dir.read_offsets(RECOVERY_POINTS, |entry, offset| {
            entry.recovery_point = offset
        })?;
        dir.read_offsets(LOG_STARTS, |entry, offset| entry.log_start = offset)?;
        dir.read_offsets(HIGH_WATERMARKS, |entry, offset| {
            entry.high_watermark = offset
        })?;
        Ok(dir)
    }

    /// Is ready once this value has gone, and the lock with it. The last one to ask is told.
    pub fn released(&mut self) -> oneshot::Receiver<Infallible> {
        let (sender, receiver) = oneshot::channel();
        self.released = Some(sender);
        receiver
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster's id, as in `meta.properties`.
    pub fn cluster_id(&self) -> &str {
        &self.identity.cluster_id
    }

    /// The directory's id, as in `meta.properties`.
    pub fn directory_id(&self) -> Uuid {
        self.directory_id
    }

    /// Whether the last broker on it had shut down in order.
    pub fn was_clean(&self) -> bool {
        self.clean
    }

    /// What was found damaged and is taken as empty.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The directory of a partition, whether it exists or not.
    pub fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        partition_dir(&self.path, partition)
    }

    /// What the checkpoints said about a partition when the directory was opened; zeros if
    /// nothing, or if the partition had no directory: then they spoke of an earlier topic of its
    /// name.
    pub fn checkpoints(&self, partition: &TopicPartition) -> Checkpoints {
        let known = self.offsets.get(partition).filter(|_| self.has(partition));
        known.copied().unwrap_or_default()
    }

    /// What [`super::Log::open`] wants to know about a partition.
    pub fn start_of(&self, partition: &TopicPartition) -> LogStart {
        let known = self.checkpoints(partition);
        LogStart {
            clean: self.clean,
            recovery_point: known.recovery_point,
            log_start: known.log_start,
        }
    }

    /// Says that files are going to change: removes the clean-shutdown marker, durably, since it
    /// must not vouch for what this run does.
    pub fn begin(&self) -> Result<(), StorageError> {
        if !self.clean {
            return Ok(());
        }
        let marker = self.path.join(CLEAN_SHUTDOWN);
        self.disk.remove_file(&marker).at(&marker, "remove")?;
        self.disk.sync_dir(&self.path).at(&self.path, "sync")
    }

    /// Replaces the three checkpoint files, each of them atomically and durably: log starts first,
    /// since a lost one brings back deleted records, while a lost recovery point costs time only.
    pub fn write_checkpoints(
        &self,
        offsets: &BTreeMap<TopicPartition, Checkpoints>,
    ) -> Result<(), StorageError> {
        self.write_offsets(LOG_STARTS, offsets, |entry| entry.log_start)?;
        self.write_offsets(RECOVERY_POINTS, offsets, |entry| entry.recovery_point)?;
        self.write_offsets(HIGH_WATERMARKS, offsets, |entry| entry.high_watermark)
    }

    /// Replaces only the file of log starts: what DeleteRecords must do before it answers.
    pub fn write_log_starts(
        &self,
        offsets: &BTreeMap<TopicPartition, Checkpoints>,
    ) -> Result<(), StorageError> {
        self.write_offsets(LOG_STARTS, offsets, |entry| entry.log_start)
    }

    /// Says that every log has been closed in order and every checkpoint written. The marker has
    /// Kafka's form; -1 stands for "no broker epoch".
    pub fn mark_clean_shutdown(&self) -> Result<(), StorageError> {
        let path = self.path.join(CLEAN_SHUTDOWN);
        self.disk
            .replace(&path, br#"{"version":0,"brokerEpoch":-1}"#)
            .at(&path, "write")
    }

    fn read_offsets(
        &mut self,
        name: &str,
        set: impl Fn(&mut Checkpoints, Offset),
    ) -> Result<(), StorageError> {
        match checkpoint::read::<(TopicPartition, Offset)>(
            self.disk.as_ref(),
            &self.path.join(name),
        ) {
            Ok(entries) => {
                for (partition, offset) in entries {
                    // A negative offset is none that any file could have been written up to.
                    set(
                        self.offsets.entry(partition).or_default(),
                        offset.max(Offset::ZERO),
                    );
                }
            }
            Err(error @ StorageError::Corrupt { .. }) => self.warnings.push(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn write_offsets(
        &self,
        name: &str,
        offsets: &BTreeMap<TopicPartition, Checkpoints>,
        get: impl Fn(&Checkpoints) -> Offset,
    ) -> Result<(), StorageError> {
        let path = self.path.join(name);
        let entry =
            |(partition, entry): (&TopicPartition, &Checkpoints)| (partition.clone(), get(entry));
        let entries: Vec<_> = offsets.iter().map(entry).collect();
        self.disk
            .replace(&path, &checkpoint::encode(&entries))
            .at(&path, "write")
    }
}

/// Reads `meta.properties`, or makes it for a new directory. A file without a directory id, of an
/// older broker, is given one.
fn identity(
    disk: &dyn Disk,
    dir: &Path,
    entropy: &dyn Entropy,
    node_id: i32,
) -> Result<MetaProperties, StorageError> {
    let path = dir.join(meta_properties::FILE_NAME);
    let identity = match disk.read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => MetaProperties {
            cluster_id: uuid_text::to_text(entropy.kafka_uuid()),
            node_id,
            directory_id: None,
        },
        other => MetaProperties::decode(&other.at(&path, "read")?)
            .map_err(|what| StorageError::corrupt(&path, 0, what))?,
    };
    if identity.node_id != node_id {
        return Err(StorageError::Mismatch {
            path,
            what: "node.id",
            expected: node_id.to_string(),
            found: identity.node_id.to_string(),
        });
    }
    if identity.directory_id.is_some() {
        return Ok(identity);
    }
    let identity = MetaProperties {
        directory_id: Some(entropy.kafka_uuid()),
        ..identity
    };
    disk.replace(&path, &identity.encode()).at(&path, "write")?;
    Ok(identity)
}

#[cfg(test)]
mod tests;
