//! How many events there are.

use std::marker::PhantomData;

use super::codec::Canonical;
use super::{Aggregate, State};
use crate::data::DataError;
use crate::serving::Place;

/// Counts events.
///
/// ```
/// use tidemark_streams::serving::Place;
/// use tidemark_streams::serving::aggregate::{Aggregate, Count};
///
/// let count = Count::<&str>::new();
/// let mut state = count.empty();
/// count.add(&"a", Place::default(), &mut state);
/// assert_eq!(count.value(&state), 1);
/// ```
pub struct Count<E>(PhantomData<fn(&E)>);

impl<E> Count<E> {
    /// Counts events of that type.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> Default for Count<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Send + Sync + 'static> Aggregate for Count<E> {
    type Event = E;
    type State = u64;
    type Value = u64;

    fn describe(&self) -> String {
        "count".to_owned()
    }

    fn empty(&self) -> u64 {
        0
    }

    fn add(&self, _event: &E, _at: Place, state: &mut u64) {
        *state = state.saturating_add(1);
    }

    fn merge(&self, state: &mut u64, other: u64) {
        // States from a file may have any count: it stays the largest, in whatever order.
        *state = state.saturating_add(other);
    }

    fn value(&self, state: &u64) -> u64 {
        *state
    }
}

/// 8 bytes.
impl State for u64 {
    fn encode(&self, into: &mut Vec<u8>) {
        self.write(into);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        Self::read(bytes)
    }
}
