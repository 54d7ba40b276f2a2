//! The aggregates that are there keep the laws, and what does not is found out.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{
    Average, Count, Decimal, Distinct, First, HyperLogLog, Last, Max, Min, Places, Sessions, Sum,
    TopK,
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
    Decimal::new(i128::from(event.0), event.1.len() as u32 * 7).unwrap()
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
        keeps(&Distinct::of(|event: &Event| event.clone()).counted(), &events, seed)?;
        keeps(&TopK::of(2, word), &events, seed)?;
        keeps(&Places::new(), &events, seed)?;
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

#[test]
fn what_has_other_bytes_is_described_otherwise() {
    let described = [
        Count::<Event>::new().describe(),
        Sum::of(number).describe(),
        Sum::of(decimal).describe(),
        Average::of(number).describe(),
        Average::of(decimal).describe(),
        Min::of(number).describe(),
        Min::of(word).describe(),
        Max::of(number).describe(),
        First::of(word).describe(),
        Last::of(word).describe(),
        Last::of(decimal).describe(),
        Distinct::of(number).describe(),
        Distinct::of(word).describe(),
        TopK::of(2, word).describe(),
        TopK::of(3, word).describe(),
        TopK::of(3, number).describe(),
        HyperLogLog::of(4, word).describe(),
        HyperLogLog::of(5, word).describe(),
        HyperLogLog::of(5, number).describe(),
        Sessions::of(Duration::from_millis(7), Sum::of(number)).describe(),
        Sessions::of(Duration::from_millis(8), Sum::of(number)).describe(),
        Sessions::of(Duration::from_millis(8), Min::of(number)).describe(),
        (Count::<Event>::new(), Sum::of(number)).describe(),
        Places::<Event>::new().describe(),
    ];
    let distinct: std::collections::BTreeSet<_> = described.iter().collect();
    assert_eq!(distinct.len(), described.len(), "{described:?}");
}

/// States that have been written are read by every later version.
#[test]
fn bytes_stay_as_they_are() {
    fn shows<A: Aggregate<Event = Event>>(aggregate: &A, expected: &str) {
        let mut state = aggregate.empty();
        for (number, time) in [(-5, 1), (7, 2)] {
            let place = Place {
                time,
                topic: 3,
                partition: 4,
                offset: time + 8,
            };
            aggregate.add(&(number, "ab".to_owned()), place, &mut state);
        }
        assert_eq!(hex(&bytes(&state)), expected, "{}", aggregate.describe());
    }
    let sum = "80000000000000000000000000000002";
    let last = "8000000000000002000000038000000480000000000000".to_owned() + "0a";
    shows(&Count::new(), "0000000000000002");
    shows(&Sum::of(number), sum);
    // 2 * 10^-14: scale, sign, length, magnitude.
    shows(&Sum::of(decimal), "0e000102");
    shows(&Average::of(number), &format!("{sum}0000000000000002"));
    shows(&Min::of(number), "017ffffffffffffffb");
    shows(&Max::of(word), "01026162");
    shows(&Last::of(word), &format!("01{last}026162"));
    shows(&Distinct::of(word), "01026162");
    shows(&TopK::of(1, word), "0102616202");
    shows(
        &Sessions::of(Duration::from_millis(1), Count::new()),
        "01800000000000000180000000000000020000000000000002",
    );
    shows(
        &Places::new(),
        "0200000003800000048000000000000009010000000380000004800000000000000a01",
    );
}

/// Counts from a file may be any; states of them are merged without a panic, and in any order.
#[test]
fn the_largest_counts_can_be_added_to() {
    let largest = || u64::decode(&mut &[0xff; 8][..]).unwrap();
    let count = Count::<Event>::new();
    let mut state = largest();
    count.merge(&mut state, largest());
    count.add(&(1, String::new()), Place::default(), &mut state);
    assert_eq!(count.value(&state), u64::MAX);
}

/// Lists that are cut to the most frequent value, and averages of averages.
struct Cut;
struct MeanOfMeans;

#[derive(Clone)]
struct Entries(Vec<(i64, u64)>);

impl State for Entries {
    fn encode(&self, into: &mut Vec<u8>) {
        self.0
            .len()
            .to_be_bytes()
            .iter()
            .for_each(|byte| into.push(*byte));
        self.0.iter().for_each(|entry| entry.write(into));
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        let count = u64::read(bytes)?;
        (0..count)
            .map(|_| Canonical::read(bytes))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Aggregate for Cut {
    type Event = Event;
    type State = Entries;
    type Value = ();

    fn describe(&self) -> String {
        "cut".to_owned()
    }

    fn empty(&self) -> Entries {
        Entries(Vec::new())
    }

    fn add(&self, event: &Event, _at: Place, state: &mut Entries) {
        self.merge(state, Entries(vec![(event.0, 1)]));
    }

    fn merge(&self, state: &mut Entries, other: Entries) {
        for (value, count) in other.0 {
            match state.0.iter_mut().find(|(own, _)| *own == value) {
                Some((_, own)) => *own += count,
                None => state.0.push((value, count)),
            }
        }
        state
            .0
            .sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
        state.0.truncate(1);
    }

    fn value(&self, _state: &Entries) {}
}

impl Aggregate for MeanOfMeans {
    type Event = Event;
    type State = Entries;
    type Value = ();

    fn describe(&self) -> String {
        "mean of means".to_owned()
    }

    fn empty(&self) -> Entries {
        Entries(Vec::new())
    }

    fn add(&self, event: &Event, _at: Place, state: &mut Entries) {
        self.merge(state, Entries(vec![(event.0 * 1_000_000, 0)]));
    }

    fn merge(&self, state: &mut Entries, other: Entries) {
        match (state.0.first_mut(), other.0.first()) {
            (Some((own, _)), Some((mean, _))) => *own = (*own + mean) / 2,
            (None, _) => *state = other,
            _ => {}
        }
    }

    fn value(&self, _state: &Entries) {}
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
    let cut = check(&Cut, &events, 3, 500).unwrap_err();
    check(&MeanOfMeans, &events, 3, 500).unwrap_err();
    // The same seed finds the same.
    assert_eq!(check(&Cut, &events, 3, 500), Err(cut));
}
