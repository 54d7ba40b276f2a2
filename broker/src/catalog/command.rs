//! What callers ask of the catalog, and what they get.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::records::{BrokerEndpoint, BrokerFeature};
use crate::config::{BrokerConfig, Overrides};
use crate::types::ProducerId;
pub use tidemark_protocol::error::ErrorCode;

/// A request to the catalog. Each is decided as a whole and its records are written as one atomic
/// batch; topics and resources in it succeed or fail each on its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// CreateTopics, and automatic creation.
    CreateTopics(CreateTopics),
    /// DeleteTopics.
    DeleteTopics(DeleteTopics),
    /// CreatePartitions.
    CreatePartitions(CreatePartitions),
    /// AlterConfigs and IncrementalAlterConfigs.
    AlterConfigs(AlterConfigs),
    /// Reserves the next `count` producer ids (at least 1); the usual number is
    /// [`PRODUCER_ID_BLOCK_SIZE`].
    AllocateProducerIds {
        /// How many ids.
        count: i32,
    },
    /// Makes the broker known, once at start.
    RegisterBroker(Registration),
}

/// How many producer ids are reserved at a time (Kafka's `ProducerIdsBlock`).
pub const PRODUCER_ID_BLOCK_SIZE: i32 = 1000;

/// The body of [`Command::CreateTopics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopics {
    /// The topics, in the order of the request.
    pub topics: Vec<NewTopic>,
    /// Decide and answer, but create nothing.
    pub validate_only: bool,
    /// What stands in for values left open.
    pub defaults: TopicDefaults,
}

/// The broker's `num.partitions` and `default.replication.factor` at the time of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    /// Partitions of a topic that asks for -1.
    pub num_partitions: i32,
    /// Replicas of a partition of a topic that asks for -1.
    pub replication_factor: i16,
}

impl TopicDefaults {
    /// The defaults of a broker with this configuration.
    pub fn of(config: &BrokerConfig) -> Self {
        Self {
            num_partitions: config.num_partitions,
            replication_factor: i16::try_from(config.default_replication_factor)
                .unwrap_or(i16::MAX),
        }
    }
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name, unchecked.
    pub name: String,
    /// The id it gets. The caller draws a fresh one (`Entropy::kafka_uuid`), since a decision has
    /// no randomness of its own.
    pub id: Uuid,
    /// How many partitions; -1 for the default, or when `assignments` are given.
    pub num_partitions: i32,
    /// How many replicas; -1 for the default, or when `assignments` are given.
    pub replication_factor: i16,
    /// Replicas by partition, if the client chooses them itself.
    pub assignments: Vec<ReplicaAssignment>,
    /// Config overrides, in the order of the request; the last of equal names counts.
    pub configs: Vec<(String, Option<String>)>,
}

/// The replicas that a client wants for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaAssignment {
    /// Which partition.
    pub partition: i32,
    /// The brokers, the preferred leader first.
    pub brokers: Vec<i32>,
}

/// The body of [`Command::DeleteTopics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopics {
    /// The topics.
    pub topics: Vec<TopicSelector>,
    /// The broker's `delete.topic.enable`; if false, every topic is refused.
    pub deletion_enabled: bool,
}

/// Names a topic by exactly one of name and id, as DeleteTopics 6 can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSelector {
    /// The name, or none.
    pub name: Option<String>,
    /// The id, or nil.
    pub id: Uuid,
}

/// The body of [`Command::CreatePartitions`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitions {
    /// The topics to widen.
    pub topics: Vec<NewPartitions>,
    /// Decide and answer, but create nothing.
    pub validate_only: bool,
}

/// More partitions for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    /// The topic's name.
    pub name: String,
    /// How many partitions there shall be in the end.
    pub count: i32,
    /// The replicas of each new partition, if the client chooses them itself.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// The body of [`Command::AlterConfigs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfigs {
    /// The resources, in the order of the request.
    pub resources: Vec<ResourceChange>,
    /// Decide and answer, but change nothing.
    pub validate_only: bool,
}

/// A change of one resource's configs: all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceChange {
    /// Which resource.
    pub resource: ConfigResource,
    /// What happens to its configs.
    pub change: ConfigChange,
}

/// Names something that has configs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// What it is.
    pub kind: ResourceKind,
    /// The topic's name; the broker's id, or empty for the default of all brokers.
    pub name: String,
}

/// Kinds of resources, numbered as in Kafka's `ConfigResource.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// 2: a topic.
    Topic,
    /// 4: a broker, or the default of all brokers.
    Broker,
    /// Any other number: refused.
    Other(i8),
}

impl ResourceKind {
    /// The kind with this number.
    pub fn from_wire(number: i8) -> Self {
        match number {
            2 => Self::Topic,
            4 => Self::Broker,
            other => Self::Other(other),
        }
    }

    /// The number of this kind.
    pub fn to_wire(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::Other(number) => number,
        }
    }
}

/// What happens to a resource's configs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// AlterConfigs: these replace all overrides.
    Replace(Vec<(String, Option<String>)>),
    /// IncrementalAlterConfigs: each changes one override.
    Incremental(Vec<ConfigAlteration>),
}

/// One operation of IncrementalAlterConfigs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigAlteration {
    /// The config's name.
    pub name: String,
    /// What to do: the number of an `AlterOp`; others are refused.
    pub op: i8,
    /// With what; not needed to delete.
    pub value: Option<String>,
}

/// The body of [`Command::RegisterBroker`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Names this run of the broker. A new one makes a new broker epoch; a caller that passes the
    /// one in the image, with nothing else changed, causes no record.
    pub incarnation_id: Uuid,
    /// The advertised listeners.
    pub endpoints: Vec<BrokerEndpoint>,
    /// The feature levels that this software can run at.
    pub features: Vec<BrokerFeature>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The ids of the log directories.
    pub log_dirs: Vec<Uuid>,
    /// The feature levels to run at, `metadata.version` among them; 0 takes a feature away.
    pub finalized_features: BTreeMap<String, i16>,
}

/// Why something was refused, as the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error code.
    pub code: ErrorCode,
    /// A text of our own; `None` where Kafka sends none.
    pub message: Option<String>,
}

impl Refusal {
    /// A refusal with a text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Some(message.into()),
        }
    }

    /// A refusal where the code says it all.
    pub fn bare(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
        }
    }
}

/// An answer, of the kind that belongs to the command.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// One result for each topic; a name that appears twice in the request has one result only.
    TopicsCreated(Vec<CreateTopicResult>),
    /// One result for each topic; duplicates have one result only.
    TopicsDeleted(Vec<DeleteTopicResult>),
    /// One result for each topic; a name that appears twice in the request has one result only.
    PartitionsCreated(Vec<CreatePartitionsResult>),
    /// One result for each resource, in the order of the request.
    ConfigsAltered(Vec<AlterConfigsResult>),
    /// The ids that the caller may give out.
    ProducerIds(Result<ProducerIdBlock, Refusal>),
    /// The broker epoch.
    BrokerRegistered(Result<i64, Refusal>),
}

/// What became of one topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopicResult {
    /// Its name.
    pub name: String,
    /// What was created (or would be), or why not.
    pub result: Result<CreatedTopic, Refusal>,
}

/// A created topic, as far as the answer tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub num_partitions: i32,
    /// How many replicas each has.
    pub replication_factor: i16,
    /// Its config overrides.
    pub configs: Overrides,
}

/// What became of one topic to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopicResult {
    /// Its name, if it was given or found.
    pub name: Option<String>,
    /// Its id, if it was given or found; else nil.
    pub id: Uuid,
    /// Why it was not deleted.
    pub result: Result<(), Refusal>,
}

/// What became of one topic to widen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitionsResult {
    /// Its name.
    pub name: String,
    /// Why it was not widened.
    pub result: Result<(), Refusal>,
}

/// What became of one resource to alter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfigsResult {
    /// The resource.
    pub resource: ConfigResource,
    /// Why it was not altered.
    pub result: Result<(), Refusal>,
}

/// Producer ids `first..first + count` that no one else will be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: ProducerId,
    /// How many there are.
    pub count: i32,
}
