//! Sessions: a record goes on with the session that it is near enough to, or begins one.

use super::{Row, SpanAggregate, Store, window};
use crate::data::Data;
use crate::dsl::aggregator::Aggregator;
use crate::operator::Context;
use crate::record::Change;
use crate::state::Span;
use crate::time::{EventTime, SessionWindows, Window};

/// The sessions that a record puts together: from which one on, and how many. None: it begins one
/// that comes to lie there.
struct Near {
    first: usize,
    count: usize,
}

impl<K: Data, V: Data, A: Aggregator<K, V>> SpanAggregate<K, V, A> {
    #[inline]
    pub(super) fn add_to_session(
        &mut self,
        windows: SessionWindows,
        row: Row<'_, K, V>,
        cx: &mut Context<'_>,
    ) {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let spans = store.spans(row.slot);
        let near = self.near(&windows, spans, row.timestamp, row.now);
        let merged = &spans[near.first..near.first + near.count];
        let own = Window {
            start: row.timestamp,
            end: row.timestamp,
        };
        let session = Window {
            start: merged
                .first()
                .map_or(own.start, |span| span.start.min(own.start)),
            end: merged.last().map_or(own.end, |span| span.end.max(own.end)),
        };
        // It is judged by what it goes on with: an old record may still belong to an open session.
        if self.closes_at(session.end) <= row.now {
            return self.tell_late(&row, &[own], false, cx);
        }
        let by_stream_time = windows.time == EventTime::StreamTime;
        let same = near.count == 1 && window(&merged[0]) == session;
        // Kafka lets a session go first whenever it comes out again, but for one that is no longer
        // than the record; here it goes first if its window does.
        let replaced = near.count > 0
            && if by_stream_time {
                session != own
            } else {
                !same
            };
        if replaced {
            for at in near.first..near.first + near.count {
                self.take_back(&row, at, cx);
            }
        }
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let comes_out = self.comes_out(session.end, row.now);
        let wants_old = self.wants_old && comes_out && !replaced;
        if near.count == 0 {
            let new = Span::new(session.start, session.end, session.end);
            store.insert(row.slot, near.first, new);
        }
        let mut old_states = Vec::new();
        for _ in 1..near.count {
            old_states.extend(store.remove(row.slot, near.first + 1).value);
        }
        store.move_start(row.slot, near.first, session.start);
        let span = store.span_mut(row.slot, near.first);
        let had = span.value.is_some();
        let old = if wants_old { span.value.clone() } else { None };
        span.end = session.end;
        span.timestamp = session.end;
        if near.count > 1 || (by_stream_time && near.count > 0) {
            // As Kafka does: into what an aggregate begins with, one after the other.
            let first = span.value.take();
            for state in first.into_iter().chain(old_states) {
                self.aggregator.merge(row.key, &mut span.value, state);
            }
        }
        self.aggregator
            .add(row.key, row.value.clone(), &mut span.value);
        let new = if comes_out { span.value.clone() } else { None };
        let timestamp = self.timestamp(span);
        if span.value.is_none() {
            store.remove(row.slot, near.first);
        } else {
            store.schedule(row.slot, session.end);
        }
        // Kafka tells of a session without an aggregate, too.
        if comes_out && (by_stream_time || new.is_some() || (had && !replaced)) {
            let change = Change { new, old };
            self.put_out(&row, session, change, timestamp, cx);
        }
    }

    /// The sessions that a record belongs to: the one that it is in, or those in front of it and
    /// behind it that are near enough and still there.
    #[inline]
    fn near(
        &self,
        windows: &SessionWindows,
        spans: &[Span<A::State>],
        timestamp: i64,
        now: i64,
    ) -> Near {
        // Most records come in order: then this looks at the last one only.
        let later = spans.iter().rev().take_while(|span| span.start > timestamp);
        let at = spans.len() - later.count();
        let open = |span: &&Span<A::State>| span.end.saturating_add(self.keep) > now;
        let before = spans[..at].last().filter(open);
        if before.is_some_and(|span| timestamp <= span.end) {
            return Near {
                first: at - 1,
                count: 1,
            };
        }
        let gap = windows.gap;
        let before = before.filter(|span| timestamp.saturating_sub(span.end) <= gap);
        let behind = spans[at..].first().filter(open);
        let behind = behind.filter(|span| span.start.saturating_sub(timestamp) <= gap);
        let fits = |start: i64, end: i64| end.saturating_sub(start) <= windows.max_length;
        let (first, count) = match (before, behind) {
            (Some(before), Some(behind)) if fits(before.start, behind.end) => (at - 1, 2),
            (Some(before), _) if fits(before.start, timestamp) => (at - 1, 1),
            (_, Some(behind)) if fits(timestamp, behind.end) => (at, 1),
            _ => (at, 0),
        };
        Near { first, count }
    }

    /// Says that a session is no more, if it has come out.
    fn take_back(&self, row: &Row<'_, K, V>, at: usize, cx: &mut Context<'_>) {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let span = &store.spans(row.slot)[at];
        if !self.comes_out(span.end, row.now) || span.value.is_none() {
            return;
        }
        let old = if self.wants_old {
            span.value.clone()
        } else {
            None
        };
        let (gone, timestamp) = (window(span), self.timestamp(span));
        self.put_out(row, gone, Change { new: None, old }, timestamp, cx);
    }
}
