//! How many partitions the application's own topics have.

use std::collections::BTreeMap;

use super::{NodeKind, Topic, Topology};

impl Topology {
    /// The number of partitions of every repartition topic: that of the largest topic whose records
    /// come into it, so that no more tasks are needed behind it than in front of it. `count` knows the
    /// external topics.
    pub(crate) fn internal_partitions(&self, count: &dyn Fn(&str) -> u32) -> BTreeMap<Topic, u32> {
        let mut known: BTreeMap<Topic, u32> = BTreeMap::new();
        // Subtopologies feed one another; a chain is no longer than there are of them.
        for _ in 0..=self.subtopologies.len() {
            for part in self.subtopologies.iter() {
                let sources = part.sources.iter().map(|topic| match topic {
                    Topic::External(name) => count(name),
                    Topic::Internal(_) => known.get(topic).copied().unwrap_or(1),
                });
                let largest = sources.max().unwrap_or(1);
                for node in &part.nodes {
                    if let NodeKind::Sink { topic } = &self.nodes[*node].kind {
                        if matches!(topic, Topic::Internal(_)) {
                            let size = known.entry(topic.clone()).or_insert(1);
                            *size = (*size).max(largest);
                        }
                    }
                }
            }
        }
        known
    }
}
