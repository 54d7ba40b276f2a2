//! What a group reads may change: topics come, grow, and are subscribed to anew.

use tidemark_client::admin::{Mode, NewPartitions};

use integration_tests::harness::wait::until;

use super::reader::Reader;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_match_are_read_when_they_come() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        let prefix = unique("pattern") + "-";
        let start = |assignor| {
            let mut consumer = site.client.consumer(site.config_with(assignor)).unwrap();
            let prefix = prefix.clone();
            consumer
                .subscribe_matching(move |name| name.starts_with(&prefix))
                .unwrap();
            Reader::start(consumer)
        };
        let mut connection = calls::connect(&site.bootstrap).await;
        // Nothing matches yet.
        let (first, second) = (start("cooperative-sticky"), start("cooperative-sticky"));
        for (count, topic) in ["a", "b"]
            .map(|name| format!("{prefix}{name}"))
            .iter()
            .enumerate()
        {
            calls::create_served_topic(&mut connection, topic, 2, &[]).await;
            let from = i32::try_from(count).unwrap() * 20;
            write(&site.client, topic, from..from + 20).await;
            read_all(&[&first, &second], &[], 0..from + 20);
        }
        until("both to have a share", || {
            let owned = [&first, &second].map(|member| member.owned());
            (owned.iter().all(|owned| owned.len() == 2) && owned[0].is_disjoint(&owned[1]))
                .then_some(())
        });
        for said in [first.close().await, second.close().await] {
            let topics = said.records.iter().map(|record| record.topic.to_string());
            assert!(topics.into_iter().all(|topic| topic.starts_with(&prefix)));
        }
    })
    .await;
}

async fn new_partitions(cluster: &Cluster, assignor: &str) {
    let site = Site::new(cluster).await;
    let start = || Reader::start(site.member(site.config_with(assignor)));
    let (first, second) = (start(), start());
    settle(&[&first, &second], &site.topic, PARTITIONS);
    let more = NewPartitions::increase_to(PARTITIONS + 2);
    let admin = site.client.admin();
    let grown = admin
        .create_partitions([(site.topic.as_str(), more)], Mode::Apply)
        .await;
    grown.unwrap().all().unwrap();
    settle(&[&first, &second], &site.topic, PARTITIONS + 2);
    first.close().await;
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_sees_new_partitions() {
    for_each_cluster(async |cluster| {
        new_partitions(cluster, "range").await;
        new_partitions(cluster, "cooperative-sticky").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_replaced_and_given_up() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        let other = Site::new(cluster).await;
        site.write(0..30).await;
        other.write(30..50).await;
        let listener = reader::Listener::default();
        let mut consumer = site.member(site.config());
        consumer.set_rebalance_listener(listener.clone());
        assert_eq!(read(&mut consumer, 30).await, (0..30).collect());
        consumer.subscribe([other.topic.as_str()]).unwrap();
        assert_eq!(read(&mut consumer, 20).await, (30..50).collect());
        let of_other = |partition: &TopicPartition| *partition.topic == *other.topic;
        assert!(listener.said().owned.iter().all(of_other));
        consumer.unsubscribe().await.unwrap();
        assert!(
            listener.said().owned.is_empty(),
            "{:?}",
            listener.said().changes
        );
        assert!(consumer.assignment().is_empty());
        assert_eq!(site.committed().await, 30);
        // It has left: the next one need not wait, and goes on behind it.
        site.write(50..60).await;
        let mut next = site.member(site.config());
        assert_eq!(read(&mut next, 10).await, (50..60).collect());
        next.close().await.unwrap();
        // And it may come again itself.
        site.write(60..70).await;
        consumer.subscribe([site.topic.as_str()]).unwrap();
        assert_eq!(read(&mut consumer, 10).await, (60..70).collect());
        consumer.close().await.unwrap();
        assert_eq!(site.committed().await, 50);
    })
    .await;
}
