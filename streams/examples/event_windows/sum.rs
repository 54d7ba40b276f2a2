//! Sums of floats that do not depend on the order: "Adaptive Precision Floating-Point Arithmetic"
//! (Shewchuk, 1997), as in Python's `math.fsum`.

use serde::{Deserialize, Serialize};

/// A sum without any error: floats that do not overlap, the smallest first, whose sum it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct ExactSum(Vec<f64>);

impl ExactSum {
    pub(crate) fn add(&mut self, value: f64) {
        let (mut carried, mut kept) = (value, 0);
        for at in 0..self.0.len() {
            let (large, small) = match self.0[at] {
                part if part.abs() > carried.abs() => (part, carried),
                part => (carried, part),
            };
            carried = large + small;
            let lost = small - (carried - large);
            if lost != 0.0 {
                self.0[kept] = lost;
                kept += 1;
            }
        }
        self.0.truncate(kept);
        self.0.push(carried);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for part in &other.0 {
            self.add(*part);
        }
    }

    /// The float that is nearest to the sum.
    pub(crate) fn value(&self) -> f64 {
        let mut parts = self.0.iter().rev().copied();
        let mut sum = parts.next().unwrap_or(0.0);
        let mut lost = 0.0;
        for part in parts.by_ref() {
            let before = sum;
            sum = before + part;
            lost = part - (sum - before);
            if lost != 0.0 {
                break;
            }
        }
        // Where what was lost is exactly half of the last bit, what is smaller decides.
        if let Some(next) = parts.next()
            && (lost < 0.0) == (next < 0.0)
        {
            let doubled = lost * 2.0;
            let rounded = sum + doubled;
            if rounded - sum == doubled {
                sum = rounded;
            }
        }
        sum
    }
}
