//! Which broker coordinates a group (or, later, a transactional id).

use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;

use super::calls::{Node, Tries, api_error};
use super::{Cluster, Lane};
use crate::error::ClientError;

/// What is coordinated. Transactions have their place here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CoordinatorKind {
    /// A consumer group.
    Group,
}

impl CoordinatorKind {
    const fn id(self) -> i8 {
        match self {
            Self::Group => 0,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
        }
    }
}

impl Cluster {
    /// The coordinator: as known, else asked for once.
    pub(crate) async fn coordinator(
        &self,
        kind: CoordinatorKind,
        key: &str,
        tries: &Tries<'_>,
    ) -> Result<i32, ClientError> {
        let known = self
            .inner
            .coordinators
            .lock()
            .get(&(kind, key.to_owned()))
            .copied();
        if let Some(node) = known {
            return Ok(node);
        }
        let name = || StrBytes::from_string(key.to_owned());
        let call = self.call(
            &Node::Any,
            Lane::General,
            0..=6,
            tries.timeout(),
            |version| {
                let request = FindCoordinatorRequest::default();
                let request = match version {
                    0 => request,
                    _ => request.with_key_type(kind.id()),
                };
                match version {
                    4.. => request.with_coordinator_keys(vec![name()]),
                    _ => request.with_key(name()),
                }
            },
        );
        let response = tries.attempt(call).await?;
        let what = || format!("finding the coordinator of {} {key:?}", kind.name());
        let (node, host, port) = match response.coordinators.first() {
            Some(found) => {
                api_error(what, found.error_code, found.error_message.as_deref())?;
                (found.node_id.0, &found.host, found.port)
            }
            None => {
                api_error(what, response.error_code, response.error_message.as_deref())?;
                (response.node_id.0, &response.host, response.port)
            }
        };
        self.learn_broker(node, host, port);
        self.inner
            .coordinators
            .lock()
            .insert((kind, key.to_owned()), node);
        Ok(node)
    }

    /// The coordinator does not answer: the next call looks for it again, on another connection. A
    /// group may have less time than the request that the silent one breaks by (Kafka disconnects in
    /// `AbstractCoordinator.markCoordinatorUnknown`). Does nothing if another one than `node` has been
    /// found meanwhile.
    pub(crate) fn forget_coordinator(&self, kind: CoordinatorKind, key: &str, node: i32) {
        let mut known = self.inner.coordinators.lock();
        let key = (kind, key.to_owned());
        if known.get(&key) != Some(&node) {
            return;
        }
        known.remove(&key);
        drop(known);
        if let Some(broker) = self.metadata().broker(node) {
            self.inner.pool.replace(&broker.address(), Lane::General);
        }
    }

    /// The next call looks for the coordinator again, whichever it was.
    pub(crate) fn forget_coordinators(&self, kind: CoordinatorKind, key: &str) {
        self.inner
            .coordinators
            .lock()
            .remove(&(kind, key.to_owned()));
    }

    /// A broker that the picture does not have yet can be reached all the same.
    fn learn_broker(&self, id: i32, host: &str, port: i32) {
        let Ok(port) = u16::try_from(port) else {
            return;
        };
        let metadata = self.metadata();
        if metadata
            .broker(id)
            .is_some_and(|known| known.host == host && known.port == port)
        {
            return;
        }
        self.inner.metadata.rcu(|metadata| {
            let mut next = (**metadata).clone();
            let broker = super::metadata::Broker {
                id,
                host: host.to_owned(),
                port,
                rack: None,
            };
            next.brokers.insert(id, broker);
            next
        });
        self.refresh();
    }
}
