//! Connections that one consumer has for itself.

use std::sync::atomic::Ordering;

use super::{Cluster, Lane};

/// A consumer's own connections: a broker answers the requests of a connection one after the other,
/// so two members of one client that joined over the same one would wait for each other, and two that
/// fetch would wait out each other's time. They are closed when this goes.
pub(crate) struct Lanes {
    cluster: Cluster,
    number: u32,
}

impl Cluster {
    /// Lanes that nobody else has.
    pub(crate) fn own_lanes(&self) -> Lanes {
        Lanes {
            number: self.inner.lanes.fetch_add(1, Ordering::Relaxed),
            cluster: self.clone(),
        }
    }
}

impl Lanes {
    /// For Fetch requests.
    pub(crate) fn fetch(&self) -> Lane {
        Lane::Fetch(self.number)
    }

    /// For joining a group and syncing with it.
    pub(crate) fn join(&self) -> Lane {
        Lane::Join(self.number)
    }

    /// Closes the connection for joining, with what may still wait there for an answer.
    pub(crate) fn close_join(&self) {
        self.cluster.inner.pool.end(self.join());
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.close_join();
        self.cluster.inner.pool.end(self.fetch());
    }
}
