use super::*;

fn path(text: &str) -> PathBuf {
    PathBuf::from(text)
}

fn written(disk: &MemoryDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    disk.create_dir_all(Path::new("/d")).unwrap();
    let file = disk.open(&path(name), OpenMode::Create).unwrap();
    file.write_all_at(&mut [IoSlice::new(bytes)], 0).unwrap();
    file
}

#[test]
fn a_crash_keeps_what_was_synced_and_only_that_for_sure() {
    let mut kinds = BTreeSet::new();
    for seed in 0..64 {
        let disk = MemoryDisk::new();
        let file = written(&disk, "/d/a", b"0123");
        disk.sync_dir(Path::new("/")).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(&mut [IoSlice::new(b"4567")], 4).unwrap();
        drop(file);
        disk.crash(seed);
        let content = disk.read(&path("/d/a")).unwrap();
        assert!(
            b"01234567".starts_with(&content[..]) && content.len() >= 4,
            "seed {seed}"
        );
        kinds.insert(content.len());
    }
    assert!(
        kinds.contains(&4) && kinds.contains(&8) && kinds.len() > 2,
        "{kinds:?}"
    );
}

#[test]
fn a_name_is_durable_only_after_its_directory_was_synced() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..32 {
        let disk = MemoryDisk::new();
        drop(written(&disk, "/d/a", b"x"));
        disk.sync_dir(Path::new("/")).unwrap();
        disk.rename(&path("/d/a"), &path("/d/b")).unwrap();
        disk.crash(seed);
        let names: Vec<_> = disk.list(Path::new("/d")).unwrap();
        outcomes.insert(
            names
                .into_iter()
                .map(|entry| entry.name)
                .collect::<Vec<_>>(),
        );
    }
    let expected = [vec![], vec!["a".to_owned()], vec!["b".to_owned()]];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn a_renamed_directory_takes_its_files_along() {
    let disk = MemoryDisk::new();
    drop(written(&disk, "/d/a", b"x"));
    disk.rename(&path("/d"), &path("/e")).unwrap();
    assert_eq!(disk.read(&path("/e/a")).unwrap(), b"x");
    assert!(!disk.exists(&path("/d")).unwrap());
    disk.remove_dir_all(&path("/e")).unwrap();
    assert!(!disk.exists(&path("/e/a")).unwrap());
}

#[test]
fn handles_outlive_an_unlink_and_die_in_a_crash() {
    let disk = MemoryDisk::new();
    let file = written(&disk, "/d/a", b"x");
    disk.remove_file(&path("/d/a")).unwrap();
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, 0).unwrap(), 1);
    disk.crash(1);
    assert!(file.read_at(&mut byte, 0).is_err());
}

#[test]
fn faults_strike_the_operation_they_name_once() {
    let disk = MemoryDisk::new();
    let file = written(&disk, "/d/a", b"");
    let write = |bytes: &[u8]| file.write_all_at(&mut [IoSlice::new(bytes)], 0);
    disk.inject(
        Fault::next(DiskOp::Write, Failure::Short(2))
            .after(1)
            .on("/a"),
    );
    write(b"....").unwrap();
    assert!(write(b"abcd").is_err());
    assert_eq!(disk.read(&path("/d/a")).unwrap(), b"ab..");
    write(b"abcd").unwrap();
    disk.inject(Fault::next(DiskOp::Sync, Failure::NoSpace));
    assert_eq!(
        file.sync_data().unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    file.sync_data().unwrap();
    disk.halt_after(0);
    assert!(file.sync_data().is_err() && file.len().is_err());
    disk.clear_faults();
    assert_eq!(file.len().unwrap(), 4);
}

#[test]
fn a_full_disk_refuses_what_does_not_fit() {
    let disk = MemoryDisk::new();
    let file = written(&disk, "/d/a", b"1234");
    disk.set_capacity(6);
    let at = |position, bytes: &[u8]| file.write_all_at(&mut [IoSlice::new(bytes)], position);
    at(4, b"56").unwrap();
    assert_eq!(at(6, b"7").unwrap_err().kind(), io::ErrorKind::StorageFull);
    at(0, b"abcdef").unwrap();
    file.set_len(1 << 40).unwrap();
    assert_eq!(
        disk.space(Path::new("/")).unwrap(),
        Space {
            total: 6,
            usable: 0
        }
    );
    file.set_len(0).unwrap();
    at(0, b"9").unwrap();
}

#[test]
fn a_mapping_is_written_back_and_a_flipped_bit_stays() {
    let disk = MemoryDisk::new();
    disk.create_dir_all(Path::new("/d")).unwrap();
    let mut map = disk.map(&path("/d/i"), 10_000).unwrap();
    map.write(&[5], 9_000).unwrap();
    map.flush().unwrap();
    assert_eq!(disk.read(&path("/d/i")).unwrap()[9_000], 5);
    map.write(&[1], 1).unwrap();
    let mut bytes = [9; 2];
    map.read(&mut bytes, 9_999).unwrap_err();
    map.read(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [0, 1]);
    drop(map);
    disk.flip_bit(&path("/d/i"), 1, 7).unwrap();
    let content = disk.read(&path("/d/i")).unwrap();
    assert_eq!((content.len(), content[1]), (10_000, 0x81));
    let file = disk.open(&path("/d/i"), OpenMode::ReadWrite).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.crash(1);
    assert_eq!(disk.read(&path("/d/i")).unwrap(), content);
}

#[test]
fn a_sync_makes_durable_what_a_reader_sees() {
    let disk = MemoryDisk::new();
    let file = written(&disk, "/d/a", b"0123456789");
    disk.sync_dir(Path::new("/")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.sync_data().unwrap();
    file.set_len(4).unwrap();
    file.write_all_at(&mut [IoSlice::new(b"ab")], 8).unwrap();
    file.write_all_at(&mut [IoSlice::new(b"c")], 0).unwrap();
    file.set_len(20_000).unwrap();
    file.sync_data().unwrap();
    let seen = disk.read(&path("/d/a")).unwrap();
    assert_eq!(&seen[..12], b"c123\0\0\0\0ab\0\0");
    disk.crash(1);
    assert_eq!(disk.read(&path("/d/a")).unwrap(), seen);
}

#[test]
fn a_fault_decides_what_is_in_memory() {
    let disk = MemoryDisk::new();
    let file = written(&disk, "/d/a", b"0123");
    let mut buffer = [0; 8];
    assert_eq!(file.read_cached_at(&mut buffer, 1), 3);
    disk.inject(Fault::next(DiskOp::ReadCached, Failure::Short(2)));
    disk.inject(Fault::next(DiskOp::ReadCached, Failure::Io));
    assert_eq!(file.read_cached_at(&mut buffer, 0), 2);
    assert_eq!(file.read_cached_at(&mut buffer, 0), 0);
    assert_eq!(file.read_cached_at(&mut buffer, 0), 4);
    assert_eq!(&buffer[..4], b"0123");
    disk.crash(1);
    assert_eq!(file.read_cached_at(&mut buffer, 0), 0);
}

#[test]
fn a_lock_ends_with_its_guard_or_with_the_power() {
    let disk = MemoryDisk::new();
    disk.create_dir_all(Path::new("/d")).unwrap();
    let held = disk.lock(&path("/d/.lock")).unwrap();
    assert!(disk.lock(&path("/d/.lock")).is_err());
    drop(held);
    let held = disk.lock(&path("/d/.lock")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.crash(3);
    drop(disk.lock(&path("/d/.lock")).unwrap());
    let again = disk.lock(&path("/d/.lock")).unwrap();
    drop(held);
    assert!(
        disk.lock(&path("/d/.lock")).is_err(),
        "a dead guard must not free the new lock"
    );
    drop(again);
}
