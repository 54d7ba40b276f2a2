//! How single records change the picture.

use super::*;
use crate::catalog::records::{
    BrokerRegistrationChangeRecord, ConfigRecord, PartitionChangeRecord, PartitionRecord, Record,
    RemoveTopicRecord, TopicRecord,
};

const ID: Uuid = Uuid::from_u128(50);

fn topic(name: &str, topic_id: Uuid) -> Record {
    TopicRecord {
        name: name.to_owned(),
        topic_id,
    }
    .into()
}

fn partition(topic_id: Uuid, partition_id: i32) -> Record {
    let record = PartitionRecord {
        partition_id,
        topic_id,
        replicas: vec![1, 2],
        isr: vec![1],
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: 1,
        leader_recovery_state: 0,
        leader_epoch: 4,
        partition_epoch: 6,
        directories: vec![Uuid::from_u128(60)],
        eligible_leader_replicas: None,
        last_known_elr: None,
    };
    record.into()
}

fn image(records: impl IntoIterator<Item = Record>) -> CatalogImage {
    let mut image = CatalogImage::default();
    for (offset, record) in records.into_iter().enumerate() {
        image.apply(Offset(offset as i64), record);
    }
    image
}

#[test]
fn topics_are_sorted_by_name() {
    let image = image([
        topic("b", ID),
        topic("a", Uuid::from_u128(51)),
        topic("C", Uuid::max()),
    ]);
    let names: Vec<&str> = image.topics().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["C", "a", "b"]);
    assert_eq!(image.topics().len(), 3);
    assert_eq!(image.offset(), Offset(2));
}

#[test]
fn rule_31_the_leader_epoch_rises_only_when_a_leader_is_named() {
    let check = |change: PartitionChangeRecord, leader: i32, leader_epoch: i32| {
        let image = image([topic("t", ID), partition(ID, 0), change.into()]);
        let partition = image.partition("t", PartitionIndex(0)).expect("it exists");
        assert_eq!(
            (partition.leader, partition.leader_epoch.0),
            (leader, leader_epoch)
        );
        assert_eq!(partition.partition_epoch, 7);
    };
    let unchanged = PartitionChangeRecord::unchanged(ID, 0);
    check(unchanged.clone(), 1, 4);
    check(
        PartitionChangeRecord {
            isr: Some(vec![2]),
            ..unchanged.clone()
        },
        1,
        4,
    );
    check(
        PartitionChangeRecord {
            leader: 1,
            ..unchanged.clone()
        },
        1,
        5,
    );
    check(
        PartitionChangeRecord {
            leader: 2,
            ..unchanged.clone()
        },
        2,
        5,
    );
    check(
        PartitionChangeRecord {
            leader: -1,
            ..unchanged
        },
        -1,
        5,
    );
}

#[test]
fn a_change_of_a_partition_leaves_the_rest() {
    let change = PartitionChangeRecord {
        isr: Some(vec![2, 1]),
        replicas: Some(vec![2, 1]),
        directories: Some(vec![Uuid::from_u128(61), Uuid::from_u128(60)]),
        ..PartitionChangeRecord::unchanged(ID, 0)
    };
    let image = image([
        topic("t", ID),
        partition(ID, 0),
        partition(ID, 1),
        change.into(),
    ]);
    let changed = image.partition("t", PartitionIndex(0)).expect("it exists");
    assert_eq!(changed.isr.as_slice(), [2, 1]);
    assert_eq!(changed.replicas.as_slice(), [2, 1]);
    assert_eq!(changed.directories.len(), 2);
    let other = image.partition("t", PartitionIndex(1)).expect("it exists");
    assert_eq!(
        (other.isr.as_slice(), other.replicas.as_slice()),
        (&[1][..], &[1, 2][..])
    );
    assert_eq!(other.partition_epoch, 6);
}

#[test]
fn records_that_make_no_sense_are_passed_over() {
    let start = || vec![topic("t", ID), partition(ID, 0)];
    let before = image(start());
    let unknown = Uuid::from_u128(99);
    let config = |resource_type, resource_name: &str| ConfigRecord {
        resource_type,
        resource_name: resource_name.to_owned(),
        name: "x".to_owned(),
        value: Some("1".to_owned()),
    };
    for record in [
        topic("t", unknown),
        topic("other", ID),
        partition(unknown, 0),
        PartitionChangeRecord::unchanged(unknown, 0).into(),
        PartitionChangeRecord::unchanged(ID, 7).into(),
        RemoveTopicRecord { topic_id: unknown }.into(),
        config(2, "missing").into(),
        config(16, "t").into(),
        BrokerRegistrationChangeRecord {
            broker_id: 9,
            broker_epoch: 0,
            fenced: 1,
            in_controlled_shutdown: 0,
            log_dirs: Vec::new(),
        }
        .into(),
    ] {
        let mut after = image(start());
        after.apply(before.offset(), record.clone());
        assert_eq!(after, before, "{record:?}");
    }
}

#[test]
fn a_registration_changes_bit_by_bit() {
    let registered = RegisterBrokerRecord {
        broker_id: 1,
        is_migrating_zk_broker: false,
        incarnation_id: ID,
        broker_epoch: 5,
        end_points: Vec::new(),
        features: Vec::new(),
        rack: None,
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
    };
    let check = |change: BrokerRegistrationChangeRecord, expected: RegisterBrokerRecord| {
        let image = image([registered.clone().into(), change.into()]);
        assert_eq!(image.broker(1).map(|broker| &**broker), Some(&expected));
    };
    let change = BrokerRegistrationChangeRecord {
        broker_id: 1,
        broker_epoch: 5,
        fenced: 0,
        in_controlled_shutdown: 0,
        log_dirs: Vec::new(),
    };
    check(change.clone(), registered.clone());
    let unfenced = RegisterBrokerRecord {
        fenced: false,
        ..registered.clone()
    };
    check(
        BrokerRegistrationChangeRecord {
            fenced: -1,
            ..change.clone()
        },
        unfenced,
    );
    check(
        BrokerRegistrationChangeRecord {
            fenced: 1,
            ..change.clone()
        },
        registered.clone(),
    );
    let stopping = RegisterBrokerRecord {
        in_controlled_shutdown: true,
        ..registered.clone()
    };
    let stop = BrokerRegistrationChangeRecord {
        in_controlled_shutdown: 1,
        ..change.clone()
    };
    check(stop.clone(), stopping);
    let moved = RegisterBrokerRecord {
        log_dirs: vec![ID],
        ..registered.clone()
    };
    check(
        BrokerRegistrationChangeRecord {
            log_dirs: vec![ID],
            ..change.clone()
        },
        moved,
    );
    // What was meant for an earlier run is passed over.
    check(
        BrokerRegistrationChangeRecord {
            broker_epoch: 4,
            ..stop
        },
        registered.clone(),
    );
}

#[test]
fn topics_that_did_not_change_are_shared() {
    let first = image([
        topic("a", ID),
        partition(ID, 0),
        topic("b", Uuid::from_u128(51)),
    ]);
    let mut second = first.clone();
    second.apply(Offset(3), partition(ID, 1));
    let shared = |name: &str| match (first.topic(name), second.topic(name)) {
        (Some(first), Some(second)) => Arc::ptr_eq(first, second),
        _ => false,
    };
    assert!(shared("b"));
    assert!(!shared("a"));
    assert_eq!(
        first.topic("a").map(|topic| topic.partitions.len()),
        Some(1)
    );
    assert_eq!(
        second.topic("a").map(|topic| topic.partitions.len()),
        Some(2)
    );
}
