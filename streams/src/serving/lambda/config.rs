//! What a view is kept with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::path::Path;
use tidemark_client::{ClientConfig, Clock};

use crate::serving::batch::BatchConfig;

/// Options of a view that is kept.
#[derive(Clone)]
pub struct LambdaConfig {
    pub(super) client: ClientConfig,
    pub(super) clock: Clock,
    pub(super) snapshots: PathBuf,
    /// Where snapshots are instead of the folder, and in which folder of it.
    pub(super) store: Option<(Arc<dyn ObjectStore>, Path)>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) batch_every: Option<Duration>,
    pub(super) batch: BatchConfig,
    pub(super) cut_every: Duration,
    pub(super) cut_records: u64,
    pub(super) poll: Duration,
    pub(super) hold: usize,
    pub(super) wait: Duration,
    pub(super) workers: usize,
    pub(super) commit_interval: Duration,
    pub(super) replication_factor: i16,
    pub(super) session_timeout: Duration,
}

impl LambdaConfig {
    /// With a cluster, a list of `host:port`, and a folder for snapshots.
    #[must_use]
    pub fn new(bootstrap: &str, snapshots: impl Into<PathBuf>) -> Self {
        Self {
            client: ClientConfig::new(bootstrap),
            clock: Clock::system(),
            snapshots: snapshots.into(),
            store: None,
            state_dir: None,
            batch_every: None,
            batch: BatchConfig::new(),
            cut_every: Duration::from_secs(10),
            cut_records: 1_000_000,
            poll: Duration::from_secs(2),
            hold: 2,
            wait: Duration::from_secs(10),
            workers: 1,
            commit_interval: Duration::from_secs(1),
            replication_factor: -1,
            session_timeout: Duration::from_secs(10),
        }
    }

    /// How the cluster is reached: TLS, SASL, time limits.
    #[must_use]
    pub fn client(mut self, client: ClientConfig) -> Self {
        self.client = client.clock(self.clock.clone());
        self
    }

    /// Where time and chance come from; the client is given the same.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.client = self.client.clock(clock.clone());
        self.clock = clock;
        self
    }

    /// Keeps snapshots in a folder of any object store, and not in the folder on the local disk. A store
    /// cannot tell whether another batch run is at work ([`BatchConfig::alone`]).
    #[must_use]
    pub fn store(mut self, store: Arc<dyn ObjectStore>, folder: Path) -> Self {
        self.store = Some((store, folder));
        self
    }

    /// Where the speed layer keeps files of its state, so that a restart is quick. Default: nowhere.
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// Makes a snapshot so often, in this process. Default: snapshots are made elsewhere (`tidemark batch
    /// run`, or [`crate::serving::Batch`]).
    #[must_use]
    pub fn batch_every(mut self, interval: Duration) -> Self {
        self.batch_every = Some(interval);
        self
    }

    /// How snapshots are made.
    #[must_use]
    pub fn batch(mut self, batch: BatchConfig) -> Self {
        self.batch = batch;
        self
    }

    /// How often the speed layer makes a cut, at which a snapshot can end. Default: 10 s.
    #[must_use]
    pub fn cut_every(mut self, interval: Duration) -> Self {
        self.cut_every = interval;
        self
    }

    /// After how many records it makes one at the latest. Default: 1 million.
    #[must_use]
    pub fn cut_records(mut self, records: u64) -> Self {
        self.cut_records = records.max(1);
        self
    }

    /// How often it is looked whether somebody else has made a snapshot. Default: 2 s.
    #[must_use]
    pub fn poll(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// How many snapshots can be read with at once, the newest counted. Each is in memory, with all its
    /// partitions, in every instance, and one more while a new one is read. Default: 2.
    #[must_use]
    pub fn hold(mut self, snapshots: usize) -> Self {
        self.hold = snapshots.max(1);
        self
    }

    /// How long an answer waits for the coverage that it is asked for. Default: 10 s.
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }

    /// How many workers the speed layer has. Default: 1.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How often the speed layer saves what it has: a cut can be used when it has been saved. Default: 1 s.
    #[must_use]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = interval;
        self
    }

    /// After how long without a sign of life others take over the partitions of an instance that has died
    /// (Kafka: `session.timeout.ms`); until then nobody answers for them. Default: 10 s.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// The replication factor of the speed layer's own topics; -1 leaves it to the cluster. Default: -1.
    #[must_use]
    pub fn replication_factor(mut self, factor: i16) -> Self {
        self.replication_factor = factor;
        self
    }
}
