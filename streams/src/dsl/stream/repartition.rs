//! Through topics: the application's own, and others.

use std::sync::Arc;

use super::{Produced, Stream};
use crate::data::Data;
use crate::dsl::builder::{TopicSource, add_source};
use crate::dsl::source::Consumed;
use crate::operator::repartition::{
    CarriedWatermarks, Deduplicate, Read, RepartitionSink, Tagged, Written,
};
use crate::state::{KeyValueStore, Store};
use crate::topology::{
    Changelog, Edge, Make, Node, NodeKind, Plan, StoreSpec, Topic, TopicEnd, name_hash,
};

/// How a repartition topic is (Kafka: `Repartitioned`).
pub struct Repartitioned<K, V> {
    name: Option<String>,
    partitions: Option<u32>,
    produced: Produced<K, V>,
}

impl<K, V> Repartitioned<K, V> {
    /// Named after the operator in front of it, with as many partitions as are needed, and Kafka's
    /// own partitioner.
    #[must_use]
    pub fn new() -> Self {
        Self {
            name: None,
            partitions: None,
            produced: Produced::new(),
        }
    }

    /// The topic's name without what all such topics have: the application's id in front and
    /// `-repartition` behind.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// How many partitions it has. Default: as many as the largest topic that flows into it, or what
    /// it is joined with.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// How it is written.
    #[must_use]
    pub fn produced(mut self, produced: Produced<K, V>) -> Self {
        self.produced = produced;
        self
    }
}

impl<K, V> Default for Repartitioned<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Data, V: Data> Stream<K, V> {
    /// Writes the stream to a topic of the application's own and reads it back, so that records of
    /// one key come to one task (Kafka: `KStream.repartition`). Grouping and joining do it by
    /// themselves where the key has changed.
    #[must_use]
    pub fn repartition(&self) -> Self {
        if let Some(edge) = self.plan.repartitioned(self.from) {
            return Self::new(self.plan.clone(), edge);
        }
        let stream = self.repartition_with(Repartitioned::new());
        self.plan.note_repartition(self.from, stream.from);
        stream
    }

    /// As [`Self::repartition`], and says how the topic is.
    #[must_use]
    pub fn repartition_with(&self, how: Repartitioned<K, V>) -> Self {
        let plan = &self.plan;
        let name = match how.name {
            Some(name) => format!("{name}-repartition"),
            None => plan.unused_name(&format!("{}-repartition", plan.name(self.from.node))),
        };
        let topic = Topic::Internal(name.as_str().into());
        match how.partitions {
            Some(0) => plan.problem(format!("{name}: a topic has at least one partition")),
            Some(partitions) => plan.set_size(topic, partitions),
            None => {}
        }
        let edge = send(plan, self.from, &name, how.produced);
        Self::new(plan.clone(), edge)
    }

    /// Writes the stream to a topic and reads it back (Kafka: `KStream.through`). Unlike a repartition
    /// topic it has to be there, and others may use it.
    #[must_use]
    pub fn through(&self, topic: &str) -> Self {
        self.through_with(topic, Produced::new(), Consumed::new())
    }

    /// As [`Self::through`], and says how the topic is written and read.
    #[must_use]
    pub fn through_with(
        &self,
        topic: &str,
        produced: Produced<K, V>,
        consumed: Consumed<K, V>,
    ) -> Self {
        let name = Topic::External(topic.into());
        self.sink(name.clone(), produced);
        self.read_back(topic, name, consumed)
    }

    fn read_back(&self, name: &str, topic: Topic, consumed: Consumed<K, V>) -> Self {
        let source = TopicSource {
            name,
            topics: vec![topic],
            skip_null_keys: false,
        };
        let node = add_source::<K, V>(&self.plan, source, consumed);
        Self::new(self.plan.clone(), Edge { node, port: 0 })
    }
}

/// Adds a repartition topic of that name and its two ends; gives where the stream goes on.
fn send<K: Data, V: Data>(plan: &Plan, from: Edge, name: &str, produced: Produced<K, V>) -> Edge {
    let topic = Topic::Internal(name.into());
    let store = |end: &str, make: fn(u64) -> Box<dyn Store>| {
        plan.add_store(StoreSpec {
            name: format!("{name}-{end}"),
            make: Arc::new(make),
            holds: StoreSpec::holds::<K, V>("numbers of records"),
            changelog: Some(Changelog::Keys),
            reads: None,
        })
    };
    let written = store("written", |seed| {
        Box::new(KeyValueStore::<Written>::new(seed))
    });
    let read = store("read", |seed| Box::new(KeyValueStore::<Read>::new(seed)));
    let end = TopicEnd {
        // Both ends are made together.
        key: "".into(),
        value: "".into(),
        partitioning: Some(produced.partitioning),
    };
    let partitioner = produced.partitioner;
    let (to, writer) = (topic.clone(), name_hash(name));
    let make = Make::Operator(Arc::new(move |cx| {
        let topic = cx.topic(&to);
        let partitions = cx.outbox.partitions(topic);
        let (store, task, repeats) = (cx.store(written), cx.partition, cx.repeats);
        Box::new(RepartitionSink::<K, V>::new(
            topic,
            partitions,
            store,
            writer,
            task,
            repeats,
            partitioner.clone(),
        ))
    }));
    let kind = NodeKind::Sink {
        topic: topic.clone(),
    };
    let sink = Node::new("to", kind, make).input(from).end(end);
    plan.add(sink.keeps_time::<K, V>().store(written));
    let source = TopicSource {
        name: &format!("{name}.read"),
        topics: vec![topic],
        skip_null_keys: false,
    };
    let mut consumed =
        Consumed::<Option<K>, Tagged<V>>::new().timestamp(|_, tagged| Some(tagged.timestamp));
    consumed.carried = Some(|writers| Box::new(CarriedWatermarks::new(writers)));
    let source = add_source(plan, source, consumed);
    let make = Make::Operator(Arc::new(move |cx| {
        Box::new(Deduplicate::<K, V>::new(cx.store(read)))
    }));
    let new = Node::new("deduplicate", NodeKind::Deduplicate, make);
    let edge = Edge {
        node: source,
        port: 0,
    };
    let node = plan.add_named(name, new.input(edge).output::<K, V>().store(read));
    Edge { node, port: 0 }
}
