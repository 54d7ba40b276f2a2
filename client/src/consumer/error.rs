//! What can go wrong while reading.

use tidemark_protocol::ErrorCode;

use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// Why a consumer has no records to give, or does not do what it is told.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The position lies outside of what the partition has, and the configuration names no place to
    /// go on from, that is, with [`super::OffsetReset::Error`] (Kafka:
    /// `OffsetOutOfRangeException`). Seek to go on.
    #[error(
        "{partition}: offset {offset} is out of range, and offset_reset says to stop: seek to \
         where reading is to go on"
    )]
    OffsetOutOfRange {
        /// Where.
        partition: TopicPartition,
        /// The position.
        offset: i64,
    },
    /// The group has no committed offset for the partition, and the configuration names no place to
    /// begin at, that is, with [`super::OffsetReset::Error`] (Kafka:
    /// `NoOffsetForPartitionException`). Seek to begin.
    #[error(
        "{partition}: there is no committed offset, and offset_reset says to stop: seek to \
         where reading is to begin"
    )]
    NoOffset {
        /// Where.
        partition: TopicPartition,
    },
    /// The log was cut back below the position: records that were read are gone, others have their
    /// offsets (Kafka: `LogTruncationException`, KIP-320). Seek to go on. Only with
    /// [`super::OffsetReset::Error`]: else reading goes on where the log is another one, or, if the
    /// broker does not know where that is, where the reset says.
    #[error(
        "{partition}: the log was truncated below position {position}, records differ from offset \
         {diverges_at} on: seek to where reading is to go on"
    )]
    Truncated {
        /// Where.
        partition: TopicPartition,
        /// The position.
        position: i64,
        /// The first offset at which the log is another one; -1 if the broker does not know.
        diverges_at: i64,
    },
    /// A batch is not what it should be: its CRC, its format or its compression (Kafka:
    /// `CorruptRecordException`). It is fetched again after a while. Meanwhile the position stays
    /// in front of it; seek past it to go on without it.
    #[error("{partition}: the batch at offset {offset} is corrupt: {reason}")]
    Corrupt {
        /// Where.
        partition: TopicPartition,
        /// Offset of the batch, or of the first record to be read of it.
        offset: i64,
        /// Offset behind it, to seek to; `None` if not even that can be read.
        next_offset: Option<i64>,
        /// What is wrong with it.
        reason: String,
    },
    /// Its topic has been deleted and made again: offsets mean other records. Only consumers that pin their
    /// topics are told.
    #[error(
        "{partition}: the topic has been deleted and made again while it was read: its offsets mean other \
         records"
    )]
    TopicMadeAgain {
        /// Where.
        partition: TopicPartition,
    },
    /// The broker refuses to serve the partition (Kafka: `TopicAuthorizationException`, say). It is
    /// asked again after a while.
    #[error("{partition}: {code}")]
    Partition {
        /// Where.
        partition: TopicPartition,
        /// The broker's reason.
        code: ErrorCode,
    },
    /// The group cannot go on with this member, or has gone on without it (Kafka:
    /// `FencedInstanceIdException`, `InconsistentGroupProtocolException`, `CommitFailedException`,
    /// `RebalanceInProgressException` and others).
    #[error("group {group:?}: {reason}")]
    Group {
        /// The group.
        group: String,
        /// The broker's reason.
        code: ErrorCode,
        /// What it means and what helps.
        reason: String,
    },
    /// What was asked for does not fit what the consumer was set up for (Kafka:
    /// `IllegalStateException`, `IllegalArgumentException`, `InvalidGroupIdException`).
    #[error("{0}")]
    Usage(String),
    /// A call to the cluster failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}
