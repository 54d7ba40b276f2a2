//! Goes through the states of many keys, key by key, in their order: one list of all that there is.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::answer::{Ask, Halves, Merged, Seen, add};
use super::looked::{AT_ONCE, Known};
use super::range::Keys;
use super::{Live, Loaded, Part, QueryError, Site};
use crate::data::Data;
use crate::serving::aggregate::{Aggregate, State};
use crate::serving::kept::{self, Kept};
use crate::serving::speed::segments::{Closed, Segment};

/// States in the order of their keys.
enum Source<S> {
    /// Those of a partition in the snapshot.
    Snapshot(Arc<Loaded>, Part),
    /// Those of a segment that does not change any more.
    Closed(Arc<Closed<Kept<S>>>),
    /// Copies of those of a segment that does.
    Copies(Vec<(Vec<u8>, S)>),
}

impl<S> Source<S> {
    fn key(&self, at: usize) -> Option<&[u8]> {
        match self {
            Self::Snapshot(loaded, part) => {
                let keys = &loaded.states(*part)?.keys;
                (at < keys.len()).then(|| keys.get(at))
            }
            Self::Closed(closed) => closed.get(at).map(|(key, _)| key),
            Self::Copies(copies) => copies.get(at).map(|(key, _)| &**key),
        }
    }
}

/// A key with its states.
pub(crate) struct Found<S> {
    pub(crate) name: Vec<u8>,
    pub(crate) halves: Halves<S>,
}

/// All states of some keys, as of one coverage.
pub(crate) struct Walk<'a, K, A: Aggregate> {
    site: &'a Site<K, A>,
    keys: &'a Keys,
    /// Each with the number of its next state.
    sources: Vec<(Source<A::State>, usize)>,
    /// Numbers of sources that have a next state, as a heap: the first one has the smallest key.
    heap: Vec<usize>,
    /// Coverage, snapshot and times of all states.
    pub(crate) about: Merged<A::State>,
    /// The last key up to which all states are here, if there are wanted ones behind it that are not.
    horizon: Option<Vec<u8>>,
}

impl<K: Data, A: Aggregate> Site<K, A> {
    /// Begins to go through the wanted keys. Who needs no more than the first `most` of them, or so many that
    /// their states have about `room` bytes, says so: what is copied is the less.
    pub(crate) fn walk<'a>(
        &'a self,
        keys: &'a Keys,
        most: usize,
        room: usize,
        ask: &Ask,
    ) -> Result<Walk<'a, K, A>, QueryError> {
        if ask.at_least.is_some() || most < usize::MAX {
            // Nothing is copied, and looked for, for what is refused.
            self.about(ask)?;
        }
        let room = match room {
            usize::MAX => usize::MAX,
            room => room / self.wanted().count().max(1),
        };
        self.reading(ask, |loaded| self.walk_with(loaded, keys, most, room, ask))
    }

    fn walk_with<'a>(
        &'a self,
        loaded: Option<Arc<Loaded>>,
        keys: &'a Keys,
        most: usize,
        room: usize,
        ask: &Ask,
    ) -> Result<Walk<'a, K, A>, QueryError> {
        let mut sources = Vec::new();
        let mut horizon: Option<Vec<u8>> = None;
        // If all are copied nothing is saved by looking for them before.
        let looked = match most {
            usize::MAX => Vec::new(),
            most => self.look_through(keys, most, AT_ONCE),
        };
        let about = self.each(loaded, ask, |part, live, loaded, seen| {
            let looked = looked.iter().find(|(own, _)| *own == part);
            sources.extend(loaded.map(|loaded| Source::Snapshot(Arc::clone(loaded), part)));
            for segment in seen.run.iter() {
                if let Some(closed) = segment.closed() {
                    sources.push(Source::Closed(closed));
                    continue;
                }
                let known = looked.and_then(|(_, looked)| looked.of(live, segment));
                let (copies, whole) = self.copies(segment, known, keys, (most, room));
                if let Some((last, _)) = copies.last().filter(|_| !whole) {
                    let nearer = horizon
                        .as_ref()
                        .is_none_or(|own| self.view.order(last, own).is_lt());
                    if nearer {
                        horizon = Some(last.clone());
                    }
                }
                sources.push(Source::Copies(copies));
            }
        })?;
        let mut walk = Walk {
            site: self,
            keys,
            sources: Vec::new(),
            heap: Vec::new(),
            about,
            horizon,
        };
        walk.begin(sources);
        Ok(walk)
    }

    /// What belongs to all keys: coverage, snapshot and times.
    pub(crate) fn about(&self, ask: &Ask) -> Result<Merged<A::State>, QueryError> {
        self.reading(ask, |loaded| self.each(loaded, ask, |_, _, _, _| ()))
    }

    /// Looks at what there is of each partition: in the snapshot, and behind it.
    fn each(
        &self,
        loaded: Option<Arc<Loaded>>,
        ask: &Ask,
        mut look: impl FnMut(
            Part,
            &Arc<Live<A::State>>,
            Option<&Arc<Loaded>>,
            &Seen<'_, Kept<A::State>>,
        ),
    ) -> Result<Merged<A::State>, QueryError> {
        let snapshot = loaded.as_ref().map(|loaded| loaded.manifest.snapshot);
        let mut about = Merged::empty(snapshot);
        for (number, topic, partition) in self.wanted() {
            let part = (number, partition);
            let live = self.live(topic, part)?;
            let segments = live.segments.read();
            let seen = self.seen(topic, part, loaded.as_deref(), &segments)?;
            look(part, &live, loaded.as_ref(), &seen);
            about.note(topic, partition, &seen, live.fresh());
        }
        ask.check(&about)?;
        Ok(about)
    }

    /// Copies of the first wanted states of a segment that still changes, in the order of their keys, one at
    /// least; and whether these are all of the first `most`. The first so many of all segments are among
    /// their first ones. What is `known` of it need not be looked for again.
    fn copies(
        &self,
        segment: &Segment<Kept<A::State>>,
        known: Option<&Known>,
        keys: &Keys,
        (most, room): (usize, usize),
    ) -> (Vec<(Vec<u8>, A::State)>, bool) {
        let rest = known.map_or(0, |known| known.looked_at)..segment.len();
        let rest = rest.filter_map(|number| segment.at(number));
        let rest = rest.filter(|(key, _)| keys.has(&self.view, key));
        let known = known.into_iter().flat_map(Known::numbers);
        let wanted = known.filter_map(|number| segment.at(number)).chain(rest);
        // The largest of the first ones makes room for a smaller one.
        let mut first: BinaryHeap<Ordered<'_, K, A>> = BinaryHeap::new();
        for (key, state) in wanted {
            if first.len() >= most {
                let last = first.peek();
                if last.is_none_or(|last| self.view.order(key, last.key).is_ge()) {
                    continue;
                }
                first.pop();
            }
            first.push(Ordered {
                key,
                state: &state.0,
                site: self,
            });
        }
        let sorted = first.into_sorted_vec();
        let (mut copies, mut size, mut bytes) = (Vec::new(), 0, Vec::new());
        for own in &sorted {
            if size >= room && !copies.is_empty() {
                break;
            }
            if room < usize::MAX {
                bytes.clear();
                own.state.encode(&mut bytes);
                size += own.key.len() + bytes.len();
            }
            copies.push((own.key.to_vec(), own.state.clone()));
        }
        let whole = copies.len() == sorted.len();
        (copies, whole)
    }
}

impl<K: Data, A: Aggregate> Walk<'_, K, A> {
    /// Puts all sources at their first wanted key.
    fn begin(&mut self, sources: Vec<Source<A::State>>) {
        let view = &self.site.view;
        let is_before = |own: &[u8]| self.keys.is_before(view, own);
        for source in sources {
            let at = match &source {
                Source::Snapshot(loaded, part) => match loaded.states(*part) {
                    Some(states) => states.partition_point(is_before),
                    None => 0,
                },
                Source::Closed(closed) => {
                    closed.sort(|a, b| view.order(a, b));
                    closed.find(is_before)
                }
                Source::Copies(copies) => copies.partition_point(|(key, _)| is_before(key)),
            };
            if source.key(at).is_some() {
                self.heap.push(self.sources.len());
                self.sources.push((source, at));
            }
        }
        (0..self.heap.len() / 2)
            .rev()
            .for_each(|at| self.sift_down(at));
    }

    fn head(&self, source: usize) -> &[u8] {
        let (source, at) = &self.sources[source];
        source.key(*at).unwrap_or_default()
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        let order = self.site.view.order(self.head(a), self.head(b));
        // States of one key are merged in the order of their sources.
        order.then(a.cmp(&b)) == Ordering::Less
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            let mut least = at;
            for child in [left, left + 1] {
                if child < self.heap.len() && self.is_before(self.heap[child], self.heap[least]) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    /// The first source goes on to its next state.
    fn advance(&mut self) {
        let first = self.heap[0];
        let (source, at) = &mut self.sources[first];
        *at += 1;
        if source.key(*at).is_none() {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
    }

    /// Whether there are wanted keys behind those that come.
    pub(crate) fn is_cut(&self) -> bool {
        self.horizon.is_some()
    }

    fn is_beyond(&self, name: &[u8]) -> bool {
        let (view, horizon) = (&self.site.view, self.horizon.as_ref());
        self.keys.is_behind(view, name)
            || horizon.is_some_and(|horizon| view.order(name, horizon).is_gt())
    }

    /// The next key with its states; `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Found<A::State>>, QueryError> {
        let view = &self.site.view;
        let name = loop {
            let Some(first) = self.heap.first() else {
                return Ok(None);
            };
            let name = self.head(*first);
            if self.is_beyond(name) {
                self.heap.clear();
                return Ok(None);
            }
            if self.keys.has(view, name) {
                break name.to_vec();
            }
            self.advance();
        };
        let aggregate = view.aggregate();
        let mut found = Found {
            name,
            halves: Halves {
                batch: None,
                speed: None,
            },
        };
        while let Some(first) = self.heap.first().copied()
            && self.head(first) == found.name
        {
            let (source, at) = &mut self.sources[first];
            let (sum, state) = match source {
                Source::Snapshot(loaded, part) => {
                    let states = loaded.states(*part);
                    let state = states.map(|states| kept::read(states.states.get(*at)));
                    let state = state.transpose().map_err(QueryError::State)?;
                    (&mut found.halves.batch, state)
                }
                Source::Closed(closed) => {
                    let state = closed.get(*at).map(|(_, state)| state.0.clone());
                    (&mut found.halves.speed, state)
                }
                Source::Copies(copies) => {
                    let state = copies.get_mut(*at);
                    // Nobody asks for it again.
                    let state = state.map(|(_, state)| std::mem::replace(state, aggregate.empty()));
                    (&mut found.halves.speed, state)
                }
            };
            add(aggregate, sum, state);
            self.advance();
        }
        Ok(Some(found))
    }
}

/// A key in the order of the view.
struct Ordered<'a, K, A: Aggregate> {
    key: &'a [u8],
    state: &'a A::State,
    site: &'a Site<K, A>,
}

impl<K: Data, A: Aggregate> Ord for Ordered<'_, K, A> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.site.view.order(self.key, other.key)
    }
}

impl<K: Data, A: Aggregate> PartialOrd for Ordered<'_, K, A> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Data, A: Aggregate> PartialEq for Ordered<'_, K, A> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Data, A: Aggregate> Eq for Ordered<'_, K, A> {}

#[cfg(test)]
mod tests;
