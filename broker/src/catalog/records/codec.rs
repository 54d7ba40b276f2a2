//! Kafka's flexible encoding: big-endian numbers, compact strings and arrays, tagged fields.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::coordinator::MalformedRecord;

/// The longest string of the protocol.
const MAX_STRING: usize = i16::MAX as usize;

/// Reads from bytes that may be anything. Every length is checked against what remains before
/// anything is allocated for it.
pub(super) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; errors will say that they concern `what`.
    pub(super) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    /// Says what later errors concern.
    pub(super) fn set_what(&mut self, what: &'static str) {
        self.what = what;
    }

    /// An error about what is being read.
    pub(super) fn malformed(&self, why: impl Into<String>) -> MalformedRecord {
        MalformedRecord {
            what: self.what,
            why: why.into(),
        }
    }

    /// Fails if anything is left.
    pub(super) fn expect_end(&self) -> Result<(), MalformedRecord> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.malformed(format!("{} bytes are left at the end", self.rest.len())))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], MalformedRecord> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.malformed(format!("{count} bytes wanted, {} left", self.rest.len()))),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], MalformedRecord> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.malformed(format!("{N} bytes wanted, {} left", self.rest.len()))),
        }
    }

    pub(super) fn bool(&mut self) -> Result<bool, MalformedRecord> {
        Ok(self.i8()? != 0)
    }

    pub(super) fn i8(&mut self) -> Result<i8, MalformedRecord> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, MalformedRecord> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, MalformedRecord> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, MalformedRecord> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, MalformedRecord> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, MalformedRecord> {
        self.fixed().map(Uuid::from_bytes)
    }

    /// An unsigned number of 7 bits a byte, the low ones first, in at most five bytes.
    pub(super) fn unsigned_varint(&mut self) -> Result<u32, MalformedRecord> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number takes more than 32 bits"))
    }

    /// A string; null is an error.
    pub(super) fn string(&mut self) -> Result<String, MalformedRecord> {
        self.nullable_string()?
            .ok_or_else(|| self.malformed("a string is null"))
    }

    /// A string or null.
    pub(super) fn nullable_string(&mut self) -> Result<Option<String>, MalformedRecord> {
        let Some(length) = self.compact_length()? else {
            return Ok(None);
        };
        if length > MAX_STRING {
            return Err(self.malformed(format!("a string has {length} bytes")));
        }
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(self.malformed("a string is not UTF-8")),
        }
    }

    /// An array whose elements take at least `least` bytes each; null is an error.
    pub(super) fn array<T>(
        &mut self,
        least: usize,
        read: impl FnMut(&mut Self) -> Result<T, MalformedRecord>,
    ) -> Result<Vec<T>, MalformedRecord> {
        self.nullable_array(least, read)?
            .ok_or_else(|| self.malformed("an array is null"))
    }

    fn nullable_array<T>(
        &mut self,
        least: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, MalformedRecord>,
    ) -> Result<Option<Vec<T>>, MalformedRecord> {
        let Some(count) = self.compact_length()? else {
            return Ok(None);
        };
        if count > self.rest.len() / least.max(1) {
            let left = self.rest.len();
            return Err(self.malformed(format!("{count} elements cannot be in {left} bytes")));
        }
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(read(self)?);
        }
        Ok(Some(elements))
    }

    pub(super) fn i32s(&mut self) -> Result<Vec<i32>, MalformedRecord> {
        self.array(4, Self::i32)
    }

    pub(super) fn nullable_i32s(&mut self) -> Result<Option<Vec<i32>>, MalformedRecord> {
        self.nullable_array(4, Self::i32)
    }

    pub(super) fn uuids(&mut self) -> Result<Vec<Uuid>, MalformedRecord> {
        self.array(16, Self::uuid)
    }

    pub(super) fn nullable_uuids(&mut self) -> Result<Option<Vec<Uuid>>, MalformedRecord> {
        self.nullable_array(16, Self::uuid)
    }

    /// The tagged fields at the end of a message. `read` reads the fields that it knows and leaves
    /// the others alone; a field that it read in part is an error.
    pub(super) fn tagged_fields(
        &mut self,
        mut read: impl FnMut(u32, &mut Reader<'a>) -> Result<(), MalformedRecord>,
    ) -> Result<(), MalformedRecord> {
        let count = self.unsigned_varint()?;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()?;
            let bytes = self.take(size as usize)?;
            let mut field = Reader::new(self.what, bytes);
            read(tag, &mut field)?;
            if field.rest.len() != bytes.len() {
                field.expect_end()?;
            }
        }
        Ok(())
    }

    /// Tagged fields of which none is known.
    pub(super) fn no_tagged_fields(&mut self) -> Result<(), MalformedRecord> {
        self.tagged_fields(|_, _| Ok(()))
    }

    /// A compact length: one more than the number, or 0 for null.
    fn compact_length(&mut self) -> Result<Option<usize>, MalformedRecord> {
        Ok(self
            .unsigned_varint()?
            .checked_sub(1)
            .map(|length| length as usize))
    }
}

/// Writes what [`Reader`] reads.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn into_bytes(self) -> Bytes {
        self.0.into()
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.0.put_i8(value);
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.0.put_i16(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.put_u16(value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.0.put_i32(value);
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    pub(super) fn uuid(&mut self, value: Uuid) {
        self.0.put_slice(value.as_bytes());
    }

    pub(super) fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn string(&mut self, value: &str) {
        self.compact_length(value.len());
        self.0.put_slice(value.as_bytes());
    }

    pub(super) fn nullable_string(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.string(value),
            None => self.unsigned_varint(0),
        }
    }

    pub(super) fn array<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.compact_length(values.len());
        for value in values {
            write(self, value);
        }
    }

    pub(super) fn i32s(&mut self, values: &[i32]) {
        self.array(values, |output, value| output.i32(*value));
    }

    pub(super) fn uuids(&mut self, values: &[Uuid]) {
        self.array(values, |output, value| output.uuid(*value));
    }

    /// Ends a message with these tagged fields.
    pub(super) fn tagged_fields(&mut self, fields: TaggedFields) {
        self.unsigned_varint(fields.0.len() as u32);
        for (tag, bytes) in fields.0 {
            self.unsigned_varint(tag);
            self.unsigned_varint(bytes.len() as u32);
            self.0.put_slice(&bytes);
        }
    }

    /// Ends a message that has no tagged fields.
    pub(super) fn no_tagged_fields(&mut self) {
        self.tagged_fields(TaggedFields::default());
    }

    fn compact_length(&mut self, length: usize) {
        self.unsigned_varint((length as u32).saturating_add(1));
    }
}

/// The tagged fields of a message, added in the order of their tags.
#[derive(Default)]
pub(super) struct TaggedFields(Vec<(u32, Vec<u8>)>);

impl TaggedFields {
    /// Adds a field, which Kafka leaves out where it has its default value.
    pub(super) fn add(&mut self, tag: u32, write: impl FnOnce(&mut Writer)) {
        let mut field = Writer::default();
        write(&mut field);
        self.0.push((tag, field.0));
    }

    /// Adds a field unless it has its default value, null.
    pub(super) fn add_some<T: ?Sized>(
        &mut self,
        tag: u32,
        value: Option<&T>,
        write: impl FnOnce(&mut Writer, &T),
    ) {
        if let Some(value) = value {
            self.add(tag, |output| write(output, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_bounded() {
        let check = |bytes: &[u8], expected: Option<u32>| {
            assert_eq!(
                Reader::new("number", bytes).unsigned_varint().ok(),
                expected,
                "{bytes:x?}"
            );
        };
        check(&[0], Some(0));
        check(&[0x7f], Some(127));
        check(&[0x80, 1], Some(128));
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f], Some(u32::MAX));
        check(&[0xff, 0xff, 0xff, 0xff, 0x1f], None);
        check(&[0xff, 0xff, 0xff, 0xff, 0x8f, 0], None);
        check(&[0x80], None);
        check(&[], None);
        for value in [0, 1, 127, 128, 16_383, 16_384, u32::MAX] {
            let mut output = Writer::default();
            output.unsigned_varint(value);
            check(&output.into_bytes(), Some(value));
        }
    }

    #[test]
    fn lengths_are_checked_before_anything_is_allocated() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3];
        assert!(Reader::new("x", &huge).i32s().is_err());
        assert!(Reader::new("x", &huge).uuids().is_err());
        assert!(Reader::new("x", &huge).string().is_err());
        assert!(Reader::new("x", &huge).no_tagged_fields().is_err());
        // Two elements of four bytes do not fit into seven.
        assert!(Reader::new("x", &[3, 0, 0, 0, 0, 0, 0, 0]).i32s().is_err());
        assert!(Reader::new("x", &[0]).i32s().is_err());
        assert_eq!(Reader::new("x", &[0]).nullable_i32s(), Ok(None));
        assert!(Reader::new("x", &[0]).string().is_err());
        assert!(Reader::new("x", &[2, 0xff]).string().is_err());
    }

    #[test]
    fn a_string_has_at_most_32767_bytes() {
        let check = |length: usize, expected: bool| {
            let mut output = Writer::default();
            output.string(&"x".repeat(length));
            assert_eq!(
                Reader::new("x", &output.into_bytes()).string().is_ok(),
                expected
            );
        };
        check(32_767, true);
        check(32_768, false);
    }

    #[test]
    fn unknown_tagged_fields_are_passed_over() {
        let bytes = [2, 0, 1, 7, 9, 3, 1, 2, 3];
        let mut known = None;
        let mut input = Reader::new("x", &bytes);
        let read = input.tagged_fields(|tag, field| {
            if tag == 0 {
                known = Some(field.i8()?);
            }
            Ok(())
        });
        assert_eq!((read, known), (Ok(()), Some(7)));
        assert_eq!(input.expect_end(), Ok(()));
        // A known field that is longer than its type is an error, not a shift of what follows.
        let bytes = [1, 0, 2, 7, 9];
        let read = Reader::new("x", &bytes).tagged_fields(|_, field| field.i8().map(|_| ()));
        assert!(read.is_err());
    }
}
