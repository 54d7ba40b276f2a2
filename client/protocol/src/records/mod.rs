//! Record batches: Kafka's message format v2 as a view over bytes, and what is needed around it.
//!
//! | file | what it holds |
//! |---|---|
//! | `header.rs` | the 61 bytes in front of every v2 batch |
//! | `batch.rs` | one batch as a view over bytes, and the walk over consecutive batches |
//! | `record.rs` | the records inside an uncompressed records section, decoded one by one |
//! | `walk.rs` | the walk over a batch's records as they are unpacked, without keeping them |
//! | `builder.rs` | building a batch |
//! | `rewrite.rs` | changing a batch without touching its records: recompression, LogAppendTime, producer |
//! | `compression.rs` | the four codecs, each with a hard limit on what may come out |
//! | `control.rs` | transaction markers and the other control records |
//! | `legacy.rs` | reading message sets of magic 0 and 1 |

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod header;
pub mod legacy;
pub mod record;
pub mod rewrite;
pub mod walk;

#[cfg(test)]
mod fixtures;

pub use batch::{BatchView, Batches, ReadBatchError};
pub use builder::{BatchBuilder, BuildError};
pub use compression::{
    Compression, CompressionError, Unpacker, ZSTD_WINDOW_LOG_MAX, compress, decompress,
};
pub use control::{ControlError, ControlType, EndTxnMarker};
pub use header::{BATCH_HEADER_SIZE, BatchError, BatchHeader, LOG_OVERHEAD, TimestampType};
pub use legacy::{LegacyError, LegacyRecord, read_message_set};
pub use record::{HeaderView, Headers, RecordError, RecordErrorKind, RecordView, Records};
pub use rewrite::{RewriteError, recompress, with_producer, with_timestamps};
pub use walk::{WalkError, WalkedRecord, walk_section};

/// The timestamp that means "none" (Kafka's `RecordBatch.NO_TIMESTAMP`).
pub const NO_TIMESTAMP: i64 = -1;
/// The producer id of a batch without an idempotent producer.
pub const NO_PRODUCER_ID: i64 = -1;
/// The producer epoch of a batch without an idempotent producer.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// The base sequence of a batch without an idempotent producer, and of control batches.
pub const NO_SEQUENCE: i32 = -1;
/// The leader epoch of a batch that no leader has appended yet.
pub const NO_PARTITION_LEADER_EPOCH: i32 = -1;
