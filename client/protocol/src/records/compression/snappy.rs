//! Snappy: raw blocks, as librdkafka writes them, and the framing of snappy-java, as Java does.

use std::io::{self, Read};

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

/// A section in either form, unpacked block by block; which form it is is decided by the first
/// eight bytes, as snappy-java does.
pub(super) struct Blocks<'a> {
    rest: Reader<'a>,
    /// Snappy-java's framing; else everything is one raw block.
    framed: bool,
    /// The block being read, unpacked. Snappy's copies may reach back to the first byte of their
    /// block, so no less will do: 32 KiB in snappy-java's framing, all of a raw block.
    block: Vec<u8>,
    at: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            rest: Reader::new(input),
            framed: input.starts_with(JAVA_MAGIC),
            block: Vec::new(),
            at: 0,
        }
    }

    /// Fills the start of `target`; 0 at the end. No block of more than `left` bytes is unpacked,
    /// which is [`CompressionError::TooLarge`] with this limit.
    pub(super) fn read(
        &mut self,
        target: &mut [u8],
        left: usize,
        limit: usize,
    ) -> Result<usize, CompressionError> {
        while self.at == self.block.len() {
            let Some(block) = self.next_block()? else {
                return Ok(0);
            };
            unpack(block, left, limit, &mut self.block)?;
            self.at = 0;
        }
        let mut there = self.block.get(self.at..).unwrap_or_default();
        let read = there
            .read(target)
            .map_err(|error| CompressionError::corrupt(Compression::Snappy, error))?;
        self.at += read;
        Ok(read)
    }

    fn next_block(&mut self) -> Result<Option<&'a [u8]>, CompressionError> {
        let corrupt = |error| CompressionError::corrupt(Compression::Snappy, error);
        if !self.framed {
            let whole = self.rest.take(self.rest.remaining()).map_err(corrupt)?;
            return Ok((!whole.is_empty()).then_some(whole));
        }
        // Streams may be concatenated: each brings its own header.
        while self.rest.rest().starts_with(JAVA_MAGIC) {
            self.rest.take(JAVA_HEADER.len()).map_err(corrupt)?;
        }
        if self.rest.remaining() == 0 {
            return Ok(None);
        }
        let length = self.rest.i32().map_err(corrupt)?;
        let size = usize::try_from(length).map_err(|_| {
            CompressionError::corrupt(Compression::Snappy, format!("block length {length}"))
        })?;
        self.rest.take(size).map(Some).map_err(corrupt)
    }
}

/// Unpacks one block in place of what `output` held.
fn unpack(
    block: &[u8],
    left: usize,
    limit: usize,
    output: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let codec = Compression::Snappy;
    let size = snap::raw::decompress_len(block)
        .map_err(|error| CompressionError::corrupt(codec, error))?;
    if size > left {
        return Err(CompressionError::TooLarge { codec, limit });
    }
    // The size stands in front of the block and is the peer's word; the block's own length says
    // what can be true at all.
    if size > block.len().saturating_mul(MAX_RATIO) {
        let reason = format!("{} bytes cannot hold {size}", block.len());
        return Err(CompressionError::corrupt(codec, reason));
    }
    output.clear();
    output.resize(size, 0);
    snap::raw::Decoder::new()
        .decompress(block, output)
        .map_err(|error| CompressionError::corrupt(codec, error))?;
    Ok(())
}
