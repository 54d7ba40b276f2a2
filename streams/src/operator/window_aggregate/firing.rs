//! Giving out the results of windows that close, some at a time: many keys may close at once.

use super::slices::Merged;
use super::{RESULTS, Store, WindowAggregate};
use crate::aggregator::Aggregator;
use crate::data::{Data, decode_slice};
use crate::error::StreamsError;
use crate::operator::{Context, bad_key};
use crate::record::Change;
use crate::state::table::Table;
use crate::time::Windowed;

/// What is to be given out until event time has come somewhere.
pub(super) struct Firing<K, S> {
    pub(super) before: i64,
    now: i64,
    stamp: i64,
    /// The first window that may still be to be given out; `None` in front of the first one.
    from: Option<i64>,
    /// Whether there is no number for a window behind that one.
    last: bool,
    /// The one that is being given out.
    window: Option<Open<K, S>>,
}

/// A window of which some keys have been given out.
struct Open<K, S> {
    start: i64,
    /// What it was put together to, if it had to be.
    merged: Option<Table<Merged<K, S>>>,
    /// Its slots, and how many of them have been given out.
    order: Vec<u32>,
    given: usize,
}

impl<K, S> Firing<K, S> {
    pub(super) fn new(before: i64, now: i64, stamp: i64) -> Self {
        Self {
            before,
            now,
            stamp,
            from: None,
            last: false,
            window: None,
        }
    }
}

impl<K: Data, V: Data, A: Aggregator<K, V>> WindowAggregate<K, V, A> {
    /// Gives out windows whose time is above `before` and not above `now`, until there are enough rows;
    /// gives what is left.
    pub(super) fn fire(
        &mut self,
        mut firing: Firing<K, A::State>,
        cx: &mut Context<'_>,
    ) -> Result<Option<Firing<K, A::State>>, StreamsError> {
        loop {
            if firing.window.is_none() {
                firing.window = self.open_next(&mut firing, cx)?;
            }
            let Some(open) = &mut firing.window else {
                return Ok(None);
            };
            let at = self.fires_at(open.start);
            let store = cx.stores.get::<Store<K, V, A>>(self.store);
            let output = cx.outputs.get::<Windowed<K>, Change<A::State>>(RESULTS);
            let pane = store.pane(open.start);
            while let Some(slot) = open.order.get(open.given) {
                if output.rows.len() >= cx.portion {
                    return Ok(Some(firing));
                }
                open.given += 1;
                let found = match &open.merged {
                    Some(merged) => merged.at(*slot).and_then(|(_, merged, timestamp)| {
                        Some((merged.key.clone(), merged.state.clone()?, timestamp))
                    }),
                    None => match pane.and_then(|pane| pane.at(*slot)) {
                        Some((key, state, timestamp)) => {
                            let key = decode_slice::<K>(Some(key)).map_err(bad_key)?;
                            Some((key, state.clone(), timestamp))
                        }
                        None => None,
                    },
                };
                if let Some((key, state, timestamp)) = found {
                    self.result(key, open.start, state, timestamp, at, firing.stamp, output);
                }
            }
            firing.window = None;
        }
    }

    /// The next window that is to be given out.
    fn open_next(
        &self,
        firing: &mut Firing<K, A::State>,
        cx: &mut Context<'_>,
    ) -> Result<Option<Open<K, A::State>>, StreamsError> {
        if firing.last {
            return Ok(None);
        }
        let store = cx.stores.get::<Store<K, V, A>>(self.store);
        let next = match (&self.slice, firing.from) {
            (Some(slices), None) => self.next_sliced(slices, firing.before, store),
            (Some(slices), Some(from)) => slices.next_from(from, store),
            (None, from) => {
                let from = from.unwrap_or_else(|| self.first_unfired(firing.before));
                let mut starts = store.starts(from);
                starts.find(|start| self.fires_at(*start) > firing.before)
            }
        };
        let Some(start) = next.filter(|start| self.fires_at(*start) <= firing.now) else {
            return Ok(None);
        };
        let behind = match &self.slice {
            Some(slices) => slices.behind(start),
            None => start.checked_add(1),
        };
        firing.from = behind;
        firing.last = behind.is_none();
        let (merged, order) = match &self.slice {
            Some(slices) => {
                let merged = self.merged(slices, start, store)?;
                let order = merged.order();
                (Some(merged), order)
            }
            None => (
                None,
                store.pane(start).map(Table::order).unwrap_or_default(),
            ),
        };
        Ok(Some(Open {
            start,
            merged,
            order,
            given: 0,
        }))
    }
}
