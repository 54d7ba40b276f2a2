//! The free commutative monoid: which records are in a state, and how often.

use std::collections::BTreeMap;

use crate::data::DataError;
use crate::serving::Place;
use crate::serving::aggregate::{Aggregate, State};

/// (topic, partition, offset) with how often it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places(pub(crate) BTreeMap<(u32, i32, i64), u64>);

impl State for Places {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend((self.0.len() as u32).to_be_bytes());
        for ((topic, partition, offset), count) in &self.0 {
            into.extend(topic.to_be_bytes());
            into.extend(partition.to_be_bytes());
            into.extend(offset.to_be_bytes());
            into.extend(count.to_be_bytes());
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], DataError> {
            let (first, rest) = bytes
                .split_first_chunk::<N>()
                .ok_or_else(|| DataError::new("it ends early"))?;
            *bytes = rest;
            Ok(*first)
        }
        let count = u32::from_be_bytes(take(bytes)?);
        let mut places = BTreeMap::new();
        for _ in 0..count {
            let topic = u32::from_be_bytes(take(bytes)?);
            let partition = i32::from_be_bytes(take(bytes)?);
            let offset = i64::from_be_bytes(take(bytes)?);
            places.insert((topic, partition, offset), u64::from_be_bytes(take(bytes)?));
        }
        Ok(Self(places))
    }
}

/// Keeps places.
pub(crate) struct Free;

impl Aggregate for Free {
    type Event = ();
    type State = Places;
    type Value = usize;

    fn describe(&self) -> String {
        "places".to_owned()
    }

    fn empty(&self) -> Places {
        Places::default()
    }

    fn add(&self, _event: &(), at: Place, state: &mut Places) {
        *state
            .0
            .entry((at.topic, at.partition, at.offset))
            .or_default() += 1;
    }

    fn merge(&self, state: &mut Places, other: Places) {
        for (place, count) in other.0 {
            *state.0.entry(place).or_default() += count;
        }
    }

    fn value(&self, state: &Places) -> usize {
        state.0.len()
    }
}
