//! OffsetFetch (Kafka's `OffsetMetadataManager.fetchOffsets` and `fetchAllOffsets`).

use std::sync::Arc;

use uuid::Uuid;

use super::super::command::{FetchOffsets, FetchTopic};
use super::super::reply::{FetchedPartition, FetchedTopic, Reply};
use super::super::{GroupDecision, GroupMachine};
use super::{CommittedOffset, PartitionOffsets};
use crate::coordinator::{Decision, ReplyToken};
use tidemark_protocol::ErrorCode;

/// Decides an OffsetFetch call for one group. A group that does not exist has no offsets; that is
/// no error.
pub(in super::super) fn fetch(
    machine: &GroupMachine,
    request: &FetchOffsets,
    token: ReplyToken,
) -> GroupDecision {
    let stored = machine.offsets.of_group(&request.group_id);
    let topics = match &request.topics {
        Some(asked) => {
            let of = |topic: &FetchTopic| stored.and_then(|topics| topics.get(&topic.topic));
            asked.iter().map(|topic| listed(topic, of(topic))).collect()
        }
        None => stored
            .into_iter()
            .flatten()
            .map(|(topic, offsets)| all(topic, offsets))
            .collect(),
    };
    Decision::reply_durable(token, Reply::FetchOffsets(topics))
}

/// The partitions that were asked for. An offset that belongs to an earlier incarnation of the
/// topic says nothing about this one.
fn listed(asked: &FetchTopic, stored: Option<&PartitionOffsets>) -> FetchedTopic {
    let fits = |offset: &&CommittedOffset| {
        offset.topic_id.is_nil() || asked.topic_id.is_nil() || offset.topic_id == asked.topic_id
    };
    let fetched = |&partition: &i32| {
        let offset = stored
            .and_then(|offsets| offsets.get(&partition))
            .filter(fits);
        fetched(partition, offset)
    };
    FetchedTopic {
        topic: asked.topic.clone(),
        topic_id: asked.topic_id,
        partitions: asked.partitions.iter().map(fetched).collect(),
    }
}

fn all(topic: &Arc<str>, stored: &PartitionOffsets) -> FetchedTopic {
    let partitions = stored
        .iter()
        .map(|(partition, offset)| fetched(*partition, Some(offset)));
    FetchedTopic {
        topic: topic.clone(),
        topic_id: Uuid::nil(),
        partitions: partitions.collect(),
    }
}

fn fetched(partition: i32, offset: Option<&CommittedOffset>) -> FetchedPartition {
    FetchedPartition {
        partition,
        offset: offset.map_or(-1, |offset| offset.offset),
        leader_epoch: offset.map_or(-1, |offset| offset.leader_epoch),
        metadata: offset
            .map(|offset| offset.metadata.clone())
            .unwrap_or_default(),
        error: ErrorCode::None,
    }
}
