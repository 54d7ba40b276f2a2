//! What has been written of each partition that is read, which is what a group commits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidemark_client::TopicPartition;
use tidemark_client::consumer::CommittedOffset;
use tokio::sync::watch;

use super::range::Bound;

/// Where reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: i64,
    /// Leader epoch of what lies before it, -1 for unknown.
    pub(super) epoch: i32,
}

/// A partition that is read.
struct Place {
    turn: u64,
    /// Records below it are not asked for.
    begin: i64,
    written: Option<Mark>,
    committed: Option<i64>,
}

#[derive(Default)]
struct State {
    places: HashMap<TopicPartition, Place>,
    turns: u64,
    /// When the group was last done with sharing out, if it is.
    settled: Option<u64>,
}

/// Shared by whoever reads, whoever writes and the group's listener.
pub(super) struct Progress {
    state: Mutex<State>,
    /// The listener is at work: a read that is dropped would have it begin again.
    busy: AtomicBool,
    sent: AtomicU64,
    written: watch::Sender<u64>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            busy: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            written: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partition is read from now on.
    pub(super) fn add(&self, partition: TopicPartition, begin: i64) {
        let mut state = self.state();
        state.turns += 1;
        let place = Place {
            turn: state.turns,
            begin,
            written: None,
            committed: None,
        };
        state.places.insert(partition, place);
    }

    /// The group has no offset of the partition, and begins where this says. It is to have one even if
    /// nothing comes, unless that has yet to be reached.
    pub(super) fn begin(&self, partition: &TopicPartition, bound: &Bound) {
        if let Some(place) = self.state().places.get_mut(partition) {
            place.begin = bound.begin;
            place.written = (bound.begin <= bound.seek).then_some(Mark {
                offset: bound.seek,
                epoch: -1,
            });
        }
    }

    /// The partition is read no more: what is still written of it is for others to commit.
    pub(super) fn remove(&self, partition: &TopicPartition) {
        self.state().places.remove(partition);
    }

    /// By which a partition that has gone and come back is told from the first, and the first offset
    /// that is asked for.
    pub(super) fn turn(&self, partition: &TopicPartition) -> Option<(u64, i64)> {
        let state = self.state();
        let place = state.places.get(partition)?;
        Some((place.turn, place.begin))
    }

    /// A chunk is to be written.
    pub(super) fn note_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// All of a chunk has been written.
    pub(super) fn note_done(&self) {
        self.written.send_modify(|written| *written += 1);
    }

    /// Of a chunk so much has been written that reading goes on there.
    pub(super) fn note_written(&self, partition: &TopicPartition, turn: u64, mark: Option<Mark>) {
        let mut state = self.state();
        let place = state.places.get_mut(partition);
        if let Some(place) = place.filter(|place| place.turn == turn)
            && let Some(mark) = mark.filter(|mark| mark.offset >= place.begin)
        {
            place.written = Some(mark);
        }
    }

    /// Waits until all that was sent has been written. Without end if nobody reads it.
    pub(super) async fn drained(&self) {
        let sent = self.sent.load(Ordering::Relaxed);
        let mut written = self.written.subscribe();
        // It lives as long as this.
        let _ = written.wait_for(|written| *written >= sent).await;
    }

    /// What there is to commit, of these partitions or of all.
    pub(super) fn to_commit(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> Vec<(TopicPartition, CommittedOffset)> {
        let state = self.state();
        let wanted = state.places.iter().filter(|(partition, _)| {
            partitions.is_none_or(|partitions| partitions.contains(partition))
        });
        let new = wanted.filter_map(|(partition, place)| {
            let mark = place.written?;
            let offset = CommittedOffset {
                leader_epoch: mark.epoch,
                ..CommittedOffset::new(mark.offset)
            };
            (place.committed != Some(mark.offset)).then(|| (partition.clone(), offset))
        });
        new.collect()
    }

    /// These have been committed.
    pub(super) fn committed(&self, offsets: &[(TopicPartition, CommittedOffset)]) {
        let mut state = self.state();
        for (partition, offset) in offsets {
            if let Some(place) = state.places.get_mut(partition) {
                place.committed = Some(offset.offset);
            }
        }
    }

    /// When the group was last done with sharing out; `None` while it is at it.
    pub(super) fn settled(&self) -> Option<u64> {
        self.state().settled
    }

    pub(super) fn set_settled(&self, settled: Option<u64>) {
        self.state().settled = settled;
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_late_of_a_partition_that_has_gone_is_not_committed() {
        let progress = Progress::new();
        let partition = TopicPartition::new("t", 0);
        let mark = |offset| Some(Mark { offset, epoch: 1 });
        let check = |expected: &[i64]| {
            let offsets = progress.to_commit(None);
            let found: Vec<i64> = offsets.iter().map(|(_, found)| found.offset).collect();
            assert_eq!(found, expected);
            progress.committed(&offsets);
        };
        progress.add(partition.clone(), 0);
        let (first, _) = progress.turn(&partition).unwrap();
        check(&[]);
        progress.note_written(&partition, first, mark(3));
        check(&[3]);
        check(&[]);
        progress.remove(&partition);
        progress.add(partition.clone(), 5);
        progress.note_written(&partition, first, mark(6));
        check(&[]);
        let (second, _) = progress.turn(&partition).unwrap();
        progress.note_written(&partition, second, mark(4));
        check(&[]);
        progress.note_written(&partition, second, mark(7));
        check(&[7]);
        let check_begin = |begin, seek, expected: &[i64]| {
            progress.add(partition.clone(), 0);
            let end = seek;
            progress.begin(&partition, &Bound { begin, seek, end });
            check(expected);
        };
        check_begin(2, 2, &[2]);
        check_begin(1, 2, &[2]);
        check_begin(3, 2, &[]);
    }
}
