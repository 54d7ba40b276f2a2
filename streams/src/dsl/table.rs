//! Tables: the latest value of each key.

use std::marker::PhantomData;
use std::sync::Arc;

use super::stream::Stream;
use crate::operator::stateless::Stateless;
use crate::record::{Change, Record};
use crate::topology::{Edge, Make, NewNode, NodeKind, Plan};

/// A table (Kafka: `KTable`): the latest value of each key, and its changes.
pub struct Table<K, V> {
    pub(crate) plan: Plan,
    pub(crate) from: Edge,
    /// The store that holds it.
    pub(crate) store: Option<usize>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: self.plan.clone(),
            from: self.from,
            store: self.store,
            types: PhantomData,
        }
    }
}

impl<K, V> Table<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    pub(super) fn stored(plan: Plan, from: Edge, store: usize) -> Self {
        Self {
            plan,
            from,
            store: Some(store),
            types: PhantomData,
        }
    }

    /// The table's changes as records; a key that goes is one with `None` (Kafka:
    /// `KTable.toStream`).
    #[must_use]
    pub fn to_stream(&self) -> Stream<K, Option<V>> {
        self.records(|row, out| out.push(row.map_value(|_, change: Change<V>| change.new)))
    }

    /// The table's values as they come; keys that go do not show.
    #[must_use]
    pub fn values(&self) -> Stream<K, V> {
        self.records(|row: Record<K, Change<V>>, out| {
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

    /// The table's changes as they are, with old values if they are asked for: for tests of this
    /// crate.
    #[doc(hidden)]
    #[must_use]
    pub fn changes(&self, old: bool) -> Stream<K, Change<V>> {
        let each = Arc::new(|row, out: &mut Vec<Record<K, Change<V>>>| out.push(row));
        let make = Make::Operator(Arc::new(move |_| {
            Box::new(Stateless::new(Arc::clone(&each)))
        }));
        let mut new = NewNode::new("changes", NodeKind::Stateless, make).input(self.from);
        if old {
            new = new.wants_old();
        }
        let node = self.plan.add(new.output::<K, Change<V>>());
        Stream::new(self.plan.clone(), Edge { node, port: 0 })
    }

    /// The name of the store that holds the table, if there is one: for tests of this crate.
    #[doc(hidden)]
    #[must_use]
    pub fn store_name(&self) -> Option<String> {
        self.store.map(|store| self.plan.store_name(store))
    }

    fn records<W, F>(&self, each: F) -> Stream<K, W>
    where
        W: Clone + Send + 'static,
        F: Fn(Record<K, Change<V>>, &mut Vec<Record<K, W>>) + Send + Sync + 'static,
    {
        let each = Arc::new(each);
        let make = Make::Operator(Arc::new(move |_| {
            Box::new(Stateless::new(Arc::clone(&each)))
        }));
        let new = NewNode::new("to_stream", NodeKind::Stateless, make);
        let node = self.plan.add(new.input(self.from).output::<K, W>());
        Stream::new(self.plan.clone(), Edge { node, port: 0 })
    }
}
