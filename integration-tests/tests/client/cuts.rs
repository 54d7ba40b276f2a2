//! Connections that break, answers that are lost, brokers that say no: nothing acknowledged is lost,
//! nothing is twice, order is kept, and whoever waits gets an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::harness::calls;
use integration_tests::harness::cluster::{for_each_cluster_behind_a_proxy, unique};
use integration_tests::harness::proxy::{Direction, Flow, Intercepted, Proxy, Verdict};
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig, TopicPartition};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::messages::{
    FetchRequest, FindCoordinatorRequest, HeartbeatRequest, OffsetCommitRequest, ProduceRequest,
};

/// One that tries again quickly.
fn client(bootstrap: &str) -> Client {
    let ms = Duration::from_millis;
    let config = ClientConfig::new(bootstrap)
        .retry_backoff(ms(5), ms(40))
        .reconnect_backoff(ms(2), ms(20));
    Client::new(config).unwrap()
}

async fn topic(bootstrap: &str) -> Arc<str> {
    let name = unique("cuts");
    let mut connection = calls::connect(bootstrap).await;
    calls::create_served_topic(&mut connection, &name, 1, &[]).await;
    name.into()
}

/// Writes so many numbers, one batch each, while `disturb` is called now and then; all have to be
/// there in the end, once, in order, where their futures say.
async fn write_through(proxy: &Proxy, topic: &Arc<str>, count: u64, disturb: impl Fn(u64)) {
    let client = client(&proxy.address());
    let config = ProducerConfig::new().batch_size(1).linger(Duration::ZERO);
    let producer = client.producer(config).unwrap();
    let mut deliveries = Vec::new();
    for number in 0..count {
        let record = ProducerRecord::to(Arc::clone(topic)).value(number.to_be_bytes().to_vec());
        deliveries.push(producer.send(&record).await.unwrap());
        if number % 10 == 9 {
            disturb(number);
            // Some are under way at every disturbance, and not all.
            if let Some(delivery) = deliveries.get_mut(number as usize - 5) {
                let _ = delivery.await.unwrap();
            }
        }
    }
    producer.flush().await;
    assert_eq!(producer.counts().delivered, count);

    let mut consumer = client
        .consumer(ConsumerConfig::new().offset_reset(OffsetReset::Earliest))
        .unwrap();
    consumer
        .assign([TopicPartition::new(Arc::clone(topic), 0)])
        .unwrap();
    for number in 0..count {
        let record = consumer.recv().await.unwrap();
        let value = record.value.unwrap();
        assert_eq!(
            (record.offset as u64, &value[..]),
            (number, &number.to_be_bytes()[..])
        );
    }
    let (_, _, high_watermark) = consumer
        .watermarks(&TopicPartition::new(Arc::clone(topic), 0))
        .unwrap();
    assert_eq!(high_watermark as u64, count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_cut() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = topic(&cluster.bootstrap()).await;
        write_through(proxy, &topic, 300, |_| proxy.cut()).await;
    })
    .await;
}

/// Every seventh produce request comes to an end of its own.
fn every_seventh(
    verdict: impl Fn(&Intercepted) -> Verdict + Send + 'static,
) -> impl FnMut(&Intercepted) -> Verdict + Send {
    let seen = AtomicUsize::new(0);
    move |request: &Intercepted| {
        if request.is::<ProduceRequest>() && seen.fetch_add(1, Ordering::Relaxed) % 7 == 3 {
            return verdict(request);
        }
        Verdict::Pass
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_what_was_written_are_lost() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = topic(&cluster.bootstrap()).await;
        proxy.set_script(every_seventh(|_| Verdict::CloseAtAnswer));
        write_through(proxy, &topic, 200, |_| {}).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_lost_on_the_way() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = topic(&cluster.bootstrap()).await;
        proxy.set_script(every_seventh(|_| Verdict::Close));
        write_through(proxy, &topic, 200, |_| {}).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_refuse_for_a_while() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        for code in [
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::RequestTimedOut,
            ErrorCode::NotEnoughReplicas,
            ErrorCode::KafkaStorageError,
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::OutOfOrderSequenceNumber,
            ErrorCode::UnknownProducerId,
        ] {
            let topic = topic(&cluster.bootstrap()).await;
            proxy.set_script(every_seventh(move |request| request.fail(code)));
            write_through(proxy, &topic, 100, |_| {}).await;
            proxy.set_script(|_| Verdict::Pass);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetches_fail_for_a_while_and_nothing_is_left_out() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = topic(&cluster.bootstrap()).await;
        write_through(proxy, &topic, 60, |_| {}).await;
        for code in [
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::FencedLeaderEpoch,
            ErrorCode::UnknownLeaderEpoch,
            ErrorCode::OffsetNotAvailable,
            ErrorCode::UnknownTopicId,
            ErrorCode::FetchSessionIdNotFound,
        ] {
            let failures = AtomicUsize::new(0);
            proxy.set_script(move |request| {
                if request.is::<FetchRequest>() && failures.fetch_add(1, Ordering::Relaxed) < 3 {
                    return request.fail(code);
                }
                Verdict::Pass
            });
            let client = client(&proxy.address());
            let config = ConsumerConfig::new()
                .offset_reset(OffsetReset::Earliest)
                .max_partition_bytes(500);
            let mut consumer = client.consumer(config).unwrap();
            consumer
                .assign([TopicPartition::new(Arc::clone(&topic), 0)])
                .unwrap();
            for number in 0..60_i64 {
                assert_eq!(consumer.recv().await.unwrap().offset, number, "{code}");
            }
            consumer.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_move() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = topic(&cluster.bootstrap()).await;
        write_through(proxy, &topic, 30, |_| {}).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let refused = Arc::new(AtomicUsize::new(0));
        let counts = (Arc::clone(&asked), Arc::clone(&refused));
        proxy.set_script(move |request| {
            if request.is::<FindCoordinatorRequest>() {
                asked.fetch_add(1, Ordering::Relaxed);
            }
            let moved = request.is::<OffsetCommitRequest>() || request.is::<HeartbeatRequest>();
            if moved && refused.fetch_add(1, Ordering::Relaxed) < 4 {
                return request.fail(ErrorCode::NotCoordinator);
            }
            Verdict::Pass
        });
        let client = client(&proxy.address());
        let config = ConsumerConfig::group(unique("group")).offset_reset(OffsetReset::Earliest);
        let mut consumer = client.consumer(config).unwrap();
        consumer.subscribe([Arc::clone(&topic)]).unwrap();
        for number in 0..30_i64 {
            assert_eq!(consumer.recv().await.unwrap().offset, number);
        }
        consumer.commit().await.unwrap();
        let partition = TopicPartition::new(Arc::clone(&topic), 0);
        let committed = consumer
            .committed(std::slice::from_ref(&partition))
            .await
            .unwrap();
        assert_eq!(committed[&partition].offset, 30);
        consumer.close().await.unwrap();
        // It was looked for again each time.
        assert!(counts.0.load(Ordering::Relaxed) >= 2 && counts.1.load(Ordering::Relaxed) >= 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_on_which_nothing_moves_is_given_up() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let topic = topic(&cluster.bootstrap()).await;
        let ms = Duration::from_millis;
        let config = ClientConfig::new(&proxy.address())
            .request_timeout(ms(300))
            .retry_backoff(ms(5), ms(40))
            .reconnect_backoff(ms(2), ms(20));
        let client = Client::new(config).unwrap();
        let producer = client.producer(ProducerConfig::new()).unwrap();
        let record = ProducerRecord::to(Arc::clone(&topic)).value("first");
        assert_eq!(
            producer.send(&record).await.unwrap().await.unwrap().offset,
            0
        );

        // Half-open: what the broker says no longer arrives, and nobody says that it does not.
        let before = proxy.counts().accepted;
        proxy.set_flow(Direction::ToClient, Flow::Discard);
        let record = ProducerRecord::to(Arc::clone(&topic)).value("second");
        let delivery = producer.send(&record).await.unwrap();
        proxy.wait_for(|counts| counts.accepted > before).await;
        proxy.set_flow(Direction::ToClient, Flow::Pass);
        // Written once, however often it was sent.
        assert_eq!(delivery.await.unwrap().offset, 1);
        let record = ProducerRecord::to(Arc::clone(&topic)).value("third");
        assert_eq!(
            producer.send(&record).await.unwrap().await.unwrap().offset,
            2
        );
    })
    .await;
}
