use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopicConfig,
};
use tidemark_protocol::error::ErrorCode;

use super::*;
use crate::api::testing::{TestCatalog, each_version, encodes};
use crate::config::Overrides;

fn name(text: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(text))
}

#[test]
fn a_topic_of_the_request_reaches_the_catalog_whole() {
    let id = Uuid::from_u128(500);
    let assignment = CreatableReplicaAssignment::default()
        .with_partition_index(2)
        .with_broker_ids(vec![BrokerId(1), BrokerId(4)]);
    let config = |name, value| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(value)
    };
    let topic = CreatableTopic::default()
        .with_name(name("orders"))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![assignment])
        .with_configs(vec![
            config("retention.ms", Some("1".into())),
            config("flush.ms", None),
        ]);
    let expected = NewTopic {
        name: "orders".into(),
        id,
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![ReplicaAssignment {
            partition: 2,
            brokers: vec![1, 4],
        }],
        configs: vec![
            ("retention.ms".into(), Some("1".into())),
            ("flush.ms".into(), None),
        ],
    };
    assert_eq!(new_topic(topic, id), expected);
}

fn full_blown() -> Vec<CreateTopicResult> {
    let configs: Overrides = [("retention.ms".to_owned(), "1000".to_owned())].into();
    let created = CreatedTopic {
        id: Uuid::from_u128(500),
        num_partitions: 3,
        replication_factor: 1,
        configs,
    };
    let refusal = Refusal::new(ErrorCode::TopicAlreadyExists, "there");
    vec![
        CreateTopicResult {
            name: "new".into(),
            result: Ok(created),
        },
        CreateTopicResult {
            name: "old".into(),
            result: Err(refusal),
        },
    ]
}

#[test]
fn every_version_carries_what_it_can() {
    let pairs = [("log.segment.bytes", "2097152")];
    let config = BrokerConfig::from_pairs(pairs).expect("the options are valid");
    let responses = each_version(19, |_| respond(&config, Vec::new(), Ok(full_blown())));
    for (version, read) in responses {
        let [new, old] = read.topics.as_slice() else {
            panic!("two topics in {version}")
        };
        assert_eq!((new.error_code, new.error_message.as_deref()), (0, None));
        assert_eq!(
            (old.error_code, old.error_message.as_deref()),
            (36, Some("there"))
        );
        assert_eq!(
            new.topic_id.as_u128(),
            if version >= 7 { 500 } else { 0 },
            "{version}"
        );
        let size = |topic: &CreatableTopicResult| (topic.num_partitions, topic.replication_factor);
        assert_eq!(size(old), (-1, -1));
        assert_eq!(old.configs, Some(Vec::new()));
        assert_eq!(
            size(new),
            if version >= 5 { (3, 1) } else { (-1, -1) },
            "{version}"
        );
        if version < 5 {
            continue;
        }
        assert_eq!(new.topic_config_error_code, 0);
        let configs = new.configs.as_ref().expect("configs are told");
        let find = |name: &str| {
            let config = configs
                .iter()
                .find(|config| &*config.name == name)
                .expect(name);
            assert!(!config.read_only && !config.is_sensitive);
            (config.value.as_deref(), config.config_source)
        };
        assert_eq!(find("retention.ms"), (Some("1000"), 1));
        assert_eq!(find("segment.bytes"), (Some("2097152"), 4));
        assert_eq!(find("flush.ms"), (Some("9223372036854775807"), 5));
        assert!(configs.is_sorted_by_key(|config| &config.name));
        assert!(
            configs.len() > 30,
            "all configs are told, not {}",
            configs.len()
        );
    }
}

#[test]
fn without_results_every_topic_gets_the_refusal() {
    let names = vec![name("a"), name("a")];
    let refusal = Refusal::bare(ErrorCode::RequestTimedOut);
    let response = respond(&BrokerConfig::default(), names, Err(refusal));
    let told: Vec<_> = response
        .topics
        .iter()
        .map(|topic| (&*topic.name.0, topic.error_code))
        .collect();
    assert_eq!(told, [("a", 7), ("a", 7)]);
}

fn topic(name: &'static str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(self::name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
}

fn assigned(partition: i32, broker: i32) -> CreatableReplicaAssignment {
    CreatableReplicaAssignment::default()
        .with_partition_index(partition)
        .with_broker_ids(vec![BrokerId(broker)])
}

fn configured(name: &'static str, value: Option<&'static str>) -> CreatableTopic {
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(value.map(StrBytes::from_static_str));
    topic("new", 1, 1).with_configs(vec![config])
}

/// Sends a request to a catalog with the topic "a.b" and tells, for each topic of the answer,
/// error and number of partitions, and how many partitions there are in the end.
fn create(topics: Vec<CreatableTopic>, validate_only: bool) -> (Vec<(i16, i32)>, usize) {
    let pairs = [("num.partitions", "3")];
    let config = BrokerConfig::from_pairs(pairs).expect("the options are valid");
    let mut catalog = TestCatalog::with_topics(config.clone(), &[("a.b", 1, &[])]);
    let mut ids = (1000..).map(Uuid::from_u128);
    let request = CreateTopicsRequest::default()
        .with_topics(topics)
        .with_validate_only(validate_only);
    let command = command(request, &config, || ids.next().expect("ids do not end"));
    let results = results_in_time(Some(Ok(catalog.run(command))), created);
    let response = respond(&config, Vec::new(), results);
    encodes(19, 7, &response);
    let told = response
        .topics
        .iter()
        .map(|topic| (topic.error_code, topic.num_partitions));
    (told.collect(), catalog.image().partition_count())
}

#[track_caller]
fn check(topic: CreatableTopic, expected: Result<i32, i16>) {
    let told = expected.map_or_else(|code| (code, -1), |partitions| (0, partitions));
    let after = 1 + usize::try_from(expected.unwrap_or(0)).expect("a count");
    assert_eq!(create(vec![topic.clone()], false), (vec![told], after));
    assert_eq!(
        create(vec![topic], true),
        (vec![told], 1),
        "validation creates nothing"
    );
}

#[test]
fn errors_have_kafkas_codes() {
    check(topic("new", 2, 1), Ok(2));
    check(topic("new", -1, -1), Ok(3));
    check(topic("a.b", 1, 1), Err(36));
    check(topic("new", 0, 1), Err(37));
    check(topic("new", -2, 1), Err(37));
    check(topic("new", 1, 0), Err(38));
    check(topic("new", 1, -2), Err(38));
    check(topic("new", 1, 2), Err(38));
    check(topic("new", i32::MAX, 1), Err(44));
    check(topic("__cluster_metadata", 1, 1), Err(42));
    let by_hand = |partitions, replicas, assignments| {
        topic("new", partitions, replicas).with_assignments(assignments)
    };
    check(by_hand(-1, -1, vec![assigned(0, 1), assigned(1, 1)]), Ok(2));
    check(by_hand(-1, -1, vec![assigned(0, 9)]), Err(39));
    check(by_hand(-1, -1, vec![assigned(1, 1)]), Err(39));
    check(
        by_hand(-1, -1, vec![assigned(0, 1), assigned(0, 1)]),
        Err(39),
    );
    check(by_hand(1, -1, vec![assigned(0, 1)]), Err(42));
    check(by_hand(-1, 1, vec![assigned(0, 1)]), Err(42));
    check(configured("retention.ms", Some("1000")), Ok(1));
    check(configured("retention.ms", Some("soon")), Err(40));
    check(configured("retention.ms", None), Err(40));
    check(configured("no.such.config", Some("1")), Err(40));
}

#[test]
fn rule_63_bad_names_and_collisions_are_refused() {
    for bad in ["", ".", "..", "a b", "a_b"] {
        check(topic(bad, 1, 1), Err(17));
    }
    check(topic("a-b", 1, 1), Ok(1));
}

#[test]
fn a_topic_that_is_named_twice_is_refused_and_the_others_are_made() {
    let topics = vec![topic("x", 1, 1), topic("y", 2, 1), topic("x", 1, 1)];
    let (mut told, after) = create(topics, false);
    told.sort_unstable();
    assert_eq!((told, after), (vec![(0, 2), (42, -1)], 3));
}
