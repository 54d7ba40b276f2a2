//! What keys and values are: types that know their bytes.

mod change;
mod json;
mod nullable;
mod numbers;
mod payload;
mod shown;
mod text;
mod windowed;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Bound;

pub(crate) use json::{JSON, read_json};
pub use json::{Json, decode_json, encode_json, json_from_text, json_to_value};
pub use payload::Payload;
pub(crate) use shown::number_or_text;
pub(crate) use windowed::split_window;

/// A type that can be a key or a value of a topic (Kafka: `Serde`). The type itself says how it is
/// written, so streams need no serdes passed along, and one topic read as two types is found before
/// the start.
///
/// There are implementations for `String`, `Bytes`, `Vec<u8>`, the integers and floats (big-endian
/// as in Kafka's own serdes), `bool`, [`Json`], `Option` (null is `None`), and `()`, which ignores
/// what it reads and writes null. [`crate::json_data!`] makes one for a serde type. There is none for
/// `usize` and `isize`: how many bytes these have is up to the machine.
///
/// Equal values have to have equal bytes where they are keys: keys are grouped by their bytes.
pub trait Data: Clone + Send + Sync + 'static {
    /// The bytes: either borrowed from the value or put into `scratch`, which comes empty. `None`
    /// is null.
    ///
    /// # Errors
    ///
    /// [`DataError`] if the value has no bytes.
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError>;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`DataError`] if the bytes are not such a value, or null and the type has no null.
    fn decode(payload: Payload<'_>) -> Result<Self, DataError>;

    /// What its bytes are, in a few words. A topic that a topology writes as one thing and reads as
    /// another is refused before the start, so types that can read the bytes of one another have to
    /// say the same. Empty text fits with everything. Default: the name of the type.
    #[must_use]
    fn format() -> Cow<'static, str> {
        std::any::type_name::<Self>().into()
    }

    /// Whether there is no value, in the sense of Kafka's rules for null values. What is null is written
    /// as null; `()` is written as null, too, but is a value.
    #[inline]
    fn is_null(&self) -> bool {
        false
    }

    /// Lets go of memory that the value shares with what was read together with it, a whole answer to a
    /// fetch, say: a store that keeps the value would keep all of it. Called when a store has told the
    /// value to its changelog. Default: nothing, which is right for types that own what they hold; a
    /// type that holds [`bytes::Bytes`] copies them.
    #[inline]
    fn detach(&mut self) {}

    /// Reads a value as a person writes it, in the path of a URL, say. Default: its bytes as base64.
    ///
    /// # Errors
    ///
    /// [`DataError`] if the text is no such value.
    fn from_text(text: &str) -> Result<Self, DataError> {
        let bytes = shown::from_base64(text)?;
        Self::decode(Payload::new(Some(&bytes)))
    }

    /// The value as people are shown it: HTTP shows keys and values so. Default: its bytes as base64.
    fn to_json(&self) -> serde_json::Value {
        shown::as_base64(self)
    }

    /// Which of two keys comes first, by their bytes: ranges of keys are in this order. Default: the
    /// order of the bytes.
    fn order(a: &[u8], b: &[u8]) -> Ordering {
        a.cmp(b)
    }
}

/// Bytes that are not what they should be, or a value that has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DataError(String);

impl DataError {
    /// What is wrong, as a sentence without its end.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    pub(crate) fn null(expected: &str) -> Self {
        Self(format!("null where {expected} is expected"))
    }
}

/// Bytes of a value that has been read from a store or a changelog.
pub(crate) fn decode_slice<T: Data>(bytes: Option<&[u8]>) -> Result<T, DataError> {
    T::decode(Payload::new(bytes))
}

/// Calls with the bytes of a key, which cannot be null.
pub(crate) fn with_bytes<K: Data, R>(
    key: &K,
    call: impl FnOnce(&[u8]) -> R,
) -> Result<R, DataError> {
    let mut scratch = Vec::new();
    let bytes = key.encode(&mut scratch)?;
    Ok(call(bytes.ok_or_else(|| DataError::null("a key"))?))
}

/// Whether a key is in a range, in the order of keys.
pub(crate) fn is_within<K: Data>(key: &[u8], from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    let behind = match from {
        Bound::Unbounded => true,
        Bound::Included(from) => K::order(key, from).is_ge(),
        Bound::Excluded(from) => K::order(key, from).is_gt(),
    };
    behind
        && match to {
            Bound::Unbounded => true,
            Bound::Included(to) => K::order(key, to).is_le(),
            Bound::Excluded(to) => K::order(key, to).is_lt(),
        }
}

/// Whether values of a type can be null.
pub(crate) fn nullable<T: Data>() -> bool {
    T::decode(Payload::new(None)).is_ok_and(|value| value.is_null())
}

/// The bytes of a value as their own vector; `None` is null.
#[cfg(test)]
pub(crate) fn encode_vec<T: Data>(value: &T) -> Result<Option<Vec<u8>>, DataError> {
    let mut scratch = Vec::new();
    Ok(value.encode(&mut scratch)?.map(<[u8]>::to_vec))
}

#[cfg(test)]
mod tests;
