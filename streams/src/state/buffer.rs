//! Updates of a table that are held back, in the order in which they come out (Kafka:
//! `InMemoryTimeOrderedKeyValueChangeBuffer`).

use std::any::Any;
use std::collections::BTreeSet;

use bytes::Bytes;

use super::far;
use super::parts::{length, put, take, take_bytes};
use super::table::{KeyHasher, Table};
use super::{Entry, Expiry, Store, StoreTime};
use crate::data::{Data, DataError, Payload, decode_slice};
use crate::record::{Change, Headers};

/// The latest update of a key.
#[derive(Clone)]
pub(crate) struct Held<V> {
    /// Its place in the order; the first update of the key has set it.
    pub(crate) time: i64,
    /// The value from now on, and what it was in front of the first update.
    pub(crate) change: Change<V>,
    pub(crate) headers: Headers,
}

/// A key, its update, and that one's timestamp.
pub(crate) type Popped<V> = (Box<[u8]>, Held<V>, i64);

/// One update for each key, ordered by time and by the bytes of keys.
pub(crate) struct BufferStore<V> {
    table: Table<Held<V>>,
    order: BTreeSet<(i64, Box<[u8]>)>,
    hasher: KeyHasher,
    time: StoreTime,
    /// How long after its time an update comes out; `None` if the watermark does not make it.
    wait: Option<i64>,
    /// Bytes of all keys and updates as the changelog has them, if they are counted.
    held: Option<usize>,
    /// Bytes of the keys in the order.
    order_keys: usize,
}

impl<V: Data> BufferStore<V> {
    pub(crate) fn new(seed: u64, wait: Option<i64>, counts_bytes: bool) -> Self {
        Self {
            table: Table::default(),
            order: BTreeSet::new(),
            hasher: KeyHasher::new(seed),
            time: StoreTime::default(),
            wait,
            held: counts_bytes.then_some(0),
            order_keys: 0,
        }
    }

    /// A key's update and its timestamp.
    pub(crate) fn get(&self, key: &[u8]) -> Option<(&Held<V>, i64)> {
        self.table.get(self.hasher.hash(key), key)
    }

    /// Puts an update in. One of a key that is held already takes that one's place in the order, and
    /// its old value.
    pub(crate) fn put(
        &mut self,
        key: &[u8],
        mut update: Held<V>,
        timestamp: i64,
    ) -> Result<(), DataError> {
        let hash = self.hasher.hash(key);
        let mut bytes = self.size(key, &update, timestamp)?;
        let before = match self.table.get(hash, key) {
            Some((held, timestamp)) => {
                update.time = held.time;
                update.change.old.clone_from(&held.change.old);
                bytes = self.size(key, &update, timestamp)?;
                self.size(key, held, timestamp)?
            }
            None => {
                self.order.insert((update.time, key.into()));
                self.order_keys += key.len();
                0
            }
        };
        if let Some(held) = &mut self.held {
            *held = *held + bytes - before;
        }
        let at = self.table.slot(hash, key);
        self.table.change(at, |slot| {
            slot.value = Some(update);
            slot.timestamp = timestamp;
        });
        Ok(())
    }

    /// The time of the first update.
    pub(crate) fn first(&self) -> Option<i64> {
        self.order.first().map(|(time, _)| *time)
    }

    /// The last key of those with that time.
    pub(crate) fn last_at(&self, time: i64) -> Option<&[u8]> {
        let first = (time, Box::default());
        let mut all = match time.checked_add(1) {
            Some(next) => self.order.range(first..(next, Box::default())),
            None => self.order.range(first..),
        };
        all.next_back().map(|(_, key)| &**key)
    }

    /// Takes the first update out.
    pub(crate) fn pop(&mut self) -> Result<Option<Popped<V>>, DataError> {
        let Some((_, key)) = self.order.pop_first() else {
            return Ok(None);
        };
        self.order_keys -= key.len();
        let at = self.table.slot(self.hasher.hash(&key), &key);
        let (update, timestamp) = self
            .table
            .change(at, |slot| (slot.value.take(), slot.timestamp));
        let Some(update) = update else {
            return Ok(None);
        };
        let bytes = self.size(&key, &update, timestamp)?;
        if let Some(held) = &mut self.held {
            *held -= bytes;
        }
        Ok(Some((key, update, timestamp)))
    }

    /// How many bytes keys and updates have in the changelog; 0 if they are not counted.
    pub(crate) fn held(&self) -> usize {
        self.held.unwrap_or_default()
    }

    pub(crate) fn time_mut(&mut self) -> &mut StoreTime {
        &mut self.time
    }

    /// The bytes of one update, if they are counted.
    fn size(&self, key: &[u8], update: &Held<V>, timestamp: i64) -> Result<usize, DataError> {
        if self.held.is_none() {
            return Ok(0);
        }
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        super::table::write_stamped(update, timestamp, &mut bytes, &mut scratch)?;
        Ok(key.len() + bytes.len())
    }
}

impl<V: Data> Store for BufferStore<V> {
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
        if let Some((held, timestamp)) = self.table.get(hash, entry.key) {
            let gone = (held.time, entry.key.into());
            let bytes = self.size(entry.key, held, timestamp)?;
            if self.order.remove(&gone) {
                self.order_keys -= entry.key.len();
            }
            if let Some(held) = &mut self.held {
                *held -= bytes;
            }
        }
        self.table.restore(hash, entry.key, entry.value)?;
        if let Some((held, timestamp)) = self.table.get(hash, entry.key) {
            // As it is written now: it may have been longer or shorter when it was stored.
            let bytes = self.size(entry.key, held, timestamp)?;
            self.order.insert((held.time, entry.key.into()));
            self.order_keys += entry.key.len();
            if let Some(held) = &mut self.held {
                *held += bytes;
            }
        }
        Ok(())
    }

    fn time(&self) -> StoreTime {
        self.time
    }

    fn set_time(&mut self, time: StoreTime) {
        self.time = time;
    }

    fn horizon(&self) -> Option<i64> {
        let (last, _) = self.order.last()?;
        Some(last.saturating_add(self.wait?))
    }

    fn expiry(&self) -> Option<Expiry> {
        let last = self.order.last().map(|(time, _)| *time);
        Expiry::in_order(self.first(), last)
    }

    fn bytes(&self) -> usize {
        self.table.bytes() + far::tree::<(i64, Box<[u8]>)>(self.order.len()) + self.order_keys
    }

    fn len(&self) -> usize {
        self.table.len()
    }
}

/// The time, the change behind its length, then headers: how many, then keys and values behind their
/// lengths. Numbers are big-endian.
impl<V: Data> Data for Held<V> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        let mut inner = Vec::new();
        scratch.extend_from_slice(&self.time.to_be_bytes());
        put(scratch, self.change.encode(&mut inner)?)?;
        let count = self.headers.iter().count();
        scratch.extend_from_slice(&length(count)?.to_be_bytes());
        for (key, value) in self.headers.iter() {
            put(scratch, Some(key))?;
            put(scratch, value)?;
        }
        Ok(Some(scratch))
    }

    fn detach(&mut self) {
        self.change.detach();
        self.headers.detach();
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let mut rest = payload.require("an update that is held back")?;
        let time = i64::from_be_bytes(take(&mut rest)?);
        let change = decode_slice(take_bytes(&mut rest)?)?;
        let count = u32::from_be_bytes(take(&mut rest)?);
        let mut headers = Vec::new();
        for _ in 0..count {
            let key = take_bytes(&mut rest)?.unwrap_or_default();
            let value = take_bytes(&mut rest)?.map(Bytes::copy_from_slice);
            headers.push((Bytes::copy_from_slice(key), value));
        }
        Ok(Self {
            time,
            change,
            headers: Headers::new(headers),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(time: i64, new: Option<i32>, old: Option<i32>) -> Held<i32> {
        let mut headers = Headers::default();
        headers.add("trace", "7");
        Held {
            time,
            change: Change { new, old },
            headers,
        }
    }

    fn pop(store: &mut BufferStore<i32>) -> (Vec<u8>, i64, Change<i32>, i64) {
        let (key, held, timestamp) = store.pop().unwrap().unwrap();
        assert_eq!(held.headers.last("trace"), Some(&b"7"[..]));
        (key.into(), held.time, held.change, timestamp)
    }

    #[test]
    fn updates_keep_their_place_and_what_was_there_before() {
        let mut store = BufferStore::new(0, Some(10), true);
        store.put(b"b", held(5, Some(1), Some(0)), 5).unwrap();
        store.put(b"a", held(5, Some(2), None), 6).unwrap();
        let one = store.held();
        store.put(b"b", held(9, None, Some(1)), 9).unwrap();
        assert!(store.held() < one);
        assert_eq!((store.first(), store.horizon()), (Some(5), Some(15)));
        let mut restored = BufferStore::new(1, Some(10), true);
        let mut entries = Vec::new();
        let told = store.take_changes(&mut |entry| {
            entries.push((entry.key.to_vec(), entry.value.map(<[u8]>::to_vec)));
            true
        });
        told.unwrap();
        for (key, value) in entries.iter().chain(&entries) {
            let value = value.as_deref();
            restored.restore(Entry { key, value }).unwrap();
        }
        assert_eq!(restored.held(), store.held());
        for store in [&mut store, &mut restored] {
            let change = |new, old| Change { new, old };
            assert_eq!(pop(store), (b"a".to_vec(), 5, change(Some(2), None), 6));
            assert_eq!(pop(store), (b"b".to_vec(), 5, change(None, Some(0)), 9));
            assert!(store.pop().unwrap().is_none());
            assert_eq!((store.held(), store.len()), (0, 0));
        }
    }

    #[test]
    fn what_ends_early_is_refused() {
        let bytes = crate::data::encode_vec(&held(5, Some(1), Some(2)));
        let bytes = bytes.unwrap().unwrap();
        for end in 0..bytes.len() {
            assert!(decode_slice::<Held<i32>>(Some(&bytes[..end])).is_err());
        }
        assert!(decode_slice::<Held<i32>>(Some(&bytes)).is_ok());
    }
}
