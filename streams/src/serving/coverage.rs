//! Coverage: how far the log is in an answer.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidemark_client::TopicPartition;

/// By source partition, the offset of the first record that is *not* in an answer, a snapshot or a cut.
///
/// JSON: `{"user_events": {"0": 120, "1": 98}}`. Text: `user_events:0:120,user_events:1:98`, in the order
/// of topics and partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Coverage {
    /// By topic and partition. Every answer has one or two: a topic's name is there once, and is looked up
    /// without being copied. No topic is without a partition.
    topics: BTreeMap<String, BTreeMap<i32, i64>>,
}

/// The most partitions that a coverage that is read may name: as many as a cluster of brokers should have.
const MOST_PARTITIONS: usize = 200_000;

/// Text that is no coverage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCoverage {
    /// A part that is not `topic:partition:offset`.
    #[error(
        "{part:?} is no part of a coverage: write topic:partition:offset, several separated by commas, \
         with an offset of 0 or more"
    )]
    Part {
        /// The part.
        part: String,
    },
    /// A partition that is named twice.
    #[error("{topic}-{partition} is named twice: name each partition once")]
    Twice {
        /// Its topic.
        topic: String,
        /// Its number.
        partition: i32,
    },
    /// More partitions than there can be.
    #[error("more than {MOST_PARTITIONS} partitions: name those that matter")]
    TooLong,
}

impl Coverage {
    /// Nothing of anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How far that partition is covered: 0 if it is not named.
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> i64 {
        self.find(topic, partition).unwrap_or(0)
    }

    /// As [`Self::get`], `None` if the partition is not named.
    #[must_use]
    pub fn find(&self, topic: &str, partition: i32) -> Option<i64> {
        self.topics.get(topic)?.get(&partition).copied()
    }

    /// Sets how far a partition is covered.
    pub fn set(&mut self, topic: &str, partition: i32, offset: i64) {
        self.insert(topic, partition, offset);
    }

    /// As [`Self::set`]; gives what it was before.
    fn insert(&mut self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        if let Some(known) = self.topics.get_mut(topic) {
            return known.insert(partition, offset);
        }
        let first = BTreeMap::from([(partition, offset)]);
        self.topics.insert(topic.to_owned(), first);
        None
    }

    /// The partitions with their offsets, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            let each = partitions.iter();
            each.map(move |(partition, offset)| (&**topic, *partition, *offset))
        })
    }

    /// How many partitions are named.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics.values().map(BTreeMap::len).sum()
    }

    /// Whether no partition is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Whether this covers everything that `other` does.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.missing(other).next().is_none()
    }

    /// The partitions of `other` that this does not cover as far, with what is covered and what is asked
    /// for.
    pub fn missing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Missing> + 'a {
        other.iter().filter_map(|(topic, partition, wanted)| {
            let covered = self.get(topic, partition);
            (covered < wanted).then(|| Missing {
                partition: TopicPartition::new(topic, partition),
                covered,
                wanted,
            })
        })
    }

    /// How many offsets this is ahead of `other`, over all partitions.
    #[must_use]
    pub fn ahead_of(&self, other: &Self) -> u64 {
        let parts = self.iter().map(|(topic, partition, offset)| {
            let behind = other.get(topic, partition);
            u64::try_from(offset.saturating_sub(behind)).unwrap_or(0)
        });
        parts.fold(0, u64::saturating_add)
    }

    /// The farther one of both for each partition.
    pub fn extend(&mut self, other: &Self) {
        for (topic, partition, offset) in other.iter() {
            if self
                .find(topic, partition)
                .is_none_or(|covered| covered < offset)
            {
                self.set(topic, partition, offset);
            }
        }
    }
}

/// A partition that is not covered as far as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The partition.
    pub partition: TopicPartition,
    /// How far it is covered.
    pub covered: i64,
    /// How far it should be.
    pub wanted: i64,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (topic, partition, offset)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{topic}:{partition}:{offset}")?;
        }
        Ok(())
    }
}

impl FromStr for Coverage {
    type Err = BadCoverage;

    /// Reads either form.
    fn from_str(text: &str) -> Result<Self, BadCoverage> {
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|error| BadCoverage::Part {
                part: format!("{} ({})", shown(text), shown(&error.to_string())),
            });
        }
        let mut coverage = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            // Topics have no colons.
            let bad = || BadCoverage::Part { part: shown(part) };
            let mut words = part.trim().split(':');
            let (Some(topic), Some(partition), Some(offset), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(bad());
            };
            coverage.put(topic, partition, offset.parse().map_err(|_| bad())?)?;
        }
        Ok(coverage)
    }
}

/// So much of a text that is not as it should be is shown again.
fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

impl Coverage {
    fn put(&mut self, topic: &str, partition: &str, offset: i64) -> Result<(), BadCoverage> {
        let number: Result<i32, _> = partition.parse();
        let number = number.ok().filter(|number| *number >= 0 && offset >= 0);
        let Some(number) = number.filter(|_| !topic.is_empty()) else {
            return Err(BadCoverage::Part {
                part: shown(&format!("{topic}:{partition}:{offset}")),
            });
        };
        if self.len() >= MOST_PARTITIONS {
            return Err(BadCoverage::TooLong);
        }
        match self.insert(topic, number, offset) {
            None => Ok(()),
            Some(_) => Err(BadCoverage::Twice {
                topic: shown(topic),
                partition: number,
            }),
        }
    }
}

impl Serialize for Coverage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.topics.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Coverage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let topics: Fields<Fields<i64>> = Deserialize::deserialize(deserializer)?;
        let mut coverage = Self::default();
        for (topic, partitions) in &topics.0 {
            for (partition, offset) in &partitions.0 {
                let put = coverage.put(topic, partition, *offset);
                put.map_err(D::Error::custom)?;
            }
        }
        Ok(coverage)
    }
}

/// The fields of a JSON object, also those that are there twice: a map would take the last one without a word.
struct Fields<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Fields<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Each<V> {
            type Value = Fields<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<V>, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Each(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coverage(text: &str) -> Coverage {
        text.parse().unwrap()
    }

    #[test]
    fn both_forms_are_read() {
        let text = "clicks:0:7,clicks:10:9,user_events:2:0";
        let json = r#"{"clicks":{"0":7,"10":9},"user_events":{"2":0}}"#;
        assert_eq!(coverage(text), coverage(json));
        assert_eq!(coverage(json).to_string(), text);
        assert_eq!(serde_json::to_string(&coverage(text)).unwrap(), json);
        assert_eq!(coverage(""), Coverage::new());
        assert_eq!(coverage("{}"), Coverage::new());
    }

    #[test]
    fn what_is_no_coverage_is_told() {
        let bad = [
            "a",
            "a:0",
            "a:0:x",
            "a:x:0",
            "a:0:-1",
            "a:-1:0",
            ":0:0",
            "a:0:1:2",
            "a:99999999999:0",
            "{",
            r#"{"a":3}"#,
            r#"{"a":{"x":3}}"#,
            r#"{"a":{"0":-3}}"#,
            r#"{"":{"0":3}}"#,
            r#"{"a":{"0":3,"0":3}}"#,
            r#"{"a":{"0":3,"00":4}}"#,
            r#"{"a":{"0":3},"a":{"0":4}}"#,
        ];
        for text in bad {
            let error = text.parse::<Coverage>().unwrap_err();
            assert!(matches!(error, BadCoverage::Part { .. }), "{text}: {error}");
        }
        let long = "x".repeat(10_000);
        for text in [
            format!("{{\"{long}\":3}}"),
            long.clone(),
            format!("{long}:0:-1"),
            format!("{long}:0:1,{long}:0:1"),
        ] {
            let error = text.parse::<Coverage>().unwrap_err().to_string();
            assert!(error.len() < 600, "{}", error.len());
        }
        let twice = "a:0:1,a:0:2".parse::<Coverage>().unwrap_err();
        assert_eq!(
            twice.to_string(),
            "a-0 is named twice: name each partition once"
        );
    }

    #[test]
    fn what_is_missing_is_said_with_both_numbers() {
        let (have, want) = (coverage("a:0:5,a:1:9"), coverage("a:0:7,a:1:9,b:0:1"));
        let missing: Vec<_> = have.missing(&want).collect();
        let expected =
            [("a", 0, 5, 7), ("b", 0, 0, 1)].map(|(topic, number, covered, wanted)| Missing {
                partition: TopicPartition::new(topic, number),
                covered,
                wanted,
            });
        assert_eq!(missing, expected);
        assert!(!have.includes(&want));
        assert_eq!((have.ahead_of(&want), want.ahead_of(&have)), (0, 3));
        let mut both = have.clone();
        both.extend(&want);
        assert!(both.includes(&have) && both.includes(&want));
        assert_eq!(both, want);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in proptest::collection::btree_map(
            ("[a-z._-]{1,5}", 0_i32..50), 0_i64.., 0..20,
        )) {
            let mut written = Coverage::new();
            for ((topic, partition), offset) in &parts {
                written.set(topic, *partition, *offset);
            }
            prop_assert_eq!(&coverage(&written.to_string()), &written);
            prop_assert_eq!(&coverage(&serde_json::to_string(&written).unwrap()), &written);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = text.parse::<Coverage>();
        }
    }
}
