//! What a topology looks like: as text, and as pictures.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Edge, Node, NodeKind, Topology};

impl std::fmt::Display for NodeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source { topics } => {
                f.write_str("reads ")?;
                for (at, topic) in topics.iter().enumerate() {
                    write!(f, "{}{topic}", if at == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Sink { topic } => write!(f, "writes {topic}"),
            Self::Deduplicate => f.write_str("deduplication"),
            Self::Stateless { table: false } => f.write_str("stateless"),
            Self::Stateless { table: true } => f.write_str("stateless, of a table"),
            Self::Branch => f.write_str("branches"),
            Self::Merge => f.write_str("merge"),
            Self::Process => f.write_str("processor"),
            Self::Aggregate => f.write_str("aggregate"),
            Self::WindowAggregate { windows } => write!(f, "aggregate by windows: {windows}"),
            Self::Table => f.write_str("table"),
            Self::TableAggregate => f.write_str("aggregate of a table"),
            Self::StreamJoin { windows } => write!(f, "join of streams: {windows}"),
            Self::LookupJoin => f.write_str("join with a table"),
            Self::TableJoin => f.write_str("join of tables"),
            Self::Wait => f.write_str("waits for event time"),
        }
    }
}

impl Topology {
    /// What a store is, in words: what fills it, and what of. Who only looks things up in it does not
    /// make it another one.
    pub(crate) fn store_in_words(&self, store: usize) -> String {
        let fills = |node: &&Node| node.stores.contains(&store) && !node.reads.contains(&store);
        let keepers = self.nodes.iter().filter(fills);
        let words = keepers.map(|node| match &node.kind {
            NodeKind::WindowAggregate { windows } => format!("windows: {windows}"),
            kind => format!("{kind:?}"),
        });
        let words: BTreeSet<String> = words.collect();
        let words = Vec::from_iter(words).join(" and ");
        format!("{words}: {}", self.stores[store].holds)
    }

    /// Stores with changelogs and repartition topics whose names hold a number, because several
    /// operators do the same with the same stream. Their state goes by these names: before such
    /// operators are added, removed or put in another order, `named` and `materialized` give them names
    /// of their own. (Kafka numbers all operators: KIP-1111 lets one insist on names.)
    #[must_use]
    pub fn names_by_place(&self) -> &[String] {
        &self.names_by_place
    }

    /// The topology as text: each operator with what it is, what feeds it and which stores it uses,
    /// under its subtopology, whose tasks have one number for each partition. Outputs of operators
    /// that have several are told apart by their numbers. Repartition topics whose records all wait for
    /// commits are said to be: see [`crate::StreamsConfig`] (Kafka: `Topology.describe`).
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (number, part) in self.subtopologies.iter().enumerate() {
            let global = if part.global { ", global" } else { "" };
            let _ = writeln!(text, "subtopology {number}{global}");
            for at in &part.nodes {
                let node = &self.nodes[*at];
                let _ = write!(text, "  {}: {}", node.name, node.kind);
                if self.waits_for_commits(part, *at) {
                    text.push_str(", with each commit");
                }
                let inputs = node.inputs.iter().map(|edge| self.edge(*edge));
                list(&mut text, " <- ", inputs);
                let stores = node.stores.iter().map(|at| self.stores[*at].name.clone());
                list(&mut text, " [", stores);
                if !node.stores.is_empty() {
                    text.push(']');
                }
                text.push('\n');
            }
        }
        text
    }

    fn edge(&self, edge: Edge) -> String {
        let node = &self.nodes[edge.node];
        if node.outputs.len() > 1 {
            format!("{}#{}", node.name, edge.port)
        } else {
            node.name.clone()
        }
    }

    /// The topology as a flow chart for Mermaid.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let escaped = |text: &str| {
            let text = text.replace('"', "#quot;");
            text.replace('<', "#lt;").replace('>', "#gt;")
        };
        let mut text = "flowchart TD\n".to_owned();
        for (number, part) in self.subtopologies.iter().enumerate() {
            let _ = writeln!(text, "  subgraph s{number} [\"subtopology {number}\"]");
            for at in &part.nodes {
                let (name, kind) = (&self.nodes[*at].name, self.nodes[*at].kind.to_string());
                let (name, kind) = (escaped(name), escaped(&kind));
                let _ = writeln!(text, "    n{at}[\"{name}<br/>{kind}\"]");
            }
            for at in &part.stores {
                let name = escaped(&self.stores[*at].name);
                let _ = writeln!(text, "    st{at}[(\"{name}\")]");
            }
            text.push_str("  end\n");
        }
        self.links(&mut text, |text, link| {
            let _ = match link {
                Link::Flow(from, to) => writeln!(text, "  n{from} --> n{to}"),
                Link::Store(node, store) => writeln!(text, "  n{node} --- st{store}"),
                Link::Topic(from, to) => writeln!(text, "  n{from} -.-> n{to}"),
            };
        });
        text
    }

    /// The topology as a graph for Graphviz.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut text = "digraph topology {\n  node [shape=box];\n".to_owned();
        for (number, part) in self.subtopologies.iter().enumerate() {
            let _ = writeln!(text, "  subgraph cluster_{number} {{");
            let _ = writeln!(text, "    label=\"subtopology {number}\";");
            for at in &part.nodes {
                let (name, kind) = (&self.nodes[*at].name, self.nodes[*at].kind.to_string());
                let (name, kind) = (escaped(name), escaped(&kind));
                let _ = writeln!(text, "    n{at} [label=\"{name}\\n{kind}\"];");
            }
            for at in &part.stores {
                let name = escaped(&self.stores[*at].name);
                let _ = writeln!(text, "    st{at} [shape=cylinder, label=\"{name}\"];");
            }
            text.push_str("  }\n");
        }
        self.links(&mut text, |text, link| {
            let _ = match link {
                Link::Flow(from, to) => writeln!(text, "  n{from} -> n{to};"),
                Link::Store(node, store) => {
                    writeln!(text, "  n{node} -> st{store} [dir=none, style=dotted];")
                }
                Link::Topic(from, to) => writeln!(text, "  n{from} -> n{to} [style=dashed];"),
            };
        });
        text.push_str("}\n");
        text
    }

    /// Tells what is connected, in the order of the operators.
    fn links(&self, text: &mut String, tell: impl Fn(&mut String, Link)) {
        for (at, node) in self.nodes.iter().enumerate() {
            for edge in &node.inputs {
                tell(text, Link::Flow(edge.node, at));
            }
            for store in &node.stores {
                tell(text, Link::Store(at, *store));
            }
            let NodeKind::Sink { topic } = &node.kind else {
                continue;
            };
            for (other, reader) in self.nodes.iter().enumerate() {
                if matches!(&reader.kind, NodeKind::Source { topics } if topics.contains(topic)) {
                    tell(text, Link::Topic(at, other));
                }
            }
        }
    }
}

/// What is connected, by the numbers of nodes and stores.
enum Link {
    Flow(usize, usize),
    Store(usize, usize),
    /// A sink and a source of its topic.
    Topic(usize, usize),
}

fn list(text: &mut String, before: &str, items: impl Iterator<Item = String>) {
    for (at, item) in items.enumerate() {
        text.push_str(if at == 0 { before } else { ", " });
        text.push_str(&item);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::time::TimeWindows;
    use crate::{Emit, Fold, StreamsBuilder};

    /// The words for the only store of hopping windows of 10 ms by 5 ms.
    fn words(emit: Emit, merges: bool) -> String {
        let builder = StreamsBuilder::new();
        let windows = TimeWindows::hopping(Duration::from_millis(10), Duration::from_millis(5));
        let grouped = builder.stream::<String, String>("in").group_by_key();
        let windowed = grouped.windowed_by(windows).emit(emit);
        let count = Fold::new(|| 0, |_: &String, _: String, count: &mut i64| *count += 1);
        let _ = match merges {
            true => windowed.aggregate(
                count.merging(|_: &String, count: &mut i64, other: i64| *count += other),
            ),
            false => windowed.aggregate(count),
        };
        builder.build().unwrap().store_in_words(0)
    }

    /// Whoever reads slices as windows, or windows as slices, counts wrong.
    #[test]
    fn a_store_of_slices_is_another_one_than_a_store_of_windows() {
        let windows = words(Emit::Update, true);
        assert_eq!(windows, words(Emit::Close, false));
        assert_eq!(words(Emit::Close, true), words(Emit::Final, true));
        assert_ne!(windows, words(Emit::Close, true));
    }
}
