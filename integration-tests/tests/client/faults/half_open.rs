//! Brokers that accept and do not answer, and networks that swallow.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::harness::proxy::{Direction, Flow, Proxy};
use tidemark_client::consumer::{ConsumerConfig, ConsumerError, OffsetReset};
use tidemark_client::producer::{ProduceError, ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig};

use crate::support::*;

fn impatient(proxy: &Proxy) -> ClientConfig {
    config(&proxy.address())
        .request_timeout(Duration::from_millis(300))
        .connect_timeout(Duration::from_millis(300))
        .api_timeout(Duration::from_millis(600))
}

const SILENCES: [(Direction, Flow); 4] = [
    (Direction::ToBroker, Flow::Hold),
    (Direction::ToBroker, Flow::Discard),
    (Direction::ToClient, Flow::Hold),
    (Direction::ToClient, Flow::Discard),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_gets_over_silence() {
    behind_a_proxy(async |cluster, proxy| {
        for (direction, flow) in SILENCES {
            let topic = topic(cluster, "silent", 1).await;
            let client = Client::new(impatient(proxy)).unwrap();
            let producer = producer(&client, ProducerConfig::new().delivery_timeout(LONG));
            let record = |value: &'static str| ProducerRecord::to(Arc::clone(&topic)).value(value);
            producer
                .send(&record("before"))
                .await
                .unwrap()
                .await
                .unwrap();
            let connections = proxy.counts().accepted;
            proxy.set_flow(direction, flow);
            let meanwhile = producer.send(&record("meanwhile")).await.unwrap();
            // The client has given the silent connection up and tries another one.
            proxy.wait_for(|counts| counts.accepted > connections).await;
            proxy.set_flows(Flow::Pass);
            meanwhile.await.unwrap();
            producer
                .send(&record("after"))
                .await
                .unwrap()
                .await
                .unwrap();
            let read = read_all(&cluster.bootstrap(), &first(&topic)).await;
            assert_eq!(values(&read), ["before", "meanwhile", "after"]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_says_who_was_silent() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "timeout", 1).await;
        let client = Client::new(impatient(proxy)).unwrap();
        let config = ProducerConfig::new()
            .delivery_timeout(Duration::from_millis(700))
            .max_block(Duration::from_millis(700));
        let producer = producer(&client, config);
        let record = ProducerRecord::to(Arc::clone(&topic)).value("value");
        producer.send(&record).await.unwrap().await.unwrap();
        proxy.set_flow(Direction::ToClient, Flow::Discard);
        let error = producer.send(&record).await.unwrap().await.unwrap_err();
        assert!(matches!(error, ProduceError::Timeout { .. }), "{error}");
        assert!(error.maybe_written());
        let text = error.to_string();
        assert!(
            text.contains(&*topic) && text.contains(&proxy.address()),
            "{text}"
        );
        // An unknown topic has to be asked for.
        let error = producer
            .send(&ProducerRecord::to("other"))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("\"other\"") && text.contains(&proxy.address()),
            "{text}"
        );
        // And it all comes right again.
        proxy.set_flows(Flow::Pass);
        let written = producer.send(&record).await;
        let written = match written.unwrap().await {
            // Its time may have been up while the broker was still thought to be silent.
            Err(_) => producer.send(&record).await.unwrap().await,
            written => written,
        };
        assert!(written.unwrap().offset >= 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_says_who_was_silent_and_goes_on() {
    behind_a_proxy(async |cluster, proxy| {
        for (direction, flow) in SILENCES {
            let topic = topic(cluster, "quiet", 1).await;
            let client = Client::new(impatient(proxy)).unwrap();
            let config = ConsumerConfig::new()
                .offset_reset(OffsetReset::Earliest)
                .fetch_max_wait(Duration::from_millis(100));
            let mut consumer = client.consumer(config).unwrap();
            consumer.assign([first(&topic)]).unwrap();
            produce(&cluster.bootstrap(), &topic, &["before"]).await;
            assert_eq!(values(&take(&mut consumer, 1).await), ["before"]);
            proxy.set_flow(direction, flow);
            let error = consumer.recv().await.unwrap_err();
            assert!(matches!(error, ConsumerError::Client(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains(&proxy.address()), "{text}");
            proxy.set_flows(Flow::Pass);
            produce(&cluster.bootstrap(), &topic, &["after"]).await;
            let next = loop {
                match consumer.recv().await {
                    Ok(record) => break record,
                    Err(ConsumerError::Client(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            };
            assert_eq!(value(&next), "after");
        }
    })
    .await;
}

/// The position is not known yet: it is another request that is not answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_looks_for_its_position_says_who_was_silent() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "nowhere", 1).await;
        produce(&cluster.bootstrap(), &topic, &["value"]).await;
        let client = Client::new(impatient(proxy)).unwrap();
        script(proxy, |request| {
            use integration_tests::harness::proxy::Verdict;
            use tidemark_protocol::messages::ListOffsetsRequest;
            request.is::<ListOffsetsRequest>().then_some(Verdict::Drop)
        });
        let mut consumer = reader(&client, [first(&topic)]);
        let text = consumer.recv().await.unwrap_err().to_string();
        let names = [&*topic, "ListOffsets", &proxy.address()];
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
        script(proxy, |_| None);
        let next = loop {
            if let Ok(record) = consumer.recv().await {
                break record;
            }
        };
        assert_eq!(value(&next), "value");
    })
    .await;
}
