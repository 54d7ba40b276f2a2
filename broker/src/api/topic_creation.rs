//! Topics that the broker creates by itself: those that Metadata asks for (rule 64), and the one
//! in which groups keep their state. Kafka's `AutoTopicCreationManager`.

use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use super::view::OFFSETS_TOPIC;
use crate::catalog::command::{Command, CreateTopics, NewTopic, Reply, TopicDefaults};
use crate::catalog::topic_name;
use crate::config::BrokerConfig;
use crate::coordinator::runtime::Failure;

/// Whether a topic with this name may be created without anybody's saying so. The broker's own
/// topics are not made by chance with settings that are wrong for them: the offsets topic has its
/// own settings, and the others are not served.
pub(super) fn may_create(name: &str) -> bool {
    let own = topic_name::is_internal(name) || name == topic_name::CLUSTER_METADATA;
    topic_name::is_valid(name) && (name == OFFSETS_TOPIC || !own)
}

/// The command that creates these topics (names and fresh ids) as the broker's config has it.
pub(super) fn create(
    config: &BrokerConfig,
    topics: impl IntoIterator<Item = (String, Uuid)>,
) -> Command {
    let topics = topics.into_iter().map(|(name, id)| match name.as_str() {
        OFFSETS_TOPIC => offsets_topic(config, id),
        _ => with_defaults(name, id),
    });
    Command::CreateTopics(CreateTopics {
        topics: topics.collect(),
        validate_only: false,
        defaults: TopicDefaults::of(config),
    })
}

/// Why the one topic of a command of [`create`] is not there now; `None` if it is, new or old.
pub(super) fn failure(answer: Result<Reply, Failure>) -> Option<String> {
    let results = match answer {
        Ok(Reply::TopicsCreated(results)) => results,
        Ok(_) => return Some("the catalog answered something else than it was asked".to_owned()),
        Err(error) => return Some(error.to_string()),
    };
    let refusal = results.into_iter().find_map(|topic| topic.result.err())?;
    let failed = refusal.code != ErrorCode::TopicAlreadyExists;
    failed.then(|| {
        refusal
            .message
            .unwrap_or_else(|| format!("{:?}", refusal.code))
    })
}

/// An ordinary topic: `num.partitions`, `default.replication.factor`, no config overrides.
fn with_defaults(name: String, id: Uuid) -> NewTopic {
    NewTopic {
        name,
        id,
        num_partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}

/// `__consumer_offsets` (Kafka's `GroupCoordinatorService.groupMetadataTopicConfigs`).
fn offsets_topic(config: &BrokerConfig, id: Uuid) -> NewTopic {
    let segment_bytes = config.offsets_topic_segment_bytes.to_string();
    let configs = [
        ("cleanup.policy", "compact"),
        ("compression.type", "producer"),
        ("segment.bytes", &segment_bytes),
    ];
    NewTopic {
        num_partitions: config.offsets_topic_num_partitions,
        // `offsets.topic.replication.factor` is often 3 in a file that comes from a cluster; groups
        // must work all the same, so the one replica that is possible is asked for.
        replication_factor: 1,
        configs: configs
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
            .into(),
        ..with_defaults(OFFSETS_TOPIC.to_owned(), id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::command::{CreateTopicResult, Refusal};
    use crate::coordinator::runtime::Unavailable;

    fn config() -> BrokerConfig {
        let pairs = [
            ("num.partitions", "4"),
            ("offsets.topic.num.partitions", "7"),
            ("offsets.topic.segment.bytes", "2097152"),
            ("offsets.topic.replication.factor", "3"),
        ];
        BrokerConfig::from_pairs(pairs).expect("the options are valid")
    }

    #[test]
    fn topics_are_created_as_the_config_has_it() {
        let (orders, offsets) = (Uuid::from_u128(500), Uuid::from_u128(501));
        let names = [
            ("orders".to_owned(), orders),
            (OFFSETS_TOPIC.to_owned(), offsets),
        ];
        let Command::CreateTopics(command) = create(&config(), names) else {
            panic!("another command")
        };
        assert!(!command.validate_only);
        assert_eq!(
            command.defaults,
            TopicDefaults {
                num_partitions: 4,
                replication_factor: 1
            }
        );
        let [first, second] = command.topics.as_slice() else {
            panic!("two topics")
        };
        assert_eq!(*first, with_defaults("orders".into(), orders));
        assert_eq!((first.num_partitions, first.replication_factor), (-1, -1));
        assert_eq!((second.num_partitions, second.replication_factor), (7, 1));
        assert_eq!((second.name.as_str(), second.id), (OFFSETS_TOPIC, offsets));
        let configs: Vec<_> = second
            .configs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or("null")))
            .collect();
        let expected = [
            ("cleanup.policy", "compact"),
            ("compression.type", "producer"),
            ("segment.bytes", "2097152"),
        ];
        assert_eq!(configs, expected);
    }

    #[test]
    fn rule_64_only_names_that_are_safe_are_created_by_themselves() {
        let long = "x".repeat(250);
        for (name, expected) in [
            ("orders", true),
            (OFFSETS_TOPIC, true),
            ("__transaction_state", false),
            ("__cluster_metadata", false),
            ("", false),
            ("..", false),
            ("a b", false),
            (long.as_str(), false),
        ] {
            assert_eq!(may_create(name), expected, "{name}");
        }
    }

    #[test]
    fn a_topic_that_exists_already_is_no_failure() {
        let refused = |refusal| {
            Ok(Reply::TopicsCreated(vec![CreateTopicResult {
                name: OFFSETS_TOPIC.into(),
                result: Err(refusal),
            }]))
        };
        let check = |answer, expected: Option<&str>| {
            assert_eq!(failure(answer).as_deref(), expected);
        };
        check(Ok(Reply::TopicsCreated(Vec::new())), None);
        check(refused(Refusal::bare(ErrorCode::TopicAlreadyExists)), None);
        check(
            refused(Refusal::new(ErrorCode::PolicyViolation, "full")),
            Some("full"),
        );
        check(
            refused(Refusal::bare(ErrorCode::InvalidPartitions)),
            Some("InvalidPartitions"),
        );
        let gone = Failure::from(Unavailable("stopped".into()));
        let text = gone.to_string();
        check(Err(gone), Some(&text));
    }
}
