//! OffsetDelete, and the offsets of deleted groups and topics.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::classic::GroupState;
use super::super::command::{DeleteOffsets, GroupId};
use super::super::event::{Event, OffsetKey};
use super::super::reply::{DeletedOffsets, Reply};
use super::super::{GroupDecision, GroupMachine};
use super::PartitionOffsets;
use crate::coordinator::{Answer, Decision, ReplyToken, When};
use tidemark_protocol::ErrorCode;

/// Decides an OffsetDelete call. Offsets of topics that the group consumes stay.
pub(in super::super) fn delete(
    machine: &GroupMachine,
    request: &DeleteOffsets,
    token: ReplyToken,
) -> GroupDecision {
    let refuse = |error| {
        let reply = DeletedOffsets {
            error,
            topics: Vec::new(),
        };
        Decision::reply_now(token, Reply::DeleteOffsets(reply))
    };
    if request.group_id.is_empty() {
        return refuse(ErrorCode::InvalidGroupId);
    }
    let Some(group) = machine.group(&request.group_id) else {
        return refuse(ErrorCode::GroupIdNotFound);
    };
    if group.state() != GroupState::Empty && !group.is_consumer_group() {
        return refuse(ErrorCode::NonEmptyGroup);
    }
    let mut decision = Decision::default();
    // A partition that is named again is answered again and has one tombstone.
    let mut seen: HashSet<(&str, i32)> = HashSet::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for (topic, partitions) in &request.topics {
        let error = if group.is_subscribed_to(topic) {
            ErrorCode::GroupSubscribedToTopic
        } else {
            let stored = |partition| {
                machine
                    .offsets
                    .get(&request.group_id, topic, partition)
                    .is_some()
            };
            let gone = partitions
                .iter()
                .copied()
                .filter(|partition| seen.insert((topic, *partition)) && stored(*partition));
            decision
                .events
                .extend(gone.map(|partition| removal(&request.group_id, topic, partition)));
            ErrorCode::None
        };
        let partitions = partitions
            .iter()
            .map(|partition| (*partition, error))
            .collect();
        topics.push((topic.clone(), partitions));
    }
    let reply = Reply::DeleteOffsets(DeletedOffsets {
        error: ErrorCode::None,
        topics,
    });
    decision.answers.push(Answer {
        token,
        when: When::AfterDurable,
        reply,
    });
    decision
}

/// Decides what follows from the deletion of topics: no group keeps offsets for them, or a new
/// topic of the same name would be read from the old one's offsets. There may be any number of
/// them.
pub(in super::super) fn forget_topics(
    machine: &GroupMachine,
    topics: &[Arc<str>],
    token: ReplyToken,
) -> GroupDecision {
    let mut decision = Decision {
        in_parts: true,
        ..Decision::default()
    };
    let gone: HashSet<&str> = topics.iter().map(AsRef::as_ref).collect();
    for (group_id, stored) in machine.offsets.groups() {
        let forgotten = stored
            .iter()
            .filter(|(topic, _)| gone.contains(topic.as_ref()));
        decision
            .events
            .extend(forgotten.flat_map(|(topic, offsets)| removals(group_id, topic, offsets)));
    }
    let reply = Reply::ForgetTopics {
        offsets: decision.events.len(),
    };
    decision.answers.push(Answer {
        token,
        when: When::AfterDurable,
        reply,
    });
    decision
}

/// The events that remove all offsets of a group.
pub(in super::super) fn removals_of_group(
    machine: &GroupMachine,
    group_id: &GroupId,
) -> Vec<Event> {
    let topics = machine.offsets.of_group(group_id).into_iter().flatten();
    topics
        .flat_map(|(topic, offsets)| removals(group_id, topic, offsets))
        .collect()
}

/// The event that removes one offset.
pub(super) fn removal(group_id: &GroupId, topic: &Arc<str>, partition: i32) -> Event {
    let key = OffsetKey {
        group_id: group_id.clone(),
        topic: topic.clone(),
        partition,
    };
    Event::OffsetRemoved { key }
}

fn removals(
    group_id: &GroupId,
    topic: &Arc<str>,
    offsets: &PartitionOffsets,
) -> impl Iterator<Item = Event> {
    offsets
        .keys()
        .map(move |partition| removal(group_id, topic, *partition))
}
