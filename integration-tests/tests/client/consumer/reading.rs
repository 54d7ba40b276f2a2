//! Records one by one, as a stream, and in raw batches: the same in each way.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use integration_tests::harness::cluster::{Cluster, for_each_cluster};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use tidemark_client::TopicPartition;
use tidemark_client::consumer::{Consumer, ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_protocol::messages::FetchRequest;
use tidemark_protocol::messages::fetch_response::PartitionData;
use tidemark_protocol::records::{BatchBuilder, BatchHeader, Batches};

use crate::support::*;

/// Three partitions with 100 records each, in several batches: `partition/offset`.
async fn filled(cluster: &Cluster) -> Arc<str> {
    let topic = topic(cluster, "filled", 3).await;
    let config = ProducerConfig::new().batch_size(500);
    let producer = producer(&client(&cluster.bootstrap()), config);
    for at in 0..300 {
        let (partition, offset) = (at % 3, at / 3);
        let record = ProducerRecord::to(Arc::clone(&topic))
            .partition(partition)
            .value(format!("{partition}/{offset}"));
        drop(producer.send(&record).await.unwrap());
    }
    assert_eq!(producer.close(LONG).await.delivered, 300);
    topic
}

fn all(topic: &Arc<str>) -> impl Iterator<Item = TopicPartition> + use<> {
    let topic = Arc::clone(topic);
    (0..3).map(move |index| TopicPartition::new(Arc::clone(&topic), index))
}

/// Checks that each partition's records come in order, from the first on.
#[derive(Default)]
struct Ledger([i64; 3]);

impl Ledger {
    fn enter(&mut self, partition: i32, offset: i64, value: &[u8]) {
        let next = &mut self.0[partition as usize];
        assert_eq!(offset, *next, "partition {partition}");
        assert_eq!(value, format!("{partition}/{offset}").as_bytes());
        *next += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_reading_gives_the_same() {
    for_each_cluster(async |cluster| {
        let topic = filled(cluster).await;
        let client = client(&cluster.bootstrap());
        let mut ledger = Ledger::default();
        let mut consumer = reader(&client, all(&topic));
        for record in take(&mut consumer, 300).await {
            assert_eq!(record.topic, topic);
            ledger.enter(record.partition, record.offset, &record.value.unwrap());
        }
        assert_eq!(ledger.0, [100; 3]);
        consumer.close().await.unwrap();

        let mut ledger = Ledger::default();
        let mut consumer = reader(&client, all(&topic));
        let mut stream = consumer.stream();
        for _ in 0..300 {
            let next = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
            let record = next.unwrap().unwrap();
            ledger.enter(record.partition, record.offset, &record.value.unwrap());
        }
        assert_eq!(ledger.0, [100; 3]);

        let mut ledger = Ledger::default();
        let mut consumer = reader(&client, all(&topic));
        while ledger.0 != [100; 3] {
            batches(&mut consumer, &mut ledger).await;
        }
        for partition in all(&topic) {
            assert_eq!(consumer.position(&partition), Some(100));
            let (start, stable, high) = consumer.watermarks(&partition).unwrap();
            assert_eq!((start, stable, high), (0, 100, 100));
        }
    })
    .await;
}

async fn batches(consumer: &mut Consumer, ledger: &mut Ledger) {
    let fetched = consumer.recv_batches().await.unwrap();
    for batch in &fetched.batches {
        let section = batch.decode(&fetched.partition).unwrap();
        for record in section.records() {
            let record = record.unwrap();
            ledger.enter(
                fetched.partition.partition,
                record.offset,
                record.value().unwrap(),
            );
        }
    }
    let place = fetched.partition.partition as usize;
    assert_eq!(fetched.next_offset, ledger.0[place]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ways_of_reading_may_be_mixed() {
    for_each_cluster(async |cluster| {
        let topic = filled(cluster).await;
        // Each answer brings one batch of a partition, and several of them wait.
        let config = ConsumerConfig::new()
            .offset_reset(OffsetReset::Earliest)
            .max_partition_bytes(500);
        let mut consumer = client(&cluster.bootstrap()).consumer(config).unwrap();
        consumer.assign(all(&topic)).unwrap();
        let mut ledger = Ledger::default();
        for _ in 0..7 {
            let record = consumer.recv().await.unwrap();
            ledger.enter(record.partition, record.offset, &record.value.unwrap());
        }
        while ledger.0 != [100; 3] {
            batches(&mut consumer, &mut ledger).await;
            if ledger.0 != [100; 3] {
                let record = consumer.recv().await.unwrap();
                ledger.enter(record.partition, record.offset, &record.value.unwrap());
            }
        }
    })
    .await;
}

/// A future of a record that is dropped loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiving_may_be_given_up_at_any_time() {
    for_each_cluster(async |cluster| {
        let topic = filled(cluster).await;
        let mut consumer = reader(&client(&cluster.bootstrap()), all(&topic));
        let mut ledger = Ledger::default();
        while ledger.0 != [100; 3] {
            let record = tokio::select! {
                biased;
                record = consumer.recv() => record.unwrap(),
                () = tokio::task::yield_now() => continue,
            };
            ledger.enter(record.partition, record.offset, &record.value.unwrap());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_librdkafka_writes_is_read_with_every_codec() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
        for codec in codecs {
            let topic = topic(cluster, codec, 1).await;
            let (address, name) = (bootstrap.clone(), topic.to_string());
            blocking(move || {
                let mut config = rdkafka::ClientConfig::new();
                config
                    .set("bootstrap.servers", address)
                    .set("linger.ms", "1000")
                    .set("compression.codec", codec);
                let foreign: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
                for at in 0..200 {
                    let value = format!("{at} of many alike");
                    let record = BaseRecord::<(), str>::to(&name).payload(&value);
                    foreign.send(record).unwrap();
                }
                foreign.flush(LONG).unwrap();
            })
            .await;
            let found = headers(&bootstrap, &topic).await;
            // librdkafka leaves alone what does not become smaller: a record by itself.
            let packed = |header: &BatchHeader| header.compression().unwrap().name() == codec;
            assert!(found.iter().any(packed), "{codec}: {found:?}");
            let read = read_all(&bootstrap, &first(&topic)).await;
            let sent: Vec<String> = (0..200).map(|at| format!("{at} of many alike")).collect();
            assert_eq!(values(&read), sent, "{codec}");
        }
    })
    .await;
}

/// Compaction leaves gaps: offsets go on behind them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gaps_in_offsets_are_passed() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "gaps", 1).await;
        produce(&cluster.bootstrap(), &topic, &["0", "1", "2", "3", "4"]).await;
        produce(&cluster.bootstrap(), &topic, &["5"]).await;
        // As compaction leaves it: one batch that once had five records.
        let mut builder = BatchBuilder::new();
        for delta in [1, 3] {
            let value = delta.to_string();
            let appended = builder.append_at(delta, 0, None, Some(value.as_bytes()), &[]);
            appended.unwrap();
        }
        let sparse = builder.last_offset_delta(4).build().unwrap();
        script(proxy, move |request| {
            let sparse = sparse.clone();
            request.is::<FetchRequest>().then(|| {
                request.rewrite::<FetchRequest>(move |response| {
                    let topics = response.responses.iter_mut();
                    for part in topics.flat_map(|topic| &mut topic.partitions) {
                        compacted(part, &sparse);
                    }
                })
            })
        });
        let mut consumer = reader(&client(&proxy.address()), [first(&topic)]);
        for from in [0, 1, 2, 4] {
            consumer.seek(&first(&topic), from).unwrap();
            let expected: Vec<i64> = [1, 3, 5].into_iter().filter(|at| *at >= from).collect();
            let read = take(&mut consumer, expected.len()).await;
            let offsets: Vec<i64> = read.iter().map(|record| record.offset).collect();
            assert_eq!(offsets, expected, "from {from}");
            let texts: Vec<String> = expected.iter().map(i64::to_string).collect();
            assert_eq!(values(&read), texts);
            assert_eq!(consumer.position(&first(&topic)), Some(6));
        }
    })
    .await;
}

/// Puts another batch in the place of the one with the first five offsets.
fn compacted(part: &mut PartitionData, sparse: &Bytes) {
    let Some(records) = &part.records else { return };
    let mut bytes = BytesMut::new();
    for batch in Batches::new(records) {
        let batch = batch.unwrap();
        match batch.header().base_offset {
            0..5 => {
                bytes.clear();
                bytes.extend_from_slice(sparse);
            }
            _ => bytes.extend_from_slice(batch.bytes()),
        }
    }
    part.records = Some(bytes.freeze());
}
