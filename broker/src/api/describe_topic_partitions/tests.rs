use kafka_protocol::messages::describe_topic_partitions_request::{
    Cursor as AskedCursor, TopicRequest,
};

use super::*;
use crate::api::testing::{catalog, each_version, encodes};

/// What a test shows of an answer: topics with error and partitions, and the cursor.
type Page = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

fn ask(topics: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
    let topics = topics
        .iter()
        .map(|name| TopicRequest::default().with_name(topic_name_of(name)));
    let cursor = cursor.map(|(name, index)| {
        AskedCursor::default()
            .with_topic_name(topic_name_of(name))
            .with_partition_index(index)
    });
    DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor)
}

fn answer(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let catalog = catalog(&[("c", 3, &[]), ("a", 2, &[]), ("__consumer_offsets", 1, &[])]);
    let response = respond(&catalog, 1, request);
    encodes(75, 0, &response);
    response
}

fn page_of(response: &DescribeTopicPartitionsResponse) -> Page {
    let topics = response.topics.iter().map(|topic| {
        let name = topic
            .name
            .as_ref()
            .map(|name| name.to_string())
            .unwrap_or_default();
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| partition.partition_index);
        (name, topic.error_code, partitions.collect())
    });
    let cursor = response.next_cursor.as_ref();
    let cursor = cursor.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index));
    (topics.collect(), cursor)
}

#[track_caller]
fn check(
    request: &DescribeTopicPartitionsRequest,
    topics: &[(&str, i16, &[i32])],
    cursor: Option<(&str, i32)>,
) {
    let topics = topics
        .iter()
        .map(|(name, code, partitions)| ((*name).to_owned(), *code, partitions.to_vec()));
    let expected = (
        topics.collect(),
        cursor.map(|(name, index)| (name.to_owned(), index)),
    );
    assert_eq!(page_of(&answer(request)), expected);
}

const OFFSETS: (&str, i16, &[i32]) = ("__consumer_offsets", 0, &[0]);

#[test]
fn topics_come_sorted_and_once() {
    check(
        &ask(&[], 100, None),
        &[OFFSETS, ("a", 0, &[0, 1]), ("c", 0, &[0, 1, 2])],
        None,
    );
    check(
        &ask(&["c", "a", "c"], 100, None),
        &[("a", 0, &[0, 1]), ("c", 0, &[0, 1, 2])],
        None,
    );
}

#[test]
fn a_page_ends_after_so_many_partitions() {
    check(
        &ask(&[], 2, None),
        &[OFFSETS, ("a", 0, &[0])],
        Some(("a", 1)),
    );
    check(
        &ask(&[], 3, None),
        &[OFFSETS, ("a", 0, &[0, 1])],
        Some(("c", 0)),
    );
    check(
        &ask(&[], 6, None),
        &[OFFSETS, ("a", 0, &[0, 1]), ("c", 0, &[0, 1, 2])],
        None,
    );
    for least in [0, -5, i32::MIN] {
        check(&ask(&[], least, None), &[OFFSETS], Some(("a", 0)));
    }
    // The cursor of a page that is full may name a topic that does not exist.
    check(
        &ask(&["a", "b"], 2, None),
        &[("a", 0, &[0, 1])],
        Some(("b", 0)),
    );
}

#[test]
fn a_cursor_goes_on_where_the_page_ended() {
    check(
        &ask(&[], 2, Some(("a", 1))),
        &[("a", 0, &[1]), ("c", 0, &[0])],
        Some(("c", 1)),
    );
    check(
        &ask(&["a", "c"], 9, Some(("c", 1))),
        &[("c", 0, &[1, 2])],
        None,
    );
    // Past the end of the topic, and at a topic that has gone since.
    check(
        &ask(&[], 9, Some(("a", 7))),
        &[("a", 0, &[]), ("c", 0, &[0, 1, 2])],
        None,
    );
    check(&ask(&[], 9, Some(("b", 1))), &[("c", 0, &[0, 1, 2])], None);
    check(&ask(&["a", "b"], 9, Some(("b", 1))), &[("b", 3, &[])], None);
    check(
        &ask(&[], 9, Some(("a", i32::MAX))),
        &[("a", 0, &[]), ("c", 0, &[0, 1, 2])],
        None,
    );
}

#[test]
fn pages_together_are_everything() {
    for limit in 1..8 {
        let mut cursor = None;
        let mut seen = Vec::new();
        loop {
            let asked = cursor
                .as_ref()
                .map(|(name, index): &(String, i32)| (name.as_str(), *index));
            let (topics, next) = page_of(&answer(&ask(&[], limit, asked)));
            let partitions = topics.into_iter().flat_map(|(name, _, partitions)| {
                partitions
                    .into_iter()
                    .map(move |index| (name.clone(), index))
            });
            seen.extend(partitions);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        let names: Vec<_> = seen
            .iter()
            .map(|(name, index)| (name.as_str(), *index))
            .collect();
        let all = [
            ("__consumer_offsets", 0),
            ("a", 0),
            ("a", 1),
            ("c", 0),
            ("c", 1),
            ("c", 2),
        ];
        assert_eq!(names, all, "pages of {limit}");
    }
}

#[test]
fn no_answer_has_more_partitions_than_the_broker_allows() {
    let catalog = catalog(&[("wide", MAX_PARTITIONS + 1, &[])]);
    let response = respond(&catalog, 1, &ask(&[], i32::MAX, None));
    let counts: Vec<_> = response
        .topics
        .iter()
        .map(|topic| topic.partitions.len())
        .collect();
    assert_eq!(counts, [2000]);
    let cursor = response.next_cursor.map(|cursor| cursor.partition_index);
    assert_eq!(cursor, Some(2000));
}

#[test]
fn unknown_and_invalid_topics_have_errors() {
    check(
        &ask(&["b", "a b", ""], 9, None),
        &[("", 17, &[]), ("a b", 17, &[]), ("b", 3, &[])],
        None,
    );
    let response = answer(&ask(&["__transaction_state"], 9, None));
    let [topic] = response.topics.as_slice() else {
        panic!("one topic")
    };
    assert!(topic.is_internal && topic.topic_id.is_nil());
}

#[test]
fn a_cursor_without_sense_is_refused() {
    check(
        &ask(&["a", "b"], 9, Some(("c", 0))),
        &[("a", 42, &[]), ("b", 42, &[])],
        None,
    );
    check(&ask(&["a"], 9, Some(("a", -1))), &[("a", 42, &[])], None);
    check(&ask(&[], 9, Some(("a", -1))), &[("a", 42, &[])], None);
}

#[test]
fn every_version_tells_all_about_a_partition() {
    for (version, read) in each_version(75, |_| answer(&ask(&[], 1, None))) {
        let [topic] = read.topics.as_slice() else {
            panic!("one topic in {version}")
        };
        assert!(topic.is_internal);
        assert_eq!(topic.topic_id.as_u128(), 502);
        // READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS.
        assert_eq!(topic.topic_authorized_operations, 0b1101_1111_1000);
        let [partition] = topic.partitions.as_slice() else {
            panic!("one partition")
        };
        let node = vec![BrokerId(1)];
        assert_eq!(
            (partition.leader_id, partition.leader_epoch),
            (BrokerId(1), 0)
        );
        assert_eq!(
            (&partition.replica_nodes, &partition.isr_nodes),
            (&node, &node)
        );
        assert!(partition.offline_replicas.is_empty());
        assert_eq!(partition.eligible_leader_replicas, Some(Vec::new()));
        assert_eq!(partition.last_known_elr, Some(Vec::new()));
    }
}

#[test]
fn replicas_on_nodes_that_are_not_here_are_offline() {
    let partition = Partition {
        leader: 2,
        leader_epoch: crate::types::LeaderEpoch(4),
        partition_epoch: 9,
        replicas: [1, 2].as_slice().into(),
        isr: [2].as_slice().into(),
        directories: Default::default(),
    };
    let told = describe(1, 0, &partition);
    assert_eq!((told.leader_id, told.leader_epoch), (BrokerId(-1), 4));
    assert_eq!(told.offline_replicas, [BrokerId(2)]);
    assert_eq!(told.isr_nodes, [BrokerId(2)]);
}
