//! How many partitions the application's own topics have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{NodeKind, Topic, Topology};

impl Topology {
    /// The topics that are read and are not the application's own.
    pub(crate) fn external_sources(&self) -> Vec<Arc<str>> {
        let parts = self.subtopologies.iter();
        let topics = parts.flat_map(|part| part.sources.iter());
        let external = topics.filter_map(|topic| match topic {
            Topic::External(name) => Some(Arc::clone(name)),
            Topic::Internal(_) => None,
        });
        let names: BTreeSet<Arc<str>> = external.collect();
        names.into_iter().collect()
    }

    /// The topics that are written and are not the application's own.
    pub(crate) fn external_sinks(&self) -> Vec<Arc<str>> {
        let external = self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Sink {
                topic: Topic::External(name),
            } => Some(Arc::clone(name)),
            _ => None,
        });
        let names: BTreeSet<Arc<str>> = external.collect();
        names.into_iter().collect()
    }

    /// The name of the operator that reads a topic.
    pub(crate) fn reader_of(&self, topic: &str) -> String {
        let reader = self.nodes.iter().find(|node| match &node.kind {
            NodeKind::Source { topics } => topics.iter().any(|own| match own {
                Topic::External(name) | Topic::Internal(name) => **name == *topic,
            }),
            _ => false,
        });
        reader.map(|node| node.name.clone()).unwrap_or_default()
    }

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
