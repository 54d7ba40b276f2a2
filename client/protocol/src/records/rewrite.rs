//! Changing a batch without touching its records: another codec, another timestamp type, another
//! producer.

use bytes::{Bytes, BytesMut};

use super::batch::BatchView;
use super::builder::{BuildError, assemble, put, seal};
use super::compression::{Compression, CompressionError, compress};
use super::header::{
    BATCH_HEADER_SIZE, COMPRESSION_MASK, TIMESTAMP_TYPE_BIT, TimestampType, field,
};

/// Why a batch could not be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The level is not one of the codec's.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The result would be too large.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// A copy of the batch with timestamps of this type, of which the largest is this one, in
/// milliseconds. Nothing is decompressed: attributes, max timestamp and CRC change in place. The
/// records keep their deltas, which readers ignore under LogAppendTime.
#[must_use]
pub fn with_timestamps(
    batch: &BatchView<'_>,
    (kind, max_timestamp): (TimestampType, i64),
) -> Bytes {
    let mut copy = batch.bytes().to_vec();
    let attributes = stamped(batch.attributes, kind).to_be_bytes();
    put(&mut copy, field::ATTRIBUTES, &attributes);
    put(
        &mut copy,
        field::MAX_TIMESTAMP,
        &max_timestamp.to_be_bytes(),
    );
    seal(&mut copy);
    Bytes::from(copy)
}

/// The batch as another producer, epoch or sequence has it: what an idempotent producer sends when a
/// batch gets a new place in the partition. Nothing is decompressed; in place if nobody else holds
/// the bytes, else in a copy. Bytes shorter than a header stay as they are.
#[must_use]
pub fn with_producer(batch: Bytes, id: i64, epoch: i16, base_sequence: i32) -> Bytes {
    if batch.len() < BATCH_HEADER_SIZE {
        return batch;
    }
    let mut own = batch
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    put(&mut own, field::PRODUCER_ID, &id.to_be_bytes());
    put(&mut own, field::PRODUCER_EPOCH, &epoch.to_be_bytes());
    put(&mut own, field::BASE_SEQUENCE, &base_sequence.to_be_bytes());
    seal(&mut own);
    own.freeze()
}

/// The batch with its records under another codec, and with timestamps of this type, of which the
/// largest is this one. `plain` is its records section unpacked. Offsets, producer fields, flags,
/// base timestamp and the records themselves stay.
///
/// Always compresses anew, also when the codec is the one the batch has: its level may differ, and
/// cannot be read back. A caller that wants the bytes kept compares codecs first.
pub fn recompress(
    batch: &BatchView<'_>,
    plain: &[u8],
    codec: Compression,
    level: Option<i32>,
    (kind, max_timestamp): (TimestampType, i64),
) -> Result<Bytes, RewriteError> {
    let mut header = batch.header();
    header.attributes = stamped(header.attributes, kind) & !COMPRESSION_MASK;
    header.attributes |= i16::from(codec.id());
    header.max_timestamp = max_timestamp;
    Ok(match codec {
        _ if plain.is_empty() => assemble(header, plain)?,
        Compression::None => assemble(header, plain)?,
        codec => assemble(header, &compress(codec, level, plain)?)?,
    })
}

fn stamped(attributes: i16, kind: TimestampType) -> i16 {
    match kind {
        TimestampType::CreateTime => attributes & !TIMESTAMP_TYPE_BIT,
        TimestampType::LogAppendTime => attributes | TIMESTAMP_TYPE_BIT,
    }
}

#[cfg(test)]
mod tests;
