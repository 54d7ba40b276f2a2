//! One partition's log (Kafka's `UnifiedLog` and `LocalLog`, for one node).
//!
//! A [`Log`] is not thread-safe: its owner puts it behind a mutex. Slow work is handed out so that
//! it can be done without the lock: [`LogSlice`] reads bytes, [`FlushPlan`] syncs files,
//! [`PendingDelete`] removes them.

mod access;
mod append;
mod flush;
mod load;
mod lookup;
mod maintain;
mod open;
mod producer_state;
mod read;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::config::LogConfig;
use super::epochs::Epochs;
use super::error::StorageError;
use super::producers::Producers;
use super::segment::Segment;
use crate::environment::Disk;
use crate::types::{LeaderEpoch, Offset};

pub use access::LogAccess;
pub use append::Appended;
pub use flush::FlushPlan;
pub use lookup::{TimestampOffset, max_timestamp, offset_for_timestamp};
pub use maintain::PendingDelete;
pub use open::{LogStart, RecoveryReport};
pub use read::{Available, BatchScan, LogSlice, PartRead, Wish, find_available, find_slice};

/// An open log. There is always at least one segment; the last one is the active one.
pub struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    topic_id: Option<Uuid>,
    config: LogConfig,
    segments: Vec<Segment>,
    start: Offset,
    end: Offset,
    flushed: Offset,
    epochs: Epochs,
    producers: Producers,
    /// Offsets of the producer snapshots on disk.
    snapshots: BTreeSet<Offset>,
    dirty: flush::Dirty,
    failed: Option<String>,
    /// Tells this log's jitter from that of others.
    seed: u64,
}

impl Log {
    /// The first offset that can be read.
    pub fn start_offset(&self) -> Offset {
        self.start
    }

    /// The offset the next record gets.
    pub fn end_offset(&self) -> Offset {
        self.end
    }

    /// Everything below it is on disk: the recovery point.
    pub fn last_flushed(&self) -> Offset {
        self.flushed
    }

    /// Bytes of all batches of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| u64::from(segment.size))
            .sum()
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The base offset of the segment that is written to.
    pub fn active_segment_base(&self) -> Offset {
        self.active().base
    }

    /// The partition's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The id in `partition.metadata`.
    pub fn topic_id(&self) -> Option<Uuid> {
        self.topic_id
    }

    /// The settings in force.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Changes the settings; they count from the next append, roll or maintenance on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.active_mut().set_config(&config);
        self.config = config;
    }

    /// What each producer last wrote.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Where the oldest open transaction began: readers that want only committed records stop
    /// there. The last stable offset is the smaller of this and the high watermark.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        self.producers
            .first_open_transaction()
            .map(|first| first.max(self.start))
    }

    /// From here on records are written under `epoch`. Kept even while the log is empty, as a
    /// Kafka broker does when it becomes leader; nothing changes if the epoch is known.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        self.epochs.assign(epoch, self.end);
    }

    /// The newest leader epoch that wrote a record.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// The leader epoch of the record at `offset`.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.at(offset)
    }

    /// The largest known epoch at or below `epoch` and the offset at which it ends; (-1, -1) for
    /// an epoch above all known ones (OffsetForLeaderEpoch).
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.epochs.end_of(epoch, self.end)
    }

    /// Takes the log offline after a failure that leaves it unclear what is on disk, such as a
    /// failed sync: later appends, rolls and the orderly close are refused. Reads go on.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.failed.get_or_insert(reason.into());
    }

    /// Why the log is offline, if it is.
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    fn check_online(&self) -> Result<(), StorageError> {
        match &self.failed {
            None => Ok(()),
            Some(reason) => Err(StorageError::Failed {
                path: self.dir.clone(),
                reason: reason.clone(),
            }),
        }
    }

    fn active(&self) -> &Segment {
        self.segments
            .last()
            .expect("a log has at least one segment from open on")
    }

    fn active_mut(&mut self) -> &mut Segment {
        self.segments
            .last_mut()
            .expect("a log has at least one segment from open on")
    }

    /// The index of the segment that holds `offset`: the last one that begins at or below it.
    fn segment_of(&self, offset: Offset) -> usize {
        self.segments
            .partition_point(|segment| segment.base <= offset)
            .saturating_sub(1)
    }

    /// The offset after the last record of segment `index`, as far as the others tell.
    fn segment_end(&self, index: usize) -> Offset {
        self.segments
            .get(index + 1)
            .map_or(self.end, |next| next.base)
    }

    fn out_of_range(&self, offset: Offset) -> StorageError {
        StorageError::OffsetOutOfRange {
            offset,
            start: self.start,
            end: self.end,
        }
    }
}

#[cfg(test)]
mod tests;
