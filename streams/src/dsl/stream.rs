//! Streams of records.

mod in_order;
mod join;
mod late;
mod lookup;
mod process;
mod produced;
mod repartition;
mod stateless;

use std::marker::PhantomData;

pub use join::JoinedStream;
pub use produced::Produced;
pub use repartition::Repartitioned;
pub use stateless::Branches;

use super::grouped::GroupedStream;
use crate::data::Data;
use crate::operator::sink::Sink;
use crate::topology::{Edge, Make, Node, NodeKind, Plan, Topic, TopicEnd};
use std::sync::Arc;

/// A stream of records (Kafka: `KStream`): facts that follow one another. Clones are handles of the
/// same stream.
pub struct Stream<K, V> {
    pub(crate) plan: Plan,
    pub(crate) from: Edge,
    /// Whether the key is another one than that by which the records were partitioned.
    pub(crate) key_changed: bool,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for Stream<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: self.plan.clone(),
            from: self.from,
            key_changed: self.key_changed,
            types: PhantomData,
        }
    }
}

impl<K, V> Stream<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    pub(crate) fn new(plan: Plan, from: Edge) -> Self {
        Self {
            plan,
            from,
            key_changed: false,
            types: PhantomData,
        }
    }

    pub(crate) fn with_key_changed(mut self, changed: bool) -> Self {
        self.key_changed = changed;
        self
    }

    /// Gives the operator that the stream comes from a name of its own, for descriptions, metrics,
    /// stores and internal topics.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.plan.rename(self.from.node, name);
        self
    }

    /// Writes the stream to a topic (Kafka: `KStream.to`). Keys go where Kafka's own partitioner has
    /// them.
    pub fn to(&self, topic: &str)
    where
        K: Data,
        V: Data,
    {
        self.to_with(topic, Produced::new());
    }

    /// Writes the stream to a topic, and says how.
    pub fn to_with(&self, topic: &str, produced: Produced<K, V>)
    where
        K: Data,
        V: Data,
    {
        self.sink(Topic::External(topic.into()), produced);
    }

    fn sink(&self, topic: Topic, produced: Produced<K, V>)
    where
        K: Data,
        V: Data,
    {
        let to = topic.clone();
        let end = TopicEnd {
            key: K::format(),
            value: V::format(),
            partitioning: Some(produced.partitioning),
        };
        let make = Make::Operator(Arc::new(move |cx| {
            let topic = cx.topic(&to);
            Box::new(Sink::new(topic, produced.partitioner.clone()))
        }));
        let kind = NodeKind::Sink { topic };
        self.plan
            .add(Node::new("to", kind, make).input(self.from).end(end));
    }

    /// The same stream with all records of a key in one task.
    pub(crate) fn by_key(&self) -> Self
    where
        K: Data,
        V: Data,
    {
        if self.key_changed {
            self.repartition()
        } else {
            self.clone()
        }
    }

    /// Groups by the key that records have (Kafka: `KStream.groupByKey`).
    #[must_use]
    pub fn group_by_key(&self) -> GroupedStream<K, V>
    where
        K: Data,
        V: Data,
    {
        GroupedStream::new(self.by_key())
    }

    /// Groups by another key (Kafka: `KStream.groupBy`).
    #[must_use]
    pub fn group_by<L: Data>(
        &self,
        key: impl Fn(&K, &V) -> L + Send + Sync + 'static,
    ) -> GroupedStream<L, V>
    where
        V: Data,
    {
        self.select_key(key).group_by_key()
    }
}
