//! Two brokers, leaders and coordinators that move between them, and answers that overtake each
//! other. Behind both is one broker, so that what is written under one leader is there under the
//! next; each refuses what is not its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use integration_tests::harness::calls;
use integration_tests::harness::cluster::Cluster;
use integration_tests::harness::proxy::{Gate, Intercepted, Proxy, Verdict};
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, TopicPartition};
use tidemark_protocol::messages::{
    BrokerId, FetchRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
    SyncGroupRequest,
};
use tidemark_protocol::{ErrorCode, StrBytes};

use crate::support::*;

const PARTITIONS: usize = 4;

/// Numbers of the brokers that clients see.
const BROKERS: [i32; 2] = [101, 102];

/// Who is responsible for what: 0 or 1.
#[derive(Clone, Copy)]
struct Duties {
    leaders: [usize; PARTITIONS],
    coordinator: usize,
}

struct Pair {
    proxies: [Proxy; 2],
    duties: Arc<Mutex<Duties>>,
    /// What the first of them does with Produce, for a while.
    holds: Arc<Mutex<Option<Gate>>>,
}

impl Pair {
    async fn new(cluster: &Cluster) -> Self {
        let duties = Duties {
            leaders: [0, 1, 0, 1],
            coordinator: 0,
        };
        let pair = Self {
            proxies: [
                Proxy::intercept(|_| Verdict::Pass).await,
                Proxy::intercept(|_| Verdict::Pass).await,
            ],
            duties: Arc::new(Mutex::new(duties)),
            holds: Arc::default(),
        };
        let ports = pair.proxies.each_ref().map(|proxy| {
            let address = proxy.address();
            address.rsplit_once(':').unwrap().1.parse::<i32>().unwrap()
        });
        for (me, proxy) in pair.proxies.iter().enumerate() {
            let (duties, holds) = (Arc::clone(&pair.duties), Arc::clone(&pair.holds));
            proxy.set_script(move |request| {
                let duties = *duties.lock().unwrap();
                let gate = holds.lock().unwrap().clone();
                match gate.filter(|_| me == 0 && request.is::<ProduceRequest>()) {
                    Some(gate) => Verdict::HoldAnswer(gate),
                    None => serve(request, me, duties, ports),
                }
            });
            proxy.forward_to(&cluster.bootstrap());
        }
        pair
    }

    fn client(&self) -> Client {
        client(&self.proxies[0].address())
    }

    fn change(&self, change: impl FnOnce(&mut Duties)) {
        change(&mut self.duties.lock().unwrap());
    }
}

/// What broker `me` says.
fn serve(request: &Intercepted, me: usize, duties: Duties, ports: [i32; 2]) -> Verdict {
    let host = StrBytes::from_static_str("127.0.0.1");
    let leads = move |partition: i32| {
        let leader = usize::try_from(partition).ok();
        leader.and_then(|at| duties.leaders.get(at)) == Some(&me)
    };
    if request.is::<MetadataRequest>() {
        return request.rewrite::<MetadataRequest>(move |response| {
            let broker = response.brokers[0].clone();
            let both = (0..2).map(|at| {
                let broker = broker.clone().with_host(host.clone());
                broker
                    .with_node_id(BrokerId(BROKERS[at]))
                    .with_port(ports[at])
            });
            response.brokers = both.collect();
            response.controller_id = BrokerId(BROKERS[0]);
            let topics = response.topics.iter_mut();
            for partition in topics.flat_map(|topic| &mut topic.partitions) {
                let at = usize::try_from(partition.partition_index).unwrap();
                let leader = duties.leaders.get(at).copied().unwrap_or(0);
                partition.leader_id = BrokerId(BROKERS[leader]);
                partition.replica_nodes = BROKERS.map(BrokerId).to_vec();
                partition.isr_nodes = BROKERS.map(BrokerId).to_vec();
            }
        });
    }
    if request.is::<FindCoordinatorRequest>() {
        let (id, port) = (BROKERS[duties.coordinator], ports[duties.coordinator]);
        return request.rewrite::<FindCoordinatorRequest>(move |response| {
            // One of its own up to version 3.
            if response.coordinators.is_empty() {
                response.node_id = BrokerId(id);
                response.host = host.clone();
                response.port = port;
            }
            for found in &mut response.coordinators {
                found.node_id = BrokerId(id);
                found.host = host.clone();
                found.port = port;
            }
        });
    }
    if request.is::<ProduceRequest>() {
        let topics = request.decode::<ProduceRequest>().topic_data;
        let mut partitions = topics.iter().flat_map(|topic| &topic.partition_data);
        let strange = partitions.any(|partition| !leads(partition.index));
        return match strange {
            true => request.fail(ErrorCode::NotLeaderOrFollower),
            false => Verdict::Pass,
        };
    }
    if request.is::<FetchRequest>() {
        return request.rewrite::<FetchRequest>(move |response| {
            let topics = response.responses.iter_mut();
            for partition in topics.flat_map(|topic| &mut topic.partitions) {
                if !leads(partition.partition_index) {
                    partition.error_code = ErrorCode::NotLeaderOrFollower.code();
                    partition.records = None;
                }
            }
        });
    }
    let of_groups = request.is::<JoinGroupRequest>()
        || request.is::<SyncGroupRequest>()
        || request.is::<HeartbeatRequest>()
        || request.is::<LeaveGroupRequest>()
        || request.is::<OffsetCommitRequest>()
        || request.is::<OffsetFetchRequest>();
    if of_groups && duties.coordinator != me {
        return request.fail(ErrorCode::NotCoordinator);
    }
    Verdict::Pass
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_move_and_nothing_is_lost_twice_or_out_of_order() {
    const ROUNDS: usize = 24;
    const RECORDS: usize = 40;
    for_each_pair(async |cluster, pair| {
        let topic = topic(cluster, "moving", PARTITIONS as i32).await;
        let client = pair.client();
        let writer = producer(&client, ProducerConfig::new().batch_size(200));
        let partitions = (0..PARTITIONS as i32).map(|at| TopicPartition::new(&*topic, at));
        let mut consumer = reader(&client, partitions);
        let reading = tokio::spawn(async move { take(&mut consumer, ROUNDS * RECORDS).await });
        for round in 0..ROUNDS {
            let mut deliveries = Vec::new();
            for at in 0..RECORDS {
                let number = round * RECORDS + at;
                let record = ProducerRecord::to(Arc::clone(&topic))
                    .partition((number % PARTITIONS) as i32)
                    .value(number.to_string());
                deliveries.push(writer.send(&record).await.unwrap());
                // In the middle of it: some have been sent, others have not.
                if at == RECORDS / 2 {
                    let moved = round % PARTITIONS;
                    pair.change(|duties| duties.leaders[moved] ^= 1);
                }
            }
            for delivery in deliveries {
                delivery.await.unwrap();
            }
        }
        let mut next: BTreeMap<i32, (i64, usize)> = BTreeMap::new();
        for record in reading.await.unwrap() {
            let partition = record.partition as usize;
            let expected = next.entry(record.partition).or_insert((0, partition));
            let number: usize = value(&record).parse().unwrap();
            assert_eq!((record.offset, number), *expected);
            *expected = (expected.0 + 1, number + PARTITIONS);
        }
        assert_eq!(
            writer.close(LONG).await.delivered,
            (ROUNDS * RECORDS) as u64
        );
        for proxy in &pair.proxies {
            assert!(proxy.counts().accepted > 1, "both have been used");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_answer_holds_up_no_other_and_is_not_overtaken() {
    for_each_pair(async |cluster, pair| {
        let topic = topic(cluster, "overtaken", PARTITIONS as i32).await;
        let client = pair.client();
        let writer = producer(&client, ProducerConfig::new());
        let to = |partition: i32, value: &str| {
            let record = ProducerRecord::to(Arc::clone(&topic)).partition(partition);
            record.value(value.to_owned())
        };
        for partition in 0..2 {
            let written = writer.send(&to(partition, "0")).await.unwrap();
            written.await.unwrap();
        }
        let gate = Gate::new();
        *pair.holds.lock().unwrap() = Some(gate.clone());
        let held = writer.send(&to(0, "1")).await.unwrap();
        gate.reached(1).await;
        for at in 1..20 {
            let written = writer.send(&to(1, &at.to_string())).await.unwrap();
            assert_eq!(written.await.unwrap().offset, at);
        }
        // The leader of partitions 0 and 2 moves, which a consumer finds out for all.
        let third = TopicPartition::new(&*topic, 2);
        let mut consumer = reader(&client, [third]);
        pair.change(|duties| duties.leaders = [1; PARTITIONS]);
        let mut connection = calls::connect(&cluster.bootstrap()).await;
        let record = calls::batch("found", None);
        produce_to(&mut connection, &topic, 2, record).await;
        assert_eq!(value(&take(&mut consumer, 1).await[0]), "found");
        let behind = writer.send(&to(0, "2")).await.unwrap();
        // The new leader serves others meanwhile.
        let written = writer.send(&to(1, "20")).await.unwrap();
        assert_eq!(written.await.unwrap().offset, 20);
        gate.open();
        *pair.holds.lock().unwrap() = None;
        assert_eq!(held.await.unwrap().offset, 1);
        assert_eq!(behind.await.unwrap().offset, 2);
        let read = read_all(&cluster.bootstrap(), &first(&topic)).await;
        assert_eq!(values(&read), ["0", "1", "2"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_follows_its_coordinator() {
    const ROUNDS: usize = 6;
    for_each_pair(async |cluster, pair| {
        let topic = topic(cluster, "followed", 1).await;
        let group = integration_tests::harness::cluster::unique("followers");
        let config = ConsumerConfig::group(&group)
            .offset_reset(OffsetReset::Earliest)
            .heartbeat_interval(std::time::Duration::from_millis(50))
            .auto_commit(None);
        let mut consumer = pair.client().consumer(config).unwrap();
        consumer.subscribe([&*topic]).unwrap();
        let partition = first(&topic);
        for round in 0..ROUNDS {
            produce(&cluster.bootstrap(), &topic, &[&round.to_string()]).await;
            let record = take(&mut consumer, 1).await.remove(0);
            assert_eq!(value(&record), round.to_string());
            pair.change(|duties| duties.coordinator ^= 1);
            consumer.commit().await.unwrap();
            let asked = [partition.clone()];
            let committed = consumer.committed(&asked).await.unwrap();
            assert_eq!(committed[&partition].offset, round as i64 + 1);
        }
        consumer.close().await.unwrap();
    })
    .await;
}

async fn for_each_pair(test: impl AsyncFn(&Cluster, &Pair)) {
    integration_tests::harness::cluster::for_each_cluster(async |cluster| {
        let pair = Pair::new(cluster).await;
        test(cluster, &pair).await;
    })
    .await;
}

/// Writes past the client under test.
async fn produce_to(
    connection: &mut integration_tests::harness::calls::Connection,
    topic: &str,
    partition: i32,
    batch: bytes::Bytes,
) {
    let mut request = calls::produce_request(topic, batch, -1);
    request.topic_data[0].partition_data[0].index = partition;
    let response = connection.call(calls::PRODUCE, &request).await.unwrap();
    assert_eq!(calls::produced(response).error_code, 0);
}
