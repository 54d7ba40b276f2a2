//! Topics and partitions that do not exist, and records that nobody takes.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::harness::calls;
use integration_tests::harness::cluster::{for_each_cluster, unique};
use tidemark_client::consumer::ConsumerError;
use tidemark_client::producer::{Advice, ProduceError, ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientError, TopicPartition};
use tidemark_protocol::ErrorCode;

use crate::support::*;

/// Gives up soon, and makes no topics.
fn strict(bootstrap: &str) -> Client {
    let config = config(bootstrap)
        .auto_create_topics(false)
        .api_timeout(Duration::from_millis(200));
    Client::new(config).unwrap()
}

fn last(error: ClientError) -> ClientError {
    match error {
        ClientError::Timeout { last, .. } => *last.unwrap(),
        error => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_do_not_exist() {
    for_each_cluster(async |cluster| {
        let client = strict(&cluster.bootstrap());
        let name = unique("missing");
        let config = ProducerConfig::new().max_block(Duration::from_millis(200));
        let writer = producer(&client, config);
        let record = ProducerRecord::to(&*name);
        let error = match writer.send(&record).await.unwrap_err() {
            ProduceError::Client(error) => last(error),
            error => panic!("{error}"),
        };
        assert!(
            matches!(&error, ClientError::UnknownTopic { topic } if *topic == name),
            "{error}"
        );
        let mut consumer = reader(&client, [TopicPartition::new(&*name, 0)]);
        let error = match consumer.recv().await.unwrap_err() {
            ConsumerError::Client(error) => last(error),
            error => panic!("{error}"),
        };
        assert!(
            matches!(&error, ClientError::UnknownTopic { topic } if *topic == name),
            "{error}"
        );
        // Once it is there, all goes on.
        let mut connection = calls::connect(&cluster.bootstrap()).await;
        calls::create_served_topic(&mut connection, &name, 1, &[]).await;
        let topic: Arc<str> = name.into();
        produce(&cluster.bootstrap(), &topic, &["value"]).await;
        let record = loop {
            match consumer.recv().await {
                Ok(record) => break record,
                Err(ConsumerError::Client(_)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(value(&record), "value");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_made_for_those_who_ask() {
    for_each_cluster(async |cluster| {
        let name = unique("made");
        let writer = producer(&client(&cluster.bootstrap()), ProducerConfig::new());
        let written = writer.send(&ProducerRecord::to(&*name)).await.unwrap();
        assert_eq!(written.await.unwrap().offset, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_no_topic_can_have() {
    for_each_cluster(async |cluster| {
        let client = strict(&cluster.bootstrap());
        let config = ProducerConfig::new().max_block(Duration::from_millis(200));
        let writer = producer(&client, config);
        let error = writer.send(&ProducerRecord::to("no topic!")).await;
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("no topic!") && text.contains("INVALID_TOPIC"),
            "{text}"
        );
        let mut consumer = reader(&client, [TopicPartition::new("no topic!", 0)]);
        let text = consumer.recv().await.unwrap_err().to_string();
        assert!(
            text.contains("no topic!") && text.contains("INVALID_TOPIC"),
            "{text}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_do_not_exist() {
    for_each_cluster(async |cluster| {
        let topic = topic(cluster, "two", 2).await;
        produce(&cluster.bootstrap(), &topic, &["value"]).await;
        let client = strict(&cluster.bootstrap());
        let missing = TopicPartition::new(&*topic, 2);
        let mut consumer = reader(&client, [missing.clone(), first(&topic)]);
        // The others are read meanwhile.
        assert_eq!(value(&take(&mut consumer, 1).await[0]), "value");
        let error = match consumer.recv().await.unwrap_err() {
            ConsumerError::Client(error) => last(error),
            error => panic!("{error}"),
        };
        let unknown = matches!(
            error,
            ClientError::UnknownPartition {
                partition: 2,
                count: 2,
                ..
            }
        );
        assert!(unknown, "{error}");
        assert!(error.to_string().contains(&*topic), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_too_large() {
    for_each_cluster(async |cluster| {
        let topic = topic(cluster, "too-large", 1).await;
        let client = client(&cluster.bootstrap());
        let large = ProducerRecord::to(Arc::clone(&topic)).value(vec![0; 2 << 20]);
        // What a request may hold, by the client.
        let writer = producer(&client, ProducerConfig::new());
        let error = writer.send(&large).await.unwrap_err();
        assert!(matches!(error, ProduceError::TooLarge { .. }), "{error}");
        assert_eq!(error.advice(), Advice::ChangeRecord);
        let text = error.to_string();
        assert!(
            text.contains(&*topic) && text.contains("max_request_size"),
            "{text}"
        );
        // What a record may be, by the broker.
        let config = ProducerConfig::new().max_request_size(8 << 20);
        let writer = producer(&client, config);
        let error = writer.send(&large).await.unwrap().await.unwrap_err();
        let code = ErrorCode::MessageTooLarge;
        assert!(matches!(error, ProduceError::Refused { code: found, .. } if found == code));
        assert_eq!(error.advice(), Advice::ChangeRecord);
        assert!(error.to_string().contains(&*topic), "{error}");
        let small = ProducerRecord::to(Arc::clone(&topic)).value("small");
        let written = writer.send(&small).await.unwrap().await.unwrap();
        assert_eq!(written.offset, 0);
    })
    .await;
}
