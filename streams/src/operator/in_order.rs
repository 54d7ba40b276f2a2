//! Brings records into the order of event time (Kafka: the buffer of joins with a grace period,
//! KIP-923).

use std::marker::PhantomData;
use std::ops::RangeFrom;
use std::vec::Drain;

use super::portions::{Portions, Taken, one_by_one};
use super::{Context, bad_key};
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
    /// carries by stream time.
    giving: Option<(i64, i64, i64)>,
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
            match self.next(watermark, cx) {
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

    fn next(
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
    fn move_on(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        let time = cx.stores.get::<BufferStore<V>>(self.store).time_mut();
        let before = time.closed;
        time.closed = now.max(before);
        now <= before || self.advance(before, now, now, cx)
    }
}

impl<K: Data, V: Data> InOrder<K, V> {
    /// Takes a record in.
    #[inline]
    fn take_one(&mut self, row: Record<K, V>, cx: &mut Context<'_>) -> Taken<K, V> {
        let stamp = row.watermark;
        let now = match self.time {
            EventTime::Watermark => {
                if !self.move_on(stamp, cx) {
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
}

impl<K: Data, V: Data> Portions<K, V> for InOrder<K, V> {
    fn take(&mut self, rows: &mut Drain<'_, Record<K, V>>, cx: &mut Context<'_>) -> Taken<K, V> {
        one_by_one(rows, cx, |row, cx| self.take_one(row, cx))
    }

    fn watermark(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        self.time == EventTime::StreamTime || self.move_on(now, cx)
    }

    fn give_out(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((before, now, stamp)) = self.giving.take() else {
            return true;
        };
        self.advance(before, now, stamp, cx)
    }

    fn holds_back(&self) -> i64 {
        match self.time {
            EventTime::Watermark => self.wait,
            EventTime::StreamTime => 0,
        }
    }
}
