//! Changing a batch without touching its records: another codec, another timestamp type.

use bytes::Bytes;

use super::batch::{BatchView, ReadBatchError};
use super::builder::{BuildError, assemble, seal};
use super::compression::{Compression, CompressionError, compress};
use super::header::{COMPRESSION_MASK, TIMESTAMP_TYPE_BIT, field};

/// Why a batch could not be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The batch names an unknown codec, or its records do not decompress.
    #[error(transparent)]
    Read(#[from] ReadBatchError),
    /// The level is not one of the codec's.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The result would be too large.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// A copy of the batch under LogAppendTime with this time in milliseconds. Nothing is decompressed:
/// attributes, max timestamp and CRC change in place; the records keep their deltas, which readers
/// ignore from now on.
#[must_use]
pub fn with_log_append_time(batch: &BatchView<'_>, now: i64) -> Bytes {
    let mut copy = batch.bytes().to_vec();
    put(
        &mut copy,
        field::ATTRIBUTES,
        &(batch.attributes | TIMESTAMP_TYPE_BIT).to_be_bytes(),
    );
    put(&mut copy, field::MAX_TIMESTAMP, &now.to_be_bytes());
    seal(&mut copy);
    Bytes::from(copy)
}

/// A copy of the batch under CreateTime with this max timestamp in milliseconds, for a header that
/// does not say what the records say.
#[must_use]
pub fn with_create_time(batch: &BatchView<'_>, max_timestamp: i64) -> Bytes {
    let mut copy = batch.bytes().to_vec();
    put(
        &mut copy,
        field::ATTRIBUTES,
        &(batch.attributes & !TIMESTAMP_TYPE_BIT).to_be_bytes(),
    );
    put(
        &mut copy,
        field::MAX_TIMESTAMP,
        &max_timestamp.to_be_bytes(),
    );
    seal(&mut copy);
    Bytes::from(copy)
}

/// The batch with its records under another codec, and under LogAppendTime if a time is given.
/// Offsets, producer fields, flags, base timestamp and the records themselves stay. The
/// uncompressed section may take at most `max_output` bytes.
///
/// Always compresses anew, also when the codec is the one the batch has: its level may differ, and
/// cannot be read back. A caller that wants the bytes kept compares codecs first.
pub fn recompress(
    batch: &BatchView<'_>,
    codec: Compression,
    level: Option<i32>,
    log_append_time: Option<i64>,
    max_output: usize,
) -> Result<Bytes, RewriteError> {
    let plain = batch.uncompressed_records(max_output)?;
    let mut header = batch.header();
    header.attributes = header.attributes & !COMPRESSION_MASK | i16::from(codec.id());
    if let Some(now) = log_append_time {
        header.attributes |= TIMESTAMP_TYPE_BIT;
        header.max_timestamp = now;
    }
    Ok(match codec {
        _ if plain.is_empty() => assemble(header, &plain)?,
        Compression::None => assemble(header, &plain)?,
        codec => assemble(header, &compress(codec, level, &plain)?)?,
    })
}

fn put(batch: &mut [u8], at: usize, value: &[u8]) {
    batch
        .iter_mut()
        .skip(at)
        .zip(value)
        .for_each(|(slot, byte)| *slot = *byte);
}

#[cfg(test)]
mod tests;
