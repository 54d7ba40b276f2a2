//! About how many bytes lie outside of a store's own tables.

use std::mem::needs_drop;

use smallvec::{Array, SmallVec};

use super::table::INLINE_KEY;

/// What values have elsewhere: as many bytes each as they have when they are written, on average of
/// those that were written last. The values themselves do not say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FarValues {
    average: usize,
}

impl FarValues {
    /// Values have been written, and had so many bytes.
    pub(super) fn note<V>(&mut self, bytes: usize, count: usize) {
        if let (true, Some(average)) = (needs_drop::<V>(), bytes.checked_div(count)) {
            self.average = average;
        }
    }

    /// A value has been read that had so many bytes: each one counts a little.
    pub(super) fn note_one<V>(&mut self, bytes: usize) {
        if needs_drop::<V>() {
            self.average = (self.average * 7 + bytes).div_ceil(8);
        }
    }

    /// What so many values have.
    pub(super) fn of(self, count: usize) -> usize {
        count.saturating_mul(self.average)
    }
}

/// What a key has elsewhere.
#[inline]
pub(super) fn key(bytes: &[u8]) -> usize {
    if bytes.len() > INLINE_KEY {
        bytes.len()
    } else {
        0
    }
}

/// What a list has elsewhere.
#[inline]
pub(super) fn list<A: Array>(list: &SmallVec<A>) -> usize {
    if list.spilled() {
        list.capacity() * size_of::<A::Item>()
    } else {
        0
    }
}

/// What the nodes of a tree have: they are between half full, where it grew in order, and full.
pub(super) fn tree<T>(len: usize) -> usize {
    len * size_of::<T>() * 7 / 4
}

/// What a hash table of slots' numbers has, by how many would fit into it: seven eighths are filled at
/// most, and each has a byte of its own.
pub(super) fn index(capacity: usize) -> usize {
    capacity * 8 / 7 * (size_of::<u32>() + 1)
}
