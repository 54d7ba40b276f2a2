//! Which topics a producer asks the cluster for.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::harness::cluster::{for_each_cluster_behind_a_proxy, unique};
use integration_tests::harness::proxy::{Intercepted, Proxy, Verdict};
use tidemark_client::Client;
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{Producer, ProducerConfig, ProducerRecord};
use tidemark_protocol::messages::MetadataRequest;
use tidemark_protocol::messages::metadata_request::MetadataRequestTopic;
use tokio::sync::mpsc::{Receiver, channel};

use crate::support::*;

/// More requests than any test looks at.
const MANY: usize = 10_000;

/// A request for metadata: the names, `None` for all, and whether what is missing is to be made.
type Asked = (Option<Vec<String>>, bool);

fn read(request: &Intercepted) -> Asked {
    let request = request.decode::<MetadataRequest>();
    let name = |topic: MetadataRequestTopic| topic.name.unwrap().to_string();
    let names = request
        .topics
        .map(|topics| topics.into_iter().map(name).collect());
    (names, request.allow_auto_topic_creation)
}

/// The names that are asked for from now on, request by request.
fn asked(proxy: &Proxy) -> Receiver<Vec<String>> {
    let (sender, receiver) = channel(MANY);
    script(proxy, move |request| {
        if request.is::<MetadataRequest>() {
            // The last ones nobody looks at any more.
            drop(sender.try_send(read(request).0.unwrap()));
        }
        None
    });
    receiver
}

async fn send(producer: &Producer, topic: &Arc<str>, value: &'static str) -> i64 {
    let record = ProducerRecord::to(Arc::clone(topic)).value(value);
    producer.send(&record).await.unwrap().await.unwrap().offset
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_topic_is_asked_for_alone() {
    behind_a_proxy(async |cluster, proxy| {
        let topics = [topic(cluster, "a", 1).await, topic(cluster, "b", 1).await];
        let mut asked = asked(proxy);
        let client = Client::new(config(&proxy.address())).unwrap();
        let producer = producer(&client, ProducerConfig::new());
        for topic in &topics {
            assert_eq!(send(&producer, topic, "value").await, 0);
            assert_eq!(asked.recv().await.unwrap(), [&**topic]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_nobody_sends_to_is_not_asked_for_any_more() {
    behind_a_proxy(async |cluster, proxy| {
        let idle = topic(cluster, "idle", 1).await;
        let busy = topic(cluster, "busy", 1).await;
        let millis = Duration::from_millis;
        let mut asked = asked(proxy);
        let config = config(&proxy.address())
            .metadata_max_age(millis(50))
            .metadata_max_idle(millis(200));
        let client = Client::new(config).unwrap();
        let producer = producer(&client, ProducerConfig::new());
        assert_eq!(send(&producer, &idle, "first").await, 0);
        let mut offset = 0;
        loop {
            assert_eq!(send(&producer, &busy, "x").await, offset);
            offset += 1;
            if asked.recv().await.unwrap() == [&*busy] && client.metadata().topic(&idle).is_none() {
                break;
            }
        }
        // When it is used again it is asked for again, and goes on.
        assert_eq!(send(&producer, &idle, "second").await, 1);
        assert!(client.metadata().topic(&idle).is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_consumer_reads_is_asked_for_until_it_goes() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "read", 1).await;
        let mut asked = asked(proxy);
        let config = config(&proxy.address())
            .metadata_max_age(Duration::from_millis(20))
            .metadata_max_idle(Duration::ZERO);
        let client = Client::new(config).unwrap();
        let mut consumer = reader(&client, [first(&topic)]);
        for _ in 0..5 {
            let names = asked.recv().await.unwrap();
            assert_eq!(names, [&*topic]);
        }
        consumer.assign([]).unwrap();
        while !asked.recv().await.unwrap().is_empty() {}
        consumer.assign([first(&topic)]).unwrap();
        while asked.recv().await.unwrap() != [&*topic] {}
        consumer.close().await.unwrap();
        while !asked.recv().await.unwrap().is_empty() {}
        assert!(asked.recv().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_missing_among_all_is_asked_for_by_name() {
    // The group's coordinator is to be behind it, too.
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let sent_to = topic(cluster, "sent", 1).await;
        let matched = topic(cluster, "matched", 1).await;
        let config = config(&proxy.address()).metadata_max_age(Duration::from_millis(50));
        let client = Client::new(config).unwrap();
        let producer = producer(&client, ProducerConfig::new());
        let group = ConsumerConfig::group(unique("group")).offset_reset(OffsetReset::Earliest);
        let mut consumer = client.consumer(group).unwrap();
        let name = matched.to_string();
        consumer.subscribe_matching(move |n| n == name).unwrap();
        send(&producer, &sent_to, "0").await;
        produce(&cluster.bootstrap(), &matched, &["value"]).await;
        assert_eq!(values(&take(&mut consumer, 1).await), ["value"]);
        // Both seem to have been deleted.
        let (sender, mut asked) = channel(MANY);
        let hidden = [sent_to.to_string(), matched.to_string()];
        proxy.set_script(move |request| {
            if !request.is::<MetadataRequest>() {
                return Verdict::Pass;
            }
            let (names, create) = read(request);
            let all = names.is_none();
            drop(sender.try_send((names, create)));
            if !all {
                return Verdict::Pass;
            }
            let hidden = hidden.clone();
            request.rewrite::<MetadataRequest>(move |response| {
                response.topics.retain(|topic| {
                    let name = topic.name.as_ref().unwrap();
                    !hidden.iter().any(|hidden| hidden == name.as_str())
                });
            })
        });
        for _ in 0..3 {
            while asked.recv().await.unwrap().0.is_some() {}
            let named = |topic: &Arc<str>| Some(vec![topic.to_string()]);
            // Whoever sends to it wants it made.
            assert_eq!(asked.recv().await.unwrap(), (named(&sent_to), true));
            assert_eq!(asked.recv().await.unwrap(), (named(&matched), false));
        }
        send(&producer, &sent_to, "1").await;
    })
    .await;
}
