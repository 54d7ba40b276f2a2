use std::path::{Path, PathBuf};

use super::offset::OffsetIndex;
use super::time::TimeIndex;
use super::*;
use crate::environment::MemoryDisk;
use crate::environment::disk::{DiskOp, Failure, Fault};
use crate::types::{Offset, Position, Timestamp};
use proptest::prelude::*;

fn disk() -> (MemoryDisk, Arc<dyn Disk>) {
    let disk = MemoryDisk::new();
    (disk.clone(), Arc::new(disk))
}

fn offsets(disk: &Arc<dyn Disk>, max_bytes: u32) -> OffsetIndex {
    OffsetIndex::empty(
        disk.clone(),
        PathBuf::from("/i.index"),
        Offset(100),
        max_bytes,
    )
}

fn times(disk: &Arc<dyn Disk>, max_bytes: u32) -> TimeIndex {
    TimeIndex::empty(
        disk.clone(),
        PathBuf::from("/i.timeindex"),
        Offset(100),
        max_bytes,
    )
}

#[test]
fn the_bytes_are_kafkas() {
    let (memory, disk) = disk();
    let mut index = offsets(&disk, 67);
    index.append(Offset(101), Position(0x0102_0304)).unwrap();
    index
        .append(Offset(100 + 0x7fff_fffe), Position(0x0506_0708))
        .unwrap();
    let mut times = times(&disk, 67);
    times
        .append((Timestamp(0x0102_0304_0506_0708), Offset(102)))
        .unwrap();
    drop((index.trim().unwrap(), times.trim().unwrap()));
    let frozen: &[u8] = &[0, 0, 0, 1, 1, 2, 3, 4, 0x7f, 0xff, 0xff, 0xfe, 5, 6, 7, 8];
    assert_eq!(memory.read(Path::new("/i.index")).unwrap(), frozen);
    let frozen: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 2];
    assert_eq!(memory.read(Path::new("/i.timeindex")).unwrap(), frozen);
}

#[test]
fn a_file_in_use_has_its_full_size_rounded_down_and_an_unused_one_does_not_exist() {
    let (memory, disk) = disk();
    let mut index = offsets(&disk, 67);
    assert!(!memory.exists(Path::new("/i.index")).unwrap());
    index.append(Offset(101), Position(1)).unwrap();
    drop(index);
    assert_eq!(memory.read(Path::new("/i.index")).unwrap().len(), 64);
    let mut index = times(&disk, 67);
    index.append((Timestamp(1), Offset(101))).unwrap();
    drop(index);
    assert_eq!(memory.read(Path::new("/i.timeindex")).unwrap().len(), 60);
}

#[test]
fn a_full_index_says_so_and_the_time_index_keeps_one_slot() {
    let (_, disk) = disk();
    let (mut index, mut times) = (offsets(&disk, 24), times(&disk, 36));
    for step in 0..2 {
        assert!(!index.is_full() && !times.is_full());
        index
            .append(Offset(101 + step), Position(1 + step as u32))
            .unwrap();
        times
            .append((Timestamp(1 + step), Offset(101 + step)))
            .unwrap();
    }
    assert!(!index.is_full() && times.is_full());
    index.append(Offset(105), Position(9)).unwrap();
    times.append((Timestamp(9), Offset(105))).unwrap();
    assert!(index.is_full());
    assert_eq!(times.last(), Some((Timestamp(9), Offset(105))));
}

#[test]
fn entries_that_do_not_rise_are_left_out() {
    let (_, disk) = disk();
    let (mut index, mut times) = (offsets(&disk, 80), times(&disk, 120));
    for (offset, position) in [(110, 10), (110, 20), (105, 30), (99, 40), (120, 50)] {
        index.append(Offset(offset), Position(position)).unwrap();
    }
    let found = [99, 100, 109, 110, 119, 120, 1 << 40].map(|o| index.lookup(Offset(o)).unwrap().0);
    assert_eq!(found, [0, 0, 0, 10, 10, 50, 50]);
    for (timestamp, offset) in [(-1, 101), (5, 102), (5, 103), (4, 104), (8, 105)] {
        times
            .append((Timestamp(timestamp), Offset(offset)))
            .unwrap();
    }
    let found = [0, 4, 5, 7, 8, i64::MAX].map(|t| times.lookup(Timestamp(t)).unwrap().0);
    assert_eq!(found, [100, 100, 102, 102, 105, 105]);
}

#[test]
fn a_damaged_file_is_refused_with_a_reason() {
    let check = |bytes: &[u8], expected: &str| {
        let (_, disk) = disk();
        disk.replace(Path::new("/i.index"), bytes).unwrap();
        let path = PathBuf::from("/i.index");
        let opened = OffsetIndex::open(disk, path, Offset(100), 80, 1_000)
            .unwrap()
            .unwrap();
        match opened {
            Ok(_) => assert_eq!(expected, ""),
            Err(why) => assert!(!expected.is_empty() && why.contains(expected), "{why}"),
        }
    };
    check(&[], "");
    check(&[0, 0, 0, 1, 0, 0, 0, 9], "");
    check(&[0, 0, 0, 1, 0, 0, 0], "multiple");
    check(&[0; 16], "last entry");
    check(&[0, 0, 0, 1, 0, 0, 4, 0], "last entry");
    check(&[0xff, 0, 0, 1, 0, 0, 0, 9], "last entry");
    check(
        &[0, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 10],
        "last entry",
    );
    let check = |bytes: &[u8], good: bool| {
        let (_, disk) = disk();
        disk.replace(Path::new("/i.timeindex"), bytes).unwrap();
        let path = PathBuf::from("/i.timeindex");
        let opened = TimeIndex::open(disk, path, Offset(100), 80)
            .unwrap()
            .unwrap();
        assert_eq!(opened.is_ok(), good, "{bytes:?}");
    };
    check(&[], true);
    check(&[0; 12], true);
    check(&[0; 24], false);
    check(&[0xff; 12], false);
    check(&[0; 11], false);
}

#[test]
fn a_full_disk_is_an_error_not_a_fault_of_the_process() {
    let (memory, disk) = disk();
    let mut index = offsets(&disk, 8_192);
    memory.set_capacity(4_096);
    for step in 0..512 {
        index
            .append(Offset(101 + step), Position(1 + step as u32))
            .unwrap();
    }
    let error = index.append(Offset(9_999), Position(9_999)).unwrap_err();
    assert!(matches!(error, StorageError::NoSpace { .. }), "{error}");
    memory.set_capacity(u64::MAX);
    index.append(Offset(9_999), Position(9_999)).unwrap();
    assert_eq!(index.lookup(Offset(10_000)).unwrap(), Position(9_999));
}

#[test]
fn an_entry_that_could_not_be_written_is_not_there() {
    for op in [DiskOp::Open, DiskOp::Map, DiskOp::Write, DiskOp::SetLen] {
        let (memory, disk) = disk();
        let mut index = offsets(&disk, 80);
        memory.inject(Fault::next(op, Failure::Io));
        index.append(Offset(101), Position(7)).unwrap_err();
        assert_eq!(index.lookup(Offset(200)).unwrap(), Position(0), "{op:?}");
        index.append(Offset(102), Position(8)).unwrap();
        assert_eq!(index.lookup(Offset(200)).unwrap(), Position(8), "{op:?}");
    }
}

proptest! {
    #[test]
    fn lookups_agree_with_a_list(
        steps in proptest::collection::vec((1i64..50, 1u32..5_000), 1..60),
        asked in proptest::collection::vec(0i64..3_000, 1..20),
        reopened: bool,
    ) {
        let (_, disk) = disk();
        let mut index = offsets(&disk, 8 * 80);
        let (mut offset, mut position) = (100, 0);
        let mut model = Vec::new();
        for (by, bytes) in steps {
            (offset, position) = (offset + by, position + bytes);
            index.append(Offset(offset), Position(position)).unwrap();
            model.push((offset, position));
        }
        if reopened {
            index.trim().unwrap();
            let path = PathBuf::from("/i.index");
            index = OffsetIndex::open(disk, path, Offset(100), 640, u32::MAX)
                .unwrap().unwrap().unwrap();
        }
        for asked in asked {
            let expected =
                model.iter().rev().find(|(offset, _)| *offset <= asked).map_or(0, |(_, p)| *p);
            prop_assert_eq!(index.lookup(Offset(asked)).unwrap(), Position(expected));
        }
    }
}
