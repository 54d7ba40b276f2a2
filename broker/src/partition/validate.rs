//! What a produced batch must be like, judged in Kafka's order (`ProduceRequest.validateRecords`,
//! `UnifiedLog.analyzeAndValidateRecords`, `LogValidator`). Pure: bytes in, a batch to append or a
//! refusal out.
//!
//! The header and the CRC are always checked, and the records are always walked, packed or not: a
//! header may say what its records do not, and whoever reads them would stumble over it.

use std::borrow::Cow;

use bytes::Bytes;
use tidemark_protocol::error::ErrorCode;
use tidemark_protocol::records::{
    BatchError, BatchHeader, BatchView, Batches, Compression, CompressionError, NO_TIMESTAMP,
    ReadBatchError, TimestampType, WalkError, WalkedRecord, recompress, walk_section,
    with_timestamps,
};

use crate::types::Timestamp;

/// The most that one batch's records may take uncompressed: a bomb beyond it is MESSAGE_TOO_LARGE,
/// however small it looks compressed. It bounds what a walk costs in time, and what another codec
/// costs in memory. Kafka has no such limit; its default `socket.request.max.bytes` is the same
/// number.
pub const MAX_UNCOMPRESSED_BYTES: usize = 100 * 1024 * 1024;

/// Record errors reported for one batch; clients show the first few at best.
const MAX_RECORD_ERRORS: usize = 100;

/// The settings of a topic that decide which batches it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRules {
    /// `max.message.bytes`: the largest batch, as it is stored.
    pub max_message_bytes: usize,
    /// `segment.bytes`: a batch must fit in a segment.
    pub segment_bytes: usize,
    /// `cleanup.policy` has `compact`: every record needs a key.
    pub compacted: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// `compression.type` with its level; `None` for `producer`: as the batch came.
    pub compression: Option<(Compression, Option<i32>)>,
}

/// A batch that may be appended.
#[derive(Clone, Debug)]
pub struct ValidBatch {
    /// Its header, before offset and epoch are patched in.
    pub header: BatchHeader,
    /// All its bytes.
    pub bytes: Bytes,
}

/// Why a batch was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// Kafka's code for it.
    pub code: ErrorCode,
    /// What is wrong, for the client's log.
    pub message: String,
    /// Index and message per faulty record, where records are at fault.
    pub records: Vec<(i32, String)>,
    /// Whether the batch got as far as to be judged by the log's rules: then the answer tells
    /// where the log starts, as Kafka's does.
    pub reached_log: bool,
}

impl Refused {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let reached_log = !matches!(
            code,
            ErrorCode::CorruptMessage | ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge
        );
        Self {
            code,
            message: message.into(),
            records: Vec::new(),
            reached_log,
        }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRecord, message)
    }
}

/// Judges what a client sent for one partition and makes it ready to append.
///
/// `version` is the Produce version, `now` the broker's wall clock.
pub fn validate(
    records: Option<Bytes>,
    version: i16,
    rules: &BatchRules,
    now: Timestamp,
) -> Result<ValidBatch, Refused> {
    let bytes = records.unwrap_or_default();
    let batch = only_batch(&bytes, version).map_err(|refused| Refused {
        reached_log: false,
        ..refused
    })?;
    check_header(&batch, rules)?;
    let repack = rules
        .compression
        .filter(|(codec, _)| batch.compression() != Ok(*codec));
    // What is to be packed anew is unpacked whole; everything else is walked as it is unpacked.
    let plain = repack.map(|_| open_records(&batch)).transpose()?;
    let max_timestamp = judge_records(&batch, plain.as_deref(), rules, now)?;
    let times = match rules.timestamp_type {
        TimestampType::CreateTime => (TimestampType::CreateTime, max_timestamp),
        TimestampType::LogAppendTime => (TimestampType::LogAppendTime, now.0),
    };
    let bytes = match (repack, plain) {
        (Some((codec, level)), Some(plain)) => recompress(&batch, &plain, codec, level, times)
            .map_err(|error| Refused::new(ErrorCode::CorruptMessage, error.to_string()))?,
        // The true largest timestamp where the header says another, the broker's where the topic
        // asks for it.
        _ if times != (batch.timestamp_type(), batch.max_timestamp) => {
            with_timestamps(&batch, times)
        }
        _ => bytes.slice_ref(batch.bytes()),
    };
    let header = BatchHeader::parse(&bytes).map_err(|error| Refused::invalid(error.to_string()))?;
    check_size(bytes.len(), rules)?;
    if bytes.len() > rules.segment_bytes {
        return Err(Refused::new(
            ErrorCode::RecordListTooLarge,
            format!(
                "The batch of {} bytes is larger than the topic's segment.bytes of {}",
                bytes.len(),
                rules.segment_bytes
            ),
        ));
    }
    Ok(ValidBatch { header, bytes })
}

/// Rules 9 and 15: exactly one batch, of magic 2, with a codec the request's version knows.
fn only_batch(bytes: &Bytes, version: i16) -> Result<BatchView<'_>, Refused> {
    let mut batches = Batches::new(bytes);
    let batch = match batches.next() {
        None => return Err(no_batch(version)),
        // What is not a whole batch is no batch at all.
        Some(Err(BatchError::Truncated { .. })) => return Err(no_batch(version)),
        Some(Err(BatchError::BadMagic {
            magic: magic @ (0 | 1),
        })) => {
            return Err(Refused::invalid(format!(
                "Produce requests with version {version} are only allowed to contain record \
                 batches with magic version 2, not {magic}"
            )));
        }
        Some(Err(error)) => return Err(Refused::new(ErrorCode::CorruptMessage, error.to_string())),
        Some(Ok(batch)) => batch,
    };
    match batch.compression() {
        Err(error) => return Err(Refused::new(ErrorCode::CorruptMessage, error.to_string())),
        Ok(Compression::Zstd) if version < 7 => {
            return Err(Refused::new(
                ErrorCode::UnsupportedCompressionType,
                format!("Produce requests with version {version} may not use zstd"),
            ));
        }
        Ok(_) => {}
    }
    match batches.next() {
        // Kafka cuts off what follows and is no whole batch; so does `validate`.
        None | Some(Err(BatchError::Truncated { .. })) => Ok(batch),
        Some(Err(error)) => Err(Refused::new(ErrorCode::CorruptMessage, error.to_string())),
        Some(Ok(_)) => Err(Refused::invalid(format!(
            "Produce requests with version {version} are only allowed to contain exactly one \
             record batch per partition"
        ))),
    }
}

fn no_batch(version: i16) -> Refused {
    Refused::invalid(format!(
        "Produce requests with version {version} must have at least one record batch per partition"
    ))
}

/// Size, CRC and the header's own sense, in the order in which Kafka looks at them.
fn check_header(batch: &BatchView<'_>, rules: &BatchRules) -> Result<(), Refused> {
    if batch.base_offset != 0 {
        return Err(Refused::invalid(format!(
            "The base offset of a produced batch must be 0, but it is {}",
            batch.base_offset
        )));
    }
    check_size(batch.bytes().len(), rules)?;
    batch
        .validate_crc()
        .map_err(|error| Refused::new(ErrorCode::CorruptMessage, error.to_string()))?;
    if batch.is_control() {
        return Err(Refused::invalid(
            "Clients are not allowed to write control records",
        ));
    }
    if batch.has_delete_horizon() {
        return Err(Refused::invalid(
            "Clients are not allowed to set a delete horizon",
        ));
    }
    let count = i64::from(batch.last_offset_delta) + 1;
    if count <= 0 {
        return Err(Refused::invalid(format!(
            "The batch's offsets span {count} records: it must hold at least one"
        )));
    }
    if count != i64::from(batch.records_count) {
        return Err(Refused::invalid(format!(
            "The batch says it holds {} records but its offsets span {count}",
            batch.records_count
        )));
    }
    if batch.has_producer_id() && batch.base_sequence < 0 {
        return Err(Refused::invalid(format!(
            "The batch of producer {} has the sequence number {}: it must not be negative",
            batch.producer_id, batch.base_sequence
        )));
    }
    if batch.is_transactional() {
        return Err(Refused::new(
            ErrorCode::InvalidTxnState,
            "This broker does not serve transactions yet: the batch is transactional",
        ));
    }
    Ok(())
}

fn check_size(size: usize, rules: &BatchRules) -> Result<(), Refused> {
    if size <= rules.max_message_bytes {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::MessageTooLarge,
        format!(
            "The batch of {size} bytes is larger than the topic's max.message.bytes of {}",
            rules.max_message_bytes
        ),
    ))
}

/// Walks the records, `plain` if they are unpacked already, holds them against the rules of the
/// topic and returns their largest timestamp.
fn judge_records(
    batch: &BatchView<'_>,
    plain: Option<&[u8]>,
    rules: &BatchRules,
    now: Timestamp,
) -> Result<i64, Refused> {
    let bounds = match rules.timestamp_type {
        TimestampType::CreateTime => Some(Bounds::new(rules, now)),
        TimestampType::LogAppendTime => None,
    };
    let stamped = batch.timestamp_type() == TimestampType::LogAppendTime;
    let mut largest = NO_TIMESTAMP;
    let mut faults = Faults::default();
    let visit = |record: WalkedRecord| {
        let timestamp = batch.base_timestamp.saturating_add(record.timestamp_delta);
        largest = largest.max(timestamp);
        if rules.compacted && !record.has_key {
            faults.note(record.index, ErrorCode::InvalidRecord, || {
                "Compacted topic cannot accept message without key".to_owned()
            });
        } else if let Some(bounds) = &bounds {
            if !bounds.allow(timestamp) {
                let tell = || bounds.tell(timestamp);
                faults.note(record.index, ErrorCode::InvalidTimestamp, tell);
            }
        } else if stamped {
            faults.note(record.index, ErrorCode::InvalidTimestamp, || {
                "A producer must not send LogAppendTime timestamps: the broker sets them".to_owned()
            });
        }
    };
    let walked = match plain {
        Some(section) => walk_section(section, batch.records_count, visit),
        None => batch.walk_records(MAX_UNCOMPRESSED_BYTES, visit),
    };
    walked.map_err(|error| match error {
        WalkError::Record(error) => Refused::invalid(error.to_string()),
        WalkError::Batch(error) => Refused::new(ErrorCode::CorruptMessage, error.to_string()),
        WalkError::Compression(error) => unreadable(&error),
    })?;
    faults.verdict().map_or(Ok(largest), Err)
}

fn open_records<'a>(batch: &BatchView<'a>) -> Result<Cow<'a, [u8]>, Refused> {
    batch
        .uncompressed_records(MAX_UNCOMPRESSED_BYTES)
        .map_err(|error| match error {
            ReadBatchError::Batch(error) => {
                Refused::new(ErrorCode::CorruptMessage, error.to_string())
            }
            ReadBatchError::Compression(error) => unreadable(&error),
        })
}

fn unreadable(error: &CompressionError) -> Refused {
    let code = match error {
        CompressionError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        _ => ErrorCode::CorruptMessage,
    };
    Refused::new(code, error.to_string())
}

/// Rules 10 and 12: the records that break the topic's rules, each by the first rule it breaks.
#[derive(Default)]
struct Faults {
    records: Vec<(i32, String)>,
    code: Option<ErrorCode>,
}

impl Faults {
    fn note(&mut self, index: i32, code: ErrorCode, tell: impl FnOnce() -> String) {
        // As in Kafka one bad timestamp makes it a matter of timestamps.
        if self.code != Some(ErrorCode::InvalidTimestamp) {
            self.code = Some(code);
        }
        if self.records.len() < MAX_RECORD_ERRORS {
            self.records.push((index, tell()));
        }
    }

    fn verdict(self) -> Option<Refused> {
        let code = self.code?;
        let message = match code {
            ErrorCode::InvalidTimestamp => {
                "One or more records have been rejected due to invalid timestamp"
            }
            _ => "One or more records have been rejected",
        };
        Some(Refused {
            records: self.records,
            ..Refused::new(code, message)
        })
    }
}

/// The timestamps a CreateTime topic takes, in milliseconds.
struct Bounds {
    earliest: i64,
    latest: i64,
    now: i64,
}

impl Bounds {
    fn new(rules: &BatchRules, now: Timestamp) -> Self {
        Self {
            earliest: now.0.saturating_sub(rules.before_max_ms),
            latest: now.0.saturating_add(rules.after_max_ms),
            now: now.0,
        }
    }

    fn allow(&self, timestamp: i64) -> bool {
        // -1 is "no timestamp", which Kafka lets pass.
        timestamp == NO_TIMESTAMP || (self.earliest..=self.latest).contains(&timestamp)
    }

    fn tell(&self, timestamp: i64) -> String {
        format!(
            "Timestamp {timestamp} of message is out of range: it must be between {} and {} (the \
             broker's clock says {})",
            self.earliest, self.latest, self.now
        )
    }
}

#[cfg(test)]
mod tests;
