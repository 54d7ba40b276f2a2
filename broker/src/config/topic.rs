//! The options of a topic: Kafka 4.2's, with Kafka's defaults and ranges (`LogConfig`).
//!
//! A topic's value comes from its own override, else from the broker options that are its
//! synonyms (`ServerTopicConfigSynonyms`), else from the default in the table.

use super::Overrides;
use super::broker::BrokerConfig;
use super::error::ConfigError;
use super::kinds::{
    CLEANUP_POLICIES, COMPRESSION_TYPES, CleanupPolicy, CompressionType, TIMESTAMP_TYPES,
    TimestampType, check_throttled_replicas,
};
use super::spec::Valid::{Any, AtLeast, Between, BetweenOr, ListOf, OneOf, Rule};
use super::spec::{OptionSpec, find, options};
use super::value::Value;

/// The longest value an override may have, in UTF-16 code units: what fits a string of Kafka's
/// metadata records (`ConfigurationControlManager`).
const MAX_VALUE_LENGTH: usize = i16::MAX as usize;

options! {
    /// The options in force for one topic, in their own types.
    TopicConfig,
    /// Every option of a topic, sorted by name.
    OPTIONS;

    cleanup_policy: CleanupPolicy = List "cleanup.policy", Some("delete"),
        ListOf(CLEANUP_POLICIES), { synonyms: &["log.cleanup.policy"] },
        "What happens to old data: `delete` removes old segments by age and size, `compact` keeps \
         the newest record of each key, both may be given, and an empty list keeps everything. \
         `compact` is stored and reported; compaction is not there yet.";
    compression_gzip_level: i32 = Int "compression.gzip.level", Some("-1"),
        BetweenOr(1, 9, -1), { synonyms: &["compression.gzip.level"] },
        "The level of gzip when `compression.type` is `gzip`; -1 is the codec's own default.";
    compression_lz4_level: i32 = Int "compression.lz4.level", Some("9"),
        Between(1, 17), { synonyms: &["compression.lz4.level"] },
        "The level of LZ4 when `compression.type` is `lz4`.";
    compression_type: CompressionType = String "compression.type", Some("producer"),
        OneOf(COMPRESSION_TYPES), { synonyms: &["compression.type"] },
        "The codec the topic's batches are kept in. `producer` keeps each batch as it was sent; \
         every other value makes the broker recompress batches that came in another codec.";
    compression_zstd_level: i32 = Int "compression.zstd.level", Some("3"),
        Between(-131_072, 22), { synonyms: &["compression.zstd.level"] },
        "The level of Zstandard when `compression.type` is `zstd`.";
    delete_retention_ms: i64 = Long "delete.retention.ms", Some("86400000"),
        AtLeast(0), { synonyms: &["log.cleaner.delete.retention.ms"] },
        "How long a tombstone stays in a compacted topic, so that a reader from the start sees \
         the deletion. Stored and reported; compaction is not there yet.";
    file_delete_delay_ms: i64 = Long "file.delete.delay.ms", Some("60000"),
        AtLeast(0), { synonyms: &["log.segment.delete.delay.ms"] },
        "How long a removed segment's files stay on disk under the suffix `.deleted`.";
    flush_messages: i64 = Long "flush.messages", Some("9223372036854775807"),
        AtLeast(1), { synonyms: &["log.flush.interval.messages"] },
        "After how many records a log is forced to disk. Stored and reported, without effect: \
         `tidemark.acks.all.durable` decides what an acknowledgement waits for.";
    flush_ms: i64 = Long "flush.ms", Some("9223372036854775807"),
        AtLeast(0), { synonyms: &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"] },
        "After how much time a log is forced to disk. Stored and reported, without effect: \
         `tidemark.acks.all.durable` decides what an acknowledgement waits for.";
    follower_replication_throttled_replicas: Vec<String> =
        List "follower.replication.throttled.replicas", Some(""),
        Rule(check_throttled_replicas, "* or [partitionId]:[brokerId],..."), {},
        "Replicas whose copying is throttled on the follower's side. Stored and reported, without \
         effect: a single node has no followers.";
    index_interval_bytes: i32 = Int "index.interval.bytes", Some("4096"),
        AtLeast(0), { synonyms: &["log.index.interval.bytes"] },
        "How many bytes are appended between two entries of the offset index. Fewer bytes make \
         look-ups more exact and the index larger.";
    internal_segment_bytes: Option<i32> = Int "internal.segment.bytes", None,
        AtLeast(1), { internal: true },
        "Replaces `segment.bytes` without its lower limit, so that tests can roll small segments.";
    leader_replication_throttled_replicas: Vec<String> =
        List "leader.replication.throttled.replicas", Some(""),
        Rule(check_throttled_replicas, "* or [partitionId]:[brokerId],..."), {},
        "Replicas whose copying is throttled on the leader's side. Stored and reported, without \
         effect: a single node has no followers.";
    local_retention_bytes: i64 = Long "local.retention.bytes", Some("-2"),
        AtLeast(-2), { synonyms: &["log.local.retention.bytes"] },
        "How much data of a topic in remote storage stays local; -2 follows `retention.bytes`. \
         Stored and reported, without effect: there is no remote storage.";
    local_retention_ms: i64 = Long "local.retention.ms", Some("-2"),
        AtLeast(-2), { synonyms: &["log.local.retention.ms"] },
        "How long data of a topic in remote storage stays local; -2 follows `retention.ms`. \
         Stored and reported, without effect: there is no remote storage.";
    max_compaction_lag_ms: i64 = Long "max.compaction.lag.ms", Some("9223372036854775807"),
        AtLeast(1), { synonyms: &["log.cleaner.max.compaction.lag.ms"] },
        "After how much time at the latest a record is considered for compaction. Stored and \
         reported; compaction is not there yet.";
    max_message_bytes: i32 = Int "max.message.bytes", Some("1048588"),
        AtLeast(0), { synonyms: &["message.max.bytes"] },
        "The largest batch the topic accepts, in bytes after compression, header included.";
    message_timestamp_after_max_ms: i64 = Long "message.timestamp.after.max.ms", Some("3600000"),
        AtLeast(0), { synonyms: &["log.message.timestamp.after.max.ms"] },
        "How far a record's timestamp may lie ahead of the broker's clock. Not looked at when \
         `message.timestamp.type` is `LogAppendTime`.";
    message_timestamp_before_max_ms: i64 =
        Long "message.timestamp.before.max.ms", Some("9223372036854775807"),
        AtLeast(0), { synonyms: &["log.message.timestamp.before.max.ms"] },
        "How far a record's timestamp may lie behind the broker's clock. Not looked at when \
         `message.timestamp.type` is `LogAppendTime`.";
    message_timestamp_type: TimestampType = String "message.timestamp.type", Some("CreateTime"),
        OneOf(TIMESTAMP_TYPES), { synonyms: &["log.message.timestamp.type"] },
        "Whose clock stamps the records: the producer's (`CreateTime`) or the broker's at the \
         append (`LogAppendTime`).";
    min_cleanable_dirty_ratio: f64 = Double "min.cleanable.dirty.ratio", Some("0.5"),
        Between(0, 1), { synonyms: &["log.cleaner.min.cleanable.ratio"] },
        "The share of a log that must be uncompacted before compaction is worth it. Stored and \
         reported; compaction is not there yet.";
    min_compaction_lag_ms: i64 = Long "min.compaction.lag.ms", Some("0"),
        AtLeast(0), { synonyms: &["log.cleaner.min.compaction.lag.ms"] },
        "How long a record is safe from compaction. Stored and reported; compaction is not there \
         yet.";
    min_insync_replicas: i32 = Int "min.insync.replicas", Some("1"),
        AtLeast(1), { synonyms: &["min.insync.replicas"] },
        "How many replicas an append with acks=all needs, or all that there are if they are fewer. \
         A single node has one, so that every value is met.";
    preallocate: bool = Boolean "preallocate", Some("false"),
        Any, { synonyms: &["log.preallocate"] },
        "Whether a new segment's file takes its full size on disk at once. Stored and reported, \
         without effect yet.";
    remote_log_copy_disable: bool = Boolean "remote.log.copy.disable", Some("false"),
        Any, {},
        "Whether a topic in remote storage stops copying to it. Stored and reported, without \
         effect: there is no remote storage.";
    remote_log_delete_on_disable: bool = Boolean "remote.log.delete.on.disable", Some("false"),
        Any, {},
        "Whether remote data is removed when remote storage is switched off. Stored and reported, \
         without effect: there is no remote storage.";
    remote_storage_enable: bool = Boolean "remote.storage.enable", Some("false"),
        Any, {},
        "Whether the topic's old segments move to remote storage. Only `false` is accepted: there \
         is no remote storage.";
    retention_bytes: i64 = Long "retention.bytes", Some("-1"),
        Any, { synonyms: &["log.retention.bytes"] },
        "How large a partition may grow before its oldest segments are removed; a negative value \
         sets no limit. Applies when `cleanup.policy` has `delete`.";
    retention_ms: i64 = Long "retention.ms", Some("604800000"),
        AtLeast(-1), {
            synonyms: &["log.retention.ms", "log.retention.minutes", "log.retention.hours"]
        },
        "How old a segment's newest record may become before the segment is removed; -1 sets no \
         limit. Applies when `cleanup.policy` has `delete`.";
    segment_bytes: i32 = Int "segment.bytes", Some("1073741824"),
        AtLeast(1_048_576), { synonyms: &["log.segment.bytes"] },
        "The size at which a segment is closed and a new one begun. Retention removes whole \
         segments, so smaller ones follow its limits more closely.";
    segment_index_bytes: i32 = Int "segment.index.bytes", Some("10485760"),
        AtLeast(4), { synonyms: &["log.index.size.max.bytes"] },
        "The size of a segment's offset index while the segment is written; a full index closes \
         the segment.";
    segment_jitter_ms: i64 = Long "segment.jitter.ms", Some("0"),
        AtLeast(0), { synonyms: &["log.roll.jitter.ms", "log.roll.jitter.hours"] },
        "By how much `segment.ms` is shortened at most, at random, so that segments do not all \
         roll at the same moment.";
    segment_ms: i64 = Long "segment.ms", Some("604800000"),
        AtLeast(1), { synonyms: &["log.roll.ms", "log.roll.hours"] },
        "After how much time a segment is closed even when it is not full, so that retention can \
         remove it.";
    unclean_leader_election_enable: bool =
        Boolean "unclean.leader.election.enable", Some("false"),
        Any, { synonyms: &["unclean.leader.election.enable"] },
        "Whether a replica that lags may become leader. Stored and reported, without effect: a \
         single node's replica is always the leader.";
}

impl TopicConfig {
    /// The options in force for a topic with these overrides on this broker.
    ///
    /// Overrides are validated before they are stored ([`validate_overrides`]). Should a stored
    /// one be unknown or invalid all the same, because another release or program wrote it, it
    /// has no effect: a topic must stay readable.
    pub fn resolve(broker: &BrokerConfig, overrides: &Overrides) -> Self {
        Self::from_values(|name| value(broker, overrides, name))
    }

    /// The size at which a segment is closed: the internal option when it is set, else
    /// `segment.bytes`.
    pub fn segment_size(&self) -> i32 {
        self.internal_segment_bytes.unwrap_or(self.segment_bytes)
    }
}

/// Finds the declaration of a topic option.
pub fn option(name: &str) -> Option<&'static OptionSpec> {
    find(OPTIONS, name)
}

/// Checks everything about a topic's overrides as Kafka does when a topic is created or its
/// configuration altered: names, values, and values against each other and the broker's defaults.
///
/// # Errors
/// The first thing wrong: unknown names before bad values before contradictions.
pub fn validate_overrides(broker: &BrokerConfig, overrides: &Overrides) -> Result<(), ConfigError> {
    if let Some(name) = overrides.keys().find(|name| option(name).is_none()) {
        return Err(ConfigError::UnknownTopicOption(name.clone()));
    }
    for (name, text) in overrides {
        if text.encode_utf16().count() > MAX_VALUE_LENGTH {
            return Err(ConfigError::Conflict(format!(
                "The value of {name} is longer than the maximum of {MAX_VALUE_LENGTH} characters"
            )));
        }
        if let Some(spec) = option(name) {
            spec.parse(text)?;
        }
    }
    let config = TopicConfig::resolve(broker, overrides);
    check_compaction_lag(
        ("min.compaction.lag.ms", config.min_compaction_lag_ms),
        ("max.compaction.lag.ms", config.max_compaction_lag_ms),
    )?;
    if config.remote_storage_enable {
        return Err(ConfigError::Conflict(
            "remote.storage.enable cannot be true: this broker has no remote storage (tiered \
             storage)"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The shortest and the longest wait before compaction, as (option name, value), must not cross.
pub(super) fn check_compaction_lag(min: (&str, i64), max: (&str, i64)) -> Result<(), ConfigError> {
    if min.1 <= max.1 {
        return Ok(());
    }
    Err(ConfigError::Conflict(format!(
        "conflict topic config setting {} ({}) > {} ({})",
        min.0, min.1, max.0, max.1
    )))
}

/// The value in force of one option; `None` is Kafka's null.
pub(super) fn value(broker: &BrokerConfig, overrides: &Overrides, name: &str) -> Option<Value> {
    let spec = option(name)?;
    overrides
        .get(name)
        .and_then(|text| spec.parse(text).ok())
        .or_else(|| broker.topic_default(spec))
        .or_else(|| spec.default_value())
}

#[cfg(test)]
mod tests;
