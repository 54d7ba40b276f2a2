//! Aggregates a stream by key and window of fixed size (Kafka: `KStreamWindowAggregate`).
//!
//! Three ways to keep state: a pane is one window, or, where windows overlap and states can be merged
//! and nothing comes out before a window closes, a slice that all windows over it share.

mod firing;
mod one_key;
mod panes;
mod rolling;
mod slices;

use std::marker::PhantomData;
use std::sync::Arc;
use std::vec::Drain;

use smallvec::SmallVec;

use super::keys::Keys;
use super::portions::{Portions, Taken};
use super::{Context, bad_key};
use crate::data::{Data, nullable};
use crate::dsl::aggregator::Aggregator;
use crate::record::chunk::Chunk;
use crate::record::late::{Late, LateReason};
use crate::record::{Change, Headers, Record};
use crate::state::table::Hash;
use crate::state::{StoreId, WindowStore};
use crate::time::{AnyWindows, EventTime, Window, Windowed};
use firing::Firing;
pub(crate) use one_key::OneKey;
use panes::Panes;
use rolling::Rolling;
use slices::Slice;
pub(crate) use slices::Slices;

/// When results of windows come out. With every record they have that record's headers, as in Kafka;
/// what comes out because a window has closed is of many records, and has none, also when it comes out
/// again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// With every record: what the window has so far (Kafka: `EmitStrategy.onWindowUpdate`).
    Update,
    /// When event time passes the window's end, and again with every late record that the allowed
    /// lateness lets in (Flink's event-time trigger). By stream time it is as [`Self::Final`].
    #[default]
    Close,
    /// Once, when nothing can change the window any more (Kafka: `EmitStrategy.onWindowClose`).
    Final,
}

/// Records whose state is brought near together.
const TOUCHED: usize = 32;

/// What the output for results is.
pub(crate) const RESULTS: usize = 0;
/// What the output for late records is.
pub(crate) const LATE: usize = 1;

/// One aggregate per key and window. Records whose key is null are counted and left out.
pub(crate) struct WindowAggregate<K, V, A: Aggregator<K, V>> {
    aggregator: Arc<A>,
    windows: Panes,
    time: EventTime,
    emit: Emit,
    /// How long after its end a window's result comes out.
    fire: i64,
    /// From how long after its end on a window takes nothing.
    close: i64,
    /// How long after its start a pane is kept.
    retention: i64,
    holds_back: i64,
    /// How windows share slices, if they do.
    slice: Option<Slices>,
    rolling: Rolling<K, A::State>,
    found: Slice,
    store: StoreId,
    wants_old: bool,
    /// Event time at which something is to be done, at the earliest.
    due: i64,
    keys: Keys,
    /// What is being given out.
    firing: Option<Firing>,
    types: PhantomData<fn(K, V)>,
}

/// A record with the bytes of its key.
struct Keyed<'a, K, V> {
    bytes: &'a [u8],
    hash: Hash,
    key: &'a K,
    value: V,
    timestamp: i64,
    headers: Headers,
    watermark: i64,
}

/// Windows that did not take a record.
type Missed = SmallVec<[Window; 1]>;
type Store<K, V, A> = WindowStore<<A as Aggregator<K, V>>::State>;
type Results<K, V, A> = Chunk<Windowed<K>, Change<<A as Aggregator<K, V>>::State>>;

/// The windows, if they share slices.
pub(crate) fn in_slices<K, V, A: Aggregator<K, V>>(
    windows: &AnyWindows,
    emit: Emit,
    aggregator: &A,
) -> Option<Slices> {
    Slices::of(windows.fixed()?, emit, merges(aggregator))
}

/// Whether slices make the same as their records one after the other. An aggregate that can become
/// null begins anew then, and a slice by itself cannot know what it would begin anew from.
fn merges<K, V, A: Aggregator<K, V>>(aggregator: &A) -> bool {
    aggregator.can_merge() && !nullable::<A::State>()
}

/// By how much the watermark is behind what it is in front of the windows: results carry their
/// window's end, but may come out the lateness later.
pub(crate) fn holds_back(windows: &AnyWindows, emit: Emit) -> i64 {
    match (windows.time(), emit) {
        (EventTime::Watermark, Emit::Final) => windows.grace(),
        _ => 0,
    }
}

impl<K: Data, V: Data, A: Aggregator<K, V>> WindowAggregate<K, V, A> {
    pub(crate) fn new(
        aggregator: Arc<A>,
        windows: AnyWindows,
        emit: Emit,
        store: StoreId,
        wants_old: bool,
    ) -> Self {
        let (time, close) = (windows.time(), windows.close());
        let (retention, holds_back) = (windows.retention(), holds_back(&windows, emit));
        let fire = match (time, emit) {
            (EventTime::Watermark, Emit::Close | Emit::Update) => -1,
            _ => close,
        };
        let windows = Panes::new(windows);
        let slice = match windows.fixed() {
            Some(windows) => Slices::of(*windows, emit, merges(&*aggregator)),
            None => None,
        };
        Self {
            aggregator,
            windows,
            time,
            emit,
            fire,
            close,
            retention,
            holds_back,
            slice,
            rolling: Rolling::default(),
            found: Slice::NONE,
            store,
            wants_old,
            due: i64::MIN,
            keys: Keys::default(),
            firing: None,
            types: PhantomData,
        }
    }

    /// The event time at which a window's result comes out.
    #[inline]
    fn fires_at(&self, start: i64) -> i64 {
        self.windows.window(start).end.saturating_add(self.fire)
    }

    /// The event time from which on a window takes nothing.
    #[inline]
    fn closes_at(&self, start: i64) -> i64 {
        self.windows.window(start).end.saturating_add(self.close)
    }

    /// The first start of a window that may come out later than at `now`.
    fn first_unfired(&self, now: i64) -> i64 {
        match self.windows.fixed() {
            // Starts of windows whose ends have saturated are too early here, and none is left out.
            Some(windows) => now.saturating_sub(windows.size.saturating_add(self.fire)),
            None => i64::MIN,
        }
    }

    /// Event time has come to `now`: gives out what closes, and drops what nothing can change any
    /// more. Results carry a watermark of at least `stamp`. `false` if something is left for later.
    fn advance(&mut self, now: i64, stamp: i64, cx: &mut Context<'_>) -> bool {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let before = store.time().closed;
        if now <= before {
            return true;
        }
        store.time_mut().closed = now;
        if now < self.due {
            return true;
        }
        if self.emit != Emit::Update {
            self.firing = Some(Firing::new(before, now, stamp));
        }
        self.fire_and_expire(now, cx)
    }

    /// Gives out what closes until event time has come to `now`; `false` if some of it is left for later.
    fn fire_and_expire(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        if let Some(firing) = self.firing.take() {
            match self.fire(firing, cx) {
                Ok(left) => self.firing = left,
                Err(error) => cx.fail(error),
            }
            if self.firing.is_some() {
                return false;
            }
        }
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        store.expire();
        self.due = self.next_due(now, store);
        true
    }

    /// The earliest event time at which something is to be done.
    fn next_due(&self, now: i64, store: &Store<K, V, A>) -> i64 {
        let Some(first) = store.starts(i64::MIN).next() else {
            return i64::MAX;
        };
        let mut due = first.saturating_add(self.retention);
        if self.emit != Emit::Update {
            let next = match self.slice {
                Some(slices) => self.next_sliced(&slices, now, store),
                None => store
                    .starts(self.first_unfired(now))
                    .find(|start| self.fires_at(*start) > now),
            };
            due = due.min(next.map_or(i64::MAX, |start| self.fires_at(start)));
        }
        due
    }

    /// Puts one closed window's result out. Whatever fires does so as if event time had come there
    /// step by step: that is the watermark it carries.
    #[allow(clippy::too_many_arguments, reason = "what a result is made of")]
    fn result(
        &self,
        key: K,
        start: i64,
        state: A::State,
        timestamp: i64,
        at: i64,
        stamp: i64,
        output: &mut Results<K, V, A>,
    ) {
        let window = self.windows.window(start);
        let (timestamp, watermark) = match self.time {
            EventTime::Watermark => (window.end - 1, stamp.max(at.saturating_sub(1))),
            EventTime::StreamTime => (timestamp, stamp),
        };
        output.rows.push(Record {
            key: Windowed { key, window },
            value: Change {
                new: Some(state),
                old: None,
            },
            timestamp,
            headers: Headers::default(),
            watermark,
        });
    }

    /// Puts a record into its windows; event time has come to `now`.
    #[inline]
    fn add(
        &mut self,
        row: Record<K, V>,
        key: Option<(&[u8], Hash)>,
        now: i64,
        cx: &mut Context<'_>,
    ) {
        let Some((bytes, hash)) = key else {
            cx.counts.null_key += 1;
            return;
        };
        if !self.time.has(row.timestamp) {
            cx.counts.bad_timestamp += 1;
            return;
        }
        let keyed = Keyed {
            bytes,
            hash,
            key: &row.key,
            value: row.value,
            timestamp: row.timestamp,
            headers: row.headers,
            watermark: row.watermark,
        };
        match self.slice {
            Some(slices) => self.add_to_slice(&slices, keyed, now, cx),
            None => self.add_to_windows(keyed, now, cx),
        }
    }

    /// Brings near what the next records will change, most of which are in one pane.
    fn touch(&mut self, timestamp: i64, hashes: &[Hash], cx: &mut Context<'_>) {
        let start = match self.slice {
            Some(slices) => self.find_slice(&slices, timestamp).start,
            None => self.windows.starts(timestamp).next().unwrap_or(timestamp),
        };
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        if let Some(pane) = store.pane(start) {
            pane.touch(hashes);
        }
    }

    #[inline]
    fn add_to_windows(&mut self, row: Keyed<'_, K, V>, now: i64, cx: &mut Context<'_>) {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let mut missed = Missed::new();
        let mut starts = self.windows.starts(row.timestamp).peekable();
        let mut value = Some(row.value);
        let mut taken = false;
        while let Some(start) = starts.next() {
            if self.closes_at(start) <= now {
                missed.push(self.windows.window(start));
                continue;
            }
            // The last window may have the value itself.
            let own = match (starts.peek(), missed.is_empty()) {
                (None, true) => value.take(),
                _ => value.clone(),
            };
            let Some(own) = own else { break };
            taken = true;
            let fires_at = self.fires_at(start);
            let comes_out = match self.emit {
                Emit::Update => true,
                Emit::Close => fires_at <= now,
                Emit::Final => false,
            };
            let wants_old = self.wants_old && comes_out;
            let pane = store.pane_mut(start);
            let at = pane.slot(row.hash, row.bytes);
            let (timestamp, change) = pane.change(at, |slot| {
                let old = if wants_old { slot.value.clone() } else { None };
                slot.stamp(row.timestamp);
                self.aggregator.add(row.key, own, &mut slot.value);
                let new = if comes_out { slot.value.clone() } else { None };
                (slot.timestamp, Change { new, old })
            });
            let mut next = self.closes_at(start);
            if self.emit != Emit::Update && fires_at > now {
                next = next.min(fires_at);
            }
            self.due = self.due.min(next);
            if comes_out {
                let window = self.windows.window(start);
                let again = self.emit == Emit::Close;
                let output = cx.outputs.get::<Windowed<K>, Change<A::State>>(RESULTS);
                output.rows.push(Record {
                    key: Windowed {
                        key: row.key.clone(),
                        window,
                    },
                    value: change,
                    timestamp: if again { window.end - 1 } else { timestamp },
                    headers: match again {
                        true => Headers::default(),
                        false => row.headers.clone(),
                    },
                    watermark: row.watermark,
                });
            }
        }
        if let (false, Some(value)) = (missed.is_empty(), value) {
            let record = Record {
                key: row.key.clone(),
                value,
                timestamp: row.timestamp,
                headers: row.headers,
                watermark: row.watermark,
            };
            self.tell_late(&record, &missed, taken, now, cx);
        }
    }

    /// Tells of the windows that did not take a record.
    #[cold]
    fn tell_late(
        &self,
        row: &Record<K, V>,
        missed: &[Window],
        taken: bool,
        now: i64,
        cx: &mut Context<'_>,
    ) {
        cx.counts.late += 1;
        if !cx.outputs.is_used(LATE) {
            return;
        }
        let Some(window) = missed.first() else {
            return;
        };
        // One row, however many windows there are over the record.
        cx.outputs.get::<K, Late<V>>(LATE).rows.push(Record {
            key: row.key.clone(),
            value: Late {
                value: row.value.clone(),
                window: (*window).into(),
                windows: u32::try_from(missed.len()).unwrap_or(u32::MAX),
                watermark: now,
                lateness: now
                    .saturating_sub(self.closes_at(window.start))
                    .saturating_add(1),
                reason: match self.time {
                    EventTime::Watermark => LateReason::WindowClosed,
                    EventTime::StreamTime => LateReason::GraceOver,
                },
                taken,
            },
            timestamp: row.timestamp,
            headers: row.headers.clone(),
            watermark: row.watermark,
        });
    }
}

impl<K: Data, V: Data, A: Aggregator<K, V>> WindowAggregate<K, V, A> {
    /// Takes a record in. `closed` is the watermark that the store has: it need not be asked for its
    /// types with each record.
    #[inline]
    fn take_keyed(
        &mut self,
        row: Record<K, V>,
        key: Option<(&[u8], Hash)>,
        closed: &mut i64,
        cx: &mut Context<'_>,
    ) -> Taken<K, V> {
        let stamp = row.watermark;
        match self.time {
            EventTime::Watermark => {
                if stamp > *closed {
                    *closed = stamp;
                    if !self.advance(stamp, i64::MIN, cx) {
                        return Err(Some(row));
                    }
                }
                self.add(row, key, *closed, cx);
            }
            // What is left out does not move Kafka's stream time.
            EventTime::StreamTime if key.is_none() => self.add(row, key, *closed, cx),
            EventTime::StreamTime => {
                let store = cx.stores.get::<Store<K, V, A>>(self.store);
                let time = store.time_mut();
                time.stream_time = time.stream_time.max(row.timestamp);
                let now = time.stream_time;
                // Stream time counts for the record itself, but its own results come first.
                let before = time.closed;
                time.closed = now;
                self.add(row, key, now, cx);
                cx.stores
                    .get::<Store<K, V, A>>(self.store)
                    .time_mut()
                    .closed = before;
                if !self.advance(now, stamp, cx) {
                    return Err(None);
                }
            }
        }
        if cx.is_full(RESULTS) {
            return Err(None);
        }
        Ok(())
    }
}

impl<K: Data, V: Data, A: Aggregator<K, V>> Portions<K, V> for WindowAggregate<K, V, A> {
    fn take(&mut self, rows: &mut Drain<'_, Record<K, V>>, cx: &mut Context<'_>) -> Taken<K, V> {
        let mut keys = std::mem::take(&mut self.keys);
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let mut closed = store.time().closed;
        if let Err(error) = keys.read(rows.as_slice(), store.hasher()) {
            cx.fail(bad_key(error));
            return Ok(());
        }
        let mut taken = Ok(());
        for (at, (row, key)) in rows.zip(keys.iter()).enumerate() {
            if at.is_multiple_of(TOUCHED) {
                self.touch(row.timestamp, keys.hashes(at, TOUCHED), cx);
            }
            taken = self.take_keyed(row, key, &mut closed, cx);
            if taken.is_err() || cx.failed.is_some() {
                break;
            }
        }
        self.keys = keys;
        taken
    }

    fn watermark(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        self.time == EventTime::StreamTime || self.advance(now, i64::MIN, cx)
    }

    fn give_out(&mut self, cx: &mut Context<'_>) -> bool {
        let now = cx.stores.get::<Store<K, V, A>>(self.store).time().closed;
        self.firing.is_none() || self.fire_and_expire(now, cx)
    }

    fn holds_back(&self) -> i64 {
        self.holds_back
    }
}
