//! Tables that every instance holds as a whole.

use std::any::Any;
use std::sync::Arc;

use parking_lot::RwLock;

use super::builder::{StreamsBuilder, TopicSource, add_source};
use super::source::Consumed;
use super::view::View;
use crate::data::Data;
use crate::operator::global::FillGlobal;
use crate::operator::source::OnBadRecord;
use crate::query::Reads;
use crate::state::{Getter, GlobalStore, KeyValueStore, Store};
use crate::topology::{Edge, GlobalSpec, Make, Node, NodeKind, Plan, Topic};

/// A table whose topic every instance of the application reads as a whole (Kafka: `GlobalKTable`).
/// Streams can be joined with it by any key, without repartitioning; its own changes start nothing.
/// It is filled from the beginning of the topic at every start, so the topic has to be compacted, or
/// kept for ever.
///
/// What a join finds in it depends on how far the instance has read it: unlike other results, that of
/// such a join is not the same again when records are processed again.
pub struct GlobalTable<K, V> {
    pub(crate) plan: Plan,
    pub(crate) view: View<K, V>,
}

impl<K, V> Clone for GlobalTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: self.plan.clone(),
            view: self.view.clone(),
        }
    }
}

impl StreamsBuilder {
    /// Reads a topic as a global table (Kafka: `StreamsBuilder.globalTable`).
    #[must_use]
    pub fn global_table<K: Data, V: Data>(&self, topic: &str) -> GlobalTable<K, V> {
        self.global_table_with(topic, Consumed::new())
    }

    /// Reads a topic as a global table, and says how. Watermarks mean nothing here, and bad records
    /// cannot go to a topic: every instance reads all of them at every start, and would write each
    /// again and again. They end the application, or are counted and left out.
    #[must_use]
    pub fn global_table_with<K: Data, V: Data>(
        &self,
        topic: &str,
        consumed: Consumed<K, Option<V>>,
    ) -> GlobalTable<K, V> {
        let plan = self.plan();
        let number = plan.add_global(GlobalSpec {
            name: topic.to_owned(),
            make: Arc::new(|seed| Arc::new(RwLock::new(KeyValueStore::<V>::new(seed)))),
            reads: Arc::new(Reads::<K, V>::KeyValue),
            size: size::<V>,
        });
        let source = TopicSource {
            name: topic,
            topics: vec![Topic::External(topic.into())],
            skip_null_keys: true,
        };
        let dead_letters = matches!(consumed.on_bad_record, OnBadRecord::DeadLetter(_));
        let node = add_source(plan, source, consumed);
        if dead_letters {
            plan.problem(format!(
                "{}: a global table has no dead letters: every instance reads it as a whole at every \
                 start, and would write them each time; take OnBadRecord::Skip or OnBadRecord::Fail",
                plan.name(node)
            ));
        }
        let make = Make::Operator(Arc::new(move |cx| {
            Box::new(FillGlobal::<K, V>::new(cx.global(number)))
        }));
        let new = Node::new("global", NodeKind::Table, make)
            .input(Edge { node, port: 0 })
            .fills_global();
        plan.add(new);
        GlobalTable {
            plan: plan.clone(),
            view: View::new(Vec::new, move |cx| Getter::Global(cx.global(number))),
        }
    }
}

impl<K: Data, V: Data> GlobalTable<K, V> {
    /// What joins find in it, less what does not meet a condition (Kafka's global tables cannot do
    /// this). Nothing is kept for it: whoever looks a value up has it judged.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.each(move |key, value: &V| keep(key, value).then(|| value.clone()))
    }

    /// What joins find in it, made of its values anew each time that one is looked up.
    #[must_use]
    pub fn map_values<W: Data>(
        &self,
        map: impl Fn(&V) -> W + Send + Sync + 'static,
    ) -> GlobalTable<K, W> {
        self.each(move |_, value| Some(map(value)))
    }

    /// As [`Self::map_values`], with the key.
    #[must_use]
    pub fn map_values_with_key<W: Data>(
        &self,
        map: impl Fn(&K, &V) -> W + Send + Sync + 'static,
    ) -> GlobalTable<K, W> {
        self.each(move |key, value| Some(map(key, value)))
    }

    fn each<W: Data>(
        &self,
        map: impl Fn(&K, &V) -> Option<W> + Send + Sync + 'static,
    ) -> GlobalTable<K, W> {
        let map = move |key: &K, value: &V| map(key, value).filter(|value| !value.is_null());
        GlobalTable {
            plan: self.plan.clone(),
            view: self.view.map(map),
        }
    }
}

fn size<V: Data>(store: &(dyn Any + Send + Sync)) -> (usize, usize) {
    let store = store.downcast_ref::<GlobalStore<V>>();
    store.map_or((0, 0), |store| {
        let store = store.read();
        (store.len(), store.bytes())
    })
}
