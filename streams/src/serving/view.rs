//! Views: which records of which topics are aggregated how.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::Place;
use super::aggregate::Aggregate;
use super::snapshot::is_name;
use crate::data::{Data, DataError, Payload};
use crate::record::{Headers, Record};
use crate::time::TimeWindows;
use crate::topology::fnv;

/// Says how source topics become aggregates by key: the same for the batch layer and the speed layer, which
/// both read records with it.
///
/// ```
/// use tidemark_streams::Json;
/// use tidemark_streams::serving::aggregate::Count;
/// use tidemark_streams::serving::{Keyed, View};
///
/// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// # struct Event { user_id: String }
/// let view = View::new("events_of_users", 1, Count::<Json<Event>>::new())
///     .source("user_events", |record: tidemark_streams::Record<(), Json<Event>>| {
///         [Keyed::new(record.value.0.user_id.clone(), record.value)]
///     });
/// assert_eq!(view.name(), "events_of_users");
/// ```
pub struct View<K, A: Aggregate> {
    name: String,
    version: u32,
    topics: Vec<Topic<K, A::Event>>,
    windows: Option<TimeWindows>,
    delay: i64,
    aggregate: A,
    key: PhantomData<fn() -> K>,
}

/// A source topic and how its records are read.
struct Topic<K, E> {
    name: String,
    /// The types of its keys and values, in words.
    format: String,
    read: Arc<Read<K, E>>,
}

type Read<K, E> = dyn Fn(&Raw<'_>, &mut Vec<Keyed<K, E>>) -> Result<(), DataError> + Send + Sync;

/// What records are read as, in words: nothing is said of bytes and of what is not looked at.
fn format_of(key: &str, value: &str) -> String {
    match (key, value) {
        ("", value) => value.to_owned(),
        (key, "") => format!("key: {key}"),
        (key, value) => format!("key: {key}, {value}"),
    }
}

/// An event, and the key whose aggregate it goes into.
#[derive(Clone, Debug)]
pub struct Keyed<K, E> {
    key: K,
    event: E,
    time: Option<i64>,
}

impl<K, E> Keyed<K, E> {
    /// An event whose time is its record's timestamp.
    pub fn new(key: K, event: E) -> Self {
        Self {
            key,
            event,
            time: None,
        }
    }

    /// The same with a time of its own, in milliseconds since 1970: what the payload says, say.
    #[must_use]
    pub fn at(mut self, time: i64) -> Self {
        self.time = Some(time);
        self
    }
}

/// A record as it is in the log.
#[derive(Clone, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Payload<'a>,
    pub(crate) value: Payload<'a>,
    pub(crate) headers: Headers,
}

/// The events of records that have been read. Its memory is used again and again.
pub(crate) struct Scratch<K, E> {
    events: Vec<Keyed<K, E>>,
    places: Vec<Place>,
    /// The keys of the events, one behind the other.
    keys: Vec<u8>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
    name: Vec<u8>,
}

impl<K, E> Default for Scratch<K, E> {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            places: Vec::new(),
            keys: Vec::new(),
            ends: Vec::new(),
            bytes: Vec::new(),
            name: Vec::new(),
        }
    }
}

impl<K, E> Scratch<K, E> {
    /// Takes all events out but for so many.
    pub(crate) fn truncate(&mut self, events: usize) {
        self.events.truncate(events);
        self.places.truncate(events);
        self.ends.truncate(events);
        self.keys.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Where the events are, each at its own time.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }
}

/// Why a view cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("view {view:?}: {problem}")]
pub struct BadView {
    view: String,
    problem: String,
}

impl<K: Data, A: Aggregate> View<K, A> {
    /// A view without a source yet. What it computes is told apart by its version: give it a new one
    /// whenever closures of it change, so that snapshots that were computed otherwise are not used.
    pub fn new(name: &str, version: u32, aggregate: A) -> Self {
        Self {
            name: name.to_owned(),
            version,
            topics: Vec::new(),
            windows: None,
            delay: 0,
            aggregate,
            key: PhantomData,
        }
    }

    /// Reads a topic, too. A record may be none, one or several events; one that does not decode, or of
    /// which a key is null, is counted as a bad one and is in no state.
    ///
    /// The closure must not look at anything but the record: it is called for each record more than once,
    /// at different times, by different layers.
    #[must_use]
    pub fn source<RK, RV, F, I>(mut self, topic: &str, events: F) -> Self
    where
        RK: Data,
        RV: Data,
        F: Fn(Record<RK, RV>) -> I + Send + Sync + 'static,
        I: IntoIterator<Item = Keyed<K, A::Event>>,
    {
        let read = move |raw: &Raw<'_>, into: &mut Vec<Keyed<K, A::Event>>| {
            let key = RK::decode(raw.key)?;
            let value = RV::decode(raw.value)?;
            let mut record = Record::new(key, value, raw.timestamp);
            record.headers = raw.headers.clone();
            into.extend(events(record));
            Ok(())
        };
        self.topics.push(Topic {
            name: topic.to_owned(),
            format: format_of(&RK::format(), &RV::format()),
            read: Arc::new(read),
        });
        self
    }

    /// One aggregate for each window of a key. A window takes events for ever: dropping late ones would
    /// make the answer a matter of when they came. So windows with an allowed lateness are refused.
    #[must_use]
    pub fn windowed_by(mut self, windows: TimeWindows) -> Self {
        self.windows = Some(windows);
        self
    }

    /// By how much events may come out of order: a window counts as final when an event that is so much
    /// later has come in every partition that has had one. Default: not at all.
    #[must_use]
    pub fn watermark_delay(mut self, delay: Duration) -> Self {
        self.delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its windows, if it has some.
    #[must_use]
    pub fn windows(&self) -> Option<TimeWindows> {
        self.windows
    }

    /// How it aggregates.
    #[must_use]
    pub fn aggregate(&self) -> &A {
        &self.aggregate
    }

    /// The topics that it reads, in the order in which they were added.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(|topic| &*topic.name)
    }

    /// What it computes, in words. Snapshots with other words are another view's.
    #[must_use]
    pub fn definition(&self) -> String {
        let topics = self.topics.iter();
        let topics = topics.map(|topic| match &*topic.format {
            "" => topic.name.clone(),
            format => format!("{} ({format})", topic.name),
        });
        let topics: Vec<_> = topics.collect();
        let windows = match &self.windows {
            Some(windows) => format!(", {windows}"),
            None => String::new(),
        };
        format!(
            "{} version {}: {} by {}{windows}, of {}",
            self.name,
            self.version,
            self.aggregate.describe(),
            K::format(),
            topics.join(", ")
        )
    }

    /// A number that stands for [`Self::definition`], in hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", fnv(self.definition().as_bytes()))
    }

    /// What is wrong with it, if something is.
    pub(crate) fn check(&self) -> Result<(), BadView> {
        let bad = |problem: String| {
            Err(BadView {
                view: self.name.clone(),
                problem,
            })
        };
        if !is_name(&self.name) {
            return bad("a view's name has 1 to 100 letters, digits, '.', '_' and '-'".to_owned());
        }
        if self.topics.is_empty() {
            return bad("it reads no topic: add one with `source`".to_owned());
        }
        for (at, topic) in self.topics.iter().enumerate() {
            if self.topics[..at]
                .iter()
                .any(|other| other.name == topic.name)
            {
                return bad(format!("it reads topic {} twice", topic.name));
            }
        }
        let Some(windows) = &self.windows else {
            return Ok(());
        };
        if let Some(problem) = windows.problem() {
            return bad(problem);
        }
        if windows.grace != 0 {
            return bad(
                "windows take late events for ever, so `allowed_lateness` would change nothing: leave it out. \
                 When a window counts as final is a matter of `watermark_delay`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Reads a record of the topic with that number: `each` gets the key, with the window's start behind it
    /// in views by window, the event's place and the event. All of a record's events come, or none and an
    /// error.
    pub(crate) fn read(
        &self,
        topic: usize,
        raw: &Raw<'_>,
        scratch: &mut Scratch<K, A::Event>,
        each: impl FnMut(&[u8], Place, &A::Event),
    ) -> Result<(), DataError> {
        scratch.truncate(0);
        self.take_in(topic, raw, scratch)?;
        self.tell(scratch, each);
        Ok(())
    }

    /// Reads a record, and adds its events to those that there are; none if it cannot be read.
    pub(crate) fn take_in(
        &self,
        topic: usize,
        raw: &Raw<'_>,
        scratch: &mut Scratch<K, A::Event>,
    ) -> Result<(), DataError> {
        let before = scratch.ends.len();
        let taken = self.add_events(topic, raw, scratch);
        if taken.is_err() {
            scratch.truncate(before);
        }
        taken
    }

    fn add_events(
        &self,
        topic: usize,
        raw: &Raw<'_>,
        scratch: &mut Scratch<K, A::Event>,
    ) -> Result<(), DataError> {
        (self.topics[topic].read)(raw, &mut scratch.events)?;
        for keyed in &scratch.events[scratch.ends.len()..] {
            scratch.bytes.clear();
            let key = keyed.key.encode(&mut scratch.bytes)?;
            let key = key.ok_or_else(|| DataError::new("a key that is null"))?;
            scratch.keys.extend_from_slice(key);
            scratch.ends.push(scratch.keys.len());
            scratch.places.push(Place {
                time: keyed.time.unwrap_or(raw.timestamp),
                topic: topic as u32,
                partition: raw.partition,
                offset: raw.offset,
            });
        }
        Ok(())
    }

    /// Tells all events that have been read, each with the key whose state it goes into: one for each window.
    pub(crate) fn tell(
        &self,
        scratch: &mut Scratch<K, A::Event>,
        mut each: impl FnMut(&[u8], Place, &A::Event),
    ) {
        let mut begin = 0;
        let events = scratch
            .events
            .iter()
            .zip(&scratch.places)
            .zip(&scratch.ends);
        for ((keyed, place), end) in events {
            let key = &scratch.keys[begin..*end];
            begin = *end;
            let Some(windows) = &self.windows else {
                each(key, *place, &keyed.event);
                continue;
            };
            for start in windows.starts(place.time) {
                scratch.name.clear();
                scratch.name.extend_from_slice(key);
                scratch.name.extend_from_slice(&start.to_be_bytes());
                each(&scratch.name, *place, &keyed.event);
            }
        }
    }

    /// The key's own bytes, and the start of its window.
    pub(crate) fn split<'a>(&self, name: &'a [u8]) -> (&'a [u8], Option<i64>) {
        split(self.windows.is_some(), name)
    }

    /// Whether a key's window has passed when an event of that time has come everywhere.
    pub(crate) fn is_final(&self, name: &[u8], time: Option<i64>) -> bool {
        match (self.window(name), time) {
            (Some((_, end)), Some(time)) => end <= time.saturating_sub(self.delay),
            _ => false,
        }
    }

    /// Where a key's window starts, and where it ends.
    pub(crate) fn window(&self, name: &[u8]) -> Option<(i64, i64)> {
        let (_, start) = self.split(name);
        let start = start?;
        let size = self.windows.map_or(0, |windows| windows.size);
        Some((start, start.saturating_add(size)))
    }

    /// The order of keys: by the type's order, then by the start of the window.
    pub(crate) fn order(&self, a: &[u8], b: &[u8]) -> Ordering {
        order::<K>(self.windows.is_some(), a, b)
    }

    /// A key as people are shown it: text as it is, everything else as JSON.
    pub(crate) fn shown(&self, key: &[u8]) -> serde_json::Value {
        match K::decode(Payload::new(Some(key))) {
            Ok(key) => key.to_json(),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        }
    }
}

/// A key's own bytes, and the start of its window in views by window.
pub(crate) fn split(windowed: bool, name: &[u8]) -> (&[u8], Option<i64>) {
    match name.split_last_chunk::<8>() {
        Some((key, start)) if windowed => (key, Some(i64::from_be_bytes(*start))),
        _ => (name, None),
    }
}

/// The one order of keys.
pub(crate) fn order<K: Data>(windowed: bool, a: &[u8], b: &[u8]) -> Ordering {
    let ((a, first), (b, second)) = (split(windowed, a), split(windowed, b));
    // Keys that the type's order takes for equal are not the same key for that.
    K::order(a, b)
        .then_with(|| a.cmp(b))
        .then(first.cmp(&second))
}

#[cfg(test)]
mod tests;
