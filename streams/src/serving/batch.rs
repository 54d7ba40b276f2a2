//! The batch layer: reads the log up to a cut and writes an immutable snapshot.
//!
//! A run goes on from the last snapshot (its states and what is new in the log), or computes everything from
//! the log; both give the same states. It keeps what it has done in `VIEW/unfinished/`, so that a run that was
//! killed is taken up again. A snapshot is there when its manifest is, which is written last.

mod archive;
mod cut;
mod delta;
mod job;
mod leftovers;
mod log;
mod merge;
mod partition;
mod plan;
mod progress;
mod retention;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::consumer::ConsumerError;
use tidemark_client::{ClientError, TopicPartition};

use crate::data::DataError;
use crate::serving::snapshot::{Manifest, SnapshotError};
use crate::serving::view::BadView;

pub use cut::BadCut;
pub(crate) use delta::{Delta, raw, records};
pub use job::Batch;
#[cfg(test)]
pub(crate) use job::Job;
pub(crate) use log::{KafkaLog, Log, Reader, check_policies};
#[cfg(test)]
pub(crate) use plan::PartitionBounds;
pub use plan::PlanError;
pub(crate) use plan::TopicBounds;
pub use progress::BatchProgress;

/// Options of batch runs.
#[derive(Clone)]
pub struct BatchConfig {
    pub(crate) workers: usize,
    pub(crate) memory: usize,
    pub(crate) checkpoint: u64,
    pub(crate) keep: usize,
    pub(crate) archive: bool,
    pub(crate) from_scratch: bool,
    pub(crate) alone: bool,
    pub(crate) told: Option<Arc<dyn Fn(&BatchProgress) + Send + Sync>>,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            workers: 2,
            memory: 512 << 20,
            checkpoint: 4_000_000,
            keep: 5,
            archive: true,
            from_scratch: false,
            alone: false,
            told: None,
        }
    }
}

impl fmt::Debug for BatchConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchConfig")
            .field("workers", &self.workers)
            .field("memory", &self.memory)
            .field("checkpoint", &self.checkpoint)
            .field("keep", &self.keep)
            .field("archive", &self.archive)
            .field("from_scratch", &self.from_scratch)
            .field("alone", &self.alone)
            .finish_non_exhaustive()
    }
}

impl BatchConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many partitions are read at once. Default: 2.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How many bytes the states of what has been read may take in memory, over all workers: then they are
    /// put aside on disk. Default: 512 MiB.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// After how many records of a partition a run puts aside what it has, so that less is read again if it
    /// is killed. Default: 4 million.
    #[must_use]
    pub fn checkpoint(mut self, records: u64) -> Self {
        self.checkpoint = records.max(1);
        self
    }

    /// How many snapshots are kept. Older ones lose their states; their manifests and raw events stay.
    /// Default: 5.
    #[must_use]
    pub fn keep(mut self, snapshots: usize) -> Self {
        self.keep = snapshots.max(1);
        self
    }

    /// Whether raw events are written, too. Default: yes.
    #[must_use]
    pub fn archive(mut self, archive: bool) -> Self {
        self.archive = archive;
        self
    }

    /// Computes from the beginning of the log, whatever snapshots there are. Default: no.
    #[must_use]
    pub fn from_scratch(mut self, from_scratch: bool) -> Self {
        self.from_scratch = from_scratch;
        self
    }

    /// Says that no other run can be at work on the same snapshots: whoever starts runs sees to that. Then
    /// what a killed run has left in an object store is taken up again, or cleared away. On the local disk a
    /// lock sees to it. Default: no.
    #[must_use]
    pub fn alone(mut self, alone: bool) -> Self {
        self.alone = alone;
        self
    }

    /// Who is told how far a run is.
    #[must_use]
    pub fn on_progress(mut self, told: impl Fn(&BatchProgress) + Send + Sync + 'static) -> Self {
        self.told = Some(Arc::new(told));
        self
    }
}

/// What a run has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// There is a new snapshot.
    Published(Box<Manifest>),
    /// The newest snapshot has everything up to the cut.
    NothingNew {
        /// Its number.
        snapshot: u64,
    },
}

/// Why a run has failed. What it has done is kept for the next one, unless that says otherwise.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BatchError {
    /// The view cannot be used.
    #[error(transparent)]
    View(#[from] BadView),
    /// The snapshots cannot be read or written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The log does not fit to the last snapshot.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No snapshot may end where this one was to end.
    #[error(transparent)]
    Cut(#[from] BadCut),
    /// The cuts that have been announced cannot be read.
    #[error(transparent)]
    Cuts(#[from] crate::error::StreamsError),
    /// The cluster cannot be reached, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The log cannot be read.
    #[error(transparent)]
    Consume(#[from] ConsumerError),
    /// A source topic cannot be used.
    #[error("topic {topic}: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// Why.
        reason: String,
    },
    /// A source topic loses records that the view has counted.
    #[error(
        "topic {topic} is compacted (cleanup.policy={policy}): records go that the view has counted, so an \
         answer would depend on when they were read. Use a topic with cleanup.policy=delete"
    )]
    Compacted {
        /// The topic.
        topic: String,
        /// Its policy.
        policy: String,
    },
    /// A partition goes on, and brings nothing.
    #[error(
        "{partition}: nothing has been read at offset {offset} for {} s, although there is more",
        waited.as_secs()
    )]
    NothingRead {
        /// The partition.
        partition: TopicPartition,
        /// Where.
        offset: i64,
        /// For how long.
        waited: Duration,
    },
    /// A batch of the log, or a state, cannot be read.
    #[error("{0}")]
    Data(#[from] DataError),
    /// A file cannot be written.
    #[error("{what}: {reason}")]
    Write {
        /// The file.
        what: String,
        /// Why.
        reason: String,
    },
    /// No snapshot can be gone on from, although there are some.
    #[error(
        "snapshot {snapshot} cannot be read, and there is no readable one in front of it: to compute the view \
         anew (--from-scratch) loses what the log has not got any more, so it has to be asked for. Put the \
         snapshot's files back, or ask for it"
    )]
    NothingToGoOnFrom {
        /// The newest of those that cannot be read.
        snapshot: u64,
    },
    /// Another run is at work on the same view's snapshots.
    #[error(
        "another batch run is at work in {folder}: of two at once one would be in vain. Wait for it to end"
    )]
    Locked {
        /// The folder.
        folder: String,
    },
}

impl BatchError {
    fn topic(topic: &str, reason: &dyn fmt::Display) -> Self {
        Self::Topic {
            topic: topic.to_owned(),
            reason: reason.to_string(),
        }
    }

    fn write(what: &str, reason: &dyn fmt::Display) -> Self {
        Self::Write {
            what: what.to_owned(),
            reason: reason.to_string(),
        }
    }
}
