//! `.timeindex`: from a timestamp to an offset (Kafka's `TimeIndex`).
//!
//! An entry is 12 bytes, big-endian: the largest timestamp so far (8 bytes), and the last offset
//! of the batch that brought it, less the segment's base offset (4 bytes). Entries are written
//! together with those of the offset index, when the timestamp has risen, and once more when the
//! segment is sealed or closed: so the last entry tells the segment's largest timestamp.

use std::path::PathBuf;
use std::sync::Arc;

use super::IndexFile;
use crate::environment::{Disk, DiskFile};
use crate::storage::error::StorageError;
use crate::types::{Offset, Timestamp};

const ENTRY: usize = 12;

/// The largest timestamp of a segment, and the last offset of the first batch that has it.
pub(crate) type MaxTimestamp = (Timestamp, Offset);

/// The time index of one segment.
pub(crate) struct TimeIndex {
    file: IndexFile<ENTRY>,
    base: Offset,
    last: Option<MaxTimestamp>,
}

fn encode(timestamp: Timestamp, relative: u32) -> [u8; ENTRY] {
    let both = (timestamp.0 as u128) << 32 | u128::from(relative);
    let [_, _, _, _, entry @ ..] = both.to_be_bytes();
    entry
}

fn decode(entry: [u8; ENTRY]) -> (Timestamp, u32) {
    let [a, b, c, d, e, f, g, h, relative @ ..] = entry;
    let timestamp = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
    (Timestamp(timestamp), u32::from_be_bytes(relative))
}

impl TimeIndex {
    /// An index without entries.
    pub(crate) fn empty(disk: Arc<dyn Disk>, path: PathBuf, base: Offset, max_bytes: u32) -> Self {
        Self {
            file: IndexFile::empty(disk, path, max_bytes),
            base,
            last: None,
        }
    }

    /// Opens an existing file. `None` if there is none; the inner error says why it is unusable.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        base: Offset,
        max_bytes: u32,
    ) -> Result<Option<Result<Self, String>>, StorageError> {
        let (file, ends) = match IndexFile::<ENTRY>::open(disk, path, max_bytes)? {
            None => return Ok(None),
            Some(Err(why)) => return Ok(Some(Err(why))),
            Some(Ok(opened)) => opened,
        };
        let single = file.len() == 1;
        let mut index = Self {
            file,
            base,
            last: None,
        };
        if let Some((first, last)) = ends.map(|(first, last)| (decode(first), decode(last))) {
            let (timestamp, relative) = last;
            // Timestamps rise, so zeros behind other entries show: room that was never written.
            let rising = single || (first.0 < timestamp && first.1 <= relative);
            if !rising || timestamp.0 < 0 || relative > i32::MAX as u32 {
                return Ok(Some(Err(format!(
                    "the last entry is {timestamp} at {relative}"
                ))));
            }
            index.last = Some((timestamp, base.plus(i64::from(relative))));
        }
        Ok(Some(Ok(index)))
    }

    /// Whether no further entry fits but the one that sealing the segment adds.
    pub(crate) fn is_full(&self) -> bool {
        self.file.len() + 1 >= self.file.max_entries()
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Option<MaxTimestamp> {
        self.last
    }

    /// Adds an entry if the timestamp is above that of the last one.
    pub(crate) fn append(&mut self, (timestamp, offset): MaxTimestamp) -> Result<(), StorageError> {
        let rises = match self.last {
            None => timestamp.0 > -1,
            Some((last, at)) => timestamp > last && offset >= at,
        };
        let relative = offset
            .0
            .checked_sub(self.base.0)
            .and_then(|d| u32::try_from(d).ok());
        if let (true, Some(relative)) = (rises, relative) {
            self.file.push(encode(timestamp, relative))?;
            self.last = Some((timestamp, offset));
        }
        Ok(())
    }

    /// An offset before which no record has a timestamp of `target` or later; the base offset if
    /// no entry is that old.
    pub(crate) fn lookup(&self, target: Timestamp) -> Result<Offset, StorageError> {
        let below = self
            .file
            .partition_point(|entry| decode(entry).0 <= target)?;
        match below.checked_sub(1) {
            None => Ok(self.base),
            Some(slot) => Ok(self.base.plus(i64::from(decode(self.file.get(slot)?).1))),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.file.clear();
        self.last = None;
    }

    /// See [`IndexFile::trim`].
    pub(crate) fn trim(&mut self) -> Result<Arc<dyn DiskFile>, StorageError> {
        self.file.trim()
    }

    pub(crate) fn set_max_bytes(&mut self, max_bytes: u32) {
        self.file.set_max_bytes(max_bytes);
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.file.path()
    }
}
