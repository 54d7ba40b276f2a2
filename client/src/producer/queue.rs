//! The batches of one partition, in order: those under way, those that wait, the one that fills.

use std::collections::VecDeque;

use super::batch::{Batch, Payload, Stamp};
use crate::topic_partition::TopicPartition;

/// One partition's line.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) partition: TopicPartition,
    /// The broker that leads it, if there is one.
    pub(super) leader: Option<i32>,
    pub(super) open: Option<Batch>,
    /// How many bytes the last batch came to: the next one will need as many.
    pub(super) last_size: usize,
    /// Full batches, and those that have to be sent again: in order.
    pub(super) waiting: VecDeque<Batch>,
    pub(super) in_flight: VecDeque<Batch>,
    /// Where those under way have gone.
    pub(super) in_flight_node: i32,
    /// Producer id and epoch that sequences count under.
    pub(super) identity: Option<(i64, i16)>,
    pub(super) next_sequence: i32,
    /// The broker has taken a batch under this identity. A broker that knows nothing of a producer
    /// takes any sequence for its first, so until then batches go one at a time: else one that
    /// overtakes a lost first one would put itself in front of it.
    pub(super) established: bool,
    /// A batch with a sequence has failed for good, or the broker knows another sequence. No new
    /// batches are sent until the fate of all that have a sequence is known; then the rest gets a
    /// new epoch, under which sequences begin at 0 (KIP-360).
    pub(super) settling: bool,
    pub(super) not_before: u64,
    /// Whether it is on the list of those with something to do.
    pub(super) active: bool,
}

impl Queue {
    pub(super) fn new(partition: TopicPartition) -> Self {
        Self {
            partition,
            leader: None,
            open: None,
            last_size: 0,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            in_flight_node: -1,
            identity: None,
            next_sequence: 0,
            established: false,
            settling: false,
            not_before: 0,
            active: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.open.is_none() && self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Batches that wait, for the choice of a partition.
    pub(super) fn length(&self) -> usize {
        self.waiting.len() + usize::from(self.open.is_some())
    }

    pub(super) fn close_open(&mut self) {
        if let Some(batch) = self.open.take() {
            if let Payload::Building(builder) = &batch.payload {
                self.last_size = builder.size_estimate();
            }
            self.waiting.push_back(batch);
        }
    }

    /// Puts a batch back where it belongs.
    pub(super) fn put_back(&mut self, batch: Batch) {
        let at = self
            .waiting
            .partition_point(|other| other.order() < batch.order());
        self.waiting.insert(at, batch);
    }

    /// Whether there are batches with a sequence in front of this one whose end is not known.
    pub(super) fn has_earlier(&self, order: (u64, u32)) -> bool {
        let earlier = |batch: &Batch| batch.stamp.is_some() && batch.order() < order;
        self.waiting.iter().any(earlier) || self.in_flight.iter().any(earlier)
    }

    /// The place of the batch that may be sent now, as far as the partition is concerned.
    ///
    /// The broker tells a retry from a new batch by the last five that it has seen. So that a batch
    /// whose answer was lost stays among them, a retry goes alone: nothing is sent behind it before
    /// its answer is there. (Kafka's `RecordAccumulator.shouldStopDrainBatchesForPartition` lets new
    /// batches pass.)
    pub(super) fn next(&self, node: i32, idempotent: bool, max_in_flight: usize) -> Option<usize> {
        let moved = self.in_flight_node != node && !self.in_flight.is_empty();
        if moved || self.in_flight.len() >= max_in_flight {
            return None;
        }
        let front = self.waiting.front()?;
        if !idempotent {
            return Some(0);
        }
        if self.settling {
            // Only those whose fate is not known.
            let open = |batch: &Batch| batch.stamp.is_some() && !batch.rejected;
            let place = self.waiting.iter().position(open)?;
            return self.in_flight.is_empty().then_some(place);
        }
        let free = if front.stamp.is_some() || !self.established {
            self.in_flight.is_empty()
        } else {
            self.in_flight.iter().all(|batch| batch.attempts <= 1)
        };
        free.then_some(0)
    }

    /// Once the fate of everything with a sequence is known, lets the rest begin anew under the next
    /// epoch; `false` if there is no next one and a new producer id is needed.
    pub(super) fn try_settle(&mut self) -> bool {
        let open = self
            .waiting
            .iter()
            .any(|batch| batch.stamp.is_some() && !batch.rejected);
        if !self.settling || open || !self.in_flight.is_empty() {
            return true;
        }
        for batch in &mut self.waiting {
            batch.stamp = None;
            batch.rejected = false;
        }
        self.settling = false;
        self.established = false;
        self.next_sequence = 0;
        self.identity = self
            .identity
            .and_then(|(id, epoch)| Some((id, epoch.checked_add(1)?)));
        self.identity.is_some()
    }

    /// Gives the first batch that waits its sequence, if it has none.
    pub(super) fn stamp_front(&mut self, identity: (i64, i16)) {
        let Some(front) = self.waiting.front_mut() else {
            return;
        };
        if front.stamp.is_none() {
            let (id, epoch) = *self.identity.get_or_insert(identity);
            front.stamp = Some(Stamp {
                id,
                epoch,
                sequence: self.next_sequence,
            });
            self.next_sequence = sequence_after(self.next_sequence, front.count);
        }
    }
}

/// Sequences go from 0 to the largest int32 and then to 0 again (Kafka:
/// `DefaultRecordBatch.incrementSequence`).
pub(super) fn sequence_after(sequence: i32, count: u32) -> i32 {
    let sum = i64::from(sequence) + i64::from(count);
    (sum % (i64::from(i32::MAX) + 1)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(sequence_after(0, 5), 5);
        assert_eq!(sequence_after(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX, 3), 2);
    }
}
