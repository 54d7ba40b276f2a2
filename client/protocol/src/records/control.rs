//! Control records: what brokers write for themselves between the records of producers.

use bytes::Bytes;

use super::NO_SEQUENCE;
use super::builder::{BatchBuilder, BuildError};
use super::record::RecordView;
use crate::reader::{ReadError, Reader};

/// What a control record says (Kafka's `ControlRecordType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlType {
    /// The producer's transaction was aborted.
    Abort,
    /// The producer's transaction was committed.
    Commit,
    /// A KRaft leader was elected.
    LeaderChange,
    /// First record of a KRaft snapshot.
    SnapshotHeader,
    /// Last record of a KRaft snapshot.
    SnapshotFooter,
    /// The KRaft protocol version (KIP-853).
    KRaftVersion,
    /// The set of KRaft voters (KIP-853).
    KRaftVoters,
    /// A type newer than this crate; to be skipped.
    Unknown(i16),
}

impl ControlType {
    /// The type with this id.
    #[must_use]
    pub fn from_id(id: i16) -> Self {
        match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            other => Self::Unknown(other),
        }
    }

    /// The id in the record's key.
    #[must_use]
    pub fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion => 5,
            Self::KRaftVoters => 6,
            Self::Unknown(other) => other,
        }
    }

    /// The key of such a record: version 0 and the type, two int16.
    #[must_use]
    pub fn key(self) -> [u8; 4] {
        let [high, low] = self.id().to_be_bytes();
        [0, 0, high, low]
    }

    /// Reads the type from a control record's key. Newer key versions only add fields, so they are
    /// read like version 0.
    pub fn parse(key: &[u8]) -> Result<Self, ControlError> {
        let mut reader = Reader::new(key);
        let version = reader.i16()?;
        if version < 0 {
            return Err(ControlError::NegativeVersion(version));
        }
        Ok(Self::from_id(reader.i16()?))
    }
}

/// Why a control record could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Key or value is too short.
    #[error("the control record {0}")]
    Read(#[from] ReadError),
    /// Key or value carries a negative version.
    #[error("the control record has version {0}")]
    NegativeVersion(i16),
    /// Key or value is null.
    #[error("the control record has a null key or value")]
    Null,
    /// The record is another kind of control record.
    #[error("{0:?} is no transaction marker")]
    NotAMarker(ControlType),
}

/// A transaction marker (Kafka's `EndTransactionMarker`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Whether the transaction was committed; else it was aborted.
    pub committed: bool,
    /// Epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// The control type in the record's key.
    #[must_use]
    pub fn control_type(&self) -> ControlType {
        if self.committed {
            ControlType::Commit
        } else {
            ControlType::Abort
        }
    }

    /// The record's value: version 0 and the coordinator epoch.
    #[must_use]
    pub fn value(&self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }

    /// Reads a marker from a record of a control batch.
    pub fn parse(record: &RecordView<'_>) -> Result<Self, ControlError> {
        let kind = ControlType::parse(record.key.ok_or(ControlError::Null)?)?;
        let committed = match kind {
            ControlType::Commit => true,
            ControlType::Abort => false,
            other => return Err(ControlError::NotAMarker(other)),
        };
        let mut value = Reader::new(record.value.ok_or(ControlError::Null)?);
        let version = value.i16()?;
        if version < 0 {
            return Err(ControlError::NegativeVersion(version));
        }
        Ok(Self {
            committed,
            coordinator_epoch: value.i32()?,
        })
    }

    /// The control batch that ends a transaction of this producer at `timestamp` (milliseconds).
    pub fn batch(
        &self,
        base_offset: i64,
        leader_epoch: i32,
        producer: (i64, i16),
        timestamp: i64,
    ) -> Result<Bytes, BuildError> {
        let mut builder = BatchBuilder::new()
            .base_offset(base_offset)
            .partition_leader_epoch(leader_epoch)
            .producer(producer.0, producer.1, NO_SEQUENCE)
            .transactional(true)
            .control(true);
        let (key, value) = (self.control_type().key(), self.value());
        builder.append(timestamp, Some(&key), Some(&value), &[])?;
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchView, Records};
    use super::*;

    #[test]
    fn every_type_survives_its_key() {
        for id in -1..10 {
            let kind = ControlType::from_id(id);
            assert_eq!(kind.id(), id);
            assert_eq!(ControlType::parse(&kind.key()), Ok(kind));
        }
    }

    #[test]
    fn bad_keys_are_refused() {
        for (key, expected) in [
            (
                &[][..],
                ControlError::Read(ReadError::Short { need: 2, have: 0 }),
            ),
            (
                &[0, 0, 0],
                ControlError::Read(ReadError::Short { need: 2, have: 1 }),
            ),
            (&[0xff, 0xff, 0, 0], ControlError::NegativeVersion(-1)),
        ] {
            assert_eq!(ControlType::parse(key), Err(expected));
        }
    }

    #[test]
    fn a_marker_batch_is_byte_for_byte_kafkas() {
        let marker = EndTxnMarker {
            committed: true,
            coordinator_epoch: 7,
        };
        let bytes = marker.batch(42, 3, (1000, 5), 1_700_000_000_000).unwrap();
        assert_eq!(bytes, super::super::fixtures::kafka("v2-marker"));
    }

    #[test]
    fn a_marker_batch_reads_back() {
        let marker = EndTxnMarker {
            committed: true,
            coordinator_epoch: 7,
        };
        let bytes = marker.batch(42, 3, (1000, 5), 1_700_000_000_000).unwrap();
        let batch = BatchView::parse(&bytes).unwrap();
        batch.validate_crc().unwrap();
        assert!(batch.is_control() && batch.is_transactional());
        assert_eq!(
            (batch.producer_id, batch.producer_epoch, batch.base_sequence),
            (1000, 5, -1)
        );
        let record = Records::new(batch.records_bytes(), 1)
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(record.key, Some(&[0, 0, 0, 1][..]));
        assert_eq!(record.value, Some(&[0, 0, 0, 0, 0, 7][..]));
        assert_eq!(EndTxnMarker::parse(&record), Ok(marker));
    }
}
