//! Brokers that go and come back, elsewhere perhaps.

use std::path::Path;
use std::sync::Arc;

use integration_tests::harness::calls;
use integration_tests::harness::cluster::{Cluster, unique};
use integration_tests::harness::embedded::{self, Embedded};
use integration_tests::harness::kafka;
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

/// Writes and reads through a proxy while what is behind it is restarted.
async fn written_and_read_on(proxy: &Proxy, rounds: usize, mut restart: impl AsyncFnMut(usize)) {
    const RECORDS: usize = 100;
    let address = proxy.address();
    let topic: Arc<str> = unique("restarted").into();
    let mut connection = calls::connect(&address).await;
    calls::create_served_topic(&mut connection, &topic, 1, &[]).await;
    let client = client(&address);
    let config = ProducerConfig::new().delivery_timeout(LONG);
    let writer = producer(&client, config);
    let mut consumer = reader(&client, [first(&topic)]);
    for round in 0..rounds {
        let mut deliveries = Vec::new();
        for at in 0..RECORDS {
            let record = ProducerRecord::to(Arc::clone(&topic));
            let record = record.value((round * RECORDS + at).to_string());
            deliveries.push(writer.send(&record).await.unwrap());
        }
        restart(round).await;
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        let read = take(&mut consumer, RECORDS).await;
        for (at, record) in (round * RECORDS..).zip(&read) {
            assert_eq!((value(record), record.offset), (at.to_string(), at as i64));
        }
    }
    let counts = writer.close(LONG).await;
    let all = (rounds * RECORDS) as u64;
    assert_eq!((counts.delivered, counts.failed), (all, 0));
    let end = end_offset(&address, &first(&topic)).await;
    assert_eq!(end, all as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_broker_is_written_and_read_on() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start().await;
    let mut broker = Some(start(dir.path(), &proxy).await);
    written_and_read_on(&proxy, 6, async |round| {
        let old = broker.take().unwrap();
        // In order, or by surprise: what was acknowledged is there in any case.
        match round % 2 {
            0 => old.shutdown().await.unwrap(),
            _ => old.kill().await,
        }
        broker = Some(start(dir.path(), &proxy).await);
    })
    .await;
    broker.unwrap().shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_kafka_is_written_and_read_on() {
    let proxy = Proxy::start().await;
    let options = kafka::Options::default().advertise(&proxy.address());
    let kafka = match Cluster::kafka(options).await {
        Ok(Cluster::Kafka(kafka)) => kafka,
        Ok(_) => unreachable!("it was asked for"),
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    proxy.forward_to(kafka.bootstrap());
    let mut kafka = Some(kafka);
    written_and_read_on(&proxy, 2, async |round| {
        let mut old = kafka.take().unwrap();
        let restarted = blocking(move || {
            old.restart(round == 1);
            old
        });
        kafka = Some(restarted.await);
    })
    .await;
    blocking(move || drop(kafka)).await;
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
