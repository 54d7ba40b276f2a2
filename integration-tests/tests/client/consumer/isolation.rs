//! Transactions that others write: Tidemark has none, Apache Kafka does.

use integration_tests::harness::cluster::{Cluster, unique};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use tidemark_client::Client;
use tidemark_client::consumer::{Consumer, ConsumerConfig, IsolationLevel, OffsetReset};

use crate::support::*;

type Foreign = ThreadedProducer<DefaultProducerContext>;

fn transactional(bootstrap: &str) -> Foreign {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", unique("transactional"));
    let producer: Foreign = config.create().unwrap();
    producer.init_transactions(LONG).unwrap();
    producer
}

/// Begins a transaction with these records, and waits until the broker has them.
fn write(producer: &Foreign, topic: &str, values: &[&str]) {
    producer.begin_transaction().unwrap();
    for value in values {
        let record = BaseRecord::<(), str>::to(topic).payload(value);
        producer.send(record).unwrap();
    }
    producer.flush(LONG).unwrap();
}

fn consumer(client: &Client, topic: &std::sync::Arc<str>, level: IsolationLevel) -> Consumer {
    let config = ConsumerConfig::new()
        .offset_reset(OffsetReset::Earliest)
        .isolation_level(level);
    let mut consumer = client.consumer(config).unwrap();
    consumer.assign([first(topic)]).unwrap();
    consumer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_committed_is_read_by_those_who_ask_for_it() {
    let cluster = match Cluster::shared_kafka().await {
        Ok(cluster) => cluster,
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    let bootstrap = cluster.bootstrap();
    let topic = topic(&cluster, "transactions", 1).await;
    let (address, name) = (bootstrap.clone(), topic.to_string());
    let open = blocking(move || {
        let (one, two) = (transactional(&address), transactional(&address));
        write(&one, &name, &["aborted", "aborted"]);
        write(&two, &name, &["good"]);
        one.abort_transaction(LONG).unwrap();
        two.commit_transaction(LONG).unwrap();
        write(&one, &name, &["good", "good"]);
        one.commit_transaction(LONG).unwrap();
        write(&two, &name, &["aborted"]);
        two.abort_transaction(LONG).unwrap();
        write(&one, &name, &["open"]);
        write(&two, &name, &["late"]);
        two.commit_transaction(LONG).unwrap();
        (one, two)
    })
    .await;
    let client = client(&bootstrap);
    let mut all = consumer(&client, &topic, IsolationLevel::ReadUncommitted);
    let mut read = values(&take(&mut all, 8).await);
    assert_eq!(read.split_off(6), ["open", "late"]);
    read.sort();
    assert_eq!(
        read,
        ["aborted", "aborted", "aborted", "good", "good", "good"]
    );

    let mut committed = consumer(&client, &topic, IsolationLevel::ReadCommitted);
    assert_eq!(values(&take(&mut committed, 3).await), ["good"; 3]);
    // Nothing behind the open transaction, be it committed or not.
    let (_, stable, high) = committed.watermarks(&first(&topic)).unwrap();
    assert!(stable < high, "{stable} {high}");
    let waiting = tokio::spawn(async move { take(&mut committed, 2).await });
    let (address, name) = (bootstrap.clone(), topic.to_string());
    blocking(move || {
        let three = transactional(&address);
        write(&three, &name, &["later still"]);
        three.commit_transaction(LONG).unwrap();
        let (one, two) = open;
        one.abort_transaction(LONG).unwrap();
        drop(two);
    })
    .await;
    assert_eq!(values(&waiting.await.unwrap()), ["late", "later still"]);
}
