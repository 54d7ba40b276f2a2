//! Numbers in JSON, in their order: with all their digits, however many these are.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// `0.DIGITS * 10^point`, or as much below zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    point: i64,
    /// Neither the first nor the last one is a 0; there are none of zero.
    digits: Vec<u8>,
}

impl Number {
    /// The number in a field of a value, `a.b` say; a number among the names is a place in an array. Without a
    /// name it is the value itself. Text that is a number is one, too.
    pub(super) fn of(value: &str, by: Option<&str>) -> Option<Self> {
        let mut names = by.into_iter().flat_map(|by| by.split('.'));
        let found = names.try_fold(value, field)?;
        let text = found
            .strip_prefix('"')
            .and_then(|own| own.strip_suffix('"'));
        Self::read(text.unwrap_or(found))
    }

    fn read(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (text, 0_i64),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, mantissa),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let digits = [whole, part].concat().into_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let is_digit = |digit: &u8| *digit != b'0';
        let Some(first) = digits.iter().position(is_digit) else {
            return Some(Self {
                negative: false,
                point: 0,
                digits: Vec::new(),
            });
        };
        let last = digits.iter().rposition(is_digit)?;
        Some(Self {
            negative,
            point: exponent.checked_add(whole.len() as i64 - first as i64)?,
            digits: digits[first..=last].to_vec(),
        })
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => -1,
        }
    }
}

fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let found: &RawValue = if json.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        items.get(name.parse::<usize>().ok()?)?
    } else {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).ok()?;
        fields.get(name)?
    };
    Some(found.get())
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sizes = || (self.point, &self.digits).cmp(&(other.point, &other.digits));
        match self.sign().cmp(&other.sign()) {
            Ordering::Equal if self.negative => sizes().reverse(),
            Ordering::Equal => sizes(),
            signs => signs,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::serving::aggregate::Decimal;

    fn number(text: &str) -> Number {
        Number::read(text).unwrap()
    }

    #[test]
    fn numbers_are_in_their_order_whatever_their_digits() {
        let large = format!("1{}", "0".repeat(900));
        let larger = format!("1{}.1", "0".repeat(900));
        let ascending = [
            "-1e400",
            "-9007199254740993",
            "-9007199254740992",
            "-0.2",
            "-0.1",
            "0",
            "0.09999999999999999999999999",
            "0.1",
            "1",
            "1.00000000000000000001",
            "9007199254740992",
            "9007199254740993",
            "10000000000000000.1",
            "10000000000000000.2",
            "1e400",
            &large,
            &larger,
            "1e999999",
        ];
        for (at, text) in ascending.iter().enumerate() {
            for (other_at, other) in ascending.iter().enumerate() {
                assert_eq!(
                    number(text).cmp(&number(other)),
                    at.cmp(&other_at),
                    "{text} {other}"
                );
            }
        }
        for same in ["1", "1.0", "10e-1", "0.1E+1", "01"] {
            assert_eq!(number(same), number("1"), "{same}");
        }
        for zero in ["0", "-0", "0.000", "0e99"] {
            assert_eq!(number(zero), number("0"), "{zero}");
        }
        let none = [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e1.5",
            "1 ",
            "NaN",
            "null",
            "{}",
            "1e99999999999999999999",
            "1e9223372036854775807",
            "2023-01-01",
        ];
        for text in none {
            assert_eq!(Number::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_names() {
        let value = r#"{"a":{"b":1.50,"c":["x","7"]},"d":null,"":2,"0":3}"#;
        let found = |by: &str| Number::of(value, Some(by));
        assert_eq!(found("a.b"), Some(number("1.5")));
        assert_eq!(found("a.c.1"), Some(number("7")));
        assert_eq!(found("0"), Some(number("3")));
        for none in ["a", "a.c", "a.c.0", "a.c.2", "a.c.-1", "d", "e", "a.b.c"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(Number::of("12", None), Some(number("12")));
        assert_eq!(Number::of("[3,4]", Some("1")), Some(number("4")));
        assert_eq!(Number::of("[3,4]", None), None);
        assert_eq!(Number::of("null", None), None);
    }

    proptest! {
        #[test]
        fn they_are_in_the_order_of_decimals(
            a in "-?[0-9]{1,30}(\\.[0-9]{1,30})?(e-?[0-9]{1,2})?",
            b in "-?[0-9]{1,30}(\\.[0-9]{1,30})?(e-?[0-9]{1,2})?",
        ) {
            let decimal = |text: &str| text.parse::<Decimal>().unwrap();
            prop_assert_eq!(number(&a).cmp(&number(&b)), decimal(&a).cmp(&decimal(&b)));
        }
    }
}
