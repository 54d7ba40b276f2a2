//! What a produced batch must be like, judged in Kafka's order (`ProduceRequest.validateRecords`,
//! `UnifiedLog.analyzeAndValidateRecords`, `LogValidator`). Pure: bytes in, a batch to append or a
//! refusal out.
//!
//! The header and the CRC are always checked. Uncompressed records are always walked. Compressed
//! records are opened only where a rule needs them: keys on a compacted topic, timestamps that
//! look out of bounds, another codec on the topic.

use std::borrow::Cow;

use bytes::Bytes;
use tidemark_protocol::error::ErrorCode;
use tidemark_protocol::records::{
    BatchError, BatchHeader, BatchView, Batches, Compression, Records, TimestampType, recompress,
    with_create_time, with_log_append_time,
};

use crate::types::Timestamp;

/// The most that one batch's records may take uncompressed: a bomb beyond it is refused, however
/// small it looks compressed. Kafka has no such limit; its default `socket.request.max.bytes` is
/// the same number.
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
    let max_timestamp = check_records(&batch, rules, now)?;
    let bytes = rewrite(&batch, &bytes, rules, max_timestamp, now)?;
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

/// Walks the records if there is a reason to, and returns their largest timestamp if it did.
fn check_records(
    batch: &BatchView<'_>,
    rules: &BatchRules,
    now: Timestamp,
) -> Result<Option<i64>, Refused> {
    let create_time = rules.timestamp_type == TimestampType::CreateTime;
    let stamped = batch.timestamp_type() == TimestampType::LogAppendTime;
    if stamped && !create_time {
        return Err(Refused::new(
            ErrorCode::InvalidTimestamp,
            "A producer must not send LogAppendTime timestamps: the broker sets them",
        ));
    }
    let bounds = create_time.then(|| Bounds::new(rules, now));
    let uncompressed = batch.compression() == Ok(Compression::None);
    let open = uncompressed
        || rules.compacted
        || stamped
        || bounds
            .as_ref()
            .is_some_and(|bounds| bounds.need_records(batch));
    if !open {
        return Ok(None);
    }
    let section = open_records(batch)?;
    let summary = batch
        .validate_records(&section)
        .map_err(|error| Refused::invalid(error.to_string()))?;
    let keyless = rules.compacted && summary.first_keyless.is_some();
    let late = bounds.as_ref().is_some_and(|bounds| {
        let at = |delta| batch.base_timestamp.saturating_add(delta);
        bounds.refuse(at(summary.min_timestamp_delta)).is_some()
            || bounds.refuse(at(summary.max_timestamp_delta)).is_some()
    });
    if keyless || late {
        Err(name_faulty_records(batch, &section, rules, bounds))
    } else {
        Ok(Some(
            batch
                .base_timestamp
                .saturating_add(summary.max_timestamp_delta),
        ))
    }
}

fn open_records<'a>(batch: &BatchView<'a>) -> Result<Cow<'a, [u8]>, Refused> {
    batch
        .uncompressed_records(MAX_UNCOMPRESSED_BYTES)
        .map_err(|error| Refused::new(ErrorCode::CorruptMessage, error.to_string()))
}

/// Rules 10 and 12: says which records have no key or a timestamp out of bounds.
fn name_faulty_records(
    batch: &BatchView<'_>,
    section: &[u8],
    rules: &BatchRules,
    bounds: Option<Bounds>,
) -> Refused {
    let mut records = Vec::new();
    let mut code = ErrorCode::InvalidTimestamp;
    for (index, record) in Records::new(section, batch.records_count).enumerate() {
        let Ok(record) = record else { break };
        let timestamp = batch.base_timestamp.saturating_add(record.timestamp_delta);
        let fault = if rules.compacted && record.key.is_none() {
            code = ErrorCode::InvalidRecord;
            Some("Compacted topic cannot accept message without key".to_owned())
        } else {
            bounds.as_ref().and_then(|bounds| bounds.refuse(timestamp))
        };
        if let Some(message) = fault
            && records.len() < MAX_RECORD_ERRORS
        {
            records.push((i32::try_from(index).unwrap_or(i32::MAX), message));
        }
    }
    let message = match code {
        ErrorCode::InvalidRecord => "One or more records have been rejected",
        _ => "One or more records have been rejected due to invalid timestamp",
    };
    Refused {
        records,
        ..Refused::new(code, message)
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

    /// Whether the header alone cannot say that all records are within bounds.
    fn need_records(&self, batch: &BatchView<'_>) -> bool {
        // The smallest timestamp is not in the header; it matters only if there is a lower bound.
        let lower_bound = self.earliest > 0;
        lower_bound || batch.max_timestamp > self.latest || batch.base_timestamp > self.latest
    }

    fn refuse(&self, timestamp: i64) -> Option<String> {
        // -1 is "no timestamp", which Kafka lets pass.
        let fine = timestamp == -1 || (self.earliest..=self.latest).contains(&timestamp);
        (!fine).then(|| {
            format!(
                "Timestamp {timestamp} of message is out of range: it must be between {} and {} \
                 (the broker's clock says {})",
                self.earliest, self.latest, self.now
            )
        })
    }
}

/// Another codec or the broker's time, where the topic asks for it; the true largest timestamp
/// where the header says another; otherwise the same bytes.
fn rewrite(
    batch: &BatchView<'_>,
    bytes: &Bytes,
    rules: &BatchRules,
    max_timestamp: Option<i64>,
    now: Timestamp,
) -> Result<Bytes, Refused> {
    let append_time = (rules.timestamp_type == TimestampType::LogAppendTime).then_some(now.0);
    let stamped = batch.timestamp_type() == TimestampType::LogAppendTime;
    match rules.compression {
        Some((codec, level)) if batch.compression() != Ok(codec) => {
            // Opened here, so walked here: a faulty record must not be packed up anew.
            let section = open_records(batch)?;
            let summary = batch
                .validate_records(&section)
                .map_err(|error| Refused::invalid(error.to_string()))?;
            let packed = recompress(batch, codec, level, append_time, MAX_UNCOMPRESSED_BYTES)
                .map_err(|error| Refused::new(ErrorCode::CorruptMessage, error.to_string()))?;
            let max = batch
                .base_timestamp
                .saturating_add(summary.max_timestamp_delta);
            if append_time.is_some() || (max == batch.max_timestamp && !stamped) {
                return Ok(packed);
            }
            let packed = BatchView::parse(&packed)
                .map_err(|error| Refused::new(ErrorCode::CorruptMessage, error.to_string()))?;
            Ok(with_create_time(&packed, max))
        }
        _ => Ok(match (append_time, max_timestamp) {
            (Some(time), _) => with_log_append_time(batch, time),
            (None, Some(max)) if max != batch.max_timestamp || stamped => {
                with_create_time(batch, max)
            }
            (None, _) => bytes.slice_ref(batch.bytes()),
        }),
    }
}

#[cfg(test)]
mod tests;
