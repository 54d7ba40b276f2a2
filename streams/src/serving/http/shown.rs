//! Answers as they are written.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::refusal::Refusal;
use crate::serving::Coverage;
use crate::serving::merged::Merged;

/// The answer for a key, or a row of several.
#[derive(Serialize)]
pub(super) struct Shown<'a, V> {
    pub(super) key: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<Window>,
    pub(super) value: Option<V>,
    /// Not in a row: there it is that of the whole answer.
    #[serde(flatten)]
    pub(super) about: Option<About<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<Parts<V>>,
    #[serde(rename = "final")]
    pub(super) is_final: bool,
}

/// Milliseconds since 1970.
#[derive(Serialize)]
pub(super) struct Window {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// What an answer is made of.
#[derive(Serialize)]
pub(super) struct Parts<V> {
    pub(super) batch: Option<V>,
    pub(super) speed: Option<V>,
}

/// What belongs to all rows of an answer.
#[derive(Serialize)]
pub(super) struct About<'a> {
    begin: &'a Coverage,
    coverage: &'a Coverage,
    snapshot: Option<u64>,
    freshness_ms: Option<i64>,
}

impl<'a> About<'a> {
    pub(super) fn of<S>(merged: &'a Merged<S>, wall: i64) -> Self {
        Self {
            begin: &merged.begin,
            coverage: &merged.coverage,
            snapshot: merged.snapshot,
            freshness_ms: merged.fresh.map(|fresh| wall.saturating_sub(fresh).max(0)),
        }
    }
}

/// Keys in their order.
#[derive(Serialize)]
pub(super) struct Rows<'a> {
    pub(super) rows: Vec<Box<RawValue>>,
    /// What to ask with for the next ones.
    pub(super) next: Option<String>,
    #[serde(flatten)]
    pub(super) about: About<'a>,
}

/// Keys, each with a coverage of its own.
#[derive(Serialize)]
pub(super) struct Answers {
    pub(super) answers: Vec<Box<RawValue>>,
}

/// The largest ones.
#[derive(Serialize)]
pub(super) struct Top<'a> {
    pub(super) by: Option<&'a str>,
    pub(super) rows: Vec<Box<RawValue>>,
    /// How many keys have a number there.
    pub(super) ranked: u64,
    /// How many have none.
    pub(super) left_out: u64,
    #[serde(flatten)]
    pub(super) about: About<'a>,
}

pub(super) fn written<T: Serialize>(value: &T) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|error| Refusal::internal(&error))
}

/// A part of an answer.
pub(super) fn part<T: Serialize>(value: &T) -> Result<Box<RawValue>, Refusal> {
    serde_json::value::to_raw_value(value).map_err(|error| Refusal::internal(&error))
}
