//! ListOffsets (key 2, versions 1 to 10): offsets by time, and the special ones (rules 28 to 30).
//!
//! Nothing is tiered here: "latest tiered" finds nothing and "earliest local" is the log start.

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::fetch::isolation;
use super::step::Step;
use super::view::View;
use crate::partition::{Isolation, PartitionError};
use crate::types::Timestamp;

/// The timestamps that are questions (Kafka's `ListOffsetsRequest`).
mod special {
    pub(super) const LATEST: i64 = -1;
    pub(super) const EARLIEST: i64 = -2;
    pub(super) const MAX_TIMESTAMP: i64 = -3;
    pub(super) const EARLIEST_LOCAL: i64 = -4;
    pub(super) const LATEST_TIERED: i64 = -5;
}

/// Timestamp, offset and leader epoch; -1 each where there is none.
struct Found {
    timestamp: i64,
    offset: i64,
    epoch: i32,
}

const NOTHING: Found = Found {
    timestamp: -1,
    offset: -1,
    epoch: -1,
};

pub(super) fn handle(view: &View, context: &Context, request: ListOffsetsRequest) -> Step {
    let isolation = isolation(request.isolation_level);
    // A partition that is asked twice gets INVALID_REQUEST, as in Kafka.
    let mut seen = std::collections::HashMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *seen
                .entry((topic.name.clone(), partition.partition_index))
                .or_insert(0) += 1;
        }
    }
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let twice = seen.get(&(topic.name.clone(), partition.partition_index)) > Some(&1);
            let found = if twice {
                Err(error(ErrorCode::InvalidRequest))
            } else {
                look_up(view, context.version, &topic.name, partition, isolation)
            };
            response(context.version, partition.partition_index, found)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    let topics = topics.collect();
    context.reply(&ListOffsetsResponse::default().with_topics(topics))
}

fn response(
    version: i16,
    index: i32,
    found: Result<Found, PartitionError>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    let (response, found) = match found {
        Ok(found) => (response, found),
        Err(error) => (response.with_error_code(code(error.code)), NOTHING),
    };
    let response = response
        .with_timestamp(found.timestamp)
        .with_offset(found.offset);
    if version >= 4 {
        response.with_leader_epoch(found.epoch)
    } else {
        response
    }
}

fn error(code: ErrorCode) -> PartitionError {
    PartitionError {
        code,
        message: String::new(),
    }
}

fn look_up(
    view: &View,
    version: i16,
    topic: &str,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Found, PartitionError> {
    let partition = view
        .partition(topic, asked.partition_index)
        .ok_or_else(|| error(ErrorCode::UnknownTopicOrPartition))?;
    partition.check_epoch(asked.current_leader_epoch)?;
    let bounds = partition.bounds()?;
    let at = |offset| -> Result<Found, PartitionError> {
        let epoch = partition.epoch_for(offset)?.map_or(-1, |epoch| epoch.0);
        Ok(Found {
            timestamp: -1,
            offset: offset.0,
            epoch,
        })
    };
    match asked.timestamp {
        special::LATEST => {
            let upper = bounds.upper(isolation);
            Ok(Found {
                timestamp: -1,
                offset: upper.0,
                epoch: bounds.epoch.0,
            })
        }
        special::EARLIEST => at(bounds.start),
        special::EARLIEST_LOCAL if version >= 8 => at(bounds.start),
        special::LATEST_TIERED if version >= 9 => Ok(NOTHING),
        special::MAX_TIMESTAMP if version >= 7 => Ok(found(partition.max_timestamp()?)),
        negative if negative < 0 => Err(error(ErrorCode::UnsupportedVersion)),
        timestamp => Ok(found(
            partition.offset_for_timestamp(Timestamp(timestamp), isolation)?,
        )),
    }
}

fn found(found: Option<crate::storage::TimestampOffset>) -> Found {
    found.map_or(NOTHING, |(timestamp, offset, epoch)| Found {
        timestamp: timestamp.0,
        offset: offset.0,
        epoch: epoch.map_or(-1, |epoch| epoch.0),
    })
}

impl ErrorCodes for ListOffsetsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| visit(partition.error_code));
    }
}
