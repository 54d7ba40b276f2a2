//! A thousand broken connections leave nothing behind.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::allocations::{Counting, held};
use integration_tests::harness::proxy::Proxy;
use tidemark_client::Client;
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tokio::runtime::Builder;
use tokio::task::block_in_place;

use crate::support::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RECONNECTS: usize = 1000;
/// After so many the client has all that it keeps.
const WARM: usize = 100;
/// Connections: one for each use, and as many that are being replaced.
const MAX_OPEN: usize = 6;
/// What may come and go with the connections of the moment, in bytes: each has a buffer of 64 KiB.
/// Half a KiB that is left behind each time is as much.
const RESERVE: isize = 512 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconnecting_leaves_nothing_behind() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "reconnects", 1).await;
        // The client has a thread and a runtime of its own, so that both can be looked at.
        block_in_place(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let tasks = || runtime.metrics().num_alive_tasks();
            runtime.block_on(reconnect(proxy, &topic, tasks));
            assert_eq!(tasks(), 0);
        });
        proxy.wait_for(|counts| counts.open == 0).await;
        let end = end_offset(&cluster.bootstrap(), &first(&topic)).await;
        assert_eq!(end, RECONNECTS as i64);
    })
    .await;
}

async fn reconnect(proxy: &Proxy, topic: &Arc<str>, tasks: impl Fn() -> usize) {
    let millis = Duration::from_millis;
    let config = config(&proxy.address())
        .retry_backoff(millis(1), millis(4))
        .reconnect_backoff(millis(1), millis(4));
    let client = Client::new(config).unwrap();
    let writer = producer(&client, ProducerConfig::new().linger(Duration::ZERO));
    let mut consumer = reader(&client, [first(topic)]);
    let record = ProducerRecord::to(Arc::clone(topic)).value("value");
    let mut warm = (0, 0);
    for at in 0..RECONNECTS {
        let delivery = writer.send(&record).await.unwrap();
        assert_eq!(delivery.await.unwrap().offset, at as i64);
        assert_eq!(consumer.recv().await.unwrap().offset, at as i64);
        // Everything is connected, and nothing is under way but the fetch.
        let (now, alive) = (held(), tasks());
        // How many connections there are at a time differs: the most counts.
        if at <= WARM {
            warm = (now.max(warm.0), alive.max(warm.1));
        } else {
            let (bytes, before) = warm;
            assert!(now - bytes < RESERVE, "{at}: {} bytes more", now - bytes);
            assert!(
                alive <= before + MAX_OPEN,
                "{at}: {alive} tasks, were {before}"
            );
        }
        let open = proxy.counts().open;
        assert!(open <= MAX_OPEN, "{at}: {open} connections");
        if at % 2 == 0 {
            proxy.cut();
        } else {
            proxy.reset();
        }
    }
    let accepted = proxy.counts().accepted;
    assert!(accepted > 2 * RECONNECTS, "{accepted} connections");
    assert_eq!(writer.close(LONG).await.delivered, RECONNECTS as u64);
    consumer.close().await.unwrap();
    client.close();
    drop(client);
    while tasks() > 0 {
        tokio::task::yield_now().await;
    }
}
