//! One record on its way through a topology.

pub(crate) mod chunk;
pub(crate) mod late;

use std::sync::Arc;

use bytes::Bytes;

/// A record (Kafka: `org.apache.kafka.streams.processor.api.Record`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// Event time in milliseconds since 1970 (UTC), negative before that.
    pub timestamp: i64,
    /// The headers.
    pub headers: Headers,
    /// The task's watermark in front of this record.
    pub(crate) watermark: i64,
}

impl<K, V> Record<K, V> {
    /// A record without headers.
    #[must_use]
    #[inline]
    pub fn new(key: K, value: V, timestamp: i64) -> Self {
        Self {
            key,
            value,
            timestamp,
            headers: Headers::default(),
            watermark: i64::MIN,
        }
    }

    /// The same with another key and value.
    #[inline]
    pub(crate) fn with<L, W>(self, key: L, value: W) -> Record<L, W> {
        Record {
            key,
            value,
            timestamp: self.timestamp,
            headers: self.headers,
            watermark: self.watermark,
        }
    }

    /// The same with another value.
    #[inline]
    pub(crate) fn map_value<W>(self, map: impl FnOnce(&K, V) -> W) -> Record<K, W> {
        let value = map(&self.key, self.value);
        Record {
            key: self.key,
            value,
            timestamp: self.timestamp,
            headers: self.headers,
            watermark: self.watermark,
        }
    }
}

/// Headers of a record (KIP-82): keys and values in their order, a key may come more than once.
/// Clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<Vec<(Bytes, Option<Bytes>)>>>);

impl Headers {
    /// Headers in this order.
    #[must_use]
    pub fn new(list: Vec<(Bytes, Option<Bytes>)>) -> Self {
        Self((!list.is_empty()).then(|| Arc::new(list)))
    }

    /// Keys and values in their order; a null value is `None`.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let list = self.0.as_deref().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|(key, value)| (&key[..], value.as_deref()))
    }

    /// Whether there are none.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of the last header of that key; a null value is `None` too.
    #[must_use]
    pub fn last(&self, key: &str) -> Option<&[u8]> {
        let found = self.iter().filter(|(name, _)| *name == key.as_bytes());
        found.last().and_then(|(_, value)| value)
    }

    /// Copies them, so that they hold nothing else in memory.
    pub(crate) fn detach(&mut self) {
        if let Some(list) = &mut self.0 {
            let copied = list.iter().map(|(key, value)| {
                let value = value.as_deref().map(Bytes::copy_from_slice);
                (Bytes::copy_from_slice(key), value)
            });
            *list = Arc::new(copied.collect());
        }
    }

    /// Adds one.
    pub fn add(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let list = self.0.get_or_insert_default();
        Arc::make_mut(list).push((key.into(), Some(value.into())));
    }
}

/// What has become of a key's value in a table (Kafka: `Change`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<V> {
    /// The value from now on; `None` if the key has gone.
    pub new: Option<V>,
    /// What it was; `None` if there was none, or if nothing downstream asks for it.
    pub old: Option<V>,
}
