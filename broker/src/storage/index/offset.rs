//! `.index`: from an offset to a position in the `.log` file (Kafka's `OffsetIndex`).
//!
//! An entry is 8 bytes, big-endian: the last offset of a batch, less the segment's base offset,
//! and the position at which that batch begins.

use std::path::PathBuf;
use std::sync::Arc;

use super::IndexFile;
use crate::environment::{Disk, DiskFile};
use crate::storage::error::StorageError;
use crate::types::{Offset, Position};

const ENTRY: usize = 8;

/// The offset index of one segment.
pub(crate) struct OffsetIndex {
    file: IndexFile<ENTRY>,
    base: Offset,
    /// The last entry.
    last: Option<(Offset, Position)>,
}

fn encode(relative: u32, position: Position) -> [u8; ENTRY] {
    ((u64::from(relative) << 32) | u64::from(position.0)).to_be_bytes()
}

fn decode(entry: [u8; ENTRY]) -> (u32, Position) {
    let both = u64::from_be_bytes(entry);
    ((both >> 32) as u32, Position(both as u32))
}

impl OffsetIndex {
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
        log_size: u32,
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
            let (relative, position) = last;
            // An entry is written after `index.interval.bytes`, so its position is never 0: zeros
            // are room that was never written.
            let possible = position.0 > 0 && position.0 < log_size && relative <= i32::MAX as u32;
            let rising = single || (first.0 < relative && first.1 < position);
            if !possible || !rising {
                return Ok(Some(Err(format!(
                    "the last entry is {relative} at {position}"
                ))));
            }
            index.last = Some((base.plus(i64::from(relative)), position));
        }
        Ok(Some(Ok(index)))
    }

    /// Whether no further entry fits.
    pub(crate) fn is_full(&self) -> bool {
        self.file.len() >= self.file.max_entries()
    }

    /// Whether `offset` can be told as a distance from the base offset.
    pub(crate) fn fits(&self, offset: Offset) -> bool {
        let distance = offset.0.checked_sub(self.base.0);
        distance.is_some_and(|distance| (0..=i64::from(i32::MAX)).contains(&distance))
    }

    /// Adds an entry; offsets that do not rise, or do not fit, are left out.
    pub(crate) fn append(&mut self, offset: Offset, at: Position) -> Result<(), StorageError> {
        if self.last.is_some_and(|(last, _)| offset <= last) || !self.fits(offset) {
            return Ok(());
        }
        let relative = u32::try_from(offset.0 - self.base.0).unwrap_or(u32::MAX);
        self.file.push(encode(relative, at))?;
        self.last = Some((offset, at));
        Ok(())
    }

    /// A position at or before the batch that holds `offset`; 0 if no entry is below it.
    pub(crate) fn lookup(&self, offset: Offset) -> Result<Position, StorageError> {
        let Some(distance) = offset
            .0
            .checked_sub(self.base.0)
            .filter(|distance| *distance >= 0)
        else {
            return Ok(Position(0));
        };
        let below = self
            .file
            .partition_point(|entry| i64::from(decode(entry).0) <= distance)?;
        match below.checked_sub(1) {
            None => Ok(Position(0)),
            Some(slot) => Ok(decode(self.file.get(slot)?).1),
        }
    }

    /// The position of the last entry; 0 without entries.
    pub(crate) fn last_position(&self) -> Position {
        self.last.map_or(Position(0), |(_, position)| position)
    }

    /// The largest position of an entry that is not above `position`; 0 if there is none.
    pub(crate) fn position_at_or_before(
        &self,
        position: Position,
    ) -> Result<Position, StorageError> {
        let below = self
            .file
            .partition_point(|entry| decode(entry).1 <= position)?;
        match below.checked_sub(1) {
            None => Ok(Position(0)),
            Some(slot) => Ok(decode(self.file.get(slot)?).1),
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
