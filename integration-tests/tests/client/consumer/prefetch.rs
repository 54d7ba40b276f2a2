//! How far ahead is fetched, and from whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use integration_tests::harness::cluster::for_each_cluster;
use tidemark_client::TopicPartition;
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_protocol::messages::FetchRequest;
use tidemark_protocol::messages::fetch_response::PartitionData;
use tidemark_protocol::records::Batches;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_fetched_than_has_room() {
    const RECORDS: usize = 500;
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "bounded", 1).await;
        let client = client(&proxy.address());
        let writer = producer(&client, ProducerConfig::new().batch_size(1));
        for _ in 0..RECORDS {
            let record = ProducerRecord::to(Arc::clone(&topic)).value(vec![b'x'; 1000]);
            drop(writer.send(&record).await.unwrap());
        }
        assert_eq!(writer.close(LONG).await.delivered, RECORDS as u64);
        let (asked, received) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicUsize::new(0)));
        let (largest, total) = (Arc::clone(&asked), Arc::clone(&received));
        script(proxy, move |request| {
            request.is::<FetchRequest>().then(|| {
                let bytes = request.decode::<FetchRequest>().max_bytes;
                largest.fetch_max(i64::from(bytes), Ordering::Relaxed);
                let total = Arc::clone(&total);
                request.rewrite::<FetchRequest>(move |response| {
                    let topics = response.responses.iter();
                    let records = topics.flat_map(|topic| &topic.partitions);
                    // Each record has a batch of its own; the last one may be cut off.
                    let count = |part: &PartitionData| match &part.records {
                        Some(records) => Batches::new(records).flatten().count(),
                        None => 0,
                    };
                    total.fetch_add(records.map(count).sum(), Ordering::Relaxed);
                })
            })
        });
        let config = ConsumerConfig::new()
            .offset_reset(OffsetReset::Earliest)
            .prefetch_bytes(20_000);
        let mut consumer = client.consumer(config).unwrap();
        consumer.assign([first(&topic)]).unwrap();
        for read in 1..=RECORDS {
            consumer.recv().await.unwrap();
            // What the broker sent: what has been read, what waits, and what is under way.
            let ahead = received.load(Ordering::Relaxed).saturating_sub(read);
            // The answer that is being read does not count any more, and each answer may bring one
            // batch more than it should.
            assert!(ahead <= 40, "{ahead} records ahead");
        }
        assert!(asked.load(Ordering::Relaxed) <= 20_000);
        consumer.close().await.unwrap();
    })
    .await;
}

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
