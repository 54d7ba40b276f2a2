//! OffsetCommit (key 8, versions 2 to 9): how far a group has come.
//!
//! Partitions that do not exist are refused here, one by one, and the rest goes to the coordinator
//! as one command; an error that concerns the whole group is that of each partition of the rest
//! (rule 47). Versions 2 to 4 may say how long to keep the offsets, version 6 adds leader epochs,
//! version 7 static members, version 9 GROUP_ID_NOT_FOUND. The empty group id is allowed, for old
//! consumers that only store offsets. Version 10, which names topics by id, is prepared here and
//! gets into the registry when the codec crate can read its requests.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use super::context::{Context, ErrorCodes, code};
use super::group_call::{Outcome, ask, failure, optional_text, text, wire};
use super::step::Step;
use super::view::View;
use crate::coordinator::group::command::{CommitOffsets, CommitPartition, CommitTopic};
use crate::coordinator::group::{Command, Reply};

/// A topic of the request. The error of a partition is `None` if the coordinator has the say.
#[derive(Debug, PartialEq)]
struct Topic {
    name: TopicName,
    id: Uuid,
    partitions: Vec<(i32, Option<ErrorCode>)>,
}

pub(super) fn handle(view: &View, context: &Context, mut request: OffsetCommitRequest) -> Step {
    let asked = std::mem::take(&mut request.topics);
    let name_of = |id| {
        view.topic_by_id(id)
            .map(|topic| TopicName(wire(&topic.name)))
    };
    let exists = |topic: &str, partition| view.partition(topic, partition).is_some();
    let (topics, commits) = sort_out(context.version, asked, name_of, exists);
    if commits.is_empty() {
        let nothing = Ok(Reply::CommitOffsets(Vec::new()));
        return context.reply(&respond(topics, nothing));
    }
    let group = request.group_id.to_string();
    let command = command(context.version, &request, commits);
    ask(view, context, group, Ok(command), |_, outcome| {
        respond(topics, outcome)
    })
}

/// Parts what the coordinator is asked from what is refused already.
fn sort_out(
    version: i16,
    asked: Vec<OffsetCommitRequestTopic>,
    name_of: impl Fn(Uuid) -> Option<TopicName>,
    exists: impl Fn(&str, i32) -> bool,
) -> (Vec<Topic>, Vec<CommitTopic>) {
    let mut topics = Vec::with_capacity(asked.len());
    let mut commits = Vec::new();
    for asked in asked {
        let (name, id) = match version {
            ..10 => (Some(asked.name), Uuid::nil()),
            _ => (name_of(asked.topic_id), asked.topic_id),
        };
        let refusal = |partition: &OffsetCommitRequestPartition| match &name {
            None => Some(ErrorCode::UnknownTopicId),
            Some(name) if exists(name, partition.partition_index) => None,
            Some(_) => Some(ErrorCode::UnknownTopicOrPartition),
        };
        let judged: Vec<_> = asked
            .partitions
            .into_iter()
            .map(|partition| (refusal(&partition), partition))
            .collect();
        let name = name.unwrap_or_default();
        let commit = CommitTopic {
            topic: text(&name),
            topic_id: id,
            partitions: judged
                .iter()
                .filter(|(refusal, _)| refusal.is_none())
                .map(|(_, partition)| commit(partition))
                .collect(),
        };
        if !commit.partitions.is_empty() {
            commits.push(commit);
        }
        let partitions = judged
            .into_iter()
            .map(|(refusal, partition)| (partition.partition_index, refusal));
        topics.push(Topic {
            name,
            id,
            partitions: partitions.collect(),
        });
    }
    (topics, commits)
}

fn commit(partition: &OffsetCommitRequestPartition) -> CommitPartition {
    CommitPartition {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_ref().map(text),
    }
}

fn command(version: i16, request: &OffsetCommitRequest, topics: Vec<CommitTopic>) -> Command {
    Command::CommitOffsets(CommitOffsets {
        group_id: text(&request.group_id),
        generation_id: request.generation_id_or_member_epoch,
        member_id: text(&request.member_id),
        group_instance_id: optional_text(request.group_instance_id.as_ref()),
        retention_time_ms: if version <= 4 {
            request.retention_time_ms
        } else {
            -1
        },
        expects_group_id_not_found: version >= 9,
        topics,
    })
}

/// Every partition of the request in its order, each with its own error. Name and id are both
/// set: the encoder sends the one that the version has.
fn respond(topics: Vec<Topic>, outcome: Outcome) -> OffsetCommitResponse {
    // The coordinator answers in the order in which it was asked. If it did not answer, its
    // failure is that of every partition that it was asked about.
    let (answers, otherwise) = match outcome {
        Ok(Reply::CommitOffsets(topics)) => (topics, code(ErrorCode::UnknownServerError)),
        other => (Vec::new(), failure(&other)),
    };
    let mut answers = answers
        .into_iter()
        .flat_map(|topic| topic.partitions)
        .map(|(_, error)| error.code());
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|(partition, refusal)| {
            let code = match refusal {
                Some(error) => code(error),
                None => answers.next().unwrap_or(otherwise),
            };
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_topic_id(topic.id)
            .with_partitions(partitions)
    });
    let topics = topics.collect();
    OffsetCommitResponse::default().with_topics(topics)
}

impl ErrorCodes for OffsetCommitResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| visit(partition.error_code));
    }
}

#[cfg(test)]
mod tests;
