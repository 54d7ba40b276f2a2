//! OffsetForLeaderEpoch (key 23, versions 2 to 4, KIP-101 and KIP-320): where an epoch ended.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::step::Step;
use super::view::View;
use crate::partition::PartitionError;
use crate::types::LeaderEpoch;

pub(super) fn handle(view: &View, context: &Context, request: OffsetForLeaderEpochRequest) -> Step {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| match look_up(view, &topic.topic, partition) {
                Ok((epoch, end)) => EpochEndOffset::default()
                    .with_partition(partition.partition)
                    .with_leader_epoch(epoch)
                    .with_end_offset(end),
                Err(error) => EpochEndOffset::default()
                    .with_partition(partition.partition)
                    .with_error_code(code(error.code))
                    .with_leader_epoch(-1)
                    .with_end_offset(-1),
            })
            .collect();
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic)
            .with_partitions(partitions)
    });
    let topics = topics.collect();
    context.reply(&OffsetForLeaderEpochResponse::default().with_topics(topics))
}

fn look_up(
    view: &View,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), PartitionError> {
    let partition = view
        .partition(topic, asked.partition)
        .ok_or_else(|| PartitionError {
            code: ErrorCode::UnknownTopicOrPartition,
            message: String::new(),
        })?;
    partition.check_epoch(asked.current_leader_epoch)?;
    let (epoch, end) = partition.epoch_end(LeaderEpoch(asked.leader_epoch))?;
    Ok((epoch.0, end.0))
}

impl ErrorCodes for OffsetForLeaderEpochResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| visit(partition.error_code));
    }
}
