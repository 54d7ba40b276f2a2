//! LZ4 frames, and the header checksum that magic 0 message sets got wrong.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{Compression, CompressionError};

/// Compresses into one frame of independent 64 KiB blocks without block checksums, the only shape
/// that Kafka's `Lz4BlockInputStream` is sure to read.
pub(super) fn compress(input: &[u8]) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(input)?;
    Ok(encoder.finish()?)
}

/// One frame, read piece by piece.
pub(super) struct Frame<'a>(FrameDecoder<Source<'a>>);

impl<'a> Frame<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self(FrameDecoder::new(Source {
            rest: input,
            ran_dry: false,
        }))
    }

    /// Fills the start of `target`; 0 at the end of a frame that is whole and alone. Not to be
    /// called again after that: the decoder would look for another frame.
    pub(super) fn read(&mut self, target: &mut [u8]) -> Result<usize, CompressionError> {
        let corrupt =
            |reason: &dyn std::fmt::Display| CompressionError::corrupt(Compression::Lz4, reason);
        let read = self.0.read(target).map_err(|error| corrupt(&error))?;
        // The decoder takes a frame that stops between two blocks for a finished one, so whether it
        // asked for bytes that were not there is noted on the way.
        let source = self.0.get_ref();
        match source.rest.len() {
            _ if read > 0 => Ok(read),
            _ if source.ran_dry => Err(corrupt(&"the frame has no end mark")),
            0 => Ok(0),
            left => Err(corrupt(&format!("{left} bytes follow the frame"))),
        }
    }
}

/// Compressed bytes that remember whether more was asked of them than they had.
struct Source<'a> {
    rest: &'a [u8],
    ran_dry: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.rest.read(target)?;
        self.ran_dry |= read < target.len();
        Ok(read)
    }
}

const FRAME_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// A copy of an LZ4 frame with the header checksum it should have. Producers of magic 0 computed
/// it over the frame's magic too (KAFKA-3160), so it says nothing there and is not checked.
/// Bytes that are no LZ4 frame come back unchanged.
pub(crate) fn repair_v0_header(frame: &[u8]) -> Vec<u8> {
    let mut repaired = frame.to_vec();
    let Some(descriptor) = frame.strip_prefix(&FRAME_MAGIC) else {
        return repaired;
    };
    let Some(flags) = descriptor.first() else {
        return repaired;
    };
    let content_size = if flags & 0x08 == 0 { 0 } else { 8 };
    let dictionary_id = if flags & 0x01 == 0 { 0 } else { 4 };
    let length = 2 + content_size + dictionary_id;
    if let (Some(covered), Some(checksum)) = (
        descriptor.get(..length),
        repaired.get_mut(FRAME_MAGIC.len() + length),
    ) {
        *checksum = (xxh32_short(covered) >> 8) as u8;
    }
    repaired
}

/// XXH32 with seed 0 of less than 16 bytes, which is all that frame descriptors need.
fn xxh32_short(bytes: &[u8]) -> u32 {
    const PRIME: [u32; 5] = [
        0x9e37_79b1,
        0x85eb_ca77,
        0xc2b2_ae3d,
        0x27d4_eb2f,
        0x1656_67b1,
    ];
    let mut hash = PRIME[4].wrapping_add(bytes.len() as u32);
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIME[2]));
        hash = hash.rotate_left(17).wrapping_mul(PRIME[3]);
    }
    for byte in tail {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(PRIME[4]));
        hash = hash.rotate_left(11).wrapping_mul(PRIME[0]);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(PRIME[1]);
    hash = (hash ^ (hash >> 13)).wrapping_mul(PRIME[2]);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::super::decompress;
    use super::*;

    #[test]
    fn the_short_hash_is_xxh32() {
        // Published by xxHash's own sanity test for the empty input, and the header checksum of
        // frames this crate's encoder writes.
        assert_eq!(xxh32_short(b""), 0x02cc_5d05);
        let frame = compress(b"hello hello hello").unwrap();
        assert_eq!(repair_v0_header(&frame), frame);
    }

    #[test]
    fn a_magic_0_frame_reads_after_repair() {
        let mut frame = compress(b"hello hello hello").unwrap();
        frame[6] ^= 0xff;
        assert!(decompress(Compression::Lz4, &frame, 1000).is_err());
        assert_eq!(
            decompress(Compression::Lz4, &repair_v0_header(&frame), 1000).unwrap(),
            b"hello hello hello"
        );
    }
}
