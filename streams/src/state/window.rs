//! Values by key and window: one table per pane, closed panes dropped whole.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Bound;

use smallvec::SmallVec;

use super::table::{Hash, KeyHasher, Table};
use super::{Entry, Expiry, Store, StoreTime};
use crate::data::{Data, DataError};

/// Panes by their start (Kafka: `TimestampedWindowStore`).
pub(crate) struct WindowStore<A> {
    panes: BTreeMap<i64, Table<A>>,
    hasher: KeyHasher,
    /// How long after its start a pane is kept, on the scale of [`StoreTime::closed`].
    retention: i64,
    /// Whether what comes out of it does so when the watermark closes its panes.
    closes: bool,
    time: StoreTime,
    beside: usize,
}

impl<A: Data> WindowStore<A> {
    /// A pane goes when `closed` has reached its start plus `retention`.
    pub(crate) fn new(seed: u64, retention: i64) -> Self {
        Self {
            panes: BTreeMap::new(),
            hasher: KeyHasher::new(seed),
            retention,
            closes: true,
            time: StoreTime::default(),
            beside: 0,
        }
    }

    /// One whose panes go with time, but without anything that comes out of them: a processor's.
    pub(crate) fn of_processor(seed: u64, retention: i64) -> Self {
        Self {
            closes: false,
            ..Self::new(seed, retention)
        }
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> Hash {
        self.hasher.hash(key)
    }

    #[inline]
    pub(crate) fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// The pane that starts there, made if there was none.
    #[inline]
    pub(crate) fn pane_mut(&mut self, start: i64) -> &mut Table<A> {
        self.panes.entry(start).or_default()
    }

    pub(crate) fn pane(&self, start: i64) -> Option<&Table<A>> {
        self.panes.get(&start)
    }

    /// Starts of the panes there are, from `from` on.
    pub(crate) fn starts(&self, from: i64) -> impl Iterator<Item = i64> {
        self.panes.range(from..).map(|(start, _)| *start)
    }

    /// The panes that start from `from` on and before `before`.
    pub(crate) fn between(
        &self,
        from: i64,
        before: i64,
    ) -> impl DoubleEndedIterator<Item = (i64, &Table<A>)> {
        let panes = self.panes.range(from..before.max(from));
        panes.map(|(start, pane)| (*start, pane))
    }

    /// As [`Self::between`], and the pane that starts with the last number there is, if it reaches
    /// `beyond` that.
    pub(crate) fn upto(
        &self,
        from: i64,
        before: i64,
        beyond: bool,
    ) -> impl DoubleEndedIterator<Item = (i64, &Table<A>)> {
        let before = match beyond {
            true => Bound::Unbounded,
            false => Bound::Excluded(before.max(from)),
        };
        let panes = self.panes.range((Bound::Included(from), before));
        panes.map(|(start, pane)| (*start, pane))
    }

    /// How much an operator has made of the panes and keeps beside them, in bytes.
    pub(crate) fn set_beside(&mut self, bytes: usize) {
        self.beside = bytes;
    }

    #[inline]
    pub(crate) fn time(&self) -> StoreTime {
        self.time
    }

    #[inline]
    pub(crate) fn time_mut(&mut self) -> &mut StoreTime {
        &mut self.time
    }

    /// Whether a pane that starts there is kept, or would be.
    pub(crate) fn keeps(&self, start: i64) -> bool {
        start.saturating_add(self.retention) > self.time.closed
    }

    /// Drops the panes that nothing can change any more.
    pub(crate) fn expire(&mut self) {
        while let Some(first) = self.panes.first_entry() {
            if first.key().saturating_add(self.retention) > self.time.closed {
                break;
            }
            first.remove();
        }
    }
}

/// A pane's key in the changelog: the key's bytes, then the pane's start.
fn name(start: i64) -> impl FnMut(&[u8], &mut Vec<u8>) {
    move |key, out| {
        out.extend_from_slice(key);
        out.extend_from_slice(&start.to_be_bytes());
    }
}

impl<A: Data> Store for WindowStore<A> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn take_changes(&mut self, tell: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<(), DataError> {
        let mut go_on = true;
        for (start, pane) in &mut self.panes {
            if !go_on {
                break;
            }
            if pane.has_changed() {
                pane.changes(name(*start), &mut |entry| {
                    go_on = tell(entry);
                    go_on
                })?;
            }
        }
        Ok(())
    }

    fn entries(&self, tell: &mut dyn FnMut(Entry<'_>)) -> Result<(), DataError> {
        for (start, pane) in &self.panes {
            pane.entries(name(*start), tell)?;
        }
        Ok(())
    }

    fn restore(&mut self, entry: Entry<'_>) -> Result<(), DataError> {
        let (key, start) = entry
            .key
            .split_last_chunk::<8>()
            .ok_or_else(|| DataError::new("a window's key without its start"))?;
        let hash = self.hasher.hash(key);
        let pane = self.panes.entry(i64::from_be_bytes(*start)).or_default();
        pane.restore(hash, key, entry.value)
    }

    fn restore_all(&mut self, entries: &[Entry<'_>]) -> Result<(), DataError> {
        // What lies far away in memory is asked for together; most of it is in one pane.
        let keys = entries
            .iter()
            .filter_map(|entry| entry.key.split_last_chunk::<8>());
        let hashes: SmallVec<[Hash; 32]> = keys.map(|(key, _)| self.hasher.hash(key)).collect();
        let last = entries.last().and_then(|entry| entry.key.last_chunk::<8>());
        let pane = last.and_then(|start| self.panes.get(&i64::from_be_bytes(*start)));
        if let Some(pane) = pane {
            pane.touch(&hashes);
        }
        entries.iter().try_for_each(|entry| self.restore(*entry))
    }

    fn time(&self) -> StoreTime {
        self.time
    }

    fn set_time(&mut self, time: StoreTime) {
        self.time = time;
        self.expire();
    }

    fn horizon(&self) -> Option<i64> {
        let (last, _) = self.panes.last_key_value().filter(|_| self.closes)?;
        Some(last.saturating_add(self.retention))
    }

    fn expiry(&self) -> Option<Expiry> {
        let last = self.panes.last_key_value();
        Some(Expiry {
            now: self.time.closed,
            last: last.map_or(i64::MIN, |(start, _)| start.saturating_add(self.retention)),
        })
    }

    fn bytes(&self) -> usize {
        self.beside + self.panes.values().map(Table::bytes).sum::<usize>()
    }

    fn len(&self) -> usize {
        self.panes.values().map(Table::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_comes_out_of_has_no_horizon() {
        let mut aggregates = WindowStore::<i64>::new(0, 30);
        let mut own = WindowStore::<i64>::of_processor(0, 30);
        for store in [&mut aggregates, &mut own] {
            store.pane_mut(10);
        }
        assert_eq!((aggregates.horizon(), own.horizon()), (Some(40), None));
    }
}
