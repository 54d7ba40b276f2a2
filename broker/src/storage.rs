//! Partitions on disk, in Kafka's own format, file for file.
//!
//! | module | what it holds |
//! |---|---|
//! | `log` | one partition: append, read, look-ups, flushing, retention |
//! | `log_dir` | one data directory: its lock, identity, checkpoints and partitions |
//! | `segment`, `index` | one `.log` file and its `.index` and `.timeindex` |
//! | `recovery` | what to do with the files found at start: a pure table, then a scan |
//! | `retention` | which segments may go, and why: pure |
//! | `producers` | idempotence and transactions per producer, and their `.snapshot` |
//! | `epochs` | which leader epoch began at which offset |
//! | `files` | the small text files, and the names of all |
//!
//! `docs/storage-format.md` has the byte layouts.

mod config;
mod epochs;
mod error;
mod files;
mod index;
mod log;
mod log_dir;
mod producers;
mod recovery;
mod retention;
mod segment;

use files::{checkpoint, meta_properties, names, partition_metadata};

pub use config::LogConfig;
pub use error::StorageError;
pub use log::{
    Appended, Available, BatchScan, FlushPlan, Log, LogAccess, LogSlice, LogStart, PartRead,
    PendingDelete, RecoveryReport, TimestampOffset, Wish, find_available, find_slice,
    max_timestamp, offset_for_timestamp,
};
pub use log_dir::{Checkpoints, FoundDir, LogDir};
pub(crate) use names::{Kind, parse_file_name};
pub use producers::{BatchMeta, ProducerEntry, ProducerError, Producers, SequenceCheck};
pub use retention::DeleteReason;
pub use segment::view::Reach;

#[cfg(test)]
pub(crate) mod testing;
