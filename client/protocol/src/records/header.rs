//! The 61-byte header in front of every v2 batch.

use super::compression::Compression;

/// Byte offsets of the header's fields, from the start of the batch.
pub mod field {
    /// `baseOffset`, int64.
    pub const BASE_OFFSET: usize = 0;
    /// `batchLength`, int32: the bytes that follow this field.
    pub const BATCH_LENGTH: usize = 8;
    /// `partitionLeaderEpoch`, int32.
    pub const PARTITION_LEADER_EPOCH: usize = 12;
    /// `magic`, int8.
    pub const MAGIC: usize = 16;
    /// `crc`, uint32: CRC-32C of everything from [`ATTRIBUTES`] to the end.
    pub const CRC: usize = 17;
    /// `attributes`, int16.
    pub const ATTRIBUTES: usize = 21;
    /// `lastOffsetDelta`, int32.
    pub const LAST_OFFSET_DELTA: usize = 23;
    /// `baseTimestamp`, int64: milliseconds, or the delete horizon if its bit is set.
    pub const BASE_TIMESTAMP: usize = 27;
    /// `maxTimestamp`, int64.
    pub const MAX_TIMESTAMP: usize = 35;
    /// `producerId`, int64.
    pub const PRODUCER_ID: usize = 43;
    /// `producerEpoch`, int16.
    pub const PRODUCER_EPOCH: usize = 51;
    /// `baseSequence`, int32.
    pub const BASE_SEQUENCE: usize = 53;
    /// `recordsCount`, int32.
    pub const RECORDS_COUNT: usize = 57;
    /// Where the records section begins.
    pub const RECORDS: usize = 61;
}

/// Size of a batch header in bytes.
pub const BATCH_HEADER_SIZE: usize = field::RECORDS;
/// Bytes of a batch that `batchLength` does not count: the base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// The magic byte of the only format this crate writes.
pub const MAGIC_V2: i8 = 2;

pub(crate) const COMPRESSION_MASK: i16 = 0x07;
pub(crate) const TIMESTAMP_TYPE_BIT: i16 = 0x08;
pub(crate) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(crate) const CONTROL_BIT: i16 = 0x20;
pub(crate) const DELETE_HORIZON_BIT: i16 = 0x40;

/// Why bytes are not a usable v2 batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The buffer ends before the batch does.
    #[error("the batch needs {need} bytes, {have} are there")]
    Truncated {
        /// Bytes in the buffer.
        have: usize,
        /// Bytes the header, or the whole batch, takes.
        need: usize,
    },
    /// The magic byte is not 2.
    #[error("the batch has magic {magic}, only 2 is readable here")]
    BadMagic {
        /// The byte found.
        magic: i8,
    },
    /// `batchLength` is smaller than a header.
    #[error("batchLength {length} is below the 49 bytes a header takes after it")]
    BadLength {
        /// The value found.
        length: i32,
    },
    /// The stored CRC-32C is not that of the bytes.
    #[error("stored crc {stored:#010x}, computed {computed:#010x}")]
    BadCrc {
        /// The crc in the header.
        stored: u32,
        /// The crc of the bytes.
        computed: u32,
    },
    /// The attributes name a codec that does not exist.
    #[error("unknown compression codec {0}")]
    UnknownCompression(u8),
}

/// What a batch's timestamps mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Set by the producer.
    CreateTime,
    /// Set by the broker at append: every record has the batch's max timestamp.
    LogAppendTime,
}

/// The decoded header of a v2 batch: all fields, none of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (for a compacted batch, of the first it once had).
    pub base_offset: i64,
    /// Bytes after this field; at least 49.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; -1 before that.
    pub partition_leader_epoch: i32,
    /// CRC-32C of everything from `attributes` on.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: i16,
    /// Last offset minus base offset; compaction keeps it.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas add to, or the delete horizon.
    pub base_timestamp: i64,
    /// Largest timestamp, or the append time.
    pub max_timestamp: i64,
    /// Id of the idempotent producer, or -1.
    pub producer_id: i64,
    /// Epoch of the producer, or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records in the batch, as the header claims.
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, of which 61 are needed. Checks magic and length;
    /// the batch itself need not be in the buffer.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let truncated = |need| BatchError::Truncated {
            have: bytes.len(),
            need,
        };
        // Length and magic come first: old message sets are shorter than this header, and saying
        // which magic was found beats calling them truncated.
        let batch_length = i32::from_be_bytes(
            array(bytes, field::BATCH_LENGTH).ok_or_else(|| truncated(field::CRC))?,
        );
        let magic =
            i8::from_be_bytes(array(bytes, field::MAGIC).ok_or_else(|| truncated(field::CRC))?);
        if magic != MAGIC_V2 {
            return Err(BatchError::BadMagic { magic });
        }
        if batch_length < (BATCH_HEADER_SIZE - LOG_OVERHEAD) as i32 {
            return Err(BatchError::BadLength {
                length: batch_length,
            });
        }
        let header: &[u8; BATCH_HEADER_SIZE] = bytes
            .first_chunk()
            .ok_or_else(|| truncated(BATCH_HEADER_SIZE))?;
        Ok(Self::from_array(header, batch_length))
    }

    fn from_array(bytes: &[u8; BATCH_HEADER_SIZE], batch_length: i32) -> Self {
        Self {
            base_offset: i64::from_be_bytes(fixed(bytes, field::BASE_OFFSET)),
            batch_length,
            partition_leader_epoch: i32::from_be_bytes(fixed(bytes, field::PARTITION_LEADER_EPOCH)),
            crc: u32::from_be_bytes(fixed(bytes, field::CRC)),
            attributes: i16::from_be_bytes(fixed(bytes, field::ATTRIBUTES)),
            last_offset_delta: i32::from_be_bytes(fixed(bytes, field::LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(fixed(bytes, field::BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(fixed(bytes, field::MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(fixed(bytes, field::PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(fixed(bytes, field::PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(fixed(bytes, field::BASE_SEQUENCE)),
            records_count: i32::from_be_bytes(fixed(bytes, field::RECORDS_COUNT)),
        }
    }

    /// The header as its 61 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_SIZE] {
        let mut bytes = [0; BATCH_HEADER_SIZE];
        let mut put = |at: usize, value: &[u8]| {
            for (slot, byte) in bytes.iter_mut().skip(at).zip(value) {
                *slot = *byte;
            }
        };
        put(field::BASE_OFFSET, &self.base_offset.to_be_bytes());
        put(field::BATCH_LENGTH, &self.batch_length.to_be_bytes());
        put(
            field::PARTITION_LEADER_EPOCH,
            &self.partition_leader_epoch.to_be_bytes(),
        );
        put(field::MAGIC, &MAGIC_V2.to_be_bytes());
        put(field::CRC, &self.crc.to_be_bytes());
        put(field::ATTRIBUTES, &self.attributes.to_be_bytes());
        put(
            field::LAST_OFFSET_DELTA,
            &self.last_offset_delta.to_be_bytes(),
        );
        put(field::BASE_TIMESTAMP, &self.base_timestamp.to_be_bytes());
        put(field::MAX_TIMESTAMP, &self.max_timestamp.to_be_bytes());
        put(field::PRODUCER_ID, &self.producer_id.to_be_bytes());
        put(field::PRODUCER_EPOCH, &self.producer_epoch.to_be_bytes());
        put(field::BASE_SEQUENCE, &self.base_sequence.to_be_bytes());
        put(field::RECORDS_COUNT, &self.records_count.to_be_bytes());
        bytes
    }

    /// Size of the whole batch in bytes, header included.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        LOG_OVERHEAD + self.batch_length.max(0) as usize
    }

    /// The codec of the records section.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        let id = (self.attributes & COMPRESSION_MASK) as u8;
        Compression::from_id(id).ok_or(BatchError::UnknownCompression(id))
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes & TIMESTAMP_TYPE_BIT {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds control records, which consumers never see.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether `base_timestamp` is the time after which compaction may drop the batch's tombstones
    /// or markers (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_BIT != 0
    }

    /// The delete horizon in milliseconds, if compaction has set one.
    #[must_use]
    pub fn delete_horizon(&self) -> Option<i64> {
        self.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Offset of the last record. Saturates: a batch from a client may claim any base offset.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset after the batch. Saturates like [`Self::last_offset`].
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence of the last record, wrapping to 0 after `i32::MAX`; -1 without a sequence.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == super::NO_SEQUENCE {
            return super::NO_SEQUENCE;
        }
        let sum = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        sum.rem_euclid(i64::from(i32::MAX) + 1) as i32
    }

    /// Whether an idempotent producer wrote the batch.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > super::NO_PRODUCER_ID
    }

    /// The first 16 bytes of the batch with another base offset and leader epoch, to be written in
    /// front of the untouched rest. Neither field is under the CRC.
    #[must_use]
    pub fn patched(&self, base_offset: i64, leader_epoch: i32) -> [u8; 16] {
        let patched = Self {
            base_offset,
            partition_leader_epoch: leader_epoch,
            ..*self
        }
        .to_bytes();
        fixed(&patched, 0)
    }
}

/// `N` bytes at `at`, if the slice has them.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// `N` bytes at the constant offset `at` of a header.
fn fixed<const N: usize>(bytes: &[u8; BATCH_HEADER_SIZE], at: usize) -> [u8; N] {
    array(bytes, at).expect("every field offset plus its width lies within the 61 bytes")
}
