//! Snappy: raw blocks, as librdkafka writes them, and the framing of snappy-java, as Java does.

use std::io;

use super::{Compression, CompressionError};
use crate::reader::Reader;

/// What snappy-java puts in front of a stream: a magic, the version 1, the oldest reader's version.
const JAVA_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// The part of the header by which a stream is told from a raw block.
const JAVA_MAGIC: &[u8] = b"\x82SNAPPY\0";
/// Input per block in snappy-java's `SnappyOutputStream`.
const BLOCK_SIZE: usize = 32 * 1024;
/// No element of a snappy block yields more than 64 bytes for the 3 it takes.
const MAX_RATIO: usize = 22;

/// Compresses into snappy-java's framing, which every Kafka client reads.
pub(super) fn compress(input: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = snap::raw::Encoder::new();
    let mut output = JAVA_HEADER.to_vec();
    for block in input.chunks(BLOCK_SIZE) {
        let compressed = encoder.compress_vec(block)?;
        let length = i32::try_from(compressed.len()).map_err(io::Error::other)?;
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(&compressed);
    }
    Ok(output)
}

/// Reads either form; which one is decided by the first eight bytes, as snappy-java does.
pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut output = Vec::new();
    if !input.starts_with(JAVA_MAGIC) {
        append_block(input, limit, &mut output)?;
        return Ok(output);
    }
    let corrupt = |error| CompressionError::corrupt(Compression::Snappy, error);
    let mut reader = Reader::new(input);
    while reader.remaining() > 0 {
        // Streams may be concatenated: each brings its own header.
        if reader.rest().starts_with(JAVA_MAGIC) {
            reader.take(JAVA_HEADER.len()).map_err(corrupt)?;
            continue;
        }
        let length = reader.i32().map_err(corrupt)?;
        let size = usize::try_from(length).map_err(|_| {
            CompressionError::corrupt(Compression::Snappy, format!("block length {length}"))
        })?;
        append_block(reader.take(size).map_err(corrupt)?, limit, &mut output)?;
    }
    Ok(output)
}

fn append_block(block: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CompressionError> {
    let codec = Compression::Snappy;
    let size = snap::raw::decompress_len(block)
        .map_err(|error| CompressionError::corrupt(codec, error))?;
    let start = output.len();
    if size > limit - start {
        return Err(CompressionError::TooLarge { codec, limit });
    }
    // The size stands in front of the block and is the peer's word; the block's own length says
    // what can be true at all.
    if size > block.len().saturating_mul(MAX_RATIO) {
        let reason = format!("{} bytes cannot hold {size}", block.len());
        return Err(CompressionError::corrupt(codec, reason));
    }
    output.resize(start + size, 0);
    let target = output.get_mut(start..).unwrap_or_default();
    snap::raw::Decoder::new()
        .decompress(block, target)
        .map_err(|error| CompressionError::corrupt(codec, error))?;
    Ok(())
}
