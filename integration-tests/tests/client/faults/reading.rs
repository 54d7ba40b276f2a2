//! What a consumer gets over: codes, lost sessions, broken connections.

use integration_tests::harness::cluster::for_each_cluster_behind_a_proxy;
use integration_tests::harness::proxy::{Direction, Strike, Verdict};
use tidemark_client::consumer::{ConsumerConfig, ConsumerError, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, TopicPartition};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::messages::{FetchRequest, ListOffsetsRequest};

use crate::support::*;

const CODES: [ErrorCode; 9] = [
    ErrorCode::NotLeaderOrFollower,
    ErrorCode::FencedLeaderEpoch,
    ErrorCode::UnknownLeaderEpoch,
    ErrorCode::OffsetNotAvailable,
    ErrorCode::ReplicaNotAvailable,
    ErrorCode::KafkaStorageError,
    ErrorCode::UnknownTopicOrPartition,
    ErrorCode::UnknownTopicId,
    ErrorCode::InconsistentTopicId,
];

/// Without sessions: each request names what it wants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_that_pass_lose_and_double_nothing() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "codes", 2).await;
        let client = client(&proxy.address());
        let writer = producer(&client, ProducerConfig::new().batch_size(100));
        for at in 0..200 {
            let record = ProducerRecord::to(&*topic).partition(at % 2);
            drop(writer.send(&record.value(at.to_string())).await.unwrap());
        }
        assert_eq!(writer.close(LONG).await.delivered, 200);
        let mut seen = 0;
        let decide = move |request: &integration_tests::harness::proxy::Intercepted| {
            let (fetch, offsets) = (
                request.is::<FetchRequest>(),
                request.is::<ListOffsetsRequest>(),
            );
            (fetch || offsets).then_some(())?;
            seen += 1;
            // An empty one has no partition to refuse.
            let named = !fetch || !request.decode::<FetchRequest>().topics.is_empty();
            match seen % 3 {
                0 => None,
                1 if named => Some(request.fail(CODES[seen / 3 % CODES.len()])),
                2 if seen % 4 == 2 => Some(Verdict::CloseAtAnswer),
                _ => None,
            }
        };
        script(proxy, decide);
        // Small answers: many of them.
        let config = ConsumerConfig::new()
            .offset_reset(OffsetReset::Earliest)
            .max_partition_bytes(300);
        let mut consumer = client.consumer(config).unwrap();
        let both = [0, 1].map(|index| TopicPartition::new(&*topic, index));
        consumer.assign(both).unwrap();
        let mut next = [0, 1];
        for record in take(&mut consumer, 200).await {
            let expected = &mut next[record.partition as usize];
            assert_eq!(value(&record), expected.to_string());
            *expected += 2;
        }
        assert_eq!(next, [200, 201]);
        consumer.close().await.unwrap();
    })
    .await;
}

/// Refusals that do not pass are told; reading goes on when they do pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_that_stay_are_told() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "told", 1).await;
        produce(&cluster.bootstrap(), &topic, &["value"]).await;
        let refuse = |code: ErrorCode| {
            script(proxy, move |request| {
                let asks = request.is::<ListOffsetsRequest>();
                asks.then(|| request.fail(code))
            });
        };
        refuse(ErrorCode::TopicAuthorizationFailed);
        let config = config(&proxy.address()).api_timeout(std::time::Duration::from_millis(100));
        let client = Client::new(config).unwrap();
        let mut consumer = reader(&client, [first(&topic)]);
        let told = |error: ConsumerError| match error {
            ConsumerError::Partition { partition, code } => {
                assert_eq!(partition, first(&topic));
                code
            }
            error => panic!("{error}"),
        };
        for _ in 0..3 {
            let error = consumer.recv().await.unwrap_err();
            assert_eq!(told(error), ErrorCode::TopicAuthorizationFailed);
        }
        // One that may pass is told when it has lasted for too long.
        refuse(ErrorCode::NotLeaderOrFollower);
        while told(consumer.recv().await.unwrap_err()) != ErrorCode::NotLeaderOrFollower {}
        script(proxy, |_| None);
        let record = loop {
            if let Ok(record) = consumer.recv().await {
                break record;
            }
        };
        assert_eq!(value(&record), "value");
    })
    .await;
}

/// With sessions: the broker forgets them, or answers with another epoch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_sessions_are_begun_anew() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "sessions", 1).await;
        let client = client(&proxy.address());
        let config = ConsumerConfig::new()
            .offset_reset(OffsetReset::Earliest)
            .fetch_max_wait(std::time::Duration::from_millis(20));
        let mut consumer = client.consumer(config).unwrap();
        consumer.assign([first(&topic)]).unwrap();
        let codes = [
            ErrorCode::FetchSessionIdNotFound,
            ErrorCode::InvalidFetchSessionEpoch,
            ErrorCode::FetchSessionTopicIdError,
            ErrorCode::UnknownTopicId,
            ErrorCode::InconsistentTopicId,
        ];
        for (at, code) in codes.into_iter().enumerate() {
            let mut refused = false;
            let (told, mut tell) = tokio::sync::mpsc::channel(1);
            script(proxy, move |request| {
                let in_session = request.is::<FetchRequest>()
                    && request.decode::<FetchRequest>().session_epoch > 0;
                if refused && request.is::<FetchRequest>() {
                    let epoch = request.decode::<FetchRequest>().session_epoch;
                    let _ = told.try_send(epoch);
                }
                (in_session && !refused).then(|| {
                    refused = true;
                    request.rewrite::<FetchRequest>(move |response| {
                        response.error_code = code.code();
                        response.responses.clear();
                    })
                })
            });
            // Sessions begin with epoch 0.
            assert_eq!(tell.recv().await, Some(0), "{code}");
            let sent = at.to_string();
            produce(&cluster.bootstrap(), &topic, &[&sent]).await;
            let record = consumer.recv().await.unwrap();
            assert_eq!((record.offset, value(&record)), (at as i64, sent), "{code}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_and_double_nothing() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "broken", 1).await;
        let sent: Vec<String> = (0..1000).map(|at| at.to_string()).collect();
        let all: Vec<&str> = sent.iter().map(String::as_str).collect();
        produce(&cluster.bootstrap(), &topic, &all).await;
        let client = client(&proxy.address());
        let config = ConsumerConfig::new()
            .offset_reset(OffsetReset::Earliest)
            .max_partition_bytes(1000)
            .prefetch_bytes(3000);
        let mut consumer = client.consumer(config).unwrap();
        consumer.assign([first(&topic)]).unwrap();
        let mut read = Vec::new();
        while read.len() < 1000 {
            match read.len() % 200 {
                50 => proxy.cut(),
                100 => proxy.strike_after(Direction::ToClient, 700, Strike::Cut),
                150 => proxy.reset(),
                _ => {}
            }
            read.push(consumer.recv().await.unwrap());
        }
        assert_eq!(values(&read), sent);
    })
    .await;
}
