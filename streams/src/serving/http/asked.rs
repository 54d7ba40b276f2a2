//! What stands behind the `?` of a URL.

use axum::extract::RawQuery;

use super::refusal::Refusal;
use crate::serving::Coverage;
use crate::serving::merged::Ask;

/// The most rows of one answer.
const MOST_ROWS: usize = 1_000;
const USUAL_ROWS: usize = 100;
/// The most keys of one answer.
const MOST_KEYS: usize = 100;

/// Parameters by their names.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pairs: Vec<(String, String)>,
    pub(super) ask: Ask,
    /// Whether the parts of the snapshot and of the speed layer are to be told, too.
    pub(super) parts: bool,
}

impl Asked {
    /// Takes no others than those named, each once; keys may be several. None of them is empty but a key: who
    /// asks with an empty `at_least` has lost what was to stand there.
    pub(super) fn of(RawQuery(query): RawQuery, known: &[&str]) -> Result<Self, Refusal> {
        let pairs = pairs(&query.unwrap_or_default())?;
        for (at, (name, value)) in pairs.iter().enumerate() {
            if !known.contains(&&**name) {
                let reason = match known {
                    [] => "there are none here".to_owned(),
                    known => format!("there are only {}", known.join(", ")),
                };
                return Err(Refusal::parameter(name, reason));
            }
            if name != "key" && pairs[..at].iter().any(|(other, _)| other == name) {
                return Err(Refusal::parameter(name, "it is there twice"));
            }
            if name != "key" && name != "at_least" && value.is_empty() {
                return Err(Refusal::parameter(name, "it is empty: leave it out"));
            }
        }
        let mut asked = Self {
            pairs,
            ..Self::default()
        };
        asked.ask.snapshot = asked.number("snapshot")?;
        asked.parts = match asked.get("parts") {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                let reason = format!("true or false are expected, not {other:?}");
                return Err(Refusal::parameter("parts", reason));
            }
        };
        if let Some(text) = asked.get("at_least") {
            let at_least = text.parse::<Coverage>();
            let at_least = at_least.map_err(|error| Refusal::coverage(&error))?;
            if at_least.is_empty() {
                return Err(Refusal::coverage(&"it names no partition: leave it out"));
            }
            asked.ask.at_least = Some(at_least);
        }
        Ok(asked)
    }

    /// Makes sure that no topic and no partition has to be covered that the view does not read: that would
    /// never be.
    pub(super) fn only_of(&self, topics: &[(&str, i32)]) -> Result<(), Refusal> {
        for (topic, partition, _) in self.ask.at_least.iter().flat_map(Coverage::iter) {
            match topics.iter().find(|(own, _)| *own == topic) {
                None => return Err(Refusal::other_topic(topic, topics)),
                Some((_, partitions)) if partition >= *partitions => {
                    let reason = format!(
                        "topic {topic} has {partitions} partitions, and {partition} is none of them"
                    );
                    return Err(Refusal::coverage(&reason));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// A parameter's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| &**value)
    }

    /// All keys.
    pub(super) fn keys(&self) -> Result<Vec<&str>, Refusal> {
        let keys = self.pairs.iter().filter(|(name, _)| name == "key");
        let keys: Vec<&str> = keys.map(|(_, value)| &**value).collect();
        match keys.len() {
            0 => Err(Refusal::parameter("key", "name some: key=a&key=b")),
            1..=MOST_KEYS => Ok(keys),
            many => {
                let reason = format!("{many} keys are more than the {MOST_KEYS} of one answer");
                Err(Refusal::parameter("key", reason))
            }
        }
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Refusal>
    where
        N::Err: std::fmt::Display,
    {
        let number = self.get(name).map(str::parse).transpose();
        number.map_err(|error: N::Err| {
            Refusal::parameter(name, format!("a number is expected: {error}"))
        })
    }

    /// Milliseconds since 1970.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.number(name)
    }

    /// How many rows are wanted.
    pub(super) fn limit(&self, name: &str) -> Result<usize, Refusal> {
        let limit = self.number(name)?.unwrap_or(USUAL_ROWS);
        if (1..=MOST_ROWS).contains(&limit) {
            Ok(limit)
        } else {
            Err(Refusal::parameter(
                name,
                format!("1 to {MOST_ROWS} are expected"),
            ))
        }
    }
}

/// Takes names and values apart, as forms write them. Nothing is made to fit: what is no text is refused,
/// as it is in a path.
fn pairs(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    let pairs = pieces.map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = plain(name).map_err(|reason| Refusal::parameter("?", reason))?;
        let value = plain(value).map_err(|reason| Refusal::parameter(&name, reason))?;
        Ok((name, value))
    });
    pairs.collect()
}

fn plain(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit(), digit());
                let byte = high.zip(low).map(|(high, low)| (high * 16 + low) as u8);
                byte.ok_or("two hexadecimal digits are expected behind each %")?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_values_are_taken_apart() {
        let found = pairs("a=1&&b=x%2By+z%C3%A9&c&=d&e==").unwrap();
        let expected = [
            ("a", "1"),
            ("b", "x+y zé"),
            ("c", ""),
            ("", "d"),
            ("e", "="),
        ];
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        for bad in ["a=%FF", "%FF=a", "a=%", "a=%4", "a=%zz", "a=%+1", "a=%C3"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in ".{0,60}") {
            let known = ["key", "at_least", "snapshot", "parts"];
            let _ = Asked::of(RawQuery(Some(query)), &known);
        }
    }
}
