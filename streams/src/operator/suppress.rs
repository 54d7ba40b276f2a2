//! Holds updates of a table back (Kafka: `KTableSuppressProcessorSupplier`).

use std::sync::Arc;

use super::waiting::{Hold, Waiting, When, bad_state};
use super::{Counts, bad_key};
use crate::data::{Data, decode_slice};
use crate::error::StreamsError;
use crate::record::{Change, Record};
use crate::state::{BufferStore, Held, Popped, Store, StoreId};
use crate::time::EventTime;

/// What happens when a suppression has to hold more than it may (Kafka: `BufferFullStrategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The application stops with [`StreamsError::Full`]: results that were to be final stay so.
    #[default]
    Fail,
    /// What has been held longest comes out early.
    EmitEarly,
}

/// How long and how much is held.
pub(crate) struct Rules<O> {
    /// The store's name, for errors.
    pub(crate) store: String,
    /// An update's place in the order, by its key and timestamp.
    pub(crate) order: O,
    /// How long after that time it comes out.
    pub(crate) wait: i64,
    /// By the watermark results carry at least their time in the order less this, and what comes
    /// behind has its watermark held back accordingly: so they are not late there.
    pub(crate) grace: i64,
    pub(crate) time: EventTime,
    pub(crate) max_records: usize,
    pub(crate) max_bytes: usize,
    pub(crate) when_full: WhenFull,
    /// Whether keys that have gone are told: there is no need to where nothing comes out before.
    pub(crate) tombstones: bool,
}

impl<O> Rules<O> {
    /// By how much the watermark behind the suppression is below that in front of it.
    pub(crate) fn holds_back(&self) -> i64 {
        match self.time {
            EventTime::Watermark => self.wait.saturating_add(self.grace),
            EventTime::StreamTime => 0,
        }
    }
}

/// Holds the latest update of each key until its time has come.
pub(crate) struct Suppress<O> {
    rules: Arc<Rules<O>>,
    scratch: Vec<u8>,
}

/// The operator.
pub(crate) fn suppress<O, K: Data, V: Data>(
    rules: Arc<Rules<O>>,
    store: StoreId,
) -> Waiting<Suppress<O>, K, Change<V>>
where
    O: Fn(&K, i64) -> i64 + Send + Sync + 'static,
{
    let when = When {
        time: rules.time,
        wait: rules.wait,
        holds_back: rules.holds_back(),
    };
    let (name, scratch) = (rules.store.clone(), Vec::new());
    Waiting::new(Suppress { rules, scratch }, when, name, store)
}

impl<O, K, V> Hold<K, Change<V>> for Suppress<O>
where
    O: Fn(&K, i64) -> i64 + Send + Sync + 'static,
    K: Data,
    V: Data,
{
    type Held = V;

    fn hold(
        &mut self,
        row: Record<K, Change<V>>,
        store: &mut BufferStore<V>,
        counts: &mut Counts,
    ) -> Result<(), StreamsError> {
        self.scratch.clear();
        let Some(key) = row.key.encode(&mut self.scratch).map_err(bad_key)? else {
            counts.null_key += 1;
            return Ok(());
        };
        let update = Held {
            time: (self.rules.order)(&row.key, row.timestamp),
            change: row.value,
            headers: row.headers,
        };
        let put = store.put(key, update, row.timestamp);
        put.map_err(|error| bad_state(&self.rules.store, error))
    }

    fn record(
        &self,
        (key, update, timestamp): Popped<V>,
        watermark: i64,
    ) -> Result<Option<Record<K, Change<V>>>, StreamsError> {
        if update.change.new.is_none() && !self.rules.tombstones {
            return Ok(None);
        }
        let timestamp = match self.rules.time {
            EventTime::Watermark => timestamp.max(update.time.saturating_sub(self.rules.grace)),
            EventTime::StreamTime => timestamp,
        };
        Ok(Some(Record {
            key: decode_slice(Some(&key)).map_err(bad_key)?,
            value: update.change,
            timestamp,
            headers: update.headers,
            watermark,
        }))
    }

    fn is_too_much(&self, store: &BufferStore<V>) -> Result<bool, StreamsError> {
        let (records, bytes) = (store.len(), store.held());
        if records <= self.rules.max_records && bytes <= self.rules.max_bytes {
            return Ok(false);
        }
        match self.rules.when_full {
            WhenFull::EmitEarly => Ok(true),
            WhenFull::Fail => Err(StreamsError::Full {
                store: self.rules.store.clone(),
                records,
                bytes,
            }),
        }
    }
}
