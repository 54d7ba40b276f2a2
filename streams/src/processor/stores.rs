//! Stores that processors share, and how they see them.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Failure;
use crate::data::{Data, DataError, decode_slice};
use crate::query::Reads;
use crate::state::{KeyValueStore, StoreId, Stores, WindowStore};
use crate::time::{Window, millis};
use crate::topology::{Changelog, StoreSpec};

/// A kind of store that processors can have: [`KeyValue`] or [`WindowValue`].
pub trait StoreKind: private::Kind {}

impl<K: Data, V: Data> StoreKind for KeyValue<K, V> {}
impl<K: Data, V: Data> StoreKind for WindowValue<K, V> {}

pub(crate) mod private {
    use super::{StoreId, StoreSpec, Stores};

    pub trait Kind: 'static {
        /// How a processor sees the store.
        type View<'a>;

        #[allow(private_interfaces, reason = "sealed")]
        fn spec(&self) -> StoreSpec;

        #[allow(private_interfaces, reason = "sealed")]
        fn view(stores: &mut Stores, id: StoreId) -> Self::View<'_>;
    }
}

/// A store of a topology. Made by [`crate::StreamsBuilder::add_store`].
pub struct StoreHandle<S> {
    /// Of which builder it is.
    pub(crate) plan: usize,
    pub(crate) number: usize,
    pub(crate) kind: PhantomData<fn() -> S>,
}

impl<S> Clone for StoreHandle<S> {
    fn clone(&self) -> Self {
        Self {
            plan: self.plan,
            number: self.number,
            kind: PhantomData,
        }
    }
}

/// Where a task has a store.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) number: usize,
    pub(crate) id: StoreId,
}

impl<S: StoreKind> StoreHandle<S> {
    /// The store of the task, if the processor has been given it.
    pub(crate) fn view<'a>(
        &self,
        stores: &'a mut Stores,
        places: &[Place],
    ) -> Result<S::View<'a>, Failure> {
        let place = places.iter().find(|place| place.number == self.number);
        let place = place.ok_or("the processor has not been given that store")?;
        Ok(S::view(stores, place.id))
    }
}

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

    /// All keys with their values and timestamps, in the order of the keys' bytes.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that does not decode.
    pub fn all(&self) -> Result<Vec<(K, V, i64)>, DataError> {
        let all = self.store.sorted().into_iter();
        all.map(|(key, value, timestamp)| Ok((decode_slice(Some(key))?, value.clone(), timestamp)))
            .collect()
    }
}

/// A store of values by key and window start, with a changelog (Kafka: `WindowStore`). Windows that
/// began longer ago than the retention, counted back from the latest start that was put in, are
/// dropped.
pub struct WindowValue<K, V> {
    name: String,
    retention: i64,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Data, V: Data> WindowValue<K, V> {
    /// One of that name, with that retention.
    #[must_use]
    pub fn new(name: &str, retention: std::time::Duration) -> Self {
        Self {
            name: name.to_owned(),
            retention: millis(retention),
            types: PhantomData,
        }
    }
}

#[allow(private_interfaces, reason = "sealed")]
impl<K: Data, V: Data> private::Kind for WindowValue<K, V> {
    type View<'a> = WindowValueView<'a, K, V>;

    fn spec(&self) -> StoreSpec {
        let retention = self.retention;
        StoreSpec {
            name: self.name.clone(),
            make: Arc::new(move |seed| Box::new(WindowStore::<V>::of_processor(seed, retention))),
            changelog: Some(Changelog::Windows),
            reads: Some(Arc::new(Reads::<K, V>::windows(
                |start| Window { start, end: start },
                None,
            ))),
        }
    }

    fn view(stores: &mut Stores, id: StoreId) -> Self::View<'_> {
        WindowValueView {
            store: stores.get(id),
            key: PhantomData,
        }
    }
}

/// A window store of a task. A key that is null is an error.
pub struct WindowValueView<'a, K, V> {
    store: &'a mut WindowStore<V>,
    key: PhantomData<fn(K)>,
}

impl<K: Data, V: Data> WindowValueView<'_, K, V> {
    /// The value of a key in the window that starts there.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn get(&self, key: &K, start: i64) -> Result<Option<V>, DataError> {
        Ok(self
            .between(key, start, start)?
            .pop()
            .map(|(_, value)| value))
    }

    /// The values of a key in windows that start from `from` to `to`, both included, the earliest
    /// first (Kafka: `fetch`).
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn between(&self, key: &K, from: i64, to: i64) -> Result<Vec<(i64, V)>, DataError> {
        with_bytes(key, |key| {
            let hash = self.store.hash(key);
            let starts = self.store.starts(from).take_while(|start| *start <= to);
            let found = starts.filter_map(|start| {
                let (value, _) = self.store.pane(start)?.get(hash, key)?;
                Some((start, value.clone()))
            });
            found.collect()
        })
    }

    /// Puts a value in, in the window that starts there. `false` if the window is older than the
    /// retention: then nothing is stored.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn put(&mut self, key: &K, start: i64, value: V) -> Result<bool, DataError> {
        let time = self.store.time_mut();
        if start > time.closed {
            time.closed = start;
            self.store.expire();
        }
        if !self.store.keeps(start) {
            return Ok(false);
        }
        with_bytes(key, |key| {
            let hash = self.store.hash(key);
            let pane = self.store.pane_mut(start);
            let at = pane.slot(hash, key);
            pane.change(at, |slot| {
                slot.value = Some(value);
                slot.timestamp = start;
            });
            true
        })
    }

    /// Takes a value out.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn remove(&mut self, key: &K, start: i64) -> Result<Option<V>, DataError> {
        with_bytes(key, |key| {
            let hash = self.store.hash(key);
            self.store.pane(start)?.get(hash, key)?;
            let pane = self.store.pane_mut(start);
            let at = pane.slot(hash, key);
            pane.change(at, |slot| slot.value.take())
        })
    }
}

fn with_bytes<K: Data, R>(key: &K, call: impl FnOnce(&[u8]) -> R) -> Result<R, DataError> {
    let mut scratch = Vec::new();
    let bytes = key.encode(&mut scratch)?;
    let bytes = bytes.ok_or_else(|| DataError::new("null where a key is expected"))?;
    Ok(call(bytes))
}
