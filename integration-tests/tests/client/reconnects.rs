//! A thousand reconnects leave nothing behind.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::harness::calls;
use integration_tests::harness::cluster::{for_each_cluster_behind_a_proxy, unique};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig};

const ROUNDS: usize = 1000;
/// Memory that may come and go, in KiB.
const SLACK: usize = 20 * 1024;

/// Resident memory in KiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reconnects_leave_nothing_behind() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic: Arc<str> = unique("reconnects").into();
        let mut connection = calls::connect(&cluster.bootstrap()).await;
        calls::create_served_topic(&mut connection, &topic, 1, &[]).await;
        let ms = Duration::from_millis;
        let config = ClientConfig::new(&proxy.address())
            .retry_backoff(ms(1), ms(5))
            .reconnect_backoff(ms(1), ms(2));
        let client = Client::new(config).unwrap();
        let producer = client
            .producer(ProducerConfig::new().linger(ms(0)))
            .unwrap();
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        let mut settled = (0, 0);
        for round in 0..ROUNDS {
            let record = ProducerRecord::to(Arc::clone(&topic)).value("x");
            producer.send(&record).await.unwrap().await.unwrap();
            proxy.cut();
            if round == ROUNDS / 10 {
                settled = (tasks(), memory());
            }
        }
        // Those of the proxy count too; a leak of one task a round would be hundreds.
        let (tasks, memory) = (tasks(), memory());
        assert!(tasks <= settled.0 + 20, "{} tasks, then {tasks}", settled.0);
        assert!(
            memory <= settled.1 + SLACK,
            "{} KiB, then {memory}",
            settled.1
        );
        let counts = proxy.wait_for(|counts| counts.open <= 4).await;
        assert!(counts.accepted >= ROUNDS as u64 as _, "{counts:?}");
        assert_eq!(producer.counts().delivered, ROUNDS as u64);
    })
    .await;
}
