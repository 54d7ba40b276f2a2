//! The batch layer: reads the log up to a cut and writes an immutable snapshot.
//!
//! A run goes on from the last snapshot (its states and what is new in the log), or computes everything from
//! the log; both give the same states. It keeps what it has done in `VIEW/unfinished/`, so that a run that was
//! killed is taken up again. A snapshot is there when its manifest is, which is written last.

mod archive;
mod config;
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
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::consumer::ConsumerError;
use tidemark_client::{Client, ClientError, Clock, TopicPartition};

use crate::data::{Data, DataError};
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;
use crate::serving::lambda::announcements;
use crate::serving::snapshot::folder::{self, Lock};
use crate::serving::snapshot::{Manifest, SnapshotError, Snapshots};
use crate::serving::view::{BadView, View};
use partition::blocking;

pub use config::BatchConfig;
pub use cut::BadCut;
pub(crate) use delta::{Delta, raw, records};
pub(crate) use job::Job;
pub(crate) use log::{KafkaLog, Log, Reader, check_policies};
#[cfg(test)]
pub(crate) use plan::PartitionBounds;
pub use plan::PlanError;
pub(crate) use plan::TopicBounds;
pub use progress::BatchProgress;

/// Makes snapshots of a view.
pub struct Batch<K, A: Aggregate> {
    view: Arc<View<K, A>>,
    client: Arc<Client>,
    clock: Clock,
    snapshots: Snapshots,
    config: BatchConfig,
}

impl<K: Data, A: Aggregate> Batch<K, A> {
    /// With snapshots on the local disk, in a folder below `snapshots` that has the view's name. Of several
    /// runs at once one is let in.
    ///
    /// # Errors
    ///
    /// If the view cannot be used, or the folder cannot be made.
    pub fn local(
        view: Arc<View<K, A>>,
        client: Arc<Client>,
        clock: Clock,
        snapshots: &Path,
        config: BatchConfig,
    ) -> Result<Self, BatchError> {
        view.check()?;
        let snapshots = Snapshots::local(snapshots, view.name())?;
        Self::new(view, client, clock, snapshots, config)
    }

    /// With snapshots in any object store. If two runs are at work at once, the one that is done first has
    /// made the snapshot, and the other one fails. What a killed run has left is taken up only if no other
    /// one can be at work ([`BatchConfig::alone`]): a store cannot tell. With [`Snapshots::local`] it is as
    /// with [`Self::local`].
    ///
    /// # Errors
    ///
    /// If the view cannot be used.
    pub fn new(
        view: Arc<View<K, A>>,
        client: Arc<Client>,
        clock: Clock,
        snapshots: Snapshots,
        config: BatchConfig,
    ) -> Result<Self, BatchError> {
        view.check()?;
        Ok(Self {
            view,
            client,
            clock,
            snapshots,
            config,
        })
    }

    /// Where its snapshots are.
    #[must_use]
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// Makes sure that a snapshot that ends at `cut` can be made and, if the view has a speed layer, be used.
    /// Partitions that are not named stay where the last snapshot ends, and are left out if none has them.
    ///
    /// # Errors
    ///
    /// [`BatchError::Cut`] with the reason; others if the cluster cannot be asked.
    pub async fn check(&self, cut: &Coverage) -> Result<(), BatchError> {
        let log = self.log();
        let topics: Vec<String> = self.view.topics().map(str::to_owned).collect();
        let bounds = log.bounds(&topics).await?;
        let announced = announcements(&self.client, &self.clock, &self.view).await?;
        let cuts = announced.map(|own| own.cuts);
        Ok(cut::check(cut, &bounds, cuts.as_ref())?)
    }

    /// Makes a snapshot that ends at `cut`, which has to be one that [`Self::check`] lets pass.
    /// Without one it ends at the newest cuts that are announced; or at the end of the log, if the view has
    /// no speed layer yet.
    ///
    /// # Errors
    ///
    /// [`BatchError`]; the next run takes up what this one has done.
    pub async fn run(&self, cut: Option<&Coverage>) -> Result<BatchOutcome, BatchError> {
        let announced = announcements(&self.client, &self.clock, &self.view).await?;
        let (cuts, origins) = announced.map(|own| (own.newest(), own.origins)).unzip();
        self.run_at(cut.or(cuts.as_ref()), origins, self.config.from_scratch)
            .await
    }

    /// As [`Self::run`]; `origins` is where the speed layer began, if there is one.
    pub(crate) async fn run_at(
        &self,
        cut: Option<&Coverage>,
        origins: Option<Coverage>,
        from_scratch: bool,
    ) -> Result<BatchOutcome, BatchError> {
        let config = self.config.clone().from_scratch(from_scratch);
        let folder = self.snapshots.folder();
        let _lock = folder.map(lock).transpose()?;
        if let Some(folder) = folder {
            let own = folder.to_owned();
            let swept = blocking(move || folder::sweep(&own)).await;
            if let Err(error) = swept {
                tracing::warn!(?folder, %error, "what killed runs have left cannot be swept");
            }
        }
        let log = Arc::new(self.log());
        let name = format!("{:016x}", self.clock.random());
        let job = Job {
            view: &self.view,
            snapshots: &self.snapshots,
            config: &config,
            name,
            created: self.clock.now().wall,
            seed: self.clock.random(),
            origins,
            alone: folder.is_some() || self.config.alone,
        };
        job.run(&log, cut).await
    }

    fn log(&self) -> KafkaLog {
        KafkaLog {
            client: Arc::clone(&self.client),
            clock: self.clock.clone(),
        }
    }
}

fn lock(folder: &Path) -> Result<Lock, BatchError> {
    match Lock::take(folder) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(BatchError::Locked {
            folder: folder.display().to_string(),
        }),
        Err(error) => Err(BatchError::write(&folder.display().to_string(), &error)),
    }
}

/// What a run has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// There is a new snapshot.
    Published(Box<Published>),
    /// The newest snapshot of the view has everything up to the cut.
    NothingNew {
        /// Its number. `None` if there is none yet: the view's speed layer has not announced a cut.
        snapshot: Option<u64>,
        /// Newer snapshots that cannot be read, the newest first.
        left_out: Vec<LeftOut>,
    },
}

/// A snapshot that a run has published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What it is; without a parent it was computed from the beginning of the log.
    pub manifest: Manifest,
    /// Newer snapshots than its parent that cannot be read, the newest first.
    pub left_out: Vec<LeftOut>,
    /// The newest snapshot, if it is one of another definition of the view: therefore everything was computed
    /// from the beginning of the log.
    pub changed_since: Option<u64>,
    /// How many offsets a run had read that was killed, if this one has taken it up again, and made its snapshot
    /// of that.
    pub taken_up: Option<u64>,
    /// Why it ends where a run was to end that was killed, and not where this one was to: it took that one up,
    /// and could not go on.
    pub held_up: Option<String>,
}

/// A snapshot that a run has not gone on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its number.
    pub snapshot: u64,
    /// Why it cannot be read.
    pub reason: String,
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
        "{partition}: nothing has been read at offset {offset} for {} s, although there was more. Is its \
         broker there?",
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
        "snapshot {snapshot} cannot be read ({reason}), and no readable one has been found in front of it: to \
         compute the view anew (--from-scratch) loses what the log has not got any more, so it has to be asked \
         for. Put the snapshot's files back, or ask for it"
    )]
    NothingToGoOnFrom {
        /// The newest of those that cannot be read.
        snapshot: u64,
        /// Why.
        reason: String,
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
