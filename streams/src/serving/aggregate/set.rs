//! Distinct values.

use std::collections::BTreeSet;

use serde::Serialize;

use super::codec::{Canonical, read_count, write_size};
use super::{Aggregate, State};
use crate::data::DataError;
use crate::serving::Place;

/// The distinct values of events, all of them: for few. [`super::HyperLogLog`] counts many.
///
/// ```
/// use tidemark_streams::serving::Place;
/// use tidemark_streams::serving::aggregate::{Aggregate, Distinct};
///
/// let distinct = Distinct::of(|word: &&str| word.to_string());
/// let mut state = distinct.empty();
/// for word in ["b", "a", "b"] {
///     distinct.add(&word, Place::default(), &mut state);
/// }
/// assert_eq!(distinct.value(&state), ["a", "b"]);
/// ```
pub struct Distinct<E, T> {
    of: Box<dyn Fn(&E) -> T + Send + Sync>,
}

impl<E, T: Ord + Canonical> Distinct<E, T> {
    /// Of what `of` gives of each event.
    pub fn of(of: impl Fn(&E) -> T + Send + Sync + 'static) -> Self {
        Self { of: Box::new(of) }
    }

    /// The same, of which only the number of values is shown.
    ///
    /// ```
    /// use tidemark_streams::serving::Place;
    /// use tidemark_streams::serving::aggregate::{Aggregate, Distinct};
    ///
    /// let users = Distinct::of(|user: &u64| *user).counted();
    /// let mut state = users.empty();
    /// [7, 5, 7].iter().for_each(|user| users.add(user, Place::default(), &mut state));
    /// assert_eq!(users.value(&state), 2);
    /// ```
    #[must_use]
    pub fn counted(self) -> DistinctCount<E, T> {
        DistinctCount(self)
    }
}

/// How many there are, then each in its order.
impl<T: Canonical + Ord + Clone + Send + Sync + 'static> State for BTreeSet<T> {
    fn encode(&self, into: &mut Vec<u8>) {
        write_size(self.len() as u64, into);
        self.iter().for_each(|value| value.write(into));
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        let count = read_count(bytes, 0)?;
        let mut set = Self::new();
        for _ in 0..count {
            let value = T::read(bytes)?;
            if set.last().is_some_and(|last| *last >= value) {
                return Err(DataError::new("a set out of order"));
            }
            set.insert(value);
        }
        Ok(set)
    }
}

impl<E, T> Aggregate for Distinct<E, T>
where
    E: Send + Sync + 'static,
    T: Ord + Canonical + Clone + Serialize + Send + Sync + 'static,
{
    type Event = E;
    type State = BTreeSet<T>;
    type Value = Vec<T>;

    fn describe(&self) -> String {
        format!("distinct {}", T::kind())
    }

    fn empty(&self) -> BTreeSet<T> {
        BTreeSet::new()
    }

    fn add(&self, event: &E, _at: Place, state: &mut BTreeSet<T>) {
        state.insert((self.of)(event));
    }

    fn merge(&self, state: &mut BTreeSet<T>, other: BTreeSet<T>) {
        let mut other = other;
        // The smaller one goes into the larger one.
        if state.len() < other.len() {
            std::mem::swap(state, &mut other);
        }
        state.extend(other);
    }

    fn value(&self, state: &BTreeSet<T>) -> Vec<T> {
        state.iter().cloned().collect()
    }
}

/// How many distinct values there are: see [`Distinct::counted`].
pub struct DistinctCount<E, T>(Distinct<E, T>);

impl<E, T> Aggregate for DistinctCount<E, T>
where
    E: Send + Sync + 'static,
    T: Ord + Canonical + Clone + Serialize + Send + Sync + 'static,
{
    type Event = E;
    type State = BTreeSet<T>;
    type Value = u64;

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn empty(&self) -> BTreeSet<T> {
        self.0.empty()
    }

    fn add(&self, event: &E, at: Place, state: &mut BTreeSet<T>) {
        self.0.add(event, at, state);
    }

    fn merge(&self, state: &mut BTreeSet<T>, other: BTreeSet<T>) {
        self.0.merge(state, other);
    }

    fn value(&self, state: &BTreeSet<T>) -> u64 {
        state.len() as u64
    }
}
