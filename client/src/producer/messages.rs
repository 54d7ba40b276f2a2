//! Produce requests and their answers.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::ErrorCode;
use uuid::Uuid;

use super::core::Answer;
use super::delivery::Written;
use super::error::RecordProblem;
use crate::topic_partition::TopicPartition;

/// Versions of Produce that are spoken.
pub(super) const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;
/// Versions that name topics instead of giving their ids end here.
pub(super) const LAST_BY_NAME: i16 = 12;

/// A request with one batch for each of these partitions.
pub(super) fn produce(
    version: i16,
    acks: i16,
    timeout_ms: i32,
    batches: &[(TopicPartition, Uuid, Bytes)],
) -> ProduceRequest {
    let mut at: HashMap<&Arc<str>, usize> = HashMap::new();
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for (partition, id, bytes) in batches {
        let index = *at.entry(&partition.topic).or_insert_with(|| {
            topics.push(if version > LAST_BY_NAME {
                TopicProduceData::default().with_topic_id(*id)
            } else {
                let name = StrBytes::from_string(partition.topic.to_string());
                TopicProduceData::default().with_name(TopicName(name))
            });
            topics.len() - 1
        });
        if let Some(topic) = topics.get_mut(index) {
            topic.partition_data.push(
                PartitionProduceData::default()
                    .with_index(partition.partition)
                    .with_records(Some(bytes.clone())),
            );
        }
    }
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(timeout_ms)
        .with_topic_data(topics)
}

/// The broker's word on each partition of a request. One that is not mentioned has none.
pub(super) fn answers(
    response: &ProduceResponse,
    batches: &[(TopicPartition, Uuid, Bytes)],
) -> Vec<Answer> {
    let mut by_name = HashMap::new();
    let mut by_id = HashMap::new();
    for topic in &response.responses {
        for part in &topic.partition_responses {
            if topic.topic_id.is_nil() {
                by_name.insert((topic.name.0.as_str(), part.index), part);
            } else {
                by_id.insert((topic.topic_id, part.index), part);
            }
        }
    }
    let find = |(partition, id, _): &(TopicPartition, Uuid, Bytes)| {
        let named = by_name.get(&(&*partition.topic, partition.partition));
        let found = named.or_else(|| by_id.get(&(*id, partition.partition)));
        found.map_or_else(
            || Answer::Unknown {
                reason: "the broker's answer does not mention the partition".to_owned(),
            },
            |part| answer(part),
        )
    };
    batches.iter().map(find).collect()
}

fn answer(part: &PartitionProduceResponse) -> Answer {
    let words = |text: &Option<StrBytes>| {
        let text = text.as_ref().filter(|text| !text.is_empty());
        text.map(ToString::to_string)
    };
    match ErrorCode::from(part.error_code) {
        ErrorCode::None => Answer::Written(Written {
            base_offset: part.base_offset,
            append_time: (part.log_append_time_ms >= 0).then_some(part.log_append_time_ms),
        }),
        code => Answer::Refused {
            code,
            message: words(&part.error_message),
            record: part.record_errors.first().map(|problem| RecordProblem {
                index: problem.batch_index,
                message: words(&problem.batch_index_error_message),
                this_one: false,
            }),
        },
    }
}
