//! Records that came too late for their windows, as records of their own.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data::{Data, DataError, Payload, decode_json, encode_json, json_to_value};
use crate::time::Window;

/// A record that a window did not take because it had closed (Flink: side output of late data). It
/// is written as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late<V> {
    /// The record's value.
    pub value: V,
    /// The window that it should have gone to; of several the first.
    pub window: LateWindow,
    /// How many windows did not take it: windows that overlap are told of together.
    pub windows: u32,
    /// Event time when it came: the watermark, or stream time.
    pub watermark: i64,
    /// By how many milliseconds it was too late: the time at which it came less the last at which
    /// the window would have taken it.
    pub lateness: i64,
    /// Why it was not taken.
    pub reason: LateReason,
    /// Whether another window took it: windows that overlap close one after the other.
    pub taken: bool,
}

/// A window as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateWindow {
    /// The first millisecond.
    pub start: i64,
    /// The end.
    pub end: i64,
}

impl From<Window> for LateWindow {
    fn from(window: Window) -> Self {
        Self {
            start: window.start,
            end: window.end,
        }
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateReason {
    /// The watermark had passed the window's end and the allowed lateness.
    WindowClosed,
    /// Stream time had passed the window's end and the grace period.
    GraceOver,
    /// The largest timestamp of a versioned table had passed the record's and the history.
    HistoryOver,
}

impl<V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Data for Late<V> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        encode_json(self, scratch)
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        decode_json(payload)
    }

    fn format() -> std::borrow::Cow<'static, str> {
        crate::data::JSON.into()
    }

    fn to_json(&self) -> serde_json::Value {
        json_to_value(self)
    }
}
