//! Retention: what goes, and how.

use std::io;
use std::path::PathBuf;

use super::Log;
use crate::environment::Disk;
use crate::storage::error::{At, StorageError};
use crate::storage::names::{DELETED, Kind, file_path};
use crate::storage::retention::{DeleteReason, SegmentFacts, deletable};
use crate::types::{Monotonic, Now, Offset};

/// The files of a segment that is no longer part of the log. They already carry the suffix
/// `.deleted` and wait for the readers that still have them open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingDelete {
    /// The files to remove.
    pub paths: Vec<PathBuf>,
    /// When to remove them.
    pub due: Monotonic,
    /// The base offset of the segment they were.
    pub base: Offset,
    /// Why it went.
    pub reason: DeleteReason,
}

impl PendingDelete {
    /// Removes the files; one that is gone already is fine.
    pub fn run(&self, disk: &dyn Disk) -> io::Result<()> {
        for path in &self.paths {
            match disk.remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }
}

impl Log {
    /// Moves the log start (DeleteRecords). Whole segments below it go with the next
    /// [`Self::maintain`]. The caller checks `to` against the high watermark, and writes the log
    /// start to the data directory's checkpoint before it answers.
    pub fn advance_start(&mut self, to: Offset) -> Result<(), StorageError> {
        if to > self.end {
            return Err(self.out_of_range(to));
        }
        if to > self.start {
            self.start = to;
            self.epochs.truncate_start(to);
        }
        Ok(())
    }

    /// Takes out the segments that `retention.ms`, `retention.bytes` or the log start leave no
    /// place for, never beyond the high watermark. If everything goes, an empty segment takes the
    /// place of the active one.
    pub fn maintain(
        &mut self,
        now: Now,
        high_watermark: Offset,
    ) -> Result<Vec<PendingDelete>, StorageError> {
        self.check_online()?;
        let facts = self.facts();
        let reasons = deletable(&facts, &self.config, self.start, high_watermark, now.wall);
        if reasons.len() == self.segments.len() {
            self.roll(now)?;
        }
        reasons
            .into_iter()
            .map(|reason| self.take_out_first(reason, now))
            .collect()
    }

    fn facts(&self) -> Vec<SegmentFacts> {
        let last = self.segments.len().saturating_sub(1);
        let fact = |(index, segment): (usize, &super::Segment)| SegmentFacts {
            end: self.segment_end(index),
            size: u64::from(segment.size),
            timestamp: segment.retention_timestamp(),
            is_active: index == last,
        };
        self.segments.iter().enumerate().map(fact).collect()
    }

    /// Marks the first segment's files and takes it out. The `.log` goes first: once it is
    /// renamed the segment is gone, and an index file that could not follow is removed as an
    /// orphan at the next start.
    fn take_out_first(
        &mut self,
        reason: DeleteReason,
        now: Now,
    ) -> Result<PendingDelete, StorageError> {
        let base = self
            .segments
            .first()
            .map_or(self.end, |segment| segment.base);
        let end = self.segment_end(0);
        let mut paths = Vec::new();
        for kind in Kind::ALL {
            let path = file_path(&self.dir, base, kind);
            let mut marked = path.clone().into_os_string();
            marked.push(DELETED);
            let marked = PathBuf::from(marked);
            match self.disk.rename(&path, &marked) {
                Ok(()) => paths.push(marked),
                Err(_) if kind != Kind::Log => {}
                Err(error) => return Err(error).at(&path, "rename"),
            }
        }
        self.segments.remove(0);
        self.snapshots.remove(&base);
        self.start = self.start.max(end);
        self.epochs.truncate_start(self.start);
        self.dirty.dir(self.dir.clone());
        let due = now.monotonic.plus_ms(self.config.file_delete_delay_ms);
        Ok(PendingDelete {
            paths,
            due,
            base,
            reason,
        })
    }
}
