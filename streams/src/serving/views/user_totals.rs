//! What each user has done so far.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::data::{Data, DataError, Payload};
use crate::record::Record;
use crate::serving::aggregate::{Aggregate, Count, Decimal, First, Last, Sum};
use crate::serving::view::{Keyed, View};
use crate::time::TimeWindows;

/// An event of a user: `{"user_id": "user1", "value": 99.99, "timestamp": "2023-01-01T10:05:00"}`.
///
/// `value` may be missing or null, which is 0; its digits are taken as they stand there. `timestamp` may be
/// text (ISO 8601, with `T` or a space, in UTC if it has no offset), or milliseconds since 1970; if it is
/// neither, the record's timestamp is the event's time. Other fields are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct UserEvent {
    #[serde(deserialize_with = "id")]
    user_id: String,
    #[serde(default)]
    value: Option<Decimal>,
    #[serde(default)]
    timestamp: Option<Box<RawValue>>,
}

/// Text, or a whole number as text.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Id;
    impl Visitor<'_> for Id {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a user's id: text or a whole number")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    deserializer.deserialize_any(Id)
}

impl UserEvent {
    /// The user.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The event's time in milliseconds since 1970, if it says one.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        let raw = self.timestamp.as_ref()?.get();
        if let Ok(millis) = raw.parse() {
            return Some(millis);
        }
        let text: Cow<'_, str> = serde_json::from_str(raw).ok()?;
        let moment = text.parse::<Timestamp>().or_else(|_| {
            let local: DateTime = text.parse()?;
            Offset::UTC.to_timestamp(local)
        });
        Some(moment.ok()?.as_millisecond())
    }

    fn stamp(&self) -> String {
        let raw = self.timestamp.as_ref().map(|raw| raw.get());
        raw.unwrap_or("null").to_owned()
    }
}

/// JSON that is read and never written.
impl Data for UserEvent {
    fn encode<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Err(DataError::new("events of users are read only"))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let bytes = payload.require("an event")?;
        serde_json::from_slice(bytes).map_err(|error| DataError::new(error.to_string()))
    }

    fn format() -> Cow<'static, str> {
        crate::data::JSON.into()
    }
}

/// What is known of a user (the document's `BatchLayer` and `SpeedLayer` in one).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UserTotals {
    /// How many events there are.
    pub total_events: u64,
    /// The exact sum of their values.
    pub total_value: Decimal,
    /// `timestamp` of the first event by (time, topic, partition, offset), as it was given.
    pub first_event: Value,
    /// `timestamp` of the last event.
    pub last_event: Value,
    /// As many as `total_events`: the document's speed layer forgets nothing.
    pub recent_events: u64,
    /// As `last_event`.
    pub last_event_time: Value,
}

/// The view `user_totals` of a topic of [`UserEvent`]s, by user.
pub fn user_totals(
    topic: &str,
) -> View<String, impl Aggregate<Event = UserEvent, Value = UserTotals> + use<>> {
    let aggregate = (
        Count::<UserEvent>::new(),
        Sum::of(|event: &UserEvent| event.value.clone().unwrap_or_default()),
        First::of(UserEvent::stamp),
        Last::of(UserEvent::stamp),
    );
    let shown = |stamp: Option<String>| {
        let value = stamp.and_then(|stamp| serde_json::from_str(&stamp).ok());
        value.unwrap_or(Value::Null)
    };
    let aggregate = aggregate.map_value(move |(count, sum, first, last)| {
        let last = shown(last);
        UserTotals {
            total_events: count,
            total_value: sum,
            first_event: shown(first),
            last_event: last.clone(),
            recent_events: count,
            last_event_time: last,
        }
    });
    View::new("user_totals", 1, aggregate).source(topic, by_user)
}

/// What a user has done in a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UserWindow {
    /// How many events there are.
    pub events: u64,
    /// The exact sum of their values.
    pub value: Decimal,
}

/// The view `user_windows` of a topic of [`UserEvent`]s, by user and window.
pub fn user_windows(
    topic: &str,
    windows: TimeWindows,
) -> View<String, impl Aggregate<Event = UserEvent, Value = UserWindow> + use<>> {
    let sum = Sum::of(|event: &UserEvent| event.value.clone().unwrap_or_default());
    let aggregate = (Count::<UserEvent>::new(), sum);
    let aggregate = aggregate.map_value(|(events, value)| UserWindow { events, value });
    let view = View::new("user_windows", 1, aggregate).source(topic, by_user);
    view.windowed_by(windows)
}

/// A record is one event, by its user and at its own time.
fn by_user(record: Record<(), UserEvent>) -> [Keyed<String, UserEvent>; 1] {
    let event = record.value;
    let time = event.time();
    let keyed = Keyed::new(event.user_id.clone(), event);
    [match time {
        Some(time) => keyed.at(time),
        None => keyed,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Result<UserEvent, DataError> {
        UserEvent::decode(Payload::new(Some(json.as_bytes())))
    }

    #[test]
    fn events_are_read_as_they_come() {
        let own = event(
            r#"{"user_id":"user1","event":"purchase","value":99.99,"timestamp":"2023-01-01T10:05:00"}"#,
        );
        let own = own.unwrap();
        assert_eq!(
            (own.user_id(), own.time()),
            ("user1", Some(1_672_567_500_000))
        );
        assert_eq!(own.value.unwrap().to_string(), "99.99");
        let times = [
            (r#""2023-01-01 10:05:00""#, Some(1_672_567_500_000)),
            (r#""2023-01-01T11:05:00+01:00""#, Some(1_672_567_500_000)),
            ("1672567500000", Some(1_672_567_500_000)),
            ("-5", Some(-5)),
            (r#""soon""#, None),
            ("null", None),
            ("[1]", None),
        ];
        for (timestamp, time) in times {
            let json = format!(r#"{{"user_id":7,"timestamp":{timestamp}}}"#);
            let own = event(&json).unwrap();
            assert_eq!((own.user_id(), own.time()), ("7", time), "{timestamp}");
        }
        for json in [
            "",
            "{",
            "{}",
            r#"{"user_id":null}"#,
            r#"{"user_id":"a","value":true}"#,
            "[]",
        ] {
            assert!(event(json).is_err(), "{json}");
        }
    }
}
