//! Brings records into the order of event time (Kafka: the buffer of joins with a grace period,
//! KIP-923).

use std::marker::PhantomData;
use std::ops::RangeFrom;

use super::{Context, Operator, bad_key};
use crate::chunk::{AnyChunk, Chunk, typed};
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
    /// What is being given out: from and to where event time has come, and the watermark that it
    /// carries by stream time; and what comes behind it.
    giving: Option<(i64, i64, i64)>,
    rest: Option<Chunk<K, V>>,
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
            giving: None,
            rest: None,
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

    /// Event time has come from `before` to `now`: gives out what is to come out by then; `false` if some
    /// of it is left for later.
    fn advance(&mut self, before: i64, now: i64, stamp: i64, cx: &mut Context<'_>) -> bool {
        let until = now.saturating_sub(self.wait);
        while let Some(time) = cx.stores.get::<BufferStore<V>>(self.store).first() {
            if time > until {
                break;
            }
            if cx.is_full(0) {
                self.giving = Some((before, now, stamp));
                return false;
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
                Ok(None) => return true,
                Err(error) => {
                    self.fail(error, cx);
                    return true;
                }
            }
        }
        true
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

    /// The watermark has come to `now`; `false` if something is left for later.
    fn watermark(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        let time = cx.stores.get::<BufferStore<V>>(self.store).time_mut();
        let before = time.closed;
        time.closed = now.max(before);
        now <= before || self.advance(before, now, now, cx)
    }
}

impl<K: Data, V: Data> InOrder<K, V> {
    /// By how much the watermark behind it is below that in front of it.
    fn holds_back(&self) -> i64 {
        match self.time {
            EventTime::Watermark => self.wait,
            EventTime::StreamTime => 0,
        }
    }

    /// Takes a record in; gives it back if what comes out in front of it is not all out yet. `Err` also
    /// says that something is left for later.
    fn take_in(
        &mut self,
        row: Record<K, V>,
        cx: &mut Context<'_>,
    ) -> Result<(), Option<Record<K, V>>> {
        let stamp = row.watermark;
        let now = match self.time {
            EventTime::Watermark => {
                if !self.watermark(stamp, cx) {
                    return Err(Some(row));
                }
                stamp
            }
            EventTime::StreamTime => {
                let time = cx.stores.get::<BufferStore<V>>(self.store).time_mut();
                time.stream_time = time.stream_time.max(row.timestamp);
                time.stream_time
            }
        };
        self.hold(row, cx);
        if !self.advance(now, now, stamp, cx) {
            return Err(None);
        }
        Ok(())
    }

    /// Leaves what comes behind for later.
    #[cold]
    fn leave(&mut self, rows: Vec<Record<K, V>>, watermark: i64, cx: &mut Context<'_>) {
        self.rest = Some(Chunk { rows, watermark });
        cx.leave(self.holds_back());
    }
}

impl<K: Data, V: Data> Operator for InOrder<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        let mut rows = input.rows.drain(..);
        while let Some(row) = rows.next() {
            if let Err(own) = self.take_in(row, cx) {
                let left = own.into_iter().chain(rows).collect();
                return self.leave(left, input.watermark, cx);
            }
            if cx.failed.is_some() {
                return;
            }
        }
        drop(rows);
        if self.time == EventTime::Watermark && !self.watermark(input.watermark, cx) {
            return self.leave(Vec::new(), input.watermark, cx);
        }
        let chunk = &mut cx.outputs.ports[0].chunk;
        chunk.set_watermark(input.watermark);
        chunk.hold_back(self.holds_back());
    }

    fn go_on(&mut self, cx: &mut Context<'_>) {
        let Some(mut rest) = self.rest.take() else {
            return;
        };
        if let Some((before, now, stamp)) = self.giving.take()
            && !self.advance(before, now, stamp, cx)
        {
            return self.leave(rest.rows, rest.watermark, cx);
        }
        if cx.failed.is_none() {
            self.process(0, &mut rest, cx);
        }
    }
}
