//! Where tables come from: topics and streams.

use std::sync::{Arc, OnceLock};

use super::{Kept, Table, key_value};
use crate::data::Data;
use crate::dsl::builder::{StreamsBuilder, TopicSource, add_source};
use crate::dsl::source::Consumed;
use crate::dsl::stream::Stream;
use crate::dsl::view::View;
use crate::operator::table::Keep;
use crate::record::Change;
use crate::state::Getter;
use crate::topology::{Edge, Make, Node, NodeKind, Plan, Topic};

impl StreamsBuilder {
    /// Reads a topic as a table (Kafka: `StreamsBuilder.table`): the last record of a key says what
    /// its value is, whatever the timestamps; null takes the key out. Records without a key are
    /// counted and left out.
    #[must_use]
    pub fn table<K: Data, V: Data>(&self, topic: &str) -> Table<K, V> {
        self.table_with(topic, Consumed::new())
    }

    /// Reads a topic as a table, and says how.
    #[must_use]
    pub fn table_with<K: Data, V: Data>(
        &self,
        topic: &str,
        consumed: Consumed<K, Option<V>>,
    ) -> Table<K, V> {
        let source = TopicSource {
            name: topic,
            topics: vec![Topic::External(topic.into())],
            skip_null_keys: true,
        };
        let node = add_source(self.plan(), source, consumed);
        upserts(
            self.plan(),
            Edge { node, port: 0 },
            "table",
            |value: Option<V>| value,
        )
    }
}

impl<K: Data, V: Data> Stream<K, V> {
    /// The stream as a table (Kafka: `KStream.toTable`): each record says what the value of its key
    /// is; null takes the key out.
    #[must_use]
    pub fn to_table(&self) -> Table<K, V> {
        let stream = self.by_key();
        upserts(&stream.plan, stream.from, "to_table", Some)
    }
}

impl<K: Data, V: Data> Stream<K, Option<V>> {
    /// As [`Stream::to_table`], with `None` as null: the way back from [`Table::to_stream`].
    #[must_use]
    pub fn to_table_of_some(&self) -> Table<K, V> {
        let stream = self.by_key();
        upserts(&stream.plan, stream.from, "to_table", |value| value)
    }
}

impl<K: Data, V: Data> Stream<K, Change<V>> {
    /// A table by its changes, taken as they are: for tests of this crate.
    #[doc(hidden)]
    #[must_use]
    pub fn to_table_of_changes(&self) -> Table<K, V> {
        let stream = self.by_key();
        Table::computed(stream.plan, stream.from, None)
    }
}

/// A table whose values come through that edge. It is kept only if somebody needs it.
fn upserts<K, I, V, F>(plan: &Plan, from: Edge, operation: &'static str, upsert: F) -> Table<K, V>
where
    K: Data,
    I: Data,
    V: Data,
    F: Fn(I) -> Option<V> + Copy + Send + Sync + 'static,
{
    let store = Arc::new(OnceLock::new());
    let known = Arc::clone(&store);
    let make = Make::Operator(Arc::new(move |cx| {
        let store = known.get().map(|store| cx.store(*store));
        Box::new(Keep::<F, K, I, V>::new(upsert, store, cx.wants_old))
    }));
    let new = Node::new(operation, NodeKind::Table, make);
    let node = plan.add(new.input(from).output::<K, Change<V>>());
    let keep = Arc::new({
        let (own, store) = (plan.clone(), Arc::clone(&store));
        move || {
            *store.get_or_init(|| {
                let store = own.add_store(key_value::<K, V>(own.name(node)));
                own.give_store(node, store);
                store
            })
        }
    });
    let view = {
        let keep = Arc::clone(&keep);
        let known = Arc::clone(&store);
        View::new(
            move || vec![keep()],
            move |cx| {
                let store = known.get().expect("a table is kept before it is looked up");
                Getter::Stored(cx.store(*store))
            },
        )
    };
    Table {
        kept: Kept::Lazy(keep),
        ..Table::computed(plan.clone(), Edge { node, port: 0 }, Some(view))
    }
}
