//! The records of one side of a join by key and time: one part per span of time, parts that are too
//! old dropped whole.

use std::any::Any;
use std::collections::BTreeMap;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::far::{self, FarValues};
use super::table::{Hash, INLINE_KEY, KeyHasher};
use super::{Entry, Expiry, Store, StoreTime};
use crate::data::{Data, DataError, decode_slice};
use crate::time::{EventTime, floor};

/// Records of one side (Kafka: a window store that retains duplicates). Records of one key and time
/// stay in the order in which they came.
pub(crate) struct JoinBuffer<V> {
    parts: BTreeMap<i64, Part<V>>,
    hasher: KeyHasher,
    /// How long a part is.
    span: i64,
    /// How long after its time a record is kept, on the scale of the buffer's time.
    retention: i64,
    /// Which of the store's times that is: the watermark is in [`StoreTime::closed`].
    by: EventTime,
    time: StoreTime,
    far_values: FarValues,
}

/// The records of a span of time. Nothing is ever taken out of it.
struct Part<V> {
    index: HashTable<u32>,
    keys: Vec<Key>,
    rows: Vec<Row<V>>,
    /// How many of the rows are in the changelog.
    told: usize,
    /// Bytes of keys and lists that lie outside of the tables.
    far: usize,
}

struct Key {
    hash: u64,
    bytes: SmallVec<[u8; INLINE_KEY]>,
    /// Its rows, by time and then as they came.
    rows: SmallVec<[u32; 2]>,
}

struct Row<V> {
    key: u32,
    /// Which it is of those with the same key and time.
    nth: u32,
    time: i64,
    value: V,
}

impl<V> Default for Part<V> {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            keys: Vec::new(),
            rows: Vec::new(),
            told: 0,
            far: 0,
        }
    }
}

impl<V: Data> JoinBuffer<V> {
    pub(crate) fn new(seed: u64, retention: i64, by: EventTime) -> Self {
        Self {
            parts: BTreeMap::new(),
            hasher: KeyHasher::new(seed),
            // Two parts at a time: a third of the memory is for what has already gone.
            span: (retention / 2).saturating_add(1).max(1),
            retention,
            by,
            time: StoreTime::default(),
            far_values: FarValues::default(),
        }
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> Hash {
        self.hasher.hash(key)
    }

    #[inline]
    pub(crate) fn time_mut(&mut self) -> &mut StoreTime {
        &mut self.time
    }

    /// The time that decides what is kept.
    #[inline]
    fn now(&self) -> i64 {
        match self.by {
            EventTime::Watermark => self.time.closed,
            EventTime::StreamTime => self.time.stream_time,
        }
    }

    /// Whether a record of that time is kept, or would be.
    #[inline]
    pub(crate) fn keeps(&self, timestamp: i64) -> bool {
        timestamp.saturating_add(self.retention) > self.now()
    }

    /// Puts a record in.
    #[inline]
    pub(crate) fn put(&mut self, hash: Hash, key: &[u8], timestamp: i64, value: V) {
        let part = self
            .parts
            .entry(floor(timestamp, self.span, 0))
            .or_default();
        part.put(hash.0, key, timestamp, value);
    }

    /// Calls for every record of a key that is not older than `from` and not younger than `to`, in the
    /// order of time.
    #[inline]
    pub(crate) fn between(
        &self,
        hash: Hash,
        key: &[u8],
        (from, to): (i64, i64),
        mut each: impl FnMut(i64, &V),
    ) {
        let from = match self.by {
            EventTime::Watermark => from,
            // A part can be half too old.
            EventTime::StreamTime => {
                let oldest = self.now().saturating_sub(self.retention).saturating_add(1);
                from.max(oldest)
            }
        };
        if from > to {
            return;
        }
        for part in self.parts.range(floor(from, self.span, 0)..=to) {
            let part = part.1;
            let Some(key) = part.find(hash.0, key) else {
                continue;
            };
            let rows = &part.keys[key].rows;
            let first = rows.partition_point(|at| part.rows[*at as usize].time < from);
            for at in &rows[first..] {
                let row = &part.rows[*at as usize];
                if row.time > to {
                    break;
                }
                each(row.time, &row.value);
            }
        }
    }

    /// When the part that starts there goes: when its last millisecond is too old.
    #[inline]
    fn gone_at(&self, start: i64) -> i64 {
        let last = start.saturating_add(self.span - 1);
        last.saturating_add(self.retention)
    }

    /// Drops what is too old.
    #[inline]
    pub(crate) fn expire(&mut self) {
        let now = self.now();
        while let Some((first, _)) = self.parts.first_key_value() {
            if self.gone_at(*first) > now {
                break;
            }
            self.parts.pop_first();
        }
    }
}

impl<V> Part<V> {
    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let found = self.index.find(hash, |at| {
            let known = &self.keys[*at as usize];
            known.hash == hash && known.bytes[..] == *key
        });
        found.map(|at| *at as usize)
    }

    fn key(&mut self, hash: u64, key: &[u8]) -> usize {
        if let Some(at) = self.find(hash, key) {
            return at;
        }
        let at = self.keys.len();
        let number = u32::try_from(at).expect("a part has less than 2^32 keys");
        self.keys.push(Key {
            hash,
            bytes: SmallVec::from_slice(key),
            rows: SmallVec::new(),
        });
        self.far += far::key(key);
        let keys = &self.keys;
        self.index
            .insert_unique(hash, number, |at| keys[*at as usize].hash);
        at
    }

    #[inline]
    fn put(&mut self, hash: u64, key: &[u8], time: i64, value: V) {
        let key = self.key(hash, key);
        let Self {
            keys, rows, far, ..
        } = self;
        let list = &mut keys[key].rows;
        let first = |at: &u32| rows[*at as usize].time < time;
        let (place, nth) = match list.last() {
            Some(last) if rows[*last as usize].time < time => (list.len(), 0),
            None => (0, 0),
            _ => {
                let from = list.partition_point(first);
                let behind = list.partition_point(|at| rows[*at as usize].time <= time);
                // Some of the same time may have been taken out again.
                let last = list[from..behind].last();
                (behind, last.map_or(0, |last| rows[*last as usize].nth + 1))
            }
        };
        let at = u32::try_from(rows.len()).expect("a part has less than 2^32 records");
        insert(list, place, at, far);
        rows.push(Row {
            key: key as u32,
            nth,
            time,
            value,
        });
    }

    /// Puts a row in as it was told.
    fn restore(&mut self, hash: u64, key: &[u8], (time, nth): (i64, u32), value: V) {
        let key = self.key(hash, key);
        let Self {
            keys, rows, far, ..
        } = self;
        let list = &mut keys[key].rows;
        let place = list.binary_search_by_key(&(time, nth), |at| {
            let row = &rows[*at as usize];
            (row.time, row.nth)
        });
        match place {
            Ok(known) => rows[list[known] as usize].value = value,
            Err(place) => {
                let at = u32::try_from(rows.len()).expect("a part has less than 2^32 records");
                insert(list, place, at, far);
                rows.push(Row {
                    key: key as u32,
                    nth,
                    time,
                    value,
                });
            }
        }
        self.told = self.rows.len();
    }

    /// Takes a row out that the changelog says has gone.
    fn forget(&mut self, hash: u64, key: &[u8], place: (i64, u32)) {
        let Some(key) = self.find(hash, key) else {
            return;
        };
        let rows = &self.rows;
        let found = self.keys[key].rows.binary_search_by_key(&place, |at| {
            let row = &rows[*at as usize];
            (row.time, row.nth)
        });
        let Ok(found) = found else { return };
        let at = self.keys[key].rows.remove(found);
        self.rows.swap_remove(at as usize);
        // The last row has come to lie there.
        if let Some(moved) = self.rows.get(at as usize) {
            let last = self.rows.len() as u32;
            let list = &mut self.keys[moved.key as usize].rows;
            let moved = list.iter_mut().filter(|number| **number == last);
            moved.for_each(|number| *number = at);
        }
        self.told = self.rows.len();
    }
}

fn insert(list: &mut SmallVec<[u32; 2]>, place: usize, at: u32, far: &mut usize) {
    let before = far::list(list);
    list.insert(place, at);
    *far += far::list(list) - before;
}

impl<V: Data> Part<V> {
    /// Tells rows until `tell` says `false`: the key's bytes, then the time and the number among equal ones; the value is a byte
    /// that tells null from what is not, and its own bytes.
    fn tell<'a>(
        &'a self,
        rows: impl Iterator<Item = &'a Row<V>>,
        tell: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), DataError> {
        let (mut key, mut bytes, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            key.clear();
            key.extend_from_slice(&self.keys[row.key as usize].bytes);
            key.extend_from_slice(&row.time.to_be_bytes());
            key.extend_from_slice(&row.nth.to_be_bytes());
            bytes.clear();
            scratch.clear();
            let own = row.value.encode(&mut scratch)?;
            bytes.push(u8::from(own.is_some()));
            bytes.extend_from_slice(own.unwrap_or_default());
            let entry = Entry {
                key: &key,
                value: Some(&bytes),
            };
            if !tell(entry) {
                break;
            }
        }
        Ok(())
    }
}

impl<V: Data> Store for JoinBuffer<V> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    /// In the order in which records came, part by part.
    fn take_changes(&mut self, tell: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<(), DataError> {
        let (mut written, mut count, mut go_on) = (0, 0, true);
        for part in self.parts.values_mut() {
            let mut told = 0;
            let mut some = |entry: Entry<'_>| {
                written += entry.value.map_or(0, <[u8]>::len);
                told += 1;
                go_on = tell(entry);
                go_on
            };
            part.tell(part.rows[part.told..].iter(), &mut some)?;
            for row in &mut part.rows[part.told..][..told] {
                row.value.detach();
            }
            part.told += told;
            count += told;
            if !go_on {
                break;
            }
        }
        self.far_values.note::<V>(written, count);
        Ok(())
    }

    fn entries(&self, tell: &mut dyn FnMut(Entry<'_>)) -> Result<(), DataError> {
        for part in self.parts.values() {
            let mut order: Vec<u32> = (0..part.rows.len() as u32).collect();
            order.sort_unstable_by_key(|at| {
                let row = &part.rows[*at as usize];
                (&part.keys[row.key as usize].bytes, row.time, row.nth)
            });
            let mut all = |entry: Entry<'_>| {
                tell(entry);
                true
            };
            part.tell(order.iter().map(|at| &part.rows[*at as usize]), &mut all)?;
        }
        Ok(())
    }

    fn restore(&mut self, entry: Entry<'_>) -> Result<(), DataError> {
        let bad = || DataError::new("a joined record's key that ends early");
        let (rest, nth) = entry.key.split_last_chunk::<4>().ok_or_else(bad)?;
        let (key, time) = rest.split_last_chunk::<8>().ok_or_else(bad)?;
        let (nth, time) = (u32::from_be_bytes(*nth), i64::from_be_bytes(*time));
        // The store itself tells nothing of what goes by time; whoever mends a changelog may.
        let Some(value) = entry.value else {
            let hash = self.hasher.hash(key).0;
            let span = floor(time, self.span, 0);
            if let Some(part) = self.parts.get_mut(&span) {
                part.forget(hash, key, (time, nth));
                if part.rows.is_empty() {
                    self.parts.remove(&span);
                }
            }
            return Ok(());
        };
        let (own, bytes) = value
            .split_first()
            .ok_or_else(|| DataError::new("a joined record's value that ends early"))?;
        self.far_values.note_one::<V>(value.len());
        let value = decode_slice((*own != 0).then_some(bytes))?;
        let hash = self.hasher.hash(key).0;
        let part = self.parts.entry(floor(time, self.span, 0)).or_default();
        part.restore(hash, key, (time, nth), value);
        Ok(())
    }

    fn time(&self) -> StoreTime {
        self.time
    }

    fn set_time(&mut self, time: StoreTime) {
        self.time = time;
        self.expire();
    }

    fn expiry(&self) -> Option<Expiry> {
        let last = self.parts.last_key_value();
        Some(Expiry {
            now: self.now(),
            last: last.map_or(i64::MIN, |(start, _)| self.gone_at(*start)),
        })
    }

    fn bytes(&self) -> usize {
        let part = |part: &Part<V>| {
            far::index(part.index.capacity())
                + part.keys.capacity() * size_of::<Key>()
                + part.rows.capacity() * size_of::<Row<V>>()
                + part.far
        };
        self.parts.values().map(part).sum::<usize>() + self.far_values.of(self.len())
    }

    fn len(&self) -> usize {
        self.parts.values().map(|part| part.rows.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(buffer: &JoinBuffer<i64>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        let mut tell = |entry: Entry<'_>| {
            all.push((entry.key.to_vec(), entry.value.unwrap_or_default().to_vec()));
        };
        buffer.entries(&mut tell).unwrap();
        all
    }

    #[test]
    fn what_a_changelog_says_has_gone_is_taken_out() {
        let new = || JoinBuffer::<i64>::new(0, 100, EventTime::Watermark);
        let mut buffer = new();
        for (key, time, value) in [("a", 5, 1), ("a", 5, 2), ("b", 5, 3), ("a", 90, 4)] {
            let hash = buffer.hash(key.as_bytes());
            buffer.put(hash, key.as_bytes(), time, value);
        }
        let entries = told(&buffer);
        let mut restored = new();
        for (key, value) in &entries {
            let value = Some(&value[..]);
            restored.restore(Entry { key, value }).unwrap();
        }
        let gone = Entry {
            key: &entries[0].0,
            value: None,
        };
        restored.restore(gone).unwrap();
        restored.restore(gone).unwrap();
        assert_eq!(told(&restored), entries[1..]);
        // What comes later does not take the place of what is still there.
        let hash = restored.hash(b"a");
        restored.put(hash, b"a", 5, 9);
        let mut values = Vec::new();
        restored.between(hash, b"a", (0, 100), |_, value| values.push(*value));
        assert_eq!(values, [2, 9, 4]);
        for (key, _) in told(&restored) {
            let entry = Entry {
                key: &key,
                value: None,
            };
            restored.restore(entry).unwrap();
        }
        assert_eq!((restored.len(), restored.parts.len()), (0, 0));
    }
}
