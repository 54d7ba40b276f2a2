//! Hopping windows by slices: each record goes into one slice, and a window is the merge of its
//! slices when it closes. What a record costs does not depend on how many windows it is in (as in
//! "Efficient Window Aggregation with General Stream Slicing", EDBT 2019), nor does what a window costs
//! ([`super::rolling`]).

use super::{Emit, Keyed, Missed, OneKey, RESULTS, Store, WindowAggregate};
use crate::data::Data;
use crate::dsl::aggregator::Aggregator;
use crate::operator::{Context, bad_key};
use crate::record::{Change, Headers, Record};
use crate::state::WindowStore;
use crate::state::table::Hash;
use crate::time::{Starts, TimeWindows, Window, Windowed, floor};

/// How windows share slices: they are cut where windows begin and where windows end, so there are at
/// most two for each advance ("paired windows": Krishnamurthy et al., "On-the-fly sharing for streamed
/// aggregation", SIGMOD 2006).
#[derive(Clone, Copy)]
pub(crate) struct Slices {
    windows: TimeWindows,
    /// By how much the windows' ends are shifted against multiples of the advance.
    ends: i64,
    /// How long a block is: as many advances as windows reach over.
    block: i64,
}

impl Slices {
    /// The slices of these windows, if they can share them.
    pub(super) fn of(windows: TimeWindows, emit: Emit, can_merge: bool) -> Option<Self> {
        let (size, advance) = (windows.size, windows.advance);
        // An advance of nothing is refused elsewhere.
        let overlap = 0 < advance && advance < size;
        (overlap && can_merge && emit != Emit::Update).then(|| {
            let (shift, cut) = (windows.offset.rem_euclid(advance), size % advance);
            let whole = size - cut;
            Self {
                windows,
                ends: match shift < advance - cut {
                    true => shift + cut,
                    false => shift - (advance - cut),
                },
                block: match cut {
                    0 => whole,
                    _ => whole.saturating_add(advance),
                },
            }
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

    /// Where the window that starts there would end, and whether that is beyond the last number there is.
    pub(crate) fn reach(&self, start: i64) -> (i64, bool) {
        let end = start.checked_add(self.windows.size);
        (end.unwrap_or(i64::MAX), end.is_none())
    }

    /// The starts of the windows over a slice.
    pub(crate) fn windows_over(&self, slice: i64) -> Starts {
        self.windows.starts(slice)
    }

    /// The slice that a timestamp is in.
    pub(super) fn slice(&self, timestamp: i64) -> Slice {
        let advance = self.windows.advance;
        let [last, ended] = [self.windows.offset, self.ends].map(|offset| {
            // It may lie in front of the first number.
            let past = (i128::from(timestamp) - i128::from(offset)).rem_euclid(advance.into());
            i128::from(timestamp) - past
        });
        let clamped = |at: i128| at.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        let began = clamped(last);
        Slice {
            start: clamped(last.max(ended)),
            end: clamped(last.min(ended) + i128::from(advance)),
            first: self.windows.starts(timestamp).first().unwrap_or(began),
            last: began,
        }
    }

    /// The window that starts there, and where its parts meet.
    pub(crate) fn across(&self, start: i64) -> Across {
        let from_grid = i128::from(start) - i128::from(self.windows.offset);
        let end = match from_grid.rem_euclid(self.windows.advance.into()) {
            0 => self.windows.window(start).end,
            // In front of the first window of all there is only what begins with the first number.
            _ => self.slice(start).end,
        };
        let block = floor(start, self.block, self.windows.offset);
        let edge = match block == start {
            true => start,
            false => block.saturating_add(self.block).min(end),
        };
        Across {
            start,
            edge,
            end,
            beyond: start.checked_add(self.windows.size).is_none(),
        }
    }
}

/// Some milliseconds that are in the same windows.
#[derive(Clone, Copy)]
pub(super) struct Slice {
    pub(super) start: i64,
    end: i64,
    /// The first and the last of the windows.
    first: i64,
    last: i64,
}

impl Slice {
    /// There are no milliseconds in it.
    pub(super) const NONE: Self = Self {
        start: 0,
        end: 0,
        first: 0,
        last: 0,
    };
}

/// A window, and where what is in front of it in the merges of its slices meets what is behind it.
#[derive(Clone, Copy)]
pub(crate) struct Across {
    pub(crate) start: i64,
    pub(crate) edge: i64,
    pub(crate) end: i64,
    /// Whether it reaches beyond the last number there is.
    pub(crate) beyond: bool,
}

/// The first window with something in it, from a window on.
fn next_from<S: Data>(slices: &Slices, from: i64, store: &WindowStore<S>) -> Option<i64> {
    // Windows from there on have no slices in front of it.
    store.starts(from).find_map(|slice| {
        let first = slices.windows.starts(slice).next()?.max(from);
        (first <= slices.last(slice)).then_some(first)
    })
}

impl<K: Data, V: Data, A: Aggregator<K, V>> WindowAggregate<K, V, A> {
    /// The first window whose time is above `now`, whether there is something in it or not.
    fn first_after(&self, slices: &Slices, now: i64) -> i64 {
        let delay = slices.windows.size.saturating_add(self.fire);
        // In front of that no window has a time.
        let Some(at) = now.checked_sub(delay) else {
            return i64::MIN;
        };
        let advance = slices.windows.advance;
        let past = (i128::from(at) - i128::from(slices.windows.offset)).rem_euclid(advance.into());
        // Less than one advance behind a number.
        i64::try_from(i128::from(at) - past + i128::from(advance)).unwrap_or(i64::MAX)
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

    /// Puts a record into its slice, unless all windows over it have closed. Those that have come out
    /// already, but still take records, come out again.
    pub(super) fn add_to_slice(
        &mut self,
        slices: &Slices,
        row: Keyed<'_, K, V>,
        now: i64,
        cx: &mut Context<'_>,
    ) {
        let own = self.find_slice(slices, row.timestamp);
        let taken = self.closes_at(own.last) > now;
        if self.closes_at(own.first) <= now {
            let missed: Missed = slices
                .windows_over(row.timestamp)
                .take_while(|start| self.closes_at(*start) <= now)
                .map(|start| self.windows.window(start))
                .collect();
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
        let key = (row.hash, row.bytes);
        let again = self.emit == Emit::Close && self.fires_at(own.first) <= now;
        let again = if again {
            self.fired(slices, row.timestamp, now)
        } else {
            Missed::new()
        };
        let mut olds = Vec::new();
        if self.wants_old && !again.is_empty() {
            let store = cx.stores.get::<Store<K, V, A>>(self.store);
            olds = self.in_windows(slices, &again, row.key, key, store);
        }
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let pane = store.pane_mut(own.start);
        let is_new = pane.slots() == 0;
        let at = pane.slot(row.hash, row.bytes);
        pane.change(at, |slot| {
            slot.stamp(row.timestamp);
            self.aggregator.add(row.key, row.value, &mut slot.value);
        });
        if let Err(error) = self.rolling.changed(own.start, row.hash, row.bytes) {
            return cx.fail(bad_key(error));
        }
        if is_new {
            let next = own.first.max(self.first_after(slices, now)).min(own.last);
            let kept = own.start.saturating_add(self.retention);
            self.due = self.due.min(self.fires_at(next)).min(kept);
        }
        if again.is_empty() {
            return;
        }
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let news = self.in_windows(slices, &again, row.key, key, store);
        let mut olds = olds.into_iter();
        for (window, new) in again.into_iter().zip(news) {
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

    /// The slice that a timestamp is in: most are in the one that was found last, and need no division.
    #[inline]
    pub(super) fn find_slice(&mut self, slices: &Slices, timestamp: i64) -> Slice {
        if !(self.found.start..self.found.end).contains(&timestamp) {
            self.found = slices.slice(timestamp);
        }
        self.found
    }

    /// The windows of a timestamp that have come out and still take records.
    #[cold]
    fn fired(&self, slices: &Slices, timestamp: i64, now: i64) -> Missed {
        let starts = slices.windows.starts(timestamp);
        let fired =
            starts.filter(|start| self.closes_at(*start) > now && self.fires_at(*start) <= now);
        fired.map(|start| self.windows.window(start)).collect()
    }

    /// What one key has in windows that follow one another.
    #[cold]
    fn in_windows(
        &self,
        slices: &Slices,
        windows: &[Window],
        key: &K,
        (hash, bytes): (Hash, &[u8]),
        store: &Store<K, V, A>,
    ) -> Vec<Option<A::State>> {
        let across = |window: &Window| slices.across(window.start);
        let (Some(first), Some(last)) = (windows.first(), windows.last().map(across)) else {
            return Vec::new();
        };
        let mut own = OneKey::new(store, hash, bytes, first.start, (last.end, last.beyond));
        let merge = |a: &mut Option<A::State>, b| {
            self.aggregator.merge(key, a, b);
        };
        let merged = windows
            .iter()
            .map(|window| own.window(&across(window), merge)?.0);
        merged.collect()
    }
}
