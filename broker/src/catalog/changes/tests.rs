//! The changes between pictures, and what a broker that follows them ends up with.

use std::sync::Arc;

use uuid::Uuid;

use super::testing::Follower;
use super::*;
use crate::catalog::records::{
    ConfigRecord, PartitionRecord, Record, RemoveTopicRecord, TopicRecord,
};

fn topic(name: &str, id: u128) -> Record {
    TopicRecord {
        name: name.to_owned(),
        topic_id: Uuid::from_u128(id),
    }
    .into()
}

fn removed(id: u128) -> Record {
    RemoveTopicRecord {
        topic_id: Uuid::from_u128(id),
    }
    .into()
}

fn partition(id: u128, partition_id: i32) -> Record {
    let record = PartitionRecord {
        partition_id,
        topic_id: Uuid::from_u128(id),
        replicas: vec![1],
        isr: vec![1],
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: 1,
        leader_recovery_state: 0,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: Vec::new(),
        eligible_leader_replicas: None,
        last_known_elr: None,
    };
    record.into()
}

fn config(resource_type: i8, resource: &str, value: Option<&str>) -> Record {
    let record = ConfigRecord {
        resource_type,
        resource_name: resource.to_owned(),
        name: "x".to_owned(),
        value: value.map(String::from),
    };
    record.into()
}

fn after(before: &CatalogImage, records: Vec<Record>) -> CatalogImage {
    let mut image = before.clone();
    for record in records {
        let offset = image.offset().plus(1);
        image.apply(offset, record);
    }
    image
}

/// Checks the changes that some records cause, on topics `a` (1, one partition) and `b` (2).
#[track_caller]
fn check(records: Vec<Record>, expected: &[&str]) {
    let start = vec![
        topic("a", 1),
        partition(1, 0),
        topic("b", 2),
        partition(2, 0),
    ];
    let before = after(&CatalogImage::default(), start);
    let now = after(&before, records);
    let told: Vec<String> = changes(&before, &now).iter().map(tell).collect();
    assert_eq!(told, expected);
    let mut follower = Follower::default();
    follower.follow(&Arc::new(before));
    follower.follow(&Arc::new(now));
}

fn tell(change: &Change) -> String {
    let topic = |topic: &Topic| format!("{} {}", topic.name, topic.id.as_u128());
    match change {
        Change::TopicDeleted(gone) => format!("deleted {}", topic(gone)),
        Change::TopicCreated(new) => format!("created {}", topic(new)),
        Change::PartitionsAdded {
            topic: wider,
            added,
        } => {
            let added: Vec<i32> = added.iter().map(|index| index.0).collect();
            format!("added {added:?} to {}", topic(wider))
        }
        Change::TopicConfigChanged(changed) => format!("config of {}", topic(changed)),
        Change::BrokerConfigChanged { name } => format!("config of broker {name:?}"),
    }
}

#[test]
fn each_kind_of_change_is_told() {
    check(vec![], &[]);
    check(vec![topic("c", 3), partition(3, 0)], &["created c 3"]);
    check(vec![removed(1)], &["deleted a 1"]);
    check(
        vec![partition(1, 1), partition(1, 2)],
        &["added [1, 2] to a 1"],
    );
    check(vec![config(2, "b", Some("1"))], &["config of b 2"]);
    check(vec![config(4, "", Some("1"))], &["config of broker \"\""]);
    check(
        vec![config(4, "1", Some("1")), config(4, "", Some("1"))],
        &["config of broker \"\"", "config of broker \"1\""],
    );
}

#[test]
fn rule_27_a_topic_created_again_is_deleted_first() {
    let again = vec![removed(2), topic("b", 3), partition(3, 0)];
    check(again, &["deleted b 2", "created b 3"]);
    let moved = vec![removed(2), topic("0", 3), removed(1), topic("b", 4)];
    check(
        moved,
        &["deleted a 1", "deleted b 2", "created 0 3", "created b 4"],
    );
}

#[test]
fn what_comes_and_goes_between_is_not_told() {
    check(vec![topic("c", 3), removed(3)], &[]);
    check(vec![config(2, "a", Some("1")), config(2, "a", None)], &[]);
    check(vec![config(4, "", Some("1")), config(4, "", None)], &[]);
}

#[test]
fn a_topic_can_change_in_two_ways() {
    check(
        vec![config(2, "a", Some("1")), partition(1, 1)],
        &["added [1] to a 1", "config of a 1"],
    );
    // What a new topic comes with is told by its creation alone.
    check(
        vec![topic("c", 3), config(2, "c", Some("1")), partition(3, 0)],
        &["created c 3"],
    );
}
