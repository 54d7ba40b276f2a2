//! The power goes at any operation: what was flushed is there, once, and whole.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// What the workload knows when the power goes.
#[derive(Default)]
struct Promise {
    /// Values by offset, of appends that were answered.
    answered: Vec<i64>,
    /// Everything below had been flushed.
    flushed: i64,
    /// The log start had been written to a checkpoint.
    start: i64,
}

/// Appends, rolls, flushes and kills until an operation fails. Each record's timestamp is its
/// number.
fn work(bench: &mut Bench, promise: &mut Promise, random: &mut StdRng) -> Option<()> {
    let mut sequences = [0, 0, 0];
    for _ in 0..60 {
        match random.random_range(0..10u8) {
            0 => bench.log().roll(now(5_000)).ok()?,
            1 | 2 => {
                bench.flush().ok()?;
                promise.flushed = bench.log().last_flushed().0;
            }
            3 => {
                let high = bench.log().last_flushed();
                let deleted = bench.log().maintain(now(5_000), high).ok()?;
                promise.start = bench.log().start_offset().0;
                bench.start.log_start = bench.log().start_offset();
                for pending in deleted {
                    pending.run(&bench.disk).ok()?;
                }
            }
            // Killed: what was not synced is in the page cache.
            4 if random.random_bool(0.3) => {
                bench.log = None;
                bench.reopen().ok()?;
            }
            _ => {
                let producer = random.random_range(0..3usize);
                let count = random.random_range(1..5usize);
                let end = promise.answered.len() as i64;
                let shape = Shape {
                    timestamps: (end..end + count as i64).collect(),
                    value_bytes: random.random_range(0..300),
                    ..Shape::from_producer(producer as i64, 0, sequences[producer], count)
                };
                let appended = bench.append(&shape).ok()?;
                assert_eq!(appended.base.0, end);
                sequences[producer] += count as i32;
                promise.answered.extend(shape.timestamps);
            }
        }
    }
    None
}

fn check(bench: &mut Bench, promise: &Promise, story: &str) {
    let log = bench.log();
    let (start, end) = (log.start_offset(), log.end_offset());
    assert!(
        end.0 >= promise.flushed,
        "{story}: {end} is below what was flushed"
    );
    assert!(
        start.0 >= promise.start.min(end.0),
        "{story}: the log start fell back"
    );
    let found = records(log, start, end);
    let first = found.first().map_or(end.0, |record| record.0);
    assert!(
        first <= start.0.max(promise.start),
        "{story}: begins at {first}"
    );
    for (index, (offset, timestamp, _)) in found.iter().enumerate() {
        assert_eq!(
            *offset,
            first + index as i64,
            "{story}: a gap or a duplicate"
        );
        // Records beyond those that were answered are of an append that failed half way.
        assert_eq!(
            *timestamp, *offset,
            "{story}: another record at offset {offset}"
        );
    }
    assert_eq!(first + found.len() as i64, end.0, "{story}");
}

/// Indexes and producers must be those that a log built anew from the batches has.
fn same_as_rebuilt(bench: &mut Bench, story: &str) {
    times_as_in_the_records(bench.log(), story);
    let log = bench.log();
    for segment in &log.segments {
        for offset in segment.base.0..log.end.0 {
            let slow = {
                let mut scan = segment.headers(0);
                let mut found = None;
                while let Some(batch) = scan.next().unwrap() {
                    if batch.header.last_offset() >= offset {
                        found = Some(batch.position);
                        break;
                    }
                }
                found
            };
            let fast = segment
                .locate(Offset(offset))
                .unwrap()
                .map(|batch| batch.position);
            assert_eq!(
                fast, slow,
                "{story}: offset {offset} in segment {}",
                segment.base
            );
        }
    }
    let mut replayed = Producers::default();
    for segment in &log.segments {
        let mut scan = segment.headers(0);
        while let Some(batch) = scan.next().unwrap() {
            replayed.apply(&batch.header, None);
        }
    }
    for (producer, entry) in replayed.iter() {
        let known = log
            .producers()
            .get(producer)
            .expect("the producer is known");
        assert_eq!(
            known.last_sequence(),
            entry.last_sequence(),
            "{story}: producer {producer}"
        );
        // A snapshot may still know batches of segments that are gone; none may be missing.
        let mut older = known.batches.clone();
        let same = older.split_off(known.batches.len() - entry.batches.len());
        assert_eq!(same, entry.batches, "{story}: producer {producer}");
        let first = log.segments[0].base;
        assert!(
            older.iter().all(|batch| batch.last_offset < first),
            "{story}: {producer}"
        );
    }
}

/// The largest timestamps, by which retention goes, and look-ups by time must be those that the
/// records tell.
fn times_as_in_the_records(log: &Log, story: &str) {
    for segment in &log.segments {
        let mut largest = None;
        let mut scan = segment.headers(0);
        while let Some(batch) = scan.next().unwrap() {
            largest = largest.max(Some(batch.header.max_timestamp));
        }
        assert_eq!(
            segment.max_timestamp.map(|(timestamp, _)| timestamp.0),
            largest,
            "{story}: the largest timestamp of segment {}",
            segment.base
        );
    }
    let (start, end) = (log.start_offset(), log.end_offset());
    let records = records(log, start, end);
    let live = || records.iter().filter(|(offset, ..)| *offset >= start.0);
    let plain = |found: Option<TimestampOffset>| found.map(|(time, offset, _)| (time.0, offset.0));
    let newest = live().min_by_key(|(offset, time, _)| (-*time, *offset));
    assert_eq!(
        plain(log.max_timestamp(end).unwrap()),
        newest.map(|(offset, time, _)| (*time, *offset)),
        "{story}"
    );
    let past = newest.map_or(0, |(_, time, _)| time + 1);
    for target in live().map(|(_, time, _)| *time).chain([0, past]) {
        let first = live().find(|(_, time, _)| *time >= target);
        let found = log.offset_for_timestamp(Timestamp(target), end).unwrap();
        assert_eq!(
            plain(found),
            first.map(|(offset, time, _)| (*time, *offset)),
            "{story}: time {target}"
        );
    }
}

fn round(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let config = LogConfig {
        retention_bytes: 8_000,
        preallocate: random.random_bool(0.3),
        ..small()
    };
    let mut bench = Bench::new(config);
    let mut promise = Promise::default();
    let halt = random.random_range(0..600);
    bench.disk.halt_after(halt);
    let stopped = work(&mut bench, &mut promise, &mut random);
    assert!(stopped.is_none());
    let story = format!("seed {seed}, halted after {halt} operations");
    let report = bench
        .crash(seed)
        .unwrap_or_else(|error| panic!("{story}: {error}"));
    let story = format!("{story}, {report:?}");
    check(&mut bench, &promise, &story);
    same_as_rebuilt(&mut bench, &story);
    // It goes on from there, and a second crash right after keeps what is flushed then.
    promise
        .answered
        .truncate(bench.log().end_offset().0 as usize);
    promise
        .answered
        .resize(bench.log().end_offset().0 as usize, 0);
    let end = bench.log().end_offset().0;
    bench
        .append(&Shape {
            timestamps: vec![end, end + 1],
            ..Shape::default()
        })
        .unwrap();
    bench.flush().unwrap();
    promise.flushed = end + 2;
    let again = bench.crash(seed ^ 0xffff).unwrap();
    let story = format!("{story}, then {again:?}");
    check(&mut bench, &promise, &story);
    same_as_rebuilt(&mut bench, &story);
    let before = (bench.log().start_offset(), bench.log().end_offset());
    assert_eq!(bench.restart().truncated_bytes, 0);
    assert_eq!(
        (bench.log().start_offset(), bench.log().end_offset()),
        before,
        "{story}"
    );
    same_as_rebuilt(&mut bench, &story);
}

#[test]
fn whatever_the_moment_the_power_goes_nothing_flushed_is_lost() {
    for seed in 0..500 {
        round(seed);
    }
}

/// A segment that was sealed after the last sync ends right at the recovery point: its records
/// are on the disk, but its indexes and its end may not be.
#[test]
fn a_segment_that_ends_at_the_recovery_point_is_looked_at_again() {
    for seed in 0..50 {
        let config = LogConfig {
            preallocate: seed % 2 == 0,
            ..small()
        };
        let mut bench = filled(config, 5);
        bench.flush().unwrap();
        bench.log().roll(now(0)).unwrap();
        bench.append(&Shape::of(3, 2_000)).unwrap();
        let second = bench.log().segments[1].base;
        assert_eq!(bench.start.recovery_point, second);
        let report = bench.crash(seed).unwrap();
        let story = format!("seed {seed}: {report:?}");
        let end = bench.log().end_offset();
        assert!(end >= Offset(15), "{story}");
        same_as_rebuilt(&mut bench, &story);
    }
}

#[test]
fn what_is_cut_off_between_two_segments_that_join_costs_nothing() {
    let mut bench = filled(small(), 30);
    bench.flush().unwrap();
    let first = bench.log().segments[0].size;
    bench.log = None;
    bench.start = LogStart::default();
    let path = file_path(&dir(), Offset(0), Kind::Log);
    let file = bench
        .disk
        .open(&path, crate::environment::disk::OpenMode::ReadWrite)
        .unwrap();
    file.set_len(u64::from(first) + 700).unwrap();
    drop(file);
    let report = bench.reopen().unwrap();
    assert_eq!(report.truncated_bytes, 700);
    assert_eq!(bench.log().end_offset(), Offset(90));
    assert_eq!(bench.log().segments[0].size, first);
    same_as_rebuilt(&mut bench, "joined");
}

#[test]
fn a_torn_batch_is_cut_off_and_counted() {
    let mut bench = filled(LogConfig::default(), 3);
    bench.flush().unwrap();
    let size = bench.log().size_bytes();
    let (_, bytes) = Shape::of(3, 0).build();
    for kept in 0..bytes.len() {
        bench.log = None;
        let path = file_path(&dir(), Offset(0), Kind::Log);
        let file = bench
            .disk
            .open(&path, crate::environment::disk::OpenMode::ReadWrite)
            .unwrap();
        file.write_all_at(&mut [std::io::IoSlice::new(&bytes[..kept])], size)
            .unwrap();
        drop(file);
        let report = bench.reopen().unwrap();
        assert_eq!(report.truncated_bytes, kept as u64);
        assert_eq!(
            (bench.log().end_offset(), bench.log().size_bytes()),
            (Offset(9), size)
        );
    }
}

#[test]
fn a_flipped_bit_cuts_the_log_there_and_removes_what_follows() {
    for compact in [false, true] {
        let config = LogConfig { compact, ..small() };
        let total = filled(config.clone(), 30).log().segments[0].size;
        for position in (0..u64::from(total)).step_by(13) {
            let mut bench = filled(config.clone(), 30);
            bench.flush().unwrap();
            bench.log = None;
            bench.start = LogStart::default();
            let path = file_path(&dir(), Offset(0), Kind::Log);
            bench
                .disk
                .flip_bit(&path, position, (position % 8) as u8)
                .unwrap();
            let report = bench.reopen().unwrap();
            let size = Shape::of(3, 0).build().1.len() as u64;
            let in_batch = position % size;
            // Base offset and leader epoch lie outside the CRC. A wrong epoch cannot be told, a
            // wrong offset only where compaction leaves no gaps.
            if (12..16).contains(&in_batch) || (compact && in_batch < 8) {
                continue;
            }
            let expected = Offset((position / size * 3) as i64);
            assert_eq!(
                bench.log().end_offset(),
                expected,
                "position {position}: {report:?}"
            );
            assert_eq!(bench.log().segment_count(), 1);
            assert_eq!(
                records(bench.log(), Offset(0), expected).len() as i64,
                expected.0
            );
        }
    }
}

#[test]
fn rule_38_a_swap_that_was_cut_short_is_finished_at_start() {
    let mut bench = filled(
        LogConfig {
            compact: true,
            ..small()
        },
        40,
    );
    bench.log().roll(now(0)).unwrap();
    let second = bench.log().segments[1].base;
    let end = bench.log.take().unwrap().close().unwrap();
    // A compaction kept the first batch of the first two segments.
    let (header, bytes) = Shape::of(3, 1_000).build();
    let mut kept = header.patched(0, 0).to_vec();
    kept.extend_from_slice(&bytes[16..]);
    let mut last = header.patched(second.0 + 3, 0).to_vec();
    last.extend_from_slice(&bytes[16..]);
    let swap = dir().join("00000000000000000000.log.swap");
    bench.disk.replace(&swap, &[kept, last].concat()).unwrap();
    bench.start = LogStart {
        clean: true,
        recovery_point: end,
        log_start: Offset(0),
    };
    let report = bench.reopen().unwrap();
    assert!(
        report.deleted.contains(&file_name(second, Kind::Log)),
        "{report:?}"
    );
    assert_eq!(
        report.scanned,
        [Offset(0)],
        "the swapped segment came without indexes"
    );
    let found = records(bench.log(), Offset(0), Offset(120));
    let third = bench.log().segments[1].base;
    let expected: Vec<i64> = (0..3)
        .chain(second.0 + 3..second.0 + 6)
        .chain(third.0..120)
        .collect();
    assert_eq!(
        found.iter().map(|record| record.0).collect::<Vec<_>>(),
        expected
    );
    // An offset that compaction has removed leads to the next one there is.
    let slice = bench
        .log()
        .read(Offset(5), Offset(120), 1, true)
        .unwrap()
        .unwrap();
    let bytes = slice.read().unwrap();
    assert_eq!(BatchView::parse(&bytes).unwrap().base_offset, second.0 + 3);
}

#[test]
fn damaged_indexes_are_built_anew() {
    type Spoil = fn(&mut Vec<u8>);
    let damage: [(&str, Spoil); 6] = [
        ("index", |bytes| bytes.clear()),
        ("index", |bytes| bytes.truncate(5)),
        ("index", |bytes| {
            bytes.iter_mut().for_each(|byte| *byte = 0xff)
        }),
        ("index", |bytes| bytes.extend([0; 16])),
        ("timeindex", |bytes| bytes.push(1)),
        ("timeindex", |bytes| bytes.extend([0; 12])),
    ];
    for (suffix, spoil) in damage {
        for base in [0, usize::MAX] {
            let mut bench = filled(small(), 30);
            let expected = records(bench.log(), Offset(0), Offset(90));
            let base = if base == 0 {
                Offset(0)
            } else {
                bench.log().active_segment_base()
            };
            let end = bench.log.take().unwrap().close().unwrap();
            let path = dir().join(format!("{:020}.{suffix}", base.0));
            let mut bytes = bench.disk.read(&path).unwrap();
            spoil(&mut bytes);
            bench.disk.replace(&path, &bytes).unwrap();
            bench.start = LogStart {
                clean: true,
                recovery_point: end,
                log_start: Offset(0),
            };
            bench.reopen().unwrap();
            assert_eq!(records(bench.log(), Offset(0), Offset(90)), expected);
            let found = bench
                .log()
                .offset_for_timestamp(Timestamp(1_155), Offset(90))
                .unwrap();
            assert_eq!(found.map(|(_, offset, _)| offset), Some(Offset(48)));
        }
    }
}

#[test]
fn missing_indexes_are_built_anew_and_wrong_entries_do_not_mislead() {
    let mut bench = filled(small(), 30);
    let end = bench.log.take().unwrap().close().unwrap();
    bench.start = LogStart {
        clean: true,
        recovery_point: end,
        log_start: Offset(0),
    };
    for kind in [Kind::Index, Kind::TimeIndex] {
        bench
            .disk
            .remove_file(&file_path(&dir(), Offset(0), kind))
            .unwrap();
        let report = bench.reopen().unwrap();
        assert_eq!(report.scanned, [Offset(0)]);
        assert_eq!(
            bench
                .log()
                .offset_for_timestamp(Timestamp(1_031), Offset(90))
                .unwrap()
                .unwrap()
                .1,
            Offset(12)
        );
        bench.log = None;
    }
    // Positions that point into the middle of a batch.
    let path = file_path(&dir(), Offset(0), Kind::Index);
    let mut bytes = bench.disk.read(&path).unwrap();
    for entry in bytes.chunks_mut(8) {
        entry[7] ^= 1;
    }
    bench.disk.replace(&path, &bytes).unwrap();
    bench.reopen().unwrap();
    same_as_rebuilt(&mut bench, "wrong positions");
}

/// Flips, cuts, fills or drops a random file, and opens the log in either way.
fn spoil(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut bench = Bench::new(small());
    for index in 0..40 {
        let shape = Shape::from_producer(index % 2, 0, (index / 2) as i32, 1);
        bench
            .append(&Shape {
                value_bytes: 60,
                ..shape
            })
            .unwrap();
    }
    let end = bench.log.take().unwrap().close().unwrap();
    let names = bench.names();
    for _ in 0..random.random_range(1..4u8) {
        let path = dir().join(&names[random.random_range(0..names.len())]);
        let Ok(mut bytes) = bench.disk.read(&path) else {
            continue;
        };
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..4u8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8u8),
            1 => bytes.truncate(at),
            2 => bytes.extend((0..at).map(|_| random.random_range(0..=255u8))),
            _ => {
                bench.disk.remove_file(&path).unwrap();
                continue;
            }
        }
        bench.disk.replace(&path, &bytes).unwrap();
    }
    let point = Offset(random.random_range(0..=end.0));
    let clean = random.random_bool(0.5);
    bench.start = LogStart {
        clean,
        recovery_point: point,
        log_start: Offset(0),
    };
    // Opening, reading and appending may fail with a typed error; none may panic or hang.
    if bench.reopen().is_err() {
        return;
    }
    let log = bench.log();
    let (start, end) = (log.start_offset(), log.end_offset());
    let batches = log.scan(start, end).filter(Result::is_ok).count();
    assert!(batches <= 41, "seed {seed}");
    for offset in start.0..end.0.min(start.0 + 60) {
        let _ = log
            .read(Offset(offset), end, 500, true)
            .map(|slice| slice.map(|s| s.read()));
        let _ = find_available(log, Offset(offset), end, Reach::Disk);
    }
    let _ = log.offset_for_timestamp(Timestamp(1_000), end);
    let _ = log.max_timestamp(end);
    if let Ok(appended) = bench.append(&Shape::of(1, 0)) {
        assert_eq!(appended.base, end, "seed {seed}");
    }
}

#[test]
fn whatever_is_damaged_the_log_opens_or_says_why() {
    for seed in 0..2_000 {
        spoil(seed);
    }
}

#[test]
fn garbage_in_the_directory_is_left_alone_or_refused() {
    let mut bench = filled(small(), 10);
    let end = bench.log.take().unwrap().close().unwrap();
    bench.start = LogStart {
        clean: true,
        recovery_point: end,
        log_start: Offset(0),
    };
    for name in [
        "notes.txt",
        "99999999999999999999.log",
        "5.log",
        "-1.log",
        ".log",
    ] {
        bench.disk.replace(&dir().join(name), b"garbage").unwrap();
    }
    bench.reopen().unwrap();
    assert_eq!(bench.log().end_offset(), Offset(30));
    assert!(bench.names().contains(&"5.log".to_owned()));
    bench.log = None;
    bench
        .disk
        .replace(&dir().join("partition.metadata"), b"version: 0\n")
        .unwrap();
    let error = bench.reopen().unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
}

#[test]
fn a_segment_longer_than_a_position_can_say_is_refused() {
    let mut bench = filled(small(), 1);
    bench.log = None;
    let path = file_path(&dir(), Offset(0), Kind::Log);
    let file = bench
        .disk
        .open(&path, crate::environment::disk::OpenMode::ReadWrite)
        .unwrap();
    file.set_len(1 << 40).unwrap();
    drop(file);
    let error = bench.reopen().unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    let opened = Segment::open(&bench.shared(), &dir(), Offset(7), &small(), Timestamp(0));
    assert!(matches!(opened, Err(StorageError::Io { .. })));
}

use crate::environment::Disk;
