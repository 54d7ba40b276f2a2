//! Brings records into the order of event time (Kafka: the buffer of joins with a grace period,
//! KIP-923).

use std::ops::RangeFrom;

use super::waiting::{Hold, Waiting, When, bad_state};
use super::{Counts, bad_key};
use crate::data::{Data, DataError, decode_slice};
use crate::error::StreamsError;
use crate::record::{Change, Record};
use crate::state::{BufferStore, Held, Popped, StoreId};
use crate::time::EventTime;

/// Holds each record until event time has come to its timestamp and so much further, and gives records
/// out by their timestamps; those of one timestamp as they came. Records that are older than that come
/// out at once.
pub(crate) struct InOrder {
    /// The store's name, for errors.
    name: String,
    scratch: Vec<u8>,
}

/// A record's place in the store: its timestamp, its number among those with that timestamp, whether
/// it has a key, its key.
const NUMBER: RangeFrom<usize> = 8..;
const KEY: usize = 16;

/// The operator.
pub(crate) fn in_order<K: Data, V: Data>(
    name: String,
    wait: i64,
    time: EventTime,
    store: StoreId,
) -> Waiting<InOrder, K, V> {
    let when = When {
        time,
        wait,
        holds_back: match time {
            EventTime::Watermark => wait,
            EventTime::StreamTime => 0,
        },
    };
    let hold = InOrder {
        name: name.clone(),
        scratch: Vec::new(),
    };
    Waiting::new(hold, when, name, store)
}

impl<K: Data, V: Data> Hold<K, V> for InOrder {
    type Held = V;

    fn hold(
        &mut self,
        row: Record<K, V>,
        store: &mut BufferStore<V>,
        _counts: &mut Counts,
    ) -> Result<(), StreamsError> {
        // Records of one timestamp are numbered, from what the store holds alone: so it does not show
        // whether there was a restart.
        let number = store.last_at(row.timestamp).map_or(0, |key| {
            let number = key.get(NUMBER).and_then(|bytes| bytes.first_chunk::<8>());
            u64::from_be_bytes(number.copied().unwrap_or_default()) + 1
        });
        let mut place = row.timestamp.to_be_bytes().to_vec();
        place.extend(number.to_be_bytes());
        self.scratch.clear();
        let key = row.key.encode(&mut self.scratch).map_err(bad_key)?;
        place.push(u8::from(key.is_some()));
        place.extend_from_slice(key.unwrap_or_default());
        let update = Held {
            time: row.timestamp,
            change: Change {
                new: Some(row.value),
                old: None,
            },
            headers: row.headers,
        };
        let put = store.put(&place, update, row.timestamp);
        put.map_err(|error| bad_state(&self.name, error))
    }

    fn record(
        &self,
        held: Popped<V>,
        watermark: i64,
    ) -> Result<Option<Record<K, V>>, StreamsError> {
        let record = record(held, watermark);
        record
            .map(Some)
            .map_err(|error| bad_state(&self.name, error))
    }
}

fn record<K: Data, V: Data>(
    (place, held, timestamp): Popped<V>,
    watermark: i64,
) -> Result<Record<K, V>, DataError> {
    let key = match place.get(KEY) {
        Some(1) => place.get(KEY + 1..),
        _ => None,
    };
    let value = match held.change.new {
        Some(value) => value,
        // Null has no bytes.
        None => decode_slice(None)?,
    };
    Ok(Record {
        key: decode_slice(key)?,
        value,
        timestamp,
        headers: held.headers,
        watermark,
    })
}
