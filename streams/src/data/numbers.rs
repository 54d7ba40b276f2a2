//! Numbers in big-endian order, as Kafka's own serdes write them.

use super::{Data, DataError, Payload};

macro_rules! number {
    ($($type:ty, $expected:literal;)*) => {$(
        /// Big-endian, of exactly its size.
        impl Data for $type {
            #[inline]
            fn encode<'a>(
                &'a self,
                scratch: &'a mut Vec<u8>,
            ) -> Result<Option<&'a [u8]>, DataError> {
                scratch.extend_from_slice(&self.to_be_bytes());
                Ok(Some(scratch))
            }

            #[inline]
            fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
                let bytes = payload.require($expected)?;
                let exact = bytes.try_into().map_err(|_| wrong_size($expected, bytes.len()))?;
                Ok(Self::from_be_bytes(exact))
            }
        }
    )*};
}

number! {
    i16, "a number of 2 bytes"; u16, "a number of 2 bytes";
    i32, "a number of 4 bytes"; u32, "a number of 4 bytes";
    i64, "a number of 8 bytes"; u64, "a number of 8 bytes";
    i128, "a number of 16 bytes"; u128, "a number of 16 bytes";
    f32, "a number of 4 bytes"; f64, "a number of 8 bytes";
}

/// One byte, 0 or 1 (Kafka: `BooleanSerde`).
impl Data for bool {
    #[inline]
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        scratch.push(u8::from(*self));
        Ok(Some(scratch))
    }

    #[inline]
    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        const EXPECTED: &str = "a byte that is 0 or 1";
        match payload.require(EXPECTED)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [_] => Err(DataError::new(format!("not {EXPECTED}"))),
            other => Err(wrong_size(EXPECTED, other.len())),
        }
    }
}

#[cold]
fn wrong_size(expected: &str, size: usize) -> DataError {
    DataError::new(format!("{size} bytes where {expected} is expected"))
}
