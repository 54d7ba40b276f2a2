//! A batch from its first record to its end.

use std::sync::Arc;

use bytes::Bytes;
use tidemark_protocol::records::{
    BatchBuilder, BatchError, BatchHeader, BatchView, Compression, Records, with_producer,
};

use super::delivery::{BatchOutcome, Written};
use super::error::ProduceError;

/// What makes a batch of an idempotent producer recognisable: the producer, its epoch, and the
/// place of the first record in all that it has written to the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

/// Where the records of a batch are.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Still in the builder: not compressed, no stamp, no CRC.
    Building(BatchBuilder),
    /// As it goes over the wire.
    Built(Bytes),
    /// With a request that is under way.
    Out,
}

/// A batch. Batches of one partition are ordered by `(number, first)`.
#[derive(Debug)]
pub(super) struct Batch {
    /// Counts the batches of a producer.
    pub(super) number: u64,
    /// The first record's place in the batch that this one was split from; 0 if it was not.
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) payload: Payload,
    /// Whoever wants to know.
    pub(super) outcome: Option<Arc<BatchOutcome>>,
    /// Bytes that it takes of the buffer.
    pub(super) memory: usize,
    /// When its first record came, in clock milliseconds.
    pub(super) created: u64,
    pub(super) stamp: Option<Stamp>,
    /// How often it has been sent.
    pub(super) attempts: u32,
    /// It has been sent and there was no clear answer.
    pub(super) maybe_written: bool,
    /// The broker has said that it does not have it, since it was last sent.
    pub(super) rejected: bool,
    /// Its time was up while it was under way: everybody has been told.
    pub(super) given_up: bool,
    pub(super) last_error: Option<String>,
}

impl Batch {
    pub(super) fn order(&self) -> (u64, u32) {
        (self.number, self.first)
    }

    /// Tells whoever wants to know.
    pub(super) fn settle(&self, result: Result<Written, ProduceError>) {
        if let Some(outcome) = &self.outcome {
            outcome.settle(self.first, self.count, result);
        }
    }
}

/// Gives a payload its final form: compressed, stamped, with its CRC.
pub(crate) fn finish(
    payload: Payload,
    stamp: Option<Stamp>,
    codec: (Compression, Option<i32>),
) -> Result<Bytes, String> {
    match payload {
        Payload::Building(builder) => {
            let mut builder = builder.compression(codec.0, codec.1);
            if let Some(stamp) = stamp {
                builder = builder.producer(stamp.id, stamp.epoch, stamp.sequence);
            }
            builder.build().map_err(|error| error.to_string())
        }
        Payload::Built(bytes) => match stamp {
            None => Ok(bytes),
            Some(stamp) => restamp(bytes, stamp).map_err(|error| error.to_string()),
        },
        Payload::Out => Err("it is under way already".to_owned()),
    }
}

fn restamp(bytes: Bytes, stamp: Stamp) -> Result<Bytes, BatchError> {
    let header = BatchHeader::parse(&bytes)?;
    let same = header.producer_id == stamp.id
        && header.producer_epoch == stamp.epoch
        && header.base_sequence == stamp.sequence;
    if same {
        return Ok(bytes);
    }
    Ok(with_producer(bytes, stamp.id, stamp.epoch, stamp.sequence))
}

/// The records of a batch that is too large for the broker, in two halves. `None` if the batch is
/// not what it should be.
pub(super) fn halves(
    bytes: &Bytes,
    codec: (Compression, Option<i32>),
    max_unpacked: usize,
) -> Option<[(u32, Bytes); 2]> {
    let view = BatchView::parse(bytes).ok()?;
    let section = view.uncompressed_records(max_unpacked).ok()?;
    let count = view.header().records_count;
    let half = u32::try_from(count / 2).ok()?;
    let mut first = BatchBuilder::new().compression(codec.0, codec.1);
    let mut second = first.clone();
    for (record, at) in Records::new(&section, count).zip(0..) {
        let record = record.ok()?;
        let headers: Vec<_> = record
            .headers()
            .map(|header| (header.key, header.value))
            .collect();
        let timestamp = view.record_timestamp(record.timestamp_delta);
        let into = if at < half { &mut first } else { &mut second };
        into.append(timestamp, record.key, record.value, &headers)
            .ok()?;
    }
    let second_count = u32::try_from(count).ok()?.checked_sub(half)?;
    Some([
        (half, first.build().ok()?),
        (second_count, second.build().ok()?),
    ])
}
