//! A topology while it is being built.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    Edge, GlobalSpec, Make, MakeChunk, Node, NodeKind, StoreSpec, Topic, TopicEnd, Topology, check,
    subtopology,
};
use crate::error::StreamsError;
use crate::record::chunk::{AnyChunk, Chunk};

/// What the handles of one builder share.
#[derive(Clone, Default)]
pub(crate) struct Plan(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    stores: Vec<StoreSpec>,
    globals: Vec<GlobalSpec>,
    names: HashSet<String>,
    /// Names that have a number, because others had them already.
    numbered: HashSet<String>,
    problems: Vec<String>,
    repartitions: HashMap<Edge, Edge>,
    sizes: BTreeMap<Topic, u32>,
    /// Sources that are read as they come, by topic.
    plain_sources: HashMap<String, (TypeId, Edge)>,
}

impl Node {
    /// A node that keeps nothing and asks for nothing. `operation` is what its name ends with: it has
    /// its whole name when it has been added.
    pub(crate) fn new(operation: &str, kind: NodeKind, make: Make) -> Self {
        Self {
            name: operation.to_owned(),
            kind,
            inputs: Vec::new(),
            outputs: Vec::new(),
            make,
            end: None,
            stores: Vec::new(),
            reads: Vec::new(),
            idle: None,
            holds_back: 0,
            one_by_one: false,
            with_source: false,
            wants_old: false,
            passes_old: false,
            takes_old: false,
            keeps_place: false,
            global: false,
            dead_letters: None,
            varies: false,
        }
    }

    /// What it knows of its topics.
    pub(crate) fn end(mut self, end: TopicEnd) -> Self {
        self.end = Some(end);
        self
    }

    pub(crate) fn input(mut self, edge: Edge) -> Self {
        self.inputs.push(edge);
        self
    }

    pub(crate) fn output<K, V>(mut self) -> Self
    where
        K: Clone + Send + 'static,
        V: Clone + Send + 'static,
    {
        self.outputs.push(empty::<K, V>);
        self
    }

    pub(crate) fn keeps_time<K, V>(mut self) -> Self
    where
        K: Clone + Send + 'static,
        V: Clone + Send + 'static,
    {
        self.idle = Some(empty::<K, V>);
        self
    }

    pub(crate) fn store(mut self, store: usize) -> Self {
        self.stores.push(store);
        self
    }

    /// It looks things up in that store, and changes nothing in it.
    pub(crate) fn looks_up(mut self, stores: &[usize]) -> Self {
        for store in stores {
            if !self.stores.contains(store) {
                self.stores.push(*store);
                self.reads.push(*store);
            }
        }
        self
    }

    /// What comes out of it can be so many milliseconds behind the watermark.
    pub(crate) fn holds_back(mut self, by: i64) -> Self {
        self.holds_back = by;
        self
    }

    /// It has to see every step of event time.
    pub(crate) fn one_by_one(mut self) -> Self {
        self.one_by_one = true;
        self
    }

    /// It is told which record of a topic it works on: one at a time, then.
    pub(crate) fn with_source(mut self) -> Self {
        self.with_source = true;
        self.one_by_one()
    }

    /// It asks those that feed it for old values.
    pub(crate) fn wants_old(mut self) -> Self {
        self.wants_old = true;
        self
    }

    /// It has old values only if it is given them, and gives them on if it is asked.
    pub(crate) fn passes_old(mut self) -> Self {
        self.passes_old = true;
        self
    }

    /// It asks for old values where they are kept anyway.
    pub(crate) fn takes_old(mut self) -> Self {
        self.takes_old = true;
        self
    }

    /// The same records can make it do something else another time.
    pub(crate) fn varies_if(mut self, varies: bool) -> Self {
        self.varies = varies;
        self
    }

    /// Records that it cannot take go to that topic.
    pub(crate) fn dead_letters(mut self, topic: Option<Arc<str>>) -> Self {
        self.dead_letters = topic;
        self
    }

    /// Its store is told how far the source partition has been read.
    pub(crate) fn keeps_place(mut self) -> Self {
        self.keeps_place = true;
        self
    }

    /// It fills a global table.
    pub(crate) fn fills_global(mut self) -> Self {
        self.global = true;
        self
    }
}

fn empty<K, V>() -> Box<dyn AnyChunk>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    Box::new(Chunk::<K, V>::default())
}

impl Plan {
    /// Whether two handles are of the same builder.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What tells this builder from others, without keeping it alive.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Adds a node. Its name is that of what feeds it and what it does, so it stays the same when
    /// something is added elsewhere.
    pub(crate) fn add(&self, new: Node) -> usize {
        let mut state = self.0.lock();
        let base = match new.inputs.first() {
            Some(edge) => format!("{}.{}", state.nodes[edge.node].name, new.name),
            None => new.name.clone(),
        };
        state.push(base, new)
    }

    /// Adds a node of that name.
    pub(crate) fn add_named(&self, name: &str, new: Node) -> usize {
        self.0.lock().push(name.to_owned(), new)
    }

    /// Gives a node another name.
    pub(crate) fn rename(&self, node: usize, name: &str) {
        let mut state = self.0.lock();
        if !is_name(name) {
            let problem = format!(
                "{name:?} is no name for an operator: letters, digits, '.', '_' and '-', at most \
                 150 of them"
            );
            state.problems.push(problem);
        } else if state.names.contains(name) && state.nodes[node].name != name {
            let problem = format!("two operators have the name {name:?}: give one another name");
            state.problems.push(problem);
        } else {
            let old = std::mem::replace(&mut state.nodes[node].name, name.to_owned());
            let State { nodes, stores, .. } = &mut *state;
            let node = &nodes[node];
            let own = node.stores.iter().filter(|at| !node.reads.contains(at));
            for at in own {
                let store = &mut stores[*at].name;
                let rest = store.strip_prefix(&*old);
                // Either the node's name, or one that goes on with a dot.
                if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('.')) {
                    *store = format!("{name}{rest}");
                }
            }
            state.names.remove(&old);
            state.names.insert(name.to_owned());
        }
    }

    /// The name that a node of that base name would get.
    pub(crate) fn unused_name(&self, base: &str) -> String {
        self.0.lock().unused_name(base)
    }

    pub(crate) fn name(&self, node: usize) -> String {
        self.0.lock().nodes[node].name.clone()
    }

    /// Gives a node another number of outputs, all alike, and another operator.
    pub(crate) fn set_branch<K, V>(&self, node: usize, make: Make, outputs: usize)
    where
        K: Clone + Send + 'static,
        V: Clone + Send + 'static,
    {
        let mut state = self.0.lock();
        state.nodes[node].make = make;
        state.nodes[node].outputs = vec![empty::<K, V> as MakeChunk; outputs];
    }

    /// Adds a store; its name has to be new.
    pub(crate) fn add_store(&self, store: StoreSpec) -> usize {
        let mut state = self.0.lock();
        if state.stores.iter().any(|known| known.name == store.name) {
            let problem = format!("two stores have the name {:?}", store.name);
            state.problems.push(problem);
        }
        state.stores.push(store);
        state.stores.len() - 1
    }

    /// Notes if that is no name for a store.
    pub(crate) fn check_store_name(&self, name: &str) {
        if !is_name(name) {
            self.problem(no_store_name(name));
        }
    }

    pub(crate) fn store_name(&self, store: usize) -> String {
        self.0.lock().stores[store].name.clone()
    }

    /// Gives a node one more store.
    pub(crate) fn give_store(&self, node: usize, store: usize) {
        self.0.lock().nodes[node].stores.push(store);
    }

    /// Gives a store another name.
    pub(crate) fn name_store(&self, store: usize, name: &str) {
        let mut state = self.0.lock();
        let others = state.stores.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != store);
        let problem = if !is_name(name) {
            Some(no_store_name(name))
        } else if others.any(|(_, known)| known.name == name) {
            Some(format!("two stores have the name {name:?}"))
        } else {
            None
        };
        match problem {
            Some(problem) => state.problems.push(problem),
            None => name.clone_into(&mut state.stores[store].name),
        }
    }

    /// Has a node ask for old values.
    pub(crate) fn ask_for_old(&self, node: usize) {
        self.0.lock().nodes[node].wants_old = true;
    }

    /// Adds a global table.
    pub(crate) fn add_global(&self, global: GlobalSpec) -> usize {
        let mut state = self.0.lock();
        if state.globals.iter().any(|known| known.name == global.name) {
            let problem = format!("two global tables have the name {:?}", global.name);
            state.problems.push(problem);
        }
        state.globals.push(global);
        state.globals.len() - 1
    }

    /// Notes what is wrong with the topology. It shows when it is built.
    pub(crate) fn problem(&self, problem: String) {
        self.0.lock().problems.push(problem);
    }

    /// Where a stream whose key has changed goes on after its repartition topic, if it has one.
    pub(crate) fn repartitioned(&self, from: Edge) -> Option<Edge> {
        self.0.lock().repartitions.get(&from).copied()
    }

    pub(crate) fn note_repartition(&self, from: Edge, edge: Edge) {
        self.0.lock().repartitions.insert(from, edge);
    }

    /// Gives a repartition topic so many partitions.
    pub(crate) fn set_size(&self, topic: Topic, partitions: u32) {
        self.0.lock().sizes.insert(topic, partitions);
    }

    /// The source that reads a topic as it comes, as keys and values of the types `T`.
    pub(crate) fn plain_source<T: 'static>(&self, topic: &str) -> Option<Edge> {
        let state = self.0.lock();
        let (types, edge) = state.plain_sources.get(topic)?;
        (*types == TypeId::of::<T>()).then_some(*edge)
    }

    pub(crate) fn note_plain_source<T: 'static>(&self, topic: &str, edge: Edge) {
        let known = (TypeId::of::<T>(), edge);
        self.0.lock().plain_sources.insert(topic.to_owned(), known);
    }

    /// The topology as it is now.
    pub(crate) fn build(&self) -> Result<Topology, StreamsError> {
        let mut state = self.0.lock();
        let mut problems = state.problems.clone();
        problems.extend(check::topics(&state.nodes));
        problems.extend(check::names(&state.stores, &state.globals));
        if !problems.is_empty() {
            return Err(StreamsError::Topology(problems));
        }
        if state.nodes.is_empty() {
            let nothing = "it reads no topic".to_owned();
            return Err(StreamsError::Topology(vec![nothing]));
        }
        let names_by_place = state.names_by_place().into();
        let nodes: Arc<[Node]> = std::mem::take(&mut state.nodes).into();
        let stores: Arc<[StoreSpec]> = std::mem::take(&mut state.stores).into();
        let globals: Arc<[GlobalSpec]> = std::mem::take(&mut state.globals).into();
        let subtopologies = subtopology::split(&nodes, stores.len()).into();
        Ok(Topology {
            nodes,
            stores,
            globals,
            subtopologies,
            names_by_place,
            sizes: Arc::new(std::mem::take(&mut state.sizes)),
        })
    }
}

impl State {
    fn unused_name(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        let mut number = 2;
        while self.names.contains(&name) {
            name = format!("{base}-{number}");
            number += 1;
        }
        if number > 2 {
            self.numbered.insert(name.clone());
        }
        name
    }

    /// Names in the cluster that hold the number of an operator among its like.
    fn names_by_place(&self) -> Vec<String> {
        let stores = self.stores.iter();
        let kept = stores.filter(|store| store.changelog.is_some());
        let kept = kept.map(|store| store.name.as_str());
        let topics = self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Sink {
                topic: Topic::Internal(name),
            } => Some(&**name),
            _ => None,
        });
        let by_place = |name: &&str| {
            self.numbered.iter().any(|numbered| {
                let rest = name.strip_prefix(numbered.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
            })
        };
        kept.chain(topics)
            .filter(by_place)
            .map(str::to_owned)
            .collect()
    }

    fn push(&mut self, base: String, mut new: Node) -> usize {
        new.name = self.unused_name(&base);
        self.names.insert(new.name.clone());
        self.nodes.push(new);
        self.nodes.len() - 1
    }
}

fn no_store_name(name: &str) -> String {
    format!(
        "{name:?} is no name for a store: letters, digits, '.', '_' and '-', at most 150 of them"
    )
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 150 && name.chars().all(fits)
}
