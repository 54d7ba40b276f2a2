//! What stands behind the `?` of a URL.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::refusal::Refusal;
use crate::serving::Coverage;
use crate::serving::merged::Ask;

/// The most rows of one answer.
pub(super) const MOST_ROWS: usize = 1_000;
const USUAL_ROWS: usize = 100;
/// The most keys of one answer.
const MOST_KEYS: usize = 100;

/// Names and values as axum takes them apart.
pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Parameters by their names.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pairs: Vec<(String, String)>,
    pub(super) ask: Ask,
    /// Whether the parts of the snapshot and of the speed layer are to be told, too.
    pub(super) parts: bool,
}

impl Asked {
    /// Takes no others than those named, each once; keys may be several.
    pub(super) fn of(pairs: Pairs, known: &[&str]) -> Result<Self, Refusal> {
        let Query(pairs) = pairs.map_err(|error| Refusal::parameter("?", error.body_text()))?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&&**name) {
                let reason = format!("there are only {}", known.join(", "));
                return Err(Refusal::parameter(name, reason));
            }
            if name != "key" && pairs[..at].iter().any(|(other, _)| other == name) {
                return Err(Refusal::parameter(name, "it is there twice"));
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
        let at_least = asked.get("at_least").map(str::parse).transpose();
        asked.ask.at_least = at_least.map_err(|error| Refusal::coverage(&error))?;
        Ok(asked)
    }

    /// Makes sure that no topic has to be covered that the view does not read: that would never be.
    pub(super) fn only_of(&self, topics: &[&str]) -> Result<(), Refusal> {
        let mut asked = self.ask.at_least.iter().flat_map(Coverage::iter);
        match asked.find(|(topic, ..)| !topics.contains(topic)) {
            None => Ok(()),
            Some((topic, ..)) => Err(Refusal::other_topic(topic, topics)),
        }
    }

    /// A parameter's value; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(own, _)| own == name);
        found
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
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
