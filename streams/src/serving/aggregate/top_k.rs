//! The most frequent values.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::codec::{Canonical, read_count, write_size};
use super::{Aggregate, State};
use crate::data::DataError;
use crate::serving::Place;

/// The `k` most frequent values of events. The counts of all values are kept: lists that have been cut to `k`
/// cannot be merged, since what is small in each of them may be large in all.
///
/// ```
/// use tidemark_streams::serving::Place;
/// use tidemark_streams::serving::aggregate::{Aggregate, TopK};
///
/// let top = TopK::of(1, |word: &&str| word.to_string());
/// let mut state = top.empty();
/// for word in ["b", "a", "b"] {
///     top.add(&word, Place::default(), &mut state);
/// }
/// assert_eq!(top.value(&state), [("b".to_owned(), 2)]);
/// ```
pub struct TopK<E, T> {
    k: usize,
    of: Box<dyn Fn(&E) -> T + Send + Sync>,
}

impl<E, T: Ord + Canonical> TopK<E, T> {
    /// Of what `of` gives of each event.
    pub fn of(k: usize, of: impl Fn(&E) -> T + Send + Sync + 'static) -> Self {
        Self {
            k,
            of: Box::new(of),
        }
    }
}

/// How many values there are, then each in its order, with its count.
impl<T: Canonical + Ord + Clone + Send + Sync + 'static> State for BTreeMap<T, u64> {
    fn encode(&self, into: &mut Vec<u8>) {
        write_size(self.len() as u64, into);
        for (value, count) in self {
            value.write(into);
            write_size(*count, into);
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        let entries = read_count(bytes, 1)?;
        let mut counts = Self::new();
        for _ in 0..entries {
            let value = T::read(bytes)?;
            let behind = counts
                .last_key_value()
                .is_none_or(|(last, _)| *last < value);
            let count = super::codec::read_size(bytes)?;
            if !behind || count == 0 {
                return Err(DataError::new("counts out of order"));
            }
            counts.insert(value, count);
        }
        Ok(counts)
    }
}

impl<E, T> Aggregate for TopK<E, T>
where
    E: Send + Sync + 'static,
    T: Ord + Canonical + Clone + Serialize + Send + Sync + 'static,
{
    type Event = E;
    type State = BTreeMap<T, u64>;
    type Value = Vec<(T, u64)>;

    fn describe(&self) -> String {
        format!("top {} of {}", self.k, T::kind())
    }

    fn empty(&self) -> BTreeMap<T, u64> {
        BTreeMap::new()
    }

    fn add(&self, event: &E, _at: Place, state: &mut BTreeMap<T, u64>) {
        let count = state.entry((self.of)(event)).or_default();
        *count = count.saturating_add(1);
    }

    fn merge(&self, state: &mut BTreeMap<T, u64>, other: BTreeMap<T, u64>) {
        for (value, count) in other {
            let own = state.entry(value).or_default();
            *own = own.saturating_add(count);
        }
    }

    /// The most frequent first; of equally frequent ones the smaller one.
    fn value(&self, state: &BTreeMap<T, u64>) -> Vec<(T, u64)> {
        let mut all: Vec<_> = state.iter().collect();
        all.sort_by_key(|(_, count)| Reverse(**count));
        let first = all.into_iter().take(self.k);
        first
            .map(|(value, count)| (value.clone(), *count))
            .collect()
    }
}
