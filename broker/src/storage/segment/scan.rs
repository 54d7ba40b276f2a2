//! Walks over a `.log` file: by headers only, or batch by batch with every byte checked.

use std::ops::ControlFlow;
use std::path::Path;

use tidemark_protocol::records::header::BATCH_HEADER_SIZE;
use tidemark_protocol::records::{BatchHeader, BatchView};

use super::Located;
use super::view::{Reach, SegmentView};
use crate::environment::DiskFile;
use crate::storage::error::{At, StorageError};

/// Read at once when looking for headers: a few small batches, or one header.
const HEADER_CHUNK: usize = 8 << 10;
/// Read at once when every byte is looked at.
const FULL_CHUNK: usize = 1 << 20;

/// The headers of a segment, one after the other.
pub(crate) struct HeaderScan {
    segment: SegmentView,
    position: u32,
    reach: Reach,
    buffer: Vec<u8>,
    buffer_at: u32,
    /// Batches are larger than a chunk: reading more than the header is in vain.
    sparse: bool,
}

impl HeaderScan {
    pub(crate) fn new(segment: SegmentView, position: u32, reach: Reach) -> Self {
        Self {
            segment,
            position,
            reach,
            buffer: Vec::new(),
            buffer_at: 0,
            sparse: false,
        }
    }

    /// The next batch; an error if what is there is no batch, or one that reaches past the end.
    pub(crate) fn next(&mut self) -> Result<Option<Located>, StorageError> {
        if self.position >= self.segment.size {
            return Ok(None);
        }
        self.fill()?;
        let start = (self.position - self.buffer_at) as usize;
        let bytes = self.buffer.get(start..).unwrap_or_default();
        let header = BatchHeader::parse(bytes)
            .map_err(|error| self.corrupt(self.position, error.to_string()))?;
        let found = Located {
            position: self.position,
            header,
        };
        if found.end() > self.segment.size {
            return Err(self.corrupt(self.position, "the batch reaches past the end"));
        }
        if header.last_offset_delta < 0 || header.base_offset < 0 {
            return Err(self.corrupt(self.position, "the batch has negative offsets"));
        }
        self.sparse = found.size() as usize > HEADER_CHUNK;
        self.position = found.end();
        Ok(Some(found))
    }

    pub(crate) fn corrupt(&self, position: u32, what: impl Into<String>) -> StorageError {
        StorageError::corrupt(&self.segment.path, u64::from(position), what)
    }

    /// Brings the header at the current position into the buffer, as far as the file has it.
    fn fill(&mut self) -> Result<(), StorageError> {
        let ahead = self
            .position
            .checked_sub(self.buffer_at)
            .map(|start| start as usize);
        let have = ahead
            .and_then(|start| self.buffer.len().checked_sub(start))
            .unwrap_or(0);
        if have >= BATCH_HEADER_SIZE {
            return Ok(());
        }
        let want = if self.sparse {
            BATCH_HEADER_SIZE
        } else {
            HEADER_CHUNK
        };
        let left = (self.segment.size - self.position) as usize;
        self.buffer.resize(want.min(left), 0);
        self.buffer_at = self.position;
        let (file, path) = (&self.segment.file, &self.segment.path);
        let position = u64::from(self.position);
        match self.reach {
            Reach::Disk => file
                .read_exact_at(&mut self.buffer, position)
                .at(path, "read"),
            Reach::Memory => {
                let count = file.read_cached_at(&mut self.buffer, position);
                self.buffer.truncate(count);
                // Enough for one header is enough for now.
                if count >= BATCH_HEADER_SIZE.min(left) {
                    return Ok(());
                }
                let path = path.to_path_buf();
                Err(StorageError::NotInMemory { path })
            }
        }
    }
}

/// Where a full walk came to its end.
pub(crate) struct FullScan {
    /// The end of the last good batch.
    pub(crate) end: u64,
    /// Why the walk stopped before the end of the file.
    pub(crate) stopped: Option<String>,
}

/// Reads every batch of the first `length` bytes, checks structure and CRC, and hands it to
/// `visit`, which may stop the walk with a reason. The walk ends at the first byte that is not a
/// good batch.
pub(crate) fn full_scan(
    file: &dyn DiskFile,
    path: &Path,
    length: u64,
    mut visit: impl FnMut(u64, &BatchView<'_>) -> ControlFlow<String>,
) -> Result<FullScan, StorageError> {
    let mut buffer: Vec<u8> = Vec::new();
    let mut position = 0u64;
    // Bytes of `buffer` that lie before `position`.
    let mut used = 0usize;
    loop {
        let rest = buffer.get(used..).unwrap_or_default();
        let left = length.saturating_sub(position);
        let parsed = BatchView::parse(rest);
        if let Err(tidemark_protocol::records::BatchError::Truncated { need, .. }) = parsed
            && (rest.len() as u64) < left
            && need as u64 <= left
        {
            let have = rest.len();
            buffer.drain(..used);
            used = 0;
            let more = need
                .max(FULL_CHUNK)
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            buffer.resize(more, 0);
            let fresh = buffer.get_mut(have..).unwrap_or_default();
            file.read_exact_at(fresh, position + have as u64)
                .at(path, "read")?;
            continue;
        }
        if left == 0 {
            return Ok(FullScan {
                end: position,
                stopped: None,
            });
        }
        let checked = parsed.and_then(|batch| batch.validate_crc().map(|()| batch));
        let reason = match checked {
            Err(error) => error.to_string(),
            Ok(batch) => match visit(position, &batch) {
                ControlFlow::Break(reason) => reason,
                ControlFlow::Continue(()) => {
                    used += batch.bytes().len();
                    position += batch.bytes().len() as u64;
                    continue;
                }
            },
        };
        return Ok(FullScan {
            end: position,
            stopped: Some(reason),
        });
    }
}
