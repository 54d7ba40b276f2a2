//! What a batch run has read of one partition and not yet written.

use std::sync::Arc;

use bytes::Bytes;
use tidemark_client::TopicPartition;
use tidemark_client::consumer::{Batch, RecordRef};

use crate::data::{Data, DataError, Payload};
use crate::record::Headers;
use crate::serving::Tally;
use crate::serving::aggregate::{Aggregate, State};
use crate::serving::kept::Kept;
use crate::serving::snapshot::{Pieces, States};
use crate::serving::view::{Raw, Scratch, View};
use crate::state::table::{Hash, KeyHasher, Table};

/// So many events are brought into the states at once.
const AT_ONCE: usize = 64;

/// States of a range of a partition.
pub(crate) struct Delta<K, A: Aggregate> {
    view: Arc<View<K, A>>,
    topic: usize,
    partition: TopicPartition,
    hasher: KeyHasher,
    states: Table<Kept<A::State>>,
    /// Events that are not in the states yet.
    read: Scratch<K, A::Event>,
    hashes: Vec<Hash>,
    /// What has gone into it.
    pub(crate) tally: Tally,
    /// About how many bytes states take beside the table: as many as they have when they are written.
    beside: usize,
    bytes: Vec<u8>,
}

impl<K: Data, A: Aggregate> Delta<K, A> {
    /// Of that partition of the view's topic with that number.
    pub(crate) fn new(
        view: Arc<View<K, A>>,
        topic: usize,
        partition: TopicPartition,
        seed: u64,
    ) -> Self {
        Self {
            view,
            topic,
            partition,
            hasher: KeyHasher::new(seed),
            states: Table::default(),
            read: Scratch::default(),
            hashes: Vec::new(),
            tally: Tally::default(),
            beside: 0,
            bytes: Vec::new(),
        }
    }

    /// Takes a record in; gives the time of its first event, or else its timestamp: the day that it is of.
    pub(crate) fn add(&mut self, record: &RecordRef<'_>, buffer: &Bytes) -> i64 {
        let raw = raw(self.partition.partition, record, buffer);
        self.tally.record(record.offset);
        let before = self.read.places().len();
        if self.view.take_in(self.topic, &raw, &mut self.read).is_err() {
            self.tally.bad();
        }
        let mut first = None;
        // In a window or not: which it is of is found out when it is brought into the states.
        for place in &self.read.places()[before..] {
            first.get_or_insert(place.time);
            self.tally.time(place.time);
        }
        if self.read.places().len() >= AT_ONCE {
            self.settle();
        }
        first.unwrap_or(record.timestamp)
    }

    /// Brings into the states what has been read: many events at once, so that the states, which lie
    /// anywhere, are brought near all at once.
    fn settle(&mut self) {
        let (hashes, hasher) = (&mut self.hashes, &self.hasher);
        hashes.clear();
        self.view
            .tell(&mut self.read, |key, _, _| hashes.push(hasher.hash(key)));
        self.states.touch(hashes);
        let aggregate = self.view.aggregate();
        let (states, mut hashes) = (&mut self.states, hashes.iter());
        self.view.tell(&mut self.read, |key, place, event| {
            let hash = hashes.next().copied();
            let slot = states.slot(hash.unwrap_or_else(|| hasher.hash(key)), key);
            states.change(slot, |slot| {
                slot.stamp(place.time);
                let state = &mut slot.value;
                let state = state.get_or_insert_with(|| Kept(aggregate.empty()));
                aggregate.add(event, place, &mut state.0);
            });
        });
        self.read.truncate(0);
    }

    /// About how many bytes all of it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.states.bytes() + self.beside
    }

    /// Looks how large states are that hold more than the table knows of.
    pub(crate) fn measure(&mut self) {
        const SAMPLE: usize = 256;
        self.settle();
        if !std::mem::needs_drop::<A::State>() || self.states.len() == 0 {
            return;
        }
        let slots = self.states.slots();
        let every = (slots / SAMPLE).max(1);
        let (mut sum, mut count) = (0, 0);
        let sample = (0..slots).step_by(every);
        for (_, state, _) in sample.filter_map(|slot| self.states.at(slot as u32)) {
            self.bytes.clear();
            state.0.encode(&mut self.bytes);
            (sum, count) = (sum + self.bytes.len(), count + 1);
        }
        self.beside = sum / count * self.states.len();
    }

    /// All states in the order of their keys, and nothing is left here.
    pub(crate) fn take_sorted(&mut self) -> Computed<A::State> {
        self.settle();
        let states = std::mem::take(&mut self.states);
        self.beside = 0;
        // Their keys beside each other: where the states lie each would have to be waited for.
        let mut keys = Pieces::default();
        let mut all = Vec::with_capacity(states.len());
        for slot in 0..states.slots() as u32 {
            if let Some((key, ..)) = states.at(slot) {
                all.push((keys.len() as u32, slot));
                keys.push_with(|bytes| bytes.extend_from_slice(key));
            }
        }
        let (key, view) = (|at: u32| keys.get(at as usize), &self.view);
        all.sort_unstable_by(|a, b| view.order(key(a.0), key(b.0)));
        let order = all.into_iter().map(|(_, slot)| slot).collect();
        Computed { states, order }
    }
}

/// States as they have been computed, in the order of their keys.
pub(crate) struct Computed<S> {
    states: Table<Kept<S>>,
    /// Their slots.
    order: Vec<u32>,
}

impl<S: State> Computed<S> {
    /// The state with that number, and its key.
    pub(super) fn get(&self, at: usize) -> Option<(&[u8], &S)> {
        let (key, state, _) = self.states.at(*self.order.get(at)?)?;
        Some((key, &state.0))
    }

    /// The state with that number is needed soon: where it lies has nothing to do with its key.
    pub(super) fn bring_near(&self, at: usize) {
        if let Some(slot) = self.order.get(at) {
            self.states.bring_one_near(*slot);
        }
    }

    /// Their bytes.
    pub(crate) fn encoded(&self) -> States {
        let mut states = States::default();
        for (key, state) in (0..self.order.len()).filter_map(|at| self.get(at)) {
            states.keys.push_with(|bytes| bytes.extend_from_slice(key));
            states.states.push_with(|bytes| state.encode(bytes));
        }
        states
    }
}

/// A record as views read it.
pub(crate) fn raw<'a>(partition: i32, record: &RecordRef<'a>, buffer: &'a Bytes) -> Raw<'a> {
    Raw {
        partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: Payload::within(record.key(), buffer),
        value: Payload::within(record.value(), buffer),
        headers: headers(record),
    }
}

fn headers(record: &RecordRef<'_>) -> Headers {
    if record.header_count() == 0 {
        return Headers::default();
    }
    let copy = Bytes::copy_from_slice;
    let headers = record.headers();
    Headers::new(
        headers
            .map(|header| (copy(header.key), header.value.map(copy)))
            .collect(),
    )
}

/// Tells the records of batches with offsets in `[from, to)`.
pub(crate) fn records(
    partition: &TopicPartition,
    batches: &[Batch],
    (from, to): (i64, i64),
    mut tell: impl FnMut(&RecordRef<'_>, &Bytes) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for batch in batches {
        let failed = |error: &dyn std::fmt::Display| {
            DataError::new(format!(
                "{partition} at offset {}: {error}",
                batch.first_offset()
            ))
        };
        let mut reader = batch.reader(partition).map_err(|error| failed(&error))?;
        while let Some(next) = reader.next() {
            let (record, buffer) = next.map_err(|error| failed(&error))?;
            if (from..to).contains(&record.offset) {
                tell(&record, buffer)?;
            }
        }
    }
    Ok(())
}
