//! Holds updates of a table back (Kafka: `KTableSuppressProcessorSupplier`).

use std::marker::PhantomData;
use std::sync::Arc;
use std::vec::Drain;

use super::portions::{Portions, Taken, one_by_one};
use super::{Context, bad_key};
use crate::data::{Data, DataError, decode_slice};
use crate::error::StreamsError;
use crate::record::{Change, Record};
use crate::state::{BufferStore, Held, StoreId};
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
pub(crate) struct Suppress<O, K, V> {
    rules: Arc<Rules<O>>,
    store: StoreId,
    scratch: Vec<u8>,
    /// What is being given out: from and to where event time has come, and the watermark that it
    /// carries by stream time.
    giving: Option<(i64, i64, i64)>,
    types: PhantomData<fn(K, V)>,
}

impl<O, K, V> Suppress<O, K, V>
where
    O: Fn(&K, i64) -> i64 + Send + Sync + 'static,
    K: Data,
    V: Data,
{
    pub(crate) fn new(rules: Arc<Rules<O>>, store: StoreId) -> Self {
        Self {
            rules,
            store,
            scratch: Vec::new(),
            giving: None,
            types: PhantomData,
        }
    }

    fn hold(&mut self, row: Record<K, Change<V>>, cx: &mut Context<'_>) {
        self.scratch.clear();
        let key = match row.key.encode(&mut self.scratch) {
            Ok(Some(key)) => key,
            Ok(None) => {
                cx.counts.null_key += 1;
                return;
            }
            Err(error) => {
                cx.fail(bad_key(error));
                return;
            }
        };
        let update = Held {
            time: (self.rules.order)(&row.key, row.timestamp),
            change: row.value,
            headers: row.headers,
        };
        let store = cx.stores.get::<BufferStore<V>>(self.store);
        if let Err(error) = store.put(key, update, row.timestamp) {
            self.fail(error, cx);
        }
    }

    /// Event time has come from `before` to `now`: gives out what is to come out by then; `false` if some
    /// of it is left for later. What comes
    /// out by the watermark does so as if that had come there step by step; by stream time it carries
    /// the watermark of the record that moves it.
    fn advance(&mut self, before: i64, now: i64, stamp: i64, cx: &mut Context<'_>) -> bool {
        let until = now.saturating_sub(self.rules.wait);
        while let Some(time) = cx.stores.get::<BufferStore<V>>(self.store).first() {
            if time > until {
                break;
            }
            if cx.is_full(0) {
                self.giving = Some((before, now, stamp));
                return false;
            }
            let watermark = match self.rules.time {
                EventTime::Watermark => {
                    let due = time.saturating_add(self.rules.wait);
                    due.saturating_sub(1).max(before)
                }
                EventTime::StreamTime => stamp,
            };
            if !self.give(watermark, cx) {
                return true;
            }
        }
        true
    }

    /// Does what is to be done when there is too much.
    fn bound(&self, watermark: i64, cx: &mut Context<'_>) {
        loop {
            let store = cx.stores.get::<BufferStore<V>>(self.store);
            let (records, bytes) = (crate::state::Store::len(store), store.held());
            if records <= self.rules.max_records && bytes <= self.rules.max_bytes {
                return;
            }
            match self.rules.when_full {
                WhenFull::Fail => {
                    cx.fail(StreamsError::Full {
                        store: self.rules.store.clone(),
                        records,
                        bytes,
                    });
                    return;
                }
                WhenFull::EmitEarly => {
                    if !self.give(watermark, cx) {
                        return;
                    }
                }
            }
        }
    }

    /// Gives the first update out; `false` if there is none or it cannot be read.
    fn give(&self, watermark: i64, cx: &mut Context<'_>) -> bool {
        let store = cx.stores.get::<BufferStore<V>>(self.store);
        let (key, update, timestamp) = match store.pop() {
            Ok(Some(first)) => first,
            Ok(None) => return false,
            Err(error) => {
                self.fail(error, cx);
                return false;
            }
        };
        if update.change.new.is_none() && !self.rules.tombstones {
            return true;
        }
        let timestamp = match self.rules.time {
            EventTime::Watermark => timestamp.max(update.time.saturating_sub(self.rules.grace)),
            EventTime::StreamTime => timestamp,
        };
        match decode_slice::<K>(Some(&key)) {
            Ok(key) => {
                let output = cx.outputs.get::<K, Change<V>>(0);
                output.rows.push(Record {
                    key,
                    value: update.change,
                    timestamp,
                    headers: update.headers,
                    watermark,
                });
                true
            }
            Err(error) => {
                cx.fail(bad_key(error));
                false
            }
        }
    }

    #[cold]
    fn fail(&self, error: DataError, cx: &mut Context<'_>) {
        cx.fail(StreamsError::State {
            store: self.rules.store.clone(),
            error,
        });
    }

    /// The watermark has come to `now`; `false` if something is left for later.
    fn move_on(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        let closed = &mut cx
            .stores
            .get::<BufferStore<V>>(self.store)
            .time_mut()
            .closed;
        let before = std::mem::replace(closed, now.max(*closed));
        now <= before || self.advance(before, now, now, cx)
    }
}

impl<O, K, V> Suppress<O, K, V>
where
    O: Fn(&K, i64) -> i64 + Send + Sync + 'static,
    K: Data,
    V: Data,
{
    /// Takes a record in.
    #[inline]
    fn take_one(&mut self, row: Record<K, Change<V>>, cx: &mut Context<'_>) -> Taken<K, Change<V>> {
        let stamp = row.watermark;
        let now = match self.rules.time {
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
        self.bound(stamp, cx);
        Ok(())
    }
}

impl<O, K, V> Portions<K, Change<V>> for Suppress<O, K, V>
where
    O: Fn(&K, i64) -> i64 + Send + Sync + 'static,
    K: Data,
    V: Data,
{
    fn take(
        &mut self,
        rows: &mut Drain<'_, Record<K, Change<V>>>,
        cx: &mut Context<'_>,
    ) -> Taken<K, Change<V>> {
        one_by_one(rows, cx, |row, cx| self.take_one(row, cx))
    }

    fn watermark(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        self.rules.time == EventTime::StreamTime || self.move_on(now, cx)
    }

    fn give_out(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((before, now, stamp)) = self.giving.take() else {
            return true;
        };
        if !self.advance(before, now, stamp, cx) {
            return false;
        }
        self.bound(stamp, cx);
        true
    }

    fn holds_back(&self) -> i64 {
        self.rules.holds_back()
    }
}
