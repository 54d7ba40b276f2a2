//! The admin client: what it changes and is told, and the codes for what it must not.

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::harness::calls::connect;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewPartitions, NewTopic,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;
use rdkafka::{Offset, TopicPartitionList};
use tidemark_protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;
use tidemark_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use tidemark_protocol::messages::describe_configs_request::DescribeConfigsResource;
use tidemark_protocol::messages::{AlterConfigsRequest, DescribeConfigsRequest};

use super::{CALL, Site, code, poll, send, settle};

type Admin = AdminClient<DefaultClientContext>;

/// The type of a resource.
const TOPIC: i8 = 2;

fn new(name: &str, partitions: i32) -> NewTopic<'_> {
    NewTopic::new(name, partitions, TopicReplication::Fixed(1))
}

/// The codes of results, by name.
fn codes<T: AsRef<str>>(results: Vec<Result<T, (String, Code)>>) -> BTreeMap<String, Option<Code>> {
    let one = |result: Result<T, (String, Code)>| match result {
        Ok(name) => (name.as_ref().to_owned(), None),
        Err((name, code)) => (name, Some(code)),
    };
    results.into_iter().map(one).collect()
}

fn expected(results: &[(&str, Option<Code>)]) -> BTreeMap<String, Option<Code>> {
    let one = |(name, code): &(&str, Option<Code>)| ((*name).to_owned(), *code);
    results.iter().map(one).collect()
}

/// Partitions of each topic, as metadata tells. The groups' own topic comes with the first group.
fn topics(client: &BaseConsumer) -> BTreeMap<String, usize> {
    let metadata = client.fetch_metadata(None, CALL).expect("metadata");
    let topics = metadata.topics().iter();
    topics
        .filter(|topic| topic.name() != "__consumer_offsets")
        .map(|topic| {
            assert_eq!(topic.error(), None, "{}", topic.name());
            for (index, partition) in (0..).zip(topic.partitions()) {
                assert_eq!(partition.id(), index);
                assert_eq!(partition.error(), None);
                assert_eq!((partition.leader(), partition.replicas()), (1, &[1][..]));
            }
            (topic.name().to_owned(), topic.partitions().len())
        })
        .collect()
}

fn fill(site: &Site, topic: &str, count: usize) {
    let producer = site.producer(&[]);
    for number in 0..count {
        let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to(topic, number);
        send(&producer, record.payload("message").partition(0));
    }
    for report in settle(&producer) {
        report.expect("the broker takes every message");
    }
}

#[tokio::test]
async fn topics_are_created_or_the_code_says_why_not() {
    let site = Site::start();
    let (admin, client) = (site.admin(), site.consumer());
    let options = AdminOptions::new();
    let create = async |topics: &[NewTopic<'_>], options: &AdminOptions| {
        let created = admin.create_topics(topics, options).await;
        codes(created.expect("CreateTopics is answered"))
    };
    let long = "x".repeat(250);
    let wanted = [
        new("good", 3),
        new("defaults", -1),
        new("set", 1)
            .set("retention.ms", "1000")
            .set("cleanup.policy", "delete"),
        new("bad name!", 1),
        new(&long, 1),
        new("no-partitions", 0),
        NewTopic::new("three-copies", 1, TopicReplication::Fixed(3)),
        new("bad-value", 1).set("retention.ms", "soon"),
        new("bad-range", 1).set("segment.bytes", "1"),
        new("bad-key", 1).set("no.such.config", "1"),
    ];
    let outcome = [
        ("good", None),
        ("defaults", None),
        ("set", None),
        ("bad name!", Some(Code::InvalidTopic)),
        (&long, Some(Code::InvalidTopic)),
        ("no-partitions", Some(Code::InvalidPartitions)),
        ("three-copies", Some(Code::InvalidReplicationFactor)),
        ("bad-value", Some(Code::InvalidConfig)),
        ("bad-range", Some(Code::InvalidConfig)),
        ("bad-key", Some(Code::InvalidConfig)),
    ];
    // Asking whether it would go changes nothing, so it can be asked twice.
    let only_asking = AdminOptions::new().validate_only(true);
    for _ in 0..2 {
        assert_eq!(create(&wanted, &only_asking).await, expected(&outcome));
        assert_eq!(topics(&client), BTreeMap::new());
    }
    assert_eq!(create(&wanted, &options).await, expected(&outcome));
    let there = [("good", 3), ("defaults", 1), ("set", 1)];
    let there: BTreeMap<_, _> = there.map(|(name, count)| (name.to_owned(), count)).into();
    assert_eq!(topics(&client), there);

    let again = [
        new("good", 5),
        new("goo.d", 1),
        new("under_score", 1),
        new("under.score", 1),
    ];
    let outcome = [
        ("good", Some(Code::TopicAlreadyExists)),
        ("goo.d", None),
        ("under_score", None),
        // The names of their metrics would be the same.
        ("under.score", Some(Code::InvalidTopic)),
    ];
    for topic in &again[..3] {
        create(std::slice::from_ref(topic), &options).await;
    }
    let collides = create(&again[3..], &options).await;
    assert_eq!(collides, expected(&outcome[3..]));
    assert_eq!(topics(&client)["good"], 3);
    site.stop();
}

#[tokio::test]
async fn topics_are_deleted_or_the_code_says_why_not() {
    let site = Site::start();
    let (admin, client) = (site.admin(), site.consumer());
    site.create_topic("one", 2, &[]).await;
    site.create_topic("two", 2, &[]).await;
    fill(&site, "one", 3);
    let options = AdminOptions::new();
    let deleted = admin.delete_topics(&["one", "missing"], &options).await;
    let deleted = deleted.expect("DeleteTopics is answered");
    let outcome = [
        ("one", None),
        ("missing", Some(Code::UnknownTopicOrPartition)),
    ];
    assert_eq!(codes(deleted), expected(&outcome));
    assert_eq!(topics(&client).into_keys().collect::<Vec<_>>(), ["two"]);
    // One of the same name begins anew.
    site.create_topic("one", 1, &[]).await;
    assert_eq!(
        site.consumer()
            .fetch_watermarks("one", 0, CALL)
            .expect("there"),
        (0, 0)
    );
    fill(&site, "one", 2);
    assert_eq!(site.read("one").len(), 2);
    site.stop();
}

#[tokio::test]
async fn partitions_are_added_or_the_code_says_why_not() {
    let site = Site::start();
    let (admin, client) = (site.admin(), site.consumer());
    site.create_topic("grows", 2, &[]).await;
    let options = AdminOptions::new();
    for (topic, count, outcome) in [
        ("grows", 5, None),
        ("grows", 5, Some(Code::InvalidPartitions)),
        ("grows", 3, Some(Code::InvalidPartitions)),
        ("missing", 3, Some(Code::UnknownTopicOrPartition)),
    ] {
        let wanted = NewPartitions::new(topic, count);
        let added = admin.create_partitions([&wanted], &options).await;
        let added = codes(added.expect("CreatePartitions is answered"));
        assert_eq!(added, expected(&[(topic, outcome)]), "{count}");
        assert_eq!(topics(&client)["grows"], 5);
    }
    // They can be written to and read at once.
    let producer = site.producer(&[]);
    let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to("grows", 0);
    send(&producer, record.payload("message").partition(4));
    assert_eq!(settle(&producer), [Ok((4, 0))]);
    assert_eq!(site.read_from("grows", 4, Offset::Beginning).len(), 1);
    site.stop();
}

async fn describe(admin: &Admin, resource: ResourceSpecifier<'_>) -> Vec<ConfigEntry> {
    let described = admin
        .describe_configs([&resource], &AdminOptions::new())
        .await;
    let described = described.expect("DescribeConfigs is answered").remove(0);
    described.expect("the crate knows no errors here").entries
}

/// Value and whether it is the topic's own.
fn entry<'a>(entries: &'a [ConfigEntry], name: &str) -> (&'a str, bool) {
    let entry = entries.iter().find(|entry| entry.name == name);
    let entry = entry.unwrap_or_else(|| panic!("no {name}"));
    let own = entry.source == ConfigSource::DynamicTopic;
    assert_eq!(entry.is_default, !own, "{name}");
    (entry.value.as_deref().unwrap_or_default(), own)
}

/// The crate drops the codes of single resources in AlterConfigs and DescribeConfigs, so they are
/// asked for by hand.
async fn codes_by_hand(site: &Site, topic: &str, configs: &[(&str, &str)]) -> [i16; 2] {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let mut connection = connect(site.address()).await;
    let configs = configs.iter().map(|(key, value)| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(configs.collect());
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let altered = connection.call(2, &request).await;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let described = connection.call(4, &request).await;
    [
        altered.expect("AlterConfigs is answered").responses[0].error_code,
        described.expect("DescribeConfigs is answered").results[0].error_code,
    ]
}

#[tokio::test]
async fn configs_are_described_and_altered_or_the_code_says_why_not() {
    const REFUSED: [i16; 2] = [ErrorCode::InvalidConfig.code(), 0];
    const MISSING: [i16; 2] = [ErrorCode::UnknownTopicOrPartition.code(); 2];
    let site = Site::start();
    let admin = site.admin();
    let configs = [("retention.ms", "1000")];
    site.create_topic("set", 1, &configs).await;
    let topic = ResourceSpecifier::Topic("set");
    let before = describe(&admin, topic).await;
    assert_eq!(entry(&before, "retention.ms"), ("1000", true));
    assert_eq!(entry(&before, "max.message.bytes"), ("1048588", false));
    assert_eq!(entry(&before, "cleanup.policy"), ("delete", false));
    let missing = describe(&admin, ResourceSpecifier::Topic("missing")).await;
    assert_eq!(missing.len(), 0);
    let broker = describe(&admin, ResourceSpecifier::Broker(1)).await;
    assert!(broker.iter().any(|entry| entry.name == "num.partitions"));

    let alter = async |topic: &str, configs: &[(&str, &str)]| {
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (key, value) in configs {
            change = change.set(key, value);
        }
        let altered = admin.alter_configs([&change], &AdminOptions::new()).await;
        altered.expect("AlterConfigs is answered");
    };
    for (topic, configs, outcome) in [
        ("set", &[("retention.ms", "soon")][..], REFUSED),
        ("set", &[("max.message.bytes", "-1")], REFUSED),
        ("set", &[("no.such.config", "1")], REFUSED),
        // All or nothing.
        (
            "set",
            &[("max.message.bytes", "2000"), ("retention.ms", "")],
            REFUSED,
        ),
        ("missing", &[("retention.ms", "1")], MISSING),
    ] {
        alter(topic, configs).await;
        assert_eq!(
            codes_by_hand(&site, topic, configs).await,
            outcome,
            "{configs:?}"
        );
        let now = describe(&admin, ResourceSpecifier::Topic("set")).await;
        assert_eq!(entry(&now, "retention.ms"), ("1000", true), "{configs:?}");
        assert_eq!(entry(&now, "max.message.bytes"), ("1048588", false));
    }
    // All that is not named goes back to its default.
    alter("set", &[("max.message.bytes", "2000")]).await;
    let after = describe(&admin, ResourceSpecifier::Topic("set")).await;
    assert_eq!(entry(&after, "max.message.bytes"), ("2000", true));
    assert_eq!(entry(&after, "retention.ms"), ("604800000", false));
    // And it counts at once.
    let producer = site.producer(&[]);
    for (number, size) in [1_900, 2_000].into_iter().enumerate() {
        let value = vec![b'x'; size];
        let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to("set", number);
        send(&producer, record.payload(&value[..]));
        settle(&producer);
    }
    assert_eq!(
        settle(&producer),
        [Ok((0, 0)), Err(Code::MessageSizeTooLarge)]
    );
    site.stop();
}

fn offsets(list: &[(&str, i32, Offset)]) -> TopicPartitionList {
    let mut offsets = TopicPartitionList::new();
    for (topic, partition, offset) in list {
        offsets
            .add_partition_offset(topic, *partition, *offset)
            .expect("a good offset");
    }
    offsets
}

#[tokio::test]
async fn records_are_deleted_or_the_code_says_why_not() {
    let site = Site::start();
    let (admin, client) = (site.admin(), site.consumer());
    site.create_topic("cut", 2, &[]).await;
    fill(&site, "cut", 10);
    let delete = async |list: &[(&str, i32, Offset)]| {
        let deleted = admin
            .delete_records(&offsets(list), &AdminOptions::new())
            .await;
        let deleted = deleted.map_err(|error| code(&error))?;
        let one = deleted.elements().remove(0);
        match one.error() {
            Ok(()) => Ok(one.offset()),
            Err(error) => Err(code(&error)),
        }
    };
    let first = |offset: i64| Ok(Offset::Offset(offset));
    let bounds = || client.fetch_watermarks("cut", 0, CALL).expect("there");
    assert_eq!(delete(&[("cut", 0, Offset::Offset(4))]).await, first(4));
    assert_eq!(bounds(), (4, 10));
    let messages = site.read("cut");
    assert_eq!(messages.first().map(Message::offset), Some(4));
    assert_eq!(messages.len(), 6);
    // What is gone is gone.
    assert_eq!(delete(&[("cut", 0, Offset::Offset(2))]).await, first(4));
    let beyond = delete(&[("cut", 0, Offset::Offset(11))]).await;
    assert_eq!(beyond, Err(Code::OffsetOutOfRange));
    assert_eq!(bounds(), (4, 10));
    assert_eq!(delete(&[("cut", 0, Offset::End)]).await, first(10));
    assert_eq!(bounds(), (10, 10));
    fill(&site, "cut", 1);
    assert_eq!(bounds(), (10, 11));
    // The client looks for the leader first, and finds none.
    for (topic, partition) in [("missing", 0), ("cut", 2)] {
        let missing = delete(&[(topic, partition, Offset::Offset(1))]).await;
        assert_eq!(missing, Err(Code::NoEnt), "{topic}");
    }
    site.stop();
}

#[tokio::test]
async fn groups_are_listed_and_deleted_or_the_code_says_why_not() {
    let site = Site::start();
    let (admin, client) = (site.admin(), site.consumer());
    site.create_topic("read", 1, &[]).await;
    fill(&site, "read", 3);
    let delete = async |group: &str| {
        let deleted = admin.delete_groups(&[group], &AdminOptions::new()).await;
        let deleted = deleted.expect("DeleteGroups is answered").remove(0);
        deleted.map_err(|(name, code)| {
            assert_eq!(name, group);
            code
        })
    };
    let states = |group: Option<&str>| {
        let groups = client.fetch_group_list(group, CALL).expect("groups");
        let state = |group: &rdkafka::groups::GroupInfo| {
            (
                group.name().to_owned(),
                group.state().to_owned(),
                group.members().len(),
            )
        };
        groups.groups().iter().map(state).collect::<BTreeSet<_>>()
    };
    let told = |list: &[(&str, &str, usize)]| {
        let one = |(name, state, members): &(&str, &str, usize)| {
            ((*name).to_owned(), (*state).to_owned(), *members)
        };
        list.iter().map(one).collect::<BTreeSet<_>>()
    };
    assert_eq!(states(None), told(&[]));
    assert_eq!(delete("live").await, Err(Code::GroupIdNotFound));

    let live = site.member("live", "read", &[]);
    assert_eq!(poll(&live).offset(), 0);
    let left = site.member("left", "read", &[]);
    assert_eq!(poll(&left).offset(), 0);
    left.commit_consumer_state(CommitMode::Sync)
        .expect("a commit");
    drop(left);
    let all = [("live", "Stable", 1), ("left", "Empty", 0)];
    assert_eq!(states(None), told(&all));
    assert_eq!(states(Some("live")), told(&all[..1]));
    assert_eq!(states(Some("missing")), told(&[]));
    let groups = client.fetch_group_list(Some("live"), CALL).expect("groups");
    let info = &groups.groups()[0];
    assert_eq!(
        (info.protocol_type(), info.protocol()),
        ("consumer", "range")
    );
    assert_eq!(info.members()[0].client_id(), "rdkafka");
    assert!(info.members()[0].client_host().contains("127.0.0.1"));

    assert_eq!(delete("live").await, Err(Code::NonEmptyGroup));
    assert_eq!(delete("left").await, Ok("left".to_owned()));
    assert_eq!(delete("left").await, Err(Code::GroupIdNotFound));
    assert_eq!(states(None), told(&all[..1]));
    // Its offsets went with it.
    let anew = site.member("left", "read", &[]);
    assert_eq!(poll(&anew).offset(), 0);
    drop((live, anew));
    site.stop();
}

#[tokio::test]
async fn metadata_and_watermarks_tell_what_is_there() {
    let site = Site::start();
    let client = site.consumer();
    site.create_topic("there", 3, &[]).await;
    fill(&site, "there", 2);
    let metadata = client
        .fetch_metadata(Some("there"), CALL)
        .expect("metadata");
    let brokers: Vec<_> = metadata
        .brokers()
        .iter()
        .map(|b| (b.id(), b.host(), b.port()))
        .collect();
    let (host, port) = site.address().split_once(':').expect("host:port");
    assert_eq!(brokers, [(1, host, port.parse().expect("a port"))]);
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
    let cluster = client.client().fetch_cluster_id(CALL);
    assert!(
        cluster.is_some_and(|id| id.len() == 22),
        "an id in Kafka's form"
    );

    let missing = client
        .fetch_metadata(Some("missing"), CALL)
        .expect("metadata");
    let error = missing.topics()[0].error().map(Code::from);
    assert_eq!(error, Some(Code::UnknownTopicOrPartition));
    assert_eq!(topics(&client).len(), 1, "asking makes no topic");

    assert_eq!(
        client.fetch_watermarks("there", 0, CALL).expect("there"),
        (0, 2)
    );
    assert_eq!(
        client.fetch_watermarks("there", 2, CALL).expect("there"),
        (0, 0)
    );
    let refused = |topic: &str, partition| {
        let refused: KafkaError = client
            .fetch_watermarks(topic, partition, CALL)
            .expect_err("there is none");
        code(&refused)
    };
    // The client's own code: it looks for the leader first.
    assert_eq!(refused("missing", 0), Code::UnknownPartition);
    assert_eq!(refused("there", 3), Code::UnknownPartition);
    site.stop();
}
