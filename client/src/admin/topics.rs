//! Topics: CreateTopics (key 19, versions 2 to 7), DeleteTopics (key 20, versions 1 to 6),
//! DescribeTopicPartitions (key 75, version 0) and Metadata; by names, and by ids in a file of its
//! own.

mod by_id;
mod describe;

use std::collections::BTreeMap;

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, DeleteTopicsRequest};
use uuid::Uuid;

use super::ask::{ANY_NUMBER, Ask, Route};
use super::configs::{ConfigEntry, ConfigSource, ConfigType};
use super::{Admin, Each, Mode, known, named_once, text, topic_name};
use crate::cluster::api_error;
use crate::error::ClientError;

pub use describe::{PartitionDescription, TopicDescription, TopicListing};

/// A topic to be made (Kafka: `NewTopic`).
///
/// ```
/// use tidemark_client::admin::NewTopic;
/// let orders = NewTopic::new("orders").partitions(6).config("retention.ms", "3600000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    name: String,
    partitions: i32,
    replication_factor: i16,
    assignment: Vec<Vec<i32>>,
    configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with as many partitions and replicas as the cluster's defaults say (KIP-464, since
    /// Kafka 2.4).
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: -1,
            replication_factor: -1,
            assignment: Vec::new(),
            configs: BTreeMap::new(),
        }
    }

    /// How many partitions it has. Default: the cluster's `num.partitions`.
    #[must_use]
    pub fn partitions(mut self, count: i32) -> Self {
        self.partitions = count;
        self
    }

    /// On how many brokers each partition is kept. Default: the cluster's
    /// `default.replication.factor`.
    #[must_use]
    pub fn replication_factor(mut self, count: i16) -> Self {
        self.replication_factor = count;
        self
    }

    /// The brokers of each partition, the preferred leader first: in place of the number of
    /// partitions and replicas (Kafka: `replicasAssignments`).
    #[must_use]
    pub fn assignment(mut self, brokers: Vec<Vec<i32>>) -> Self {
        self.assignment = brokers;
        self
    }

    /// Sets a config of the topic. May be repeated.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }

    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn wire(&self) -> CreatableTopic {
        let assignment = (0..).zip(&self.assignment).map(|(index, brokers)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index)
                .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
        });
        let configs = self.configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
        });
        CreatableTopic::default()
            .with_name(topic_name(&self.name))
            .with_num_partitions(self.partitions)
            .with_replication_factor(self.replication_factor)
            .with_assignments(assignment.collect())
            .with_configs(configs.collect())
    }
}

/// A topic that has been made, or could be (Kafka: `CreateTopicsResult.TopicMetadataAndConfig`,
/// KIP-525). What brokers did not tell yet in earlier versions is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; nil before Kafka 2.8, and when it was only validated.
    pub id: Uuid,
    /// How many partitions it has (KIP-525, since Kafka 2.4).
    pub partitions: Option<i32>,
    /// On how many brokers each is kept.
    pub replication_factor: Option<i16>,
    /// All its configs, unless the client may not see them.
    pub configs: Option<Vec<ConfigEntry>>,
}

impl Admin {
    /// Makes topics, or checks whether they could be made (Kafka: `Admin.createTopics`,
    /// `kafka-topics --create`, KIP-4).
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// use tidemark_client::admin::{Mode, NewTopic};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let orders = NewTopic::new("orders").partitions(6);
    /// client.admin().create_topics([orders], Mode::Apply).await?.all()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each topic [`ClientError::Broker`], as with
    /// `TOPIC_ALREADY_EXISTS`, `INVALID_TOPIC_EXCEPTION`, `INVALID_PARTITIONS`,
    /// `INVALID_REPLICATION_FACTOR`, `INVALID_CONFIG`, `POLICY_VIOLATION`.
    pub async fn create_topics(
        &self,
        topics: impl IntoIterator<Item = NewTopic>,
        mode: Mode,
    ) -> Result<Each<String, CreatedTopic>, ClientError> {
        let topics = topics.into_iter().map(|topic| (topic.name.clone(), topic));
        let topics = named_once("topics", topics)?;
        let ask = Ask {
            what: "creating topics".to_owned(),
            route: Route::Controller,
            versions: 2..=7,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            topics.keys().cloned(),
            |round, names: &[String]| {
                let wanted = names.iter().filter_map(|name| topics.get(name));
                CreateTopicsRequest::default()
                    .with_topics(wanted.map(NewTopic::wire).collect())
                    .with_timeout_ms(round.timeout_ms)
                    .with_validate_only(mode.validate_only())
            },
            |round, _, response| {
                let told = response.topics.into_iter();
                told.map(|topic| (topic.name.to_string(), created(round.version, topic)))
                    .collect()
            },
        )
        .await
    }

    /// Deletes topics with all their records (Kafka: `Admin.deleteTopics`, `kafka-topics --delete`,
    /// KIP-4).
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each topic [`ClientError::Broker`], as with
    /// `UNKNOWN_TOPIC_OR_PARTITION`, `TOPIC_DELETION_DISABLED`, `TOPIC_AUTHORIZATION_FAILED`.
    pub async fn delete_topics<S: Into<String>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Each<String, ()>, ClientError> {
        let ask = Ask {
            what: "deleting topics".to_owned(),
            route: Route::Controller,
            versions: 1..=6,
            most: ANY_NUMBER,
        };
        let names = names.into_iter().map(|name| (name.into(), ()));
        self.each(
            ask,
            named_once("topics", names)?.into_keys(),
            |round, names: &[String]| {
                let names = names.iter().map(|name| topic_name(name));
                let request = DeleteTopicsRequest::default().with_timeout_ms(round.timeout_ms);
                match round.version {
                    ..=5 => request.with_topic_names(names.collect()),
                    _ => {
                        let state = |name| DeleteTopicState::default().with_name(Some(name));
                        request.with_topics(names.map(state).collect())
                    }
                }
            },
            |_, _, response| {
                let told = response.responses.into_iter().map(|topic| {
                    let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
                    let what = || format!("deleting topic {name:?}");
                    let done = api_error(what, topic.error_code, topic.error_message.as_deref());
                    (name, done)
                });
                told.collect()
            },
        )
        .await
    }
}

fn created(version: i16, topic: CreatableTopicResult) -> Result<CreatedTopic, ClientError> {
    let what = || format!("creating topic {:?}", topic.name.as_str());
    api_error(what, topic.error_code, topic.error_message.as_deref())?;
    let told = version >= 5;
    let entry =
        |config: kafka_protocol::messages::create_topics_response::CreatableTopicConfigs| {
            ConfigEntry {
                name: config.name.to_string(),
                value: config.value.as_ref().map(ToString::to_string),
                source: ConfigSource::from_id(config.config_source),
                read_only: config.read_only,
                sensitive: config.is_sensitive,
                kind: ConfigType::Unknown,
                documentation: None,
                synonyms: Vec::new(),
            }
        };
    // Without the right to see configs the numbers are -1, too (TOPIC_AUTHORIZATION_FAILED).
    let configs = topic
        .configs
        .filter(|_| told && topic.topic_config_error_code == 0);
    Ok(CreatedTopic {
        id: topic.topic_id,
        partitions: known(topic.num_partitions).filter(|_| told),
        replication_factor: known(topic.replication_factor).filter(|_| told),
        configs: configs.map(|configs| configs.into_iter().map(entry).collect()),
    })
}
