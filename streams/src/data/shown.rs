//! How values are shown to people.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Data, DataError};

/// The value's bytes; null if it is null.
pub(super) fn as_base64<T: Data>(value: &T) -> Value {
    match value.encode(&mut Vec::new()) {
        Ok(Some(bytes)) => STANDARD.encode(bytes).into(),
        Ok(None) => Value::Null,
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    }
}

pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, DataError> {
    STANDARD
        .decode(text)
        .map_err(|error| DataError::new(format!("not base64: {error}")))
}

/// A number as JSON has it. What JSON has no numbers for is text.
pub(crate) fn number_or_text<N: serde::Serialize + std::fmt::Display>(number: N) -> Value {
    match serde_json::to_value(&number) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => number.to_string().into(),
    }
}
