//! Writes records to a repartition topic, numbered.
//!
//! Records that the same input makes the task write each time go out at once: after a crash they come
//! again with the same numbers. All others are held back in the store until the next commit has them,
//! with their numbers and with the positions and the state that they come from; only then they are
//! written. After a crash in front of the commit nobody has seen them, and behind it they are written
//! from the store, again if need be, with the numbers that they had. While something is held back all
//! that comes behind it is, too, so that order and time stay as they are.

use std::marker::PhantomData;

use tidemark_client::producer::{DefaultPartitioner, Partitioner};

use super::held::{Held, Written};
use super::{HEAD, IDLE, Tag, put};
use crate::data::Data;
use crate::error::StreamsError;
use crate::operator::sink::SinkPartitioner;
use crate::operator::{Context, Operator};
use crate::record::Headers;
use crate::record::chunk::{AnyChunk, typed};
use crate::runtime::task::outbox::TopicId;
use crate::state::{KeyValueStore, StoreId};

/// In place of a source partition: the series of what is held back.
const HELD_BACK: u32 = u32::MAX;

/// So often every partition is told of the watermark, whether it has moved or not: a reader that has
/// been restarted does not know it any more. In milliseconds.
const TELL_AGAIN: i64 = 10_000;

pub(crate) struct RepartitionSink<K, V> {
    topic: TopicId,
    store: StoreId,
    writer: u32,
    task: u32,
    /// Whether the same input makes it write the same each time.
    repeats: bool,
    partitioner: Option<SinkPartitioner<K, V>>,
    partitions: Vec<u32>,
    /// How many records are held back, as far as is known: after a restart the store has been looked at
    /// with the first commit, before anything comes.
    held: u64,
    looked: bool,
    /// The watermark, and how far each partition has been told of it.
    watermark: i64,
    told: Vec<i64>,
    /// Whether each partition has been told last that the task is idle.
    told_idle: Vec<bool>,
    told_all_at: i64,
    key: Vec<u8>,
    value: Vec<u8>,
    types: PhantomData<fn(K, V)>,
}

impl<K: Data, V: Data> RepartitionSink<K, V> {
    pub(crate) fn new(
        topic: TopicId,
        partitions: u32,
        store: StoreId,
        writer: u32,
        task: u32,
        repeats: bool,
        partitioner: Option<SinkPartitioner<K, V>>,
    ) -> Self {
        Self {
            topic,
            store,
            writer,
            task,
            repeats,
            partitioner,
            partitions: Vec::new(),
            held: 0,
            looked: false,
            watermark: i64::MIN,
            told: vec![i64::MIN; partitions.max(1) as usize],
            told_idle: vec![false; partitions.max(1) as usize],
            told_all_at: 0,
            key: Vec::new(),
            value: Vec::new(),
            types: PhantomData,
        }
    }

    fn tag(&self, input: u32) -> Tag {
        Tag {
            writer: self.writer,
            task: self.task,
            input,
            number: 0,
        }
    }

    /// Tells partitions of the watermark, and whether the task is idle: those that do not know it, or
    /// all.
    fn tell(&mut self, all: bool, cx: &mut Context<'_>) {
        // What has never had a record holds nobody back, once it is known to be idle.
        if self.watermark == i64::MIN && !cx.idle {
            return;
        }
        let tag = self.tag(0);
        let partitions = self.told.iter_mut().zip(&mut self.told_idle);
        for (partition, (told, told_idle)) in partitions.enumerate() {
            if *told >= self.watermark && *told_idle == cx.idle && !all {
                continue;
            }
            *told = self.watermark;
            *told_idle = cx.idle;
            self.value.clear();
            let times = (self.watermark, self.watermark);
            if put::<V>(tag, times, None, &mut self.value).is_ok() {
                if cx.idle {
                    self.value[HEAD] = IDLE;
                }
                let (partition, value) = (Some(partition as u32), Some(&self.value[..]));
                let headers = Headers::default();
                cx.outbox
                    .push(self.topic, partition, None, value, None, headers);
            }
        }
    }
}

/// Records that are held back lie behind the numbers, by the order in which they came.
fn place(at: u64) -> [u8; 9] {
    let mut key = [u8::MAX; 9];
    key[1..].copy_from_slice(&at.to_be_bytes());
    key
}

impl<K: Data, V: Data> Operator for RepartitionSink<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        let exact = cx.input.filter(|_| self.repeats);
        let mut tag = self.tag(exact.unwrap_or(HELD_BACK));
        let partitions = self.told.len() as u32;
        self.partitions.clear();
        if let Some(partitioner) = &self.partitioner {
            partitioner(&input.rows, partitions, &mut self.partitions);
        }
        for (at, row) in input.rows.drain(..).enumerate() {
            self.key.clear();
            self.value.clear();
            let key = match row.key.encode(&mut self.key) {
                Ok(key) => key,
                Err(error) => {
                    let topic = cx.outbox.name(self.topic).to_string();
                    return cx.fail(StreamsError::Encode { topic, error });
                }
            };
            // Records without a key belong to no task: they go where this task's number says, so that
            // the same record goes the same way each time.
            let chosen = match self.partitions.get(at) {
                Some(chosen) => Some(*chosen),
                None => DefaultPartitioner.partition("", key, None, partitions),
            };
            let partition = chosen.unwrap_or(self.task) % partitions;
            let store = cx.stores.get::<KeyValueStore<Written>>(self.store);
            let mut counter = [0; 8];
            counter[..4].copy_from_slice(&partition.to_be_bytes());
            counter[4..].copy_from_slice(&tag.input.to_be_bytes());
            tag.number = store.change(&counter, |slot| {
                slot.timestamp = 0;
                let last = match slot.value {
                    Some(Written::Number(last)) => last,
                    _ => 0,
                };
                slot.value = Some(Written::Number(last + 1));
                last + 1
            });
            if let Some(told) = self.told.get_mut(partition as usize) {
                *told = row.watermark;
                self.told_idle[partition as usize] = false;
            }
            let times = (row.watermark, row.timestamp);
            if let Err(error) = put(tag, times, Some(&row.value), &mut self.value) {
                let topic = cx.outbox.name(self.topic).to_string();
                return cx.fail(StreamsError::Encode { topic, error });
            }
            if exact.is_none() || self.held > 0 {
                cx.outbox.hold(self.value.len());
                let held = Held {
                    partition,
                    key: key.map(<[u8]>::to_vec),
                    value: self.value.clone(),
                    headers: row.headers,
                };
                store.put(&place(self.held), Some(Written::Held(held)), 0);
                self.held += 1;
                continue;
            }
            let (topic, value) = (self.topic, Some(&self.value[..]));
            cx.outbox
                .push(topic, Some(partition), key, value, None, row.headers);
        }
        self.watermark = self.watermark.max(input.watermark);
    }

    fn committed(&mut self, cx: &mut Context<'_>) {
        if self.looked && self.held == 0 {
            return;
        }
        let store = cx.stores.get::<KeyValueStore<Written>>(self.store);
        let kept = store.sorted().into_iter();
        let held = kept.filter(|(_, written, _)| matches!(written, Written::Held(_)));
        let held: Vec<Vec<u8>> = held.map(|(place, _, _)| place.to_vec()).collect();
        let some = !held.is_empty();
        for place in held {
            let Some((Written::Held(record), _)) = store.put(&place, None, 0) else {
                continue;
            };
            let (partition, key) = (Some(record.partition), record.key.as_deref());
            let value = Some(&record.value[..]);
            cx.outbox
                .push(self.topic, partition, key, value, None, record.headers);
        }
        (self.held, self.looked) = (0, true);
        if some {
            // There may be something again when the clock comes round.
            self.tell(false, cx);
        }
    }

    fn wall_clock(&mut self, now: i64, cx: &mut Context<'_>) {
        // Nobody is told what is behind records that are held back.
        if self.held > 0 {
            return;
        }
        let again = now.saturating_sub(self.told_all_at) >= TELL_AGAIN;
        if again && (self.watermark > i64::MIN || cx.idle) {
            self.told_all_at = now;
        }
        self.tell(again, cx);
    }
}
