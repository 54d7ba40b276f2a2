//! Rules 17 to 20, and what a read finds.

use super::*;

#[test]
fn rule_17_the_first_batch_is_whole_even_if_larger_than_allowed() {
    let mut bench = filled(LogConfig::default(), 4);
    let size = Shape::of(3, 0).build().1.len() as u32;
    let mut len = |max, min_one| {
        let slice = bench
            .log()
            .read(Offset(0), Offset(12), max, min_one)
            .unwrap();
        slice.map(|slice| slice.len)
    };
    assert_eq!(len(1, true), Some(size));
    assert_eq!(len(0, true), Some(size));
    assert_eq!(len(size - 1, false), None);
    assert_eq!(len(size, false), Some(size));
    assert_eq!(len(u32::MAX, false), Some(4 * size));
}

#[test]
fn rule_18_an_offset_inside_a_batch_gives_the_whole_batch() {
    let mut bench = filled(small(), 40);
    for offset in 0..120 {
        let slice = bench
            .log()
            .read(Offset(offset), Offset(120), 1, true)
            .unwrap()
            .unwrap();
        let bytes = slice.read().unwrap();
        let view = BatchView::parse(&bytes).unwrap();
        assert_eq!(
            (view.base_offset, view.bytes().len()),
            (offset / 3 * 3, bytes.len())
        );
    }
}

#[test]
fn rule_19_only_the_last_batch_may_be_cut_short() {
    let mut bench = filled(LogConfig::default(), 4);
    let size = Shape::of(3, 0).build().1.len() as u32;
    let slice = bench
        .log()
        .read(Offset(4), Offset(12), size + 7, false)
        .unwrap()
        .unwrap();
    assert_eq!((slice.position, slice.len), (u64::from(size), size + 7));
    assert_eq!(
        BatchView::parse(&slice.read().unwrap())
            .unwrap()
            .base_offset,
        3
    );
}

#[test]
fn rule_20_offsets_outside_the_log_are_an_error_and_unstable_ones_are_empty() {
    let mut bench = filled(LogConfig::default(), 4);
    bench.log().advance_start(Offset(3)).unwrap();
    let mut outcome = |from: i64, upper: i64| match bench.log().read(
        Offset(from),
        Offset(upper),
        1 << 20,
        true,
    ) {
        Ok(Some(_)) => "bytes",
        Ok(None) => "nothing",
        Err(StorageError::OffsetOutOfRange {
            start: Offset(3),
            end: Offset(12),
            ..
        }) => "range",
        Err(_) => "error",
    };
    assert_eq!(outcome(2, 12), "range");
    assert_eq!(outcome(13, 99), "range");
    assert_eq!(outcome(12, 99), "nothing");
    assert_eq!(outcome(9, 6), "nothing");
    assert_eq!(outcome(3, 3), "nothing");
    assert_eq!(outcome(3, 6), "bytes");
    assert_eq!(outcome(11, 12), "bytes");
}

#[test]
fn reads_stop_below_the_upper_bound() {
    let mut bench = filled(LogConfig::default(), 4);
    let size = Shape::of(3, 0).build().1.len() as u32;
    let mut len = |from: i64, upper: i64| {
        let slice = bench
            .log()
            .read(Offset(from), Offset(upper), 1 << 20, true)
            .unwrap();
        slice.map_or(0, |slice| slice.len)
    };
    assert_eq!(
        [len(0, 3), len(0, 9), len(5, 9), len(0, 12)],
        [size, 3 * size, 2 * size, 4 * size]
    );
    // A bound inside a batch hides the whole batch.
    assert_eq!([len(0, 2), len(0, 5)], [0, size]);
    let between = |bench: &mut Bench, from: i64, upper: i64| {
        find_available(bench.log(), Offset(from), Offset(upper), Reach::Disk).unwrap()
    };
    let bytes = |batches: u32| Available::Bytes(u64::from(batches * size));
    assert_eq!(between(&mut bench, 0, 12), bytes(4));
    assert_eq!(between(&mut bench, 4, 9), bytes(2));
    assert_eq!(between(&mut bench, 12, 12), bytes(0));
    assert_eq!(between(&mut bench, 99, 99), bytes(0));
    let mut bench = filled(small(), 60);
    let second = bench.log().segments[1].base.0;
    assert_eq!(between(&mut bench, 0, 180), Available::OlderSegment);
    assert_eq!(between(&mut bench, second, 180), Available::OlderSegment);
    assert_eq!(between(&mut bench, 0, second), Available::OlderSegment);
    // More will come to a segment that is older than the last one but still not read to its end.
    assert_eq!(between(&mut bench, 0, 6), bytes(2));
    assert_eq!(between(&mut bench, 6, 6), bytes(0));
}

#[test]
fn a_read_that_may_not_wait_says_what_is_not_in_memory() {
    let mut bench = filled(LogConfig::default(), 400);
    let wish = Wish {
        from: Offset(600),
        upper: Offset(900),
        max_bytes: 1 << 20,
        min_one: true,
    };
    let cold = || Fault::next(DiskOp::ReadCached, Failure::Io).on(".log");
    let disk = bench.disk.clone();
    let slice = |bench: &mut Bench, reach| find_slice(bench.log(), &wish, reach);
    let expected = slice(&mut bench, Reach::Disk).unwrap().unwrap();
    let hot = slice(&mut bench, Reach::Memory).unwrap().unwrap();
    assert_eq!((hot.position, hot.len), (expected.position, expected.len));
    // The header of the first batch, then that of the first one that may not be read.
    for after in 0..2 {
        disk.inject(cold().after(after));
        let missed = slice(&mut bench, Reach::Memory).err();
        assert!(matches!(missed, Some(StorageError::NotInMemory { .. })));
        assert_eq!(disk.armed_faults(), 0);
    }
    disk.inject(cold());
    let missed = find_available(bench.log(), Offset(600), Offset(900), Reach::Memory);
    assert!(matches!(missed, Err(StorageError::NotInMemory { .. })));
    // Of the bytes themselves only the rest is read from the disk.
    let bytes = expected.read().unwrap();
    assert_eq!(hot.clone().read_in_memory().ok(), Some(bytes.clone()));
    disk.inject(Fault::next(DiskOp::ReadCached, Failure::Short(1_000)));
    let part = hot.read_in_memory().err().unwrap();
    assert_eq!(part.finish().unwrap(), bytes);
}
