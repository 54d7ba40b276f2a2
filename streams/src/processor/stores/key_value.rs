//! The latest value of each key.

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::private;
use crate::data::{Data, DataError, decode_slice, is_within, with_bytes};
use crate::query::Reads;
use crate::state::{KeyValueStore, StoreId, Stores};
use crate::topology::{Changelog, StoreSpec};

/// A store of values by key, with a changelog (Kafka: `TimestampedKeyValueStore`).
pub struct KeyValue<K, V> {
    name: String,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Data, V: Data> KeyValue<K, V> {
    /// One of that name: letters, digits, '.', '_' and '-', at most 150 of them.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            types: PhantomData,
        }
    }
}

#[allow(private_interfaces, reason = "sealed")]
impl<K: Data, V: Data> private::Kind for KeyValue<K, V> {
    type View<'a> = KeyValueView<'a, K, V>;

    fn spec(&self) -> StoreSpec {
        StoreSpec {
            name: self.name.clone(),
            make: Arc::new(|seed| Box::new(KeyValueStore::<V>::new(seed))),
            holds: StoreSpec::holds::<K, V>("latest values"),
            changelog: Some(Changelog::Keys),
            reads: Some(Arc::new(Reads::<K, V>::KeyValue)),
        }
    }

    fn view(stores: &mut Stores, id: StoreId) -> Self::View<'_> {
        KeyValueView {
            store: stores.get(id),
            key: PhantomData,
        }
    }
}

/// A key-value store of a task. A key that is null is an error.
pub struct KeyValueView<'a, K, V> {
    store: &'a mut KeyValueStore<V>,
    key: PhantomData<fn(K)>,
}

impl<K: Data, V: Data> KeyValueView<'_, K, V> {
    /// A key's value.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn get(&self, key: &K) -> Result<Option<V>, DataError> {
        Ok(self.get_with_time(key)?.map(|(value, _)| value))
    }

    /// A key's value and its timestamp.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn get_with_time(&self, key: &K) -> Result<Option<(V, i64)>, DataError> {
        with_bytes(key, |key| {
            let found = self.store.get(key);
            found.map(|(value, timestamp)| (value.clone(), timestamp))
        })
    }

    /// Puts a value in.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn put(&mut self, key: &K, value: V, timestamp: i64) -> Result<(), DataError> {
        with_bytes(key, |key| {
            self.store.put(key, Some(value), timestamp);
        })
    }

    /// Takes a value out.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn remove(&mut self, key: &K) -> Result<Option<V>, DataError> {
        with_bytes(key, |key| {
            self.store.get(key)?;
            let old = self.store.put(key, None, i64::MIN);
            old.map(|(value, _)| value)
        })
    }

    /// The keys of a range with their values and timestamps, in the order of keys ([`Data::order`]). It
    /// looks at all keys of the task.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes, or does not decode.
    pub fn range(&self, keys: impl RangeBounds<K>) -> Result<Vec<(K, V, i64)>, DataError> {
        let bytes = |bound: Bound<&K>| {
            Ok(match bound {
                Bound::Included(key) => Bound::Included(with_bytes(key, <[u8]>::to_vec)?),
                Bound::Excluded(key) => Bound::Excluded(with_bytes(key, <[u8]>::to_vec)?),
                Bound::Unbounded => Bound::Unbounded,
            })
        };
        let (from, to) = (bytes(keys.start_bound())?, bytes(keys.end_bound())?);
        let (from, to) = (
            from.as_ref().map(Vec::as_slice),
            to.as_ref().map(Vec::as_slice),
        );
        let all = self.store.iter();
        let mut found: Vec<_> = all
            .filter(|(key, _, _)| is_within::<K>(key, from, to))
            .collect();
        // What is equal in the order of keys goes by its bytes.
        found.sort_unstable_by(|(a, _, _), (b, _, _)| K::order(a, b).then_with(|| a.cmp(b)));
        decoded(found)
    }

    /// All keys with their values and timestamps, in the order of the keys' bytes.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that does not decode.
    pub fn all(&self) -> Result<Vec<(K, V, i64)>, DataError> {
        decoded(self.store.sorted())
    }
}

fn decoded<K: Data, V: Clone>(found: Vec<(&[u8], &V, i64)>) -> Result<Vec<(K, V, i64)>, DataError> {
    let found = found.into_iter();
    found
        .map(|(key, value, timestamp)| Ok((decode_slice(Some(key))?, value.clone(), timestamp)))
        .collect()
}
