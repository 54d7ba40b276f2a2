//! Directories that the catalog does not account for, settled once it has been replayed.
//!
//! A topic's deletion is a record in the catalog first and renamed directories afterwards; neither
//! need be on disk when the power goes, and a kill can come between the two. So what a start finds
//! may be behind the catalog (a directory of a deleted topic) or ahead of it (a directory marked as
//! deleted whose topic is still there). What nobody can account for is set aside, never removed:
//! it may be all that is left of somebody's data.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Reconciler;
use crate::catalog::image::CatalogImage;
use crate::catalog::records::Record;
use crate::catalog::topic_name::CLUSTER_METADATA;
use crate::coordinator::runtime::{LoadError, LogHandle};
use crate::machine_log::MachineLog;
use crate::storage::{FoundDir, StorageError};
use crate::types::{PartitionIndex, TopicPartition};

/// What is to become of a directory.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It is a partition's.
    Keep,
    /// It is marked as deleted, but its topic is there: this is the partition's name.
    PutBack(TopicPartition),
    /// Its topic has been deleted.
    Remove,
    /// Nobody knows its topic.
    SetAside,
}

/// Decides by the directory's mark, the topic id in it, the catalog, and the ids of topics that
/// the catalog's log says were deleted.
fn fate(
    found: &FoundDir,
    id: Option<Uuid>,
    catalog: &CatalogImage,
    was_deleted: impl Fn(Uuid) -> bool,
) -> Fate {
    let index = found.partition.partition;
    let has = |topic: &crate::catalog::image::Topic, index: PartitionIndex| {
        topic.partitions.contains_key(&index)
    };
    if found.deleted {
        let topic = id.and_then(|id| catalog.topic_by_id(id));
        return match topic.filter(|topic| has(topic, index)) {
            Some(topic) => Fate::PutBack(TopicPartition::new(topic.name.clone(), index.0)),
            None => Fate::Remove,
        };
    }
    let topic = catalog.topic(&found.partition.topic);
    match (topic.filter(|topic| has(topic, index)), id) {
        // A directory that does not say whose it is was made just before a kill.
        (Some(_), None) => Fate::Keep,
        (Some(topic), Some(id)) if topic.id == id => Fate::Keep,
        (_, Some(id)) if was_deleted(id) => Fate::Remove,
        _ => Fate::SetAside,
    }
}

impl Reconciler {
    /// Settles every directory but those of the catalog's own partitions, which say whose they are
    /// when they are opened: on a large broker that would be one more read for each.
    pub(super) fn settle_leftovers(&self, catalog: &CatalogImage) {
        let is_known = |found: &&FoundDir| {
            let partition = &found.partition;
            let known = catalog.partition(&partition.topic, partition.partition);
            known.is_some() || &*partition.topic == CLUSTER_METADATA
        };
        let found = self.log_dir.found().iter();
        let leftovers = found.filter(|found| found.deleted || !is_known(found));
        if let Err(error) = self.settle(leftovers.collect(), catalog) {
            tracing::error!(%error, "cannot settle what a deleted topic has left");
        }
    }

    /// Settles what stands in the place of a partition but belongs to another topic.
    pub(super) fn settle_other_topics(&self, name: &TopicPartition) -> Result<(), StorageError> {
        let path = self.log_dir.partition_path(name);
        let found = self.log_dir.found().iter();
        let here = found.filter(|found| found.path == path);
        // Whatever it is, it is not of a topic that is there: the one of this name has another id.
        self.settle(here.collect(), &CatalogImage::default())
    }

    fn settle(
        &self,
        leftovers: Vec<&FoundDir>,
        catalog: &CatalogImage,
    ) -> Result<(), StorageError> {
        if leftovers.is_empty() {
            return Ok(());
        }
        let deleted = self.deleted_topics();
        for found in leftovers {
            let id = self.log_dir.topic_id(found);
            let (path, partition) = (found.path.display(), &found.partition);
            let unique = self.environment.entropy.kafka_uuid();
            match fate(found, id, catalog, |id| deleted.contains(&id)) {
                Fate::Keep => {}
                Fate::PutBack(name) => {
                    tracing::warn!(%path, partition = %name, "not deleted after all: put back");
                    self.log_dir.put_back(found, &name)?;
                }
                Fate::Remove if found.deleted => self.doom_dir(found.path.clone(), 0),
                Fate::Remove => {
                    tracing::info!(%partition, "its topic was deleted: removed");
                    let marked = self.log_dir.mark_deleted(&found.path, unique)?;
                    self.doom_dir(marked, 0);
                }
                Fate::SetAside => {
                    let aside = self.log_dir.set_aside(&found.path, unique)?;
                    let aside = aside.display();
                    tracing::warn!(%partition, %aside, "no topic claims this directory: set aside");
                }
            }
        }
        Ok(())
    }

    /// The topics whose deletion is in the catalog's log. If that cannot be read, none: then
    /// nothing is removed.
    fn deleted_topics(&self) -> BTreeSet<Uuid> {
        let mut deleted = BTreeSet::new();
        // Those of an open transaction count when it ends, if it does.
        let mut open: Option<Vec<Uuid>> = None;
        let Some(log) = self.catalog_log.lock().clone() else {
            return deleted;
        };
        let read = MachineLog(log).replay(&mut |_, record| {
            let value = record.value.as_deref().unwrap_or_default();
            match Record::decode(value) {
                Ok(Some(Record::RemoveTopic(removed))) => match &mut open {
                    Some(open) => open.push(removed.topic_id),
                    None => {
                        deleted.insert(removed.topic_id);
                    }
                },
                Ok(Some(Record::BeginTransaction(_))) => open = Some(Vec::new()),
                Ok(Some(Record::AbortTransaction(_))) => open = None,
                Ok(Some(Record::EndTransaction(_))) => {
                    deleted.extend(open.take().into_iter().flatten())
                }
                _ => {}
            }
            Ok::<(), LoadError>(())
        });
        if let Err(error) = read {
            tracing::error!(%error, "cannot read the catalog's log");
            deleted.clear();
        }
        deleted
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::machine::CatalogMachine;
    use crate::catalog::records::{PartitionRecord, TopicRecord};
    use crate::coordinator::Machine;
    use crate::types::Offset;

    const LIVE: Uuid = Uuid::from_u128(1);
    const DELETED: Uuid = Uuid::from_u128(2);
    const UNKNOWN: Uuid = Uuid::from_u128(3);

    /// One topic, `t`, with two partitions.
    fn catalog() -> Arc<CatalogImage> {
        let mut machine = CatalogMachine::new(Arc::default());
        let topic = TopicRecord {
            name: "t".into(),
            topic_id: LIVE,
        };
        machine.apply(Offset(0), topic.into());
        for partition_id in 0..2 {
            let partition = PartitionRecord {
                partition_id,
                topic_id: LIVE,
                replicas: vec![1],
                isr: vec![1],
                removing_replicas: Vec::new(),
                adding_replicas: Vec::new(),
                leader: 1,
                leader_recovery_state: 0,
                leader_epoch: 0,
                partition_epoch: 0,
                directories: Vec::new(),
                eligible_leader_replicas: None,
                last_known_elr: None,
            };
            machine.apply(Offset(1), partition.into());
        }
        Arc::clone(machine.image())
    }

    #[test]
    fn a_directory_is_removed_only_if_its_topic_was_deleted() {
        let catalog = catalog();
        let check = |name: &str, index: i32, deleted: bool, id: Option<Uuid>, expected: Fate| {
            let found = FoundDir {
                path: "/data/x".into(),
                partition: TopicPartition::new(name, index),
                deleted,
            };
            let fate = fate(&found, id, &catalog, |id| id == DELETED);
            assert_eq!(fate, expected, "{found:?} of {id:?}");
        };
        check("t", 0, false, Some(LIVE), Fate::Keep);
        check("t", 1, false, None, Fate::Keep);
        check("t", 0, false, Some(DELETED), Fate::Remove);
        check("t", 0, false, Some(UNKNOWN), Fate::SetAside);
        // The topic has no such partition.
        check("t", 2, false, Some(LIVE), Fate::SetAside);
        check("gone", 0, false, Some(DELETED), Fate::Remove);
        check("gone", 0, false, Some(UNKNOWN), Fate::SetAside);
        check("gone", 0, false, None, Fate::SetAside);
        // Under another name than its topic's: somebody has renamed it.
        check("gone", 0, false, Some(LIVE), Fate::SetAside);
        // Marked as deleted: the mark may have reached the disk before the deletion did.
        let back = Fate::PutBack(TopicPartition::new("t", 1));
        check("t", 1, true, Some(LIVE), back);
        check("t", 2, true, Some(LIVE), Fate::Remove);
        check("t", 1, true, Some(DELETED), Fate::Remove);
        check("t", 1, true, Some(UNKNOWN), Fate::Remove);
        check("t", 1, true, None, Fate::Remove);
    }
}
