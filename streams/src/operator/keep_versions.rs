//! Keeps a table with its history (Kafka: `KTableSource` with a versioned store).

use std::marker::PhantomData;

use super::{Context, Operator, bad_key};
use crate::data::Data;
use crate::record::chunk::{AnyChunk, typed};
use crate::record::late::{Late, LateReason, LateWindow};
use crate::record::{Change, Record};
use crate::state::{Store, StoreId, VersionedStore};

/// The output of all changes.
pub(crate) const ALL: usize = 0;
/// The output of those that are not older than what is there.
pub(crate) const LATEST: usize = 1;
/// The output of those that are older than the history goes back.
pub(crate) const LATE: usize = 2;

/// Puts each change in by its timestamp.
pub(crate) struct KeepVersions<K, V> {
    store: StoreId,
    history: i64,
    wants_old: bool,
    scratch: Vec<u8>,
    types: PhantomData<fn(K, V)>,
}

impl<K, V> KeepVersions<K, V> {
    pub(crate) fn new(store: StoreId, history: i64, wants_old: bool) -> Self {
        Self {
            store,
            history,
            wants_old,
            scratch: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<K: Data, V: Data> Operator for KeepVersions<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, Change<V>>(input);
        let store = cx.stores.get::<VersionedStore<V>>(self.store);
        for row in input.rows.drain(..) {
            self.scratch.clear();
            let bytes = match row.key.encode(&mut self.scratch) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    cx.counts.null_key += 1;
                    continue;
                }
                Err(error) => {
                    cx.failed.get_or_insert(bad_key(error));
                    return;
                }
            };
            let Some(put) = store.put(bytes, row.value.new.clone(), row.timestamp) else {
                cx.counts.late += 1;
                if cx.outputs.is_used(LATE) {
                    let late = late(row, self.history, store.time().stream_time);
                    cx.outputs.get::<K, Late<Option<V>>>(LATE).rows.push(late);
                }
                continue;
            };
            let change = Change {
                new: row.value.new,
                old: put.old.filter(|_| self.wants_old),
            };
            let row = Record {
                key: row.key,
                value: change,
                timestamp: row.timestamp,
                headers: row.headers,
                watermark: row.watermark,
            };
            if put.latest && cx.outputs.is_used(LATEST) {
                let output = cx.outputs.get::<K, Change<V>>(LATEST);
                output.rows.push(row.clone());
            }
            cx.outputs.get::<K, Change<V>>(ALL).rows.push(row);
        }
        for output in &mut cx.outputs.ports {
            output.chunk.set_watermark(input.watermark);
        }
    }
}

/// A change that came when the table's largest timestamp was `now`.
#[cold]
fn late<K, V>(row: Record<K, Change<V>>, history: i64, now: i64) -> Record<K, Late<Option<V>>> {
    let window = LateWindow {
        start: row.timestamp,
        end: row.timestamp.saturating_add(history),
    };
    row.map_value(|_, change| Late {
        value: change.new,
        window,
        windows: 1,
        watermark: now,
        lateness: now.saturating_sub(window.end),
        reason: LateReason::HistoryOver,
        taken: false,
    })
}
