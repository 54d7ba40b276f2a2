//! A view on a broker in this process: every record once, through snapshots, restarts and damaged files.

mod clocks;
mod damage;
mod instances;
mod lost;
mod reader;
mod refusals;
mod restarts;
mod topics;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::Environment;
use tidemark_broker::{Broker, Handle};
use tidemark_client::admin::{Mode, NewTopic, RecordsBefore};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig, TopicPartition};

use super::*;
use crate::record::Record;
use crate::serving::aggregate::{PlaceCount, Places};
use crate::serving::batch::{Batch, BatchConfig, BatchOutcome};
use crate::serving::view::Keyed;

type Key = String;
type Free = Places<()>;

const TOPIC: &str = "events";

/// All records of the topic, by their keys.
fn view() -> View<Key, Free> {
    view_of("places", 1, &[TOPIC])
}

fn view_of(name: &str, version: u32, topics: &[&str]) -> View<Key, Free> {
    let view = View::new(name, version, Free::new());
    topics.iter().fold(view, |view, topic| {
        view.source(topic, |record: Record<String, Bytes>| {
            [Keyed::new(record.key, ())]
        })
    })
}

/// A broker in this process with the topic, and folders for snapshots and state.
struct Fixture {
    broker: Handle,
    client: Client,
    dir: TempDir,
}

impl Fixture {
    async fn start() -> Self {
        let options = [
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("tidemark.http.listener", "none"),
            ("log.dirs", "/lambda"),
            ("group.initial.rebalance.delay.ms", "0"),
        ];
        let config = BrokerConfig::from_pairs(options).unwrap();
        let broker = Broker::start(config, Environment::in_memory()).await;
        let broker = broker.unwrap();
        let client = Client::new(ClientConfig::new(&broker.bootstrap())).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let own = Self {
            broker,
            client,
            dir,
        };
        own.make(NewTopic::new(TOPIC).partitions(3)).await;
        own
    }

    async fn make(&self, topic: NewTopic) {
        let admin = self.client.admin();
        let made = admin.create_topics([topic], Mode::Apply).await;
        made.unwrap().all().unwrap();
    }

    /// The topic is another one from now on.
    async fn make_again(&self) {
        let deleted = self.client.admin().delete_topics([TOPIC]).await;
        deleted.unwrap().all().unwrap();
        self.make(NewTopic::new(TOPIC).partitions(3)).await;
    }

    /// The log loses what is in front of that offset.
    async fn lose(&self, partition: i32, before: i64) {
        let partition = TopicPartition::new(TOPIC, partition);
        let before = [(partition, RecordsBefore::Offset(before))];
        let deleted = self.client.admin().delete_records(before).await;
        deleted.unwrap().all().unwrap();
    }

    /// Writes so many events, to each partition and with each key in turn; gives the offsets that cover them.
    async fn write(&self, count: usize) -> Coverage {
        self.write_to(TOPIC, &[0, 1, 2], count).await
    }

    /// The same to some partitions of a topic.
    async fn write_to(&self, topic: &str, partitions: &[i32], count: usize) -> Coverage {
        let producer = self.client.producer(ProducerConfig::new()).unwrap();
        let mut deliveries = Vec::new();
        for number in 0..count {
            let record = ProducerRecord::to(topic)
                .key(Bytes::from(user(number % 5)))
                .value(Bytes::from_static(b"{}"))
                .partition(partitions[number % partitions.len()])
                .timestamp(number as i64);
            deliveries.push(producer.send(&record).await.unwrap());
        }
        let mut coverage = Coverage::new();
        for delivery in deliveries {
            let written = delivery.await.unwrap();
            let partition = written.partition.partition;
            let before = coverage.get(topic, partition);
            coverage.set(topic, partition, before.max(written.offset + 1));
        }
        coverage
    }

    fn config(&self) -> LambdaConfig {
        LambdaConfig::new(&self.broker.bootstrap(), self.snapshots())
            .state_dir(self.dir.path().join("state"))
            .cut_every(Duration::ZERO)
            .commit_interval(Duration::from_millis(50))
            .wait(Duration::from_secs(60))
            .batch(BatchConfig::new().checkpoint(40))
    }

    /// Starts the view.
    async fn keep<K: Data, A: Aggregate>(&self, view: View<K, A>) -> Lambda<K, A> {
        Lambda::start(view, self.config()).await.unwrap()
    }

    /// Runs outside of the view.
    fn batch(&self, config: BatchConfig) -> Batch<Key, Free> {
        let client = Arc::new(self.client.clone());
        let clock = Clock::system();
        Batch::local(Arc::new(view()), client, clock, &self.snapshots(), config).unwrap()
    }

    fn snapshots(&self) -> PathBuf {
        self.dir.path().join("snapshots")
    }

    /// All files in a folder of the view's, in order.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let (mut files, mut open) = (
            Vec::new(),
            vec![self.snapshots().join("places").join(folder)],
        );
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => open.push(path),
                    false => files.push(path),
                }
            }
        }
        files.sort();
        files
    }

    async fn end(self) {
        self.broker.shutdown().await.unwrap();
    }
}

fn user(number: usize) -> Key {
    format!("user{number}")
}

/// The status and the body of what is answered at a path.
async fn http(server: &Server, path: &str) -> (u16, serde_json::Value) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// What ends the view, which it does soon.
async fn failed<K: Data, A: Aggregate>(lambda: &Lambda<K, A>) -> String {
    let limit = Duration::from_secs(60);
    let failed = Clock::system().timeout(limit, lambda.failed()).await;
    failed.expect("the view goes on").to_string()
}

async fn close<K: Data, A: Aggregate>(lambda: Lambda<K, A>) {
    lambda.close(Duration::from_secs(60)).await.unwrap();
}

/// Asks again until there is something.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    for _ in 0..3_000 {
        if let Some(found) = ask().await {
            return found;
        }
        clock.sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain: {what}");
}

/// Partitions, each with the offsets of some records, in order.
type Offsets = BTreeMap<(u32, i32), Vec<i64>>;

/// What is found of each partition, in values of several keys: each offset once.
fn offsets(values: impl IntoIterator<Item = Vec<PlaceCount>>) -> Offsets {
    let mut found = Offsets::new();
    for place in values.into_iter().flatten() {
        assert_eq!(place.count, 1, "{place:?}");
        let partition = (place.topic, place.partition);
        found.entry(partition).or_default().push(place.offset);
    }
    found
        .values_mut()
        .for_each(|offsets| offsets.sort_unstable());
    found
}

/// All offsets of what is covered from where it begins on: none is without a record.
fn all_offsets(lambda: &Lambda<Key, Free>, begin: &Coverage, coverage: &Coverage) -> Offsets {
    let topics: Vec<&str> = lambda.view().topics().collect();
    let number = |topic: &str| topics.iter().position(|own| *own == topic).unwrap();
    let all = coverage.iter().map(|(topic, partition, to)| {
        let offsets = begin.get(topic, partition)..to;
        ((number(topic) as u32, partition), offsets.collect())
    });
    all.filter(|(_, offsets): &(_, Vec<i64>)| !offsets.is_empty())
        .collect()
}

/// A snapshot newer than that one has all of it, and so have answers that are read with it.
async fn renewed(lambda: &Lambda<Key, Free>, before: u64, end: &Coverage) {
    let snapshot = covered(lambda, end).await;
    assert!(snapshot > before);
    assert_eq!(check(lambda, end).await, Some(snapshot));
}

/// All records up to a coverage, which is all there is, are in the answers once: in those for each key, and
/// in a page of all of them. The snapshot that they are read with.
async fn check(lambda: &Lambda<Key, Free>, coverage: &Coverage) -> Option<u64> {
    check_from(lambda, &Coverage::new(), coverage).await
}

/// The same of what is left where a log has lost its beginning: answers say so, and have no other record.
async fn check_from(
    lambda: &Lambda<Key, Free>,
    begin: &Coverage,
    coverage: &Coverage,
) -> Option<u64> {
    let begins_there = |own: &Coverage| {
        for (topic, partition, _) in coverage.iter() {
            let places = (own.get(topic, partition), begin.get(topic, partition));
            assert_eq!(places.0, places.1, "{topic}-{partition}");
        }
    };
    lambda.covers(coverage).await.unwrap();
    let mut values = Vec::new();
    let mut snapshot = None;
    for key in 0..5 {
        let answer = lambda.get_at_least(&user(key), coverage).await.unwrap();
        assert!(answer.coverage.includes(coverage));
        begins_there(&answer.begin);
        values.push(answer.value.unwrap());
        snapshot = answer.snapshot;
    }
    let page = lambda.reader().range(.., 99, None).unwrap();
    begins_there(&page.begin);
    let rows = page.rows.into_iter().map(|row| row.value);
    let expected = all_offsets(lambda, begin, coverage);
    assert_eq!(offsets(values), expected);
    assert_eq!(offsets(rows), expected);
    snapshot
}

/// Runs batches until a snapshot has everything: a cut can be used when it has been saved and announced.
async fn covered<K: Data, A: Aggregate>(lambda: &Lambda<K, A>, coverage: &Coverage) -> u64 {
    let what = format!("a snapshot that covers {coverage}");
    let found = until(&what, async || {
        lambda.run_batch().await.unwrap();
        let loaded = lambda.site.current()?;
        let covers = loaded.manifest.coverage().includes(coverage);
        covers.then_some(loaded.manifest.snapshot)
    });
    found.await
}
