//! DescribeTopicPartitions (key 75, version 0, KIP-966): topics and partitions in pages.
//!
//! Topics come in the order of their names; a page ends after so many partitions and its cursor
//! says where the next one starts. A request whose cursor makes no sense is refused with
//! INVALID_REQUEST for each topic it names; if it names none, the error stands at the cursor's
//! topic, while Kafka has no place for it and answers with an empty page.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::metadata::TOPIC_OPERATIONS;
use super::repeated::each_once;
use super::step::Step;
use super::view::View;
use crate::catalog::image::{CatalogImage, Partition, Topic};
use crate::catalog::topic_name;
use crate::types::PartitionIndex;

/// The most partitions in one answer, whatever the client allows: Kafka's default of
/// `max.request.partition.size.limit`.
const MAX_PARTITIONS: i32 = 2000;

pub(super) fn handle(
    view: &View,
    context: &Context,
    request: DescribeTopicPartitionsRequest,
) -> Step {
    context.reply(&respond(&view.catalog, view.node.id, &request))
}

fn respond(
    catalog: &CatalogImage,
    node_id: i32,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let cursor = request.cursor.as_ref();
    let from = cursor.map_or("", |cursor| &*cursor.topic_name.0);
    let names = names(catalog, request, from);
    let all = request.topics.is_empty();
    let lost =
        cursor.is_some_and(|cursor| cursor.partition_index < 0 || (!all && !names.contains(from)));
    if lost {
        return refused(request, from);
    }
    let mut left = request.response_partition_limit.clamp(1, MAX_PARTITIONS);
    let mut topics = Vec::new();
    let mut next = None;
    for name in names {
        if left == 0 {
            next = Some((name, 0));
            break;
        }
        let Some(topic) = catalog.topic(name) else {
            topics.push(unknown(name));
            continue;
        };
        let start = cursor
            .filter(|_| name == from)
            .map_or(0, |cursor| cursor.partition_index);
        let (partitions, rest) = page(topic, node_id, start, left);
        left = left.saturating_sub(i32::try_from(partitions.len()).unwrap_or(i32::MAX));
        topics.push(known(topic, partitions));
        if let Some(index) = rest {
            next = Some((name, index));
            break;
        }
    }
    let next = next.map(|(name, index)| {
        Cursor::default()
            .with_topic_name(topic_name_of(name))
            .with_partition_index(index)
    });
    DescribeTopicPartitionsResponse::default()
        .with_topics(topics)
        .with_next_cursor(next)
}

/// The topics from the cursor on, each once: those of the request, or all there are.
fn names<'a>(
    catalog: &'a CatalogImage,
    request: &'a DescribeTopicPartitionsRequest,
    from: &str,
) -> BTreeSet<&'a str> {
    let asked = request.topics.iter().map(|topic| &*topic.name.0);
    let present = catalog.topics().map(|topic: &'a Arc<Topic>| &*topic.name);
    let present = present.filter(|_| request.topics.is_empty());
    asked.chain(present).filter(|name| *name >= from).collect()
}

/// At most `limit` partitions from `start` on, and the next one's number if there are more.
fn page(
    topic: &Topic,
    node_id: i32,
    start: i32,
    limit: i32,
) -> (Vec<DescribeTopicPartitionsResponsePartition>, Option<i32>) {
    let mut rest = topic.partitions.range(PartitionIndex(start)..);
    let count = usize::try_from(limit).unwrap_or(0);
    let describe =
        |(index, partition): (&PartitionIndex, &Partition)| describe(node_id, index.0, partition);
    let partitions = rest.by_ref().take(count).map(describe).collect();
    (partitions, rest.next().map(|(index, _)| index.0))
}

fn describe(
    node_id: i32,
    index: i32,
    partition: &Partition,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    // A log that was written by a cluster may place replicas on nodes that are not here.
    let is_here = |id: &i32| *id == node_id;
    let leader = Some(partition.leader).filter(is_here).unwrap_or(-1);
    let offline = partition
        .replicas
        .iter()
        .copied()
        .filter(|id| !is_here(id))
        .map(BrokerId);
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(leader))
        .with_leader_epoch(partition.leader_epoch.0)
        .with_replica_nodes(ids(&partition.replicas))
        .with_isr_nodes(ids(&partition.isr))
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
        .with_offline_replicas(offline.collect())
}

fn known(
    topic: &Topic,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    named(&topic.name, ErrorCode::None)
        .with_topic_id(topic.id)
        .with_is_internal(topic.internal)
        .with_partitions(partitions)
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match topic_name::is_valid(name) {
        true => ErrorCode::UnknownTopicOrPartition,
        false => ErrorCode::InvalidTopicException,
    };
    named(name, error)
        .with_is_internal(topic_name::is_internal(name))
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn refused(
    request: &DescribeTopicPartitionsRequest,
    cursor_topic: &str,
) -> DescribeTopicPartitionsResponse {
    let asked = request.topics.iter().map(|topic| &*topic.name.0);
    let names = asked.chain(request.topics.is_empty().then_some(cursor_topic));
    let topics = each_once(names)
        .into_iter()
        .map(|name| named(name, ErrorCode::InvalidRequest));
    DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
}

fn named(name: &str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(topic_name_of(name)))
        .with_error_code(code(error))
}

fn topic_name_of(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

impl ErrorCodes for DescribeTopicPartitionsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        for topic in &self.topics {
            visit(topic.error_code);
            topic
                .partitions
                .iter()
                .for_each(|partition| visit(partition.error_code));
        }
    }
}

#[cfg(test)]
mod tests;
