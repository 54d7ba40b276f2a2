//! An event as it is read.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Times that make sense: from 2000-01-01 up to 2100-01-01. Seconds that were meant as milliseconds
/// are in 1970.
pub(crate) const EARLIEST: i64 = 946_684_800_000;
pub(crate) const LATEST: i64 = 4_102_444_799_999;

/// No sum of values up to this is too large for a float.
const LARGEST: f64 = 1e290;

/// What a user has done.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Event {
    pub(crate) user_id: String,
    pub(crate) event_type: String,
    #[serde(default, deserialize_with = "value")]
    pub(crate) value: Option<f64>,
    /// In milliseconds since 1970; so it is written, too.
    #[serde(deserialize_with = "timestamp")]
    pub(crate) timestamp: i64,
}

tidemark_streams::json_data!(Event);

fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let value = Option::<f64>::deserialize(deserializer)?;
    match value {
        Some(value) if value.abs() > LARGEST => {
            let expected = &"a value that can be summed up";
            Err(D::Error::invalid_value(Unexpected::Float(value), expected))
        }
        value => Ok(value),
    }
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Moment)
}

struct Moment;

impl Visitor<'_> for Moment {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time as 2023-01-01T10:00:00 or in milliseconds since 1970")
    }

    fn visit_i64<E: Error>(self, millis: i64) -> Result<i64, E> {
        Ok(millis)
    }

    fn visit_u64<E: Error>(self, millis: u64) -> Result<i64, E> {
        i64::try_from(millis).map_err(|_| E::invalid_value(Unexpected::Unsigned(millis), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
        let moment = text.parse::<Timestamp>().or_else(|_| {
            // Without an offset it is UTC.
            let local: DateTime = text.parse()?;
            Offset::UTC.to_timestamp(local)
        });
        let moment = moment.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
        Ok(moment.as_millisecond())
    }
}
