//! Applications of the streams library that tests run and end in every way: topologies, records for
//! them, and what has to come out whatever happens.
//!
//! What has to come out is found by plain loops over the whole input, that know nothing of operators,
//! stores or watermarks.

mod counts;
mod joins;
mod tables;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tidemark_client::producer::ProducerRecord;
use tidemark_streams::Topology;

pub use counts::{COUNTS, MERGED_COUNTS};
pub use joins::{STREAM_JOIN, WITHIN};
pub use tables::TABLE_JOIN;
pub use windows::{
    DIFFERENCE, GAP, HOPPING, LATE, SESSION_UPDATES, SESSIONS, SIZE, SLIDING, SUPPRESSED,
};

/// All of them.
pub const ALL: [&Application; 10] = [
    &COUNTS,
    &MERGED_COUNTS,
    &LATE,
    &HOPPING,
    &SLIDING,
    &SESSIONS,
    &SESSION_UPDATES,
    &SUPPRESSED,
    &STREAM_JOIN,
    &TABLE_JOIN,
];

/// How many keys there are. Those with even numbers are in partition 0 of a topic, the others in 1.
const KEYS: i64 = 8;
/// How many partitions each input has.
pub const PARTITIONS: i32 = 2;

/// An instance that dies without a word is a member of its group for so much longer, unless somebody removes
/// it. Brokers take no less.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// One of them. Its topics' names begin with an id, so that it can run many times on one cluster.
pub struct Application {
    /// What it is called.
    pub name: &'static str,
    /// Its input topics.
    pub inputs: &'static [&'static str],
    /// Its output topics, with one partition each; of keys and values that are text.
    pub outputs: &'static [&'static str],
    topology: fn(&dyn Fn(&str) -> String) -> Topology,
    /// Makes a record; key, and time about which it happens, are given.
    record: fn(&mut StdRng, Input) -> Input,
    expected: fn(&[Input]) -> Outputs,
}

/// A record of an input topic.
#[derive(Clone, Debug)]
pub struct Input {
    /// Counts them, from 0 on.
    pub number: i64,
    /// The topic, without the id.
    pub topic: &'static str,
    /// The key's number.
    pub key: i64,
    /// The value, if it has one.
    pub value: Option<String>,
    /// Milliseconds since 1970, even.
    pub timestamp: i64,
}

/// What has to be in an output topic in the end.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    /// These keys and values, each at least once, and no others.
    Records(BTreeSet<(String, String)>),
    /// The last value of each key; others may be there without a value.
    Latest(BTreeMap<String, String>),
}

/// By output topic, without the id.
pub type Outputs = BTreeMap<&'static str, Expected>;

impl Application {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|application| application.name == name)
    }

    /// The name of one of its topics.
    pub fn topic(&self, id: &str, topic: &str) -> String {
        format!("{id}-{topic}")
    }

    /// What it does, on topics of that id.
    pub fn topology(&self, id: &str) -> Topology {
        (self.topology)(&|topic| self.topic(id, topic))
    }

    /// So many more records for it, to be written in this order; `all` are those so far.
    pub fn more(&self, random: &mut StdRng, all: &mut Vec<Input>, count: usize) {
        let mut time = STEP * all.len() as i64;
        for _ in 0..count {
            let input = Input {
                number: all.len() as i64,
                topic: self.inputs[random.random_range(0..self.inputs.len())],
                key: random.random_range(0..KEYS),
                value: Some(format!("v{}", all.len())),
                timestamp: time - 2 * random.random_range(0..DISORDER / 2),
            };
            all.push((self.record)(random, input));
            time += STEP;
        }
    }

    /// A record of its input as it is written.
    pub fn written(&self, id: &str, input: &Input) -> ProducerRecord {
        let record = ProducerRecord::to(self.topic(id, input.topic))
            .partition(input.partition())
            .key(input.text())
            .timestamp(input.timestamp);
        match &input.value {
            Some(value) => record.value(value.clone()),
            None => record,
        }
    }

    /// What has to have come out when all windows are closed.
    pub fn expected(&self, all: &[Input]) -> Outputs {
        (self.expected)(all)
    }
}

/// Milliseconds from one record to the next one.
const STEP: i64 = 20;
/// Up to how many milliseconds records are out of order, unless an application says otherwise.
pub const DISORDER: i64 = 200;

impl Input {
    /// The key as it is written.
    pub fn text(&self) -> String {
        format!("k{}", self.key)
    }

    /// The partition that it belongs to.
    pub fn partition(&self) -> i32 {
        self.key as i32 % PARTITIONS
    }
}

/// A record as it was made.
fn as_it_is(_: &mut StdRng, input: Input) -> Input {
    input
}

/// The records of each key, or of whatever else they are grouped by.
fn by<K: Ord>(all: &[Input], group: impl Fn(&Input) -> K) -> BTreeMap<K, Vec<&Input>> {
    let mut groups: BTreeMap<K, Vec<&Input>> = BTreeMap::new();
    for input in all {
        groups.entry(group(input)).or_default().push(input);
    }
    groups
}

/// Keys and values that all have to be there.
fn records(all: impl IntoIterator<Item = (String, String)>) -> Expected {
    Expected::Records(all.into_iter().collect())
}

/// How many records an instance has read, its own application's among them, by its metrics.
pub fn records_in(metrics: &str) -> u64 {
    let mut lines = metrics.lines();
    let read = lines.find_map(|line| line.strip_prefix("tidemark_streams_records_in_total "));
    read.and_then(|read| read.parse().ok()).expect("a metric")
}
