//! The walk over the records of a batch, as they are unpacked: what a broker does before it takes a
//! batch, so that its header cannot say what its records do not.
//!
//! Nothing that is unpacked is kept: packed records pass through a buffer of `WINDOW` bytes, plain
//! ones are walked where they lie. Keys, values and headers are skipped; their lengths are checked.

use super::batch::BatchView;
use super::compression::{Compression, CompressionError, Unpacker};
use super::header::BatchError;
use super::record::{RecordError, RecordErrorKind};
use crate::reader::{ReadError, varint, varlong};

/// How much unpacked data a walk holds at a time, in bytes: one refill per some hundred records, and
/// it stays in the processor's nearest cache.
const WINDOW: usize = 16 * 1024;

/// What a walk tells of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkedRecord {
    /// Its place in the batch, from 0, which is its offset delta too.
    pub index: i32,
    /// Milliseconds to add to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Whether its key is not null.
    pub has_key: bool,
}

/// Why a walk did not reach the end of the batch.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The batch names a codec that does not exist.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The records do not unpack, or to more than the limit.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The records are not what a batch must hold.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl BatchView<'_> {
    /// Walks all records and checks what a produced batch must keep: as many records as the header
    /// says, offset deltas 0, 1, 2 ..., nothing after the last one, at most `max_unpacked` bytes in
    /// all. `visit` is told of each record in turn, also of those in front of a faulty one.
    pub fn walk_records(
        &self,
        max_unpacked: usize,
        visit: impl FnMut(WalkedRecord),
    ) -> Result<(), WalkError> {
        let section = self.records_bytes();
        match self.header().compression()? {
            // An empty section is empty under every codec, see `uncompressed_records`.
            codec if codec != Compression::None && !section.is_empty() => {
                let unpacker = Unpacker::new(codec, section, max_unpacked)?;
                walk(Packed::new(unpacker), self.records_count, visit)
            }
            _ => walk_section(section, self.records_count, visit),
        }
    }
}

/// The same walk over a section that is not packed, or not any more. `count` is from the header.
pub fn walk_section(
    section: &[u8],
    count: i32,
    visit: impl FnMut(WalkedRecord),
) -> Result<(), WalkError> {
    walk(section, count, visit)
}

/// Where a walk has its bytes from.
trait Feed {
    /// Bytes that are there and not consumed; empty at the end only.
    fn window(&mut self) -> Result<&[u8], CompressionError>;
    /// Leaves bytes of the window behind.
    fn consume(&mut self, count: usize);
    /// Whether so many bytes can still come. What cannot come is not waited for.
    fn promise(&self, count: usize) -> Result<(), Stop>;
}

impl Feed for &[u8] {
    #[inline]
    fn window(&mut self) -> Result<&[u8], CompressionError> {
        Ok(self)
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        *self = self.get(count..).unwrap_or_default();
    }

    fn promise(&self, count: usize) -> Result<(), Stop> {
        match self.len() {
            have if have < count => Err(short(count, have)),
            _ => Ok(()),
        }
    }
}

/// Records that are unpacked as they are walked.
struct Packed<'a> {
    unpacker: Unpacker<'a>,
    window: Box<[u8]>,
    at: usize,
    end: usize,
}

impl<'a> Packed<'a> {
    fn new(unpacker: Unpacker<'a>) -> Self {
        Self {
            unpacker,
            window: vec![0; WINDOW].into_boxed_slice(),
            at: 0,
            end: 0,
        }
    }
}

impl Feed for Packed<'_> {
    #[inline]
    fn window(&mut self) -> Result<&[u8], CompressionError> {
        if self.at == self.end {
            self.end = self.unpacker.read(&mut self.window)?;
            self.at = 0;
        }
        Ok(self.window.get(self.at..self.end).unwrap_or_default())
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        self.at = self.end.min(self.at + count);
    }

    fn promise(&self, count: usize) -> Result<(), Stop> {
        let most = (self.end - self.at).saturating_add(self.unpacker.left());
        match count <= most {
            true => Ok(()),
            false => Err(self.unpacker.too_large().into()),
        }
    }
}

/// Why the walk ends at a record, before it is known which one.
enum Stop {
    Record(RecordErrorKind),
    Compression(CompressionError),
}

impl Stop {
    fn at(self, index: i32) -> WalkError {
        match self {
            Self::Record(kind) => fault(index, kind),
            Self::Compression(error) => error.into(),
        }
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Record(error.into())
    }
}

impl From<CompressionError> for Stop {
    fn from(error: CompressionError) -> Self {
        Self::Compression(error)
    }
}

fn short(need: usize, have: usize) -> Stop {
    ReadError::Short { need, have }.into()
}

fn fault(index: i32, kind: RecordErrorKind) -> WalkError {
    // Indexes come from a count that is not negative.
    let index = usize::try_from(index).unwrap_or_default();
    RecordError { index, kind }.into()
}

fn walk<F: Feed>(
    mut feed: F,
    count: i32,
    mut visit: impl FnMut(WalkedRecord),
) -> Result<(), WalkError> {
    if count < 0 {
        return Err(fault(0, RecordErrorKind::NegativeCount(count)));
    }
    for index in 0..count {
        let record = record(&mut feed, index).map_err(|stop| stop.at(index))?;
        visit(record);
    }
    match feed.window()? {
        [] => Ok(()),
        _ => Err(fault(count, RecordErrorKind::TrailingBytes)),
    }
}

fn record<F: Feed>(feed: &mut F, expected: i32) -> Result<WalkedRecord, Stop> {
    let length = varint(|| byte(feed))?;
    let size = usize::try_from(length)
        .map_err(|_| Stop::Record(RecordErrorKind::NegativeLength(length)))?;
    feed.promise(size)?;
    // Nearly every record lies in the window as a whole, where it is read without refills in mind.
    let Some(mut whole) = feed.window()?.get(..size) else {
        return Body { feed, left: size }.fields(expected);
    };
    let body = Body {
        feed: &mut whole,
        left: size,
    };
    let record = body.fields(expected);
    feed.consume(size);
    record
}

#[inline]
fn byte<F: Feed>(feed: &mut F) -> Result<u8, Stop> {
    let byte = feed.window()?.first().copied();
    feed.consume(1);
    byte.ok_or_else(|| short(1, 0))
}

/// A record behind its length.
struct Body<'f, F> {
    feed: &'f mut F,
    /// Bytes that are not read yet.
    left: usize,
}

impl<F: Feed> Body<'_, F> {
    fn fields(mut self, expected: i32) -> Result<WalkedRecord, Stop> {
        self.skip(1)?; // The record's attributes, of which none are in use.
        let timestamp_delta = varlong(|| self.byte())?;
        let found = self.varint()?;
        if found != expected {
            return Err(Stop::Record(RecordErrorKind::OffsetDelta {
                expected,
                found,
            }));
        }
        let has_key = self.skip_nullable()?;
        self.skip_nullable()?;
        self.skip_headers()?;
        match self.left {
            0 => Ok(WalkedRecord {
                index: expected,
                timestamp_delta,
                has_key,
            }),
            left => Err(Stop::Record(RecordErrorKind::LeftOver(left))),
        }
    }

    fn skip_headers(&mut self) -> Result<(), Stop> {
        let count = self.varint()?;
        let remaining = self.left;
        // A header takes at least two bytes: two lengths.
        let count = match usize::try_from(count) {
            Ok(count) if count <= remaining / 2 => count,
            _ => {
                return Err(Stop::Record(RecordErrorKind::HeaderCount {
                    count,
                    remaining,
                }));
            }
        };
        for _ in 0..count {
            let length = self.varint()?;
            let size = usize::try_from(length)
                .map_err(|_| Stop::Record(RecordErrorKind::NullHeaderKey(length)))?;
            self.skip(size)?;
            self.skip_nullable()?;
        }
        Ok(())
    }

    /// Skips a field behind its length; any negative length is null, as in Kafka. Whether it is
    /// not null.
    fn skip_nullable(&mut self) -> Result<bool, Stop> {
        match usize::try_from(self.varint()?) {
            Ok(size) => self.skip(size).map(|()| true),
            Err(_) => Ok(false),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, Stop> {
        varint(|| self.byte())
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Stop> {
        self.left = self.left.checked_sub(1).ok_or_else(|| short(1, 0))?;
        byte(self.feed)
    }

    fn skip(&mut self, count: usize) -> Result<(), Stop> {
        self.left = match self.left.checked_sub(count) {
            Some(left) => left,
            None => return Err(short(count, self.left)),
        };
        let mut rest = count;
        while rest > 0 {
            let step = self.feed.window()?.len().min(rest);
            if step == 0 {
                return Err(short(rest, 0));
            }
            self.feed.consume(step);
            rest -= step;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
