//! Committed offsets.

mod commit;
mod delete;
mod expiry;
mod fetch;

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

pub(super) use commit::commit;
pub(super) use delete::{delete, forget_topics, removals_of_group};
#[cfg(test)]
pub(super) use expiry::MAX_TOMBSTONES;
pub(super) use expiry::on_expiry_timer;
pub(super) use fetch::fetch;

use super::event::OffsetKey;
use crate::types::Timestamp;

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to consume.
    pub offset: i64,
    /// The leader epoch of the last consumed record, or -1.
    pub leader_epoch: i32,
    /// Whatever the client wanted to keep.
    pub metadata: Arc<str>,
    /// When it was committed.
    pub commit_timestamp: Timestamp,
    /// When it expires, if the client said so (OffsetCommit v2 to v4).
    pub expire_timestamp: Option<Timestamp>,
    /// The id of the topic, or nil.
    pub topic_id: Uuid,
}

/// The offsets of one topic by partition.
pub(super) type PartitionOffsets = BTreeMap<i32, CommittedOffset>;
/// The offsets of one group by topic.
pub(super) type TopicOffsets = BTreeMap<Arc<str>, PartitionOffsets>;

/// All committed offsets of a machine. Groups and topics without offsets have no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    by_group: BTreeMap<Arc<str>, TopicOffsets>,
}

impl Offsets {
    /// The offsets of a group.
    pub(super) fn of_group(&self, group_id: &str) -> Option<&TopicOffsets> {
        self.by_group.get(group_id)
    }

    /// The offsets of each group that has any.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &TopicOffsets)> {
        self.by_group.iter()
    }

    /// One offset.
    pub(super) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.by_group.get(group)?.get(topic)?.get(&partition)
    }

    /// Stores an offset in place of an older one.
    pub(super) fn put(&mut self, key: OffsetKey, value: CommittedOffset) {
        let topics = self.by_group.entry(key.group_id).or_default();
        topics
            .entry(key.topic)
            .or_default()
            .insert(key.partition, value);
    }

    /// Removes an offset if it is there, and the entries that it leaves empty.
    pub(super) fn remove(&mut self, key: &OffsetKey) {
        let Some(topics) = self.by_group.get_mut(&key.group_id) else {
            return;
        };
        if let Some(partitions) = topics.get_mut(&key.topic) {
            partitions.remove(&key.partition);
            if partitions.is_empty() {
                topics.remove(&key.topic);
            }
        }
        if topics.is_empty() {
            self.by_group.remove(&key.group_id);
        }
    }
}
