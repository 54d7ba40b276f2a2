//! Whether a node does the same each time the records of a source partition are read.

use super::{Node, NodeKind, Subtopology, Topic, Topology};

impl Topology {
    /// Whether the records of one source partition make a node do the same each time they are read,
    /// whatever else its task reads and whatever the clock says. Not so where the task reads several
    /// topics and there is state in front of the node: what the state holds depends on how records of
    /// both were put between one another. Closures of the application are taken to be functions.
    pub(crate) fn repeats(&self, part: &Subtopology, number: usize) -> bool {
        let before = before(&self.nodes, number);
        let mut before = before.iter().map(|at| &self.nodes[*at]);
        let alone = part.sources.len() == 1;
        before.all(|node| !node.varies && (alone || node.stores.is_empty()))
    }

    /// Whether a node writes a repartition topic and cannot do so before a commit: after a crash other
    /// records could come.
    pub(crate) fn waits_for_commits(&self, part: &Subtopology, number: usize) -> bool {
        let own = matches!(
            &self.nodes[number].kind,
            NodeKind::Sink {
                topic: Topic::Internal(_)
            }
        );
        own && !self.repeats(part, number)
    }
}

/// The nodes that something comes from to that one, by streams or by stores.
fn before(nodes: &[Node], number: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut next: Vec<usize> = nodes[number].inputs.iter().map(|edge| edge.node).collect();
    while let Some(at) = next.pop() {
        if found.contains(&at) {
            continue;
        }
        found.push(at);
        next.extend(nodes[at].inputs.iter().map(|edge| edge.node));
        for store in &nodes[at].stores {
            let sharing = nodes.iter().enumerate();
            let sharing = sharing.filter(|(_, node)| node.stores.contains(store));
            next.extend(sharing.map(|(other, _)| other));
        }
    }
    found
}
