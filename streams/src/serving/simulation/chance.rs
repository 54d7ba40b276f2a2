//! What is drawn from a seed.

use std::ops::Range;

use crate::serving::aggregate::laws;

pub(super) struct Chance(laws::Chance);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(laws::Chance(seed))
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0.next() % limit.max(1)
    }

    pub(super) fn within(&mut self, range: Range<i64>) -> i64 {
        range.start + self.below((range.end - range.start).max(1) as u64) as i64
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
