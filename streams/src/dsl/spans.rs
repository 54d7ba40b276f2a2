//! Streams whose records are grouped by key and by windows that the records make: sessions and sliding
//! windows.

use std::sync::Arc;

use super::stream::Stream;
use super::table::Table;
use super::view::View;
use super::windowed::{ADDITIONAL_RETENTION, Closing, WindowedTable};
use crate::aggregator::{Aggregator, Count, Reduce};
use crate::data::{Data, split_window};
use crate::late::Late;
use crate::operator::span_aggregate::{SpanAggregate, Spans};
use crate::operator::window_aggregate::{Emit, LATE, RESULTS};
use crate::query::Reads;
use crate::record::Change;
use crate::state::{Getter, SpanStore, Stores};
use crate::time::{SessionWindows, SlidingWindows, Windowed};
use crate::topology::{Changelog, Edge, Make, NewNode, NodeKind, StoreSpec};

/// Records by key and session, to be aggregated (Kafka: `SessionWindowedKStream`).
///
/// Where a session's window changes after its result has come out, because a record goes on with it or
/// makes one of two, the old result is taken back first: it comes out as one that is gone.
pub struct SessionWindowedStream<K, V> {
    stream: Stream<K, V>,
    windows: SessionWindows,
    emit: Emit,
}

impl<K, V> Clone for SessionWindowedStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            windows: self.windows,
            emit: self.emit,
        }
    }
}

impl<K: Data, V: Data> SessionWindowedStream<K, V> {
    pub(super) fn new(stream: Stream<K, V>, windows: SessionWindows) -> Self {
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

    /// How many records each session has.
    #[must_use]
    pub fn count(&self) -> WindowedTable<K, V, i64> {
        self.add("count", Count)
    }

    /// One value per session, made of two again and again.
    #[must_use]
    pub fn reduce(
        &self,
        reduce: impl Fn(V, V) -> V + Send + Sync + 'static,
    ) -> WindowedTable<K, V, V> {
        self.add("reduce", Reduce(reduce))
    }

    /// One aggregate per session. The aggregator has to be able to merge two. Records whose key is
    /// null are left out; those whose value is null are not (as in Kafka).
    #[must_use]
    pub fn aggregate<A: Aggregator<K, V>>(&self, aggregator: A) -> WindowedTable<K, V, A::State> {
        self.add("aggregate", aggregator)
    }

    fn add<A: Aggregator<K, V>>(
        &self,
        operation: &'static str,
        aggregator: A,
    ) -> WindowedTable<K, V, A::State> {
        let problem = self.windows.problem().or_else(|| {
            let cannot = !aggregator.can_merge();
            cannot.then(|| "sessions need an aggregator that can merge two aggregates".to_owned())
        });
        let spans = Spans::Session(self.windows);
        add(
            &self.stream,
            operation,
            aggregator,
            spans,
            self.emit,
            problem,
        )
    }
}

/// Records by key and sliding window, to be aggregated (Kafka: `TimeWindowedKStream`).
pub struct SlidingWindowedStream<K, V> {
    stream: Stream<K, V>,
    windows: SlidingWindows,
    emit: Emit,
}

impl<K, V> Clone for SlidingWindowedStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            windows: self.windows,
            emit: self.emit,
        }
    }
}

impl<K: Data, V: Data> SlidingWindowedStream<K, V> {
    pub(super) fn new(stream: Stream<K, V>, windows: SlidingWindows) -> Self {
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

    /// How many records each window has.
    #[must_use]
    pub fn count(&self) -> WindowedTable<K, V, i64> {
        self.add("count", Count)
    }

    /// One value per window, made of two again and again.
    #[must_use]
    pub fn reduce(
        &self,
        reduce: impl Fn(V, V) -> V + Send + Sync + 'static,
    ) -> WindowedTable<K, V, V> {
        self.add("reduce", Reduce(reduce))
    }

    /// One aggregate per window. Records whose key or value is null are left out.
    #[must_use]
    pub fn aggregate<A: Aggregator<K, V>>(&self, aggregator: A) -> WindowedTable<K, V, A::State> {
        self.add("aggregate", aggregator)
    }

    fn add<A: Aggregator<K, V>>(
        &self,
        operation: &'static str,
        aggregator: A,
    ) -> WindowedTable<K, V, A::State> {
        let spans = Spans::Sliding(self.windows);
        let problem = self.windows.problem();
        add(
            &self.stream,
            operation,
            aggregator,
            spans,
            self.emit,
            problem,
        )
    }
}

fn add<K: Data, V: Data, A: Aggregator<K, V>>(
    stream: &Stream<K, V>,
    operation: &'static str,
    aggregator: A,
    spans: Spans,
    emit: Emit,
    problem: Option<String>,
) -> WindowedTable<K, V, A::State> {
    let plan = &stream.plan;
    let name = plan.name(stream.from.node);
    if let Some(problem) = problem {
        plan.problem(format!("{name}.{operation}: {problem}"));
    }
    let times = spans.times(emit);
    let kept = times.keep.saturating_add(times.length.unwrap_or_default());
    let store = plan.add_store(StoreSpec {
        name: plan.unused_name(&format!("{name}.{operation}")),
        make: Arc::new(move |seed| Box::new(SpanStore::<A::State>::new(seed, times))),
        changelog: Some(Changelog {
            retention: Some(kept.saturating_add(ADDITIONAL_RETENTION)),
        }),
        reads: Some(Arc::new(Reads::<K, A::State>::Spans(spans.kind()))),
    });
    let aggregator = Arc::new(aggregator);
    let make = Make::Operator(Arc::new(move |cx| {
        let (own, wants_old) = (cx.store(store), cx.wants_old);
        let aggregator = Arc::clone(&aggregator);
        Box::new(SpanAggregate::<K, V, A>::new(
            aggregator, spans, emit, own, wants_old,
        ))
    }));
    let kind = NodeKind::WindowAggregate {
        windows: spans.to_string(),
    };
    let new = NewNode::new(operation, kind, make)
        .input(stream.from)
        .output::<Windowed<K>, Change<A::State>>()
        .output::<K, Late<V>>()
        .keeps_time::<K, V>()
        .store(store)
        .holds_back(spans.holds_back(emit));
    let node = plan.add(new);
    let results = Edge {
        node,
        port: RESULTS,
    };
    WindowedTable {
        table: Table::stored(plan.clone(), results, store)
            .looked_up((emit == Emit::Update).then(|| span_view(store))),
        late: Stream::new(plan.clone(), Edge { node, port: LATE }),
        closing: Closing {
            time: spans.time(),
            after_end: spans.close(),
            grace: spans.grace(),
        },
    }
}

/// How windows are looked up. It is only for windows whose results come out with every record: in
/// others there is something that has not come out yet.
fn span_view<K: Data, A: Data>(store: usize) -> View<Windowed<K>, A> {
    View::new(
        move || vec![store],
        move |cx| {
            let store = cx.store(store);
            Getter::Computed(Box::new(
                move |stores: &mut Stores, key: &Windowed<K>, bytes, _| {
                    let (own, _) = split_window(bytes)?;
                    let store = stores.get::<SpanStore<A>>(store);
                    let slot = store.slot(own);
                    let mut spans = store.spans(slot).iter();
                    let found = spans
                        .find(|span| (span.start, span.end) == (key.window.start, key.window.end));
                    let found = found.and_then(|span| Some((span.value.clone()?, span.timestamp)));
                    store.leave(slot);
                    found
                },
            ))
        },
    )
}
