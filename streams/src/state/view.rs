//! How operators look values of a table up.

use std::sync::Arc;

use super::{GlobalStore, KeyValueStore, StoreId, Stores};
use crate::data::Data;

/// Looks values of a table up, in one task. Whoever looks up has the bytes of the key as well.
pub(crate) enum Getter<K, V> {
    /// In a store of the task.
    Stored(StoreId),
    /// In a global table.
    Global(Arc<GlobalStore<V>>),
    /// By working the value out.
    Computed(Compute<K, V>),
}

/// Works a value and its timestamp out.
type Compute<K, V> = Box<dyn Fn(&mut Stores, &K, &[u8]) -> Option<(V, i64)> + Send>;

impl<K, V: Data> Getter<K, V> {
    /// Calls with the value of a key and its timestamp.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        stores: &mut Stores,
        key: &K,
        bytes: &[u8],
        call: impl FnOnce(Option<(&V, i64)>) -> R,
    ) -> R {
        match self {
            Self::Stored(store) => call(stores.get::<KeyValueStore<V>>(*store).get(bytes)),
            Self::Global(store) => call(store.read().get(bytes)),
            Self::Computed(compute) => {
                let found = compute(stores, key, bytes);
                call(found.as_ref().map(|(value, timestamp)| (value, *timestamp)))
            }
        }
    }

    /// The value of a key and its timestamp.
    pub(crate) fn get(&self, stores: &mut Stores, key: &K, bytes: &[u8]) -> Option<(V, i64)> {
        self.with(stores, key, bytes, |found| {
            found.map(|(value, timestamp)| (value.clone(), timestamp))
        })
    }
}
