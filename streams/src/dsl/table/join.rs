//! Joins of two tables.

use std::sync::Arc;

use super::Table;
use crate::data::Data;
use crate::dsl::view::View;
use crate::operator::merge::Merge;
use crate::operator::table_join::{Sides, TableJoin};
use crate::record::Change;
use crate::state::{Getter, Stores};
use crate::topology::{Edge, Make, Node, NodeKind};

const INNER: Sides = Sides {
    this: false,
    other: false,
};
const LEFT: Sides = Sides {
    this: true,
    other: false,
};
const OUTER: Sides = Sides {
    this: true,
    other: true,
};

impl<K: Data, V: Data> Table<K, V> {
    /// The keys that both tables have (Kafka: `KTable.join`). Both sides drive it: a change of either
    /// table is one of the join, stamped with the later of both values' times. When a side's value
    /// goes, so does the join's; for a key that was never joined that may be told, too.
    ///
    /// Both topics have to have the same number of partitions, and their producers the same
    /// partitioner.
    #[must_use]
    pub fn join<O: Data, W: Data>(
        &self,
        other: &Table<K, O>,
        join: impl Fn(&V, &O) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        let both = move |_: &K, this: Option<&V>, other: Option<&O>| {
            this.zip(other).map(|(this, other)| join(this, other))
        };
        self.join_sides(other, INNER, both)
    }

    /// The keys that this table has, each with the other one's value if there is one (Kafka:
    /// `KTable.leftJoin`). Otherwise as [`Self::join`].
    #[must_use]
    pub fn left_join<O: Data, W: Data>(
        &self,
        other: &Table<K, O>,
        join: impl Fn(&V, Option<&O>) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        let left =
            move |_: &K, this: Option<&V>, other: Option<&O>| this.map(|this| join(this, other));
        self.join_sides(other, LEFT, left)
    }

    /// The keys that either table has (Kafka: `KTable.outerJoin`). Otherwise as [`Self::join`]. At
    /// least one of the two values is there.
    #[must_use]
    pub fn outer_join<O: Data, W: Data>(
        &self,
        other: &Table<K, O>,
        join: impl Fn(Option<&V>, Option<&O>) -> W + Send + Sync + 'static,
    ) -> Table<K, W> {
        let outer = move |_: &K, this: Option<&V>, other: Option<&O>| Some(join(this, other));
        self.join_sides(other, OUTER, outer)
    }

    fn join_sides<O: Data, W: Data>(
        &self,
        other: &Table<K, O>,
        sides: Sides,
        join: impl Fn(&K, Option<&V>, Option<&O>) -> Option<W> + Send + Sync + 'static,
    ) -> Table<K, W> {
        let plan = &self.plan;
        let name = format!("{}.join", plan.name(self.from.node));
        if !plan.is(&other.plan) {
            plan.problem(format!("{name}: with a table of another builder"));
            // Nothing comes of it: the problem is told before anything runs.
            let from = self.from;
            return Table::computed(plan.clone(), from, None);
        }
        let ((this, this_view), (other, other_view)) = (self.viewed(), other.viewed());
        let stores = [this_view.keep(), other_view.keep()];
        let join = Arc::new(join);
        let from_this = {
            let (join, other) = (Arc::clone(&join), other_view.maker());
            Make::Operator(Arc::new(move |cx| {
                Box::new(TableJoin::<_, K, V, O, W>::new(
                    Arc::clone(&join),
                    sides,
                    other(cx),
                    cx.wants_old,
                ))
            }))
        };
        let from_other = {
            let this = this_view.maker();
            let join = Arc::clone(&join);
            let join = Arc::new(move |key: &K, other: Option<&O>, this: Option<&V>| {
                join(key, this, other)
            });
            Make::Operator(Arc::new(move |cx| {
                Box::new(TableJoin::<_, K, O, V, W>::new(
                    Arc::clone(&join),
                    sides.reversed(),
                    this(cx),
                    cx.wants_old,
                ))
            }))
        };
        // What has nothing on the other side is only told to go if it was there.
        let side = |operation, from, make, wants_old: bool| {
            let new = Node::new(operation, NodeKind::TableJoin, make).passes_old();
            let new = if wants_old { new.wants_old() } else { new };
            new.input(from).output::<K, Change<W>>()
        };
        let left = side("join_left", this.current(), from_this, sides.this);
        let left = plan.add(left.looks_up(&stores[1]));
        let right = side("join_right", other.current(), from_other, sides.other);
        let right = plan.add(right.looks_up(&stores[0]));
        let make = Make::Operator(Arc::new(|_| Box::new(Merge::<K, Change<W>>::new())));
        let merge = Node::new("join", NodeKind::Merge, make)
            .passes_old()
            .input(Edge {
                node: left,
                port: 0,
            })
            .input(Edge {
                node: right,
                port: 0,
            })
            .output::<K, Change<W>>();
        let node = plan.add_named(&name, merge);
        let view = joined(&this_view, &other_view, sides, join);
        Table::computed(plan.clone(), Edge { node, port: 0 }, Some(view))
    }
}

/// How the join of two tables is looked up.
fn joined<K: Data, V: Data, O: Data, W: Data>(
    this: &View<K, V>,
    other: &View<K, O>,
    sides: Sides,
    join: Arc<impl Fn(&K, Option<&V>, Option<&O>) -> Option<W> + Send + Sync + 'static>,
) -> View<K, W> {
    let (keep_this, keep_other) = (this.clone(), other.clone());
    let (this, other) = (this.maker(), other.maker());
    View::new(
        move || [keep_this.keep(), keep_other.keep()].concat(),
        move |cx| {
            let (this, other, join) = (this(cx), other(cx), Arc::clone(&join));
            Getter::Computed(Box::new(move |stores: &mut Stores, key, bytes, _| {
                let this = this.get(stores, key, bytes);
                other.with(stores, key, bytes, |other| {
                    if !sides.has(this.is_some(), other.is_some()) {
                        return None;
                    }
                    let time = |found: Option<i64>| found.unwrap_or(i64::MIN);
                    let timestamp =
                        time(this.as_ref().map(|(_, at)| *at)).max(time(other.map(|(_, at)| at)));
                    let this = this.as_ref().map(|(value, _)| value);
                    let value = join(key, this, other.map(|(value, _)| value))?;
                    Some(value)
                        .filter(|value| !value.is_null())
                        .map(|value| (value, timestamp))
                })
            }))
        },
    )
}
