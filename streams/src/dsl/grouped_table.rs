//! Tables whose values are grouped by another key.

use std::sync::Arc;

use super::stream::Stream;
use super::table::{Table, key_value};
use crate::data::Data;
use crate::dsl::aggregator::{Aggregator, Count, Reduce};
use crate::operator::table_aggregate::TableAggregate;
use crate::operator::table_group::TableGroup;
use crate::record::Change;
use crate::topology::{Edge, Make, Node, NodeKind};

/// The values of a table by another key, to be aggregated (Kafka: `KGroupedTable`). When a value
/// changes, the old one is subtracted from its group and the new one added to its own.
///
/// ```
/// use tidemark_streams::StreamsBuilder;
/// use tidemark_streams::testing::TestDriver;
///
/// let builder = StreamsBuilder::new();
/// let homes = builder.table::<String, String>("homes");
/// let inhabitants = homes.group_by(|_, town| (town.clone(), town.clone())).count();
/// inhabitants.to_stream().to("inhabitants");
/// let mut driver = TestDriver::new(&builder.build()?);
/// driver.pipe("homes", "ann".to_owned(), "Rome".to_owned(), 1)?;
/// driver.pipe("homes", "ann".to_owned(), "Oslo".to_owned(), 2)?;
/// let out = driver.read::<String, i64>("inhabitants")?;
/// let out: Vec<_> = out.iter().map(|r| (r.key.as_str(), r.value)).collect();
/// assert_eq!(out, [("Rome", 1), ("Rome", 0), ("Oslo", 1)]);
/// # Ok::<(), tidemark_streams::StreamsError>(())
/// ```
pub struct GroupedTable<K, V> {
    changes: Stream<K, Change<V>>,
}

impl<K, V> Clone for GroupedTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            changes: self.changes.clone(),
        }
    }
}

impl<K: Data, V: Data> Table<K, V> {
    /// Groups by another key, with the values that are to be aggregated (Kafka: `KTable.groupBy`).
    /// Null keys and null values belong to no group. Changes go through a repartition topic.
    #[must_use]
    pub fn group_by<L: Data, W: Data>(
        &self,
        group: impl Fn(&K, &V) -> (L, W) + Send + Sync + 'static,
    ) -> GroupedTable<L, W> {
        self.keep_old();
        let group = Arc::new(group);
        let make = Make::Operator(Arc::new(move |_| {
            Box::new(TableGroup::<_, K, V, L, W>::new(Arc::clone(&group)))
        }));
        let new = Node::new("group_by", NodeKind::Stateless { table: true }, make)
            .input(self.current())
            .output::<L, Change<W>>()
            .wants_old();
        let node = self.plan.add(new);
        GroupedTable {
            changes: Stream::new(self.plan.clone(), Edge { node, port: 0 }).with_key_changed(true),
        }
    }
}

impl<K: Data, V: Data> GroupedTable<K, V> {
    /// Gives the grouping a name of its own, and with it the repartition topic and what is made of the
    /// groups, as [`Stream::named`] does (Kafka: `Grouped.as`).
    ///
    /// ```
    /// # use tidemark_streams::StreamsBuilder;
    /// let builder = StreamsBuilder::new();
    /// let homes = builder.table::<String, String>("homes");
    /// let towns = homes.group_by(|_, town| (town.clone(), ())).named("towns");
    /// let _ = towns.count();
    /// let described = builder.build()?.describe();
    /// assert!(described.contains("<application>-towns-repartition"));
    /// # Ok::<(), tidemark_streams::StreamsError>(())
    /// ```
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.changes = self.changes.named(name);
        self
    }

    /// How many values each group has. A group that has lost all of them has the count 0.
    #[must_use]
    pub fn count(&self) -> Table<K, i64> {
        self.add("count", Count, |_, _, count| {
            if let Some(count) = count {
                *count -= 1;
            }
        })
    }

    /// One value per group: `add` puts one to what there is, `subtract` takes one away again; the
    /// first argument is what there is.
    #[must_use]
    pub fn reduce(
        &self,
        add: impl Fn(V, V) -> V + Send + Sync + 'static,
        subtract: impl Fn(V, V) -> V + Send + Sync + 'static,
    ) -> Table<K, V> {
        self.add("reduce", Reduce(add), move |_, value, state| {
            *state = state.take().map(|old| subtract(old, value));
        })
    }

    /// One aggregate per group; `subtract` takes a value that `aggregator` has added away again, and
    /// is only called where there is an aggregate. A group whose aggregate becomes `None` is gone.
    #[must_use]
    pub fn aggregate<A: Aggregator<K, V>>(
        &self,
        aggregator: A,
        subtract: impl Fn(&K, V, &mut Option<A::State>) + Send + Sync + 'static,
    ) -> Table<K, A::State> {
        self.add("aggregate", aggregator, subtract)
    }

    fn add<A: Aggregator<K, V>>(
        &self,
        operation: &'static str,
        aggregator: A,
        subtract: impl Fn(&K, V, &mut Option<A::State>) + Send + Sync + 'static,
    ) -> Table<K, A::State> {
        let changes = self.changes.by_key();
        let plan = &changes.plan;
        let name = format!("{}.{operation}", plan.name(changes.from.node));
        let name = plan.unused_name(&name);
        let store = plan.add_store(key_value::<K, A::State>(name));
        let (aggregator, subtract) = (Arc::new(aggregator), Arc::new(subtract));
        let make = Make::Operator(Arc::new(move |cx| {
            Box::new(TableAggregate::<K, V, A, _>::new(
                Arc::clone(&aggregator),
                Arc::clone(&subtract),
                cx.store(store),
                cx.wants_old,
            ))
        }));
        let new = Node::new(operation, NodeKind::TableAggregate, make)
            .input(changes.from)
            .output::<K, Change<A::State>>()
            .store(store);
        let node = plan.add(new);
        Table::keyed(plan.clone(), Edge { node, port: 0 }, store)
    }
}
