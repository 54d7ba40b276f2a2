//! Fetch: waiting by condition, budgets, offsets, epochs, topic ids.

use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest};
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

#[tokio::test]
async fn rule_16_an_empty_fetch_waits_for_max_wait_and_not_less() {
    let (server, clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "empty", 1).await;
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20)]).with_max_wait_ms(500);
    park(&mut connection, 12, &fetch).await;
    let mut witness = server.connect().await;
    let mut answer = Box::pin(connection.receive::<FetchRequest>(12));
    clock.advance(499);
    alive(&mut witness).await;
    assert!(poll(&mut answer).await.is_none());
    clock.advance(1);
    assert!(values(only_fetched(&answer.await.unwrap())).is_empty());
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
    let with_epochs = |offset, current, last| {
        let mut request = hour(&[(1, 0, 100), (0, offset, 100)]).with_min_bytes(1 << 20);
        let partition = &mut request.topics[0].partitions[1];
        partition.current_leader_epoch = current;
        partition.last_fetched_epoch = last;
        request
    };
    let cases = [
        // Old epochs are in `epochs.rs`.
        ("an epoch that is not yet known", with_epochs(0, 1, -1)),
        ("an epoch that ended earlier", with_epochs(7, -1, 0)),
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
async fn rule_16_a_parked_fetch_is_answered_when_its_segment_is_closed() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let (mut consumer, mut producer) = (server.connect().await, server.connect().await);
    let small = [("segment.bytes", "1048576")];
    let topic = create_with(&mut producer, "rolling", 1, &small).await;
    let half = "x".repeat(600_000);
    let fetch = fetch_request(12, &topic, &[(0, 0, 10 << 20)])
        .with_max_wait_ms(3_600_000)
        .with_min_bytes(5 << 20);
    park(&mut consumer, 12, &fetch).await;
    let mut answer = Box::pin(consumer.receive::<FetchRequest>(12));
    produce(&mut producer, &topic, 0, batch(&[&half])).await;
    alive(&mut producer).await;
    assert!(poll(&mut answer).await.is_none(), "it is not enough yet");
    produce(&mut producer, &topic, 0, batch(&[&half])).await;
    let answer = answer.await.unwrap();
    assert_eq!(values(only_fetched(&answer)).len(), 1, "its segment's");
    server.stop().await;
}

#[tokio::test]
async fn rule_16_a_parked_fetch_is_answered_when_its_records_are_deleted() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let (mut consumer, mut admin) = (server.connect().await, server.connect().await);
    let topic = create(&mut admin, "emptied", 1).await;
    produce(&mut admin, &topic, 0, batch(&["a", "b", "c"])).await;
    let fetch = fetch_request(12, &topic, &[(0, 1, 1 << 20)])
        .with_max_wait_ms(3_600_000)
        .with_min_bytes(1 << 20);
    park(&mut consumer, 12, &fetch).await;
    let mut answer = Box::pin(consumer.receive::<FetchRequest>(12));
    for (up_to, answered) in [(1, false), (2, true)] {
        let partition = DeleteRecordsPartition::default().with_offset(up_to);
        let asked = DeleteRecordsTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(vec![partition]);
        let delete = DeleteRecordsRequest::default()
            .with_topics(vec![asked])
            .with_timeout_ms(30_000);
        let told = admin.call(2, &delete).await.unwrap();
        assert_eq!(told.topics[0].partitions[0].low_watermark, up_to);
        alive(&mut admin).await;
        if answered {
            let answer = (&mut answer).await.unwrap();
            let data = only_fetched(&answer);
            assert_eq!(data.error_code, 1, "OFFSET_OUT_OF_RANGE");
        } else {
            assert!(poll(&mut answer).await.is_none(), "its own are there still");
        }
    }
    drop(answer);
    server.stop().await;
}

#[tokio::test]
async fn rule_16_a_parked_fetch_is_answered_when_retention_takes_its_records() {
    let minute = [("log.retention.check.interval.ms", "60000")];
    let (server, clock) = Server::with_clock(&minute).await;
    let (mut consumer, mut producer) = (server.connect().await, server.connect().await);
    let topic = create(&mut producer, "aged", 1).await;
    // Older than a week by far.
    produce(&mut producer, &topic, 0, batch(&["a"])).await;
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20)])
        .with_max_wait_ms(3_600_000)
        .with_min_bytes(1 << 20);
    park(&mut consumer, 12, &fetch).await;
    let mut answer = Box::pin(consumer.receive::<FetchRequest>(12));
    clock.advance(59_000);
    alive(&mut producer).await;
    assert!(poll(&mut answer).await.is_none());
    // Retention's time comes, that of the fetch does not.
    clock.advance(1_000);
    let answer = answer.await.unwrap();
    let data = only_fetched(&answer);
    assert_eq!(data.error_code, 1, "OFFSET_OUT_OF_RANGE");
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
        (1, [1, 0, 0]),
        (size, [1, 0, 0]),
        (3 * size, [3, 0, 0]),
        (4 * size, [3, 1, 0]),
        (7 * size, [3, 3, 1]),
        (9 * size, [3, 3, 3]),
    ];
    for (max_bytes, expected) in cases {
        for version in [4, 12, 17] {
            let request = fetch_request(version, &topic, &places).with_max_bytes(max_bytes);
            let data = call(&mut connection, version, &request).await;
            let counts: Vec<_> = data.iter().map(whole_batches).collect();
            assert_eq!(counts, expected, "max_bytes {max_bytes}");
        }
    }
    // The limit of a partition is as soft, for the first one only.
    let narrow: Vec<Place> = (0..3).map(|partition| (partition, 0, 1)).collect();
    let data = call(&mut connection, 12, &fetch_request(12, &topic, &narrow)).await;
    let counts: Vec<_> = data.iter().map(whole_batches).collect();
    assert_eq!(counts, [1, 0, 0]);
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

/// Clients without sessions put another partition first each time (librdkafka in turn, kafkajs at
/// random), and the broker, as Kafka's, reads in their order: one that rotated too could meet a
/// client at the same partition for ever. Sessions are in `sessions.rs`.
#[tokio::test]
async fn rule_24_outside_of_a_session_the_order_is_the_clients() {
    let server = Server::start(&[]).await;
    let mut consumers = [server.connect().await, server.connect().await];
    let topic = create(&mut consumers[0], "fair", 5).await;
    for partition in 0..4 {
        for _ in 0..5 {
            produce(&mut consumers[0], &topic, partition, batch(&["x"])).await;
        }
    }
    // Two consumers in lockstep. Room for one batch per answer; partition 4 has none.
    let mut served = [[0; 5]; 2];
    for round in 0..10 {
        for (consumer, served) in consumers.iter_mut().zip(&mut served) {
            let order: Vec<i32> = (0..5).map(|place| (place + round) % 5).collect();
            let places: Vec<Place> = order.iter().map(|p| (*p, 0, 1 << 20)).collect();
            let request = fetch_request(12, &topic, &places).with_max_bytes(1);
            let data = call(consumer, 12, &request).await;
            let named: Vec<i32> = data.iter().map(|data| data.partition_index).collect();
            assert_eq!(named, order);
            let with_data = data.iter().position(|data| !values(data).is_empty());
            let expected = usize::from(order[0] == 4);
            assert_eq!(with_data, Some(expected), "the first that has any");
            for data in data {
                served[data.partition_index as usize] += values(&data).len();
            }
        }
    }
    assert_eq!(served, [[4, 2, 2, 2, 0]; 2]);
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
