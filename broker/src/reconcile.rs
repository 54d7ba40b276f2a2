//! Makes the broker what the catalog says: directories, logs, group coordinators, settings.
//!
//! The catalog's runtime calls [`Reconciler::follow`] after every change and before anybody is told
//! of it, so that a topic whose creation was answered can be written to.

mod groups;
mod leftovers;

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
use crate::coordinator::group::GroupRouter;
use crate::environment::Environment;
use crate::partition::{
    Checkpoint, Flusher, Partition, PartitionParts, PartitionSettings, PartitionTable,
};
use crate::storage::{Checkpoints, Log, LogDir, LogStart, PendingDelete, StorageError};
use crate::types::{LeaderEpoch, Monotonic, PartitionIndex, TopicPartition};
use crate::vitals::Vitals;

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
    /// Tells when a coordinator fails.
    pub vitals: Arc<Vitals>,
    /// Tasks of the group coordinators, and those that tell them of deleted topics.
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
        if self.is_loading() {
            self.settle_leftovers(after);
        }
        // Settings first: new topics are made with them.
        let changes = changes(&before, after);
        for change in &changes {
            if let Change::BrokerConfigChanged { .. } = change {
                self.reload_config(after);
                break;
            }
        }
        // Deletions come before creations, and all of them together: what they cost does not depend
        // on how many they are.
        let deleted = changes.iter().filter_map(|change| match change {
            Change::TopicDeleted(topic) => Some(topic),
            _ => None,
        });
        self.delete_topics(&deleted.collect::<Vec<_>>());
        for change in &changes {
            match change {
                Change::TopicDeleted(_) | Change::BrokerConfigChanged { .. } => {}
                Change::TopicCreated(topic) => {
                    self.open_partitions(topic, PartitionIndex(0));
                    if &*topic.name == GROUP_METADATA {
                        self.start_group_coordinators(topic);
                    }
                }
                Change::PartitionsAdded { topic, added } => {
                    let first = added.first().copied();
                    self.open_partitions(topic, first.unwrap_or(PartitionIndex(0)));
                }
                Change::TopicConfigChanged(topic) => self.configure(topic),
            }
        }
        self.image.store(Arc::clone(after));
    }

    /// Opens the log of one partition, creating it if it is new.
    pub(crate) fn open(&self, parts: PartitionParts) -> Result<Arc<Partition>, StorageError> {
        let mut start = LogStart::default();
        if self.is_loading() {
            start = self.log_dir.start_of(&parts.name);
        }
        let opened = match self.open_log(&parts, start) {
            // What a topic of this name left that was deleted and created again just before a
            // kill.
            Err(StorageError::Mismatch { .. }) if self.is_loading() => {
                self.settle_other_topics(&parts.name)?;
                self.open_log(&parts, LogStart::default())
            }
            opened => opened,
        };
        opened.map(|log| Partition::new(parts, log))
    }

    fn open_log(&self, parts: &PartitionParts, start: LogStart) -> Result<Log, StorageError> {
        let (mut log, report) = Log::open(
            Arc::clone(&self.environment.disk),
            &self.log_dir.partition_path(&parts.name),
            Some(parts.topic_id),
            parts.settings.log.clone(),
            start,
            self.environment.clock.now(),
        )?;
        if report.truncated_bytes > 0 || !report.notes.is_empty() {
            tracing::warn!(partition = %parts.name, ?report, "recovered after an unclean shutdown");
        }
        log.begin_epoch(parts.epoch);
        Ok(log)
    }

    /// What a partition is made of besides its log.
    pub(crate) fn parts(
        &self,
        name: TopicPartition,
        topic_id: Uuid,
        epoch: LeaderEpoch,
        settings: PartitionSettings,
    ) -> PartitionParts {
        PartitionParts {
            name,
            topic_id,
            epoch,
            durable_acks: self.base_config.tidemark_acks_all_durable,
            settings,
            disk: Arc::clone(&self.environment.disk),
            flusher: Arc::clone(&self.flusher),
        }
    }

    /// Whether the catalog is still being replayed.
    fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Acquire)
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

    /// Writes only where logs begin: what DeleteRecords must do before it answers.
    pub(crate) fn write_log_starts(&self) -> Result<(), StorageError> {
        let closed = self.checkpoints_closed.lock();
        match *closed {
            true => Ok(()),
            false => self.log_dir.write_log_starts(&self.collect_checkpoints()),
        }
    }

    fn collect_and_write(&self) -> Result<(), StorageError> {
        self.log_dir.write_checkpoints(&self.collect_checkpoints())
    }

    fn collect_checkpoints(&self) -> BTreeMap<TopicPartition, Checkpoints> {
        let own = self.catalog_log.lock().clone();
        let partitions = self.partitions.all().into_iter().chain(own);
        let known = partitions.filter_map(|partition| {
            let checkpoint = partition.checkpoint()?;
            let checkpoint = Checkpoints {
                recovery_point: checkpoint.recovery_point,
                log_start: checkpoint.log_start,
                high_watermark: checkpoint.high_watermark,
            };
            Some((partition.name().clone(), checkpoint))
        });
        known.collect()
    }

    /// Opens the partitions of a topic from this number on. One that cannot be opened is offline;
    /// the others are not concerned.
    fn open_partitions(&self, topic: &Arc<Topic>, first: PartitionIndex) {
        let settings = self.settings(topic);
        let mut opened = Vec::new();
        for (index, partition) in topic.partitions.range(first..) {
            let name = TopicPartition::new(Arc::clone(&topic.name), index.0);
            let epoch = partition.leader_epoch;
            let parts = || self.parts(name.clone(), topic.id, epoch, settings.clone());
            opened.push(self.open(parts()).unwrap_or_else(|error| {
                tracing::error!(partition = %name, %error, "cannot open the log: it is offline");
                let known = self.log_dir.checkpoints(&name);
                let last_known = Checkpoint {
                    recovery_point: known.recovery_point,
                    log_start: known.log_start,
                    high_watermark: known.high_watermark,
                };
                Partition::offline(parts(), error.to_string(), last_known)
            }));
        }
        self.partitions.add(&topic.name, opened);
    }

    fn delete_topics(&self, topics: &[&Arc<Topic>]) {
        if topics.is_empty() {
            return;
        }
        for topic in topics {
            self.delete_logs(topic);
        }
        // Before a topic of the same name can come: its log must not begin where this one did. All
        // partitions are written, so once for all topics that go.
        if let Err(error) = self.write_checkpoints() {
            tracing::error!(%error, "cannot write the checkpoints of what deleted topics leave");
        }
        self.forget_offsets(topics);
    }

    fn delete_logs(&self, topic: &Arc<Topic>) {
        if &*topic.name == GROUP_METADATA {
            // Without their log the coordinators have nothing to stand on; the next question for
            // one makes the topic anew.
            self.groups.clear();
        }
        let delay_ms = self.topic_config(topic).file_delete_delay_ms;
        for partition in self.partitions.remove(&topic.name) {
            let unique = self.environment.entropy.kafka_uuid();
            let marked = match partition.retire() {
                Some(log) => log.mark_deleted(unique),
                None => {
                    let path = self.log_dir.partition_path(partition.name());
                    self.log_dir.mark_deleted(&path, unique)
                }
            };
            match marked {
                Ok(path) => self.doom_dir(path, delay_ms),
                Err(error) => {
                    tracing::error!(partition = %partition.name(), %error, "cannot delete the log");
                }
            }
        }
    }

    fn doom_dir(&self, path: PathBuf, delay_ms: i64) {
        let due = self.environment.clock.now().monotonic.plus_ms(delay_ms);
        self.doomed.lock().push(Doomed {
            path,
            is_dir: true,
            due,
        });
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
