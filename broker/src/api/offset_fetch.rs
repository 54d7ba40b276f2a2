//! OffsetFetch (key 9, versions 1 to 9): how far groups have come.
//!
//! Version 8 and later ask for several groups, before it was one. A null list of topics (version 2
//! and later) asks for everything a group has. Partitions are not held against the topics that
//! exist: where nothing is committed, the offset is -1 and that is no error. Offsets are told when
//! they are on disk, and there are no transactions, so `require_stable` holds without being looked
//! at. Version 10, which names topics by id, is prepared here and gets into the registry when the
//! codec crate can read its requests.
//!
//! A group, topic or partition that is named again is answered once, with all that is asked of it:
//! the metadata of an offset is a thousand times as long as a partition's number.

mod distinct;

use std::sync::Arc;

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use super::context::{Context, ErrorCodes, code};
use super::group_call::{Outcome, ask_each, failure, text, wire};
use super::step::{GroupCall, Step};
use super::view::View;
use crate::coordinator::group::command::{FetchOffsets, FetchTopic};
use crate::coordinator::group::{Command, FetchedPartition, FetchedTopic, Reply};

/// One group of the request, in a form that all versions share.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    group: GroupId,
    /// `None` for all.
    topics: Option<Vec<FetchTopic>>,
    /// Topics whose ids nobody knows.
    unknown: Vec<(Uuid, Vec<i32>)>,
}

pub(super) fn handle(view: &View, context: &Context, request: OffsetFetchRequest) -> Step {
    let name_of = |id| view.topic_by_id(id).map(|topic| Arc::from(&*topic.name));
    let asked = asked_groups(context.version, request, name_of);
    let calls = asked.iter().map(|asked| GroupCall {
        group: asked.group.to_string(),
        command: command(asked),
    });
    let calls = calls.collect();
    ask_each(view, context, calls, |view, version, outcomes| {
        let id_of = |topic: &str| view.catalog.topic(topic).map(|topic| topic.id);
        respond(version, asked, outcomes, id_of)
    })
}

fn asked_groups(
    version: i16,
    request: OffsetFetchRequest,
    name_of: impl Fn(Uuid) -> Option<Arc<str>>,
) -> Vec<Asked> {
    let groups = distinct::groups(version, request).into_iter();
    let asked = groups.map(|(group, topics)| {
        let mut unknown = Vec::new();
        let topics = topics.map(|topics| {
            let known = topics.into_iter().filter_map(|topic| {
                let distinct::Topic {
                    name,
                    id,
                    partitions,
                } = topic;
                let topic = match version {
                    ..10 => text(&name),
                    _ => match name_of(id) {
                        Some(name) => name,
                        None => {
                            unknown.push((id, partitions));
                            return None;
                        }
                    },
                };
                Some(FetchTopic {
                    topic,
                    topic_id: id,
                    partitions,
                })
            });
            known.collect()
        });
        Asked {
            group,
            topics,
            unknown,
        }
    });
    asked.collect()
}

fn command(asked: &Asked) -> Command {
    let (group_id, topics) = (text(&asked.group), asked.topics.clone());
    Command::FetchOffsets(FetchOffsets { group_id, topics })
}

/// `id_of` finds the ids of topics that the client did not name.
fn respond(
    version: i16,
    asked: Vec<Asked>,
    outcomes: Vec<Outcome>,
    id_of: impl Fn(&str) -> Option<Uuid>,
) -> OffsetFetchResponse {
    let groups = asked
        .into_iter()
        .zip(outcomes)
        .map(|(asked, outcome)| match outcome {
            Ok(Reply::FetchOffsets(fetched)) => fetched_group(version, asked, fetched, &id_of),
            other => failed_group(version, asked, group_failure(&other)),
        });
    let mut groups: Vec<_> = groups.collect();
    if version >= 8 {
        return OffsetFetchResponse::default().with_groups(groups);
    }
    single_group(groups.pop().unwrap_or_default())
}

/// Consumers before Kafka 3.9 give up on COORDINATOR_NOT_AVAILABLE here, but look the coordinator
/// up again on NOT_COORDINATOR, so that is what they are told.
fn group_failure(outcome: &Outcome) -> i16 {
    match outcome {
        Err(ErrorCode::CoordinatorNotAvailable) => code(ErrorCode::NotCoordinator),
        other => failure(other),
    }
}

fn fetched_group(
    version: i16,
    asked: Asked,
    fetched: Vec<FetchedTopic>,
    id_of: impl Fn(&str) -> Option<Uuid>,
) -> OffsetFetchResponseGroup {
    let found = fetched.into_iter().filter_map(|mut topic| {
        if version >= 10 && topic.topic_id.is_nil() {
            // Without an id, a topic that is gone cannot be told of.
            topic.topic_id = id_of(&topic.topic)?;
        }
        let partitions = topic.partitions.iter().map(fetched_partition).collect();
        Some(wire_topic(&topic.topic, topic.topic_id, partitions))
    });
    let unknown = asked.unknown.into_iter().map(|(id, partitions)| {
        wire_topic(
            "",
            id,
            refused_partitions(&partitions, code(ErrorCode::UnknownTopicId)),
        )
    });
    OffsetFetchResponseGroup::default()
        .with_group_id(asked.group)
        .with_topics(found.chain(unknown).collect())
}

/// Version 1 has no place for the error of a group: each partition gets it.
fn failed_group(version: i16, asked: Asked, error: i16) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(asked.group);
    if version >= 2 {
        return response.with_error_code(error);
    }
    let topics = asked.topics.iter().flatten().map(|topic| {
        wire_topic(
            &topic.topic,
            topic.topic_id,
            refused_partitions(&topic.partitions, error),
        )
    });
    response.with_topics(topics.collect())
}

/// Name and id are both set: the encoder sends the one that the version has.
fn wire_topic(
    name: &str,
    id: Uuid,
    partitions: Vec<OffsetFetchResponsePartitions>,
) -> OffsetFetchResponseTopics {
    OffsetFetchResponseTopics::default()
        .with_name(wire(name).into())
        .with_topic_id(id)
        .with_partitions(partitions)
}

fn fetched_partition(fetched: &FetchedPartition) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(fetched.partition)
        .with_committed_offset(fetched.offset)
        .with_committed_leader_epoch(fetched.leader_epoch)
        .with_metadata(Some(wire(&fetched.metadata)))
        .with_error_code(fetched.error.code())
}

fn refused_partitions(partitions: &[i32], error: i16) -> Vec<OffsetFetchResponsePartitions> {
    let refused = |partition: &i32| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*partition)
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default()))
            .with_error_code(error)
    };
    partitions.iter().map(refused).collect()
}

/// The form before version 8, in which the answer is that of the only group.
fn single_group(group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let topics = group.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_committed_offset(partition.committed_offset)
                .with_committed_leader_epoch(partition.committed_leader_epoch)
                .with_metadata(partition.metadata)
                .with_error_code(partition.error_code)
        });
        let partitions = partitions.collect();
        OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    let topics = topics.collect();
    OffsetFetchResponse::default()
        .with_error_code(group.error_code)
        .with_topics(topics)
}

impl ErrorCodes for OffsetFetchResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| visit(partition.error_code));
        for group in &self.groups {
            visit(group.error_code);
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.for_each(|partition| visit(partition.error_code));
        }
    }
}

#[cfg(test)]
mod tests;
