use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

use super::super::group_call::testing::{codes, sent, versions};
use super::*;
use crate::coordinator::group::{self, CommittedTopic};

/// The versions that the handler speaks, whether or not the registry serves them all yet.
const VERSIONS: std::ops::RangeInclusive<i16> = 2..=10;

const KNOWN_ID: Uuid = Uuid::from_u128(1);
const OTHER_ID: Uuid = Uuid::from_u128(2);

fn name(name: &'static str) -> TopicName {
    StrBytes::from_static_str(name).into()
}

/// Topic `known` has the partitions 0 and 1, and that is all there is.
fn exists(topic: &str, partition: i32) -> bool {
    topic == "known" && (0..2).contains(&partition)
}

fn name_of(id: Uuid) -> Option<TopicName> {
    (id == KNOWN_ID).then(|| name("known"))
}

/// As a client of the version names it.
fn asked(
    version: i16,
    topic: &'static str,
    id: Uuid,
    partitions: &[i32],
) -> OffsetCommitRequestTopic {
    let partitions = partitions.iter().map(|partition| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(100 + i64::from(*partition))
            .with_committed_leader_epoch(5)
            .with_committed_metadata(Some(StrBytes::from_static_str("note")))
    });
    let asked = OffsetCommitRequestTopic::default().with_partitions(partitions.collect());
    if version >= 10 {
        asked.with_topic_id(id)
    } else {
        asked.with_name(name(topic))
    }
}

/// A request with good and bad partitions, mixed.
fn mixed(version: i16) -> (Vec<Topic>, Vec<CommitTopic>) {
    let asked = vec![
        asked(version, "known", KNOWN_ID, &[7, 1]),
        asked(version, "other", OTHER_ID, &[0]),
        asked(version, "known", KNOWN_ID, &[0, -1]),
    ];
    sort_out(version, asked, name_of, exists)
}

fn committed(errors: &[&[(i32, group::ErrorCode)]]) -> Outcome {
    let topic = |partitions: &&[(i32, group::ErrorCode)]| CommittedTopic {
        topic: "known".into(),
        topic_id: Uuid::nil(),
        partitions: partitions.to_vec(),
    };
    Ok(Reply::CommitOffsets(errors.iter().map(topic).collect()))
}

#[test]
fn the_coordinator_is_asked_about_what_exists() {
    for version in VERSIONS {
        let (_, commits) = mixed(version);
        let expected = |partition: i32| CommitTopic {
            topic: "known".into(),
            topic_id: if version >= 10 { KNOWN_ID } else { Uuid::nil() },
            partitions: vec![CommitPartition {
                partition,
                offset: 100 + i64::from(partition),
                leader_epoch: 5,
                metadata: Some("note".into()),
            }],
        };
        assert_eq!(commits, [expected(1), expected(0)], "version {version}");
    }
}

#[test]
fn every_partition_has_its_own_error_in_the_order_of_the_request() {
    for version in VERSIONS {
        let (topics, _) = mixed(version);
        let outcome = committed(&[
            &[(1, group::ErrorCode::OffsetMetadataTooLarge)],
            &[(0, group::ErrorCode::None)],
        ]);
        let read = sent(version, &respond(topics, outcome));
        let unknown_topic = if version >= 10 { 100 } else { 3 };
        assert_eq!(
            codes(&read),
            [3, 12, unknown_topic, 0, 3],
            "version {version}"
        );
        let partitions = read.topics.iter().flat_map(|topic| &topic.partitions);
        let numbers: Vec<_> = partitions
            .map(|partition| partition.partition_index)
            .collect();
        assert_eq!(numbers, [7, 1, 0, 0, -1]);
        let (first, id) = (&read.topics[0].name, read.topics[1].topic_id);
        assert_eq!(first.as_str(), if version >= 10 { "" } else { "known" });
        assert_eq!(id, if version >= 10 { OTHER_ID } else { Uuid::nil() });
    }
}

#[test]
fn rule_47_an_error_of_the_whole_group_is_that_of_every_partition_that_exists() {
    for version in VERSIONS {
        let (topics, _) = mixed(version);
        let read = sent(version, &respond(topics, Err(ErrorCode::NotCoordinator)));
        let unknown_topic = if version >= 10 { 100 } else { 3 };
        assert_eq!(
            codes(&read),
            [3, 16, unknown_topic, 16, 3],
            "version {version}"
        );
    }
}

#[test]
fn an_answer_that_is_too_short_is_no_success() {
    let (topics, _) = mixed(2);
    assert_eq!(codes(&respond(topics, committed(&[]))), [3, -1, 3, -1, 3]);
}

#[test]
fn rule_47_the_metadata_and_the_membership_reach_the_coordinator() {
    for version in VERSIONS {
        let request = OffsetCommitRequest::default()
            .with_group_id(StrBytes::from_static_str("group").into())
            .with_generation_id_or_member_epoch(3)
            .with_member_id(StrBytes::from_static_str("m"))
            .with_group_instance_id(Some(StrBytes::from_static_str("i")))
            .with_retention_time_ms(60_000);
        let (_, topics) = mixed(version);
        let expected = CommitOffsets {
            group_id: "group".into(),
            generation_id: 3,
            member_id: "m".into(),
            group_instance_id: Some("i".into()),
            retention_time_ms: if version <= 4 { 60_000 } else { -1 },
            expects_group_id_not_found: version >= 9,
            topics: topics.clone(),
        };
        assert_eq!(
            command(version, &request, topics),
            Command::CommitOffsets(expected)
        );
    }
}

#[test]
fn the_handler_speaks_every_version_that_is_served() {
    assert!(versions(ApiKey::OffsetCommit).all(|version| VERSIONS.contains(&version)));
}
