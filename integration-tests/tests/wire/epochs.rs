//! Leader epochs: what a partition answers that has been led more than once.

use std::io::IoSlice;
use std::path::Path;

use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};
use tidemark_broker::catalog::records::{PartitionChangeRecord, Record};
use tidemark_broker::environment::Disk;
use tidemark_broker::environment::disk::OpenMode;
use tidemark_protocol::records::{BatchBuilder, Batches};

use super::support::*;

const CATALOG: &str = "./tidemark-data/__cluster_metadata-0/00000000000000000000.log";

/// Has partition 0 of the topic led anew so many times. A single node elects nobody, so what a
/// controller would have written is written into the catalog's log, and read after a crash.
async fn lead_anew(server: Server, topic: &Topic, leader: i32, times: usize) -> Server {
    let path = Path::new(CATALOG);
    let bytes = server.disk.read(path).expect("the catalog has a log");
    let last = Batches::new(&bytes).map(|batch| batch.expect("a whole batch"));
    let last = last.last().expect("a batch");
    let change = PartitionChangeRecord {
        leader,
        ..PartitionChangeRecord::unchanged(topic.id, 0)
    };
    let value = Record::from(change).encode();
    let mut builder = BatchBuilder::new()
        .base_offset(last.next_offset())
        .partition_leader_epoch(last.partition_leader_epoch);
    for _ in 0..times {
        builder
            .append(START, None, Some(&value), &[])
            .expect("a small batch");
    }
    let batch = builder.build().expect("a small batch");
    let log = server.disk.open(path, OpenMode::ReadWrite).expect("it is");
    log.write_all_at(&mut [IoSlice::new(&batch)], bytes.len() as u64)
        .expect("it is written");
    log.sync_data().expect("it is on disk");
    server.crash(1).await
}

/// Who leads partition 0, and in which epoch.
async fn leader(connection: &mut Connection, topic: &Topic) -> (i32, i32) {
    let asked = MetadataRequestTopic::default().with_name(Some(topic.name.clone()));
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    let answer = connection.call(12, &request).await.expect("an answer");
    let partition = &answer.topics[0].partitions[0];
    (partition.leader_id.0, partition.leader_epoch)
}

/// A topic with two records of epoch 0 and two of epoch 3, and the node that leads it.
async fn led_four_times(server: Server) -> (Server, Connection, Topic, i32) {
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "led", 1).await;
    produce(&mut connection, &topic, 0, batch(&["a", "b"])).await;
    let (node, epoch) = leader(&mut connection, &topic).await;
    assert_eq!(epoch, 0);
    drop(connection);
    let server = lead_anew(server, &topic, node, 3).await;
    let mut connection = server.connect().await;
    assert_eq!(leader(&mut connection, &topic).await, (node, 3));
    produce(&mut connection, &topic, 0, batch(&["c", "d"])).await;
    (server, connection, topic, node)
}

async fn fetch_at(
    connection: &mut Connection,
    version: i16,
    topic: &Topic,
    offset: i64,
    change: impl Fn(&mut kafka_protocol::messages::fetch_request::FetchPartition),
) -> FetchResponse {
    // An hour of a clock that never moves: only an answer that need not wait comes.
    let mut request: FetchRequest = fetch_request(version, topic, &[(0, offset, 1 << 20)])
        .with_max_wait_ms(3_600_000)
        .with_min_bytes(1);
    change(&mut request.topics[0].partitions[0]);
    connection.call(version, &request).await.expect("an answer")
}

#[tokio::test]
async fn rule_26_old_epochs_are_fenced_and_new_ones_unknown_everywhere() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let (server, mut connection, topic, node) = led_four_times(server).await;
    let cases = [(-1, 0), (0, 74), (2, 74), (3, 0), (4, 75), (i32::MAX, 75)];
    for (epoch, expected) in cases {
        for version in 9..=18 {
            let answer = fetch_at(&mut connection, version, &topic, 0, |partition| {
                partition.current_leader_epoch = epoch;
            })
            .await;
            let story = format!("Fetch v{version} epoch {epoch}");
            let data = only_fetched(&answer);
            assert_eq!(data.error_code, expected, "{story}");
            let found = if expected == 0 { 4 } else { 0 };
            assert_eq!(values(data).len(), found, "{story}");
            // KIP-951: who is fenced is told of the leader, and where it is, in the same breath.
            let told = expected == 74 && version >= 16;
            let current = (
                data.current_leader.leader_id.0,
                data.current_leader.leader_epoch,
            );
            assert_eq!(current, if told { (node, 3) } else { (-1, -1) }, "{story}");
            let endpoints: Vec<_> = answer
                .node_endpoints
                .iter()
                .map(|node| (node.node_id.0, format!("{}:{}", node.host, node.port)))
                .collect();
            let expected = if told {
                vec![(node, server.address())]
            } else {
                vec![]
            };
            assert_eq!(endpoints, expected, "{story}");
        }
        for version in 4..=10 {
            let partition = ListOffsetsPartition::default()
                .with_timestamp(-1)
                .with_current_leader_epoch(epoch);
            let asked = ListOffsetsTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(vec![partition]);
            let request = ListOffsetsRequest::default()
                .with_replica_id((-1).into())
                .with_topics(vec![asked]);
            let answer = connection.call(version, &request).await.unwrap();
            let told = &answer.topics[0].partitions[0];
            let found = if expected == 0 { (4, 3) } else { (-1, -1) };
            assert_eq!(
                (told.error_code, (told.offset, told.leader_epoch)),
                (expected, found),
                "ListOffsets v{version} epoch {epoch}"
            );
        }
        for version in 2..=4 {
            let told = end_of(&mut connection, version, &topic, epoch, 0).await;
            let found = if expected == 0 { (0, 2) } else { (-1, -1) };
            assert_eq!(
                told,
                (expected, found.0, found.1),
                "OffsetForLeaderEpoch v{version} epoch {epoch}"
            );
        }
    }
    server.stop().await;
}

/// Error, epoch and its end, for a client that knows of `current`.
async fn end_of(
    connection: &mut Connection,
    version: i16,
    topic: &Topic,
    current: i32,
    epoch: i32,
) -> (i16, i32, i64) {
    let partition = OffsetForLeaderPartition::default()
        .with_current_leader_epoch(current)
        .with_leader_epoch(epoch);
    let asked = OffsetForLeaderTopic::default()
        .with_topic(topic.name.clone())
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id((if version >= 3 { -1 } else { -2 }).into())
        .with_topics(vec![asked]);
    let answer = connection.call(version, &request).await.expect("an answer");
    let told = &answer.topics[0].partitions[0];
    (told.error_code, told.leader_epoch, told.end_offset)
}

#[tokio::test]
async fn rule_25_rule_31_a_consumer_is_told_where_its_epoch_ended() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let (server, mut connection, topic, _) = led_four_times(server).await;
    let told = |data: &PartitionData| {
        (
            data.error_code,
            (data.diverging_epoch.epoch, data.diverging_epoch.end_offset),
            values(data).first().map(|(offset, _)| *offset),
        )
    };
    let none = (-1, -1);
    for (offset, last, expected) in [
        // As the log has it.
        (0, -1, (0, none, Some(0))),
        (2, 0, (0, none, Some(2))),
        (3, 3, (0, none, Some(2))),
        // Read beyond the end of an epoch that the log has.
        (3, 0, (0, (0, 2), None)),
        (9, 3, (0, (3, 4), None)),
        // An epoch that the log has never had, between others: the one before it counts, however
        // early the offset.
        (0, 1, (0, (0, 2), None)),
        (2, 2, (0, (0, 2), None)),
        // One after all others.
        (4, 4, (1, none, None)),
    ] {
        for version in [12, 13, 16, 18] {
            let answer = fetch_at(&mut connection, version, &topic, offset, |partition| {
                partition.last_fetched_epoch = last;
            })
            .await;
            let story = format!("v{version} offset {offset} after epoch {last}");
            assert_eq!(told(only_fetched(&answer)), expected, "{story}");
        }
        // Before version 12 clients do not say.
        let answer = fetch_at(&mut connection, 11, &topic, 0, |_| ()).await;
        assert_eq!(told(only_fetched(&answer)), (0, none, Some(0)));
    }
    for (epoch, expected) in [
        (0, (0, 0, 2)),
        (1, (0, 0, 2)),
        (2, (0, 0, 2)),
        (3, (0, 3, 4)),
        (4, (0, -1, -1)),
    ] {
        let told = end_of(&mut connection, 4, &topic, -1, epoch).await;
        assert_eq!(told, expected, "epoch {epoch}");
    }
    server.stop().await;
}
