//! Streams whose records are grouped by key.

use std::sync::Arc;

use super::spans::{SessionWindowedStream, SlidingWindowedStream};
use super::stream::Stream;
use super::table::Table;
use super::windowed::TimeWindowedStream;
use crate::data::Data;
use crate::dsl::aggregator::{Aggregator, Count, Reduce};
use crate::operator::aggregate::Aggregate;
use crate::query::Reads;
use crate::record::Change;
use crate::state::KeyValueStore;
use crate::time::{AnyWindows, SessionWindows, SlidingWindows};
use crate::topology::{Changelog, Edge, Make, Node, NodeKind, StoreSpec};

/// Records by key, to be aggregated (Kafka: `KGroupedStream`).
pub struct GroupedStream<K, V> {
    pub(super) stream: Stream<K, V>,
}

impl<K, V> Clone for GroupedStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
        }
    }
}

impl<K: Data, V: Data> GroupedStream<K, V> {
    pub(super) fn new(stream: Stream<K, V>) -> Self {
        Self { stream }
    }

    /// How many records each key has had.
    #[must_use]
    pub fn count(&self) -> Table<K, i64> {
        self.add("count", Count)
    }

    /// One value per key, made of two again and again; the first one is that of the first record.
    #[must_use]
    pub fn reduce(&self, reduce: impl Fn(V, V) -> V + Send + Sync + 'static) -> Table<K, V> {
        self.add("reduce", Reduce(reduce))
    }

    /// One aggregate per key. Records whose key or value is null are left out.
    #[must_use]
    pub fn aggregate<A: Aggregator<K, V>>(&self, aggregator: A) -> Table<K, A::State> {
        self.add("aggregate", aggregator)
    }

    /// One aggregate per key and window: [`crate::time::TimeWindows`] of one size, or
    /// [`crate::time::CalendarWindows`] (Kafka: `KGroupedStream.windowedBy(Windows)`).
    #[must_use]
    pub fn windowed_by(&self, windows: impl Into<AnyWindows>) -> TimeWindowedStream<K, V> {
        TimeWindowedStream::new(self.stream.clone(), windows.into())
    }

    /// One aggregate per key and session (Kafka: `KGroupedStream.windowedBy(SessionWindows)`).
    #[must_use]
    pub fn windowed_by_session(&self, windows: SessionWindows) -> SessionWindowedStream<K, V> {
        SessionWindowedStream::new(self.stream.clone(), windows)
    }

    /// One aggregate per key and sliding window (Kafka:
    /// `KGroupedStream.windowedBy(SlidingWindows)`).
    #[must_use]
    pub fn windowed_by_sliding(&self, windows: SlidingWindows) -> SlidingWindowedStream<K, V> {
        SlidingWindowedStream::new(self.stream.clone(), windows)
    }

    fn add<A: Aggregator<K, V>>(
        &self,
        operation: &'static str,
        aggregator: A,
    ) -> Table<K, A::State> {
        let plan = &self.stream.plan;
        let aggregator = Arc::new(aggregator);
        let store = plan.add_store(StoreSpec {
            name: plan.unused_name(&format!("{}.{operation}", plan.name(self.stream.from.node))),
            make: Arc::new(|seed| Box::new(KeyValueStore::<A::State>::new(seed))),
            holds: StoreSpec::holds::<K, A::State>(operation),
            changelog: Some(Changelog::Keys),
            reads: Some(Arc::new(Reads::<K, A::State>::KeyValue)),
        });
        let make = Make::Operator(Arc::new(move |cx| {
            let (own, wants_old) = (cx.store(store), cx.wants_old);
            Box::new(Aggregate::<K, V, A>::new(
                Arc::clone(&aggregator),
                own,
                wants_old,
            ))
        }));
        let new = Node::new(operation, NodeKind::Aggregate, make)
            .input(self.stream.from)
            .output::<K, Change<A::State>>()
            .store(store);
        let node = plan.add(new);
        Table::keyed(plan.clone(), Edge { node, port: 0 }, store)
    }
}
