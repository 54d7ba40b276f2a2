//! A log that is cut back under a reader (KIP-320).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use integration_tests::harness::proxy::{Intercepted, Proxy, Verdict};
use tidemark_client::consumer::{Consumer, ConsumerConfig, ConsumerError, OffsetReset};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use tidemark_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use tidemark_protocol::messages::{
    FetchRequest, FetchResponse, MetadataRequest, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};
use tidemark_protocol::records::BatchBuilder;

use crate::support::*;

const WRITTEN: usize = 10;
/// Where the new leader's log is another one.
const DIVERGES: i64 = 7;

/// What the next leader says of the epoch before its own.
fn ended(request: &Intercepted) -> Verdict {
    let asked = request.decode::<OffsetForLeaderEpochRequest>();
    let topics = asked.topics.into_iter().map(|topic| {
        let ends = topic.partitions.iter().map(|partition| {
            assert_eq!(
                (partition.leader_epoch, partition.current_leader_epoch),
                (0, 1)
            );
            EpochEndOffset::default()
                .with_partition(partition.partition)
                .with_leader_epoch(0)
                .with_end_offset(DIVERGES)
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(ends.collect())
    });
    let answer = OffsetForLeaderEpochResponse::default().with_topics(topics.collect());
    request.answer::<OffsetForLeaderEpochRequest>(&answer)
}

/// What the next leader has: one record, where the logs part.
fn fetched(request: &Intercepted) -> Verdict {
    let asked = request.decode::<FetchRequest>();
    let mut builder = BatchBuilder::new()
        .base_offset(DIVERGES)
        .partition_leader_epoch(1);
    builder.append(0, None, Some(b"other"), &[]).unwrap();
    let record = builder.build().unwrap();
    let topics = asked.topics.into_iter().map(|topic| {
        let parts = topic.partitions.iter().map(|partition| {
            let there = partition.fetch_offset == DIVERGES;
            PartitionData::default()
                .with_partition_index(partition.partition)
                .with_high_watermark(DIVERGES + 1)
                .with_last_stable_offset(DIVERGES + 1)
                .with_records(there.then(|| record.clone()))
        });
        FetchableTopicResponse::default()
            .with_topic(topic.topic.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(parts.collect())
    });
    let answer = FetchResponse::default().with_responses(topics.collect());
    request.answer::<FetchRequest>(&answer)
}

/// From when `moved` says so another leader has taken over, under the next epoch.
fn take_over(proxy: &Proxy, moved: Arc<AtomicBool>) {
    let address = proxy.address();
    let port: i32 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    proxy.set_script(move |request| {
        let moved = moved.load(Ordering::Relaxed);
        if request.is::<MetadataRequest>() {
            return request.rewrite::<MetadataRequest>(move |response| {
                for broker in &mut response.brokers {
                    broker.port = port;
                }
                let topics = response.topics.iter_mut();
                for partition in topics.flat_map(|topic| &mut topic.partitions) {
                    partition.leader_epoch = i32::from(moved);
                }
            });
        }
        if moved && request.is::<OffsetForLeaderEpochRequest>() {
            return ended(request);
        }
        if moved && request.is::<FetchRequest>() {
            let epochs = request.decode::<FetchRequest>().topics;
            let mut epochs = epochs.iter().flat_map(|topic| &topic.partitions);
            if epochs.any(|partition| partition.current_leader_epoch == 0) {
                return request.fail(ErrorCode::FencedLeaderEpoch);
            }
            return fetched(request);
        }
        Verdict::Pass
    });
}

async fn reading(proxy: &Proxy, topic: &Arc<str>, reset: OffsetReset, to: usize) -> Consumer {
    let config = ConsumerConfig::new().offset_reset(reset);
    let mut consumer = client(&proxy.address()).consumer(config).unwrap();
    consumer.assign([first(topic)]).unwrap();
    consumer.seek(&first(topic), 0).unwrap();
    take(&mut consumer, to).await;
    consumer
}

/// One who has read beyond the cut is told, once what was fetched before has been read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_and_is_gone_is_told() {
    behind_a_proxy(async |cluster, proxy| {
        let topic = topic(cluster, "cut-back", 1).await;
        let values: Vec<String> = (0..WRITTEN).map(|at| at.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        produce(&cluster.bootstrap(), &topic, &values).await;
        let moved = Arc::new(AtomicBool::new(false));
        take_over(proxy, Arc::clone(&moved));
        let mut consumer = reading(proxy, &topic, OffsetReset::Error, WRITTEN).await;
        moved.store(true, Ordering::Relaxed);
        let error = consumer.recv().await.unwrap_err();
        let ConsumerError::Truncated {
            partition,
            position,
            diverges_at,
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(partition, &first(&topic));
        assert_eq!((*position, *diverges_at), (WRITTEN as i64, DIVERGES));
        // It stays where it is until the application says where to go on.
        assert_eq!(consumer.position(&first(&topic)), Some(WRITTEN as i64));
        // With a policy that is where the logs part.
        moved.store(false, Ordering::Relaxed);
        let mut consumer = reading(proxy, &topic, OffsetReset::Earliest, WRITTEN).await;
        moved.store(true, Ordering::Relaxed);
        let next = consumer.recv().await.unwrap();
        assert_eq!((next.offset, next.leader_epoch), (DIVERGES, 1));
        assert_eq!(value(&next), "other");
    })
    .await;
}
