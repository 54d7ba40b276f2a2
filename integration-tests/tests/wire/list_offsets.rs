//! ListOffsets and OffsetForLeaderEpoch.

use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    DeleteRecordsRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
};
use tidemark_protocol::records::Compression;

use super::support::*;

/// Error, timestamp, offset.
type Told = (i16, i64, i64);

async fn list(connection: &mut Connection, version: i16, topic: &Topic, timestamp: i64) -> Told {
    list_all(connection, version, topic, &[(0, timestamp)]).await[0]
}

async fn list_all(
    connection: &mut Connection,
    version: i16,
    topic: &Topic,
    asked: &[(i32, i64)],
) -> Vec<Told> {
    let partitions = asked.iter().map(|(partition, timestamp)| {
        ListOffsetsPartition::default()
            .with_partition_index(*partition)
            .with_timestamp(*timestamp)
    });
    let asked = ListOffsetsTopic::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions.collect());
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![asked]);
    let answer = connection.call(version, &request).await.expect("an answer");
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|told| (told.error_code, told.timestamp, told.offset))
        .collect()
}

async fn delete_up_to(connection: &mut Connection, topic: &Topic, offset: i64) -> (i16, i64) {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(0)
        .with_offset(offset);
    let asked = DeleteRecordsTopic::default()
        .with_name(topic.name.clone())
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![asked])
        .with_timeout_ms(30_000);
    let answer = connection.call(2, &request).await.expect("an answer");
    let told = &answer.topics[0].partitions[0];
    (told.error_code, told.low_watermark)
}

#[tokio::test]
async fn rule_28_special_timestamps_by_version() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "special", 1).await;
    for version in 1..=10 {
        assert_eq!(
            list(&mut connection, version, &topic, -1).await,
            (0, -1, 0),
            "empty"
        );
        assert_eq!(
            list(&mut connection, version, &topic, 5).await,
            (0, -1, -1),
            "empty"
        );
    }
    assert_eq!(
        list(&mut connection, 7, &topic, -3).await,
        (0, -1, -1),
        "empty"
    );
    produce(
        &mut connection,
        &topic,
        0,
        batch_at(&[(10, "a"), (90, "b"), (30, "c")]),
    )
    .await;
    produce(
        &mut connection,
        &topic,
        0,
        batch_at(&[(90, "d"), (20, "e")]),
    )
    .await;
    assert_eq!(delete_up_to(&mut connection, &topic, 1).await, (0, 1));
    for version in 1..=10 {
        let unsupported = (35, -1, -1);
        let since = |first: i16, told: Told| if version >= first { told } else { unsupported };
        let cases = [
            (-1, (0, -1, 5)),
            (-2, (0, -1, 1)),
            (-3, since(7, (0, 90, 1))), // the first on a tie
            (-4, since(8, (0, -1, 1))),
            (-5, since(9, (0, -1, -1))),
            (-6, unsupported),
            (-7, unsupported),
            (i64::MIN, unsupported),
        ];
        for (timestamp, expected) in cases {
            let told = list(&mut connection, version, &topic, timestamp).await;
            assert_eq!(told, expected, "{timestamp} in version {version}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn rule_28_the_latest_offset_is_the_high_watermark_and_not_the_end_of_the_log() {
    use tidemark_broker::environment::disk::{DiskOp, Failure, Fault};
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "unsynced", 1).await;
    produce(&mut connection, &topic, 0, batch_at(&[(10, "synced")])).await;
    // The sync fails, so that this acks=all batch stays unsynced for good.
    let fault = Fault::next(DiskOp::Sync, Failure::Io).on("unsynced-0/00000000000000000000.log");
    server.disk.inject(fault);
    let told = try_produce(&mut connection, &topic, 0, batch_at(&[(90, "not")])).await;
    assert_eq!(told.error_code, 56, "KAFKA_STORAGE_ERROR");
    // It is in the log: epoch 0 ends behind it.
    let asked = OffsetForLeaderPartition::default().with_leader_epoch(0);
    let asked = OffsetForLeaderTopic::default()
        .with_topic(topic.name.clone())
        .with_partitions(vec![asked]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![asked]);
    let answer = connection.call(4, &request).await.unwrap();
    assert_eq!(answer.topics[0].partitions[0].end_offset, 2);
    for version in 1..=10 {
        for isolation in [0, 1] {
            let asked = ListOffsetsPartition::default().with_timestamp(-1);
            let asked = ListOffsetsTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(vec![asked]);
            let request = ListOffsetsRequest::default()
                .with_replica_id((-1).into())
                .with_isolation_level(if version >= 2 { isolation } else { 0 })
                .with_topics(vec![asked]);
            let answer = connection.call(version, &request).await.unwrap();
            let told = &answer.topics[0].partitions[0];
            assert_eq!((told.error_code, told.offset), (0, 1), "version {version}");
        }
    }
    // Nor is it found by its time, though it has the largest.
    assert_eq!(list(&mut connection, 7, &topic, -3).await, (0, 10, 0));
    assert_eq!(list(&mut connection, 7, &topic, 11).await, (0, -1, -1));
    drop(server);
}

#[tokio::test]
async fn rule_29_by_time_the_record_is_found_inside_its_batch_packed_or_not() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "times", 1).await;
    for codec in [Compression::None, Compression::Zstd] {
        let base = produce(
            &mut connection,
            &topic,
            0,
            match codec {
                Compression::None => batch_at(&[(100, "a"), (200, "b"), (150, "c"), (300, "d")]),
                _ => {
                    let mut builder =
                        tidemark_protocol::records::BatchBuilder::new().compression(codec, None);
                    for timestamp in [400, 600, 500] {
                        builder.append(timestamp, None, Some(b"x"), &[]).unwrap();
                    }
                    builder.build().unwrap()
                }
            },
        )
        .await;
        assert_eq!(base, if codec == Compression::None { 0 } else { 4 });
    }
    for (target, expected) in [
        (0, (0, 100, 0)),
        (100, (0, 100, 0)),
        (101, (0, 200, 1)),
        (200, (0, 200, 1)),
        (201, (0, 300, 3)),
        (301, (0, 400, 4)),
        (401, (0, 600, 5)),
        (600, (0, 600, 5)),
        (601, (0, -1, -1)),
        (i64::MAX, (0, -1, -1)),
    ] {
        let told = list(&mut connection, 7, &topic, target).await;
        assert_eq!(told, expected, "target {target}");
    }
    server.stop().await;
}

#[tokio::test]
async fn rule_30_rule_33_deleted_records_are_not_found_also_after_a_restart_and_a_crash() {
    let mut server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "deleted", 1).await;
    produce(
        &mut connection,
        &topic,
        0,
        batch_at(&[(10, "a"), (20, "b"), (30, "c")]),
    )
    .await;
    produce(
        &mut connection,
        &topic,
        0,
        batch_at(&[(40, "d"), (50, "e")]),
    )
    .await;
    for (offset, expected) in [
        (6, (1, -1)),
        (-2, (1, -1)),
        (2, (0, 2)),
        (1, (0, 2)),
        (0, (0, 2)),
    ] {
        let told = delete_up_to(&mut connection, &topic, offset).await;
        assert_eq!(told, expected, "up to {offset}");
    }
    for round in 0..3 {
        assert_eq!(list(&mut connection, 7, &topic, -2).await, (0, -1, 2));
        assert_eq!(list(&mut connection, 7, &topic, 0).await, (0, 30, 2));
        assert_eq!(list(&mut connection, 7, &topic, 15).await, (0, 30, 2));
        let data = fetch(&mut connection, &topic, 1).await;
        assert_eq!(data.error_code, 1, "OFFSET_OUT_OF_RANGE");
        let data = fetch(&mut connection, &topic, 2).await;
        assert_eq!(data.log_start_offset, 2);
        drop(connection);
        server = match round {
            0 => server.restart().await,
            _ => server.crash(round).await,
        };
        connection = server.connect().await;
    }
    assert_eq!(
        delete_up_to(&mut connection, &topic, -1).await,
        (0, 5),
        "all of it"
    );
    assert_eq!(list(&mut connection, 7, &topic, 0).await, (0, -1, -1));
    assert_eq!(produce(&mut connection, &topic, 0, batch(&["f"])).await, 5);
    server.stop().await;
}

#[tokio::test]
async fn a_partition_asked_twice_or_that_is_not_there_has_its_own_error() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "asked", 2).await;
    let asked = [(0, -1), (1, -1), (0, -2), (7, -1), (-1, -1)];
    let told = list_all(&mut connection, 7, &topic, &asked).await;
    let twice = (42, -1, -1);
    let unknown = (3, -1, -1);
    assert_eq!(told, [twice, (0, -1, 0), twice, unknown, unknown]);
    let strange = Topic {
        name: named("strange"),
        ..topic
    };
    assert_eq!(list(&mut connection, 7, &strange, -1).await, unknown);
    server.stop().await;
}

#[tokio::test]
async fn rule_31_the_end_of_an_epoch_on_the_wire() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "epochs", 1).await;
    produce(&mut connection, &topic, 0, batch(&["a", "b"])).await;
    // A restart moves nothing.
    drop(connection);
    let server = server.restart().await;
    let mut connection = server.connect().await;
    for version in 2..=4 {
        for (epoch, partition, expected) in [
            (0, 0, (0, 0, 2)),
            (1, 0, (0, -1, -1)),
            (i32::MAX, 0, (0, -1, -1)),
            (0, 3, (3, -1, -1)),
        ] {
            let asked = OffsetForLeaderPartition::default()
                .with_partition(partition)
                .with_leader_epoch(epoch);
            let asked = OffsetForLeaderTopic::default()
                .with_topic(topic.name.clone())
                .with_partitions(vec![asked]);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![asked]);
            let answer = connection.call(version, &request).await.unwrap();
            let told = &answer.topics[0].partitions[0];
            let told = (told.error_code, told.leader_epoch, told.end_offset);
            assert_eq!(told, expected, "epoch {epoch} in version {version}");
        }
    }
    server.stop().await;
}
