//! The two ends of a topic by which an application sends records to the tasks of their new keys.
//!
//! Outputs are written at least once: after a crash a task processes again what was not committed. On
//! the way to another task of the application that must not show, so every record carries a number:
//! the task that writes numbers what each of its source partitions makes it write to each partition,
//! and the task that reads leaves out numbers that it has had. Both keep their numbers in stores, that
//! is, with their positions. What a source partition makes a task write is the same each time it is
//! read, as long as the task has no other source partition, or keeps no state on the way; elsewhere
//! records have no number.

use std::marker::PhantomData;

use tidemark_client::producer::{DefaultPartitioner, Partitioner};

use super::{Context, Operator, bad_key};
use crate::chunk::{AnyChunk, typed};
use crate::data::{Data, DataError, Payload};
use crate::error::StreamsError;
use crate::record::Headers;
use crate::runtime::outbox::TopicId;
use crate::state::{KeyValueStore, StoreId};

/// Who wrote a record, and the how-manieth it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The operator that wrote it, as a hash of its name.
    pub(crate) writer: u32,
    /// The partition of its task.
    pub(crate) task: u32,
    /// The source partition that made it write, by its number within the task.
    pub(crate) input: u32,
    /// From 1 on; 0 for none.
    pub(crate) number: u64,
}

/// A value on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tagged<V> {
    pub(crate) tag: Tag,
    pub(crate) value: V,
}

/// Bytes of a tag.
const TAG: usize = 20;

impl Tag {
    fn to_bytes(self) -> [u8; TAG] {
        let mut bytes = [0; TAG];
        bytes[..4].copy_from_slice(&self.writer.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.task.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.input.to_be_bytes());
        bytes[12..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

/// The tag, a byte that tells null from what is not, then the value's own bytes.
impl<V: Data> Data for Tagged<V> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        put(self.tag, &self.value, scratch)?;
        Ok(Some(scratch))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let bytes = payload.require("a record of a repartition topic")?;
        let short = || DataError::new("a record of a repartition topic that ends early");
        let (tag, rest) = bytes.split_first_chunk::<TAG>().ok_or_else(short)?;
        let (own, rest) = rest.split_first().ok_or_else(short)?;
        let part = |from: usize| {
            let bytes = tag.get(from..from + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u32::from_be_bytes)
        };
        let number = tag.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Ok(Self {
            tag: Tag {
                writer: part(0),
                task: part(4),
                input: part(8),
                number,
            },
            value: V::decode(payload.part((*own != 0).then_some(rest)))?,
        })
    }

    fn is_null(&self) -> bool {
        self.value.is_null()
    }
}

fn put<V: Data>(tag: Tag, value: &V, out: &mut Vec<u8>) -> Result<(), DataError> {
    out.extend_from_slice(&tag.to_bytes());
    let mut scratch = Vec::new();
    let own = value.encode(&mut scratch)?;
    out.push(u8::from(own.is_some()));
    out.extend_from_slice(own.unwrap_or_default());
    Ok(())
}

/// Writes records to a repartition topic, numbered.
pub(crate) struct RepartitionSink<K, V> {
    topic: TopicId,
    store: StoreId,
    writer: u32,
    task: u32,
    /// Whether the same input makes it write the same each time.
    repeats: bool,
    key: Vec<u8>,
    value: Vec<u8>,
    types: PhantomData<fn(K, V)>,
}

impl<K, V> RepartitionSink<K, V> {
    pub(crate) fn new(topic: TopicId, store: StoreId, writer: u32, task: u32, repeats: bool) -> Self {
        Self {
            topic,
            store,
            writer,
            task,
            repeats,
            key: Vec::new(),
            value: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<K: Data, V: Data> Operator for RepartitionSink<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let partitions = cx.outbox.partitions(self.topic).max(1);
        let mut tag = Tag {
            writer: self.writer,
            task: self.task,
            input: cx.input.unwrap_or(0),
            number: 0,
        };
        let numbered = self.repeats && cx.input.is_some();
        for row in typed::<K, V>(input).rows.drain(..) {
            self.key.clear();
            self.value.clear();
            let key = match row.key.encode(&mut self.key) {
                Ok(key) => key,
                Err(error) => return cx.fail(bad_key(error)),
            };
            // Records without a key have no task that they belong to: they stay with this one's
            // number, so that the same record goes the same way each time.
            let chosen = DefaultPartitioner.partition("", key, None, partitions);
            let partition = chosen.unwrap_or(self.task % partitions);
            if numbered {
                let mut counter = [0; 8];
                counter[..4].copy_from_slice(&partition.to_be_bytes());
                counter[4..].copy_from_slice(&tag.input.to_be_bytes());
                let numbers = cx.stores.get::<KeyValueStore<u64>>(self.store);
                tag.number = numbers.change(&counter, |slot| {
                    slot.timestamp = 0;
                    let number = slot.value.get_or_insert(0);
                    *number += 1;
                    *number
                });
            }
            if let Err(error) = put(tag, &row.value, &mut self.value) {
                let topic = cx.outbox.name(self.topic).to_string();
                return cx.fail(StreamsError::Encode { topic, error });
            }
            let headers: Headers = row.headers;
            let value = Some(&self.value[..]);
            let topic = self.topic;
            cx.outbox.push(topic, Some(partition), key, value, row.timestamp, headers);
        }
    }
}

/// Takes the numbers off, and leaves out what has been there before.
pub(crate) struct Deduplicate<K, V> {
    store: StoreId,
    types: PhantomData<fn(K, V)>,
}

impl<K, V> Deduplicate<K, V> {
    pub(crate) fn new(store: StoreId) -> Self {
        Self {
            store,
            types: PhantomData,
        }
    }
}

impl<K: Data, V: Data> Operator for Deduplicate<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, Tagged<V>>(input);
        let seen = cx.stores.get::<KeyValueStore<u64>>(self.store);
        let output = cx.outputs.get::<K, V>(0);
        output.watermark = input.watermark;
        for row in input.rows.drain(..) {
            let tag = row.value.tag;
            if tag.number > 0 {
                let bytes = tag.to_bytes();
                let writer = bytes.first_chunk::<12>().unwrap_or(&[0; 12]);
                let new = seen.change(writer, |slot| {
                    slot.timestamp = 0;
                    let last = slot.value.get_or_insert(0);
                    let new = tag.number > *last;
                    *last = tag.number.max(*last);
                    new
                });
                if !new {
                    cx.counts.repeated += 1;
                    continue;
                }
            }
            output.rows.push(row.map_value(|_, tagged| tagged.value));
        }
    }
}
