//! When records go out together, and under which sequences.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use integration_tests::harness::cluster::for_each_cluster;
use tidemark_client::producer::{Acks, ProducerConfig, ProducerRecord};
use tidemark_protocol::records::{BatchHeader, Compression};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_linger_until_they_are_flushed() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "linger", 1).await;
        let config = ProducerConfig::new()
            .linger(LONG)
            .delivery_timeout(2 * LONG);
        let producer = producer(&client(&bootstrap), config);
        let mut deliveries = Vec::new();
        for at in 0..10 {
            let record = ProducerRecord::to(Arc::clone(&topic)).value(at.to_string());
            deliveries.push(producer.send(&record).await.unwrap());
        }
        let mut nobody = Context::from_waker(Waker::noop());
        let polled = pin!(&mut deliveries[0]).poll(&mut nobody);
        assert!(matches!(polled, Poll::Pending), "{polled:?}");
        producer.flush().await;
        for (at, delivery) in (0..).zip(deliveries) {
            assert_eq!(delivery.await.unwrap().offset, at);
        }
        assert_eq!(headers(&bootstrap, &topic).await.len(), 1);
        // Nothing is there: nothing is waited for.
        producer.flush().await;
        // What a batch has no room for does not linger.
        let full = ProducerRecord::to(Arc::clone(&topic)).value(vec![0; 16 << 10]);
        let written = producer.send(&full).await.unwrap().await.unwrap();
        assert_eq!(written.offset, 10);
        // Closing waits for what lingers.
        let last = ProducerRecord::to(Arc::clone(&topic)).value("last");
        let last = producer.send(&last).await.unwrap();
        assert_eq!(producer.close(LONG).await.delivered, 12);
        assert_eq!(last.await.unwrap().offset, 11);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_lingering_a_record_waits_for_nothing() {
    for_each_cluster(async |cluster| {
        let topic = topic(cluster, "at-once", 1).await;
        let config = ProducerConfig::new().linger(Duration::ZERO);
        let producer = producer(&client(&cluster.bootstrap()), config);
        for offset in 0..20 {
            let record = ProducerRecord::to(Arc::clone(&topic)).value("value");
            let written = producer.send(&record).await.unwrap().await.unwrap();
            assert_eq!(written.offset, offset);
        }
        assert_eq!(headers(&cluster.bootstrap(), &topic).await.len(), 20);
    })
    .await;
}

/// That the log is one producer's, without a gap.
fn assert_one_line(headers: &[BatchHeader]) {
    let id = headers[0].producer_id;
    assert!(id >= 0, "{headers:?}");
    let mut next = 0;
    for header in headers {
        let found = (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
        );
        assert_eq!(found, (id, 0, next), "{headers:?}");
        assert_eq!(i64::from(next), header.base_offset);
        next += header.records_count;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequences_count_the_records() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = client(&bootstrap);
        let write = async |config: ProducerConfig| {
            let topic = topic(cluster, "sequences", 1).await;
            let producer = producer(&client, config.batch_size(500));
            for at in 0..300 {
                let record = ProducerRecord::to(Arc::clone(&topic)).value(at.to_string());
                drop(producer.send(&record).await.unwrap());
            }
            assert_eq!(producer.close(LONG).await.delivered, 300);
            headers(&bootstrap, &topic).await
        };
        let idempotent = write(ProducerConfig::new()).await;
        assert!(idempotent.len() > 5, "{idempotent:?}");
        assert_one_line(&idempotent);
        let plain = [
            ProducerConfig::new().idempotent(false),
            ProducerConfig::new().acks(Acks::Leader),
        ];
        for config in plain {
            for header in write(config).await {
                assert_eq!((header.producer_id, header.base_sequence), (-1, -1));
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_are_too_large_for_the_topic_are_split() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = client(&bootstrap);
        let settings = [("max.message.bytes", "1000")];
        for codec in [Compression::None, Compression::Lz4] {
            let topic = topic_with(cluster, "split", 1, &settings).await;
            // Together in one batch, which compression makes no smaller than the limit.
            let config = ProducerConfig::new()
                .linger(LONG)
                .delivery_timeout(2 * LONG)
                .compression(codec, None);
            let producer = producer(&client, config);
            let noise = |at: u32| -> String {
                let mut state = at.wrapping_add(1);
                let mut digit = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    char::from(b'!' + (state >> 24) as u8 % 90)
                };
                (0..90).map(|_| digit()).collect()
            };
            let sent: Vec<String> = (0..100).map(noise).collect();
            let mut deliveries = Vec::new();
            for value in &sent {
                let record = ProducerRecord::to(Arc::clone(&topic)).value(value.clone());
                deliveries.push(producer.send(&record.header("h", "v")).await.unwrap());
            }
            producer.flush().await;
            for (offset, delivery) in (0..).zip(deliveries) {
                assert_eq!(delivery.await.unwrap().offset, offset);
            }
            let found = headers(&bootstrap, &topic).await;
            assert!(found.len() > 10, "{found:?}");
            assert!(found.iter().all(|header| header.compression() == Ok(codec)));
            assert_one_line(&found);
            let read = read_all(&bootstrap, &first(&topic)).await;
            assert_eq!(values(&read), sent);
            assert!(read.iter().all(|record| record.headers.len() == 1));
            // A record too large by itself does not stop the others.
            let large = ProducerRecord::to(Arc::clone(&topic)).value(vec![7; 4000]);
            let large = producer.send(&large).await.unwrap();
            let small = ProducerRecord::to(Arc::clone(&topic)).value("small");
            let small = producer.send(&small).await.unwrap();
            let counts = producer.close(LONG).await;
            match codec {
                Compression::None => {
                    let error = large.await.unwrap_err().to_string();
                    assert!(error.contains("MESSAGE_TOO_LARGE"), "{error}");
                    assert!(error.contains(&*topic), "{error}");
                    assert_eq!((counts.delivered, counts.failed), (101, 1));
                    assert_eq!(small.await.unwrap().offset, 100);
                }
                _ => assert_eq!(small.await.unwrap().offset, 101),
            }
        }
    })
    .await;
}
