//! What a view keeps of each key: commutative monoids.

mod average;
mod codec;
mod combined;
mod count;
mod decimal;
mod extremes;
mod first_last;
mod hyper_log_log;
pub mod laws;
mod places;
mod sessions;
mod set;
mod sum;
mod top_k;

use std::marker::PhantomData;

use crate::data::DataError;
use crate::serving::Place;

pub use average::{Average, Mean, Pair};
pub use codec::Canonical;
pub(crate) use codec::{read_text, write_text};
pub use combined::{MapValue, OfEvent};
pub use count::Count;
pub use decimal::{Decimal, NoDecimal};
pub use extremes::{Max, Min, One};
pub use first_last::{First, Last, Placed};
pub use hyper_log_log::{HyperLogLog, Registers};
pub use places::{PlaceCount, PlaceCounts, Places};
pub use sessions::{Session, SessionSet, Sessions};
pub use set::{Distinct, DistinctCount};
pub use sum::{Exact, Sum, Total};
pub use top_k::TopK;

/// What a view keeps of the events of a key (Algebird: `MonoidAggregator`).
///
/// The events of a key come in pieces, in no certain order: a snapshot has some, the speed layer others,
/// each partition its own. So states have to form a commutative monoid:
///
/// - [`Self::merge`] is associative and commutative, and [`Self::empty`] changes nothing;
/// - [`Self::add`] is merging with the state of that one event;
/// - states of the same events have the same bytes ([`State`]).
///
/// [`laws::check`] tests that. What depends on the order of events is no such aggregate: "the newest
/// event wins" by arrival is not, [`Last`] by (time, topic, partition, offset) is. Sums of floats depend
/// on the order, too: [`Sum`] takes integers and [`Decimal`]s.
///
/// A [`Fold`](crate::Fold) is none, whether it has a way to merge or not: the compiler refuses it.
///
/// ```compile_fail,E0277
/// use std::time::Duration;
///
/// use tidemark_streams::Fold;
/// use tidemark_streams::serving::aggregate::Sessions;
///
/// let last = Fold::new(|| 0, |_: &String, value: u64, last: &mut u64| *last = value);
/// Sessions::of(Duration::from_secs(1), last);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no aggregate of a view",
    label = "is not known to be a commutative monoid",
    note = "snapshots and the speed layer each aggregate a part of the events, in no certain order: what \
            depends on the order of events (`Fold`, `Reduce`, closures) cannot be merged exactly. Use the \
            aggregates of `serving::aggregate`, or implement `Aggregate` and test it with `laws::check`"
)]
pub trait Aggregate: Send + Sync + 'static {
    /// What a record is read as.
    type Event: Send + Sync + 'static;
    /// What is kept for a key.
    type State: State;
    /// What an answer has.
    type Value: serde::Serialize;

    /// What this is, in a few words, with its parameters: states of aggregates that are not the same are
    /// never mixed. Has to change when the states or their bytes do. Closures cannot be described: when one
    /// gives something else than it did, the view needs another version.
    fn describe(&self) -> String;

    /// The state without an event.
    fn empty(&self) -> Self::State;

    /// Adds an event that is at `at`. It must not panic: that ends the view, and a moment before that answers may
    /// have half of the record, those of its events that are added already.
    fn add(&self, event: &Self::Event, at: Place, state: &mut Self::State);

    /// Puts the events of `other` into `state`.
    fn merge(&self, state: &mut Self::State, other: Self::State);

    /// What people are shown of a state.
    fn value(&self, state: &Self::State) -> Self::Value;

    /// The same, shown as something else: a tuple as a struct, say.
    ///
    /// ```
    /// use tidemark_streams::serving::Place;
    /// use tidemark_streams::serving::aggregate::{Aggregate, Count, Max};
    ///
    /// #[derive(serde::Serialize)]
    /// struct Shown {
    ///     events: u64,
    ///     largest: Option<i64>,
    /// }
    ///
    /// let both = (Count::new(), Max::of(|number: &i64| *number));
    /// let both = both.map_value(|(events, largest)| Shown { events, largest });
    /// let mut state = both.empty();
    /// both.add(&7, Place::default(), &mut state);
    /// assert_eq!(both.value(&state).largest, Some(7));
    /// ```
    fn map_value<V, F>(self, map: F) -> MapValue<Self, F>
    where
        Self: Sized,
        F: Fn(Self::Value) -> V + Send + Sync + 'static,
        V: serde::Serialize,
    {
        MapValue {
            aggregate: self,
            map,
        }
    }

    /// The same for other events, of which `part` gives what this one takes; `None` leaves an event out.
    ///
    /// ```
    /// use tidemark_streams::serving::Place;
    /// use tidemark_streams::serving::aggregate::{Aggregate, Count};
    ///
    /// let words = Count::<String>::new();
    /// let words = words.of_event(|word: &&str| (!word.is_empty()).then(|| word.to_string()));
    /// let mut state = words.empty();
    /// for word in ["a", "", "b"] {
    ///     words.add(&word, Place::default(), &mut state);
    /// }
    /// assert_eq!(words.value(&state), 2);
    /// ```
    fn of_event<E, F>(self, part: F) -> OfEvent<Self, E, F>
    where
        Self: Sized,
        E: Send + Sync + 'static,
        F: Fn(&E) -> Option<Self::Event> + Send + Sync + 'static,
    {
        OfEvent {
            aggregate: self,
            part,
            event: PhantomData,
        }
    }
}

/// A state, which knows its bytes: they are all that is kept of it, in changelogs and in snapshots. What is
/// needed to read them stands in them.
pub trait State: Clone + Send + Sync + 'static {
    /// Appends its bytes. Equal states have equal bytes.
    fn encode(&self, into: &mut Vec<u8>);

    /// Reads a state from the front of `bytes` and moves them behind it.
    ///
    /// # Errors
    ///
    /// [`DataError`] if there is no such state. Bytes from a file may be anything: it must neither panic
    /// nor set aside more memory than there are bytes.
    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError>;
}
