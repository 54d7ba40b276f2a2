//! The latest value of each key (Kafka: `TimestampedKeyValueStore`).

use std::any::Any;
use std::mem::needs_drop;

use smallvec::SmallVec;

use super::table::{Hash, KeyHasher, Slot, Table};
use super::{Entry, Store, StoreTime};
use crate::data::{Data, DataError};

/// Values by the bytes of their keys, each with a timestamp.
pub(crate) struct KeyValueStore<V> {
    table: Table<V>,
    hasher: KeyHasher,
    time: StoreTime,
}

impl<V: Data> KeyValueStore<V> {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            table: Table::default(),
            hasher: KeyHasher::new(seed),
            time: StoreTime::default(),
        }
    }

    pub(crate) fn time_mut(&mut self) -> &mut StoreTime {
        &mut self.time
    }

    /// A key's value and its timestamp.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<(&V, i64)> {
        self.table.get(self.hasher.hash(key), key)
    }

    /// Changes a key's slot in place; `None` as its value takes the key out.
    #[inline]
    pub(crate) fn change<R>(&mut self, key: &[u8], change: impl FnOnce(&mut Slot<V>) -> R) -> R {
        let at = self.table.slot(self.hasher.hash(key), key);
        self.table.change(at, change)
    }

    /// Puts a value in, or takes it out, and gives what was there.
    pub(crate) fn put(&mut self, key: &[u8], value: Option<V>, timestamp: i64) -> Option<(V, i64)> {
        self.change(key, |slot| {
            let old = std::mem::replace(&mut slot.value, value);
            let was = std::mem::replace(&mut slot.timestamp, timestamp);
            Some((old?, was))
        })
    }

    /// Forgets what has changed: for a store without a changelog.
    pub(crate) fn forget_changes(&mut self) {
        // Values are written as if they were told: else nobody would know how large they are. Whether
        // they can be does not matter.
        let sized = needs_drop::<V>() && self.table.changes(|_, _| {}, &mut |_| true).is_ok();
        if !sized {
            self.table.take_changed(&mut |_| true);
        }
    }

    /// Tells some keys that have values, as [`Table::scan`].
    pub(crate) fn scan(
        &self,
        upto: Option<usize>,
        most: usize,
        each: &mut dyn FnMut(&[u8]),
    ) -> Option<usize> {
        self.table.scan(upto, most, each)
    }

    /// All keys with their values, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &V, i64)> {
        self.table.iter()
    }

    /// All keys with their values, in the order of the keys' bytes.
    pub(crate) fn sorted(&self) -> Vec<(&[u8], &V, i64)> {
        self.table.sorted()
    }
}

impl<V: Data> Store for KeyValueStore<V> {
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
        self.table.restore(hash, entry.key, entry.value)
    }

    fn restore_all(&mut self, entries: &[Entry<'_>]) -> Result<(), DataError> {
        // What lies far away in memory is asked for together.
        let keys = entries.iter().map(|entry| entry.key);
        let hashes: SmallVec<[Hash; 32]> = keys.map(|key| self.hasher.hash(key)).collect();
        self.table.touch(&hashes);
        entries.iter().try_for_each(|entry| self.restore(*entry))
    }

    fn time(&self) -> StoreTime {
        self.time
    }

    fn set_time(&mut self, time: StoreTime) {
        self.time = time;
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }

    fn len(&self) -> usize {
        self.table.len()
    }
}
