//! The records of `__consumer_offsets`, in Kafka's own encodings.
//!
//! A key starts with a 16-bit number that says which kind of record it is (Kafka calls it the
//! record type, formerly the key's version), a value with its version. Kinds and versions that
//! are not known are passed over, as Kafka does.

pub(super) mod cursor;
mod group_metadata;
mod offset_commit;
mod writer;

use cursor::{Cursor, ReadError};
pub(super) use writer::MAX_STRING_BYTES;

use super::event::Event;
use crate::coordinator::{KeyValue, MalformedRecord};

/// The record that makes an event outlive a restart.
pub(super) fn encode(event: &Event) -> Option<KeyValue> {
    let (key, value) = match event {
        Event::GroupChanged { durable: false, .. } => return None,
        Event::GroupChanged {
            group,
            durable: true,
        } => (
            group_metadata::key(&group.group_id),
            Some(group_metadata::value(group)),
        ),
        Event::GroupRemoved { group_id } => (group_metadata::key(group_id), None),
        Event::OffsetCommitted { key, value } => {
            (offset_commit::key(key), Some(offset_commit::value(value)))
        }
        Event::OffsetRemoved { key } => (offset_commit::key(key), None),
    };
    Some(KeyValue {
        key: Some(key),
        value,
    })
}

/// The event that a record stands for; `None` for a kind or version that is not known.
pub(super) fn decode(record: &KeyValue) -> Result<Option<Event>, MalformedRecord> {
    let malformed = |what| {
        move |error: ReadError| MalformedRecord {
            what,
            why: error.to_string(),
        }
    };
    let key = record
        .key
        .as_deref()
        .ok_or(ReadError::Invalid("missing key"));
    let mut cursor = Cursor::new(key.map_err(malformed("a record's key"))?, false);
    match cursor.i16().map_err(malformed("a record's key"))? {
        offset_commit::LEGACY_KIND | offset_commit::KIND => {
            let key = offset_commit::read_key(cursor).map_err(malformed("OffsetCommitKey"))?;
            let Some(value) = record.value.as_deref() else {
                return Ok(Some(Event::OffsetRemoved { key }));
            };
            let value = offset_commit::read_value(value).map_err(malformed("OffsetCommitValue"))?;
            Ok(value.map(|value| Event::OffsetCommitted { key, value }))
        }
        group_metadata::KIND => {
            let group_id =
                group_metadata::read_key(cursor).map_err(malformed("GroupMetadataKey"))?;
            let Some(value) = record.value.as_deref() else {
                return Ok(Some(Event::GroupRemoved { group_id }));
            };
            let group = group_metadata::read_value(group_id, value)
                .map_err(malformed("GroupMetadataValue"))?;
            Ok(group.map(|group| Event::GroupChanged {
                group: group.into(),
                durable: true,
            }))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
