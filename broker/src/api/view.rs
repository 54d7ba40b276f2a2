//! What handlers see of the broker.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use uuid::Uuid;

use super::fetch::sessions::FetchSessions;
use super::memory::Memory;
use crate::catalog::image::{CatalogImage, Topic};
use crate::catalog::machine::CatalogMachine;
use crate::catalog::topic_name;
use crate::config::BrokerConfig;
use crate::coordinator::group::GroupRouter;
use crate::coordinator::runtime::Mailbox;
use crate::environment::Environment;
use crate::metrics::Metrics;
use crate::partition::{Partition, PartitionTable};
use crate::types::Now;
use crate::vitals::Vitals;

/// Name of the topic in which groups keep their state.
pub(super) const OFFSETS_TOPIC: &str = topic_name::GROUP_METADATA;

/// An address that clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// This broker, as the metadata shows it.
#[derive(Clone, Debug)]
pub struct Node {
    /// `node.id`.
    pub id: i32,
    /// The cluster's id, Kafka's base64 form.
    pub cluster_id: String,
    /// The data directory, as DescribeLogDirs reports it.
    pub log_dir: String,
    /// The advertised address per listener name.
    pub endpoints: HashMap<Arc<str>, Endpoint>,
}

/// Producer ids taken from the catalog in blocks, so that most InitProducerId calls write nothing.
#[derive(Default)]
pub struct ProducerIds(Mutex<std::ops::Range<i64>>);

impl ProducerIds {
    /// The next id of the current block.
    pub fn take(&self) -> Option<i64> {
        self.0.lock().next()
    }

    /// Puts a new block in use. If another call was faster, its rest is dropped: ids are plenty.
    pub fn refill(&self, block: std::ops::Range<i64>) {
        *self.0.lock() = block;
    }
}

/// The parts of the broker that handlers and the executor work with. One per broker.
pub struct Shared {
    /// Clock, disk, randomness.
    pub environment: Environment,
    /// The configuration with dynamic changes applied.
    pub config: Arc<ArcSwap<BrokerConfig>>,
    /// Who this broker is.
    pub node: Node,
    /// The latest state of the catalog.
    pub catalog_image: Arc<ArcSwap<CatalogImage>>,
    /// The way to change it.
    pub catalog: Mailbox<CatalogMachine>,
    /// The partitions' logs.
    pub partitions: Arc<PartitionTable>,
    /// The way to the groups' coordinators.
    pub groups: Arc<GroupRouter>,
    /// Incremental fetch sessions (KIP-227).
    pub fetch_sessions: Mutex<FetchSessions>,
    /// What is left for requests and answers.
    pub memory: Memory,
    /// Ids for idempotent producers.
    pub producer_ids: ProducerIds,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Writes the checkpoint file of log starts; called before DeleteRecords is answered.
    pub write_log_starts: Box<dyn Fn() -> std::io::Result<()> + Send + Sync>,
    /// Whether what the broker cannot be without still runs.
    pub vitals: Arc<Vitals>,
    /// Set while the broker shuts down: parked requests are answered as they stand.
    pub stopping: tokio::sync::watch::Receiver<bool>,
}

/// The broker at one moment, as a handler sees it.
pub struct View {
    shared: Arc<Shared>,
    /// The catalog as of now.
    pub catalog: Arc<CatalogImage>,
    /// What time it is.
    pub now: Now,
}

impl View {
    /// Looks at the broker now.
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self {
            catalog: shared.catalog_image.load_full(),
            now: shared.environment.clock.now(),
            shared: Arc::clone(shared),
        }
    }

    /// A partition by topic name. No topic has a name that is longer than the longest, and a
    /// request that names one a million times is not to have it hashed as often.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        let partitions = &self.shared.partitions;
        let may_exist = topic.len() <= topic_name::MAX_LENGTH;
        may_exist.then(|| partitions.get(topic, partition))?
    }

    /// A topic by id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.catalog.topic_by_id(id).cloned()
    }

    /// The configuration as of now.
    pub fn config(&self) -> Arc<BrokerConfig> {
        self.shared.config.load_full()
    }

    /// The address a client of this listener is told.
    pub fn endpoint(&self, listener: &str) -> Endpoint {
        let endpoints = &self.shared.node.endpoints;
        let fallback = || Endpoint {
            host: "localhost".into(),
            port: 0,
        };
        endpoints.get(listener).cloned().unwrap_or_else(fallback)
    }

    /// A fresh random id.
    pub fn new_uuid(&self) -> Uuid {
        self.shared.environment.entropy.kafka_uuid()
    }
}

impl Deref for View {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}
