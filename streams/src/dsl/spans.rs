//! Streams whose records are grouped by key and by windows that the records make: sessions and sliding
//! windows.

use std::sync::Arc;

use super::stream::Stream;
use super::table::Table;
use super::view::View;
use super::windowed::sealed::Aggregated;
use super::windowed::{Closing, WindowedStream, WindowedTable, Windowing};
use crate::data::{Data, split_window};
use crate::dsl::aggregator::Aggregator;
use crate::operator::portions::InPortions;
use crate::operator::span_aggregate::{SpanAggregate, Spans};
use crate::operator::window_aggregate::{Emit, LATE, RESULTS};
use crate::query::Reads;
use crate::record::Change;
use crate::record::late::Late;
use crate::state::{Getter, SpanStore, Stores};
use crate::time::{SessionWindows, SlidingWindows, Windowed};
use crate::topology::{Changelog, Edge, Make, Node, NodeKind, StoreSpec};

/// Records by key and session.
pub type SessionWindowedStream<K, V> = WindowedStream<K, V, SessionWindows>;

/// Records by key and sliding window.
pub type SlidingWindowedStream<K, V> = WindowedStream<K, V, SlidingWindows>;

impl Windowing for SessionWindows {}

impl Aggregated for SessionWindows {
    fn aggregated<K: Data, V: Data, A: Aggregator<K, V>>(
        &self,
        stream: &Stream<K, V>,
        emit: Emit,
        operation: &'static str,
        aggregator: A,
    ) -> WindowedTable<K, V, A::State> {
        let problem = self.problem().or_else(|| {
            let cannot = !aggregator.can_merge();
            cannot.then(|| "sessions need an aggregator that can merge two aggregates".to_owned())
        });
        let spans = Spans::Session(*self);
        add(stream, operation, aggregator, spans, emit, problem)
    }
}

impl Windowing for SlidingWindows {}

impl Aggregated for SlidingWindows {
    fn aggregated<K: Data, V: Data, A: Aggregator<K, V>>(
        &self,
        stream: &Stream<K, V>,
        emit: Emit,
        operation: &'static str,
        aggregator: A,
    ) -> WindowedTable<K, V, A::State> {
        let spans = Spans::Sliding(*self);
        add(stream, operation, aggregator, spans, emit, self.problem())
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
    let store = plan.add_store(StoreSpec {
        name: plan.unused_name(&format!("{name}.{operation}")),
        make: Arc::new(move |seed| Box::new(SpanStore::<A::State>::new(seed, times))),
        holds: StoreSpec::holds::<K, A::State>(operation),
        changelog: Some(Changelog::Windows),
        reads: Some(Arc::new(Reads::<K, A::State>::Spans(spans.kind()))),
    });
    let aggregator = Arc::new(aggregator);
    let make = Make::Operator(Arc::new(move |cx| {
        let (own, wants_old) = (cx.store(store), cx.wants_old);
        let aggregator = Arc::clone(&aggregator);
        let operator = SpanAggregate::<K, V, A>::new(aggregator, spans, emit, own, wants_old);
        Box::new(InPortions::new(operator))
    }));
    let kind = NodeKind::WindowAggregate {
        windows: spans.to_string(),
    };
    let new = Node::new(operation, kind, make)
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
