//! Tables: the latest value of each key.

mod join;
mod read;
mod stateless;
mod suppress;
mod versioned;

use std::marker::PhantomData;
use std::sync::Arc;

pub use suppress::Suppress;
pub use versioned::VersionedTable;

use super::stream::Stream;
use super::view::View;
use crate::data::Data;
use crate::operator::stateless::Stateless;
use crate::operator::table::Keep;
use crate::query::Reads;
use crate::record::{Change, Record};
use crate::state::KeyValueStore;
use crate::topology::{Changelog, Edge, Make, Node, NodeKind, Plan, StoreSpec};

/// A table (Kafka: `KTable`): the latest value of each key, and its changes.
///
/// A table that is read from a topic or made of a stream is kept only if somebody looks values up or
/// wants to know old ones; filtered and mapped tables are worked out from it. [`Self::materialized`]
/// keeps a table in any case.
pub struct Table<K, V> {
    pub(crate) plan: Plan,
    pub(crate) from: Edge,
    /// Where its latest changes alone come out, if it tells of older ones, too.
    latest: Option<Edge>,
    kept: Kept,
    /// How values are looked up; `None` if they cannot before they are kept once more.
    view: Option<View<K, V>>,
    types: PhantomData<fn() -> (K, V)>,
}

/// The store that holds a table.
#[derive(Clone)]
enum Kept {
    /// There is none.
    No,
    Store(usize),
    /// It is made when it is asked for.
    Lazy(Arc<dyn Fn() -> usize + Send + Sync>),
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: self.plan.clone(),
            from: self.from,
            latest: self.latest,
            kept: self.kept.clone(),
            view: self.view.clone(),
            types: PhantomData,
        }
    }
}

impl<K, V> Table<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// One that lies in a store of some kind, in which values cannot be looked up by their keys alone.
    pub(super) fn stored(plan: Plan, from: Edge, store: usize) -> Self {
        Self {
            plan,
            from,
            latest: None,
            kept: Kept::Store(store),
            view: None,
            types: PhantomData,
        }
    }

    /// The same, with a way to look values up in that store.
    pub(super) fn looked_up(self, view: Option<View<K, V>>) -> Self {
        Self { view, ..self }
    }

    /// One that is kept nowhere, and can be looked up so.
    fn computed(plan: Plan, from: Edge, view: Option<View<K, V>>) -> Self {
        Self {
            plan,
            from,
            latest: None,
            kept: Kept::No,
            view,
            types: PhantomData,
        }
    }

    /// Gives the operator that the table comes from a name of its own, for descriptions, metrics,
    /// stores and internal topics.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.plan.rename(self.from.node, name);
        self
    }

    /// The name of the store that holds the table, made if need be; `None` if it is worked out: for
    /// tests of this crate.
    #[doc(hidden)]
    #[must_use]
    pub fn store_name(&self) -> Option<String> {
        let store = match &self.kept {
            Kept::No => return None,
            Kept::Store(store) => *store,
            Kept::Lazy(store) => store(),
        };
        Some(self.plan.store_name(store))
    }

    /// The table's changes as records; a key that goes is one with `None` (Kafka:
    /// `KTable.toStream`).
    #[must_use]
    pub fn to_stream(&self) -> Stream<K, Option<V>> {
        self.each_change("to_stream", |row, out| {
            out.push(row.map_value(|_, change: Change<V>| change.new));
        })
    }

    /// The table's values as they come; keys that go do not show.
    #[must_use]
    pub fn values(&self) -> Stream<K, V> {
        self.each_change("values", |row: Record<K, Change<V>>, out| {
            let Record {
                key,
                value,
                timestamp,
                headers,
                watermark,
            } = row;
            if let Some(value) = value.new {
                out.push(Record {
                    key,
                    value,
                    timestamp,
                    headers,
                    watermark,
                });
            }
        })
    }

    fn each_change<W, F>(&self, operation: &str, each: F) -> Stream<K, W>
    where
        W: Clone + Send + 'static,
        F: Fn(Record<K, Change<V>>, &mut Vec<Record<K, W>>) + Send + Sync + 'static,
    {
        let each = Arc::new(each);
        let make = Make::Operator(Arc::new(move |_| {
            Box::new(Stateless::new(Arc::clone(&each)))
        }));
        let new = Node::new(operation, NodeKind::Stateless { table: true }, make);
        let node = self.plan.add(new.input(self.from).output::<K, W>());
        Stream::new(self.plan.clone(), Edge { node, port: 0 })
    }
}

impl<K: Data, V: Data> Table<K, V> {
    /// One that lies in a key-value store.
    pub(super) fn keyed(plan: Plan, from: Edge, store: usize) -> Self {
        Self {
            view: Some(View::stored(store)),
            ..Self::stored(plan, from, store)
        }
    }

    /// The table's changes as they are, with old values if they are asked for: for tests of this
    /// crate.
    #[doc(hidden)]
    #[must_use]
    pub fn changes(&self, old: bool) -> Stream<K, Change<V>> {
        let make = Make::Operator(Arc::new(|_| {
            let each = |row: Record<K, Change<V>>, out: &mut Vec<_>| out.push(row);
            Box::new(Stateless::new(Arc::new(each)))
        }));
        let mut new =
            Node::new("changes", NodeKind::Stateless { table: true }, make).input(self.from);
        if old {
            self.keep_old();
            new = new.wants_old();
        }
        let node = self.plan.add(new.output::<K, Change<V>>());
        Stream::new(self.plan.clone(), Edge { node, port: 0 })
    }

    /// Keeps the table in a store of that name (Kafka: `Materialized.as`). For one that has a store
    /// the name is that store's.
    #[must_use]
    pub fn materialized(&self, name: &str) -> Self {
        let store = match &self.kept {
            Kept::Store(store) => *store,
            Kept::Lazy(store) => store(),
            Kept::No => return self.keep_as(name),
        };
        self.plan.name_store(store, name);
        self.clone()
    }

    /// Where changes come out that say what is now.
    pub(super) fn current(&self) -> Edge {
        self.latest.unwrap_or(self.from)
    }

    /// The same table, kept once more behind this one.
    fn keep_as(&self, name: &str) -> Self {
        let store = self.plan.add_store(key_value::<K, V>(name.to_owned()));
        let make = Make::Operator(Arc::new(move |cx| {
            let upsert = |change: Change<V>| change.new;
            let (store, wants_old) = (cx.store(store), cx.wants_old);
            Box::new(Keep::<_, K, _, V>::new(upsert, Some(store), wants_old))
        }));
        let new = Node::new("table", NodeKind::Table, make)
            .input(self.current())
            .output::<K, Change<V>>()
            .store(store);
        let node = self.plan.add(new);
        Self::keyed(self.plan.clone(), Edge { node, port: 0 }, store)
    }

    /// The same table in a form in which values can be looked up, and how.
    pub(crate) fn viewed(&self) -> (Self, View<K, V>) {
        match &self.view {
            Some(view) => (self.clone(), view.clone()),
            None => {
                let name = format!("{}.table", self.plan.name(self.from.node));
                let kept = self.keep_as(&self.plan.unused_name(&name));
                let view = View::stored(match kept.kept {
                    Kept::Store(store) => store,
                    _ => unreachable!("it has just been given a store"),
                });
                (kept, view)
            }
        }
    }

    /// Makes sure that it can tell old values. What has no view has a store of some kind, or is a
    /// stream of changes that has them.
    pub(super) fn keep_old(&self) {
        if let Some(view) = &self.view {
            view.keep();
        }
    }
}

/// A key-value store with a changelog.
pub(super) fn key_value<K: Data, V: Data>(name: String) -> StoreSpec {
    StoreSpec {
        name,
        make: Arc::new(|seed| Box::new(KeyValueStore::<V>::new(seed))),
        holds: StoreSpec::holds::<K, V>("latest values"),
        changelog: Some(Changelog::Keys),
        reads: Some(Arc::new(Reads::<K, V>::KeyValue)),
    }
}
