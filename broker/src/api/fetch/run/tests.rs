//! What is said of a partition before it is read, without a broker around it.

use std::path::Path;

use super::*;
use crate::config::{BrokerConfig, TopicConfig};
use crate::environment::{Disk, MemoryDisk};
use crate::partition::{Acks, Flusher, PartitionParts, PartitionSettings, ValidBatch};
use crate::storage::testing::{Shape, dir, now};
use crate::storage::{Log, LogConfig, LogStart};
use crate::types::TopicPartition;

const ID: Uuid = Uuid::from_u128(500);

/// A partition that is led in `epoch`, over the log of the one that was led before it.
fn led(disk: &MemoryDisk, log: Log, epoch: i32) -> Arc<Partition> {
    let broker = BrokerConfig::default();
    let topic = TopicConfig::resolve(&broker, &std::collections::BTreeMap::new());
    let parts = PartitionParts {
        name: TopicPartition::new("t", 0),
        topic_id: ID,
        epoch: LeaderEpoch(epoch),
        durable_acks: false,
        settings: PartitionSettings::new(&topic, &broker),
        disk: Arc::new(disk.clone()),
        flusher: Arc::new(Flusher::default()),
    };
    Partition::new(parts, log)
}

/// Two records each of the epochs 0, 2 and 5.
fn led_three_times() -> Arc<Partition> {
    let disk = MemoryDisk::new();
    disk.create_dir_all(Path::new("/data")).unwrap();
    let (mut log, _) = Log::open(
        Arc::new(disk.clone()),
        &dir(),
        None,
        LogConfig::default(),
        LogStart::default(),
        now(0),
    )
    .unwrap();
    for epoch in [0, 2, 5] {
        log.begin_epoch(LeaderEpoch(epoch));
        let partition = led(&disk, log, epoch);
        let (header, bytes) = Shape::of(2, 1_000).build();
        let batch = ValidBatch { header, bytes };
        partition.append(&batch, Acks::Leader, now(1)).unwrap();
        log = partition.retire().unwrap();
    }
    led(&disk, log, 5)
}

/// Error, or where the consumer's log diverged from this one.
fn check(offset: i64, current: i32, last: i32) -> Result<Option<(i32, i64)>, ErrorCode> {
    let partition = led_three_times();
    let target = Target {
        wanted: Wanted {
            offset,
            max_bytes: 100,
            current_leader_epoch: current,
            last_fetched_epoch: last,
        },
        partition: Ok(Arc::clone(&partition)),
    };
    let checked = target.precheck(&partition, 12);
    checked
        .map(|checked| checked.diverging.map(|(epoch, end)| (epoch.0, end.0)))
        .map_err(|error| error.code)
}

#[test]
fn rule_25_a_log_diverges_where_its_last_epoch_ended_or_never_was() {
    for (offset, last, expected) in [
        (0, -1, None),
        (2, 0, None),
        (4, 2, None),
        (6, 5, None),
        (3, 0, Some((0, 2))),
        (5, 2, Some((2, 4))),
        (9, 5, Some((5, 6))),
        // Epochs between those of the log: the one below ended earlier, however early the offset.
        (0, 1, Some((0, 2))),
        (2, 1, Some((0, 2))),
        (4, 3, Some((2, 4))),
        (4, 4, Some((2, 4))),
    ] {
        let story = format!("offset {offset} after epoch {last}");
        assert_eq!(check(offset, -1, last), Ok(expected), "{story}");
    }
    assert_eq!(check(6, -1, 6), Err(ErrorCode::OffsetOutOfRange));
}

#[test]
fn rule_20_rule_26_epochs_are_compared_before_offsets() {
    let fenced = Err(ErrorCode::FencedLeaderEpoch);
    let unknown = Err(ErrorCode::UnknownLeaderEpoch);
    let out_of_range = Err(ErrorCode::OffsetOutOfRange);
    for (offset, current, expected) in [
        (0, 5, Ok(None)),
        (6, 5, Ok(None)),
        (7, 5, out_of_range),
        (-1, 5, out_of_range),
        (0, 4, fenced),
        (7, 4, fenced),
        (0, 6, unknown),
        (7, 6, unknown),
    ] {
        let story = format!("offset {offset} in epoch {current}");
        assert_eq!(check(offset, current, -1), expected, "{story}");
    }
}

#[test]
fn rule_27_a_log_of_another_topic_is_inconsistent() {
    let partition = led_three_times();
    assert!(Target::of_topic(Arc::clone(&partition), ID).is_ok());
    let other = Target::of_topic(partition, Uuid::from_u128(501));
    assert_eq!(other.err(), Some(ErrorCode::InconsistentTopicId));
}
