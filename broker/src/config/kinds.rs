//! Values with a meaning of their own: policies, codecs, limits.

use std::collections::BTreeMap;

use super::java;
use super::spec::{Field, field};
use super::value::Value;

/// What happens to old data of a topic: removed by age and size, compacted by key, both, or
/// neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are removed by `retention.ms` and `retention.bytes`.
    pub delete: bool,
    /// The newest record of each key is kept. Stored and reported; compaction is not there yet.
    /// A record without a key is refused on such a topic.
    pub compact: bool,
}

/// The codec a topic keeps its data in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer sent it.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// gzip at `compression.gzip.level`.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4 at `compression.lz4.level`.
    Lz4,
    /// Zstandard at `compression.zstd.level`.
    Zstd,
}

/// Whose clock a record's timestamp comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

/// Connection limits of single addresses or host names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionLimits(pub BTreeMap<String, i32>);

/// The names of [`CompressionType`], in Kafka's order.
pub(super) const COMPRESSION_TYPES: &[&str] =
    &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// The names of [`TimestampType`].
pub(super) const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];

/// The entries of [`CleanupPolicy`].
pub(super) const CLEANUP_POLICIES: &[&str] = &["compact", "delete"];

field! {
    CleanupPolicy: Value::List(entries) => Some(CleanupPolicy {
        delete: entries.iter().any(|entry| entry == "delete"),
        compact: entries.iter().any(|entry| entry == "compact"),
    });
    CompressionType: Value::Text(name) => match name.as_str() {
        "producer" => Some(CompressionType::Producer),
        "uncompressed" => Some(CompressionType::Uncompressed),
        "gzip" => Some(CompressionType::Gzip),
        "snappy" => Some(CompressionType::Snappy),
        "lz4" => Some(CompressionType::Lz4),
        "zstd" => Some(CompressionType::Zstd),
        _ => None,
    };
    TimestampType: Value::Text(name) => match name.as_str() {
        "CreateTime" => Some(TimestampType::CreateTime),
        "LogAppendTime" => Some(TimestampType::LogAppendTime),
        _ => None,
    };
    ConnectionLimits: Value::Text(text) => connection_limits(text).ok().map(ConnectionLimits);
}

/// The rule of `max.connections.per.ip.overrides`.
pub(super) fn check_connection_limits(value: &Value) -> Result<(), String> {
    match value {
        Value::Text(text) => connection_limits(text).map(|_| ()),
        _ => Ok(()),
    }
}

/// The rule of the two lists of throttled replicas: `*`, or entries `partition:broker`.
pub(super) fn check_throttled_replicas(value: &Value) -> Result<(), String> {
    let Value::List(entries) = value else {
        return Ok(());
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_replica = |entry: &String| {
        entry.is_empty()
            || entry
                .split_once(':')
                .is_some_and(|(p, b)| digits(p) && digits(b))
    };
    if entries.iter().all(is_replica) || entries.concat() == "*" {
        return Ok(());
    }
    Err("must be * or a list of replicas in the form [partitionId]:[brokerId],...".to_owned())
}

/// Reads `host:limit,host:limit`; an IPv6 address may stand with or without brackets, since the
/// last colon is the one that counts.
fn connection_limits(text: &str) -> Result<BTreeMap<String, i32>, String> {
    let mut limits = BTreeMap::new();
    for entry in java::split_list(text) {
        let limit = entry.rsplit_once(':').and_then(|(host, limit)| {
            let host = host.trim().trim_start_matches('[').trim_end_matches(']');
            let limit: i32 = limit.trim().parse().ok()?;
            (limit >= 0 && is_host(host)).then(|| (host.to_owned(), limit))
        });
        let Some((host, limit)) = limit else {
            return Err(format!(
                "Value must be a list of address:limit with limits of at least 0, which '{entry}' \
                 is not"
            ));
        };
        limits.insert(host, limit);
    }
    Ok(limits)
}

/// The characters a host name or an address consists of (Kafka's `Utils.validHostPattern`).
fn is_host(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-%._:".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}
