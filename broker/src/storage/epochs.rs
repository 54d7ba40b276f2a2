//! Which leader epoch began at which offset (`LeaderEpochFileCache.java`).

use super::checkpoint;
use crate::types::{LeaderEpoch, Offset};

/// The file's name.
pub(crate) const FILE_NAME: &str = "leader-epoch-checkpoint";
/// What [`Epochs::end_of`] answers when it does not know the epoch.
pub(crate) const UNKNOWN: (LeaderEpoch, Offset) = (LeaderEpoch(-1), Offset(-1));

/// The epochs of a log, oldest first; epochs and start offsets both rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    entries: Vec<(LeaderEpoch, Offset)>,
    dirty: bool,
}

impl Epochs {
    /// Takes what a checkpoint file holds. Entries that break the order push out the older ones
    /// they contradict, as when they were assigned one by one.
    pub(crate) fn from_entries(entries: Vec<(LeaderEpoch, Offset)>) -> Self {
        let mut epochs = Self::default();
        for (epoch, start) in entries {
            epochs.assign(epoch, start);
        }
        epochs.dirty = false;
        epochs
    }

    /// `epoch` begins at `start`. Does nothing if the epoch is the latest and began before.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        if epoch.0 < 0 || start.0 < 0 {
            return;
        }
        if self
            .entries
            .last()
            .is_some_and(|(last, begun)| *last == epoch && *begun <= start)
        {
            return;
        }
        self.entries
            .retain(|(older, begun)| *older < epoch && *begun < start);
        self.entries.push((epoch, start));
        self.dirty = true;
    }

    /// Drops the epochs that begin at or after `end`.
    pub(crate) fn truncate_end(&mut self, end: Offset) {
        let before = self.entries.len();
        self.entries.retain(|(_, start)| *start < end);
        self.dirty |= self.entries.len() != before;
    }

    /// Drops the epochs that end at or before `start`; the one that spans it begins there now.
    pub(crate) fn truncate_start(&mut self, start: Offset) {
        let gone = self
            .entries
            .iter()
            .take_while(|(_, begun)| *begun <= start)
            .count();
        let Some(spanning) = gone
            .checked_sub(1)
            .and_then(|last| self.entries.get_mut(last))
        else {
            return;
        };
        if gone > 1 || spanning.1 != start {
            spanning.1 = start;
            self.entries.drain(..gone - 1);
            self.dirty = true;
        }
    }

    /// The newest epoch.
    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    /// The epoch that the record at `offset` belongs to.
    pub(crate) fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.entries
            .iter()
            .rev()
            .find(|(_, start)| *start <= offset)
            .map(|(epoch, _)| *epoch)
    }

    /// The largest epoch at or below `epoch` and where it ends; `log_end` for the latest one.
    pub(crate) fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> (LeaderEpoch, Offset) {
        if epoch.0 < 0 {
            return UNKNOWN;
        }
        if self.latest() == Some(epoch) {
            return (epoch, log_end);
        }
        let higher = self.entries.partition_point(|(known, _)| *known <= epoch);
        let Some((_, next_start)) = self.entries.get(higher) else {
            return UNKNOWN;
        };
        match higher
            .checked_sub(1)
            .and_then(|floor| self.entries.get(floor))
        {
            Some((floor, _)) => (*floor, *next_start),
            None => (epoch, *next_start),
        }
    }

    /// The file's content, if it has changed since this was last asked.
    pub(crate) fn take_dirty(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.dirty).then(|| checkpoint::encode(&self.entries))
    }

    /// Whether the file is out of date.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        let entry = |(epoch, start): &(i32, i64)| (LeaderEpoch(*epoch), Offset(*start));
        Epochs::from_entries(entries.iter().map(entry).collect())
    }

    #[test]
    fn rule_31_the_end_of_an_epoch() {
        let known = epochs(&[(2, 10), (5, 20), (6, 30)]);
        let check = |asked: i32, expected: (i32, i64)| {
            let found = known.end_of(LeaderEpoch(asked), Offset(44));
            assert_eq!((found.0.0, found.1.0), expected, "epoch {asked}");
        };
        check(6, (6, 44));
        check(7, (-1, -1));
        check(-1, (-1, -1));
        check(5, (5, 30));
        check(4, (2, 20));
        check(3, (2, 20));
        check(2, (2, 20));
        check(0, (0, 10));
        assert_eq!(epochs(&[]).end_of(LeaderEpoch(0), Offset(5)), UNKNOWN);
    }

    #[test]
    fn assigning_keeps_epochs_and_offsets_rising() {
        let check = |new: (i32, i64), expected: &[(i32, i64)]| {
            let mut known = epochs(&[(0, 0), (2, 10), (4, 20)]);
            known.assign(LeaderEpoch(new.0), Offset(new.1));
            assert_eq!(known.entries, epochs(expected).entries, "{new:?}");
        };
        check((5, 30), &[(0, 0), (2, 10), (4, 20), (5, 30)]);
        check((4, 25), &[(0, 0), (2, 10), (4, 20)]);
        check((4, 15), &[(0, 0), (2, 10), (4, 15)]);
        check((5, 20), &[(0, 0), (2, 10), (5, 20)]);
        check((3, 40), &[(0, 0), (2, 10), (3, 40)]);
        check((9, 0), &[(9, 0)]);
        check((-1, 3), &[(0, 0), (2, 10), (4, 20)]);
    }

    #[test]
    fn rule_32_the_epochs_are_truncated_with_the_log() {
        let cut = |end: i64| {
            let mut known = epochs(&[(0, 0), (2, 10), (4, 20)]);
            known.truncate_end(Offset(end));
            (known.entries.len(), known.is_dirty())
        };
        assert_eq!(
            [cut(21), cut(20), cut(11), cut(10), cut(0)],
            [(3, false), (2, true), (2, true), (1, true), (0, true)]
        );
        let mut known = epochs(&[(0, 0), (2, 10), (4, 20)]);
        known.truncate_start(Offset(0));
        assert!(!known.is_dirty());
        known.truncate_start(Offset(15));
        assert_eq!(known.entries, epochs(&[(2, 15), (4, 20)]).entries);
        assert_eq!(
            known.take_dirty().as_deref(),
            Some(&b"0\n2\n2 15\n4 20\n"[..])
        );
        assert_eq!(known.take_dirty(), None);
        known.truncate_start(Offset(99));
        assert_eq!(known.entries, epochs(&[(4, 99)]).entries);
    }

    #[test]
    fn an_offset_belongs_to_the_epoch_that_began_before_it() {
        let known = epochs(&[(2, 10), (5, 20)]);
        let at = |offset| known.at(Offset(offset)).map(|epoch| epoch.0);
        assert_eq!(
            [at(9), at(10), at(19), at(20), at(99)],
            [None, Some(2), Some(2), Some(5), Some(5)]
        );
    }
}
