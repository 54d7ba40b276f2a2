//! The four codecs of Kafka's batches, each with a hard limit on what may come out.
//!
//! A batch of a few kilobytes can claim to hold gigabytes. [`Unpacker`] and [`decompress`] therefore
//! take the most bytes the caller can use and stop with an error at the first byte beyond;
//! [`decompress`] lets its output grow only as it is produced. What a codec needs besides, and what
//! bounds that, is told in `compression/unpack.rs`.

use std::fmt;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::header::BATCH_HEADER_SIZE;

mod lz4;
mod snappy;
mod unpack;

pub(crate) use lz4::repair_v0_header;
pub use unpack::{Unpacker, ZSTD_WINDOW_LOG_MAX};

/// Output grows in steps of this size, so a bomb costs one step more than its limit at most.
const STEP: usize = 64 * 1024;

/// A codec of a records section (Kafka's `CompressionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// Not compressed.
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy: raw blocks, or the framing of Java's snappy-java, which is what this crate writes.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// Zstandard frames.
    Zstd = 4,
}

impl Compression {
    /// All codecs, in the order of their ids.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this id in the low three bits of a batch's attributes.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.id() == id)
    }

    /// The id in the low three bits of a batch's attributes.
    #[must_use]
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name that `compression.type` uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Kafka's default level; `None` for codecs without levels.
    #[must_use]
    pub fn default_level(self) -> Option<i32> {
        match self {
            Self::None | Self::Snappy => None,
            Self::Gzip => Some(-1),
            Self::Lz4 => Some(9),
            Self::Zstd => Some(3),
        }
    }

    /// The levels Kafka's `compression.<codec>.level` accepts; gzip takes -1 besides. `None` for
    /// codecs without levels.
    #[must_use]
    pub fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Self::None | Self::Snappy => None,
            Self::Gzip => Some(1..=9),
            Self::Lz4 => Some(1..=17),
            Self::Zstd => Some(-131_072..=22),
        }
    }

    /// Whether `level` may be asked of this codec.
    #[must_use]
    pub fn accepts_level(self, level: i32) -> bool {
        self.levels().is_some_and(|levels| levels.contains(&level))
            || (self == Self::Gzip && level == -1)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<Self, UnknownCodec> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name() == name)
            .ok_or_else(|| UnknownCodec(name.to_owned()))
    }
}

/// A codec name that Kafka does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {0:?}: none, gzip, snappy, lz4 or zstd")]
pub struct UnknownCodec(pub String);

/// Why bytes could not be compressed or decompressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// More would come out than the caller allows.
    #[error("{codec} data expands beyond {limit} bytes")]
    TooLarge {
        /// The codec.
        codec: Compression,
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// The bytes are not what the codec writes.
    #[error("{codec} data is corrupt: {reason}")]
    Corrupt {
        /// The codec.
        codec: Compression,
        /// The codec's own words.
        reason: String,
    },
    /// A level outside the codec's range.
    #[error("{codec} has no level {level}")]
    BadLevel {
        /// The codec.
        codec: Compression,
        /// The level asked for.
        level: i32,
    },
}

impl CompressionError {
    fn corrupt(codec: Compression, reason: impl fmt::Display) -> Self {
        Self::Corrupt {
            codec,
            reason: reason.to_string(),
        }
    }
}

/// Compresses `input`. `level` is one that [`Compression::accepts_level`], or `None` for the
/// codec's default.
///
/// LZ4 output is the same at every level: the encoder has one speed. Kafka's levels 1 to 17 are
/// accepted because they are valid configuration and say nothing about the format.
pub fn compress(
    codec: Compression,
    level: Option<i32>,
    input: &[u8],
) -> Result<Vec<u8>, CompressionError> {
    if let Some(level) = level.filter(|level| !codec.accepts_level(*level)) {
        return Err(CompressionError::BadLevel { codec, level });
    }
    let level = level.or(codec.default_level());
    match codec {
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => gzip(level, input),
        Compression::Snappy => snappy::compress(input),
        Compression::Lz4 => lz4::compress(input),
        Compression::Zstd => zstd::stream::encode_all(input, level.unwrap_or_default()),
    }
    .map_err(|error| CompressionError::corrupt(codec, error))
}

/// Decompresses `input` to at most `max_output` bytes; one byte more is
/// [`CompressionError::TooLarge`]. [`Compression::None`] copies.
pub fn decompress(
    codec: Compression,
    input: &[u8],
    max_output: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut unpacker = Unpacker::new(codec, input, max_output)?;
    let mut output = Vec::new();
    loop {
        let start = output.len();
        // What is set aside already is filled before more is.
        let step = match output.capacity() - start {
            0 => STEP,
            spare => spare.min(STEP),
        };
        output.resize(start + step.min(unpacker.left().saturating_add(1)), 0);
        let read = unpacker.read(output.get_mut(start..).unwrap_or_default())?;
        output.truncate(start + read);
        if read == 0 {
            return Ok(output);
        }
    }
}

/// The most bytes a records section may take so that its batch still has an int32 length.
#[must_use]
pub fn max_records_section() -> usize {
    i32::MAX as usize - BATCH_HEADER_SIZE
}

fn gzip(level: Option<i32>, input: &[u8]) -> io::Result<Vec<u8>> {
    let level = match level.and_then(|level| u32::try_from(level).ok()) {
        Some(level) => flate2::Compression::new(level),
        None => flate2::Compression::default(),
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(input)?;
    encoder.finish()
}

#[cfg(test)]
mod tests;
