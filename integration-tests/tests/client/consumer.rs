//! The consumer by itself: positions, pauses, times, corrupt data.

use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::{Client, TopicPartition};

use integration_tests::harness::calls;
use integration_tests::harness::embedded;
use tidemark_broker::environment::Environment;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_what_is_there_and_what_comes() {
    let broker = embedded::start("/data".as_ref(), Environment::in_memory(), &[]).await;
    let bootstrap = broker.bootstrap();
    let mut connection = calls::connect(&bootstrap).await;
    calls::create_topic(&mut connection, "t", 2, &[]).await;
    for at in 0..10 {
        calls::produce(
            &mut connection,
            "t",
            calls::batch(&format!("value {at}"), None),
            1,
        )
        .await;
    }
    let client = Client::connect(&bootstrap).unwrap();
    let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
    let mut consumer = client.consumer(config).unwrap();
    consumer
        .assign([0, 1].map(|index| TopicPartition::new("t", index)))
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..10 {
        let record = consumer.recv().await.unwrap();
        seen.push((record.partition, record.offset, record.value.unwrap()));
    }
    seen.sort();
    println!("{seen:?}");
    consumer.close().await.unwrap();
    broker.shutdown().await.unwrap();
}
