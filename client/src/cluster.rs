//! The cluster as one thing: who leads what, which broker coordinates which group, and calls that
//! find their broker and are tried again on the terms that their errors set.

mod calls;
mod coordinator;
mod lanes;
pub(crate) mod metadata;
mod refresh;
mod wanted;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;
use kafka_protocol::messages::MetadataResponse;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::config::{Address, ClientConfig};
use crate::connection::link::Link;
use crate::connection::pool::Pool;
use crate::connection::{CallError, ConnectError};
use crate::error::ClientError;

use wanted::Wanted;

pub(crate) use crate::connection::pool::Lane;
pub(crate) use calls::{Node, Tries, api_error};
pub(crate) use coordinator::CoordinatorKind;
pub(crate) use lanes::Lanes;
pub(crate) use metadata::{Broker, Metadata, NewLeader, TopicMetadata};

/// A cheap handle; the clones share connections and metadata. The last one to go ends them.
#[derive(Clone)]
pub(crate) struct Cluster {
    inner: Arc<Inner>,
    /// What [`Self::want_topics`] has been told through this handle and its clones.
    holder: Arc<Holder>,
    /// Ends the refresher when the last handle goes.
    _alive: Arc<Alive>,
}

struct Alive(Arc<Inner>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Inner {
    config: ClientConfig,
    bootstrap: Vec<Address>,
    pool: Pool,
    metadata: ArcSwap<Metadata>,
    changed: watch::Sender<u64>,
    wanted: Mutex<Wanted>,
    wake: Notify,
    closed: watch::Sender<bool>,
    coordinators: Mutex<HashMap<(CoordinatorKind, String), i32>>,
    /// How many consumers have had lanes of their own.
    lanes: AtomicU32,
    /// Why the last refresh failed, if it did.
    trouble: Mutex<Option<ClientError>>,
}

/// What one user wants topics through. They are wanted until it goes.
struct Holder {
    inner: Arc<Inner>,
    topics: Mutex<BTreeSet<Arc<str>>>,
}

impl Holder {
    fn new(inner: &Arc<Inner>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            topics: Mutex::default(),
        })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut wanted = self.inner.wanted.lock();
        for topic in self.topics.get_mut().iter() {
            wanted.release(topic);
        }
    }
}

impl Inner {
    fn close(&self) {
        self.closed.send_replace(true);
        self.wake.notify_one();
        self.pool.close();
    }
}

impl Cluster {
    /// Starts a client's view of the cluster. Connects to nothing yet. Must be called within a
    /// tokio runtime.
    pub(crate) fn start(config: ClientConfig) -> Result<Self, ClientError> {
        let bootstrap = config.addresses()?;
        let inner = Arc::new(Inner {
            bootstrap,
            pool: Pool::new(config.clone()),
            metadata: ArcSwap::default(),
            changed: watch::Sender::new(0),
            wanted: Mutex::default(),
            wake: Notify::new(),
            closed: watch::Sender::new(false),
            coordinators: Mutex::default(),
            lanes: AtomicU32::default(),
            trouble: Mutex::default(),
            config,
        });
        tokio::spawn(refresh::run(Arc::clone(&inner)));
        Ok(Self {
            holder: Holder::new(&inner),
            _alive: Arc::new(Alive(Arc::clone(&inner))),
            inner,
        })
    }

    /// A handle for somebody who will not want the topics any more when it has gone, with all its
    /// clones.
    pub(crate) fn for_one_user(&self) -> Self {
        Self {
            holder: Holder::new(&self.inner),
            ..self.clone()
        }
    }

    /// Closes all connections now; calls that wait fail.
    pub(crate) fn close(&self) {
        self.inner.close();
    }

    /// Ends when the client is closed.
    pub(crate) async fn closed(&self) {
        let mut closed = self.inner.closed.subscribe();
        // The sender lives as long as this handle does.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Why the last refresh has failed, if it has.
    pub(crate) fn trouble(&self) -> Option<ClientError> {
        self.inner.trouble.lock().clone()
    }

    /// Where time and chance come from.
    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.config.clock
    }

    /// The client's configuration.
    pub(crate) fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// The newest picture.
    pub(crate) fn metadata(&self) -> Arc<Metadata> {
        self.inner.metadata.load_full()
    }

    /// Changes with every new picture, and when a refresh has failed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Keeps these topics in the picture as long as this handle or a clone of it lives.
    pub(crate) fn want_topics(&self, topics: impl IntoIterator<Item = Arc<str>>) {
        let mut held = self.holder.topics.lock();
        let mut wanted = self.inner.wanted.lock();
        let mut due = false;
        for topic in topics {
            if !held.contains(&topic) {
                due |= wanted.hold(&topic);
                held.insert(topic);
            }
        }
        drop(wanted);
        if due {
            self.inner.wake.notify_one();
        }
    }

    /// Of the topics that this handle and its clones keep in the picture, keeps only these.
    pub(crate) fn keep_topics(&self, kept: &HashSet<Arc<str>>) {
        let mut held = self.holder.topics.lock();
        let mut wanted = self.inner.wanted.lock();
        held.retain(|topic| {
            let keep = kept.contains(topic);
            if !keep {
                wanted.release(topic);
            }
            keep
        });
    }

    /// Keeps these topics in the picture for a while (`metadata.max.idle.ms`).
    pub(crate) fn use_topics<'a>(&self, topics: impl IntoIterator<Item = &'a Arc<str>>) {
        let now = self.clock().now().millis;
        let mut wanted = self.inner.wanted.lock();
        let mut due = false;
        for topic in topics {
            due |= wanted.touch(topic, now);
        }
        drop(wanted);
        if due {
            self.inner.wake.notify_one();
        }
    }

    /// Keeps all topics in the picture as long as what it returns lives.
    pub(crate) fn want_all(&self) -> AllTopics {
        let mut wanted = self.inner.wanted.lock();
        wanted.want_all();
        drop(wanted);
        self.inner.wake.notify_one();
        AllTopics(Arc::clone(&self.inner))
    }

    /// Asks for a new picture soon. However many ask, it is not taken more often than
    /// `retry.backoff.ms` allows.
    pub(crate) fn refresh(&self) {
        self.inner.wanted.lock().refresh();
        self.inner.wake.notify_one();
    }

    /// Takes over which brokers there are from an answer that somebody else has asked for. What is
    /// known of topics stays as it is: topics that nobody wants would grow old.
    pub(crate) fn note_brokers(&self, response: &MetadataResponse) {
        if response.brokers.is_empty() {
            return;
        }
        let brokers = MetadataResponse::default()
            .with_brokers(response.brokers.clone())
            .with_cluster_id(response.cluster_id.clone())
            .with_controller_id(response.controller_id);
        self.inner
            .metadata
            .rcu(|metadata| metadata.updated(&brokers, metadata::Scope::Asked));
        self.inner.changed.send_modify(|count| *count += 1);
    }

    /// Takes over who leads what now, from the answer of a broker that does not (any more).
    pub(crate) fn note_leaders(&self, leaders: &[NewLeader], brokers: &[Broker]) {
        let mut changed = false;
        self.inner.metadata.rcu(|metadata| {
            let next = metadata.with_leaders(leaders, brokers);
            changed = next.is_some();
            next.map_or_else(|| Arc::clone(metadata), Arc::new)
        });
        if changed {
            self.inner.changed.send_modify(|count| *count += 1);
        }
    }

    /// The topic's description; waits until it is known or `deadline` (clock milliseconds) comes.
    pub(crate) async fn topic(
        &self,
        name: &str,
        deadline: u64,
    ) -> Result<Arc<TopicMetadata>, ClientError> {
        let mut changes = self.changes();
        if let Some(topic) = self.inner.metadata.load().topic(name) {
            return Ok(Arc::clone(topic));
        }
        let wanted = Arc::from(name);
        let started = self.clock().now().millis;
        loop {
            changes.borrow_and_update();
            self.use_topics([&wanted]);
            let metadata = self.metadata();
            if let Some(topic) = metadata.topic(name) {
                return Ok(Arc::clone(topic));
            }
            if *self.inner.closed.borrow() {
                return Err(ClientError::Closed);
            }
            let last = match metadata.errors.get(name) {
                Some(tidemark_protocol::ErrorCode::UnknownTopicOrPartition) => {
                    Some(ClientError::UnknownTopic {
                        topic: name.to_owned(),
                    })
                }
                Some(code) if !code.retriable() => {
                    return Err(ClientError::broker(format!("topic {name:?}"), *code));
                }
                Some(code) => Some(ClientError::broker(format!("topic {name:?}"), *code)),
                None => self.inner.trouble.lock().clone(),
            };
            if let Some(ClientError::Connect(error)) = &last
                && !error.retriable()
            {
                return Err(ClientError::Connect(error.clone()));
            }
            if metadata.errors.contains_key(name) {
                self.refresh();
            }
            let waited = self.clock().until(deadline, changes.changed()).await;
            if waited.is_none() {
                let after = deadline.saturating_sub(started);
                return Err(ClientError::Timeout {
                    what: format!("finding topic {name:?}"),
                    after: std::time::Duration::from_millis(after),
                    last: last.map(Box::new),
                });
            }
        }
    }

    /// How many partitions a topic has; `None` if the cluster says that it is not there, or says
    /// nothing until `deadline` (clock milliseconds).
    pub(crate) async fn partition_count(&self, name: &str, deadline: u64) -> Option<i32> {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            let metadata = self.metadata();
            if let Some(topic) = metadata.topic(name) {
                return i32::try_from(topic.partitions.len()).ok();
            }
            let closed = *self.inner.closed.borrow();
            if closed || metadata.errors.contains_key(name) {
                return None;
            }
            self.clock()
                .until(deadline, changes.changed())
                .await?
                .ok()?;
        }
    }

    /// The link to a broker of the cluster.
    pub(crate) async fn link(&self, node: i32, lane: Lane) -> Result<Link, CallError> {
        let address = self.metadata().broker(node).map(metadata::Broker::address);
        let Some(address) = address else {
            self.refresh();
            return Err(ConnectError::UnknownNode { node }.into());
        };
        let link = self.inner.pool.link(&address, lane).await;
        if link.is_err() {
            // It may have moved.
            self.refresh();
        }
        link
    }

    /// A link to any broker: one that there is already, the least busy one; else the first that
    /// lets itself be made, to the brokers that are known, then to the bootstrap addresses (KIP-899).
    /// Those that have just failed come last.
    pub(crate) async fn any_link(&self) -> Result<Link, CallError> {
        self.inner.any_link().await
    }
}

impl Inner {
    async fn any_link(&self) -> Result<Link, CallError> {
        let metadata = self.metadata.load_full();
        let mut known: Vec<Address> = metadata.brokers().map(metadata::Broker::address).collect();
        let open = known
            .iter()
            .filter_map(|address| self.pool.existing(address, Lane::General))
            .min_by_key(Link::waiting);
        if let Some(link) = open {
            return Ok(link);
        }
        let mut bootstrap = self.bootstrap.clone();
        for addresses in [&mut known, &mut bootstrap] {
            let len = addresses.len().max(1);
            addresses.rotate_left(usize::try_from(self.config.clock.random()).unwrap_or(0) % len);
        }
        let now = self.config.clock.now().millis;
        let mut addresses: Vec<&Address> = known
            .iter()
            .chain(bootstrap.iter().filter(|a| !known.contains(a)))
            .collect();
        addresses.sort_by_cached_key(|address| {
            let ready_at = self.pool.ready_at(address, Lane::General);
            ready_at.saturating_sub(now)
        });
        let mut last = None;
        for address in addresses {
            match self.pool.link(address, Lane::General).await {
                Ok(link) => return Ok(link),
                // What a change of configuration has to cure is told first.
                Err(error) => match &last {
                    Some(CallError::Connect(first)) if !first.retriable() => {}
                    _ => last = Some(error),
                },
            }
        }
        Err(last.unwrap_or(ConnectError::UnknownNode { node: -1 }.into()))
    }
}

/// As long as it lives, the picture holds all topics.
pub(crate) struct AllTopics(Arc<Inner>);

impl Drop for AllTopics {
    fn drop(&mut self) {
        self.0.wanted.lock().release_all();
    }
}

#[cfg(test)]
mod tests;
