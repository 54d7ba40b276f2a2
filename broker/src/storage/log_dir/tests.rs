use super::*;
use crate::environment::disk::OpenMode;
use crate::environment::{MemoryDisk, SeededEntropy};

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
    assert!(!first.was_clean() && first.partitions().is_empty());
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
    assert!(open(&disk, 1).unwrap().was_clean());
    disk.crash(4);
    assert!(!open(&disk, 1).unwrap().was_clean());
}

#[test]
fn rule_33_checkpoints_survive_a_restart() {
    let disk = MemoryDisk::new();
    let written = offsets(&[("a", 10, 3, 9), ("b", 7, 0, 7)]);
    open(&disk, 1).unwrap().write_checkpoints(&written).unwrap();
    let text = disk
        .read(Path::new("/data/log-start-offset-checkpoint"))
        .unwrap();
    assert_eq!(text, b"0\n2\na 0 3\nb 0 0\n");
    disk.crash(2);
    let dir = open(&disk, 1).unwrap();
    let of = |topic: &str| TopicPartition::new(topic, 0);
    assert_eq!(dir.checkpoints(&of("a")), written[&of("a")]);
    assert_eq!(dir.start_of(&of("b")).recovery_point, Offset(7));
    assert_eq!(dir.checkpoints(&of("c")), Checkpoints::default());
    dir.write_log_starts(&offsets(&[("a", 0, 8, 0)])).unwrap();
    drop(dir);
    let dir = open(&disk, 1).unwrap();
    assert_eq!(
        (dir.log_start(&of("a")), dir.recovery_point(&of("a"))),
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
fn partitions_are_found_and_deleted_ones_removed() {
    let disk = MemoryDisk::new();
    for name in [
        "a-0",
        "a-1",
        "b.c-10",
        "lost+found",
        "x-0.0000000000000001-delete",
        "y-0.1-future",
    ] {
        let dir = Path::new("/data").join(name);
        disk.create_dir_all(&dir).unwrap();
        disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    }
    let dir = open(&disk, 1).unwrap();
    let found: Vec<_> = dir
        .partitions()
        .iter()
        .map(|found| found.partition.to_string())
        .collect();
    assert_eq!(found, ["a-0", "a-1", "b.c-10"]);
    assert_eq!(dir.warnings().len(), 2);
    assert!(
        !disk
            .exists(Path::new("/data/x-0.0000000000000001-delete"))
            .unwrap()
    );
    assert!(disk.exists(Path::new("/data/y-0.1-future/f")).unwrap());
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
