//! Giving out the results of windows that close, some at a time: many keys may close at once.

use std::sync::Arc;

use super::{RESULTS, Store, WindowAggregate};
use crate::data::{Data, decode_slice};
use crate::dsl::aggregator::Aggregator;
use crate::error::StreamsError;
use crate::operator::{Context, bad_key};
use crate::record::Change;
use crate::state::table::Table;
use crate::time::Windowed;

/// What is to be given out until event time has come somewhere.
pub(super) struct Firing {
    pub(super) before: i64,
    now: i64,
    stamp: i64,
    /// The first window that may still be to be given out; `None` in front of the first one.
    from: Option<i64>,
    /// Whether there is no number for a window behind that one.
    last: bool,
    /// The one that is being given out.
    window: Option<Open>,
}

/// A window of which some keys have been given out.
struct Open {
    start: i64,
    /// Its pane's slots; `None` if it was put together, which has its own order.
    order: Option<Vec<u32>>,
    given: usize,
}

impl Firing {
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
        mut firing: Firing,
        cx: &mut Context<'_>,
    ) -> Result<Option<Firing>, StreamsError> {
        let aggregator = Arc::clone(&self.aggregator);
        let merge = |key: &K, state: &mut Option<A::State>, other| {
            aggregator.merge(key, state, other);
        };
        loop {
            if firing.window.is_none() {
                firing.window = self.open_next(&mut firing, &merge, cx)?;
            }
            let Some(open) = &mut firing.window else {
                return Ok(None);
            };
            let at = self.fires_at(open.start);
            let store = cx.stores.get::<Store<K, V, A>>(self.store);
            let output = cx.outputs.get::<Windowed<K>, Change<A::State>>(RESULTS);
            let pane = store.pane(open.start);
            loop {
                let order = open.order.as_deref();
                let order = order.unwrap_or_else(|| self.rolling.order());
                let Some(slot) = order.get(open.given).copied() else {
                    break;
                };
                if output.rows.len() >= cx.portion {
                    return Ok(Some(firing));
                }
                open.given += 1;
                let found = match open.order {
                    None => self.rolling.result(slot, &merge),
                    Some(_) => match pane.and_then(|pane| pane.at(slot)) {
                        Some((key, state, timestamp)) => {
                            let key = decode_slice::<K>(Some(key)).map_err(bad_key)?;
                            Some((key, (Some(state.clone()), timestamp)))
                        }
                        None => None,
                    },
                };
                if let Some((key, (Some(state), timestamp))) = found {
                    self.result(key, open.start, state, timestamp, at, firing.stamp, output);
                }
            }
            firing.window = None;
        }
    }

    /// The next window that is to be given out.
    fn open_next(
        &mut self,
        firing: &mut Firing,
        merge: &impl Fn(&K, &mut Option<A::State>, A::State),
        cx: &mut Context<'_>,
    ) -> Result<Option<Open>, StreamsError> {
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
        let order = match &self.slice {
            Some(slices) => {
                let window = slices.across(start);
                self.rolling.close(window, store, merge).map_err(bad_key)?;
                let outside = store.pane(start).map_or(0, Table::outside);
                store.set_beside(self.rolling.bytes(outside));
                None
            }
            None => Some(store.pane(start).map(Table::order).unwrap_or_default()),
        };
        Ok(Some(Open {
            start,
            order,
            given: 0,
        }))
    }
}
