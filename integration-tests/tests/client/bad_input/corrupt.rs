//! Data that is not what it should be.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use integration_tests::harness::calls;
use integration_tests::harness::embedded;
use integration_tests::harness::files;
use tidemark_broker::environment::Environment;
use tidemark_client::Client;
use tidemark_client::consumer::{Consumer, ConsumerConfig, ConsumerError, OffsetReset};
use tidemark_protocol::messages::FetchRequest;
use tidemark_protocol::messages::fetch_response::PartitionData;
use tidemark_protocol::records::{Batches, LOG_OVERHEAD};

use crate::support::*;

/// Offset of the batch that is damaged.
const BAD: i64 = 2;
/// Place of the magic byte in a batch.
const MAGIC: usize = 16;

type Change = fn(&mut [u8]);

/// Changes the batch at [`BAD`], if it is there.
fn damage(part: &mut PartitionData, change: Change) {
    let Some(records) = &part.records else { return };
    let mut bytes = BytesMut::new();
    for batch in Batches::new(records) {
        let batch = batch.unwrap();
        let mut copy = batch.bytes().to_vec();
        if batch.header().base_offset == BAD {
            change(&mut copy);
        }
        bytes.extend_from_slice(&copy);
    }
    part.records = Some(bytes.freeze());
}

async fn corrupt(consumer: &mut Consumer, topic: &Arc<str>) -> String {
    let error = consumer.recv().await.unwrap_err();
    let ConsumerError::Corrupt {
        partition, offset, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((partition, *offset), (&first(topic), BAD));
    assert_eq!(consumer.position(&first(topic)), Some(BAD));
    error.to_string()
}

/// Reads as far as the damage, twice up to it, and on behind it.
async fn read_past(client: &Client, topic: &Arc<str>, reason: &str) {
    let mut consumer = reader(client, [first(topic)]);
    assert_eq!(values(&take(&mut consumer, 2).await), ["0", "1"]);
    for _ in 0..2 {
        let text = corrupt(&mut consumer, topic).await;
        let named = text.contains(&first(topic).to_string()) && text.contains("offset 2");
        assert!(named && text.contains(reason), "{text}");
    }
    consumer.seek(&first(topic), BAD + 1).unwrap();
    assert_eq!(values(&take(&mut consumer, 2).await), ["3", "4"]);
    // The same in raw batches.
    consumer.seek(&first(topic), 0).unwrap();
    let mut batches = 0;
    while batches < 2 {
        batches += consumer.recv_batches().await.unwrap().batches.len();
    }
    assert_eq!(batches, 2);
    let error = consumer.recv_batches().await.unwrap_err();
    assert!(
        matches!(error, ConsumerError::Corrupt { offset: BAD, .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_batches_are_named_and_can_be_passed() {
    let damages: [(Change, &str); 3] = [
        (|batch| *batch.last_mut().unwrap() ^= 1, "crc"),
        (|batch| batch[MAGIC] = 9, "magic 9"),
        // Shorter than a header.
        (
            |batch| batch[LOG_OVERHEAD - 4..LOG_OVERHEAD].fill(0),
            "batchLength",
        ),
    ];
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "damaged", 1).await;
        let client = client(&proxy.address());
        for value in ["0", "1", "2", "3", "4"] {
            produce(&cluster.bootstrap(), &topic, &[value]).await;
        }
        let on_the_way = |change: Change| {
            script(proxy, move |request| {
                request.is::<FetchRequest>().then(|| {
                    request.rewrite::<FetchRequest>(move |response| {
                        let topics = response.responses.iter_mut();
                        for part in topics.flat_map(|topic| &mut topic.partitions) {
                            damage(part, change);
                        }
                    })
                })
            });
        };
        for (change, reason) in damages {
            on_the_way(change);
            read_past(&client, &topic, reason).await;
        }
        // Whoever does not want to know is not told.
        on_the_way(|batch| *batch.last_mut().unwrap() ^= 1);
        let config = ConsumerConfig::new()
            .offset_reset(OffsetReset::Earliest)
            .check_crcs(false);
        let mut trusting = client.consumer(config).unwrap();
        trusting.assign([first(&topic)]).unwrap();
        // The last byte counts the headers, of which there are none.
        assert_eq!(values(&take(&mut trusting, 2).await), ["0", "1"]);
        let text = corrupt(&mut trusting, &topic).await;
        assert!(!text.contains("crc"), "{text}");
        // What was damaged on the way comes whole the next time.
        let mut consumer = reader(&client, [first(&topic)]);
        take(&mut consumer, 2).await;
        corrupt(&mut consumer, &topic).await;
        script(proxy, |_| None);
        let next = loop {
            match consumer.recv().await {
                Ok(record) => break record,
                Err(ConsumerError::Corrupt { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(value(&next), "2");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_flips_on_disk_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let start = async || embedded::start(dir.path(), Environment::real(), &[]).await;
    let broker = start().await;
    let mut connection = calls::connect(&broker.bootstrap()).await;
    calls::create_topic(&mut connection, "rotten", 1, &[]).await;
    let topic: Arc<str> = "rotten".into();
    for value in ["0", "1", "2", "3", "4"] {
        produce(&broker.bootstrap(), &topic, &[value]).await;
    }
    broker.shutdown().await.unwrap();
    rot(&dir.path().join("rotten-0"));
    let broker = start().await;
    read_past(&client(&broker.bootstrap()), &topic, "crc").await;
    broker.shutdown().await.unwrap();
}

/// Flips the last bit of the batch at [`BAD`] in the only segment.
fn rot(partition: &Path) {
    let names = files::names(partition);
    let segment = names.iter().find(|name| name.ends_with(".log")).unwrap();
    let segment = partition.join(segment);
    let mut bytes = fs::read(&segment).unwrap();
    let mut end = 0;
    for batch in Batches::new(&bytes) {
        let batch = batch.unwrap();
        end += batch.bytes().len();
        if batch.header().base_offset == BAD {
            break;
        }
    }
    bytes[end - 1] ^= 1;
    fs::write(&segment, bytes).unwrap();
}
