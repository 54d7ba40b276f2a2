//! Cuts the records of a fetch answer into batches, without copying and without decoding them.

use bytes::Bytes;
use tidemark_protocol::records::legacy::read_message_set;
use tidemark_protocol::records::{BatchBuilder, BatchError, BatchHeader, TimestampType};

use crate::consumer::batch::{Batch, MAX_UNPACKED};

/// Offset of the magic byte: the same in every format.
const MAGIC: usize = 16;

/// The batches of one partition's answer.
#[derive(Debug, Default)]
pub(crate) struct Split {
    pub(crate) batches: Vec<Batch>,
    /// Offset behind the last batch, or where it was asked to begin if there is none.
    pub(crate) next_offset: i64,
    /// Leader epoch of the last batch, -1 for none.
    pub(crate) last_epoch: i32,
    /// What is wrong at `next_offset`, if the bytes do not go on as a batch.
    pub(crate) broken: Option<String>,
}

/// Cuts `records`, which were asked for from `from` on. A partial batch at the end is left out:
/// brokers cut at byte limits. Batches below `from` are left out too.
pub(crate) fn split(records: &Bytes, from: i64) -> Split {
    let mut split = Split {
        next_offset: from,
        last_epoch: -1,
        ..Split::default()
    };
    let mut at = 0;
    while at < records.len() {
        let rest = records.slice(at..);
        match rest.get(MAGIC) {
            Some(0 | 1) => {
                let length = old_messages(&rest);
                if length == 0 {
                    break;
                }
                match legacy(&rest.slice(..length), from) {
                    Ok(batch) => split.push(batch),
                    Err(reason) => {
                        split.broken = Some(reason);
                        break;
                    }
                }
                at += length;
                continue;
            }
            None => break,
            Some(_) => {}
        }
        match BatchHeader::parse(&rest) {
            Ok(header) if header.size_in_bytes() <= rest.len() => {
                let bytes = rest.slice(..header.size_in_bytes());
                at += bytes.len();
                split.push(Some(Batch {
                    bytes,
                    header,
                    from,
                }));
            }
            Ok(_) | Err(BatchError::Truncated { .. }) => break,
            Err(error) => {
                split.broken = Some(error.to_string());
                break;
            }
        }
    }
    if split.batches.is_empty() && split.broken.is_none() && split.next_offset == from && at == 0 {
        // Something came, and it is less than one batch: it would come again for ever.
        if let Some(header) = BatchHeader::parse(records)
            .ok()
            .filter(|_| !records.is_empty())
        {
            split.broken = Some(format!(
                "the broker sends only {} of its {} bytes",
                records.len(),
                header.size_in_bytes()
            ));
        }
    }
    split
}

impl Split {
    fn push(&mut self, batch: Option<Batch>) {
        let Some(batch) = batch else { return };
        let next = batch.header.next_offset();
        if next <= self.next_offset {
            return;
        }
        self.next_offset = next;
        self.last_epoch = batch.header.partition_leader_epoch;
        self.batches.push(batch);
    }
}

/// The messages of an old set as one v2 batch, so that nobody behind this has to know of them.
fn legacy(set: &Bytes, from: i64) -> Result<Option<Batch>, String> {
    let records = read_message_set(set, MAX_UNPACKED).map_err(|error| error.to_string())?;
    let records: Vec<_> = records.into_iter().filter(|r| r.offset >= from).collect();
    let Some(first) = records.first() else {
        return Ok(None);
    };
    let base = first.offset;
    let mut builder = BatchBuilder::new().base_offset(base);
    let mut appended_at = None;
    for record in &records {
        if record.timestamp_type == Some(TimestampType::LogAppendTime) {
            appended_at = Some(record.timestamp);
        }
        let delta = record.offset.wrapping_sub(base);
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder
            .append_at(delta, record.timestamp, key, value, &[])
            .map_err(|error| error.to_string())?;
    }
    if let Some(time) = appended_at {
        builder = builder.log_append_time(time);
    }
    let bytes = builder.build().map_err(|error| error.to_string())?;
    let header = BatchHeader::parse(&bytes).map_err(|error| error.to_string())?;
    Ok(Some(Batch {
        bytes,
        header,
        from,
    }))
}

/// How many bytes the whole messages of magic 0 and 1 at the front take: offset, size, then that
/// many bytes.
fn old_messages(set: &[u8]) -> usize {
    let mut at: usize = 0;
    while let Some([0 | 1]) = set.get(at + MAGIC..=at + MAGIC)
        && let Some(size) = set.get(at + 8..at + 12)
    {
        let size = <[u8; 4]>::try_from(size).map_or(-1, i32::from_be_bytes);
        let next = usize::try_from(size)
            .ok()
            .and_then(|size| (at + 12).checked_add(size));
        match next {
            // For the reader to complain about.
            None => return set.len(),
            Some(next) if next > set.len() => break,
            Some(next) => at = next,
        }
    }
    at
}

#[cfg(test)]
mod tests;
