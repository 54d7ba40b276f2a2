//! Records that this client has written are read by others, and theirs by it: another client copies
//! them from topic to topic, in every codec, and they come back as they went.

use std::process::Command;

use bytes::Bytes;
use integration_tests::harness::calls;
use integration_tests::harness::cluster::{Cluster, for_each_cluster, unique};
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, TopicPartition};
use tidemark_protocol::records::Compression;

use crate::foreign::{java, python};

const CODECS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

/// Timestamp, key, value and headers.
type Told = (
    i64,
    Option<Bytes>,
    Option<Bytes>,
    Vec<(Bytes, Option<Bytes>)>,
);

fn samples() -> Vec<Told> {
    let text = |text: &str| Some(Bytes::from(text.to_owned()));
    let header = |key: &str, value: Option<Bytes>| (Bytes::from(key.to_owned()), value);
    let start = 1_700_000_000_000;
    let mut samples = vec![
        (start, text("key"), text("value"), Vec::new()),
        (start + 1, None, text("no key"), Vec::new()),
        (start + 2, text(""), text(""), Vec::new()),
        (start + 3, text("tombstone"), None, Vec::new()),
        (start - 5_000, text("late"), text("older"), Vec::new()),
        (
            start + 4,
            text("headers"),
            text("with"),
            vec![
                header("a", text("1")),
                header("a", text("again")),
                header("empty", text("")),
                header("bytes", Some(Bytes::from_static(&[0, 0xff, 0x80]))),
            ],
        ),
    ];
    // Enough for several batches, one of them beyond the usual size.
    samples.extend((0..300).map(|number| {
        let value = format!("{number}").repeat(200);
        (
            start + number,
            text(&format!("k{number}")),
            text(&value),
            Vec::new(),
        )
    }));
    samples.push((
        start,
        text("big"),
        text(&"large".repeat(60_000)),
        Vec::new(),
    ));
    samples
}

async fn write(client: &Client, topic: &str, codec: Compression) {
    let config = ProducerConfig::new().compression(codec, None);
    let producer = client.producer(config).unwrap();
    let mut deliveries = Vec::new();
    for (timestamp, key, value, headers) in samples() {
        let mut record = ProducerRecord::to(topic).partition(0).timestamp(timestamp);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(value) = value {
            record = record.value(value);
        }
        for (key, value) in headers {
            record = match value {
                Some(value) => record.header(key, value),
                None => record.null_header(key),
            };
        }
        deliveries.push(producer.send(&record).await.unwrap());
    }
    producer.flush().await;
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

async fn read(client: &Client, topic: &str) -> Vec<Told> {
    let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
    let mut consumer = client.consumer(config).unwrap();
    consumer.assign([TopicPartition::new(topic, 0)]).unwrap();
    let mut told = Vec::new();
    while told.len() < samples().len() {
        let record = consumer.recv().await.unwrap();
        told.push((record.timestamp, record.key, record.value, record.headers));
    }
    consumer.close().await.unwrap();
    told
}

async fn come_back(cluster: &Cluster, copier: &str, command: Option<Command>) {
    let Some(mut command) = command else { return };
    let bootstrap = cluster.bootstrap();
    let client = Client::connect(&bootstrap).unwrap();
    let mut connection = calls::connect(&bootstrap).await;
    let mut copies = Vec::new();
    command.arg(&bootstrap);
    for (name, codec) in CODECS {
        let [from, to] = ["from", "to"].map(|what| unique(&format!("{what}-{name}")));
        for topic in [&from, &to] {
            calls::create_served_topic(&mut connection, topic, 1, &[]).await;
        }
        write(&client, &from, codec).await;
        command.args([&from, &to, name, &samples().len().to_string()]);
        copies.push((name, to));
    }
    let done = tokio::task::spawn_blocking(move || command.output()).await;
    let done = done.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{copier}: {errors}");
    for (name, to) in copies {
        let told = read(&client, &to).await;
        for (came, went) in told.iter().zip(samples()) {
            assert_eq!(*came, went, "{copier}, {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_librdkafka() {
    for_each_cluster(async |cluster| {
        let command = python("copy_records.py").map(|mut command| {
            command.arg("confluent");
            command
        });
        come_back(cluster, "librdkafka", command).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_kafka_python() {
    for_each_cluster(async |cluster| {
        let command = python("copy_records.py").map(|mut command| {
            command.arg("kafka-python");
            command
        });
        come_back(cluster, "kafka-python", command).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_java() {
    for_each_cluster(async |cluster| come_back(cluster, "Java", java("Copy.java")).await).await;
}
