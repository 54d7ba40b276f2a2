//! A topic's settings as its partitions use them.

use tidemark_protocol::records::{Compression, TimestampType};

use super::BatchRules;
use crate::config::{CompressionType, TimestampKind, TopicConfig};
use crate::storage::LogConfig;

/// Everything about a topic's configuration that its partitions look at.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionSettings {
    /// For the log: rolling, retention, syncing.
    pub log: LogConfig,
    /// For produced batches.
    pub rules: BatchRules,
}
