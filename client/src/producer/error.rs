//! What can become of a record other than being written, and what to do then.

use std::time::Duration;

use tidemark_protocol::ErrorCode;

use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// What a caller can do about a failed record (Kafka: whether the exception is a
/// `RetriableException`). The producer has already tried again whatever could be tried, until its
/// time was up.
///
/// ```
/// use tidemark_client::producer::{Advice, ProduceError};
///
/// fn next(error: &ProduceError) -> &'static str {
///     match error.advice() {
///         // A record that may be there already would then be there twice.
///         Advice::SendAgain if error.maybe_written() => "look for it, or send it again",
///         Advice::SendAgain => "send it again, later",
///         Advice::ChangeRecord => "put it aside, go on with the next",
///         // Advice::ChangeProducer, and whatever comes with transactions.
///         _ => "stop and tell a human",
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// The cause may pass: send the record again, later. With [`ProduceError::maybe_written`] it
    /// may then be there twice.
    SendAgain,
    /// This record will never be taken: change it, or leave it. Others are not concerned.
    ChangeRecord,
    /// The producer, or what it is allowed to do, has to change: sending again is in vain. So it is
    /// with a missing right, with options that do not fit the cluster, and after closing.
    ChangeProducer,
}

/// Why a record was not written, or is not known to be (Kafka: the exception of `Producer.send`, of
/// its `Future` and of its `Callback`).
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProduceError {
    /// The record did not get through in time (Kafka: `TimeoutException`, `delivery.timeout.ms`,
    /// KIP-91).
    #[error(
        "{partition}: not delivered within {after:?}{}{}",
        if *.maybe_written { ", though it may have been written" } else { "" },
        .last.as_ref().map_or_else(String::new, |last| format!("; last: {last}"))
    )]
    Timeout {
        /// Where it was to go.
        partition: TopicPartition,
        /// How long it was tried.
        after: Duration,
        /// Whether it was under way when the time was up, or had been without an answer.
        maybe_written: bool,
        /// Why the last try failed.
        last: Option<String>,
    },
    /// The broker refused the batch that the record was in, for a reason that does not pass (Kafka:
    /// `ApiException`).
    #[error(
        "{partition}: {code}{}{}",
        explained(.message.as_deref(), .record.as_ref()),
        if *.maybe_written { ", though it may have been written" } else { "" }
    )]
    Refused {
        /// Where it was to go.
        partition: TopicPartition,
        /// The broker's reason.
        code: ErrorCode,
        /// The broker's own words.
        message: Option<String>,
        /// What the broker holds against a record of the batch, if it says so (KIP-467).
        record: Option<RecordProblem>,
        /// Whether an earlier try had no clear answer.
        maybe_written: bool,
    },
    /// The record is larger than a request may be (Kafka: `RecordTooLargeException`).
    #[error(
        "a record of {size} bytes for {topic:?} is larger than max_request_size, {max}: raise it, \
         and max.message.bytes of the topic"
    )]
    TooLarge {
        /// Its topic.
        topic: String,
        /// The size it has with all that belongs to it, in bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The buffer stayed full (Kafka: `BufferExhaustedException`, `buffer.memory`, `max.block.ms`).
    #[error(
        "the buffer of {memory} bytes stayed full for {after:?}: the brokers take less than is sent"
    )]
    BufferFull {
        /// The buffer's size.
        memory: usize,
        /// How long the caller waited (Kafka: `max.block.ms`).
        after: Duration,
    },
    /// There is no such partition.
    #[error("topic {topic:?} has no partition {partition}: it has {count}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition that was asked for, or that the partitioner chose.
        partition: i64,
        /// How many there are.
        count: usize,
    },
    /// The batch cannot be built, or not in a version of Produce that the broker speaks.
    #[error("{partition}: the batch cannot be built: {reason}")]
    Build {
        /// Where it was to go.
        partition: TopicPartition,
        /// What the codec says.
        reason: String,
        /// Whether an earlier try had no clear answer.
        maybe_written: bool,
    },
    /// The topic is not there, or the cluster does not let itself be asked. The record was not
    /// taken in.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The cluster gives this producer no id (KIP-98), for a reason that does not pass: what it has
    /// cannot be sent, and it takes no more. Without [`super::ProducerConfig::idempotent`] it needs
    /// none.
    #[error("no producer id: {reason}")]
    ProducerId {
        /// Why there is none.
        reason: ClientError,
        /// Whether the record was sent under an earlier id, without a clear answer.
        maybe_written: bool,
    },
    /// The producer has been closed, or the client has.
    #[error(
        "the producer has been closed{}",
        if *.maybe_written { ", though the record may have been written" } else { "" }
    )]
    Closed {
        /// Whether the record was under way when that happened, or had been without a clear answer.
        maybe_written: bool,
    },
}

/// What is wrong with one record of a batch (Kafka: `ProduceResponse.RecordError`, KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordProblem {
    /// The record's place in its batch, from 0.
    pub index: i32,
    /// The broker's words.
    pub message: Option<String>,
    /// Whether it is the record that this error belongs to; else it was only in the same batch.
    pub this_one: bool,
}

impl ProduceError {
    /// What to do. With [`RecordProblem::this_one`] false the record was only in bad company: it
    /// may be sent again.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::Timeout { .. } | Self::BufferFull { .. } => Advice::SendAgain,
            Self::TooLarge { .. } | Self::UnknownPartition { .. } | Self::Build { .. } => {
                Advice::ChangeRecord
            }
            Self::Refused {
                record: Some(problem),
                ..
            } if !problem.this_one => Advice::SendAgain,
            Self::Refused { code, .. } => match code {
                code if is_of_records(*code) => Advice::ChangeRecord,
                code if code.retriable() => Advice::SendAgain,
                _ => Advice::ChangeProducer,
            },
            Self::Client(ClientError::Timeout { .. }) => Advice::SendAgain,
            Self::Client(ClientError::Connect(error)) if error.retriable() => Advice::SendAgain,
            Self::Client(_) | Self::ProducerId { .. } | Self::Closed { .. } => {
                Advice::ChangeProducer
            }
        }
    }

    /// Whether the record may be in the log although it counts as failed: a try had no clear
    /// answer, or the producer was closed meanwhile.
    #[must_use]
    pub fn maybe_written(&self) -> bool {
        match self {
            Self::Timeout { maybe_written, .. }
            | Self::Refused { maybe_written, .. }
            | Self::Build { maybe_written, .. }
            | Self::ProducerId { maybe_written, .. }
            | Self::Closed { maybe_written } => *maybe_written,
            Self::TooLarge { .. }
            | Self::BufferFull { .. }
            | Self::UnknownPartition { .. }
            | Self::Client(_) => false,
        }
    }

    /// The end of the producer as a batch sees it that may have been written, or not.
    pub(super) fn for_batch(&self, written: bool) -> Self {
        let mut error = self.clone();
        if let Self::ProducerId { maybe_written, .. } | Self::Closed { maybe_written } = &mut error
        {
            *maybe_written = written;
        }
        error
    }

    /// The same error as one record of the batch sees it.
    pub(super) fn for_record(mut self, index: u32) -> Self {
        if let Self::Refused {
            record: Some(problem),
            ..
        } = &mut self
        {
            problem.this_one = u32::try_from(problem.index) == Ok(index);
        }
        self
    }
}

fn explained(message: Option<&str>, record: Option<&RecordProblem>) -> String {
    let mut text = message.map_or_else(String::new, |message| format!(": {message}"));
    if let Some(problem) = record {
        let words = problem.message.as_deref().unwrap_or("it is refused");
        text += &format!("; record {} of the batch: {words}", problem.index);
    }
    text
}

/// Whether a broker that answers so will never take those records.
pub(super) fn is_of_records(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::MessageTooLarge
            | ErrorCode::RecordListTooLarge
            | ErrorCode::InvalidTimestamp
            | ErrorCode::InvalidRecord
            | ErrorCode::UnsupportedForMessageFormat
    )
}
