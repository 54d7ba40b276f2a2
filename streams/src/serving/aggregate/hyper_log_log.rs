//! About how many distinct values there are, in little memory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use twox_hash::XxHash64;

use super::codec::{Canonical, read_count, take, write_size};
use super::{Aggregate, State};
use crate::data::DataError;
use crate::serving::Place;

/// About how many distinct values events have, with a relative error of about `1.04 / sqrt(2^precision)`
/// (HyperLogLog: Flajolet et al. 2007; the estimate: Ertl 2017, arXiv:1702.01284). The states are exact: the
/// largest rank of each register, whatever the order.
///
/// ```
/// use tidemark_streams::serving::Place;
/// use tidemark_streams::serving::aggregate::{Aggregate, HyperLogLog};
///
/// let users = HyperLogLog::of(12, |user: &u64| *user);
/// let mut state = users.empty();
/// (0..1000).for_each(|user| users.add(&user, Place::default(), &mut state));
/// assert!((950..1050).contains(&users.value(&state)));
/// ```
pub struct HyperLogLog<E, T> {
    precision: u32,
    of: Box<dyn Fn(&E) -> T + Send + Sync>,
}

impl<E, T: Canonical> HyperLogLog<E, T> {
    /// Of what `of` gives of each event. A precision below 4 counts as 4, one above 18 as 18: with 2^18
    /// registers the error is 0.2 %.
    pub fn of(precision: u32, of: impl Fn(&E) -> T + Send + Sync + 'static) -> Self {
        Self {
            precision: precision.clamp(4, 18),
            of: Box::new(of),
        }
    }
}

/// The registers that are not 0, by their numbers, as long as they are few; else all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    precision: u32,
    ranks: Ranks,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ranks {
    Few(BTreeMap<u32, u8>),
    All(Vec<u8>),
}

impl Registers {
    fn new(precision: u32) -> Self {
        Self {
            precision,
            ranks: Ranks::Few(BTreeMap::new()),
        }
    }

    fn size(&self) -> usize {
        1 << self.precision
    }

    /// So many registers are few.
    fn few(&self) -> usize {
        self.size() / 16
    }

    fn put(&mut self, register: u32, rank: u8) {
        let (size, few) = (self.size(), self.few());
        match &mut self.ranks {
            Ranks::Few(ranks) => {
                let own = ranks.entry(register).or_default();
                *own = rank.max(*own);
                if ranks.len() > few {
                    let mut all = vec![0; size];
                    for (register, rank) in ranks {
                        all[*register as usize] = *rank;
                    }
                    self.ranks = Ranks::All(all);
                }
            }
            Ranks::All(ranks) => {
                let own = &mut ranks[register as usize];
                *own = rank.max(*own);
            }
        }
    }

    fn count(&mut self, hash: u64) {
        let register = (hash >> (64 - self.precision)) as u32;
        let rest = hash << self.precision;
        let bits = 64 - self.precision;
        let rank = rest.leading_zeros().min(bits) + 1;
        self.put(register, rank as u8);
    }

    /// The registers that the same values give at a precision that is not higher: what a register's number
    /// loses stands in front of the bits whose zeros are counted. States of one aggregate have one precision,
    /// but those from a file may have any.
    fn coarser(&self, precision: u32) -> Cow<'_, Self> {
        let lost = self.precision.saturating_sub(precision);
        if lost == 0 {
            return Cow::Borrowed(self);
        }
        let mut coarse = Self::new(precision);
        self.each(|register, rank| {
            let bits = register & ((1 << lost) - 1);
            let rank = match bits {
                0 => u32::from(rank) + lost,
                _ => bits.leading_zeros() - (u32::BITS - lost) + 1,
            };
            coarse.put(register >> lost, rank as u8);
        });
        Cow::Owned(coarse)
    }

    fn each(&self, mut tell: impl FnMut(u32, u8)) {
        match &self.ranks {
            Ranks::Few(ranks) => ranks
                .iter()
                .for_each(|(register, rank)| tell(*register, *rank)),
            Ranks::All(ranks) => {
                let all = ranks.iter().zip(0..);
                let all = all.filter(|(rank, _)| **rank > 0);
                all.for_each(|(rank, register)| tell(register, *rank));
            }
        }
    }

    /// Ertl's improved estimate: no table, no bias to correct.
    fn estimate(&self) -> u64 {
        let bits = (64 - self.precision) as usize;
        let size = self.size() as f64;
        let mut counts = vec![0_u64; bits + 2];
        let mut used = 0;
        self.each(|_, rank| {
            counts[usize::from(rank)] += 1;
            used += 1;
        });
        counts[0] = self.size() as u64 - used;
        let mut z = size * tau(1.0 - counts[bits + 1] as f64 / size);
        for count in counts[1..=bits].iter().rev() {
            z = 0.5 * (z + *count as f64);
        }
        z += size * sigma(counts[0] as f64 / size);
        let alpha = 0.5 / std::f64::consts::LN_2;
        (alpha * size * size / z).round() as u64
    }
}

fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

/// The precision; then how many registers are not 0 and, if they are few, each with its rank; else the ranks
/// of all.
impl State for Registers {
    fn encode(&self, into: &mut Vec<u8>) {
        into.push(self.precision as u8);
        match &self.ranks {
            Ranks::Few(ranks) => {
                write_size(ranks.len() as u64, into);
                for (register, rank) in ranks {
                    write_size(u64::from(*register), into);
                    into.push(*rank);
                }
            }
            Ranks::All(ranks) => {
                let used = ranks.iter().filter(|rank| **rank > 0).count();
                write_size(used as u64, into);
                into.extend(ranks);
            }
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        let bad = || DataError::new("registers that no HyperLogLog has");
        let [precision] = take(bytes)?;
        let mut state = Self::new(u32::from(precision));
        if !(4..=18).contains(&precision) {
            return Err(bad());
        }
        let highest = 64 - precision + 1;
        let used = read_count(bytes, 1)?;
        if used > state.few() {
            if bytes.len() < state.size() {
                return Err(bad());
            }
            let (ranks, rest) = bytes.split_at(state.size());
            *bytes = rest;
            let right = ranks.iter().filter(|rank| **rank > 0).count() == used;
            if !right || ranks.iter().any(|rank| *rank > highest) {
                return Err(bad());
            }
            state.ranks = Ranks::All(ranks.to_vec());
            return Ok(state);
        }
        let mut least = 0;
        for _ in 0..used {
            let register = super::codec::read_size(bytes)?;
            let [rank] = take(bytes)?;
            if register < least || register >= state.size() as u64 || !(1..=highest).contains(&rank)
            {
                return Err(bad());
            }
            least = register + 1;
            state.put(register as u32, rank);
        }
        Ok(state)
    }
}

impl<E, T> Aggregate for HyperLogLog<E, T>
where
    E: Send + Sync + 'static,
    T: Canonical + 'static,
{
    type Event = E;
    type State = Registers;
    type Value = u64;

    fn describe(&self) -> String {
        format!(
            "distinct {}, approximately: HyperLogLog of precision {} over XXH64",
            T::kind(),
            self.precision
        )
    }

    fn empty(&self) -> Registers {
        Registers::new(self.precision)
    }

    fn add(&self, event: &E, _at: Place, state: &mut Registers) {
        let mut bytes = Vec::new();
        (self.of)(event).write(&mut bytes);
        state.count(XxHash64::oneshot(0, &bytes));
    }

    fn merge(&self, state: &mut Registers, other: Registers) {
        if other.precision < state.precision {
            *state = state.coarser(other.precision).into_owned();
        }
        other
            .coarser(state.precision)
            .each(|register, rank| state.put(register, rank));
    }

    fn value(&self, state: &Registers) -> u64 {
        state.estimate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers that are kept are of this hash: another one would count everything twice.
    #[test]
    fn the_hash_is_that_of_its_specification() {
        assert_eq!(XxHash64::oneshot(0, b""), 0xef46_db37_51d8_e999);
        assert_eq!(XxHash64::oneshot(0, b"abc"), 0x44bc_2cf5_ad77_0999);
    }

    /// States of other precisions do no harm: what is merged is what the lower one gives.
    #[test]
    fn the_lower_precision_is_that_of_all() {
        let at = |precision, users: std::ops::Range<u64>| {
            let own = HyperLogLog::of(precision, |user: &u64| *user);
            let mut state = own.empty();
            users.for_each(|user| own.add(&user, Place::default(), &mut state));
            (own, state)
        };
        for split in [0, 1, 40, 3_000, 5_000] {
            let (_, expected) = at(5, 0..5_000);
            let ((coarse, low), (fine, high)) = (at(5, 0..split), at(12, split..5_000));
            let (mut one, mut other) = (low.clone(), high.clone());
            coarse.merge(&mut one, high);
            fine.merge(&mut other, low);
            assert_eq!((&one, &other), (&expected, &expected), "{split}");
        }
    }

    /// Within three standard errors, for few and for many.
    #[test]
    fn it_is_about_right() {
        for precision in [4, 10, 14, 18] {
            let error = 1.04 / f64::from(1 << precision).sqrt();
            for count in [0_u64, 1, 10, 1_000, 100_000] {
                let users = HyperLogLog::of(precision, |user: &u64| *user);
                let mut state = users.empty();
                for user in 0..count {
                    users.add(&(user * 7 + 3), Place::default(), &mut state);
                    users.add(&(user * 7 + 3), Place::default(), &mut state);
                }
                let (found, wanted) = (users.value(&state) as f64, count as f64);
                let most = (3.0 * error * wanted).max(0.5);
                assert!(
                    (found - wanted).abs() <= most,
                    "{precision}: {found}, not {wanted}"
                );
            }
        }
    }
}
