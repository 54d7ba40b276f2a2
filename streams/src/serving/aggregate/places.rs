//! The free commutative monoid: which records are in a state, and how often.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::codec::{Canonical, read_count, read_size, write_size};
use super::{Aggregate, State};
use crate::data::DataError;
use crate::serving::Place;

/// The records of a key by topic, partition and offset, each with how often it has been added: for proofs.
/// No other commutative monoid tells more of its events, so where these states are right, with no record
/// left out and none twice, those of every aggregate are.
///
/// ```
/// use tidemark_streams::serving::Place;
/// use tidemark_streams::serving::aggregate::{Aggregate, Places};
///
/// let places = Places::<()>::new();
/// let mut state = places.empty();
/// places.add(&(), Place { offset: 7, ..Place::default() }, &mut state);
/// assert_eq!(places.value(&state)[0].offset, 7);
/// ```
pub struct Places<E>(PhantomData<fn(&E)>);

impl<E> Places<E> {
    /// Keeps the places of events of that type.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> Default for Places<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// How often each (topic, partition, offset) is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceCounts(pub(crate) BTreeMap<(u32, i32, i64), u64>);

/// A record of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlaceCount {
    /// The topic, by its number among the view's topics.
    pub topic: u32,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// How often it is there.
    pub count: u64,
}

/// How many places there are, then each in its order, with its count.
impl State for PlaceCounts {
    fn encode(&self, into: &mut Vec<u8>) {
        write_size(self.0.len() as u64, into);
        for (place, count) in &self.0 {
            place.write(into);
            write_size(*count, into);
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        let entries = read_count(bytes, 17)?;
        let mut counts = BTreeMap::new();
        for _ in 0..entries {
            let place = Canonical::read(bytes)?;
            let count = read_size(bytes)?;
            let behind = counts
                .last_key_value()
                .is_none_or(|(last, _)| *last < place);
            if !behind || count == 0 {
                return Err(DataError::new("places out of order"));
            }
            counts.insert(place, count);
        }
        Ok(Self(counts))
    }
}

impl<E: Send + Sync + 'static> Aggregate for Places<E> {
    type Event = E;
    type State = PlaceCounts;
    type Value = Vec<PlaceCount>;

    fn describe(&self) -> String {
        "places".to_owned()
    }

    fn empty(&self) -> PlaceCounts {
        PlaceCounts::default()
    }

    fn add(&self, _event: &E, at: Place, state: &mut PlaceCounts) {
        let place = (at.topic, at.partition, at.offset);
        let count = state.0.entry(place).or_default();
        *count = count.saturating_add(1);
    }

    fn merge(&self, state: &mut PlaceCounts, other: PlaceCounts) {
        for (place, count) in other.0 {
            let own = state.0.entry(place).or_default();
            *own = own.saturating_add(count);
        }
    }

    fn value(&self, state: &PlaceCounts) -> Vec<PlaceCount> {
        let counts = state.0.iter();
        counts
            .map(|((topic, partition, offset), count)| PlaceCount {
                topic: *topic,
                partition: *partition,
                offset: *offset,
                count: *count,
            })
            .collect()
    }
}
