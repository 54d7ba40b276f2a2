//! Keeps a table: the latest value of each key (Kafka: `KTableSource`).

use std::marker::PhantomData;

use super::{Context, Operator, bad_key};
use crate::data::Data;
use crate::record::chunk::{AnyChunk, typed};
use crate::record::{Change, Record};
use crate::state::{KeyValueStore, StoreId};

/// Makes changes of a table from whatever says what a key's value is from now on; whoever comes last
/// counts, whatever its timestamp. Records whose key is null are counted and left out.
pub(crate) struct Keep<F, K, I, V> {
    /// The value from now on.
    upsert: F,
    /// `None` if nobody looks the table up or wants old values.
    store: Option<StoreId>,
    wants_old: bool,
    scratch: Vec<u8>,
    types: PhantomData<fn(K, I) -> V>,
}

impl<F, K, I, V> Keep<F, K, I, V> {
    pub(crate) fn new(upsert: F, store: Option<StoreId>, wants_old: bool) -> Self {
        Self {
            upsert,
            store,
            wants_old,
            scratch: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<F, K, I, V> Operator for Keep<F, K, I, V>
where
    F: Fn(I) -> Option<V> + Send,
    K: Data,
    I: Clone + Send + 'static,
    V: Data,
{
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, I>(input);
        let used = cx.outputs.is_used(0);
        let mut store = self
            .store
            .map(|store| cx.stores.get::<KeyValueStore<V>>(store));
        let output = cx.outputs.get::<K, Change<V>>(0);
        output.watermark = input.watermark;
        for row in input.rows.drain(..) {
            let Record {
                key,
                value,
                timestamp,
                headers,
                watermark,
            } = row;
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
            let new = (self.upsert)(value).filter(|value| !value.is_null());
            let old = match &mut store {
                Some(store) if used => store.put(bytes, new.clone(), timestamp),
                Some(store) => {
                    store.put(bytes, new, timestamp);
                    continue;
                }
                None => None,
            };
            let old = old.filter(|_| self.wants_old).map(|(value, _)| value);
            output.rows.push(Record {
                key,
                value: Change { new, old },
                timestamp,
                headers,
                watermark,
            });
        }
    }
}
