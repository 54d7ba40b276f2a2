//! By how much watermarks are held back behind operators that wait.

use super::Node;

/// In front of each node and behind it. What comes out of a node that waits is older than the
/// watermark, and must not be late for that.
pub(crate) fn held_back(nodes: &[Node]) -> Vec<(i64, i64)> {
    let mut held: Vec<(i64, i64)> = Vec::new();
    for node in nodes {
        let inputs = node.inputs.iter();
        let before = inputs.map(|edge| held[edge.node].1).max().unwrap_or(0);
        held.push((before, before.saturating_add(node.holds_back)));
    }
    held
}

/// For each of these stores how much it is for those who use it.
pub(crate) fn at_stores(nodes: &[Node], stores: &[usize]) -> Vec<i64> {
    let held = held_back(nodes);
    let of = |store: &usize| {
        let nodes = nodes.iter().zip(&held);
        let users = nodes.filter(|(node, _)| node.stores.contains(store));
        users.map(|(_, held)| held.0).max().unwrap_or(0)
    };
    stores.iter().map(of).collect()
}
