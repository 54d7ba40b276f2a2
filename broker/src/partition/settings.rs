//! A topic's settings as its partitions use them.

use tidemark_protocol::records::{Compression, TimestampType};

use super::BatchRules;
use crate::config::{self, BrokerConfig, CompressionType, TopicConfig};
use crate::storage::LogConfig;

/// Everything about a topic's configuration that its partitions look at.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionSettings {
    /// For the log: rolling, retention, syncing.
    pub log: LogConfig,
    /// For produced batches.
    pub rules: BatchRules,
}

impl PartitionSettings {
    /// Takes what a partition needs out of the topic's and the broker's configuration.
    pub fn new(topic: &TopicConfig, broker: &BrokerConfig) -> Self {
        let size = |bytes: i32| u32::try_from(bytes).unwrap_or(0);
        let segment_bytes = size(topic.segment_size());
        let log = LogConfig {
            segment_bytes,
            segment_ms: topic.segment_ms,
            segment_jitter_ms: topic.segment_jitter_ms,
            segment_index_bytes: size(topic.segment_index_bytes),
            index_interval_bytes: size(topic.index_interval_bytes),
            retention_ms: topic.retention_ms,
            retention_bytes: topic.retention_bytes,
            file_delete_delay_ms: topic.file_delete_delay_ms,
            delete: topic.cleanup_policy.delete,
            compact: topic.cleanup_policy.compact,
            flush_messages: topic.flush_messages,
            flush_ms: topic.flush_ms,
            preallocate: topic.preallocate,
            producer_id_expiration_ms: i64::from(broker.producer_id_expiration_ms),
        };
        let rules = BatchRules {
            max_message_bytes: size(topic.max_message_bytes) as usize,
            segment_bytes: segment_bytes as usize,
            compacted: topic.cleanup_policy.compact,
            timestamp_type: match topic.message_timestamp_type {
                config::TimestampType::CreateTime => TimestampType::CreateTime,
                config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
            },
            before_max_ms: topic.message_timestamp_before_max_ms,
            after_max_ms: topic.message_timestamp_after_max_ms,
            compression: compression(topic),
        };
        Self { log, rules }
    }
}

/// The codec the topic demands with its level; `None` to keep the producer's.
fn compression(topic: &TopicConfig) -> Option<(Compression, Option<i32>)> {
    Some(match topic.compression_type {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => (Compression::None, None),
        CompressionType::Gzip => (Compression::Gzip, Some(topic.compression_gzip_level)),
        CompressionType::Snappy => (Compression::Snappy, None),
        CompressionType::Lz4 => (Compression::Lz4, Some(topic.compression_lz4_level)),
        CompressionType::Zstd => (Compression::Zstd, Some(topic.compression_zstd_level)),
    })
}
