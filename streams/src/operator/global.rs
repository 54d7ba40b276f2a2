//! Fills a global table (Kafka: `GlobalStateUpdateTask`).

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Context, Operator, bad_key};
use crate::data::Data;
use crate::record::chunk::{AnyChunk, typed};
use crate::state::GlobalStore;

/// Puts what comes into the store that all tasks of the instance share; nothing comes out. Records
/// whose key is null are counted and left out.
pub(crate) struct FillGlobal<K, V> {
    store: Arc<GlobalStore<V>>,
    scratch: Vec<u8>,
    types: PhantomData<fn(K)>,
}

impl<K, V> FillGlobal<K, V> {
    pub(crate) fn new(store: Arc<GlobalStore<V>>) -> Self {
        Self {
            store,
            scratch: Vec::new(),
            types: PhantomData,
        }
    }
}

impl<K: Data, V: Data> Operator for FillGlobal<K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let mut store = self.store.write();
        for row in typed::<K, Option<V>>(input).rows.drain(..) {
            self.scratch.clear();
            match row.key.encode(&mut self.scratch) {
                Ok(Some(bytes)) => {
                    let mut value = row.value.filter(|value| !value.is_null());
                    value.detach();
                    store.put(bytes, value, row.timestamp);
                }
                Ok(None) => cx.counts.null_key += 1,
                Err(error) => {
                    cx.failed.get_or_insert(bad_key(error));
                    break;
                }
            }
        }
        // It has no changelog: its topic is one.
        store.forget_changes();
    }
}
