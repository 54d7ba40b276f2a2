//! Sending records to the tasks of their new keys.

use std::sync::Arc;

use crate::data::Data;
use crate::dsl::builder::{TopicSource, add_source};
use crate::dsl::source::Consumed;
use crate::operator::repartition::{CarriedWatermarks, Deduplicate, RepartitionSink, Tagged};
use crate::state::KeyValueStore;
use crate::topology::{
    Changelog, Edge, Make, NewNode, NodeKind, Plan, StoreSpec, Topic, name_hash,
};

/// Adds a repartition topic of that name and its two ends; gives where the stream goes on.
pub(super) fn through<K: Data, V: Data>(plan: &Plan, from: Edge, name: &str) -> Edge {
    let topic = Topic::Internal(name.into());
    let numbers = |end: &str| {
        plan.add_store(StoreSpec {
            name: format!("{name}-{end}"),
            make: Arc::new(|seed| Box::new(KeyValueStore::<u64>::new(seed))),
            changelog: Some(Changelog { retention: None }),
        })
    };
    let (written, read) = (numbers("written"), numbers("read"));
    let (to, writer) = (topic.clone(), name_hash(name));
    let make = Make::Operator(Arc::new(move |cx| {
        let topic = cx.topic(&to);
        let partitions = cx.outbox.partitions(topic);
        let (store, task, repeats) = (cx.store(written), cx.partition, cx.repeats);
        Box::new(RepartitionSink::<K, V>::new(
            topic, partitions, store, writer, task, repeats,
        ))
    }));
    let kind = NodeKind::Sink {
        topic: topic.clone(),
    };
    let sink = NewNode::new("to", kind, make).input(from);
    plan.add(sink.keeps_time::<K, V>().store(written));
    let source = TopicSource {
        name,
        topics: vec![topic],
        skip_null_keys: false,
    };
    let mut consumed = Consumed::<Option<K>, Tagged<V>>::new();
    consumed.carried = Some(|writers| Box::new(CarriedWatermarks::new(writers)));
    let source = add_source(plan, source, consumed);
    let make = Make::Operator(Arc::new(move |cx| {
        Box::new(Deduplicate::<K, V>::new(cx.store(read)))
    }));
    let new = NewNode::new("deduplicate", NodeKind::Deduplicate, make);
    let edge = Edge {
        node: source,
        port: 0,
    };
    let node = plan.add(new.input(edge).output::<K, V>().store(read));
    Edge { node, port: 0 }
}
