//! Reads the primitive types of Kafka's protocol from bytes that may be anything.

use bytes::Bytes;
use uuid::Uuid;

/// Why something cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum ReadError {
    /// The bytes end early.
    #[error("it ends early")]
    Short,
    /// Bytes are left over.
    #[error("{0} bytes follow its end")]
    Trailing(usize),
    /// A field holds what it must not hold.
    #[error("invalid {0}")]
    Invalid(&'static str),
}

/// A position in a byte slice. In its flexible form, lengths are varints and structures end with
/// tagged fields (KIP-482).
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Cursor<'a> {
    bytes: &'a [u8],
    flexible: bool,
}

type Read<T> = Result<T, ReadError>;

impl<'a> Cursor<'a> {
    pub(in super::super) fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { bytes, flexible }
    }

    /// Reads what follows in the flexible form or the plain one.
    pub(super) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(ReadError::Short)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| ReadError::Short)
    }

    pub(in super::super) fn i16(&mut self) -> Read<i16> {
        self.number().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Read<i32> {
        self.number().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Read<i64> {
        self.number().map(i64::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Read<Uuid> {
        self.number().map(Uuid::from_bytes)
    }

    fn varint(&mut self) -> Read<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.number()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ReadError::Invalid("varint"))
    }

    /// A length; `None` stands for null. Strings have shorter plain lengths than the rest.
    fn length(&mut self, is_string: bool) -> Read<Option<usize>> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if is_string {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| ReadError::Invalid("length")),
        }
    }

    pub(super) fn nullable_string(&mut self) -> Read<Option<&'a str>> {
        let Some(length) = self.length(true)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Some).map_err(|_| ReadError::Invalid("UTF-8"))
    }

    pub(in super::super) fn string(&mut self) -> Read<&'a str> {
        self.nullable_string()?
            .ok_or(ReadError::Invalid("null string"))
    }

    pub(in super::super) fn nullable_bytes(&mut self) -> Read<Option<Bytes>> {
        let Some(length) = self.length(false)? else {
            return Ok(None);
        };
        self.take(length).map(Bytes::copy_from_slice).map(Some)
    }

    pub(super) fn bytes(&mut self) -> Read<Bytes> {
        self.nullable_bytes()?
            .ok_or(ReadError::Invalid("null bytes"))
    }

    /// An array. Its elements are read one by one: a count that the bytes do not bear out costs
    /// no memory.
    pub(in super::super) fn array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let count = self
            .length(false)?
            .ok_or(ReadError::Invalid("null array"))?;
        let mut elements = Vec::new();
        for _ in 0..count {
            if self.bytes.is_empty() {
                return Err(ReadError::Short);
            }
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// The tagged fields that end a structure in the flexible form. Known ones go to `field`, each
    /// with a cursor over its bytes; the others are for `field` to ignore.
    pub(super) fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, Cursor<'a>) -> Read<()>,
    ) -> Read<()> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = usize::try_from(self.varint()?).map_err(|_| ReadError::Short)?;
            field(tag, Cursor::new(self.take(size)?, true))?;
        }
        Ok(())
    }

    /// Checks that nothing is left.
    pub(super) fn end(self) -> Read<()> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(ReadError::Trailing(left)),
        }
    }
}
