//! The state of one partition in segments, each between two cuts.

mod persisted;
mod states;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Tally;
use super::cut_rule::{CutRule, Span};
use crate::state::table::{Hash, KeyHasher};
pub(crate) use states::Closed;
use states::States;

/// What is known of the records of a partition, in segments in the order of the offsets. The last one is
/// still open.
///
/// The state of a key is the sum of its states in all segments, so a snapshot that ends where a segment
/// begins fits: its state and those from there on have every record once. Where a snapshot was ahead there
/// is a gap between two segments: those in front of it are for whoever still reads with an older snapshot.
pub(crate) struct Segments<S> {
    /// The first offset that is in none: everything below has been looked at.
    applied: i64,
    /// Where the first one of all began: what lies between it and the first one that is still here is in
    /// snapshots only.
    origin: i64,
    /// Never empty; in the order of the offsets.
    list: VecDeque<Segment<S>>,
    hasher: KeyHasher,
    /// Whether `applied`, or where the first one begins, has changed since it was told.
    changed: bool,
    /// Where the first one begins, while they are being restored.
    restoring: Option<i64>,
    /// Where the first one began when that was told.
    told_begin: i64,
    /// Where the snapshot ends that is read with, if there is one.
    snapshot: AtomicI64,
}

/// The states of the records between two cuts.
pub(crate) struct Segment<S> {
    from: i64,
    /// Behind its last record; `None` for the open one.
    to: Option<i64>,
    /// When it began, by the wall clock.
    since: i64,
    tally: Tally,
    /// Whether anything but states has changed since it was told.
    changed: bool,
    states: States<S>,
}

/// How a snapshot that ends at an offset fits to segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// A segment begins there, or may.
    Edge,
    /// It is ahead of everything here: nothing here is needed any more, and records below its end are to be
    /// left out.
    Ahead,
    /// It does not.
    Not(Misfit),
}

/// Why a snapshot does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It ends in front of what is here: the records between are in neither.
    Hole,
    /// It ends amid a segment: the segment's other records could not be told from those in the snapshot.
    Amid {
        /// Where that segment begins.
        from: i64,
    },
}

/// Segments that follow one another without a gap.
pub(crate) struct Run<'a, S> {
    list: &'a VecDeque<Segment<S>>,
    first: usize,
    behind: usize,
    /// The first offset behind them.
    pub(crate) to: i64,
}

impl<'a, S> Run<'a, S> {
    /// The segments, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a Segment<S>> + use<'a, S> {
        self.list.range(self.first..self.behind)
    }
}

impl<S> Segment<S> {
    fn new(from: i64, since: i64) -> Self {
        Self {
            from,
            to: None,
            since,
            tally: Tally::default(),
            changed: true,
            states: States::default(),
        }
    }

    /// How much is in it.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The state of a key.
    #[inline]
    pub(crate) fn get(&self, hash: Hash, key: &[u8]) -> Option<&S> {
        self.states.table().get(hash, key).map(|(state, _)| state)
    }

    /// Where it begins. As long as a task has it no other one of its segments that has keys begins there.
    pub(crate) fn from(&self) -> i64 {
        self.from
    }

    /// How many keys it has.
    pub(crate) fn len(&self) -> usize {
        self.states.table().slots()
    }

    /// The key that has come as that number, and its state: it keeps its number.
    pub(crate) fn at(&self, number: usize) -> Option<(&[u8], &S)> {
        let number = u32::try_from(number).ok().filter(|_| number < self.len())?;
        let (key, state, _) = self.states.table().at(number)?;
        Some((key, state))
    }

    /// Its states, if they never change any more: they can be gone through while others go on.
    pub(crate) fn closed(&self) -> Option<Arc<Closed<S>>> {
        self.states.closed()
    }

    /// Whether all of it is in front of `offset`. What begins there is behind it, also if it has ended there: an
    /// answer goes on with it.
    fn is_below(&self, offset: i64) -> bool {
        self.from < offset && self.to.is_some_and(|to| to <= offset)
    }

    /// Nothing changes any more if the segment has ended and all of it has been told.
    fn close_states(&mut self) {
        if self.to.is_some() && !self.states.table().has_changed() {
            self.states.close();
        }
    }
}

impl<S> Segments<S> {
    /// Without a record; the first one has the offset `begin` or more.
    pub(crate) fn new(begin: i64, seed: u64, wall: i64) -> Self {
        Self {
            applied: begin,
            origin: begin,
            list: VecDeque::from([Segment::new(begin, wall)]),
            hasher: KeyHasher::new(seed),
            changed: true,
            restoring: None,
            told_begin: i64::MIN,
            snapshot: AtomicI64::new(i64::MIN),
        }
    }

    /// Says that the first record is at `offset` or behind it: what is in front of it has gone from the log;
    /// and what time it is. Does nothing if there has been one already.
    pub(crate) fn begin_at(&mut self, offset: i64, wall: i64) {
        if let [first] = self.list.make_contiguous()
            && first.tally.records == 0
            && self.applied == first.from
            && offset >= self.applied
        {
            (first.from, first.changed, self.changed) = (offset, true, true);
            first.since = wall;
            (self.applied, self.origin) = (offset, offset);
        }
    }

    /// Where the first one of all began.
    pub(crate) fn origin(&self) -> i64 {
        self.origin
    }

    /// Where the first one began when changes were last told, or restored.
    pub(crate) fn told_begin(&self) -> i64 {
        self.told_begin
    }

    /// Where the last cut is: everything in front of it is in closed segments, or in none.
    pub(crate) fn last_cut(&self) -> i64 {
        self.open().from
    }

    /// The first offset that may be in here.
    pub(crate) fn begin(&self) -> i64 {
        self.list.front().map_or(self.applied, |first| first.from)
    }

    /// The first offset that is not.
    pub(crate) fn applied(&self) -> i64 {
        self.applied
    }

    /// Where segments begin that follow one another up to the open one, which is the last of them: where
    /// snapshots may end.
    pub(crate) fn cuts(&self) -> Vec<i64> {
        let mut cuts = Vec::new();
        for segment in self.list.iter().rev() {
            if cuts.last().is_some_and(|next| segment.to != Some(*next)) {
                break;
            }
            cuts.push(segment.from);
        }
        cuts.reverse();
        cuts
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> Hash {
        self.hasher.hash(key)
    }

    /// Segments whose states may still change, or are not told yet.
    pub(crate) fn changing(&self) -> impl Iterator<Item = &Segment<S>> {
        self.list
            .iter()
            .filter(|segment| !segment.states.is_closed())
    }

    fn open(&self) -> &Segment<S> {
        self.list.back().expect("there is always an open segment")
    }

    fn open_mut(&mut self) -> &mut Segment<S> {
        self.list
            .back_mut()
            .expect("there is always an open segment")
    }

    /// The segments from where a snapshot ends up to the first gap, or to the end; `None` if there are none
    /// that have every record behind the snapshot once.
    pub(crate) fn behind(&self, end: i64) -> Option<Run<'_, S>> {
        let first = self.list.partition_point(|segment| segment.from < end);
        let before = first.checked_sub(1).map(|before| &self.list[before]);
        let reaches = before.is_some_and(|before| before.to.unwrap_or(self.applied) > end);
        if reaches || end < self.begin() {
            return None;
        }
        let (mut behind, mut to) = (first, end);
        while let Some(next) = self.list.get(behind).filter(|next| next.from == to) {
            to = next.to.unwrap_or(self.applied);
            behind += 1;
        }
        Some(Run {
            list: &self.list,
            first,
            behind,
            to,
        })
    }

    /// Takes the record at `offset` in: `events` is given the open segment, to which it adds the states of
    /// the record's keys. `false` if the record is in here already, or in a snapshot that is ahead.
    #[inline]
    pub(crate) fn record(&mut self, offset: i64, events: impl FnOnce(&mut Adding<'_, S>)) -> bool {
        if offset < self.applied {
            return false;
        }
        self.changed = true;
        let segment = self
            .list
            .back_mut()
            .expect("there is always an open segment");
        segment.tally.record(offset);
        segment.changed = true;
        events(&mut Adding {
            segment,
            hasher: &self.hasher,
        });
        // Not before it is in: the view's own code may panic.
        self.applied = offset.saturating_add(1);
        true
    }

    /// Says that no record below `offset` is still to come: what lies between is control records, records of
    /// aborted transactions, and what compaction took.
    pub(crate) fn pass(&mut self, offset: i64) {
        if offset > self.applied {
            self.applied = offset;
            self.changed = true;
        }
    }

    /// Ends the open segment. The next one begins at `from`.
    fn close(&mut self, from: i64, wall: i64) {
        let to = self.applied;
        let open = self.open_mut();
        (open.to, open.changed) = (Some(to), true);
        self.list.push_back(Segment::new(from, wall));
        self.applied = from;
        self.changed = true;
    }

    /// Makes a cut if the rule says so; whether it did.
    pub(crate) fn cut_if_due(&mut self, rule: &CutRule, wall: i64) -> bool {
        let snapshot = self.snapshot.load(Ordering::Relaxed);
        let behind = self.list.partition_point(|one| one.from < snapshot);
        let ended = (self.list.len() - 1).saturating_sub(behind);
        let applied = self.applied;
        let open = self.open_mut();
        if open.since > wall {
            // A clock that was ahead and has been put right.
            (open.since, open.changed) = (wall, true);
        }
        let span = Span {
            millis: wall.saturating_sub(open.since),
            records: open.tally.records,
            moved: applied > open.from,
            ended,
        };
        let due = rule.is_due(&span);
        if due {
            self.close(self.applied, wall);
        }
        due
    }

    /// Says that a snapshot that ends at `end` is read with: cuts become rarer by what is behind it.
    pub(crate) fn read_with(&self, end: i64) {
        self.snapshot.store(end, Ordering::Relaxed);
    }

    /// Whether a snapshot that ends there fits, whatever comes: a segment begins there that only
    /// [`Self::drop_below`] takes away.
    pub(crate) fn has_cut(&self, end: i64) -> bool {
        self.cuts().contains(&end)
    }

    /// How a snapshot that ends at `end` fits.
    pub(crate) fn fit(&self, end: i64) -> Fit {
        if end > self.applied {
            return Fit::Ahead;
        }
        let first = self.cuts().first().copied().unwrap_or(self.applied);
        if end < first {
            return Fit::Not(Misfit::Hole);
        }
        let before = self.list.partition_point(|segment| segment.from <= end) - 1;
        let segment = &self.list[before];
        // What no record has come to can be cut anywhere.
        let empty = segment.to.is_none() && segment.tally.records == 0;
        if segment.from == end || end == self.applied || empty {
            Fit::Edge
        } else {
            Fit::Not(Misfit::Amid { from: segment.from })
        }
    }

    /// Makes ready for a snapshot that ends at `end`: what is behind it is in segments of its own, and what
    /// is not needed for it is left out from now on.
    ///
    /// # Errors
    ///
    /// Why it does not fit, if it does not. Nothing has changed then.
    pub(crate) fn reach(&mut self, end: i64, wall: i64) -> Result<(), Misfit> {
        match self.fit(end) {
            Fit::Ahead => self.close(end, wall),
            Fit::Edge if self.open().from < end => {
                let applied = std::mem::replace(&mut self.applied, end);
                self.close(end, wall);
                self.applied = applied;
            }
            Fit::Edge => {}
            Fit::Not(misfit) => return Err(misfit),
        }
        Ok(())
    }

    /// Whether there are segments that nobody needs who reads with a snapshot that ends at `offset`.
    pub(crate) fn has_below(&self, offset: i64) -> bool {
        self.list
            .front()
            .is_some_and(|first| first.is_below(offset))
    }

    /// Takes out the segments that nobody needs who reads with a snapshot that ends at `offset`. They are given
    /// back, so that they can be dropped where nobody waits.
    pub(crate) fn drop_below(&mut self, offset: i64) -> Vec<Segment<S>> {
        let gone = self
            .list
            .partition_point(|segment| segment.is_below(offset));
        self.changed |= gone > 0;
        self.list.drain(..gone).collect()
    }

    /// Where segments begin and end, and how many records each has.
    #[cfg(test)]
    pub(crate) fn shape(&self) -> Vec<(i64, Option<i64>, u64)> {
        let shapes = self.list.iter();
        shapes
            .map(|segment| (segment.from, segment.to, segment.tally.records))
            .collect()
    }

    /// About how many bytes all of it takes.
    pub(crate) fn bytes(&self) -> usize {
        let each = self.list.iter();
        each.map(|segment| size_of::<Segment<S>>() + segment.states.table().bytes())
            .sum()
    }

    /// How many keys there are, those of each segment counted.
    pub(crate) fn len(&self) -> usize {
        let each = self.list.iter();
        each.map(|segment| segment.states.table().len()).sum()
    }
}

/// The open segment, while a record is added.
pub(crate) struct Adding<'a, S> {
    segment: &'a mut Segment<S>,
    hasher: &'a KeyHasher,
}

impl<S> Adding<'_, S> {
    /// Adds to the state of a key.
    #[inline]
    pub(crate) fn add(&mut self, key: &[u8], time: i64, add: impl FnOnce(&mut Option<S>)) {
        self.segment.tally.time(time);
        let states = self.segment.states.own();
        let slot = states.slot(self.hasher.hash(key), key);
        states.change(slot, |slot| {
            slot.stamp(time);
            add(&mut slot.value);
        });
    }

    /// The record is one that the view cannot read.
    pub(crate) fn bad(&mut self) {
        self.segment.tally.bad();
    }
}

#[cfg(test)]
mod tests;
