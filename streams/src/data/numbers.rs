//! Numbers in big-endian order, as Kafka's own serdes write them.

use std::cmp::Ordering;

use super::{Data, DataError, Payload, number_or_text};

macro_rules! number {
    ($($type:ty, $order:ident, $expected:literal;)*) => {$(
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

            fn from_text(text: &str) -> Result<Self, DataError> {
                let failed = |error| DataError::new(format!("{text:?} is not {}: {error}", $expected));
                text.parse().map_err(failed)
            }

            fn to_json(&self) -> serde_json::Value {
                number_or_text(*self)
            }

            /// As numbers; what are no such numbers comes first, in the order of its bytes.
            fn order(a: &[u8], b: &[u8]) -> Ordering {
                match (a.try_into(), b.try_into()) {
                    (Ok(first), Ok(second)) => {
                        Self::from_be_bytes(first).$order(&Self::from_be_bytes(second))
                    }
                    (first, second) => first.is_ok().cmp(&second.is_ok()).then_with(|| a.cmp(b)),
                }
            }
        }
    )*};
}

number! {
    i8, cmp, "a number of 1 byte"; u8, cmp, "a number of 1 byte";
    i16, cmp, "a number of 2 bytes"; u16, cmp, "a number of 2 bytes";
    i32, cmp, "a number of 4 bytes"; u32, cmp, "a number of 4 bytes";
    i64, cmp, "a number of 8 bytes"; u64, cmp, "a number of 8 bytes";
    i128, cmp, "a number of 16 bytes"; u128, cmp, "a number of 16 bytes";
    f32, total_cmp, "a number of 4 bytes"; f64, total_cmp, "a number of 8 bytes";
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

    fn from_text(text: &str) -> Result<Self, DataError> {
        let failed = |_| DataError::new(format!("{text:?} is neither true nor false"));
        text.parse().map_err(failed)
    }

    fn to_json(&self) -> serde_json::Value {
        (*self).into()
    }
}

#[cold]
fn wrong_size(expected: &str, size: usize) -> DataError {
    DataError::new(format!("{size} bytes where {expected} is expected"))
}
