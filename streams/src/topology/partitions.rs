//! How many partitions the application's own topics have (Kafka: `CopartitionedTopicsEnforcer`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check::meetings;
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

    /// The topics that are written and are not the application's own, dead letters included.
    pub(crate) fn external_outputs(&self) -> Vec<Arc<str>> {
        let sinks = self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Sink {
                topic: Topic::External(name),
            } => Some(name),
            _ => None,
        });
        let dead_letters = self.nodes.iter();
        let dead_letters = dead_letters.filter_map(|node| node.dead_letters.as_ref());
        let names: BTreeSet<Arc<str>> = sinks.chain(dead_letters).cloned().collect();
        names.into_iter().collect()
    }

    /// The number of partitions of every repartition topic: the one that was asked for; else that of
    /// the topics that it is joined with; else that of the largest topic whose records come into it,
    /// so that no more tasks are needed behind it than in front of it. `count` knows the external
    /// topics. Whether topics that are joined agree is for [`Self::check_partitions`] to say.
    pub(crate) fn internal_partitions(&self, count: &dyn Fn(&str) -> u32) -> BTreeMap<Topic, u32> {
        let groups = self.groups();
        let mut known: BTreeMap<Topic, u32> = BTreeMap::new();
        // Subtopologies feed one another; a chain is no longer than there are of them.
        for _ in 0..=self.subtopologies.len() {
            known = self.flow(&known, count);
            for group in &groups {
                self.settle(group, &mut known, count);
            }
        }
        known
    }

    /// What follows for each repartition topic from what flows into it.
    fn flow(
        &self,
        known: &BTreeMap<Topic, u32>,
        count: &dyn Fn(&str) -> u32,
    ) -> BTreeMap<Topic, u32> {
        let mut sizes: BTreeMap<Topic, u32> = BTreeMap::new();
        for part in self.subtopologies.iter() {
            let sources = part.sources.iter().map(|topic| match topic {
                Topic::External(name) => count(name),
                Topic::Internal(_) => known.get(topic).copied().unwrap_or(1),
            });
            let largest = sources.max().unwrap_or(1);
            for node in &part.nodes {
                let NodeKind::Sink { topic } = &self.nodes[*node].kind else {
                    continue;
                };
                if matches!(topic, Topic::Internal(_)) {
                    let size = sizes.entry(topic.clone()).or_insert(1);
                    *size = match self.sizes.get(topic) {
                        Some(asked) => *asked,
                        None => (*size).max(largest),
                    };
                }
            }
        }
        sizes
    }

    /// What follows for the repartition topics of a group that has to have one number.
    fn settle(
        &self,
        group: &BTreeSet<&Topic>,
        known: &mut BTreeMap<Topic, u32>,
        count: &dyn Fn(&str) -> u32,
    ) {
        let external = group.iter().filter_map(|topic| match topic {
            Topic::External(name) => Some(count(name)),
            Topic::Internal(_) => None,
        });
        let asked = group
            .iter()
            .filter_map(|topic| self.sizes.get(*topic).copied());
        let own = group.iter().filter_map(|topic| known.get(*topic).copied());
        let size = external.max().or_else(|| asked.max()).or_else(|| own.max());
        for topic in group {
            if let (Topic::Internal(_), None, Some(size)) = (topic, self.sizes.get(*topic), size) {
                known.insert((*topic).clone(), size);
            }
        }
    }

    /// Topics that have to have one number: those that meet in an operator, and operators that share a
    /// topic taken together.
    fn groups(&self) -> Vec<BTreeSet<&Topic>> {
        let mut groups: Vec<BTreeSet<&Topic>> = Vec::new();
        for meeting in meetings(&self.nodes) {
            let mut group = meeting.topics;
            groups.retain(|other| {
                let apart = other.is_disjoint(&group);
                if !apart {
                    group.extend(other);
                }
                apart
            });
            groups.push(group);
        }
        groups
    }
}
