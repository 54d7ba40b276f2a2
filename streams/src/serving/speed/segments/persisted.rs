//! Segments as entries from bytes to bytes: their changelog and their snapshot file.
//!
//! | key | value |
//! |---|---|
//! | `0` | version (1 byte), the first segment's `from`, `applied`, `origin` |
//! | `1`, `from` | `to` (-1 if it is open), `since`, the tally as JSON |
//! | `2`, `from`, key | the state, as all tables have it |
//!
//! Numbers are 8 bytes, big-endian. Segments in front of the first one are gone, though their entries may
//! still be there.

use super::{Segment, Segments};
use crate::data::{Data, DataError};
use crate::state::Entry;

const BOUNDS: u8 = 0;
const SEGMENT: u8 = 1;
const STATE: u8 = 2;
const VERSION: u8 = 2;

impl<S: Data> Segments<S> {
    /// Tells what has changed since the last call, until `tell` says `false`.
    pub(crate) fn take_changes(
        &mut self,
        tell: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), DataError> {
        let mut goes_on = true;
        if self.changed {
            self.changed = false;
            self.told_begin = self.begin();
            goes_on = self.tell_bounds(&mut |entry| tell(entry));
        }
        for segment in &mut self.list {
            if !goes_on {
                return Ok(());
            }
            if segment.changed {
                segment.changed = false;
                goes_on = segment.tell_frame(&mut |entry| tell(entry))?;
            }
            if goes_on && segment.states.table().has_changed() {
                let from = segment.from;
                segment.states.own().changes(state_of(from), &mut |entry| {
                    goes_on = tell(entry);
                    goes_on
                })?;
            }
            segment.close_states();
        }
        Ok(())
    }

    /// Whether all changes have been told.
    pub(crate) fn is_told(&self) -> bool {
        let mut list = self.list.iter();
        let own = list.all(|one| !one.changed && !one.states.table().has_changed());
        own && !self.changed
    }

    /// Tells everything.
    pub(crate) fn entries(&self, tell: &mut dyn FnMut(Entry<'_>)) -> Result<(), DataError> {
        self.tell_bounds(&mut |entry| {
            tell(entry);
            true
        });
        for segment in &self.list {
            segment.tell_frame(&mut |entry| {
                tell(entry);
                true
            })?;
            segment
                .states
                .table()
                .entries(state_of(segment.from), tell)?;
        }
        Ok(())
    }

    fn tell_bounds(&self, tell: &mut dyn FnMut(Entry<'_>) -> bool) -> bool {
        let mut value = vec![VERSION];
        value.extend(self.begin().to_be_bytes());
        value.extend(self.applied.to_be_bytes());
        value.extend(self.origin.to_be_bytes());
        tell(Entry {
            key: &[BOUNDS],
            value: Some(&value),
        })
    }

    /// Puts one entry in as it was told. What is restored is whole when [`Self::restored`] has been called.
    pub(crate) fn restore(&mut self, entry: Entry<'_>) -> Result<(), DataError> {
        if self.restoring.is_none() {
            // What it began with, before anybody knew that there was more.
            self.restoring = Some(i64::MIN);
            self.list.clear();
        }
        let (kind, rest) = entry.key.split_first().ok_or_else(|| bad("key"))?;
        let Some(value) = entry.value else {
            return self.take_back(*kind, rest);
        };
        match (*kind, rest.split_first_chunk::<8>()) {
            (BOUNDS, _) => {
                let (version, numbers) = value.split_first().ok_or_else(|| bad("bounds"))?;
                if *version != VERSION {
                    return Err(DataError::new(format!(
                        "segments of version {version}, where {VERSION} is known"
                    )));
                }
                let [begin, applied, origin] = numbers_of(numbers).ok_or_else(|| bad("bounds"))?;
                self.restoring = Some(begin);
                (self.applied, self.origin) = (applied, origin);
            }
            (SEGMENT, Some((from, _))) => {
                let (numbers, tally) =
                    value.split_at_checked(16).ok_or_else(|| bad("a segment"))?;
                let [to, since] = numbers_of(numbers).ok_or_else(|| bad("a segment"))?;
                let tally = serde_json::from_slice(tally);
                let tally = tally.map_err(|error| DataError::new(format!("a tally: {error}")))?;
                let segment = self.restored_segment(i64::from_be_bytes(*from));
                (segment.to, segment.since) = ((to >= 0).then_some(to), since);
                segment.tally = tally;
            }
            (STATE, Some((from, key))) => {
                let hash = self.hasher.hash(key);
                let segment = self.restored_segment(i64::from_be_bytes(*from));
                segment.states.own().restore(hash, key, Some(value))?;
            }
            _ => return Err(bad("key")),
        }
        Ok(())
    }

    /// Takes an entry out again: it was told behind the last commit, and a crash has undone that.
    fn take_back(&mut self, kind: u8, rest: &[u8]) -> Result<(), DataError> {
        match (kind, rest.split_first_chunk::<8>()) {
            // They were told with the first entry, so nothing at all has been committed.
            (BOUNDS, _) => {
                self.restoring = Some(i64::MIN);
                (self.applied, self.origin) = (0, 0);
            }
            (SEGMENT, Some((from, _))) => {
                let from = i64::from_be_bytes(*from);
                self.list.retain(|segment| segment.from != from);
            }
            (STATE, Some((from, key))) => {
                let from = i64::from_be_bytes(*from);
                let hash = self.hasher.hash(key);
                let found = self.list.iter_mut().find(|segment| segment.from == from);
                if let Some(segment) = found {
                    segment.states.own().restore(hash, key, None)?;
                }
            }
            _ => return Err(bad("key")),
        }
        Ok(())
    }

    /// The segment that begins there, made if there is none yet.
    fn restored_segment(&mut self, from: i64) -> &mut Segment<S> {
        let at = self.list.partition_point(|segment| segment.from < from);
        if self.list.get(at).is_none_or(|found| found.from != from) {
            let mut segment = Segment::new(from, 0);
            segment.changed = false;
            self.list.insert(at, segment);
        }
        &mut self.list[at]
    }

    /// Everything has been restored; whether there was anything.
    pub(crate) fn restored(&mut self) -> bool {
        let Some(begin) = self.restoring.take() else {
            return false;
        };
        // Where nothing was committed it is all still to be told.
        self.changed = begin == i64::MIN;
        self.told_begin = begin;
        let gone = self.list.partition_point(|segment| segment.from < begin);
        self.list.drain(..gone);
        let last = self.list.len().saturating_sub(1);
        for segment in self.list.range_mut(..last).filter(|one| one.to.is_none()) {
            // Where it ends was never told, so it cannot be said what is in it.
            tracing::warn!(from = segment.from, "a segment without an end is left out");
            *segment = Segment::new(segment.from, segment.since);
            segment.to = Some(segment.from);
        }
        if self.list.back().is_none_or(|last| last.to.is_some()) {
            self.list.push_back(Segment::new(self.applied, 0));
        }
        self.list.iter_mut().for_each(Segment::close_states);
        begin > i64::MIN
    }
}

impl<S> Segment<S> {
    /// Tells everything but its states.
    fn tell_frame(&self, tell: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<bool, DataError> {
        let mut key = vec![SEGMENT];
        key.extend(self.from.to_be_bytes());
        let mut value = self.to.unwrap_or(-1).to_be_bytes().to_vec();
        value.extend(self.since.to_be_bytes());
        let tally = serde_json::to_vec(&self.tally);
        value.extend(tally.map_err(|error| DataError::new(format!("a tally: {error}")))?);
        Ok(tell(Entry {
            key: &key,
            value: Some(&value),
        }))
    }
}

fn bad(what: &str) -> DataError {
    DataError::new(format!("{what} that segments do not have"))
}

fn numbers_of<const N: usize>(bytes: &[u8]) -> Option<[i64; N]> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    let numbers: [[u8; 8]; N] = numbers.try_into().ok()?;
    rest.is_empty().then(|| numbers.map(i64::from_be_bytes))
}

fn state_of(from: i64) -> impl FnMut(&[u8], &mut Vec<u8>) {
    move |key, out| {
        out.push(STATE);
        out.extend(from.to_be_bytes());
        out.extend_from_slice(key);
    }
}
