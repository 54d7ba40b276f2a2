//! An open-addressing table from the bytes of keys to values in memory: what one pane, or one
//! key-value store, is made of.

mod index;
mod near;
mod slab;

use std::hash::BuildHasher;
use std::mem::needs_drop;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::Entry;
use crate::data::{Data, DataError};
use index::Index;
use slab::Slab;

/// Keys up to so many bytes lie within the table.
pub(super) const INLINE_KEY: usize = 16;

/// So many slots are brought near at once.
const GROUP: usize = 16;

/// A table whose index is larger than so many bytes does not lie in the nearest of the processor's
/// caches: what its slots take is some times that, and everything else passes through there, too.
const FAR: usize = 1 << 15;

/// The hash of a key, to be used with every table made with the same seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(pub(super) u64);

impl Hash {
    /// Stands where there is no key.
    pub(crate) const NONE: Self = Self(0);

    #[inline]
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// Makes hashes of keys. The seed is chance where keys come from strangers.
#[derive(Clone, Debug)]
pub(crate) struct KeyHasher(FixedState);

impl KeyHasher {
    pub(crate) fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> Hash {
        Hash(self.0.hash_one(key))
    }
}

/// Values by key. A key that has been taken out stays until its change has been told.
pub(crate) struct Table<A> {
    index: Index,
    slots: Slab<Slot<A>>,
    /// Slots that have changed since the changes were told, each once, in the order of their first
    /// change.
    changed: Vec<u32>,
    /// Numbers of slots whose end has been told, to be removed when all changes are told.
    gone: Vec<u32>,
    /// How many of these have been told already.
    told: usize,
    /// How many slots have a value.
    live: usize,
    /// Bytes of keys that lie outside of the table.
    far_keys: usize,
    /// About how many bytes a value has outside of the table: as many as it has when it is written.
    far_value: usize,
}

pub(crate) struct Slot<A> {
    hash: u64,
    key: SmallVec<[u8; INLINE_KEY]>,
    changed: bool,
    /// Largest timestamp of what went into the value.
    pub(crate) timestamp: i64,
    pub(crate) value: Option<A>,
}

impl<A> Slot<A> {
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Asks for all of it. What is given has to be used, together with that of others: where the processor
    /// cannot be asked, it has to be given at least something to do.
    #[inline]
    fn bring_near(&self) -> i64 {
        near::ask_for(self);
        match cfg!(target_arch = "x86_64") {
            true => 0,
            false => self.timestamp,
        }
    }

    /// Something with that timestamp goes into the value. A key without one begins anew, whether the
    /// slot is still there or not: when it goes depends on when changes are told.
    #[inline]
    pub(crate) fn stamp(&mut self, timestamp: i64) {
        self.timestamp = match self.value {
            Some(_) => self.timestamp.max(timestamp),
            None => timestamp,
        };
    }
}

impl<A> Default for Table<A> {
    fn default() -> Self {
        Self {
            index: Index::default(),
            slots: Slab::default(),
            changed: Vec::new(),
            gone: Vec::new(),
            told: 0,
            live: 0,
            far_keys: 0,
            far_value: 0,
        }
    }
}

impl<A> Table<A> {
    /// An empty one with room for so many keys.
    pub(crate) fn with_room(keys: usize) -> Self {
        Self {
            index: Index::with_room(keys),
            ..Self::default()
        }
    }

    /// How many keys have a value.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// About how many bytes it takes. What values hold outside of it is known only by what they had on
    /// average when they were last told.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.bytes()
            + self.index.bytes()
            + (self.changed.capacity() + self.gone.capacity()) * 4
            + self.far_keys
            + self.live.saturating_mul(self.far_value)
    }

    #[inline]
    fn find(&self, hash: Hash, key: &[u8]) -> Option<usize> {
        let found = self
            .index
            .find(hash, |at| self.slots[at as usize].key[..] == *key);
        found.map(|at| at as usize)
    }

    /// Brings what lies at these hashes near, all at once: one by one, each would be waited for.
    #[inline]
    pub(crate) fn touch(&self, hashes: &[Hash]) {
        if self.index.bytes() < FAR {
            return;
        }
        for group in hashes.chunks(GROUP) {
            let mut slots = [None; GROUP];
            for (slot, hash) in slots.iter_mut().zip(group) {
                *slot = self.index.peek(*hash);
            }
            let mut sum = 0;
            for slot in slots.into_iter().flatten() {
                sum ^= self.slots[slot as usize].bring_near();
            }
            std::hint::black_box(sum);
        }
    }

    /// Brings these slots near, all at once.
    fn bring_near(&self, slots: &[u32]) {
        if self.index.bytes() < FAR {
            return;
        }
        let each = slots.iter().map(|at| self.slots[*at as usize].bring_near());
        std::hint::black_box(each.fold(0, |sum, timestamp| sum ^ timestamp));
    }

    /// Brings a slot near that will be needed soon.
    #[inline]
    pub(crate) fn bring_one_near(&self, slot: u32) {
        std::hint::black_box(self.slots[slot as usize].bring_near());
    }

    #[inline]
    pub(crate) fn get(&self, hash: Hash, key: &[u8]) -> Option<(&A, i64)> {
        let slot = &self.slots[self.find(hash, key)?];
        Some((slot.value.as_ref()?, slot.timestamp))
    }

    /// The slot of a key, made with no value if there was none. Whoever changes it says so with
    /// [`Self::touch`].
    #[inline]
    pub(crate) fn slot(&mut self, hash: Hash, key: &[u8]) -> usize {
        match self.find(hash, key) {
            Some(at) => at,
            None => self.add(hash, key),
        }
    }

    fn add(&mut self, hash: Hash, key: &[u8]) -> usize {
        let at = self.slots.len();
        let number = u32::try_from(at).expect("a table has less than 2^32 keys");
        self.slots.push(Slot {
            hash: hash.0,
            key: SmallVec::from_slice(key),
            changed: false,
            timestamp: i64::MIN,
            value: None,
        });
        if key.len() > INLINE_KEY {
            self.far_keys += key.len();
        }
        self.index.insert(hash, number);
        at
    }

    /// Changes a slot's value in place.
    #[inline]
    pub(crate) fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Slot<A>) -> R) -> R {
        let slot = &mut self.slots[at];
        let was = slot.value.is_some();
        let result = change(slot);
        match (was, slot.value.is_some()) {
            (false, true) => self.live += 1,
            (true, false) => self.live -= 1,
            _ => {}
        }
        if !slot.changed {
            slot.changed = true;
            self.changed.push(at as u32);
        }
        result
    }

    /// Keys with values, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &A, i64)> {
        self.slots.iter().filter_map(|slot| {
            let value = slot.value.as_ref()?;
            Some((slot.key(), value, slot.timestamp))
        })
    }

    /// Keys with values, in the order of the keys' bytes.
    pub(crate) fn sorted(&self) -> Vec<(&[u8], &A, i64)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_unstable_by(|a, b| a.0.cmp(b.0));
        all
    }

    /// The slots with values, in the order of the keys' bytes. They are good until something is put in or
    /// changes are told.
    pub(crate) fn order(&self) -> Vec<u32> {
        let slots = 0..self.slots.len() as u32;
        let mut order: Vec<u32> = slots
            .filter(|at| self.slots[*at as usize].value.is_some())
            .collect();
        order.sort_unstable_by_key(|at| self.slots[*at as usize].key());
        order
    }

    /// The key, value and timestamp of such a slot.
    pub(crate) fn at(&self, slot: u32) -> Option<(&[u8], &A, i64)> {
        let slot = &self.slots[slot as usize];
        Some((slot.key(), slot.value.as_ref()?, slot.timestamp))
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Tells the keys with values in up to `most` slots in front of one, from the back (`None`: of all);
    /// gives where to go on, `None` if that was all. Holes are filled by the last slot, so whatever is
    /// there all the time is told, however much comes and goes between the calls; maybe twice.
    pub(crate) fn scan(
        &self,
        upto: Option<usize>,
        most: usize,
        each: &mut dyn FnMut(&[u8]),
    ) -> Option<usize> {
        let upto = upto.unwrap_or(usize::MAX).min(self.slots.len());
        let from = upto.saturating_sub(most);
        for at in (from..upto).rev() {
            let slot = &self.slots[at];
            if slot.value.is_some() {
                each(slot.key());
            }
        }
        (from > 0).then_some(from)
    }

    /// Keys with values and their hashes, in no order that means anything.
    pub(crate) fn live(&self) -> impl Iterator<Item = (Hash, &[u8], &A, i64)> {
        self.slots.iter().filter_map(|slot| {
            let value = slot.value.as_ref()?;
            Some((Hash(slot.hash), slot.key(), value, slot.timestamp))
        })
    }

    /// The key of a slot.
    pub(crate) fn key(&self, slot: u32) -> &[u8] {
        self.slots[slot as usize].key()
    }

    /// The value of a slot, where nobody is told of changes.
    pub(crate) fn value_mut(&mut self, slot: u32) -> Option<&mut A> {
        self.slots[slot as usize].value.as_mut()
    }

    /// About how many bytes a value has outside of the table.
    pub(crate) fn outside(&self) -> usize {
        self.far_value
    }

    /// Whether something has changed since the changes were told.
    pub(crate) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Tells slots that have changed since the last call, in the order of their first change, which
    /// depends on nothing but what was done to the table. Stops when it is told to; the rest is told
    /// with the next call. Keys without a value are gone when they have been told.
    pub(crate) fn take_changed(&mut self, tell: &mut dyn FnMut(&mut Slot<A>) -> bool) {
        let mut near = self.told;
        while let Some(at) = self.changed.get(self.told) {
            if self.told == near {
                near = self.changed.len().min(near + GROUP);
                self.bring_near(&self.changed[self.told..near]);
            }
            let slot = &mut self.slots[*at as usize];
            slot.changed = false;
            self.told += 1;
            if slot.value.is_none() {
                self.gone.push(*at);
            }
            if !tell(slot) {
                break;
            }
        }
        if self.told < self.changed.len() {
            // Removing moves slots, and the places of those that are still to be told are noted.
            return;
        }
        self.changed.clear();
        self.told = 0;
        let mut gone = std::mem::take(&mut self.gone);
        gone.sort_unstable();
        gone.dedup();
        // From the back, so that what moves into a hole is not itself to go. In between it may have
        // been given a value again.
        for at in gone.into_iter().rev() {
            if self.slots[at as usize].value.is_none() {
                self.remove(at as usize);
            }
        }
    }

    fn remove(&mut self, at: usize) {
        self.index.remove(Hash(self.slots[at].hash), at as u32);
        let last = self.slots.len() - 1;
        if at != last {
            let moved = &self.slots[last];
            self.index
                .renumber(Hash(moved.hash), last as u32, at as u32);
            if moved.changed {
                let renumbered = self.changed[self.told..]
                    .iter_mut()
                    .filter(|number| **number == last as u32);
                renumbered.for_each(|number| *number = at as u32);
            }
        }
        if let Some(slot) = self.slots.swap_remove(at)
            && slot.key.len() > INLINE_KEY
        {
            self.far_keys -= slot.key.len();
        }
    }
}

impl<A: Data> Table<A> {
    /// Puts a value in as it was told, without counting it as a change.
    pub(crate) fn restore(
        &mut self,
        hash: Hash,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), DataError> {
        let Some(value) = value else {
            if let Some(at) = self.find(hash, key) {
                self.live -= usize::from(self.slots[at].value.is_some());
                self.remove(at);
            }
            return Ok(());
        };
        let bytes = value.len();
        let (timestamp, value) = read_stamped(value)?;
        if needs_drop::<A>() {
            // Every value that comes counts a little.
            self.far_value = (self.far_value * 7 + bytes).div_ceil(8);
        }
        let at = self.slot(hash, key);
        let slot = &mut self.slots[at];
        self.live += usize::from(slot.value.is_none());
        slot.value = Some(value);
        slot.timestamp = timestamp;
        Ok(())
    }

    /// Tells the values of one table, with keys as `name` makes them, in no order that means anything:
    /// to sort many keys takes longer than to write them.
    pub(crate) fn entries(
        &self,
        mut name: impl FnMut(&[u8], &mut Vec<u8>),
        tell: &mut dyn FnMut(Entry<'_>),
    ) -> Result<(), DataError> {
        let (mut key, mut bytes, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for (own, value, timestamp) in self.iter() {
            key.clear();
            name(own, &mut key);
            write_stamped(value, timestamp, &mut bytes, &mut scratch)?;
            tell(Entry {
                key: &key,
                value: Some(&bytes),
            });
        }
        Ok(())
    }

    /// Tells what has changed, with keys as `name` makes them.
    pub(crate) fn changes(
        &mut self,
        mut name: impl FnMut(&[u8], &mut Vec<u8>),
        tell: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), DataError> {
        let (mut key, mut bytes, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        let mut failed = Ok(());
        let (mut written_bytes, mut count) = (0_usize, 0_usize);
        self.take_changed(&mut |slot| {
            key.clear();
            name(slot.key(), &mut key);
            let value = match &mut slot.value {
                Some(value) => {
                    let written = write_stamped(value, slot.timestamp, &mut bytes, &mut scratch);
                    if let Err(error) = written {
                        failed = Err(error);
                        return false;
                    }
                    value.detach();
                    written_bytes += bytes.len();
                    count += 1;
                    Some(&bytes[..])
                }
                None => None,
            };
            tell(Entry { key: &key, value })
        });
        if let (true, Some(average)) = (needs_drop::<A>(), written_bytes.checked_div(count)) {
            self.far_value = average;
        }
        failed
    }
}

/// A value with its timestamp: 8 bytes, big-endian, then a byte that tells null from what is not,
/// then the value's own bytes.
pub(crate) fn write_stamped<A: Data>(
    value: &A,
    timestamp: i64,
    bytes: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<(), DataError> {
    bytes.clear();
    scratch.clear();
    bytes.extend_from_slice(&timestamp.to_be_bytes());
    let own = value.encode(scratch)?;
    bytes.push(u8::from(own.is_some()));
    bytes.extend_from_slice(own.unwrap_or_default());
    Ok(())
}

/// What [`write_stamped`] wrote.
pub(crate) fn read_stamped<A: Data>(bytes: &[u8]) -> Result<(i64, A), DataError> {
    let (timestamp, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or_else(|| DataError::new("a stored value without its timestamp"))?;
    let (own, rest) = rest
        .split_first()
        .ok_or_else(|| DataError::new("a stored value that ends early"))?;
    let value = crate::data::decode_slice((*own != 0).then_some(rest))?;
    Ok((i64::from_be_bytes(*timestamp), value))
}

#[cfg(test)]
mod tests;
