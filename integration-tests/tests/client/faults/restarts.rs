//! Brokers that go and come back, elsewhere perhaps.

use std::path::Path;
use std::sync::Arc;

use integration_tests::harness::calls;
use integration_tests::harness::embedded::{self, Embedded};
use integration_tests::harness::proxy::Proxy;
use tidemark_broker::environment::Environment;
use tidemark_client::producer::{ProducerConfig, ProducerRecord};

use crate::support::*;

async fn start(dir: &Path, proxy: &Proxy) -> Embedded {
    let advertised = proxy.advertised();
    let options = [("advertised.listeners", &*advertised)];
    let broker = embedded::start(dir, Environment::real(), &options).await;
    proxy.forward_to(&broker.bootstrap());
    broker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_broker_is_written_and_read_on() {
    const ROUNDS: usize = 6;
    const RECORDS: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start().await;
    let mut broker = start(dir.path(), &proxy).await;
    let mut connection = calls::connect(&broker.bootstrap()).await;
    calls::create_topic(&mut connection, "restarted", 1, &[]).await;
    let topic: Arc<str> = "restarted".into();
    let client = client(&proxy.address());
    let config = ProducerConfig::new().delivery_timeout(LONG);
    let writer = producer(&client, config);
    let mut consumer = reader(&client, [first(&topic)]);
    for round in 0..ROUNDS {
        let mut deliveries = Vec::new();
        for at in 0..RECORDS {
            let record = ProducerRecord::to(Arc::clone(&topic));
            let record = record.value((round * RECORDS + at).to_string());
            deliveries.push(writer.send(&record).await.unwrap());
        }
        // With what is under way answered, or cut off.
        if round % 2 == 1 {
            proxy.reset();
        }
        broker.shutdown().await.unwrap();
        broker = start(dir.path(), &proxy).await;
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        let read = take(&mut consumer, RECORDS).await;
        for (at, record) in (round * RECORDS..).zip(&read) {
            assert_eq!((value(record), record.offset), (at.to_string(), at as i64));
        }
    }
    let counts = writer.close(LONG).await;
    assert_eq!(
        (counts.delivered, counts.failed),
        ((ROUNDS * RECORDS) as u64, 0)
    );
    let end = end_offset(&broker.bootstrap(), &first(&topic)).await;
    assert_eq!(end, (ROUNDS * RECORDS) as i64);
    broker.shutdown().await.unwrap();
}

/// The broker tells another address each time: nothing is left at the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_moves_is_found() {
    let dir = tempfile::tempdir().unwrap();
    // Where clients begin stays.
    let door = Proxy::start().await;
    let first_proxy = Proxy::start().await;
    let mut broker = start(dir.path(), &first_proxy).await;
    door.forward_to(&broker.bootstrap());
    let mut connection = calls::connect(&broker.bootstrap()).await;
    calls::create_topic(&mut connection, "moving", 1, &[]).await;
    let topic: Arc<str> = "moving".into();
    let client = client(&door.address());
    let writer = producer(&client, ProducerConfig::new().delivery_timeout(LONG));
    let mut consumer = reader(&client, [first(&topic)]);
    let mut here = first_proxy;
    for round in 0..4 {
        let record = ProducerRecord::to(Arc::clone(&topic)).value(round.to_string());
        let delivery = writer.send(&record).await.unwrap();
        assert_eq!(delivery.await.unwrap().offset, round);
        let record = &take(&mut consumer, 1).await[0];
        assert_eq!(value(record), round.to_string());
        broker.shutdown().await.unwrap();
        here.refuse().await;
        here.cut();
        let next = Proxy::start().await;
        broker = start(dir.path(), &next).await;
        door.forward_to(&broker.bootstrap());
        drop(std::mem::replace(&mut here, next));
    }
    assert!(here.counts().accepted == 0 || here.counts().open > 0);
    drop((writer, consumer));
    broker.shutdown().await.unwrap();
}
