use super::*;
use crate::catalog::machine::{MAX_PARTITIONS_PER_REQUEST, MAX_RECORDS_PER_COMMAND};
use crate::types::{LeaderEpoch, PartitionIndex};

/// A catalog with the topics `taken`, `a.b` and `x_y`.
fn catalog() -> Catalog {
    let mut catalog = Catalog::new();
    catalog.create(["taken", "a.b", "x_y"].map(new_topic).into());
    catalog
}

#[track_caller]
fn check(topic: NewTopic, code: ErrorCode, text: &str) {
    let mut catalog = catalog();
    let before = Arc::clone(catalog.image());
    let results = catalog.create(vec![topic.clone()]);
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].name, topic.name);
    assert_eq!(told(&results[0].result), Some((code, text)));
    assert_eq!(*catalog.image(), before, "a refused topic leaves no trace");
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignment = |(partition, brokers): &(i32, &[i32])| ReplicaAssignment {
        partition: *partition,
        brokers: brokers.to_vec(),
    };
    NewTopic {
        assignments: assignments.iter().map(assignment).collect(),
        ..new_topic(name)
    }
}

#[test]
fn rule_63_bad_names_are_refused() {
    let code = ErrorCode::InvalidTopicException;
    check(
        new_topic(""),
        code,
        "Topic name is invalid: the empty string is not allowed",
    );
    check(
        new_topic("."),
        code,
        "Topic name is invalid: '.' is not allowed",
    );
    check(
        new_topic(".."),
        code,
        "Topic name is invalid: '..' is not allowed",
    );
    let long = "n".repeat(250);
    let text = format!(
        "Topic name is invalid: the length of '{long}' is longer than the max allowed length 249"
    );
    check(new_topic(&long), code, &text);
    check(
        new_topic("a/b"),
        code,
        "Topic name is invalid: 'a/b' contains one or more characters other than ASCII \
         alphanumerics, '.', '_' and '-'",
    );
    Catalog::new().create_one(new_topic(&"n".repeat(249)));
}

#[test]
fn rule_63_names_that_collide_are_refused() {
    let code = ErrorCode::InvalidTopicException;
    check(
        new_topic("a_b"),
        code,
        "Topic 'a_b' collides with existing topic: a.b",
    );
    check(
        new_topic("x.y"),
        code,
        "Topic 'x.y' collides with existing topic: x_y",
    );
    // The name itself is no collision, but a topic that exists.
    check(
        new_topic("a.b"),
        ErrorCode::TopicAlreadyExists,
        "Topic 'a.b' already exists.",
    );
    // In one request the first wins.
    let results = catalog().create(vec![new_topic("n.m"), new_topic("n_m"), new_topic("n-m")]);
    let told: Vec<_> = results.iter().map(|result| told(&result.result)).collect();
    assert_eq!(
        told,
        [
            None,
            Some((code, "Topic 'n_m' collides with existing topic: n.m")),
            None
        ]
    );
    // A topic that is gone is in nobody's way.
    let mut catalog = catalog();
    catalog.delete(vec![by_name("a.b")]);
    catalog.create_one(new_topic("a_b"));
}

#[test]
fn refusals_have_kafkas_codes_and_texts() {
    check(
        new_topic("taken"),
        TopicAlreadyExists,
        "Topic 'taken' already exists.",
    );
    let text = "Number of partitions was set to an invalid non-positive value.";
    check(sized("t", 0), InvalidPartitions, text);
    check(sized("t", -2), InvalidPartitions, text);
    let replicated = |replication_factor| NewTopic {
        replication_factor,
        ..new_topic("t")
    };
    let text = "Replication factor must be larger than 0, or -1 to use the default value.";
    check(replicated(0), InvalidReplicationFactor, text);
    check(replicated(-2), InvalidReplicationFactor, text);
    check(
        replicated(3),
        InvalidReplicationFactor,
        "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot \
         be reached because only 1 broker(s) are registered.",
    );
    check(
        configured("t", &[("no.such.config", Some("1"))]),
        InvalidConfig,
        "Unknown topic config name: no.such.config",
    );
    check(
        configured(
            "t",
            &[
                ("retention.ms", None),
                ("segment.ms", Some("1")),
                ("b", None),
            ],
        ),
        InvalidConfig,
        "Null value not supported for topic configs: retention.ms,b",
    );
    let long = "x".repeat(32_768);
    check(
        configured("t", &[("cleanup.policy", Some(&long))]),
        InvalidConfig,
        "The configuration value cannot be added because it exceeds the maximum value size of \
         32767 bytes.",
    );
}

#[test]
fn bad_assignments_are_refused() {
    let both = NewTopic {
        replication_factor: 1,
        ..assigned("t", &[(0, &[1])])
    };
    check(
        both,
        InvalidRequest,
        "A manual partition assignment was specified, but replication factor was not set to -1.",
    );
    let both = NewTopic {
        num_partitions: 1,
        ..assigned("t", &[(0, &[1])])
    };
    check(
        both,
        InvalidRequest,
        "A manual partition assignment was specified, but numPartitions was not set to -1.",
    );
    let check = |assignments: &[(i32, &[i32])], text: &str| {
        check(assigned("t", assignments), InvalidReplicaAssignment, text);
    };
    check(
        &[(0, &[1]), (0, &[1])],
        "Found multiple manual partition assignments for partition 0",
    );
    check(
        &[(0, &[])],
        "The manual partition assignment includes an empty replica list.",
    );
    check(
        &[(0, &[7])],
        "The manual partition assignment includes broker 7, but no such broker is registered.",
    );
    check(
        &[(0, &[1, 1])],
        "The manual partition assignment includes the broker 1 more than once.",
    );
    let text = "partitions should be a consecutive 0-based integer sequence";
    check(&[(1, &[1])], text);
    check(&[(-1, &[1]), (0, &[1])], text);
    check(&[(0, &[1]), (2, &[1])], text);
}

#[test]
fn a_created_topic_is_told_and_seen() {
    let mut catalog = Catalog::new();
    let configs = [("retention.ms", Some("1")), ("retention.ms", Some("2000"))];
    let topic = NewTopic {
        num_partitions: 2,
        ..configured("orders", &configs)
    };
    let results = catalog.create(vec![topic]);
    let overrides = [("retention.ms".to_owned(), "2000".to_owned())].into();
    let topic = catalog.topic("orders");
    let created = results[0].result.as_ref().expect("it is legal");
    let expected = CreatedTopic {
        id: topic.id,
        num_partitions: 2,
        replication_factor: 1,
        configs: overrides,
    };
    assert_eq!(*created, expected);
    assert_eq!(*topic.configs, expected.configs);
    assert_eq!(
        Vec::from_iter(topic.partitions.keys().map(|index| index.0)),
        [0, 1]
    );
    assert_eq!(catalog.image().topic_by_id(topic.id), Some(topic));
    assert_eq!(catalog.image().partition_count(), 2);
    assert!(!topic.internal);
    let kinds: Vec<_> = catalog.log.iter().map(kind_of).collect();
    assert_eq!(
        kinds,
        [2, 4, 3, 3],
        "configs stand between the topic and its partitions"
    );
}

fn kind_of(record: &KeyValue) -> u8 {
    assert_eq!(record.key, None);
    record.value.as_ref().expect("a value")[1]
}

#[test]
fn assigned_partitions_are_created_in_any_order() {
    let mut catalog = Catalog::new();
    catalog.create_one(assigned("t", &[(1, &[NODE]), (0, &[NODE])]));
    assert_eq!(catalog.topic("t").partitions.len(), 2);
}

#[test]
fn rule_31_partitions_start_at_leader_epoch_0_and_a_restart_moves_nothing() {
    let mut catalog = Catalog::new();
    catalog.run(Command::RegisterBroker(registration()));
    catalog.create_one(sized("t", 2));
    let mut restarted = catalog.restarted();
    let next_run = Registration {
        incarnation_id: Uuid::from_u128(501),
        ..registration()
    };
    restarted.run(Command::RegisterBroker(next_run));
    for catalog in [&catalog, &restarted, &restarted.restarted()] {
        for partition in catalog.topic("t").partitions.values() {
            assert_eq!(partition.leader_epoch, LeaderEpoch(0));
            assert_eq!(partition.partition_epoch, 0);
            assert_eq!(partition.leader, NODE);
            assert_eq!(partition.replicas.as_slice(), [NODE]);
            assert_eq!(partition.isr.as_slice(), [NODE]);
            assert_eq!(partition.directories.as_slice(), [Uuid::from_u128(600)]);
        }
    }
}

#[test]
fn rule_64_a_topic_that_is_created_for_a_request_has_leaders_at_once() {
    let mut catalog = Catalog::new();
    catalog.create_one(new_topic("auto"));
    assert_eq!(
        catalog.topic("auto").partitions.len(),
        3,
        "the default number"
    );
    let first = catalog.image().partition("auto", PartitionIndex(0));
    assert_eq!(first.map(|partition| partition.leader), Some(NODE));
}

#[test]
fn internal_topics_are_marked() {
    let mut catalog = Catalog::new();
    catalog.create_one(new_topic("__consumer_offsets"));
    assert!(catalog.topic("__consumer_offsets").internal);
}

#[test]
fn each_topic_of_a_request_has_its_own_result() {
    let mut catalog = catalog();
    let names = [
        "new",
        "twice",
        "taken",
        "__cluster_metadata",
        "twice",
        "other",
        "twice",
    ];
    let results = catalog.create(names.map(new_topic).into());
    let told: Vec<_> = results
        .iter()
        .map(|result| (result.name.as_str(), told(&result.result)))
        .collect();
    let expected = [
        ("new", None),
        (
            "taken",
            Some((TopicAlreadyExists, "Topic 'taken' already exists.")),
        ),
        ("other", None),
        ("twice", Some((InvalidRequest, "Duplicate topic name."))),
        (
            "__cluster_metadata",
            Some((
                InvalidRequest,
                "Creation of internal topic __cluster_metadata is prohibited.",
            )),
        ),
    ];
    assert_eq!(told, expected);
    assert!(catalog.image().topic("new").is_some());
    assert!(catalog.image().topic("other").is_some());
    assert!(catalog.image().topic("twice").is_none());
}

#[test]
fn validate_only_tells_the_same_and_creates_nothing() {
    let mut catalog = catalog();
    let before = catalog.log.len();
    let topics = vec![sized("new", 4), new_topic("taken"), sized("bad", 0)];
    let validated = catalog.create_or_validate(topics.clone(), true);
    assert_eq!(catalog.log.len(), before);
    let created = catalog.create(topics);
    let codes = |results: &[CreateTopicResult]| -> Vec<_> {
        results
            .iter()
            .map(|result| told(&result.result).map(|told| told.0))
            .collect()
    };
    assert_eq!(codes(&validated), codes(&created));
    let num_partitions = validated[0]
        .result
        .as_ref()
        .map(|created| created.num_partitions);
    assert_eq!(num_partitions, Ok(4));
}

#[test]
fn a_request_for_too_much_is_refused_as_a_whole() {
    let check = |topics: Vec<NewTopic>, expected: Option<&str>| {
        let mut catalog = Catalog::new();
        let count = topics.len();
        let results = catalog.create(topics);
        assert_eq!(results.len(), count);
        let expected = expected.map(|text| (ErrorCode::PolicyViolation, text));
        assert!(
            results
                .iter()
                .all(|result| told(&result.result) == expected)
        );
        assert_eq!(catalog.log.is_empty(), expected.is_some());
    };
    let most = MAX_PARTITIONS_PER_REQUEST as i32;
    let too_many = "Excessively large number of partitions per request.";
    check(vec![sized("a", most + 1)], Some(too_many));
    check(
        vec![sized("a", i32::MAX), sized("b", i32::MAX)],
        Some(too_many),
    );
    check(
        vec![sized("a", most / 2), sized("b", most / 2 + 1)],
        Some(too_many),
    );
    // With the record of the topic itself it is one record too many.
    let too_long = "Unable to perform excessively large batch operation.";
    check(
        vec![sized("a", MAX_RECORDS_PER_COMMAND as i32)],
        Some(too_long),
    );
    check(vec![sized("a", MAX_RECORDS_PER_COMMAND as i32 - 1)], None);
    // Topics that ask for no partitions are work all the same, and so are configs.
    let names = |count: usize| (0..count).map(|number| format!("t{number}"));
    let empty = |count| names(count).map(|name| sized(&name, 0)).collect();
    check(empty(MAX_RECORDS_PER_COMMAND + 1), Some(too_long));
    let configs: Vec<_> = names(MAX_RECORDS_PER_COMMAND).collect();
    let configs: Vec<_> = configs
        .iter()
        .map(|name| (name.as_str(), Some("1")))
        .collect();
    check(vec![configured("a", &configs)], Some(too_long));
}

#[test]
fn as_many_topics_as_a_request_may_name_have_each_its_own_answer() {
    let names = (0..MAX_RECORDS_PER_COMMAND).map(|number| sized(&format!("t{number}"), 0));
    let results = Catalog::new().create(names.collect());
    let text = "Number of partitions was set to an invalid non-positive value.";
    assert_eq!(results.len(), MAX_RECORDS_PER_COMMAND);
    assert!(
        results
            .iter()
            .all(|result| told(&result.result) == Some((InvalidPartitions, text)))
    );
}

#[test]
fn an_id_in_use_is_the_callers_mistake() {
    let mut catalog = Catalog::new();
    let id = catalog.create_one(new_topic("a"));
    let same = |name: &str, id| NewTopic {
        id,
        ..new_topic(name)
    };
    let fresh = Uuid::from_u128(99);
    let results = catalog.create(vec![
        same("b", id),
        same("c", fresh),
        same("d", fresh),
        same("e", Uuid::from_u128(1)),
    ]);
    let code = Some(ErrorCode::UnknownServerError);
    let codes: Vec<_> = results
        .iter()
        .map(|result| told(&result.result).map(|told| told.0))
        .collect();
    assert_eq!(codes, [code, None, code, code]);
}
