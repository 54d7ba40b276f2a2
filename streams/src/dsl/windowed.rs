//! Streams whose records are grouped by key and window.

use std::ops::Deref;
use std::sync::Arc;

use super::stream::Stream;
use super::table::{Suppress, Table};
use super::view::View;
use crate::data::{Data, split_window};
use crate::dsl::aggregator::{Aggregator, Count, Reduce};
use crate::operator::portions::InPortions;
use crate::operator::window_aggregate::{
    Emit, LATE, RESULTS, WindowAggregate, holds_back, in_slices,
};
use crate::query::{Reads, Slices};
use crate::record::Change;
use crate::record::late::Late;
use crate::state::{Getter, Stores, WindowStore};
use crate::time::{AnyWindows, EventTime, Windowed};
use crate::topology::{Changelog, Edge, Make, Node, NodeKind, StoreSpec};

/// Records by key and window, to be aggregated (Kafka: `TimeWindowedKStream`,
/// `SessionWindowedKStream`).
///
/// Where a session's window changes after its result has come out, because a record goes on with it or
/// makes one of two, the old result is taken back first: it comes out as one that is gone.
pub struct WindowedStream<K, V, W> {
    stream: Stream<K, V>,
    windows: W,
    emit: Emit,
}

/// Records by key and window of the clock or the calendar.
pub type TimeWindowedStream<K, V> = WindowedStream<K, V, AnyWindows>;

/// Windows that a stream can be aggregated by: [`AnyWindows`], [`crate::time::SessionWindows`] and
/// [`crate::time::SlidingWindows`].
pub trait Windowing: Clone + sealed::Aggregated {}

pub(super) mod sealed {
    use super::{Aggregator, Data, Emit, Stream, WindowedTable};

    /// Adds the operator that aggregates by these windows.
    pub trait Aggregated {
        #[doc(hidden)]
        fn aggregated<K: Data, V: Data, A: Aggregator<K, V>>(
            &self,
            stream: &Stream<K, V>,
            emit: Emit,
            operation: &'static str,
            aggregator: A,
        ) -> WindowedTable<K, V, A::State>;
    }
}

impl<K, V, W: Clone> Clone for WindowedStream<K, V, W> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            windows: self.windows.clone(),
            emit: self.emit,
        }
    }
}

impl<K: Data, V: Data, W: Windowing> WindowedStream<K, V, W> {
    pub(super) fn new(stream: Stream<K, V>, windows: W) -> Self {
        Self {
            stream,
            windows,
            emit: Emit::default(),
        }
    }

    /// When results come out. Default: [`Emit::Close`].
    #[must_use]
    pub fn emit(mut self, emit: Emit) -> Self {
        self.emit = emit;
        self
    }

    /// How many records each key has in each window.
    #[must_use]
    pub fn count(&self) -> WindowedTable<K, V, i64> {
        self.add("count", Count)
    }

    /// One value per key and window, made of two again and again.
    #[must_use]
    pub fn reduce(
        &self,
        reduce: impl Fn(V, V) -> V + Send + Sync + 'static,
    ) -> WindowedTable<K, V, V> {
        self.add("reduce", Reduce(reduce))
    }

    /// One aggregate per key and window; for sessions the aggregator has to be able to merge two.
    /// Records whose key is null are left out; those whose value is null only by sliding windows (as
    /// in Kafka).
    #[must_use]
    pub fn aggregate<A: Aggregator<K, V>>(&self, aggregator: A) -> WindowedTable<K, V, A::State> {
        self.add("aggregate", aggregator)
    }

    fn add<A: Aggregator<K, V>>(
        &self,
        operation: &'static str,
        aggregator: A,
    ) -> WindowedTable<K, V, A::State> {
        let (stream, emit) = (&self.stream, self.emit);
        self.windows.aggregated(stream, emit, operation, aggregator)
    }
}

impl Windowing for AnyWindows {}

impl sealed::Aggregated for AnyWindows {
    fn aggregated<K: Data, V: Data, A: Aggregator<K, V>>(
        &self,
        stream: &Stream<K, V>,
        emit: Emit,
        operation: &'static str,
        aggregator: A,
    ) -> WindowedTable<K, V, A::State> {
        let (plan, windows) = (&stream.plan, self.clone());
        let name = plan.name(stream.from.node);
        if let Some(problem) = windows.problem() {
            plan.problem(format!("{name}.{operation}: {problem}"));
        }
        let kept = windows.retention();
        let aggregator = Arc::new(aggregator);
        let slices = in_slices(&windows, emit, &*aggregator).map(|slices| {
            let aggregator = Arc::clone(&aggregator);
            Slices::new(
                slices,
                move |key: &K, state: &mut Option<A::State>, other| {
                    aggregator.merge(key, state, other);
                },
            )
        });
        // Whole windows are no slices.
        let parts = match slices {
            Some(_) => format!("{operation} in slices"),
            None => operation.to_owned(),
        };
        let read_with = windows.clone();
        let reads = Reads::windows(move |start| read_with.window(start), slices);
        let store = plan.add_store(StoreSpec {
            name: plan.unused_name(&format!("{name}.{operation}")),
            make: Arc::new(move |seed| Box::new(WindowStore::<A::State>::new(seed, kept))),
            holds: StoreSpec::holds::<K, A::State>(&parts),
            changelog: Some(Changelog::Windows),
            reads: Some(Arc::new(reads)),
        });
        let made_with = windows.clone();
        let make = Make::Operator(Arc::new(move |cx| {
            let (own, wants_old) = (cx.store(store), cx.wants_old);
            let (aggregator, windows) = (Arc::clone(&aggregator), made_with.clone());
            let operator =
                WindowAggregate::<K, V, A>::new(aggregator, windows, emit, own, wants_old);
            Box::new(InPortions::new(operator))
        }));
        let kind = NodeKind::WindowAggregate {
            windows: windows.to_string(),
        };
        let new = Node::new(operation, kind, make)
            .input(stream.from)
            .output::<Windowed<K>, Change<A::State>>()
            .output::<K, Late<V>>()
            .keeps_time::<K, V>()
            .store(store)
            .holds_back(holds_back(&windows, emit));
        let node = plan.add(new);
        WindowedTable {
            table: Table::stored(
                plan.clone(),
                Edge {
                    node,
                    port: RESULTS,
                },
                store,
            )
            .looked_up((emit == Emit::Update).then(|| window_view(store))),
            late: Stream::new(plan.clone(), Edge { node, port: LATE }),
            closing: Closing {
                time: windows.time(),
                after_end: windows.close(),
                grace: windows.grace(),
            },
        }
    }
}

/// How windows are looked up. It is only for windows whose results come out with every record: in
/// others there is something that has not come out yet.
fn window_view<K: Data, A: Data>(store: usize) -> View<Windowed<K>, A> {
    View::new(
        move || vec![store],
        move |cx| {
            let store = cx.store(store);
            Getter::Computed(Box::new(
                move |stores: &mut Stores, key: &Windowed<K>, bytes, _| {
                    let (own, _) = split_window(bytes)?;
                    let store = stores.get::<WindowStore<A>>(store);
                    let pane = store.pane(key.window.start)?;
                    let (value, timestamp) = pane.get(store.hash(own), own)?;
                    Some((value.clone(), timestamp))
                },
            ))
        },
    )
}

/// When the windows of a table are final.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    /// By which time.
    pub(super) time: EventTime,
    /// How long after its end a window does not take anything any more: the first event time at which
    /// that is so, less the end.
    pub(super) after_end: i64,
    /// How much of that is the grace period.
    pub(super) grace: i64,
}

/// The results of windows, and the records that came too late for them. It derefs to the table.
pub struct WindowedTable<K, V, A> {
    pub(super) table: Table<Windowed<K>, A>,
    pub(super) late: Stream<K, Late<V>>,
    pub(super) closing: Closing,
}

impl<K, V, A> Clone for WindowedTable<K, V, A> {
    fn clone(&self) -> Self {
        Self {
            table: self.table.clone(),
            late: self.late.clone(),
            closing: self.closing,
        }
    }
}

impl<K: Data, V, A: Data> WindowedTable<K, V, A> {
    /// Gives only the last result of each window out, when nothing can change the window any more
    /// (Kafka: `Suppressed.untilWindowCloses`). It is for tables that tell every update; with
    /// [`Emit::Final`] there is nothing to hold back.
    ///
    /// Windows whose end belongs to them, sliding and session windows, take records for the last time
    /// when stream time is their end and the grace period (a session's gap, too). Kafka gives their
    /// results out at that very time and may do so twice; here they come out one millisecond later,
    /// once.
    #[must_use]
    pub fn suppress_until_window_closes(&self, suppress: Suppress) -> Table<Windowed<K>, A> {
        let Closing {
            time,
            after_end,
            grace,
        } = self.closing;
        self.table.suppress_windows(
            move |window| window.end.saturating_add(after_end),
            grace,
            suppress.event_time(time),
        )
    }
}

impl<K, V, A> WindowedTable<K, V, A>
where
    K: Clone + Send + 'static,
    A: Clone + Send + 'static,
{
    /// Gives the aggregation a name of its own, as [`Table::named`] does.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self {
            table: self.table.named(name),
            ..self
        }
    }
}

impl<K, V, A> WindowedTable<K, V, A> {
    /// Records that came too late, with their window and the reason.
    #[must_use]
    pub fn late(&self) -> Stream<K, Late<V>> {
        self.late.clone()
    }
}

impl<K, V, A> Deref for WindowedTable<K, V, A> {
    type Target = Table<Windowed<K>, A>;

    fn deref(&self) -> &Self::Target {
        &self.table
    }
}
