//! How far ahead is fetched, and from whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use integration_tests::harness::cluster::for_each_cluster;
use tidemark_client::TopicPartition;
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_partition_starves() {
    const PARTITIONS: i32 = 4;
    for_each_cluster(async |cluster| {
        let topic = topic(cluster, "fair", PARTITIONS).await;
        let client = client(&cluster.bootstrap());
        let writer = producer(&client, ProducerConfig::new());
        for at in 0..4000 {
            let record = ProducerRecord::to(Arc::clone(&topic)).partition(at % PARTITIONS);
            drop(writer.send(&record.value(vec![b'x'; 500])).await.unwrap());
        }
        assert_eq!(writer.close(LONG).await.delivered, 4000);
        // Each answer has room for a part of one partition only.
        let config = ConsumerConfig::new()
            .offset_reset(OffsetReset::Earliest)
            .fetch_max_bytes(40_000)
            .max_partition_bytes(40_000);
        let mut consumer = client.consumer(config).unwrap();
        let all = (0..PARTITIONS).map(|index| TopicPartition::new(&*topic, index));
        consumer.assign(all).unwrap();
        let mut seen = BTreeMap::<i32, usize>::new();
        for record in take(&mut consumer, 2000).await {
            *seen.entry(record.partition).or_default() += 1;
        }
        assert_eq!(seen.len(), PARTITIONS as usize, "{seen:?}");
        assert!(seen.values().all(|count| *count >= 200), "{seen:?}");
    })
    .await;
}
