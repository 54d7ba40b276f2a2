//! What is checked before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{GlobalSpec, Node, NodeKind, Partitioning, StoreSpec, Topic, TopicEnd, Topology};
use crate::error::StreamsError;

/// What is wrong with how topics are read and written, whatever the cluster has.
pub(super) fn topics(nodes: &[Node]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut readers: BTreeMap<&Topic, &Node> = BTreeMap::new();
    for (node, topic) in reads(nodes) {
        if let Some(other) = readers.insert(topic, node) {
            problems.push(format!(
                "{} and {} both read the topic {topic}: make one of them and use it twice",
                other.name, node.name
            ));
        }
    }
    for (writer, topic) in writes(nodes) {
        let (Some(reader), Some(written)) = (readers.get(topic), &writer.end) else {
            continue;
        };
        let Some(read) = &reader.end else { continue };
        for (what, written, read) in [
            ("keys", &written.key, &read.key),
            ("values", &written.value, &read.value),
        ] {
            if written != read && !written.is_empty() && !read.is_empty() {
                problems.push(format!(
                    "{} writes {what} of the topic {topic} as {written}, and {} reads them as {read}",
                    writer.name, reader.name
                ));
            }
        }
    }
    problems
}

/// Names that are a store's and a global table's: whoever reads one by its name would not know which.
pub(super) fn names(stores: &[StoreSpec], globals: &[GlobalSpec]) -> Vec<String> {
    let names = stores.iter().map(|store| store.name.as_str());
    names
        .filter(|name| globals.iter().any(|global| global.name == *name))
        .map(|name| {
            format!("a store and a global table have the name {name:?}: give the store another one")
        })
        .collect()
}

/// Sources that keep a place in their topics, with each of those. Global tables are read as a whole
/// at every start.
fn reads(nodes: &[Node]) -> impl Iterator<Item = (&Node, &Topic)> {
    let fills_global = |at: usize| {
        let behind = nodes.iter().filter(|node| node.global);
        behind
            .into_iter()
            .any(|node| node.inputs.iter().any(|edge| edge.node == at))
    };
    let sources = nodes
        .iter()
        .enumerate()
        .filter_map(move |(at, node)| match &node.kind {
            NodeKind::Source { topics } if !fills_global(at) => Some((node, topics)),
            _ => None,
        });
    sources.flat_map(|(node, topics)| topics.iter().map(move |topic| (node, topic)))
}

fn writes(nodes: &[Node]) -> impl Iterator<Item = (&Node, &Topic)> {
    nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Sink { topic } => Some((node, topic)),
        _ => None,
    })
}

/// An operator, and the topics whose records meet in it.
pub(super) struct Meeting<'a> {
    pub(super) operator: &'a Node,
    pub(super) topics: BTreeSet<&'a Topic>,
}

/// All operators that need records of one key in the partitions of one number, whichever topic they
/// come from: joins, aggregates and tables. What a processor keeps is its own matter. (Kafka leaves it
/// to its users to see that topics that are merged and then aggregated fit together, and gives a key
/// two results if they do not.)
pub(super) fn meetings(nodes: &[Node]) -> Vec<Meeting<'_>> {
    let operators = nodes.iter().filter(|node| match node.kind {
        NodeKind::StreamJoin { .. } | NodeKind::TableJoin => true,
        // Each instance has all of a global table.
        NodeKind::LookupJoin => !node.reads.is_empty(),
        NodeKind::Aggregate | NodeKind::WindowAggregate { .. } | NodeKind::Table => !node.global,
        _ => false,
    });
    let meeting = |operator| {
        let mut seen = BTreeSet::new();
        let mut topics = BTreeSet::new();
        origins(nodes, operator, &mut seen, &mut topics);
        for store in &operator.reads {
            for (at, node) in nodes.iter().enumerate() {
                let fills = node.stores.contains(store) && !node.reads.contains(store);
                if fills && seen.insert(at) {
                    origins(nodes, node, &mut seen, &mut topics);
                }
            }
        }
        Meeting { operator, topics }
    };
    operators.map(meeting).collect()
}

/// Adds the topics that a node's records come from.
fn origins<'a>(
    nodes: &'a [Node],
    node: &'a Node,
    seen: &mut BTreeSet<usize>,
    topics: &mut BTreeSet<&'a Topic>,
) {
    if let NodeKind::Source { topics: own } = &node.kind {
        topics.extend(own);
    }
    for edge in &node.inputs {
        if seen.insert(edge.node) {
            origins(nodes, &nodes[edge.node], seen, topics);
        }
    }
}

impl Topology {
    /// Checks the topology against the topics of a cluster; `count` gives the number of partitions
    /// of a topic, `None` if there is no such topic. All that are read or written have to be there,
    /// those for dead letters too: a cluster that makes a topic when it is first written to gives it
    /// as many partitions as it likes. Topics that are joined have to have the same number, and the
    /// same partitioner, as far as that is known. The application's own topics are not looked for.
    ///
    /// # Errors
    ///
    /// [`StreamsError::Topology`] with everything that is wrong, operators named.
    pub fn check_partitions(
        &self,
        count: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<(), StreamsError> {
        let mut problems = Vec::new();
        for node in self.nodes.iter() {
            let topics = match &node.kind {
                NodeKind::Source { topics } => &topics[..],
                NodeKind::Sink { topic } => std::slice::from_ref(topic),
                _ => &[],
            };
            let external = topics.iter().filter_map(|topic| match topic {
                Topic::External(name) => Some((name, "")),
                Topic::Internal(_) => None,
            });
            let dead_letters = node.dead_letters.iter();
            let dead_letters = dead_letters.map(|name| (name, " for its dead letters"));
            for (topic, what) in external.chain(dead_letters) {
                if count(topic).is_none() {
                    let name = &node.name;
                    problems.push(format!("{name}: topic {topic:?}{what} does not exist"));
                }
            }
        }
        let sizes = self.internal_partitions(&|topic| count(topic).unwrap_or(1));
        let partitioners = self.partitioners();
        for Meeting { operator, topics } in meetings(&self.nodes) {
            let name = &operator.name;
            let counts = topics.iter().filter_map(|topic| {
                let count = match topic {
                    Topic::External(external) => count(external),
                    Topic::Internal(_) => sizes.get(topic).copied(),
                };
                Some((*topic, count?))
            });
            if let Some(list) = disagreement(counts) {
                problems.push(format!(
                    "{name}: topics {} have to have the same number of partitions: {list}",
                    what_happens(operator)
                ));
            }
            let ways = topics.iter().flat_map(|topic| {
                let known = partitioners.get(*topic).cloned();
                let known = known.unwrap_or_else(|| vec![Partitioning::Keys]);
                known.into_iter().map(move |way| (*topic, way))
            });
            if let Some(list) = disagreement(ways) {
                problems.push(format!(
                    "{name}: topics {} have to be partitioned in the same way: {list}",
                    what_happens(operator)
                ));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(StreamsError::Topology(problems))
        }
    }

    /// How topics are partitioned, where that is known: by those who write them here, or as those who
    /// read them were told. More than one way if these do not agree.
    fn partitioners(&self) -> BTreeMap<&Topic, Vec<Partitioning>> {
        let way = |end: &Option<TopicEnd>| end.as_ref()?.partitioning.clone();
        let mut all: BTreeMap<&Topic, Vec<Partitioning>> = BTreeMap::new();
        for (node, topic) in reads(&self.nodes).chain(writes(&self.nodes)) {
            let known = all.entry(topic).or_default();
            known.extend(way(&node.end).filter(|way| !known.contains(way)));
        }
        all.retain(|_, ways| !ways.is_empty());
        all
    }
}

/// What is done with the topics that meet there, in words.
fn what_happens(operator: &Node) -> &'static str {
    match operator.kind {
        NodeKind::StreamJoin { .. } | NodeKind::LookupJoin | NodeKind::TableJoin => {
            "that are joined"
        }
        _ => "that are merged and kept by key (unless by repartition)",
    }
}

/// The topics with what they have, if that is not the same for all.
fn disagreement<'a, T: PartialEq + std::fmt::Display>(
    all: impl Iterator<Item = (&'a Topic, T)>,
) -> Option<String> {
    let all: Vec<_> = all.collect();
    let (_, first) = all.first()?;
    if all.iter().all(|(_, other)| other == first) {
        return None;
    }
    let each = all.iter().map(|(topic, has)| format!("{topic} has {has}"));
    Some(each.collect::<Vec<_>>().join(", "))
}
