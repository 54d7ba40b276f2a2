//! Hopping windows by slices: each record goes into one slice, and a window is the merge of its
//! slices when it closes. What a record costs does not depend on how many windows it is in (as in
//! "Efficient Window Aggregation with General Stream Slicing", EDBT 2019).

use super::{Emit, Keyed, Missed, RESULTS, Results, Store, WindowAggregate};
use crate::aggregator::Aggregator;
use crate::chunk::Chunk;
use crate::data::{Data, decode_slice};
use crate::error::StreamsError;
use crate::operator::{Context, bad_key};
use crate::record::{Change, Record};
use crate::state::table::{Hash, Table};
use crate::time::{EventTime, Windowed, floor};

/// One key's part of a window that is put together.
struct Merged<K, S> {
    key: K,
    state: Option<S>,
}

impl<K: Data, V: Data, A: Aggregator<K, V>> WindowAggregate<K, V, A> {
    /// The first window whose time is above `now`, whether there is something in it or not.
    fn first_after(&self, now: i64) -> i64 {
        let delay = self.fires_at(0);
        let advance = self.windows.advance;
        let last = floor(now.saturating_sub(delay), advance, self.windows.offset);
        last.saturating_add(advance)
    }

    /// The first window with something in it whose time is above `now`.
    pub(super) fn next_sliced(&self, now: i64, store: &Store<K, V, A>) -> Option<i64> {
        let after = self.first_after(now);
        store.starts(i64::MIN).find_map(|slice| {
            let first = self.windows.starts(slice).next()?.max(after);
            (first <= floor(slice, self.windows.advance, self.windows.offset)).then_some(first)
        })
    }

    pub(super) fn fire_sliced(
        &mut self,
        before: i64,
        now: i64,
        stamp: i64,
        cx: &mut Context<'_>,
    ) -> Result<(), StreamsError> {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let output = cx.outputs.get::<Windowed<K>, Change<A::State>>(RESULTS);
        let mut next = self.next_sliced(before, store);
        while let Some(start) = next {
            let at = self.fires_at(start);
            if at > now {
                break;
            }
            let mut window = Table::default();
            let end = start.saturating_add(self.windows.size);
            for slice in store.starts(start).take_while(|slice| *slice < end) {
                self.merge_slice(store, slice, None, &mut window)?;
            }
            self.put_out(&mut window, start, at, stamp, output);
            next = self.next_sliced(at, store);
        }
        Ok(())
    }

    /// Merges a slice into a window, or only one key of it.
    fn merge_slice(
        &self,
        store: &Store<K, V, A>,
        slice: i64,
        only: Option<(Hash, &[u8])>,
        window: &mut Table<Merged<K, A::State>>,
    ) -> Result<(), StreamsError> {
        let Some(pane) = store.pane(slice) else {
            return Ok(());
        };
        let mut failed = None;
        let mut merge = |hash: Hash, key: &[u8], state: &A::State, timestamp: i64| {
            let at = window.slot(hash, key);
            window.change(at, |slot| {
                let merged = match &mut slot.value {
                    Some(merged) => merged,
                    empty => match decode_slice::<K>(Some(key)) {
                        Ok(key) => empty.insert(Merged { key, state: None }),
                        Err(error) => {
                            failed = Some(bad_key(error));
                            return;
                        }
                    },
                };
                self.aggregator
                    .merge(&merged.key, &mut merged.state, state.clone());
                slot.timestamp = slot.timestamp.max(timestamp);
            });
        };
        match only {
            Some((hash, key)) => {
                if let Some((state, timestamp)) = pane.get(hash, key) {
                    merge(hash, key, state, timestamp);
                }
            }
            None => pane.for_each(&mut merge),
        }
        failed.map_or(Ok(()), Err)
    }

    fn put_out(
        &self,
        window: &mut Table<Merged<K, A::State>>,
        start: i64,
        at: i64,
        stamp: i64,
        output: &mut Results<K, V, A>,
    ) {
        for (_, merged, timestamp) in window.sorted() {
            if let Some(state) = &merged.state {
                let key = merged.key.clone();
                self.result(key, start, state.clone(), timestamp, at, stamp, output);
            }
        }
    }

    /// Puts a record into its slice, unless all windows over it have closed. Those that have come out
    /// already, but still take records, come out again.
    pub(super) fn add_to_slice(&mut self, slice: i64, row: Keyed<'_, K, V>, cx: &mut Context<'_>) {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let now = store.time().closed;
        let last = floor(row.timestamp, self.windows.advance, self.windows.offset);
        let taken = self.closes_at(last) > now;
        let starts = self.windows.starts(row.timestamp);
        let missed: Missed = starts
            .take_while(|start| self.closes_at(*start) <= now)
            .map(|start| self.windows.window(start))
            .collect();
        if !missed.is_empty() {
            let record = Record {
                key: row.key.clone(),
                value: row.value.clone(),
                timestamp: row.timestamp,
                headers: row.headers,
                watermark: row.watermark,
            };
            self.tell_late(&record, &missed, taken, now, cx);
        }
        if !taken {
            return;
        }
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let own = floor(row.timestamp, slice, self.windows.offset);
        let pane = store.pane_mut(own);
        let at = pane.slot(row.hash, row.bytes);
        pane.change(at, |slot| {
            self.aggregator.add(row.key, row.value, &mut slot.value);
            slot.timestamp = slot.timestamp.max(row.timestamp);
        });
        let first = self.windows.starts(row.timestamp).next().unwrap_or(last);
        let next = first.max(self.first_after(now)).min(last);
        let kept = own.saturating_add(super::retention(&self.windows));
        self.due = self.due.min(self.fires_at(next)).min(kept);
        if self.emit == Emit::Close && self.windows.time == EventTime::Watermark {
            let key = (row.hash, row.bytes);
            for start in self.windows.starts(row.timestamp) {
                if self.closes_at(start) > now && self.fires_at(start) <= now {
                    if let Err(error) = self.put_out_again(start, key, row.watermark, cx) {
                        return cx.fail(error);
                    }
                }
            }
        }
    }

    /// Gives out one key of a window that has come out before.
    fn put_out_again(
        &self,
        start: i64,
        key: (Hash, &[u8]),
        stamp: i64,
        cx: &mut Context<'_>,
    ) -> Result<(), StreamsError> {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let output: &mut Chunk<Windowed<K>, Change<A::State>> = cx.outputs.get(RESULTS);
        let mut window = Table::default();
        let end = start.saturating_add(self.windows.size);
        for slice in store.starts(start).take_while(|slice| *slice < end) {
            self.merge_slice(store, slice, Some(key), &mut window)?;
        }
        self.put_out(&mut window, start, self.fires_at(start), stamp, output);
        Ok(())
    }
}
