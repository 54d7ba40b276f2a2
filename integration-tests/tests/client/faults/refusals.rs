//! Error codes that a producer gets over.

use std::sync::Arc;

use integration_tests::harness::proxy::Verdict;
use tidemark_client::producer::{Advice, Delivery, ProduceError, ProducerConfig, ProducerRecord};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::messages::{InitProducerIdRequest, MetadataRequest, ProduceRequest};

use crate::support::*;

/// What a refusal says, and whether the broker has written the batch all the same.
struct Refusal {
    code: ErrorCode,
    written: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_that_pass_are_got_over() {
    let not_written = [
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::LeaderNotAvailable,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::KafkaStorageError,
        ErrorCode::RequestTimedOut,
        ErrorCode::CorruptMessage,
        ErrorCode::OutOfOrderSequenceNumber,
        ErrorCode::UnknownProducerId,
    ];
    let written = [
        ErrorCode::RequestTimedOut,
        ErrorCode::NotEnoughReplicasAfterAppend,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::NetworkException,
    ];
    let refusals = not_written.map(|code| Refusal {
        code,
        written: false,
    });
    let doubtful = written.map(|code| Refusal {
        code,
        written: true,
    });
    let refusals: Vec<Refusal> = refusals.into_iter().chain(doubtful).collect();
    behind_a_proxy(async |cluster, proxy| {
        for Refusal { code, written } in &refusals {
            let (code, written) = (*code, *written);
            let topic = topic(cluster, "refused", 1).await;
            let mut seen = 0;
            script(proxy, move |request| {
                request.is::<ProduceRequest>().then_some(())?;
                seen += 1;
                // The third one, and the seventh.
                match (seen % 4, written) {
                    (3, false) => Some(request.fail(code)),
                    (3, true) => Some(request.rewrite::<ProduceRequest>(move |response| {
                        for topic in &mut response.responses {
                            for partition in &mut topic.partition_responses {
                                partition.error_code = code.code();
                                partition.base_offset = -1;
                            }
                        }
                    })),
                    _ => None,
                }
            });
            let client = client(&proxy.address());
            let producer = producer(&client, ProducerConfig::new().batch_size(200));
            let mut deliveries: Vec<Delivery> = Vec::new();
            for at in 0..60 {
                let record = ProducerRecord::to(Arc::clone(&topic)).value(at.to_string());
                deliveries.push(producer.send(&record).await.unwrap());
            }
            let counts = producer.close(LONG).await;
            assert_eq!(
                (counts.delivered, counts.failed),
                (60, 0),
                "{code} {written}"
            );
            for delivery in deliveries {
                delivery.await.unwrap();
            }
            let read = values(&read_all(&cluster.bootstrap(), &first(&topic)).await);
            let sent: Vec<String> = (0..60).map(|at| at.to_string()).collect();
            assert_eq!(read, sent, "{code} {written}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_for_good_are_told_and_do_not_stop_what_follows() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "for-good", 1).await;
        let mut seen = 0;
        script(proxy, move |request| {
            request.is::<ProduceRequest>().then_some(())?;
            seen += 1;
            (seen == 2).then(|| request.fail(ErrorCode::InvalidRecord))
        });
        let client = client(&proxy.address());
        let producer = producer(&client, ProducerConfig::new());
        let record = ProducerRecord::to(Arc::clone(&topic)).value("value");
        for (at, offset) in [Some(0), None, Some(1), Some(2)].into_iter().enumerate() {
            let outcome = producer.send(&record).await.unwrap().await;
            match offset {
                Some(offset) => assert_eq!(outcome.unwrap().offset, offset, "{at}"),
                None => {
                    let error = outcome.unwrap_err();
                    let code = ErrorCode::InvalidRecord;
                    let refused = matches!(&error, ProduceError::Refused { code: found, .. } if *found == code);
                    assert!(refused, "{error}");
                    assert_eq!(error.advice(), Advice::ChangeRecord);
                    assert!(error.to_string().contains(&*topic), "{error}");
                }
            }
        }
        let counts = producer.close(LONG).await;
        assert_eq!((counts.delivered, counts.failed), (3, 1));
    })
    .await;
}

/// An epoch that the broker takes for old is left for the next one (KIP-360); a producer that is
/// fenced for good is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fenced_producers() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "fenced", 1).await;
        let refuse_once = |code: ErrorCode| {
            let mut refused = false;
            script(proxy, move |request| {
                let now = request.is::<ProduceRequest>() && !refused;
                refused |= now;
                now.then(|| request.fail(code))
            });
        };
        let client = client(&proxy.address());
        let producer = producer(&client, ProducerConfig::new());
        let record = ProducerRecord::to(Arc::clone(&topic)).value("value");
        refuse_once(ErrorCode::InvalidProducerEpoch);
        for offset in 0..3 {
            let written = producer.send(&record).await.unwrap().await.unwrap();
            assert_eq!(written.offset, offset);
        }
        let found = headers(&cluster.bootstrap(), &topic).await;
        assert!(found.iter().all(|header| header.producer_epoch == 1));
        refuse_once(ErrorCode::ProducerFenced);
        let error = producer.send(&record).await.unwrap().await.unwrap_err();
        let code = ErrorCode::ProducerFenced;
        let told = matches!(&error, ProduceError::Refused { code: found, .. } if *found == code);
        assert!(told, "{error}");
        assert_eq!(error.advice(), Advice::ChangeProducer);
        assert!(!error.maybe_written(), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_id_is_asked_for_until_there_is_one() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "identity", 1).await;
        let mut seen = 0;
        script(proxy, move |request| {
            request.is::<InitProducerIdRequest>().then_some(())?;
            seen += 1;
            match seen {
                1 => Some(request.fail(ErrorCode::CoordinatorLoadInProgress)),
                2 => Some(request.fail(ErrorCode::CoordinatorNotAvailable)),
                3 => Some(request.fail(ErrorCode::NotCoordinator)),
                4 => Some(Verdict::CloseAtAnswer),
                _ => None,
            }
        });
        let client = client(&proxy.address());
        let patient = producer(&client, ProducerConfig::new());
        let record = ProducerRecord::to(Arc::clone(&topic)).value("value");
        let written = patient.send(&record).await.unwrap().await.unwrap();
        assert_eq!(written.offset, 0);
        script(proxy, |request| {
            let asks = request.is::<InitProducerIdRequest>();
            asks.then(|| request.fail(ErrorCode::ClusterAuthorizationFailed))
        });
        let refused = producer(&client, ProducerConfig::new());
        let error = refused.send(&record).await.unwrap().await.unwrap_err();
        assert!(matches!(error, ProduceError::ProducerId { .. }), "{error}");
        assert_eq!(error.advice(), Advice::ChangeProducer);
        let text = error.to_string();
        assert!(text.contains("CLUSTER_AUTHORIZATION_FAILED"), "{text}");
        assert!(refused.send(&record).await.is_err());
    })
    .await;
}

/// Brokers learn of a topic one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_waited_for() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "late", 1).await;
        let mut seen = 0;
        script(proxy, move |request| {
            request.is::<MetadataRequest>().then_some(())?;
            seen += 1;
            (seen <= 3).then(|| {
                request.rewrite::<MetadataRequest>(move |response| {
                    for topic in &mut response.topics {
                        topic.partitions.clear();
                        topic.error_code = match seen {
                            1 => ErrorCode::LeaderNotAvailable.code(),
                            _ => ErrorCode::UnknownTopicOrPartition.code(),
                        };
                    }
                    response.brokers.truncate(usize::from(seen < 3));
                })
            })
        });
        let client = client(&proxy.address());
        let producer = producer(&client, ProducerConfig::new());
        let record = ProducerRecord::to(Arc::clone(&topic)).value("value");
        let written = producer.send(&record).await.unwrap().await.unwrap();
        assert_eq!(written.offset, 0);
    })
    .await;
}
