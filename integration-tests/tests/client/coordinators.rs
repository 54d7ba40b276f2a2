//! A group whose coordinator moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use integration_tests::harness::calls;
use integration_tests::harness::cluster::{for_each_cluster_behind_a_proxy, unique};
use integration_tests::harness::proxy::Verdict;
use tidemark_client::TopicPartition;
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::messages::{FindCoordinatorRequest, HeartbeatRequest, OffsetCommitRequest};

use super::support::client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_move() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = unique("coordinators");
        let mut connection = calls::connect(&cluster.bootstrap()).await;
        calls::create_served_topic(&mut connection, &topic, 1, &[]).await;
        for value in 0..30 {
            let value = value.to_string();
            calls::produce(&mut connection, &topic, calls::batch(&value, None), -1).await;
        }
        let asked = Arc::new(AtomicUsize::new(0));
        let refused = Arc::new(AtomicUsize::new(0));
        let counts = (Arc::clone(&asked), Arc::clone(&refused));
        proxy.set_script(move |request| {
            if request.is::<FindCoordinatorRequest>() {
                asked.fetch_add(1, Ordering::Relaxed);
            }
            let moved = request.is::<OffsetCommitRequest>() || request.is::<HeartbeatRequest>();
            if moved && refused.fetch_add(1, Ordering::Relaxed) < 4 {
                return request.fail(ErrorCode::NotCoordinator);
            }
            Verdict::Pass
        });
        let client = client(&proxy.address());
        let config = ConsumerConfig::group(unique("group")).offset_reset(OffsetReset::Earliest);
        let mut consumer = client.consumer(config).unwrap();
        consumer.subscribe([topic.as_str()]).unwrap();
        for number in 0..30_i64 {
            assert_eq!(consumer.recv().await.unwrap().offset, number);
        }
        consumer.commit().await.unwrap();
        let partition = TopicPartition::new(topic.as_str(), 0);
        let committed = consumer
            .committed(std::slice::from_ref(&partition))
            .await
            .unwrap();
        assert_eq!(committed[&partition].offset, 30);
        consumer.close().await.unwrap();
        // It was looked for again each time.
        assert!(counts.0.load(Ordering::Relaxed) >= 2 && counts.1.load(Ordering::Relaxed) >= 4);
    })
    .await;
}
