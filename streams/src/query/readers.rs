//! Stores with their types.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::access::Reading;
use super::reads::{Keys, Query, Reads, Row};
use super::{QueryError, StoreReader};
use crate::data::{Data, decode_slice, with_bytes};
use crate::time::{Window, Windowed};

/// What all readers are made of.
struct Typed<'a, K, V> {
    store: StoreReader<'a>,
    reads: Arc<Reads<K, V>>,
}

impl<K, V> Clone for Typed<'_, K, V> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            reads: Arc::clone(&self.reads),
        }
    }
}

const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);

impl<K: Data, V: Data> Typed<'_, K, V> {
    fn rows(&self, keys: Keys<'_>, times: (i64, i64)) -> Result<Vec<Row<V>>, QueryError> {
        let query = Query {
            keys,
            times,
            after: None,
            limit: usize::MAX,
            bytes: usize::MAX,
        };
        let reading = Reading {
            read: &|store, query| self.reads.rows(store, query),
            // There is no limit.
            size: |_| 0,
        };
        Ok(self.store.rows(&*self.reads, &query, &reading)?.rows)
    }

    fn of(&self, key: &K, times: (i64, i64)) -> Result<Vec<Row<V>>, QueryError> {
        self.rows(Keys::One(&self.bytes(key)?), times)
    }

    fn bytes(&self, key: &K) -> Result<Vec<u8>, QueryError> {
        with_bytes(key, <[u8]>::to_vec).map_err(|error| self.store.bad(error))
    }

    fn key(&self, bytes: &[u8]) -> Result<K, QueryError> {
        decode_slice(Some(bytes)).map_err(|error| self.store.bad(error))
    }

    fn bound(&self, bound: Bound<&K>) -> Result<Bound<Vec<u8>>, QueryError> {
        Ok(match bound {
            Bound::Included(key) => Bound::Included(self.bytes(key)?),
            Bound::Excluded(key) => Bound::Excluded(self.bytes(key)?),
            Bound::Unbounded => Bound::Unbounded,
        })
    }

    fn windowed(&self, rows: Vec<Row<V>>) -> Result<Vec<(Windowed<K>, V)>, QueryError> {
        let rows = rows.into_iter().map(|row| {
            let window = window(&row);
            let key = self.key(&row.key)?;
            Ok((Windowed { key, window }, row.value))
        });
        rows.collect()
    }
}

fn window<V>(row: &Row<V>) -> Window {
    row.window.unwrap_or(Window { start: 0, end: 0 })
}

fn windows<V>(rows: Vec<Row<V>>) -> Vec<(Window, V)> {
    let rows = rows.into_iter();
    rows.map(|row| (window(&row), row.value)).collect()
}

/// The first and the last millisecond of a range; `None` if there is none in it.
fn times(range: &impl RangeBounds<i64>) -> Option<(i64, i64)> {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(from) => from.checked_add(1)?,
        Bound::Unbounded => i64::MIN,
    };
    let to = match range.end_bound() {
        Bound::Included(to) => *to,
        Bound::Excluded(to) => to.checked_sub(1)?,
        Bound::Unbounded => i64::MAX,
    };
    (from <= to).then_some((from, to))
}

/// A store with one value for each key (Kafka: `ReadOnlyKeyValueStore`).
pub struct KeyValueReader<'a, K, V>(Typed<'a, K, V>);

impl<K, V> Clone for KeyValueReader<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, K: Data, V: Data> KeyValueReader<'a, K, V> {
    pub(super) fn new(store: StoreReader<'a>, reads: Arc<Reads<K, V>>) -> Self {
        Self(Typed { store, reads })
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`QueryError::Elsewhere`] or [`QueryError::Restoring`] if the key's task cannot be read here
    /// and now; [`QueryError::Data`] if the key has no bytes.
    pub fn get(&self, key: &K) -> Result<Option<V>, QueryError> {
        Ok(self.get_with_time(key)?.map(|(value, _)| value))
    }

    /// The value of a key and its timestamp.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub fn get_with_time(&self, key: &K) -> Result<Option<(V, i64)>, QueryError> {
        let row = self.0.of(key, ALWAYS)?.pop();
        Ok(row.map(|row| (row.value, row.timestamp)))
    }

    /// The keys of a range with their values, in the order of keys ([`Data::order`]), of all tasks
    /// that run here. A task waits only for a few thousand keys at a time, so rows may be of different
    /// moments.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoTask`] or [`QueryError::Restoring`] if there is nothing to read here and now;
    /// [`QueryError::Data`] if a key has no bytes, or does not decode.
    pub fn range(&self, keys: impl RangeBounds<K>) -> Result<Vec<(K, V)>, QueryError> {
        let (from, to) = (keys.start_bound(), keys.end_bound());
        let (from, to) = (self.0.bound(from)?, self.0.bound(to)?);
        let keys = Keys::Range(slice(&from), slice(&to));
        let rows = self.0.rows(keys, ALWAYS)?.into_iter();
        rows.map(|row| Ok((self.0.key(&row.key)?, row.value)))
            .collect()
    }

    /// All keys with their values, as [`Self::range`].
    ///
    /// # Errors
    ///
    /// As [`Self::range`].
    pub fn all(&self) -> Result<Vec<(K, V)>, QueryError> {
        self.range(..)
    }
}

fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(bytes) => Bound::Included(bytes),
        Bound::Excluded(bytes) => Bound::Excluded(bytes),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// A store with values by key and window (Kafka: `ReadOnlyWindowStore`). The windows of stores that
/// processors keep themselves have no known end: theirs is their start.
pub struct WindowReader<'a, K, V>(Typed<'a, K, V>);

impl<K, V> Clone for WindowReader<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, K: Data, V: Data> WindowReader<'a, K, V> {
    pub(super) fn new(store: StoreReader<'a>, reads: Arc<Reads<K, V>>) -> Self {
        Self(Typed { store, reads })
    }

    /// The windows of a key that start in that range, in milliseconds since 1970 (UTC), the earliest
    /// first (Kafka: `fetch`).
    ///
    /// # Errors
    ///
    /// As [`KeyValueReader::get`].
    pub fn fetch(
        &self,
        key: &K,
        starts: impl RangeBounds<i64>,
    ) -> Result<Vec<(Window, V)>, QueryError> {
        let Some(times) = times(&starts) else {
            return Ok(Vec::new());
        };
        Ok(windows(self.0.of(key, times)?))
    }

    /// The windows of all keys that start in that range, by window and then by key (Kafka:
    /// `fetchAll`).
    ///
    /// # Errors
    ///
    /// As [`KeyValueReader::range`].
    pub fn all(&self, starts: impl RangeBounds<i64>) -> Result<Vec<(Windowed<K>, V)>, QueryError> {
        let Some(times) = times(&starts) else {
            return Ok(Vec::new());
        };
        self.0.windowed(self.0.rows(Keys::ALL, times)?)
    }
}

/// A store with values by key and session (Kafka: `ReadOnlySessionStore`). A session's window is from
/// its first record to its last one, which belongs to it.
pub struct SessionReader<'a, K, V>(Typed<'a, K, V>);

impl<K, V> Clone for SessionReader<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, K: Data, V: Data> SessionReader<'a, K, V> {
    pub(super) fn new(store: StoreReader<'a>, reads: Arc<Reads<K, V>>) -> Self {
        Self(Typed { store, reads })
    }

    /// The sessions of a key, the earliest first.
    ///
    /// # Errors
    ///
    /// As [`KeyValueReader::get`].
    pub fn of(&self, key: &K) -> Result<Vec<(Window, V)>, QueryError> {
        self.of_within(key, ..)
    }

    /// The sessions of a key that have something to do with that time, in milliseconds since 1970
    /// (UTC), the earliest first (Kafka: `findSessions`).
    ///
    /// # Errors
    ///
    /// As [`KeyValueReader::get`].
    pub fn of_within(
        &self,
        key: &K,
        time: impl RangeBounds<i64>,
    ) -> Result<Vec<(Window, V)>, QueryError> {
        let Some(times) = times(&time) else {
            return Ok(Vec::new());
        };
        Ok(windows(self.0.of(key, times)?))
    }

    /// The sessions of all keys that have something to do with that time, by window and then by key.
    ///
    /// # Errors
    ///
    /// As [`KeyValueReader::range`].
    pub fn within(&self, time: impl RangeBounds<i64>) -> Result<Vec<(Windowed<K>, V)>, QueryError> {
        let Some(times) = times(&time) else {
            return Ok(Vec::new());
        };
        self.0.windowed(self.0.rows(Keys::ALL, times)?)
    }
}
