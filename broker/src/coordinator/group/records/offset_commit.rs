//! OffsetCommitKey and OffsetCommitValue: one committed offset.
//!
//! Written as Apache Kafka 4.2 writes it: version 4, which holds the topic id as a tagged field;
//! version 1 for an offset that has an expiry time of its own. Versions 0 to 4 are read, under
//! both kinds of key.

use bytes::Bytes;
use uuid::Uuid;

use super::super::event::OffsetKey;
use super::super::offsets::CommittedOffset;
use super::cursor::{Cursor, ReadError};
use super::writer::Writer;
use crate::types::Timestamp;

/// The kind of key that brokers before 0.9 wrote.
pub(super) const LEGACY_KIND: i16 = 0;
/// The kind of key that is written.
pub(super) const KIND: i16 = 1;
/// The version of values that is written.
const VERSION: i16 = 4;
/// The last version with an expiry time.
const EXPIRING_VERSION: i16 = 1;
/// The highest version that can be read.
const MAX_VERSION: i16 = 4;
/// The first version in the flexible form.
const FLEXIBLE_VERSION: i16 = 4;
/// The tagged field with the topic id.
const TOPIC_ID_TAG: u32 = 0;

pub(super) fn key(key: &OffsetKey) -> Bytes {
    let mut writer = Writer::new(KIND);
    writer.string(&key.group_id);
    writer.string(&key.topic);
    writer.i32(key.partition);
    writer.finish()
}

pub(super) fn read_key(mut cursor: Cursor<'_>) -> Result<OffsetKey, ReadError> {
    let group_id = cursor.string()?.into();
    let topic = cursor.string()?.into();
    let partition = cursor.i32()?;
    cursor.end()?;
    Ok(OffsetKey {
        group_id,
        topic,
        partition,
    })
}

pub(super) fn value(value: &CommittedOffset) -> Bytes {
    if let Some(expire_timestamp) = value.expire_timestamp {
        let mut writer = Writer::new(EXPIRING_VERSION);
        writer.i64(value.offset);
        writer.string(&value.metadata);
        writer.i64(value.commit_timestamp.0);
        writer.i64(expire_timestamp.0);
        return writer.finish();
    }
    let mut writer = Writer::new(VERSION);
    writer.i64(value.offset);
    writer.i32(value.leader_epoch);
    writer.compact_string(&value.metadata);
    writer.i64(value.commit_timestamp.0);
    if value.topic_id.is_nil() {
        writer.raw(&[0]);
    } else {
        // One tagged field: tag 0, 16 bytes.
        writer.raw(&[1, TOPIC_ID_TAG as u8, 16]);
        writer.raw(value.topic_id.as_bytes());
    }
    writer.finish()
}

pub(super) fn read_value(bytes: &[u8]) -> Result<Option<CommittedOffset>, ReadError> {
    let mut cursor = Cursor::new(bytes, false);
    let version = cursor.i16()?;
    if !(0..=MAX_VERSION).contains(&version) {
        return Ok(None);
    }
    cursor.set_flexible(version >= FLEXIBLE_VERSION);
    let offset = cursor.i64()?;
    let leader_epoch = if version >= 3 { cursor.i32()? } else { -1 };
    let metadata = cursor.string()?.into();
    let commit_timestamp = Timestamp(cursor.i64()?);
    let expires = if version == EXPIRING_VERSION {
        cursor.i64()?
    } else {
        -1
    };
    let mut topic_id = Uuid::nil();
    cursor.tagged_fields(|tag, mut field| {
        if tag == TOPIC_ID_TAG {
            topic_id = field.uuid()?;
            field.end()?;
        }
        Ok(())
    })?;
    cursor.end()?;
    let expire_timestamp = (expires != -1).then_some(Timestamp(expires));
    Ok(Some(CommittedOffset {
        offset,
        leader_epoch,
        metadata,
        commit_timestamp,
        expire_timestamp,
        topic_id,
    }))
}
