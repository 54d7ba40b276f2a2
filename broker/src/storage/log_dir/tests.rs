use super::*;
use crate::environment::disk::OpenMode;
use crate::environment::{MemoryDisk, SeededEntropy};
use crate::storage::partition_metadata;

fn open(disk: &MemoryDisk, node: i32) -> Result<LogDir, StorageError> {
    let entropy = SeededEntropy::new(1);
    LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &entropy, node)
}

fn offsets(entries: &[(&str, i64, i64, i64)]) -> BTreeMap<TopicPartition, Checkpoints> {
    entries
        .iter()
        .map(|(topic, point, start, high)| {
            let checkpoints = Checkpoints {
                recovery_point: Offset(*point),
                log_start: Offset(*start),
                high_watermark: Offset(*high),
            };
            (TopicPartition::new(*topic, 0), checkpoints)
        })
        .collect()
}

#[test]
fn a_directory_keeps_its_identity() {
    let disk = MemoryDisk::new();
    let first = open(&disk, 1).unwrap();
    let (cluster, directory) = (first.cluster_id().to_owned(), first.directory_id());
    assert!(!first.was_clean() && first.found().is_empty());
    drop(first);
    disk.crash(9);
    let again = open(&disk, 1).unwrap();
    assert_eq!(
        (again.cluster_id(), again.directory_id()),
        (cluster.as_str(), directory)
    );
    drop(again);
    let error = open(&disk, 2).err().unwrap();
    assert!(
        matches!(
            error,
            StorageError::Mismatch {
                what: "node.id",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_second_broker_is_told_that_the_directory_is_in_use() {
    let disk = MemoryDisk::new();
    let held = open(&disk, 1).unwrap();
    let error = open(&disk, 1).err().unwrap();
    assert_eq!(error.to_string(), "/data is in use by another broker");
    drop(held);
    open(&disk, 1).unwrap();
}

#[test]
fn the_marker_vouches_for_one_start_only() {
    let disk = MemoryDisk::new();
    open(&disk, 1).unwrap().mark_clean_shutdown().unwrap();
    let marker = disk.read(Path::new("/data/.kafka_cleanshutdown")).unwrap();
    assert_eq!(marker, br#"{"version":0,"brokerEpoch":-1}"#);
    // Looking is free: a start that comes to nothing leaves the marker where it is.
    assert!(open(&disk, 1).unwrap().was_clean());
    let dir = open(&disk, 1).unwrap();
    assert!(dir.was_clean());
    dir.begin().unwrap();
    drop(dir);
    disk.crash(4);
    assert!(!open(&disk, 1).unwrap().was_clean());
}

#[test]
fn rule_33_checkpoints_survive_a_restart() {
    let disk = MemoryDisk::new();
    let written = offsets(&[("a", 10, 3, 9), ("b", 7, 0, 7), ("gone", 5, 5, 5)]);
    drop(open(&disk, 1).unwrap());
    for name in ["a-0", "b-0"] {
        disk.create_dir_all(&Path::new("/data").join(name)).unwrap();
    }
    disk.sync_dir(Path::new("/data")).unwrap();
    open(&disk, 1).unwrap().write_checkpoints(&written).unwrap();
    let text = disk
        .read(Path::new("/data/log-start-offset-checkpoint"))
        .unwrap();
    assert_eq!(text, b"0\n3\na 0 3\nb 0 0\ngone 0 5\n");
    disk.crash(2);
    let dir = open(&disk, 1).unwrap();
    let of = |topic: &str| TopicPartition::new(topic, 0);
    assert_eq!(dir.checkpoints(&of("a")), written[&of("a")]);
    assert_eq!(dir.start_of(&of("b")).recovery_point, Offset(7));
    assert_eq!(dir.checkpoints(&of("c")), Checkpoints::default());
    // A topic that is made under the name of one that is gone begins at 0.
    assert_eq!(dir.checkpoints(&of("gone")), Checkpoints::default());
    dir.write_log_starts(&offsets(&[("a", 0, 8, 0)])).unwrap();
    drop(dir);
    let dir = open(&disk, 1).unwrap();
    let known = dir.checkpoints(&of("a"));
    assert_eq!(
        (known.log_start, known.recovery_point),
        (Offset(8), Offset(10))
    );
}

#[test]
fn damaged_checkpoints_count_as_empty_and_warn() {
    let disk = MemoryDisk::new();
    drop(open(&disk, 1).unwrap());
    for name in [RECOVERY_POINTS, LOG_STARTS, HIGH_WATERMARKS] {
        disk.replace(&Path::new("/data").join(name), b"0\n9\na 0 1\n")
            .unwrap();
    }
    let dir = open(&disk, 1).unwrap();
    assert_eq!(dir.warnings().len(), 3);
    assert_eq!(
        dir.checkpoints(&TopicPartition::new("a", 0)),
        Checkpoints::default()
    );
}

#[test]
fn partitions_are_found_and_deleted_ones_told_apart() {
    let disk = MemoryDisk::new();
    for name in [
        "a-0",
        "a-1",
        "b.c-10",
        "lost+found",
        "x-3.0000000000000001-delete",
        "y-0.1-future",
        "z-0.1-stray",
    ] {
        let dir = Path::new("/data").join(name);
        disk.create_dir_all(&dir).unwrap();
        disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    }
    let dir = open(&disk, 1).unwrap();
    let found: Vec<_> = dir
        .found()
        .iter()
        .map(|found| (found.partition.to_string(), found.deleted))
        .collect();
    let expected = [
        ("a-0", false),
        ("a-1", false),
        ("b.c-10", false),
        ("x-3", true),
    ];
    assert_eq!(
        found,
        expected.map(|(name, deleted)| (name.to_owned(), deleted))
    );
    assert_eq!(dir.warnings().len(), 3);
    assert!(dir.has(&TopicPartition::new("a", 1)));
    assert!(!dir.has(&TopicPartition::new("x", 3)));
    // The catalog has the last word on every one of them.
    for name in ["x-3.0000000000000001-delete", "y-0.1-future", "z-0.1-stray"] {
        assert!(
            disk.exists(&Path::new("/data").join(name).join("f"))
                .unwrap()
        );
    }
}

#[test]
fn directories_are_marked_and_put_back() {
    let disk = MemoryDisk::new();
    let original = Path::new("/data/a-0");
    disk.create_dir_all(original).unwrap();
    let id = Uuid::from_u128(7);
    let metadata = original.join(partition_metadata::FILE_NAME);
    disk.replace(&metadata, &partition_metadata::encode(id))
        .unwrap();
    let dir = open(&disk, 1).unwrap();
    let marked = dir.mark_deleted(original, Uuid::from_u128(1)).unwrap();
    drop(dir);
    disk.crash(3);
    let dir = open(&disk, 1).unwrap();
    let [found] = dir.found() else {
        panic!("{:?}", dir.found())
    };
    assert_eq!((&found.path, found.deleted), (&marked, true));
    assert_eq!(dir.topic_id(found), Some(id));
    dir.put_back(found, &TopicPartition::new("a", 0)).unwrap();
    drop(dir);
    disk.crash(4);
    let dir = open(&disk, 1).unwrap();
    assert!(dir.has(&TopicPartition::new("a", 0)));
    let aside = dir.set_aside(original, Uuid::from_u128(2)).unwrap();
    assert!(
        aside
            .to_string_lossy()
            .ends_with("a-0.00000000000000000000000000000002-stray")
    );
}

#[test]
fn every_failed_operation_is_an_error_and_the_next_start_succeeds() {
    for operation in 0.. {
        let disk = MemoryDisk::new();
        disk.halt_after(operation);
        let opened = open(&disk, 1);
        let done = opened.is_ok();
        drop(opened);
        disk.crash(operation);
        assert!(
            open(&disk, 1).is_ok(),
            "after a halt at operation {operation}"
        );
        if done {
            assert!(operation > 10, "the loop must have met every operation");
            return;
        }
    }
}
