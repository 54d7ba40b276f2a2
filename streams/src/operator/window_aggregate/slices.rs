//! Hopping windows by slices: each record goes into one slice, and a window is the merge of its
//! slices when it closes. What a record costs does not depend on how many windows it is in (as in
//! "Efficient Window Aggregation with General Stream Slicing", EDBT 2019).

use smallvec::SmallVec;

use super::{Emit, Keyed, Missed, RESULTS, Store, TOUCHED, WindowAggregate};
use crate::aggregator::Aggregator;
use crate::data::{Data, decode_slice};
use crate::error::StreamsError;
use crate::operator::{Context, bad_key};
use crate::record::{Change, Headers, Record};
use crate::state::WindowStore;
use crate::state::table::{Hash, Table};
use crate::time::{TimeWindows, Window, Windowed, floor};

/// How windows share slices: each is as long as the largest number of milliseconds that divides both
/// the windows' size and their advance.
#[derive(Clone, Copy)]
pub(super) struct Slices {
    windows: TimeWindows,
    size: i64,
}

impl Slices {
    /// The slices of these windows, if they can share them.
    pub(super) fn of(windows: TimeWindows, emit: Emit, can_merge: bool) -> Option<Self> {
        let overlap = windows.advance < windows.size;
        (overlap && can_merge && emit != Emit::Update).then(|| Self {
            size: gcd(windows.size, windows.advance),
            windows,
        })
    }

    /// The last window that a timestamp is in.
    fn last(&self, timestamp: i64) -> i64 {
        floor(timestamp, self.windows.advance, self.windows.offset)
    }

    /// The window behind that one; `None` if there is no number for it.
    pub(super) fn behind(&self, start: i64) -> Option<i64> {
        // The first of all windows may begin later than the others would have it.
        let next = self.last(start.checked_add(self.windows.advance)?);
        (next > start).then_some(next)
    }

    /// The first window with something in it, from a window on.
    pub(super) fn next_from<S: Data>(&self, from: i64, store: &WindowStore<S>) -> Option<i64> {
        next_from(self, from, store)
    }

    /// The slice that a timestamp is in.
    pub(super) fn slice(&self, timestamp: i64) -> i64 {
        floor(timestamp, self.size, self.windows.offset)
    }
}

/// The first window with something in it, from a window on.
fn next_from<S: Data>(slices: &Slices, from: i64, store: &WindowStore<S>) -> Option<i64> {
    // Windows from there on have no slices in front of it.
    store.starts(from).find_map(|slice| {
        let first = slices.windows.starts(slice).next()?.max(from);
        (first <= slices.last(slice)).then_some(first)
    })
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// One key's part of a window that is put together.
pub(super) struct Merged<K, S> {
    pub(super) key: K,
    pub(super) state: Option<S>,
}

impl<K: Data, V: Data, A: Aggregator<K, V>> WindowAggregate<K, V, A> {
    /// The first window whose time is above `now`, whether there is something in it or not.
    fn first_after(&self, slices: &Slices, now: i64) -> i64 {
        let delay = slices.windows.size.saturating_add(self.fire);
        let last = slices.last(now.saturating_sub(delay));
        last.saturating_add(slices.windows.advance)
    }

    /// The first window with something in it whose time is above `now`.
    pub(super) fn next_sliced(
        &self,
        slices: &Slices,
        now: i64,
        store: &Store<K, V, A>,
    ) -> Option<i64> {
        let next = next_from(slices, self.first_after(slices, now), store)?;
        // Windows whose ends have saturated all come out at one time.
        (self.fires_at(next) > now).then_some(next)
    }

    /// A window that is put together.
    pub(super) fn merged(
        &self,
        slices: &Slices,
        start: i64,
        store: &Store<K, V, A>,
    ) -> Result<Table<Merged<K, A::State>>, StreamsError> {
        let end = slices.windows.reach(start);
        let within = || store.starts(start).take_while(|slice| *slice < end);
        let panes = within().filter_map(|slice| store.pane(slice));
        let mut window = Table::with_room(panes.map(Table::len).max().unwrap_or(0));
        for slice in within() {
            self.merge_slice(store, slice, None, &mut window)?;
        }
        Ok(window)
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
        let mut ahead = pane.hashes();
        let mut near = 0;
        let mut merge = |hash: Hash, key: &[u8], state: &A::State, timestamp: i64| {
            if near == 0 && only.is_none() {
                let group: SmallVec<[Hash; TOUCHED]> = ahead.by_ref().take(TOUCHED).collect();
                window.touch(&group);
                near = group.len();
            }
            near = near.saturating_sub(1);
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

    /// Puts a record into its slice, unless all windows over it have closed. Those that have come out
    /// already, but still take records, come out again.
    pub(super) fn add_to_slice(
        &mut self,
        slices: &Slices,
        row: Keyed<'_, K, V>,
        cx: &mut Context<'_>,
    ) {
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let now = store.time().closed;
        let last = slices.last(row.timestamp);
        let taken = self.closes_at(last) > now;
        let starts = slices.windows.starts(row.timestamp);
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
        let first = slices.windows.starts(row.timestamp).next().unwrap_or(last);
        let next = first.max(self.first_after(slices, now)).min(last);
        let own = slices.slice(row.timestamp);
        let kept = own.saturating_add(self.retention);
        self.due = self.due.min(self.fires_at(next)).min(kept);
        let key = (row.hash, row.bytes);
        let again = self.emit == Emit::Close && self.fires_at(first) <= now;
        let again = if again {
            self.fired(slices, row.timestamp, now)
        } else {
            Missed::new()
        };
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let olds = match self.wants_old {
            true => again
                .iter()
                .map(|window| self.in_window(slices, *window, key, store))
                .collect::<Result<Vec<_>, _>>(),
            false => Ok(Vec::new()),
        };
        let olds = match olds {
            Ok(olds) => olds,
            Err(error) => return cx.fail(error),
        };
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let pane = store.pane_mut(own);
        let at = pane.slot(row.hash, row.bytes);
        pane.change(at, |slot| {
            slot.stamp(row.timestamp);
            self.aggregator.add(row.key, row.value, &mut slot.value);
        });
        let mut olds = olds.into_iter();
        for window in again {
            let store = cx.stores.get::<Store<K, V, A>>(self.store);
            let new = match self.in_window(slices, window, key, store) {
                Ok(new) => new,
                Err(error) => return cx.fail(error),
            };
            let old = olds.next().flatten();
            let output = cx.outputs.get::<Windowed<K>, Change<A::State>>(RESULTS);
            output.rows.push(Record {
                key: Windowed {
                    key: row.key.clone(),
                    window,
                },
                value: Change { new, old },
                timestamp: window.end - 1,
                headers: Headers::default(),
                watermark: row.watermark,
            });
        }
    }

    /// The windows of a timestamp that have come out and still take records.
    #[cold]
    fn fired(&self, slices: &Slices, timestamp: i64, now: i64) -> Missed {
        let starts = slices.windows.starts(timestamp);
        let fired =
            starts.filter(|start| self.closes_at(*start) > now && self.fires_at(*start) <= now);
        fired.map(|start| self.windows.window(start)).collect()
    }

    /// What one key has in a window.
    #[cold]
    fn in_window(
        &self,
        slices: &Slices,
        window: Window,
        key: (Hash, &[u8]),
        store: &Store<K, V, A>,
    ) -> Result<Option<A::State>, StreamsError> {
        let mut merged = Table::default();
        let end = slices.windows.reach(window.start);
        for slice in store.starts(window.start).take_while(|slice| *slice < end) {
            self.merge_slice(store, slice, Some(key), &mut merged)?;
        }
        let found = merged.get(key.0, key.1);
        Ok(found.and_then(|(merged, _): (&Merged<K, A::State>, i64)| merged.state.clone()))
    }
}
