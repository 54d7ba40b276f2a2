//! Which partition a record goes to, and in which order it lies there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use integration_tests::harness::cluster::for_each_cluster;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use tidemark_client::TopicPartition;
use tidemark_client::admin::{Mode, NewPartitions};
use tidemark_client::producer::{
    Advice, Partitioner, ProduceError, ProducerConfig, ProducerRecord,
};

use crate::support::*;

const KEYS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_go_where_other_clients_put_them() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "keys", 7).await;
        // Of all lengths: the hash takes four bytes at a time.
        let key = |at: usize| format!("{at:0width$}", width = 1 + at % 9);
        let producer = producer(&client(&bootstrap), ProducerConfig::new());
        for at in 0..KEYS {
            let record = ProducerRecord::to(Arc::clone(&topic)).key(key(at));
            drop(producer.send(&record.value("ours")).await.unwrap());
        }
        producer.flush().await;
        let (address, name) = (bootstrap.clone(), topic.to_string());
        blocking(move || {
            let mut config = rdkafka::ClientConfig::new();
            config
                .set("bootstrap.servers", address)
                .set("partitioner", "murmur2_random");
            let foreign: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
            for at in 0..KEYS {
                let key = key(at);
                let record = BaseRecord::to(&name).key(&key).payload("theirs");
                foreign.send(record).unwrap();
            }
            foreign.flush(LONG).unwrap();
        })
        .await;
        let mut found: BTreeMap<Vec<u8>, Vec<(i32, String)>> = BTreeMap::new();
        for partition in 0..7 {
            let partition = TopicPartition::new(&*topic, partition);
            for record in read_all(&bootstrap, &partition).await {
                let at = (record.partition, value(&record));
                let key = record.key.unwrap().to_vec();
                found.entry(key).or_default().push(at);
            }
        }
        for (key, places) in found {
            let partition = places[0].0;
            assert!(
                places.iter().all(|(at, _)| *at == partition),
                "{key:?}: {places:?}"
            );
            let of = |whose| places.iter().filter(|(_, value)| value == whose).count();
            assert_eq!(of("ours"), of("theirs"), "{key:?}: {places:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_without_keys_fill_batches_everywhere() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "sticky", 4).await;
        let config = ProducerConfig::new().batch_size(1000);
        let producer = producer(&client(&bootstrap), config);
        for _ in 0..4000 {
            let record = ProducerRecord::to(Arc::clone(&topic)).value(vec![b'x'; 90]);
            drop(producer.send(&record).await.unwrap());
        }
        producer.flush().await;
        let mut all = 0;
        for partition in 0..4 {
            let partition = TopicPartition::new(&*topic, partition);
            let end = end_offset(&bootstrap, &partition).await;
            assert!(end > 100, "{partition} has {end} of 4000");
            all += end;
        }
        assert_eq!(all, 4000);
        let batches = headers(&bootstrap, &topic).await.len() as i64;
        let records = end_offset(&bootstrap, &first(&topic)).await;
        assert!(
            records > 4 * batches,
            "{records} records in {batches} batches"
        );
    })
    .await;
}

/// By the length of the value.
struct ByLength;

impl Partitioner for ByLength {
    fn partition(&self, _: &str, _: Option<&[u8]>, value: Option<&[u8]>, _: u32) -> Option<u32> {
        Some(value.map_or(0, <[u8]>::len) as u32)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_has_come_meanwhile_is_found() {
    for_each_cluster(async |cluster| {
        let topic = topic(cluster, "growing", 1).await;
        let client = client(&cluster.bootstrap());
        let producer = producer(&client, ProducerConfig::new());
        let to = |partition| ProducerRecord::to(Arc::clone(&topic)).partition(partition);
        producer.send(&to(0)).await.unwrap().await.unwrap();
        let more = [(&*topic, NewPartitions::increase_to(3))];
        let admin = client.admin();
        let grown = admin.create_partitions(more, Mode::Apply).await.unwrap();
        grown.all().unwrap();
        let written = producer.send(&to(2)).await.unwrap().await.unwrap();
        assert_eq!(written.partition.partition, 2);
        // One that has not is told at once.
        let error = producer.send(&to(3)).await.unwrap_err();
        let unknown = matches!(error, ProduceError::UnknownPartition { count: 3, .. });
        assert!(unknown, "{error}");
        assert_eq!(error.advice(), Advice::ChangeRecord);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyless_records_of_many_producers_go_everywhere() {
    const PRODUCERS: usize = 100;
    for_each_cluster(async |cluster| {
        let topic = topic(cluster, "scattered", 4).await;
        let client = client(&cluster.bootstrap());
        let mut reached = BTreeSet::new();
        for _ in 0..PRODUCERS {
            let producer = producer(&client, ProducerConfig::new());
            let record = ProducerRecord::to(Arc::clone(&topic));
            let written = producer.send(&record).await.unwrap().await.unwrap();
            reached.insert(written.partition.partition);
        }
        // That chance leaves one of them out happens once in a million million times.
        assert_eq!(reached.len(), 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_partitioner_decides() {
    for_each_cluster(async |cluster| {
        let topic = topic(cluster, "by-length", 3).await;
        let config = ProducerConfig::new().partitioner(ByLength);
        let producer = producer(&client(&cluster.bootstrap()), config);
        for value in ["", "a", "bb"] {
            let record = ProducerRecord::to(Arc::clone(&topic)).value(value);
            let written = producer.send(&record).await.unwrap().await.unwrap();
            assert_eq!(written.partition.partition, value.len() as i32);
            // A record that names its partition goes there.
            let record = record.partition(1);
            let written = producer.send(&record).await.unwrap().await.unwrap();
            assert_eq!(written.partition.partition, 1);
        }
        let nowhere = [
            ProducerRecord::to(Arc::clone(&topic)).value("ccc"),
            ProducerRecord::to(Arc::clone(&topic)).partition(3),
            ProducerRecord::to(Arc::clone(&topic)).partition(-1),
        ];
        for record in nowhere {
            let error = producer.send(&record).await.unwrap_err();
            let unknown = matches!(error, ProduceError::UnknownPartition { count: 3, .. });
            assert!(unknown, "{error}");
            assert_eq!(error.advice(), Advice::ChangeRecord);
            assert!(error.to_string().contains(&*topic), "{error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_writer_finds_its_records_in_order() {
    const WRITERS: usize = 8;
    const RECORDS: usize = 400;
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "order", 3).await;
        // Many batches under way at a time.
        let config = ProducerConfig::new().batch_size(300);
        let producer = producer(&client(&bootstrap), config);
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let (producer, topic) = (producer.clone(), Arc::clone(&topic));
            writers.spawn(async move {
                for at in 0..RECORDS {
                    let record = ProducerRecord::to(Arc::clone(&topic))
                        .key(writer.to_string())
                        .value(at.to_string())
                        .partition((at % 3) as i32);
                    drop(producer.send(&record).await.unwrap());
                }
            });
        }
        writers.join_all().await;
        producer.flush().await;
        for partition in 0..3 {
            let partition = TopicPartition::new(&*topic, partition);
            let mut next = [partition.partition as usize; WRITERS];
            for record in read_all(&bootstrap, &partition).await {
                let writer: usize = std::str::from_utf8(record.key.as_ref().unwrap())
                    .unwrap()
                    .parse()
                    .unwrap();
                assert_eq!(value(&record), next[writer].to_string());
                next[writer] += 3;
            }
            assert!(next.iter().all(|next| *next >= RECORDS), "{next:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_reads_what_is_large() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let settings = [("max.message.bytes", "8388608")];
        let topic = topic_with(cluster, "large", 1, &settings).await;
        let client = client(&bootstrap);
        let config = ProducerConfig::new().max_request_size(8 << 20);
        let producer = producer(&client, config);
        let large: Vec<u8> = (0..5 << 20).map(|at: u32| (at % 251) as u8).collect();
        let record = ProducerRecord::to(Arc::clone(&topic));
        for record in [record.clone().value(large.clone()), record.value("small")] {
            producer.send(&record).await.unwrap().await.unwrap();
        }
        // More than max_partition_bytes, and read all the same.
        let mut consumer = reader(&client, [first(&topic)]);
        let read = take(&mut consumer, 2).await;
        assert!(read[0].value.as_deref() == Some(&large));
        assert_eq!(value(&read[1]), "small");
        let foreign = read_by_librdkafka(&bootstrap, &first(&topic), 2).await;
        assert!(foreign[0].payload() == Some(&large));
    })
    .await;
}
