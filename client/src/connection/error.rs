//! Why a connection could not be made, or a call on it failed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no connection to a broker. Every one but [`Self::UnknownNode`] names the address.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address does not resolve, the port is closed, the network is down.
    #[error("cannot connect to {address}: {error}")]
    Io {
        /// Where to.
        address: String,
        /// The system's words.
        error: Arc<io::Error>,
    },
    /// The broker took too long: [`crate::ClientConfig::connect_timeout`] is over.
    #[error("{address} did not get through {step} within {after:?}")]
    Timeout {
        /// Where to.
        address: String,
        /// What the client was waiting for.
        step: &'static str,
        /// How long it waited (Kafka: `socket.connection.setup.timeout.ms`).
        after: Duration,
    },
    /// TLS does not come about: a certificate is not trusted, is for another host, or is missing
    /// (Kafka: `SslAuthenticationException`).
    #[error("TLS with {address}: {reason}")]
    Tls {
        /// Where to.
        address: String,
        /// What is wrong, and what may help.
        reason: String,
    },
    /// The broker does not speak Kafka's protocol, or not to plaintext clients.
    #[error("{address} does not answer as a Kafka broker does: {reason}")]
    NotKafka {
        /// Where to.
        address: String,
        /// What came instead, and what may help.
        reason: String,
    },
    /// The broker refused the user or the mechanism, or wants no authentication at all (Kafka:
    /// `SaslAuthenticationException`, `UnsupportedSaslMechanismException`).
    #[error("{address} refused to authenticate {user:?} by {mechanism}: {reason}")]
    Authentication {
        /// Where to.
        address: String,
        /// The user.
        user: String,
        /// The mechanism.
        mechanism: &'static str,
        /// The broker's words, or the mechanism's.
        reason: String,
    },
    /// The metadata names no such broker, or not any more.
    #[error("broker {node} is not part of the cluster any more")]
    UnknownNode {
        /// The broker's number.
        node: i32,
    },
}

impl ConnectError {
    /// Whether the same attempt may succeed later without any change of configuration (Kafka: not
    /// an `AuthenticationException`).
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Timeout { .. } | Self::UnknownNode { .. } => true,
            Self::Tls { .. } | Self::NotKafka { .. } | Self::Authentication { .. } => false,
        }
    }
}

/// Why one request on a connection has no answer. An answer that carries an error code is not among
/// them: that is [`crate::ClientError::Broker`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no connection to send it on.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke, or the broker closed it, before the answer came. Whether the broker
    /// carried the request out is not known (Kafka: `DisconnectException`).
    #[error("{address} closed the connection before it had answered{}", .error.as_ref().map_or_else(String::new, |error| format!(": {error}")))]
    Closed {
        /// The broker.
        address: Arc<str>,
        /// The system's words, if it was not closed in order.
        error: Option<Arc<io::Error>>,
    },
    /// No answer came in time, and the connection is closed for it (Kafka: `DisconnectException`,
    /// the request having timed out). Whether the broker carried the request out is not known.
    #[error("{address} did not answer {api} within {after:?}")]
    Timeout {
        /// The broker.
        address: Arc<str>,
        /// The API.
        api: &'static str,
        /// How long the client waited (Kafka: `request.timeout.ms`).
        after: Duration,
    },
    /// The broker does not speak any version of the API that the client does, or that the call
    /// needs (Kafka: `UnsupportedVersionException`, KIP-35).
    #[error("{address} speaks {api} {}, this client {ours}", .theirs.as_deref().unwrap_or("not at all"))]
    Unsupported {
        /// The broker.
        address: Arc<str>,
        /// The API.
        api: &'static str,
        /// The client's versions.
        ours: String,
        /// The broker's versions.
        theirs: Option<String>,
    },
    /// The request cannot be written in the version that broker and client share.
    #[error("{api} request: {reason}")]
    Encode {
        /// The API.
        api: &'static str,
        /// The encoder's words.
        reason: String,
    },
    /// The broker answered with something else than the protocol calls for.
    #[error("{address} answered garbage: {reason}")]
    Garbage {
        /// The broker.
        address: Arc<str>,
        /// What was wrong with it.
        reason: String,
    },
    /// The client has been closed, and its connections with it.
    #[error("the client has been closed")]
    ClientClosed,
    /// More requests wait on the connection than it has room for.
    #[error("{address} has not answered {waiting} requests: no more are sent")]
    Congested {
        /// The broker.
        address: Arc<str>,
        /// How many wait.
        waiting: usize,
    },
}

impl CallError {
    /// Whether the same request may succeed later, on another connection say (Kafka:
    /// `RetriableException`).
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::Connect(error) => error.retriable(),
            Self::Closed { .. } | Self::Timeout { .. } | Self::Congested { .. } => true,
            // A broker that is being stopped or a proxy in between may garble one answer.
            Self::Garbage { .. } => true,
            Self::Unsupported { .. } | Self::Encode { .. } | Self::ClientClosed => false,
        }
    }

    /// Whether the broker may have carried the request out although there is no answer.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        matches!(
            self,
            Self::Closed { .. } | Self::Timeout { .. } | Self::Garbage { .. } | Self::ClientClosed
        )
    }
}
