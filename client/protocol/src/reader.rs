//! A bounds-checked cursor over bytes that came from outside.
//!
//! Every reader of this crate that does not go through `kafka-protocol` uses it, so the rules for
//! varints and short input are written once.

/// Why a value could not be read from bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The value needs more bytes than there are.
    #[error("needs {need} bytes, {have} are left")]
    Short {
        /// Bytes the value takes.
        need: usize,
        /// Bytes that are left.
        have: usize,
    },
    /// A varint does not end within the 5 (32 bit) or 10 (64 bit) bytes it may take.
    #[error("a varint is longer than {max} bytes")]
    VarintTooLong {
        /// The most bytes such a varint may take.
        max: usize,
    },
}

/// A position in a byte slice; each read either advances past a whole value or changes nothing of
/// interest, because every caller gives up at the first error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes consumed so far.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// The bytes not yet consumed.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.rest().len()
    }

    #[inline]
    pub(crate) fn take(&mut self, need: usize) -> Result<&'a [u8], ReadError> {
        let rest = self.rest();
        let taken = rest.get(..need).ok_or(ReadError::Short {
            need,
            have: rest.len(),
        })?;
        self.position += need;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let have = self.remaining();
        match self.rest().first_chunk::<N>() {
            Some(chunk) => {
                self.position += N;
                Ok(*chunk)
            }
            None => Err(ReadError::Short { need: N, have }),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, ReadError> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn i8(&mut self) -> Result<i8, ReadError> {
        self.array().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, ReadError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, ReadError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, ReadError> {
        self.array().map(i64::from_be_bytes)
    }

    /// An unsigned varint of at most 5 bytes; see [`unsigned_varint`].
    pub(crate) fn unsigned_varint(&mut self) -> Result<u32, ReadError> {
        unsigned_varint(|| self.u8())
    }

    /// A zigzag varint of at most 5 bytes.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<i32, ReadError> {
        match self.short_varint() {
            Some(value) => Ok(value),
            None => self.long_varint(),
        }
    }

    /// A zigzag varint of at most 10 bytes.
    #[inline]
    pub(crate) fn varlong(&mut self) -> Result<i64, ReadError> {
        match self.short_varint() {
            Some(value) => Ok(value.into()),
            None => self.long_varlong(),
        }
    }

    /// A zigzag varint of one byte, as most numbers of a record are; `None` if it is longer, or if there
    /// is nothing.
    #[inline]
    fn short_varint(&mut self) -> Option<i32> {
        let byte = *self.bytes.get(self.position)?;
        if byte >= 0x80 {
            return None;
        }
        self.position += 1;
        Some(i32::from(byte >> 1) ^ -i32::from(byte & 1))
    }

    fn long_varint(&mut self) -> Result<i32, ReadError> {
        varint(|| self.u8())
    }

    fn long_varlong(&mut self) -> Result<i64, ReadError> {
        varlong(|| self.u8())
    }
}

/// An unsigned varint of at most 5 bytes, from bytes as `next` hands them out. Bits above the 32nd
/// are dropped, as Kafka's `ByteUtils.readUnsignedVarint` and kafka-protocol both do.
#[inline]
pub(crate) fn unsigned_varint<E: From<ReadError>>(
    mut next: impl FnMut() -> Result<u8, E>,
) -> Result<u32, E> {
    let mut value = 0u32;
    for shift in [0, 7, 14, 21, 28] {
        let byte = next()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(ReadError::VarintTooLong { max: 5 }.into())
}

/// A zigzag varint of at most 5 bytes.
#[inline]
pub(crate) fn varint<E: From<ReadError>>(next: impl FnMut() -> Result<u8, E>) -> Result<i32, E> {
    let raw = unsigned_varint(next)?;
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// A zigzag varint of at most 10 bytes.
#[inline]
pub(crate) fn varlong<E: From<ReadError>>(
    mut next: impl FnMut() -> Result<u8, E>,
) -> Result<i64, E> {
    let mut raw = 0u64;
    for index in 0..10u32 {
        let byte = next()?;
        raw |= u64::from(byte & 0x7f) << (index * 7);
        if byte < 0x80 {
            return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
        }
    }
    Err(ReadError::VarintTooLong { max: 10 }.into())
}

/// Appends a zigzag varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_unsigned(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends a zigzag varlong.
pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints_have_the_published_encodings() {
        for (value, bytes) in [
            (0, &[0u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (300, &[0xd8, 0x04]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(Reader::new(bytes).varint(), Ok(value));
        }
    }

    #[test]
    fn a_varint_that_does_not_end_is_refused() {
        let bytes = [0xff; 11];
        assert_eq!(
            Reader::new(&bytes).unsigned_varint(),
            Err(ReadError::VarintTooLong { max: 5 })
        );
        assert_eq!(
            Reader::new(&bytes).varlong(),
            Err(ReadError::VarintTooLong { max: 10 })
        );
        assert_eq!(
            Reader::new(&bytes[..3]).varint(),
            Err(ReadError::Short { need: 1, have: 0 })
        );
    }

    proptest! {
        #[test]
        fn varints_round_trip(small: i32, large: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, small);
            put_varlong(&mut out, large);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint(), Ok(small));
            prop_assert_eq!(reader.varlong(), Ok(large));
            prop_assert_eq!(reader.remaining(), 0);
        }
    }
}
