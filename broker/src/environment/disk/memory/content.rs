//! The bytes of one file: what is durable, what is seen now, and the changes in between.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// The unit in which changes made through a mapping reach the disk.
const PAGE: usize = 4096;

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

    pub(super) fn sync(&mut self) {
        self.durable = self.current.clone();
        self.unsynced.clear();
    }

    /// Writes the pages of `mapped` that differ from the file.
    pub(super) fn write_changes(&mut self, mapped: &[u8]) {
        for (index, page) in mapped.chunks(PAGE).enumerate() {
            let position = index * PAGE;
            let old = self.current.data.get(position..).unwrap_or_default();
            let same = match old.get(..page.len()) {
                Some(old) => old == page,
                None => page.starts_with(old) && page.iter().skip(old.len()).all(|byte| *byte == 0),
            };
            if !same {
                self.write(page, position as u64);
            }
        }
    }

    pub(super) fn flip_bit(&mut self, position: u64, bit: u8) {
        for bytes in [&mut self.current, &mut self.durable] {
            let at = usize::try_from(position).unwrap_or(usize::MAX);
            if let Some(byte) = bytes.data.get_mut(at) {
                *byte ^= 1 << (bit % 8);
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
        for (index, slot) in buffer.iter_mut().take(count).enumerate() {
            *slot = stored.get(index).copied().unwrap_or(0);
        }
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
