//! A compressed section unpacked piece by piece, into a buffer of the caller's.
//!
//! What a codec holds besides is its own: gzip 32 KiB; LZ4 up to 12 MiB, as the largest blocks of a
//! frame ask for; Snappy a whole block, which a raw section is, and which is below 22 times its
//! packed size; zstd its window, see [`ZSTD_WINDOW_LOG_MAX`].

use std::io::Read;

use super::{Compression, CompressionError, lz4, snappy};

/// The largest window of a zstd frame that is read, as a power of two: 128 MiB, zstd's own default
/// and Kafka's. Producers at level 22 ask for that much, whatever they send. It is address space of
/// one decoder, touched only as far as output reaches.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Reads a section of some codec. No more than the limit comes out: one byte beyond is
/// [`CompressionError::TooLarge`].
pub struct Unpacker<'a> {
    codec: Compression,
    source: Source<'a>,
    limit: usize,
    left: usize,
    ended: bool,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Gzip(Box<flate2::bufread::MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Blocks<'a>),
    Lz4(Box<lz4::Frame<'a>>),
    Zstd(zstd::stream::read::Decoder<'static, &'a [u8]>),
}

impl<'a> Unpacker<'a> {
    /// Begins with `input`, of which at most `limit` bytes may come out.
    pub fn new(
        codec: Compression,
        input: &'a [u8],
        limit: usize,
    ) -> Result<Self, CompressionError> {
        let source = match codec {
            Compression::None => Source::Plain(input),
            Compression::Gzip => {
                Source::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(input)))
            }
            Compression::Snappy => Source::Snappy(snappy::Blocks::new(input)),
            Compression::Lz4 => Source::Lz4(Box::new(lz4::Frame::new(input))),
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(input);
                let decoder = decoder.and_then(|mut decoder| {
                    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                    Ok(decoder)
                });
                Source::Zstd(decoder.map_err(|error| CompressionError::corrupt(codec, error))?)
            }
        };
        Ok(Self {
            codec,
            source,
            limit,
            left: limit,
            ended: false,
        })
    }

    /// How many bytes may still come.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// That more than the limit is there or promised.
    #[must_use]
    pub fn too_large(&self) -> CompressionError {
        CompressionError::TooLarge {
            codec: self.codec,
            limit: self.limit,
        }
    }

    /// Fills the start of `target`, which is not empty, and says how far. 0 at the end, and only
    /// there: all that the codec has to check is checked by then.
    pub fn read(&mut self, target: &mut [u8]) -> Result<usize, CompressionError> {
        if self.ended {
            return Ok(0);
        }
        // One byte more than allowed is asked for, so that reaching the limit exactly is no error.
        let most = target.len().min(self.left.saturating_add(1));
        let target = target.get_mut(..most).unwrap_or_default();
        let read = match &mut self.source {
            Source::Plain(source) => source.read(target),
            Source::Gzip(source) => source.read(target),
            Source::Snappy(source) => Ok(source.read(target, self.left, self.limit)?),
            Source::Lz4(source) => Ok(source.read(target)?),
            Source::Zstd(source) => source.read(target),
        };
        let read = read.map_err(|error| CompressionError::corrupt(self.codec, error))?;
        self.ended = read == 0;
        self.left = self
            .left
            .checked_sub(read)
            .ok_or_else(|| self.too_large())?;
        Ok(read)
    }
}
