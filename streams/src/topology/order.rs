//! Which subtopologies feed which.

use super::{NodeKind, Topology};

impl Topology {
    /// The numbers of the subtopologies, each behind those that feed it, as far as they do not feed
    /// each other in a circle.
    pub(crate) fn in_order(&self) -> Vec<usize> {
        let parts = &self.subtopologies;
        let feeds = |a: usize, b: usize| {
            let mut nodes = parts[a].nodes.iter();
            nodes.any(|at| match &self.nodes[*at].kind {
                NodeKind::Sink { topic } => parts[b].sources.contains(topic),
                _ => false,
            })
        };
        let mut left: Vec<usize> = (0..parts.len()).collect();
        let mut ordered = Vec::new();
        while !left.is_empty() {
            let free = left
                .iter()
                .position(|b| !left.iter().any(|a| a != b && feeds(*a, *b)));
            ordered.push(left.remove(free.unwrap_or(0)));
        }
        ordered
    }
}
