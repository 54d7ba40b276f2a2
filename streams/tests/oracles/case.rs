//! A case as its file has it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::value::Dyn;

/// Key, value, timestamp; `null` for a timestamp that does not count.
pub(crate) type Row = (Dyn, Dyn, Option<i64>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) source: String,
    #[allow(dead_code, reason = "for readers")]
    note: Option<String>,
    pub(crate) here: Option<Here>,
    pub(crate) time: Time,
    #[serde(default)]
    pub(crate) topology: Vec<Node>,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    pub(crate) observe: Option<Vec<String>>,
    pub(crate) expect_final: Option<BTreeMap<String, Vec<Row>>>,
    pub(crate) latest: Option<BTreeMap<String, Vec<Row>>>,
    pub(crate) stores: Option<BTreeMap<String, Vec<Row>>>,
    pub(crate) dropped: Option<u64>,
    pub(crate) sorted: Option<Sorted>,
    pub(crate) compare: Option<Compare>,
    pub(crate) error: Option<String>,
    pub(crate) says: Option<String>,
    pub(crate) watermark_is: Option<WatermarkIs>,
    pub(crate) timestamp_is: Option<TimestampIs>,
    #[serde(flatten)]
    pub(crate) other: Other,
}

/// How a case comes out here on purpose, where that is not as published.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Here {
    pub(crate) why: String,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// What differs from the published case, laid over it: then all of it holds.
    Instead(Value),
    /// There is no way to write it, as this says.
    NoWay(String),
}

/// A timestamp and the windows that it is in.
pub(crate) type Assigned = (i64, Vec<(i64, i64)>);

/// What only cases without a topology have.
#[derive(Deserialize)]
pub(crate) struct Other {
    pub(crate) windows: Option<Value>,
    pub(crate) accept: Option<bool>,
    pub(crate) emit: Option<String>,
    pub(crate) retention: Option<i64>,
    pub(crate) assign: Option<Vec<Assigned>>,
    pub(crate) relation: Option<Vec<Value>>,
    pub(crate) merge: Option<Value>,
    pub(crate) merge_steps: Option<Vec<Value>>,
    pub(crate) sessions: Option<Value>,
    pub(crate) watermarks: Option<Vec<Value>>,
    pub(crate) generator: Option<Value>,
    pub(crate) combine: Option<String>,
    pub(crate) inputs: Option<Vec<Value>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Time {
    Stream,
    Watermark,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compare {
    Set,
    Sorted,
    SortedValue,
    Last,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WatermarkIs {
    Exclusive,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimestampIs {
    Earliest,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Sorted {
    All(bool),
    Ids(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    #[serde(rename = "in")]
    pub(crate) topic: Option<String>,
    pub(crate) r: Option<(Dyn, Dyn, i64)>,
    pub(crate) watermark: Option<i64>,
    pub(crate) wall: Option<u64>,
    pub(crate) restart: Option<bool>,
    pub(crate) expect: Option<BTreeMap<String, Vec<Row>>>,
    pub(crate) stores: Option<BTreeMap<String, Vec<Row>>>,
    pub(crate) error: Option<String>,
    pub(crate) says: Option<String>,
    pub(crate) unread: Option<bool>,
}

/// A node. Whoever builds it asks for its fields; one that nobody has asked for fails the case.
#[derive(Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) op: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
    #[serde(skip)]
    asked: RefCell<BTreeSet<&'static str>>,
}

impl Node {
    pub(crate) fn get(&self, field: &'static str) -> Option<&Value> {
        self.asked.borrow_mut().insert(field);
        self.fields.get(field)
    }

    /// A field that has to be there.
    pub(crate) fn need(&self, field: &'static str) -> Result<&Value, String> {
        self.get(field)
            .ok_or_else(|| format!("{}: no field {field:?}", self.id))
    }

    pub(crate) fn text(&self, field: &'static str) -> Option<&str> {
        self.get(field).and_then(Value::as_str)
    }

    pub(crate) fn need_text(&self, field: &'static str) -> Result<&str, String> {
        self.text(field)
            .ok_or_else(|| format!("{}: no text in the field {field:?}", self.id))
    }

    pub(crate) fn int(&self, field: &'static str) -> Option<i64> {
        self.get(field).and_then(Value::as_i64)
    }

    pub(crate) fn flag(&self, field: &'static str) -> bool {
        self.get(field).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A list of texts.
    pub(crate) fn texts(&self, field: &'static str) -> Result<Vec<String>, String> {
        let list = self.need(field)?.as_array();
        let texts = list.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned));
        Ok(texts
            .ok_or_else(|| format!("{}: {field:?} is no list", self.id))?
            .collect())
    }

    /// Fields that nobody has asked for.
    pub(crate) fn unasked(&self) -> Vec<&str> {
        let asked = self.asked.borrow();
        let fields = self.fields.keys().map(String::as_str);
        fields.filter(|field| !asked.contains(field)).collect()
    }
}
