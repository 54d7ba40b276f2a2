//! Aggregates a table by another key (Kafka: `KTableAggregate`, `KTableReduce`).

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator, bad_key};
use crate::data::Data;
use crate::dsl::aggregator::Aggregator;
use crate::record::chunk::{AnyChunk, typed};
use crate::record::{Change, Record};
use crate::state::{KeyValueStore, StoreId};

/// One aggregate per group: what a group loses is subtracted first, then what it gains is added.
/// Nothing is subtracted from an aggregate that is not there.
pub(crate) struct TableAggregate<K, V, A, S> {
    aggregator: Arc<A>,
    subtract: Arc<S>,
    store: StoreId,
    wants_old: bool,
    scratch: Vec<u8>,
    types: PhantomData<fn(K, V)>,
}

impl<K, V, A, S> TableAggregate<K, V, A, S> {
    pub(crate) fn new(
        aggregator: Arc<A>,
        subtract: Arc<S>,
        store: StoreId,
        wants_old: bool,
    ) -> Self {
        Self {
            aggregator,
            subtract,
            store,
            wants_old,
            scratch: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<K, V, A, S> Operator for TableAggregate<K, V, A, S>
where
    K: Data,
    V: Data,
    A: Aggregator<K, V>,
    S: Fn(&K, V, &mut Option<A::State>) + Send + Sync,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, Change<V>>(input);
        let store = cx.stores.get::<KeyValueStore<A::State>>(self.store);
        let output = cx.outputs.get::<K, Change<A::State>>(0);
        output.watermark = input.watermark;
        for row in input.rows.drain(..) {
            let key = row.key;
            self.scratch.clear();
            let bytes = match key.encode(&mut self.scratch) {
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
            let change = row.value;
            let (timestamp, change) = store.change(bytes, |slot| {
                let had = slot.value.is_some();
                let old = slot.value.clone().filter(|_| self.wants_old);
                let gained = change.new.is_some();
                let lost = change.old.filter(|_| had);
                if had && (gained || lost.is_some()) {
                    slot.timestamp = slot.timestamp.max(row.timestamp);
                } else {
                    slot.timestamp = row.timestamp;
                }
                if let Some(value) = lost {
                    (self.subtract)(&key, value, &mut slot.value);
                }
                if let Some(value) = change.new {
                    self.aggregator.add(&key, value, &mut slot.value);
                }
                slot.value = slot.value.take().filter(|value| !value.is_null());
                let new = slot.value.clone();
                (slot.timestamp, Change { new, old })
            });
            output.rows.push(Record {
                key,
                value: change,
                timestamp,
                headers: row.headers,
                watermark: row.watermark,
            });
        }
    }
}
