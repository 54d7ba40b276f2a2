//! The records inside an uncompressed records section, decoded one by one without copying. Whether
//! they are what a batch must hold is for `walk.rs` to say.

use crate::reader::{ReadError, Reader};

/// What is wrong with the records of a batch, and at which record (counted from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index}: {kind}")]
pub struct RecordError {
    /// Index of the bad record in its batch.
    pub index: usize,
    /// What is wrong with it.
    pub kind: RecordErrorKind,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordErrorKind {
    /// A field does not fit the bytes.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The record's own length is negative.
    #[error("the record length is {0}")]
    NegativeLength(i32),
    /// The fields end before the record's length does.
    #[error("{0} bytes are left over inside the record")]
    LeftOver(usize),
    /// The number of headers is negative or cannot fit the bytes.
    #[error("{count} headers in {remaining} bytes")]
    HeaderCount {
        /// The count found.
        count: i32,
        /// Bytes left in the record.
        remaining: usize,
    },
    /// A header key is null.
    #[error("a header key has length {0}")]
    NullHeaderKey(i32),
    /// The offset delta is not the expected next one.
    #[error("offset delta {found}, expected {expected}")]
    OffsetDelta {
        /// Index of the record: the delta it must have.
        expected: i32,
        /// The delta found.
        found: i32,
    },
    /// The batch header's count is negative.
    #[error("the batch claims {0} records")]
    NegativeCount(i32),
    /// Bytes follow the last record.
    #[error("bytes follow the last record")]
    TrailingBytes,
}

/// One record, borrowed from the records section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Size of the record in bytes, without the varint that says so.
    pub length: usize,
    /// Unused by Kafka, always 0 so far.
    pub attributes: i8,
    /// Milliseconds to add to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// To add to the batch's base offset.
    pub offset_delta: i32,
    /// The key; `None` is null, which is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null, a tombstone on compacted topics.
    pub value: Option<&'a [u8]>,
    header_count: usize,
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// The headers in the order they were written; a key may occur more than once.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        Headers {
            remaining: self.header_count,
            reader: Reader::new(self.headers),
        }
    }

    /// Number of headers.
    #[must_use]
    #[inline]
    pub fn header_count(&self) -> usize {
        self.header_count
    }
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderView<'a> {
    /// The key's bytes: UTF-8 by convention, which Kafka's broker does not check.
    pub key: &'a [u8],
    /// The value, or null.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, already checked when the record was decoded.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    remaining: usize,
    reader: Reader<'a>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = HeaderView<'a>;

    fn next(&mut self) -> Option<HeaderView<'a>> {
        self.remaining = self.remaining.checked_sub(1)?;
        read_header(&mut self.reader).ok()
    }
}

/// The records of one uncompressed records section. Yields at most the number the batch header
/// claims, and stops after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    reader: Reader<'a>,
    count: i32,
    index: usize,
    failed: bool,
}

impl<'a> Records<'a> {
    /// `section` is uncompressed; `count` comes from the batch header.
    #[must_use]
    #[inline]
    pub fn new(section: &'a [u8], count: i32) -> Self {
        Self {
            reader: Reader::new(section),
            count,
            index: 0,
            failed: false,
        }
    }

    /// Bytes consumed so far.
    #[must_use]
    #[inline]
    pub fn position(&self) -> usize {
        self.reader.position()
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || i64::try_from(self.index).ok()? >= i64::from(self.count) {
            return None;
        }
        let index = self.index;
        let record = read_record(&mut self.reader).map_err(|kind| RecordError { index, kind });
        self.index += 1;
        self.failed = record.is_err();
        Some(record)
    }
}

#[inline]
fn read_record<'a>(reader: &mut Reader<'a>) -> Result<RecordView<'a>, RecordErrorKind> {
    let length = reader.varint()?;
    let size = usize::try_from(length).map_err(|_| RecordErrorKind::NegativeLength(length))?;
    let mut body = Reader::new(reader.take(size)?);
    let attributes = body.i8()?;
    let timestamp_delta = body.varlong()?;
    let offset_delta = body.varint()?;
    let key = read_nullable(&mut body)?;
    let value = read_nullable(&mut body)?;
    let count = body.varint()?;
    // A header takes at least two bytes: two lengths.
    let header_count = usize::try_from(count)
        .ok()
        .filter(|count| {
            count
                .checked_mul(2)
                .is_some_and(|least| least <= body.remaining())
        })
        .ok_or(RecordErrorKind::HeaderCount {
            count,
            remaining: body.remaining(),
        })?;
    let headers = body.rest();
    for _ in 0..header_count {
        read_header(&mut body)?;
    }
    match body.remaining() {
        0 => Ok(RecordView {
            length: size,
            attributes,
            timestamp_delta,
            offset_delta,
            key,
            value,
            header_count,
            headers,
        }),
        left => Err(RecordErrorKind::LeftOver(left)),
    }
}

fn read_header<'a>(reader: &mut Reader<'a>) -> Result<HeaderView<'a>, RecordErrorKind> {
    let length = reader.varint()?;
    let size = usize::try_from(length).map_err(|_| RecordErrorKind::NullHeaderKey(length))?;
    Ok(HeaderView {
        key: reader.take(size)?,
        value: read_nullable(reader)?,
    })
}

/// A field in front of which stands its length; any negative length is null, as in Kafka.
#[inline]
fn read_nullable<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, RecordErrorKind> {
    match usize::try_from(reader.varint()?) {
        Ok(size) => Ok(Some(reader.take(size)?)),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
