//! Joins of two streams.

use std::ops::Deref;
use std::sync::Arc;

use super::Stream;
use crate::data::Data;
use crate::operator::stream_join::{JoinStores, LATE, RESULTS, StreamJoin};
use crate::record::late::Late;
use crate::state::{JoinBuffer, Store, Unmatched};
use crate::time::{EventTime, JoinWindows};
use crate::topology::{Changelog, Edge, Make, Node, NodeKind, StoreSpec};

/// What is given to each of a topology's nodes to make a store with.
type MakeStore = Arc<dyn Fn(u64) -> Box<dyn Store> + Send + Sync>;

impl<K: Data, V: Data> Stream<K, V> {
    /// One result for each pair of records of one key that are near enough in time (Kafka:
    /// `KStream.join`). Its time is the later one of the two. Records whose key or value is null are
    /// counted and left out.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidemark_streams::StreamsBuilder;
    /// # use tidemark_streams::time::JoinWindows;
    /// # let builder = StreamsBuilder::new();
    /// let orders = builder.stream::<String, i64>("orders");
    /// let payments = builder.stream::<String, i64>("payments");
    /// let window = JoinWindows::within(Duration::from_secs(60));
    /// let open = orders.join(&payments, |order, payment| order - payment, window);
    /// open.to("open_amounts");
    /// ```
    #[must_use]
    pub fn join<W: Data, X: Clone + Send + 'static>(
        &self,
        other: &Stream<K, W>,
        joiner: impl Fn(&V, &W) -> X + Send + Sync + 'static,
        windows: JoinWindows,
    ) -> JoinedStream<K, V, W, X> {
        let joiner = move |left: Option<&V>, right: Option<&W>| Some(joiner(left?, right?));
        self.join_streams(other, "join", joiner, windows, [false, false])
    }

    /// As [`Self::join`], and one result for each record of this stream that no record of the other
    /// one is near to (Kafka: `KStream.leftJoin`). It comes when none can come any more, with its own
    /// time and no headers. A record of this stream whose key is null has its result at once.
    #[must_use]
    pub fn left_join<W: Data, X: Clone + Send + 'static>(
        &self,
        other: &Stream<K, W>,
        joiner: impl Fn(&V, Option<&W>) -> X + Send + Sync + 'static,
        windows: JoinWindows,
    ) -> JoinedStream<K, V, W, X> {
        let joiner = move |left: Option<&V>, right: Option<&W>| Some(joiner(left?, right));
        self.join_streams(other, "left_join", joiner, windows, [true, false])
    }

    /// As [`Self::left_join`] for both sides (Kafka: `KStream.outerJoin`).
    #[must_use]
    pub fn outer_join<W: Data, X: Clone + Send + 'static>(
        &self,
        other: &Stream<K, W>,
        joiner: impl Fn(Option<&V>, Option<&W>) -> X + Send + Sync + 'static,
        windows: JoinWindows,
    ) -> JoinedStream<K, V, W, X> {
        let joiner = move |left: Option<&V>, right: Option<&W>| Some(joiner(left, right));
        self.join_streams(other, "outer_join", joiner, windows, [true, true])
    }

    fn join_streams<W: Data, X: Clone + Send + 'static>(
        &self,
        other: &Stream<K, W>,
        operation: &'static str,
        joiner: impl Fn(Option<&V>, Option<&W>) -> Option<X> + Send + Sync + 'static,
        windows: JoinWindows,
        outer: [bool; 2],
    ) -> JoinedStream<K, V, W, X> {
        let plan = &self.plan;
        let (left, mut right) = (self.by_key(), other.by_key().from);
        let name = plan.unused_name(&format!("{}.{operation}", plan.name(left.from.node)));
        if !plan.is(&other.plan) {
            plan.problem(format!("{name}: joins a stream of another builder"));
            right = left.from;
        }
        if let Some(problem) = windows.problem() {
            plan.problem(format!("{name}: {problem}"));
        }
        let (time, kept) = (windows.time, [0, 1].map(|side| windows.retention(side)));
        let buffers = [
            plan.add_store(StoreSpec {
                name: format!("{name}.left"),
                make: buffer::<V>(kept[0], time),
                holds: StoreSpec::holds::<K, V>("records"),
                changelog: Some(Changelog::Windows),
                reads: None,
            }),
            plan.add_store(StoreSpec {
                name: format!("{name}.right"),
                make: buffer::<W>(kept[1], time),
                holds: StoreSpec::holds::<K, W>("records"),
                changelog: Some(Changelog::Windows),
                reads: None,
            }),
        ];
        let wait = |side: usize| {
            let seen = windows.seen_from(side);
            seen.after.saturating_add(seen.grace)
        };
        let waiting = |side: usize, suffix: &str, make: MakeStore, holds: String| {
            outer[side].then(|| {
                plan.add_store(StoreSpec {
                    name: format!("{name}.{suffix}"),
                    make,
                    holds,
                    changelog: Some(Changelog::Windows),
                    reads: None,
                })
            })
        };
        let unmatched = [
            waiting(
                0,
                "left-unmatched",
                unmatched::<V>(wait(0)),
                StoreSpec::holds::<K, V>("records without a partner"),
            ),
            waiting(
                1,
                "right-unmatched",
                unmatched::<W>(wait(1)),
                StoreSpec::holds::<K, W>("records without a partner"),
            ),
        ];
        let joiner = Arc::new(joiner);
        let make = Make::Operator(Arc::new(move |cx| {
            let stores = JoinStores {
                buffers: buffers.map(|store| cx.store(store)),
                unmatched: unmatched.map(|store| store.map(|store| cx.store(store))),
            };
            let joiner = Arc::clone(&joiner);
            Box::new(StreamJoin::<_, K, V, W, X>::new(windows, joiner, stores))
        }));
        let kind = NodeKind::StreamJoin {
            windows: windows.to_string(),
        };
        let mut new = Node::new(operation, kind, make)
            .input(left.from)
            .input(right)
            .output::<K, X>()
            .output::<K, Late<V>>()
            .output::<K, Late<W>>()
            .keeps_time::<K, V>()
            .holds_back(windows.delay(outer));
        for store in buffers.into_iter().chain(unmatched.into_iter().flatten()) {
            new = new.store(store);
        }
        let node = plan.add(new);
        JoinedStream {
            results: Stream::new(
                plan.clone(),
                Edge {
                    node,
                    port: RESULTS,
                },
            ),
            late_left: Stream::new(
                plan.clone(),
                Edge {
                    node,
                    port: LATE[0],
                },
            ),
            late_right: Stream::new(
                plan.clone(),
                Edge {
                    node,
                    port: LATE[1],
                },
            ),
        }
    }
}

fn buffer<V: Data>(kept: i64, time: EventTime) -> MakeStore {
    Arc::new(move |seed| Box::new(JoinBuffer::<V>::new(seed, kept, time)))
}

fn unmatched<V: Data>(wait: i64) -> MakeStore {
    Arc::new(move |_| Box::new(Unmatched::<V>::new(wait)))
}

/// What two streams have joined to, and the records that came too late for it. It derefs to the
/// stream of results.
pub struct JoinedStream<K, V, W, X> {
    results: Stream<K, X>,
    late_left: Stream<K, Late<V>>,
    late_right: Stream<K, Late<W>>,
}

impl<K, V, W, X> Clone for JoinedStream<K, V, W, X> {
    fn clone(&self) -> Self {
        Self {
            results: self.results.clone(),
            late_left: self.late_left.clone(),
            late_right: self.late_right.clone(),
        }
    }
}

impl<K, V, W, X> JoinedStream<K, V, W, X>
where
    K: Clone + Send + 'static,
    X: Clone + Send + 'static,
{
    /// Gives the join a name of its own, as [`Stream::named`] does.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self {
            results: self.results.named(name),
            ..self
        }
    }
}

impl<K, V, W, X> JoinedStream<K, V, W, X> {
    /// Records of the left stream that came too late; their window is where their partners would have
    /// been.
    #[must_use]
    pub fn late_left(&self) -> Stream<K, Late<V>> {
        self.late_left.clone()
    }

    /// Records of the right stream that came too late.
    #[must_use]
    pub fn late_right(&self) -> Stream<K, Late<W>> {
        self.late_right.clone()
    }
}

impl<K, V, W, X> Deref for JoinedStream<K, V, W, X> {
    type Target = Stream<K, X>;

    fn deref(&self) -> &Self::Target {
        &self.results
    }
}
