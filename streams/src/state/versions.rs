//! The values that keys had over time (Kafka: `VersionedKeyValueStore`, KIP-889).

use std::any::Any;
use std::collections::BTreeSet;

use super::far;
use super::parts::{length, put, take, take_bytes};
use super::table::{KeyHasher, Table};
use super::{Entry, Store, StoreTime};
use crate::data::{Data, DataError, Payload, decode_slice};

/// The versions of one key by the time from which on each is valid; `None` if there was no value.
#[derive(Clone)]
pub(crate) struct Versions<V>(Vec<(i64, Option<V>)>);

/// Versions by the bytes of keys. The latest one of a key stays, older ones go when they have been
/// out of date for as long as the history goes back.
pub(crate) struct VersionedStore<V> {
    table: Table<Versions<V>>,
    /// Keys whose latest version says that they are gone, by its time.
    gone: BTreeSet<(i64, Box<[u8]>)>,
    /// Bytes of these keys.
    gone_keys: usize,
    hasher: KeyHasher,
    history: i64,
    /// Its stream time is the largest timestamp of all keys.
    time: StoreTime,
}

/// What has come of a version that was put in.
pub(crate) struct Put<V> {
    /// The latest value before.
    pub(crate) old: Option<V>,
    /// Whether it is the latest version.
    pub(crate) latest: bool,
}

impl<V: Data> VersionedStore<V> {
    pub(crate) fn new(seed: u64, history: i64) -> Self {
        Self {
            table: Table::default(),
            gone: BTreeSet::new(),
            gone_keys: 0,
            hasher: KeyHasher::new(seed),
            history,
            time: StoreTime::default(),
        }
    }

    /// From when on versions can be told apart.
    fn horizon(&self) -> i64 {
        self.time.stream_time.saturating_sub(self.history)
    }

    /// Puts a version in; `None` if it is older than the history goes back.
    pub(crate) fn put(&mut self, key: &[u8], value: Option<V>, timestamp: i64) -> Option<Put<V>> {
        if timestamp < self.horizon() {
            return None;
        }
        self.time.stream_time = self.time.stream_time.max(timestamp);
        let horizon = self.horizon();
        let at = self.table.slot(self.hasher.hash(key), key);
        let (gone, gone_keys) = (&mut self.gone, &mut self.gone_keys);
        let put = self.table.change(at, |slot| {
            let Versions(versions) = slot
                .value
                .get_or_insert_with(|| Versions(Vec::with_capacity(1)));
            if let Some((time, None)) = versions.last()
                && gone.remove(&(*time, key.into()))
            {
                *gone_keys -= key.len();
            }
            let old = versions.last().and_then(|(_, value)| value.clone());
            let place = versions.partition_point(|(time, _)| *time < timestamp);
            match versions.get_mut(place) {
                Some(version) if version.0 == timestamp => version.1 = value,
                _ => versions.insert(place, (timestamp, value)),
            }
            let latest = place + 1 == versions.len();
            // A version is valid until the next one is.
            let ended = versions.windows(2).take_while(|two| two[1].0 <= horizon);
            let ended = ended.count();
            versions.drain(..ended);
            if let Some((time, value)) = versions.last() {
                slot.timestamp = *time;
                if value.is_none() {
                    gone.insert((*time, key.into()));
                    *gone_keys += key.len();
                }
            }
            Put { old, latest }
        });
        self.forget(horizon);
        Some(put)
    }

    /// Takes keys out that have been gone for as long as the history goes back.
    fn forget(&mut self, horizon: i64) {
        while let Some((time, _)) = self.gone.first() {
            if *time > horizon {
                return;
            }
            if let Some((_, key)) = self.gone.pop_first() {
                self.gone_keys -= key.len();
                let at = self.table.slot(self.hasher.hash(&key), &key);
                self.table.change(at, |slot| slot.value = None);
            }
        }
    }

    /// The latest value of a key and its timestamp.
    pub(crate) fn get(&self, key: &[u8]) -> Option<(&V, i64)> {
        let (Versions(versions), _) = self.table.get(self.hasher.hash(key), key)?;
        let (time, value) = versions.last()?;
        Some((value.as_ref()?, *time))
    }

    /// Tells some keys that have values, as [`Table::scan`].
    pub(crate) fn scan(
        &self,
        upto: Option<usize>,
        most: usize,
        each: &mut dyn FnMut(&[u8]),
    ) -> Option<usize> {
        self.table.scan(upto, most, &mut |key| {
            if self.get(key).is_some() {
                each(key);
            }
        })
    }

    /// The value that a key had at that time, and its timestamp; none if it is not the latest one and
    /// the history does not go back so far.
    pub(crate) fn get_as_of(&self, key: &[u8], at: i64) -> Option<(&V, i64)> {
        let (Versions(versions), _) = self.table.get(self.hasher.hash(key), key)?;
        let place = versions.partition_point(|(time, _)| *time <= at);
        let (time, value) = versions.get(place.checked_sub(1)?)?;
        if at < self.horizon() && place < versions.len() {
            return None;
        }
        Some((value.as_ref()?, *time))
    }
}

impl<V: Data> Store for VersionedStore<V> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn take_changes(&mut self, tell: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<(), DataError> {
        self.table
            .changes(|key, out| out.extend_from_slice(key), tell)
    }

    fn entries(&self, tell: &mut dyn FnMut(Entry<'_>)) -> Result<(), DataError> {
        self.table
            .entries(|key, out| out.extend_from_slice(key), tell)
    }

    fn restore(&mut self, entry: Entry<'_>) -> Result<(), DataError> {
        let hash = self.hasher.hash(entry.key);
        if let Some((_, timestamp)) = self.table.get(hash, entry.key)
            && self.gone.remove(&(timestamp, entry.key.into()))
        {
            self.gone_keys -= entry.key.len();
        }
        self.table.restore(hash, entry.key, entry.value)?;
        let restored = self.table.get(hash, entry.key);
        if let Some((time, None)) = restored.and_then(|(versions, _)| versions.0.last()) {
            self.gone.insert((*time, entry.key.into()));
            self.gone_keys += entry.key.len();
        }
        Ok(())
    }

    fn time(&self) -> StoreTime {
        self.time
    }

    fn set_time(&mut self, time: StoreTime) {
        self.time = time;
    }

    fn bytes(&self) -> usize {
        self.table.bytes() + far::tree::<(i64, Box<[u8]>)>(self.gone.len()) + self.gone_keys
    }

    fn len(&self) -> usize {
        self.table.len()
    }
}

/// How many, then for each the time, and the value behind its length.
impl<V: Data> Data for Versions<V> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        let mut inner = Vec::new();
        scratch.extend_from_slice(&length(self.0.len())?.to_be_bytes());
        for (time, value) in &self.0 {
            inner.clear();
            scratch.extend_from_slice(&time.to_be_bytes());
            let bytes = value.as_ref().map(|value| value.encode(&mut inner));
            put(scratch, bytes.transpose()?.flatten())?;
        }
        Ok(Some(scratch))
    }

    fn detach(&mut self) {
        for (_, value) in &mut self.0 {
            value.detach();
        }
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let mut rest = payload.require("the versions of a key")?;
        let count = u32::from_be_bytes(take(&mut rest)?);
        let mut versions = Vec::new();
        for _ in 0..count {
            let time = i64::from_be_bytes(take(&mut rest)?);
            let value = take_bytes(&mut rest)?.map(|bytes| decode_slice(Some(bytes)));
            versions.push((time, value.transpose()?));
        }
        Ok(Self(versions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(versions: &[(&str, Option<i32>, i64)]) -> VersionedStore<i32> {
        let mut store = VersionedStore::new(0, 10);
        for (key, value, time) in versions {
            store.put(key.as_bytes(), *value, *time);
        }
        store
    }

    fn as_of(store: &VersionedStore<i32>, times: &[i64]) -> Vec<Option<i32>> {
        let found = times.iter().map(|time| store.get_as_of(b"a", *time));
        found.map(|found| found.map(|(value, _)| *value)).collect()
    }

    #[test]
    fn values_are_those_of_their_time() {
        let store = store(&[
            ("a", Some(1), 5),
            ("a", Some(3), 15),
            ("a", None, 10),
            ("a", Some(2), 7),
        ]);
        let found = as_of(&store, &[4, 5, 7, 9, 10, 14, 15, 99]);
        let expected = [
            None,
            Some(1),
            Some(2),
            Some(2),
            None,
            None,
            Some(3),
            Some(3),
        ];
        assert_eq!(found, expected);
        assert_eq!(store.get(b"a"), Some((&3, 15)));
    }

    #[test]
    fn history_goes_back_so_far() {
        let mut store = store(&[("a", Some(1), 5), ("a", Some(2), 8), ("b", Some(9), 20)]);
        assert!(store.put(b"a", Some(7), 9).is_none());
        let put = store.put(b"a", Some(7), 10).unwrap();
        assert_eq!((put.old, put.latest), (Some(2), true));
        assert_eq!(as_of(&store, &[9, 10]), [None, Some(7)]);
        store.put(b"b", None, 50);
        assert_eq!(as_of(&store, &[20, 60]), [Some(7), Some(7)]);
    }

    #[test]
    fn keys_that_are_gone_are_forgotten() {
        let mut kept = store(&[("a", Some(1), 5), ("a", None, 6), ("b", Some(1), 15)]);
        assert_eq!((kept.len(), kept.gone.len()), (2, 1));
        assert_eq!(as_of(&kept, &[5]), [Some(1)]);
        let mut changes = Vec::new();
        let told = kept.take_changes(&mut |entry| {
            changes.push((entry.key.to_vec(), entry.value.map(<[u8]>::to_vec)));
            true
        });
        told.unwrap();
        let mut restored = store(&[]);
        for (key, value) in &changes {
            let value = value.as_deref();
            restored.restore(Entry { key, value }).unwrap();
        }
        restored.set_time(kept.time());
        for store in [&mut kept, &mut restored] {
            store.put(b"b", Some(2), 16);
            assert_eq!((store.len(), store.gone.len()), (1, 0));
        }
    }
}
