//! The bytes of one file: what is durable, what is seen now, and the changes in between.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// Bytes up to the last one ever written; the rest up to `len` reads as zeros and takes no room.
#[derive(Clone, Default)]
struct Bytes {
    data: Vec<u8>,
    len: u64,
}

#[derive(Clone)]
enum Change {
    Write { position: u64, bytes: Vec<u8> },
    SetLen(u64),
}

/// One file's content.
#[derive(Clone, Default)]
pub(super) struct Content {
    durable: Bytes,
    current: Bytes,
    /// What happened since the last sync, in order.
    unsynced: Vec<Change>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.current.len
    }

    /// The bytes that take room.
    pub(super) fn stored(&self) -> u64 {
        self.current.data.len() as u64
    }

    /// How much more room a write would take.
    pub(super) fn growth(&self, count: usize, position: u64) -> u64 {
        if count == 0 {
            return 0;
        }
        position
            .saturating_add(count as u64)
            .saturating_sub(self.stored())
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> usize {
        self.current.read_at(buffer, position)
    }

    pub(super) fn write(&mut self, bytes: &[u8], position: u64) {
        self.change(Change::Write {
            position,
            bytes: bytes.to_vec(),
        });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.change(Change::SetLen(len));
    }

    /// Costs what has changed since the last one, not what the file has.
    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            self.durable.apply(&change);
        }
    }

    pub(super) fn flip_bit(&mut self, position: u64, bit: u8) {
        let flip = |bytes: &mut [u8], at: u64| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        };
        flip(&mut self.current.data, position);
        flip(&mut self.durable.data, position);
        // What is synced later must not mend it.
        for change in &mut self.unsynced {
            if let Change::Write {
                position: start,
                bytes,
            } = change
                && let Some(at) = position.checked_sub(*start)
            {
                flip(bytes, at);
            }
        }
    }

    /// Falls back to the durable bytes, with each later change kept, dropped or torn.
    pub(super) fn crash(&mut self, random: &mut StdRng) {
        let mut survived = std::mem::take(&mut self.durable);
        for change in std::mem::take(&mut self.unsynced) {
            match random.random_range(0..3u8) {
                0 => {}
                1 => survived.apply(&change),
                _ => survived.apply(&torn(change, random)),
            }
        }
        self.current = survived.clone();
        self.durable = survived;
    }

    fn change(&mut self, change: Change) {
        self.current.apply(&change);
        self.unsynced.push(change);
    }
}

/// The part of a write before a random byte.
fn torn(change: Change, random: &mut impl Rng) -> Change {
    match change {
        Change::Write {
            position,
            mut bytes,
        } => {
            bytes.truncate(random.random_range(0..=bytes.len()));
            Change::Write { position, bytes }
        }
        other => other,
    }
}

impl Bytes {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> usize {
        let left = usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let stored = self.data.get(start..).unwrap_or_default();
        let stored = stored.get(..count).unwrap_or(stored);
        let (written, zeros) = buffer
            .split_at_mut_checked(stored.len())
            .unwrap_or_default();
        written.copy_from_slice(stored);
        let zeros = zeros.get_mut(..count - stored.len()).unwrap_or_default();
        zeros.fill(0);
        count
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { position, bytes } if !bytes.is_empty() => {
                let start = usize::try_from(*position).expect("a file in memory fits in memory");
                let end = start + bytes.len();
                if self.data.len() < end {
                    self.data.resize(end, 0);
                }
                self.data[start..end].copy_from_slice(bytes);
                self.len = self.len.max(end as u64);
            }
            Change::Write { .. } => {}
            Change::SetLen(len) => {
                self.data
                    .truncate(usize::try_from(*len).unwrap_or(usize::MAX));
                self.len = *len;
            }
        }
    }
}
