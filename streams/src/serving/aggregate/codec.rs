//! Canonical bytes: equal values have equal bytes, and bytes from a file may be anything.

use crate::data::DataError;
use crate::serving::Place;

/// A value that can be a part of a state: it knows its bytes, and equal values have equal bytes.
///
/// Integers are big-endian with their sign turned, so that their bytes are in their order; text and bytes
/// have their length in front of them (7 bits a byte, the lowest first).
pub trait Canonical: Sized {
    /// Appends its bytes.
    fn write(&self, into: &mut Vec<u8>);

    /// Reads a value from the front of `bytes` and moves them behind it.
    ///
    /// # Errors
    ///
    /// [`DataError`] if there is none.
    fn read(bytes: &mut &[u8]) -> Result<Self, DataError>;

    /// What it is, in a word: aggregates of kinds that are not the same describe themselves otherwise, since
    /// their bytes are others. Has to change when the bytes do.
    fn kind() -> String;
}

/// The first `N` bytes.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], DataError> {
    let (first, rest) = bytes.split_first_chunk::<N>().ok_or_else(ends_early)?;
    *bytes = rest;
    Ok(*first)
}

fn ends_early() -> DataError {
    DataError::new("a state that ends early")
}

/// A number in as few bytes as it needs: 7 bits a byte, the lowest first (LEB128).
pub(super) fn write_size(mut size: u64, into: &mut Vec<u8>) {
    while size >= 0x80 {
        into.push(size as u8 | 0x80);
        size >>= 7;
    }
    into.push(size as u8);
}

/// What [`write_size`] wrote, and nothing that it would write otherwise.
pub(super) fn read_size(bytes: &mut &[u8]) -> Result<u64, DataError> {
    let mut size = 0_u64;
    for at in 0..10 {
        let [byte] = take(bytes)?;
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * at);
        if shifted >> (7 * at) != bits || (byte == 0 && at > 0) {
            break;
        }
        size |= shifted;
        if byte < 0x80 {
            return Ok(size);
        }
    }
    Err(DataError::new("a size that no state has"))
}

/// How many values follow, each of at least `least` bytes: not more than there is room for, if each has some.
pub(super) fn read_count(bytes: &mut &[u8], least: usize) -> Result<usize, DataError> {
    let count = read_size(bytes)?;
    let room = bytes.len().checked_div(least).unwrap_or(usize::MAX);
    usize::try_from(count)
        .ok()
        .filter(|count| *count <= room)
        .ok_or_else(ends_early)
}

macro_rules! integers {
    ($($unsigned:ty, $signed:ty;)*) => { $(
        impl Canonical for $unsigned {
            fn write(&self, into: &mut Vec<u8>) {
                into.extend(self.to_be_bytes());
            }

            fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
                take(bytes).map(Self::from_be_bytes)
            }

            fn kind() -> String {
                stringify!($unsigned).to_owned()
            }
        }

        impl Canonical for $signed {
            fn write(&self, into: &mut Vec<u8>) {
                ((*self as $unsigned) ^ (1 << (<$unsigned>::BITS - 1))).write(into);
            }

            fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
                let turned = <$unsigned>::read(bytes)?;
                Ok((turned ^ (1 << (<$unsigned>::BITS - 1))) as Self)
            }

            fn kind() -> String {
                stringify!($signed).to_owned()
            }
        }
    )* };
}

integers! { u8, i8; u16, i16; u32, i32; u64, i64; u128, i128; }

impl Canonical for bool {
    fn write(&self, into: &mut Vec<u8>) {
        into.push(u8::from(*self));
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
        match take(bytes)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(DataError::new("neither yes nor no")),
        }
    }

    fn kind() -> String {
        "bool".to_owned()
    }
}

/// Bytes with how many they are in front of them.
fn read_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], DataError> {
    let size = read_count(bytes, 1)?;
    let (own, rest) = bytes.split_at(size);
    *bytes = rest;
    Ok(own)
}

/// A text as [`read_text`] reads it.
pub(crate) fn write_text(text: &str, into: &mut Vec<u8>) {
    write_size(text.len() as u64, into);
    into.extend_from_slice(text.as_bytes());
}

/// A text where it lies.
pub(crate) fn read_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, DataError> {
    let own = read_bytes(bytes)?;
    std::str::from_utf8(own).map_err(|_| DataError::new("text that is not UTF-8"))
}

impl Canonical for Vec<u8> {
    fn write(&self, into: &mut Vec<u8>) {
        write_size(self.len() as u64, into);
        into.extend_from_slice(self);
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
        read_bytes(bytes).map(<[u8]>::to_vec)
    }

    fn kind() -> String {
        "bytes".to_owned()
    }
}

impl Canonical for String {
    fn write(&self, into: &mut Vec<u8>) {
        write_text(self, into);
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
        read_text(bytes).map(str::to_owned)
    }

    fn kind() -> String {
        "text".to_owned()
    }
}

impl Canonical for () {
    fn write(&self, _into: &mut Vec<u8>) {}

    fn read(_bytes: &mut &[u8]) -> Result<Self, DataError> {
        Ok(())
    }

    fn kind() -> String {
        "nothing".to_owned()
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn write(&self, into: &mut Vec<u8>) {
        self.is_some().write(into);
        if let Some(own) = self {
            own.write(into);
        }
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
        match bool::read(bytes)? {
            true => T::read(bytes).map(Some),
            false => Ok(None),
        }
    }

    fn kind() -> String {
        format!("{} or none", T::kind())
    }
}

macro_rules! tuples {
    ($(($($name:ident $at:tt),+);)*) => { $(
        impl<$($name: Canonical),+> Canonical for ($($name,)+) {
            fn write(&self, into: &mut Vec<u8>) {
                $(self.$at.write(into);)+
            }

            fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
                Ok(($($name::read(bytes)?,)+))
            }

            fn kind() -> String {
                format!("({})", [$($name::kind()),+].join(", "))
            }
        }
    )* };
}

tuples! {
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
}

impl Canonical for Place {
    fn write(&self, into: &mut Vec<u8>) {
        self.time.write(into);
        self.topic.write(into);
        self.partition.write(into);
        self.offset.write(into);
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
        Ok(Self {
            time: i64::read(bytes)?,
            topic: u32::read(bytes)?,
            partition: i32::read(bytes)?,
            offset: i64::read(bytes)?,
        })
    }

    fn kind() -> String {
        "place".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes<T: Canonical>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        bytes
    }

    #[test]
    fn kinds_tell_bytes_apart() {
        assert_ne!(<(u64, i64)>::kind(), <(i64, u64)>::kind());
        assert_ne!(Option::<u8>::kind(), u8::kind());
        assert_eq!(<(String, Option<bool>)>::kind(), "(text, bool or none)");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            numbers: (i64, i128, u32, i8), text: Option<String>, yes: bool, size: u64,
        ) {
            let value = ((numbers.0, numbers.1), (numbers.2, numbers.3, text, yes));
            let written = bytes(&value);
            let mut rest = &written[..];
            prop_assert_eq!(Canonical::read(&mut rest), Ok(value));
            prop_assert!(rest.is_empty());
            let mut written = Vec::new();
            write_size(size, &mut written);
            let mut rest = &written[..];
            prop_assert_eq!(read_size(&mut rest), Ok(size));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn integers_are_in_their_order(a: i64, b: i64) {
            prop_assert_eq!(bytes(&a).cmp(&bytes(&b)), a.cmp(&b));
        }

        /// What is read is written the same: there are no two ways.
        #[test]
        fn there_is_one_way(input in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut rest = &input[..];
            if let Ok(value) = <(Option<String>, (bool, Vec<u8>))>::read(&mut rest) {
                prop_assert_eq!(&bytes(&value)[..], &input[..input.len() - rest.len()]);
            }
        }
    }
}
