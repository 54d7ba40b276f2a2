//! What there is to know of topics: DescribeTopicPartitions page by page (KIP-966), Metadata with
//! brokers that lack it and for the list of all.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::describe_topic_partitions_response::{
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use tidemark_protocol::ErrorCode;
use uuid::Uuid;

use crate::admin::{Admin, Each, named_once, topic_name};
use crate::cluster::{Lane, Node, Tries};
use crate::connection::CallError;
use crate::error::ClientError;

/// Partitions of one answer: as many as brokers give at most (`max.request.partition.size.limit`).
const PAGE: i32 = 2000;

/// One line of the list of topics (Kafka: `TopicListing`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id (KIP-516); nil before Kafka 2.8.
    pub id: Uuid,
    /// Whether the cluster itself keeps data in it, as in `__consumer_offsets`.
    pub internal: bool,
    /// How many partitions it has.
    pub partitions: usize,
    /// On how many brokers its first partition is kept.
    pub replication_factor: usize,
}

/// A topic (Kafka: `TopicDescription`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id, by which a topic that was deleted and made again is told from the first (KIP-516);
    /// nil before Kafka 2.8.
    pub id: Uuid,
    /// Whether the cluster itself keeps data in it.
    pub internal: bool,
    /// Its partitions by number.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition (Kafka: `TopicPartitionInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number, from 0.
    pub index: i32,
    /// The broker that leads it, if there is one.
    pub leader: Option<i32>,
    /// Which reign of a leader this is (KIP-320); -1 with brokers that do not tell.
    pub leader_epoch: i32,
    /// The brokers that keep it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those of them that are up to date.
    pub isr: Vec<i32>,
    /// Those of them that are down.
    pub offline: Vec<i32>,
    /// Those that may become leader although they are not in the ISR (KIP-966); `None` if the
    /// cluster does not tell.
    pub eligible_leaders: Option<Vec<i32>>,
    /// What is wrong with it, [`ErrorCode::None`] if nothing.
    pub error: ErrorCode,
}

impl Admin {
    /// All topics, by name (Kafka: `Admin.listTopics`, `kafka-topics --list`); the cluster's own,
    /// too.
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// for topic in client.admin().list_topics().await? {
    ///     println!("{} has {} partitions", topic.name, topic.partitions);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors).
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, ClientError> {
        let mut tries = self.cluster.tries("listing topics", self.timeout);
        let now = self.topics_now(None, &mut tries).await?;
        let topics = now.response.topics.iter().filter_map(|topic| {
            let name = topic.name.as_ref()?.to_string();
            let first = topic.partitions.first();
            Some(TopicListing {
                name,
                id: topic.topic_id,
                internal: topic.is_internal,
                partitions: topic.partitions.len(),
                replication_factor: first.map_or(0, |first| first.replica_nodes.len()),
            })
        });
        let mut topics: Vec<TopicListing> = topics.collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Describes topics with their partitions (Kafka: `Admin.describeTopics`, `kafka-topics
    /// --describe`). One that does not exist is [`ClientError::UnknownTopic`].
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each topic [`ClientError::UnknownTopic`] and
    /// [`ClientError::Broker`], as with `INVALID_TOPIC_EXCEPTION`. What is wrong with one partition
    /// is in [`PartitionDescription::error`].
    pub async fn describe_topics<S: Into<String>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Each<String, TopicDescription>, ClientError> {
        let names = names.into_iter().map(|name| (name.into(), ()));
        let names: Vec<String> = named_once("topics", names)?.into_keys().collect();
        if names.is_empty() {
            return Ok(Each::from_iter([]));
        }
        let mut tries = self.cluster.tries("describing topics", self.timeout);
        let found = match self.pages(&names, &mut tries).await {
            Ok(found) => found,
            // Before Kafka 3.8.
            Err(ClientError::Call(CallError::Unsupported { .. })) => {
                let now = self.topics_now(Some(names.clone()), &mut tries).await?;
                let one = |name: String| {
                    let topic = now.topic(&name).map(|topic| by_metadata(&name, topic));
                    (name, topic)
                };
                return Ok(names.into_iter().map(one).collect());
            }
            Err(error) => return Err(error),
        };
        let mut found = found;
        let one = |name: String| {
            let unknown = || ClientError::UnknownTopic {
                topic: name.clone(),
            };
            let topic = found.remove(&name).unwrap_or_else(|| Err(unknown()));
            (name, topic)
        };
        Ok(names.into_iter().map(one).collect())
    }

    /// All pages of the description of topics, which are in order.
    async fn pages(
        &self,
        names: &[String],
        tries: &mut Tries<'_>,
    ) -> Result<BTreeMap<String, Result<TopicDescription, ClientError>>, ClientError> {
        let mut found = BTreeMap::new();
        let mut from: Option<(String, i32)> = None;
        loop {
            let page = self.page(names, from.as_ref(), tries).await?;
            for topic in page.topics {
                note(&mut found, topic);
            }
            let Some(next) = page.next_cursor else {
                return Ok(found);
            };
            let next = (next.topic_name.to_string(), next.partition_index);
            if from.as_ref().is_some_and(|from| *from >= next) {
                return Err(ClientError::Broker {
                    what: tries.what().to_owned(),
                    code: ErrorCode::UnknownServerError,
                    message: Some(format!("the broker's pages do not get beyond {next:?}")),
                });
            }
            from = Some(next);
        }
    }

    async fn page(
        &self,
        names: &[String],
        from: Option<&(String, i32)>,
        tries: &mut Tries<'_>,
    ) -> Result<DescribeTopicPartitionsResponse, ClientError> {
        let rest = names
            .iter()
            .filter(|name| from.is_none_or(|(topic, _)| *name >= topic));
        let topics = rest.map(|name| TopicRequest::default().with_name(topic_name(name)));
        let cursor = from.map(|(topic, partition)| {
            Cursor::default()
                .with_topic_name(topic_name(topic))
                .with_partition_index(*partition)
        });
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics.collect())
            .with_response_partition_limit(PAGE)
            .with_cursor(cursor);
        loop {
            let call = self
                .cluster
                .call(&Node::Any, Lane::General, 0..=0, tries.timeout(), |_| {
                    request.clone()
                });
            match tries.attempt(call).await {
                Ok(response) => return Ok(response),
                Err(error) => tries.again(error).await?,
            }
        }
    }
}

/// Takes a topic of a page over: it may be the rest of one that an earlier page began.
fn note(
    found: &mut BTreeMap<String, Result<TopicDescription, ClientError>>,
    topic: DescribeTopicPartitionsResponseTopic,
) {
    let name = topic
        .name
        .as_ref()
        .map(|name| name.to_string())
        .unwrap_or_default();
    let error = match ErrorCode::from(topic.error_code) {
        ErrorCode::None => None,
        ErrorCode::UnknownTopicOrPartition => Some(ClientError::UnknownTopic {
            topic: name.clone(),
        }),
        code => Some(ClientError::broker(format!("topic {name:?}"), code)),
    };
    if let Some(error) = error {
        found.insert(name, Err(error));
        return;
    }
    let partitions = topic.partitions.into_iter().map(by_page);
    match found.get_mut(&name) {
        Some(Ok(begun)) => begun.partitions.extend(partitions),
        _ => {
            let described = TopicDescription {
                name: name.clone(),
                id: topic.topic_id,
                internal: topic.is_internal,
                partitions: partitions.collect(),
            };
            found.insert(name, Ok(described));
        }
    }
}

fn ids(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

fn by_page(partition: DescribeTopicPartitionsResponsePartition) -> PartitionDescription {
    PartitionDescription {
        index: partition.partition_index,
        leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
        leader_epoch: partition.leader_epoch,
        replicas: ids(&partition.replica_nodes),
        isr: ids(&partition.isr_nodes),
        offline: ids(&partition.offline_replicas),
        eligible_leaders: partition.eligible_leader_replicas.as_deref().map(ids),
        error: ErrorCode::from(partition.error_code),
    }
}

pub(super) fn by_metadata(name: &str, topic: &MetadataResponseTopic) -> TopicDescription {
    let partition = |partition: &MetadataResponsePartition| PartitionDescription {
        index: partition.partition_index,
        leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
        leader_epoch: partition.leader_epoch,
        replicas: ids(&partition.replica_nodes),
        isr: ids(&partition.isr_nodes),
        offline: ids(&partition.offline_replicas),
        eligible_leaders: None,
        error: ErrorCode::from(partition.error_code),
    };
    let mut partitions: Vec<_> = topic.partitions.iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.index);
    TopicDescription {
        name: name.to_owned(),
        id: topic.topic_id,
        internal: topic.is_internal,
        partitions,
    }
}
