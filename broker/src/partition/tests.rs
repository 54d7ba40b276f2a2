//! Visibility, group commit, repetitions, failing disks and waiters.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use tidemark_protocol::records::{BatchView, Batches};

use super::*;
use crate::config::{BrokerConfig, TopicConfig};
use crate::environment::MemoryDisk;
use crate::environment::disk::{DiskOp, Failure, Fault};
use crate::storage::testing::{Shape, dir, now};
use crate::storage::{LogConfig, LogStart, Reach};
use crate::types::Now;
use crate::vitals::Vitals;

/// A partition on a disk in memory; nothing is synced but by [`Bench::flush`].
struct Bench {
    disk: MemoryDisk,
    partition: Arc<Partition>,
}

fn settings(log: LogConfig) -> PartitionSettings {
    let broker = BrokerConfig::default();
    let topic = TopicConfig::resolve(&broker, &BTreeMap::new());
    PartitionSettings {
        log,
        ..PartitionSettings::new(&topic, &broker)
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(LogConfig::default(), true)
    }

    fn with(config: LogConfig, durable_acks: bool) -> Self {
        let disk = MemoryDisk::new();
        disk.create_dir_all(Path::new("/data")).unwrap();
        Self::on(disk, LogStart::default(), config, durable_acks)
    }

    fn on(disk: MemoryDisk, start: LogStart, config: LogConfig, durable_acks: bool) -> Self {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let (log, _) = Log::open(
            Arc::clone(&shared),
            &dir(),
            None,
            config.clone(),
            start,
            now(0),
        )
        .unwrap();
        let parts = PartitionParts {
            name: TopicPartition::new("t", 0),
            topic_id: Uuid::from_u128(500),
            epoch: LeaderEpoch(0),
            durable_acks,
            settings: settings(config),
            disk: shared,
            // Without its thread: tests say when a flush happens.
            flusher: Arc::new(Flusher::default()),
        };
        let partition = Partition::new(parts, log);
        Self { disk, partition }
    }

    fn append(&self, shape: &Shape, acks: Acks) -> Result<Appended, PartitionError> {
        let (header, bytes) = shape.build();
        let batch = ValidBatch { header, bytes };
        self.partition.append(&batch, acks, at(1_000))
    }

    /// Appends `count` records and returns the offset behind them.
    fn grow(&self, count: usize, acks: Acks) -> Offset {
        self.append(&Shape::of(count, 1_000), acks).unwrap().end
    }

    fn flush(&self) {
        self.partition.flush_now();
    }

    fn asks_for_a_flush(&self) -> bool {
        self.partition.flush_requested.load(Ordering::Acquire)
    }

    /// High watermark and log end.
    fn ends(&self) -> (i64, i64) {
        let bounds = self.partition.bounds().unwrap();
        (bounds.high_watermark.0, bounds.end.0)
    }

    /// Base offsets of the batches that a consumer finds from `from` on.
    fn visible(&self, from: i64) -> Vec<i64> {
        let slice = self
            .partition
            .read(
                Offset(from),
                Isolation::ReadUncommitted,
                u32::MAX,
                true,
                Reach::Disk,
            )
            .unwrap();
        let bytes = slice.map_or_else(Bytes::new, |slice| slice.read().unwrap());
        Batches::new(&bytes)
            .map(|batch| batch.unwrap().base_offset)
            .collect()
    }
}

fn at(ms: i64) -> Now {
    now(ms)
}

/// What the future has come to, if it has.
async fn poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn the_high_watermark_stops_in_front_of_the_first_unsynced_acks_all_batch() {
    let bench = Bench::new();
    bench.grow(2, Acks::Leader);
    assert_eq!(bench.ends(), (2, 2), "acks=1 is visible at once");
    bench.grow(1, Acks::None);
    assert_eq!(bench.ends(), (3, 3));
    assert!(!bench.asks_for_a_flush());
    bench.grow(3, Acks::All);
    assert_eq!(bench.ends(), (3, 6));
    assert!(bench.asks_for_a_flush());
    bench.grow(1, Acks::Leader);
    assert_eq!(bench.ends(), (3, 7), "nothing overtakes it");
    assert_eq!(bench.visible(0), [0, 2]);
    assert_eq!(bench.visible(3), [] as [i64; 0], "empty, not an error");
    bench.flush();
    assert_eq!(bench.ends(), (7, 7));
    assert_eq!(bench.visible(3), [3, 6]);
    assert!(!bench.asks_for_a_flush());
}

#[test]
fn without_durable_acks_everything_is_visible_at_once() {
    let bench = Bench::with(LogConfig::default(), false);
    bench.grow(3, Acks::All);
    assert_eq!(bench.ends(), (3, 3));
    assert!(!bench.asks_for_a_flush());
}

#[tokio::test]
async fn without_durable_acks_nobody_waits_for_the_disk() {
    let bench = Bench::with(LogConfig::default(), false);
    let end = bench.grow(3, Acks::All);
    assert_eq!(bench.partition.wait_durable(end).await, Ok(()));
}

#[tokio::test]
async fn one_sync_answers_all_who_wait() {
    let bench = Bench::new();
    let waits: Vec<_> = (0..5)
        .map(|_| {
            let end = bench.grow(2, Acks::All);
            Box::pin(bench.partition.wait_durable(end))
        })
        .collect();
    let mut waits = waits;
    for wait in &mut waits {
        assert_eq!(poll(wait).await, None, "nothing is synced yet");
    }
    // A second sync of the log's file would strike the fault.
    let second = Fault::next(DiskOp::Sync, Failure::Io).on(".log").after(1);
    bench.disk.inject(second);
    bench.flush();
    assert_eq!(bench.disk.armed_faults(), 1, "the file was synced once");
    for wait in &mut waits {
        assert_eq!(poll(wait).await, Some(Ok(())));
    }
    bench.flush();
    assert_eq!(bench.disk.armed_faults(), 1, "nothing is left to sync");
}

#[tokio::test]
async fn a_sync_answers_only_what_was_written_before_it_began() {
    let bench = Bench::new();
    let first = bench.grow(1, Acks::All);
    let plan = {
        let mut state = bench.partition.state.lock();
        state.log.as_mut().unwrap().flush_plan().unwrap()
    };
    let second = bench.grow(1, Acks::All);
    assert_eq!(plan.up_to(), first);
    assert!(plan.up_to() < second);
    bench.flush();
    assert_eq!(bench.partition.wait_durable(second).await, Ok(()));
}

#[tokio::test]
async fn the_flushers_thread_answers_what_asks_for_it() {
    let (flusher, thread) = Flusher::start(Vitals::new().pulse("the flusher")).unwrap();
    let bench = Bench::new();
    // The same partition, with a flusher that works.
    let log = bench.partition.retire().unwrap();
    let parts = PartitionParts {
        name: bench.partition.name.clone(),
        topic_id: bench.partition.topic_id,
        epoch: LeaderEpoch(0),
        durable_acks: true,
        settings: settings(LogConfig::default()),
        disk: Arc::new(bench.disk.clone()),
        flusher,
    };
    let partition = Partition::new(parts, log);
    let bench = Bench {
        disk: bench.disk.clone(),
        partition,
    };
    for _ in 0..20 {
        let end = bench.grow(1, Acks::All);
        assert_eq!(bench.partition.wait_durable(end).await, Ok(()));
    }
    assert_eq!(bench.ends(), (20, 20));
    drop(thread);
}

#[tokio::test]
async fn rule_01_a_repetition_gets_the_original_offsets_and_waits_for_the_original() {
    let bench = Bench::new();
    let shape = |sequence| Shape::from_producer(7, 0, sequence, 2);
    let first = bench.append(&shape(0), Acks::All).unwrap();
    bench.append(&shape(2), Acks::All).unwrap();
    let again = bench.append(&shape(0), Acks::All).unwrap();
    let told = Appended {
        log_append_time: Timestamp(1_000),
        ..first
    };
    assert_eq!(
        again, told,
        "with the original's timestamp, as Kafka tells it"
    );
    assert_eq!(bench.ends(), (0, 4), "nothing was written");
    let mut wait = pin!(bench.partition.wait_durable(again.end));
    assert_eq!(poll(&mut wait).await, None, "the original is not on disk");
    bench.flush();
    assert_eq!(poll(&mut wait).await, Some(Ok(())));
    for sequence in (4..12).step_by(2) {
        bench.append(&shape(sequence), Acks::All).unwrap();
    }
    // 0 is the sixth from the end now and forgotten; 2 is the fifth.
    assert_eq!(
        bench.append(&shape(2), Acks::All).unwrap().base_offset,
        Offset(2)
    );
    let forgotten = bench.append(&shape(0), Acks::All).unwrap_err();
    assert_eq!(forgotten.code, ErrorCode::OutOfOrderSequenceNumber);
}

#[tokio::test]
async fn rule_01_a_repetition_with_acks_all_has_the_original_synced() {
    let bench = Bench::new();
    let shape = Shape::from_producer(7, 0, 0, 2);
    bench.append(&shape, Acks::Leader).unwrap();
    assert!(!bench.asks_for_a_flush());
    let again = bench.append(&shape, Acks::All).unwrap();
    assert!(
        bench.asks_for_a_flush(),
        "nobody else would ask, and the caller would wait for ever"
    );
    bench.flush();
    assert_eq!(bench.partition.wait_durable(again.end).await, Ok(()));
}

#[test]
fn rule_02_rule_03_sequences_and_epochs_are_judged_with_the_codes_of_produce() {
    let bench = Bench::new();
    let check = |epoch, sequence, count, expected: Option<ErrorCode>| {
        let shape = Shape::from_producer(7, epoch, sequence, count);
        let code = bench.append(&shape, Acks::Leader).err().map(|e| e.code);
        assert_eq!(code, expected, "epoch {epoch}, sequence {sequence}");
    };
    let out_of_order = Some(ErrorCode::OutOfOrderSequenceNumber);
    check(1, i32::MAX - 1, 2, None);
    check(1, 1, 1, out_of_order);
    check(1, 0, 1, None);
    check(1, 2, 1, out_of_order);
    check(0, 1, 1, Some(ErrorCode::InvalidProducerEpoch));
    check(2, 1, 1, out_of_order);
    check(2, 0, 1, None);
}

#[tokio::test]
async fn a_failed_sync_takes_the_partition_out_of_service_and_reads_go_on() {
    let bench = Bench::new();
    bench.grow(2, Acks::All);
    bench.flush();
    let end = bench.grow(3, Acks::All);
    let mut waiter = pin!(bench.partition.wait_durable(end));
    assert_eq!(poll(&mut waiter).await, None);
    bench
        .disk
        .inject(Fault::next(DiskOp::Sync, Failure::Io).on(".log"));
    bench.flush();
    let storage = ErrorCode::KafkaStorageError;
    assert_eq!(storage.code(), 56);
    let told = poll(&mut waiter).await.expect("the waiter is told");
    assert_eq!(told.unwrap_err().code, storage);
    // What was on disk before stays so.
    assert_eq!(bench.partition.wait_durable(Offset(2)).await, Ok(()));
    for acks in [Acks::None, Acks::Leader, Acks::All] {
        let refused = bench.append(&Shape::of(1, 0), acks).unwrap_err();
        assert_eq!(refused.code, storage, "{acks:?}");
    }
    // The kernel may have dropped the pages: trying again would promise what nobody knows.
    bench.flush();
    assert_eq!(bench.ends(), (2, 5));
    let late = bench.partition.wait_durable(end).await.unwrap_err();
    assert_eq!(late.code, storage);
    assert_eq!(bench.visible(0), [0], "reads go on");
}

#[test]
fn a_full_disk_refuses_and_takes_up_again_when_there_is_room() {
    let bench = Bench::new();
    bench.grow(1, Acks::Leader);
    bench
        .disk
        .inject(Fault::next(DiskOp::Write, Failure::NoSpace).on(".log"));
    let refused = bench.append(&Shape::of(1, 0), Acks::All).unwrap_err();
    assert_eq!(refused.code, ErrorCode::KafkaStorageError);
    assert_eq!(bench.ends(), (1, 1), "nothing of it is there");
    assert_eq!(bench.grow(1, Acks::All), Offset(2));
    bench.flush();
    assert_eq!(bench.visible(0), [0, 1]);
}

#[test]
fn rule_06_the_batch_after_a_failed_one_is_refused() {
    let bench = Bench::new();
    let shape = |sequence| Shape::from_producer(7, 0, sequence, 1);
    bench.append(&shape(0), Acks::All).unwrap();
    bench
        .disk
        .inject(Fault::next(DiskOp::Write, Failure::Short(30)).on(".log"));
    bench.append(&shape(1), Acks::All).unwrap_err();
    let next = bench.append(&shape(2), Acks::All).unwrap_err();
    assert_eq!(next.code, ErrorCode::OutOfOrderSequenceNumber);
    // The producer tries again, in order.
    assert_eq!(
        bench.append(&shape(1), Acks::All).unwrap().base_offset,
        Offset(1)
    );
    assert_eq!(
        bench.append(&shape(2), Acks::All).unwrap().base_offset,
        Offset(2)
    );
    bench.flush();
    assert_eq!(bench.visible(0), [0, 1, 2]);
}

#[tokio::test]
async fn what_recovery_found_is_synced_before_anybody_sees_it_or_is_told() {
    let bench = Bench::new();
    bench.grow(2, Acks::All);
    bench.flush();
    let point = bench.partition.checkpoint().unwrap().recovery_point;
    let end = bench.grow(3, Acks::Leader);
    // The process is killed: what was written is in the page cache.
    drop(bench.partition.retire());
    let start = LogStart {
        clean: false,
        recovery_point: point,
        log_start: Offset(0),
    };
    let bench = Bench::on(bench.disk.clone(), start, LogConfig::default(), true);
    assert_eq!(bench.ends(), (2, 5), "the rest may still be lost");
    assert_eq!(bench.visible(0), [0]);
    assert!(bench.asks_for_a_flush(), "without anybody's asking");
    let seen = bench.partition.high_watermark_progress();
    let mut seen = pin!(seen.wait(end));
    let mut wait = pin!(bench.partition.wait_durable(end));
    assert_eq!(poll(&mut seen).await, None);
    assert_eq!(poll(&mut wait).await, None);
    bench.flush();
    assert_eq!(poll(&mut seen).await, Some(Ok(())));
    assert_eq!(poll(&mut wait).await, Some(Ok(())));
    assert_eq!(bench.ends(), (5, 5));
    let start = LogStart {
        clean: true,
        recovery_point: bench.partition.checkpoint().unwrap().recovery_point,
        log_start: Offset(0),
    };
    bench.partition.retire().unwrap().close().unwrap();
    let bench = Bench::on(bench.disk.clone(), start, LogConfig::default(), true);
    assert!(!bench.asks_for_a_flush(), "there is nothing to sync");
    assert_eq!(bench.ends(), (5, 5));
}

#[test]
fn what_recovery_found_is_seen_at_once_if_nobody_was_promised_the_disk() {
    for (flush_messages, seen) in [(i64::MAX, 3), (4, 3), (3, 0)] {
        let config = LogConfig {
            flush_messages,
            ..LogConfig::default()
        };
        let bench = Bench::new();
        bench.grow(3, Acks::Leader);
        drop(bench.partition.retire());
        let bench = Bench::on(bench.disk.clone(), LogStart::default(), config, false);
        assert_eq!(bench.ends(), (seen, 3), "{flush_messages}");
        assert!(bench.asks_for_a_flush());
    }
}

#[test]
fn a_recovered_log_is_not_seen_below_its_start() {
    let bench = Bench::new();
    bench.grow(8, Acks::Leader);
    drop(bench.partition.retire());
    let start = LogStart {
        log_start: Offset(5),
        ..LogStart::default()
    };
    let bench = Bench::on(bench.disk.clone(), start, LogConfig::default(), true);
    let bounds = bench.partition.bounds().unwrap();
    assert_eq!(
        (bounds.start, bounds.high_watermark),
        (Offset(5), Offset(5))
    );
    bench.flush();
    assert_eq!(bench.ends(), (8, 8));
}

#[tokio::test]
async fn an_append_that_makes_flush_messages_due_waits_for_the_disk() {
    let config = LogConfig {
        flush_messages: 3,
        ..LogConfig::default()
    };
    for durable_acks in [true, false] {
        let bench = Bench::with(config.clone(), durable_acks);
        let append = |count| {
            let shape = Shape::of(count, 1_000);
            bench.append(&shape, Acks::Leader).unwrap()
        };
        assert!(!append(2).on_disk_first);
        assert_eq!(bench.ends(), (2, 2));
        let due = append(1);
        assert!(due.on_disk_first);
        assert!(bench.asks_for_a_flush());
        assert_eq!(bench.ends(), (2, 3), "not seen before it is on disk");
        // What follows is counted anew, but nothing overtakes.
        assert!(!append(2).on_disk_first);
        assert!(append(1).on_disk_first);
        assert_eq!(bench.ends(), (2, 6));
        let mut first = pin!(bench.partition.wait_on_disk(due.end));
        assert_eq!(poll(&mut first).await, None);
        // Machines, which wait for whatever was promised, wait for this too.
        let mut machine = pin!(bench.partition.wait_durable(due.end));
        assert_eq!(poll(&mut machine).await, None);
        bench.flush();
        assert_eq!(poll(&mut first).await, Some(Ok(())));
        assert_eq!(poll(&mut machine).await, Some(Ok(())));
        assert_eq!(bench.ends(), (6, 6));
        // Whoever gets no answer makes it due all the same.
        bench.grow(3, Acks::None);
        assert_eq!(bench.ends(), (6, 9));
    }
}

#[test]
fn rule_01_a_repetition_waits_for_the_disk_if_the_original_does() {
    let config = LogConfig {
        flush_messages: 2,
        ..LogConfig::default()
    };
    let bench = Bench::with(config, true);
    let append = |sequence| {
        let shape = Shape::from_producer(7, 0, sequence, 1);
        let appended = bench.append(&shape, Acks::Leader).unwrap();
        (appended.base_offset.0, appended.on_disk_first)
    };
    let first = [(0, false), (1, true), (2, false)];
    assert_eq!([append(0), append(1), append(2)], first);
    assert_eq!([append(0), append(1), append(2)], first);
    bench.flush();
    assert_eq!(append(1), (1, false), "it is on disk");
}

#[test]
fn rule_04_a_producer_that_has_expired_may_go_on_at_any_sequence() {
    let config = LogConfig {
        producer_id_expiration_ms: 10_000,
        retention_ms: 20_000,
        ..LogConfig::default()
    };
    let bench = Bench::with(config, true);
    let append = |sequence| {
        let shape = Shape::from_producer(7, 0, sequence, 1);
        let appended = bench.append(&shape, Acks::Leader);
        appended.map(|a| a.base_offset.0).map_err(|e| e.code)
    };
    let out_of_order = Err(ErrorCode::OutOfOrderSequenceNumber);
    for sequence in 0..4 {
        assert_eq!(append(sequence), Ok(i64::from(sequence)));
    }
    bench.partition.expire_producers(at(10_999));
    assert_eq!(append(6), out_of_order);
    bench.partition.expire_producers(at(11_000));
    assert_eq!(append(4), Ok(4));
    // Retention takes the records; who wrote them is still known, as in Kafka.
    let deleted = bench.partition.maintain(at(21_001)).unwrap();
    assert_eq!(deleted.len(), 1);
    assert_eq!(bench.partition.bounds().unwrap().start, Offset(5));
    assert_eq!(append(6), out_of_order);
    assert_eq!(append(5), Ok(5));
    bench.partition.maintain(at(21_001)).unwrap();
    bench.partition.expire_producers(at(21_001));
    assert_eq!(append(9), Ok(6));
}

#[test]
fn flush_messages_and_flush_ms_ask_for_a_sync_without_acks_all() {
    let config = LogConfig {
        flush_messages: 3,
        flush_ms: 500,
        ..LogConfig::default()
    };
    let bench = Bench::with(config, true);
    bench.grow(2, Acks::Leader);
    assert!(!bench.asks_for_a_flush());
    bench.grow(1, Acks::Leader);
    assert!(bench.asks_for_a_flush(), "three messages");
    bench.flush();
    bench.grow(1, Acks::Leader);
    bench.partition.flush_if_due(at(1_499));
    assert!(!bench.asks_for_a_flush());
    bench.partition.flush_if_due(at(1_500));
    assert!(bench.asks_for_a_flush(), "500 ms after the append at 1000");
    bench.flush();
    bench.partition.flush_if_due(at(9_000));
    assert!(!bench.asks_for_a_flush(), "nothing is dirty");
}

#[test]
fn rule_33_records_are_deleted_up_to_the_high_watermark_at_most() {
    let bench = Bench::new();
    bench.grow(4, Acks::Leader);
    bench.grow(4, Acks::All);
    let delete = |to| bench.partition.delete_records(to).map_err(|e| e.code);
    assert_eq!(delete(2), Ok(Offset(2)));
    assert_eq!(delete(1), Ok(Offset(2)), "a start never moves back");
    assert_eq!(
        delete(5),
        Err(ErrorCode::OffsetOutOfRange),
        "not synced yet"
    );
    assert_eq!(delete(-2), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(delete(-1), Ok(Offset(4)), "-1 is the high watermark");
    bench.flush();
    assert_eq!(delete(9), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(delete(6), Ok(Offset(6)), "inside a batch");
    assert_eq!(bench.visible(6), [4]);
    let checkpoint = bench.partition.checkpoint().unwrap();
    assert_eq!(
        checkpoint,
        Checkpoint {
            recovery_point: Offset(8),
            log_start: Offset(6),
            high_watermark: Offset(8),
        }
    );
    let uncommitted = Isolation::ReadUncommitted;
    let below = bench
        .partition
        .read(Offset(5), uncommitted, 1, true, Reach::Disk);
    let below = below.err().map(|miss| PartitionError::from(miss).code);
    assert_eq!(below, Some(ErrorCode::OffsetOutOfRange));
}

#[test]
fn rule_33_the_start_survives_with_its_checkpoint() {
    let bench = Bench::new();
    bench.grow(8, Acks::All);
    bench.flush();
    bench.partition.delete_records(5).unwrap();
    let checkpoint = bench.partition.checkpoint().unwrap();
    drop(bench.partition.retire());
    bench.disk.crash(1);
    let start = LogStart {
        clean: false,
        recovery_point: checkpoint.recovery_point,
        log_start: checkpoint.log_start,
    };
    let bench = Bench::on(bench.disk.clone(), start, LogConfig::default(), true);
    let bounds = bench.partition.bounds().unwrap();
    assert_eq!((bounds.start, bounds.end), (Offset(5), Offset(8)));
}

#[tokio::test]
async fn waiters_wake_when_their_offset_becomes_visible_and_not_before() {
    let bench = Bench::new();
    let progress = bench.partition.high_watermark_progress();
    let (near, far) = (Signal::default(), Signal::default());
    let _near = progress.register(Offset(1), &near);
    let _far = progress.register(Offset(4), &far);
    bench.grow(2, Acks::All);
    assert_eq!(poll(&mut pin!(near.notified())).await, None, "not visible");
    bench.flush();
    assert_eq!(poll(&mut pin!(near.notified())).await, Some(()));
    assert_eq!(poll(&mut pin!(far.notified())).await, None);
    bench.grow(2, Acks::Leader);
    assert_eq!(poll(&mut pin!(far.notified())).await, Some(()));
    // Deleting records and retiring wake whoever waits, whatever for.
    let _far = progress.register(Offset(100), &far);
    bench.partition.delete_records(1).unwrap();
    assert_eq!(poll(&mut pin!(far.notified())).await, Some(()));
    let _far = progress.register(Offset(100), &far);
    bench.partition.retire();
    assert_eq!(poll(&mut pin!(far.notified())).await, Some(()));
}

#[tokio::test]
async fn a_retired_partition_is_unknown_to_everybody() {
    let bench = Bench::new();
    let end = bench.grow(1, Acks::All);
    let mut waiter = pin!(bench.partition.wait_durable(end));
    assert_eq!(poll(&mut waiter).await, None);
    assert!(bench.partition.retire().is_some());
    let gone = ErrorCode::UnknownTopicOrPartition;
    let told = poll(&mut waiter).await.expect("the waiter is told");
    assert_eq!(told.unwrap_err().code, gone);
    let partition = &bench.partition;
    assert_eq!(
        bench.append(&Shape::of(1, 0), Acks::All).unwrap_err().code,
        gone
    );
    assert_eq!(partition.bounds().unwrap_err().code, gone);
    assert_eq!(partition.delete_records(0).unwrap_err().code, gone);
    assert!(partition.maintain(at(0)).unwrap().is_empty());
    assert_eq!(partition.checkpoint(), None);
    assert!(partition.retire().is_none());
    bench.flush();
}

#[test]
fn rule_26_epochs_of_requests_are_compared() {
    let bench = Bench::new();
    let partition = Partition {
        epoch: LeaderEpoch(3),
        ..Arc::into_inner(bench.partition).expect("nobody else has it")
    };
    let check = |epoch| partition.check_epoch(epoch).err().map(|e| e.code);
    assert_eq!(check(-1), None, "the client does not say");
    assert_eq!(check(2), Some(ErrorCode::FencedLeaderEpoch));
    assert_eq!(check(3), None);
    assert_eq!(check(4), Some(ErrorCode::UnknownLeaderEpoch));
}

#[test]
fn rule_30_look_ups_by_time_do_not_see_below_the_start_or_above_the_high_watermark() {
    let bench = Bench::new();
    let times = |timestamps: &[i64]| Shape {
        timestamps: timestamps.to_vec(),
        ..Shape::default()
    };
    bench.append(&times(&[10, 20, 30]), Acks::Leader).unwrap();
    bench.append(&times(&[40, 50]), Acks::All).unwrap();
    let find = |target| {
        let found = bench
            .partition
            .offset_for_timestamp(Timestamp(target), Isolation::ReadUncommitted);
        found.unwrap().map(|(time, offset, _)| (time.0, offset.0))
    };
    assert_eq!(find(15), Some((20, 1)));
    assert_eq!(find(35), None, "not visible yet");
    bench.flush();
    assert_eq!(find(35), Some((40, 3)));
    bench.partition.delete_records(2).unwrap();
    assert_eq!(find(5), Some((30, 2)));
    let newest = bench.partition.max_timestamp().unwrap();
    assert_eq!(
        newest.map(|(time, offset, _)| (time.0, offset.0)),
        Some((50, 4))
    );
}

#[test]
fn appended_batches_carry_offset_and_epoch_and_keep_their_crc() {
    let bench = Bench::new();
    bench.grow(3, Acks::Leader);
    let (header, bytes) = Shape::of(2, 5).build();
    let batch = ValidBatch { header, bytes };
    let partition = Partition {
        epoch: LeaderEpoch(6),
        ..Arc::into_inner(bench.partition).expect("nobody else has it")
    };
    let partition = Arc::new(partition);
    let appended = partition.append(&batch, Acks::Leader, at(1)).unwrap();
    assert_eq!(appended.base_offset, Offset(3));
    assert_eq!(appended.log_append_time, Timestamp(-1));
    let slice = partition
        .read(Offset(4), Isolation::ReadCommitted, 1, true, Reach::Disk)
        .unwrap();
    let stored = slice.unwrap().read().unwrap();
    let stored = BatchView::parse(&stored).unwrap();
    stored.validate_crc().unwrap();
    assert_eq!((stored.base_offset, stored.partition_leader_epoch), (3, 6));
}

#[test]
fn rule_30_look_ups_stay_right_while_segments_go() {
    let config = LogConfig {
        segment_bytes: 1_000,
        index_interval_bytes: 150,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    };
    let bench = Bench::with(config, true);
    for number in 0..600 {
        bench.append(&Shape::of(1, number), Acks::Leader).unwrap();
    }
    let partition = &bench.partition;
    let disk = &bench.disk;
    std::thread::scope(|scope| {
        let deleting = scope.spawn(move || {
            for start in (0..=590).step_by(10) {
                partition.delete_records(start).unwrap();
                for pending in partition.maintain(at(1_000)).unwrap() {
                    pending.run(disk).unwrap();
                }
            }
        });
        while !deleting.is_finished() {
            let before = partition.bounds().unwrap().start.0;
            let first = partition.offset_for_timestamp(Timestamp(0), Isolation::ReadUncommitted);
            let (time, offset, _) = first.unwrap().expect("the last records stay");
            assert!(offset.0 >= before && time.0 == offset.0, "{offset}");
            let last = partition.max_timestamp().unwrap();
            let last = last.expect("the last record stays");
            assert_eq!((last.0.0, last.1.0), (599, 599));
        }
        deleting.join().unwrap();
    });
    let uncommitted = Isolation::ReadUncommitted;
    let first = partition.offset_for_timestamp(Timestamp(0), uncommitted);
    let first = first.unwrap().map(|(_, offset, _)| offset);
    assert_eq!(first, Some(Offset(590)));
}
