//! JSON by serde.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Data, DataError, Payload};

/// What JSON is as a format: any type may read what another one has written.
pub(crate) const JSON: &str = "JSON";

/// A value that is written as JSON. It derefs to what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Json<T>(pub T);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Data for Json<T> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        encode_json(&self.0, scratch)
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        decode_json(payload).map(Self)
    }

    fn format() -> Cow<'static, str> {
        JSON.into()
    }

    fn from_text(text: &str) -> Result<Self, DataError> {
        json_from_text(text).map(Self)
    }

    fn to_json(&self) -> serde_json::Value {
        json_to_value(&self.0)
    }
}

/// Makes serde types fit to be keys and values, written as JSON.
///
/// ```
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Click {
///     user: String,
/// }
/// tidemark_streams::json_data!(Click);
/// ```
#[macro_export]
macro_rules! json_data {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::Data for $type {
            fn encode<'a>(
                &'a self,
                scratch: &'a mut ::std::vec::Vec<u8>,
            ) -> ::std::result::Result<::std::option::Option<&'a [u8]>, $crate::DataError> {
                $crate::encode_json(self, scratch)
            }

            fn decode(
                payload: $crate::Payload<'_>,
            ) -> ::std::result::Result<Self, $crate::DataError> {
                $crate::decode_json(payload)
            }

            fn format() -> ::std::borrow::Cow<'static, str> {
                <$crate::Json<$type> as $crate::Data>::format()
            }

            fn from_text(
                text: &str,
            ) -> ::std::result::Result<Self, $crate::DataError> {
                $crate::json_from_text(text)
            }

            fn to_json(&self) -> $crate::JsonValue {
                $crate::json_to_value(self)
            }
        }
    )+};
}

#[doc(hidden)]
pub fn encode_json<'a, T: Serialize>(
    value: &T,
    scratch: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, DataError> {
    serde_json::to_writer(&mut *scratch, value)
        .map_err(|error| DataError::new(format!("cannot be written as JSON: {error}")))?;
    Ok(Some(scratch))
}

#[doc(hidden)]
pub fn decode_json<T: DeserializeOwned>(payload: Payload<'_>) -> Result<T, DataError> {
    let bytes = payload.require("JSON")?;
    read_json(bytes)
        .map_err(|error| DataError::new(format!("not the JSON that is expected: {error}")))
}

/// Reads JSON. That it is text is looked at once, for all of it, and not string by string.
pub(crate) fn read_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        // In what nobody wants there may be anything.
        Err(_) => serde_json::from_slice(bytes),
    }
}

/// Text that is JSON, or is meant as a string.
#[doc(hidden)]
pub fn json_from_text<T: DeserializeOwned>(text: &str) -> Result<T, DataError> {
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_value(text.into()).map_err(|_| error))
        .map_err(|error| DataError::new(format!("not the JSON that is expected: {error}")))
}

#[doc(hidden)]
pub fn json_to_value<T: Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value)
        .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }))
}
