//! A partition that cannot be opened is offline by itself: its topic's others are not concerned.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use integration_tests::harness::calls::Connection;
use integration_tests::harness::calls::{
    FETCH, PRODUCE, batch, create_topic, fetch_request, fetched, metadata, produce_request,
    produced,
};
use integration_tests::harness::files::{contents, is_marked_clean, names};
use tidemark_protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;
use tidemark_protocol::messages::ListOffsetsRequest;
use tidemark_protocol::messages::TopicName;
use tidemark_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};

use super::{start, temp_dir};

const TOPIC: &str = "three";
const BROKEN: i32 = 1;
const LATEST: i64 = -1;

/// The offset of the record, or the error code.
async fn produce_to(connection: &mut Connection, partition: i32, value: &str) -> Result<i64, i16> {
    let mut request = produce_request(TOPIC, batch(value, None), -1);
    request.topic_data[0].partition_data[0].index = partition;
    let response = connection.call(PRODUCE, &request).await;
    let response = produced(response.expect("Produce is answered"));
    assert_eq!(response.index, partition);
    match response.error_code {
        0 => Ok(response.base_offset),
        code => Err(code),
    }
}

/// All values of a partition, or the error code.
async fn read(connection: &mut Connection, partition: i32) -> Result<Vec<String>, i16> {
    let mut request = fetch_request(TOPIC, 0, 0, 0);
    request.topics[0].partitions[0].partition = partition;
    let response = connection.call(FETCH, &request).await;
    let response = response.expect("Fetch is answered");
    let answered = &response.responses[0].partitions[0];
    assert_eq!(answered.partition_index, partition);
    match answered.error_code {
        0 => Ok(fetched(&response)
            .into_iter()
            .map(|(_, value)| value)
            .collect()),
        code => Err(code),
    }
}

/// The end of a partition, or the error code.
async fn end(connection: &mut Connection, partition: i32) -> Result<i64, i16> {
    let latest = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(LATEST);
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_partitions(vec![latest]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    let response = connection.call(7, &request).await;
    let answered = &response.expect("ListOffsets is answered").topics[0].partitions[0];
    assert_eq!(answered.partition_index, partition);
    match answered.error_code {
        0 => Ok(answered.offset),
        code => Err(code),
    }
}

/// Breaks a partition, returns how to repair it.
type Break = fn(&Path) -> Box<dyn FnOnce(&Path)>;

fn put_a_file_in_its_place(dir: &Path) -> Box<dyn FnOnce(&Path)> {
    let away = dir.with_file_name("away");
    fs::rename(dir, &away).expect("the directory is there");
    fs::write(dir, "no directory").expect("it can be written");
    Box::new(move |dir| {
        fs::remove_file(dir).expect("the file is still there");
        fs::rename(&away, dir).expect("the directory is still there");
    })
}

fn put_a_directory_in_the_place_of_its_log(dir: &Path) -> Box<dyn FnOnce(&Path)> {
    let log = dir.join("00000000000000000000.log");
    let away = dir.with_file_name("away.log");
    fs::rename(&log, &away).expect("the log is there");
    fs::create_dir(&log).expect("it can be made");
    Box::new(move |_| {
        fs::remove_dir(&log).expect("the directory is still there");
        fs::rename(&away, &log).expect("the log is still there");
    })
}

/// And it stays what it was: after the orderly end of a broker that could not open it, it is
/// recovered as after the kill before.
#[tokio::test]
async fn a_partition_that_cannot_be_opened_is_offline_alone_and_recovered_later() {
    const BREAKS: [(&str, Break); 2] = [
        ("file", put_a_file_in_its_place),
        ("log", put_a_directory_in_the_place_of_its_log),
    ];
    for (what, damage) in BREAKS {
        let dir = temp_dir();
        let (broker, mut connection) = start(dir.path()).await;
        create_topic(&mut connection, TOPIC, 3, &[]).await;
        for partition in 0..3 {
            assert_eq!(produce_to(&mut connection, partition, "first").await, Ok(0));
        }
        let data = broker.data_dir();
        broker.kill();
        let partition = data.join(format!("{TOPIC}-{BROKEN}"));
        let log = partition.join("00000000000000000000.log");
        let torn = OpenOptions::new().append(true).open(log);
        torn.and_then(|mut log| log.write_all(b"half a batch"))
            .expect("the log can be written");
        let repair = damage(&partition);

        let (broker, mut connection) = start(dir.path()).await;
        let offline = Some(ErrorCode::KafkaStorageError.code());
        let read_it = read(&mut connection, BROKEN).await;
        assert_eq!(read_it.err(), offline, "{what}");
        let written = produce_to(&mut connection, BROKEN, "lost").await;
        assert_eq!(written.err(), offline, "{what}");
        assert_eq!(end(&mut connection, BROKEN).await.err(), offline, "{what}");
        for partition in [0, 2] {
            assert_eq!(end(&mut connection, partition).await, Ok(1), "{what}");
            let next = produce_to(&mut connection, partition, "second").await;
            assert_eq!(next, Ok(1), "{what}");
            let all = read(&mut connection, partition).await;
            assert_eq!(
                all,
                Ok(vec!["first".to_owned(), "second".to_owned()]),
                "{what}"
            );
        }
        let topics = metadata(&mut connection).await.topics;
        assert_eq!(topics[0].partitions.len(), 3, "{what}");
        let errors = broker.errors();
        let named = format!("partition={TOPIC}-{BROKEN}");
        assert!(errors.contains(&named), "{what}: {errors}");
        broker.stop();
        assert!(!is_marked_clean(&data), "{what}: it would vouch for all");

        repair(&partition);
        let (broker, mut connection) = start(dir.path()).await;
        assert_eq!(
            read(&mut connection, BROKEN).await,
            Ok(vec!["first".to_owned()]),
            "{what}"
        );
        assert_eq!(
            produce_to(&mut connection, BROKEN, "second").await,
            Ok(1),
            "{what}"
        );
        for partition in 0..3 {
            assert_eq!(end(&mut connection, partition).await, Ok(2), "{what}");
        }
        broker.stop();
        assert!(is_marked_clean(&data), "{what}");
    }
}

/// As in Kafka: what belongs to no topic makes room for the partition, which begins anew.
#[tokio::test]
async fn a_partition_in_whose_place_an_unknown_topics_is_begins_anew() {
    let dir = temp_dir();
    let (broker, mut connection) = start(dir.path()).await;
    create_topic(&mut connection, TOPIC, 3, &[]).await;
    for partition in 0..3 {
        assert_eq!(produce_to(&mut connection, partition, "first").await, Ok(0));
    }
    let data = broker.data_dir();
    broker.stop();
    let partition = data.join(format!("{TOPIC}-{BROKEN}"));
    let nobody = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAEQ";
    fs::write(partition.join("partition.metadata"), nobody).expect("it can be written");
    let before = contents(&partition);

    let (broker, mut connection) = start(dir.path()).await;
    assert_eq!(read(&mut connection, BROKEN).await, Ok(vec![]));
    assert_eq!(produce_to(&mut connection, BROKEN, "anew").await, Ok(0));
    for partition in [0, 2] {
        let all = read(&mut connection, partition).await;
        assert_eq!(all, Ok(vec!["first".to_owned()]));
    }
    broker.stop();
    assert!(is_marked_clean(&data));
    let aside = names(&data)
        .into_iter()
        .find(|name| name.ends_with("-stray"));
    let aside = aside.expect("it was set aside");
    assert!(aside.starts_with("three-1."), "{aside}");
    assert_eq!(contents(&data.join(aside)), before);
}
