//! The client: what producers, consumers and admin calls of one cluster share.

use std::sync::Arc;

use crate::admin::Admin;
use crate::cluster::{Cluster, Metadata};
use crate::config::ClientConfig;
use crate::error::ClientError;

/// A client of one cluster. Clones share its connections and its picture of the cluster.
///
/// Makes no connection until it is needed: a wrong address shows at the first call, as an error
/// that names it.
#[derive(Clone)]
pub struct Client {
    cluster: Cluster,
}

impl Client {
    /// A client with this configuration. Must be called within a tokio runtime.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self {
            cluster: Cluster::start(config)?,
        })
    }

    /// A plaintext client of the cluster at `bootstrap` ([`ClientConfig::new`]).
    pub fn connect(bootstrap: &str) -> Result<Self, ClientError> {
        Self::new(ClientConfig::new(bootstrap))
    }

    /// The newest picture of the cluster. It holds the topics that were asked for so far.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        self.cluster.metadata()
    }

    /// What administers the cluster: topics, configs, groups, offsets. Cheap.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster.clone())
    }

    /// Closes all connections. Calls that wait, and later ones, fail.
    pub fn close(&self) {
        self.cluster.close();
    }
}
