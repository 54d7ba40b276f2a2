//! Writes the primitive types of Kafka's protocol in their plain form.

use bytes::{BufMut, Bytes, BytesMut};

/// The longest string that a record can hold: its length is a signed 16-bit number. Commands with
/// longer ones are refused.
pub(in super::super) const MAX_STRING_BYTES: usize = i16::MAX as usize;

/// The record under construction.
pub(super) struct Writer(BytesMut);

impl Writer {
    /// Starts with the 16-bit number that every key and value starts with.
    pub(super) fn new(kind_or_version: i16) -> Self {
        let mut writer = Self(BytesMut::new());
        writer.i16(kind_or_version);
        writer
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.0.put_i16(value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.0.put_i32(value);
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    pub(super) fn string(&mut self, value: &str) {
        let length = i16::try_from(value.len()).expect("commands with longer strings are refused");
        self.i16(length);
        self.raw(value.as_bytes());
    }

    pub(super) fn nullable_string(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.string(value),
            None => self.i16(-1),
        }
    }

    /// A length that counts one more than there is, as flexible strings and arrays have it.
    pub(super) fn compact_string(&mut self, value: &str) {
        let mut length = value.len() + 1;
        while length >= 0x80 {
            self.0.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.0.put_u8(length as u8);
        self.raw(value.as_bytes());
    }

    /// The length of an array or of bytes.
    pub(super) fn length(&mut self, length: usize) {
        self.i32(i32::try_from(length).expect("frames are far shorter than 2 GiB"));
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.length(value.len());
        self.raw(value);
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.freeze()
    }
}
