//! Metadata (key 3, versions 4 to 13), asked for once: what the cluster knows of topics right now,
//! none of which is made by asking.

use std::collections::BTreeMap;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use tidemark_protocol::ErrorCode;

use super::{Admin, topic_name};
use crate::cluster::{Lane, Node, Tries, api_error};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// Version 4 is the first that can be kept from making topics (KIP-204).
const VERSIONS: std::ops::RangeInclusive<i16> = 4..=13;

/// The cluster's answer about some topics, or all.
pub(super) struct TopicsNow {
    pub(super) response: MetadataResponse,
    places: BTreeMap<String, usize>,
}

impl Admin {
    /// Asks any broker about topics; `None` for all there are.
    pub(super) async fn topics_now(
        &self,
        topics: Option<Vec<String>>,
        tries: &mut Tries<'_>,
    ) -> Result<TopicsNow, ClientError> {
        let topics = topics.map(|mut topics| {
            topics.sort_unstable();
            topics.dedup();
            topics
        });
        loop {
            let call =
                self.cluster
                    .call(&Node::Any, Lane::General, VERSIONS, tries.timeout(), |_| {
                        request(topics.as_deref())
                    });
            let error = match tries.attempt(call).await {
                Ok(response) => {
                    let what = || "metadata".to_owned();
                    match api_error(what, response.error_code, None) {
                        Ok(()) => {
                            self.cluster.note_brokers(&response);
                            return Ok(TopicsNow::new(response));
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            tries.again(error).await?;
        }
    }

    /// The numbers of all brokers.
    pub(super) async fn brokers_now(&self, tries: &mut Tries<'_>) -> Result<Vec<i32>, ClientError> {
        let now = self.topics_now(Some(Vec::new()), tries).await?;
        let brokers = now.response.brokers.iter();
        Ok(brokers.map(|broker| broker.node_id.0).collect())
    }

    /// Makes sure that brokers can be found by their numbers, if that is needed.
    pub(super) async fn know_brokers(
        &self,
        needed: bool,
        tries: &mut Tries<'_>,
    ) -> Result<(), ClientError> {
        if needed && self.cluster.metadata().brokers().next().is_none() {
            self.brokers_now(tries).await?;
        }
        Ok(())
    }
}

fn request(topics: Option<&[String]>) -> MetadataRequest {
    let topic = |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    MetadataRequest::default()
        .with_topics(topics.map(|topics| topics.iter().map(topic).collect()))
        .with_allow_auto_topic_creation(false)
}

impl TopicsNow {
    fn new(response: MetadataResponse) -> Self {
        let named = (0..).zip(&response.topics);
        let places = named.filter_map(|(place, topic)| {
            let name = topic.name.as_ref()?;
            Some((name.to_string(), place))
        });
        Self {
            places: places.collect(),
            response,
        }
    }

    /// The topic, or why there is none.
    pub(super) fn topic(&self, name: &str) -> Result<&MetadataResponseTopic, ClientError> {
        let place = self.places.get(name);
        let topic = place.and_then(|place| self.response.topics.get(*place));
        let unknown = || ClientError::UnknownTopic {
            topic: name.to_owned(),
        };
        let topic = topic.ok_or_else(unknown)?;
        match ErrorCode::from(topic.error_code) {
            ErrorCode::None => Ok(topic),
            ErrorCode::UnknownTopicOrPartition => Err(unknown()),
            code => Err(ClientError::broker(format!("topic {name:?}"), code)),
        }
    }

    /// The partition, or why there is none.
    fn partition(
        &self,
        wanted: &TopicPartition,
    ) -> Result<&MetadataResponsePartition, ClientError> {
        let topic = self.topic(&wanted.topic)?;
        let is =
            |partition: &&MetadataResponsePartition| partition.partition_index == wanted.partition;
        // Brokers tend to tell them in order.
        let place = usize::try_from(wanted.partition).unwrap_or(usize::MAX);
        let partition = topic.partitions.get(place).filter(is);
        partition
            .or_else(|| topic.partitions.iter().find(is))
            .ok_or_else(|| ClientError::UnknownPartition {
                topic: wanted.topic.to_string(),
                partition: wanted.partition,
                count: topic.partitions.len(),
            })
    }

    /// The leader of a partition, or why it has none.
    pub(super) fn leader(&self, wanted: &TopicPartition) -> Result<i32, ClientError> {
        let partition = self.partition(wanted)?;
        match partition.leader_id.0 {
            leader @ 0.. => Ok(leader),
            _ => Err(ClientError::broker(
                format!("the leader of {wanted}"),
                ErrorCode::LeaderNotAvailable,
            )),
        }
    }
}
