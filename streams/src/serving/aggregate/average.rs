//! Averages.

use serde::Serialize;

use super::codec::Canonical;
use super::sum::Exact;
use super::{Aggregate, State};
use crate::data::DataError;
use crate::serving::Place;

/// The average of a number of each event: sum and count are kept, since averages themselves cannot be
/// merged.
///
/// ```
/// use tidemark_streams::serving::Place;
/// use tidemark_streams::serving::aggregate::{Aggregate, Average};
///
/// let average = Average::of(|number: &i64| *number);
/// let mut state = average.empty();
/// average.add(&1, Place::default(), &mut state);
/// average.add(&4, Place::default(), &mut state);
/// assert_eq!(average.value(&state).mean, Some(2.5));
/// ```
pub struct Average<E, N> {
    of: Box<dyn Fn(&E) -> N + Send + Sync>,
}

impl<E, N: Exact> Average<E, N> {
    /// The average of what `of` gives of each event.
    pub fn of(of: impl Fn(&E) -> N + Send + Sync + 'static) -> Self {
        Self { of: Box::new(of) }
    }
}

/// Sum and count, both exact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair<T> {
    sum: T,
    count: u64,
}

/// An average as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mean<T> {
    /// The exact sum.
    pub sum: T,
    /// How many events there are.
    pub count: u64,
    /// Their quotient; `None` if there is no event.
    pub mean: Option<f64>,
}

/// The sum, then the count in 8 bytes.
impl<T: Canonical + Clone + Send + Sync + 'static> State for Pair<T> {
    fn encode(&self, into: &mut Vec<u8>) {
        self.sum.write(into);
        self.count.write(into);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        Ok(Self {
            sum: T::read(bytes)?,
            count: u64::read(bytes)?,
        })
    }
}

impl<E: Send + Sync + 'static, N: Exact + 'static> Aggregate for Average<E, N> {
    type Event = E;
    type State = Pair<N::Sum>;
    type Value = Mean<N::Sum>;

    fn describe(&self) -> String {
        format!("average of {}", N::NAME)
    }

    fn empty(&self) -> Self::State {
        Pair::default()
    }

    fn add(&self, event: &E, _at: Place, state: &mut Self::State) {
        (self.of)(event).add_to(&mut state.sum);
        state.count = state.count.saturating_add(1);
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        N::merge(&mut state.sum, other.sum);
        state.count = state.count.saturating_add(other.count);
    }

    fn value(&self, state: &Self::State) -> Self::Value {
        let mean = (state.count > 0).then(|| N::to_f64(&state.sum) / state.count as f64);
        Mean {
            sum: state.sum.clone(),
            count: state.count,
            mean,
        }
    }
}
