//! One operation fails: the log stays what it was, and says what happened.

use super::*;
use crate::environment::Disk;

/// A workload that meets every kind of operation. Goes on after errors.
fn work(bench: &mut Bench, answered: &mut Vec<i64>) {
    for index in 0..14 {
        let end = bench.log().end_offset().0;
        assert_eq!(
            end,
            answered.len() as i64,
            "the log end moved without an answer"
        );
        let shape = Shape {
            timestamps: vec![end, end + 1],
            value_bytes: 120,
            ..Shape::from_producer(1, 0, end as i32, 2)
        };
        if bench.append(&shape).is_ok() {
            answered.extend([end, end + 1]);
        }
        if index % 5 == 4 {
            let _ = bench.flush();
        }
        if index == 9 {
            let high = bench.log().last_flushed();
            if let Ok(deleted) = bench.log().maintain(now(5_000), high) {
                for pending in deleted {
                    let _ = pending.run(&bench.disk);
                }
            }
        }
    }
}

fn check(bench: &mut Bench, answered: &[i64], story: &str) {
    let log = bench.log();
    let (start, end) = (log.start_offset(), log.end_offset());
    let found = records(log, start, end);
    assert_eq!(end.0, answered.len() as i64, "{story}");
    for (offset, timestamp, _) in found {
        assert_eq!(offset, timestamp, "{story}");
    }
}

#[test]
fn every_fault_at_every_operation_leaves_the_log_at_its_end() {
    let config = || LogConfig {
        segment_bytes: 800,
        retention_bytes: 1_500,
        ..small()
    };
    for op in DiskOp::ALL {
        for failure in [Failure::Io, Failure::NoSpace, Failure::Short(50)] {
            for after in 0.. {
                let story = format!("{op:?} {after} fails with {failure:?}");
                let mut bench = Bench::new(config());
                bench.disk.inject(Fault::next(op, failure).after(after));
                let mut answered = Vec::new();
                work(&mut bench, &mut answered);
                // A fault that is still armed has met no operation: all of them are through.
                let armed = still_armed(&bench);
                bench.disk.clear_faults();
                check(&mut bench, &answered, &story);
                let offline = bench.log().failure().is_some();
                bench.start.log_start = bench.log().start_offset();
                // Without a crash everything answered is there, whatever was synced.
                bench.log = None;
                let report = bench.reopen().unwrap();
                let story = format!("{story}, offline: {offline}, {report:?}");
                check(&mut bench, &answered, &story);
                bench.restart();
                check(&mut bench, &answered, &story);
                if armed {
                    break;
                }
            }
        }
    }
}

/// Whether a fault waits for its operation: the next one of every kind shows.
fn still_armed(bench: &Bench) -> bool {
    bench.disk.armed_faults() > 0
}

#[test]
fn a_failed_write_is_told_apart_and_the_next_one_takes_its_place() {
    let mut bench = filled(LogConfig::default(), 2);
    let mut fails = |failure| {
        bench
            .disk
            .inject(Fault::next(DiskOp::Write, failure).on(".log"));
        let error = bench.append(&Shape::of(1, 0)).unwrap_err();
        let (end, size) = (bench.log().end_offset(), bench.log().size_bytes());
        let path = file_path(&dir(), Offset(0), Kind::Log);
        assert_eq!(bench.disk.read(&path).unwrap().len() as u64, size);
        (matches!(error, StorageError::NoSpace { .. }), end)
    };
    assert_eq!(fails(Failure::Io), (false, Offset(6)));
    assert_eq!(fails(Failure::NoSpace), (true, Offset(6)));
    assert_eq!(fails(Failure::Short(40)), (false, Offset(6)));
    assert_eq!(bench.append(&Shape::of(1, 0)).unwrap().base, Offset(6));
}

#[test]
fn rule_06_after_a_failed_append_the_next_sequence_is_refused() {
    let mut bench = Bench::new(LogConfig::default());
    bench.append(&Shape::from_producer(7, 0, 0, 1)).unwrap();
    bench
        .disk
        .inject(Fault::next(DiskOp::Write, Failure::Io).on(".log"));
    bench.append(&Shape::from_producer(7, 0, 1, 1)).unwrap_err();
    let mut check = |sequence| {
        let header = Shape::from_producer(7, 0, sequence, 1).build().0;
        bench.log().producers().check(&header)
    };
    assert!(matches!(
        check(2),
        Err(crate::storage::ProducerError::OutOfOrder { .. })
    ));
    assert_eq!(check(1), Ok(crate::storage::SequenceCheck::New));
}

#[test]
fn what_a_failed_write_left_is_gone_before_the_log_is_closed() {
    let mut bench = filled(LogConfig::default(), 2);
    let size = bench.log().size_bytes();
    bench
        .disk
        .inject(Fault::next(DiskOp::Write, Failure::Short(40)).on(".log"));
    bench
        .disk
        .inject(Fault::next(DiskOp::SetLen, Failure::Io).on(".log"));
    bench.append(&Shape::of(1, 0)).unwrap_err();
    let path = file_path(&dir(), Offset(0), Kind::Log);
    assert_eq!(bench.disk.read(&path).unwrap().len() as u64, size + 40);
    bench.restart();
    assert_eq!(bench.disk.read(&path).unwrap().len() as u64, size);
    assert_eq!(bench.log().end_offset(), Offset(6));
}

#[test]
fn an_offline_log_refuses_writes_and_still_reads() {
    let mut bench = filled(LogConfig::default(), 2);
    bench.disk.inject(Fault::next(DiskOp::Sync, Failure::Io));
    bench.flush().unwrap_err();
    let error = bench.append(&Shape::of(1, 0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the log in /data/t-0 is offline: a sync failed"
    );
    assert!(bench.log().maintain(now(0), Offset(0)).is_err());
    assert_eq!(records(bench.log(), Offset(0), Offset(6)).len(), 6);
    assert!(bench.log.take().unwrap().close().is_err());
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
    let mut bench = Bench::new(small());
    bench.disk.set_capacity(6_000);
    let mut answered = 0;
    for _ in 0..200 {
        match bench.append(&Shape::of(3, 0)) {
            Ok(_) => answered += 3,
            Err(StorageError::NoSpace { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(answered > 30);
    assert_eq!(
        records(bench.log(), Offset(0), Offset(answered)).len() as i64,
        answered
    );
    bench.disk.set_capacity(u64::MAX);
    assert_eq!(
        bench.append(&Shape::of(1, 0)).unwrap().base,
        Offset(answered)
    );
    bench.restart();
    assert_eq!(bench.log().end_offset(), Offset(answered + 1));
}
