//! The first wanted keys of segments that still change, looked for bit by bit: whoever writes, and all who wait
//! behind that, have their turn in between.

use std::sync::Arc;

use super::range::Keys;
use super::{Live, Part, Site};
use crate::data::Data;
use crate::serving::aggregate::Aggregate;
use crate::serving::kept::Kept;
use crate::serving::speed::segments::Segment;
use crate::serving::view::View;

/// So many keys are looked at while nothing can be written: some hundred microseconds. What has come when all have
/// been is looked at by whoever copies, with nobody's turn in between.
pub(super) const AT_ONCE: usize = 4_096;

/// What has been looked through of a partition.
pub(super) struct Looked<S> {
    live: Arc<Live<S>>,
    segments: Vec<Known>,
}

/// What has been found in a segment.
pub(super) struct Known {
    /// Where the segment begins.
    from: i64,
    /// So many keys are to be looked at: those that there were. What comes later is looked at by whoever copies.
    all: usize,
    /// So many of them have been, in the order in which they have come.
    pub(super) looked_at: usize,
    /// The numbers of wanted ones among them, which stay theirs: the first in the view's order, and some more.
    first: Vec<usize>,
    /// The last of the first, once there have been too many.
    bound: Option<usize>,
}

impl<S> Looked<S> {
    /// What is known of a segment of that partition; `None` if it is another task's.
    pub(super) fn of(&self, live: &Arc<Live<S>>, segment: &Segment<Kept<S>>) -> Option<&Known> {
        let mut segments = self.segments.iter();
        let own = segments.find(|own| own.from == segment.from())?;
        Arc::ptr_eq(live, &self.live).then_some(own)
    }
}

impl Known {
    fn new<S>(segment: &Segment<S>) -> Self {
        Self {
            from: segment.from(),
            all: segment.len(),
            looked_at: 0,
            first: Vec::new(),
            bound: None,
        }
    }

    /// Numbers of keys among which the first `most` wanted ones are of those that have been looked at.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> {
        self.first.iter().copied()
    }

    /// Looks at up to `count` more keys; gives how many these were.
    fn look_on<K: Data, A: Aggregate>(
        &mut self,
        view: &View<K, A>,
        segment: &Segment<Kept<A::State>>,
        (keys, most): (&Keys, usize),
        count: usize,
    ) -> usize {
        let name = |number: &usize| segment.at(*number).map_or(&[][..], |(key, _)| key);
        let before = self.looked_at;
        self.looked_at = self.all.min(before.saturating_add(count));
        for number in before..self.looked_at {
            let Some((key, _)) = segment.at(number) else {
                continue;
            };
            let bound = self.bound.as_ref();
            let is_behind = bound.is_some_and(|bound| view.order(key, name(bound)).is_ge());
            if is_behind || !keys.has(view, key) {
                continue;
            }
            self.first.push(number);
            if self.first.len() >= most.max(1).saturating_mul(2) {
                self.first
                    .sort_unstable_by(|a, b| view.order(name(a), name(b)));
                self.first.truncate(most.max(1));
                self.bound = self.first.last().copied();
            }
        }
        self.looked_at - before
    }
}

impl<K: Data, A: Aggregate> Site<K, A> {
    /// Looks through the segments that still change of the partitions that are here.
    pub(super) fn look_through(
        &self,
        keys: &Keys,
        most: usize,
        at_once: usize,
    ) -> Vec<(Part, Looked<A::State>)> {
        let parts = self.parts().into_iter();
        parts
            .map(|(part, live)| (part, self.look_through_one(live, keys, most, at_once)))
            .collect()
    }

    fn look_through_one(
        &self,
        live: Arc<Live<A::State>>,
        keys: &Keys,
        most: usize,
        at_once: usize,
    ) -> Looked<A::State> {
        let mut all: Vec<Known> = live.segments.read().changing().map(Known::new).collect();
        loop {
            let mut left = at_once.max(1);
            let segments = live.segments.read();
            for segment in segments.changing() {
                if let Some(known) = all.iter_mut().find(|own| own.from == segment.from()) {
                    left -= known.look_on(&self.view, segment, (keys, most), left);
                }
            }
            if left > 0 {
                break;
            }
        }
        Looked {
            live,
            segments: all,
        }
    }
}
