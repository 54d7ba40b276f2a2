//! Tables that know what was when.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::{Kept, Table};
use crate::data::Data;
use crate::dsl::stream::Stream;
use crate::dsl::view::View;
use crate::operator::keep_versions::{ALL, KeepVersions, LATE, LATEST};
use crate::query::Reads;
use crate::record::Change;
use crate::record::late::Late;
use crate::state::{Getter, VersionedStore};
use crate::time::millis;
use crate::topology::{Changelog, Edge, Make, Node, NodeKind, StoreSpec};

impl<K: Data, V: Data> Table<K, V> {
    /// The table with its history (Kafka: a table in a versioned store, KIP-889 and KIP-914): values
    /// are valid from their timestamps on, whatever order they come in.
    ///
    /// A stream that is joined with it finds the value that was valid at the record's time, as far as
    /// the history goes back behind the table's largest timestamp. Changes that are not the latest of
    /// their key show in [`Self::to_stream`], but neither in joins of tables nor in aggregates.
    /// Changes from before the history are left out: they are records of [`VersionedTable::late`].
    /// Tables that are filtered or mapped from it have its history, too.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemark_streams::StreamsBuilder;
    /// use tidemark_streams::testing::TestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let rates = builder.table::<String, i64>("rates").versioned(Duration::from_secs(60));
    /// let amounts = builder.stream::<String, i64>("amounts");
    /// amounts.join_table(&rates, |amount, rate| amount * rate).to("values");
    /// let mut driver = TestDriver::new(&builder.build()?);
    /// driver.pipe("rates", "eur".to_owned(), 2_i64, 1_000)?;
    /// driver.pipe("rates", "eur".to_owned(), 3_i64, 2_000)?;
    /// driver.pipe("amounts", "eur".to_owned(), 100_i64, 1_500)?;
    /// assert_eq!(driver.read::<String, i64>("values")?[0].value, 200);
    /// # Ok::<(), tidemark_streams::StreamsError>(())
    /// ```
    #[must_use]
    pub fn versioned(&self, history: Duration) -> VersionedTable<K, V> {
        let plan = &self.plan;
        let history = millis(history);
        let name = format!("{}.versioned", plan.name(self.from.node));
        let store = plan.add_store(StoreSpec {
            name: plan.unused_name(&name),
            make: Arc::new(move |seed| Box::new(VersionedStore::<V>::new(seed, history))),
            holds: StoreSpec::holds::<K, V>("versions"),
            changelog: Some(Changelog::Keys),
            reads: Some(Arc::new(Reads::<K, V>::KeyValue)),
        });
        let make = Make::Operator(Arc::new(move |cx| {
            Box::new(KeepVersions::<K, V>::new(
                cx.store(store),
                history,
                cx.wants_old,
            ))
        }));
        let new = Node::new("versioned", NodeKind::Table, make)
            .input(self.from)
            .output::<K, Change<V>>()
            .output::<K, Change<V>>()
            .output::<K, Late<Option<V>>>()
            .store(store);
        let node = plan.add(new);
        let view = View::new(
            move || vec![store],
            move |cx| Getter::Versioned(cx.store(store)),
        );
        let edge = |port| Edge { node, port };
        VersionedTable {
            table: Self {
                kept: Kept::Store(store),
                latest: Some(edge(LATEST)),
                ..Self::computed(plan.clone(), edge(ALL), Some(view))
            },
            late: Stream::new(plan.clone(), edge(LATE)),
        }
    }
}

/// A table with its history, and the changes that came too late for it. Made by [`Table::versioned`]. It
/// derefs to the table.
pub struct VersionedTable<K, V> {
    table: Table<K, V>,
    late: Stream<K, Late<Option<V>>>,
}

impl<K, V> Clone for VersionedTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            table: self.table.clone(),
            late: self.late.clone(),
        }
    }
}

impl<K, V> VersionedTable<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Gives the operator that keeps the table a name of its own, as [`Table::named`] does.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self {
            table: self.table.named(name),
            ..self
        }
    }
}

impl<K, V> VersionedTable<K, V> {
    /// Changes that were older than the history goes back, `None` for a key that was to go. Their
    /// window is from when they were to be valid to as long behind as the history goes.
    #[must_use]
    pub fn late(&self) -> Stream<K, Late<Option<V>>> {
        self.late.clone()
    }
}

impl<K, V> Deref for VersionedTable<K, V> {
    type Target = Table<K, V>;

    fn deref(&self) -> &Self::Target {
        &self.table
    }
}
