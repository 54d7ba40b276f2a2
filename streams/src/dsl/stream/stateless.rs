//! What is done to one record at a time.

use std::sync::Arc;

use super::Stream;
use crate::operator::branch::{Branch, Condition, condition};
use crate::operator::merge::Merge;
use crate::operator::stateless::Stateless;
use crate::record::Record;
use crate::topology::{Edge, Make, Node, NodeKind, Plan};

impl<K, V> Stream<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Adds an operator that puts what comes out of a record into a vector.
    fn each<L, W, F>(&self, operation: &'static str, changes_key: bool, each: F) -> Stream<L, W>
    where
        L: Clone + Send + 'static,
        W: Clone + Send + 'static,
        F: Fn(Record<K, V>, &mut Vec<Record<L, W>>) + Send + Sync + 'static,
    {
        let each = Arc::new(each);
        let make = Make::Operator(Arc::new(move |_| {
            Box::new(Stateless::new(Arc::clone(&each)))
        }));
        let new = Node::new(operation, NodeKind::Stateless { table: false }, make);
        let node = self.plan.add(new.input(self.from).output::<L, W>());
        Stream::new(self.plan.clone(), Edge { node, port: 0 })
            .with_key_changed(self.key_changed || changes_key)
    }

    /// Makes one record of each, key and value anew (Kafka: `KStream.map`). Marks the stream for
    /// repartitioning.
    #[must_use]
    pub fn map<L, W>(&self, map: impl Fn(K, V) -> (L, W) + Send + Sync + 'static) -> Stream<L, W>
    where
        L: Clone + Send + 'static,
        W: Clone + Send + 'static,
    {
        self.each("map", true, move |row, out| {
            let Record {
                key,
                value,
                timestamp,
                headers,
                watermark,
            } = row;
            let (key, value) = map(key, value);
            out.push(Record {
                key,
                value,
                timestamp,
                headers,
                watermark,
            });
        })
    }

    /// Makes another value of each (Kafka: `KStream.mapValues`).
    #[must_use]
    pub fn map_values<W>(&self, map: impl Fn(V) -> W + Send + Sync + 'static) -> Stream<K, W>
    where
        W: Clone + Send + 'static,
    {
        self.each("map_values", false, move |row, out| {
            out.push(row.map_value(|_, value| map(value)));
        })
    }

    /// As [`Self::map_values`], with the key, which stays as it is (Kafka: `KStream.mapValues` with a
    /// `ValueMapperWithKey`).
    #[must_use]
    pub fn map_values_with_key<W>(
        &self,
        map: impl Fn(&K, V) -> W + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        W: Clone + Send + 'static,
    {
        self.each("map_values", false, move |row, out| {
            out.push(row.map_value(|key, value| map(key, value)));
        })
    }

    /// Keeps the records that meet a condition (Kafka: `KStream.filter`).
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.each("filter", false, move |row, out| {
            if keep(&row.key, &row.value) {
                out.push(row);
            }
        })
    }

    /// Keeps the records that do not meet a condition (Kafka: `KStream.filterNot`).
    #[must_use]
    pub fn filter_not(&self, drop: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.each("filter_not", false, move |row, out| {
            if !drop(&row.key, &row.value) {
                out.push(row);
            }
        })
    }

    /// Makes any number of records of each (Kafka: `KStream.flatMap`). Marks the stream for
    /// repartitioning.
    #[must_use]
    pub fn flat_map<L, W, I>(&self, map: impl Fn(K, V) -> I + Send + Sync + 'static) -> Stream<L, W>
    where
        L: Clone + Send + 'static,
        W: Clone + Send + 'static,
        I: IntoIterator<Item = (L, W)>,
    {
        self.each("flat_map", true, move |row, out| {
            let (timestamp, headers, watermark) = (row.timestamp, row.headers, row.watermark);
            out.extend(
                map(row.key, row.value)
                    .into_iter()
                    .map(|(key, value)| Record {
                        key,
                        value,
                        timestamp,
                        headers: headers.clone(),
                        watermark,
                    }),
            );
        })
    }

    /// Makes any number of values of each (Kafka: `KStream.flatMapValues`).
    #[must_use]
    pub fn flat_map_values<W, I>(
        &self,
        map: impl Fn(V) -> I + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        W: Clone + Send + 'static,
        I: IntoIterator<Item = W>,
    {
        self.flat_map_values_with_key(move |_, value| map(value))
    }

    /// As [`Self::flat_map_values`], with the key, which stays as it is.
    #[must_use]
    pub fn flat_map_values_with_key<W, I>(
        &self,
        map: impl Fn(&K, V) -> I + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        W: Clone + Send + 'static,
        I: IntoIterator<Item = W>,
    {
        self.each("flat_map_values", false, move |row, out| {
            let (key, timestamp) = (row.key, row.timestamp);
            let (headers, watermark) = (row.headers, row.watermark);
            let values = map(&key, row.value);
            out.extend(values.into_iter().map(|value| Record {
                key: key.clone(),
                value,
                timestamp,
                headers: headers.clone(),
                watermark,
            }));
        })
    }

    /// Gives records another key (Kafka: `KStream.selectKey`). Marks the stream for repartitioning.
    #[must_use]
    pub fn select_key<L>(&self, key: impl Fn(&K, &V) -> L + Send + Sync + 'static) -> Stream<L, V>
    where
        L: Clone + Send + 'static,
    {
        self.each("select_key", true, move |row, out| {
            let key = key(&row.key, &row.value);
            let value = row.value.clone();
            out.push(row.with(key, value));
        })
    }

    /// Looks at every record and changes nothing (Kafka: `KStream.peek`).
    #[must_use]
    pub fn peek(&self, look: impl Fn(&Record<K, V>) + Send + Sync + 'static) -> Self {
        self.each("peek", false, move |row, out| {
            look(&row);
            out.push(row);
        })
    }

    /// This stream and another one as one (Kafka: `KStream.merge`).
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        if !self.plan.is(&other.plan) {
            let name = self.plan.name(self.from.node);
            self.plan
                .problem(format!("{name}: merged with a stream of another builder"));
            return self.clone();
        }
        let make = Make::Operator(Arc::new(|_| Box::new(Merge::<K, V>::new())));
        let new = Node::new("merge", NodeKind::Merge, make);
        let new = new.input(self.from).input(other.from).output::<K, V>();
        let node = self.plan.add(new);
        Self::new(self.plan.clone(), Edge { node, port: 0 })
            .with_key_changed(self.key_changed || other.key_changed)
    }

    /// Sends each record to the first branch whose condition it meets (Kafka: `KStream.split`).
    ///
    /// ```
    /// # use tidemark_streams::StreamsBuilder;
    /// # let builder = StreamsBuilder::new();
    /// let mut branches = builder.stream::<String, i64>("amounts").split();
    /// let large = branches.branch(|_, amount| *amount > 1000);
    /// let small = branches.otherwise();
    /// ```
    #[must_use]
    pub fn split(&self) -> Branches<K, V> {
        Branches {
            stream: self.clone(),
            conditions: Vec::new(),
            node: None,
        }
    }
}

/// The branches of a stream, in the order in which conditions are tried. Made by [`Stream::split`].
pub struct Branches<K, V> {
    stream: Stream<K, V>,
    conditions: Vec<Condition<K, V>>,
    node: Option<usize>,
}

impl<K, V> Branches<K, V>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// What meets this condition and none before it.
    pub fn branch(
        &mut self,
        meets: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
    ) -> Stream<K, V> {
        let branch = self.conditions.len();
        self.conditions.push(condition(branch, meets));
        self.output(branch)
    }

    /// What meets no condition. Without it such records go nowhere.
    #[must_use]
    pub fn otherwise(mut self) -> Stream<K, V> {
        let port = self.conditions.len();
        self.output(port)
    }

    fn output(&mut self, port: usize) -> Stream<K, V> {
        let plan: &Plan = &self.stream.plan;
        let conditions = self.conditions.clone();
        let make = Make::Operator(Arc::new(move |_| Box::new(Branch::new(conditions.clone()))));
        let node = match self.node {
            Some(node) => node,
            None => {
                let new = Node::new("split", NodeKind::Branch, make.clone());
                plan.add(new.input(self.stream.from).output::<K, V>())
            }
        };
        self.node = Some(node);
        plan.set_branch::<K, V>(node, make, self.conditions.len() + 1);
        Stream::new(plan.clone(), Edge { node, port }).with_key_changed(self.stream.key_changed)
    }
}
