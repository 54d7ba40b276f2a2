//! Connections that break while an idempotent producer writes: nothing that was acknowledged is
//! lost, nothing is there twice, and the order is kept.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::harness::cluster::Cluster;
use integration_tests::harness::proxy::{Direction, Flow, Intercepted, Proxy, Strike, Verdict};
use tidemark_client::producer::{Counts, Delivery, Producer, ProducerConfig, ProducerRecord};
use tidemark_client::{Client, TopicPartition};
use tidemark_protocol::messages::ProduceRequest;

use crate::support::*;

const PARTITIONS: i32 = 3;
const ROUNDS: usize = 30;
const PER_ROUND: usize = 60;

/// Writes numbered records, with something going wrong in each round, and checks what is there.
async fn survives(cluster: &Cluster, proxy: &Proxy, mut trouble: impl FnMut(usize)) {
    let topic = topic(cluster, "exactly-once", PARTITIONS).await;
    // A request whose answer is lost without a trace is not waited for longer than this.
    let config = config(&proxy.address()).request_timeout(Duration::from_secs(2));
    let client = Client::new(config).unwrap();
    // Several requests under way, several batches in each.
    let config = ProducerConfig::new().batch_size(400).delivery_timeout(LONG);
    let producer = producer(&client, config);
    let mut deliveries = Vec::new();
    for round in 0..ROUNDS {
        trouble(round);
        for at in 0..PER_ROUND {
            deliveries.push(send(&producer, &topic, round * PER_ROUND + at).await);
        }
        if round % 4 == 3 {
            producer.flush().await;
        }
    }
    let all = deliveries.len();
    let counts = producer.close(LONG).await;
    let delivered = Counts {
        delivered: all as u64,
        failed: 0,
    };
    assert_eq!(counts, delivered);
    proxy.set_flows(Flow::Pass);
    script(proxy, |_| None);
    // Each is where its outcome says, and there is nothing else.
    let mut logs = Vec::new();
    for partition in 0..PARTITIONS {
        let partition = TopicPartition::new(&*topic, partition);
        logs.push(values(&read_all(&cluster.bootstrap(), &partition).await));
    }
    assert_eq!(logs.iter().map(Vec::len).sum::<usize>(), all);
    for (at, delivery) in deliveries.into_iter().enumerate() {
        let written = delivery.await.unwrap();
        let log = &logs[written.partition.partition as usize];
        let place = at / PARTITIONS as usize;
        assert_eq!(log[place], at.to_string(), "order");
        // A broker that has it twice does not always say where (DUPLICATE_SEQUENCE_NUMBER).
        let offset = written.offset;
        assert!(offset == place as i64 || offset == -1, "{written:?}");
    }
}

async fn send(producer: &Producer, topic: &Arc<str>, at: usize) -> Delivery {
    let record = ProducerRecord::to(Arc::clone(topic))
        .partition((at % PARTITIONS as usize) as i32)
        .value(at.to_string());
    producer.send(&record).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_anywhere() {
    behind_a_proxy(async |cluster, proxy| {
        survives(cluster, proxy, |round| match round % 3 {
            // In the middle of a request, of an answer, or of nothing in particular.
            0 => proxy.strike_after(Direction::ToBroker, 150 + 97 * round, Strike::Cut),
            1 => proxy.strike_after(Direction::ToClient, 1 + 13 * round, Strike::Cut),
            _ => proxy.reset(),
        })
        .await;
    })
    .await;
}

/// Does something to each produce request by its number.
fn each_produce(
    proxy: &Proxy,
    mut decide: impl FnMut(usize, &Intercepted) -> Option<Verdict> + Send + 'static,
) {
    let mut seen = 0;
    script(proxy, move |request| {
        request.is::<ProduceRequest>().then_some(())?;
        seen += 1;
        decide(seen, request)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_lost_with_their_connections() {
    behind_a_proxy(async |cluster, proxy| {
        each_produce(proxy, |number, _| match number % 3 {
            0 => Some(Verdict::CloseAtAnswer),
            1 if number % 2 == 0 => Some(Verdict::Close),
            _ => None,
        });
        survives(cluster, proxy, |_| {}).await;
    })
    .await;
}

/// The next answer comes in its place: the connection cannot be trusted any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_lost_without_a_trace() {
    behind_a_proxy(async |cluster, proxy| {
        each_produce(proxy, |number, _| match number % 7 {
            0 => Some(Verdict::DropAnswer),
            3 => Some(Verdict::Garbage(vec![0xff; 64].into())),
            _ => None,
        });
        survives(cluster, proxy, |_| {}).await;
    })
    .await;
}
