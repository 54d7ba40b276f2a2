//! Tests that an aggregate is a commutative monoid: for whoever writes one.

use std::fmt::Write;

use super::{Aggregate, State};
use crate::serving::Place;
use crate::serving::speed::{GOLDEN, mix};

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{aggregate}: {law} does not hold for the events {events:?} (seed {seed}): one way gives {one}, the \
     other {other}"
)]
pub struct Broken {
    /// The aggregate, as it describes itself.
    pub aggregate: String,
    /// The law.
    pub law: &'static str,
    /// The numbers of the events, in the order in which they were taken.
    pub events: Vec<usize>,
    /// What the order came from.
    pub seed: u64,
    /// The bytes of one state, in hexadecimal.
    pub one: String,
    /// The bytes of the other.
    pub other: String,
}

/// Checks an aggregate against events: however they are ordered and grouped, the state has the same bytes,
/// and what is read from bytes is what was written. Each round takes some of the events in an order that
/// follows from the seed.
///
/// ```
/// use tidemark_streams::serving::Place;
/// use tidemark_streams::serving::aggregate::{Max, laws};
///
/// let events: Vec<(i64, Place)> = (0..50)
///     .map(|number| (number * 7 % 13, Place { offset: number, ..Place::default() }))
///     .collect();
/// laws::check(&Max::of(|number: &i64| *number), &events, 1, 200)?;
/// # Ok::<(), laws::Broken>(())
/// ```
///
/// # Errors
///
/// [`Broken`] tells the first law that does not hold.
pub fn check<A: Aggregate>(
    aggregate: &A,
    events: &[(A::Event, Place)],
    seed: u64,
    rounds: usize,
) -> Result<(), Broken> {
    let mut chance = Chance(seed);
    for round in 0..rounds {
        let mut taken: Vec<usize> = (0..events.len()).collect();
        chance.shuffle(&mut taken);
        // Few events make the shortest report, so they come first.
        let most = (round * events.len()).div_ceil(rounds.max(1)) + 1;
        taken.truncate(chance.below(most.min(events.len()) + 1));
        Case {
            aggregate,
            events,
            taken,
            seed,
        }
        .check(&mut chance)?;
    }
    Ok(())
}

struct Case<'a, A: Aggregate> {
    aggregate: &'a A,
    events: &'a [(A::Event, Place)],
    taken: Vec<usize>,
    seed: u64,
}

impl<A: Aggregate> Case<'_, A> {
    fn state(&self, of: &[usize]) -> A::State {
        let mut state = self.aggregate.empty();
        for at in of {
            let (event, place) = &self.events[*at];
            self.aggregate.add(event, *place, &mut state);
        }
        state
    }

    fn merged(&self, first: &A::State, second: &A::State) -> A::State {
        let mut merged = first.clone();
        self.aggregate.merge(&mut merged, second.clone());
        merged
    }

    fn same(&self, law: &'static str, one: &A::State, other: &A::State) -> Result<(), Broken> {
        let (one, other) = (bytes(one), bytes(other));
        if one == other {
            return Ok(());
        }
        Err(self.broken(law, &one, &other))
    }

    fn broken(&self, law: &'static str, one: &[u8], other: &[u8]) -> Broken {
        Broken {
            aggregate: self.aggregate.describe(),
            law,
            events: self.taken.clone(),
            seed: self.seed,
            one: hex(one),
            other: hex(other),
        }
    }

    fn check(&self, chance: &mut Chance) -> Result<(), Broken> {
        let all = self.state(&self.taken);
        let empty = self.aggregate.empty();
        self.same(
            "that nothing changes nothing",
            &self.merged(&all, &empty),
            &all,
        )?;
        self.same(
            "that nothing changes nothing",
            &self.merged(&empty, &all),
            &all,
        )?;
        let (one, two) = (
            chance.below(self.taken.len() + 1),
            chance.below(self.taken.len() + 1),
        );
        let (first, rest) = self.taken.split_at(one.min(two));
        let (second, third) = rest.split_at(one.max(two) - one.min(two));
        let [a, b, c] = [first, second, third].map(|part| self.state(part));
        let ab = self.merged(&a, &b);
        self.same(
            "that the order of merging does not matter",
            &ab,
            &self.merged(&b, &a),
        )?;
        let (left, right) = (self.merged(&ab, &c), self.merged(&a, &self.merged(&b, &c)));
        self.same(
            "that the grouping of merging does not matter",
            &left,
            &right,
        )?;
        self.same(
            "that adding is merging with the state of one event",
            &left,
            &all,
        )?;
        let mut other = self.taken.clone();
        chance.shuffle(&mut other);
        self.same(
            "that the order of events does not matter",
            &self.state(&other),
            &all,
        )?;
        let mut singles = empty;
        for at in &other {
            singles = self.merged(&self.state(&[*at]), &singles);
        }
        self.same(
            "that adding is merging with the state of one event",
            &singles,
            &all,
        )?;
        self.codec(&all, chance)
    }

    fn codec(&self, state: &A::State, chance: &mut Chance) -> Result<(), Broken> {
        const LAW: &str = "that what is read is what was written";
        let written = bytes(state);
        let mut input = written.clone();
        input.extend(b"more");
        let mut rest = &input[..];
        match A::State::decode(&mut rest) {
            Ok(read) if rest == b"more" => {
                self.same(LAW, &read, state)?;
                self.goes_on(state, &read)?;
            }
            Ok(read) => return Err(self.broken(LAW, &bytes(&read), &written)),
            Err(_) => return Err(self.broken(LAW, &[], &written)),
        }
        // What never was a state is an error or, by chance, one.
        let noise: Vec<u8> = (0..chance.below(40)).map(|_| chance.next() as u8).collect();
        let _ = A::State::decode(&mut &noise[..]);
        // What is cut off or spoilt is an error or a state, but no panic.
        let cut = chance.below(written.len() + 1);
        let _ = A::State::decode(&mut &written[..cut]);
        if let Some(byte) = input.get_mut(cut) {
            *byte ^= 1 << chance.below(8);
            let _ = A::State::decode(&mut &input[..]);
        }
        Ok(())
    }
}

impl<A: Aggregate> Case<'_, A> {
    /// The bytes of a state are all there is to it: what is read from them takes events as what was written
    /// does, and shows the same.
    fn goes_on(&self, written: &A::State, read: &A::State) -> Result<(), Broken> {
        const LAW: &str = "that the bytes of a state are all of it";
        let shown = |state: &A::State| serde_json::to_vec(&self.aggregate.value(state)).ok();
        if let (Some(one), Some(other)) = (shown(read), shown(written))
            && one != other
        {
            return Err(self.broken(LAW, &one, &other));
        }
        let mut both = [read.clone(), written.clone()];
        for state in &mut both {
            for at in &self.taken {
                let (event, place) = &self.events[*at];
                self.aggregate.add(event, *place, state);
            }
        }
        self.same(LAW, &both[0], &both[1])?;
        self.same(
            LAW,
            &self.merged(read, written),
            &self.merged(written, written),
        )
    }
}

fn bytes<S: State>(state: &S) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    const MOST: usize = 64;
    let mut text = String::new();
    for byte in bytes.iter().take(MOST) {
        // Writing to text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > MOST {
        text.push_str("..");
    }
    text
}

/// Small, and the same everywhere (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        let drawn = mix(self.0);
        self.0 = self.0.wrapping_add(GOLDEN);
        drawn
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % (limit.max(1) as u64)) as usize
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}

#[cfg(test)]
mod tests;
