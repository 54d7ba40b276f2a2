//! Reading batches.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tidemark_protocol::records::{BatchError, BatchView};

use super::Log;
use crate::environment::DiskFile;
use crate::storage::error::{At, StorageError};
use crate::types::Offset;

/// Read at once by [`Log::scan`].
const SCAN_CHUNK: u32 = 1 << 20;

/// A range of a segment's file that begins with a whole batch; the last batch may be cut short.
/// It stays readable when the segment is deleted meanwhile.
#[derive(Clone)]
pub struct LogSlice {
    /// The segment's file.
    pub file: Arc<dyn DiskFile>,
    /// Where the range begins.
    pub position: u64,
    /// How many bytes it has; at least one batch's.
    pub len: u32,
}

impl LogSlice {
    /// The bytes. To be called without the log's lock.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.len as usize];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes.into())
    }
}

impl Log {
    /// The bytes from the batch that holds `from` on, below `upper` (exclusive: the high watermark
    /// or the last stable offset) and from one segment only. `None` if there is nothing to read,
    /// or if the first batch is larger than `max_bytes`; with `min_one` that one is read whole.
    pub fn read(
        &self,
        from: Offset,
        upper: Offset,
        max_bytes: u32,
        min_one: bool,
    ) -> Result<Option<LogSlice>, StorageError> {
        if from < self.start || from > self.end {
            return Err(self.out_of_range(from));
        }
        let upper = upper.min(self.end);
        if from >= upper {
            return Ok(None);
        }
        for index in self.segment_of(from)..self.segments.len() {
            let Some(segment) = self.segments.get(index) else {
                break;
            };
            if segment.base >= upper {
                break;
            }
            let Some(first) = segment.locate(from)? else {
                continue;
            };
            let limit = self.position_below(index, upper)?;
            let allowed = if min_one {
                max_bytes.max(first.size())
            } else {
                max_bytes
            };
            let available = limit.saturating_sub(first.position);
            if available < first.size() || allowed < first.size() {
                return Ok(None);
            }
            return Ok(Some(LogSlice {
                file: segment.file.clone(),
                position: u64::from(first.position),
                len: available.min(allowed),
            }));
        }
        Ok(None)
    }

    /// How many bytes there are to read from `from` to `upper` in the segment of `from`, and
    /// whether that segment is an older one than the active one: then a fetch need not wait for
    /// more. An offset that cannot be read has 0 bytes.
    pub fn bytes_between(&self, from: Offset, upper: Offset) -> (u64, bool) {
        let index = self.segment_of(from);
        let older = index + 1 < self.segments.len();
        let upper = upper.min(self.end);
        if from < self.start || from >= upper {
            return (0, older && from < self.end);
        }
        let located = self.segments.get(index).map(|segment| segment.locate(from));
        let first = match located {
            Some(Ok(Some(first))) => first.position,
            _ => return (0, older),
        };
        let limit = self.position_below(index, upper).unwrap_or(first);
        (u64::from(limit.saturating_sub(first)), older)
    }

    /// Every batch from the one that holds `from` up to `upper`, for replaying.
    pub fn scan(&self, from: Offset, upper: Offset) -> BatchScan<'_> {
        BatchScan {
            log: self,
            next: from.max(self.start),
            upper,
            buffer: Bytes::new(),
            done: false,
        }
    }

    /// The position in segment `index` before which all batches end below `upper`.
    fn position_below(&self, index: usize, upper: Offset) -> Result<u32, StorageError> {
        let Some(segment) = self.segments.get(index) else {
            return Ok(0);
        };
        if upper >= self.segment_end(index) {
            return Ok(segment.size);
        }
        Ok(segment
            .locate(upper)?
            .map_or(segment.size, |batch| batch.position))
    }
}

/// The batches of a log, one after the other.
pub struct BatchScan<'a> {
    log: &'a Log,
    next: Offset,
    upper: Offset,
    buffer: Bytes,
    done: bool,
}

impl BatchScan<'_> {
    fn advance(&mut self) -> Result<Option<Bytes>, StorageError> {
        loop {
            match BatchView::parse(&self.buffer) {
                Ok(batch) => {
                    let size = batch.bytes().len();
                    let next = Offset(batch.header().next_offset());
                    if next <= self.next {
                        let what = format!("offset {next} follows {}", self.next);
                        return Err(StorageError::corrupt(&self.log.dir, 0, what));
                    }
                    self.next = next;
                    return Ok(Some(self.buffer.split_to(size)));
                }
                // The end of what was read: the batch that is cut short is read again.
                Err(BatchError::Truncated { .. }) => {}
                Err(error) => {
                    let what = format!("offset {}: {error}", self.next);
                    return Err(StorageError::corrupt(&self.log.dir, 0, what));
                }
            }
            self.buffer.advance(self.buffer.len());
            let upper = self.upper.min(self.log.end);
            match self
                .log
                .read(self.next.min(upper), upper, SCAN_CHUNK, true)?
            {
                None => return Ok(None),
                Some(slice) => self.buffer = slice.read().at(&self.log.dir, "read")?,
            }
        }
    }
}

impl Iterator for BatchScan<'_> {
    type Item = Result<Bytes, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let found = self.advance().transpose();
        self.done = !matches!(found, Some(Ok(_)));
        found
    }
}
