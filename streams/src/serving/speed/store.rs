//! Segments as a store of a task: they are saved with its positions, and restored with them.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use super::cut_rule::CutRule;
use super::segments::Segments;
use crate::data::DataError;
use crate::serving::aggregate::State;
use crate::serving::merged::{Announced, Live};
use crate::state::{Entry, Expiry, Store, StoreTime};

/// The segments of one source partition. Whoever answers queries reads them, too.
pub(crate) struct SegmentStore<S> {
    pub(crate) live: Arc<Live<S>>,
    rule: CutRule,
    time: StoreTime,
    /// Whether anything has been restored, or read.
    begun: bool,
    /// How far it was when those were told who wait.
    told: i64,
}

impl<S: State> SegmentStore<S> {
    pub(crate) fn new(seed: u64, rule: CutRule, changed: Arc<Notify>) -> Self {
        Self {
            live: Arc::new(Live::new(Segments::new(0, seed, 0), changed)),
            rule,
            time: StoreTime::default(),
            begun: false,
            told: -1,
        }
    }

    /// The task's first position: nothing in front of it has ever been read.
    fn begin_at(&mut self, offset: i64, wall: i64) {
        if !self.begun {
            self.begun = true;
            self.live.segments.write().begin_at(offset, wall);
        }
    }

    /// What has been saved of it, when all has been: nothing as long as it is not known where it begins.
    pub(super) fn saved(&self) -> Option<Announced> {
        let segments = self.live.segments.read();
        self.begun.then(|| Announced {
            cuts: segments.cuts(),
            origin: segments.origin(),
        })
    }
}

impl<S: State> Store for SegmentStore<S> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn take_changes(&mut self, tell: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<(), DataError> {
        if !self.begun {
            // Where it begins is not known yet; and the first commit of all must have nothing to tell, or
            // there would be state without offsets if it fails.
            return Ok(());
        }
        self.live.segments.write().take_changes(tell)
    }

    fn entries(&self, tell: &mut dyn FnMut(Entry<'_>)) -> Result<(), DataError> {
        if !self.begun {
            return Ok(());
        }
        self.live.segments.read().entries(tell)
    }

    fn restore(&mut self, entry: Entry<'_>) -> Result<(), DataError> {
        self.live.segments.write().restore(entry)
    }

    /// A switch to a snapshot changes segments, too.
    fn is_told(&self) -> bool {
        self.live.segments.read().is_told()
    }

    fn time(&self) -> StoreTime {
        self.time
    }

    fn set_time(&mut self, time: StoreTime) {
        self.time = time;
        self.begun |= self.live.segments.write().restored();
    }

    /// A segment that is dropped is never asked for again: its entries go from the changelog when nothing
    /// that was there with them is there any more. It goes by where the segments begin as that has been
    /// told: a switch may drop some between a commit and the question.
    fn expiry(&self) -> Option<Expiry> {
        let segments = self.live.segments.read();
        Some(Expiry {
            now: segments.told_begin(),
            last: segments.last_cut().saturating_add(1),
        })
    }

    fn passed(&mut self, position: i64, fresh: Option<i64>, wall: i64) {
        self.begin_at(position, wall);
        let mut segments = self.live.segments.write();
        segments.pass(position);
        segments.cut_if_due(&self.rule, wall);
        let applied = segments.applied();
        drop(segments);
        if let Some(fresh) = fresh {
            self.live.fresh.store(fresh, Ordering::Relaxed);
        }
        if std::mem::replace(&mut self.told, applied) != applied {
            self.live.changed.notify_waiters();
        }
    }

    /// It is further than what has been read where a snapshot is ahead.
    fn reached(&self) -> Option<i64> {
        self.begun.then(|| self.live.segments.read().applied())
    }

    fn bytes(&self) -> usize {
        self.live.segments.read().bytes()
    }

    fn len(&self) -> usize {
        self.live.segments.read().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A switch may drop segments between a commit and the next one: what the last commit had told is deleted when
    /// another one has told that they are gone.
    #[test]
    fn nothing_is_deleted_that_the_last_commit_needs() {
        let rule = CutRule {
            every: 10,
            records: 1,
        };
        let mut store = SegmentStore::<u64>::new(7, rule, Arc::default());
        for (position, wall) in [(40, 5), (42, 15), (44, 25)] {
            store.passed(position, None, wall);
        }
        let tell = |store: &mut SegmentStore<u64>| store.take_changes(&mut |_| true).unwrap();
        let now = |store: &SegmentStore<u64>| store.expiry().map(|expiry| expiry.now);
        tell(&mut store);
        assert_eq!(now(&store), Some(40));
        let gone = store.live.segments.write().drop_below(42);
        assert_eq!(gone.len(), 1);
        assert_eq!(now(&store), Some(40));
        tell(&mut store);
        assert_eq!(now(&store), Some(42));
    }

    /// The first commit of all comes before it is known where the log begins: then there is nothing to announce
    /// that would be true.
    #[test]
    fn nothing_is_announced_before_it_has_begun() {
        let rule = CutRule {
            every: 10,
            records: 1,
        };
        let mut store = SegmentStore::<u64>::new(7, rule, Arc::default());
        assert_eq!(store.saved(), None);
        assert_eq!(store.reached(), None);
        store.passed(40, None, 5);
        assert_eq!(store.reached(), Some(40));
        let announced = |cuts: &[i64]| {
            Some(Announced {
                cuts: cuts.to_vec(),
                origin: 40,
            })
        };
        assert_eq!(store.saved(), announced(&[40]));
        store.passed(42, None, 15);
        assert_eq!(store.saved(), announced(&[40, 42]));
        // A snapshot has what lies between.
        store.live.segments.write().reach(50, 15).unwrap();
        assert_eq!(store.reached(), Some(50));
    }
}
