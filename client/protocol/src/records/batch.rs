//! One v2 batch as a view over bytes, and the walk over consecutive batches.

use std::borrow::Cow;
use std::ops::Deref;

use super::compression::{Compression, CompressionError, decompress};
use super::header::{BATCH_HEADER_SIZE, BatchError, BatchHeader, field};

/// A v2 batch in place: its decoded header and all its bytes. Dereferences to [`BatchHeader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Reads the batch at the start of `buffer`, which may hold more after it. Magic and length are
    /// checked, the CRC is not: see [`Self::validate_crc`].
    pub fn parse(buffer: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(buffer)?;
        let need = header.size_in_bytes();
        let bytes = buffer.get(..need).ok_or(BatchError::Truncated {
            have: buffer.len(),
            need,
        })?;
        Ok(Self { header, bytes })
    }

    /// The decoded header.
    #[must_use]
    pub fn header(&self) -> BatchHeader {
        self.header
    }

    /// The whole batch, header included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records section as it is on the wire: compressed if the batch is.
    #[must_use]
    pub fn records_bytes(&self) -> &'a [u8] {
        self.bytes.get(BATCH_HEADER_SIZE..).unwrap_or_default()
    }

    /// CRC-32C of the bytes it covers: everything from the attributes on.
    #[must_use]
    pub fn computed_crc(&self) -> u32 {
        crc32c::crc32c(self.bytes.get(field::ATTRIBUTES..).unwrap_or_default())
    }

    /// Checks the stored CRC against the bytes.
    pub fn validate_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.header.crc, self.computed_crc());
        if stored == computed {
            Ok(())
        } else {
            Err(BatchError::BadCrc { stored, computed })
        }
    }

    /// The first 16 bytes with the offset and epoch a leader gives the batch; the other bytes, and
    /// with them the CRC, stay as they came.
    #[must_use]
    pub fn patch_header(&self, base_offset: i64, leader_epoch: i32) -> [u8; 16] {
        self.header.patched(base_offset, leader_epoch)
    }

    /// The records section uncompressed: borrowed when it already is. More than `max_output` bytes
    /// of output is an error, and no more than that is allocated. An empty section is empty under
    /// every codec: compaction leaves headers without records behind.
    pub fn uncompressed_records(&self, max_output: usize) -> Result<Cow<'a, [u8]>, ReadBatchError> {
        match self.header.compression()? {
            _ if self.records_bytes().is_empty() => Ok(Cow::Borrowed(&[])),
            Compression::None => Ok(Cow::Borrowed(self.records_bytes())),
            codec => Ok(Cow::Owned(decompress(
                codec,
                self.records_bytes(),
                max_output,
            )?)),
        }
    }

    /// Timestamp in milliseconds of a record of this batch, given its delta: the batch's max
    /// timestamp under LogAppendTime. Wraps as Java does, deltas come from outside.
    #[must_use]
    pub fn record_timestamp(&self, timestamp_delta: i64) -> i64 {
        match self.header.timestamp_type() {
            super::TimestampType::LogAppendTime => self.header.max_timestamp,
            super::TimestampType::CreateTime => {
                self.header.base_timestamp.wrapping_add(timestamp_delta)
            }
        }
    }
}

impl Deref for BatchView<'_> {
    type Target = BatchHeader;

    fn deref(&self) -> &BatchHeader {
        &self.header
    }
}

/// Why the records section of a batch could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadBatchError {
    /// The batch names a codec that does not exist.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The records section does not decompress.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// Consecutive batches in a buffer. Ends after the last byte, or after the first error; a fetch
/// response may end in a partial batch, which shows as [`BatchError::Truncated`].
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    buffer: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Starts at the first byte of `buffer`.
    #[must_use]
    pub fn new(buffer: &'a [u8]) -> Self {
        Self {
            buffer,
            position: 0,
            failed: false,
        }
    }

    /// Where the next batch begins, in bytes from the start of the buffer. After an error, where
    /// the bad batch begins.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.buffer.get(self.position..).unwrap_or_default();
        if self.failed || rest.is_empty() {
            return None;
        }
        let parsed = BatchView::parse(rest);
        match &parsed {
            Ok(batch) => self.position += batch.bytes.len(),
            Err(_) => self.failed = true,
        }
        Some(parsed)
    }
}

#[cfg(test)]
mod tests;
