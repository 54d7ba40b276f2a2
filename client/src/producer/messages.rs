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
use crate::cluster::{Broker, NewLeader};
use crate::topic_partition::TopicPartition;

/// Versions of Produce that are spoken.
pub(super) const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;
/// Versions that name topics instead of giving their ids end here.
pub(super) const LAST_BY_NAME: i16 = 12;
/// From this version on it is the client that waits out a broker's throttling.
const FIRST_THROTTLED: i16 = 6;

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

/// Who leads the partitions that were refused because another broker does, and where these brokers
/// are (KIP-951).
pub(super) fn leaders(
    response: &ProduceResponse,
    batches: &[(TopicPartition, Uuid, Bytes)],
) -> (Vec<NewLeader>, Vec<Broker>) {
    let mut leaders = Vec::new();
    for topic in &response.responses {
        for part in &topic.partition_responses {
            let moved = matches!(
                ErrorCode::from(part.error_code),
                ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
            );
            let (leader, epoch) = (
                part.current_leader.leader_id.0,
                part.current_leader.leader_epoch,
            );
            if !moved || leader < 0 || epoch < 0 {
                continue;
            }
            let asked = batches.iter().find(|(partition, id, _)| {
                let named = if topic.topic_id.is_nil() {
                    topic.name.0.as_str() == &*partition.topic
                } else {
                    topic.topic_id == *id
                };
                named && partition.partition == part.index
            });
            if let Some((partition, ..)) = asked {
                leaders.push(NewLeader {
                    topic: Arc::clone(&partition.topic),
                    partition: part.index,
                    leader,
                    epoch,
                });
            }
        }
    }
    let brokers = response.node_endpoints.iter().filter_map(|node| {
        Broker::new(node.node_id.0, &node.host, node.port, node.rack.as_deref())
    });
    (leaders, brokers.collect())
}

/// How long the broker wants to be left alone, in milliseconds. Before version 6 it has waited itself
/// (KIP-219).
pub(super) fn throttle(version: i16, response: &ProduceResponse) -> u64 {
    match u64::try_from(response.throttle_time_ms) {
        Ok(millis) if version >= FIRST_THROTTLED => millis,
        _ => 0,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::produce_response::{
        LeaderIdAndEpoch, NodeEndpoint, TopicProduceResponse,
    };

    #[test]
    fn a_refusal_tells_who_leads() {
        let part = |index, error: ErrorCode, leader, epoch| {
            let leader = LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(epoch);
            PartitionProduceResponse::default()
                .with_index(index)
                .with_error_code(error.code())
                .with_current_leader(leader)
        };
        let parts = vec![
            part(0, ErrorCode::NotLeaderOrFollower, 2, 6),
            // It does not know either.
            part(1, ErrorCode::NotLeaderOrFollower, -1, -1),
            part(2, ErrorCode::None, 2, 6),
            // Nobody has asked.
            part(3, ErrorCode::NotLeaderOrFollower, 2, 6),
        ];
        let node = NodeEndpoint::default()
            .with_node_id(BrokerId(2))
            .with_host(StrBytes::from_static_str("b"))
            .with_port(9092);
        let id = Uuid::from_u128(7);
        let batches: Vec<_> = (0..3)
            .map(|index| (TopicPartition::new("t", index), id, Bytes::new()))
            .collect();
        let by_id = TopicProduceResponse::default().with_topic_id(id);
        let name = TopicName(StrBytes::from_static_str("t"));
        let by_name = TopicProduceResponse::default().with_name(name);
        for topic in [by_id, by_name] {
            let response = ProduceResponse::default()
                .with_responses(vec![topic.with_partition_responses(parts.clone())])
                .with_node_endpoints(vec![node.clone()]);
            let (leaders, brokers) = leaders(&response, &batches);
            let expected = NewLeader {
                topic: "t".into(),
                partition: 0,
                leader: 2,
                epoch: 6,
            };
            assert_eq!(leaders, [expected]);
            assert_eq!((brokers[0].id, &*brokers[0].host), (2, "b"));
        }
    }

    #[test]
    fn throttling_is_the_clients_from_version_6_on() {
        let response = ProduceResponse::default().with_throttle_time_ms(500);
        assert_eq!(throttle(5, &response), 0);
        assert_eq!(throttle(6, &response), 500);
        assert_eq!(throttle(6, &response.with_throttle_time_ms(-1)), 0);
    }
}
