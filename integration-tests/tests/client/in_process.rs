//! A client and a broker in one process, without a socket between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::harness::calls;
use integration_tests::harness::cluster::Cluster;
use tidemark_client::producer::{ProduceError, ProducerConfig, ProducerRecord};
use tidemark_client::{BoxStream, Client};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_go_in_and_out() {
    let cluster = Cluster::tidemark(&[("message.max.bytes", "8388608")]).await;
    let Cluster::Tidemark(broker) = &cluster else {
        unreachable!("it was asked for")
    };
    let mut connection = calls::connect(&cluster.bootstrap()).await;
    calls::create_topic(&mut connection, "inside", 1, &[]).await;
    let connections = Arc::new(AtomicUsize::new(0));
    let (connector, made) = (broker.connector(), Arc::clone(&connections));
    // Nobody listens at such an address.
    let config = config("nowhere.invalid:1")
        .api_timeout(Duration::from_millis(200))
        .transport(move |_: &str, _: u16| {
            let connector = connector.clone();
            made.fetch_add(1, Ordering::Relaxed);
            async move { Ok(Box::new(connector.connect().await?) as BoxStream) }
        });
    let client = Client::new(config).unwrap();
    let topic: Arc<str> = "inside".into();
    let settings = ProducerConfig::new()
        .max_request_size(4 << 20)
        .delivery_timeout(Duration::from_millis(500));
    let writer = producer(&client, settings);
    let mut consumer = reader(&client, [first(&topic)]);
    // More than the pipe between them holds at a time, both ways.
    let large = vec![b'x'; 3 << 20];
    for at in 0..200 {
        let value = match at % 50 {
            0 => large.clone(),
            _ => at.to_string().into_bytes(),
        };
        let record = ProducerRecord::to(Arc::clone(&topic)).value(value);
        drop(writer.send(&record).await.unwrap());
    }
    writer.flush().await;
    for (at, record) in (0..).zip(take(&mut consumer, 200).await) {
        match at % 50 {
            0 => assert!(record.value.as_deref() == Some(&large)),
            _ => assert_eq!(value(&record), at.to_string()),
        }
    }
    // One to begin with, and one for each use under the address that the broker tells.
    assert_eq!(connections.load(Ordering::Relaxed), 4);
    drop(connection);
    cluster.stop().await;
    let record = ProducerRecord::to(Arc::clone(&topic)).value("too late");
    let error = writer.send(&record).await.unwrap().await.unwrap_err();
    assert!(matches!(error, ProduceError::Timeout { .. }), "{error}");
    assert!(consumer.recv().await.is_err());
}
