//! The two ends of a topic by which an application sends records to the tasks of their new keys.
//!
//! Outputs are written at least once: after a crash a task processes again what was not committed. On
//! the way to another task of the application that must not show, so every record carries a number:
//! the task that writes numbers what each of its source partitions makes it write to each partition,
//! and the task that reads leaves out numbers that it has had. Both keep their numbers in stores, that
//! is, with their positions. What a source partition makes a task write is the same each time it is
//! read, as long as the task has no other source topic or keeps no state on the way, and nothing on the
//! way goes by the clock or by a global table. What need not be the same is not written before it is
//! committed: see [`sink`].
//!
//! Event time goes along: every record carries its own, since Kafka's timestamps cannot have all times
//! and brokers may set their own or refuse what is long ago, and the watermark that was in front of it;
//! partitions that get no records are told of that now and then. A partition's watermark is the smallest of what
//! all tasks that write to it have told. A task whose sources are idle says that, too, and is left out
//! until it speaks again.

mod held;
mod sink;

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

use super::{Context, Operator, bad_key};
use crate::data::{Data, DataError, Payload};
use crate::record::Record;
use crate::record::chunk::{AnyChunk, typed};
use crate::state::{KeyValueStore, StoreId};
use crate::time::{GenerateWatermarks, combine};

pub(crate) use held::Written;
pub(crate) use sink::RepartitionSink;

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
    /// The writer's watermark in front of it.
    pub(crate) watermark: i64,
    /// Its event time.
    pub(crate) timestamp: i64,
    /// `None` if it is there only to tell the watermark.
    pub(crate) value: Option<V>,
    /// Whether nothing comes to the writer.
    pub(crate) idle: bool,
}

/// Bytes of a tag, a watermark and an event time.
const HEAD: usize = 36;
/// What a value is.
const NULL: u8 = 0;
const OWN: u8 = 1;
const NOTHING: u8 = 2;
/// Nothing, and the writer has nothing to write.
const IDLE: u8 = 3;

impl Tag {
    fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&self.writer.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.task.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.input.to_be_bytes());
        bytes[12..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

/// The tag, the watermark, the event time, a byte that tells null from what is not, then the value's own bytes.
impl<V: Data> Data for Tagged<V> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        let start = scratch.len();
        let times = (self.watermark, self.timestamp);
        put(self.tag, times, self.value.as_ref(), scratch)?;
        if self.idle {
            scratch[start + HEAD] = IDLE;
        }
        Ok(Some(scratch))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let mut rest = payload.require("a record of a repartition topic")?;
        let rest = &mut rest;
        let tag = Tag {
            writer: number(rest)?,
            task: number(rest)?,
            input: number(rest)?,
            number: u64::from_be_bytes(take(rest)?),
        };
        let watermark = i64::from_be_bytes(take(rest)?);
        let timestamp = i64::from_be_bytes(take(rest)?);
        let kind: [u8; 1] = take(rest)?;
        let value = match kind {
            [NOTHING | IDLE] => None,
            [NULL] => Some(V::decode(payload.part(None))?),
            _ => Some(V::decode(payload.part(Some(rest)))?),
        };
        Ok(Self {
            tag,
            watermark,
            timestamp,
            value,
            idle: kind == [IDLE],
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], DataError> {
    let split = rest.split_first_chunk::<N>();
    let short = || DataError::new("a record of a repartition topic that ends early");
    let (first, behind) = split.ok_or_else(short)?;
    *rest = behind;
    Ok(*first)
}

fn number(rest: &mut &[u8]) -> Result<u32, DataError> {
    take(rest).map(u32::from_be_bytes)
}

fn put<V: Data>(
    tag: Tag,
    (watermark, timestamp): (i64, i64),
    value: Option<&V>,
    out: &mut Vec<u8>,
) -> Result<(), DataError> {
    out.extend_from_slice(&tag.to_bytes());
    out.extend_from_slice(&watermark.to_be_bytes());
    out.extend_from_slice(&timestamp.to_be_bytes());
    out.push(NOTHING);
    let Some(value) = value else {
        return Ok(());
    };
    let mut scratch = Vec::new();
    let own = value.encode(&mut scratch)?;
    out[HEAD] = if own.is_some() { OWN } else { NULL };
    out.extend_from_slice(own.unwrap_or_default());
    Ok(())
}

/// What has been read of one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// The last number.
    number: u64,
    /// The last watermark.
    watermark: i64,
    /// Whether the writer's last word was that it is idle; kept with its first input.
    idle: bool,
}

impl Data for Read {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        scratch.extend_from_slice(&self.number.to_be_bytes());
        scratch.extend_from_slice(&self.watermark.to_be_bytes());
        scratch.push(u8::from(self.idle));
        Ok(Some(scratch))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let mut rest = payload.require("what has been read of a writer")?;
        Ok(Self {
            number: u64::from_be_bytes(take(&mut rest)?),
            watermark: i64::from_be_bytes(take(&mut rest)?),
            idle: rest.first().is_some_and(|idle| *idle != 0),
        })
    }
}

/// A task that writes to a repartition topic: the hash of its operator's name, and its partition.
pub(crate) type Writer = (u32, u32);

/// What each writer had told when the store was kept, and whether it was idle.
pub(crate) fn told(store: &KeyValueStore<Read>) -> Vec<(Writer, i64, bool)> {
    let mut told: HashMap<Writer, (i64, bool)> = HashMap::new();
    for (key, read, _) in store.sorted() {
        let mut rest = key;
        if let (Ok(writer), Ok(task)) = (number(&mut rest), number(&mut rest)) {
            let last = told.entry((writer, task)).or_insert((i64::MIN, false));
            *last = (read.watermark.max(last.0), read.idle || last.1);
        }
    }
    let told = told.into_iter();
    told.map(|(writer, (watermark, idle))| (writer, watermark, idle))
        .collect()
}

/// Takes numbers and watermarks off, and leaves out what has been there before.
pub(crate) struct Deduplicate<K, V> {
    store: StoreId,
    /// Writers that are known not to be idle.
    awake: HashSet<Writer>,
    types: PhantomData<fn(K, V)>,
}

impl<K, V> Deduplicate<K, V> {
    pub(crate) fn new(store: StoreId) -> Self {
        Self {
            store,
            awake: HashSet::new(),
            types: PhantomData,
        }
    }
}

impl<K: Data, V: Data> Operator for Deduplicate<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<Option<K>, Tagged<V>>(input);
        let seen = cx.stores.get::<KeyValueStore<Read>>(self.store);
        let output = cx.outputs.get::<K, V>(0);
        output.watermark = input.watermark;
        for mut row in input.rows.drain(..) {
            let (tag, watermark) = (row.value.tag, row.value.watermark);
            let bytes = tag.to_bytes();
            let writer = bytes.first_chunk::<12>().unwrap_or(&[0; 12]);
            let new = seen.change(writer, |slot| {
                slot.timestamp = 0;
                let read = slot.value.get_or_insert(Read {
                    number: 0,
                    watermark,
                    idle: false,
                });
                if tag.input == 0 {
                    read.idle = row.value.idle;
                }
                read.watermark = read.watermark.max(watermark);
                let new = tag.number == 0 || tag.number > read.number;
                read.number = read.number.max(tag.number);
                new
            });
            if row.value.idle {
                self.awake.remove(&(tag.writer, tag.task));
            } else if tag.input != 0 && self.awake.insert((tag.writer, tag.task)) {
                let first = Tag { input: 0, ..tag }.to_bytes();
                let first = first.first_chunk::<12>().unwrap_or(&[0; 12]);
                if seen.get(first).is_some_and(|(read, _)| read.idle) {
                    seen.change(first, |slot| {
                        slot.value.iter_mut().for_each(|read| read.idle = false);
                    });
                }
            }
            let Some(value) = row.value.value.take() else {
                continue;
            };
            if !new {
                cx.counts.repeated += 1;
                continue;
            }
            let key = match row.key.take() {
                Some(key) => key,
                None => match K::decode(Payload::new(None)) {
                    Ok(key) => key,
                    Err(error) => {
                        cx.failed.get_or_insert(bad_key(error));
                        return;
                    }
                },
            };
            output.rows.push(row.with(key, value));
        }
    }
}

/// A repartition topic's watermarks: the smallest of what all tasks that write to it have told, but for
/// those that are idle.
pub(crate) struct CarriedWatermarks {
    writers: usize,
    told: HashMap<Writer, (i64, bool)>,
    watermark: i64,
}

impl CarriedWatermarks {
    /// Of a topic that so many tasks write to.
    pub(crate) fn new(writers: usize) -> Self {
        Self {
            writers,
            told: HashMap::new(),
            watermark: i64::MIN,
        }
    }
}

impl CarriedWatermarks {
    #[inline]
    fn tell(&mut self, writer: Writer, watermark: i64, idle: bool) {
        let new = !self.told.contains_key(&writer);
        let told = self.told.entry(writer).or_insert((i64::MIN, idle));
        if new || watermark > told.0 || idle != told.1 {
            *told = (watermark.max(told.0), idle);
            self.combine();
        }
    }

    fn combine(&mut self) {
        if self.told.len() >= self.writers {
            let least = combine(self.told.values().copied());
            self.watermark = self.watermark.max(least.unwrap_or(i64::MIN));
        }
    }
}

impl<K, V> GenerateWatermarks<K, Tagged<V>> for CarriedWatermarks {
    fn in_front(&mut self, record: &Record<K, Tagged<V>>) -> i64 {
        let tagged = &record.value;
        let writer = (tagged.tag.writer, tagged.tag.task);
        self.tell(writer, tagged.watermark, tagged.idle);
        self.watermark
    }

    fn restore_writers(&mut self, told: &[(Writer, i64, bool)]) {
        for (writer, watermark, idle) in told {
            self.told.insert(*writer, (*watermark, *idle));
        }
        // All at once: what is missing must not make others count for more than they did.
        self.combine();
    }

    fn is_idle(&self) -> bool {
        self.told.len() >= self.writers && self.told.values().all(|(_, idle)| *idle)
    }

    fn observe(&mut self, _record: &Record<K, Tagged<V>>) -> i64 {
        self.watermark
    }

    fn restore(&mut self, watermark: i64) {
        self.watermark = watermark;
    }
}
