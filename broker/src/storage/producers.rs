//! What each producer last wrote: idempotence, and which transactions are open
//! (Kafka's `ProducerStateManager`, `ProducerStateEntry`, `ProducerAppendInfo`).

pub(crate) mod snapshot;

use std::collections::{BTreeMap, VecDeque};

use tidemark_protocol::records::{BatchHeader, EndTxnMarker};

use crate::types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// How many batches of a producer can be recognised when they are sent again: a client has at
/// most so many in flight (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub(crate) const BATCHES_KEPT: usize = 5;
/// The sequence of a batch that has none.
const NO_SEQUENCE: i32 = -1;

/// A batch that a producer has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMeta {
    /// Sequence of its last record.
    pub last_sequence: Sequence,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Records in it, less one.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

impl BatchMeta {
    /// Sequence of its first record.
    pub fn first_sequence(&self) -> Sequence {
        self.last_sequence.plus(self.offset_delta.saturating_neg())
    }

    /// Offset of its first record.
    pub fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

/// What is known about one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Its current epoch; -1 before its first batch.
    pub epoch: ProducerEpoch,
    /// Its newest batches in this epoch, oldest first, at most five.
    pub batches: VecDeque<BatchMeta>,
    /// Epoch of the coordinator that wrote its last transaction marker; -1 for none.
    pub coordinator_epoch: i32,
    /// Timestamp of its last batch or marker.
    pub last_timestamp: Timestamp,
    /// Where its open transaction began.
    pub transaction_start: Option<Offset>,
}

impl ProducerEntry {
    fn new() -> Self {
        Self {
            epoch: ProducerEpoch(-1),
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            last_timestamp: Timestamp(-1),
            transaction_start: None,
        }
    }

    /// Sequence of the last record, or -1.
    pub fn last_sequence(&self) -> Sequence {
        self.batches
            .back()
            .map_or(Sequence(NO_SEQUENCE), |batch| batch.last_sequence)
    }

    fn enter(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }
}

/// What a batch is to the producer's earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceCheck {
    /// To be appended.
    New,
    /// Already there: to be answered with what it got the first time.
    Duplicate {
        /// Its base offset.
        base: Offset,
        /// The offset of its last record.
        last: Offset,
        /// Its largest timestamp.
        timestamp: Timestamp,
    },
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER: something before it is missing, or the epoch is new and does
    /// not begin at 0.
    #[error("sequence {found} of producer {producer} in epoch {epoch} follows {last}")]
    OutOfOrder {
        /// The producer.
        producer: ProducerId,
        /// The batch's epoch.
        epoch: ProducerEpoch,
        /// The batch's first sequence.
        found: Sequence,
        /// The last sequence known; -1 for none.
        last: Sequence,
    },
    /// INVALID_PRODUCER_EPOCH: a newer incarnation of the producer has written already.
    #[error("epoch {found} of producer {producer} is below {current}")]
    InvalidEpoch {
        /// The producer.
        producer: ProducerId,
        /// The batch's epoch.
        found: ProducerEpoch,
        /// The epoch in force.
        current: ProducerEpoch,
    },
}

/// The producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    entries: BTreeMap<ProducerId, ProducerEntry>,
    /// Open transactions by the offset at which they began.
    open: BTreeMap<Offset, ProducerId>,
}

impl Producers {
    /// Whether a client's batch may be appended, is there already, or must be refused. A producer
    /// that is not known may begin at any sequence: its state may have been lost to retention.
    pub fn check(&self, header: &BatchHeader) -> Result<SequenceCheck, ProducerError> {
        if !header.has_producer_id() {
            return Ok(SequenceCheck::New);
        }
        let producer = ProducerId(header.producer_id);
        let Some(entry) = self.entries.get(&producer) else {
            return Ok(SequenceCheck::New);
        };
        let epoch = ProducerEpoch(header.producer_epoch);
        if epoch < entry.epoch {
            return Err(ProducerError::InvalidEpoch {
                producer,
                found: epoch,
                current: entry.epoch,
            });
        }
        if header.is_control() || header.base_sequence == NO_SEQUENCE {
            return Ok(SequenceCheck::New);
        }
        let found = Sequence(header.base_sequence);
        let last = entry.last_sequence();
        let in_order = if epoch == entry.epoch {
            if let Some(batch) = duplicate_of(entry, header) {
                return Ok(SequenceCheck::Duplicate {
                    base: batch.first_offset(),
                    last: batch.last_offset,
                    timestamp: batch.timestamp,
                });
            }
            found == last.plus(1) || (last.0 == NO_SEQUENCE && found.0 == 0)
        } else {
            found.0 == 0 || entry.epoch.0 < 0
        };
        if in_order {
            Ok(SequenceCheck::New)
        } else {
            Err(ProducerError::OutOfOrder {
                producer,
                epoch,
                found,
                last,
            })
        }
    }

    /// What is known about `producer`.
    pub fn get(&self, producer: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&producer)
    }

    /// All producers in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no producer is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the oldest open transaction began.
    pub fn first_open_transaction(&self) -> Option<Offset> {
        self.open.keys().next().copied()
    }

    /// Takes in a batch that has its place in the log: `header` carries its real base offset.
    /// `marker` is what a control batch says, if it is a transaction marker.
    pub(crate) fn apply(&mut self, header: &BatchHeader, marker: Option<EndTxnMarker>) {
        if !header.has_producer_id() {
            return;
        }
        let producer = ProducerId(header.producer_id);
        let base = Offset(header.base_offset);
        if header.is_control() && marker.is_none() {
            return;
        }
        let entry = self
            .entries
            .entry(producer)
            .or_insert_with(ProducerEntry::new);
        entry.enter(ProducerEpoch(header.producer_epoch));
        entry.last_timestamp = Timestamp(header.max_timestamp);
        if let Some(marker) = marker {
            entry.coordinator_epoch = marker.coordinator_epoch;
            if let Some(start) = entry.transaction_start.take() {
                self.open.remove(&start);
            }
            return;
        }
        if entry.batches.len() == BATCHES_KEPT {
            entry.batches.pop_front();
        }
        entry.batches.push_back(meta(header));
        if header.is_transactional() && entry.transaction_start.is_none() {
            entry.transaction_start = Some(base);
            self.open.insert(base, producer);
        }
    }

    /// Puts a batch that is older than all known ones of its producer in front of them: a snapshot
    /// holds only the last batch, and the ones before it are found again in the log. `older` comes
    /// newest first.
    pub(crate) fn refill(&mut self, older: &BatchHeader) {
        let Some(entry) = self.entries.get_mut(&ProducerId(older.producer_id)) else {
            return;
        };
        let fits = entry.epoch.0 == older.producer_epoch
            && !older.is_control()
            && entry.batches.len() < BATCHES_KEPT;
        if fits
            && entry
                .batches
                .front()
                .is_some_and(|first| older.last_offset() < first.first_offset().0)
        {
            entry.batches.push_front(meta(older));
        }
    }

    /// Forgets producers that have been idle for `expiration_ms` and have no open transaction.
    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.entries.retain(|_, entry| {
            entry.transaction_start.is_some()
                || now.0.saturating_sub(entry.last_timestamp.0) < expiration_ms
        });
    }

    pub(crate) fn insert(&mut self, producer: ProducerId, entry: ProducerEntry) {
        if let Some(start) = entry.transaction_start {
            self.open.insert(start, producer);
        }
        self.entries.insert(producer, entry);
    }
}

fn meta(header: &BatchHeader) -> BatchMeta {
    BatchMeta {
        last_sequence: Sequence(header.last_sequence()),
        last_offset: Offset(header.last_offset()),
        offset_delta: header.last_offset_delta,
        timestamp: Timestamp(header.max_timestamp),
    }
}

fn duplicate_of(entry: &ProducerEntry, header: &BatchHeader) -> Option<BatchMeta> {
    let (first, last) = (
        Sequence(header.base_sequence),
        Sequence(header.last_sequence()),
    );
    let same = |batch: &&BatchMeta| batch.first_sequence() == first && batch.last_sequence == last;
    entry.batches.iter().find(same).copied()
}

#[cfg(test)]
mod tests;
