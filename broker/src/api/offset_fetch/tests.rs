use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};

use super::super::group_call::testing::{codes, sent, versions};
use super::*;
use crate::coordinator::group;

/// The versions that the handler speaks, whether or not the registry serves them all yet.
const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;

const KNOWN_ID: Uuid = Uuid::from_u128(1);
const OTHER_ID: Uuid = Uuid::from_u128(2);

fn group_id(name: &'static str) -> GroupId {
    StrBytes::from_static_str(name).into()
}

fn name_of(id: Uuid) -> Option<Arc<str>> {
    (id == KNOWN_ID).then(|| "known".into())
}

fn id_of(topic: &str) -> Option<Uuid> {
    (topic == "known").then_some(KNOWN_ID)
}

/// A request as a client of the version makes it; `None` asks for everything.
fn request(
    version: i16,
    groups: &[&'static str],
    partitions: Option<&[i32]>,
) -> OffsetFetchRequest {
    let known = StrBytes::from_static_str("known");
    if version < 8 {
        let topics = partitions.map(|partitions| {
            let topic = OffsetFetchRequestTopic::default().with_name(known.into());
            vec![topic.with_partition_indexes(partitions.to_vec())]
        });
        return OffsetFetchRequest::default()
            .with_group_id(group_id(groups[0]))
            .with_topics(topics);
    }
    let topic = |partitions: &[i32]| {
        let topic = OffsetFetchRequestTopics::default().with_partition_indexes(partitions.to_vec());
        if version < 10 {
            topic.with_name(known.clone().into())
        } else {
            topic.with_topic_id(KNOWN_ID)
        }
    };
    let groups = groups.iter().map(|name| {
        let topics = partitions.map(|partitions| vec![topic(partitions)]);
        OffsetFetchRequestGroup::default()
            .with_group_id(group_id(name))
            .with_topics(topics)
    });
    OffsetFetchRequest::default().with_groups(groups.collect())
}

fn fetched(topic: &str, topic_id: Uuid, partitions: &[i32]) -> FetchedTopic {
    let partitions = partitions.iter().map(|partition| FetchedPartition {
        partition: *partition,
        offset: 42,
        leader_epoch: 5,
        metadata: "note".into(),
        error: group::ErrorCode::None,
    });
    FetchedTopic {
        topic: topic.into(),
        topic_id,
        partitions: partitions.collect(),
    }
}

#[test]
fn every_version_asks_the_coordinator_the_same() {
    for version in VERSIONS {
        let asked = asked_groups(version, request(version, &["g"], Some(&[1, 0])), name_of);
        let topic = FetchTopic {
            topic: "known".into(),
            topic_id: if version >= 10 { KNOWN_ID } else { Uuid::nil() },
            partitions: vec![1, 0],
        };
        let expected = FetchOffsets {
            group_id: "g".into(),
            topics: Some(vec![topic]),
        };
        let commands: Vec<_> = asked.iter().map(command).collect();
        assert_eq!(
            commands,
            [Command::FetchOffsets(expected)],
            "version {version}"
        );
    }
}

#[test]
fn null_topics_ask_for_everything() {
    for version in VERSIONS.filter(|version| *version >= 2) {
        let asked = asked_groups(version, request(version, &["g"], None), name_of);
        let expected = FetchOffsets {
            group_id: "g".into(),
            topics: None,
        };
        assert_eq!(command(&asked[0]), Command::FetchOffsets(expected));
    }
}

#[test]
fn rule_47_offset_epoch_and_metadata_come_back_in_every_version() {
    for version in VERSIONS {
        let asked = asked_groups(version, request(version, &["g"], Some(&[1])), name_of);
        let topic_id = if version >= 10 { KNOWN_ID } else { Uuid::nil() };
        let reply = Reply::FetchOffsets(vec![fetched("known", topic_id, &[1])]);
        let read = sent(version, &respond(version, asked, vec![Ok(reply)], id_of));
        let (offset, epoch, metadata) = if version < 8 {
            assert_eq!(read.topics[0].name.as_str(), "known");
            let partition = &read.topics[0].partitions[0];
            (
                partition.committed_offset,
                partition.committed_leader_epoch,
                &partition.metadata,
            )
        } else {
            let topic = &read.groups[0].topics[0];
            assert_eq!(topic.name.as_str(), if version < 10 { "known" } else { "" });
            assert_eq!(topic.topic_id, topic_id);
            let partition = &topic.partitions[0];
            (
                partition.committed_offset,
                partition.committed_leader_epoch,
                &partition.metadata,
            )
        };
        let expected_epoch = if version >= 5 { 5 } else { -1 };
        assert_eq!(
            (offset, epoch, metadata.as_deref()),
            (42, expected_epoch, Some("note"))
        );
    }
}

#[test]
fn the_error_of_a_group_is_where_the_version_has_a_place_for_it() {
    for version in VERSIONS {
        for error in [
            ErrorCode::NotCoordinator,
            ErrorCode::CoordinatorNotAvailable,
        ] {
            let asked = asked_groups(version, request(version, &["g"], Some(&[0, 1])), name_of);
            let read = sent(version, &respond(version, asked, vec![Err(error)], id_of));
            let expected: &[i16] = match version {
                1 => &[0, 16, 16],
                2..=7 => &[16],
                _ => &[0, 16],
            };
            assert_eq!(codes(&read), expected, "version {version}");
        }
    }
}

#[test]
fn several_groups_are_answered_one_by_one() {
    for version in VERSIONS.filter(|version| *version >= 8) {
        let asked = asked_groups(version, request(version, &["a", "b"], Some(&[0])), name_of);
        let reply = Reply::FetchOffsets(vec![fetched("known", KNOWN_ID, &[0])]);
        let outcomes = vec![Err(ErrorCode::NotCoordinator), Ok(reply)];
        let read = sent(version, &respond(version, asked, outcomes, id_of));
        let groups = read
            .groups
            .iter()
            .map(|group| (group.group_id.as_str(), group.error_code));
        assert_eq!(groups.collect::<Vec<_>>(), [("a", 16), ("b", 0)]);
        assert_eq!(
            (read.groups[0].topics.len(), read.groups[1].topics.len()),
            (0, 1)
        );
    }
}

#[test]
fn an_unknown_topic_id_is_an_error_of_each_of_its_partitions() {
    let unknown = OffsetFetchRequestTopics::default()
        .with_topic_id(OTHER_ID)
        .with_partition_indexes(vec![3, 4]);
    let mut request = request(10, &["g"], Some(&[0]));
    request.groups[0]
        .topics
        .as_mut()
        .expect("topics")
        .insert(0, unknown);
    let asked = asked_groups(10, request, name_of);
    assert_eq!(asked[0].unknown, [(OTHER_ID, vec![3, 4])]);
    let reply = Reply::FetchOffsets(vec![fetched("known", KNOWN_ID, &[0])]);
    let read = sent(10, &respond(10, asked, vec![Ok(reply)], id_of));
    let topics = &read.groups[0].topics;
    assert_eq!(
        (topics[0].topic_id, topics[1].topic_id),
        (KNOWN_ID, OTHER_ID)
    );
    assert_eq!(codes(&read), [0, 0, 0, 100, 100]);
    assert!(
        topics[1]
            .partitions
            .iter()
            .all(|partition| partition.committed_offset == -1)
    );
}

#[test]
fn ids_are_added_to_topics_that_were_not_named_and_topics_without_one_are_left_out() {
    let asked = asked_groups(10, request(10, &["g"], None), name_of);
    let gone = fetched("gone", Uuid::nil(), &[0]);
    let reply = Reply::FetchOffsets(vec![gone, fetched("known", Uuid::nil(), &[0])]);
    let read = sent(10, &respond(10, asked, vec![Ok(reply)], id_of));
    let ids: Vec<_> = read.groups[0]
        .topics
        .iter()
        .map(|topic| topic.topic_id)
        .collect();
    assert_eq!(ids, [KNOWN_ID]);
}

#[test]
fn the_handler_speaks_every_version_that_is_served() {
    assert!(versions(ApiKey::OffsetFetch).all(|version| VERSIONS.contains(&version)));
}
