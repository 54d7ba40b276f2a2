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
//! | `checkpoint`, `partition_metadata`, `meta_properties` | the small text files |
//!
//! `docs/storage-format.md` has the byte layouts.

mod checkpoint;
mod config;
mod epochs;
mod error;
mod index;
mod log;
mod log_dir;
mod meta_properties;
mod names;
mod partition_metadata;
mod producers;
mod recovery;
mod retention;
mod segment;
mod uuid_text;

pub use config::LogConfig;
pub use error::StorageError;
pub use log::{
    Appended, BatchScan, FlushPlan, Log, LogSlice, LogStart, PendingDelete, RecoveryReport,
    TimestampOffset,
};
pub use log_dir::{Checkpoints, FoundPartition, LogDir};
pub use producers::{BatchMeta, ProducerEntry, ProducerError, Producers, SequenceCheck};
pub use retention::DeleteReason;
pub use uuid_text::{uuid_from_text, uuid_to_text};

#[cfg(test)]
pub(crate) mod testing;
