//! What the catalog's log adds up to at one offset.

mod replay;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;
use uuid::Uuid;

use super::records::RegisterBrokerRecord;
use crate::types::{LeaderEpoch, Offset, PartitionIndex, ProducerId};

/// The feature that numbers the format of the catalog's log.
pub const METADATA_VERSION_FEATURE: &str = "metadata.version";

/// An immutable picture of the catalog. Topics are shared between pictures, so that a new one
/// costs a copy of the tables of pointers and of the topics that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogImage {
    offset: Offset,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    names: BTreeMap<Uuid, Arc<str>>,
    partition_count: usize,
    broker_configs: BTreeMap<String, Arc<BTreeMap<String, String>>>,
    brokers: BTreeMap<i32, Arc<RegisterBrokerRecord>>,
    features: Arc<BTreeMap<String, i16>>,
    next_producer_id: ProducerId,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id. A topic that is deleted and created again has another.
    pub id: Uuid,
    /// Its partitions, by number.
    pub partitions: BTreeMap<PartitionIndex, Partition>,
    /// Its config overrides.
    pub configs: Arc<BTreeMap<String, String>>,
    /// Whether the broker keeps its own records in it.
    pub internal: bool,
}

/// Node ids; on a single node there is one.
pub type Replicas = SmallVec<[i32; 2]>;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The leader, or -1.
    pub leader: i32,
    /// How often the leadership has moved: 0 from creation on, and a restart moves nothing.
    pub leader_epoch: LeaderEpoch,
    /// How often anything about the partition has changed.
    pub partition_epoch: i32,
    /// The replicas, the preferred leader first.
    pub replicas: Replicas,
    /// The replicas in sync.
    pub isr: Replicas,
    /// The log directory of each replica.
    pub directories: SmallVec<[Uuid; 1]>,
}

impl Default for CatalogImage {
    /// The picture before the first record.
    fn default() -> Self {
        Self {
            offset: Offset(-1),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            partition_count: 0,
            broker_configs: BTreeMap::new(),
            brokers: BTreeMap::new(),
            features: Arc::default(),
            next_producer_id: ProducerId(0),
        }
    }
}

impl CatalogImage {
    /// The offset of the last record that went into the picture; -1 before the first.
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// All topics, sorted by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// The topic with this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(&id)?)
    }

    /// A partition of the topic with this name.
    pub fn partition(&self, topic: &str, partition: PartitionIndex) -> Option<&Partition> {
        self.topic(topic)?.partitions.get(&partition)
    }

    /// How many partitions all topics have together.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// The dynamic config overrides of the broker with this id (`"0"`), or with the empty name the
    /// defaults of all brokers.
    pub fn broker_config(&self, name: &str) -> Option<&Arc<BTreeMap<String, String>>> {
        self.broker_configs.get(name)
    }

    /// All dynamic broker configs by name, sorted.
    pub fn broker_configs(
        &self,
    ) -> impl ExactSizeIterator<Item = (&str, &Arc<BTreeMap<String, String>>)> {
        self.broker_configs
            .iter()
            .map(|(name, configs)| (name.as_str(), configs))
    }

    /// The registration of the broker with this id.
    pub fn broker(&self, id: i32) -> Option<&Arc<RegisterBrokerRecord>> {
        self.brokers.get(&id)
    }

    /// The finalized features and their levels, never 0.
    pub fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// The level of `metadata.version`; `None` before the first start.
    pub fn metadata_version(&self) -> Option<i16> {
        self.features.get(METADATA_VERSION_FEATURE).copied()
    }

    /// The first producer id that is not given out.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }
}
