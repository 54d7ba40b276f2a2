//! Several grouped streams, of values of different types, with one aggregate.

use std::ops::Deref;
use std::sync::Arc;

use super::grouped::GroupedStream;
use super::stream::Stream;
use super::table::Table;
use crate::data::{Data, DataError, Payload};
use crate::dsl::aggregator::{Aggregator, Fold};

/// Grouped streams whose values go into one aggregate (Kafka: `CogroupedKStream`). Made by
/// [`GroupedStream::cogroup`]. It derefs to a grouped stream of [`Contribution`]s, so all that can be
/// done with one, windows above all, can be done with it.
///
/// ```
/// use std::time::Duration;
/// use tidemark_streams::time::TimeWindows;
/// use tidemark_streams::{Contribution, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let views = builder.stream::<String, String>("views").group_by_key();
/// let orders = builder.stream::<String, i64>("orders").group_by_key();
/// let activity = views
///     .cogroup(|_, _page, sum: &mut i64| *sum += 1)
///     .and(&orders, |_, amount, sum| *sum += 100 * amount);
/// let in_all = activity.aggregate(|| 0);
/// let by_hour = activity
///     .windowed_by(TimeWindows::tumbling(Duration::from_secs(3600)))
///     .aggregate(Contribution::fold(|| 0));
/// ```
pub struct CogroupedStream<K, A> {
    grouped: GroupedStream<K, Contribution<K, A>>,
}

impl<K, A> Clone for CogroupedStream<K, A> {
    fn clone(&self) -> Self {
        Self {
            grouped: self.grouped.clone(),
        }
    }
}

impl<K, A> Deref for CogroupedStream<K, A> {
    type Target = GroupedStream<K, Contribution<K, A>>;

    fn deref(&self) -> &Self::Target {
        &self.grouped
    }
}

/// A value of one of several streams, and what it does to their aggregate. Its bytes are those of the
/// value.
pub struct Contribution<K, A>(Arc<dyn Contribute<K, A>>);

impl<K, A> Clone for Contribution<K, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What the type of the value is hidden behind.
trait Contribute<K, A>: Send + Sync {
    fn add_to(&self, key: &K, aggregate: &mut A);
    fn is_null(&self) -> bool;
    fn bytes<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError>;
}

struct Value<F, V> {
    add: Arc<F>,
    value: V,
}

impl<K, A, V, F> Contribute<K, A> for Value<F, V>
where
    V: Data,
    F: Fn(&K, V, &mut A) + Send + Sync,
{
    fn add_to(&self, key: &K, aggregate: &mut A) {
        (self.add)(key, self.value.clone(), aggregate);
    }

    fn is_null(&self) -> bool {
        self.value.is_null()
    }

    fn bytes<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        self.value.encode(scratch)
    }
}

impl<K: 'static, A: 'static> Contribution<K, A> {
    /// Puts the value into an aggregate.
    pub fn add_to(&self, key: &K, aggregate: &mut A) {
        self.0.add_to(key, aggregate);
    }

    /// The aggregator of contributions. Sessions need [`Fold::merging`], too.
    pub fn fold<I>(init: I) -> Fold<I, impl Fn(&K, Self, &mut A) + Send + Sync + 'static>
    where
        I: Fn() -> A,
    {
        Fold::new(init, |key, value: Self, aggregate| {
            value.add_to(key, aggregate);
        })
    }
}

impl<K: 'static, A: 'static> Data for Contribution<K, A> {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        self.0.bytes(scratch)
    }

    fn decode(_payload: Payload<'_>) -> Result<Self, DataError> {
        Err(DataError::new(
            "what a value does to an aggregate has no bytes",
        ))
    }

    fn is_null(&self) -> bool {
        self.0.is_null()
    }
}

impl<K: Data, V: Data> GroupedStream<K, V> {
    /// Begins an aggregate into which the values of other grouped streams go, too (Kafka:
    /// `KGroupedStream.cogroup`). `add` puts a value of this one in.
    #[must_use]
    pub fn cogroup<A: Data>(
        &self,
        add: impl Fn(&K, V, &mut A) + Send + Sync + 'static,
    ) -> CogroupedStream<K, A> {
        CogroupedStream {
            grouped: GroupedStream::new(contributions(self, add)),
        }
    }
}

impl<K: Data, A: Data> CogroupedStream<K, A> {
    /// Lets the values of one more stream go into the aggregate (Kafka: `CogroupedKStream.cogroup`).
    #[must_use]
    pub fn and<V: Data>(
        &self,
        other: &GroupedStream<K, V>,
        add: impl Fn(&K, V, &mut A) + Send + Sync + 'static,
    ) -> Self {
        let other = contributions(other, add);
        Self {
            grouped: GroupedStream::new(self.grouped.stream.merge(&other)),
        }
    }

    /// One aggregate per key that begins as `init` says. Records whose key or value is null are left
    /// out.
    #[must_use]
    pub fn aggregate(&self, init: impl Fn() -> A + Send + Sync + 'static) -> Table<K, A> {
        self.grouped.aggregate(Contribution::fold(init))
    }

    /// As [`Self::aggregate`], by an aggregator of [`Contribution`]s.
    #[must_use]
    pub fn aggregate_with<G: Aggregator<K, Contribution<K, A>>>(
        &self,
        aggregator: G,
    ) -> Table<K, G::State> {
        self.grouped.aggregate(aggregator)
    }
}

fn contributions<K: Data, V: Data, A: Data>(
    grouped: &GroupedStream<K, V>,
    add: impl Fn(&K, V, &mut A) + Send + Sync + 'static,
) -> Stream<K, Contribution<K, A>> {
    let add = Arc::new(add);
    grouped.stream.map_values(move |value| {
        let add = Arc::clone(&add);
        Contribution(Arc::new(Value { add, value }))
    })
}
