//! Reading batches.
//!
//! A look at the log finds the segment and asks its index; the headers in between, and the batches
//! themselves, are read without the log's lock.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tidemark_protocol::records::{BatchError, BatchView};

use super::{Log, LogAccess};
use crate::environment::DiskFile;
use crate::storage::error::{At, StorageError};
use crate::storage::segment::view::{Reach, SegmentView};
use crate::types::Offset;

/// Read at once by [`Log::scan`].
const SCAN_CHUNK: u32 = 1 << 20;

/// A range of a segment's file that begins with a whole batch; the last batch may be cut short.
/// It stays readable when the segment is deleted meanwhile.
#[derive(Clone)]
pub struct LogSlice {
    /// The segment's file.
    pub file: Arc<dyn DiskFile>,
    /// Where the range begins.
    pub position: u64,
    /// How many bytes it has; at least one batch's.
    pub len: u32,
}

/// The bytes of a [`LogSlice`], of which the last ones are on the disk only.
pub struct PartRead {
    slice: LogSlice,
    bytes: Vec<u8>,
    have: usize,
}

impl LogSlice {
    /// The bytes. To be called without the log's lock, where one may wait for the disk.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.len as usize];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes.into())
    }

    /// The bytes if all of them are in memory; else what is left to do.
    pub fn read_in_memory(self) -> Result<Bytes, PartRead> {
        let mut bytes = vec![0; self.len as usize];
        let have = self.file.read_cached_at(&mut bytes, self.position);
        if have == bytes.len() {
            return Ok(bytes.into());
        }
        Err(PartRead {
            slice: self,
            bytes,
            have,
        })
    }
}

impl PartRead {
    /// Reads the rest, where one may wait for the disk.
    pub fn finish(mut self) -> io::Result<Bytes> {
        let rest = self.bytes.get_mut(self.have..).unwrap_or_default();
        let position = self.slice.position + self.have as u64;
        self.slice.file.read_exact_at(rest, position)?;
        Ok(self.bytes.into())
    }
}

/// What a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The first offset.
    pub from: Offset,
    /// Where to end (exclusive): the high watermark or the last stable offset.
    pub upper: Offset,
    /// How much, in bytes.
    pub max_bytes: u32,
    /// Whether the first batch is wanted whole, even if it is larger.
    pub min_one: bool,
}

/// Finds the bytes from the batch that holds the first offset on, from one segment only. `None` if
/// there is nothing to read, or if the first batch is larger than allowed.
pub fn find_slice<A: LogAccess + ?Sized>(
    access: &A,
    wish: &Wish,
    reach: Reach,
) -> Result<Option<LogSlice>, A::Error> {
    let mut after = None;
    loop {
        let span = access.look(|log| log.span(wish.from, wish.upper, after))?;
        let Some(span) = span else { return Ok(None) };
        match span.batches(reach)? {
            // Compaction has left nothing at or after the offset in this segment.
            None => after = Some(span.segment.base),
            Some(batches) => return Ok(batches.slice(&span.segment, wish)),
        }
    }
}

/// What a read would find, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Available {
    /// The offset lies in an older segment than the one that is read last: nothing more comes to
    /// it.
    OlderSegment,
    /// So many bytes from the batch that holds the offset on.
    Bytes(u64),
}

/// Says how much there is to read from `from` to `upper`, for who would wait for more. An offset
/// that cannot be read has 0 bytes.
pub fn find_available<A: LogAccess + ?Sized>(
    access: &A,
    from: Offset,
    upper: Offset,
    reach: Reach,
) -> Result<Available, A::Error> {
    let span = access.look(|log| {
        let upper = upper.min(log.end);
        let older = from < upper && log.segment_of(from) < log.segment_of(upper);
        if older || from < log.start || from >= upper {
            return Ok((older, None));
        }
        Ok((false, log.span(from, upper, None)?))
    })?;
    let span = match span {
        (true, _) => return Ok(Available::OlderSegment),
        (false, span) => span,
    };
    let batches = match &span {
        Some(span) => span.batches(reach)?,
        None => None,
    };
    Ok(Available::Bytes(batches.map_or(0, |batches| {
        u64::from(batches.end - batches.start)
    })))
}

/// A part of one segment, as far as the indexes tell where it begins and ends.
struct Span {
    segment: SegmentView,
    from: Offset,
    hint: u32,
    /// Where it ends with its position's hint, unless all of the segment may be read.
    upper: Option<(Offset, u32)>,
}

/// Where the batches of a [`Span`] lie in the file.
struct Batches {
    start: u32,
    /// The end of the first batch.
    first_end: u32,
    end: u32,
}

impl Span {
    /// The batches; `None` if none ends at or after the first offset.
    fn batches(&self, reach: Reach) -> Result<Option<Batches>, StorageError> {
        let segment = &self.segment;
        let Some(first) = segment.locate(self.from, self.hint, reach)? else {
            return Ok(None);
        };
        let end = match self.upper {
            None => segment.size,
            Some((upper, hint)) => segment
                .locate(upper, hint, reach)?
                .map_or(segment.size, |batch| batch.position),
        };
        Ok(Some(Batches {
            start: first.position,
            first_end: first.end(),
            end: end.max(first.position),
        }))
    }
}

impl Batches {
    fn slice(&self, segment: &SegmentView, wish: &Wish) -> Option<LogSlice> {
        let first = self.first_end - self.start;
        let allowed = match wish.min_one {
            true => wish.max_bytes.max(first),
            false => wish.max_bytes,
        };
        let available = self.end - self.start;
        (available >= first && allowed >= first).then(|| LogSlice {
            file: Arc::clone(&segment.file),
            position: u64::from(self.start),
            len: available.min(allowed),
        })
    }
}

impl Log {
    /// See [`find_slice`].
    pub fn read(
        &self,
        from: Offset,
        upper: Offset,
        max_bytes: u32,
        min_one: bool,
    ) -> Result<Option<LogSlice>, StorageError> {
        let wish = Wish {
            from,
            upper,
            max_bytes,
            min_one,
        };
        find_slice(self, &wish, Reach::Disk)
    }

    /// What there is to read in the segment of `from`, or in the first one after `after`. `None`
    /// if nothing is below `upper`.
    fn span(
        &self,
        from: Offset,
        upper: Offset,
        after: Option<Offset>,
    ) -> Result<Option<Span>, StorageError> {
        if from < self.start || from > self.end {
            return Err(self.out_of_range(from));
        }
        let upper = upper.min(self.end);
        let index = match after {
            None => self.segment_of(from),
            Some(after) => self.segments.partition_point(|next| next.base <= after),
        };
        let segment = match self.segments.get(index) {
            Some(segment) if from < upper && segment.base < upper => segment,
            _ => return Ok(None),
        };
        let hint_of = |offset| segment.hint(offset);
        let inside = upper < self.segment_end(index);
        Ok(Some(Span {
            segment: segment.view(),
            from,
            hint: hint_of(from)?,
            upper: match inside {
                true => Some((upper, hint_of(upper)?)),
                false => None,
            },
        }))
    }

    /// Every batch from the one that holds `from` up to `upper`, for replaying.
    pub fn scan(&self, from: Offset, upper: Offset) -> BatchScan<'_> {
        BatchScan {
            log: self,
            next: from.max(self.start),
            upper,
            buffer: Bytes::new(),
            done: false,
        }
    }
}

/// The batches of a log, one after the other.
pub struct BatchScan<'a> {
    log: &'a Log,
    next: Offset,
    upper: Offset,
    buffer: Bytes,
    done: bool,
}

impl BatchScan<'_> {
    fn advance(&mut self) -> Result<Option<Bytes>, StorageError> {
        loop {
            match BatchView::parse(&self.buffer) {
                Ok(batch) => {
                    let size = batch.bytes().len();
                    let next = Offset(batch.header().next_offset());
                    if next <= self.next {
                        let what = format!("offset {next} follows {}", self.next);
                        return Err(StorageError::corrupt(&self.log.dir, 0, what));
                    }
                    self.next = next;
                    return Ok(Some(self.buffer.split_to(size)));
                }
                // The end of what was read: the batch that is cut short is read again.
                Err(BatchError::Truncated { .. }) => {}
                Err(error) => {
                    let what = format!("offset {}: {error}", self.next);
                    return Err(StorageError::corrupt(&self.log.dir, 0, what));
                }
            }
            self.buffer.advance(self.buffer.len());
            let upper = self.upper.min(self.log.end);
            match self
                .log
                .read(self.next.min(upper), upper, SCAN_CHUNK, true)?
            {
                None => return Ok(None),
                Some(slice) => self.buffer = slice.read().at(&self.log.dir, "read")?,
            }
        }
    }
}

impl Iterator for BatchScan<'_> {
    type Item = Result<Bytes, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let found = self.advance().transpose();
        self.done = !matches!(found, Some(Ok(_)));
        found
    }
}
