//! The partitions of this broker, by topic name and number.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::Partition;

/// All partitions. Looked up by every produce and fetch; changed when topics come and go.
#[derive(Default)]
pub struct PartitionTable(RwLock<HashMap<Arc<str>, Vec<Arc<Partition>>>>);

impl PartitionTable {
    /// A partition; `None` if there is no such topic or number.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        let table = self.0.read();
        table
            .get(topic)?
            .get(usize::try_from(partition).ok()?)
            .cloned()
    }

    /// The partitions of a topic, in order.
    pub fn topic(&self, topic: &str) -> Vec<Arc<Partition>> {
        self.0.read().get(topic).cloned().unwrap_or_default()
    }

    /// Adds the next partitions of a topic, in order.
    pub fn add(&self, topic: &Arc<str>, partitions: Vec<Arc<Partition>>) {
        self.0
            .write()
            .entry(Arc::clone(topic))
            .or_default()
            .extend(partitions);
    }

    /// Takes a topic out.
    pub fn remove(&self, topic: &str) -> Vec<Arc<Partition>> {
        self.0.write().remove(topic).unwrap_or_default()
    }

    /// Every partition, in no particular order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.0.read().values().flatten().cloned().collect()
    }

    /// How many partitions there are.
    pub fn count(&self) -> usize {
        self.0.read().values().map(Vec::len).sum()
    }
}
