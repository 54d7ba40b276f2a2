//! What a run has done so far: what people are told, and what the next run goes on from.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::serving::Tally;
use crate::serving::snapshot::{EventsFile, StateFile};

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchProgress {
    /// Offsets that have been read, of all partitions.
    pub read: u64,
    /// Offsets that are to be read.
    pub total: u64,
    /// States that have been written.
    pub states: u64,
}

/// A run that is not done: `unfinished/run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// The run's name.
    pub(crate) run: String,
    pub(crate) fingerprint: String,
    pub(crate) plan: Plan,
}

/// What has been done of a partition: `unfinished/TOPIC-PARTITION.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    /// The run that has done it.
    pub(crate) run: String,
    /// Everything below has been read.
    pub(crate) position: i64,
    /// How much that was, from the run's beginning.
    pub(crate) tally: Tally,
    /// Files of states that have been put aside.
    pub(crate) aside: Vec<StateFile>,
    /// Files of raw events.
    pub(crate) events: Vec<EventsFile>,
    /// The partition's states, once all of them are written.
    pub(crate) states: Option<Vec<StateFile>>,
}

/// Where a run's plan is.
pub(super) const RUN: &str = "unfinished/run.json";

impl Done {
    /// Where it is written.
    pub(crate) fn path(topic: &str, partition: i32) -> String {
        format!("unfinished/{topic}-{partition}.json")
    }
}
