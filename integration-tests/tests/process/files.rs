//! What lies on disk: Kafka's names, and how retention removes files.

use std::path::Path;

use integration_tests::harness::calls::Connection;
use integration_tests::harness::calls::{
    batch_at, connect, create_topic, latest_offset, produce, read_from,
};
use integration_tests::harness::files::names;
use integration_tests::harness::process::Launch;
use integration_tests::harness::wait::until;

use super::temp_dir;

/// Two of these do not fit a segment of the smallest size.
const RECORD_BYTES: usize = 600_000;
const SEGMENT: (&str, &str) = ("segment.bytes", "1048576");

/// The timestamp of all records: in 1970.
const OLD: i64 = 1;

/// Produces records that take a segment each.
async fn fill(connection: &mut Connection, topic: &str, records: usize) {
    let value = "x".repeat(RECORD_BYTES);
    for _ in 0..records {
        produce(connection, topic, batch_at(OLD, &value, None), -1).await;
    }
}

fn with_suffix(dir: &Path, suffix: &str) -> Vec<String> {
    let mut names = names(dir);
    names.retain(|name| name.ends_with(suffix));
    names
}

/// The files of the segments that begin at these offsets, with their suffix.
fn segment_files(offsets: std::ops::Range<usize>, kinds: &[&str]) -> Vec<String> {
    let of = |offset| kinds.iter().map(move |kind| format!("{offset:020}.{kind}"));
    offsets.flat_map(of).collect()
}

#[tokio::test]
async fn files_have_the_names_that_kafka_gives_them() {
    let dir = temp_dir();
    let broker = Launch::new(dir.path())
        .set("offsets.topic.num.partitions", "2")
        .start();
    let mut connection = connect(broker.bootstrap()).await;
    create_topic(&mut connection, "named.topic", 2, &[SEGMENT]).await;
    fill(&mut connection, "named.topic", 3).await;
    let data = broker.data_dir();
    broker.stop();
    let expected = [
        ".kafka_cleanshutdown",
        ".lock",
        "__cluster_metadata-0",
        "log-start-offset-checkpoint",
        "meta.properties",
        "named.topic-0",
        "named.topic-1",
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
    ];
    assert_eq!(names(&data), expected);
    let mut expected = segment_files(0..3, &["index", "log", "timeindex"]);
    expected.extend(segment_files(1..4, &["snapshot"]));
    expected.extend(["leader-epoch-checkpoint", "partition.metadata"].map(str::to_owned));
    expected.sort();
    assert_eq!(names(&data.join("named.topic-0")), expected);
}

/// `retention.bytes` removes whole segments from the start; their files stay under another name
/// for `file.delete.delay.ms`, and no longer than the broker runs.
#[tokio::test]
async fn retention_by_size_sets_files_aside() {
    let dir = temp_dir();
    let launch = || Launch::new(dir.path()).set("log.retention.check.interval.ms", "20");
    let broker = launch().start();
    let mut connection = connect(broker.bootstrap()).await;
    let configs = [
        SEGMENT,
        ("retention.bytes", "1500000"),
        ("retention.ms", "-1"),
        ("file.delete.delay.ms", "3600000"),
    ];
    create_topic(&mut connection, "sized", 1, &configs).await;
    fill(&mut connection, "sized", 6).await;
    let partition = broker.data_dir().join("sized-0");
    // 6 times 600 kB: three more segments would still be above the limit without the first.
    let deleted = segment_files(0..3, &["index.deleted", "log.deleted", "timeindex.deleted"]);
    until("three segments to be set aside", || {
        let found = with_suffix(&partition, ".deleted");
        let found: Vec<_> = found
            .into_iter()
            .filter(|n| !n.contains("snapshot"))
            .collect();
        (found == deleted).then_some(())
    });
    assert_eq!(
        with_suffix(&partition, ".log"),
        segment_files(3..6, &["log"])
    );
    let (start, records) = read_from(&mut connection, "sized", 3).await;
    // A fetch reads of one segment.
    assert_eq!((start, records.len(), records[0].0), (3, 1, 3));
    broker.stop();

    let broker = launch().start();
    assert_eq!(with_suffix(&partition, ".deleted"), [""; 0]);
    let mut connection = connect(broker.bootstrap()).await;
    assert_eq!(latest_offset(&mut connection, "sized").await, 6);
    let (start, records) = read_from(&mut connection, "sized", 3).await;
    assert_eq!((start, records.len(), records[0].0), (3, 1, 3));
    broker.stop();
}

/// `retention.ms` goes by the records' timestamps, which lie in 1970 here.
#[tokio::test]
async fn retention_by_time_removes_files_after_their_delay() {
    let dir = temp_dir();
    let broker = Launch::new(dir.path())
        .set("log.retention.check.interval.ms", "20")
        .start();
    let mut connection = connect(broker.bootstrap()).await;
    let configs = [SEGMENT, ("file.delete.delay.ms", "1")];
    create_topic(&mut connection, "timed", 1, &configs).await;
    fill(&mut connection, "timed", 4).await;
    let partition = broker.data_dir().join("timed-0");
    // All records are a week old: even the segment that was written to goes, and a new one, empty,
    // takes its place.
    until("the old segments to be gone", || {
        let logs = with_suffix(&partition, ".log");
        let left = with_suffix(&partition, ".deleted");
        (logs == segment_files(4..5, &["log"]) && left.is_empty()).then_some(())
    });
    assert_eq!(latest_offset(&mut connection, "timed").await, 4);
    let (start, records) = read_from(&mut connection, "timed", 4).await;
    assert_eq!((start, records.len()), (4, 0));
    let next = batch_at(OLD, "goes on", None);
    assert_eq!(produce(&mut connection, "timed", next, -1).await, 4);
    broker.stop();
}
