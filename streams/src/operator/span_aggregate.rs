//! Aggregates a stream by key and windows that the records themselves make: sessions and sliding
//! windows (Kafka: `KStreamSessionWindowAggregate`, `KStreamSlidingWindowAggregate`).

mod session;
mod sliding;

use std::marker::PhantomData;
use std::sync::Arc;
use std::vec::Drain;

use super::portions::{Portions, Taken, one_by_one};
use super::window_aggregate::{Emit, LATE, RESULTS};
use super::{Context, bad_key};
use crate::data::{Data, decode_slice};
use crate::dsl::aggregator::Aggregator;
use crate::query::Kind;
use crate::record::late::{Late, LateReason, LateWindow};
use crate::record::{Change, Headers, Record};
use crate::state::{Passing, Span, SpanStore, SpanTimes, StoreId};
use crate::time::{EventTime, SessionWindows, SlidingWindows, Window, Windowed};

/// How records make windows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spans {
    Session(SessionWindows),
    Sliding(SlidingWindows),
}

impl Spans {
    /// What their store is for those who read it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Session(_) => Kind::Sessions,
            Self::Sliding(_) => Kind::Windows,
        }
    }

    pub(crate) fn time(&self) -> EventTime {
        match self {
            Self::Session(windows) => windows.time,
            Self::Sliding(windows) => windows.time,
        }
    }

    /// How long after its last millisecond a window could still be given a record, if records came in
    /// order; and how much longer it takes late ones.
    fn open(&self) -> (i64, i64) {
        match self {
            // A record at the last one's own time is always still to come.
            Self::Session(windows) if windows.time == EventTime::Watermark => {
                ((windows.gap - 1).max(0), windows.grace)
            }
            Self::Session(windows) => (windows.gap, windows.grace),
            Self::Sliding(windows) => (0, windows.grace),
        }
    }

    /// How much longer than it could be given records in order it takes late ones.
    pub(crate) fn grace(&self) -> i64 {
        self.open().1
    }

    /// From how long after its last millisecond on a window takes nothing. Stream time includes the
    /// record itself: it has to be above, where the watermark only has to be there.
    pub(crate) fn close(&self) -> i64 {
        let (gap, grace) = self.open();
        match self.time() {
            EventTime::Watermark => gap + grace,
            EventTime::StreamTime => gap + grace + 1,
        }
    }

    /// By how much the watermark is behind what it is in front of the windows: results carry the time
    /// at which their window is over, but may come out the lateness later.
    pub(crate) fn holds_back(&self, emit: Emit) -> i64 {
        match (self.time(), emit) {
            (EventTime::Watermark, Emit::Final) => self.grace(),
            _ => 0,
        }
    }

    /// What its store has to know.
    pub(crate) fn times(&self, emit: Emit) -> SpanTimes {
        let fire = match (self.time(), emit) {
            (_, Emit::Update) => None,
            (EventTime::Watermark, Emit::Close) => Some(self.open().0),
            _ => Some(self.close()),
        };
        match self {
            // Where every change comes out at once nothing is final, and Kafka's sessions can be gone
            // on with after they have closed, as long as its stores have them.
            Self::Session(windows)
                if windows.time == EventTime::StreamTime && emit == Emit::Update =>
            {
                SpanTimes {
                    fire,
                    keep: self.close() + windows.gap + windows.grace,
                    length: None,
                }
            }
            Self::Session(_) => SpanTimes {
                fire,
                keep: self.close(),
                length: None,
            },
            // New windows are made of what is in older ones: a record that is just not late, up to the
            // difference behind, has to find those of the records that are as far in front of it.
            // Kafka has them for the difference only.
            Self::Sliding(windows) => {
                let behind = match windows.time {
                    EventTime::Watermark => windows.difference * 2 + 1,
                    EventTime::StreamTime => windows.difference,
                };
                SpanTimes {
                    fire,
                    keep: self.close() + behind + 1,
                    length: Some(windows.difference),
                }
            }
        }
    }
}

impl std::fmt::Display for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session(windows) => windows.fmt(f),
            Self::Sliding(windows) => windows.fmt(f),
        }
    }
}

/// One aggregate per key and window. Records whose key is null are counted and left out.
pub(crate) struct SpanAggregate<K, V, A: Aggregator<K, V>> {
    aggregator: Arc<A>,
    spans: Spans,
    emit: Emit,
    store: StoreId,
    wants_old: bool,
    /// How long after its last millisecond a window's result comes out.
    fire: Option<i64>,
    close: i64,
    /// How long it is kept.
    keep: i64,
    scratch: Vec<u8>,
    /// What is being given out, with the least watermark that it carries.
    passing: Option<(Passing, i64)>,
    types: PhantomData<fn(K, V)>,
}

type Store<K, V, A> = SpanStore<<A as Aggregator<K, V>>::State>;

/// A record on its way into its windows.
struct Row<'a, K, V> {
    slot: usize,
    key: &'a K,
    value: V,
    timestamp: i64,
    headers: &'a Headers,
    watermark: i64,
    /// Event time when it comes.
    now: i64,
}

impl<K: Data, V: Data, A: Aggregator<K, V>> SpanAggregate<K, V, A> {
    pub(crate) fn new(
        aggregator: Arc<A>,
        spans: Spans,
        emit: Emit,
        store: StoreId,
        wants_old: bool,
    ) -> Self {
        Self {
            aggregator,
            spans,
            emit,
            store,
            wants_old,
            fire: spans.times(emit).fire,
            close: spans.close(),
            keep: spans.times(emit).keep,
            scratch: Vec::new(),
            passing: None,
            types: PhantomData,
        }
    }

    /// The event time from which on a window that ends there takes nothing.
    #[inline]
    fn closes_at(&self, end: i64) -> i64 {
        end.saturating_add(self.close)
    }

    /// Whether what a record changes comes out at once: always, or if the window's result has come
    /// out before.
    #[inline]
    fn comes_out(&self, end: i64, now: i64) -> bool {
        match self.fire {
            None => true,
            Some(delay) => self.emit == Emit::Close && end.saturating_add(delay) <= now,
        }
    }

    /// The timestamp of a window's result.
    fn timestamp(&self, span: &Span<A::State>) -> i64 {
        match (self.spans.time(), self.fire) {
            // Not below the watermark behind which it comes out, or it would be late itself.
            (EventTime::Watermark, Some(_)) => span.end.saturating_add(self.spans.open().0),
            _ => span.timestamp,
        }
    }

    /// Event time has come to `now`. Results carry a watermark of at least `stamp`. `false` if something
    /// is left for later.
    fn advance(&mut self, now: i64, stamp: i64, cx: &mut Context<'_>) -> bool {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let before = store.time().closed;
        if now <= before {
            return true;
        }
        store.time_mut().closed = now;
        if now < store.first_due() {
            return true;
        }
        self.passing = Some((store.pass(before), stamp));
        self.fire_passing(cx)
    }

    /// Gives out what closes; `false` if some of it is left for later.
    fn fire_passing(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((mut passing, stamp)) = self.passing.take() else {
            return true;
        };
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let output = cx.outputs.get::<Windowed<K>, Change<A::State>>(RESULTS);
        loop {
            if output.rows.len() >= cx.portion {
                self.passing = Some((passing, stamp));
                return false;
            }
            let Some(fired) = store.next_fired(&mut passing) else {
                break;
            };
            let key = match decode_slice::<K>(Some(fired.key)) {
                Ok(key) => key,
                Err(error) => {
                    cx.fail(bad_key(error));
                    return true;
                }
            };
            let watermark = match self.spans.time() {
                EventTime::Watermark => stamp.max(fired.at.saturating_sub(1)),
                EventTime::StreamTime => stamp,
            };
            output.rows.push(Record {
                key: Windowed {
                    key,
                    window: window(fired.span),
                },
                value: Change {
                    new: fired.span.value.clone(),
                    old: None,
                },
                timestamp: self.timestamp(fired.span),
                headers: Headers::default(),
                watermark,
            });
        }
        store.end_pass(passing);
        true
    }

    /// Whether a record goes into no window, whatever its time.
    fn leaves_out(&self, row: &Record<K, V>) -> bool {
        row.key.is_null()
            || (matches!(self.spans, Spans::Sliding(_)) && row.value.is_null())
            || !self.spans.time().has(row.timestamp)
    }

    /// Puts a record into its windows.
    #[inline]
    fn add(&mut self, row: Record<K, V>, now: i64, cx: &mut Context<'_>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        match row.key.encode(&mut scratch) {
            Ok(Some(_)) if !self.spans.time().has(row.timestamp) => cx.counts.bad_timestamp += 1,
            Ok(Some(bytes)) => {
                let slot = cx.stores.get::<Store<K, V, A>>(self.store).slot(bytes);
                let row = Row {
                    slot,
                    key: &row.key,
                    value: row.value,
                    timestamp: row.timestamp,
                    headers: &row.headers,
                    watermark: row.watermark,
                    now,
                };
                match self.spans {
                    Spans::Session(windows) => self.add_to_session(windows, row, cx),
                    Spans::Sliding(_) if row.value.is_null() => cx.counts.null_value += 1,
                    Spans::Sliding(windows) => self.add_to_sliding(windows, row, cx),
                }
                cx.stores.get::<Store<K, V, A>>(self.store).leave(slot);
            }
            Ok(None) => cx.counts.null_key += 1,
            Err(error) => cx.fail(bad_key(error)),
        }
        self.scratch = scratch;
    }

    /// Gives out what has become of a window because of a record.
    #[inline]
    fn put_out(
        &self,
        row: &Row<'_, K, V>,
        window: Window,
        change: Change<A::State>,
        timestamp: i64,
        cx: &mut Context<'_>,
    ) {
        let output = cx.outputs.get::<Windowed<K>, Change<A::State>>(RESULTS);
        output.rows.push(Record {
            key: Windowed {
                key: row.key.clone(),
                window,
            },
            value: change,
            timestamp,
            headers: match self.emit {
                Emit::Update => row.headers.clone(),
                _ => Headers::default(),
            },
            watermark: row.watermark,
        });
    }

    /// Tells of the windows that did not take a record.
    #[cold]
    fn tell_late(&self, row: &Row<'_, K, V>, missed: &[Window], taken: bool, cx: &mut Context<'_>) {
        let Some(first) = missed.iter().min() else {
            return;
        };
        cx.counts.late += 1;
        if !cx.outputs.is_used(LATE) {
            return;
        }
        let lateness = row.now.saturating_sub(self.closes_at(first.end));
        cx.outputs.get::<K, Late<V>>(LATE).rows.push(Record {
            key: row.key.clone(),
            value: Late {
                value: row.value.clone(),
                window: LateWindow::from(*first),
                windows: u32::try_from(missed.len()).unwrap_or(u32::MAX),
                watermark: row.now,
                lateness: lateness.saturating_add(1),
                reason: match self.spans.time() {
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

fn window<A>(span: &Span<A>) -> Window {
    Window {
        start: span.start,
        end: span.end,
    }
}

impl<K: Data, V: Data, A: Aggregator<K, V>> SpanAggregate<K, V, A> {
    /// Takes a record in.
    #[inline]
    fn take_one(&mut self, row: Record<K, V>, cx: &mut Context<'_>) -> Taken<K, V> {
        let stamp = row.watermark;
        if self.spans.time() == EventTime::Watermark {
            if !self.advance(stamp, i64::MIN, cx) {
                return Err(Some(row));
            }
            let closed = cx.stores.get::<Store<K, V, A>>(self.store).time().closed;
            self.add(row, closed, cx);
        } else if self.leaves_out(&row) {
            // It does not move Kafka's stream time.
            self.add(row, i64::MIN, cx);
        } else {
            // Stream time counts for the record itself, but what the record changes comes out
            // before what closes because of it.
            let time = cx.stores.get::<Store<K, V, A>>(self.store).time_mut();
            time.stream_time = time.stream_time.max(row.timestamp);
            let now = time.stream_time;
            self.add(row, now, cx);
            if !self.advance(now, stamp, cx) {
                return Err(None);
            }
        }
        if cx.is_full(RESULTS) {
            return Err(None);
        }
        Ok(())
    }
}

impl<K: Data, V: Data, A: Aggregator<K, V>> Portions<K, V> for SpanAggregate<K, V, A> {
    fn take(&mut self, rows: &mut Drain<'_, Record<K, V>>, cx: &mut Context<'_>) -> Taken<K, V> {
        one_by_one(rows, cx, |row, cx| self.take_one(row, cx))
    }

    fn watermark(&mut self, now: i64, cx: &mut Context<'_>) -> bool {
        self.spans.time() == EventTime::StreamTime || self.advance(now, i64::MIN, cx)
    }

    fn give_out(&mut self, cx: &mut Context<'_>) -> bool {
        self.fire_passing(cx)
    }

    fn holds_back(&self) -> i64 {
        self.spans.holds_back(self.emit)
    }
}
