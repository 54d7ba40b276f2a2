//! What is written is what was handed in, and the outcomes tell where.

use std::sync::Arc;

use bytes::Bytes;
use integration_tests::harness::cluster::for_each_cluster;
use rdkafka::message::{Headers as _, Message as _};
use tidemark_client::TopicPartition;
use tidemark_client::consumer::ConsumerRecord;
use tidemark_client::producer::{
    Acks, Counts, ProduceError, ProducerConfig, ProducerRecord, RecordParts,
};
use tidemark_protocol::records::{Compression, TimestampType};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_tell_where_records_are() {
    for_each_cluster(async |cluster| {
        let topic = topic(cluster, "outcomes", 3).await;
        let producer = producer(&client(&cluster.bootstrap()), ProducerConfig::new());
        let mut deliveries = Vec::new();
        for at in 0..30 {
            let record = ProducerRecord::to(Arc::clone(&topic))
                .partition(at % 3)
                .timestamp(1_000_000 + i64::from(at))
                .value(at.to_string());
            deliveries.push(producer.send(&record).await.unwrap());
        }
        // In no particular order.
        for (at, delivery) in (0..30).zip(deliveries).rev() {
            let written = delivery.await.unwrap();
            assert_eq!(written.partition, TopicPartition::new(&*topic, at % 3));
            assert_eq!(written.offset, i64::from(at / 3));
            assert_eq!(written.timestamp, 1_000_000 + i64::from(at));
        }
        for partition in 0..3 {
            let partition = TopicPartition::new(&*topic, partition);
            let records = read_all(&cluster.bootstrap(), &partition).await;
            assert_eq!(records.len(), 10);
            for (offset, record) in (0..).zip(&records) {
                let at = offset * 3 + i64::from(partition.partition);
                assert_eq!(value(record), at.to_string());
                assert_eq!((record.offset, record.timestamp), (offset, 1_000_000 + at));
                assert_eq!(record.timestamp_type, TimestampType::CreateTime);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_brokers_time_counts_where_the_topic_says_so() {
    for_each_cluster(async |cluster| {
        let settings = [("message.timestamp.type", "LogAppendTime")];
        let topic = topic_with(cluster, "append-time", 1, &settings).await;
        let producer = producer(&client(&cluster.bootstrap()), ProducerConfig::new());
        let record = ProducerRecord::to(Arc::clone(&topic)).timestamp(1_000_000);
        let written = producer.send(&record).await.unwrap().await.unwrap();
        assert!(written.timestamp > 1_000_000, "{written:?}");
        let records = read_all(&cluster.bootstrap(), &first(&topic)).await;
        assert_eq!(records[0].timestamp, written.timestamp);
        assert_eq!(records[0].timestamp_type, TimestampType::LogAppendTime);
    })
    .await;
}

/// A record as it is read, without what a broker decides.
type Parts = (
    Option<Bytes>,
    Option<Bytes>,
    Vec<(Bytes, Option<Bytes>)>,
    i64,
);

fn parts(record: &ConsumerRecord) -> Parts {
    (
        record.key.clone(),
        record.value.clone(),
        record.headers.clone(),
        record.timestamp,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nulls_and_headers_arrive_as_they_are() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "headers", 1).await;
        let record = || ProducerRecord::to(Arc::clone(&topic)).timestamp(7);
        let records = [
            record(),
            record().key("").value(""),
            record().key("k"),
            record().value("v"),
            record()
                .key(vec![0, 255])
                .value("v")
                .header("same", "one")
                .null_header("same")
                .header("same", "")
                .header("", "two")
                .header("ü", vec![255, 254]),
        ];
        let producer = producer(&client(&bootstrap), ProducerConfig::new());
        for record in &records {
            drop(producer.send(record).await.unwrap());
        }
        producer.flush().await;
        let header = |key: &'static str, value: Option<&'static [u8]>| {
            (Bytes::from(key), value.map(Bytes::from_static))
        };
        let text = |text: &'static str| Some(Bytes::from(text));
        let expected: [Parts; 5] = [
            (None, None, vec![], 7),
            (text(""), text(""), vec![], 7),
            (text("k"), None, vec![], 7),
            (None, text("v"), vec![], 7),
            (
                Some(Bytes::from_static(&[0, 255])),
                text("v"),
                vec![
                    header("same", Some(b"one")),
                    header("same", None),
                    header("same", Some(b"")),
                    header("", Some(b"two")),
                    header("ü", Some(&[255, 254])),
                ],
                7,
            ),
        ];
        let read = read_all(&bootstrap, &first(&topic)).await;
        assert_eq!(read.iter().map(parts).collect::<Vec<_>>(), expected);
        let foreign = read_by_librdkafka(&bootstrap, &first(&topic), 5).await;
        for (message, (key, value, headers, _)) in foreign.iter().zip(&expected) {
            // librdkafka does not tell an empty key from null.
            let full = |bytes: &Option<Bytes>| bytes.clone().unwrap_or_default();
            assert_eq!(message.key().unwrap_or_default(), full(key));
            assert_eq!(message.payload().unwrap_or_default(), full(value));
            let found = message.headers().map_or(Vec::new(), |found| {
                let found = found.iter();
                found
                    .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                    .collect()
            });
            let headers = headers.iter().map(|(key, value)| {
                let key = String::from_utf8(key.to_vec()).unwrap();
                (key, value.as_ref().map(|value| value.to_vec()))
            });
            assert_eq!(found, headers.collect::<Vec<_>>());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_codecs_and_levels_are_read_by_others_and_by_us() {
    let mut codecs = vec![(Compression::None, None), (Compression::Snappy, None)];
    let levelled = [
        (Compression::Gzip, &[-1, 1, 9][..]),
        (Compression::Lz4, &[1, 9, 17]),
        (Compression::Zstd, &[-5, 1, 3, 19]),
    ];
    for (codec, levels) in levelled {
        codecs.push((codec, None));
        codecs.extend(levels.iter().map(|level| (codec, Some(*level))));
    }
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = client(&bootstrap);
        for (codec, level) in &codecs {
            let topic = topic(cluster, codec.name(), 1).await;
            let config = ProducerConfig::new().compression(*codec, *level);
            let producer = producer(&client, config);
            let sent: Vec<String> = (0..200).map(|at| format!("{at} of many alike")).collect();
            for value in &sent {
                let record = ProducerRecord::to(Arc::clone(&topic)).value(value.clone());
                drop(producer.send(&record).await.unwrap());
            }
            producer.flush().await;
            for header in headers(&bootstrap, &topic).await {
                assert_eq!(header.compression().unwrap(), *codec);
            }
            let read = read_all(&bootstrap, &first(&topic)).await;
            assert_eq!(values(&read), sent, "{codec} {level:?}");
            let foreign = read_by_librdkafka(&bootstrap, &first(&topic), sent.len()).await;
            let foreign = foreign.iter().map(|message| message.payload().unwrap());
            assert!(
                foreign.eq(sent.iter().map(String::as_bytes)),
                "{codec} {level:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_acknowledgement_writes() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = client(&bootstrap);
        for acks in [Acks::None, Acks::Leader, Acks::All] {
            let topic = topic(cluster, "acks", 1).await;
            let producer = producer(&client, ProducerConfig::new().acks(acks));
            let mut deliveries = Vec::new();
            for at in 0..100 {
                let record = ProducerRecord::to(Arc::clone(&topic)).value(at.to_string());
                deliveries.push(producer.send(&record).await.unwrap());
            }
            for (at, delivery) in (0..).zip(deliveries) {
                let offset = delivery.await.unwrap().offset;
                let known = if acks == Acks::None { -1 } else { at };
                assert_eq!(offset, known, "{acks:?}");
            }
            let counts = producer.close(LONG).await;
            assert_eq!((counts.delivered, counts.failed), (100, 0));
            // With acks=0 they may still be on their way: they are waited for.
            let mut consumer = reader(&client, [first(&topic)]);
            let read = take(&mut consumer, 100).await;
            let sent: Vec<String> = (0..100).map(|at| at.to_string()).collect();
            assert_eq!(values(&read), sent, "{acks:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_nobody_awaits_are_counted() {
    for_each_cluster(async |cluster| {
        let topic = topic(cluster, "counted", 1).await;
        let producer = producer(&client(&cluster.bootstrap()), ProducerConfig::new());
        let parts = RecordParts {
            value: Some(b"value"),
            ..RecordParts::default()
        };
        assert!(!producer.try_send(&topic, &parts).unwrap(), "not known yet");
        producer.ready(&topic, &parts).await.unwrap();
        assert!(producer.try_send(&topic, &parts).unwrap());
        for _ in 0..9 {
            producer.send_counted(&topic, &parts).await.unwrap();
        }
        producer.flush().await;
        let ten = Counts {
            delivered: 10,
            failed: 0,
        };
        assert_eq!(producer.counts(), ten);
        let clone = producer.clone();
        assert_eq!(producer.close(LONG).await, ten);
        assert_eq!(clone.counts(), ten);
        let error = clone.try_send(&topic, &parts).unwrap_err();
        assert!(matches!(error, ProduceError::Closed { .. }), "{error}");
        let record = ProducerRecord::to(Arc::clone(&topic));
        let error = clone.send(&record).await.unwrap_err();
        assert!(matches!(error, ProduceError::Closed { .. }), "{error}");
        assert_eq!(
            read_all(&cluster.bootstrap(), &first(&topic)).await.len(),
            10
        );
    })
    .await;
}
