//! A broker to talk to, and the messages that most tests send.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use integration_tests::harness::calls::{Connection, RawError};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, FetchRequest, FetchResponse, ProduceRequest,
    ProduceResponse, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::{Environment, ManualClock, MemoryDisk};
use tidemark_broker::net::Connector;
use tidemark_broker::types::Timestamp;
use tidemark_broker::{Broker, Handle};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::records::{BatchBuilder, Batches, Compression, Records};
use uuid::Uuid;

/// The time a manual clock starts at, in milliseconds.
pub(crate) const START: i64 = 1_700_000_000_000;

/// A broker in this process, in memory.
pub(crate) struct Server {
    handle: Handle,
    config: BrokerConfig,
    environment: Environment,
    pub(crate) disk: MemoryDisk,
}

impl Server {
    pub(crate) async fn start(pairs: &[(&str, &str)]) -> Self {
        let environment = Environment::in_memory();
        Self::with(pairs, environment).await
    }

    /// A broker whose clock stands still until the test moves it.
    pub(crate) async fn with_clock(pairs: &[(&str, &str)]) -> (Self, ManualClock) {
        let clock = ManualClock::new(Timestamp(START));
        let environment = Environment {
            clock: Arc::new(clock.clone()),
            ..Environment::in_memory()
        };
        (Self::with(pairs, environment).await, clock)
    }

    async fn with(pairs: &[(&str, &str)], environment: Environment) -> Self {
        let base = [
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("tidemark.http.listener", "none"),
            ("offsets.topic.num.partitions", "3"),
            ("group.initial.rebalance.delay.ms", "0"),
        ];
        let pairs = base.iter().chain(pairs).copied();
        let config = BrokerConfig::from_pairs(pairs).expect("the options are valid");
        let disk = MemoryDisk::new();
        let environment = Environment {
            disk: Arc::new(disk.clone()),
            ..environment
        };
        Self::run(config, environment, disk).await
    }

    async fn run(config: BrokerConfig, environment: Environment, disk: MemoryDisk) -> Self {
        let handle = Broker::start(config.clone(), environment.clone())
            .await
            .expect("the broker starts");
        Self {
            handle,
            config,
            environment,
            disk,
        }
    }

    pub(crate) fn address(&self) -> String {
        self.handle.bootstrap()
    }

    /// What connects without a socket.
    pub(crate) fn connector(&self) -> Connector {
        self.handle.connector()
    }

    /// Where HTTP is served, if the options say that it is.
    pub(crate) fn http(&self) -> std::net::SocketAddr {
        self.handle.http_address().expect("HTTP is served")
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::connect(self.address(), "wire-test")
            .await
            .expect("the broker accepts")
    }

    pub(crate) async fn stop(self) {
        self.handle.shutdown().await.expect("the broker stops");
    }

    pub(crate) async fn kill(self) {
        self.handle.kill().await;
    }

    /// Stops in order and starts again on the same disk.
    pub(crate) async fn restart(self) -> Self {
        self.handle.shutdown().await.expect("the broker stops");
        Self::run(self.config, self.environment, self.disk).await
    }

    /// The power goes, and comes back.
    pub(crate) async fn crash(self, seed: u64) -> Self {
        self.handle.kill().await;
        self.disk.crash(seed);
        Self::run(self.config, self.environment, self.disk).await
    }
}

/// What the future has come to, if it has.
pub(crate) async fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    std::future::poll_fn(|cx| {
        Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn named(name: &str) -> TopicName {
    TopicName(text(name))
}

/// The answer of the connection to a small question: it is alive and in step.
pub(crate) async fn alive(connection: &mut Connection) {
    let answer = connection.call(0, &ApiVersionsRequest::default()).await;
    assert_eq!(answer.expect("the connection is alive").error_code, 0);
}

/// The broker has closed the connection, and said nothing before.
pub(crate) async fn closed(connection: &mut Connection, story: &str) {
    match connection.receive_frame().await {
        Err(RawError::Closed | RawError::Io(_)) => {}
        other => panic!("{story}: {other:?}"),
    }
}

pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len()).expect("a small frame");
    [&length.to_be_bytes(), body].concat()
}

/// A request of this key and version with this body, as a frame. No client id.
pub(crate) fn request(key: i16, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(correlation_id.to_be_bytes());
    bytes.extend((-1_i16).to_be_bytes());
    if tidemark_protocol::api::request_header_version(key, version).is_some_and(|v| v >= 2) {
        bytes.push(0);
    }
    bytes.extend(body);
    frame(&bytes)
}

pub(crate) fn encoded<R: Request>(version: i16, correlation_id: i32, request: &R) -> BytesMut {
    tidemark_protocol::frame::encode_request(version, correlation_id, None, request)
        .expect("the request fits its version")
}

/// A topic that has been created.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    pub(crate) id: Uuid,
}

pub(crate) fn creatable(name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let configs = configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    });
    CreatableTopic::default()
        .with_name(named(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect())
}

pub(crate) fn create_request(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(30_000)
}

pub(crate) async fn create(connection: &mut Connection, name: &str, partitions: i32) -> Topic {
    create_with(connection, name, partitions, &[]).await
}

pub(crate) async fn create_with(
    connection: &mut Connection,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Topic {
    let request = create_request(vec![creatable(name, partitions, configs)]);
    let response = connection.call(7, &request).await.expect("an answer");
    let [topic] = response.topics.as_slice() else {
        panic!("one topic: {response:?}")
    };
    assert_eq!(topic.error_code, 0, "{topic:?}");
    Topic {
        name: topic.name.clone(),
        id: topic.topic_id,
    }
}

/// A batch of records with keys; the timestamps are in the past, whatever the clock.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    let timed: Vec<_> = values.iter().map(|value| (1_000, *value)).collect();
    batch_at(&timed)
}

pub(crate) fn batch_at(timed: &[(i64, &str)]) -> Bytes {
    fill(BatchBuilder::new(), timed)
}

/// A batch of an idempotent producer, written at [`START`]: a producer that has written nothing for
/// a day is forgotten, and that is counted from its last timestamp.
pub(crate) fn batch_of(producer: i64, epoch: i16, sequence: i32, values: &[&str]) -> Bytes {
    let timed: Vec<_> = values.iter().map(|value| (START, *value)).collect();
    fill(
        BatchBuilder::new().producer(producer, epoch, sequence),
        &timed,
    )
}

pub(crate) fn packed(codec: Compression, values: &[&str]) -> Bytes {
    let timed: Vec<_> = values.iter().map(|value| (1_000, *value)).collect();
    fill(BatchBuilder::new().compression(codec, None), &timed)
}

fn fill(mut builder: BatchBuilder, timed: &[(i64, &str)]) -> Bytes {
    for (timestamp, value) in timed {
        builder
            .append(*timestamp, Some(b"key"), Some(value.as_bytes()), &[])
            .expect("a small batch");
    }
    builder.build().expect("a small batch")
}

/// A produce request for one partition in the shape of `version`.
pub(crate) fn produce_request(
    version: i16,
    topic: &Topic,
    partition: i32,
    acks: i16,
    records: Option<Bytes>,
) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(records);
    let topic_data = TopicProduceData::default().with_partition_data(vec![data]);
    let topic_data = if version >= 13 {
        topic_data.with_topic_id(topic.id)
    } else {
        topic_data.with_name(topic.name.clone())
    };
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic_data])
}

pub(crate) fn only_produced(response: &ProduceResponse) -> &PartitionProduceResponse {
    let [topic] = response.responses.as_slice() else {
        panic!("one topic: {response:?}")
    };
    let [partition] = topic.partition_responses.as_slice() else {
        panic!("one partition: {topic:?}")
    };
    partition
}

/// Produces with acks=all and returns what is said of the partition.
pub(crate) async fn try_produce(
    connection: &mut Connection,
    topic: &Topic,
    partition: i32,
    records: Bytes,
) -> PartitionProduceResponse {
    let request = produce_request(12, topic, partition, -1, Some(records));
    let response = connection.call(12, &request).await.expect("an answer");
    only_produced(&response).clone()
}

/// Produces with acks=all, which must work, and returns the base offset.
pub(crate) async fn produce(
    connection: &mut Connection,
    topic: &Topic,
    partition: i32,
    records: Bytes,
) -> i64 {
    let response = try_produce(connection, topic, partition, records).await;
    assert_eq!(response.error_code, 0, "{response:?}");
    response.base_offset
}

/// Partition, offset, bytes at most.
pub(crate) type Place = (i32, i64, i32);

/// Everything that can be had at once, outside of a session, in the shape of `version`.
pub(crate) fn fetch_request(version: i16, topic: &Topic, places: &[Place]) -> FetchRequest {
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_topics(vec![fetch_topic(version, topic, places)])
}

pub(crate) fn fetch_topic(version: i16, topic: &Topic, places: &[Place]) -> FetchTopic {
    let partitions = places.iter().map(|(partition, offset, max_bytes)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(*max_bytes)
    });
    let asked = FetchTopic::default().with_partitions(partitions.collect());
    if version >= 13 {
        asked.with_topic_id(topic.id)
    } else {
        asked.with_topic(topic.name.clone())
    }
}

/// The partitions of an answer, in its order.
pub(crate) fn fetched(response: &FetchResponse) -> Vec<&PartitionData> {
    assert_eq!(response.error_code, 0, "{response:?}");
    let topics = response.responses.iter();
    topics.flat_map(|topic| &topic.partitions).collect()
}

pub(crate) fn only_fetched(response: &FetchResponse) -> &PartitionData {
    let partitions = fetched(response);
    assert_eq!(partitions.len(), 1, "{response:?}");
    partitions[0]
}

/// Fetches partition 0 from an offset on.
pub(crate) async fn fetch(
    connection: &mut Connection,
    topic: &Topic,
    offset: i64,
) -> PartitionData {
    let request = fetch_request(16, topic, &[(0, offset, 1 << 20)]);
    let response = connection.call(16, &request).await.expect("an answer");
    only_fetched(&response).clone()
}

/// Offset and value of every record in a partition's data; every batch is whole and its CRC good.
pub(crate) fn values(data: &PartitionData) -> Vec<(i64, String)> {
    let bytes = data.records.clone().unwrap_or_default();
    let mut found = Vec::new();
    for batch in Batches::new(&bytes) {
        let batch = batch.expect("a whole batch");
        batch.validate_crc().expect("a good crc");
        let section = batch.uncompressed_records(1 << 24).expect("it opens");
        for record in Records::new(&section, batch.records_count) {
            let record = record.expect("a good record");
            let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
            found.push((batch.base_offset + i64::from(record.offset_delta), value));
        }
    }
    found
}

/// Sends a request that the broker parks, and returns once it is parked: the broker has answered
/// what was sent before it in the same breath.
pub(crate) async fn park<R: Request>(connection: &mut Connection, version: i16, request: &R) {
    let before = ApiVersionsRequest::default();
    connection.send(0, &before).await.expect("it is sent");
    connection.send(version, request).await.expect("it is sent");
    let answer = connection.receive::<ApiVersionsRequest>(0).await;
    assert_eq!(answer.expect("an answer").error_code, 0);
}

/// Kafka's number of an error.
pub(crate) fn number(error: ErrorCode) -> i16 {
    error.code()
}
