//! One segment: a `.log` file of consecutive batches, and its two indexes (Kafka's `LogSegment`).

pub(crate) mod scan;
pub(crate) mod view;

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use tidemark_protocol::records::BatchHeader;

use super::config::LogConfig;
use super::error::{At, StorageError};
use super::index::offset::OffsetIndex;
use super::index::time::{MaxTimestamp, TimeIndex};
use super::names::{Kind, file_path};
use crate::environment::disk::OpenMode;
use crate::environment::{Disk, DiskFile};
use crate::types::{Offset, Position, Timestamp};
use scan::HeaderScan;
use view::{Reach, SegmentView};

/// A batch's place in its segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    pub(crate) position: u32,
    pub(crate) header: BatchHeader,
}

impl Located {
    pub(crate) fn size(&self) -> u32 {
        u32::try_from(self.header.size_in_bytes()).unwrap_or(u32::MAX)
    }

    pub(crate) fn end(&self) -> u32 {
        self.position.saturating_add(self.size())
    }
}

/// An open segment.
pub(crate) struct Segment {
    pub(crate) base: Offset,
    pub(crate) path: Arc<Path>,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Bytes of whole batches; the file may be longer after a failed write or by preallocation.
    pub(crate) size: u32,
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
    /// `None` if no batch has a timestamp.
    pub(crate) max_timestamp: Option<MaxTimestamp>,
    /// Largest timestamp of the first batch: the age of the segment counts from it.
    pub(crate) first_timestamp: Option<Timestamp>,
    /// When the segment was made, or opened after a restart.
    pub(crate) created: Timestamp,
    /// When the segment was last written to, or opened after a restart.
    pub(crate) modified: Timestamp,
    bytes_since_entry: u32,
    /// Whether the file may be longer than `size`.
    longer: bool,
}

/// What [`Segment::open`] found out about the indexes.
pub(crate) enum Indexes {
    /// Both are there and look sound.
    Sound,
    /// Both have to be built anew, for this reason.
    Unusable(String),
}

impl Segment {
    /// Makes a segment; whatever a file of that name held is gone.
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        base: Offset,
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<Self, StorageError> {
        let path = file_path(dir, base, Kind::Log);
        let file = disk.open(&path, OpenMode::Create).at(&path, "make")?;
        if file.len().at(&path, "measure")? > 0 {
            file.set_len(0).at(&path, "cut")?;
        }
        if config.preallocate {
            file.set_len(u64::from(config.segment_bytes))
                .at(&path, "preallocate")?;
        }
        let mut segment = Self::assemble(disk, dir, base, config, file, 0, now);
        segment.longer = config.preallocate;
        Ok(segment)
    }

    /// Opens the files of an existing segment. If the indexes are not usable they are empty and
    /// the caller must rebuild them.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        base: Offset,
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<(Self, Indexes), StorageError> {
        let path = file_path(dir, base, Kind::Log);
        let file = disk.open(&path, OpenMode::ReadWrite).at(&path, "open")?;
        let length = file.len().at(&path, "measure")?;
        let size = u32::try_from(length)
            .ok()
            .filter(|size| *size <= i32::MAX as u32);
        let Some(size) = size else {
            return Err(StorageError::corrupt(
                &path,
                length,
                "the segment is over 2 GiB long",
            ));
        };
        let max = config.segment_index_bytes;
        let mut segment = Self::assemble(disk, dir, base, config, file, size, now);
        let (offset_path, time_path) = (segment.offsets.path(), segment.times.path());
        let offsets = OffsetIndex::open(disk.clone(), offset_path.into(), base, max, size)?;
        let times = TimeIndex::open(disk.clone(), time_path.into(), base, max)?;
        let why = match (offsets, times) {
            (Some(Ok(offsets)), Some(Ok(times))) => {
                segment.max_timestamp = times.last();
                segment.offsets = offsets;
                segment.times = times;
                return Ok((segment, Indexes::Sound));
            }
            (Some(Err(why)), _) => format!("offset index: {why}"),
            (_, Some(Err(why))) => format!("time index: {why}"),
            (None, _) => "the offset index is missing".to_owned(),
            (_, None) => "the time index is missing".to_owned(),
        };
        Ok((segment, Indexes::Unusable(why)))
    }

    fn assemble(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        base: Offset,
        config: &LogConfig,
        file: Arc<dyn DiskFile>,
        size: u32,
        now: Timestamp,
    ) -> Self {
        let max = config.segment_index_bytes;
        let index = file_path(dir, base, Kind::Index);
        let time_index = file_path(dir, base, Kind::TimeIndex);
        Self {
            base,
            path: file_path(dir, base, Kind::Log).into(),
            file,
            size,
            offsets: OffsetIndex::empty(disk.clone(), index, base, max),
            times: TimeIndex::empty(disk.clone(), time_index, base, max),
            max_timestamp: None,
            first_timestamp: None,
            created: now,
            modified: now,
            bytes_since_entry: 0,
            longer: false,
        }
    }

    /// Writes a batch at the end: `head` replaces its first bytes. After a failure the segment
    /// still ends where it did.
    pub(crate) fn write(&mut self, head: &[u8], batch: &[u8]) -> Result<(), StorageError> {
        let rest = batch.get(head.len()..).unwrap_or_default();
        let mut slices = [IoSlice::new(head), IoSlice::new(rest)];
        match self.file.write_all_at(&mut slices, u64::from(self.size)) {
            Ok(()) => Ok(()),
            Err(error) => {
                // The next append writes over what the failed one left, so cutting it off here may
                // fail; it is tried again before the segment is sealed or closed.
                self.longer = true;
                let _ = self.cut_tail();
                Err(StorageError::io(&self.path, "append to", error))
            }
        }
    }

    /// Takes a batch that has just been written, or was found by a scan, into the bookkeeping.
    /// Index entries are an aid: one that cannot be written is left out, and the next batch tries
    /// again.
    pub(crate) fn account(&mut self, header: &BatchHeader, config: &LogConfig) {
        let size = u32::try_from(header.size_in_bytes()).unwrap_or(u32::MAX);
        let last = Offset(header.last_offset());
        if self.size == 0 {
            self.first_timestamp = Some(Timestamp(header.max_timestamp));
        }
        let largest = self.max_timestamp.map_or(-1, |(timestamp, _)| timestamp.0);
        if header.max_timestamp > largest {
            self.max_timestamp = Some((Timestamp(header.max_timestamp), last));
        }
        if self.bytes_since_entry > config.index_interval_bytes && self.index(last).is_ok() {
            self.bytes_since_entry = 0;
        }
        self.size = self.size.saturating_add(size);
        self.bytes_since_entry = self.bytes_since_entry.saturating_add(size);
    }

    fn index(&mut self, last: Offset) -> Result<(), StorageError> {
        if self.offsets.is_full() || self.times.is_full() {
            return Ok(());
        }
        self.offsets.append(last, Position(self.size))?;
        match self.max_timestamp {
            Some(largest) => self.times.append(largest),
            None => Ok(()),
        }
    }

    /// Whether a batch of `size` bytes must go to a new segment. `last` is the offset of its last
    /// record, `timestamp` its largest timestamp.
    pub(crate) fn must_roll(
        &self,
        size: u32,
        last: Offset,
        timestamp: Timestamp,
        now: Timestamp,
        config: &LogConfig,
        seed: u64,
    ) -> bool {
        if self.size == 0 {
            return !self.offsets.fits(last);
        }
        let limit = config.segment_bytes.min(super::config::MAX_SEGMENT_BYTES);
        let waited = match self.first_timestamp {
            Some(first) if first.0 >= 0 => timestamp.0.saturating_sub(first.0),
            _ => now.0.saturating_sub(self.created.0),
        };
        self.size.saturating_add(size) > limit
            || waited > config.roll_after_ms(seed, self.base.0)
            || self.offsets.is_full()
            || self.times.is_full()
            || !self.offsets.fits(last)
    }

    /// The timestamp that retention by time goes by.
    pub(crate) fn retention_timestamp(&self) -> Timestamp {
        self.max_timestamp
            .map_or(self.modified, |(timestamp, _)| timestamp)
    }

    /// Its batches as of now.
    pub(crate) fn view(&self) -> SegmentView {
        SegmentView {
            base: self.base,
            path: Arc::clone(&self.path),
            file: Arc::clone(&self.file),
            size: self.size,
        }
    }

    /// Where a search for the batch that holds `offset` may begin, by the index.
    pub(crate) fn hint(&self, offset: Offset) -> Result<u32, StorageError> {
        self.offsets.lookup(offset).map(|position| position.0)
    }

    /// The first batch that ends at or after `offset`, found by the index and a scan of headers.
    pub(crate) fn locate(&self, offset: Offset) -> Result<Option<Located>, StorageError> {
        self.view().locate(offset, self.hint(offset)?, Reach::Disk)
    }

    /// The position of a batch at or before `position`, by the index; 0 if there is no entry.
    pub(crate) fn position_at_or_before(&self, position: u32) -> Result<u32, StorageError> {
        self.offsets
            .position_at_or_before(Position(position))
            .map(|found| found.0)
    }

    /// Walks the headers from `position` on.
    pub(crate) fn headers(&self, position: u32) -> HeaderScan {
        self.view().headers(position, Reach::Disk)
    }

    /// Finds the end of a segment that was closed in order, by a scan from the last index entry.
    pub(crate) fn find_end(&mut self) -> Result<Offset, StorageError> {
        let mut end = self.base;
        let mut scan = self.headers(self.offsets.last_position().0);
        while let Some(batch) = scan.next()? {
            if batch.header.base_offset < end.0 {
                return Err(scan.corrupt(batch.position, "offsets do not rise"));
            }
            end = Offset(batch.header.next_offset());
        }
        if let Some(first) = self.headers(0).next()? {
            self.first_timestamp = Some(Timestamp(first.header.max_timestamp));
        }
        Ok(end)
    }

    /// Forgets what is known about the content, before a scan finds it out anew.
    pub(crate) fn reset(&mut self) {
        self.offsets.clear();
        self.times.clear();
        self.max_timestamp = None;
        self.first_timestamp = None;
        self.bytes_since_entry = 0;
        self.size = 0;
    }

    /// Says that the file may be longer than the batches in it.
    pub(crate) fn mark_longer(&mut self) {
        self.longer = true;
    }

    /// Cuts off what is not a whole batch.
    pub(crate) fn cut_tail(&mut self) -> Result<(), StorageError> {
        if self.longer {
            self.file
                .set_len(u64::from(self.size))
                .at(&self.path, "cut")?;
            self.longer = false;
        }
        Ok(())
    }

    /// Brings the files to the form they have when nothing more will be written: the last time
    /// index entry, no zeros at the end. Returns the files to be synced. May be called again.
    pub(crate) fn seal(&mut self) -> Result<Vec<Arc<dyn DiskFile>>, StorageError> {
        self.cut_tail()?;
        if let Some(largest) = self.max_timestamp {
            self.times.append(largest)?;
        }
        Ok(vec![
            self.file.clone(),
            self.offsets.trim()?,
            self.times.trim()?,
        ])
    }

    pub(crate) fn set_config(&mut self, config: &LogConfig) {
        self.offsets.set_max_bytes(config.segment_index_bytes);
        self.times.set_max_bytes(config.segment_index_bytes);
    }
}
