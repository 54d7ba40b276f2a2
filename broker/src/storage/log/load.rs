//! Loading the segments a start has found: scanning, cutting, dropping what cannot be part of the
//! log, and settling where it begins and ends.

use std::io;
use std::ops::ControlFlow;

use super::Log;
use super::open::{LogStart, RecoveryReport};
use crate::storage::epochs::Epochs;
use crate::storage::error::StorageError;
use crate::storage::names::{Kind, file_name, file_path};
use crate::storage::recovery::FoundSegment;
use crate::storage::segment::scan::full_scan;
use crate::storage::segment::{Indexes, Segment};
use crate::types::{LeaderEpoch, Now, Offset};

/// What became of one segment.
pub(super) enum Loaded {
    /// It is part of the log, which reaches to this offset; `None` if nobody looked.
    Upto(Option<Offset>),
    /// It cannot be: it and all later ones go.
    StopBefore,
    /// It ends early: all later ones go.
    StopAfter(Offset),
}

impl Log {
    /// Opens a segment and scans it if need be.
    pub(super) fn load_segment(
        &mut self,
        found: &FoundSegment,
        is_last: bool,
        end: Option<Offset>,
        start: LogStart,
        now: Now,
        report: &mut RecoveryReport,
    ) -> Result<Loaded, StorageError> {
        // A segment that is not synced may have reached the disk although the end of the one
        // before it did not: then what it holds is cut off from the log. (Compaction leaves gaps
        // of its own, below the recovery point.)
        let gap = end.is_some_and(|end| found.base != end);
        if found.scan && gap && found.base > start.recovery_point && !self.config.compact {
            report.notes.push(format!(
                "the segment at {} does not follow {end:?}",
                found.base
            ));
            return Ok(Loaded::StopBefore);
        }
        let (mut segment, indexes) =
            Segment::open(&self.disk, &self.dir, found.base, &self.config, now.wall)?;
        let mut scan = found.scan;
        if let Indexes::Unusable(why) = indexes {
            report
                .notes
                .push(format!("{}: {why}", segment.path.display()));
            scan = true;
        }
        if !scan && is_last {
            match segment.find_end() {
                Ok(end) => {
                    self.segments.push(segment);
                    return Ok(Loaded::Upto(Some(end)));
                }
                Err(error @ StorageError::Corrupt { .. }) => {
                    report.notes.push(error.to_string());
                    scan = true;
                }
                Err(error) => return Err(error),
            }
        }
        if !scan {
            self.segments.push(segment);
            return Ok(Loaded::Upto(None));
        }
        // A base offset has no checksum, but what was written since the recovery point has no
        // gaps either: compaction, which leaves them, keeps off the active segment.
        let gapless = found.scan && (is_last || !self.config.compact);
        let contiguous_from = if gapless {
            start.recovery_point
        } else {
            Offset(i64::MAX)
        };
        let (end, truncated) = self.rebuild(&mut segment, contiguous_from, report)?;
        self.segments.push(segment);
        Ok(if truncated && found.scan {
            Loaded::StopAfter(end)
        } else {
            Loaded::Upto(Some(end))
        })
    }

    /// Checks every byte of a segment, cuts it at the first bad one and builds its indexes anew.
    fn rebuild(
        &mut self,
        segment: &mut Segment,
        contiguous_from: Offset,
        report: &mut RecoveryReport,
    ) -> Result<(Offset, bool), StorageError> {
        let length = u64::from(segment.size);
        segment.reset();
        let (file, path) = (segment.file.clone(), segment.path.clone());
        let mut end = segment.base;
        let (config, epochs) = (&self.config, &mut self.epochs);
        let scan = full_scan(file.as_ref(), &path, length, |_, batch| {
            let header = batch.header();
            let last = Offset(header.last_offset());
            if header.base_offset < end.0 || header.last_offset_delta < 0 {
                return ControlFlow::Break("offsets do not rise".to_owned());
            }
            if end >= contiguous_from && header.base_offset != end.0 {
                let gap = format!("offset {} follows {end}", header.base_offset);
                return ControlFlow::Break(gap);
            }
            if !segment.offsets.fits(last) {
                return ControlFlow::Break("an offset is too far from the base offset".to_owned());
            }
            segment.account(&header, config);
            let epoch = LeaderEpoch(header.partition_leader_epoch);
            if epochs.latest().is_none_or(|latest| epoch > latest) {
                epochs.assign(epoch, Offset(header.base_offset));
            }
            end = Offset(header.next_offset());
            ControlFlow::Continue(())
        })?;
        report.scanned.push(segment.base);
        if let Some(why) = &scan.stopped {
            segment.mark_longer();
            report.truncated_bytes += length.saturating_sub(scan.end);
            report
                .notes
                .push(format!("{} was cut at {}: {why}", path.display(), scan.end));
        }
        let files = segment.seal()?;
        self.dirty.files(files);
        self.dirty.dir(self.dir.clone());
        Ok((end, scan.stopped.is_some()))
    }

    /// Removes the files of the segments from `from` on.
    pub(super) fn drop_files(
        &mut self,
        segments: &[FoundSegment],
        from: usize,
        report: &mut RecoveryReport,
    ) -> Result<(), StorageError> {
        for segment in segments.iter().skip(from) {
            for kind in Kind::ALL {
                self.drop_file(segment.base, kind, report)?;
            }
        }
        Ok(())
    }

    fn drop_file(
        &mut self,
        base: Offset,
        kind: Kind,
        report: &mut RecoveryReport,
    ) -> Result<(), StorageError> {
        let path = file_path(&self.dir, base, kind);
        match self.disk.remove_file(&path) {
            Ok(()) => report.deleted.push(file_name(base, kind)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StorageError::io(&path, "remove", error)),
        }
        if kind == Kind::Snapshot {
            self.snapshots.remove(&base);
        }
        self.dirty.dir(self.dir.clone());
        Ok(())
    }

    /// Sets the offsets, and makes a segment if there is none, or none that reaches the log start.
    pub(super) fn settle(
        &mut self,
        end: Option<Offset>,
        start: LogStart,
        now: Now,
        found: &[FoundSegment],
        report: &mut RecoveryReport,
    ) -> Result<(), StorageError> {
        self.end = end.unwrap_or(start.log_start);
        if self.end < start.log_start {
            report
                .notes
                .push(format!("the log ends at {}, before its start", self.end));
            self.segments.clear();
            self.drop_files(found, 0, report)?;
            self.epochs = Epochs::default();
            self.end = start.log_start;
        }
        if self.segments.is_empty() {
            let segment = Segment::create(&self.disk, &self.dir, self.end, &self.config, now.wall)?;
            self.dirty.file(segment.file.clone());
            self.dirty.dir(self.dir.clone());
            self.segments.push(segment);
        }
        let first = self
            .segments
            .first()
            .map_or(self.end, |segment| segment.base);
        self.start = start.log_start.max(first);
        self.flushed = if start.clean {
            self.end
        } else {
            start.recovery_point.min(self.end)
        };
        let beyond: Vec<Offset> = self
            .snapshots
            .iter()
            .filter(|offset| **offset > self.end)
            .copied()
            .collect();
        for offset in beyond {
            self.drop_file(offset, Kind::Snapshot, report)?;
        }
        self.epochs.truncate_end(self.end);
        self.epochs.truncate_start(start.log_start);
        Ok(())
    }
}
