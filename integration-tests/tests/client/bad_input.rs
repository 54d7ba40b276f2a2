//! What cannot be meant, and what brokers must not send: a clear error each, and no waiting without
//! end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use integration_tests::harness::calls;
use integration_tests::harness::cluster::{
    for_each_cluster, for_each_cluster_behind_a_proxy, unique,
};
use integration_tests::harness::proxy::Verdict;
use tidemark_client::consumer::{ConsumerConfig, ConsumerError, OffsetReset};
use tidemark_client::producer::{ProduceError, ProducerConfig, ProducerRecord, RecordParts};
use tidemark_client::{Client, ClientConfig, TopicPartition};
use tidemark_protocol::messages::{FetchRequest, FetchResponse, MetadataRequest, ProduceRequest};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// Short, so that what takes its time does not take the tests'.
fn config(bootstrap: &str) -> ClientConfig {
    let ms = Duration::from_millis;
    ClientConfig::new(bootstrap)
        .request_timeout(ms(300))
        .connect_timeout(ms(300))
        .api_timeout(ms(900))
        .retry_backoff(ms(5), ms(40))
        .reconnect_backoff(ms(2), ms(20))
}

/// What a client's first call says.
async fn first_call(bootstrap: &str) -> String {
    let client = Client::new(config(bootstrap)).unwrap();
    let error = client.admin().describe_cluster().await.unwrap_err();
    error.to_string()
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[tokio::test]
async fn wrong_addresses() {
    for (address, part) in [
        ("", "there is no address"),
        ("localhost", "the port is missing"),
        ("localhost:http", "1 to 65535"),
        ("PLAINTEXT://localhost:9092", "without a protocol"),
    ] {
        let error = Client::connect(address).err().unwrap().to_string();
        has(&error, &["bootstrap", part]);
    }
    // Reserved, so that nobody has it (RFC 2606).
    has(
        &first_call("nobody.invalid:9092").await,
        &["nobody.invalid:9092"],
    );
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = free.local_addr().unwrap().to_string();
    drop(free);
    has(&first_call(&closed).await, &[&closed, "onnection refused"]);
}

/// A listener that says this to everybody and then keeps still.
async fn says(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(bytes).await;
            open.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn what_is_no_broker() {
    let http = says(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    has(
        &first_call(&http).await,
        &[&http, "does not answer as a Kafka broker does"],
    );
    let tls = says(&[21, 3, 3, 0, 2, 2, 40]).await;
    has(&first_call(&tls).await, &[&tls, "connect with TLS"]);
    let silent = says(b"").await;
    has(
        &first_call(&silent).await,
        &[&silent, "ApiVersions", "300ms"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_and_partitions_that_are_not_there() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = Client::new(config(&bootstrap).auto_create_topics(false)).unwrap();
        let missing = unique("missing");
        let producer = client
            .producer(ProducerConfig::new().max_block(Duration::from_millis(500)))
            .unwrap();
        let record = ProducerRecord::to(missing.as_str()).value("x");
        let error = producer.send(&record).await.unwrap_err().to_string();
        has(&error, &[&missing, "500ms", "does not exist"]);
        let mut consumer = client.consumer(ConsumerConfig::new()).unwrap();
        consumer
            .assign([TopicPartition::new(missing.as_str(), 0)])
            .unwrap();
        let error = consumer.recv().await.unwrap_err().to_string();
        has(&error, &[&missing, "does not exist"]);
        // Not the end of the consumer.
        let mut connection = calls::connect(&bootstrap).await;
        let there = unique("there");
        calls::create_served_topic(&mut connection, &there, 2, &[]).await;
        consumer
            .assign([TopicPartition::new(there.as_str(), 7)])
            .unwrap();
        let error = consumer.recv().await.unwrap_err().to_string();
        has(&error, &[&there, "has no partition 7: it has 2"]);
        let record = ProducerRecord::to(there.as_str()).partition(2).value("x");
        let error = producer.send(&record).await.unwrap_err().to_string();
        has(&error, &[&there, "has no partition 2: it has 2"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buffers_that_stay_full() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic: Arc<str> = unique("full").into();
        let mut connection = calls::connect(&cluster.bootstrap()).await;
        calls::create_served_topic(&mut connection, &topic, 1, &[]).await;
        proxy.set_script(|request| {
            if request.is::<ProduceRequest>() {
                return Verdict::Drop;
            }
            Verdict::Pass
        });
        let client = Client::connect(&proxy.address()).unwrap();
        let config = ProducerConfig::new()
            .max_request_size(10_000)
            .buffer_memory(10_000)
            .max_block(Duration::from_millis(300));
        let producer = client.producer(config).unwrap();
        producer.ready(&topic).await.unwrap();
        let value = [0; 3000];
        let parts = RecordParts {
            value: Some(&value),
            ..RecordParts::default()
        };
        for _ in 0..3 {
            assert!(producer.try_send(&topic, &parts).unwrap());
        }
        assert!(!producer.try_send(&topic, &parts).unwrap());
        let error = producer.send_counted(&topic, &parts).await.unwrap_err();
        assert!(
            matches!(error, ProduceError::BufferFull { memory: 10_000, .. }),
            "{error:?}"
        );
        // What is under way is given up with the producer, and counted.
        let counts = producer.close(Duration::ZERO).await;
        assert_eq!((counts.delivered, counts.failed), (0, 3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_place_of_answers() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = unique("garbage");
        let mut connection = calls::connect(&cluster.bootstrap()).await;
        calls::create_served_topic(&mut connection, &topic, 1, &[]).await;
        let client = Client::new(config(&proxy.address())).unwrap();
        for garbage in [
            Bytes::from_static(&[0, 0, 0, 1, 0]),
            Bytes::from_static(&[0xff; 20]),
            Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]),
        ] {
            let bytes = garbage.clone();
            proxy.set_script(move |request| {
                if request.is::<MetadataRequest>() {
                    return Verdict::Garbage(bytes.clone());
                }
                Verdict::Pass
            });
            let error = client.admin().list_topics().await.unwrap_err().to_string();
            has(&error, &[&proxy.address(), "answered garbage"]);
        }
        proxy.set_script(|_| Verdict::Pass);
        assert!(client.admin().list_topics().await.is_ok());
    })
    .await;
}

/// Reads partition 0 while what fetches bring is changed by `spoil`.
async fn spoiled(spoil: fn(&mut Vec<u8>)) {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = unique("spoiled");
        let mut connection = calls::connect(&cluster.bootstrap()).await;
        calls::create_served_topic(&mut connection, &topic, 1, &[]).await;
        for value in ["first", "second", "third"] {
            calls::produce(&mut connection, &topic, calls::batch(value, None), -1).await;
        }
        proxy.set_script(move |request| {
            if !request.is::<FetchRequest>() {
                return Verdict::Pass;
            }
            request.rewrite::<FetchRequest>(move |response: &mut FetchResponse| {
                for part in response
                    .responses
                    .iter_mut()
                    .flat_map(|t| &mut t.partitions)
                {
                    part.records = part.records.take().map(|records| {
                        let mut records = records.to_vec();
                        // Whatever batch comes with base offset 1.
                        let mut at = 0;
                        while let Some(length) = records.get(at + 8..at + 12) {
                            let length = i32::from_be_bytes(length.try_into().unwrap()) as usize;
                            if records[at + 7] == 1 {
                                let mut batch = records[at..at + 12 + length].to_vec();
                                spoil(&mut batch);
                                records.splice(at..at + 12 + length, batch);
                            }
                            at += 12 + length;
                        }
                        Bytes::from(records)
                    });
                }
            })
        });
        let client = Client::new(config(&proxy.address())).unwrap();
        let reset = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
        let mut consumer = client.consumer(reset).unwrap();
        let partition = TopicPartition::new(topic.as_str(), 0);
        consumer.assign([partition.clone()]).unwrap();
        assert_eq!(consumer.recv().await.unwrap().offset, 0);
        // As often as it is asked for.
        for _ in 0..2 {
            let error = consumer.recv().await.unwrap_err();
            let ConsumerError::Corrupt { offset: 1, .. } = &error else {
                panic!("{error:?}")
            };
            has(
                &error.to_string(),
                &[&format!("{topic}-0"), "offset 1 is corrupt"],
            );
            assert_eq!(consumer.position(&partition), Some(1));
        }
        consumer.seek(&partition, 2).unwrap();
        assert_eq!(consumer.recv().await.unwrap().offset, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_with_a_wrong_crc_is_named() {
    spoiled(|batch| {
        let last = batch.len() - 1;
        batch[last] ^= 1;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_another_format_is_named() {
    spoiled(|batch| batch[16] = 5).await;
}
