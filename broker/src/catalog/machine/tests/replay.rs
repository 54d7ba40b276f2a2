//! Random commands: the log alone rebuilds the picture, pictures that were handed out stay as they
//! were, and the changes between pictures lead from each to the next.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::catalog::changes::testing::Follower;
use crate::catalog::machine::tests::registration;
use crate::catalog::records::strategies;

/// Few names, so that commands meet; with collisions and illegal ones among them.
fn name() -> impl Strategy<Value = String> {
    let names = [
        "a",
        "b",
        "a.b",
        "a_b",
        "c-1",
        "",
        "..",
        "__consumer_offsets",
    ];
    prop::sample::select(names.map(String::from).to_vec())
}

fn config() -> impl Strategy<Value = (String, Option<String>)> {
    let configs = [
        ("retention.ms", Some("1000")),
        ("retention.ms", Some("2000")),
        ("cleanup.policy", Some("compact")),
        ("cleanup.policy", Some("delete")),
        ("segment.ms", Some("zero")),
        ("segment.ms", None),
        ("log.retention.ms", Some("5")),
    ];
    let owned = |(name, value): (&str, Option<&str>)| (name.to_owned(), value.map(String::from));
    prop::sample::select(configs.map(owned).to_vec())
}

fn create_topics() -> impl Strategy<Value = Command> {
    // Mostly legal, so that there is something for other commands to meet.
    let partitions = prop_oneof![6 => 1..4_i32, 1 => -2..1_i32];
    let replicas = prop_oneof![6 => Just(1_i16), 1 => -1..3_i16];
    let configs = prop_oneof![3 => Just(Vec::new()), 2 => vec(config(), 1..3)];
    let topic = (name(), 2_u128..200, partitions, replicas, configs).prop_map(
        |(name, id, num_partitions, replication_factor, configs)| NewTopic {
            name,
            id: Uuid::from_u128(id),
            num_partitions,
            replication_factor,
            assignments: Vec::new(),
            configs,
        },
    );
    let validate_only = prop::bool::weighted(0.1);
    (vec(topic, 1..4), validate_only).prop_map(|(topics, validate_only)| {
        let defaults = TopicDefaults {
            num_partitions: 2,
            replication_factor: 1,
        };
        Command::CreateTopics(CreateTopics {
            topics,
            validate_only,
            defaults,
        })
    })
}

fn delete_topics() -> impl Strategy<Value = Command> {
    let selector = (prop::option::of(name()), 0_u128..60).prop_map(|(name, id)| TopicSelector {
        name,
        id: Uuid::from_u128(id),
    });
    let named = name().prop_map(|name| by_name(&name));
    vec(prop_oneof![4 => named, 1 => selector], 1..4).prop_map(|topics| {
        Command::DeleteTopics(DeleteTopics {
            topics,
            deletion_enabled: true,
        })
    })
}

fn create_partitions() -> impl Strategy<Value = Command> {
    let topic = (name(), -1..9_i32).prop_map(|(name, count)| NewPartitions {
        name,
        count,
        assignments: None,
    });
    (vec(topic, 0..3), any::<bool>()).prop_map(|(topics, validate_only)| {
        Command::CreatePartitions(CreatePartitions {
            topics,
            validate_only,
        })
    })
}

fn alter_configs() -> impl Strategy<Value = Command> {
    let broker = prop::sample::select(vec!["", "1", "2"]).prop_map(|name| ConfigResource {
        kind: ResourceKind::Broker,
        name: name.to_owned(),
    });
    let topic = name().prop_map(|name| ConfigResource {
        kind: ResourceKind::Topic,
        name,
    });
    let operations = vec((config(), -1..5_i8), 0..3).prop_map(|operations| {
        let alteration = |((name, value), op)| ConfigAlteration { name, op, value };
        ConfigChange::Incremental(operations.into_iter().map(alteration).collect())
    });
    let all = vec(config(), 0..3).prop_map(ConfigChange::Replace);
    let change = (prop_oneof![topic, broker], prop_oneof![operations, all])
        .prop_map(|(resource, change)| ResourceChange { resource, change });
    (vec(change, 0..4), any::<bool>()).prop_map(|(resources, validate_only)| {
        Command::AlterConfigs(AlterConfigs {
            resources,
            validate_only,
        })
    })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => create_topics(),
        2 => delete_topics(),
        2 => create_partitions(),
        3 => alter_configs(),
        1 => (0..3000_i32).prop_map(|count| Command::AllocateProducerIds { count }),
        1 => (1_u128..4).prop_map(|incarnation| {
            let incarnation_id = Uuid::from_u128(incarnation);
            Command::RegisterBroker(Registration { incarnation_id, ..registration() })
        }),
    ]
}

proptest! {
    #[test]
    fn the_log_alone_rebuilds_the_picture(commands in vec(command(), 0..25)) {
        let mut catalog = Catalog::new();
        for command in commands {
            catalog.run(command);
            let image = catalog.image();
            let count: usize = image.topics().map(|topic| topic.partitions.len()).sum();
            prop_assert_eq!(image.partition_count(), count);
            for topic in image.topics() {
                prop_assert_eq!(image.topic_by_id(topic.id), Some(topic));
                let indexes = topic.partitions.keys().map(|index| index.0);
                prop_assert!(indexes.eq(0..topic.partitions.len() as i32));
            }
        }
        let restarted = catalog.restarted();
        prop_assert_eq!(restarted.image(), catalog.image());
        prop_assert_eq!(restarted.log, catalog.log);
    }

    #[test]
    fn a_picture_that_was_handed_out_never_changes(commands in vec(command(), 0..25)) {
        let mut catalog = Catalog::new();
        let mut handed_out = Vec::new();
        for command in commands {
            catalog.run(command);
            let image = Arc::clone(catalog.image());
            handed_out.push((format!("{image:?}"), image));
        }
        for (text, image) in handed_out {
            prop_assert_eq!(text, format!("{image:?}"));
        }
    }

    #[test]
    fn changes_lead_from_each_picture_to_the_next(
        commands in vec(command(), 0..25),
        steps in vec(prop::bool::weighted(0.3), 25),
    ) {
        let mut catalog = Catalog::new();
        let mut follower = Follower::default();
        for (command, look) in commands.into_iter().zip(steps) {
            catalog.run(command);
            // Sometimes several commands lie between two pictures.
            if look {
                follower.follow(catalog.image());
            }
        }
        follower.follow(catalog.image());
        // The pictures of a restart share nothing with those of before, and tell the same.
        let mut from_nothing = Follower::default();
        from_nothing.follow(catalog.restarted().image());
        prop_assert_eq!(from_nothing, follower);
    }

    #[test]
    fn any_records_are_applied_without_a_panic(records in vec(strategies::record(), 0..30)) {
        let mut catalog = Catalog::new();
        for record in records {
            catalog.write_record(record);
        }
        catalog.restarted();
    }
}
