//! The client: what producers, consumers and admin calls of one cluster share.

use std::sync::Arc;

use crate::admin::Admin;
use crate::cluster::{Cluster, Metadata};
use crate::config::ClientConfig;
use crate::consumer::{Consumer, ConsumerConfig};
use crate::error::ClientError;
use crate::producer::{Producer, ProducerConfig};

/// A client of one cluster: the way to producers, consumers and the admin side. Clones share its
/// connections and its picture of the cluster (Kafka: `NetworkClient` and `Metadata`, of which each
/// producer and consumer has its own there).
///
/// Makes no connection until it is needed: a wrong address shows at the first call, as an error
/// that names it.
#[derive(Clone)]
pub struct Client {
    cluster: Cluster,
}

impl Client {
    /// A client with this configuration. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] if a bootstrap address cannot be one, or if there is none.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self {
            cluster: Cluster::start(config)?,
        })
    }

    /// A plaintext client of the cluster at `bootstrap` ([`ClientConfig::new`]).
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`], as with [`Self::new`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect(bootstrap: &str) -> Result<Self, ClientError> {
        Self::new(ClientConfig::new(bootstrap))
    }

    /// The newest picture of the cluster, at once and without a request. It holds the topics that
    /// are in use: those that consumers read, and those that were sent to of late
    /// ([`ClientConfig::metadata_max_idle`]). [`Admin::list_topics`] asks for all there are.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        self.cluster.metadata()
    }

    /// What administers the cluster: topics, configs, groups, offsets (Kafka: `Admin.create`,
    /// KIP-117). Cheap.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster.clone())
    }

    /// A producer of its own (Kafka: `KafkaProducer`).
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] if an option has a value that cannot be meant, or does not go with
    /// another one.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn producer(&self, config: ProducerConfig) -> Result<Producer, ClientError> {
        Producer::start(self.cluster.clone(), config)
    }

    /// A consumer of its own, which reads what it is told to (Kafka: `KafkaConsumer`).
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] if an option has a value that cannot be meant, or does not go with
    /// another one.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn consumer(&self, config: ConsumerConfig) -> Result<Consumer, ClientError> {
        Consumer::start(self.cluster.for_one_user(), config)
    }

    /// Closes all connections, for all clones and everything made from them. Calls that wait, and
    /// later ones, fail with [`ClientError::Closed`]. Records that wait are given up:
    /// [`Producer::close`] and [`Consumer::close`] come first.
    pub fn close(&self) {
        self.cluster.close();
    }
}
