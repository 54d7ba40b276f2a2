//! What a task wants written.

use std::ops::Range;
use std::sync::Arc;

use crate::record::Headers;

/// A topic's place in an [`Outbox`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TopicId(pub(crate) u32);

/// Records for topics, in the order in which they were made. Keys and values lie one after the other
/// in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    topics: Arc<Vec<(Arc<str>, u32)>>,
    bytes: Vec<u8>,
    records: Vec<Entry>,
    /// Bytes of records that are held back until a commit: they lie in stores.
    held: usize,
}

#[derive(Debug)]
struct Entry {
    topic: TopicId,
    partition: Option<u32>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    timestamp: Option<i64>,
    headers: Headers,
}

/// A record that waits to be written.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a Arc<str>,
    /// `None` leaves it to the producer's partitioner.
    pub(crate) partition: Option<u32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// `None` for the time at which it is written.
    pub(crate) timestamp: Option<i64>,
    pub(crate) headers: &'a Headers,
}

impl Outbox {
    /// A topic that is written to, and how many partitions it has; the same topic is the same one.
    pub(crate) fn topic(&mut self, name: &Arc<str>, partitions: u32) -> TopicId {
        let known = self.topics.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or_else(|| {
            let topics = Arc::make_mut(&mut self.topics);
            topics.push((Arc::clone(name), partitions));
            topics.len() - 1
        });
        TopicId(at as u32)
    }

    pub(crate) fn name(&self, topic: TopicId) -> &Arc<str> {
        &self.topics[topic.0 as usize].0
    }

    pub(crate) fn partitions(&self, topic: TopicId) -> u32 {
        self.topics[topic.0 as usize].1
    }

    #[inline]
    pub(crate) fn push(
        &mut self,
        topic: TopicId,
        partition: Option<u32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: impl Into<Option<i64>>,
        headers: Headers,
    ) {
        let key = key.map(|bytes| self.put(bytes));
        let value = value.map(|bytes| self.put(bytes));
        self.records.push(Entry {
            topic,
            partition,
            key,
            value,
            timestamp: timestamp.into(),
            headers,
        });
    }

    fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// How many records wait.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Counts a record that is held back until the next commit.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.held += bytes;
    }

    /// Nothing is held back any more.
    pub(crate) fn let_go(&mut self) {
        self.held = 0;
    }

    /// How many bytes are held back.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// How many bytes of keys and values wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The record at that place.
    pub(crate) fn get(&self, at: usize) -> Option<Outgoing<'_>> {
        let entry = self.records.get(at)?;
        Some(Outgoing {
            topic: self.name(entry.topic),
            partition: entry.partition,
            key: entry.key.clone().map(|range| &self.bytes[range]),
            value: entry.value.clone().map(|range| &self.bytes[range]),
            timestamp: entry.timestamp,
            headers: &entry.headers,
        })
    }

    /// Moves the records to an empty outbox, and takes its room in return.
    pub(crate) fn swap(&mut self, empty: &mut Self) {
        empty.topics = Arc::clone(&self.topics);
        std::mem::swap(&mut self.bytes, &mut empty.bytes);
        std::mem::swap(&mut self.records, &mut empty.records);
    }

    /// Forgets the records, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}
