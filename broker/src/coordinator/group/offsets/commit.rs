//! OffsetCommit (Kafka's `OffsetMetadataManager.commitOffset`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use super::super::classic::{GroupState, renewed_session};
use super::super::command::{CommitOffsets, CommitPartition, CommitTopic};
use super::super::event::{Event, OffsetKey, Timer};
use super::super::records::MAX_STRING_BYTES;
use super::super::reply::{CommittedTopic, Reply};
use super::super::{GroupDecision, GroupMachine};
use super::CommittedOffset;
use crate::coordinator::{Answer, Decision, ReplyToken, TimerChange, When};
use crate::types::{Now, Timestamp};
use tidemark_protocol::ErrorCode;

/// Decides an OffsetCommit call.
pub(in super::super) fn commit(
    machine: &GroupMachine,
    now: Now,
    request: &CommitOffsets,
    token: ReplyToken,
) -> GroupDecision {
    let session = match validate(machine, now, request) {
        Ok(session) => session,
        Err(error) => return Decision::reply_now(token, refused(request, error)),
    };
    let mut decision = Decision::default();
    decision.timers.extend(session);
    // A partition that is named again is answered again and written once: the last offset counts.
    let mut places: HashMap<(&str, i32), usize> = HashMap::new();
    let mut reply = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let error = match refusal(machine, topic, partition) {
                Some(error) => error,
                None => {
                    let event = event(now, request, topic, partition);
                    match places.entry((&topic.topic, partition.partition)) {
                        Entry::Vacant(new) => {
                            new.insert(decision.events.len());
                            decision.events.push(event);
                        }
                        Entry::Occupied(known) => {
                            if let Some(earlier) = decision.events.get_mut(*known.get()) {
                                *earlier = event;
                            }
                        }
                    }
                    ErrorCode::None
                }
            };
            partitions.push((partition.partition, error));
        }
        reply.push(committed_topic(topic, partitions));
    }
    let reply = Reply::CommitOffsets(reply);
    decision.answers.push(Answer {
        token,
        when: When::AfterDurable,
        reply,
    });
    decision
}

/// Whether the caller may commit now (Kafka's `ClassicGroup.validateOffsetCommit`). A commit is a
/// sign of life: it renews the member's session.
fn validate(
    machine: &GroupMachine,
    now: Now,
    request: &CommitOffsets,
) -> Result<Option<TimerChange<Timer>>, ErrorCode> {
    if request.group_id.len() > MAX_STRING_BYTES {
        return Err(ErrorCode::InvalidGroupId);
    }
    let unmanaged = request.generation_id < 0;
    let Some(group) = machine.group(&request.group_id) else {
        return match (unmanaged, request.expects_group_id_not_found) {
            (true, _) => Ok(None),
            (false, true) => Err(ErrorCode::GroupIdNotFound),
            (false, false) => Err(ErrorCode::IllegalGeneration),
        };
    };
    if unmanaged && group.state() == GroupState::Empty {
        return Ok(None);
    }
    let anonymous =
        unmanaged && request.member_id.is_empty() && request.group_instance_id.is_none();
    if anonymous {
        // Somebody outside of the group must not move the offsets of those who work.
        return Err(ErrorCode::UnknownMemberId);
    }
    let instance_id = request.group_instance_id.as_deref();
    let member = group.validate_member(&request.member_id, instance_id)?;
    if request.generation_id != group.generation() {
        return Err(ErrorCode::IllegalGeneration);
    }
    if group.state() == GroupState::CompletingRebalance {
        // The member knows the new generation, but not yet what it may consume.
        return Err(ErrorCode::RebalanceInProgress);
    }
    Ok(Some(renewed_session(now, group, member)))
}

/// Why one offset is not stored.
fn refusal(
    machine: &GroupMachine,
    topic: &CommitTopic,
    partition: &CommitPartition,
) -> Option<ErrorCode> {
    if topic.topic.len() > MAX_STRING_BYTES {
        return Some(ErrorCode::InvalidRequest);
    }
    let metadata = partition.metadata.as_deref().unwrap_or_default();
    let too_long = metadata.len() > MAX_STRING_BYTES
        || metadata.encode_utf16().count() > machine.config().offset_metadata_max_bytes;
    too_long.then_some(ErrorCode::OffsetMetadataTooLarge)
}

fn event(
    now: Now,
    request: &CommitOffsets,
    topic: &CommitTopic,
    partition: &CommitPartition,
) -> Event {
    let expire_timestamp = (request.retention_time_ms != -1)
        .then(|| Timestamp(now.wall.0.saturating_add(request.retention_time_ms)));
    // The record with an expiry time is an old one that has no room for epoch and topic id.
    let (leader_epoch, topic_id) = match expire_timestamp {
        Some(_) => (-1, Uuid::nil()),
        None => (partition.leader_epoch.max(-1), topic.topic_id),
    };
    Event::OffsetCommitted {
        key: OffsetKey {
            group_id: request.group_id.clone(),
            topic: topic.topic.clone(),
            partition: partition.partition,
        },
        value: CommittedOffset {
            offset: partition.offset,
            leader_epoch,
            metadata: partition.metadata.clone().unwrap_or_default(),
            commit_timestamp: now.wall,
            expire_timestamp,
            topic_id,
        },
    }
}

/// The same error for every partition.
fn refused(request: &CommitOffsets, error: ErrorCode) -> Reply {
    let topic = |topic: &CommitTopic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| (partition.partition, error));
        committed_topic(topic, partitions.collect())
    };
    Reply::CommitOffsets(request.topics.iter().map(topic).collect())
}

fn committed_topic(topic: &CommitTopic, partitions: Vec<(i32, ErrorCode)>) -> CommittedTopic {
    CommittedTopic {
        topic: topic.topic.clone(),
        topic_id: topic.topic_id,
        partitions,
    }
}
