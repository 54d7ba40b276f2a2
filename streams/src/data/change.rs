//! Changes of tables, in this library's own form.

use super::{Data, DataError, Payload, decode_slice};
use crate::record::Change;

/// What a change holds, as its first byte says.
const NEW: u8 = 1;
const OLD: u8 = 2;

/// A byte that says which values there are, then these: the new one before the old one, and in front
/// of the new one its length in 4 bytes if both are there. (Kafka's `ChangedSerializer` has such a
/// byte at the end.) It is never null, so compaction does not take it for a tombstone.
impl<V: Data> Data for Change<V> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        let new = self.new.as_ref().filter(|value| !value.is_null());
        let old = self.old.as_ref().filter(|value| !value.is_null());
        let kind = if new.is_some() { NEW } else { 0 } | if old.is_some() { OLD } else { 0 };
        scratch.push(kind);
        let mut inner = Vec::new();
        if let Some(new) = new {
            let bytes = new.encode(&mut inner)?.unwrap_or_default();
            if old.is_some() {
                let len = u32::try_from(bytes.len())
                    .map_err(|_| DataError::new("a value of more than 4 GiB"))?;
                scratch.extend_from_slice(&len.to_be_bytes());
            }
            scratch.extend_from_slice(bytes);
        }
        if let Some(old) = old {
            inner.clear();
            scratch.extend_from_slice(old.encode(&mut inner)?.unwrap_or_default());
        }
        Ok(Some(scratch))
    }

    fn detach(&mut self) {
        self.new.detach();
        self.old.detach();
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let bytes = payload.require("a change of a table")?;
        let short = || DataError::new("a change of a table that ends early");
        let (kind, rest) = bytes.split_first().ok_or_else(short)?;
        let (new, old) = match *kind {
            0 => (None, None),
            NEW => (Some(rest), None),
            OLD => (None, Some(rest)),
            kind if kind == NEW | OLD => {
                let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
                let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| short())?;
                let (new, old) = rest.split_at_checked(len).ok_or_else(short)?;
                (Some(new), Some(old))
            }
            _ => return Err(DataError::new("a change of a table of an unknown kind")),
        };
        let value = |bytes: Option<&[u8]>| bytes.map(|b| decode_slice(Some(b))).transpose();
        Ok(Self {
            new: value(new)?,
            old: value(old)?,
        })
    }
}
