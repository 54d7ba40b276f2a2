//! Options of batch runs.

use std::fmt;
use std::sync::Arc;

use super::BatchProgress;
use crate::serving::snapshot::MOST_MANIFEST;

/// Options of batch runs.
#[derive(Clone)]
pub struct BatchConfig {
    pub(in crate::serving) workers: usize,
    pub(in crate::serving) memory: usize,
    pub(in crate::serving) checkpoint: u64,
    pub(in crate::serving) keep: usize,
    pub(in crate::serving) archive: bool,
    pub(in crate::serving) from_scratch: bool,
    pub(in crate::serving) alone: bool,
    /// The most bytes that the manifest may have.
    pub(in crate::serving) manifest: u64,
    pub(in crate::serving) told: Option<Arc<dyn Fn(&BatchProgress) + Send + Sync>>,
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
            manifest: MOST_MANIFEST,
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

    /// How many partitions are read at once. Default: 2. Each takes up to two of the threads on which the runtime
    /// does what blocks ([`tokio::runtime::Builder::max_blocking_threads`]): it has to have some more of them.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How many bytes the states of what has been read may take in memory, over all workers: then they are
    /// put aside beside the snapshots. What is merged with them in the end, the last snapshot's states of a
    /// partition and up to 8 lists that were put aside, is in memory as it is packed in its files.
    /// Default: 512 MiB.
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

    /// How many snapshots are kept. Older ones lose their states; their manifests and raw events stay. With 1
    /// there is none to fall back to if a file of the newest one is damaged. Default: 5.
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
