//! Keys with a window, in Kafka's form.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Data, DataError, Payload};
use crate::time::{Window, Windowed};

/// The key's bytes, then the window's end and start, 8 bytes each (Kafka:
/// `SessionKeySchema.toBinary`). Kafka's time windows have only their start there and take the size
/// from the reader; with both, whoever reads needs to know nothing.
impl<K: Data> Data for Windowed<K> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        let mut inner = Vec::new();
        let key = self.key.encode(&mut inner)?;
        scratch.extend_from_slice(key.unwrap_or_default());
        scratch.extend_from_slice(&self.window.end.to_be_bytes());
        scratch.extend_from_slice(&self.window.start.to_be_bytes());
        Ok(Some(scratch))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        const EXPECTED: &str = "a key with a window";
        let bytes = payload.require(EXPECTED)?;
        let (rest, start) = split_last(bytes).ok_or_else(|| DataError::null(EXPECTED))?;
        let (key, end) = split_last(rest).ok_or_else(|| DataError::null(EXPECTED))?;
        if start > end {
            return Err(DataError::new("a window that ends before it starts"));
        }
        Ok(Self {
            key: K::decode(Payload::new(Some(key)))?,
            window: Window { start, end },
        })
    }

    fn format() -> Cow<'static, str> {
        format!("a window's key of {}", K::format()).into()
    }

    /// The key's own text, then `@`, start and end in milliseconds with `/` between them.
    fn from_text(text: &str) -> Result<Self, DataError> {
        let window = text.rsplit_once('@').and_then(|(key, window)| {
            let (start, end) = window.split_once('/')?;
            Some((key, start.parse().ok()?, end.parse().ok()?))
        });
        let (key, start, end) =
            window.ok_or_else(|| DataError::new(format!("{text:?} is not KEY@START/END")))?;
        Ok(Self {
            key: K::from_text(key)?,
            window: Window { start, end },
        })
    }

    fn to_json(&self) -> serde_json::Value {
        let Window { start, end } = self.window;
        serde_json::json!({ "key": self.key.to_json(), "window": { "start": start, "end": end } })
    }

    /// By the key, then by start and end.
    fn order(a: &[u8], b: &[u8]) -> Ordering {
        match (Parts::of(a), Parts::of(b)) {
            (Some(a), Some(b)) => {
                K::order(a.key, b.key).then((a.start, a.end).cmp(&(b.start, b.end)))
            }
            (first, second) => first
                .is_some()
                .cmp(&second.is_some())
                .then_with(|| a.cmp(b)),
        }
    }
}

struct Parts<'a> {
    key: &'a [u8],
    start: i64,
    end: i64,
}

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (rest, start) = split_last(bytes)?;
        let (key, end) = split_last(rest)?;
        Some(Self { key, start, end })
    }
}

/// The bytes of the key alone, and those of its window.
pub(crate) fn split_window(bytes: &[u8]) -> Option<(&[u8], &[u8; 16])> {
    bytes.split_last_chunk::<16>()
}

fn split_last(bytes: &[u8]) -> Option<(&[u8], i64)> {
    let (rest, last) = bytes.split_last_chunk::<8>()?;
    Some((rest, i64::from_be_bytes(*last)))
}
