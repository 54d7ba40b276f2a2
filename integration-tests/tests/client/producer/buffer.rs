//! A broker that takes less than is sent.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::harness::proxy::{Gate, Verdict};
use tidemark_client::ClientError;
use tidemark_client::consumer::ConsumerError;
use tidemark_client::producer::{
    Advice, Counts, ProduceError, ProducerConfig, ProducerRecord, RecordParts,
};
use tidemark_protocol::messages::ProduceRequest;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_buffer_makes_senders_wait_and_in_the_end_fail() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "full", 1).await;
        let gate = Gate::new();
        let held = gate.clone();
        script(proxy, move |request| {
            let produces = request.is::<ProduceRequest>();
            produces.then(|| Verdict::Hold(held.clone()))
        });
        // Each has connections of its own: what is held holds up all that is behind it.
        let small = |max_block| {
            let config = ProducerConfig::new()
                .max_request_size(1000)
                .buffer_memory(4000)
                .max_block(max_block);
            producer(&client(&proxy.address()), config)
        };
        let parts = RecordParts {
            value: Some(&[b'x'; 400]),
            ..RecordParts::default()
        };
        let impatient = small(Duration::from_millis(20));
        impatient.ready(&topic, &parts).await.unwrap();
        let mut taken = 0;
        while impatient.try_send(&topic, &parts).unwrap() {
            taken += 1;
        }
        assert!((5..=9).contains(&taken), "{taken} of 400 bytes in 4000");
        let full = ProducerRecord::to(Arc::clone(&topic)).value(vec![b'x'; 400]);
        let error = impatient.send(&full).await.unwrap_err();
        let told = matches!(error, ProduceError::BufferFull { memory: 4000, .. });
        assert!(told, "{error}");
        assert_eq!(error.advice(), Advice::SendAgain);
        assert!(!error.maybe_written());
        // Waiting for this one is no other than sending it; a small one still finds room.
        let error = impatient.ready(&topic, &parts).await.unwrap_err();
        assert!(matches!(error, ProduceError::BufferFull { .. }), "{error}");
        let none = RecordParts::default();
        impatient.ready(&topic, &none).await.unwrap();
        assert!(impatient.try_send(&topic, &RecordParts::default()).unwrap());

        let patient = small(LONG);
        let sending = tokio::spawn(async move {
            for _ in 0..100 {
                drop(patient.send(&full).await.unwrap());
            }
            patient.close(LONG).await
        });
        gate.reached(2).await;
        assert!(!sending.is_finished(), "100 records do not fit");
        gate.open();
        let all = |delivered| Counts {
            delivered,
            failed: 0,
        };
        assert_eq!(sending.await.unwrap(), all(100));
        assert_eq!(impatient.close(LONG).await, all(taken + 1));
        let end = end_offset(&cluster.bootstrap(), &first(&topic)).await;
        assert_eq!(end, 101 + taken as i64);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_gives_up_what_nobody_takes() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "given-up", 1).await;
        let client = client(&proxy.address());
        let one_by_one = ProducerConfig::new().max_in_flight(1);
        let producer = producer(&client, one_by_one);
        let record = ProducerRecord::to(Arc::clone(&topic)).value("value");
        producer.send(&record).await.unwrap().await.unwrap();
        let gate = Gate::new();
        let held = gate.clone();
        script(proxy, move |_| Some(Verdict::Hold(held.clone())));
        let under_way = producer.send(&record).await.unwrap();
        gate.reached(1).await;
        let waiting = producer.send(&record).await.unwrap();
        let counts = producer.close(Duration::from_millis(20)).await;
        assert_eq!((counts.delivered, counts.failed), (1, 2));
        let last = producer.last_error().unwrap();
        assert!(matches!(last, ProduceError::Closed { .. }), "{last}");
        for (delivery, maybe) in [(under_way, true), (waiting, false)] {
            let error = delivery.await.unwrap_err();
            assert!(matches!(error, ProduceError::Closed { .. }), "{error}");
            assert_eq!(error.maybe_written(), maybe, "{error}");
        }
        let late = producer.send(&record).await.unwrap_err();
        assert!(!late.maybe_written(), "{late}");
        gate.open();
    })
    .await;
}

/// Closing the client ends all that is made of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_client_does_nothing_more() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "closed", 1).await;
        let client = client(&proxy.address());
        let config = ProducerConfig::new().delivery_timeout(Duration::from_millis(200));
        let producer = producer(&client, config);
        let record = ProducerRecord::to(Arc::clone(&topic)).value("value");
        producer.send(&record).await.unwrap().await.unwrap();
        let mut reading = reader(&client, [first(&topic)]);
        take(&mut reading, 1).await;
        let reading = tokio::spawn(async move { reading.recv().await });
        client.close();
        let error = reading.await.unwrap().unwrap_err();
        assert!(
            matches!(error, ConsumerError::Client(ClientError::Closed)),
            "{error}"
        );
        proxy.wait_for(|counts| counts.open == 0).await;
        let sent = producer.send(&record).await;
        let error = match sent {
            Ok(delivery) => delivery.await.unwrap_err(),
            Err(error) => error,
        };
        let text = error.to_string();
        assert!(text.contains("closed"), "{text}");
        let unknown = ProducerRecord::to("unknown");
        let error = producer.send(&unknown).await.unwrap_err();
        assert!(matches!(error, ProduceError::Closed { .. }), "{error}");
        assert_eq!(proxy.counts().open, 0);
        let mut consumer = reader(&client, [first(&topic)]);
        let error = consumer.recv().await.unwrap_err();
        assert!(
            matches!(error, ConsumerError::Client(ClientError::Closed)),
            "{error}"
        );
    })
    .await;
}
