//! Compares what a server answers, page by page, with the log.
//!
//! Each page has a coverage of its own, since the server goes on meanwhile. Coverage only grows, so the log is
//! read once: up to the first page's coverage, then on to the second one's, and so on. What the log makes of
//! the keys of a page is then what the page has to show.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidemark_client::consumer::RecordRef;
use tidemark_client::{Client, Clock, TopicPartition};

use super::reading::{Reading, Wanted, check_range, find_records, uncovered};
use super::{Difference, MOST, Verdict, VerifyError};
use crate::data::Data;
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;
use crate::serving::batch::{KafkaLog, Log, TopicBounds, raw};
use crate::serving::view::{Scratch, View, order};

/// A page of `GET /views/VIEW/keys`.
#[derive(Clone, Debug, Deserialize)]
pub struct ServedPage {
    /// In order.
    pub(super) rows: Vec<Row>,
    pub(super) next: Option<String>,
    pub(super) begin: Coverage,
    pub(super) coverage: Coverage,
    pub(super) snapshot: Option<u64>,
}

/// A key of a page.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Row {
    pub(super) key: serde_json::Value,
    #[serde(default)]
    pub(super) window: Option<Window>,
    /// Digit by digit.
    pub(super) value: Box<RawValue>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Window {
    pub(super) start: i64,
}

impl ServedPage {
    /// Reads a page.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn from_json(json: &[u8]) -> Result<Self, VerifyError> {
        serde_json::from_slice(json).map_err(|error| bad(format!("one cannot be read: {error}")))
    }

    /// What to ask with for the next page, as `next`; `None` on the last one.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Up to where it has everything. Pages behind it must have no less: ask for them with it, as `at_least`.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }
}

fn bad(reason: String) -> VerifyError {
    VerifyError::Pages { reason }
}

/// Compares the pages of a server with the log of a cluster. Holds the states of all keys in memory.
pub struct VerifyServed<K, A: Aggregate>(Served<K, A, KafkaLog>);

impl<K: Data, A: Aggregate> VerifyServed<K, A> {
    /// Nothing has been compared yet.
    #[must_use]
    pub fn new(view: Arc<View<K, A>>, client: Arc<Client>, clock: Clock) -> Self {
        Self(Served::new(view, KafkaLog { client, clock }))
    }

    /// Takes the next page of all keys, the first one first: reads the log up to the page's coverage, and
    /// compares.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] if it cannot be compared. Differences are no error.
    pub async fn page(&mut self, page: &ServedPage) -> Result<(), VerifyError> {
        self.0.page(page).await
    }

    /// How far it is: keys that have been compared, and records that have been read.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.0.verdict.keys, self.0.verdict.records)
    }

    /// What has come of it, when the last page has been taken.
    ///
    /// # Errors
    ///
    /// If there are pages to come, or the log cannot be read.
    pub async fn end(self) -> Result<Verdict, VerifyError> {
        self.0.end().await
    }
}

/// A key, and its window's start in views by window, in the order of the view's keys.
struct Name<K> {
    bytes: Vec<u8>,
    windowed: bool,
    key: PhantomData<fn() -> K>,
}

impl<K: Data> Ord for Name<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        order::<K>(self.windowed, &self.bytes, &other.bytes)
    }
}

impl<K: Data> PartialOrd for Name<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Data> PartialEq for Name<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Data> Eq for Name<K> {}

/// The same with whatever log.
pub(super) struct Served<K, A: Aggregate, L: Log> {
    view: Arc<View<K, A>>,
    log: L,
    bounds: Vec<TopicBounds>,
    /// Of the first page.
    begin: Option<Coverage>,
    /// With the numbers of their topics.
    readings: Vec<(usize, Reading<L::Reader>)>,
    states: States<K, A>,
    /// The last key of the page before.
    after: Option<Vec<u8>>,
    whole: bool,
    verdict: Verdict,
    wanted: Vec<Wanted>,
}

/// What the log makes of all keys.
struct States<K, A: Aggregate> {
    of: BTreeMap<Name<K>, A::State>,
    scratch: Scratch<K, A::Event>,
    /// A key that is looked for.
    bytes: Vec<u8>,
}

impl<K: Data, A: Aggregate> States<K, A> {
    fn add(
        &mut self,
        view: &View<K, A>,
        number: usize,
        partition: &TopicPartition,
        record: &RecordRef<'_>,
        buffer: &Bytes,
    ) {
        let raw = raw(partition.partition, record, buffer);
        let windowed = view.windows().is_some();
        let (of, bytes) = (&mut self.of, &mut self.bytes);
        let added = |key: &[u8], place, event: &A::Event| {
            let mut own = std::mem::take(bytes);
            own.clear();
            own.extend_from_slice(key);
            let name = Name {
                bytes: own,
                windowed,
                key: PhantomData,
            };
            let aggregate = view.aggregate();
            if let Some(state) = of.get_mut(&name) {
                aggregate.add(event, place, state);
                *bytes = name.bytes;
            } else {
                let mut state = aggregate.empty();
                aggregate.add(event, place, &mut state);
                of.insert(name, state);
            }
        };
        // What does not decode is in no state.
        let _ = view.read(number, &raw, &mut self.scratch, added);
    }
}

impl<K: Data, A: Aggregate, L: Log> Served<K, A, L> {
    pub(super) fn new(view: Arc<View<K, A>>, log: L) -> Self {
        Self {
            view,
            log,
            bounds: Vec::new(),
            begin: None,
            readings: Vec::new(),
            states: States {
                of: BTreeMap::new(),
                scratch: Scratch::default(),
                bytes: Vec::new(),
            },
            after: None,
            whole: false,
            verdict: Verdict::default(),
            wanted: Vec::new(),
        }
    }

    pub(super) async fn page(&mut self, page: &ServedPage) -> Result<(), VerifyError> {
        if self.whole {
            return Err(bad("there is one behind the last one".to_owned()));
        }
        let last = self.last_key(page)?;
        self.begin(page)?;
        self.read_up_to(page).await?;
        self.compare(page, last.as_deref())?;
        self.whole = last.is_none();
        self.after = last;
        self.verdict.coverage = page.coverage.clone();
        self.verdict.snapshot = page.snapshot;
        Ok(())
    }

    /// The last key of a page; `None` on the last page.
    fn last_key(&self, page: &ServedPage) -> Result<Option<Vec<u8>>, VerifyError> {
        let Some(next) = &page.next else {
            return Ok(None);
        };
        let last = URL_SAFE_NO_PAD.decode(next);
        let last = last.map_err(|error| bad(format!("next={next:?}: {error}")))?;
        let on = |after: &Vec<u8>| self.view.order(after, &last).is_lt();
        match self.after.as_ref().is_none_or(on) {
            true => Ok(Some(last)),
            false => Err(bad(format!("next={next:?} does not lead on"))),
        }
    }

    /// All pages begin where the first one does.
    fn begin(&mut self, page: &ServedPage) -> Result<(), VerifyError> {
        if let Some(begin) = &self.begin {
            return match *begin == page.begin {
                true => Ok(()),
                false => Err(bad(format!(
                    "answers begin at {begin}, and then at {}: a snapshot that was computed from scratch has \
                     come in between. Try again",
                    page.begin
                ))),
            };
        }
        for (topic, partition, _) in page.coverage.iter() {
            let partition = TopicPartition::new(topic, partition);
            let Some(number) = self.view.topics().position(|own| own == topic) else {
                let topics = self.view.topics().map(str::to_owned).collect();
                return Err(VerifyError::Unknown { partition, topics });
            };
            let from = page.begin.get(topic, partition.partition);
            self.readings.push((number, Reading::new(partition, from)));
        }
        self.begin = Some(page.begin.clone());
        self.verdict.begin = page.begin.clone();
        Ok(())
    }

    /// Reads the log on to where a page ends.
    async fn read_up_to(&mut self, page: &ServedPage) -> Result<(), VerifyError> {
        let ends = |own: &Coverage| -> Vec<(String, i32)> {
            let partitions = own.iter();
            partitions
                .map(|(topic, partition, _)| (topic.to_owned(), partition))
                .collect()
        };
        let before = self.verdict.coverage.clone();
        if !before.is_empty() && ends(&before) != ends(&page.coverage) {
            return Err(bad(format!(
                "they cover {before}, and then {}: partitions have come or gone. Try again",
                page.coverage
            )));
        }
        self.check(page).await?;
        for (number, reading) in &mut self.readings {
            let partition = reading.partition();
            let to = page.coverage.get(&partition.topic, partition.partition);
            if to < reading.position() && !before.is_empty() {
                return Err(bad(format!(
                    "{partition} was covered up to {}, and then up to {to} only: the server has begun anew. \
                     Try again",
                    reading.position()
                )));
            }
            let (states, view, count) = (&mut self.states, &self.view, &mut self.verdict.records);
            let tell = |partition: &TopicPartition, record: &RecordRef<'_>, buffer: &Bytes| {
                *count += 1;
                states.add(view, *number, partition, record, buffer);
            };
            reading.up_to(&self.log, to, tell).await?;
        }
        Ok(())
    }

    /// The page covers every partition, and the log has what it covers. It may have grown since it was looked
    /// at last.
    async fn check(&mut self, page: &ServedPage) -> Result<(), VerifyError> {
        let check = |bounds: &[TopicBounds]| {
            let covers = |topic: &str, number| page.coverage.find(topic, number).is_some();
            if let Some(partition) = uncovered(bounds, covers).next() {
                return Err(VerifyError::Uncovered { partition });
            }
            let mut all = page.coverage.iter();
            all.try_for_each(|(topic, number, to)| {
                let begin = page.begin.get(topic, number);
                check_range(bounds, &TopicPartition::new(topic, number), (begin, to))
            })
        };
        if !self.bounds.is_empty() && check(&self.bounds).is_ok() {
            return Ok(());
        }
        let topics: Vec<String> = self.view.topics().map(str::to_owned).collect();
        self.bounds = self.log.bounds(&topics).await?;
        check(&self.bounds)
    }

    fn name(&self, bytes: &[u8]) -> Name<K> {
        Name {
            bytes: bytes.to_vec(),
            windowed: self.view.windows().is_some(),
            key: PhantomData,
        }
    }

    /// Compares the rows of a page with all keys that it has to show.
    fn compare(&mut self, page: &ServedPage, last: Option<&[u8]>) -> Result<(), VerifyError> {
        let mut rows: BTreeMap<(String, Option<i64>), &Row> = BTreeMap::new();
        for row in &page.rows {
            let shown = (row.key.to_string(), row.window.map(|window| window.start));
            if rows.insert(shown, row).is_some() {
                return Err(bad(format!("key {} is there twice", row.key)));
            }
        }
        let after = self.after.as_deref().map(|after| self.name(after));
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let last = last.map(|last| self.name(last));
        let last = last.map_or(Bound::Unbounded, Bound::Included);
        let (mut keys, mut different) = (0, Vec::new());
        for (name, state) in self.states.of.range((after, last)) {
            let (key, window) = self.view.split(&name.bytes);
            let key = self.view.shown(key);
            let row = rows.remove(&(key.to_string(), window));
            let found = row.map(|row| row.value.get());
            let expected = self.value(state);
            keys += 1;
            if found != Some(&*expected) {
                let found = found.map(str::to_owned);
                let expected = Some(expected);
                different.push((name.bytes.clone(), key, window, found, expected));
            }
        }
        for ((_, window), row) in rows {
            keys += 1;
            let found = Some(row.value.get().to_owned());
            different.push((Vec::new(), row.key.clone(), window, found, None));
        }
        self.verdict.keys += keys;
        self.verdict.different += different.len() as u64;
        for (name, key, window, found, expected) in different {
            if self.verdict.differences.len() >= MOST {
                self.verdict.more += 1;
                continue;
            }
            // What the log has nothing of has no records there.
            let until = match &expected {
                Some(_) => page.coverage.clone(),
                None => Coverage::new(),
            };
            self.verdict.differences.push(Difference {
                key,
                window,
                partition: None,
                found,
                expected,
                records: Vec::new(),
                more_records: 0,
            });
            self.wanted.push(Wanted { name, until });
        }
        Ok(())
    }

    fn value(&self, state: &A::State) -> String {
        let value = self.view.aggregate().value(state);
        let written = serde_json::to_string(&value);
        written.unwrap_or_else(|error| format!("a value that cannot be shown: {error}"))
    }

    pub(super) async fn end(mut self) -> Result<Verdict, VerifyError> {
        if !self.whole {
            return Err(bad("the last one is missing".to_owned()));
        }
        let begin = self.begin.take().unwrap_or_default();
        let ranges: Vec<_> = self
            .readings
            .into_iter()
            .map(|(number, reading)| {
                let partition = reading.partition().clone();
                let from = begin.get(&partition.topic, partition.partition);
                let to = reading.position();
                (number, partition, (from, to))
            })
            .collect();
        let found = find_records(&self.view, &self.log, &ranges, &self.wanted);
        let found = found.await?;
        for (difference, records) in self.verdict.differences.iter_mut().zip(found) {
            (difference.records, difference.more_records) = (records.first, records.more);
        }
        Ok(self.verdict)
    }
}
