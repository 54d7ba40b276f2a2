//! The windows that slices make together, one after the other. What a window costs when it closes does
//! not depend on how many slices it has (after van Herk, "A fast algorithm for local minimum and maximum
//! filters", 1992, and Gil and Werman, 1993).
//!
//! Time is cut into blocks about as long as a window. A window lies across one edge between them. What it
//! has in front of the edge is a merge of the last slices of that block, and is made for all windows that
//! begin in it at once, from the edge backwards; what it has behind the edge grows from window to window.
//! So a slice is merged twice, and a window is two parts.
//!
//! All that begins in front of an edge is kept until it has passed. Where states hold memory of their own
//! and grow by being merged that could be many times what the slices are, so there each window is merged
//! by itself, in the same order.
//!
//! Edges are places in time, so the order of merges follows from slices alone: a restart in between
//! changes no byte, even of sums of floating-point numbers.

use std::mem::needs_drop;

use smallvec::SmallVec;

use super::TOUCHED;
use super::slices::Across;
use crate::data::{Data, DataError, decode_slice};
use crate::dsl::aggregator::{Merged, merge_all};
use crate::state::WindowStore;
use crate::state::table::{Hash, Table};

/// All keys' parts of the window that was put together last.
pub(super) struct Rolling<K, S> {
    at: Across,
    parts: Table<Parts<K, S>>,
    /// What lies in front of the edge, by key in lists: what begins with each slice.
    fronts: Vec<Front<S>>,
    /// How many of them are in no list any more because slices have changed.
    unlisted: usize,
    /// The keys' slots in the order of their bytes.
    order: Vec<u32>,
    /// Keys of which slices have changed after they were merged.
    stale: Vec<u32>,
}

struct Parts<K, S> {
    key: K,
    /// The first of its list.
    front: Option<u32>,
    /// What lies behind the edge.
    behind: Option<Merged<S>>,
    stale: bool,
}

/// What a key has from a slice up to the edge.
struct Front<S> {
    slice: i64,
    merged: Merged<S>,
    next: Option<u32>,
}

impl<K, S> Default for Rolling<K, S> {
    fn default() -> Self {
        Self {
            // Nothing goes on with that.
            at: Across {
                start: i64::MAX,
                edge: i64::MIN,
                end: i64::MIN,
                beyond: false,
            },
            parts: Table::default(),
            fronts: Vec::new(),
            unlisted: 0,
            order: Vec::new(),
            stale: Vec::new(),
        }
    }
}

impl<K: Data, S: Data> Rolling<K, S> {
    /// Puts a window together.
    pub(super) fn close(
        &mut self,
        window: Across,
        store: &WindowStore<S>,
        merge: &impl Fn(&K, &mut Option<S>, S),
    ) -> Result<(), DataError> {
        let goes_on = !needs_drop::<S>()
            && window.edge == self.at.edge
            && window.start > self.at.start
            && window.end >= self.at.end
            && self.unlisted <= self.fronts.len() / 2;
        if !goes_on {
            self.begin(window, store, merge)?;
        }
        let before = std::mem::replace(&mut self.at, window);
        self.redo(&before, store, merge);
        let beyond = window.beyond && !before.beyond;
        for (_, slice) in store.upto(before.end, window.end, beyond) {
            each_near(slice, &mut self.parts, |parts, hash, key, state| {
                let part = part(parts, hash, key)?.1;
                let behind = part.behind.take();
                part.behind = Some(match behind {
                    Some(behind) => merge_all(behind, [state], |a, b| merge(&part.key, a, b)),
                    None => state,
                });
                Ok(())
            })?;
        }
        self.sort();
        Ok(())
    }

    /// Begins with a window that has nothing to do with the last one: what it has in front of the edge.
    fn begin(
        &mut self,
        window: Across,
        store: &WindowStore<S>,
        merge: &impl Fn(&K, &mut Option<S>, S),
    ) -> Result<(), DataError> {
        let slices = || store.between(window.start, window.edge);
        let at = Across {
            end: window.edge,
            beyond: false,
            ..window
        };
        if window.edge == self.at.edge {
            // Most keys are the same, and so is their order.
            self.at = at;
            self.clear();
        } else {
            let room = slices().map(|(_, slice)| slice.len()).max();
            *self = Self {
                at,
                parts: Table::with_room(room.unwrap_or(0)),
                ..Self::default()
            };
        }
        let fronts = &mut self.fronts;
        for (slice, pane) in slices().rev() {
            each_near(pane, &mut self.parts, |parts, hash, key, state| {
                put_in_front(fronts, part(parts, hash, key)?.1, slice, state, merge);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Leaves nothing but the keys.
    fn clear(&mut self) {
        self.fronts.clear();
        self.stale.clear();
        self.unlisted = 0;
        for at in 0..self.parts.slots() as u32 {
            if let Some(part) = self.parts.value_mut(at) {
                (part.front, part.behind, part.stale) = (None, None, false);
            }
        }
    }

    /// Merges again what keys have whose slices have changed: in this window up to where the one before it
    /// ended.
    fn redo(
        &mut self,
        before: &Across,
        store: &WindowStore<S>,
        merge: &impl Fn(&K, &mut Option<S>, S),
    ) {
        for at in std::mem::take(&mut self.stale) {
            let Some((key, ..)) = self.parts.at(at) else {
                continue;
            };
            let key: SmallVec<[u8; 64]> = SmallVec::from_slice(key);
            let hash = store.hash(&key);
            let Some(part) = self.parts.value_mut(at) else {
                continue;
            };
            part.stale = false;
            while let Some(front) = part.front.take() {
                self.unlisted += 1;
                part.front = self.fronts.get(front as usize).and_then(|front| front.next);
            }
            for (slice, pane) in store.between(self.at.start, self.at.edge).rev() {
                if let Some((state, timestamp)) = pane.get(hash, &key) {
                    let own = (Some(state.clone()), timestamp);
                    put_in_front(&mut self.fronts, part, slice, own, merge);
                }
            }
            let behind = store.upto(self.at.edge, before.end, before.beyond);
            let own = behind.filter_map(|(_, pane)| pane.get(hash, &key));
            let mut own = own.map(|(state, timestamp)| (Some(state.clone()), timestamp));
            let first = own.next();
            part.behind = first.map(|first| merge_all(first, own, |a, b| merge(&part.key, a, b)));
        }
    }

    /// Brings the keys that are new into the order of all.
    fn sort(&mut self) {
        let (known, all) = (self.order.len(), self.parts.slots());
        if known < all {
            let key = |at: &u32| self.parts.key(*at);
            self.order.extend(known as u32..all as u32);
            self.order[known..].sort_unstable_by(|a, b| key(a).cmp(key(b)));
            // Two runs: they are only merged.
            self.order.sort_by(|a, b| key(a).cmp(key(b)));
        }
    }

    /// A key's slice has changed, which may have been merged already.
    #[inline]
    pub(super) fn changed(&mut self, slice: i64, hash: Hash, key: &[u8]) -> Result<(), DataError> {
        if (slice < self.at.end || self.at.beyond) && slice >= self.at.start {
            let (at, part) = part(&mut self.parts, hash, key)?;
            if !std::mem::replace(&mut part.stale, true) {
                self.stale.push(at);
            }
        }
        Ok(())
    }

    /// The slots of the window's keys in the order of their bytes. Some may have nothing in the window.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// What a key has in the window.
    pub(super) fn result(
        &mut self,
        slot: u32,
        merge: &impl Fn(&K, &mut Option<S>, S),
    ) -> Option<(K, Merged<S>)> {
        let part = self.parts.value_mut(slot)?;
        let mut front = None;
        while let Some(first) = part.front {
            let first = self.fronts.get(first as usize)?;
            if first.slice >= self.at.start {
                front = Some(first.merged.clone());
                break;
            }
            // It begins in front of this window, so it has had its time.
            part.front = first.next;
        }
        let all = match (front, &part.behind) {
            (Some(front), behind) => {
                merge_all(front, behind.clone(), |a, b| merge(&part.key, a, b))
            }
            (None, behind) => behind.clone()?,
        };
        Some((part.key.clone(), all))
    }

    /// About how many bytes it takes, where a state has so many outside of itself.
    pub(super) fn bytes(&self, outside: usize) -> usize {
        self.parts.bytes()
            + self.fronts.capacity() * size_of::<Front<S>>()
            + (self.order.capacity() + self.stale.capacity()) * 4
            + (self.fronts.len() + self.parts.len()).saturating_mul(outside)
    }
}

/// A key's parts, with their slot; new ones if it had none.
fn part<'a, K: Data, S>(
    parts: &'a mut Table<Parts<K, S>>,
    hash: Hash,
    key: &[u8],
) -> Result<(u32, &'a mut Parts<K, S>), DataError> {
    let slots = parts.slots();
    let at = parts.slot(hash, key);
    if at == slots {
        let key = decode_slice::<K>(Some(key))?;
        parts.change(at, |slot| {
            slot.value = Some(Parts {
                key,
                front: None,
                behind: None,
                stale: false,
            });
        });
    }
    let part = parts.value_mut(at as u32);
    Ok((
        at as u32,
        part.ok_or_else(|| DataError::null("a key's part of a window"))?,
    ))
}

/// Puts a slice's state in front of what a key has up to the edge.
fn put_in_front<K, S: Clone>(
    fronts: &mut Vec<Front<S>>,
    part: &mut Parts<K, S>,
    slice: i64,
    own: Merged<S>,
    merge: &impl Fn(&K, &mut Option<S>, S),
) {
    let mut next = part.front.and_then(|next| fronts.get_mut(next as usize));
    if let (true, Some(next)) = (needs_drop::<S>(), next.as_mut()) {
        let later = std::mem::replace(&mut next.merged, (None, i64::MIN));
        next.merged = merge_all(own, [later], |a, b| merge(&part.key, a, b));
        next.slice = slice;
        return;
    }
    let later = next.map(|next| next.merged.clone());
    let merged = merge_all(own, later, |a, b| merge(&part.key, a, b));
    let at = u32::try_from(fronts.len()).expect("a block has less than 2^32 states");
    fronts.push(Front {
        slice,
        merged,
        next: part.front.replace(at),
    });
}

/// Calls for every key of a slice, with what lies far away in memory asked for together.
fn each_near<S: Clone, P>(
    slice: &Table<S>,
    parts: &mut Table<P>,
    mut each: impl FnMut(&mut Table<P>, Hash, &[u8], Merged<S>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut ahead = slice.live().map(|(hash, ..)| hash);
    let mut near = 0;
    for (hash, key, state, timestamp) in slice.live() {
        if near == 0 {
            let group: SmallVec<[Hash; TOUCHED]> = ahead.by_ref().take(TOUCHED).collect();
            parts.touch(&group);
            near = group.len();
        }
        near -= 1;
        each(parts, hash, key, (Some(state.clone()), timestamp))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::slices::Slices;
    use super::super::{Emit, OneKey};
    use super::*;
    use crate::time::TimeWindows;

    /// A state that tells which was merged with which, and in which order.
    trait Told: Data + Debug + PartialEq {
        /// With a record's number.
        fn with(before: Option<Self>, number: usize) -> Self;
        fn merged(self, other: Self) -> Self;
    }

    /// One that grows.
    impl Told for String {
        fn with(before: Option<Self>, number: usize) -> Self {
            format!("{}{number}.", before.unwrap_or_default())
        }

        fn merged(self, other: Self) -> Self {
            format!("({self}{other})")
        }
    }

    /// One that does not.
    impl Told for u64 {
        fn with(before: Option<Self>, number: usize) -> Self {
            before.unwrap_or(7).wrapping_mul(31) ^ number as u64
        }

        fn merged(self, other: Self) -> Self {
            let own = self.wrapping_mul(6_364_136_223_846_793_005).rotate_left(11);
            own.wrapping_add(other ^ 0x9e37_79b9)
        }
    }

    fn merge<S: Told>(_: &i32, state: &mut Option<S>, other: S) {
        *state = state.take().map(|own| own.merged(other));
    }

    /// What a key has in a window: in front of the edge from there backwards, behind it onwards.
    fn plainly<S: Told>(window: &Across, store: &WindowStore<S>, key: i32) -> Option<Merged<S>> {
        let bytes = key.to_be_bytes();
        let hash = store.hash(&bytes);
        let of = |from, before| {
            let slices = store.between(from, before).filter_map(|(_, slice)| {
                let (state, timestamp) = slice.get(hash, &bytes)?;
                Some((state.clone(), timestamp))
            });
            slices.collect::<Vec<_>>()
        };
        let both = |(a, at): (S, i64), (b, bt): (S, i64)| (a.merged(b), at.max(bt));
        let front = of(window.start, window.edge).into_iter().rev();
        let front = front.reduce(|later, own| both(own, later));
        let behind = of(window.edge, window.end).into_iter().reduce(both);
        let all = match (front, behind) {
            (Some(front), Some(behind)) => Some(both(front, behind)),
            (front, behind) => front.or(behind),
        };
        all.map(|(state, at)| (Some(state), at))
    }

    /// Whatever comes in between windows, each is what its slices merge to in the one order; how many
    /// there were.
    fn follow<S: Told>(
        windows: TimeWindows,
        records: &[(i32, i64)],
        every: usize,
    ) -> Result<usize, TestCaseError> {
        let slices = Slices::of(windows, Emit::Close, true).unwrap();
        let mut store = WindowStore::<S>::new(3, i64::MAX);
        let mut rolling = Rolling::<i32, S>::default();
        let (mut next, mut count) = (i64::MIN, 0);
        for (number, (key, back)) in records.iter().enumerate() {
            // Time goes on, and records are some way behind it.
            let timestamp = number as i64 - back;
            let slice = slices.slice(timestamp).start;
            let bytes = key.to_be_bytes();
            let hash = store.hash(&bytes);
            let pane = store.pane_mut(slice);
            let at = pane.slot(hash, &bytes);
            pane.change(at, |slot| {
                slot.stamp(timestamp);
                slot.value = Some(S::with(slot.value.take(), number));
            });
            rolling.changed(slice, hash, &bytes).unwrap();
            if number % every != 0 {
                continue;
            }
            while let Some(start) = slices.next_from(next, &store) {
                let window = slices.across(start);
                if window.end > number as i64 {
                    break;
                }
                next = slices.behind(start).unwrap();
                count += 1;
                rolling.close(window, &store, &merge).unwrap();
                let order = rolling.order().to_vec();
                let found = order
                    .iter()
                    .filter_map(|slot| rolling.result(*slot, &merge));
                let found: Vec<_> = found.collect();
                let expected = (0..4).filter_map(|key| Some((key, plainly(&window, &store, key)?)));
                let expected: Vec<_> = expected.collect();
                let single = (0..4_i32).filter_map(|key| {
                    let bytes = key.to_be_bytes();
                    let (hash, reach) = (store.hash(&bytes), (window.end, window.beyond));
                    let mut own = OneKey::new(&store, hash, &bytes, start, reach);
                    Some((key, own.window(&window, |a, b| merge(&key, a, b))?))
                });
                let single: Vec<_> = single.collect();
                prop_assert_eq!(&single, &expected, "one key, window {}", start);
                prop_assert_eq!(found, expected, "window {}", start);
            }
        }
        // One key's windows after one another.
        for key in 0..4_i32 {
            let bytes = key.to_be_bytes();
            let all = (i64::MAX, true);
            let mut own = OneKey::new(&store, store.hash(&bytes), &bytes, i64::MIN, all);
            let mut from = i64::MIN;
            while let Some(start) = slices.next_from(from, &store) {
                let window = slices.across(start);
                let found = own.window(&window, |a, b| merge(&key, a, b));
                prop_assert_eq!(
                    found,
                    plainly(&window, &store, key),
                    "{}: window {}",
                    key,
                    start
                );
                from = slices.behind(start).unwrap();
            }
        }
        Ok(count)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn windows_that_follow_one_another_are_as_each_by_itself(
            size in 2_u64..40,
            advance in 1_u64..40,
            offset in -50_i64..50,
            records in proptest::collection::vec((0_i32..4, 0_i64..12), 60..150),
            every in 1_usize..12,
        ) {
            let advance = 1 + advance % (size - 1);
            let [size, advance] = [size, advance].map(Duration::from_millis);
            let windows = TimeWindows::hopping(size, advance).offset_millis(offset);
            let numbers = follow::<u64>(windows, &records, every)?;
            let texts = follow::<String>(windows, &records, every)?;
            prop_assert!(numbers > 0 && numbers == texts);
        }
    }

    #[test]
    fn slices_of_awkward_windows_are_two_for_each_advance() {
        let windows = TimeWindows::hopping(Duration::from_secs(10), Duration::from_millis(3333));
        let slices = Slices::of(windows, Emit::Close, true).unwrap();
        let mut cuts: Vec<i64> = (0..10_000).map(|at| slices.slice(at).start).collect();
        cuts.dedup();
        // Windows begin at multiples of 3333 and end 1 ms behind multiples of it.
        assert_eq!(cuts, [0, 1, 3333, 3334, 6666, 6667, 9999]);
    }
}
