//! How operators look values of a table up.

use std::sync::Arc;

use super::{GlobalStore, KeyValueStore, StoreId, Stores, VersionedStore};
use crate::data::Data;

/// Looks values of a table up, in one task. Whoever looks up has the bytes of the key as well.
pub(crate) enum Getter<K, V> {
    /// In a store of the task.
    Stored(StoreId),
    /// In a store of the task that has the values of other times, too.
    Versioned(StoreId),
    /// In a global table.
    Global(Arc<GlobalStore<V>>),
    /// By working the value out.
    Computed(Compute<K, V>),
}

/// Works a value and its timestamp out, as it is now or as it was at some time.
type Compute<K, V> = Box<dyn Fn(&mut Stores, &K, &[u8], Option<i64>) -> Option<(V, i64)> + Send>;

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
        self.with_as_of(stores, key, bytes, None, call)
    }

    /// Calls with the value that a key had at some time, where that is known; else with what it has
    /// now.
    #[inline]
    pub(crate) fn with_as_of<R>(
        &self,
        stores: &mut Stores,
        key: &K,
        bytes: &[u8],
        at: Option<i64>,
        call: impl FnOnce(Option<(&V, i64)>) -> R,
    ) -> R {
        match self {
            Self::Stored(store) => call(stores.get::<KeyValueStore<V>>(*store).get(bytes)),
            Self::Versioned(store) => {
                let store = stores.get::<VersionedStore<V>>(*store);
                call(match at {
                    Some(at) => store.get_as_of(bytes, at),
                    None => store.get(bytes),
                })
            }
            Self::Global(store) => call(store.read().get(bytes)),
            Self::Computed(compute) => {
                let found = compute(stores, key, bytes, at);
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
