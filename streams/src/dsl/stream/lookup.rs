//! Joins of a stream with a table.

use std::borrow::Cow;
use std::sync::Arc;

use super::Stream;
use crate::data::Data;
use crate::dsl::global_table::GlobalTable;
use crate::dsl::table::Table;
use crate::dsl::view::View;
use crate::operator::lookup_join::LookupJoin;
use crate::topology::{Edge, Make, Node, NodeKind, Plan};

impl<K: Data, V: Data> Stream<K, V> {
    /// Joins each record with the value that the table has for its key at that moment, if it has one
    /// (Kafka: `KStream.join` with a table). Changes of the table give nothing by themselves. Results
    /// have the record's time. Records whose key or value is null are counted and left out.
    ///
    /// Both topics have to have the same number of partitions, and their producers the same
    /// partitioner.
    ///
    /// ```
    /// # use tidemark_streams::StreamsBuilder;
    /// # let builder = StreamsBuilder::new();
    /// let prices = builder.table::<String, i64>("prices");
    /// let sold = builder.stream::<String, i64>("sold");
    /// sold.join_table(&prices, |pieces, price| pieces * price).to("revenue");
    /// ```
    #[must_use]
    pub fn join_table<W: Data, X: Clone + Send + 'static>(
        &self,
        table: &Table<K, W>,
        join: impl Fn(&V, &W) -> X + Send + Sync + 'static,
    ) -> Stream<K, X> {
        let inner = move |value: &V, found: Option<&W>| found.map(|found| join(value, found));
        self.look_up(table, "join_table", false, inner)
    }

    /// As [`Self::join_table`], and also where the table has no value; that is so for a null key, too
    /// (Kafka: `KStream.leftJoin` with a table).
    #[must_use]
    pub fn left_join_table<W: Data, X: Clone + Send + 'static>(
        &self,
        table: &Table<K, W>,
        join: impl Fn(&V, Option<&W>) -> X + Send + Sync + 'static,
    ) -> Stream<K, X> {
        let left = move |value: &V, found: Option<&W>| Some(join(value, found));
        self.look_up(table, "left_join_table", true, left)
    }

    fn look_up<W: Data, X: Clone + Send + 'static>(
        &self,
        table: &Table<K, W>,
        operation: &'static str,
        left: bool,
        join: impl Fn(&V, Option<&W>) -> Option<X> + Send + Sync + 'static,
    ) -> Stream<K, X> {
        let stream = self.by_key();
        let (_, view) = table.viewed();
        stream.join_view(&table.plan, &view, operation, left, own_key, join)
    }

    /// Joins each record with the value that a global table has for a key that is worked out of the
    /// record (Kafka: `KStream.join` with a `GlobalKTable`). It needs no repartitioning. Records whose
    /// value is null, or for which the key is, are counted and left out.
    #[must_use]
    pub fn join_global<J: Data, W: Data, X: Clone + Send + 'static>(
        &self,
        table: &GlobalTable<J, W>,
        key: impl Fn(&K, &V) -> J + Send + Sync + 'static,
        join: impl Fn(&V, &W) -> X + Send + Sync + 'static,
    ) -> Stream<K, X> {
        let inner = move |value: &V, found: Option<&W>| found.map(|found| join(value, found));
        let key = other_key(key);
        self.join_view(&table.plan, &table.view, "join_global", false, key, inner)
    }

    /// As [`Self::join_global`], and also where the table has no value or the key is null (Kafka:
    /// `KStream.leftJoin` with a `GlobalKTable`).
    #[must_use]
    pub fn left_join_global<J: Data, W: Data, X: Clone + Send + 'static>(
        &self,
        table: &GlobalTable<J, W>,
        key: impl Fn(&K, &V) -> J + Send + Sync + 'static,
        join: impl Fn(&V, Option<&W>) -> X + Send + Sync + 'static,
    ) -> Stream<K, X> {
        let left = move |value: &V, found: Option<&W>| Some(join(value, found));
        let key = other_key(key);
        self.join_view(
            &table.plan,
            &table.view,
            "left_join_global",
            true,
            key,
            left,
        )
    }

    fn join_view<J: Data, W: Data, X: Clone + Send + 'static>(
        &self,
        of: &Plan,
        view: &View<J, W>,
        operation: &'static str,
        left: bool,
        key: impl for<'a> Fn(&'a K, &'a V) -> Cow<'a, J> + Send + Sync + 'static,
        join: impl Fn(&V, Option<&W>) -> Option<X> + Send + Sync + 'static,
    ) -> Stream<K, X> {
        let plan = &self.plan;
        let mut stores = Vec::new();
        if plan.is(of) {
            stores = view.keep();
        } else {
            let name = plan.name(self.from.node);
            plan.problem(format!(
                "{name}.{operation}: joins a table of another builder"
            ));
        }
        let (join, key, table) = (Arc::new(join), Arc::new(key), view.maker());
        let make = Make::Operator(Arc::new(move |cx| {
            let (join, key) = (Arc::clone(&join), Arc::clone(&key));
            Box::new(LookupJoin::<_, _, K, V, J, W, X>::new(
                join,
                key,
                table(cx),
                left,
            ))
        }));
        let new = Node::new(operation, NodeKind::LookupJoin, make)
            .input(self.from)
            .output::<K, X>()
            .looks_up(&stores)
            // Global tables alone have no store of the task.
            .varies_if(stores.is_empty());
        let node = plan.add(new);
        Stream::new(plan.clone(), Edge { node, port: 0 }).with_key_changed(self.key_changed)
    }
}

fn own_key<'a, K: Clone, V>(key: &'a K, _: &'a V) -> Cow<'a, K> {
    Cow::Borrowed(key)
}

fn other_key<K, V, J: Clone + 'static>(
    key: impl Fn(&K, &V) -> J + Send + Sync + 'static,
) -> impl for<'a> Fn(&'a K, &'a V) -> Cow<'a, J> + Send + Sync + 'static {
    move |own, value| Cow::Owned(key(own, value))
}
