//! Brokers inside this process: over a directory and over memory, two at once, stopped and started.

#[path = "../../broker/examples/embedded.rs"]
#[allow(
    dead_code,
    reason = "the example's main is for `cargo run --example embedded`"
)]
mod example;

use std::path::Path;
use std::sync::Arc;

use integration_tests::harness::calls::Connection;
use integration_tests::harness::calls::{
    FETCH, PRODUCE, batch, batch_at, commit, committed, connect, create_topic, delete_topic,
    fetch_request, fetched, metadata, produce, produce_request, produced, producer_id, read_all,
    read_from,
};
use integration_tests::harness::embedded::{Embedded, start};
use integration_tests::harness::files::{is_marked_clean, names};
use tidemark_broker::Handle;
use tidemark_broker::environment::disk::{DiskOp, Failure, Fault};
use tidemark_broker::environment::{Clock, Disk, Environment, ManualClock, MemoryDisk};
use tidemark_broker::types::Timestamp;
use tidemark_protocol::error::ErrorCode;

const DATA: &str = "/data";

/// This machine's clock and randomness over a disk in memory.
fn on(disk: &MemoryDisk) -> Environment {
    Environment {
        disk: Arc::new(disk.clone()),
        ..Environment::real()
    }
}

async fn client(broker: &Handle) -> Connection {
    connect(&broker.bootstrap()).await
}

/// The committed offset; asking again while the group's coordinator is not there yet would be a
/// client's business, but it is there when the broker has started.
async fn offset(connection: &mut Connection, group: &str, topic: &str) -> Result<i64, i16> {
    committed(connection, group, topic).await
}

/// Has the coordinators' topic made, as the first client of a group does.
async fn find_coordinator(connection: &mut Connection, group: &str) {
    use tidemark_protocol::StrBytes;
    use tidemark_protocol::messages::FindCoordinatorRequest;
    let request =
        FindCoordinatorRequest::default().with_key(StrBytes::from_string(group.to_owned()));
    let response = connection.call(3, &request).await;
    let response = response.expect("FindCoordinator is answered");
    assert_eq!(response.error_code, 0, "{response:?}");
}

/// Fills a broker with a topic, records and a committed offset.
async fn fill(broker: &Handle) {
    let mut connection = client(broker).await;
    create_topic(&mut connection, "kept", 2, &[("retention.ms", "-1")]).await;
    for number in 0..3 {
        let record = batch(&format!("record {number}"), None);
        assert_eq!(produce(&mut connection, "kept", record, -1).await, number);
    }
    find_coordinator(&mut connection, "group").await;
    assert_eq!(commit(&mut connection, "group", "kept", 2).await, 0);
}

/// Checks that all of [`fill`] is there, and that it goes on from there.
async fn check_filled(broker: &Handle) {
    let mut connection = client(broker).await;
    let topics = metadata(&mut connection).await.topics;
    let kept = topics
        .iter()
        .find(|topic| topic.name.as_ref().is_some_and(|name| &***name == "kept"));
    assert_eq!(kept.expect("the topic is there").partitions.len(), 2);
    let expected: Vec<_> = (0..3).map(|n| (n, format!("record {n}"))).collect();
    assert_eq!(read_all(&mut connection, "kept").await, expected);
    assert_eq!(offset(&mut connection, "group", "kept").await, Ok(2));
    assert_eq!(commit(&mut connection, "group", "kept", 3).await, 0);
    assert_eq!(offset(&mut connection, "group", "kept").await, Ok(3));
    let next = batch("next", None);
    assert_eq!(produce(&mut connection, "kept", next, -1).await, 3);
}

#[tokio::test]
async fn a_memory_disk_keeps_everything_over_a_restart() {
    let disk = MemoryDisk::new();
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let cluster = broker.cluster_id().to_owned();
    fill(&broker).await;
    broker.shutdown().await.expect("an orderly shutdown");
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    assert_eq!(broker.cluster_id(), cluster);
    check_filled(&broker).await;
    broker.shutdown().await.expect("an orderly shutdown");
    assert!(
        !Path::new(DATA).exists(),
        "nothing was written to a real disk"
    );
}

#[tokio::test]
async fn a_directory_keeps_everything_over_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("deep").join("data");
    let broker = start(&data, Environment::real(), &[]).await;
    assert_eq!(broker.data_dir(), data);
    fill(&broker).await;
    broker.shutdown().await.expect("an orderly shutdown");
    assert!(is_marked_clean(&data));
    assert!(names(&data).contains(&"kept-1".to_owned()));
    let broker = start(&data, Environment::real(), &[]).await;
    check_filled(&broker).await;
    broker.shutdown().await.expect("an orderly shutdown");
}

/// Power cuts, not only a kill: what was acknowledged was on the disk.
#[tokio::test]
async fn a_killed_broker_recovers_what_was_acknowledged() {
    for seed in 0..20 {
        let disk = MemoryDisk::new();
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        fill(&broker).await;
        broker.kill().await;
        if seed > 0 {
            disk.crash(seed);
        }
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        check_filled(&broker).await;
        broker.kill().await;
    }
}

#[tokio::test]
async fn a_killed_broker_leaves_its_directory_to_the_next() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let broker = start(dir.path(), Environment::real(), &[]).await;
    fill(&broker).await;
    broker.kill().await;
    assert!(!is_marked_clean(dir.path()));
    let broker = start(dir.path(), Environment::real(), &[]).await;
    check_filled(&broker).await;
    broker.shutdown().await.expect("an orderly shutdown");
}

#[tokio::test]
async fn two_brokers_in_one_process_share_nothing() {
    let (one, two) = (MemoryDisk::new(), MemoryDisk::new());
    let one = start(Path::new(DATA), on(&one), &[]).await;
    let two = start(Path::new(DATA), on(&two), &[("num.partitions", "4")]).await;
    assert_ne!(one.cluster_id(), two.cluster_id());
    assert_ne!(one.bootstrap(), two.bootstrap());
    fill(&one).await;
    let mut connection = client(&two).await;
    assert_eq!(metadata(&mut connection).await.topics.len(), 0);
    create_topic(&mut connection, "kept", 1, &[]).await;
    assert_eq!(read_all(&mut connection, "kept").await, []);
    find_coordinator(&mut connection, "group").await;
    assert_eq!(offset(&mut connection, "group", "kept").await, Ok(-1));
    // One of them ends; the other does not notice.
    two.kill().await;
    check_filled(&one).await;
    one.shutdown().await.expect("an orderly shutdown");
}

/// A batch that is sent again after a kill is answered as the first time, when it is on disk: also
/// if nothing else is written, and if it came with acks=1 the first time.
#[tokio::test]
async fn rule_01_a_batch_sent_again_after_a_kill_gets_its_first_answer() {
    for acks in [-1, 1] {
        let disk = MemoryDisk::new();
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        let mut connection = client(&broker).await;
        create_topic(&mut connection, "once", 1, &[]).await;
        let id = producer_id(&mut connection).await;
        for sequence in 0..5 {
            let record = batch(&format!("record {sequence}"), Some((id, sequence)));
            produce(&mut connection, "once", record, acks).await;
        }
        broker.kill().await;
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        let mut connection = client(&broker).await;
        for sequence in 0..5 {
            let record = batch(&format!("record {sequence}"), Some((id, sequence)));
            let base = produce(&mut connection, "once", record, -1).await;
            assert_eq!(base, i64::from(sequence), "acks={acks}");
        }
        assert_eq!(read_all(&mut connection, "once").await.len(), 5);
        assert!(
            producer_id(&mut connection).await > id,
            "no id is given twice"
        );
        broker.shutdown().await.expect("an orderly shutdown");
    }
}

/// The same without a restart: the first time nobody asked for the disk.
#[tokio::test]
async fn rule_01_a_batch_sent_again_with_more_acks_waits_for_the_disk() {
    let disk = MemoryDisk::new();
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let mut connection = client(&broker).await;
    create_topic(&mut connection, "once", 1, &[]).await;
    let id = producer_id(&mut connection).await;
    let record = batch("record", Some((id, 0)));
    assert_eq!(produce(&mut connection, "once", record.clone(), 1).await, 0);
    assert_eq!(produce(&mut connection, "once", record, -1).await, 0);
    broker.kill().await;
    disk.crash(1);
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let mut connection = client(&broker).await;
    assert_eq!(read_all(&mut connection, "once").await.len(), 1);
    broker.shutdown().await.expect("an orderly shutdown");
}

/// Data that is not in memory is read all the same, whichever of a fetch's looks finds it missing.
#[tokio::test]
async fn what_is_on_the_disk_only_is_fetched_too() {
    let disk = MemoryDisk::new();
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let mut connection = client(&broker).await;
    create_topic(&mut connection, "cold", 1, &[]).await;
    let mut expected = Vec::new();
    for number in 0..200 {
        let value = format!("record {number}");
        let record = batch(&value, None);
        assert_eq!(produce(&mut connection, "cold", record, 1).await, number);
        expected.push((number, value));
    }
    for failure in [Failure::Io, Failure::Short(100)] {
        // The fetch may look at what there is, then find it, then read it; all within one file.
        for (after, max_wait_ms) in [(0, 0), (1, 0), (0, 60_000), (1, 60_000), (2, 60_000)] {
            let cold = Fault::next(DiskOp::ReadCached, failure).on(".log");
            disk.inject(cold.after(after));
            let request = fetch_request("cold", 100, max_wait_ms, 1);
            let response = connection.call(FETCH, &request).await.expect("an answer");
            assert_eq!(fetched(&response), expected[100..], "{failure:?} {after}");
            assert_eq!(disk.armed_faults(), 0, "{after}: the look was made");
        }
    }
    broker.shutdown().await.expect("an orderly shutdown");
}

/// What was seen after a kill is not taken back by the power cut that follows.
#[tokio::test]
async fn what_a_restart_shows_is_on_the_disk() {
    for seed in 0..10 {
        let disk = MemoryDisk::new();
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        let mut connection = client(&broker).await;
        create_topic(&mut connection, "seen", 1, &[]).await;
        for number in 0..3 {
            let record = batch(&format!("record {number}"), None);
            assert_eq!(produce(&mut connection, "seen", record, 1).await, number);
        }
        broker.kill().await;
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        let seen = read_all(&mut client(&broker).await, "seen").await;
        assert_eq!(seen.len(), 3, "the start has waited for the disk");
        broker.kill().await;
        disk.crash(seed);
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        assert_eq!(read_all(&mut client(&broker).await, "seen").await, seen);
        broker.kill().await;
    }
}

/// With `flush.messages=1` a power cut loses nothing that was answered, whatever the acks.
#[tokio::test]
async fn an_append_that_makes_a_flush_due_is_answered_when_it_is_on_disk() {
    for seed in 0..20 {
        let disk = MemoryDisk::new();
        let relaxed = [("tidemark.acks.all.durable", "false")];
        let broker = start(Path::new(DATA), on(&disk), &relaxed).await;
        let mut connection = client(&broker).await;
        create_topic(&mut connection, "safe", 1, &[("flush.messages", "1")]).await;
        for (number, acks) in [(0, 1), (1, -1), (2, 1)] {
            let record = batch(&format!("record {number}"), None);
            assert_eq!(produce(&mut connection, "safe", record, acks).await, number);
        }
        broker.kill().await;
        disk.crash(seed);
        let broker = start(Path::new(DATA), on(&disk), &relaxed).await;
        let mut connection = client(&broker).await;
        // Topics are not made safe by it: one that is lost took its records with it.
        let topics = metadata(&mut connection).await.topics;
        if !topics.is_empty() {
            assert_eq!(read_all(&mut connection, "safe").await.len(), 3, "{seed}");
        }
        broker.kill().await;
    }
}

/// Records of long ago must not make a broker forget who has just written them.
#[tokio::test]
async fn rule_08_a_batch_with_an_old_timestamp_sent_again_after_a_kill_is_recognised() {
    let disk = MemoryDisk::new();
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let mut connection = client(&broker).await;
    create_topic(&mut connection, "old", 1, &[("retention.ms", "-1")]).await;
    let id = producer_id(&mut connection).await;
    let record = |sequence| batch_at(1_000, &format!("record {sequence}"), Some((id, sequence)));
    for sequence in 0..3 {
        let base = produce(&mut connection, "old", record(sequence), -1).await;
        assert_eq!(base, i64::from(sequence));
    }
    broker.kill().await;
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let mut connection = client(&broker).await;
    for sequence in 0..3 {
        let base = produce(&mut connection, "old", record(sequence), -1).await;
        assert_eq!(base, i64::from(sequence), "the original's offset");
    }
    assert_eq!(read_all(&mut connection, "old").await.len(), 3);
    broker.shutdown().await.expect("an orderly shutdown");
}

const DAY_MS: u64 = 24 * 3600 * 1000;

/// A broker with a clock that the test moves, and a producer that has written sequences 0 to 3.
struct Idle {
    broker: Embedded,
    clock: ManualClock,
    connection: Connection,
    producer: i64,
}

impl Idle {
    async fn start(options: &[(&str, &str)]) -> Self {
        let clock = ManualClock::new(Timestamp(1_700_000_000_000));
        let environment = Environment {
            clock: Arc::new(clock.clone()),
            ..Environment::in_memory()
        };
        // The connection is to outlive the clock's jumps.
        let idle = [("connections.max.idle.ms", "-1")];
        let options: Vec<_> = options.iter().copied().chain(idle).collect();
        let broker = start(Path::new(DATA), environment, &options).await;
        let mut connection = client(&broker).await;
        create_topic(&mut connection, "idle", 1, &[]).await;
        let producer = producer_id(&mut connection).await;
        let mut idle = Self {
            broker,
            clock,
            connection,
            producer,
        };
        for sequence in 0..4 {
            assert_eq!(idle.produce(sequence).await, Ok(i64::from(sequence)));
        }
        idle
    }

    /// Sends a record of now; its offset or the error code.
    async fn produce(&mut self, sequence: i32) -> Result<i64, i16> {
        let now = self.clock.now().wall.0;
        let record = batch_at(now, "record", Some((self.producer, sequence)));
        let request = produce_request("idle", record, -1);
        let response = self.connection.call(PRODUCE, &request).await;
        let partition = produced(response.expect("Produce is answered"));
        match partition.error_code {
            0 => Ok(partition.base_offset),
            error => Err(error),
        }
    }
}

#[tokio::test]
async fn rule_05_idle_producers_are_forgotten_after_a_day_by_the_check_at_its_interval() {
    let out_of_order = Err(ErrorCode::OutOfOrderSequenceNumber.code());
    let mut idle = Idle::start(&[]).await;
    idle.clock.advance(DAY_MS - 1);
    assert_eq!(idle.produce(9).await, out_of_order, "a day is not over");
    idle.clock.advance(600_000);
    // The check runs on a thread of its own: it is done when the producer is forgotten.
    let mut answer = out_of_order;
    while answer == out_of_order {
        answer = idle.produce(9).await;
    }
    assert_eq!(answer, Ok(4));
    idle.broker.shutdown().await.expect("an orderly shutdown");
    // Retention has nothing to do with it.
    let rarely = ("producer.id.expiration.check.interval.ms", "864000000");
    let mut idle = Idle::start(&[rarely]).await;
    idle.clock.advance(2 * DAY_MS);
    idle.broker.apply_retention();
    assert_eq!(idle.produce(9).await, out_of_order);
    idle.broker.shutdown().await.expect("an orderly shutdown");
}

#[tokio::test]
async fn rule_04_a_producer_goes_on_after_it_was_forgotten_or_its_records_were() {
    let mut idle = Idle::start(&[]).await;
    // 8 days: retention takes the records, and the producer expires.
    for sequence in 4..6 {
        idle.clock.advance(8 * DAY_MS);
        idle.broker.apply_retention();
        assert_eq!(idle.produce(sequence).await, Ok(i64::from(sequence)));
        let from = i64::from(sequence);
        let (start, records) = read_from(&mut idle.connection, "idle", from).await;
        assert_eq!((start, records.len()), (from, 1));
    }
    idle.broker.shutdown().await.expect("an orderly shutdown");
}

/// A data directory of Kafka's whose metadata is in a snapshot would come up without its topics.
#[tokio::test]
async fn a_catalog_that_is_not_all_in_its_log_is_refused_and_left_as_it_is() {
    let disk = MemoryDisk::new();
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    fill(&broker).await;
    broker.shutdown().await.expect("an orderly shutdown");
    let metadata_dir = Path::new(DATA).join("__cluster_metadata-0");
    let refused = async |path: &Path| {
        let pairs = [
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("tidemark.http.listener", "none"),
            ("log.dirs", DATA),
        ];
        let config = tidemark_broker::config::BrokerConfig::from_pairs(pairs);
        let started = tidemark_broker::Broker::start(config.expect("good options"), on(&disk));
        let error = started.await.err().expect("it is refused").to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        error
    };
    let snapshot = metadata_dir.join("00000000000000000003-0000000001.checkpoint");
    disk.replace(&snapshot, b"records").unwrap();
    let error = refused(&snapshot).await;
    assert!(error.contains("snapshot of the metadata"), "{error}");
    disk.remove_file(&snapshot).unwrap();
    let (first, later) = (
        metadata_dir.join("00000000000000000000.log"),
        metadata_dir.join("00000000000000000003.log"),
    );
    disk.rename(&first, &later).unwrap();
    let error = refused(&later).await;
    assert!(error.contains("begins at offset 3"), "{error}");
    disk.rename(&later, &first).unwrap();
    // What formatting writes is no obstacle, and nothing has been touched meanwhile.
    let bootstrap = metadata_dir.join("00000000000000000000-0000000000.checkpoint");
    disk.replace(&bootstrap, b"records").unwrap();
    let marker = Path::new(DATA).join(".kafka_cleanshutdown");
    assert!(disk.exists(&marker).unwrap());
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    check_filled(&broker).await;
    broker.shutdown().await.expect("an orderly shutdown");
}

#[tokio::test]
async fn a_directory_in_use_is_refused_in_one_process_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let broker = start(dir.path(), Environment::real(), &[]).await;
    let path = dir.path().to_str().expect("a plain name");
    let pairs = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("tidemark.http.listener", "none"),
        ("log.dirs", path),
    ];
    let config = tidemark_broker::config::BrokerConfig::from_pairs(pairs).expect("good options");
    let second = tidemark_broker::Broker::start(config, Environment::real()).await;
    let error = second.err().expect("the directory is taken").to_string();
    assert!(error.contains("in use by another broker"), "{error}");
    broker.shutdown().await.expect("an orderly shutdown");
}

#[tokio::test]
async fn the_example_prints_the_record_it_produced() {
    let printed = example::produce_and_fetch().await.expect("it runs");
    assert_eq!(printed, "greetings-0 offset 0: hello from inside");
}

/// An error code that clients know how to wait out, for the tests above to be exact about.
#[tokio::test]
async fn a_group_without_a_coordinator_is_told_to_look_for_one() {
    let disk = MemoryDisk::new();
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let mut connection = client(&broker).await;
    create_topic(&mut connection, "topic", 1, &[]).await;
    let code = offset(&mut connection, "group", "topic").await;
    assert_eq!(code, Err(ErrorCode::NotCoordinator.code()));
    find_coordinator(&mut connection, "group").await;
    assert_eq!(offset(&mut connection, "group", "topic").await, Ok(-1));
    broker.shutdown().await.expect("an orderly shutdown");
}

/// What was noted of a deleted topic must not cut the log of the next one of that name.
#[tokio::test]
async fn rule_27_a_topic_made_anew_keeps_its_records_over_a_kill() {
    use kafka_protocol::messages::delete_records_request::{
        DeleteRecordsPartition, DeleteRecordsTopic,
    };
    use kafka_protocol::messages::{DeleteRecordsRequest, TopicName};
    use tidemark_protocol::StrBytes;

    let name = TopicName(StrBytes::from_static_str("again"));
    let disk = MemoryDisk::new();
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let mut connection = client(&broker).await;
    create_topic(&mut connection, "again", 1, &[]).await;
    for number in 0..5 {
        let record = batch(&format!("old {number}"), None);
        assert_eq!(produce(&mut connection, "again", record, -1).await, number);
    }
    let all = DeleteRecordsPartition::default().with_offset(-1);
    let topic = DeleteRecordsTopic::default()
        .with_name(name)
        .with_partitions(vec![all]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let response = connection.call(2, &request).await.expect("an answer");
    assert_eq!(response.topics[0].partitions[0].low_watermark, 5);
    broker.shutdown().await.expect("a clean end");

    // This start has read that the log begins at 5.
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let mut connection = client(&broker).await;
    delete_topic(&mut connection, "again").await;
    create_topic(&mut connection, "again", 1, &[]).await;
    for number in 0..2 {
        let record = batch(&format!("new {number}"), None);
        assert_eq!(produce(&mut connection, "again", record, -1).await, number);
    }
    broker.kill().await;
    let broker = start(Path::new(DATA), on(&disk), &[]).await;
    let mut connection = client(&broker).await;
    let expected: Vec<_> = (0..2).map(|n| (n, format!("new {n}"))).collect();
    assert_eq!(read_all(&mut connection, "again").await, expected);
    broker.shutdown().await.expect("a clean end");
}

/// Power cuts behind a deletion: whatever of the renames, the new directory and the files in it
/// had reached the disk, what was answered holds, and nothing of the old topic is in the new one.
#[tokio::test]
async fn a_topic_made_anew_before_a_power_cut_is_the_new_one() {
    for seed in 1..=30 {
        let disk = MemoryDisk::new();
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        let mut connection = client(&broker).await;
        let mut expected = Vec::new();
        for incarnation in 0..1 + seed % 3 {
            if incarnation > 0 {
                delete_topic(&mut connection, "again").await;
            }
            create_topic(&mut connection, "again", 2, &[]).await;
            expected.clear();
            for number in 0..(seed + incarnation) % 4 {
                let value = format!("{incarnation} {number}");
                let number = i64::try_from(number).expect("a small number");
                let record = batch(&value, None);
                assert_eq!(produce(&mut connection, "again", record, -1).await, number);
                expected.push((number, value));
            }
        }
        broker.kill().await;
        disk.crash(seed);
        // What is left over is settled once and for all.
        for start_number in 0..2 {
            let broker = start(Path::new(DATA), on(&disk), &[]).await;
            let mut connection = client(&broker).await;
            let found = read_all(&mut connection, "again").await;
            assert_eq!(found, expected, "seed {seed}, start {start_number}");
            broker.kill().await;
        }
    }
}

/// A broker whose tasks are gone, here with their runtime, says so to whoever embeds it.
#[test]
fn an_embedder_is_told_when_the_broker_has_failed() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads")
    };
    let disk = MemoryDisk::new();
    let first = runtime();
    let broker = first.block_on(async {
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        fill(&broker).await;
        broker
    });
    first.shutdown_background();
    runtime().block_on(async {
        let failed = broker.failed().await;
        assert!(failed.ends_with("has failed"), "{failed}");
        broker.kill().await;
        let broker = start(Path::new(DATA), on(&disk), &[]).await;
        check_filled(&broker).await;
        broker.shutdown().await.expect("an orderly shutdown");
    });
}
