//! The fetcher's questions as requests, and the answers back.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::ErrorCode;
use uuid::Uuid;

use super::session::SessionRequest;
use super::{EpochQuestion, FetchAnswer, OffsetQuestion, PartitionAnswer, Position};
use crate::cluster::{Broker, NewLeader};
use crate::topic_partition::TopicPartition;

/// Versions of Fetch with names instead of ids end here.
pub(crate) const LAST_FETCH_BY_NAME: i16 = 12;
/// Versions of Fetch without sessions end here.
const LAST_FETCH_WITHOUT_SESSIONS: i16 = 6;
/// From this version on it is the client that waits out a broker's throttling.
const FIRST_THROTTLED_FETCH: i16 = 8;

/// What every fetch of a consumer has in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchTerms {
    pub(crate) max_wait_ms: i32,
    pub(crate) min_bytes: i32,
    pub(crate) read_committed: bool,
}

pub(crate) fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// Groups by topic, in the order in which topics come up.
pub(crate) fn by_topic<T>(
    items: impl IntoIterator<Item = (Arc<str>, T)>,
) -> Vec<(Arc<str>, Vec<T>)> {
    let mut at: HashMap<Arc<str>, usize> = HashMap::new();
    let mut topics: Vec<(Arc<str>, Vec<T>)> = Vec::new();
    for (topic, item) in items {
        let index = *at.entry(Arc::clone(&topic)).or_insert_with(|| {
            topics.push((topic, Vec::new()));
            topics.len() - 1
        });
        if let Some((_, list)) = topics.get_mut(index) {
            list.push(item);
        }
    }
    topics
}

/// A fetch. Sessions are as the request says; versions that have none get everything.
pub(crate) fn fetch(
    version: i16,
    terms: FetchTerms,
    max_bytes: usize,
    session: &SessionRequest,
) -> FetchRequest {
    let by_id = version > LAST_FETCH_BY_NAME;
    let mut ids: HashMap<Arc<str>, Uuid> = HashMap::new();
    let wanted = session.fetch.iter().map(|(name, wanted)| {
        ids.insert(Arc::clone(&name.topic), wanted.topic_id);
        let partition = FetchPartition::default()
            .with_partition(name.partition)
            .with_current_leader_epoch(wanted.leader_epoch)
            .with_fetch_offset(wanted.offset)
            .with_partition_max_bytes(wanted.max_bytes);
        (Arc::clone(&name.topic), partition)
    });
    let topics = by_topic(wanted);
    let topics = topics.into_iter().map(|(topic, partitions)| {
        let new = FetchTopic::default().with_partitions(partitions);
        if by_id {
            new.with_topic_id(ids.get(&topic).copied().unwrap_or_default())
        } else {
            new.with_topic(topic_name(&topic))
        }
    });
    let request = FetchRequest::default()
        .with_max_wait_ms(terms.max_wait_ms)
        .with_min_bytes(terms.min_bytes)
        .with_max_bytes(i32::try_from(max_bytes).unwrap_or(i32::MAX))
        .with_isolation_level(i8::from(terms.read_committed))
        .with_topics(topics.collect());
    if version <= LAST_FETCH_WITHOUT_SESSIONS {
        return request;
    }
    // One entry per id: a topic that was made anew is forgotten under its old one.
    let forgotten = session.forget.iter().map(|(name, id)| {
        let entry = ForgottenTopic::default().with_partitions(vec![name.partition]);
        if by_id {
            entry.with_topic_id(*id)
        } else {
            entry.with_topic(topic_name(&name.topic))
        }
    });
    request
        .with_session_id(session.id)
        .with_session_epoch(session.epoch)
        .with_forgotten_topics_data(forgotten.collect())
}

/// Its answer.
pub(crate) fn fetch_answer(version: i16, response: FetchResponse) -> FetchAnswer {
    let partitions = response.responses.into_iter().flat_map(|topic| {
        let name = topic.topic.0.to_string();
        let id = topic.topic_id;
        topic
            .partitions
            .into_iter()
            .map(move |part| PartitionAnswer {
                topic: name.clone(),
                topic_id: id,
                partition: part.partition_index,
                error: ErrorCode::from(part.error_code),
                high_watermark: part.high_watermark,
                last_stable_offset: part.last_stable_offset,
                log_start_offset: part.log_start_offset,
                aborted: part
                    .aborted_transactions
                    .unwrap_or_default()
                    .iter()
                    .map(|aborted| (aborted.producer_id.0, aborted.first_offset))
                    .collect(),
                records: part.records.unwrap_or_default(),
            })
    });
    FetchAnswer {
        error: ErrorCode::from(response.error_code),
        session: response.session_id,
        throttle: match version {
            FIRST_THROTTLED_FETCH.. => u64::try_from(response.throttle_time_ms).unwrap_or(0),
            _ => 0,
        },
        partitions: partitions.collect(),
    }
}

/// Who leads the partitions that were refused because another broker does, and where these brokers
/// are (KIP-951). `name` knows topics by their ids.
pub(crate) fn new_leaders(
    response: &FetchResponse,
    name: impl Fn(Uuid) -> Option<Arc<str>>,
) -> (Vec<NewLeader>, Vec<Broker>) {
    let mut leaders = Vec::new();
    for topic in &response.responses {
        for part in &topic.partitions {
            let moved = matches!(
                ErrorCode::from(part.error_code),
                ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
            );
            let current = &part.current_leader;
            if !moved || current.leader_id.0 < 0 || current.leader_epoch < 0 {
                continue;
            }
            let named = match topic.topic_id.is_nil() {
                true => Some(topic.topic.0.as_str().into()),
                false => name(topic.topic_id),
            };
            leaders.extend(named.map(|topic| NewLeader {
                topic,
                partition: part.partition_index,
                leader: current.leader_id.0,
                epoch: current.leader_epoch,
            }));
        }
    }
    let brokers = response.node_endpoints.iter().filter_map(|node| {
        Broker::new(node.node_id.0, &node.host, node.port, node.rack.as_deref())
    });
    (leaders, brokers.collect())
}

/// A look-up of offsets.
pub(crate) fn list_offsets(
    version: i16,
    read_committed: bool,
    questions: &[OffsetQuestion],
) -> ListOffsetsRequest {
    let entries = questions.iter().map(|question| {
        let mut partition = ListOffsetsPartition::default()
            .with_partition_index(question.partition.partition)
            .with_timestamp(question.to.timestamp());
        if version >= 4 {
            partition = partition.with_current_leader_epoch(question.leader_epoch);
        }
        (Arc::clone(&question.partition.topic), partition)
    });
    let topics = by_topic(entries).into_iter().map(|(topic, partitions)| {
        ListOffsetsTopic::default()
            .with_name(topic_name(&topic))
            .with_partitions(partitions)
    });
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(topics.collect());
    if version >= 2 {
        request.with_isolation_level(i8::from(read_committed))
    } else {
        request
    }
}

/// Its answers by partition.
pub(crate) fn list_offsets_answer(
    response: &ListOffsetsResponse,
) -> HashMap<TopicPartition, Result<Position, ErrorCode>> {
    let mut answers = HashMap::new();
    for topic in &response.topics {
        let name: Arc<str> = topic.name.0.as_str().into();
        for part in &topic.partitions {
            let answer = match ErrorCode::from(part.error_code) {
                ErrorCode::None => Ok(Position {
                    offset: part.offset,
                    epoch: part.leader_epoch,
                }),
                error => Err(error),
            };
            let key = TopicPartition::new(Arc::clone(&name), part.partition_index);
            answers.insert(key, answer);
        }
    }
    answers
}

/// Asks where epochs ended.
pub(crate) fn epoch_ends(version: i16, questions: &[EpochQuestion]) -> OffsetForLeaderEpochRequest {
    let entries = questions.iter().map(|question| {
        let partition = OffsetForLeaderPartition::default()
            .with_partition(question.partition.partition)
            .with_current_leader_epoch(question.leader_epoch)
            .with_leader_epoch(question.epoch);
        (Arc::clone(&question.partition.topic), partition)
    });
    let topics = by_topic(entries).into_iter().map(|(topic, partitions)| {
        OffsetForLeaderTopic::default()
            .with_topic(topic_name(&topic))
            .with_partitions(partitions)
    });
    let request = OffsetForLeaderEpochRequest::default().with_topics(topics.collect());
    if version >= 3 {
        // A consumer, not a replica.
        request.with_replica_id((-1).into())
    } else {
        request
    }
}

/// The answers by partition.
pub(crate) fn epoch_ends_answer(
    response: &OffsetForLeaderEpochResponse,
) -> HashMap<TopicPartition, Result<Option<Position>, ErrorCode>> {
    let mut answers = HashMap::new();
    for topic in &response.topics {
        let name: Arc<str> = topic.topic.0.as_str().into();
        for part in &topic.partitions {
            let answer = match ErrorCode::from(part.error_code) {
                ErrorCode::None => Ok((part.end_offset >= 0 && part.leader_epoch >= 0).then_some(
                    Position {
                        offset: part.end_offset,
                        epoch: part.leader_epoch,
                    },
                )),
                error => Err(error),
            };
            let key = TopicPartition::new(Arc::clone(&name), part.partition);
            answers.insert(key, answer);
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::fetch_response::{
        FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
    };

    #[test]
    fn a_refusal_names_the_new_leader() {
        let part = |index: i32, error: ErrorCode, leader: i32| {
            let leader = LeaderIdAndEpoch::default()
                .with_leader_id(leader.into())
                .with_leader_epoch(4);
            PartitionData::default()
                .with_partition_index(index)
                .with_error_code(error.code())
                .with_current_leader(leader)
        };
        let topic = FetchableTopicResponse::default()
            .with_topic_id(Uuid::from_u128(7))
            .with_partitions(vec![
                part(0, ErrorCode::NotLeaderOrFollower, 2),
                part(1, ErrorCode::NotLeaderOrFollower, -1),
                part(2, ErrorCode::None, 2),
            ]);
        let node = NodeEndpoint::default()
            .with_node_id(2.into())
            .with_host(StrBytes::from_static_str("there"))
            .with_port(9092);
        let response = FetchResponse::default()
            .with_throttle_time_ms(30)
            .with_responses(vec![topic])
            .with_node_endpoints(vec![node]);
        let name = |id: Uuid| (id == Uuid::from_u128(7)).then(|| "t".into());
        let (leaders, brokers) = new_leaders(&response, name);
        let moved = NewLeader {
            topic: "t".into(),
            partition: 0,
            leader: 2,
            epoch: 4,
        };
        assert_eq!(leaders, [moved]);
        assert_eq!((brokers[0].id, brokers[0].port), (2, 9092));
        // A topic that nobody knows any more concerns nobody.
        assert!(new_leaders(&response, |_| None).0.is_empty());
        let throttle = |version| fetch_answer(version, response.clone()).throttle;
        assert_eq!((throttle(7), throttle(8)), (0, 30));
    }
}
