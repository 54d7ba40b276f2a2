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
    records: Vec<u8>,
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
            records: Vec::new(),
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
        let last = self.header.last_offset_delta;
        let delta = i32::try_from(offset_delta)
            .ok()
            .filter(|delta| *delta > last)
            .ok_or(BuildError::OffsetDelta {
                found: offset_delta,
                last,
            })?;
        let base_timestamp = self.base_timestamp.unwrap_or(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);
        let body = encode_record(delta, timestamp_delta, key, value, headers)?;
        if self.records.len().saturating_add(body.len()) > max_records_section() - 5 {
            return Err(BuildError::TooLarge);
        }
        put_varint(&mut self.records, length(body.len())?);
        self.records.extend_from_slice(&body);
        self.base_timestamp = Some(base_timestamp);
        self.header.last_offset_delta = delta;
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        self.header.records_count += 1;
        Ok(())
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
        BATCH_HEADER_SIZE + self.records.len()
    }

    /// The finished batch with its CRC. A batch without records is allowed: compaction leaves such
    /// headers behind.
    pub fn build(self) -> Result<Bytes, BuildError> {
        let Self {
            mut header,
            records,
            ..
        } = self;
        header.attributes |= i16::from(self.compression.id());
        header.last_offset_delta = header.last_offset_delta.max(0);
        header.base_timestamp = self.base_timestamp.unwrap_or(NO_TIMESTAMP);
        if let Some(now) = self.log_append_time {
            header.attributes |= TIMESTAMP_TYPE_BIT;
            header.max_timestamp = now;
        }
        let section = match self.compression {
            _ if records.is_empty() => records,
            Compression::None => records,
            codec => compress(codec, self.level, &records)?,
        };
        assemble(header, &section)
    }
}

/// Puts a header in front of a records section, with the length and CRC they have together.
pub(super) fn assemble(mut header: BatchHeader, section: &[u8]) -> Result<Bytes, BuildError> {
    if section.len() > max_records_section() {
        return Err(BuildError::TooLarge);
    }
    header.batch_length = length(BATCH_HEADER_SIZE - LOG_OVERHEAD + section.len())?;
    let mut batch = Vec::with_capacity(BATCH_HEADER_SIZE + section.len());
    batch.extend_from_slice(&header.to_bytes());
    batch.extend_from_slice(section);
    seal(&mut batch);
    Ok(Bytes::from(batch))
}

/// Writes the CRC of a whole batch into it.
pub(super) fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(batch.get(field::ATTRIBUTES..).unwrap_or_default());
    let slot = batch.iter_mut().skip(field::CRC).take(4);
    slot.zip(crc.to_be_bytes())
        .for_each(|(slot, byte)| *slot = byte);
}

fn encode_record(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&[u8], Option<&[u8]>)],
) -> Result<Vec<u8>, BuildError> {
    let size = key
        .map_or(0, <[u8]>::len)
        .saturating_add(value.map_or(0, <[u8]>::len));
    let mut body = Vec::with_capacity(size.saturating_add(32));
    body.push(0); // The record's attributes, of which none are in use.
    put_varlong(&mut body, timestamp_delta);
    put_varint(&mut body, offset_delta);
    put_nullable(&mut body, key)?;
    put_nullable(&mut body, value)?;
    put_varint(&mut body, length(headers.len())?);
    for (key, value) in headers {
        put_nullable(&mut body, Some(key))?;
        put_nullable(&mut body, *value)?;
    }
    Ok(body)
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
