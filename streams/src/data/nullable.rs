//! Null as `None`.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Data, DataError, Payload};

impl<T: Data> Data for Option<T> {
    #[inline]
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        match self {
            Some(value) => value.encode(scratch),
            None => Ok(None),
        }
    }

    #[inline]
    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        match payload.bytes() {
            Some(_) => T::decode(payload).map(Some),
            None => Ok(None),
        }
    }

    fn format() -> Cow<'static, str> {
        T::format()
    }

    #[inline]
    fn is_null(&self) -> bool {
        self.as_ref().is_none_or(Data::is_null)
    }

    #[inline]
    fn detach(&mut self) {
        if let Some(value) = self {
            value.detach();
        }
    }

    fn from_text(text: &str) -> Result<Self, DataError> {
        T::from_text(text).map(Some)
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_ref().map_or(serde_json::Value::Null, Data::to_json)
    }

    fn order(a: &[u8], b: &[u8]) -> Ordering {
        T::order(a, b)
    }
}
