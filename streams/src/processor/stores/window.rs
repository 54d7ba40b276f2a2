//! Values by key and window.

use std::marker::PhantomData;
use std::sync::Arc;

use super::private;
use crate::data::{Data, DataError, decode_slice, with_bytes};
use crate::query::Reads;
use crate::state::{StoreId, Stores, WindowStore};
use crate::time::{Window, millis};
use crate::topology::{Changelog, StoreSpec};

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
            holds: StoreSpec::holds::<K, V>("windows"),
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
        with_bytes(key, |key| {
            let (value, _) = self.store.pane(start)?.get(self.store.hash(key), key)?;
            Some(value.clone())
        })
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

    /// The values of all keys in windows that start from `from` to `to`, both included: by window, and
    /// then in the order of the keys' bytes (Kafka: `fetchAll`).
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that does not decode.
    pub fn all(&self, from: i64, to: i64) -> Result<Vec<(K, i64, V)>, DataError> {
        let starts = self.store.starts(from).take_while(|start| *start <= to);
        let panes = starts.filter_map(|start| Some((start, self.store.pane(start)?)));
        let rows = panes.flat_map(|(start, pane)| {
            let sorted = pane.sorted().into_iter();
            sorted.map(move |(key, value, _)| (key, start, value))
        });
        rows.map(|(key, start, value)| Ok((decode_slice(Some(key))?, start, value.clone())))
            .collect()
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
