//! Aggregates a stream by key, without windows (Kafka: `KStreamAggregate`, `KStreamReduce`).

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator};
use crate::data::Data;
use crate::dsl::aggregator::Aggregator;
use crate::record::Change;
use crate::record::chunk::{AnyChunk, typed};
use crate::state::{KeyValueStore, StoreId};

/// One aggregate per key. Records whose key or value is null are counted and left out.
pub(crate) struct Aggregate<K, V, A> {
    aggregator: Arc<A>,
    store: StoreId,
    wants_old: bool,
    scratch: Vec<u8>,
    types: PhantomData<fn(K, V)>,
}

impl<K, V, A> Aggregate<K, V, A> {
    pub(crate) fn new(aggregator: Arc<A>, store: StoreId, wants_old: bool) -> Self {
        Self {
            aggregator,
            store,
            wants_old,
            scratch: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<K: Data, V: Data, A: Aggregator<K, V>> Operator for Aggregate<K, V, A> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        let store = cx.stores.get::<KeyValueStore<A::State>>(self.store);
        let output = cx.outputs.get::<K, Change<A::State>>(0);
        output.watermark = input.watermark;
        for row in input.rows.drain(..) {
            if row.value.is_null() {
                cx.counts.null_value += 1;
                continue;
            }
            self.scratch.clear();
            let key = match row.key.encode(&mut self.scratch) {
                Ok(Some(key)) => key,
                Ok(None) => {
                    cx.counts.null_key += 1;
                    continue;
                }
                Err(error) => {
                    let failed = super::bad_key(error);
                    cx.failed.get_or_insert(failed);
                    return;
                }
            };
            let (timestamp, change) = store.change(key, |slot| {
                let old = if self.wants_old {
                    slot.value.clone()
                } else {
                    None
                };
                slot.stamp(row.timestamp);
                self.aggregator.add(&row.key, row.value, &mut slot.value);
                let new = slot.value.clone();
                (slot.timestamp, Change { new, old })
            });
            output.rows.push(crate::record::Record {
                key: row.key,
                value: change,
                timestamp,
                headers: row.headers,
                watermark: row.watermark,
            });
        }
    }
}
