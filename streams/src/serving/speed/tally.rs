//! How much has gone into something.

use serde::{Deserialize, Serialize};

/// Counts of records, and a sum over their places: two readings of the same records have the same tally,
/// and readings of which one has a record more, less or twice do not. Tallies are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records that were read, bad ones among them.
    pub records: u64,
    /// Records that are in no state: what the view cannot read, or has no key for.
    pub bad: u64,
    /// The sum of the hashes of all offsets, modulo 2^64; 16 hexadecimal digits in JSON, where many a reader
    /// has no numbers that large.
    #[serde(with = "hexadecimal")]
    pub places: u64,
    /// The smallest event time, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_time: Option<i64>,
    /// The largest event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time: Option<i64>,
}

impl Tally {
    /// Counts the record at that offset.
    pub(crate) fn record(&mut self, offset: i64) {
        self.records += 1;
        self.places = self.places.wrapping_add(hash(offset));
    }

    /// Counts the last record as one that is in no state.
    pub(crate) fn bad(&mut self) {
        self.bad += 1;
    }

    /// Notes the time of an event.
    pub(crate) fn time(&mut self, time: i64) {
        self.min_time = Some(self.min_time.map_or(time, |min| min.min(time)));
        self.max_time = Some(self.max_time.map_or(time, |max| max.max(time)));
    }

    /// Adds what another one has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.bad += other.bad;
        self.places = self.places.wrapping_add(other.places);
        for time in [other.min_time, other.max_time].into_iter().flatten() {
            self.time(time);
        }
    }
}

mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{number:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits
            .then(|| u64::from_str_radix(&text, 16).ok())
            .flatten();
        number.ok_or_else(|| D::Error::custom("16 hexadecimal digits are expected"))
    }
}

/// The hash of an offset, the same for ever: it stands in manifests.
fn hash(offset: i64) -> u64 {
    mix(offset as u64)
}

/// The step of SplitMix64.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes all bits of a number into all bits of another one (a draw of SplitMix64 with that state).
pub(crate) fn mix(state: u64) -> u64 {
    let mut bits = state.wrapping_add(GOLDEN);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(offsets: &[i64]) -> Tally {
        let mut tally = Tally::default();
        offsets.iter().for_each(|offset| tally.record(*offset));
        tally
    }

    #[test]
    fn a_tally_tells_readings_apart() {
        assert_eq!(of(&[3, 1, 2]), of(&[1, 2, 3]));
        assert_ne!(of(&[1, 2, 4]), of(&[1, 2, 3]));
        assert_ne!(of(&[1, 2, 2]), of(&[1, 2, 3]));
        assert_ne!(of(&[0, 3]), of(&[1, 2]));
        let mut sum = of(&[1]);
        sum.time(7);
        let mut other = of(&[2]);
        other.time(-3);
        other.bad();
        sum.add(&other);
        let mut all = of(&[1, 2]);
        (all.bad, all.min_time, all.max_time) = (1, Some(-3), Some(7));
        assert_eq!(sum, all);
    }

    /// It stands in manifests, so it never changes.
    #[test]
    fn the_hash_is_the_same_for_ever() {
        assert_eq!(hash(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(hash(1), 0x910a_2dec_8902_5cc1);
    }
}
