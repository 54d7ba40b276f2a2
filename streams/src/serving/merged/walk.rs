//! Goes through the states of many keys, key by key, in their order: one list of all that there is.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Bound;
use std::sync::Arc;

use super::answer::{Ask, Merged, Seen, add};
use super::range::Keys;
use super::{Loaded, Part, QueryError, Site};
use crate::data::Data;
use crate::serving::aggregate::Aggregate;
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
    pub(crate) batch: Option<S>,
    pub(crate) speed: Option<S>,
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
}

impl<K: Data, A: Aggregate> Site<K, A> {
    /// Begins to go through the wanted keys. Who needs no more than the first `most` of them says so: what is
    /// copied is the less.
    pub(crate) fn walk<'a>(
        &'a self,
        keys: &'a Keys,
        most: usize,
        ask: &Ask,
    ) -> Result<Walk<'a, K, A>, QueryError> {
        if ask.at_least.is_some() && !keys.none {
            // Nothing is copied for what is refused.
            self.walk(&Keys::none(), 1, ask)?;
        }
        self.reading(ask, |loaded| self.walk_with(loaded, keys, most, ask))
    }

    fn walk_with<'a>(
        &'a self,
        loaded: Option<Arc<Loaded>>,
        keys: &'a Keys,
        most: usize,
        ask: &Ask,
    ) -> Result<Walk<'a, K, A>, QueryError> {
        let snapshot = loaded.as_ref().map(|loaded| loaded.manifest.snapshot);
        let mut about = Merged::empty(snapshot);
        let mut sources = Vec::new();
        for (number, topic, partition) in self.wanted() {
            let part = (number, partition);
            if let Some(loaded) = &loaded {
                sources.push(Source::Snapshot(Arc::clone(loaded), part));
            }
            let live = self.live(topic, part)?;
            let segments = live.segments.read();
            let seen = self.seen(topic, part, loaded.as_deref(), &segments)?;
            if !keys.none {
                self.sources_of(&seen, keys, most, &mut sources);
            }
            about.note(topic, partition, &seen, live.fresh());
        }
        ask.check(&about)?;
        if keys.none {
            sources.clear();
        }
        let mut walk = Walk {
            site: self,
            keys,
            sources: Vec::new(),
            heap: Vec::new(),
            about,
        };
        walk.begin(sources);
        Ok(walk)
    }

    /// What is newer than the snapshot. Each segment that still changes gives its first keys: the first so
    /// many of all are among them.
    fn sources_of(
        &self,
        seen: &Seen<'_, Kept<A::State>>,
        keys: &Keys,
        most: usize,
        sources: &mut Vec<Source<A::State>>,
    ) {
        for segment in seen.run.iter() {
            sources.push(match segment.closed() {
                Some(closed) => Source::Closed(closed),
                None => Source::Copies(self.copies(segment, keys, most)),
            });
        }
    }

    fn copies(
        &self,
        segment: &Segment<Kept<A::State>>,
        keys: &Keys,
        most: usize,
    ) -> Vec<(Vec<u8>, A::State)> {
        let wanted = segment.iter().filter(|(key, _)| keys.has(&self.view, key));
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
        let sorted = first.into_sorted_vec().into_iter();
        sorted
            .map(|own| (own.key.to_vec(), own.state.clone()))
            .collect()
    }
}

impl<K: Data, A: Aggregate> Walk<'_, K, A> {
    /// Puts all sources at their first wanted key.
    fn begin(&mut self, sources: Vec<Source<A::State>>) {
        let view = &self.site.view;
        let is_before = |own: &[u8]| match &self.keys.from {
            Bound::Unbounded => false,
            Bound::Included(from) => view.order(own, from).is_lt(),
            Bound::Excluded(from) => view.order(own, from).is_le(),
        };
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

    /// The next key with its states; `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Found<A::State>>, QueryError> {
        let view = &self.site.view;
        let name = loop {
            let Some(first) = self.heap.first() else {
                return Ok(None);
            };
            let name = self.head(*first);
            if self.keys.is_behind(view, name) {
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
            batch: None,
            speed: None,
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
                    (&mut found.batch, state)
                }
                Source::Closed(closed) => {
                    let state = closed.get(*at).map(|(_, state)| state.0.clone());
                    (&mut found.speed, state)
                }
                Source::Copies(copies) => {
                    let state = copies.get_mut(*at);
                    // Nobody asks for it again.
                    let state = state.map(|(_, state)| std::mem::replace(state, aggregate.empty()));
                    (&mut found.speed, state)
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
