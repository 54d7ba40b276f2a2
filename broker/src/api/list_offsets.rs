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
use super::step::{ByTime, Found, LookUp, Step};
use super::view::View;
use crate::partition::{Isolation, PartitionError};
use crate::storage::TimestampOffset;
use crate::types::{Offset, Timestamp};

/// The timestamps that are questions (Kafka's `ListOffsetsRequest`).
mod special {
    pub(super) const LATEST: i64 = -1;
    pub(super) const EARLIEST: i64 = -2;
    pub(super) const MAX_TIMESTAMP: i64 = -3;
    pub(super) const EARLIEST_LOCAL: i64 = -4;
    pub(super) const LATEST_TIERED: i64 = -5;
}

/// Timestamp, offset and leader epoch; -1 each where there is none.
struct Answer {
    timestamp: i64,
    offset: i64,
    epoch: i32,
}

const NOTHING: Answer = Answer {
    timestamp: -1,
    offset: -1,
    epoch: -1,
};

/// What becomes of one partition of the request.
enum Row {
    Answered(Result<Answer, PartitionError>),
    /// To be looked up.
    Sought(LookUp),
}

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
    let mut look_ups = Vec::new();
    // For each partition its number and its answer, or `None` if it comes of a look-up.
    let rows = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let row = if seen.get(&(topic.name.clone(), index)) > Some(&1) {
                Err(error(ErrorCode::InvalidRequest))
            } else {
                judge(view, context.version, &topic.name, partition, isolation)
            };
            match row.unwrap_or_else(|error| Row::Answered(Err(error))) {
                Row::Answered(answer) => (index, Some(answer)),
                Row::Sought(look_up) => {
                    look_ups.push(look_up);
                    (index, None)
                }
            }
        });
        let partitions: Vec<_> = partitions.collect();
        (topic.name, partitions)
    });
    let rows: Vec<_> = rows.collect();
    let context = context.clone();
    let answer = move |found: Vec<Found>| {
        let mut found = found.into_iter();
        let mut next = || {
            let found = found.next().unwrap_or(Ok(None));
            found.map(|found| found.map_or(NOTHING, answer_of))
        };
        let topics = rows.into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, answer)| {
                response(context.version, index, answer.unwrap_or_else(&mut next))
            });
            let partitions = partitions.collect();
            ListOffsetsTopicResponse::default()
                .with_name(name)
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        context.reply(&ListOffsetsResponse::default().with_topics(topics))
    };
    if look_ups.is_empty() {
        return answer(Vec::new());
    }
    Step::LookUp(look_ups, Box::new(move |_, found| answer(found)))
}

fn response(
    version: i16,
    index: i32,
    answer: Result<Answer, PartitionError>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    let (response, answer) = match answer {
        Ok(answer) => (response, answer),
        Err(error) => (response.with_error_code(code(error.code)), NOTHING),
    };
    let response = response
        .with_timestamp(answer.timestamp)
        .with_offset(answer.offset);
    if version >= 4 {
        response.with_leader_epoch(answer.epoch)
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

/// Answers what the bounds of the log tell; what must be looked for in it is left for later.
fn judge(
    view: &View,
    version: i16,
    topic: &str,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Row, PartitionError> {
    let partition = view
        .partition(topic, asked.partition_index)
        .ok_or_else(|| error(ErrorCode::UnknownTopicOrPartition))?;
    partition.check_epoch(asked.current_leader_epoch)?;
    let bounds = partition.bounds()?;
    let answered = |offset: Offset, epoch| {
        Row::Answered(Ok(Answer {
            timestamp: -1,
            offset: offset.0,
            epoch,
        }))
    };
    let start = || -> Result<Row, PartitionError> {
        let epoch = partition.epoch_for(bounds.start)?;
        Ok(answered(bounds.start, epoch.map_or(-1, |epoch| epoch.0)))
    };
    let what = match asked.timestamp {
        special::LATEST => return Ok(answered(bounds.upper(isolation), bounds.epoch.0)),
        special::EARLIEST => return start(),
        special::EARLIEST_LOCAL if version >= 8 => return start(),
        special::LATEST_TIERED if version >= 9 => return Ok(Row::Answered(Ok(NOTHING))),
        special::MAX_TIMESTAMP if version >= 7 => ByTime::Largest,
        negative if negative < 0 => return Err(error(ErrorCode::UnsupportedVersion)),
        timestamp => ByTime::From(Timestamp(timestamp), isolation),
    };
    Ok(Row::Sought(LookUp { partition, what }))
}

fn answer_of((timestamp, offset, epoch): TimestampOffset) -> Answer {
    Answer {
        timestamp: timestamp.0,
        offset: offset.0,
        epoch: epoch.map_or(-1, |epoch| epoch.0),
    }
}

impl ErrorCodes for ListOffsetsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| visit(partition.error_code));
    }
}
