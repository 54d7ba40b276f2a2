//! The keys of a chunk as bytes, before its records are looked at one by one: what lies far away in
//! memory can then be asked for together.

use crate::data::{Data, DataError};
use crate::record::Record;
use crate::state::table::{Hash, KeyHasher};

/// Keys one after the other, with their hashes.
#[derive(Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    /// Where each key ends; `None` for null.
    ends: Vec<Option<usize>>,
    hashes: Vec<Hash>,
    scratch: Vec<u8>,
}

impl Keys {
    /// The keys of these records, in place of those that were there.
    pub(crate) fn read<K: Data, V>(
        &mut self,
        rows: &[Record<K, V>],
        hasher: &KeyHasher,
    ) -> Result<(), DataError> {
        self.bytes.clear();
        self.ends.clear();
        self.hashes.clear();
        for row in rows {
            self.scratch.clear();
            match row.key.encode(&mut self.scratch)? {
                Some(key) => {
                    self.bytes.extend_from_slice(key);
                    self.ends.push(Some(self.bytes.len()));
                    self.hashes.push(hasher.hash(key));
                }
                None => {
                    self.ends.push(None);
                    self.hashes.push(Hash::NONE);
                }
            }
        }
        Ok(())
    }

    /// The hashes of some keys; those of null keys mean nothing.
    pub(crate) fn hashes(&self, from: usize, count: usize) -> &[Hash] {
        let upto = self.hashes.len().min(from + count);
        self.hashes.get(from..upto).unwrap_or_default()
    }

    /// Goes through the keys in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<(&[u8], Hash)>> {
        let mut start = 0;
        self.ends.iter().zip(&self.hashes).map(move |(end, hash)| {
            let end = (*end)?;
            let key = &self.bytes[start..end];
            start = end;
            Some((key, *hash))
        })
    }
}
