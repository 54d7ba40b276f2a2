//! Computes again from the log what a snapshot has or what a server answers, and compares.

mod reading;
mod served;
mod snapshot;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use tidemark_client::{Client, Clock, TopicPartition};

use super::aggregate::Aggregate;
use super::batch::{BatchError, KafkaLog};
use super::snapshot::{SnapshotError, Snapshots};
use super::view::View;
use super::{Coverage, Tally};
use crate::data::Data;

pub use served::{ServedPage, VerifyServed};
#[cfg(test)]
pub(super) use snapshot::compare;

/// So many differences are told in full; of the others there is the number.
const MOST: usize = 100;
/// So many records of a key are told.
const MOST_RECORDS: usize = 1_000;

/// What came of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// The snapshot that was looked at; of answers the one that the last of them were made with.
    pub snapshot: Option<u64>,
    /// Where what was looked at begins.
    pub begin: Coverage,
    /// Up to where it covers the log.
    pub coverage: Coverage,
    /// How many records were read.
    pub records: u64,
    /// How many keys were compared; in views by window, each with each of its windows.
    pub keys: u64,
    /// Partitions of the topics of which a snapshot has nothing: they are younger than it is, or the view's
    /// speed layer had not announced a cut of them yet.
    #[serde(serialize_with = "all_shown")]
    pub uncovered: Vec<TopicPartition>,
    /// Newer snapshots that may have been meant and cannot be read, and why.
    pub unreadable: Vec<String>,
    /// Files of a snapshot, of states and of the raw events that came with it, that are not there or not what
    /// its manifest says. States in such files are not compared.
    pub damaged: Vec<String>,
    /// Partitions in which other records were read than the snapshot counts.
    pub tallies: Vec<OtherRecords>,
    /// How many keys are not the same. Snapshots have a key's state by partition, so there may be several
    /// differences of one.
    pub different: u64,
    /// What is not the same.
    pub differences: Vec<Difference>,
    /// How many differences there are beside these.
    pub more: u64,
}

impl Verdict {
    /// Whether everything is the same, and no file is damaged.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.differences.is_empty() && self.tallies.is_empty() && self.damaged.is_empty()
    }
}

/// A partition of which a snapshot counts other records than there are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OtherRecords {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What the snapshot counts.
    pub snapshot: Tally,
    /// What there is.
    pub log: Tally,
}

/// A key of which there is something else than the log says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The key as people are shown it.
    pub key: serde_json::Value,
    /// Where its window starts, in views by window: milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<i64>,
    /// The partition that the state is of: snapshots have them apart, answers have not.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    pub partition: Option<TopicPartition>,
    /// What was found, as JSON; `None` if there is nothing of the key.
    pub found: Option<String>,
    /// What the log makes of it.
    pub expected: Option<String>,
    /// The records that the log has of the key, the first thousand.
    pub records: Vec<RecordPlace>,
    /// How many records there are beside these.
    pub more_records: u64,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

impl Serialize for RecordPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn shown<S: Serializer>(
    partition: &Option<TopicPartition>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match partition {
        Some(partition) => serializer.collect_str(partition),
        None => serializer.serialize_none(),
    }
}

fn all_shown<S: Serializer>(
    partitions: &[TopicPartition],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(partitions.iter().map(ToString::to_string))
}

/// Why nothing can be compared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no snapshot.
    #[error("view {view:?} has no snapshot yet")]
    NoSnapshot {
        /// The view.
        view: String,
    },
    /// All snapshots cover more than was asked for.
    #[error(
        "no snapshot covers no more than {as_of}: the oldest one, {snapshot}, covers {covered} already"
    )]
    NoneAsOf {
        /// What was asked for.
        as_of: Coverage,
        /// The oldest snapshot.
        snapshot: u64,
        /// What it covers.
        covered: Coverage,
    },
    /// A snapshot's states have been deleted.
    #[error(
        "snapshot {snapshot} has no states any more: old ones are deleted when there are newer snapshots \
         (as many stay as batch runs are told to keep)"
    )]
    NoStates {
        /// The snapshot.
        snapshot: u64,
    },
    /// The snapshot is another view's.
    #[error("snapshot {snapshot} is of {found}, and the view is {wanted}")]
    OtherView {
        /// The snapshot.
        snapshot: u64,
        /// What it is of.
        found: String,
        /// What the view is.
        wanted: String,
    },
    /// The snapshot is of another topic.
    #[error(
        "topic {topic} has been made again since snapshot {snapshot}: its offsets mean other records now"
    )]
    OtherTopic {
        /// The topic.
        topic: String,
        /// The snapshot.
        snapshot: u64,
    },
    /// There is no such partition.
    #[error("{partition} is none of the view's partitions, which are of {}", topics.join(", "))]
    Unknown {
        /// The partition.
        partition: TopicPartition,
        /// What the view reads.
        topics: Vec<String>,
    },
    /// The log does not have that much.
    #[error("{partition}: the log ends at offset {end}, and {wanted} is what is to be compared")]
    Future {
        /// The partition.
        partition: TopicPartition,
        /// How far was asked for, or answered.
        wanted: i64,
        /// The last stable offset.
        end: i64,
    },
    /// The log does not have everything any more that what is compared is made of.
    #[error(
        "{partition}: what is to be compared begins at offset {begin}, and the log at {log_start}: the \
         records that it was made of are not all there any more"
    )]
    Gone {
        /// The partition.
        partition: TopicPartition,
        /// Where what is compared begins.
        begin: i64,
        /// Where the log begins.
        log_start: i64,
    },
    /// What a server answers leaves out a partition.
    #[error(
        "the server's answers do not cover {partition}, which the topic has: records of it are in none of \
         them"
    )]
    Uncovered {
        /// The partition.
        partition: TopicPartition,
    },
    /// Pages do not belong together.
    #[error("the server's pages do not follow one another: {reason}")]
    Pages {
        /// Why.
        reason: String,
    },
    /// Snapshots cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] BatchError),
}

/// Computes the states of a snapshot, the newest if none is named, from the records that the log has, and
/// compares them with those in its files, byte by byte. `as_of` takes the newest one that covers no more than
/// that. Files of raw events that came with the snapshot have to be there, and to have the sizes and
/// checksums of its manifest.
///
/// # Errors
///
/// [`VerifyError`] if nothing can be compared. Differences and damaged files are no error:
/// [`Verdict::is_good`].
pub async fn verify<K: Data, A: Aggregate>(
    view: &Arc<View<K, A>>,
    client: Arc<Client>,
    clock: Clock,
    snapshots: &Snapshots,
    as_of: Option<&Coverage>,
) -> Result<Verdict, VerifyError> {
    let log = KafkaLog { client, clock };
    let (manifest, unreadable) = snapshot::choose(view, &log, snapshots, as_of).await?;
    let mut verdict = snapshot::compare(view, &log, snapshots, &manifest).await?;
    verdict.unreadable = unreadable.iter().map(ToString::to_string).collect();
    Ok(verdict)
}
