//! Consumers that share a topic as a group.

mod listeners;
mod mixed;
mod network;
mod offsets;
mod reader;
mod rebalance;
mod statics;
mod topics;

use std::collections::BTreeSet;
use std::sync::Arc;

use integration_tests::harness::calls;
use integration_tests::harness::cluster::{Cluster, for_each_cluster, unique};
use tidemark_client::admin::OffsetsOf;
use tidemark_client::consumer::assignor::{Assignor, CooperativeSticky, Range, RoundRobin, Sticky};
use tidemark_client::consumer::{Consumer, ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig, TopicPartition};

use reader::{number, read_all, settle};

const PARTITIONS: i32 = 6;

/// A topic and a group that reads it.
struct Site {
    client: Client,
    bootstrap: String,
    topic: String,
    group: String,
}

impl Site {
    async fn new(cluster: &Cluster) -> Self {
        Self::at(&cluster.bootstrap()).await
    }

    async fn at(bootstrap: &str) -> Self {
        let topic = unique("groups");
        let mut connection = calls::connect(bootstrap).await;
        calls::create_served_topic(&mut connection, &topic, PARTITIONS, &[]).await;
        Self {
            client: client(bootstrap),
            bootstrap: bootstrap.to_owned(),
            topic,
            group: unique("group"),
        }
    }

    fn config(&self) -> ConsumerConfig {
        ConsumerConfig::group(&self.group)
            .offset_reset(OffsetReset::Earliest)
            .heartbeat_interval(std::time::Duration::from_millis(100))
    }

    fn config_with(&self, assignor: &str) -> ConsumerConfig {
        self.config().assignors(vec![named(assignor)])
    }

    /// A consumer that has subscribed to the topic.
    fn member(&self, config: ConsumerConfig) -> Consumer {
        let mut consumer = self.client.consumer(config).unwrap();
        consumer.subscribe([self.topic.as_str()]).unwrap();
        consumer
    }

    async fn write(&self, values: std::ops::Range<i32>) {
        write(&self.client, &self.topic, values).await;
    }

    /// What the group has committed, of all partitions of the topic together.
    async fn committed(&self) -> i64 {
        let admin = self.client.admin();
        let asked = [(self.group.as_str(), OffsetsOf::All)];
        let mut offsets = admin.group_offsets(asked).await.unwrap().all().unwrap();
        let offsets = offsets.remove(&self.group).unwrap().all().unwrap();
        let offsets = offsets.iter().filter(|(key, _)| *key.topic == *self.topic);
        offsets
            .map(|(_, at)| at.as_ref().map_or(0, |at| at.offset))
            .sum()
    }

    /// Waits until that much is committed.
    async fn until_committed(&self, wanted: i64) {
        // Each is a question to the broker; the number is an end to a hang, not a limit on time.
        for _ in 0..100_000 {
            if self.committed().await == wanted {
                return;
            }
        }
        panic!(
            "{} instead of {wanted} are committed",
            self.committed().await
        );
    }
}

/// One that soon sees what is new.
fn client(bootstrap: &str) -> Client {
    let age = std::time::Duration::from_millis(300);
    Client::new(ClientConfig::new(bootstrap).metadata_max_age(age)).unwrap()
}

fn named(assignor: &str) -> Arc<dyn Assignor> {
    match assignor {
        "range" => Arc::new(Range),
        "roundrobin" => Arc::new(RoundRobin),
        "sticky" => Arc::new(Sticky),
        _ => Arc::new(CooperativeSticky),
    }
}

async fn write(client: &Client, topic: &str, values: std::ops::Range<i32>) {
    let producer = client.producer(ProducerConfig::new()).unwrap();
    let mut deliveries = Vec::new();
    for value in values {
        let record = ProducerRecord::to(topic)
            .key(format!("key{value}"))
            .value(value.to_string());
        deliveries.push(producer.send(&record).await.unwrap());
    }
    producer.flush().await;
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

async fn read(consumer: &mut Consumer, count: usize) -> BTreeSet<i32> {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let value = number(&consumer.recv().await.unwrap());
        assert!(seen.insert(value), "{value} twice");
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_goes_on_where_the_one_before_it_stopped() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        site.write(0..100).await;
        let mut first = site.member(site.config());
        assert_eq!(read(&mut first, 100).await, (0..100).collect());
        first.close().await.unwrap();
        site.write(100..150).await;
        let mut second = site.member(site.config());
        assert_eq!(read(&mut second, 50).await, (100..150).collect());
        second.commit().await.unwrap();
        assert_eq!(site.committed().await, 150);
        second.close().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_groups_read_a_topic_each_for_itself() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        site.write(0..60).await;
        let other = Site {
            group: unique("group"),
            client: client(&site.bootstrap),
            ..Site::new(cluster).await
        };
        let mut one = site.member(site.config());
        let mut two = other.client.consumer(other.config()).unwrap();
        two.subscribe([site.topic.as_str()]).unwrap();
        let (first, second) = tokio::join!(read(&mut one, 60), read(&mut two, 60));
        assert_eq!(first, second);
        one.close().await.unwrap();
        assert_eq!(site.committed().await, 60);
        two.close().await.unwrap();
    })
    .await;
}
