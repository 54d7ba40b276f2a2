//! What the tests of this folder share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use integration_tests::harness::calls::{self, FETCH};
use integration_tests::harness::cluster::{Cluster, for_each_cluster, unique};
use integration_tests::harness::proxy::{Intercepted, Proxy, Verdict};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::OwnedMessage;
use rdkafka::{Offset, TopicPartitionList};
use tidemark_client::consumer::{Consumer, ConsumerConfig, ConsumerRecord, OffsetReset};
use tidemark_client::producer::{Counts, Producer, ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig, TopicPartition};
use tidemark_protocol::StrBytes;
use tidemark_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use tidemark_protocol::messages::{BrokerId, ListOffsetsRequest, MetadataRequest, TopicName};
use tidemark_protocol::records::{BatchHeader, Batches};

/// For what ends long before. Not a demand on speed.
pub(crate) const LONG: Duration = Duration::from_secs(300);

/// A client's configuration that tries again quickly.
pub(crate) fn config(bootstrap: &str) -> ClientConfig {
    let millis = Duration::from_millis;
    ClientConfig::new(bootstrap)
        .client_id("test")
        .retry_backoff(millis(5), millis(50))
        .reconnect_backoff(millis(2), millis(50))
}

/// A client of it.
pub(crate) fn client(bootstrap: &str) -> Client {
    Client::new(config(bootstrap)).unwrap()
}

/// A topic that is served, under a name of its own.
pub(crate) async fn topic(cluster: &Cluster, what: &str, partitions: i32) -> Arc<str> {
    topic_with(cluster, what, partitions, &[]).await
}

/// The same with settings.
pub(crate) async fn topic_with(
    cluster: &Cluster,
    what: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Arc<str> {
    let name = unique(what);
    let mut connection = calls::connect(&cluster.bootstrap()).await;
    calls::create_served_topic(&mut connection, &name, partitions, settings).await;
    name.into()
}

/// Partition 0 of a topic, where its number does not matter.
pub(crate) fn first(topic: &Arc<str>) -> TopicPartition {
    TopicPartition::new(Arc::clone(topic), 0)
}

/// A consumer of these partitions from their beginnings.
pub(crate) fn reader(
    client: &Client,
    partitions: impl IntoIterator<Item = TopicPartition>,
) -> Consumer {
    let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
    let mut consumer = client.consumer(config).unwrap();
    consumer.assign(partitions).unwrap();
    consumer
}

/// The next records, so many of them.
pub(crate) async fn take(consumer: &mut Consumer, count: usize) -> Vec<ConsumerRecord> {
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        records.push(consumer.recv().await.unwrap());
    }
    records
}

/// The values of records as text.
pub(crate) fn values(records: &[ConsumerRecord]) -> Vec<String> {
    records.iter().map(value).collect()
}

/// The value of a record as text.
pub(crate) fn value(record: &ConsumerRecord) -> String {
    String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap()
}

/// All that a partition holds now, read by a client of its own.
pub(crate) async fn read_all(bootstrap: &str, partition: &TopicPartition) -> Vec<ConsumerRecord> {
    let end = end_offset(bootstrap, partition).await;
    let client = client(bootstrap);
    let mut consumer = reader(&client, [partition.clone()]);
    let mut records = Vec::new();
    while end > 0 && consumer.position(partition).is_none_or(|at| at < end) {
        records.push(consumer.recv().await.unwrap());
    }
    consumer.close().await.unwrap();
    records
}

/// Where a partition ends, asked past the client under test.
pub(crate) async fn end_offset(bootstrap: &str, partition: &TopicPartition) -> i64 {
    let asked = ListOffsetsPartition::default()
        .with_partition_index(partition.partition)
        .with_timestamp(-1);
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(StrBytes::from_string(
            partition.topic.to_string(),
        )))
        .with_partitions(vec![asked]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let mut connection = calls::connect(bootstrap).await;
    let response = connection.call(7, &request).await.unwrap();
    let answer = &response.topics[0].partitions[0];
    assert_eq!(answer.error_code, 0, "{partition}");
    answer.offset
}

/// The headers of the batches in partition 0, read past the client under test.
pub(crate) async fn headers(bootstrap: &str, topic: &str) -> Vec<BatchHeader> {
    let mut connection = calls::connect(bootstrap).await;
    let end = calls::latest_offset(&mut connection, topic).await;
    let mut headers: Vec<BatchHeader> = Vec::new();
    let mut next = 0;
    while next < end {
        let request = calls::fetch_request(topic, next, 0, 0);
        let response = connection.call(FETCH, &request).await.unwrap();
        let records = response.responses[0].partitions[0].records.clone().unwrap();
        headers.extend(Batches::new(&records).map(|batch| batch.unwrap().header()));
        next = headers.last().unwrap().next_offset();
    }
    headers
}

/// A producer with this configuration.
pub(crate) fn producer(client: &Client, config: ProducerConfig) -> Producer {
    client.producer(config).unwrap()
}

/// Sends values to partition 0 and waits for all of them.
pub(crate) async fn produce(bootstrap: &str, topic: &Arc<str>, values: &[&str]) {
    let producer = producer(&client(bootstrap), ProducerConfig::new());
    for value in values {
        let record = ProducerRecord::to(Arc::clone(topic)).partition(0);
        let record = record.value(Bytes::copy_from_slice(value.as_bytes()));
        drop(producer.send(&record).await.unwrap());
    }
    let delivered = values.len() as u64;
    let all = Counts {
        delivered,
        failed: 0,
    };
    assert_eq!(producer.close(LONG).await, all);
}

/// Runs a test on both brokers as [`for_each_cluster`] does, with a proxy in front: clients that
/// connect to it stay with it, because it tells them that the broker is where it is. Raw
/// connections to `cluster.bootstrap()` go past it. Scripts are to be set with [`script`].
pub(crate) async fn behind_a_proxy(test: impl AsyncFn(&Cluster, &Proxy)) {
    for_each_cluster(async |cluster| {
        let proxy = Proxy::intercept(|_| Verdict::Pass).await;
        script(&proxy, |_| None);
        proxy.forward_to(&cluster.bootstrap());
        test(cluster, &proxy).await;
    })
    .await;
}

/// What is to become of requests; `None` is nothing special.
pub(crate) fn script(
    proxy: &Proxy,
    mut decide: impl FnMut(&Intercepted) -> Option<Verdict> + Send + 'static,
) {
    let address = proxy.address();
    let (host, port) = address.rsplit_once(':').unwrap();
    let (host, port) = (host.to_owned(), port.parse().unwrap());
    proxy.set_script(move |request| decide(request).unwrap_or_else(|| here(request, &host, port)));
}

/// Lets a request pass. Clients are to think that the broker is here.
fn here(request: &Intercepted, host: &str, port: i32) -> Verdict {
    if !request.is::<MetadataRequest>() {
        return Verdict::Pass;
    }
    let host = StrBytes::from_string(host.to_owned());
    request.rewrite::<MetadataRequest>(move |response| {
        for broker in &mut response.brokers {
            broker.host = host.clone();
            broker.port = port;
        }
    })
}

/// Calls what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// What librdkafka reads of a partition, so many records from the beginning.
pub(crate) async fn read_by_librdkafka(
    bootstrap: &str,
    partition: &TopicPartition,
    count: usize,
) -> Vec<OwnedMessage> {
    let (bootstrap, partition) = (bootstrap.to_owned(), partition.clone());
    blocking(move || {
        let mut config = rdkafka::ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "nobody")
            .set("check.crcs", "true");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&partition.topic, partition.partition, Offset::Beginning)
            .unwrap();
        consumer.assign(&assignment).unwrap();
        let mut messages = Vec::new();
        while messages.len() < count {
            let polled = consumer.poll(LONG).expect("librdkafka reads what is there");
            messages.push(polled.unwrap().detach());
        }
        messages
    })
    .await
}

/// Why a producer and a consumer of this client cannot do anything, in their words.
pub(crate) async fn failures(client: &Client) -> [String; 2] {
    let config = ProducerConfig::new().max_block(Duration::from_millis(500));
    let producer = producer(client, config);
    let record = ProducerRecord::to("topic");
    let by_producer = producer.send(&record).await.unwrap_err();
    let mut consumer = reader(client, [TopicPartition::new("topic", 0)]);
    let by_consumer = consumer.recv().await.unwrap_err();
    [by_producer.to_string(), by_consumer.to_string()]
}
