//! Sliding windows: one ends at each record, one begins right behind each (KIP-450).
//!
//! A new window begins with what is in it already. It is found in an older window: records that are in
//! one and not in the other have a window of their own in between.

use smallvec::SmallVec;

use super::{Row, SpanAggregate, Store};
use crate::data::Data;
use crate::dsl::aggregator::Aggregator;
use crate::operator::Context;
use crate::record::Change;
use crate::state::Span;
use crate::time::{EventTime, SlidingWindows, Window};

/// What is known of a key's windows around a record.
struct Around<S> {
    /// The last window in front of the record, if the record's own begins with what is in it.
    left: Option<S>,
    /// The window that the record's right one begins with, as it was before the record, and its
    /// timestamp.
    right: Option<(S, i64)>,
    /// The latest record in front of it.
    previous: Option<i64>,
    /// Windows that are there already: the one that ends at the record, the one that begins behind it,
    /// and the one behind the previous record.
    has_left: bool,
    has_right: bool,
    has_previous_right: bool,
}

/// What has become of a record.
#[derive(Default)]
struct Fate {
    /// The windows that had closed.
    missed: SmallVec<[Window; 1]>,
    /// Whether one took it.
    taken: bool,
}

impl<K: Data, V: Data, A: Aggregator<K, V>> SpanAggregate<K, V, A> {
    pub(super) fn add_to_sliding(
        &mut self,
        windows: SlidingWindows,
        row: Row<'_, K, V>,
        cx: &mut Context<'_>,
    ) {
        let (time, difference) = (row.timestamp, windows.difference);
        let last = window_at(time, difference);
        if self.closes_at(last.end) <= row.now {
            return self.tell_late(&row, &[last], false, cx);
        }
        // Where Kafka's windows would begin before 1970, one takes their place.
        let early = windows.time == EventTime::StreamTime && time < difference;
        let mut fate = Fate::default();
        let own_start = if early {
            0
        } else {
            time.saturating_sub(difference)
        };
        let around = self.update(&row, own_start, early, &mut fate, cx);
        let previous = around.previous.filter(|_| !around.has_previous_right);
        let previous = previous.map(|previous| previous.saturating_add(1));
        let previous = previous
            .filter(|start| start.saturating_add(difference) >= time && *start != own_start);
        // Results come out in Kafka's order, which is another one for early records.
        if early {
            self.make_right(&row, &around, difference, cx);
        }
        if let Some(start) = previous {
            let window = window_at(start, difference);
            self.make(&row, window, None, &mut fate, cx);
        }
        if !around.has_left {
            let inside = around
                .previous
                .is_some_and(|previous| previous >= own_start);
            let begin = around.left.clone().filter(|_| inside && !early);
            let window = window_at(own_start, difference);
            self.make(&row, window, begin, &mut fate, cx);
        }
        if early && around.has_left {
            let store = cx.stores.get::<Store<K, V, A>>(self.store);
            let spans = store.spans(row.slot);
            let at = spans.partition_point(|span| span.start < own_start);
            self.put_in(&row, at, true, &mut fate, cx);
            self.forget_empty(row.slot, at, cx);
        }
        if !early {
            self.make_right(&row, &around, difference, cx);
        }
        self.tell_late(&row, &fate.missed, fate.taken, cx);
    }

    /// Puts a record into the windows that are there, and looks at what is around it. The window for
    /// `early` records is left to the caller.
    fn update(
        &self,
        row: &Row<'_, K, V>,
        own_start: i64,
        early: bool,
        fate: &mut Fate,
        cx: &mut Context<'_>,
    ) -> Around<A::State> {
        let time = row.timestamp;
        let mut around = Around {
            left: None,
            right: None,
            previous: None,
            has_left: false,
            has_right: false,
            has_previous_right: false,
        };
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let spans = store.spans(row.slot);
        let mut at = spans.partition_point(|span| span.start <= time.saturating_add(1));
        let mut inside = Vec::new();
        while let Some(span) = at.checked_sub(1).map(|at| &spans[at]) {
            at -= 1;
            if span.start > time {
                around.has_right = true;
            } else if span.start == own_start {
                around.has_left = true;
                if !early {
                    inside.push(at);
                }
                if span.timestamp < time {
                    around.previous = Some(span.timestamp);
                } else if around.right.is_none() && span.timestamp > time {
                    // Only the window that takes early records has later ones.
                    around.right = span.value.clone().map(|value| (value, span.timestamp));
                }
                break;
            } else if span.end >= time {
                if around.right.is_none() {
                    around.right = span.value.clone().map(|value| (value, span.timestamp));
                }
                inside.push(at);
            } else {
                around.left.clone_from(&span.value);
                around.previous = Some(span.timestamp);
                break;
            }
        }
        if let Some(previous) = around.previous {
            let start = previous.saturating_add(1);
            around.has_previous_right = spans
                .binary_search_by_key(&start, |span| span.start)
                .is_ok();
        }
        if early {
            inside.reverse();
        }
        for at in &inside {
            self.put_in(row, *at, true, fate, cx);
        }
        // From the back, since those behind a window that goes move up.
        inside.sort_unstable_by(|a, b| b.cmp(a));
        for at in inside {
            self.forget_empty(row.slot, at, cx);
        }
        around
    }

    /// Puts a record into a window; `known` says that it has been there before.
    fn put_in(
        &self,
        row: &Row<'_, K, V>,
        at: usize,
        known: bool,
        fate: &mut Fate,
        cx: &mut Context<'_>,
    ) {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let here = super::window(&store.spans(row.slot)[at]);
        let closed = self.closes_at(here.end) <= row.now;
        if closed {
            fate.missed.push(here);
            if self.forgets() {
                return;
            }
        } else {
            fate.taken = true;
        }
        let comes_out = !closed && self.comes_out(here.end, row.now);
        let span = store.span_mut(row.slot, at);
        let old = if self.wants_old && comes_out && known {
            span.value.clone()
        } else {
            None
        };
        self.aggregator
            .add(row.key, row.value.clone(), &mut span.value);
        span.timestamp = span.timestamp.max(row.timestamp);
        let new = if comes_out { span.value.clone() } else { None };
        let timestamp = self.timestamp(span);
        if comes_out {
            self.put_out(row, here, Change { new, old }, timestamp, cx);
        }
    }

    /// Makes a window that begins with what is in it already, and puts the record in.
    fn make(
        &self,
        row: &Row<'_, K, V>,
        window: Window,
        begin: Option<A::State>,
        fate: &mut Fate,
        cx: &mut Context<'_>,
    ) {
        if self.closes_at(window.end) <= row.now && self.forgets() {
            return fate.missed.push(window);
        }
        let mut span = Span::new(window.start, window.end, row.timestamp);
        span.value = begin;
        let at = self.insert(row.slot, span, cx);
        self.put_in(row, at, false, fate, cx);
        self.forget_empty(row.slot, at, cx);
    }

    /// Makes the window right behind the record, if something is in it.
    fn make_right(
        &self,
        row: &Row<'_, K, V>,
        around: &Around<A::State>,
        difference: i64,
        cx: &mut Context<'_>,
    ) {
        let Some((value, timestamp)) = around.right.clone() else {
            return;
        };
        if around.has_right || timestamp <= row.timestamp {
            return;
        }
        let window = window_at(row.timestamp.saturating_add(1), difference);
        let mut span = Span::new(window.start, window.end, timestamp);
        let change = Change {
            new: Some(value.clone()),
            old: None,
        };
        span.value = Some(value);
        let timestamp = self.timestamp(&span);
        self.insert(row.slot, span, cx);
        if self.comes_out(window.end, row.now) {
            self.put_out(row, window, change, timestamp, cx);
        }
    }

    fn insert(&self, slot: usize, span: Span<A::State>, cx: &mut Context<'_>) -> usize {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let at = store
            .spans(slot)
            .partition_point(|other| other.start < span.start);
        let end = span.end;
        store.insert(slot, at, span);
        store.schedule(slot, end);
        at
    }

    /// A window without an aggregate is none.
    fn forget_empty(&self, slot: usize, at: usize, cx: &mut Context<'_>) {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        if store.spans(slot)[at].value.is_none() {
            store.remove(slot, at);
        }
    }

    /// Whether closed windows are left as they are, as in Kafka: then a window that is made of one
    /// lacks what came too late for the older one. By the watermark such records are told as late for
    /// the closed window, but are in it for those that are still to be made.
    fn forgets(&self) -> bool {
        self.spans.time() == EventTime::StreamTime
    }
}

fn window_at(start: i64, difference: i64) -> Window {
    Window {
        start,
        end: start.saturating_add(difference),
    }
}
