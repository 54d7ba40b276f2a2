//! Text and plain bytes, and `()`, which looks at nothing.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::{Data, DataError, Payload};

/// UTF-8 (Kafka: `StringSerde`). What is not UTF-8 is an error, where Kafka puts replacement
/// characters.
impl Data for String {
    #[inline]
    fn encode<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Ok(Some(self.as_bytes()))
    }

    #[inline]
    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        Ok(utf8(payload)?.to_owned())
    }

    fn format() -> Cow<'static, str> {
        "UTF-8 text".into()
    }

    fn from_text(text: &str) -> Result<Self, DataError> {
        Ok(text.to_owned())
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

/// UTF-8 that is shared when it is cloned.
impl Data for Arc<str> {
    #[inline]
    fn encode<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Ok(Some(self.as_bytes()))
    }

    #[inline]
    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        Ok(utf8(payload)?.into())
    }

    fn format() -> Cow<'static, str> {
        "UTF-8 text".into()
    }

    fn from_text(text: &str) -> Result<Self, DataError> {
        Ok(text.into())
    }

    fn to_json(&self) -> serde_json::Value {
        (**self).into()
    }
}

#[inline]
fn utf8(payload: Payload<'_>) -> Result<&str, DataError> {
    let bytes = payload.require("a string")?;
    std::str::from_utf8(bytes).map_err(|error| DataError::new(format!("not UTF-8: {error}")))
}

/// The bytes as they are; what is read is a slice of the received buffer (Kafka:
/// `ByteBufferSerde`).
impl Data for Bytes {
    #[inline]
    fn encode<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Ok(Some(self))
    }

    #[inline]
    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        payload.to_bytes().ok_or_else(|| DataError::null("bytes"))
    }

    fn detach(&mut self) {
        *self = Self::copy_from_slice(self);
    }

    fn format() -> Cow<'static, str> {
        "".into()
    }
}

/// The bytes as they are (Kafka: `ByteArraySerde`).
impl Data for Vec<u8> {
    #[inline]
    fn encode<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Ok(Some(self))
    }

    #[inline]
    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        Ok(payload.require("bytes")?.to_vec())
    }

    fn format() -> Cow<'static, str> {
        "".into()
    }
}

/// Nothing: whatever is there is not looked at, and null is written (Kafka: `VoidSerde`, which
/// refuses to read anything but null). It is a value all the same where records are counted or joined;
/// as a key it is none, because it has no bytes.
impl Data for () {
    #[inline]
    fn encode<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Ok(None)
    }

    #[inline]
    fn decode(_payload: Payload<'_>) -> Result<Self, DataError> {
        Ok(())
    }

    fn format() -> Cow<'static, str> {
        "".into()
    }

    fn from_text(_text: &str) -> Result<Self, DataError> {
        Ok(())
    }
}
