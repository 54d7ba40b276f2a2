//! Admin calls with bad input, and what they leave behind after a restart.

use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::alter_configs_request as legacy;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, CreatePartitionsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, MetadataRequest,
};

use super::support::*;

/// Topics and codes of an answer to CreateTopics with one partition each, by name.
async fn created(connection: &mut Connection, names: &[&str]) -> Vec<(String, i16)> {
    let topics = names.iter().map(|name| creatable(name, 1, &[]));
    let request = create_request(topics.collect());
    let answer = connection.call(7, &request).await.expect("an answer");
    let told = answer.topics.iter();
    let mut told: Vec<_> = told
        .map(|topic| (topic.name.to_string(), topic.error_code))
        .collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn topics_named_twice_in_one_request_are_refused_and_the_others_are_not() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let told = created(&mut connection, &["twice", "once", "twice"]).await;
    assert_eq!(told, [("once".into(), 0), ("twice".into(), 42)]);
    let told = created(&mut connection, &["once", "twice"]).await;
    // 36: TOPIC_ALREADY_EXISTS.
    assert_eq!(told, [("once".into(), 36), ("twice".into(), 0)]);
    for version in 1..=6 {
        let names = ["once", "once", "none", "twice"];
        let request = DeleteTopicsRequest::default().with_timeout_ms(30_000);
        let request = if version >= 6 {
            let topic = |name| DeleteTopicState::default().with_name(Some(named(name)));
            request.with_topics(names.map(topic).to_vec())
        } else {
            request.with_topic_names(names.map(named).to_vec())
        };
        let answer = connection.call(version, &request).await.unwrap();
        let mut told: Vec<_> = answer
            .responses
            .iter()
            .map(|told| {
                let name = told.name.as_ref().map(|name| name.to_string());
                (name.unwrap_or_default(), told.error_code)
            })
            .collect();
        told.sort_unstable();
        let expected = [("none".into(), 3), ("once".into(), 42), ("twice".into(), 0)];
        assert_eq!(told, expected, "version {version}");
        // What was named twice is there still, what was named once is gone.
        let told = created(&mut connection, &["once", "twice"]).await;
        assert_eq!(told, [("once".into(), 36), ("twice".into(), 0)]);
    }
    server.stop().await;
}

#[tokio::test]
async fn topics_that_cannot_be_are_refused_with_their_reason() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    for (partitions, replicas, expected) in [
        (0, 1, 37),
        (-2, 1, 37),
        (i32::MIN, 1, 37),
        (1, 2, 38),
        (1, 0, 38),
        (1, -2, 38),
        (-1, -1, 0),
    ] {
        let topic = creatable("odd", partitions, &[]).with_replication_factor(replicas);
        let answer = connection
            .call(7, &create_request(vec![topic]))
            .await
            .unwrap();
        let told = answer.topics[0].error_code;
        assert_eq!(
            told, expected,
            "{partitions} partitions, {replicas} replicas"
        );
    }
    for (name, value) in [
        ("no.such.option", "1"),
        ("retention.ms", "soon"),
        ("cleanup.policy", "shred"),
        ("segment.bytes", "1"),
        ("max.message.bytes", "-1"),
    ] {
        let topic = creatable("configured", 1, &[(name, value)]);
        let answer = connection
            .call(7, &create_request(vec![topic]))
            .await
            .unwrap();
        assert_eq!(answer.topics[0].error_code, 40, "{name}={value}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_great_many_partitions_are_refused_and_cost_nothing() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "grown", 1).await;
    for count in [0, 1, -5, i32::MAX] {
        let asked = CreatePartitionsTopic::default()
            .with_name(topic.name.clone())
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![asked])
            .with_timeout_ms(30_000);
        let answer = connection.call(3, &request).await.unwrap();
        assert_ne!(answer.results[0].error_code, 0, "{count} partitions");
    }
    let huge = create_request(vec![creatable("huge", i32::MAX, &[])]);
    let answer = connection.call(7, &huge).await.unwrap();
    assert_ne!(answer.topics[0].error_code, 0);
    server.stop().await;
}

#[tokio::test]
async fn rule_65_all_options_are_told_for_null_and_for_an_empty_list_of_keys() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    create_with(&mut connection, "told", 1, &[("retention.ms", "1234")]).await;
    for keys in [None, Some(vec![])] {
        for version in 1..=4 {
            let resource = DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text("told"))
                .with_configuration_keys(keys.clone());
            let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
            let answer = connection.call(version, &request).await.unwrap();
            let configs = &answer.results[0].configs;
            assert!(configs.len() >= 27, "{} options", configs.len());
            let one = configs
                .iter()
                .find(|config| &*config.name == "retention.ms")
                .unwrap();
            assert_eq!(one.value.as_deref(), Some("1234"));
            assert_eq!(one.config_source, 1, "DYNAMIC_TOPIC_CONFIG");
            let other = configs
                .iter()
                .find(|config| &*config.name == "segment.ms")
                .unwrap();
            assert_eq!(
                (other.value.as_deref(), other.config_source),
                (Some("604800000"), 5)
            );
        }
    }
    server.stop().await;
}

/// Every topic option of Kafka 4.2 with its default and its type (1 boolean, 2 string, 3 int,
/// 5 long, 6 double, 7 list), by name.
const TOPIC_OPTIONS: [(&str, &str, i8); 33] = [
    ("cleanup.policy", "delete", 7),
    ("compression.gzip.level", "-1", 3),
    ("compression.lz4.level", "9", 3),
    ("compression.type", "producer", 2),
    ("compression.zstd.level", "3", 3),
    ("delete.retention.ms", "86400000", 5),
    ("file.delete.delay.ms", "60000", 5),
    ("flush.messages", "9223372036854775807", 5),
    ("flush.ms", "9223372036854775807", 5),
    ("follower.replication.throttled.replicas", "", 7),
    ("index.interval.bytes", "4096", 3),
    ("leader.replication.throttled.replicas", "", 7),
    ("local.retention.bytes", "-2", 5),
    ("local.retention.ms", "-2", 5),
    ("max.compaction.lag.ms", "9223372036854775807", 5),
    ("max.message.bytes", "1048588", 3),
    ("message.timestamp.after.max.ms", "3600000", 5),
    ("message.timestamp.before.max.ms", "9223372036854775807", 5),
    ("message.timestamp.type", "CreateTime", 2),
    ("min.cleanable.dirty.ratio", "0.5", 6),
    ("min.compaction.lag.ms", "0", 5),
    ("min.insync.replicas", "1", 3),
    ("preallocate", "false", 1),
    ("remote.log.copy.disable", "false", 1),
    ("remote.log.delete.on.disable", "false", 1),
    ("remote.storage.enable", "false", 1),
    ("retention.bytes", "-1", 5),
    ("retention.ms", "604800000", 5),
    ("segment.bytes", "1073741824", 3),
    ("segment.index.bytes", "10485760", 3),
    ("segment.jitter.ms", "0", 5),
    ("segment.ms", "604800000", 5),
    ("unclean.leader.election.enable", "false", 1),
];

/// Name, value, source and type of every option of a topic, by name.
async fn described(connection: &mut Connection, topic: &str) -> Vec<(String, String, i8, i8)> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(topic))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer = connection.call(4, &request).await.expect("an answer");
    let [result] = answer.results.as_slice() else {
        panic!("one resource: {answer:?}")
    };
    assert_eq!(result.error_code, 0, "{result:?}");
    let configs = result.configs.iter();
    let mut told: Vec<_> = configs
        .map(|config| {
            let value = config.value.as_deref().expect("a value").to_owned();
            let name = config.name.to_string();
            (name, value, config.config_source, config.config_type)
        })
        .collect();
    told.sort_unstable();
    told
}

/// Sets a topic's overrides to exactly these.
async fn alter(connection: &mut Connection, topic: &str, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(name, value)| {
        legacy::AlterableConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    });
    let resource = legacy::AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(topic))
        .with_configs(configs.collect());
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = connection.call(2, &request).await.expect("an answer");
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}

#[tokio::test]
async fn rule_65_every_option_is_told_and_what_was_told_can_be_set() {
    const DEFAULT: i8 = 5;
    const OF_THE_TOPIC: i8 = 1;
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    create(&mut connection, "told", 1).await;
    let fresh = described(&mut connection, "told").await;
    let expected =
        TOPIC_OPTIONS.map(|(name, value, kind)| (name.to_owned(), value.to_owned(), DEFAULT, kind));
    assert_eq!(fresh, expected);
    // Tools read, change and write back all of it: nothing is refused, nothing else changes.
    let mut wanted: Vec<_> = TOPIC_OPTIONS
        .iter()
        .map(|(name, value, _)| (*name, *value))
        .collect();
    alter(&mut connection, "told", &wanted).await;
    let written = described(&mut connection, "told").await;
    let set: Vec<_> = written.iter().map(|told| told.2).collect();
    assert_eq!(set, [OF_THE_TOPIC; TOPIC_OPTIONS.len()]);
    let same = |told: &[(String, String, i8, i8)]| {
        let told = told.iter();
        told.map(|(name, value, _, kind)| (name.clone(), value.clone(), *kind))
            .collect::<Vec<_>>()
    };
    assert_eq!(same(&written), same(&fresh));
    // One of them changed, the others as they were told.
    for (name, value) in &mut wanted {
        if *name == "retention.ms" {
            *value = "1234";
        }
    }
    alter(&mut connection, "told", &wanted).await;
    let changed = described(&mut connection, "told").await;
    let differ: Vec<_> = changed
        .iter()
        .zip(&written)
        .filter(|(a, b)| a != b)
        .collect();
    assert_eq!(differ.len(), 1);
    assert_eq!(differ[0].0.1, "1234");
    // What is not said is not overridden any more.
    alter(&mut connection, "told", &[]).await;
    assert_eq!(described(&mut connection, "told").await, fresh);
    server.stop().await;
}

#[tokio::test]
async fn topics_ids_and_configs_survive_restarts_and_crashes() {
    let mut server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let kept = create(&mut connection, "kept", 3).await;
    let gone = create(&mut connection, "gone", 1).await;
    let config = AlterableConfig::default()
        .with_name(text("max.message.bytes"))
        .with_config_operation(0)
        .with_value(Some(text("100")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("kept"))
        .with_configs(vec![config]);
    let alter = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = connection.call(1, &alter).await.unwrap();
    assert_eq!(answer.responses[0].error_code, 0);
    let delete = DeleteTopicsRequest::default()
        .with_topic_names(vec![gone.name.clone()])
        .with_timeout_ms(30_000);
    connection.call(5, &delete).await.unwrap();
    for crash in [true, false, true] {
        drop(connection);
        server = if crash {
            server.crash(7).await
        } else {
            server.restart().await
        };
        connection = server.connect().await;
        let all = MetadataRequest::default().with_topics(None);
        let answer = connection.call(12, &all).await.unwrap();
        let found: Vec<_> = answer
            .topics
            .iter()
            .map(|topic| (topic.name.clone(), topic.topic_id, topic.partitions.len()))
            .collect();
        assert_eq!(found, [(Some(kept.name.clone()), kept.id, 3)]);
        let long = "x".repeat(200);
        let told = try_produce(&mut connection, &kept, 2, batch(&[&long])).await;
        assert_eq!(told.error_code, 10, "the config is in force");
    }
    server.stop().await;
}

/// Operations of the disk that it takes to delete these topics in one request.
async fn cost_of_deleting(partitions: &[i32]) -> u64 {
    let (server, _clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    let names: Vec<_> = (0..partitions.len())
        .map(|n| format!("topic-{n}"))
        .collect();
    let topics = names.iter().zip(partitions);
    let topics = topics.map(|(name, count)| creatable(name, *count, &[]));
    let made = create_request(topics.collect());
    connection.call(7, &made).await.expect("an answer");
    let before = server.disk.operations();
    let delete = DeleteTopicsRequest::default()
        .with_topic_names(names.iter().map(|name| named(name)).collect())
        .with_timeout_ms(30_000);
    let answer = connection.call(5, &delete).await.expect("an answer");
    assert!(answer.responses.iter().all(|told| told.error_code == 0));
    let cost = server.disk.operations() - before;
    server.stop().await;
    cost
}

/// The checkpoints of all partitions are written once, not once for each topic.
#[tokio::test]
async fn deleting_many_topics_costs_what_deleting_their_partitions_does() {
    let one = cost_of_deleting(&[50]).await;
    let many = cost_of_deleting(&[1; 50]).await;
    assert!(many < 2 * one, "{many} operations, {one} for one topic");
}

#[tokio::test]
async fn offsets_of_topics_that_are_deleted_together_are_forgotten() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topics = [
        create(&mut connection, "first", 1).await,
        create(&mut connection, "second", 1).await,
    ];
    super::groups::find(&mut connection).await;
    for topic in &topics {
        let code = super::groups::commit(&mut connection, "g", ("", -1), topic, (0, 5, "")).await;
        assert_eq!(code, 0);
    }
    let delete = DeleteTopicsRequest::default()
        .with_topic_names(topics.iter().map(|topic| topic.name.clone()).collect())
        .with_timeout_ms(30_000);
    connection.call(5, &delete).await.expect("an answer");
    for topic in &topics {
        // The coordinator is told in the background, and answers in the order in which it is asked.
        loop {
            let told = super::groups::committed(&mut connection, "g", topic).await;
            if told.1 == -1 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    server.stop().await;
}
