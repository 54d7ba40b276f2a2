//! Makes the broker what the catalog says: directories, logs, group coordinators, settings.
//!
//! The catalog's runtime calls [`Reconciler::follow`] after every change and before anybody is told
//! of it, so that a topic whose creation was answered can be written to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::catalog::changes::{Change, changes};
use crate::catalog::image::{CatalogImage, Topic};
use crate::catalog::topic_name::GROUP_METADATA;
use crate::config::{BrokerConfig, Overrides, TopicConfig};
use crate::coordinator::group::{Command, GroupConfig, GroupMachine, GroupRouter};
use crate::coordinator::runtime::load;
use crate::environment::Environment;
use crate::machine_log::{MachineClock, MachineLog};
use crate::partition::{Flusher, Partition, PartitionParts, PartitionSettings, PartitionTable};
use crate::storage::{Checkpoints, Log, LogDir, LogStart, PendingDelete, StorageError};
use crate::types::{LeaderEpoch, Monotonic, PartitionIndex, TopicPartition};

/// A renamed file or directory that is to be removed.
pub(crate) struct Doomed {
    path: PathBuf,
    is_dir: bool,
    due: Monotonic,
}

/// What the reconciler works on. Shared with the janitor and with shutdown.
pub(crate) struct Reconciler {
    /// Clock, disk, randomness.
    pub environment: Environment,
    /// The configuration the broker was started with.
    pub base_config: Arc<BrokerConfig>,
    /// The configuration with dynamic changes.
    pub config: Arc<ArcSwap<BrokerConfig>>,
    /// The data directory.
    pub log_dir: Arc<LogDir>,
    /// Its flusher.
    pub flusher: Arc<Flusher>,
    /// The partitions that clients see.
    pub partitions: Arc<PartitionTable>,
    /// The group coordinators.
    pub groups: Arc<GroupRouter>,
    /// The latest state of the catalog, for readers.
    pub image: Arc<ArcSwap<CatalogImage>>,
    /// Tasks of the group coordinators.
    pub tasks: Mutex<JoinSet<()>>,
    /// Files and directories to remove when their delay is over.
    pub doomed: Mutex<Vec<Doomed>>,
    /// Set while the catalog is replayed: only topics that were there before the start may begin
    /// where the checkpoints say. One that is created later, perhaps under the name of a deleted
    /// one, begins at 0.
    pub(crate) loading: AtomicBool,
    /// Held while checkpoints are collected and written, so that an older picture never replaces a
    /// newer one; true once the broker has written them for the last time.
    pub(crate) checkpoints_closed: Mutex<bool>,
    /// The catalog's own log, once it is open.
    pub catalog_log: Mutex<Option<Arc<Partition>>>,
}

impl Reconciler {
    /// Carries out what lies between the last picture of the catalog and this one, and publishes
    /// it.
    pub(crate) fn follow(&self, after: &Arc<CatalogImage>) {
        let before = self.image.load_full();
        // Settings first: new topics are made with them.
        let changes = changes(&before, after);
        for change in &changes {
            if let Change::BrokerConfigChanged { .. } = change {
                self.reload_config(after);
                break;
            }
        }
        for change in &changes {
            match change {
                Change::TopicDeleted(topic) => self.delete_topic(topic),
                Change::TopicCreated(topic) => self.open_partitions(topic, 0),
                Change::PartitionsAdded { topic, added } => {
                    let first = added.first().map_or(0, |first| first.0);
                    self.open_partitions(topic, first);
                }
                Change::TopicConfigChanged(topic) => self.configure(topic),
                Change::BrokerConfigChanged { .. } => {}
            }
        }
        self.image.store(Arc::clone(after));
    }

    /// Opens the log of one partition, creating it if it is new.
    pub(crate) fn open(
        &self,
        name: TopicPartition,
        topic_id: Uuid,
        epoch: LeaderEpoch,
        settings: PartitionSettings,
    ) -> Result<Arc<Partition>, StorageError> {
        let disk = &self.environment.disk;
        let known = match self.loading.load(Ordering::Acquire) {
            true => self.log_dir.checkpoints(&name),
            false => Checkpoints::default(),
        };
        let start = LogStart {
            clean: self.log_dir.was_clean(),
            recovery_point: known.recovery_point,
            log_start: known.log_start,
        };
        let directory = self.log_dir.path().join(name.to_string());
        let now = self.environment.clock.now();
        let (mut log, report) = Log::open(
            Arc::clone(disk),
            &directory,
            Some(topic_id),
            settings.log.clone(),
            start,
            now,
        )?;
        if report.truncated_bytes > 0 || !report.notes.is_empty() {
            tracing::warn!(partition = %name, ?report, "recovered after an unclean shutdown");
        }
        log.begin_epoch(epoch);
        let parts = PartitionParts {
            name,
            topic_id,
            epoch,
            durable_acks: self.base_config.tidemark_acks_all_durable,
            settings,
            disk: Arc::clone(disk),
            flusher: Arc::clone(&self.flusher),
        };
        Ok(Partition::new(parts, log))
    }

    /// Writes the checkpoint files as of now.
    pub(crate) fn write_checkpoints(&self) -> Result<(), StorageError> {
        let closed = self.checkpoints_closed.lock();
        if *closed {
            return Ok(());
        }
        self.collect_and_write()
    }

    /// Writes the checkpoint files for the last time: whoever comes later finds logs that are
    /// closed already and must not write down their absence.
    pub(crate) fn write_last_checkpoints(&self) -> Result<(), StorageError> {
        let mut closed = self.checkpoints_closed.lock();
        *closed = true;
        self.collect_and_write()
    }

    fn collect_and_write(&self) -> Result<(), StorageError> {
        let mut checkpoints = BTreeMap::new();
        let own = self.catalog_log.lock().clone();
        for partition in self.partitions.all().into_iter().chain(own) {
            if let Some(checkpoint) = partition.checkpoint() {
                let checkpoint = Checkpoints {
                    recovery_point: checkpoint.recovery_point,
                    log_start: checkpoint.log_start,
                    high_watermark: checkpoint.high_watermark,
                };
                checkpoints.insert(partition.name().clone(), checkpoint);
            }
        }
        self.log_dir.write_checkpoints(&checkpoints)
    }

    fn open_partitions(&self, topic: &Arc<Topic>, first: i32) {
        let settings = self.settings(topic);
        let mut opened = Vec::new();
        for (index, partition) in topic.partitions.range(PartitionIndex(first)..) {
            let name = TopicPartition::new(Arc::clone(&topic.name), index.0);
            match self.open(
                name.clone(),
                topic.id,
                partition.leader_epoch,
                settings.clone(),
            ) {
                Ok(partition) => opened.push(partition),
                Err(error) => {
                    // The partitions behind it could not keep their numbers in the table, so the
                    // rest of the topic stays offline until the next start.
                    tracing::error!(partition = %name, %error, "cannot open the log");
                    break;
                }
            }
        }
        self.partitions.add(&topic.name, opened);
        if &*topic.name == GROUP_METADATA {
            self.start_group_coordinators(topic);
        }
    }

    fn start_group_coordinators(&self, topic: &Topic) {
        let config = group_config(&self.config.load());
        let mut shards = Vec::new();
        for partition in self.partitions.topic(&topic.name) {
            let machine = GroupMachine::new(config.clone());
            let name = partition.name().clone();
            let log = Arc::new(MachineLog(partition));
            let clock = Arc::new(MachineClock(Arc::clone(&self.environment.clock)));
            match load(machine, log, clock, Box::new(|_| {})) {
                Ok((mailbox, loaded)) => {
                    shards.push(mailbox);
                    self.tasks.lock().spawn(loaded.run());
                }
                Err(error) => {
                    tracing::error!(partition = %name, %error, "cannot load the groups");
                    return;
                }
            }
        }
        if shards.len() == topic.partitions.len() {
            let count = i32::try_from(shards.len()).unwrap_or(i32::MAX);
            self.groups.install(count, shards);
        }
    }

    fn delete_topic(&self, topic: &Arc<Topic>) {
        let delay_ms = self.topic_config(topic).file_delete_delay_ms;
        let due = self.environment.clock.now().monotonic.plus_ms(delay_ms);
        for partition in self.partitions.remove(&topic.name) {
            let Some(log) = partition.retire() else {
                continue;
            };
            match log.mark_deleted(self.environment.entropy.kafka_uuid()) {
                Ok(path) => self.doomed.lock().push(Doomed {
                    path,
                    is_dir: true,
                    due,
                }),
                Err(error) => {
                    tracing::error!(partition = %partition.name(), %error, "cannot delete the log");
                }
            }
        }
        // Before a topic of the same name can come: its log must not begin where this one did.
        if let Err(error) = self.write_checkpoints() {
            tracing::error!(topic = %topic.name, %error, "cannot write the checkpoints");
        }
        // Their committed offsets go too; nobody waits for that.
        let topics = vec![Arc::clone(&topic.name)];
        for shard in self.groups.shards() {
            let command = Command::ForgetTopics {
                topics: topics.clone(),
            };
            self.tasks.lock().spawn(async move {
                if let Err(error) = shard.call(command).await {
                    tracing::warn!(%error, "offsets of a deleted topic remain");
                }
            });
        }
    }

    fn reload_config(&self, image: &CatalogImage) {
        let overrides = |name: &str| image.broker_config(name).map(|set| Overrides::clone(set));
        let cluster_wide = overrides("").unwrap_or_default();
        let own = overrides(&self.base_config.node_id.to_string()).unwrap_or_default();
        match self.base_config.with_overrides(&cluster_wide, &own) {
            Ok(config) => self.config.store(Arc::new(config)),
            Err(error) => {
                tracing::error!(%error, "the catalog's broker settings do not fit: not applied");
                return;
            }
        }
        for topic in image.topics() {
            self.configure(topic);
        }
    }

    fn configure(&self, topic: &Topic) {
        let settings = self.settings(topic);
        for partition in self.partitions.topic(&topic.name) {
            partition.configure(settings.clone());
        }
    }

    fn topic_config(&self, topic: &Topic) -> TopicConfig {
        TopicConfig::resolve(&self.config.load(), &topic.configs)
    }

    fn settings(&self, topic: &Topic) -> PartitionSettings {
        PartitionSettings::new(&self.topic_config(topic), &self.config.load())
    }

    /// Removes what is due for removal.
    pub(crate) fn remove_doomed(&self) {
        let now = self.environment.clock.now().monotonic;
        let due: Vec<Doomed> = self
            .doomed
            .lock()
            .extract_if(.., |entry| entry.due <= now)
            .collect();
        let disk = &self.environment.disk;
        for Doomed { path, is_dir, .. } in due {
            let removed = if is_dir {
                disk.remove_dir_all(&path)
            } else {
                disk.remove_file(&path)
            };
            // What is gone already needs no removing: its directory went first.
            if let Err(error) = removed
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove");
            }
        }
    }

    /// Has the files of deleted segments removed when their delay is over.
    pub(crate) fn doom(&self, deleted: Vec<PendingDelete>) {
        let files = deleted
            .into_iter()
            .flat_map(|PendingDelete { paths, due, .. }| {
                paths.into_iter().map(move |path| Doomed {
                    path,
                    is_dir: false,
                    due,
                })
            });
        self.doomed.lock().extend(files);
    }
}

/// What the group coordinators need of the broker's configuration.
fn group_config(config: &BrokerConfig) -> GroupConfig {
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    GroupConfig {
        min_session_timeout_ms: config.group_min_session_timeout_ms,
        max_session_timeout_ms: config.group_max_session_timeout_ms,
        initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms,
        max_size: count(config.group_max_size),
        offset_metadata_max_bytes: count(config.offset_metadata_max_bytes),
        offsets_retention_ms: i64::from(config.offsets_retention_minutes) * 60_000,
        offsets_retention_check_interval_ms: config.offsets_retention_check_interval_ms,
    }
}
