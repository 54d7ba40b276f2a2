//! What can go wrong with a call to the cluster.

use std::time::Duration;

use tidemark_protocol::ErrorCode;

use crate::connection::{CallError, ConnectError};

/// Why a call failed (Kafka: `KafkaException` and what derives from it). Producers and consumers
/// have errors of their own for their records; this one is for everything that is asked of the
/// cluster.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// An option has a value that cannot be meant (Kafka: `ConfigException`). Nothing was asked of
    /// a broker.
    #[error("{option} = {value:?}: {reason}")]
    Config {
        /// The option.
        option: &'static str,
        /// The value found.
        value: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// No broker could be reached, or none let the client in. As the error of a call it is one that
    /// only a change of configuration can cure ([`ConnectError::retriable`] is false); one that may
    /// pass ends as the `last` of a [`Self::Timeout`].
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The time allowed was not enough for all tries (Kafka: `TimeoutException`). Whether the last
    /// try was carried out is not known.
    #[error("{what} did not succeed within {after:?}{}", last_words(.last.as_deref()))]
    Timeout {
        /// What was to be done.
        what: String,
        /// The time allowed.
        after: Duration,
        /// Why the last try failed, if one ended.
        last: Option<Box<ClientError>>,
    },
    /// The broker refused (Kafka: `ApiException`).
    #[error("{what}: {code}{}", explained(.message.as_deref()))]
    Broker {
        /// What was to be done, and to what.
        what: String,
        /// The broker's reason.
        code: ErrorCode,
        /// The broker's own words, if it had any.
        message: Option<String>,
    },
    /// The topic does not exist (Kafka: `UnknownTopicOrPartitionException`).
    #[error("topic {topic:?} does not exist")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// The topic has no such partition (Kafka: `UnknownTopicOrPartitionException`).
    #[error("topic {topic:?} has no partition {partition}: it has {count}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: i32,
        /// How many partitions there are.
        count: usize,
    },
    /// One request failed in a way that trying again does not help; as the `last` of a
    /// [`Self::Timeout`] also in one that may pass.
    #[error(transparent)]
    Call(CallError),
    /// The client has been closed, by [`crate::Client::close`].
    #[error("the client has been closed")]
    Closed,
}

impl ClientError {
    pub(crate) fn config(
        option: &'static str,
        value: impl ToString,
        reason: impl Into<String>,
    ) -> Self {
        Self::Config {
            option,
            value: value.to_string(),
            reason: reason.into(),
        }
    }

    pub(crate) fn broker(what: impl Into<String>, code: ErrorCode) -> Self {
        Self::Broker {
            what: what.into(),
            code,
            message: None,
        }
    }

    /// The broker's error code, if it was the broker that refused; with a timeout, that of the last
    /// try.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            Self::UnknownTopic { .. } | Self::UnknownPartition { .. } => {
                Some(ErrorCode::UnknownTopicOrPartition)
            }
            Self::Timeout { last, .. } => last.as_ref()?.code(),
            _ => None,
        }
    }
}

impl From<CallError> for ClientError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Connect(error) => Self::Connect(error),
            CallError::ClientClosed => Self::Closed,
            error => Self::Call(error),
        }
    }
}

fn last_words(last: Option<&ClientError>) -> String {
    last.map_or_else(String::new, |last| format!("; last: {last}"))
}

fn explained(message: Option<&str>) -> String {
    message.map_or_else(String::new, |message| format!(": {message}"))
}
