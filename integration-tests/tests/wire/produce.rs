//! Produce: acks, refusals per partition and per record, idempotence.

use bytes::Bytes;
use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::records::header::field;
use tidemark_protocol::records::{BatchBuilder, BatchView, Compression, recompress};
use uuid::Uuid;

use super::support::*;

#[tokio::test]
async fn rule_13_acks_0_gets_no_answer() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "silent", 1).await;
    for value in ["a", "b", "c"] {
        let request = produce_request(9, &topic, 0, 0, Some(batch(&[value])));
        connection.send_without_answer(9, &request).await.unwrap();
    }
    // The next answer is that of the next request with one.
    let data = fetch(&mut connection, &topic, 0).await;
    let expected = [(0, "a".into()), (1, "b".into()), (2, "c".into())];
    assert_eq!(values(&data), expected);
    server.stop().await;
}

#[tokio::test]
async fn rule_13_acks_0_closes_the_connection_when_something_failed() {
    let server = Server::start(&[]).await;
    let mut admin = server.connect().await;
    let topic = create(&mut admin, "silent", 1).await;
    let cases = [
        (
            "no such partition",
            produce_request(9, &topic, 7, 0, Some(batch(&["a"]))),
        ),
        ("no records", produce_request(9, &topic, 0, 0, None)),
        (
            "a damaged batch",
            produce_request(9, &topic, 0, 0, Some(damaged())),
        ),
    ];
    for (story, request) in cases {
        let mut connection = server.connect().await;
        connection.send_without_answer(9, &request).await.unwrap();
        closed(&mut connection, story).await;
    }
    alive(&mut admin).await;
    server.stop().await;
}

#[tokio::test]
async fn rule_13_other_acks_are_refused() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "acks", 1).await;
    for (acks, expected) in [
        (-1, 0),
        (1, 0),
        (2, 21),
        (-2, 21),
        (i16::MAX, 21),
        (i16::MIN, 21),
    ] {
        let request = produce_request(9, &topic, 0, acks, Some(batch(&["a"])));
        let answer = connection.call(9, &request).await.unwrap();
        assert_eq!(only_produced(&answer).error_code, expected, "acks={acks}");
    }
    let data = fetch(&mut connection, &topic, 0).await;
    assert_eq!(values(&data).len(), 2, "what was refused was not written");
    server.stop().await;
}

#[tokio::test]
async fn rule_14_a_refused_partition_has_no_base_offset_and_an_accepted_one_the_real_log_start() {
    use kafka_protocol::messages::DeleteRecordsRequest;
    use kafka_protocol::messages::delete_records_request::{
        DeleteRecordsPartition, DeleteRecordsTopic,
    };
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "bases", 1).await;
    produce(&mut connection, &topic, 0, batch(&["a", "b", "c"])).await;
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(0)
        .with_offset(2);
    let delete = DeleteRecordsRequest::default()
        .with_timeout_ms(30_000)
        .with_topics(vec![
            DeleteRecordsTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(vec![partition]),
        ]);
    connection.call(2, &delete).await.unwrap();
    for version in 3..=13 {
        let good = produce_request(version, &topic, 0, -1, Some(batch(&["d"])));
        let answer = connection.call(version, &good).await.unwrap();
        let accepted = only_produced(&answer).clone();
        assert_eq!(
            accepted.base_offset,
            i64::from(version),
            "version {version}"
        );
        let start = if version >= 5 { 2 } else { -1 };
        assert_eq!(accepted.log_start_offset, start, "version {version}");
        let bad = produce_request(version, &topic, 0, -1, Some(damaged()));
        let answer = connection.call(version, &bad).await.unwrap();
        let refused = only_produced(&answer).clone();
        assert_eq!(
            (refused.error_code, refused.base_offset),
            (2, -1),
            "version {version}"
        );
        assert_eq!(refused.log_append_time_ms, -1);
    }
    server.stop().await;
}

fn damaged() -> Bytes {
    let mut bytes = batch(&["damaged"]).to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bytes.into()
}

fn forged(at: usize, bytes: &[u8]) -> Bytes {
    let mut copy = batch(&["forged", "batch"]).to_vec();
    copy[at..at + bytes.len()].copy_from_slice(bytes);
    copy.into()
}

/// One record whose value is as large as this, of zeros, packed.
fn bomb(codec: Compression, bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new().compression(codec, None);
    builder
        .append(1_000, Some(b"k"), Some(&vec![0; bytes]), &[])
        .expect("it works");
    builder.build().expect("it works")
}

fn keyless(count: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        builder
            .append(1_000, None, Some(b"v"), &[])
            .expect("it works");
    }
    builder.build().expect("it works")
}

#[tokio::test]
async fn rule_09_rule_12_rule_15_bad_batches_are_refused_each_with_its_error() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "bad", 1).await;
    let two = [batch(&["a"]), batch(&["b"])].concat();
    let far = batch_at(&[(i64::MAX - 1, "future")]);
    let cases: Vec<(&str, Option<Bytes>, ErrorCode)> = vec![
        ("null", None, ErrorCode::InvalidRecord),
        ("empty", Some(Bytes::new()), ErrorCode::InvalidRecord),
        (
            "garbage",
            Some(Bytes::from(vec![0xee; 100])),
            ErrorCode::CorruptMessage,
        ),
        ("a bad crc", Some(damaged()), ErrorCode::CorruptMessage),
        (
            "magic 0",
            Some(forged(field::MAGIC, &[0])),
            ErrorCode::InvalidRecord,
        ),
        (
            "magic 1",
            Some(forged(field::MAGIC, &[1])),
            ErrorCode::InvalidRecord,
        ),
        (
            "magic 9",
            Some(forged(field::MAGIC, &[9])),
            ErrorCode::CorruptMessage,
        ),
        (
            "base offset 5",
            Some(forged(field::BASE_OFFSET, &5_i64.to_be_bytes())),
            ErrorCode::InvalidRecord,
        ),
        (
            "a negative length",
            Some(forged(field::BATCH_LENGTH, &(-5_i32).to_be_bytes())),
            ErrorCode::CorruptMessage,
        ),
        (
            "a length beyond the bytes",
            Some(forged(field::BATCH_LENGTH, &i32::MAX.to_be_bytes())),
            ErrorCode::InvalidRecord,
        ),
        ("two batches", Some(two.into()), ErrorCode::InvalidRecord),
        (
            "a time in the far future",
            Some(far),
            ErrorCode::InvalidTimestamp,
        ),
    ];
    for (story, records, expected) in cases {
        let request = produce_request(12, &topic, 0, -1, records);
        let answer = connection.call(12, &request).await.unwrap();
        let told = only_produced(&answer);
        assert_eq!(told.error_code, number(expected), "{story}: {told:?}");
        assert_eq!(told.base_offset, -1, "{story}");
        assert!(told.error_message.is_some(), "{story}");
    }
    assert_eq!(
        produce(&mut connection, &topic, 0, batch(&["good"])).await,
        0
    );
    server.stop().await;
}

#[tokio::test]
async fn rule_10_records_without_a_key_are_named_from_version_8_on() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let compact = [("cleanup.policy", "compact")];
    let topic = create_with(&mut connection, "keyed", 1, &compact).await;
    for version in 3..=13 {
        let request = produce_request(version, &topic, 0, -1, Some(keyless(3)));
        let answer = connection.call(version, &request).await.unwrap();
        let told = only_produced(&answer);
        assert_eq!(told.error_code, 87, "INVALID_RECORD in version {version}");
        let faulty: Vec<_> = told.record_errors.iter().map(|e| e.batch_index).collect();
        let expected: &[i32] = if version >= 8 { &[0, 1, 2] } else { &[] };
        assert_eq!(faulty, expected, "version {version}");
    }
    produce(&mut connection, &topic, 0, batch(&["with a key"])).await;
    server.stop().await;
}

/// Topics by the path that a batch takes there: as it came, keys looked at, packed anew.
const PATHS: [(&str, &[(&str, &str)]); 4] = [
    ("as-it-came", &[]),
    ("compacted", &[("cleanup.policy", "compact")]),
    ("repacked", &[("compression.type", "zstd")]),
    ("unpacked", &[("compression.type", "uncompressed")]),
];

#[tokio::test]
async fn compressed_bombs_are_refused_on_every_path() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let codecs = [
        (Compression::Gzip, 1 << 20),
        (Compression::Zstd, 1 << 20),
        (Compression::Lz4, 1 << 20),
        // What Snappy packs takes a twentieth at least.
        (Compression::Snappy, 6 << 20),
    ];
    let bombs = codecs.map(|(codec, limit)| {
        let records = bomb(codec, 101 << 20);
        assert!(records.len() < limit, "{codec:?}: it looks small");
        (codec, records)
    });
    for (name, configs) in PATHS {
        let roomy = [configs, &[("max.message.bytes", "8388608")]].concat();
        let topic = create_with(&mut connection, name, 1, &roomy).await;
        for (codec, records) in &bombs {
            let told = try_produce(&mut connection, &topic, 0, records.clone()).await;
            let story = format!("{codec:?} {name}");
            assert_eq!(
                told.error_code,
                number(ErrorCode::MessageTooLarge),
                "{story}"
            );
            let text = told.error_message.unwrap_or_default();
            assert!(text.contains("expands"), "{story}: {text}");
        }
        produce(&mut connection, &topic, 0, batch(&["small"])).await;
    }
    server.stop().await;
}

/// A batch with some bytes of its plain form changed, packed, and with a CRC that is right.
fn forged_and_packed(plain: &Bytes, patches: &[(usize, &[u8])], codec: Compression) -> Bytes {
    let mut copy = plain.to_vec();
    for (at, bytes) in patches {
        copy[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    let view = BatchView::parse(&copy).expect("its frame is in order");
    let times = (view.timestamp_type(), view.max_timestamp);
    recompress(&view, view.records_bytes(), codec, None, times).expect("it works")
}

#[tokio::test]
async fn rule_09_headers_that_do_not_say_what_the_records_say_are_refused_in_every_codec() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let plain = batch(&["a", "b", "c"]);
    // Length, attributes, timestamp delta, offset delta of the second and the third record.
    let size = 1 + usize::from(plain[field::RECORDS] / 2);
    let delta = |record: usize| field::RECORDS + record * size + 3;
    let claim = |count: i32| {
        vec![
            (field::RECORDS_COUNT, count.to_be_bytes().to_vec()),
            (field::LAST_OFFSET_DELTA, (count - 1).to_be_bytes().to_vec()),
        ]
    };
    let cases = [
        ("a record less than there are", claim(2)),
        ("a record more than there are", claim(4)),
        ("all records that there can be", claim(i32::MAX)),
        ("two records at one offset", vec![(delta(2), vec![2])]),
        ("an offset left out", vec![(delta(2), vec![6])]),
        (
            "offsets that go back",
            vec![(delta(1), vec![4]), (delta(2), vec![2])],
        ),
        ("an offset in front of the first", vec![(delta(0), vec![1])]),
    ];
    for (name, configs) in PATHS {
        let topic = create_with(&mut connection, name, 1, configs).await;
        for codec in Compression::ALL {
            for (story, patches) in &cases {
                let patches: Vec<_> = patches
                    .iter()
                    .map(|(at, bytes)| (*at, bytes.as_slice()))
                    .collect();
                let records = forged_and_packed(&plain, &patches, codec);
                let told = try_produce(&mut connection, &topic, 0, records).await;
                let story = format!("{story} in {codec:?} {name}");
                assert_eq!(told.error_code, number(ErrorCode::InvalidRecord), "{story}");
                assert_eq!(told.base_offset, -1, "{story}");
            }
        }
        // Nothing of it was written, and what is in order still is.
        for (round, codec) in (0..).zip(Compression::ALL) {
            let records = forged_and_packed(&plain, &[], codec);
            let base = produce(&mut connection, &topic, 0, records).await;
            assert_eq!(base, 3 * round, "{codec:?} {name}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn rule_12_a_packed_batch_hides_no_time_that_its_header_does_not_tell() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    let hour = 3_600_000;
    let calm = START.to_be_bytes();
    let late = batch_at(&[(START, "a"), (START + hour + 1, "b"), (START, "c")]);
    let fine = batch_at(&[(START, "a"), (START + hour, "b"), (START, "c")]);
    for (name, configs) in PATHS {
        let topic = create_with(&mut connection, name, 1, configs).await;
        for (round, codec) in (0..).zip(Compression::ALL) {
            let story = format!("{codec:?} {name}");
            let records = forged_and_packed(&late, &[(field::MAX_TIMESTAMP, &calm)], codec);
            let told = try_produce(&mut connection, &topic, 0, records).await;
            assert_eq!(
                told.error_code,
                number(ErrorCode::InvalidTimestamp),
                "{story}"
            );
            let faulty: Vec<_> = told.record_errors.iter().map(|e| e.batch_index).collect();
            assert_eq!(faulty, [1], "{story}");
            // Within bounds the batch is taken, but what its header says is not believed.
            let records = forged_and_packed(&fine, &[(field::MAX_TIMESTAMP, &calm)], codec);
            let base = produce(&mut connection, &topic, 0, records).await;
            assert_eq!(base, 3 * round, "{story}");
            let data = fetch(&mut connection, &topic, base).await;
            let stored = data.records.expect("records");
            let stored = BatchView::parse(&stored).expect("a batch");
            stored.validate_crc().expect("a good CRC");
            assert_eq!(stored.max_timestamp, START + hour, "{story}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn rule_13_more_in_sync_replicas_than_there_are_replicas_are_not_asked_for() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let three = [("min.insync.replicas", "3")];
    let topic = create_with(&mut connection, "three", 1, &three).await;
    // Kafka: the effective minimum is that of the option and of the number of replicas.
    for (offset, acks) in [(0, -1), (1, 1), (2, -1)] {
        let request = produce_request(9, &topic, 0, acks, Some(batch(&["a"])));
        let answer = connection.call(9, &request).await.unwrap();
        let told = only_produced(&answer);
        assert_eq!((told.error_code, told.base_offset), (0, offset), "{acks}");
    }
    let everywhere = Server::start(&three).await;
    let mut other = everywhere.connect().await;
    let topic = create(&mut other, "default", 1).await;
    assert_eq!(produce(&mut other, &topic, 0, batch(&["a"])).await, 0);
    everywhere.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn rule_11_batches_above_max_message_bytes_or_segment_bytes_are_refused() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let small = [("max.message.bytes", "200")];
    let topic = create_with(&mut connection, "small", 1, &small).await;
    let long = "x".repeat(300);
    let told = try_produce(&mut connection, &topic, 0, batch(&[&long])).await;
    assert_eq!(told.error_code, number(ErrorCode::MessageTooLarge));
    // Small as it comes, large as the topic stores it.
    let unpack = [
        ("max.message.bytes", "200"),
        ("compression.type", "uncompressed"),
    ];
    let topic = create_with(&mut connection, "unpacked", 1, &unpack).await;
    let records = packed(Compression::Zstd, &[&long]);
    assert!(records.len() < 200);
    let told = try_produce(&mut connection, &topic, 0, records).await;
    assert_eq!(told.error_code, number(ErrorCode::MessageTooLarge));
    let tight = [
        ("segment.bytes", "1048576"),
        ("max.message.bytes", "4000000"),
    ];
    let topic = create_with(&mut connection, "tight", 1, &tight).await;
    let megabytes = "x".repeat(2 << 20);
    let told = try_produce(&mut connection, &topic, 0, batch(&[&megabytes])).await;
    assert_eq!(told.error_code, number(ErrorCode::RecordListTooLarge));
    server.stop().await;
}

#[tokio::test]
async fn zstd_needs_version_7() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "codecs", 1).await;
    for version in [3, 6, 7, 13] {
        let records = packed(Compression::Zstd, &["a", "b"]);
        let request = produce_request(version, &topic, 0, -1, Some(records));
        let answer = connection.call(version, &request).await.unwrap();
        let expected = if version < 7 { 76 } else { 0 };
        assert_eq!(
            only_produced(&answer).error_code,
            expected,
            "version {version}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn every_codec_comes_back_as_it_was_sent_or_as_the_topic_wants_it() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let codecs = ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];
    let sent = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for codec in codecs {
        let config = [("compression.type", codec)];
        let topic = create_with(&mut connection, codec, 1, &config).await;
        let mut offset = 0;
        for sent in sent {
            let records = packed(sent, &["one", "two"]);
            assert_eq!(produce(&mut connection, &topic, 0, records).await, offset);
            let data = fetch(&mut connection, &topic, offset).await;
            let expected = [(offset, "one".into()), (offset + 1, "two".into())];
            assert_eq!(values(&data), expected, "{sent:?} to {codec}");
            offset += 2;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_topics_and_partitions_fail_alone() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "known", 2).await;
    let strange = Topic {
        name: named("strange"),
        id: Uuid::from_u128(4711),
    };
    let mut cases = vec![];
    for partition in [2, -1, i32::MAX, i32::MIN] {
        cases.push((topic.clone(), partition, 9, 3));
        cases.push((topic.clone(), partition, 13, 3));
    }
    cases.push((strange.clone(), 0, 9, 3));
    cases.push((strange, 0, 13, 100));
    cases.push((
        Topic {
            name: named("a b"),
            ..topic.clone()
        },
        0,
        9,
        3,
    ));
    cases.push((
        Topic {
            id: Uuid::nil(),
            ..topic.clone()
        },
        0,
        13,
        100,
    ));
    for (wrong, partition, version, expected) in cases {
        let mut request = produce_request(version, &wrong, partition, -1, Some(batch(&["x"])));
        let good = produce_request(version, &topic, 1, -1, Some(batch(&["y"])));
        request.topic_data.extend(good.topic_data);
        let answer = connection.call(version, &request).await.unwrap();
        let told: Vec<_> = answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses)
            .map(|partition| (partition.index, partition.error_code))
            .collect();
        assert_eq!(
            told,
            [(partition, expected), (1, 0)],
            "{wrong:?} version {version}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_partition_named_twice_counts_once_with_its_last_batch() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "twice", 1).await;
    for version in [9, 13] {
        let mut request = produce_request(version, &topic, 0, -1, Some(batch(&["a"])));
        let again = produce_request(version, &topic, 0, -1, Some(batch(&["b"])));
        request.topic_data.extend(again.topic_data);
        let answer = connection.call(version, &request).await.unwrap();
        let told = only_produced(&answer);
        assert_eq!((told.index, told.error_code), (0, 0));
    }
    let data = fetch(&mut connection, &topic, 0).await;
    assert_eq!(values(&data), [(0, "b".into()), (1, "b".into())]);
    server.stop().await;
}

/// An entry of a request is six bytes: its refusal must not carry the topic's name.
#[tokio::test]
async fn a_refusal_does_not_repeat_a_long_name() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let long = Topic {
        name: named(&"x".repeat(32_767)),
        id: Uuid::nil(),
    };
    let mut request = produce_request(9, &long, 0, -1, None);
    let entries = (0..10_000).map(|index| PartitionProduceData::default().with_index(index));
    request.topic_data[0].partition_data = entries.collect();
    let sent = encoded(9, 1, &request);
    connection.send_raw(&sent).await.unwrap();
    let answer = connection.receive_frame().await.unwrap();
    assert!(
        answer.len() < 20 * sent.len(),
        "{} bytes for {}",
        answer.len(),
        sent.len()
    );
    server.stop().await;
}

#[tokio::test]
async fn more_partitions_than_a_broker_can_have_close_the_connection() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "many", 1).await;
    let mut request = produce_request(9, &topic, 0, -1, None);
    request.topic_data[0].partition_data = vec![PartitionProduceData::default(); 200_001];
    connection.send(9, &request).await.unwrap();
    closed(&mut connection, "200,001 entries").await;
    server.stop().await;
}

#[tokio::test]
async fn only_the_admin_client_writes_to_internal_topics() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let mut admin = Connection::connect(server.address(), "__admin_client")
        .await
        .unwrap();
    let refused = number(ErrorCode::InvalidTopicException);
    for name in [
        "__transaction_state",
        "__share_group_state",
        "__consumer_offsets",
    ] {
        let internal = create(&mut connection, name, 3).await;
        let told = try_produce(&mut connection, &internal, 0, batch(&["x"])).await;
        assert_eq!(told.error_code, refused, "{name}");
        // Whether the partition exists is found out first, as in Kafka.
        let told = try_produce(&mut connection, &internal, 3, batch(&["x"])).await;
        assert_eq!(told.error_code, number(ErrorCode::UnknownTopicOrPartition));
        let told = try_produce(&mut admin, &internal, 0, batch(&["x"])).await;
        assert_eq!((told.error_code, told.base_offset), (0, 0), "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_empty_produce_request_has_an_empty_answer() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "empty", 1).await;
    let nothing = ProduceRequest::default().with_acks(-1).with_timeout_ms(1);
    assert!(
        connection
            .call(9, &nothing)
            .await
            .unwrap()
            .responses
            .is_empty()
    );
    let no_partitions = nothing.with_topic_data(vec![
        TopicProduceData::default().with_name(topic.name.clone()),
    ]);
    let answer = connection.call(9, &no_partitions).await.unwrap();
    assert!(answer.responses[0].partition_responses.is_empty());
    server.stop().await;
}

async fn producer_id(connection: &mut Connection) -> (i64, i16) {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000);
    let answer = connection.call(5, &request).await.expect("it works");
    assert_eq!(answer.error_code, 0);
    (answer.producer_id.0, answer.producer_epoch)
}

#[tokio::test]
async fn rule_01_rule_02_rule_03_an_idempotent_producer_writes_each_batch_once() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "once", 1).await;
    let (id, epoch) = producer_id(&mut connection).await;
    let (other, _) = producer_id(&mut connection).await;
    assert_ne!(id, other);
    let batch = |epoch, sequence| batch_of(id, epoch, sequence, &["x", "y"]);
    let cases = [
        (batch(epoch, 0), 0, 0),
        (batch(epoch, 2), 0, 2),
        (batch(epoch, 0), 0, 0), // a repetition
        (batch(epoch, 2), 0, 2),
        (batch(epoch, 6), 45, -1), // OUT_OF_ORDER_SEQUENCE_NUMBER
        (batch(epoch, 4), 0, 4),
        (batch(epoch + 1, 6), 45, -1), // a new epoch begins at 0
        (batch(epoch + 1, 0), 0, 6),
        (batch(epoch, 6), 47, -1), // INVALID_PRODUCER_EPOCH
        (batch_of(other, 0, i32::MAX - 1, &["x", "y"]), 0, 8),
        (batch_of(other, 0, 0, &["x"]), 0, 10), // the sequence wraps to 0
    ];
    for (number, (records, error, base)) in cases.into_iter().enumerate() {
        let told = try_produce(&mut connection, &topic, 0, records).await;
        assert_eq!(
            (told.error_code, told.base_offset),
            (error, base),
            "case {number}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn rule_08_producers_are_known_after_a_restart_and_after_a_crash() {
    let (mut server, _clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "kept", 1).await;
    let (id, epoch) = producer_id(&mut connection).await;
    for sequence in 0..7 {
        produce(
            &mut connection,
            &topic,
            0,
            batch_of(id, epoch, sequence, &["x"]),
        )
        .await;
    }
    for (round, crash) in [false, true, true].into_iter().enumerate() {
        drop(connection);
        server = if crash {
            server.crash(round as u64).await
        } else {
            server.restart().await
        };
        connection = server.connect().await;
        let again = batch_of(id, epoch, 3, &["x"]);
        assert_eq!(
            produce(&mut connection, &topic, 0, again).await,
            3,
            "the fifth last"
        );
        let forgotten = batch_of(id, epoch, 1, &["x"]);
        let told = try_produce(&mut connection, &topic, 0, forgotten).await;
        assert_eq!(told.error_code, 45);
        let (fresh, _) = producer_id(&mut connection).await;
        assert_ne!(fresh, id, "ids are never given out twice");
    }
    let data = fetch(&mut connection, &topic, 0).await;
    assert_eq!(values(&data).len(), 7);
    server.stop().await;
}

#[tokio::test]
async fn acks_all_and_acks_1_survive_what_they_promise() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "promised", 1).await;
    for number in 0..20 {
        let value = number.to_string();
        assert_eq!(
            produce(&mut connection, &topic, 0, batch(&[&value])).await,
            number
        );
    }
    let server = server.crash(3).await;
    let mut connection = server.connect().await;
    let data = fetch(&mut connection, &topic, 0).await;
    assert_eq!(values(&data).len(), 20);
    server.stop().await;
}

#[tokio::test]
async fn a_failed_disk_is_told_and_reads_go_on() {
    use tidemark_broker::environment::disk::{DiskOp, Failure, Fault};
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let (topic, other) = (
        create(&mut connection, "failing", 1).await,
        create(&mut connection, "fine", 1).await,
    );
    produce(&mut connection, &topic, 0, batch(&["kept"])).await;
    let fault = Fault::next(DiskOp::Sync, Failure::Io).on("failing-0/00000000000000000000.log");
    server.disk.inject(fault);
    for _ in 0..2 {
        let told = try_produce(&mut connection, &topic, 0, batch(&["lost"])).await;
        assert_eq!(told.error_code, 56, "KAFKA_STORAGE_ERROR");
    }
    let data = fetch(&mut connection, &topic, 0).await;
    assert_eq!(values(&data), [(0, "kept".into())]);
    produce(&mut connection, &other, 0, batch(&["elsewhere"])).await;
    let full = Fault::next(DiskOp::Write, Failure::NoSpace).on("fine-0/00000000000000000000.log");
    server.disk.inject(full);
    let told = try_produce(&mut connection, &other, 0, batch(&["no room"])).await;
    assert_eq!(told.error_code, 56);
    assert_eq!(
        produce(&mut connection, &other, 0, batch(&["room"])).await,
        1
    );
    drop(server);
}
