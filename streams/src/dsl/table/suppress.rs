//! Tables whose updates are held back.

use std::sync::Arc;
use std::time::Duration;

use super::{Kept, Table};
use crate::data::Data;
use crate::dsl::view::View;
use crate::operator::portions::InPortions;
use crate::operator::suppress::{Rules, WhenFull, suppress};
use crate::record::Change;
use crate::state::{BufferStore, Getter, Stores};
use crate::time::{EventTime, Window, Windowed, millis};
use crate::topology::{Changelog, Edge, Make, Node, NodeKind, StoreSpec};

/// How much a suppression holds, and by which time it goes (Kafka: `Suppressed.BufferConfig`).
#[derive(Clone, Copy, Debug)]
pub struct Suppress {
    max_records: usize,
    max_bytes: usize,
    when_full: WhenFull,
    time: EventTime,
}

impl Suppress {
    /// As much as there is, by the watermark.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max_records: usize::MAX,
            max_bytes: usize::MAX,
            when_full: WhenFull::default(),
            time: EventTime::default(),
        }
    }

    /// Holds updates of at most so many keys in each task.
    #[must_use]
    pub fn max_records(mut self, records: usize) -> Self {
        self.max_records = records;
        self
    }

    /// Holds at most so many bytes in each task: keys and updates as their changelog has them.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// What happens when there is more. Default: [`WhenFull::Fail`].
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// By which time updates come out; by stream time it is Kafka's, that of the updates themselves.
    /// Default: the watermark. Windows that close go by their own.
    #[must_use]
    pub fn event_time(mut self, time: EventTime) -> Self {
        self.time = time;
        self
    }
}

impl Default for Suppress {
    fn default() -> Self {
        Self::new()
    }
}

/// How long updates are held.
#[derive(Clone, Copy)]
enum Until {
    /// So long.
    Limit(i64),
    /// Until their windows are final.
    Final { grace: i64 },
}

impl<K: Data, V: Data> Table<K, V> {
    /// Holds each key's updates back for so long, and gives only the last of them out (Kafka:
    /// `Suppressed.untilTimeLimit`). The time runs from the first update that is held; event time has
    /// to move on for something to come out. The old value of what comes out is that of what came
    /// out before (Kafka tells the one before the last update, which nobody has seen).
    #[must_use]
    pub fn suppress_until_time_limit(&self, limit: Duration, suppress: Suppress) -> Self {
        self.suppress(
            |_: &K, timestamp| timestamp,
            Until::Limit(millis(limit)),
            suppress,
        )
    }

    /// `order` gives an update's place in the order, by its key and timestamp.
    fn suppress(
        &self,
        order: impl Fn(&K, i64) -> i64 + Send + Sync + 'static,
        until: Until,
        bounds: Suppress,
    ) -> Self {
        let (wait, grace) = match until {
            Until::Limit(wait) => (wait, 0),
            Until::Final { grace } => (0, grace),
        };
        let plan = &self.plan;
        let name = format!("{}.suppress", plan.name(self.from.node));
        if self.latest.is_some() {
            plan.problem(format!(
                "{name}: what has a history cannot be held back, as it tells of other times than now"
            ));
        }
        let name = plan.unused_name(&name);
        let by_watermark = (bounds.time == EventTime::Watermark).then_some(wait);
        let counts_bytes = bounds.max_bytes < usize::MAX;
        let store = plan.add_store(StoreSpec {
            name: name.clone(),
            make: Arc::new(move |seed| {
                Box::new(BufferStore::<V>::new(seed, by_watermark, counts_bytes))
            }),
            holds: StoreSpec::holds::<K, V>("updates"),
            changelog: Some(Changelog::Windows),
            reads: None,
        });
        let rules = Arc::new(Rules {
            store: name,
            order,
            wait,
            grace,
            time: bounds.time,
            max_records: bounds.max_records,
            max_bytes: bounds.max_bytes,
            when_full: bounds.when_full,
            tombstones: matches!(until, Until::Limit(_)),
        });
        let holds_back = rules.holds_back();
        let make = Make::Operator(Arc::new(move |cx| {
            let rules = Arc::clone(&rules);
            let operator = suppress::<_, K, V>(rules, cx.store(store));
            Box::new(InPortions::new(operator))
        }));
        let mut new = Node::new("suppress", NodeKind::Wait, make)
            .input(self.from)
            .output::<K, Change<V>>()
            .store(store)
            .holds_back(holds_back)
            .passes_old();
        if bounds.time == EventTime::Watermark {
            new = new.keeps_time::<K, Change<V>>();
        }
        let node = plan.add(new);
        let view =
            self.view.as_ref().map(|view| {
                let (inner, plan, make) = (view.clone(), plan.clone(), view.maker());
                View::new(
                    move || {
                        // What has not come out yet looks as it did before: that has to be known.
                        plan.ask_for_old(node);
                        let mut stores = inner.keep();
                        stores.push(store);
                        stores
                    },
                    move |cx| {
                        let (inner, own) = (make(cx), cx.store(store));
                        Getter::Computed(Box::new(move |stores: &mut Stores, key, bytes, _| {
                            match stores.get::<BufferStore<V>>(own).get(bytes) {
                                Some((held, _)) => {
                                    let old = held.change.old.clone()?;
                                    Some((old, i64::MIN))
                                }
                                None => inner.get(stores, key, bytes),
                            }
                        }))
                    },
                )
            });
        Table {
            kept: Kept::No,
            ..Table::computed(plan.clone(), Edge { node, port: 0 }, view)
        }
    }
}

impl<K: Data, V: Data> Table<Windowed<K>, V> {
    /// Gives only the last result of each window out, when the window is final: `final_at` says at
    /// which event time that is, in milliseconds since 1970. [`crate::WindowedTable`] knows it by
    /// itself. By the watermark that is also the time that results carry.
    #[must_use]
    pub fn suppress_until_final(
        &self,
        final_at: impl Fn(Window) -> i64 + Send + Sync + 'static,
        suppress: Suppress,
    ) -> Self {
        self.suppress_windows(final_at, 0, suppress)
    }

    /// As [`Self::suppress_until_final`]; windows are final the grace period later than that at which
    /// their results are looked for.
    pub(crate) fn suppress_windows(
        &self,
        final_at: impl Fn(Window) -> i64 + Send + Sync + 'static,
        grace: i64,
        suppress: Suppress,
    ) -> Self {
        if suppress.when_full == WhenFull::EmitEarly {
            let name = self.plan.name(self.from.node);
            self.plan.problem(format!(
                "{name}: results that come out early when there is no more room are not final"
            ));
        }
        let order = move |key: &Windowed<K>, _| final_at(key.window);
        self.suppress(order, Until::Final { grace }, suppress)
    }
}
