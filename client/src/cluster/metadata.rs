//! What the client knows of the cluster: an immutable picture, replaced as a whole.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use tidemark_protocol::ErrorCode;
use uuid::Uuid;

use crate::config::Address;

/// One broker of the cluster (Kafka: `Node`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its number (Kafka: `node.id`).
    pub id: i32,
    /// Where clients reach it.
    pub host: String,
    /// And on which port.
    pub port: u16,
    /// Where it stands, if that is configured (Kafka: `broker.rack`).
    pub rack: Option<String>,
}

impl Broker {
    /// A broker as an answer describes it, unless that cannot be an address.
    pub(crate) fn new(id: i32, host: &str, port: i32, rack: Option<&str>) -> Option<Self> {
        Some(Self {
            id,
            host: host.to_owned(),
            port: u16::try_from(port).ok()?,
            rack: rack.map(str::to_owned),
        })
    }

    pub(crate) fn address(&self) -> Address {
        Address {
            host: self.host.clone(),
            port: self.port,
        }
    }
}

/// One topic, as the cluster described it (Kafka: `MetadataResponse.TopicMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, by which a topic that was deleted and made again is told from the first (KIP-516);
    /// nil with brokers that have none.
    pub id: Uuid,
    /// Whether the cluster itself keeps data in it, as in `__consumer_offsets`.
    pub internal: bool,
    /// Its partitions by number, without gaps.
    pub partitions: Vec<PartitionMetadata>,
}

impl TopicMetadata {
    /// The partition with this number.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<&PartitionMetadata> {
        self.partitions.get(usize::try_from(index).ok()?)
    }
}

/// One partition, as the cluster described it (Kafka: `PartitionInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its number, from 0.
    pub index: i32,
    /// The broker that leads it, if there is one.
    pub leader: Option<i32>,
    /// Which reign of a leader this is (KIP-320); -1 with brokers that do not tell.
    pub leader_epoch: i32,
    /// The brokers that keep it.
    pub replicas: Vec<i32>,
    /// Those of them that are up to date (Kafka: ISR).
    pub isr: Vec<i32>,
    /// Those of them that are down.
    pub offline: Vec<i32>,
    /// What is wrong with it, [`ErrorCode::None`] if nothing.
    pub error: ErrorCode,
}

/// The picture of a cluster (Kafka: `Cluster`). One that is at hand never changes;
/// [`crate::Client::metadata`] gives the newest. It is taken anew when an error says that it is
/// wrong, and after [`crate::ClientConfig::metadata_max_age`].
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// Counts the pictures; 0 is the one before the first answer.
    pub version: u64,
    /// The cluster's id (KIP-78).
    pub cluster_id: Option<String>,
    /// The broker that takes changes of topics and configs.
    pub controller: Option<i32>,
    pub(crate) brokers: BTreeMap<i32, Broker>,
    pub(crate) topics: HashMap<Arc<str>, Arc<TopicMetadata>>,
    pub(crate) ids: HashMap<Uuid, Arc<str>>,
    /// Topics that were asked for and have no description, with the reason.
    pub(crate) errors: HashMap<Arc<str>, ErrorCode>,
}

/// A partition's leader, as a broker names it that is none (any more).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewLeader {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) leader: i32,
    pub(crate) epoch: i32,
}

/// Which topics an answer speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All there are: what it does not name is gone.
    All,
    /// All that somebody wants: others are forgotten.
    Wanted,
    /// Those that were asked for: what is known of others stays.
    Asked,
}

impl Metadata {
    /// The brokers by number.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values()
    }

    /// The broker with this number.
    #[must_use]
    pub fn broker(&self, id: i32) -> Option<&Broker> {
        self.brokers.get(&id)
    }

    /// The topics that are in use, in no order.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicMetadata>> {
        self.topics.values()
    }

    /// The topic with this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.topics.get(name)
    }

    /// The name of the topic with this id (KIP-516).
    #[must_use]
    pub fn name_of(&self, id: Uuid) -> Option<&Arc<str>> {
        self.ids.get(&id)
    }

    /// The partition with this name and number.
    #[must_use]
    pub fn partition(&self, topic: &str, index: i32) -> Option<&PartitionMetadata> {
        self.topics.get(topic)?.partition(index)
    }

    /// The picture after an answer. A partition of the same topic keeps what is known of it where
    /// the answer is of an earlier leader epoch: brokers learn of changes at different times
    /// (KIP-320, Kafka's `Metadata.updateLatestMetadata`).
    pub(crate) fn updated(&self, response: &MetadataResponse, scope: Scope) -> Self {
        let mut next = match scope {
            Scope::All => Self::default(),
            Scope::Wanted => self.with_only(&response.topics),
            Scope::Asked => self.clone(),
        };
        next.version = self.version + 1;
        next.cluster_id = response.cluster_id.as_ref().map(ToString::to_string);
        next.controller = Some(response.controller_id.0).filter(|id| *id >= 0);
        next.brokers = response
            .brokers
            .iter()
            .filter_map(|broker| {
                let described = Broker {
                    id: broker.node_id.0,
                    host: broker.host.to_string(),
                    port: u16::try_from(broker.port).ok()?,
                    rack: broker.rack.as_ref().map(ToString::to_string),
                };
                Some((described.id, described))
            })
            .collect();
        for topic in &response.topics {
            let Some(name) = &topic.name else { continue };
            next.learn(&self.topics, name.as_str(), topic);
        }
        next
    }

    /// The picture without all other topics.
    fn with_only(&self, topics: &[MetadataResponseTopic]) -> Self {
        let names: HashSet<&str> = topics
            .iter()
            .filter_map(|topic| Some(topic.name.as_ref()?.as_str()))
            .collect();
        let mut next = self.clone();
        next.topics.retain(|name, _| names.contains(&**name));
        next.ids.retain(|_, name| names.contains(&**name));
        next.errors.retain(|name, _| names.contains(&**name));
        next
    }

    /// The picture with these leaders, reached where `brokers` says; `None` if nothing of it is new
    /// (KIP-951, Kafka's `Metadata.updatePartitionLeadership`).
    pub(crate) fn with_leaders(&self, leaders: &[NewLeader], brokers: &[Broker]) -> Option<Self> {
        let news: Vec<&NewLeader> = leaders
            .iter()
            .filter(|new| {
                let known = self.partition(&new.topic, new.partition);
                let reachable = self.brokers.contains_key(&new.leader)
                    || brokers.iter().any(|broker| broker.id == new.leader);
                reachable && known.is_some_and(|known| new.epoch > known.leader_epoch)
            })
            .collect();
        if news.is_empty() {
            return None;
        }
        let mut next = self.clone();
        next.version += 1;
        for broker in brokers {
            // Of a rack these answers do not tell.
            let known = next
                .brokers
                .entry(broker.id)
                .or_insert_with(|| broker.clone());
            known.host.clone_from(&broker.host);
            known.port = broker.port;
        }
        for new in news {
            let topic = next.topics.get_mut(&new.topic).map(Arc::make_mut);
            let index = usize::try_from(new.partition).ok();
            if let Some(topic) = topic
                && let Some(partition) = index.and_then(|at| topic.partitions.get_mut(at))
            {
                partition.leader = Some(new.leader);
                partition.leader_epoch = new.epoch;
            }
        }
        Some(next)
    }

    fn learn(
        &mut self,
        before: &HashMap<Arc<str>, Arc<TopicMetadata>>,
        name: &str,
        topic: &MetadataResponseTopic,
    ) {
        let error = ErrorCode::from(topic.error_code);
        let old = before.get(name);
        let name: Arc<str> = old.map_or_else(|| name.into(), |old| Arc::clone(&old.name));
        if !error.is_none() {
            // A topic that is gone is forgotten; other troubles pass, and what is known may help.
            if matches!(
                error,
                ErrorCode::UnknownTopicOrPartition | ErrorCode::InvalidTopicException
            ) && let Some(gone) = self.topics.remove(&name)
            {
                self.ids.remove(&gone.id);
            }
            self.errors.insert(name, error);
            return;
        }
        self.errors.remove(&name);
        let same = old.filter(|old| old.id == topic.topic_id);
        let Some(partitions) = partitions(same, &topic.partitions) else {
            self.errors.insert(name, ErrorCode::UnknownServerError);
            return;
        };
        if let Some(old) = old {
            self.ids.remove(&old.id);
        }
        if !topic.topic_id.is_nil() {
            self.ids.insert(topic.topic_id, Arc::clone(&name));
        }
        let described = TopicMetadata {
            name: Arc::clone(&name),
            id: topic.topic_id,
            internal: topic.is_internal,
            partitions,
        };
        self.topics.insert(name, Arc::new(described));
    }
}

/// The partitions by number; `None` if they are not 0 to n-1, each once.
fn partitions(
    old: Option<&Arc<TopicMetadata>>,
    found: &[MetadataResponsePartition],
) -> Option<Vec<PartitionMetadata>> {
    let ids = |ids: &[kafka_protocol::messages::BrokerId]| ids.iter().map(|id| id.0).collect();
    let mut partitions: Vec<PartitionMetadata> = found
        .iter()
        .map(|partition| PartitionMetadata {
            index: partition.partition_index,
            leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
            leader_epoch: partition.leader_epoch,
            replicas: ids(&partition.replica_nodes),
            isr: ids(&partition.isr_nodes),
            offline: ids(&partition.offline_replicas),
            error: ErrorCode::from(partition.error_code),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    let numbered = partitions
        .iter()
        .zip(0..)
        .all(|(partition, index)| partition.index == index);
    if !numbered {
        return None;
    }
    for partition in &mut partitions {
        let known = old.and_then(|old| old.partition(partition.index));
        if let Some(known) = known
            && partition.leader_epoch >= 0
            && known.leader_epoch > partition.leader_epoch
        {
            *partition = known.clone();
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests;
