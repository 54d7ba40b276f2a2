//! `.snapshot`: the producers of a log at an offset (`ProducerSnapshot.json`, version 1).
//!
//! Version (int16), CRC-32C (uint32) of all that follows it, the number of entries (int32), and
//! 46 bytes for each: producer id (int64), epoch (int16), last sequence (int32), last offset
//! (int64), offset delta of the last batch (int32), timestamp (int64), coordinator epoch (int32),
//! first offset of the open transaction (int64, -1 for none). All big-endian.

use super::{BatchMeta, ProducerEntry, Producers};
use crate::types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

const VERSION: i16 = 1;
/// Version and CRC: what the CRC does not cover.
const UNCOVERED: usize = 6;
const HEADER: usize = UNCOVERED + 4;
const ENTRY: usize = 46;

/// The file's content.
pub(crate) fn encode(producers: &Producers) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + ENTRY * producers.len());
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(
        i32::try_from(producers.len())
            .unwrap_or(i32::MAX)
            .to_be_bytes(),
    );
    for (id, entry) in producers.iter() {
        let last = entry.batches.back();
        bytes.extend(id.0.to_be_bytes());
        bytes.extend(entry.epoch.0.to_be_bytes());
        bytes.extend(entry.last_sequence().0.to_be_bytes());
        bytes.extend(last.map_or(-1, |batch| batch.last_offset.0).to_be_bytes());
        bytes.extend(last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        bytes.extend(entry.last_timestamp.0.to_be_bytes());
        bytes.extend(entry.coordinator_epoch.to_be_bytes());
        bytes.extend(
            entry
                .transaction_start
                .map_or(-1, |start| start.0)
                .to_be_bytes(),
        );
    }
    let crc = crc32c::crc32c(bytes.get(UNCOVERED..).unwrap_or_default());
    if let Some(slot) = bytes.get_mut(2..UNCOVERED) {
        slot.copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

/// Reads a file's content; the error says what is wrong.
pub(crate) fn decode(bytes: &[u8]) -> Result<Producers, String> {
    let short = || format!("{} bytes are too few", bytes.len());
    let mut rest = bytes;
    let version = i16::from_be_bytes(take(&mut rest).ok_or_else(short)?);
    if version != VERSION {
        return Err(format!("version {version}, only {VERSION} is known"));
    }
    let stored = u32::from_be_bytes(take(&mut rest).ok_or_else(short)?);
    let computed = crc32c::crc32c(rest);
    if stored != computed {
        return Err(format!(
            "stored crc {stored:#010x}, computed {computed:#010x}"
        ));
    }
    let count = i32::from_be_bytes(take(&mut rest).ok_or_else(short)?);
    if usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(ENTRY))
        != Some(rest.len())
    {
        return Err(format!("{count} entries in {} bytes", rest.len()));
    }
    let mut producers = Producers::default();
    while let Some((id, entry)) = take_entry(&mut rest) {
        producers.insert(id, entry);
    }
    Ok(producers)
}

fn take_entry(rest: &mut &[u8]) -> Option<(ProducerId, ProducerEntry)> {
    let id = ProducerId(i64::from_be_bytes(take(rest)?));
    let epoch = ProducerEpoch(i16::from_be_bytes(take(rest)?));
    let last_sequence = Sequence(i32::from_be_bytes(take(rest)?));
    let last_offset = Offset(i64::from_be_bytes(take(rest)?));
    let offset_delta = i32::from_be_bytes(take(rest)?);
    let timestamp = Timestamp(i64::from_be_bytes(take(rest)?));
    let coordinator_epoch = i32::from_be_bytes(take(rest)?);
    let transaction_start = i64::from_be_bytes(take(rest)?);
    let batch = BatchMeta {
        last_sequence,
        last_offset,
        offset_delta,
        timestamp,
    };
    let entry = ProducerEntry {
        epoch,
        batches: (last_offset.0 >= 0).then_some(batch).into_iter().collect(),
        coordinator_epoch,
        last_timestamp: timestamp,
        transaction_start: (transaction_start >= 0).then_some(Offset(transaction_start)),
    };
    Some((id, entry))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}
