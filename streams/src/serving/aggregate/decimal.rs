//! Exact decimal numbers.

use std::cmp::Ordering;
use std::fmt;
use std::ops::AddAssign;
use std::str::FromStr;

use num_bigint::{BigInt, Sign};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::codec::{Canonical, read_count, take, write_size};
use crate::data::DataError;

/// A decimal number of any size, exactly: `units * 10^-scale`. Sums of such numbers are the same in whatever
/// order they are added, which those of floats are not.
///
/// In JSON it is a number with all its digits. Read from JSON by serde it keeps the digits as they stand
/// there: `0.1` is a tenth, and not the float that is nearest to it.
///
/// ```
/// use tidemark_streams::serving::aggregate::Decimal;
///
/// let mut sum: Decimal = "0.1".parse()?;
/// sum += "0.2".parse()?;
/// assert_eq!(sum.to_string(), "0.3");
/// let read: Vec<Decimal> = serde_json::from_str("[99.99, 1e2, -0.50]").unwrap();
/// assert_eq!(serde_json::to_string(&read).unwrap(), "[99.99,100,-0.5]");
/// # Ok::<(), tidemark_streams::serving::aggregate::NoDecimal>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// Ends with another digit than 0 if `scale` is more than 0.
    units: Units,
    scale: u32,
}

/// The larger ones only where the smaller ones do not do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Units {
    Small(i128),
    Large(Box<BigInt>),
}

/// The most digits that a number which is read may have, its zeros in front of and behind the point counted.
/// No double has more before its point, and few have as many behind it.
const MOST_DIGITS: usize = 800;
/// The most bytes of the units of a state: a sum of 2^63 numbers, each of which has the most digits in front
/// of its point and the most behind it, has less.
const MOST_BYTES: usize = 1024;
/// A power of ten that an `i128` holds.
const SMALL_POWER: u32 = 38;

/// Text that is no decimal number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDecimal {
    /// It is not written as one.
    #[error("{0:?} is no decimal number: digits are expected, with a point or an exponent")]
    Text(String),
    /// It would be too long.
    #[error("a number of more than {MOST_DIGITS} digits (0 to 9 written out) is not taken")]
    TooLong,
}

impl Default for Decimal {
    fn default() -> Self {
        Self::from(0_i64)
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => { $(
        impl From<$integer> for Decimal {
            fn from(number: $integer) -> Self {
                Self {
                    units: Units::Small(i128::from(number)),
                    scale: 0,
                }
            }
        }
    )* };
}

from_integers! { i8 i16 i32 i64 i128 u8 u16 u32 u64 }

impl Decimal {
    /// `units * 10^-scale`: 9999 cents with a scale of 2 are 99.99.
    ///
    /// ```
    /// use tidemark_streams::serving::aggregate::Decimal;
    ///
    /// assert_eq!(Decimal::new(9999, 2)?.to_string(), "99.99");
    /// # Ok::<(), tidemark_streams::serving::aggregate::NoDecimal>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NoDecimal::TooLong`] if it has too many digits behind its point: a scale takes no memory, but what
    /// is added to such a number does.
    pub fn new(units: i128, scale: u32) -> Result<Self, NoDecimal> {
        match units == 0 || scale as usize <= MOST_DIGITS {
            true => Ok(Self::of_small(units, scale)),
            false => Err(NoDecimal::TooLong),
        }
    }

    /// Of a piece of JSON: a number, or text that is one.
    pub(crate) fn of_json(raw: &str) -> Result<Self, NoDecimal> {
        let raw = raw.trim();
        let text = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
        text.unwrap_or(raw).parse()
    }

    fn of_small(units: i128, scale: u32) -> Self {
        let (mut units, mut scale) = (units, scale);
        if units == 0 {
            scale = 0;
        }
        while scale > 0 && units % 10 == 0 {
            units /= 10;
            scale -= 1;
        }
        Self {
            units: Units::Small(units),
            scale,
        }
    }

    fn of_large(units: BigInt, scale: u32) -> Self {
        if let Ok(small) = i128::try_from(&units) {
            return Self::of_small(small, scale);
        }
        let (mut units, mut scale) = (units, scale);
        let ten = BigInt::from(10);
        while scale > 0 && &units % &ten == BigInt::ZERO {
            units /= &ten;
            scale -= 1;
        }
        match i128::try_from(&units) {
            Ok(small) => Self::of_small(small, scale),
            Err(_) => Self {
                units: Units::Large(Box::new(units)),
                scale,
            },
        }
    }

    /// The number whose shortest text is that of a float: for whoever has floats only. `None` for what is no
    /// number.
    #[must_use]
    pub fn of_f64(number: f64) -> Option<Self> {
        format!("{number:e}").parse().ok()
    }

    /// The float that is nearest to it.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.units == Units::Small(0)
    }

    fn large(&self) -> BigInt {
        match &self.units {
            Units::Small(units) => BigInt::from(*units),
            Units::Large(units) => (**units).clone(),
        }
    }

    /// The units at a scale that is not smaller than its own.
    fn at(&self, scale: u32) -> BigInt {
        self.large() * BigInt::from(10).pow(scale - self.scale)
    }
}

impl AddAssign for Decimal {
    fn add_assign(&mut self, other: Self) {
        let scale = self.scale.max(other.scale);
        if let (Units::Small(a), Units::Small(b)) = (&self.units, &other.units)
            && let (Some(a), Some(b)) = (
                scaled(*a, scale - self.scale),
                scaled(*b, scale - other.scale),
            )
            && let Some(sum) = a.checked_add(b)
        {
            *self = Self::of_small(sum, scale);
            return;
        }
        *self = Self::of_large(self.at(scale) + other.at(scale), scale);
    }
}

fn scaled(units: i128, by: u32) -> Option<i128> {
    match by {
        0 => Some(units),
        1..=SMALL_POWER => units.checked_mul(10_i128.checked_pow(by)?),
        _ => None,
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        if let (Units::Small(a), Units::Small(b)) = (&self.units, &other.units)
            && let (Some(a), Some(b)) = (
                scaled(*a, scale - self.scale),
                scaled(*b, scale - other.scale),
            )
        {
            return a.cmp(&b);
        }
        self.at(scale).cmp(&other.at(scale))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Decimal {
    type Err = NoDecimal;

    /// Reads what JSON has as a number.
    fn from_str(text: &str) -> Result<Self, NoDecimal> {
        let bad = || NoDecimal::Text(text.chars().take(60).collect());
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let digits = exponent.trim_start_matches(['+', '-']);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(bad());
                }
                (mantissa, exponent.parse().map_err(|_| NoDecimal::TooLong)?)
            }
            None => (text, 0_i32),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, mantissa),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let both = || whole.bytes().chain(part.bytes());
        if both().next().is_none() || !both().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let shift = i64::from(exponent) - part.len() as i64;
        let count = whole.len() + part.len();
        if count > MOST_DIGITS || shift.unsigned_abs() > MOST_DIGITS as u64 {
            // Zero is zero, however it is written.
            return match both().all(|byte| byte == b'0') {
                true => Ok(Self::default()),
                false => Err(NoDecimal::TooLong),
            };
        }
        let sign = if negative { -1 } else { 1 };
        let (up, scale) = match shift {
            0.. => (shift as u32, 0),
            _ => (0, -shift as u32),
        };
        if count <= SMALL_POWER as usize {
            let number = both().fold(0_i128, |sum, byte| sum * 10 + i128::from(byte - b'0'));
            if let Some(units) = scaled(number * sign, up) {
                return Ok(Self::of_small(units, scale));
            }
        }
        let digits: Vec<u8> = both().collect();
        let number = BigInt::parse_bytes(&digits, 10).ok_or_else(bad)?;
        Ok(Self::of_large(
            number * sign * BigInt::from(10).pow(up),
            scale,
        ))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (negative, digits) = match &self.units {
            Units::Small(units) => (*units < 0, units.unsigned_abs().to_string()),
            Units::Large(units) => (units.sign() == Sign::Minus, units.magnitude().to_string()),
        };
        if negative {
            f.write_str("-")?;
        }
        let scale = self.scale as usize;
        match digits.len().checked_sub(scale) {
            _ if scale == 0 => f.write_str(&digits),
            Some(whole @ 1..) => write!(f, "{}.{}", &digits[..whole], &digits[whole..]),
            _ => write!(f, "0.{digits:0>scale$}"),
        }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = RawValue::from_string(self.to_string());
        let text = text.map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    /// From JSON: a number, or text that is one. Not within what serde buffers first (`flatten`, `untagged`):
    /// the digits are gone then.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::of_json(raw.get()).map_err(serde::de::Error::custom)
    }
}

/// Scale, sign, and the magnitude's bytes, the highest first and none of them without need.
impl Canonical for Decimal {
    fn write(&self, into: &mut Vec<u8>) {
        write_size(u64::from(self.scale), into);
        let mut magnitude = |negative: bool, bytes: &[u8]| {
            into.push(u8::from(negative));
            write_size(bytes.len() as u64, into);
            into.extend_from_slice(bytes);
        };
        match &self.units {
            Units::Small(units) => {
                let bytes = units.unsigned_abs().to_be_bytes();
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                magnitude(*units < 0, &bytes[zeros..]);
            }
            Units::Large(units) => magnitude(
                units.sign() == Sign::Minus,
                &units.magnitude().to_bytes_be(),
            ),
        }
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, DataError> {
        let bad = || DataError::new("a decimal number that is none");
        let scale = super::codec::read_size(bytes)?;
        let scale = u32::try_from(scale).map_err(|_| bad())?;
        let [sign] = take(bytes)?;
        let sign = match sign {
            0 => Sign::Plus,
            1 => Sign::Minus,
            _ => return Err(bad()),
        };
        let size = read_count(bytes, 1)?;
        let (magnitude, rest) = bytes.split_at(size);
        *bytes = rest;
        if scale as usize > MOST_DIGITS || size > MOST_BYTES {
            return Err(bad());
        }
        let read = Self::of_large(BigInt::from_bytes_be(sign, magnitude), scale);
        // There is one way to write it.
        match read.scale == scale
            && magnitude.first() != Some(&0)
            && (size > 0 || sign == Sign::Plus)
        {
            true => Ok(read),
            false => Err(bad()),
        }
    }

    fn kind() -> String {
        "decimal".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_are_what_they_are_written_as() {
        let same = [
            ("0", "0"),
            ("-0", "0"),
            ("0.000", "0"),
            ("1", "1"),
            ("99.99", "99.99"),
            ("-0.50", "-0.5"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("12.5e-3", "0.0125"),
            ("100", "100"),
            ("1e-5", "0.00001"),
            ("0e999", "0"),
            (
                "123456789012345678901234567890123456789012345",
                "123456789012345678901234567890123456789012345",
            ),
            (
                "0.123456789012345678901234567890123456789012345",
                "0.123456789012345678901234567890123456789012345",
            ),
        ];
        for (text, shown) in same {
            assert_eq!(decimal(text).to_string(), shown, "{text}");
        }
        for text in [
            "", "-", ".", "1.2.3", "a", "1e", "1e+", "--1", "1 ", "NaN", "inf", "1e1.5",
        ] {
            assert!(
                matches!(text.parse::<Decimal>(), Err(NoDecimal::Text(_))),
                "{text}"
            );
        }
        for text in ["1e801", "1e-801", "1e99999999999", &"9".repeat(801)] {
            assert_eq!(text.parse::<Decimal>(), Err(NoDecimal::TooLong), "{text}");
        }
        assert_eq!(Decimal::new(-1500, 3), Ok(decimal("-1.5")));
        assert_eq!(Decimal::new(1, 801), Err(NoDecimal::TooLong));
        assert_eq!(Decimal::new(1, u32::MAX), Err(NoDecimal::TooLong));
        assert_eq!(Decimal::new(0, u32::MAX), Ok(Decimal::default()));
        assert_eq!(Decimal::of_f64(99.99), Some(decimal("99.99")));
        assert_eq!(Decimal::of_f64(f64::NAN), None);
        assert!(
            Decimal::of_f64(f64::MAX).is_some() && Decimal::of_f64(f64::MIN_POSITIVE).is_some()
        );
    }

    #[test]
    fn json_has_all_digits() {
        #[derive(Debug, PartialEq, Deserialize, Serialize)]
        struct Event {
            #[serde(default)]
            value: Decimal,
            more: Option<Decimal>,
        }
        let text =
            r#"{"value":0.1000000000000000055511151231257827,"more":12345678901234567890.5}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
        assert_eq!(
            serde_json::from_slice::<Event>(text.as_bytes()).unwrap(),
            event
        );
        let event: Event = serde_json::from_str(r#"{"more": null}"#).unwrap();
        assert_eq!(
            event,
            Event {
                value: Decimal::default(),
                more: None
            }
        );
        let event: Event = serde_json::from_str(r#"{"value": "7.50"}"#).unwrap();
        assert_eq!(event.value, decimal("7.5"));
        for text in [
            r#"{"value": true}"#,
            r#"{"value": "x"}"#,
            r#"{"value": []}"#,
            r#"{"value": 1e900}"#,
        ] {
            assert!(serde_json::from_str::<Event>(text).is_err(), "{text}");
        }
        let value: Decimal = serde_json::from_value(serde_json::json!(0.5)).unwrap();
        assert_eq!(value, decimal("0.5"));
    }

    fn any_decimal() -> impl Strategy<Value = Decimal> {
        prop_oneof![
            (any::<i64>(), 0_u32..12)
                .prop_map(|(units, scale)| Decimal::of_small(i128::from(units), scale)),
            "-?[0-9]{1,60}(\\.[0-9]{1,60})?".prop_map(|text| text.parse().unwrap()),
            any::<f64>().prop_filter_map("a number", Decimal::of_f64),
        ]
    }

    fn sum(numbers: &[Decimal]) -> Decimal {
        let mut sum = Decimal::default();
        numbers.iter().for_each(|number| sum += number.clone());
        sum
    }

    proptest! {
        #[test]
        fn sums_do_not_depend_on_the_order(
            (numbers, other) in proptest::collection::vec(any_decimal(), 0..12)
                .prop_flat_map(|numbers| (Just(numbers.clone()), Just(numbers).prop_shuffle())),
            split in 0_usize..12,
        ) {
            prop_assert_eq!(sum(&numbers), sum(&other));
            let (first, second) = other.split_at(split.min(other.len()));
            prop_assert_eq!(sum(&numbers), sum(&[sum(second), sum(first)]));
            // As whole numbers of the smallest unit they have the same sum.
            let scale = numbers.iter().map(|number| number.scale).max().unwrap_or(0);
            let whole: BigInt = numbers.iter().map(|number| number.at(scale)).sum();
            prop_assert_eq!(sum(&numbers).at(scale), whole);
        }

        #[test]
        fn they_are_in_the_order_of_their_units(a in any_decimal(), b in any_decimal()) {
            let scale = a.scale.max(b.scale);
            prop_assert_eq!(a.cmp(&b), a.at(scale).cmp(&b.at(scale)));
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        }

        #[test]
        fn what_is_written_is_read(number in any_decimal()) {
            let mut bytes = Vec::new();
            number.write(&mut bytes);
            let mut rest = &bytes[..];
            prop_assert_eq!(&Decimal::read(&mut rest).unwrap(), &number);
            prop_assert!(rest.is_empty());
            prop_assert_eq!(&decimal(&number.to_string()), &number);
            let json = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(serde_json::from_str::<Decimal>(&json).unwrap(), number);
        }

        #[test]
        fn there_is_one_way(input in proptest::collection::vec(any::<u8>(), 0..24)) {
            let mut rest = &input[..];
            if let Ok(number) = Decimal::read(&mut rest) {
                let mut bytes = Vec::new();
                number.write(&mut bytes);
                prop_assert_eq!(&bytes[..], &input[..input.len() - rest.len()]);
            }
        }
    }
}
