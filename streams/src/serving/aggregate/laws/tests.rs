//! The aggregates that are there keep the laws, and what does not is found out.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{
    Average, Count, Decimal, Distinct, First, HyperLogLog, Last, Max, Min, Sessions, Sum, TopK,
};
use super::*;
use crate::data::DataError;
use crate::serving::aggregate::codec::Canonical;

type Event = (i64, String);

fn events() -> impl Strategy<Value = Vec<(Event, Place)>> {
    let event = (-20_i64..20, "[a-c]{0,2}", -50_i64..50);
    proptest::collection::vec(event, 0..24).prop_map(|events| {
        let placed = events.into_iter().zip(0..);
        let placed = placed.map(|((number, word, time), offset)| {
            let place = Place {
                time,
                topic: 0,
                partition: (offset % 3) as i32,
                offset,
            };
            ((number, word), place)
        });
        placed.collect()
    })
}

fn decimal(event: &Event) -> Decimal {
    Decimal::new(i128::from(event.0), event.1.len() as u32 * 7)
}

fn number(event: &Event) -> i64 {
    event.0
}

fn word(event: &Event) -> String {
    event.1.clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn aggregates_keep_the_laws(events in events(), seed: u64) {
        fn keeps<A: Aggregate<Event = Event>>(
            aggregate: &A,
            events: &[(Event, Place)],
            seed: u64,
        ) -> Result<(), TestCaseError> {
            let checked = check(aggregate, events, seed, 20);
            checked.map_err(|broken| TestCaseError::fail(broken.to_string()))
        }
        keeps(&Count::new(), &events, seed)?;
        keeps(&Sum::of(number), &events, seed)?;
        keeps(&Sum::of(decimal), &events, seed)?;
        keeps(&Min::of(word), &events, seed)?;
        keeps(&Max::of(number), &events, seed)?;
        keeps(&Average::of(number), &events, seed)?;
        keeps(&Average::of(decimal), &events, seed)?;
        keeps(&First::of(word), &events, seed)?;
        keeps(&Last::of(number), &events, seed)?;
        keeps(&Distinct::of(word), &events, seed)?;
        keeps(&TopK::of(2, word), &events, seed)?;
        keeps(&HyperLogLog::of(4, number), &events, seed)?;
        let sessions = || Sessions::of(Duration::from_millis(7), Sum::of(number));
        keeps(&sessions(), &events, seed)?;
        keeps(&(Count::new(), Sum::of(decimal), Last::of(word), sessions()), &events, seed)?;
        let words = Distinct::of(String::clone).of_event(|event: &Event| {
            (event.0 > 0).then(|| word(event))
        });
        keeps(&words.map_value(|words| words.len()), &events, seed)?;
    }

    /// Sessions are those that a look at all events at once gives.
    #[test]
    fn sessions_are_those_of_all_events(events in events(), gap in 0_u64..20) {
        let sessions = Sessions::of(Duration::from_millis(gap), Count::<Event>::new());
        let mut state = sessions.empty();
        for (event, place) in &events {
            sessions.add(event, *place, &mut state);
        }
        let mut times: Vec<i64> = events.iter().map(|(_, place)| place.time).collect();
        times.sort_unstable();
        let mut expected: Vec<(i64, i64, u64)> = Vec::new();
        for time in times {
            match expected.last_mut() {
                Some((_, end, count)) if time - *end <= gap as i64 => {
                    (*end, *count) = (time, *count + 1);
                }
                _ => expected.push((time, time, 1)),
            }
        }
        let found = sessions.value(&state).into_iter();
        let found: Vec<_> = found.map(|own| (own.start, own.end, own.value)).collect();
        prop_assert_eq!(found, expected);
    }
}

/// What an aggregate does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    LastByArrival,
    Floats,
    Codec,
    AddsTwice,
    EmptyIsNot,
}

struct Spoilt(Wrong);

#[derive(Clone)]
struct Bits(u64);

impl State for Bits {
    fn encode(&self, into: &mut Vec<u8>) {
        self.0.write(into);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        let bits = u64::read(bytes)?;
        // A codec that is not right says so in its lowest bit.
        Ok(Self(if bits >> 63 == 1 { bits - 1 } else { bits }))
    }
}

impl Aggregate for Spoilt {
    type Event = Event;
    type State = Bits;
    type Value = u64;

    fn describe(&self) -> String {
        "spoilt".to_owned()
    }

    fn empty(&self) -> Bits {
        match self.0 {
            Wrong::EmptyIsNot => Bits(1),
            Wrong::Floats => Bits(0.0_f64.to_bits()),
            Wrong::Codec => Bits(1 << 63),
            _ => Bits(0),
        }
    }

    fn add(&self, event: &Event, _at: Place, state: &mut Bits) {
        let number = event.0 as u64 & 0xffff;
        match self.0 {
            Wrong::LastByArrival => state.0 = number + 1,
            Wrong::Floats => {
                let sum = f64::from_bits(state.0) + 0.1 * event.0 as f64;
                state.0 = sum.to_bits();
            }
            Wrong::AddsTwice if state.0 > 0 => state.0 += 2,
            _ => state.0 += 1,
        }
    }

    fn merge(&self, state: &mut Bits, other: Bits) {
        match self.0 {
            Wrong::LastByArrival if other.0 == 0 => {}
            Wrong::LastByArrival => state.0 = other.0,
            Wrong::Floats => {
                let sum = f64::from_bits(state.0) + f64::from_bits(other.0);
                state.0 = sum.to_bits();
            }
            Wrong::Codec => state.0 = 1 << 63 | ((state.0 & 0xffff) + (other.0 & 0xffff)),
            _ => state.0 += other.0,
        }
    }

    fn value(&self, state: &Bits) -> u64 {
        state.0
    }
}

#[test]
fn what_is_no_monoid_is_found_out() {
    let events: Vec<(Event, Place)> = (0..20_i64)
        .map(|offset| {
            let place = Place {
                time: offset,
                offset,
                ..Place::default()
            };
            ((offset * offset % 7 + 1, String::new()), place)
        })
        .collect();
    let laws = [
        (Wrong::LastByArrival, "that"),
        (Wrong::Floats, "that"),
        (Wrong::Codec, "what is read is what was written"),
        (Wrong::AddsTwice, "adding is merging"),
        (Wrong::EmptyIsNot, "nothing changes nothing"),
    ];
    for (wrong, law) in laws {
        let broken = check(&Spoilt(wrong), &events, 3, 500).unwrap_err();
        assert!(broken.law.contains(law), "{broken}");
        assert!(broken.to_string().contains("seed 3"), "{broken}");
    }
}
