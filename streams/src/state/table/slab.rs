//! A vector in pieces: it grows without moving what it has.

use std::ops::{Index, IndexMut};

/// Values of a piece, as a power of two.
const BITS: usize = 10;
const PIECE: usize = 1 << BITS;

/// Values by number.
pub(super) struct Slab<T> {
    pieces: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, value: T) {
        if self.len & (PIECE - 1) == 0 {
            // The first piece grows as it is needed: most tables are small.
            let room = if self.len == 0 { 0 } else { PIECE };
            self.pieces.push(Vec::with_capacity(room));
        }
        if let Some(last) = self.pieces.last_mut() {
            last.push(value);
            self.len += 1;
        }
    }

    /// Takes a value out; the last one takes its place.
    pub(super) fn swap_remove(&mut self, at: usize) -> Option<T> {
        let last = self.pieces.last_mut()?;
        let moved = last.pop()?;
        if last.is_empty() {
            self.pieces.pop();
        }
        self.len -= 1;
        if at == self.len {
            return Some(moved);
        }
        Some(std::mem::replace(&mut self[at], moved))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    pub(super) fn bytes(&self) -> usize {
        let room: usize = self.pieces.iter().map(Vec::capacity).sum();
        room * size_of::<T>()
    }
}

impl<T> Index<usize> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.pieces[at >> BITS][at & (PIECE - 1)]
    }
}

impl<T> IndexMut<usize> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.pieces[at >> BITS][at & (PIECE - 1)]
    }
}
