//! Joins two streams by key and time (Kafka: `KStreamKStreamJoin`).
//!
//! Each side has a buffer of its records, and in left and outer joins a store of those that have found
//! no partner yet. A record looks into the buffer of the other side, and goes into its own one behind
//! that: so a stream that is joined with itself meets itself once, as in Kafka.

use std::marker::PhantomData;
use std::sync::Arc;

use smallvec::SmallVec;

use super::portions::{Rest, Taken};
use super::{Context, Operator, bad_key};
use crate::data::{Data, decode_slice};
use crate::record::chunk::{AnyChunk, Chunk, typed};
use crate::record::late::{Late, LateReason};
use crate::record::{Headers, Record};
use crate::state::{JoinBuffer, StoreId, Unmatched};
use crate::time::{EventTime, JoinWindows};

/// What the output for results is.
pub(crate) const RESULTS: usize = 0;
/// What the outputs for late records are, by side.
pub(crate) const LATE: [usize; 2] = [1, 2];

/// Where a join keeps what it knows, by side: 0 is left, 1 is right.
#[derive(Clone, Copy)]
pub(crate) struct JoinStores {
    pub(crate) buffers: [StoreId; 2],
    /// Sides that come out without a partner have one.
    pub(crate) unmatched: [Option<StoreId>; 2],
}

/// All pairs of records that are near enough to one another. The joiner makes a result; `None` where
/// there is none.
pub(crate) struct StreamJoin<F, K, V, W, X> {
    windows: JoinWindows,
    joiner: Arc<F>,
    stores: JoinStores,
    /// By how much the watermark is behind what it is in front of the join.
    delay: i64,
    /// Event time at which a record comes out without a partner, at the earliest.
    due: i64,
    scratch: Vec<u8>,
    /// What comes behind what is being given out. Only one side has something at a time.
    left: Rest<K, V>,
    right: Rest<K, W>,
    types: PhantomData<fn() -> X>,
}

impl<F, K, V, W, X> StreamJoin<F, K, V, W, X>
where
    F: Fn(Option<&V>, Option<&W>) -> Option<X> + Send + Sync + 'static,
    K: Data,
    V: Data,
    W: Data,
    X: Clone + Send + 'static,
{
    pub(crate) fn new(windows: JoinWindows, joiner: Arc<F>, stores: JoinStores) -> Self {
        Self {
            windows,
            joiner,
            delay: windows.delay(stores.unmatched.map(|store| store.is_some())),
            stores,
            due: i64::MIN,
            scratch: Vec::new(),
            left: Rest::default(),
            right: Rest::default(),
            types: PhantomData,
        }
    }

    /// The watermark has come to `now`: gives out what has waited long enough, and drops what nothing
    /// can join any more. `false` if something is left for later.
    fn advance(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        let left = cx.stores.get::<JoinBuffer<V>>(self.stores.buffers[0]);
        // What was left for later is given out before anything else.
        let now = now.max(left.time_mut().closed);
        if now > left.time_mut().closed {
            left.time_mut().closed = now;
            left.expire();
            let right = cx.stores.get::<JoinBuffer<W>>(self.stores.buffers[1]);
            right.time_mut().closed = now;
            right.expire();
        }
        self.release(now, None, cx)
    }

    /// Gives out what is due, as if event time had come there step by step: that is the watermark that
    /// it carries, unless there is another `stamp`. `false` if some of it is left for later.
    fn release(&mut self, now: i64, stamp: Option<i64>, cx: &mut Context<'_>) -> bool {
        while now >= self.due {
            if cx.is_full(RESULTS) {
                return false;
            }
            let left = self.stores.unmatched[0];
            let left = left.and_then(|store| cx.stores.get::<Unmatched<V>>(store).first());
            let right = self.stores.unmatched[1];
            let right = right.and_then(|store| cx.stores.get::<Unmatched<W>>(store).first());
            let due = |first: Option<(i64, i64)>| first.filter(|(_, due)| *due <= now);
            let order = |(time, due): (i64, i64)| match self.windows.time {
                EventTime::Watermark => due,
                EventTime::StreamTime => time,
            };
            // Of equal times the right side is first, as in Kafka.
            let side = match (due(left), due(right)) {
                (Some(left), Some(right)) => usize::from(order(right) <= order(left)),
                (Some(_), None) => 0,
                (None, Some(_)) => 1,
                (None, None) => {
                    let next = [left, right].into_iter().flatten().map(|(_, due)| due);
                    self.due = next.min().unwrap_or(i64::MAX);
                    return true;
                }
            };
            let (joiner, stores) = (Arc::clone(&self.joiner), self.stores);
            let stamp = |due: i64| {
                let stamp = stamp.unwrap_or_else(|| due.saturating_sub(1));
                stamp.saturating_sub(self.delay)
            };
            if side == 0 {
                let join = |value: &V| joiner(Some(value), None);
                give_out::<K, _, _>(stores.unmatched[0], stamp, join, cx);
            } else {
                let join = |value: &W| joiner(None, Some(value));
                give_out::<K, _, _>(stores.unmatched[1], stamp, join, cx);
            }
            if cx.failed.is_some() {
                return true;
            }
        }
        true
    }

    /// Takes in a record of one side; gives it back if what comes out in front of it is not all out yet.
    /// `Err` also says that something is left for later.
    fn take<A: Data, B: Data>(
        &mut self,
        side: usize,
        row: Record<K, A>,
        join: impl Fn(&A, Option<&B>) -> Option<X>,
        cx: &mut Context<'_>,
    ) -> Taken<K, A> {
        if !self.windows.time.has(row.timestamp) {
            cx.counts.bad_timestamp += 1;
            return Ok(());
        }
        match self.windows.time {
            EventTime::Watermark => {
                if !self.advance(row.watermark, cx) {
                    return Err(Some(row));
                }
            }
            EventTime::StreamTime => {
                let time = cx.stores.get::<JoinBuffer<V>>(self.stores.buffers[0]);
                let time = time.time_mut();
                // Stream time is that of both sides; the buffers have their own, too.
                time.closed = time.closed.max(row.timestamp);
            }
        }
        if cx.failed.is_some() {
            return Ok(());
        }
        if row.value.is_null() {
            cx.counts.null_value += 1;
            if self.windows.time == EventTime::StreamTime && !row.key.is_null() {
                // It joins nothing, but moves the time of Kafka's store on.
                self.move_on::<A>(side, row.timestamp, cx);
            }
            return Ok(());
        }
        let now = cx.stores.get::<JoinBuffer<V>>(self.stores.buffers[0]);
        let now = now.time_mut().closed;
        let late = row.timestamp.saturating_add(self.windows.grace) <= now;
        if self.windows.time == EventTime::Watermark && late {
            self.tell_late(side, &row, now, LateReason::WindowClosed, false, cx);
            return Ok(());
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        match row.key.encode(&mut scratch) {
            Ok(Some(bytes)) => {
                if self.windows.time == EventTime::StreamTime && row.timestamp == now {
                    // Kafka has results come out strictly later.
                    if !self.release(now.saturating_sub(1), Some(row.watermark), cx) {
                        self.scratch = scratch;
                        return Err(Some(row));
                    }
                }
                if cx.failed.is_none() {
                    self.meet(side, bytes, &row, now, join, cx);
                }
            }
            // It has no partner, and never will (KIP-962).
            Ok(None) if self.stores.unmatched[side].is_some() => {
                let result = join(&row.value, None);
                self.result(&row, row.timestamp, result, cx);
            }
            Ok(None) => cx.counts.null_key += 1,
            Err(error) => cx.fail(bad_key(error)),
        }
        self.scratch = scratch;
        if cx.is_full(RESULTS) {
            return Err(None);
        }
        Ok(())
    }

    /// Takes in records of one side; `false` if some are left for later.
    fn take_all<A: Data, B: Data>(
        &mut self,
        side: usize,
        input: &mut Chunk<K, A>,
        rest: impl Fn(&mut Self) -> &mut Rest<K, A>,
        join: impl Fn(&A, Option<&B>) -> Option<X>,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut rows = input.rows.drain(..);
        while let Some(row) = rows.next() {
            if let Err(own) = self.take(side, row, &join, cx) {
                rest(self).put_back(own, rows, input.watermark);
                return false;
            }
            if cx.failed.is_some() {
                break;
            }
        }
        true
    }

    /// Moves the stream time of one side's buffer on, which goes by the records of that side alone.
    fn move_on<A: Data>(&self, side: usize, to: i64, cx: &mut Context<'_>) {
        let own = cx.stores.get::<JoinBuffer<A>>(self.stores.buffers[side]);
        let time = own.time_mut();
        time.stream_time = time.stream_time.max(to);
        own.expire();
    }

    /// Joins a record with what the other side has, and keeps it for what comes later.
    fn meet<A: Data, B: Data>(
        &mut self,
        side: usize,
        bytes: &[u8],
        row: &Record<K, A>,
        now: i64,
        join: impl Fn(&A, Option<&B>) -> Option<X>,
        cx: &mut Context<'_>,
    ) {
        let windows = self.windows.seen_from(side);
        let partners = windows.partners(row.timestamp);
        let other = cx
            .stores
            .get::<JoinBuffer<B>>(self.stores.buffers[1 - side]);
        let hash = other.hash(bytes);
        let output = cx.outputs.get::<K, X>(RESULTS);
        let watermark = row.watermark.saturating_sub(self.delay);
        let mut times: SmallVec<[i64; 8]> = SmallVec::new();
        let mut met = false;
        let notes = self.stores.unmatched[1 - side].is_some();
        let range = match self.windows.time {
            EventTime::Watermark => (partners.start, partners.end),
            // Kafka looks for nothing before 1970, but always for something.
            EventTime::StreamTime => (partners.start.max(0), partners.end.max(0)),
        };
        other.between(hash, bytes, range, |time, value| {
            met = true;
            if notes && times.last() != Some(&time) {
                times.push(time);
            }
            if let Some(value) = join(&row.value, Some(value)) {
                output.rows.push(Record {
                    key: row.key.clone(),
                    value,
                    timestamp: row.timestamp.max(time),
                    headers: row.headers.clone(),
                    watermark,
                });
            }
        });
        if let Some(store) = self.stores.unmatched[1 - side] {
            let store = cx.stores.get::<Unmatched<B>>(store);
            for time in times {
                store.remove(time, bytes);
            }
        }
        if let (Some(store), false) = (self.stores.unmatched[side], met) {
            let due = partners.end.saturating_add(windows.grace);
            let at_once = match self.windows.time {
                EventTime::Watermark => due <= now,
                EventTime::StreamTime => range.1 < now,
            };
            if at_once {
                let result = join(&row.value, None);
                self.result(row, row.timestamp, result, cx);
            } else {
                let store = cx.stores.get::<Unmatched<A>>(store);
                store.put(row.timestamp, bytes, row.value.clone());
                self.due = self.due.min(due);
            }
        }
        if self.windows.time == EventTime::StreamTime {
            self.move_on::<A>(side, row.timestamp, cx);
        }
        let own = cx.stores.get::<JoinBuffer<A>>(self.stores.buffers[side]);
        if own.keeps(row.timestamp) {
            own.put(hash, bytes, row.timestamp, row.value.clone());
        } else if self.windows.time == EventTime::StreamTime {
            self.tell_late(side, row, now, LateReason::GraceOver, true, cx);
        }
    }

    /// A result that a record gives at once.
    fn result<A>(
        &self,
        row: &Record<K, A>,
        timestamp: i64,
        value: Option<X>,
        cx: &mut Context<'_>,
    ) {
        let output = cx.outputs.get::<K, X>(RESULTS);
        output.rows.extend(value.map(|value| Record {
            key: row.key.clone(),
            value,
            timestamp,
            headers: row.headers.clone(),
            watermark: row.watermark.saturating_sub(self.delay),
        }));
    }

    #[cold]
    fn tell_late<A: Data>(
        &self,
        side: usize,
        row: &Record<K, A>,
        now: i64,
        reason: LateReason,
        taken: bool,
        cx: &mut Context<'_>,
    ) {
        cx.counts.late += 1;
        let port = LATE[side];
        if !cx.outputs.is_used(port) {
            return;
        }
        let grace = match self.windows.time {
            EventTime::Watermark => self.windows.grace,
            EventTime::StreamTime => self.windows.retention(side),
        };
        let value = Late {
            value: row.value.clone(),
            window: self.windows.seen_from(side).partners(row.timestamp).into(),
            windows: 1,
            watermark: now,
            lateness: now
                .saturating_sub(row.timestamp.saturating_add(grace))
                .saturating_add(1),
            reason,
            taken,
        };
        cx.outputs.get::<K, Late<A>>(port).rows.push(Record {
            key: row.key.clone(),
            value,
            timestamp: row.timestamp,
            headers: row.headers.clone(),
            watermark: row.watermark.saturating_sub(self.delay),
        });
    }
}

/// Gives the first of the records out that have found no partner, and those of the same key and time.
fn give_out<K: Data, A: Data, X: Clone + Send + 'static>(
    store: Option<StoreId>,
    stamp: impl Fn(i64) -> i64,
    join: impl Fn(&A) -> Option<X>,
    cx: &mut Context<'_>,
) {
    let Some(store) = store else { return };
    let store = cx.stores.get::<Unmatched<A>>(store);
    let due = store.first().map_or(i64::MAX, |(_, due)| due);
    let Some(((timestamp, key), values)) = store.take_first() else {
        return;
    };
    let key = match decode_slice::<K>(Some(&key)) {
        Ok(key) => key,
        Err(error) => return cx.fail(bad_key(error)),
    };
    let output = cx.outputs.get::<K, X>(RESULTS);
    for value in values {
        output.rows.extend(join(&value).map(|value| Record {
            key: key.clone(),
            value,
            timestamp,
            headers: Headers::default(),
            watermark: stamp(due),
        }));
    }
}

impl<F, K, V, W, X> Operator for StreamJoin<F, K, V, W, X>
where
    F: Fn(Option<&V>, Option<&W>) -> Option<X> + Send + Sync + 'static,
    K: Data,
    V: Data,
    W: Data,
    X: Clone + Send + 'static,
{
    fn process(&mut self, port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let joiner = Arc::clone(&self.joiner);
        let watermark = input.watermark();
        let taken = if port == 0 {
            let join = |own: &V, other: Option<&W>| joiner(Some(own), other);
            let input = typed::<K, V>(input);
            self.take_all(0, input, |join| &mut join.left, join, cx)
        } else {
            let join = |own: &W, other: Option<&V>| joiner(other, Some(own));
            let input = typed::<K, W>(input);
            self.take_all(1, input, |join| &mut join.right, join, cx)
        };
        if cx.failed.is_some() {
            return;
        }
        if taken && self.windows.time == EventTime::Watermark && !self.advance(watermark, cx) {
            self.left.put_back(None, std::iter::empty(), watermark);
        }
        if self.left.is_left() || self.right.is_left() {
            // Its results carry the watermark behind the join.
            return cx.leave(0);
        }
        for output in &mut cx.outputs.ports {
            output
                .chunk
                .set_watermark(watermark.saturating_sub(self.delay));
        }
    }

    fn go_on(&mut self, cx: &mut Context<'_>) {
        if let Some(mut next) = self.left.next(cx.portion) {
            self.process(0, &mut next, cx);
        } else if let Some(mut next) = self.right.next(cx.portion) {
            self.process(1, &mut next, cx);
        }
    }
}
