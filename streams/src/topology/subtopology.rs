//! The parts of a topology that topics connect: each is run by tasks of its own, one per partition.

use super::{Node, NodeKind, Topic};

/// Operators that belong together (Kafka: sub-topology): they share nodes or stores. Its tasks are
/// numbered by the partitions of its source topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtopology {
    /// Its nodes, each behind those that feed it.
    pub(crate) nodes: Vec<usize>,
    /// The stores that its nodes use.
    pub(crate) stores: Vec<usize>,
    /// The topics that it reads.
    pub(crate) sources: Vec<Topic>,
    /// Whether what comes out depends on the order in which paths are taken: then records go through
    /// one by one.
    pub(crate) one_by_one: bool,
    /// Whether it fills a global table: every instance runs it for all partitions, from the beginning
    /// of the topic at every start, and keeps nothing of it.
    pub(crate) global: bool,
}

/// Puts nodes that are connected, or share a store, together. Nodes are numbered in the order in
/// which they were added, so every one comes behind those that feed it.
pub(super) fn split(nodes: &[Node], stores: usize) -> Vec<Subtopology> {
    let mut group: Vec<usize> = (0..nodes.len()).collect();
    let mut owner: Vec<Option<usize>> = vec![None; stores];
    for (at, node) in nodes.iter().enumerate() {
        for edge in &node.inputs {
            join(&mut group, at, edge.node);
        }
        for store in &node.stores {
            match owner[*store] {
                Some(other) => join(&mut group, at, other),
                None => owner[*store] = Some(at),
            }
        }
    }
    let mut parts: Vec<(usize, Vec<usize>)> = Vec::new();
    for at in 0..nodes.len() {
        let root = find(&mut group, at);
        match parts.iter_mut().find(|(known, _)| *known == root) {
            Some((_, members)) => members.push(at),
            None => parts.push((root, vec![at])),
        }
    }
    let parts = parts.into_iter().map(|(_, members)| members);
    parts.map(|members| describe(nodes, members)).collect()
}

fn describe(nodes: &[Node], members: Vec<usize>) -> Subtopology {
    let mut stores: Vec<usize> = members
        .iter()
        .flat_map(|at| nodes[*at].stores.iter().copied())
        .collect();
    stores.sort_unstable();
    stores.dedup();
    let mut sources: Vec<Topic> = members
        .iter()
        .filter_map(|at| match &nodes[*at].kind {
            NodeKind::Source { topics } => Some(topics.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    sources.sort();
    sources.dedup();
    let global = members.iter().any(|at| nodes[*at].global);
    let one_by_one = members.iter().any(|at| nodes[*at].one_by_one)
        || meets_itself(nodes, &members)
        || time_meets_records(nodes, &members);
    Subtopology {
        nodes: members,
        stores,
        sources,
        one_by_one,
        global,
    }
}

/// What an operator's output can be seen by: nodes, stores, topics.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Node(usize),
    Store(usize),
    Topic(Topic),
}

fn places(nodes: &[Node], at: usize) -> Vec<Place> {
    let mut places: Vec<Place> = nodes[at].stores.iter().copied().map(Place::Store).collect();
    places.push(Place::Node(at));
    if let NodeKind::Sink { topic } = &nodes[at].kind {
        places.push(Place::Topic(topic.clone()));
    }
    places
}

/// Whether a node only looks things up there: then it does not matter who comes first.
fn looks_up(node: &Node, place: &Place) -> bool {
    matches!(place, Place::Store(store) if node.reads.contains(store))
}

/// Whether records of one source can come to one place on two ways: then a chunk must not go one way
/// as a whole before it goes the other.
fn meets_itself(nodes: &[Node], members: &[usize]) -> bool {
    members
        .iter()
        .filter(|at| nodes[**at].inputs.is_empty())
        .any(|source| {
            // How many ways lead to each node, by the edges into it.
            let mut ways = std::collections::HashMap::from([(*source, 1_usize)]);
            let mut seen = std::collections::HashMap::new();
            for at in members {
                let inputs = nodes[*at].inputs.iter();
                let into: usize = inputs.filter_map(|edge| ways.get(&edge.node)).sum();
                let into = if at == source { 1 } else { into.min(2) };
                if into == 0 {
                    continue;
                }
                ways.insert(*at, into);
                for place in places(nodes, *at) {
                    let changes = !looks_up(&nodes[*at], &place);
                    let (count, changed): &mut (usize, bool) = seen.entry(place).or_default();
                    *count += into;
                    *changed |= changes;
                }
            }
            seen.values().any(|(count, changed)| *count > 1 && *changed)
        })
}

/// Whether what comes out as time moves on can meet records that have come from another source: then
/// it has to come out between the very records between which time moved on.
fn time_meets_records(nodes: &[Node], members: &[usize]) -> bool {
    let sources = members.iter().filter(|at| nodes[**at].inputs.is_empty());
    if sources.count() < 2 {
        return false;
    }
    let keeps_time = |at: &usize| nodes[*at].idle.is_some();
    members.iter().filter(|at| keeps_time(at)).any(|keeper| {
        let mut behind = std::collections::HashSet::from([*keeper]);
        for at in members {
            if nodes[*at]
                .inputs
                .iter()
                .any(|edge| behind.contains(&edge.node))
            {
                behind.insert(*at);
            }
        }
        let elsewhere = |at: &usize| !behind.contains(at);
        behind.iter().any(|at| {
            let fed_otherwise = nodes[*at].inputs.len() > 1
                && nodes[*at].inputs.iter().any(|edge| elsewhere(&edge.node));
            let shared = places(nodes, *at).iter().any(|place| {
                let others = members.iter().filter(|other| elsewhere(other));
                !matches!(place, Place::Node(_))
                    && others
                        .into_iter()
                        .any(|other| places(nodes, *other).contains(place))
            });
            (at != keeper && fed_otherwise) || shared
        })
    })
}

fn find(group: &mut [usize], at: usize) -> usize {
    let mut root = at;
    while group[root] != root {
        root = group[root];
    }
    group[at] = root;
    root
}

fn join(group: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(group, a), find(group, b));
    let (first, second) = (a.min(b), a.max(b));
    group[second] = first;
}
