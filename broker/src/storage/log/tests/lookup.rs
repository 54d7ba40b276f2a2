//! Look-ups by time while the log changes between two looks at it, and over damaged batches.

use std::cell::{Cell, RefCell};

use tidemark_protocol::records::BatchHeader;

use super::*;
use crate::storage::log::LogAccess;
use crate::storage::{max_timestamp, offset_for_timestamp};

/// What happens to the log while it is searched.
type Disturbance<'a> = &'a dyn Fn(&mut Log);

/// The offset and timestamp of a record.
type Seen = (i64, i64);

/// A log to which something happens before a certain look at it.
struct Racing<'a> {
    log: RefCell<Log>,
    looks: Cell<usize>,
    before: usize,
    disturb: Disturbance<'a>,
}

impl LogAccess for Racing<'_> {
    type Error = StorageError;

    fn look<T>(
        &self,
        look: impl FnOnce(&Log) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        if self.looks.replace(self.looks.get() + 1) == self.before {
            (self.disturb)(&mut self.log.borrow_mut());
        }
        look(&self.log.borrow())
    }
}

/// Offset and timestamp of every record a consumer may see.
fn seen(log: &Log, upper: Offset) -> Vec<Seen> {
    let records = records(log, log.start_offset(), upper);
    let records = records.into_iter().map(|(offset, time, _)| (offset, time));
    records
        .filter(|(offset, _)| *offset >= log.start_offset().0)
        .collect()
}

/// Batches of 3 records over several segments, with times that go up and down.
fn wavy() -> Bench {
    let mut bench = Bench::new(LogConfig {
        segment_bytes: 900,
        ..small()
    });
    for index in 0..60_i64 {
        let first = 1_000 + (index * 37) % 101 * 10;
        let timestamps = vec![first, first + 7, first + 3];
        let shape = Shape {
            timestamps,
            ..Shape::default()
        };
        bench.append(&shape).unwrap();
    }
    assert!(bench.log().segment_count() > 5);
    bench
}

/// Runs `search` with the disturbance before each of its looks in turn, and compares what it
/// finds with what is to be found in the log as it then is.
fn race(
    disturb: Disturbance<'_>,
    search: &dyn Fn(&Racing<'_>) -> Option<TimestampOffset>,
    wanted: &dyn Fn(&[Seen]) -> Option<Seen>,
) {
    for before in 0.. {
        let mut bench = wavy();
        let racing = Racing {
            log: RefCell::new(bench.log.take().unwrap()),
            looks: Cell::new(0),
            before,
            disturb,
        };
        let found = search(&racing).map(|(time, offset, _)| (offset.0, time.0));
        let expected = wanted(&seen(&racing.log.borrow(), Offset(150)));
        assert_eq!(found, expected, "disturbed before look {before}");
        if racing.looks.get() <= before {
            break;
        }
    }
}

/// Deletes the records below `start`, with the files of segments that hold nothing else.
fn delete_below(log: &mut Log, start: i64) {
    log.advance_start(Offset(start)).unwrap();
    let disk = Arc::clone(&log.disk);
    for pending in log.maintain(now(5_000), Offset(150)).unwrap() {
        pending.run(disk.as_ref()).unwrap();
    }
}

#[test]
fn rule_30_a_look_up_finds_the_first_record_left_whatever_is_deleted_meanwhile() {
    for start in [1, 31, 90, 148, 150] {
        for target in [0, 1_204, 1_500, 1_990, 2_007, 2_008] {
            race(
                &|log| delete_below(log, start),
                &|racing| offset_for_timestamp(racing, Timestamp(target), Offset(150)).unwrap(),
                &|records| records.iter().find(|(_, time)| *time >= target).copied(),
            );
        }
    }
}

#[test]
fn rule_28_the_largest_timestamp_is_that_of_a_record_left() {
    let first_largest = |records: &[Seen]| {
        let by_time = |(offset, time): &Seen| (-*time, *offset);
        records.iter().copied().min_by_key(by_time)
    };
    for start in [1, 31, 90, 148, 150] {
        race(
            &|log| delete_below(log, start),
            &|racing| max_timestamp(racing, Offset(150)).unwrap(),
            &first_largest,
        );
    }
}

#[test]
fn what_is_appended_meanwhile_changes_no_answer() {
    let grow = |log: &mut Log| {
        for _ in 0..20 {
            let (header, bytes) = Shape::of(3, 9_000).build();
            log.append(&header, &bytes, LeaderEpoch(0), now(5_000))
                .unwrap();
        }
        log.roll(now(5_000)).unwrap();
    };
    for target in [0, 1_990, 2_008] {
        race(
            &grow,
            &|racing| offset_for_timestamp(racing, Timestamp(target), Offset(150)).unwrap(),
            &|records| records.iter().find(|(_, time)| *time >= target).copied(),
        );
    }
}

/// Appends a batch as it is, without the checks that a partition makes.
fn append(bench: &mut Bench, header: &BatchHeader, bytes: &[u8]) {
    let log = bench.log();
    log.append(header, bytes, LeaderEpoch(0), now(5_000))
        .unwrap();
}

#[test]
fn rule_29_a_batch_that_cannot_be_unpacked_answers_with_its_header() {
    for codec in [Compression::Gzip, Compression::Zstd, Compression::Lz4] {
        let mut bench = Bench::new(LogConfig::default());
        bench.append(&Shape::of(3, 100)).unwrap();
        let shape = Shape {
            timestamps: vec![200, 300, 250],
            compression: codec,
            ..Shape::default()
        };
        let (header, bytes) = shape.build();
        let mut damaged = bytes.to_vec();
        damaged[61..].fill(0xff);
        append(&mut bench, &header, &damaged);
        bench.append(&Shape::of(3, 400)).unwrap();
        let epoch = Some(LeaderEpoch(0));
        let mut first = |target| {
            let log = bench.log();
            let found = log.offset_for_timestamp(Timestamp(target), Offset(9));
            found.unwrap()
        };
        assert_eq!(first(100), Some((Timestamp(100), Offset(0), epoch)));
        for target in [101, 300] {
            let found = Some((Timestamp(300), Offset(3), epoch));
            assert_eq!(first(target), found, "{codec:?}");
        }
        assert_eq!(first(301), Some((Timestamp(400), Offset(6), epoch)));
        // Never below the log start, and the largest timestamp is told in the same way.
        bench.log().advance_start(Offset(4)).unwrap();
        let found = bench.log().offset_for_timestamp(Timestamp(0), Offset(9));
        let expected = Some((Timestamp(300), Offset(4), epoch));
        assert_eq!(found.unwrap(), expected, "{codec:?}");
        assert_eq!(bench.log().max_timestamp(Offset(6)).unwrap(), expected);
    }
}

#[test]
fn a_look_up_reads_no_further_than_the_record_it_wants() {
    let mut bench = Bench::new(LogConfig::default());
    let shape = Shape {
        timestamps: vec![200, 300, 250],
        ..Shape::default()
    };
    let (header, bytes) = shape.build();
    let mut damaged = bytes.to_vec();
    let size = damaged.len();
    // The last record says that it is longer than the batch.
    let record = (size - 61) / 3;
    damaged[size - record] = 0x7e;
    append(&mut bench, &header, &damaged);
    bench.append(&Shape::of(1, 400)).unwrap();
    let mut first = |target| {
        let log = bench.log();
        let found = log.offset_for_timestamp(Timestamp(target), Offset(4));
        found.unwrap().map(|(time, offset, _)| (time.0, offset.0))
    };
    assert_eq!(first(200), Some((200, 0)));
    assert_eq!(first(201), Some((300, 1)));
    assert_eq!(first(301), Some((400, 3)));
}

#[test]
fn a_disk_that_cannot_be_read_is_an_error() {
    let mut bench = wavy();
    bench.log().roll(now(0)).unwrap();
    bench
        .disk
        .inject(Fault::next(DiskOp::Read, Failure::Io).on(".log"));
    let found = bench
        .log()
        .offset_for_timestamp(Timestamp(1_500), Offset(180));
    assert!(matches!(found, Err(StorageError::Io { .. })));
}
