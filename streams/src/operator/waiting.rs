//! What waits in a buffer until its time has come: what suppressions and operators that bring records
//! into order have in common.

use std::marker::PhantomData;
use std::vec::Drain;

use super::portions::{Portions, Taken, one_by_one};
use super::{Context, Counts};
use crate::data::{Data, DataError};
use crate::error::StreamsError;
use crate::record::Record;
use crate::state::{BufferStore, Popped, StoreId};
use crate::time::EventTime;

/// How records are held, and what comes out of what is held.
pub(crate) trait Hold<K, V>: Send {
    /// What the store has of a record's value.
    type Held: Data;

    /// Puts a record into the store.
    fn hold(
        &mut self,
        row: Record<K, V>,
        store: &mut BufferStore<Self::Held>,
        counts: &mut Counts,
    ) -> Result<(), StreamsError>;

    /// What comes out of what was held, with that watermark, if anything does.
    fn record(
        &self,
        held: Popped<Self::Held>,
        watermark: i64,
    ) -> Result<Option<Record<K, V>>, StreamsError>;

    /// Whether the store has so much that its first one has to come out early; an error if it has more
    /// than it may.
    fn is_too_much(&self, _store: &BufferStore<Self::Held>) -> Result<bool, StreamsError> {
        Ok(false)
    }
}

/// When what is held comes out.
pub(crate) struct When {
    pub(crate) time: EventTime,
    /// How long after its time in the order.
    pub(crate) wait: i64,
    /// By how much the watermark behind the operator is below that in front of it.
    pub(crate) holds_back: i64,
}

/// Holds records until event time has come to their place in the order, and so much further.
pub(crate) struct Waiting<H, K, V> {
    hold: H,
    when: When,
    /// The store's name, for errors.
    name: String,
    store: StoreId,
    /// What is being given out: from and to where event time has come, and the watermark that it
    /// carries by stream time.
    giving: Option<(i64, i64, i64)>,
    types: PhantomData<fn(K, V)>,
}

/// The error of a store whose bytes cannot be read, or of a value that has none.
#[cold]
pub(crate) fn bad_state(store: &str, error: DataError) -> StreamsError {
    StreamsError::State {
        store: store.to_owned(),
        error,
    }
}

impl<K: Data, V: Clone + Send + 'static, H: Hold<K, V>> Waiting<H, K, V> {
    pub(crate) fn new(hold: H, when: When, name: String, store: StoreId) -> Self {
        Self {
            hold,
            when,
            name,
            store,
            giving: None,
            types: PhantomData,
        }
    }

    #[inline]
    fn buffer<'a>(&self, cx: &'a mut Context<'_>) -> &'a mut BufferStore<H::Held> {
        cx.stores.get(self.store)
    }

    /// Event time has come from `before` to `now`: gives out what is to come out by then; `false` if some
    /// of it is left for later. What comes out by the watermark does so as if that had come there step
    /// by step; by stream time it carries the watermark of the record that moves it.
    fn advance(&mut self, before: i64, now: i64, stamp: i64, cx: &mut Context<'_>) -> bool {
        let until = now.saturating_sub(self.when.wait);
        while let Some(time) = self.buffer(cx).first() {
            if time > until {
                break;
            }
            if cx.is_full(0) {
                self.giving = Some((before, now, stamp));
                return false;
            }
            let watermark = match self.when.time {
                EventTime::Watermark => {
                    let due = time.saturating_add(self.when.wait);
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

    /// Gives the first one out; `false` if there is none or it cannot be read.
    fn give(&self, watermark: i64, cx: &mut Context<'_>) -> bool {
        let popped = self.buffer(cx).pop();
        let record = match popped {
            Ok(Some(held)) => self.hold.record(held, watermark),
            Ok(None) => return false,
            Err(error) => Err(bad_state(&self.name, error)),
        };
        match record {
            Ok(record) => {
                cx.outputs.get::<K, V>(0).rows.extend(record);
                true
            }
            Err(error) => {
                cx.fail(error);
                false
            }
        }
    }

    /// Does what is to be done when there is too much.
    #[inline]
    fn bound(&self, watermark: i64, cx: &mut Context<'_>) {
        loop {
            match self.hold.is_too_much(self.buffer(cx)) {
                Ok(true) if self.give(watermark, cx) => {}
                Ok(_) => return,
                Err(error) => return cx.fail(error),
            }
        }
    }

    /// The watermark has come to `now`; `false` if something is left for later.
    fn move_on(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        let time = self.buffer(cx).time_mut();
        let before = time.closed;
        time.closed = now.max(before);
        now <= before || self.advance(before, now, now, cx)
    }

    /// Takes a record in.
    #[inline]
    fn take_one(&mut self, row: Record<K, V>, cx: &mut Context<'_>) -> Taken<K, V> {
        let stamp = row.watermark;
        let now = match self.when.time {
            EventTime::Watermark => {
                if !self.move_on(stamp, cx) {
                    return Err(Some(row));
                }
                stamp
            }
            EventTime::StreamTime => {
                let time = self.buffer(cx).time_mut();
                time.stream_time = time.stream_time.max(row.timestamp);
                time.stream_time
            }
        };
        let store = cx.stores.get(self.store);
        if let Err(error) = self.hold.hold(row, store, cx.counts) {
            cx.fail(error);
        }
        if !self.advance(now, now, stamp, cx) {
            return Err(None);
        }
        self.bound(stamp, cx);
        Ok(())
    }
}

impl<K: Data, V: Clone + Send + 'static, H: Hold<K, V>> Portions<K, V> for Waiting<H, K, V> {
    fn take(&mut self, rows: &mut Drain<'_, Record<K, V>>, cx: &mut Context<'_>) -> Taken<K, V> {
        one_by_one(rows, cx, |row, cx| self.take_one(row, cx))
    }

    fn watermark(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        self.when.time == EventTime::StreamTime || self.move_on(now, cx)
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
        self.when.holds_back
    }
}
