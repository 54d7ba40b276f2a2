//! The protocol error codes that the catalog answers with.

/// A protocol error code, named and numbered as in Kafka's `Errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i16)]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub enum ErrorCode {
    UnknownServerError = -1,
    UnknownTopicOrPartition = 3,
    InvalidTopicException = 17,
    TopicAlreadyExists = 36,
    InvalidPartitions = 37,
    InvalidReplicationFactor = 38,
    InvalidReplicaAssignment = 39,
    InvalidConfig = 40,
    InvalidRequest = 42,
    PolicyViolation = 44,
    TopicDeletionDisabled = 73,
    InvalidUpdateVersion = 95,
    UnknownTopicId = 100,
}
