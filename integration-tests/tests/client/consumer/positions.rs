//! Where reading begins, and where it is sent.

use std::sync::Arc;

use bytes::Bytes;
use integration_tests::harness::calls;
use integration_tests::harness::cluster::for_each_cluster;
use tidemark_client::consumer::{ConsumerConfig, ConsumerError, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, TopicPartition};
use tidemark_protocol::StrBytes;
use tidemark_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use tidemark_protocol::messages::{DeleteRecordsRequest, TopicName};

use crate::support::*;

/// Deletes what lies below an offset of partition 0.
async fn delete_records(bootstrap: &str, topic: &str, below: i64) {
    let partition = DeleteRecordsPartition::default().with_offset(below);
    let topic = DeleteRecordsTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(60_000);
    let mut connection = calls::connect(bootstrap).await;
    let response = connection.call(2, &request).await.unwrap();
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
}

fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|at| at.to_string()).collect()
}

async fn fill(bootstrap: &str, topic: &Arc<str>, range: std::ops::Range<i64>) {
    let numbers = numbers(range);
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    produce(bootstrap, topic, &numbers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_begins_where_the_policy_says() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "policy", 1).await;
        let name = first(&topic);
        fill(&bootstrap, &topic, 0..10).await;
        delete_records(&bootstrap, &topic, 4).await;
        let client = client(&bootstrap);
        let consumer = |reset| {
            let config = ConsumerConfig::new().offset_reset(reset);
            let mut consumer = client.consumer(config).unwrap();
            consumer.assign([name.clone()]).unwrap();
            consumer
        };
        let mut earliest = consumer(OffsetReset::Earliest);
        assert_eq!(values(&take(&mut earliest, 6).await), numbers(4..10));

        let mut latest = consumer(OffsetReset::Latest);
        let mut later = client.consumer(ConsumerConfig::new()).unwrap();
        later.assign([name.clone()]).unwrap();
        // Whoever knows the end has a position.
        let mut error = consumer(OffsetReset::Error);
        let told = error.recv().await.unwrap_err();
        assert!(matches!(&told, ConsumerError::NoOffset { partition } if *partition == name));
        assert!(told.to_string().contains("seek"), "{told}");
        error.seek(&name, 8).unwrap();
        assert_eq!(values(&take(&mut error, 2).await), numbers(8..10));

        let waiting = tokio::spawn(async move { take(&mut latest, 1).await });
        // The end is where it was when it was asked for, which nothing tells from outside: records
        // come until one is read.
        let mut next = 10;
        while !waiting.is_finished() {
            fill(&bootstrap, &topic, next..next + 1).await;
            next += 1;
        }
        let read = waiting.await.unwrap();
        assert!(read[0].offset >= 10, "{read:?}");
        assert_eq!(value(&read[0]), read[0].offset.to_string());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_out_of_range_follow_the_policy() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "range", 1).await;
        let name = first(&topic);
        fill(&bootstrap, &topic, 0..10).await;
        delete_records(&bootstrap, &topic, 5).await;
        let client = client(&bootstrap);
        for outside in [2, 1000] {
            let at = |reset| {
                let config = ConsumerConfig::new().offset_reset(reset);
                let mut consumer = client.consumer(config).unwrap();
                consumer.assign([name.clone()]).unwrap();
                consumer.seek(&name, outside).unwrap();
                consumer
            };
            let mut earliest = at(OffsetReset::Earliest);
            assert_eq!(values(&take(&mut earliest, 5).await), numbers(5..10));
            let mut error = at(OffsetReset::Error);
            let told = error.recv().await;
            // The policy's own error comes first if it was told before the seek.
            let told = match told.unwrap_err() {
                ConsumerError::NoOffset { .. } => error.recv().await.unwrap_err(),
                told => told,
            };
            let ConsumerError::OffsetOutOfRange { partition, offset } = &told else {
                panic!("{told}");
            };
            assert_eq!((partition, *offset), (&name, outside));
            // The position stays for the application to see.
            assert_eq!(error.position(&name), Some(outside));
            error.seek_to_beginning(&name).unwrap();
            assert_eq!(values(&take(&mut error, 5).await), numbers(5..10));
        }
        // What is deleted in front of a reader that has not come that far.
        let mut consumer = reader(&client, [name.clone()]);
        assert_eq!(value(&take(&mut consumer, 1).await[0]), "5");
        consumer.seek(&name, 6).unwrap();
        delete_records(&bootstrap, &topic, 8).await;
        let next = consumer.recv().await.unwrap();
        assert!([6, 8].contains(&next.offset), "{next:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeking_goes_anywhere() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "seek", 1).await;
        let name = first(&topic);
        let client = client(&bootstrap);
        // Batches of several records: positions lie inside of them.
        let config = ProducerConfig::new().linger(std::time::Duration::from_millis(100));
        let producer = producer(&client, config);
        for at in 0..20 {
            let record = ProducerRecord::to(Arc::clone(&topic))
                .timestamp(1000 + 10 * at)
                .value(at.to_string());
            drop(producer.send(&record).await.unwrap());
        }
        producer.flush().await;
        let mut consumer = reader(&client, [name.clone()]);
        for to in [7, 19, 0, 3] {
            consumer.seek(&name, to).unwrap();
            assert_eq!(consumer.position(&name), Some(to));
            let record = &take(&mut consumer, 1).await[0];
            assert_eq!((record.offset, value(record)), (to, to.to_string()));
            assert_eq!(consumer.position(&name), Some(to + 1));
        }
        consumer.seek_to_beginning(&name).unwrap();
        assert_eq!(take(&mut consumer, 1).await[0].offset, 0);
        for (time, offset) in [(0, 0), (1000, 0), (1001, 1), (1055, 6), (1190, 19)] {
            consumer.seek_to_time(&name, time).unwrap();
            assert_eq!(take(&mut consumer, 1).await[0].offset, offset, "{time}");
        }
        // To the end, by either way: what comes next is the next record.
        for (to, jump) in [(20, false), (21, true)] {
            if jump {
                consumer.seek_to_time(&name, 5000).unwrap();
            } else {
                consumer.seek_to_end(&name).unwrap();
            }
            while consumer.position(&name).is_none() {
                tokio::task::yield_now().await;
            }
            assert_eq!(consumer.position(&name), Some(to));
            let record = ProducerRecord::to(Arc::clone(&topic))
                .timestamp(2000)
                .value("new");
            producer.send(&record).await.unwrap().await.unwrap();
            let record = &take(&mut consumer, 1).await[0];
            assert_eq!((record.offset, value(record)), (to, "new".to_owned()));
        }
        let elsewhere = TopicPartition::new(&*topic, 1);
        let wrong = [
            consumer.seek(&name, -1),
            consumer.seek(&elsewhere, 0),
            consumer.seek_to_end(&elsewhere),
            consumer.pause(std::slice::from_ref(&elsewhere)),
        ];
        for error in wrong {
            let error = error.unwrap_err();
            assert!(matches!(error, ConsumerError::Usage(_)), "{error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_partitions_give_nothing() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "pause", 2).await;
        let client = client(&bootstrap);
        let producer = producer(&client, ProducerConfig::new());
        let both: Vec<TopicPartition> = (0..2)
            .map(|index| TopicPartition::new(Arc::clone(&topic), index))
            .collect();
        let write = async |partition: i32, value: &'static str| {
            let record = ProducerRecord::to(Arc::clone(&topic)).partition(partition);
            let record = record.value(Bytes::from(value));
            producer.send(&record).await.unwrap().await.unwrap();
        };
        for _ in 0..3 {
            write(0, "a").await;
        }
        let mut consumer = reader(&client, both.clone());
        // In the middle of what was fetched.
        assert_eq!(value(&take(&mut consumer, 1).await[0]), "a");
        consumer.pause(&both[..1]).unwrap();
        assert_eq!(consumer.paused(), both[..1]);
        for _ in 0..3 {
            write(1, "b").await;
        }
        assert_eq!(values(&take(&mut consumer, 3).await), ["b"; 3]);
        assert_eq!(consumer.position(&both[0]), Some(1));
        consumer.pause(&both[1..]).unwrap();
        write(1, "c").await;
        consumer.resume(&both[..1]).unwrap();
        let rest = take(&mut consumer, 2).await;
        let offsets: Vec<i64> = rest.iter().map(|record| record.offset).collect();
        assert_eq!(
            (values(&rest), offsets),
            (vec!["a".to_owned(); 2], vec![1, 2])
        );
        consumer.resume(&both).unwrap();
        assert_eq!(value(&take(&mut consumer, 1).await[0]), "c");
        assert!(consumer.paused().is_empty());
    })
    .await;
}

/// Partitions that stay assigned go on where they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assignments_change_while_reading() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let (one, two) = (
            topic(cluster, "one", 1).await,
            topic(cluster, "two", 1).await,
        );
        fill(&bootstrap, &one, 0..10).await;
        fill(&bootstrap, &two, 0..10).await;
        let mut consumer = reader(&client(&bootstrap), [first(&one)]);
        assert_eq!(values(&take(&mut consumer, 4).await), numbers(0..4));
        consumer.assign([first(&one), first(&two)]).unwrap();
        let mut seen = take(&mut consumer, 16).await;
        seen.sort_by(|a, b| (&a.topic, a.offset).cmp(&(&b.topic, b.offset)));
        let expected: Vec<String> = [numbers(4..10), numbers(0..10)].concat();
        assert_eq!(values(&seen), expected);
        consumer.assign([first(&two)]).unwrap();
        assert_eq!(consumer.assignment(), [first(&two)]);
        fill(&bootstrap, &one, 10..11).await;
        fill(&bootstrap, &two, 10..11).await;
        let next = &take(&mut consumer, 1).await[0];
        assert_eq!((&next.topic, next.offset), (&two, 10));
        // Who comes back begins anew.
        consumer.assign([first(&one)]).unwrap();
        assert_eq!(take(&mut consumer, 1).await[0].offset, 0);
    })
    .await;
}

/// Another topic of the same name, with another id (KIP-516).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_anew_is_read_from_its_beginning() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let topic = topic(cluster, "anew", 1).await;
        // Or it would be made anew by asking for it.
        let client = Client::new(config(&bootstrap).auto_create_topics(false)).unwrap();
        let producer = producer(&client, ProducerConfig::new());
        let write = async |value: &'static str| {
            let record = ProducerRecord::to(Arc::clone(&topic)).value(value);
            producer.send(&record).await.unwrap().await.unwrap().offset
        };
        for _ in 0..5 {
            write("old").await;
        }
        let mut consumer = reader(&client, [first(&topic)]);
        assert_eq!(values(&take(&mut consumer, 5).await), ["old"; 5]);
        let mut connection = calls::connect(&bootstrap).await;
        calls::delete_topic(&mut connection, &topic).await;
        calls::create_served_topic(&mut connection, &topic, 1, &[]).await;
        // The producer and the consumer find the new one by themselves.
        for offset in 0..3 {
            assert_eq!(write("new").await, offset);
        }
        let read = take(&mut consumer, 3).await;
        assert_eq!(values(&read), ["new"; 3]);
        assert_eq!(read[0].offset, 0);
    })
    .await;
}
