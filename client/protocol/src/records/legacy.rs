//! Reading message sets of magic 0 and 1, the formats before v2. Nothing here writes them.
//!
//! A set is a row of `offset int64, size int32, message`; a compressed message is a wrapper whose
//! value is a set again. In magic 1 the inner offsets are relative and the wrapper carries the
//! offset of its last message (KIP-31).

use bytes::Bytes;

use super::NO_TIMESTAMP;
use super::compression::{Compression, CompressionError, decompress, repair_v0_header};
use super::header::TimestampType;
use crate::reader::{ReadError, Reader};

/// Bytes in front of a message: its offset and size.
const ENTRY_OVERHEAD: usize = 12;
/// Crc, magic, attributes, key length and value length.
const MIN_MESSAGE_SIZE: usize = 14;

/// One message of an old set, decompressed and with its absolute offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyRecord {
    /// Absolute offset, as far as the set says.
    pub offset: i64,
    /// 0 or 1.
    pub magic: i8,
    /// Milliseconds; -1 in magic 0, which has no timestamps.
    pub timestamp: i64,
    /// `None` in magic 0.
    pub timestamp_type: Option<TimestampType>,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value, or null.
    pub value: Option<Bytes>,
}

/// Why an old message set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// A field does not fit the bytes.
    #[error("the message set {0}")]
    Read(#[from] ReadError),
    /// A message's size is below the smallest possible.
    #[error("message size {0} is below 14")]
    BadSize(i32),
    /// The magic is not 0 or 1, or not that of the wrapper.
    #[error("message with magic {0}")]
    BadMagic(i8),
    /// The stored CRC-32 is not that of the bytes.
    #[error("stored crc {stored:#010x}, computed {computed:#010x}")]
    BadCrc {
        /// The crc in the message.
        stored: u32,
        /// The crc of the bytes.
        computed: u32,
    },
    /// A codec that does not exist, or zstd, which came after these formats.
    #[error("codec {0} in an old message set")]
    BadCodec(u8),
    /// A compressed message without a value, or without messages in it.
    #[error("a compressed message is empty")]
    EmptyWrapper,
    /// A compressed message inside a compressed message.
    #[error("a compressed message holds another one")]
    NestedWrapper,
    /// The wrapper's offset is smaller than that of its last inner message.
    #[error("wrapper offset {wrapper}, last inner offset {last}")]
    BadWrapperOffset {
        /// The wrapper's offset.
        wrapper: i64,
        /// The last inner offset.
        last: i64,
    },
    /// Bytes follow the value inside a message.
    #[error("{0} bytes are left over inside a message")]
    LeftOver(usize),
    /// The wrapper's value does not decompress.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// Reads a whole set, compressed messages flattened. All wrappers together may expand to at most
/// `max_output` bytes.
pub fn read_message_set(set: &Bytes, max_output: usize) -> Result<Vec<LegacyRecord>, LegacyError> {
    let mut records = Vec::new();
    let mut budget = max_output;
    let mut reader = Reader::new(set);
    while reader.remaining() > 0 {
        let message = read_message(&mut reader, set)?;
        match message.codec {
            Compression::None => records.push(message.record),
            _ => unwrap_message(message, &mut budget, &mut records)?,
        }
    }
    Ok(records)
}

struct Message {
    record: LegacyRecord,
    codec: Compression,
}

fn read_message(reader: &mut Reader<'_>, set: &Bytes) -> Result<Message, LegacyError> {
    let offset = reader.i64()?;
    let size = reader.i32()?;
    let bytes = match usize::try_from(size) {
        Ok(size) if size >= MIN_MESSAGE_SIZE => reader.take(size)?,
        _ => return Err(LegacyError::BadSize(size)),
    };
    let mut body = Reader::new(bytes);
    let stored = body.u32()?;
    let computed = crc32fast::hash(body.rest());
    if stored != computed {
        return Err(LegacyError::BadCrc { stored, computed });
    }
    let magic = body.i8()?;
    if !matches!(magic, 0 | 1) {
        return Err(LegacyError::BadMagic(magic));
    }
    let attributes = body.u8()?;
    let codec = match Compression::from_id(attributes & 0x07) {
        Some(Compression::Zstd) | None => return Err(LegacyError::BadCodec(attributes & 0x07)),
        Some(codec) => codec,
    };
    let timestamp = if magic == 0 {
        NO_TIMESTAMP
    } else {
        body.i64()?
    };
    let timestamp_type = match (magic, attributes & 0x08) {
        (0, _) => None,
        (_, 0) => Some(TimestampType::CreateTime),
        _ => Some(TimestampType::LogAppendTime),
    };
    let key = read_nullable(&mut body, set)?;
    let value = read_nullable(&mut body, set)?;
    match body.remaining() {
        0 => Ok(Message {
            record: LegacyRecord {
                offset,
                magic,
                timestamp,
                timestamp_type,
                key,
                value,
            },
            codec,
        }),
        left => Err(LegacyError::LeftOver(left)),
    }
}

fn read_nullable(body: &mut Reader<'_>, set: &Bytes) -> Result<Option<Bytes>, LegacyError> {
    match usize::try_from(body.i32()?) {
        Ok(size) => Ok(Some(set.slice_ref(body.take(size)?))),
        Err(_) => Ok(None),
    }
}

/// Appends the messages inside a wrapper, with absolute offsets and, under LogAppendTime, the
/// wrapper's time.
fn unwrap_message(
    wrapper: Message,
    budget: &mut usize,
    records: &mut Vec<LegacyRecord>,
) -> Result<(), LegacyError> {
    let Message {
        record: outer,
        codec,
    } = wrapper;
    let value = outer.value.ok_or(LegacyError::EmptyWrapper)?;
    let plain = match (codec, outer.magic) {
        (Compression::Lz4, 0) => decompress(codec, &repair_v0_header(&value), *budget)?,
        _ => decompress(codec, &value, *budget)?,
    };
    *budget -= plain.len();
    let inner_set = Bytes::from(plain);
    let first = records.len();
    let mut reader = Reader::new(&inner_set);
    while reader.remaining() >= ENTRY_OVERHEAD {
        let Message { mut record, codec } = read_message(&mut reader, &inner_set)?;
        if codec != Compression::None {
            return Err(LegacyError::NestedWrapper);
        }
        if record.magic != outer.magic {
            return Err(LegacyError::BadMagic(record.magic));
        }
        record.timestamp_type = outer.timestamp_type;
        if outer.timestamp_type == Some(TimestampType::LogAppendTime) {
            record.timestamp = outer.timestamp;
        }
        records.push(record);
    }
    let inner = records.get_mut(first..).unwrap_or_default();
    let last = inner.last().ok_or(LegacyError::EmptyWrapper)?.offset;
    // Some versions of librdkafka wrote 0 as the wrapper's offset: the inner ones then count from
    // 0 (Kafka: AbstractLegacyRecordBatch). Magic 0 has absolute inner offsets.
    if outer.magic == 1 && outer.offset != 0 {
        let base = outer
            .offset
            .checked_sub(last)
            .filter(|base| *base >= 0)
            .ok_or(LegacyError::BadWrapperOffset {
                wrapper: outer.offset,
                last,
            })?;
        for record in inner {
            record.offset = record.offset.wrapping_add(base);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
