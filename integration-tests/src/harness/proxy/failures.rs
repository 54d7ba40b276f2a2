//! Answers of requests that have failed, as Kafka gives them.

use kafka_protocol::protocol::Request;
use tidemark_protocol::ErrorCode;
use tidemark_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use tidemark_protocol::messages::find_coordinator_response::Coordinator;
use tidemark_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use tidemark_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use tidemark_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use tidemark_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use tidemark_protocol::messages::produce_response::{
    PartitionProduceResponse, TopicProduceResponse,
};
use tidemark_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    HeartbeatRequest, HeartbeatResponse, InitProducerIdRequest, InitProducerIdResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListOffsetsRequest,
    ListOffsetsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest,
    ProduceResponse, ProducerId, SyncGroupRequest, SyncGroupResponse,
};

use super::intercept::{Intercepted, Verdict};

/// No offset, epoch or id.
const NONE: i32 = -1;

pub(super) fn answer(asked: &Intercepted, code: ErrorCode) -> Verdict {
    let code = code.code();
    match asked.header.api_key {
        ProduceRequest::KEY => produce(asked, code),
        FetchRequest::KEY => fetch(asked, code),
        ListOffsetsRequest::KEY => list_offsets(asked, code),
        OffsetForLeaderEpochRequest::KEY => offset_for_leader_epoch(asked, code),
        FindCoordinatorRequest::KEY => find_coordinator(asked, code),
        OffsetCommitRequest::KEY => offset_commit(asked, code),
        OffsetFetchRequest::KEY => offset_fetch(asked, code),
        InitProducerIdRequest::KEY => {
            let failed = InitProducerIdResponse::default()
                .with_error_code(code)
                .with_producer_id(ProducerId(NONE.into()))
                .with_producer_epoch(NONE as i16);
            asked.answer::<InitProducerIdRequest>(&failed)
        }
        JoinGroupRequest::KEY => {
            let member = asked.decode::<JoinGroupRequest>().member_id;
            let failed = JoinGroupResponse::default()
                .with_error_code(code)
                .with_generation_id(NONE)
                .with_member_id(member);
            asked.answer::<JoinGroupRequest>(&failed)
        }
        SyncGroupRequest::KEY => {
            asked.answer::<SyncGroupRequest>(&SyncGroupResponse::default().with_error_code(code))
        }
        HeartbeatRequest::KEY => {
            asked.answer::<HeartbeatRequest>(&HeartbeatResponse::default().with_error_code(code))
        }
        LeaveGroupRequest::KEY => {
            asked.answer::<LeaveGroupRequest>(&LeaveGroupResponse::default().with_error_code(code))
        }
        key => panic!("no failed answer of API {key} is known: write it with Intercepted::answer"),
    }
}

fn produce(asked: &Intercepted, code: i16) -> Verdict {
    let topics = asked.decode::<ProduceRequest>().topic_data.into_iter();
    let topics = topics.map(|topic| {
        let partitions = topic.partition_data.iter().map(|partition| {
            PartitionProduceResponse::default()
                .with_index(partition.index)
                .with_error_code(code)
                .with_base_offset(NONE.into())
                .with_log_append_time_ms(NONE.into())
                .with_log_start_offset(NONE.into())
        });
        TopicProduceResponse::default()
            .with_partition_responses(partitions.collect())
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
    });
    asked.answer::<ProduceRequest>(&ProduceResponse::default().with_responses(topics.collect()))
}

fn fetch(asked: &Intercepted, code: i16) -> Verdict {
    let request = asked.decode::<FetchRequest>();
    assert!(
        !request.topics.is_empty(),
        "the partitions are the session's: start the broker with \
         max.incremental.fetch.session.cache.slots=0"
    );
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition)
                .with_error_code(code)
                .with_high_watermark(NONE.into())
                .with_last_stable_offset(NONE.into())
                .with_log_start_offset(NONE.into())
        });
        FetchableTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
            .with_topic_id(topic.topic_id)
    });
    asked.answer::<FetchRequest>(&FetchResponse::default().with_responses(topics.collect()))
}

fn list_offsets(asked: &Intercepted, code: i16) -> Verdict {
    let topics = asked.decode::<ListOffsetsRequest>().topics.into_iter();
    let topics = topics.map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
                .with_timestamp(NONE.into())
                .with_offset(NONE.into())
        });
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    let failed = ListOffsetsResponse::default().with_topics(topics.collect());
    asked.answer::<ListOffsetsRequest>(&failed)
}

fn offset_for_leader_epoch(asked: &Intercepted, code: i16) -> Verdict {
    let request = asked.decode::<OffsetForLeaderEpochRequest>();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            EpochEndOffset::default()
                .with_partition(partition.partition)
                .with_error_code(code)
                .with_leader_epoch(NONE)
                .with_end_offset(NONE.into())
        });
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
    });
    let failed = OffsetForLeaderEpochResponse::default().with_topics(topics.collect());
    asked.answer::<OffsetForLeaderEpochRequest>(&failed)
}

/// From version 4 on each key has its own place, before that there is one.
fn find_coordinator(asked: &Intercepted, code: i16) -> Verdict {
    let request = asked.decode::<FindCoordinatorRequest>();
    let failed = FindCoordinatorResponse::default();
    let failed = if asked.header.api_version < 4 {
        failed
            .with_error_code(code)
            .with_node_id(BrokerId(NONE))
            .with_port(NONE)
    } else {
        let keys = request.coordinator_keys.into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_node_id(BrokerId(NONE))
                .with_port(NONE)
                .with_error_code(code)
        });
        failed.with_coordinators(keys.collect())
    };
    asked.answer::<FindCoordinatorRequest>(&failed)
}

fn offset_commit(asked: &Intercepted, code: i16) -> Verdict {
    let topics = asked.decode::<OffsetCommitRequest>().topics.into_iter();
    let topics = topics.map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        OffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
    });
    let failed = OffsetCommitResponse::default().with_topics(topics.collect());
    asked.answer::<OffsetCommitRequest>(&failed)
}

/// From version 8 on each group has its own place, from 2 on there is one, before that the
/// partitions have it.
fn offset_fetch(asked: &Intercepted, code: i16) -> Verdict {
    let request = asked.decode::<OffsetFetchRequest>();
    let failed = OffsetFetchResponse::default();
    let failed = match asked.header.api_version {
        8.. => {
            let groups = request.groups.into_iter().map(|group| {
                OffsetFetchResponseGroup::default()
                    .with_group_id(group.group_id)
                    .with_error_code(code)
            });
            failed.with_groups(groups.collect())
        }
        2.. => failed.with_error_code(code),
        _ => {
            let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
                let partitions = topic.partition_indexes.iter().map(|partition| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(*partition)
                        .with_committed_offset(NONE.into())
                        .with_error_code(code)
                });
                OffsetFetchResponseTopic::default()
                    .with_partitions(partitions.collect())
                    .with_name(topic.name)
            });
            failed.with_topics(topics.collect())
        }
    };
    asked.answer::<OffsetFetchRequest>(&failed)
}
