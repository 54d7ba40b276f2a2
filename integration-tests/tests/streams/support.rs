//! A broker, its topics, and what is written and read.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use integration_tests::harness::embedded::{self, Embedded};
use tidemark_broker::environment::Environment;
use tidemark_client::admin::{Mode, NewTopic};
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, TopicPartition};
use tidemark_streams::{Data, Payload, StreamsBuilder, StreamsConfig, Topology};

pub(crate) async fn broker(dir: &Path) -> Embedded {
    // Records are of 1970 here: nothing is to be deleted by time.
    let kept = [("log.retention.ms", "-1")];
    embedded::start(dir, Environment::real(), &kept).await
}

/// A broker with these topics, its data in a directory that goes with the test, and a client.
pub(crate) async fn started(topics: &[(&str, i32)]) -> (tempfile::TempDir, Embedded, Client) {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path()).await;
    let client = Client::connect(&broker.bootstrap()).unwrap();
    make(&client, topics).await;
    (dir, broker, client)
}

pub(crate) async fn make(client: &Client, topics: &[(&str, i32)]) {
    let topics = topics
        .iter()
        .map(|(name, count)| NewTopic::new(*name).partitions(*count));
    let made = client
        .admin()
        .create_topics(topics, Mode::Apply)
        .await
        .unwrap();
    made.all().unwrap();
}

/// Writes records; the key chooses the partition.
pub(crate) async fn write(
    client: &Client,
    topic: &str,
    records: impl IntoIterator<Item = (String, String, i64)>,
) {
    let producer = client.producer(ProducerConfig::new()).unwrap();
    for (key, value, timestamp) in records {
        let record = ProducerRecord::to(topic)
            .key(key)
            .value(value)
            .timestamp(timestamp);
        drop(producer.send(&record).await.unwrap());
    }
    assert_eq!(producer.close(Duration::from_secs(30)).await.failed, 0);
}

/// All records of a topic.
pub(crate) async fn read<K: Data, V: Data>(client: &Client, topic: &str) -> Vec<(K, V)> {
    let mut consumer = client
        .consumer(ConsumerConfig::new().offset_reset(OffsetReset::Earliest))
        .unwrap();
    let described = client
        .admin()
        .describe_topics([topic])
        .await
        .unwrap()
        .all()
        .unwrap();
    let count = described[topic].partitions.len() as i32;
    let partitions: Vec<_> = (0..count)
        .map(|at| TopicPartition::new(topic, at))
        .collect();
    let ends = partitions
        .iter()
        .cloned()
        .map(|p| (p, tidemark_client::admin::OffsetSpec::Latest));
    let isolation = tidemark_client::consumer::IsolationLevel::ReadUncommitted;
    let ends = client
        .admin()
        .list_offsets(ends, isolation)
        .await
        .unwrap()
        .all()
        .unwrap();
    let total: i64 = ends.values().map(|end| end.offset.unwrap()).sum();
    consumer.assign(partitions).unwrap();
    let mut records = Vec::new();
    while (records.len() as i64) < total {
        let record = consumer.recv().await.unwrap();
        let key = K::decode(Payload::new(record.key.as_deref())).unwrap();
        let value = V::decode(Payload::new(record.value.as_deref())).unwrap();
        records.push((key, value));
    }
    consumer.close().await.unwrap();
    records
}

/// The last value of each key.
pub(crate) async fn latest<K: Data + Ord, V: Data>(client: &Client, topic: &str) -> BTreeMap<K, V> {
    read(client, topic).await.into_iter().collect()
}

pub(crate) fn config(broker: &Embedded, application: &str) -> StreamsConfig {
    StreamsConfig::new(application, &broker.bootstrap()).commit_interval(Duration::from_millis(50))
}

/// Counts the words of a topic of lines.
pub(crate) fn word_count() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), String>("text")
        .flat_map_values(|line| {
            let words = line.split_whitespace().map(str::to_owned);
            words.collect::<Vec<_>>()
        })
        .group_by(|_, word| word.clone())
        .count()
        .to_stream()
        .to("word_counts");
    builder.build().unwrap()
}

/// Lines, and how often each word is in them.
pub(crate) fn lines(
    seed: u64,
    count: usize,
) -> (Vec<(String, String, i64)>, BTreeMap<String, i64>) {
    let mut state = seed;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut expected = BTreeMap::new();
    let mut lines = Vec::new();
    for at in 0..count {
        let words: Vec<String> = (0..=next(6)).map(|_| format!("word{}", next(50))).collect();
        for word in &words {
            *expected.entry(word.clone()).or_insert(0) += 1;
        }
        lines.push((format!("line{at}"), words.join(" "), at as i64));
    }
    (lines, expected)
}

/// Waits for something to be so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    until_found(what, async || so().then_some(())).await;
}

/// As [`until`], with what is asked of a cluster and found there.
pub(crate) async fn until_found<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let clock = tidemark_client::Clock::system();
    let deadline = clock.deadline(Duration::from_secs(60));
    loop {
        if let Some(found) = find().await {
            return found;
        }
        assert!(clock.now().millis < deadline, "still waiting for {what}");
        clock.sleep(Duration::from_millis(5)).await;
    }
}
