//! Building a v2 batch record by record.

use bytes::Bytes;

use super::compression::{Compression, CompressionError, compress, max_records_section};
use super::header::{
    BATCH_HEADER_SIZE, BatchHeader, CONTROL_BIT, DELETE_HORIZON_BIT, LOG_OVERHEAD,
    TIMESTAMP_TYPE_BIT, TRANSACTIONAL_BIT, field,
};
use super::{
    NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
};
use crate::reader::{put_varint, put_varlong};

/// Why a batch could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The batch, or one field of it, is larger than an int32 can say.
    #[error("the batch would be larger than an int32 length can say")]
    TooLarge,
    /// An offset is below the one before it, or too far from the base offset for an int32 delta.
    #[error("offset delta {found} after {last}")]
    OffsetDelta {
        /// The delta asked for.
        found: i64,
        /// The delta of the record before, or -1.
        last: i32,
    },
    /// The records section does not compress.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// A batch under construction. Defaults: base offset 0, no leader epoch, no producer, CreateTime,
/// not compressed.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    level: Option<i32>,
    base_timestamp: Option<i64>,
    log_append_time: Option<i64>,
    /// Room for the header, then the records: without compression the batch is finished in place.
    buffer: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::with_buffer(Vec::new())
    }

    /// An empty batch in a buffer that was used before: its contents go, its capacity stays, and
    /// without compression it becomes the finished batch's memory.
    #[must_use]
    pub fn with_buffer(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self {
            header: BatchHeader {
                base_offset: 0,
                batch_length: 0,
                partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
                crc: 0,
                attributes: 0,
                last_offset_delta: -1,
                base_timestamp: NO_TIMESTAMP,
                max_timestamp: NO_TIMESTAMP,
                producer_id: NO_PRODUCER_ID,
                producer_epoch: NO_PRODUCER_EPOCH,
                base_sequence: NO_SEQUENCE,
                records_count: 0,
            },
            compression: Compression::None,
            level: None,
            base_timestamp: None,
            log_append_time: None,
            buffer,
        }
    }

    /// An empty batch whose base timestamp is a delete horizon in milliseconds (KIP-534), as
    /// compaction writes it. It is fixed from the start because every record's delta depends on it.
    #[must_use]
    pub fn with_delete_horizon(horizon: i64) -> Self {
        let mut builder = Self {
            base_timestamp: Some(horizon),
            ..Self::new()
        };
        builder.header.attributes |= DELETE_HORIZON_BIT;
        builder
    }

    /// Offset of the record with delta 0.
    #[must_use]
    pub fn base_offset(mut self, offset: i64) -> Self {
        self.header.base_offset = offset;
        self
    }

    /// Epoch of the leader that appends the batch.
    #[must_use]
    pub fn partition_leader_epoch(mut self, epoch: i32) -> Self {
        self.header.partition_leader_epoch = epoch;
        self
    }

    /// The idempotent producer, its epoch and the first record's sequence.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(self, on: bool) -> Self {
        self.flag(TRANSACTIONAL_BIT, on)
    }

    /// Marks the records as control records.
    #[must_use]
    pub fn control(self, on: bool) -> Self {
        self.flag(CONTROL_BIT, on)
    }

    fn flag(mut self, bit: i16, on: bool) -> Self {
        self.header.attributes = if on {
            self.header.attributes | bit
        } else {
            self.header.attributes & !bit
        };
        self
    }

    /// The codec, and its level or `None` for the default.
    #[must_use]
    pub fn compression(mut self, codec: Compression, level: Option<i32>) -> Self {
        self.compression = codec;
        self.level = level;
        self
    }

    /// Sets LogAppendTime with this time in milliseconds, whatever the records say.
    #[must_use]
    pub fn log_append_time(mut self, now: i64) -> Self {
        self.log_append_time = Some(now);
        self
    }

    /// Says that the batch reaches to this offset although its last record may be earlier or gone:
    /// compaction keeps the range of the batch it cleaned. Call it after the last append.
    #[must_use]
    pub fn last_offset_delta(mut self, delta: i32) -> Self {
        self.header.last_offset_delta = delta;
        self
    }

    /// Adds a record at the next offset. `timestamp` in milliseconds; `None` is null for key, value
    /// and header values; header keys may repeat.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<(), BuildError> {
        let delta = i64::from(self.header.last_offset_delta) + 1;
        self.append_at(delta, timestamp, key, value, headers)
    }

    /// Adds a record at the base offset plus `offset_delta`, which is larger than the last one.
    pub fn append_at(
        &mut self,
        offset_delta: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<(), BuildError> {
        let record = Record {
            timestamp,
            key,
            value,
            headers,
        };
        self.append_record(offset_delta, &record, usize::MAX)
            .map(|_| ())
    }

    /// Adds a record at the next offset, unless the batch, uncompressed and with its header, would
    /// take more than `limit` bytes then: returns whether it was added. An empty batch takes any
    /// record.
    pub fn append_within(
        &mut self,
        limit: usize,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<bool, BuildError> {
        let delta = i64::from(self.header.last_offset_delta) + 1;
        let record = Record {
            timestamp,
            key,
            value,
            headers,
        };
        let limit = if self.is_empty() { usize::MAX } else { limit };
        self.append_record(delta, &record, limit)
    }

    #[inline]
    fn append_record(
        &mut self,
        offset_delta: i64,
        record: &Record<'_>,
        limit: usize,
    ) -> Result<bool, BuildError> {
        let last = self.header.last_offset_delta;
        let delta = i32::try_from(offset_delta)
            .ok()
            .filter(|delta| *delta > last)
            .ok_or(BuildError::OffsetDelta {
                found: offset_delta,
                last,
            })?;
        let base_timestamp = self.base_timestamp.unwrap_or(record.timestamp);
        let timestamp_delta = record.timestamp.wrapping_sub(base_timestamp);
        // The length stands in front of the record, so it is worked out before anything is written:
        // no second buffer, and nothing to take back when the record does not fit.
        let body = record.body_size(delta, timestamp_delta)?;
        let body_length = length(body)?;
        let size = varint_size(body_length) + body;
        let total = self.size_estimate().saturating_add(size);
        if total > limit {
            return Ok(false);
        }
        if total - BATCH_HEADER_SIZE > max_records_section() {
            return Err(BuildError::TooLarge);
        }
        if self.buffer.is_empty() {
            self.buffer.reserve(BATCH_HEADER_SIZE + size);
            self.buffer.resize(BATCH_HEADER_SIZE, 0);
        }
        self.buffer.reserve(size);
        put_varint(&mut self.buffer, body_length);
        record.put_body(&mut self.buffer, delta, timestamp_delta)?;
        self.base_timestamp = Some(base_timestamp);
        self.header.last_offset_delta = delta;
        self.header.max_timestamp = self.header.max_timestamp.max(record.timestamp);
        self.header.records_count += 1;
        Ok(true)
    }

    /// Number of records so far.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.header.records_count
    }

    /// Whether nothing was appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.records_count == 0
    }

    /// Size of the batch in bytes before compression: exact for [`Compression::None`].
    #[must_use]
    pub fn size_estimate(&self) -> usize {
        self.buffer.len().max(BATCH_HEADER_SIZE)
    }

    /// The finished batch with its CRC. A batch without records is allowed: compaction leaves such
    /// headers behind.
    pub fn build(self) -> Result<Bytes, BuildError> {
        let Self {
            mut header,
            mut buffer,
            ..
        } = self;
        header.attributes |= i16::from(self.compression.id());
        header.last_offset_delta = header.last_offset_delta.max(0);
        header.base_timestamp = self.base_timestamp.unwrap_or(NO_TIMESTAMP);
        if let Some(now) = self.log_append_time {
            header.attributes |= TIMESTAMP_TYPE_BIT;
            header.max_timestamp = now;
        }
        match (self.compression, buffer.get(BATCH_HEADER_SIZE..)) {
            (_, None | Some([])) => assemble(header, &[]),
            (Compression::None, Some(section)) => {
                header.batch_length = batch_length(section)?;
                put(&mut buffer, 0, &header.to_bytes());
                seal(&mut buffer);
                Ok(Bytes::from(buffer))
            }
            (codec, Some(section)) => assemble(header, &compress(codec, self.level, section)?),
        }
    }
}

/// Puts a header in front of a records section, with the length and CRC they have together.
pub(super) fn assemble(mut header: BatchHeader, section: &[u8]) -> Result<Bytes, BuildError> {
    header.batch_length = batch_length(section)?;
    let mut batch = Vec::with_capacity(BATCH_HEADER_SIZE + section.len());
    batch.extend_from_slice(&header.to_bytes());
    batch.extend_from_slice(section);
    seal(&mut batch);
    Ok(Bytes::from(batch))
}

/// Writes the CRC of a whole batch into it.
pub(super) fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(batch.get(field::ATTRIBUTES..).unwrap_or_default());
    put(batch, field::CRC, &crc.to_be_bytes());
}

/// Writes `value` over the bytes at `at`.
pub(super) fn put(batch: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = batch.get_mut(at..at.saturating_add(value.len())) {
        slot.copy_from_slice(value);
    }
}

fn batch_length(section: &[u8]) -> Result<i32, BuildError> {
    if section.len() > max_records_section() {
        return Err(BuildError::TooLarge);
    }
    length(BATCH_HEADER_SIZE - LOG_OVERHEAD + section.len())
}

/// What is appended: the fields of a record that its place in the batch does not decide.
struct Record<'a> {
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

impl Record<'_> {
    /// Bytes that [`Self::put_body`] writes.
    #[inline]
    fn body_size(&self, offset_delta: i32, timestamp_delta: i64) -> Result<usize, BuildError> {
        let mut size = 1 + varlong_size(timestamp_delta) + varint_size(offset_delta);
        size += nullable_size(self.key)? + nullable_size(self.value)?;
        size += varint_size(length(self.headers.len())?);
        for (key, value) in self.headers {
            let header = nullable_size(Some(key))? + nullable_size(*value)?;
            size = size.checked_add(header).ok_or(BuildError::TooLarge)?;
        }
        Ok(size)
    }

    #[inline]
    fn put_body(
        &self,
        out: &mut Vec<u8>,
        offset_delta: i32,
        timestamp_delta: i64,
    ) -> Result<(), BuildError> {
        out.push(0); // The record's attributes, of which none are in use.
        put_varlong(out, timestamp_delta);
        put_varint(out, offset_delta);
        put_nullable(out, self.key)?;
        put_nullable(out, self.value)?;
        put_varint(out, length(self.headers.len())?);
        for (key, value) in self.headers {
            put_nullable(out, Some(key))?;
            put_nullable(out, *value)?;
        }
        Ok(())
    }
}

/// Bytes of a field that stands behind its length.
fn nullable_size(field: Option<&[u8]>) -> Result<usize, BuildError> {
    match field {
        Some(bytes) => Ok(varint_size(length(bytes.len())?) + bytes.len()),
        None => Ok(1),
    }
}

/// Bytes that [`put_varint`] writes.
fn varint_size(value: i32) -> usize {
    varlong_size(i64::from(value))
}

/// Bytes that [`put_varlong`] writes.
fn varlong_size(value: i64) -> usize {
    let zigzag = (value << 1) ^ (value >> 63);
    let bits = 64 - (zigzag | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn put_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) -> Result<(), BuildError> {
    match field {
        Some(bytes) => {
            put_varint(out, length(bytes.len())?);
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
    Ok(())
}

fn length(size: usize) -> Result<i32, BuildError> {
    i32::try_from(size).map_err(|_| BuildError::TooLarge)
}
