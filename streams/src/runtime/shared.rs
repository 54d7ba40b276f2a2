//! What the workers of one instance share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::{Admin, Client, TopicPartition};
use tokio::sync::watch;

use super::assignment::TaskId;
use super::config::StreamsConfig;
use super::metrics::Metrics;
use super::setup::Begins;
use super::task::{Task, TaskConfig};
use crate::error::StreamsError;
use crate::state::Globals;
use crate::time::{Idleness, millis};
use crate::topology::{NodeKind, Topic, Topology, name_hash};

/// Between two answers of a broker that has nothing more than this counts as time in which it had nothing.
/// The consumer's requests come back twice as often ([`tidemark_client::consumer::ConsumerConfig::fetch_max_wait`]),
/// so in a longer time it could not be reached.
const HEARING: Duration = Duration::from_secs(1);

/// Records that are made before they are handed to the producer, in bytes.
pub(crate) const OUTBOX_BYTES: usize = 1 << 20;

pub(crate) struct Shared {
    pub(crate) topology: Topology,
    pub(crate) config: StreamsConfig,
    pub(crate) client: Client,
    pub(crate) admin: Admin,
    /// How many partitions each topic has, by its name in the cluster, as far as is known.
    pub(crate) partitions: Mutex<HashMap<String, u32>>,
    pub(crate) fingerprint: u64,
    /// Tells the instance's members from others of the group.
    pub(crate) instance: u64,
    /// The application's own topics, by their names in the cluster.
    pub(crate) internal: BTreeSet<Arc<str>>,
    /// Tells snapshots of the changelogs that are there now from others.
    pub(crate) state: u64,
    /// Where changelogs begin that other stores have written before.
    pub(crate) begins: Begins,
    /// By store: see [`store_hashes`].
    pub(crate) store_hashes: Vec<u32>,
    /// How long nothing that is needed goes from the changelogs, in milliseconds.
    pub(crate) certain: i64,
    /// The global tables of the instance.
    pub(crate) globals: Globals,
    /// The tasks that run here.
    pub(crate) tasks: Mutex<BTreeMap<TaskId, Arc<Mutex<Task>>>>,
    /// Those that fill the global tables: they are nobody's but the instance's, and every instance has
    /// all of them.
    pub(crate) global_tasks: Mutex<BTreeMap<TaskId, Arc<Mutex<Task>>>>,
    pub(crate) on_disk: Arc<Mutex<BTreeSet<TaskId>>>,
    pub(crate) stranger: Arc<Mutex<Option<String>>>,
    pub(crate) gone: Arc<Mutex<Option<String>>>,
    pub(crate) restoring: Mutex<BTreeMap<TaskId, Restoring>>,
    pub(crate) metrics: Metrics,
    /// What has ended the instance.
    pub(crate) failed: watch::Sender<Option<StreamsError>>,
    pub(crate) closing: watch::Sender<bool>,
}

/// How far the restoring of a task has come, in offsets of its changelogs: there is at most one record
/// for each, and fewer where compaction has taken some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Offsets that are behind it.
    pub restored: u64,
    /// Offsets that were to be read when it began.
    pub total: u64,
}

/// A task that is being restored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restoring {
    pub(crate) progress: Progress,
    /// By store: how many bytes it has by now.
    pub(crate) sizes: BTreeMap<usize, usize>,
}

impl Shared {
    /// Whether a topic is the application's own. Names do not tell: others may end in the same way.
    pub(crate) fn is_internal(&self, topic: &str) -> bool {
        self.internal.contains(topic)
    }

    /// How many partitions a topic has, by its name in the cluster.
    pub(crate) fn partition_count(&self, topic: &str) -> Option<u32> {
        self.partitions.lock().get(topic).copied()
    }

    /// A topic has been given more partitions.
    pub(crate) fn note_partitions(&self, topic: &str, count: u32) {
        tracing::info!(topic, count, "the topic has more partitions");
        self.partitions.lock().insert(topic.to_owned(), count);
    }

    /// The name of a store's changelog topic.
    pub(crate) fn changelog(&self, store: usize) -> Arc<str> {
        changelog_topic(&self.config.application, &self.topology.stores[store].name)
    }

    /// The store's name and what it is, in few bytes.
    pub(crate) fn store_hash(&self, store: usize) -> u32 {
        self.store_hashes[store]
    }

    /// At which offset a store's changelog begins to be its own.
    pub(crate) fn begin(&self, store: usize, partition: i32) -> i64 {
        let begins = self.begins.get(&self.topology.stores[store].name);
        let own = begins.and_then(|begins| begins.get(usize::try_from(partition).ok()?));
        own.copied().unwrap_or(0)
    }

    /// So many more offsets are behind a task that is being restored.
    pub(crate) fn note_restored(&self, id: TaskId, offsets: i64) {
        if let Some(restoring) = self.restoring.lock().get_mut(&id) {
            restoring.progress.restored += offsets.max(0) as u64;
        }
    }

    /// A store of a task that is being restored has so many bytes by now.
    pub(crate) fn note_size(&self, id: TaskId, store: usize, bytes: usize) {
        if let Some(restoring) = self.restoring.lock().get_mut(&id) {
            restoring.sizes.insert(store, bytes);
        }
    }

    /// Where what counts of a partition ends, and is to be waited for (Kafka:
    /// `SubscriptionState.partitionLag`): what is behind the last stable offset is not there yet for whoever
    /// reads what was committed. Brokers that know of no transactions do not tell it (-1).
    pub(crate) fn end(&self, last_stable: i64, high_watermark: i64) -> i64 {
        match self.config.isolation {
            IsolationLevel::ReadCommitted if last_stable >= 0 => last_stable,
            _ => high_watermark,
        }
    }

    /// A task with these source partitions, or else all that there are for it.
    pub(crate) fn new_task(&self, id: TaskId, given: Option<&[TopicPartition]>) -> Task {
        let idleness = self.config.idle_after.map(|after| Idleness {
            after: millis(after),
            step: millis(HEARING),
        });
        Task::new(
            &self.topology,
            &TaskConfig {
                application: &self.config.application,
                subtopology: id.subtopology,
                partition: id.partition,
                partitions: &|topic| self.partition_count(topic).unwrap_or(1),
                globals: &self.globals,
                chunk: self.config.chunk,
                outbox: OUTBOX_BYTES,
                seed: self.config.clock.random(),
                idleness,
                given,
            },
        )
    }

    /// Which task and which of its inputs each source partition belongs to is known by its topic.
    pub(crate) fn task_of(&self, partition: &TopicPartition) -> Option<TaskId> {
        let parts = self.topology.subtopologies.iter();
        let application = &self.config.application;
        let found = parts.enumerate().find(|(_, part)| {
            let mut sources = part.sources.iter();
            !part.global && sources.any(|topic| topic.resolve(application) == partition.topic)
        });
        found.map(|(subtopology, _)| TaskId {
            subtopology,
            partition: partition.partition,
        })
    }

    /// Ends the instance, if nothing has ended it yet.
    pub(crate) fn fail(&self, error: StreamsError) {
        tracing::error!(application = %self.config.application, %error, "the application stops");
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert(error);
            first
        });
    }
}

/// The names of the topics that an application makes, fills and empties by itself.
pub(crate) fn internal_topics(topology: &Topology, application: &str) -> BTreeSet<Arc<str>> {
    let kinds = topology.nodes.iter().map(|node| &node.kind);
    let named = kinds.flat_map(|kind| match kind {
        NodeKind::Source { topics } => &topics[..],
        NodeKind::Sink { topic } => std::slice::from_ref(topic),
        _ => &[],
    });
    let passed_on = named.filter(|topic| matches!(topic, Topic::Internal(_)));
    let kept = topology.stores.iter();
    let kept = kept.filter(|store| store.changelog.is_some());
    let changelogs = kept.map(|store| changelog_topic(application, &store.name));
    passed_on
        .map(|topic| topic.resolve(application))
        .chain(changelogs)
        .collect()
}

/// What tells stores apart in commits and snapshots: their names and what they are. One that has become
/// another one under its name has no part in what was kept for it.
pub(crate) fn store_hashes(topology: &Topology) -> Vec<u32> {
    let stores = topology.stores.iter().enumerate();
    let words =
        stores.map(|(at, store)| format!("{}: {}", store.name, topology.store_in_words(at)));
    words.map(|words| name_hash(&words)).collect()
}

/// A changelog's name (Kafka: `ProcessorStateManager.storeChangelogTopic`).
pub(crate) fn changelog_topic(application: &str, store: &str) -> Arc<str> {
    format!("{application}-{store}-changelog").into()
}
