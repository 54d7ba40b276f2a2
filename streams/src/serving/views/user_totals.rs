//! What each user has done so far.

use std::borrow::Cow;

use jiff::civil::Time;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use smol_str::SmolStr;

use crate::data::{Data, DataError, Payload, read_json};
use crate::record::Record;
use crate::serving::aggregate::{
    Aggregate, Canonical, Count, Decimal, First, Last, Sum, read_text, write_text,
};
use crate::serving::view::{Keyed, View};
use crate::time::TimeWindows;

/// An event of a user: `{"user_id": "user1", "value": 99.99, "timestamp": "2023-01-01T10:05:00"}`.
///
/// `value` may be missing or null, which is 0; its digits are taken as they stand there. `timestamp` may be
/// text (ISO 8601, with `T` or a space, in UTC if it has no offset), or milliseconds since 1970, rounded
/// down; if it is neither, the record's timestamp is the event's time. Other fields are
/// ignored.
#[derive(Clone, Debug)]
pub struct UserEvent {
    user_id: String,
    value: Decimal,
    timestamp: Option<Given>,
}

/// An event where it lies.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, deserialize_with = "id")]
    user_id: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

/// Text, or a whole number as text.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    struct Id;
    impl<'de> Visitor<'de> for Id {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a user's id: text or a whole number")
        }

        fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(text.into())
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text.to_owned().into())
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(number.to_string().into())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(number.to_string().into())
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
        let json = self.timestamp.as_ref()?.json();
        if json.starts_with('"') {
            return millis(&text(json)?);
        }
        if let Ok(millis) = json.parse() {
            return Some(millis);
        }
        let millis: f64 = json.parse().ok()?;
        let has_place = (i64::MIN as f64..i64::MAX as f64).contains(&millis);
        has_place.then(|| millis.floor() as i64)
    }
}

/// A JSON text without its quotes.
fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.contains('\\') {
        true => serde_json::from_str(json).ok().map(Cow::Owned),
        false => json.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed),
    }
}

/// What ISO 8601 says, in UTC if it has no offset.
fn millis(text: &str) -> Option<i64> {
    let said = Pieces::parse(text).ok()?;
    let local = said
        .date()
        .to_datetime(said.time().unwrap_or(Time::midnight()));
    let offset = said.to_numeric_offset().unwrap_or(Offset::UTC);
    Some(offset.to_timestamp(local).ok()?.as_millisecond())
}

/// A timestamp of more bytes is none: two of them are kept for each user.
const MOST_STAMP: usize = 256;

/// JSON that is read and never written.
impl Data for UserEvent {
    fn encode<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Err(DataError::new("events of users are read only"))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let bytes = payload.require("an event")?;
        let failed = |error: &dyn std::fmt::Display| DataError::new(error.to_string());
        let fields: Fields<'_> = read_json(bytes).map_err(|error| failed(&error))?;
        let value = fields.value.map(|raw| Decimal::of_json(raw.get()));
        let stamp = fields.timestamp.map(RawValue::get);
        let stamp = stamp.filter(|stamp| stamp.len() <= MOST_STAMP);
        Ok(Self {
            user_id: fields.user_id.into_owned(),
            value: value
                .transpose()
                .map_err(|error| failed(&error))?
                .unwrap_or_default(),
            timestamp: stamp.map(|stamp| Given(stamp.into())),
        })
    }

    fn format() -> Cow<'static, str> {
        crate::data::JSON.into()
    }
}

/// A piece of JSON as it was given, digit by digit. One that is as short as timestamps are takes no memory
/// of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Given(SmolStr);

impl Given {
    /// The JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }
}

impl Serialize for Given {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Text in which nothing is escaped is written as it stands, and need not be read for that.
        if !self.0.contains('\\')
            && let Some(rest) = self.0.strip_prefix('"')
            && let Some(text) = rest.strip_suffix('"')
        {
            return serializer.serialize_str(text);
        }
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// As text is.
impl Canonical for Given {
    fn write(&self, into: &mut Vec<u8>) {
        write_text(&self.0, into);
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
        let json = read_text(bytes)?;
        match serde_json::from_str::<&RawValue>(json) {
            Ok(_) => Ok(Self(json.into())),
            Err(error) => Err(DataError::new(format!(
                "what was given is no JSON: {error}"
            ))),
        }
    }

    fn kind() -> String {
        String::kind()
    }
}

/// What is known of a user (the document's `BatchLayer` and `SpeedLayer` in one).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UserTotals {
    /// How many events there are.
    pub total_events: u64,
    /// The exact sum of their values.
    pub total_value: Decimal,
    /// `timestamp` of the first event that has one, by (time, topic, partition, offset).
    pub first_event: Option<Given>,
    /// `timestamp` of the last event; `None` if that has none.
    pub last_event: Option<Given>,
    /// As many as `total_events`: the document's speed layer forgets nothing.
    pub recent_events: u64,
    /// As `last_event`.
    pub last_event_time: Option<Given>,
}

/// The view `user_totals` of a topic of [`UserEvent`]s, by user.
pub fn user_totals(
    topic: &str,
) -> View<String, impl Aggregate<Event = UserEvent, Value = UserTotals> + use<>> {
    let aggregate = (
        Count::<UserEvent>::new(),
        Sum::of(|event: &UserEvent| event.value.clone()),
        // The document takes the next event's timestamp for the first one as long as there has been none.
        First::of(Given::clone).of_event(|event: &UserEvent| event.timestamp.clone()),
        Last::of(|event: &UserEvent| event.timestamp.clone()),
    );
    let aggregate = aggregate.map_value(|(count, sum, first, last)| {
        let last = last.flatten();
        UserTotals {
            total_events: count,
            total_value: sum,
            first_event: first,
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
    let sum = Sum::of(|event: &UserEvent| event.value.clone());
    let aggregate = (Count::<UserEvent>::new(), sum);
    let aggregate = aggregate.map_value(|(events, value)| UserWindow { events, value });
    let view = View::new("user_windows", 1, aggregate).source(topic, by_user);
    view.windowed_by(windows)
}

/// A record is one event, by its user and at its own time.
fn by_user(record: Record<(), UserEvent>) -> [Keyed<String, UserEvent>; 1] {
    let mut event = record.value;
    let time = event.time();
    // The aggregates do not ask for it.
    let user = std::mem::take(&mut event.user_id);
    let keyed = Keyed::new(user, event);
    [match time {
        Some(time) => keyed.at(time),
        None => keyed,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::Place;

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
        assert_eq!(own.value.to_string(), "99.99");
        let times = [
            (r#""2023-01-01 10:05:00""#, Some(1_672_567_500_000)),
            (r#""2023-01-01T11:05:00+01:00""#, Some(1_672_567_500_000)),
            ("1672567500000", Some(1_672_567_500_000)),
            ("-5", Some(-5)),
            ("1672567500000.0", Some(1_672_567_500_000)),
            ("1672567500000.987", Some(1_672_567_500_000)),
            ("1.6725675e12", Some(1_672_567_500_000)),
            ("-0.5", Some(-1)),
            ("1e30", None),
            ("1e999", None),
            (r#""1672567500000""#, None),
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

    /// What nobody wants of an event need not be text; what is wanted has to be.
    #[test]
    fn bytes_that_are_no_text_are_refused_where_they_count() {
        let read = |bytes: &[u8]| UserEvent::decode(Payload::new(Some(bytes))).is_ok();
        assert!(read(b"{\"user_id\":\"a\",\"note\":\"\xff\"}"));
        assert!(!read(b"{\"user_id\":\"\xff\"}"));
        assert!(!read(b"{\"user_id\":\"a\",\"timestamp\":\"\xff\"}"));
    }

    /// Whatever was given is shown as it was given.
    #[test]
    fn what_was_given_is_written_as_it_was() {
        let given = [
            "\"2023-01-01T10:05:00\"",
            "\"\"",
            "\"\u{7f} \u{e9}\u{1f30a}/\"",
            r#""a\u0041\n""#,
            r#""\"""#,
            "1.50",
            "-0",
            "null",
            "[1, 2]",
        ];
        for json in given {
            let own = Given(json.into());
            assert_eq!(serde_json::to_string(&own).unwrap(), json);
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_value(&own).unwrap(), value, "{json}");
        }
    }

    fn totals(events: &[(i64, &str)]) -> String {
        let view = user_totals("events");
        let aggregate = view.aggregate();
        let mut state = aggregate.empty();
        for ((time, timestamp), offset) in events.iter().zip(0..) {
            let event = event(&format!(r#"{{"user_id":"a",{timestamp}"value":1}}"#)).unwrap();
            let place = Place {
                time: *time,
                offset,
                ..Place::default()
            };
            aggregate.add(&event, place, &mut state);
        }
        let value = aggregate.value(&state);
        assert_eq!(value.last_event, value.last_event_time);
        let json = |stamp: &Option<Given>| serde_json::to_string(stamp).unwrap();
        format!("{} {}", json(&value.first_event), json(&value.last_event))
    }

    #[test]
    fn timestamps_are_shown_as_they_were_given() {
        for stamp in [
            r#""2023-01-01T10:05:00""#,
            "1672567500000.10",
            "1e12",
            "12345678901234567890123",
            r#"{"b":1, "a":2}"#,
            "0",
            "false",
        ] {
            let shown = totals(&[(7, &format!("\"timestamp\":{stamp},"))]);
            assert_eq!(shown, format!("{stamp} {stamp}"));
        }
    }

    /// As the document does it: the first one is the first that there is, the last one is the last event's.
    #[test]
    fn events_without_a_timestamp() {
        let (one, two) = (r#""timestamp":1,"#, r#""timestamp":2,"#);
        assert_eq!(totals(&[]), "null null");
        for none in ["", r#""timestamp":null,"#] {
            assert_eq!(totals(&[(5, none)]), "null null");
            assert_eq!(totals(&[(5, none), (6, one), (7, two)]), "1 2");
            assert_eq!(totals(&[(5, one), (6, two), (7, none)]), "1 null");
        }
        let long = format!(r#""timestamp":"{}","#, "x".repeat(300));
        assert_eq!(totals(&[(5, &long)]), "null null");
    }
}
