//! Consumers that share a topic as a group.

use std::collections::BTreeSet;

use integration_tests::harness::cluster::{for_each_cluster, unique};
use tidemark_client::consumer::{Consumer, ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, TopicPartition};

use integration_tests::harness::calls;

async fn topic(bootstrap: &str, partitions: i32) -> String {
    let topic = unique("groups");
    let mut connection = calls::connect(bootstrap).await;
    calls::create_served_topic(&mut connection, &topic, partitions, &[]).await;
    topic
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

fn member(client: &Client, group: &str, topic: &str) -> Consumer {
    let config = ConsumerConfig::group(group).offset_reset(OffsetReset::Earliest);
    let mut consumer = client.consumer(config).unwrap();
    consumer.subscribe([topic]).unwrap();
    consumer
}

async fn read(consumer: &mut Consumer, count: usize) -> BTreeSet<i32> {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let record = consumer.recv().await.unwrap();
        let text = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        assert!(seen.insert(text.parse().unwrap()), "{text} twice");
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_goes_on_where_the_one_before_it_stopped() {
    for_each_cluster(async |cluster| {
        let client = Client::connect(&cluster.bootstrap()).unwrap();
        let topic = topic(&cluster.bootstrap(), 3).await;
        let group = unique("group");
        write(&client, &topic, 0..100).await;
        let mut first = member(&client, &group, &topic);
        assert_eq!(read(&mut first, 100).await, (0..100).collect());
        first.close().await.unwrap();
        write(&client, &topic, 100..150).await;
        let mut second = member(&client, &group, &topic);
        assert_eq!(read(&mut second, 50).await, (100..150).collect());
        second.commit().await.unwrap();
        let all: Vec<_> = (0..3)
            .map(|index| TopicPartition::new(topic.as_str(), index))
            .collect();
        let committed = second.committed(&all).await.unwrap();
        let sum: i64 = committed.values().map(|committed| committed.offset).sum();
        assert_eq!(sum, 150);
        second.close().await.unwrap();
    })
    .await;
}
