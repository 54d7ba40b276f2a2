//! The partitions of this broker, by topic name and number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;

use super::Partition;
use crate::types::PartitionIndex;

/// Partitions of one topic by number. Not a list by position: a number that is missing must not
/// move those behind it.
type OfTopic = BTreeMap<PartitionIndex, Arc<Partition>>;

/// All partitions. Looked up by every produce and fetch; changed when topics come and go.
#[derive(Default)]
pub struct PartitionTable(RwLock<HashMap<Arc<str>, OfTopic>>);

impl PartitionTable {
    /// A partition; `None` if there is no such topic or number.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        let table = self.0.read();
        table.get(topic)?.get(&PartitionIndex(partition)).cloned()
    }

    /// The partitions of a topic, by number.
    pub fn topic(&self, topic: &str) -> Vec<Arc<Partition>> {
        let table = self.0.read();
        let partitions = table.get(topic).map(|topic| topic.values().cloned());
        partitions.into_iter().flatten().collect()
    }

    /// Adds a topic's partitions, in place of those with their numbers.
    pub fn add(&self, topic: &Arc<str>, partitions: Vec<Arc<Partition>>) {
        let mut table = self.0.write();
        let known = table.entry(Arc::clone(topic)).or_default();
        let numbered = |partition: Arc<Partition>| (partition.name().partition, partition);
        known.extend(partitions.into_iter().map(numbered));
    }

    /// Takes a topic out.
    pub fn remove(&self, topic: &str) -> Vec<Arc<Partition>> {
        let removed = self.0.write().remove(topic).unwrap_or_default();
        removed.into_values().collect()
    }

    /// Every partition, in no particular order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let table = self.0.read();
        table.values().flat_map(OfTopic::values).cloned().collect()
    }

    /// How many partitions there are.
    pub fn count(&self) -> usize {
        self.0.read().values().map(OfTopic::len).sum()
    }
}
