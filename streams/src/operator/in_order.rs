//! Brings records into the order of event time (Kafka: the buffer of joins with a grace period,
//! KIP-923).

use std::marker::PhantomData;
use std::ops::RangeFrom;

use super::{Context, Operator, bad_key};
use crate::chunk::{AnyChunk, typed};
use crate::data::{Data, DataError, decode_slice};
use crate::error::StreamsError;
use crate::record::{Change, Record};
use crate::state::{BufferStore, Held, StoreId};
use crate::time::EventTime;

/// Holds each record until event time has come to its timestamp and so much further, and gives records
/// out by their timestamps; those of one timestamp as they came. Records that are older than that come
/// out at once.
pub(crate) struct InOrder<K, V> {
    /// The store's name, for errors.
    name: String,
    wait: i64,
    time: EventTime,
    store: StoreId,
    scratch: Vec<u8>,
    types: PhantomData<fn(K, V)>,
}

/// A record's place in the store: its timestamp, its number among those with that timestamp, whether
/// it has a key, its key.
const NUMBER: RangeFrom<usize> = 8..;
const KEY: usize = 16;

impl<K: Data, V: Data> InOrder<K, V> {
    pub(crate) fn new(name: String, wait: i64, time: EventTime, store: StoreId) -> Self {
        Self {
            name,
            wait,
            time,
            store,
            scratch: Vec::new(),
            types: PhantomData,
        }
    }

    fn hold(&mut self, row: Record<K, V>, cx: &mut Context<'_>) {
        let store = cx.stores.get::<BufferStore<V>>(self.store);
        // Records of one timestamp are numbered, from what the store holds alone: so it does not show
        // whether there was a restart.
        let number = store.last_at(row.timestamp).map_or(0, |key| {
            let number = key.get(NUMBER).and_then(|bytes| bytes.first_chunk::<8>());
            u64::from_be_bytes(number.copied().unwrap_or_default()) + 1
        });
        let mut place = row.timestamp.to_be_bytes().to_vec();
        place.extend(number.to_be_bytes());
        self.scratch.clear();
        match row.key.encode(&mut self.scratch) {
            Ok(key) => {
                place.push(u8::from(key.is_some()));
                place.extend_from_slice(key.unwrap_or_default());
            }
            Err(error) => return cx.fail(bad_key(error)),
        }
        let update = Held {
            time: row.timestamp,
            change: Change {
                new: Some(row.value),
                old: None,
            },
            headers: row.headers,
        };
        if let Err(error) = store.put(&place, update, row.timestamp) {
            self.fail(error, cx);
        }
    }

    /// Event time has come from `before` to `now`: gives out what is to come out by then.
    fn advance(&self, before: i64, now: i64, stamp: i64, cx: &mut Context<'_>) {
        let until = now.saturating_sub(self.wait);
        while let Some(time) = cx.stores.get::<BufferStore<V>>(self.store).first() {
            if time > until {
                break;
            }
            let watermark = match self.time {
                EventTime::Watermark => {
                    let due = time.saturating_add(self.wait);
                    due.saturating_sub(1).max(before)
                }
                EventTime::StreamTime => stamp,
            };
            match self.take(watermark, cx) {
                Ok(Some(row)) => cx.outputs.get::<K, V>(0).rows.push(row),
                Ok(None) => return,
                Err(error) => return self.fail(error, cx),
            }
        }
    }

    fn take(
        &self,
        watermark: i64,
        cx: &mut Context<'_>,
    ) -> Result<Option<Record<K, V>>, DataError> {
        let store = cx.stores.get::<BufferStore<V>>(self.store);
        let Some((place, held, timestamp)) = store.pop()? else {
            return Ok(None);
        };
        let key = match place.get(KEY) {
            Some(1) => place.get(KEY + 1..),
            _ => None,
        };
        let value = match held.change.new {
            Some(value) => value,
            // Null has no bytes.
            None => decode_slice(None)?,
        };
        Ok(Some(Record {
            key: decode_slice(key)?,
            value,
            timestamp,
            headers: held.headers,
            watermark,
        }))
    }

    #[cold]
    fn fail(&self, error: DataError, cx: &mut Context<'_>) {
        cx.fail(StreamsError::State {
            store: self.name.clone(),
            error,
        });
    }

    /// The watermark has come to `now`.
    fn watermark(&self, now: i64, cx: &mut Context<'_>) {
        let time = cx.stores.get::<BufferStore<V>>(self.store).time_mut();
        let before = time.closed;
        time.closed = now.max(before);
        if now > before {
            self.advance(before, now, now, cx);
        }
    }
}

impl<K: Data, V: Data> Operator for InOrder<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        cx.outputs.get::<K, V>(0).watermark = input.watermark;
        for row in input.rows.drain(..) {
            let stamp = row.watermark;
            let now = match self.time {
                EventTime::Watermark => {
                    self.watermark(stamp, cx);
                    stamp
                }
                EventTime::StreamTime => {
                    let time = cx.stores.get::<BufferStore<V>>(self.store).time_mut();
                    time.stream_time = time.stream_time.max(row.timestamp);
                    time.stream_time
                }
            };
            self.hold(row, cx);
            self.advance(now, now, stamp, cx);
            if cx.failed.is_some() {
                return;
            }
        }
        if self.time == EventTime::Watermark {
            self.watermark(input.watermark, cx);
            cx.outputs.ports[0].chunk.hold_back(self.wait);
        }
    }
}
