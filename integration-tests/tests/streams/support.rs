//! A broker, its topics, and what is written and read.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use integration_tests::harness::embedded::{self, Embedded};
use tidemark_broker::environment::Environment;
use tidemark_client::admin::{Mode, NewTopic, OffsetSpec, OffsetsOf};
use tidemark_client::consumer::{ConsumerConfig, IsolationLevel, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, Clock, ErrorCode, TopicPartition};
use tidemark_streams::{
    Data, Payload, Streams, StreamsBuilder, StreamsConfig, StreamsError, Topology,
};

/// After how long a test gives up. Not a demand on speed: what takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Makes topics, and waits until they can be written to and read.
pub(crate) async fn make(client: &Client, topics: &[(&str, i32)]) {
    let topics = topics
        .iter()
        .map(|(name, count)| NewTopic::new(*name).partitions(*count));
    make_as(client, topics).await;
}

/// The same with more said of each.
pub(crate) async fn make_as(client: &Client, topics: impl IntoIterator<Item = NewTopic>) {
    let admin = client.admin();
    let made = admin.create_topics(topics, Mode::Apply).await.unwrap();
    let names: Vec<String> = made.all().unwrap().into_keys().collect();
    // Who has made a topic may be ahead of who tells of it.
    until_found("the topics to be known", async || {
        let described = admin.describe_topics(&names).await.unwrap();
        let unknown = [
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::LeaderNotAvailable,
        ];
        match described.all() {
            Ok(topics) => {
                let mut partitions = topics.values().flat_map(|topic| &topic.partitions);
                let led = partitions.all(|partition| partition.leader.is_some());
                led.then_some(())
            }
            Err(error) => {
                let code = error.code();
                assert!(code.is_some_and(|code| unknown.contains(&code)), "{error}");
                None
            }
        }
    })
    .await;
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

/// The partitions of topics.
pub(crate) async fn partitions(client: &Client, topics: &[&str]) -> Vec<TopicPartition> {
    let described = client.admin().describe_topics(topics.iter().copied()).await;
    let described = described.unwrap().all().unwrap();
    let mut partitions = Vec::new();
    for topic in topics {
        let count = described[*topic].partitions.len() as i32;
        partitions.extend((0..count).map(|at| TopicPartition::new(*topic, at)));
    }
    partitions
}

/// Offsets of partitions, in their order.
pub(crate) async fn offsets(
    client: &Client,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Vec<i64> {
    let wanted = partitions.iter().map(|partition| (partition.clone(), spec));
    let isolation = IsolationLevel::ReadUncommitted;
    let listed = client.admin().list_offsets(wanted, isolation).await;
    let listed: HashMap<_, _> = listed.unwrap().all().unwrap().into_iter().collect();
    let offset = |partition| listed[partition].offset.unwrap();
    partitions.iter().map(offset).collect()
}

/// How many records of topics a group has committed, of all their partitions.
pub(crate) async fn committed(client: &Client, group: &str, topics: &[impl AsRef<str>]) -> i64 {
    let asked = [(group, OffsetsOf::All)];
    let mut groups = client.admin().group_offsets(asked).await.unwrap();
    let Some(Ok(offsets)) = groups.remove(group) else {
        return 0;
    };
    let own = offsets.into_iter().filter(|(partition, _)| {
        let mut topics = topics.iter();
        topics.any(|topic| topic.as_ref() == &*partition.topic)
    });
    own.filter_map(|(_, offset)| Some(offset.unwrap()?.offset))
        .sum()
}

/// A record as it lies in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) timestamp: i64,
}

/// All records of a topic, as they lie there; those of a partition in their order.
pub(crate) async fn read_raw(client: &Client, topic: &str) -> Vec<Raw> {
    let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
    let mut consumer = client.consumer(config).unwrap();
    let partitions = partitions(client, &[topic]).await;
    let ends = offsets(client, &partitions, OffsetSpec::Latest).await;
    let starts = offsets(client, &partitions, OffsetSpec::Earliest).await;
    let total = ends.iter().sum::<i64>() - starts.iter().sum::<i64>();
    consumer.assign(partitions).unwrap();
    let mut records = Vec::new();
    while (records.len() as i64) < total {
        let what = format!("{topic}: {} of {total} records", records.len());
        let record = in_the_end(&what, consumer.recv()).await.unwrap();
        let header = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        records.push(Raw {
            partition: record.partition,
            key: record.key.map(|key| key.to_vec()),
            value: record.value.map(|value| value.to_vec()),
            headers: record
                .headers
                .iter()
                .map(|(name, value)| (header(name), value.as_ref().map(|value| value.to_vec())))
                .collect(),
            timestamp: record.timestamp,
        });
    }
    consumer.close().await.unwrap();
    records
}

/// Keys and values of a topic.
pub(crate) async fn read<K: Data, V: Data>(client: &Client, topic: &str) -> Vec<(K, V)> {
    let records = read_raw(client, topic).await.into_iter();
    let decoded = records.map(|record| {
        let key = K::decode(Payload::new(record.key.as_deref())).unwrap();
        let value = V::decode(Payload::new(record.value.as_deref())).unwrap();
        (key, value)
    });
    decoded.collect()
}

/// The last value of each key.
pub(crate) async fn latest<K: Data + Ord, V: Data>(client: &Client, topic: &str) -> BTreeMap<K, V> {
    read(client, topic).await.into_iter().collect()
}

pub(crate) fn config(broker: &Embedded, application: &str) -> StreamsConfig {
    config_at(&broker.bootstrap(), application)
}

pub(crate) fn config_at(bootstrap: &str, application: &str) -> StreamsConfig {
    StreamsConfig::new(application, bootstrap).commit_interval(Duration::from_millis(50))
}

/// Starts an application, and has it process all that there is.
pub(crate) async fn catch_up(topology: &Topology, config: StreamsConfig) {
    let streams = Streams::start(topology, config).await.unwrap();
    streams.run_until_caught_up().await.unwrap();
}

/// What ends an application that runs.
pub(crate) async fn failure(streams: &Streams) -> StreamsError {
    in_the_end("the application to fail", streams.failed()).await
}

/// Counts the words of a topic of lines.
pub(crate) fn word_count() -> Topology {
    word_count_of("text", "word_counts")
}

/// The same with other topics.
pub(crate) fn word_count_of(text: &str, counts: &str) -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), String>(text)
        .flat_map_values(|line| {
            let words = line.split_whitespace().map(str::to_owned);
            words.collect::<Vec<_>>()
        })
        .group_by(|_, word| word.clone())
        .count()
        .to_stream()
        .to(counts);
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

/// What something comes to, unless it never does.
pub(crate) async fn in_the_end<T>(what: &str, work: impl Future<Output = T>) -> T {
    let ended = Clock::system().timeout(PATIENCE, work).await;
    ended.unwrap_or_else(|| panic!("still waiting for {what}"))
}

/// Waits for something to be so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    until_found(what, async || so().then_some(())).await;
}

/// As [`until`], with what is asked of a cluster and found there.
pub(crate) async fn until_found<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    let deadline = clock.deadline(PATIENCE);
    loop {
        if let Some(found) = find().await {
            return found;
        }
        assert!(clock.now().millis < deadline, "still waiting for {what}");
        clock.sleep(Duration::from_millis(2)).await;
    }
}
