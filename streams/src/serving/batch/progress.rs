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
    /// Offsets of these that a run had read that was killed, if this one has taken it up again.
    pub taken_up: Option<u64>,
}

/// A run that is not done: `unfinished/RUN/run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// The run's name.
    pub(crate) run: String,
    pub(crate) fingerprint: String,
    /// Whether it writes raw events, too.
    pub(crate) archive: bool,
    pub(crate) plan: Plan,
}

/// What has been done of a partition: `unfinished/RUN/TOPIC-PARTITION.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    /// The run that has done it.
    pub(crate) run: String,
    /// Everything below has been read.
    pub(crate) position: i64,
    /// The leader's epoch of the last batch that has been read.
    #[serde(default)]
    pub(crate) epoch: Option<i32>,
    /// How much that was, from the run's beginning.
    pub(crate) tally: Tally,
    /// Files of states that have been put aside.
    pub(crate) aside: Vec<StateFile>,
    /// Files of raw events.
    pub(crate) events: Vec<EventsFile>,
    /// The partition's states, once all of them are written.
    pub(crate) states: Option<Vec<StateFile>>,
}

/// Where runs note what they have done.
pub(super) const FOLDER: &str = "unfinished";
const PLAN: &str = "run.json";

impl Unfinished {
    /// Where a run's plan is written.
    pub(crate) fn path(run: &str) -> String {
        format!("{FOLDER}/{run}/{PLAN}")
    }

    /// The run whose file that is.
    pub(super) fn run_of(path: &str) -> Option<&str> {
        let rest = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
        Some(rest.split_once('/')?.0)
    }

    /// Whether that is a run's plan.
    pub(super) fn is_plan(path: &str) -> bool {
        path.rsplit('/').next() == Some(PLAN)
    }
}

impl Done {
    /// Where it is written.
    pub(crate) fn path(run: &str, topic: &str, partition: i32) -> String {
        format!("{FOLDER}/{run}/{topic}-{partition}.json")
    }
}
