//! Where each key's slot is: open addressing, linear probing, eight bytes an entry.

use super::Hash;

/// Numbers of slots by hash. An entry is the upper half of the hash and the slot's number plus one;
/// 0 is an empty one. An entry's home follows from itself, so the table grows without a look at the
/// slots.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// As many as a power of two, or none.
    entries: Vec<u64>,
    used: usize,
}

const SMALLEST: usize = 16;

#[inline]
fn entry(hash: Hash, slot: u32) -> u64 {
    (hash.number() & !u64::from(u32::MAX)) | (u64::from(slot) + 1)
}

#[inline]
fn slot(entry: u64) -> u32 {
    (entry as u32).wrapping_sub(1)
}

impl Index {
    #[inline]
    fn home(&self, entry: u64) -> usize {
        (entry >> 32) as usize & (self.entries.len() - 1)
    }

    /// The slot with that hash for which `is` says yes.
    #[inline]
    pub(super) fn find(&self, hash: Hash, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.entries.is_empty() {
            return None;
        }
        let tag = hash.number() >> 32;
        let mut at = self.home(hash.number());
        loop {
            let found = self.entries[at];
            if found == 0 {
                return None;
            }
            if found >> 32 == tag && is(slot(found)) {
                return Some(slot(found));
            }
            at = (at + 1) & (self.entries.len() - 1);
        }
    }

    /// What lies where a hash is at home: reading it brings it near.
    #[inline]
    pub(super) fn peek(&self, hash: Hash) -> Option<u32> {
        let found = *self.entries.get(self.home(hash.number()))?;
        (found != 0).then(|| slot(found))
    }

    /// An empty one with room for so many slots.
    pub(super) fn with_room(slots: usize) -> Self {
        let entries = match slots {
            0 => 0,
            _ => (slots * 8 / 5 + 1).next_power_of_two().max(SMALLEST),
        };
        Self {
            entries: vec![0; entries],
            used: 0,
        }
    }

    /// Adds a slot that is not there yet. There are less than 2^32 - 1 of them.
    pub(super) fn insert(&mut self, hash: Hash, slot: u32) {
        // Five eighths full: probes stay short.
        if (self.used + 1) * 8 > self.entries.len() * 5 {
            self.grow();
        }
        self.used += 1;
        self.place(entry(hash, slot));
    }

    fn place(&mut self, entry: u64) {
        let mut at = self.home(entry);
        while self.entries[at] != 0 {
            at = (at + 1) & (self.entries.len() - 1);
        }
        self.entries[at] = entry;
    }

    fn grow(&mut self) {
        let larger = (self.entries.len() * 2).max(SMALLEST);
        let old = std::mem::replace(&mut self.entries, vec![0; larger]);
        for entry in old.into_iter().filter(|entry| *entry != 0) {
            self.place(entry);
        }
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, hash: Hash, slot: u32) {
        let Some(mut hole) = self.place_of(hash, slot) else {
            return;
        };
        // What comes behind moves up, as far as its home lets it.
        let mask = self.entries.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let found = self.entries[at];
            if found == 0 {
                break;
            }
            let home = self.home(found);
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.entries[hole] = found;
                hole = at;
            }
        }
        self.entries[hole] = 0;
        self.used -= 1;
    }

    /// Gives a slot another number.
    pub(super) fn renumber(&mut self, hash: Hash, from: u32, to: u32) {
        if let Some(at) = self.place_of(hash, from) {
            self.entries[at] = entry(hash, to);
        }
    }

    fn place_of(&self, hash: Hash, slot: u32) -> Option<usize> {
        let wanted = entry(hash, slot);
        if self.entries.is_empty() {
            return None;
        }
        let mut at = self.home(wanted);
        while self.entries[at] != wanted {
            if self.entries[at] == 0 {
                return None;
            }
            at = (at + 1) & (self.entries.len() - 1);
        }
        Some(at)
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<u64>()
    }
}
