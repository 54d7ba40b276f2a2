//! Which nodes give old values: only those that somebody behind them asks, as keeping them apart has
//! its price.

use super::Node;

/// For each node whether somebody behind it asks for old values.
pub(crate) fn wanted(nodes: &[Node]) -> Vec<bool> {
    let keeps = keeps(nodes);
    let mut wanted = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate().rev() {
        let kept = || node.inputs.iter().all(|edge| keeps[edge.node]);
        let asks = node.wants_old || (node.passes_old && wanted[at]) || (node.takes_old && kept());
        if asks {
            for edge in &node.inputs {
                wanted[edge.node] = true;
            }
        }
    }
    wanted
}

/// For each node whether it can give old values from what is kept anyway.
fn keeps(nodes: &[Node]) -> Vec<bool> {
    let mut keeps: Vec<bool> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let kept = if node.passes_old {
            node.inputs.iter().all(|edge| keeps[edge.node])
        } else {
            node.stores.len() > node.reads.len()
        };
        keeps.push(kept);
    }
    keeps
}
