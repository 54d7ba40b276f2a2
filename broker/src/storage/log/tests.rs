use tidemark_protocol::records::{BatchView, Compression};

use super::*;
use crate::environment::disk::{DiskOp, Failure, Fault};
use crate::storage::Reach;
use crate::storage::testing::*;
use crate::types::{Monotonic, Position, Timestamp};

mod crash;
mod faults;
mod lookup;
mod model;
mod producers;
mod reads;

fn assert_shareable<T: Send + Sync>() {}

/// A log of batches with 3 records each, at 1000, 1010, 1020 ... ms.
fn filled(config: LogConfig, batches: usize) -> Bench {
    let mut bench = Bench::new(config);
    for index in 0..batches {
        bench
            .append(&Shape::of(3, 1_000 + 10 * index as i64))
            .unwrap();
    }
    bench
}

#[test]
fn a_log_can_be_shared() {
    assert_shareable::<Log>();
    assert_shareable::<FlushPlan>();
    assert_shareable::<LogSlice>();
}

#[test]
fn a_batch_gets_its_offset_and_epoch_and_stays_as_it_was() {
    let mut bench = Bench::new(LogConfig::default());
    let (header, bytes) = Shape::of(3, 50).build();
    let first = bench
        .log()
        .append(&header, &bytes, LeaderEpoch(4), now(0))
        .unwrap();
    let second = bench
        .log()
        .append(&header, &bytes, LeaderEpoch(4), now(0))
        .unwrap();
    assert_eq!(
        (first.base, first.last, first.end),
        (Offset(0), Offset(2), Offset(3))
    );
    assert_eq!(
        (second.base, second.position),
        (Offset(3), Position(bytes.len() as u32))
    );
    let stored = bench
        .log()
        .read(Offset(3), Offset(6), 1 << 20, true)
        .unwrap()
        .unwrap();
    let stored = stored.read().unwrap();
    let view = BatchView::parse(&stored).unwrap();
    view.validate_crc().unwrap();
    assert_eq!((view.base_offset, view.partition_leader_epoch), (3, 4));
    assert_eq!(stored[16..], bytes[16..]);
    assert_eq!(bench.log().latest_epoch(), Some(LeaderEpoch(4)));
}

#[test]
fn a_batch_that_lies_about_itself_is_refused() {
    let mut bench = Bench::new(LogConfig::default());
    let (header, bytes) = Shape::of(1, 0).build();
    let mut refused = |header: BatchHeader, bytes: &[u8]| {
        let error = bench
            .log()
            .append(&header, bytes, LeaderEpoch(0), now(0))
            .unwrap_err();
        assert!(
            matches!(error, StorageError::InvalidBatch { .. }),
            "{error}"
        );
    };
    refused(header, &bytes[1..]);
    refused(
        BatchHeader {
            last_offset_delta: -1,
            ..header
        },
        &bytes,
    );
    assert_eq!(bench.log().end_offset(), Offset(0));
}

#[test]
fn segments_roll_by_size_age_and_full_index() {
    let size = Shape::of(1, 0).build().1.len() as u32;
    let rolls = |config: LogConfig, shapes: &[i64]| {
        let mut bench = Bench::new(config);
        shapes
            .iter()
            .map(|t| bench.append(&Shape::of(1, *t)).unwrap().rolled)
            .collect::<Vec<_>>()
    };
    let base = LogConfig::default();
    let by_size = LogConfig {
        segment_bytes: 2 * size,
        ..base.clone()
    };
    assert_eq!(rolls(by_size, &[0; 5]), [false, false, true, false, true]);
    let by_age = LogConfig {
        segment_ms: 100,
        ..base.clone()
    };
    assert_eq!(
        rolls(by_age.clone(), &[10, 110, 111, 90, 212]),
        [false, false, true, false, true]
    );
    // Without timestamps the age counts from when the segment was made: 0 ms ago here.
    assert_eq!(rolls(by_age, &[-1, -1]), [false, false]);
    let by_index = LogConfig {
        index_interval_bytes: 0,
        segment_index_bytes: 24,
        ..base
    };
    // Two entries fit the time index but one slot is kept for sealing, so the second batch, which
    // brings the first entry, fills it.
    assert_eq!(
        rolls(by_index, &[1, 2, 3, 4, 5]),
        [false, false, true, false, true]
    );
}

#[test]
fn jitter_spreads_the_age_at_which_segments_roll() {
    let config = LogConfig {
        segment_ms: 1_000,
        segment_jitter_ms: 400,
        ..LogConfig::default()
    };
    let ages: BTreeSet<i64> = (0..50).map(|base| config.roll_after_ms(77, base)).collect();
    assert!(
        ages.len() > 20 && ages.iter().all(|age| (601..=1_000).contains(age)),
        "{ages:?}"
    );
    assert_eq!(
        LogConfig {
            segment_jitter_ms: 0,
            ..config
        }
        .roll_after_ms(77, 3),
        1_000
    );
}

#[test]
fn the_files_are_kafkas() {
    let mut bench = filled(small(), 30);
    let id = uuid::Uuid::from_u128(1);
    assert_eq!(bench.log().topic_id(), None);
    bench.restart();
    let base = bench.log().active_segment_base();
    let end = bench.log().end_offset();
    assert!(bench.log().segment_count() > 1);
    let names = bench.names();
    for kind in [Kind::Log, Kind::Index, Kind::TimeIndex, Kind::Snapshot] {
        assert!(
            names.contains(&file_name(base, kind)),
            "{kind:?} in {names:?}"
        );
    }
    assert!(names.contains(&file_name(Offset(0), Kind::Index)));
    assert!(names.contains(&file_name(end, Kind::Snapshot)));
    assert!(names.contains(&"leader-epoch-checkpoint".to_owned()));
    let other = Path::new("/data/u-3");
    let start = LogStart::default();
    let opened = Log::open(bench.shared(), other, Some(id), small(), start, now(0)).unwrap();
    drop(opened);
    let text = bench.disk.read(&other.join("partition.metadata")).unwrap();
    assert_eq!(text, b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
    let wrong = Some(uuid::Uuid::from_u128(2));
    let error = Log::open(bench.shared(), other, wrong, small(), start, now(0))
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            StorageError::Mismatch {
                what: "topic id",
                ..
            }
        ),
        "{error}"
    );
    let (log, _) = Log::open(bench.shared(), other, None, small(), start, now(0)).unwrap();
    assert_eq!(log.topic_id(), Some(id));
}

#[test]
fn opening_a_new_log_syncs_nothing_and_takes_few_operations() {
    let bench = Bench::new(LogConfig::default());
    let before = bench.disk.operations();
    bench.disk.inject(Fault::next(DiskOp::Sync, Failure::Io));
    bench.disk.inject(Fault::next(DiskOp::SyncDir, Failure::Io));
    let path = Path::new("/data/new-0");
    let id = Some(uuid::Uuid::from_u128(1));
    let start = LogStart::default();
    Log::open(
        bench.shared(),
        path,
        id,
        LogConfig::default(),
        start,
        now(0),
    )
    .unwrap();
    assert!(
        bench.disk.operations() - before <= 9,
        "{}",
        bench.disk.operations() - before
    );
}

#[test]
fn the_file_system_serves_as_well_as_memory() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(crate::environment::RealDisk);
    let path = dir.path().join("t-0");
    let id = Some(uuid::Uuid::from_u128(1));
    let config = LogConfig {
        retention_bytes: 3_000,
        ..small()
    };
    let mut start = LogStart::default();
    let mut batches = 0;
    for clean in [true, false, true, false] {
        let opened = Log::open(disk.clone(), &path, id, config.clone(), start, now(0)).unwrap();
        let (mut log, report) = opened;
        assert_eq!(
            (report.truncated_bytes, log.end_offset()),
            (0, Offset(batches * 3))
        );
        for _ in 0..40 {
            let (header, bytes) = Shape::of(3, 1_000 + batches).build();
            log.append(&header, &bytes, LeaderEpoch(0), now(0)).unwrap();
            batches += 1;
        }
        let plan = log.flush_plan().unwrap();
        plan.run(disk.as_ref()).unwrap();
        log.flushed(plan.up_to());
        for pending in log.maintain(now(0), log.end_offset()).unwrap() {
            pending.run(disk.as_ref()).unwrap();
        }
        let end = log.end_offset();
        assert_eq!(
            records(&log, log.start_offset(), end).last().unwrap().0,
            end.0 - 1
        );
        let found = log
            .offset_for_timestamp(Timestamp(1_000 + batches - 5), end)
            .unwrap();
        assert_eq!(found.unwrap().1, Offset((batches - 5) * 3));
        start = LogStart {
            clean,
            recovery_point: log.last_flushed(),
            log_start: log.start_offset(),
        };
        if clean {
            log.close().unwrap();
        }
    }
}

#[test]
fn rule_28_the_largest_timestamp_is_told_with_its_record() {
    let mut bench = Bench::new(small());
    assert_eq!(bench.log().max_timestamp(Offset(0)).unwrap(), None);
    for (first, codec) in [
        (100, Compression::None),
        (300, Compression::Lz4),
        (200, Compression::None),
    ] {
        let timestamps = vec![first, first + 50, first + 50, first + 1];
        bench
            .append(&Shape {
                timestamps,
                compression: codec,
                ..Shape::default()
            })
            .unwrap();
    }
    let epoch = Some(LeaderEpoch(0));
    let found = |bench: &mut Bench, upper| bench.log().max_timestamp(Offset(upper)).unwrap();
    assert_eq!(
        found(&mut bench, 12),
        Some((Timestamp(350), Offset(5), epoch))
    );
    assert_eq!(
        found(&mut bench, 4),
        Some((Timestamp(150), Offset(1), epoch))
    );
    bench.restart();
    assert_eq!(
        found(&mut bench, 12),
        Some((Timestamp(350), Offset(5), epoch))
    );
    bench.log().advance_start(Offset(6)).unwrap();
    assert_eq!(
        found(&mut bench, 12),
        Some((Timestamp(350), Offset(6), epoch))
    );
    bench.log().advance_start(Offset(7)).unwrap();
    assert_eq!(
        found(&mut bench, 12),
        Some((Timestamp(301), Offset(7), epoch))
    );
    bench.log().advance_start(Offset(12)).unwrap();
    assert_eq!(found(&mut bench, 12), None);
}

#[test]
fn rule_29_a_look_up_by_time_finds_the_record_inside_the_batch() {
    for codec in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let mut bench = Bench::new(LogConfig::default());
        for first in [100, 200] {
            let timestamps = vec![first, first + 20, first + 10, first + 30];
            bench
                .append(&Shape {
                    timestamps,
                    compression: codec,
                    ..Shape::default()
                })
                .unwrap();
        }
        let mut offset = |target| {
            let found = bench
                .log()
                .offset_for_timestamp(Timestamp(target), Offset(8))
                .unwrap();
            found.map(|(timestamp, offset, _)| (timestamp.0, offset.0))
        };
        assert_eq!(offset(0), Some((100, 0)));
        assert_eq!(offset(101), Some((120, 1)));
        assert_eq!(offset(110), Some((120, 1)));
        assert_eq!(offset(121), Some((130, 3)));
        assert_eq!(offset(131), Some((200, 4)));
        assert_eq!(offset(230), Some((230, 7)));
        assert_eq!(offset(231), None);
    }
}

#[test]
fn rule_30_a_look_up_by_time_never_goes_below_the_log_start() {
    let mut bench = Bench::new(small());
    for index in 0..20 {
        // The oldest records carry the newest timestamps.
        bench.append(&Shape::of(3, 1_000 - index * 10)).unwrap();
    }
    bench.log().advance_start(Offset(31)).unwrap();
    let found = bench
        .log()
        .offset_for_timestamp(Timestamp(0), Offset(60))
        .unwrap();
    assert_eq!(
        found,
        Some((Timestamp(900), Offset(31), Some(LeaderEpoch(0))))
    );
    let found = bench
        .log()
        .offset_for_timestamp(Timestamp(880), Offset(60))
        .unwrap();
    assert_eq!(found.map(|(_, offset, _)| offset), Some(Offset(31)));
    assert_eq!(
        bench
            .log()
            .offset_for_timestamp(Timestamp(901), Offset(60))
            .unwrap(),
        None
    );
    assert_eq!(
        bench
            .log()
            .offset_for_timestamp(Timestamp(0), Offset(31))
            .unwrap(),
        None
    );
}

#[test]
fn rule_31_the_end_of_an_epoch_follows_the_batches() {
    let mut bench = Bench::new(LogConfig::default());
    let (header, bytes) = Shape::of(5, 0).build();
    for epoch in [0, 0, 3] {
        bench
            .log()
            .append(&header, &bytes, LeaderEpoch(epoch), now(0))
            .unwrap();
    }
    for _ in 0..2 {
        let log = bench.log();
        let end = |epoch| log.epoch_end(LeaderEpoch(epoch));
        assert_eq!(end(0), (LeaderEpoch(0), Offset(10)));
        assert_eq!(end(2), (LeaderEpoch(0), Offset(10)));
        assert_eq!(end(3), (LeaderEpoch(3), Offset(15)));
        assert_eq!(end(4), (LeaderEpoch(-1), Offset(-1)));
        assert_eq!(log.epoch_for(Offset(9)), Some(LeaderEpoch(0)));
        assert_eq!(log.epoch_for(Offset(10)), Some(LeaderEpoch(3)));
        bench.restart();
    }
    // Without its file the cache is found again in the batches.
    let log = bench.log.take().unwrap();
    log.close().unwrap();
    bench
        .disk
        .replace(&dir().join("leader-epoch-checkpoint"), b"0\n7\n")
        .unwrap();
    bench.start.clean = true;
    let report = bench.reopen().unwrap();
    assert_eq!(report.notes.len(), 1);
    assert_eq!(
        bench.log().epoch_end(LeaderEpoch(0)),
        (LeaderEpoch(0), Offset(10))
    );
}

#[test]
fn rule_32_epochs_do_not_outlive_the_records_they_began_with() {
    let mut bench = Bench::new(LogConfig::default());
    bench.append(&Shape::of(5, 0)).unwrap();
    bench.flush().unwrap();
    let (header, bytes) = Shape::of(5, 0).build();
    bench
        .log()
        .append(&header, &bytes, LeaderEpoch(1), now(0))
        .unwrap();
    // The epochs reach the disk, the batch that began the new one does not.
    let path = file_path(&dir(), Offset(0), Kind::Log);
    bench
        .disk
        .replace(&dir().join("leader-epoch-checkpoint"), b"0\n2\n0 0\n1 5\n")
        .unwrap();
    bench.log = None;
    bench
        .disk
        .flip_bit(&path, 61 + bytes.len() as u64, 0)
        .unwrap();
    bench.reopen().unwrap();
    assert_eq!(bench.log().end_offset(), Offset(5));
    assert_eq!(bench.log().latest_epoch(), Some(LeaderEpoch(0)));
    bench.flush().unwrap();
    let text = bench
        .disk
        .read(&dir().join("leader-epoch-checkpoint"))
        .unwrap();
    assert_eq!(text, b"0\n1\n0 0\n");
}

#[test]
fn rule_33_a_moved_log_start_survives_a_restart() {
    let mut bench = filled(small(), 40);
    let error = bench.log().advance_start(Offset(121)).unwrap_err();
    assert!(matches!(error, StorageError::OffsetOutOfRange { .. }));
    bench.log().advance_start(Offset(70)).unwrap();
    bench.log().advance_start(Offset(7)).unwrap();
    assert_eq!(bench.log().start_offset(), Offset(70));
    bench.restart();
    assert_eq!(bench.log().start_offset(), Offset(70));
    let deleted = bench.log().maintain(now(5_000), Offset(120)).unwrap();
    assert!(!deleted.is_empty());
    assert!(
        bench.log().segments[0].base <= Offset(70) && bench.log().segments[1].base > Offset(70)
    );
    assert_eq!(
        records(bench.log(), Offset(0), Offset(120))
            .first()
            .map(|r| r.0),
        Some(69)
    );
}

#[test]
fn retention_marks_the_files_and_waits() {
    let config = LogConfig {
        retention_bytes: 2_500,
        file_delete_delay_ms: 700,
        ..small()
    };
    let mut bench = filled(config, 60);
    let high = bench.log().end_offset();
    assert_eq!(bench.log().maintain(now(5_000), Offset(0)).unwrap(), []);
    let slice = bench
        .log()
        .read(Offset(0), high, 1 << 20, true)
        .unwrap()
        .unwrap();
    let deleted = bench.log().maintain(now(5_000), high).unwrap();
    assert!(deleted.len() > 1);
    let first = &deleted[0];
    assert_eq!(
        (first.due, first.reason),
        (Monotonic(5_700), DeleteReason::Size)
    );
    assert!(
        first
            .paths
            .contains(&dir().join("00000000000000000000.log.deleted"))
    );
    assert!(bench.log().size_bytes() >= 2_500);
    assert_eq!(bench.log().start_offset(), bench.log().segments[0].base);
    let start = bench.log().start_offset();
    assert_eq!(bench.log().epoch_for(start), Some(LeaderEpoch(0)));
    for pending in &deleted {
        pending.run(&bench.disk).unwrap();
        pending.run(&bench.disk).unwrap();
    }
    assert!(bench.names().iter().all(|name| !name.ends_with(".deleted")));
    assert!(slice.read().is_ok(), "a reader keeps what it has open");
}

#[test]
fn when_everything_expires_an_empty_segment_takes_over() {
    let config = LogConfig {
        retention_ms: 100,
        ..small()
    };
    let mut bench = filled(config, 20);
    let deleted = bench.log().maintain(now(999_999), Offset(60)).unwrap();
    assert!(
        deleted
            .iter()
            .all(|pending| pending.reason == DeleteReason::Time)
    );
    assert_eq!(
        (bench.log().segment_count(), bench.log().size_bytes()),
        (1, 0)
    );
    assert_eq!(
        (bench.log().start_offset(), bench.log().end_offset()),
        (Offset(60), Offset(60))
    );
    assert_eq!(bench.log().maintain(now(999_999), Offset(60)).unwrap(), []);
    assert_eq!(bench.append(&Shape::of(1, 0)).unwrap().base, Offset(60));
    bench.restart();
    assert_eq!(
        (bench.log().start_offset(), bench.log().end_offset()),
        (Offset(60), Offset(61))
    );
}

#[test]
fn a_preallocated_segment_is_cut_when_it_is_done() {
    let mut bench = filled(
        LogConfig {
            preallocate: true,
            ..small()
        },
        5,
    );
    let path = file_path(&dir(), Offset(0), Kind::Log);
    assert_eq!(bench.disk.read(&path).unwrap().len(), 2_000);
    let size = bench.log().size_bytes();
    bench.restart();
    assert_eq!(bench.disk.read(&path).unwrap().len() as u64, size);
    assert_eq!(bench.log().end_offset(), Offset(15));
    let mut bench = filled(
        LogConfig {
            preallocate: true,
            ..small()
        },
        5,
    );
    bench.flush().unwrap();
    bench.crash(3).unwrap();
    assert_eq!(bench.log().end_offset(), Offset(15));
}

#[test]
fn a_deleted_log_leaves_a_directory_that_no_start_takes_for_a_partition() {
    let mut bench = filled(LogConfig::default(), 1);
    let log = bench.log.take().unwrap();
    let target = log.mark_deleted(uuid::Uuid::from_u128(1)).unwrap();
    assert_eq!(
        target,
        Path::new("/data/t-0.00000000000000000000000000000001-delete")
    );
    assert!(bench.disk.exists(&target).unwrap() && !bench.disk.exists(&dir()).unwrap());
}

#[test]
fn a_log_whose_segments_are_lost_begins_at_its_log_start() {
    let mut bench = filled(small(), 3);
    bench.flush().unwrap();
    bench.log = None;
    bench.start = LogStart {
        clean: true,
        recovery_point: Offset(9),
        log_start: Offset(50),
    };
    bench.reopen().unwrap();
    assert_eq!(
        (bench.log().start_offset(), bench.log().end_offset()),
        (Offset(50), Offset(50))
    );
    assert_eq!(bench.append(&Shape::of(1, 0)).unwrap().base, Offset(50));
}

#[test]
fn a_change_of_settings_counts_from_the_next_append() {
    let mut bench = filled(LogConfig::default(), 10);
    bench.log().set_config(LogConfig {
        segment_bytes: 100,
        ..small()
    });
    assert!(bench.append(&Shape::of(1, 0)).unwrap().rolled);
    bench.log().roll(now(0)).unwrap();
    let count = bench.log().segment_count();
    bench.log().roll(now(0)).unwrap();
    assert_eq!(
        bench.log().segment_count(),
        count,
        "an empty segment does not roll"
    );
}

use std::path::Path;
use tidemark_protocol::records::BatchHeader;

use crate::storage::DeleteReason;
use crate::storage::names::{Kind, file_name, file_path};
