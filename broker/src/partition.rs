//! One partition: its log, what of it consumers may see, and those who wait for it.
//!
//! A [`Partition`] puts the log behind a lock, decides what is visible, and wakes waiters by
//! offset. Every method is synchronous; the waiting itself happens in [`Progress`].
//!
//! **Visibility.** The high watermark stands at the end of the log, except that it stops in front
//! of the first batch that was promised the disk and is not on it yet: what a consumer has seen is
//! never taken back by a crash that the producer was promised to survive. The disk is promised to
//! acks=all batches, and to those that make `flush.messages` due. After a restart nobody knows any
//! more what was promised to what recovery has found, so all of it counts.

mod append;
mod flusher;
mod maintain;
mod progress;
mod read;
mod settings;
mod table;
mod validate;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

pub use flusher::{Flusher, FlusherThread};
pub use progress::{Closed, Progress, Registration, Signal};
pub use read::Miss;
pub use settings::PartitionSettings;
pub use table::PartitionTable;
pub use validate::{BatchRules, MAX_UNCOMPRESSED_BYTES, Refused, ValidBatch, validate};

use crate::environment::Disk;
use crate::storage::{Log, StorageError};
use crate::types::{LeaderEpoch, Monotonic, Offset, Timestamp, TopicPartition};

/// How much a producer wants to know before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nothing: no answer is sent.
    None,
    /// The batch is in the page cache: a kill of the process does not lose it.
    Leader,
    /// The batch is on disk: a power cut does not lose it.
    All,
}

/// How far a consumer may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset: not into open transactions.
    ReadCommitted,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record; of the original batch if this one is a repetition (rule 1).
    pub base_offset: Offset,
    /// The broker's time in the records if the topic uses LogAppendTime, else -1.
    pub log_append_time: Timestamp,
    /// Where the log starts.
    pub log_start: Offset,
    /// The offset after its last record.
    pub end: Offset,
    /// Whether the answer waits until the disk has everything below that, with
    /// [`Partition::wait_on_disk`].
    pub on_disk_first: bool,
}

/// Why something asked of a partition was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct PartitionError {
    /// Kafka's code for it.
    pub code: ErrorCode,
    /// What happened.
    pub message: String,
}

impl PartitionError {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// The offsets that matter to the outside, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that can be read.
    pub start: Offset,
    /// Consumers see everything below.
    pub high_watermark: Offset,
    /// read_committed consumers see everything below.
    pub last_stable: Offset,
    /// The offset the next record will get.
    pub end: Offset,
    /// The epoch new batches are stamped with.
    pub epoch: LeaderEpoch,
}

impl Bounds {
    /// The offset below which a consumer of this isolation level may read.
    pub fn upper(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark,
            Isolation::ReadCommitted => self.last_stable,
        }
    }
}

/// What the checkpoint files say about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Everything below is on disk: recovery starts here.
    pub recovery_point: Offset,
    /// The log's first offset.
    pub log_start: Offset,
    /// The high watermark.
    pub high_watermark: Offset,
}

/// A partition of a topic on this broker.
pub struct Partition {
    name: TopicPartition,
    topic_id: Uuid,
    epoch: LeaderEpoch,
    /// Whether acks=all waits for the disk (`tidemark.acks.all.durable`).
    durable_acks: bool,
    disk: Arc<dyn Disk>,
    flusher: Arc<Flusher>,
    flush_requested: AtomicBool,
    state: Mutex<State>,
    high_watermark: Progress,
    durable: Progress,
}

struct State {
    /// `None` once the partition has been closed or deleted.
    log: Option<Log>,
    settings: PartitionSettings,
    /// What was promised the disk and is not on it yet, in order. A flush has been asked for.
    unsynced: VecDeque<Unsynced>,
    /// Why the partition takes no more writes.
    offline: Option<String>,
    /// What the checkpoint files are to keep saying while there is no log to ask.
    last_known: Option<Checkpoint>,
    /// When the log became dirty, for `flush.ms`.
    dirty_since: Option<Monotonic>,
}

struct Unsynced {
    base: Offset,
    end: Offset,
}

/// What a partition is made of besides its log.
pub struct PartitionParts {
    /// Topic and number.
    pub name: TopicPartition,
    /// The topic's id.
    pub topic_id: Uuid,
    /// The current leader epoch.
    pub epoch: LeaderEpoch,
    /// Whether acks=all waits for the disk.
    pub durable_acks: bool,
    /// The topic's settings.
    pub settings: PartitionSettings,
    /// The disk the log is on.
    pub disk: Arc<dyn Disk>,
    /// The log directory's flusher.
    pub flusher: Arc<Flusher>,
}

impl Partition {
    /// Puts an opened log to use. What recovery has found beyond the recovery point may have
    /// survived a kill in the page cache only: it is synced, and seen when it is.
    pub fn new(parts: PartitionParts, log: Log) -> Arc<Self> {
        let (end, flushed) = (log.end_offset(), log.last_flushed());
        let unflushed = end.0.saturating_sub(flushed.0);
        let promised = parts.durable_acks || unflushed >= parts.settings.log.flush_messages;
        let recovered = (flushed < end && promised).then(|| Unsynced {
            base: flushed.max(log.start_offset()),
            end,
        });
        let state = State {
            log: Some(log),
            settings: parts.settings.clone(),
            unsynced: recovered.into_iter().collect(),
            offline: None,
            last_known: None,
            dirty_since: None,
        };
        let partition = Self::assemble(parts, state, flushed);
        if flushed < end {
            partition.request_flush();
        }
        partition
    }

    /// A partition whose log cannot be opened, for this reason: it exists, and everything that
    /// asks for its records gets KAFKA_STORAGE_ERROR. The checkpoint files keep what they say
    /// about it, for the start after which it can be opened again.
    pub fn offline(parts: PartitionParts, reason: String, last_known: Checkpoint) -> Arc<Self> {
        let state = State {
            log: None,
            settings: parts.settings.clone(),
            unsynced: VecDeque::new(),
            offline: Some(reason),
            last_known: Some(last_known),
            dirty_since: None,
        };
        let partition = Self::assemble(parts, state, Offset::ZERO);
        partition.high_watermark.close();
        partition.durable.close();
        partition
    }

    fn assemble(parts: PartitionParts, state: State, flushed: Offset) -> Arc<Self> {
        Arc::new(Self {
            name: parts.name,
            topic_id: parts.topic_id,
            epoch: parts.epoch,
            durable_acks: parts.durable_acks,
            disk: parts.disk,
            flusher: parts.flusher,
            flush_requested: AtomicBool::new(false),
            high_watermark: Progress::new(state.visible_end()),
            durable: Progress::new(flushed),
            state: Mutex::new(state),
        })
    }

    /// Topic and number.
    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// The topic's id.
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// The leader epoch new batches are stamped with.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Woken when the high watermark moves.
    pub fn high_watermark_progress(&self) -> &Progress {
        &self.high_watermark
    }

    /// What the topic demands of batches.
    pub fn batch_rules(&self) -> BatchRules {
        self.state.lock().settings.rules.clone()
    }

    /// Takes over changed topic settings.
    pub fn configure(&self, settings: PartitionSettings) {
        let mut state = self.state.lock();
        if let Some(log) = state.log.as_mut() {
            log.set_config(settings.log.clone());
        }
        state.settings = settings;
    }

    /// Asks the flusher to put the log on disk, once however often it is asked.
    pub fn request_flush(self: &Arc<Self>) {
        if !self.flush_requested.swap(true, Ordering::AcqRel) {
            self.flusher.request(Arc::clone(self));
        }
    }

    /// Takes the partition out of service: waiters are woken and told so. The log is handed back,
    /// to be closed or deleted.
    pub fn retire(&self) -> Option<Log> {
        let log = self.state.lock().log.take();
        self.high_watermark.close();
        self.durable.close();
        log
    }

    fn open_log(state: &State) -> Result<&Log, PartitionError> {
        state.log.as_ref().ok_or_else(|| state.unavailable())
    }
}

impl State {
    /// What is answered when there is no log: it could not be opened, or the partition has been
    /// deleted while a request was under way.
    fn unavailable(&self) -> PartitionError {
        match &self.offline {
            Some(reason) => PartitionError::new(ErrorCode::KafkaStorageError, reason.clone()),
            None => PartitionError::new(
                ErrorCode::UnknownTopicOrPartition,
                "the partition has been deleted",
            ),
        }
    }

    /// Where the high watermark stands: the end of the log, or the first batch that was promised
    /// the disk and is not on it.
    fn visible_end(&self) -> Offset {
        match (self.unsynced.front(), &self.log) {
            (Some(unsynced), _) => unsynced.base,
            (None, Some(log)) => log.end_offset(),
            (None, None) => Offset::ZERO,
        }
    }
}

fn storage_failed(error: &StorageError) -> PartitionError {
    let code = match error {
        StorageError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        StorageError::Corrupt { .. } => ErrorCode::CorruptMessage,
        _ => ErrorCode::KafkaStorageError,
    };
    PartitionError::new(code, error.to_string())
}

#[cfg(test)]
mod tests;
