//! The few Kafka requests that tests send by hand, where a client would hide what is asked.

mod connection;

pub use connection::{Connection, RawError};

use bytes::Bytes;
use tidemark_broker::environment::{Clock, SystemClock};
use tidemark_protocol::StrBytes;
use tidemark_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use tidemark_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use tidemark_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use tidemark_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use tidemark_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use tidemark_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use tidemark_protocol::messages::produce_response::PartitionProduceResponse;
use tidemark_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, FetchResponse, GroupId,
    InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, MetadataResponse,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest, ProduceResponse, ProducerId,
    TopicName,
};
use tidemark_protocol::records::{BatchBuilder, BatchView, Batches, Records};

/// The version of each request: the last that names topics, not their ids.
pub const PRODUCE: i16 = 12;
/// See [`PRODUCE`].
pub const FETCH: i16 = 12;
/// See [`PRODUCE`].
pub const CREATE_TOPICS: i16 = 7;
/// See [`PRODUCE`].
pub const DELETE_TOPICS: i16 = 5;
const LIST_OFFSETS: i16 = 7;
const METADATA: i16 = 12;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 7;
const INIT_PRODUCER_ID: i16 = 4;

/// How long the broker may take for what it is asked, in milliseconds.
const TIMEOUT_MS: i32 = 60_000;
/// A limit of bytes that does not limit, for requests.
const NO_LIMIT: i32 = 64 << 20;
/// The special timestamp of ListOffsets for the end of the log.
const LATEST: i64 = -1;

/// Connects.
pub async fn connect(address: &str) -> Connection {
    Connection::connect(address, "test")
        .await
        .unwrap_or_else(|error| panic!("{address}: {error}"))
}

/// A request that creates a topic.
pub fn create_topic_request(
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> CreateTopicsRequest {
    let configs = configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    });
    let topic = CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect());
    CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(TIMEOUT_MS)
}

/// Creates a topic.
pub async fn create_topic(
    connection: &mut Connection,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) {
    let request = create_topic_request(name, partitions, configs);
    let response = connection.call(CREATE_TOPICS, &request).await;
    for result in response.expect("CreateTopics is answered").topics {
        assert_eq!(result.error_code, 0, "{name}: {:?}", result.error_message);
    }
}

/// How often a broker is asked whether it serves a topic: not a limit on time, an end to a hang.
const ASKED_AT_MOST: usize = 10_000;

/// [`create_topic`], and waits until every partition is served: Apache Kafka answers before that.
pub async fn create_served_topic(
    connection: &mut Connection,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) {
    create_topic(connection, name, partitions, configs).await;
    let all = (0..partitions).map(|index| {
        ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_timestamp(LATEST)
    });
    let topic = ListOffsetsTopic::default()
        .with_name(topic(name))
        .with_partitions(all.collect());
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    for _ in 0..ASKED_AT_MOST {
        let response = connection.call(LIST_OFFSETS, &request).await;
        let response = response.expect("ListOffsets is answered");
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        if partitions.all(|partition| partition.error_code == 0) {
            return;
        }
    }
    panic!("{name} is still not served");
}

/// A request that deletes a topic.
pub fn delete_topic_request(name: &str) -> DeleteTopicsRequest {
    DeleteTopicsRequest::default()
        .with_topic_names(vec![topic(name)])
        .with_timeout_ms(TIMEOUT_MS)
}

/// Deletes a topic.
pub async fn delete_topic(connection: &mut Connection, name: &str) {
    let request = delete_topic_request(name);
    let response = connection.call(DELETE_TOPICS, &request).await;
    for result in response.expect("DeleteTopics is answered").responses {
        assert_eq!(result.error_code, 0, "{name}: {:?}", result.error_message);
    }
}

/// One record of this moment as a batch; `producer` is the idempotent producer's id and the
/// record's sequence.
pub fn batch(value: &str, producer: Option<(i64, i32)>) -> Bytes {
    let now = SystemClock::start().now().wall.0;
    batch_at(now, value, producer)
}

/// [`batch`] with another timestamp, in milliseconds.
pub fn batch_at(timestamp: i64, value: &str, producer: Option<(i64, i32)>) -> Bytes {
    let mut builder = BatchBuilder::new();
    if let Some((id, sequence)) = producer {
        builder = builder.producer(id, 0, sequence);
    }
    builder
        .append(timestamp, None, Some(value.as_bytes()), &[])
        .expect("a small record fits");
    builder.build().expect("a small batch can be built")
}

/// A request that produces one batch to partition 0 of a topic.
pub fn produce_request(name: &str, batch: Bytes, acks: i16) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(topic(name))
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(TIMEOUT_MS)
        .with_topic_data(vec![topic])
}

/// The only partition of a response.
pub fn produced(response: ProduceResponse) -> PartitionProduceResponse {
    let mut topics = response.responses.into_iter();
    let topic = topics.next().expect("the response has the topic");
    let mut partitions = topic.partition_responses.into_iter();
    partitions.next().expect("the response has the partition")
}

/// Produces one batch to partition 0 and returns its base offset.
pub async fn produce(connection: &mut Connection, name: &str, batch: Bytes, acks: i16) -> i64 {
    let request = produce_request(name, batch, acks);
    let response = connection.call(PRODUCE, &request).await;
    let partition = produced(response.expect("Produce is answered"));
    assert_eq!(partition.error_code, 0, "{partition:?}");
    partition.base_offset
}

/// A request for partition 0 of a topic from `offset` on that waits up to `max_wait_ms` for
/// `min_bytes`.
pub fn fetch_request(name: &str, offset: i64, max_wait_ms: i32, min_bytes: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_partition_max_bytes(NO_LIMIT);
    let topic = FetchTopic::default()
        .with_topic(topic(name))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(min_bytes)
        .with_max_bytes(NO_LIMIT)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// The values of uncompressed records in a response for one partition, with their offsets.
pub fn fetched(response: &FetchResponse) -> Vec<(i64, String)> {
    assert_eq!(response.error_code, 0);
    let partitions = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions);
    let mut values = Vec::new();
    for partition in partitions {
        assert_eq!(partition.error_code, 0);
        let bytes = partition.records.clone().unwrap_or_default();
        for batch in Batches::new(&bytes) {
            values_of(&batch.expect("the broker sends whole batches"), &mut values);
        }
    }
    values
}

fn values_of(batch: &BatchView<'_>, values: &mut Vec<(i64, String)>) {
    for record in Records::new(batch.records_bytes(), batch.records_count) {
        let record = record.expect("the record is good");
        let value = String::from_utf8_lossy(record.value.unwrap_or_default());
        let offset = batch.base_offset + i64::from(record.offset_delta);
        values.push((offset, value.into_owned()));
    }
}

/// Where partition 0 starts, and its records from `offset` on.
pub async fn read_from(
    connection: &mut Connection,
    name: &str,
    offset: i64,
) -> (i64, Vec<(i64, String)>) {
    let request = fetch_request(name, offset, 0, 0);
    let response = connection.call(FETCH, &request).await;
    let response = response.expect("Fetch is answered");
    let start = response.responses[0].partitions[0].log_start_offset;
    (start, fetched(&response))
}

/// All records of partition 0 from the start: offsets and values.
pub async fn read_all(connection: &mut Connection, name: &str) -> Vec<(i64, String)> {
    read_from(connection, name, 0).await.1
}

/// The end of partition 0 as consumers see it.
pub async fn latest_offset(connection: &mut Connection, name: &str) -> i64 {
    let partition = ListOffsetsPartition::default().with_timestamp(LATEST);
    let topic = ListOffsetsTopic::default()
        .with_name(topic(name))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let response = connection.call(LIST_OFFSETS, &request).await;
    let response = response.expect("ListOffsets is answered");
    let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let partition = partitions.next().expect("the response has the partition");
    assert_eq!(partition.error_code, 0);
    partition.offset
}

/// The cluster: brokers and all topics.
pub async fn metadata(connection: &mut Connection) -> MetadataResponse {
    let request = MetadataRequest::default().with_topics(None);
    let response = connection.call(METADATA, &request).await;
    response.expect("Metadata is answered")
}

/// A new idempotent producer's id.
pub async fn producer_id(connection: &mut Connection) -> i64 {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(TIMEOUT_MS)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let response = connection.call(INIT_PRODUCER_ID, &request).await;
    let response = response.expect("InitProducerId is answered");
    assert_eq!(response.error_code, 0);
    response.producer_id.0
}

/// Commits the offset of partition 0 for a group without members; the error code.
pub async fn commit(connection: &mut Connection, group: &str, name: &str, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic(name))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let response = connection.call(OFFSET_COMMIT, &request).await;
    let response = response.expect("OffsetCommit is answered");
    response.topics[0].partitions[0].error_code
}

/// The committed offset of partition 0, or the error code.
pub async fn committed(connection: &mut Connection, group: &str, name: &str) -> Result<i64, i16> {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(topic(name))
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![topic]));
    let response = connection.call(OFFSET_FETCH, &request).await;
    let response = response.expect("OffsetFetch is answered");
    match response.error_code {
        0 => Ok(response.topics[0].partitions[0].committed_offset),
        error => Err(error),
    }
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
