//! Tables that are worked out of another one value by value.

use std::sync::Arc;

use super::Table;
use crate::data::Data;
use crate::operator::table_map::TableMap;
use crate::record::Change;
use crate::topology::{Edge, Make, Node, NodeKind};

impl<K: Data, V: Data> Table<K, V> {
    /// The keys whose values meet a condition (Kafka: `KTable.filter`). A key whose value does not
    /// meet it any more goes.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.each_value("filter", true, move |key, value: &V| {
            keep(key, value).then(|| value.clone())
        })
    }

    /// Makes another value of each (Kafka: `KTable.mapValues`). It is made again whenever somebody
    /// looks it up, so it has to be the same every time; [`Self::materialized`] keeps it.
    #[must_use]
    pub fn map_values<W: Data>(
        &self,
        map: impl Fn(&V) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        self.each_value("map_values", false, move |_, value| Some(map(value)))
    }

    /// As [`Self::map_values`], with the key.
    #[must_use]
    pub fn map_values_with_key<W: Data>(
        &self,
        map: impl Fn(&K, &V) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        self.each_value("map_values", false, move |key, value| Some(map(key, value)))
    }

    fn each_value<W: Data>(
        &self,
        operation: &'static str,
        skip_absent: bool,
        map: impl Fn(&K, &V) -> Option<W> + Send + Sync + 'static,
    ) -> Table<K, W> {
        let map = Arc::new(map);
        // Of other times than now it is not known what was there before.
        let skip_absent = skip_absent && self.latest.is_none();
        let own = Arc::clone(&map);
        let make = Make::Operator(Arc::new(move |cx| {
            let map = Arc::clone(&own);
            Box::new(TableMap::<_, K, V, W>::new(map, cx.gets_old, skip_absent))
        }));
        let add = |from| {
            let mut new = Node::new(operation, NodeKind::Stateless { table: true }, make.clone())
                .passes_old();
            if skip_absent {
                new = new.takes_old();
            }
            let new = new.input(from).output::<K, Change<W>>();
            let node = self.plan.add(new);
            Edge { node, port: 0 }
        };
        let from = add(self.from);
        let latest = self.latest.map(add);
        let view = self.view.as_ref().map(|view| {
            view.map(move |key, value| map(key, value).filter(|value| !value.is_null()))
        });
        Table {
            latest,
            ..Table::computed(self.plan.clone(), from, view)
        }
    }
}
