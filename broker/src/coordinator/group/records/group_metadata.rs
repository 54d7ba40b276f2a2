//! GroupMetadataKey and GroupMetadataValue: a group that is stable or empty.
//!
//! Written in version 3, as Apache Kafka 4.2 does; versions 0 to 4 are read. Of each member's
//! protocols only the chosen one is kept.

use std::sync::Arc;

use bytes::Bytes;

use super::super::classic::{Group, GroupState, Member};
use super::super::command::GroupId;
use super::cursor::{Cursor, ReadError};
use super::writer::Writer;
use crate::types::Timestamp;

/// The kind of key.
pub(super) const KIND: i16 = 2;
/// The version of values that is written.
const VERSION: i16 = 3;
/// The highest version that can be read.
const MAX_VERSION: i16 = 4;
/// The first version in the flexible form.
const FLEXIBLE_VERSION: i16 = 4;

pub(super) fn key(group_id: &str) -> Bytes {
    let mut writer = Writer::new(KIND);
    writer.string(group_id);
    writer.finish()
}

pub(super) fn read_key(mut cursor: Cursor<'_>) -> Result<GroupId, ReadError> {
    let group_id = cursor.string()?.into();
    cursor.end()?;
    Ok(group_id)
}

pub(super) fn value(group: &Group) -> Bytes {
    let protocol = group.protocol_name.as_deref();
    let mut writer = Writer::new(VERSION);
    writer.string(group.protocol_type.as_deref().unwrap_or_default());
    writer.i32(group.generation);
    writer.nullable_string(protocol);
    writer.nullable_string(group.leader.as_deref());
    writer.i64(group.state_since.map_or(-1, |since| since.0));
    writer.length(group.members.len());
    for member in group.members() {
        writer.string(&member.member_id);
        writer.nullable_string(member.group_instance_id.as_deref());
        writer.string(&member.client_id);
        writer.string(&member.client_host);
        writer.i32(member.rebalance_timeout_ms);
        writer.i32(member.session_timeout_ms);
        writer.bytes(&member.metadata(protocol));
        writer.bytes(&member.assignment);
    }
    writer.finish()
}

pub(super) fn read_value(group_id: GroupId, bytes: &[u8]) -> Result<Option<Group>, ReadError> {
    let mut cursor = Cursor::new(bytes, false);
    let version = cursor.i16()?;
    if !(0..=MAX_VERSION).contains(&version) {
        return Ok(None);
    }
    cursor.set_flexible(version >= FLEXIBLE_VERSION);
    let protocol_type = cursor.string()?;
    let mut group = Group::new(group_id);
    group.protocol_type = (!protocol_type.is_empty()).then(|| protocol_type.into());
    group.generation = cursor.i32()?;
    group.protocol_name = cursor.nullable_string()?.map(Into::into);
    group.leader = cursor.nullable_string()?.map(Into::into);
    let since = if version >= 2 { cursor.i64()? } else { -1 };
    group.state_since = (since != -1).then_some(Timestamp(since));
    let protocol = group.protocol_name.clone();
    for member in cursor.array(|cursor| read_member(cursor, version, protocol.as_ref()))? {
        add_member(&mut group, member)?;
    }
    cursor.tagged_fields(|_, _| Ok(()))?;
    cursor.end()?;
    if !group.members.is_empty() {
        group.state = GroupState::Stable;
        let known = group
            .leader
            .as_ref()
            .is_some_and(|id| group.members.contains_key(id));
        if !known {
            return Err(ReadError::Invalid("leader"));
        }
    }
    group.refresh_subscribed_topics();
    Ok(Some(group))
}

fn read_member(
    cursor: &mut Cursor<'_>,
    version: i16,
    protocol: Option<&Arc<str>>,
) -> Result<Member, ReadError> {
    let member_id = cursor.string()?.into();
    let instance_id = if version >= 3 {
        cursor.nullable_string()?
    } else {
        None
    };
    let client_id = cursor.string()?.into();
    let client_host = cursor.string()?.into();
    let rebalance_timeout_ms = if version >= 1 { cursor.i32()? } else { -1 };
    let session_timeout_ms = cursor.i32()?;
    let subscription = cursor.bytes()?;
    let assignment = cursor.bytes()?;
    cursor.tagged_fields(|_, _| Ok(()))?;
    let protocol = protocol.ok_or(ReadError::Invalid("null protocol"))?.clone();
    Ok(Member {
        member_id,
        group_instance_id: instance_id.map(Into::into),
        client_id,
        client_host,
        rebalance_timeout_ms: match rebalance_timeout_ms {
            -1 => session_timeout_ms,
            timeout_ms => timeout_ms,
        },
        session_timeout_ms,
        protocols: vec![(protocol, subscription)],
        assignment,
        join: None,
        sync: None,
        is_new: false,
    })
}

fn add_member(group: &mut Group, member: Member) -> Result<(), ReadError> {
    if let Some(instance_id) = &member.group_instance_id {
        let holder = group
            .static_members
            .insert(instance_id.clone(), member.member_id.clone());
        if holder.is_some() {
            return Err(ReadError::Invalid("repeated group instance id"));
        }
    }
    match group.insert_member(member) {
        None => Ok(()),
        Some(_) => Err(ReadError::Invalid("repeated member id")),
    }
}
