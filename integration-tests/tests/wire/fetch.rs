//! Fetch: waiting by condition, budgets, offsets, epochs, topic ids.

use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{DeleteTopicsRequest, FetchRequest, OffsetForLeaderEpochRequest};
use tidemark_client::Connection;
use tidemark_protocol::records::{BatchError, Batches};
use uuid::Uuid;

use super::support::*;

async fn call(
    connection: &mut Connection,
    version: i16,
    request: &FetchRequest,
) -> Vec<PartitionData> {
    let answer = connection.call(version, request).await.expect("an answer");
    fetched(&answer).into_iter().cloned().collect()
}

/// Moves the clock on in small steps until the answer is there; returns by how much.
async fn wait_out(
    connection: &mut Connection,
    clock: &tidemark_broker::environment::ManualClock,
) -> (u64, Vec<PartitionData>) {
    let mut answer = Box::pin(connection.receive::<FetchRequest>(12));
    let mut waited = 0;
    loop {
        if let Some(answer) = poll(&mut answer).await {
            let answer = answer.expect("an answer");
            return (waited, fetched(&answer).into_iter().cloned().collect());
        }
        clock.advance(10);
        waited += 10;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn rule_16_an_empty_fetch_waits_for_max_wait_and_not_less() {
    let (server, clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "empty", 1).await;
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20)]).with_max_wait_ms(500);
    park(&mut connection, 12, &fetch).await;
    let (waited, data) = wait_out(&mut connection, &clock).await;
    assert!(waited >= 500, "{waited}");
    assert!(values(&data[0]).is_empty());
    server.stop().await;
}

#[tokio::test]
async fn rule_16_what_need_not_wait_is_answered_at_once() {
    // The clock never moves: an answer that waits for time would never come.
    let (server, _clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "at-once", 2).await;
    produce(&mut connection, &topic, 0, batch(&["a"])).await;
    let hour = |places: &[Place]| fetch_request(12, &topic, places).with_max_wait_ms(3_600_000);
    let strange = Topic {
        name: named("strange"),
        id: Uuid::nil(),
    };
    let mut with_error = hour(&[(1, 0, 1 << 20)]);
    with_error
        .topics
        .push(fetch_topic(12, &strange, &[(0, 0, 100)]));
    let cases = [
        ("max_wait 0", hour(&[(1, 0, 100)]).with_max_wait_ms(0)),
        (
            "a negative max_wait",
            hour(&[(1, 0, 100)]).with_max_wait_ms(-1),
        ),
        ("min_bytes 0", hour(&[(1, 0, 100)]).with_min_bytes(0)),
        ("no partitions", hour(&[])),
        ("enough bytes", hour(&[(0, 0, 1 << 20)])),
        ("an unknown topic", with_error),
        ("an unknown partition", hour(&[(1, 0, 100), (9, 0, 100)])),
        ("an offset out of range", hour(&[(1, 5, 100)])),
        (
            "a full partition",
            hour(&[(0, 0, 20)]).with_min_bytes(1_000_000),
        ),
        (
            "a full response",
            hour(&[(0, 0, 1 << 20)])
                .with_max_bytes(10)
                .with_min_bytes(1 << 20),
        ),
    ];
    for (story, request) in cases {
        println!("{story}");
        call(&mut connection, 12, &request).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn rule_16_a_parked_fetch_is_woken_by_enough_bytes_and_not_by_fewer() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let (mut consumer, mut producer) = (server.connect().await, server.connect().await);
    let topic = create(&mut producer, "woken", 2).await;
    let size = i32::try_from(batch(&["x"]).len()).unwrap();
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20), (1, 0, 1 << 20)])
        .with_max_wait_ms(3_600_000)
        .with_min_bytes(3 * size);
    park(&mut consumer, 12, &fetch).await;
    let mut answer = Box::pin(consumer.receive::<FetchRequest>(12));
    for partition in [0, 1] {
        produce(&mut producer, &topic, partition, batch(&["x"])).await;
        alive(&mut producer).await;
        assert!(poll(&mut answer).await.is_none(), "it is not enough yet");
    }
    produce(&mut producer, &topic, 1, batch(&["x"])).await;
    let answer = answer.await.unwrap();
    let counts: Vec<_> = fetched(&answer)
        .into_iter()
        .map(|data| values(data).len())
        .collect();
    assert_eq!(counts, [1, 2]);
    server.stop().await;
}

#[tokio::test]
async fn rule_16_a_partition_counts_for_no_more_than_may_be_sent_of_it() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let (mut consumer, mut producer) = (server.connect().await, server.connect().await);
    let topic = create(&mut producer, "capped", 2).await;
    let size = i32::try_from(batch(&["x"]).len()).unwrap();
    // One active partition, and less of it may be sent than min_bytes asks for: the answer must
    // come when the partition is full, or it never does.
    let fetch = fetch_request(12, &topic, &[(0, 0, 2 * size), (1, 0, 2 * size)])
        .with_max_wait_ms(3_600_000)
        .with_min_bytes(100 * size);
    park(&mut consumer, 12, &fetch).await;
    let mut answer = Box::pin(consumer.receive::<FetchRequest>(12));
    produce(&mut producer, &topic, 0, batch(&["x"])).await;
    alive(&mut producer).await;
    assert!(poll(&mut answer).await.is_none());
    produce(&mut producer, &topic, 0, batch(&["x"])).await;
    let answer = answer.await.unwrap();
    assert_eq!(values(fetched(&answer)[0]).len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn rule_16_a_parked_fetch_is_answered_when_its_topic_goes() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let (mut consumer, mut admin) = (server.connect().await, server.connect().await);
    let topic = create(&mut admin, "doomed", 1).await;
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20)]).with_max_wait_ms(3_600_000);
    park(&mut consumer, 12, &fetch).await;
    delete(&mut admin, &topic).await;
    let answer = consumer.receive::<FetchRequest>(12).await.unwrap();
    assert_eq!(only_fetched(&answer).error_code, 3);
    server.stop().await;
}

async fn delete(admin: &mut Connection, topic: &Topic) {
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic.name.clone()])
        .with_timeout_ms(30_000);
    let answer = admin.call(5, &request).await.expect("it works");
    assert_eq!(answer.responses[0].error_code, 0);
}

#[tokio::test]
async fn rule_16_an_offset_in_an_older_segment_is_not_waited_for() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    let small = [("segment.bytes", "1048576")];
    let topic = create_with(&mut connection, "rolled", 1, &small).await;
    let half = "x".repeat(600_000);
    for _ in 0..2 {
        produce(&mut connection, &topic, 0, batch(&[&half])).await;
    }
    let fetch = fetch_request(12, &topic, &[(0, 0, 10 << 20)])
        .with_max_wait_ms(3_600_000)
        .with_min_bytes(5 << 20);
    let data = call(&mut connection, 12, &fetch).await;
    assert_eq!(values(&data[0]).len(), 1, "what its segment has");
    server.stop().await;
}

#[tokio::test]
async fn rule_17_the_first_batch_is_sent_whole_and_the_rest_obeys_the_budget() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "budget", 3).await;
    let size = i32::try_from(batch(&["x"]).len()).unwrap();
    for partition in 0..3 {
        for _ in 0..3 {
            produce(&mut connection, &topic, partition, batch(&["x"])).await;
        }
    }
    let places: Vec<Place> = (0..3).map(|partition| (partition, 0, 1 << 20)).collect();
    let cases = [
        (1, vec![0, 0, 1]),
        (size, vec![0, 0, 1]),
        (3 * size, vec![0, 0, 3]),
        (4 * size, vec![0, 1, 3]),
        (7 * size, vec![1, 3, 3]),
        (9 * size, vec![3, 3, 3]),
    ];
    for (max_bytes, expected) in cases {
        for version in [4, 12, 17] {
            let request = fetch_request(version, &topic, &places).with_max_bytes(max_bytes);
            let data = call(&mut connection, version, &request).await;
            let mut counts: Vec<_> = data.iter().map(whole_batches).collect();
            // Which partition comes first rotates.
            counts.sort_unstable();
            assert_eq!(counts, expected, "max_bytes {max_bytes}");
        }
    }
    // The limit of a partition is as soft, for the first one only.
    let narrow: Vec<Place> = (0..3).map(|partition| (partition, 0, 1)).collect();
    let data = call(&mut connection, 12, &fetch_request(12, &topic, &narrow)).await;
    let mut counts: Vec<_> = data.iter().map(whole_batches).collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 0, 1]);
    server.stop().await;
}

/// Whole batches; a part of one may follow (rule 19), but none may come first.
fn whole_batches(data: &PartitionData) -> usize {
    let bytes = data.records.clone().unwrap_or_default();
    let mut whole = 0;
    for batch in Batches::new(&bytes) {
        match batch {
            Ok(_) => whole += 1,
            Err(BatchError::Truncated { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    whole
}

#[tokio::test]
async fn rule_17_the_broker_has_a_budget_of_its_own() {
    let server = Server::start(&[("fetch.max.bytes", "1024")]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "capped", 1).await;
    let value = "x".repeat(500);
    for _ in 0..5 {
        produce(&mut connection, &topic, 0, batch(&[&value])).await;
    }
    let request = fetch_request(12, &topic, &[(0, 0, 1 << 20)]);
    let data = call(&mut connection, 12, &request).await;
    assert_eq!(whole_batches(&data[0]), 1);
    server.stop().await;
}

#[tokio::test]
async fn rule_18_rule_20_every_offset_finds_its_batch_the_end_is_empty_and_beyond_is_an_error() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "offsets", 1).await;
    produce(&mut connection, &topic, 0, batch(&["a", "b", "c"])).await;
    produce(&mut connection, &topic, 0, batch(&["d", "e"])).await;
    for (offset, error, first) in [
        (0, 0, Some(0)),
        (1, 0, Some(0)),
        (2, 0, Some(0)),
        (3, 0, Some(3)),
        (4, 0, Some(3)),
        (5, 0, None),
        (6, 1, None),
        (-1, 1, None),
        (i64::MAX, 1, None),
        (i64::MIN, 1, None),
    ] {
        let data = fetch(&mut connection, &topic, offset).await;
        assert_eq!(data.error_code, error, "offset {offset}");
        let found = values(&data).first().map(|(offset, _)| *offset);
        assert_eq!(found, first, "offset {offset}");
        let told = if error == 0 { (5, 5, 0) } else { (-1, -1, -1) };
        assert_eq!(
            (
                data.high_watermark,
                data.last_stable_offset,
                data.log_start_offset
            ),
            told,
            "offset {offset}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn rule_24_no_partition_is_starved_by_a_hot_one() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "fair", 4).await;
    for partition in 0..4 {
        for _ in 0..5 {
            produce(&mut connection, &topic, partition, batch(&["x"])).await;
        }
    }
    // Room for one batch per answer, and every partition has more than that.
    let places: Vec<Place> = (0..4).map(|partition| (partition, 0, 1 << 20)).collect();
    let request = fetch_request(12, &topic, &places).with_max_bytes(1);
    let mut served = [0; 4];
    for _ in 0..40 {
        for data in call(&mut connection, 12, &request).await {
            served[data.partition_index as usize] += values(&data).len();
        }
    }
    assert_eq!(served, [10; 4]);
    server.stop().await;
}

#[tokio::test]
async fn rule_25_a_consumer_whose_last_epoch_ended_earlier_is_told_where_it_diverged() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "epochs", 1).await;
    produce(&mut connection, &topic, 0, batch(&["a", "b"])).await;
    let mut ask = async |version: i16, offset, last_epoch| {
        let mut request = fetch_request(version, &topic, &[(0, offset, 1 << 20)]);
        request.topics[0].partitions[0].last_fetched_epoch = last_epoch;
        call(&mut connection, version, &request).await.remove(0)
    };
    let told = |data: &PartitionData| {
        let diverging = &data.diverging_epoch;
        (
            data.error_code,
            diverging.epoch,
            diverging.end_offset,
            values(data).len(),
        )
    };
    assert_eq!(
        told(&ask(12, 0, 0).await),
        (0, -1, -1, 2),
        "as the log has it"
    );
    assert_eq!(told(&ask(12, 2, 0).await), (0, -1, -1, 0), "at the end");
    // Epoch 0 ends at 2: whoever says it has read more of it has read what is gone.
    assert_eq!(told(&ask(12, 7, 0).await), (0, 0, 2, 0));
    // An epoch that this log has never had.
    let data = ask(12, 1, 5).await;
    assert_eq!((data.error_code, values(&data).len()), (1, 0), "{data:?}");
    server.stop().await;
}

#[tokio::test]
async fn rule_26_old_epochs_are_fenced_and_new_ones_unknown_everywhere() {
    use kafka_protocol::messages::ListOffsetsRequest;
    use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    use kafka_protocol::messages::offset_for_leader_epoch_request::{
        OffsetForLeaderPartition, OffsetForLeaderTopic,
    };
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "epochs", 1).await;
    // A partition's first epoch is 0, so only newer ones can be asked for here; older ones are
    // the partition's own tests.
    for (epoch, expected) in [(-1, 0), (0, 0), (1, 75), (i32::MAX, 75)] {
        for version in [9, 12, 16, 17] {
            let mut request = fetch_request(version, &topic, &[(0, 0, 100)]);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            let data = call(&mut connection, version, &request).await;
            assert_eq!(
                data[0].error_code, expected,
                "Fetch v{version} epoch {epoch}"
            );
        }
        let partition = ListOffsetsPartition::default()
            .with_partition_index(0)
            .with_timestamp(-1)
            .with_current_leader_epoch(epoch);
        let asked = ListOffsetsTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![asked]);
        let answer = connection.call(7, &request).await.unwrap();
        let code = answer.topics[0].partitions[0].error_code;
        assert_eq!(code, expected, "ListOffsets epoch {epoch}");
        let partition = OffsetForLeaderPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(epoch)
            .with_leader_epoch(0);
        let asked = OffsetForLeaderTopic::default()
            .with_topic(topic.name.clone())
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![asked]);
        let answer = connection.call(4, &request).await.unwrap();
        let code = answer.topics[0].partitions[0].error_code;
        assert_eq!(code, expected, "OffsetForLeaderEpoch epoch {epoch}");
    }
    server.stop().await;
}

#[tokio::test]
async fn rule_27_unknown_ids_and_those_of_topics_that_are_gone() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let old = create(&mut connection, "again", 1).await;
    produce(&mut connection, &old, 0, batch(&["old"])).await;
    delete(&mut connection, &old).await;
    let new = create(&mut connection, "again", 1).await;
    assert_ne!(new.id, old.id);
    let strange = Topic {
        id: Uuid::from_u128(99),
        ..new.clone()
    };
    let nil = Topic {
        id: Uuid::nil(),
        ..new.clone()
    };
    for version in 13..=18 {
        for (topic, expected) in [(&old, 100), (&strange, 100), (&nil, 100), (&new, 0)] {
            let request = fetch_request(version, topic, &[(0, 0, 100)]);
            let data = call(&mut connection, version, &request).await;
            assert_eq!(data[0].error_code, expected, "{topic:?} v{version}");
            assert!(
                values(&data[0]).is_empty(),
                "nothing of the old topic is left"
            );
        }
        let request = fetch_request(version, &new, &[(5, 0, 100), (-1, 0, 100)]);
        let data = call(&mut connection, version, &request).await;
        let codes: Vec<_> = data.iter().map(|data| data.error_code).collect();
        assert_eq!(codes, [3, 3], "partitions out of range");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_partition_named_twice_is_read_once_as_it_comes_last() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "twice", 1).await;
    produce(&mut connection, &topic, 0, batch(&["a"])).await;
    produce(&mut connection, &topic, 0, batch(&["b"])).await;
    for version in [4, 12, 13] {
        let mut request = fetch_request(version, &topic, &[(0, 0, 1 << 20), (0, 0, 1 << 20)]);
        request
            .topics
            .push(fetch_topic(version, &topic, &[(0, 1, 1 << 20)]));
        let data = call(&mut connection, version, &request).await;
        let read: Vec<_> = data.iter().map(values).collect();
        assert_eq!(read, [[(1, "b".to_owned())]], "version {version}");
    }
    server.stop().await;
}

#[tokio::test]
async fn odd_numbers_in_a_fetch_do_no_harm() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "odd", 1).await;
    produce(&mut connection, &topic, 0, batch(&["a"])).await;
    for odd in [-1, i32::MIN, 0] {
        let base = fetch_request(12, &topic, &[(0, 0, 1 << 20)]);
        call(&mut connection, 12, &base.clone().with_max_bytes(odd)).await;
        call(&mut connection, 12, &base.clone().with_min_bytes(odd)).await;
        call(&mut connection, 12, &base.clone().with_max_wait_ms(odd)).await;
        call(
            &mut connection,
            12,
            &fetch_request(12, &topic, &[(0, 0, odd)]),
        )
        .await;
    }
    for isolation in [-1, 0, 1, 2, i8::MAX] {
        let request = fetch_request(12, &topic, &[(0, 0, 1 << 20)]).with_isolation_level(isolation);
        let data = call(&mut connection, 12, &request).await;
        assert_eq!(values(&data[0]).len(), 1, "isolation {isolation}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_on_disk_yet_is_not_visible_to_anybody() {
    use tidemark_broker::environment::disk::{DiskOp, Failure, Fault};
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "unsynced", 1).await;
    produce(&mut connection, &topic, 0, batch(&["synced"])).await;
    // The sync fails, so the batch stays unsynced for good.
    let fault = Fault::next(DiskOp::Sync, Failure::Io).on("unsynced-0/00000000000000000000.log");
    server.disk.inject(fault);
    let told = try_produce(&mut connection, &topic, 0, batch(&["never seen"])).await;
    assert_eq!(told.error_code, 56);
    let data = fetch(&mut connection, &topic, 1).await;
    assert_eq!(
        (data.error_code, data.high_watermark),
        (0, 1),
        "empty, not an error"
    );
    assert!(values(&data).is_empty());
    drop(server);
}
