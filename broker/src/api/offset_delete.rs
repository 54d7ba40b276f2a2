//! OffsetDelete (key 47, version 0): an administrator removes committed offsets.
//!
//! Partitions that do not exist are refused here, one by one; the coordinator decides on the rest,
//! and is asked even if nothing is left, because the group may be the thing that is wrong. An error
//! of the whole group stands alone, without topics.

use std::sync::Arc;

use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, TopicName};
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::group_call::{Outcome, ask, failure, named, text};
use super::step::Step;
use super::view::View;
use crate::coordinator::group::command::DeleteOffsets;
use crate::coordinator::group::{self, Command, Reply};

/// A topic of the request with its partitions and whether they exist.
type Topic = (TopicName, Vec<(i32, bool)>);
/// What the coordinator is asked to delete, by topic.
type Deletions = Vec<(Arc<str>, Vec<i32>)>;

pub(super) fn handle(view: &View, context: &Context, mut request: OffsetDeleteRequest) -> Step {
    let asked = std::mem::take(&mut request.topics);
    let exists = |topic: &str, partition| view.partition(topic, partition).is_some();
    let (topics, deletions) = sort_out(asked, exists);
    let group = request.group_id.to_string();
    let command = command(&request, deletions);
    ask(view, context, group, command, |_, outcome| {
        respond(topics, outcome)
    })
}

/// Finds out what exists: only that is the coordinator asked to delete.
fn sort_out(
    asked: Vec<OffsetDeleteRequestTopic>,
    exists: impl Fn(&str, i32) -> bool,
) -> (Vec<Topic>, Deletions) {
    let mut topics = Vec::with_capacity(asked.len());
    let mut deletions = Vec::new();
    for asked in asked {
        let numbers = asked
            .partitions
            .iter()
            .map(|partition| partition.partition_index);
        let partitions: Vec<_> = numbers
            .map(|number| (number, exists(&asked.name, number)))
            .collect();
        let existing: Vec<_> = partitions
            .iter()
            .filter(|(_, exists)| *exists)
            .map(|(number, _)| *number)
            .collect();
        if !existing.is_empty() {
            deletions.push((text(&asked.name), existing));
        }
        topics.push((asked.name, partitions));
    }
    (topics, deletions)
}

fn command(request: &OffsetDeleteRequest, topics: Deletions) -> Result<Command, ErrorCode> {
    Ok(Command::DeleteOffsets(DeleteOffsets {
        group_id: named(&request.group_id)?,
        topics,
    }))
}

fn respond(topics: Vec<Topic>, outcome: Outcome) -> OffsetDeleteResponse {
    let deleted = match outcome {
        Ok(Reply::DeleteOffsets(deleted)) => deleted,
        other => return OffsetDeleteResponse::default().with_error_code(failure(&other)),
    };
    if deleted.error != group::ErrorCode::None {
        return OffsetDeleteResponse::default().with_error_code(deleted.error.code());
    }
    // The coordinator answers in the order in which it was asked.
    let mut answers = deleted
        .topics
        .into_iter()
        .flat_map(|(_, partitions)| partitions)
        .map(|(_, error)| error.code());
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(partition, exists)| {
            let code = if exists {
                answers
                    .next()
                    .unwrap_or(code(ErrorCode::UnknownServerError))
            } else {
                code(ErrorCode::UnknownTopicOrPartition)
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions)
    });
    let topics = topics.collect();
    OffsetDeleteResponse::default().with_topics(topics)
}

impl ErrorCodes for OffsetDeleteResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| visit(partition.error_code));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestPartition;
    use kafka_protocol::protocol::StrBytes;

    use super::super::group_call::testing::{codes, sent};
    use super::*;
    use crate::coordinator::group::DeletedOffsets;

    /// Topic `known` has the partitions 0 and 1, and that is all there is.
    fn exists(topic: &str, partition: i32) -> bool {
        topic == "known" && (0..2).contains(&partition)
    }

    fn asked(topic: &'static str, partitions: &[i32]) -> OffsetDeleteRequestTopic {
        let partitions = partitions.iter().map(|partition| {
            OffsetDeleteRequestPartition::default().with_partition_index(*partition)
        });
        OffsetDeleteRequestTopic::default()
            .with_name(StrBytes::from_static_str(topic).into())
            .with_partitions(partitions.collect())
    }

    #[test]
    fn only_what_exists_is_deleted_and_everything_is_answered() {
        let all = vec![asked("other", &[0]), asked("known", &[2, 1, 0])];
        let (topics, deletions) = sort_out(all, exists);
        assert_eq!(deletions, [("known".into(), vec![1, 0])]);
        let results = vec![
            (1, group::ErrorCode::None),
            (0, group::ErrorCode::GroupSubscribedToTopic),
        ];
        let deleted = DeletedOffsets {
            error: group::ErrorCode::None,
            topics: vec![("known".into(), results)],
        };
        let read = sent(0, &respond(topics, Ok(Reply::DeleteOffsets(deleted))));
        assert_eq!(codes(&read), [0, 3, 3, 0, 86]);
        let names: Vec<_> = read
            .topics
            .iter()
            .map(|topic| topic.name.as_str())
            .collect();
        assert_eq!(names, ["other", "known"]);
    }

    #[test]
    fn an_error_of_the_group_stands_alone() {
        let check = |outcome: Outcome, expected: i16| {
            let (topics, _) = sort_out(vec![asked("known", &[0])], exists);
            assert_eq!(codes(&sent(0, &respond(topics, outcome))), [expected]);
        };
        let missing = DeletedOffsets {
            error: group::ErrorCode::GroupIdNotFound,
            topics: vec![],
        };
        check(Ok(Reply::DeleteOffsets(missing)), 69);
        check(Err(ErrorCode::NotCoordinator), 16);
    }

    #[test]
    fn an_empty_group_id_is_refused() {
        let refused = command(&OffsetDeleteRequest::default(), Vec::new());
        assert_eq!(refused, Err(ErrorCode::InvalidGroupId));
    }
}
