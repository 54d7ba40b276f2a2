//! Ranges of keys, page by page.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Bound;

use super::answer::{Ask, Merged, add};
use super::{Loaded, Part, QueryError, Site};
use crate::data::Data;
use crate::serving::aggregate::Aggregate;
use crate::serving::kept;

/// Which keys are wanted, by their bytes (in views by window with the window's start behind them).
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) from: Bound<Vec<u8>>,
    pub(crate) to: Bound<Vec<u8>>,
    /// Only those whose own bytes begin so.
    pub(crate) prefix: Vec<u8>,
    /// Only those of windows that start there or behind, and not behind that.
    pub(crate) windows: (i64, i64),
    none: bool,
}

impl Keys {
    /// All of them.
    pub(crate) fn all() -> Self {
        Self {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            prefix: Vec::new(),
            windows: (i64::MIN, i64::MAX),
            none: false,
        }
    }

    /// None of them: for what belongs to all of them.
    pub(crate) fn none() -> Self {
        Self {
            none: true,
            ..Self::all()
        }
    }
}

/// Some keys in their order.
pub(crate) struct Page<S> {
    /// Keys with their states; what belongs to all of them is in [`Self::about`].
    pub(crate) rows: Vec<(Vec<u8>, Merged<S>)>,
    /// Whether there may be more behind the last one.
    pub(crate) more: bool,
    /// Coverage, snapshot and times of all rows.
    pub(crate) about: Merged<S>,
}

/// A key in the order of the view.
struct Ordered<'a, K, A: Aggregate> {
    key: Vec<u8>,
    site: &'a Site<K, A>,
}

impl<K: Data, A: Aggregate> Ord for Ordered<'_, K, A> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.site.view.order(&self.key, &other.key)
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

impl<K: Data, A: Aggregate> Site<K, A> {
    /// Up to `limit` keys. Each part gives its first so many, so the first so many of all are complete.
    pub(crate) fn range(
        &self,
        keys: &Keys,
        limit: usize,
        ask: &Ask,
    ) -> Result<Page<A::State>, QueryError> {
        let loaded = self.pinned(ask)?;
        let snapshot = loaded.as_ref().map(|loaded| loaded.manifest.snapshot);
        let mut page = Page {
            rows: Vec::new(),
            more: false,
            about: Merged::empty(snapshot),
        };
        // Each key's states with where they are from: true for the snapshot.
        let mut found: Vec<(Vec<u8>, bool, A::State)> = Vec::new();
        for (number, topic, partition) in self.wanted() {
            let part = (number, partition);
            if let Some(loaded) = loaded.as_ref().filter(|_| !keys.none) {
                page.more |= self.of_snapshot(loaded, part, keys, limit, &mut found)?;
            }
            page.more |= self.of_segments(
                topic,
                part,
                loaded.as_deref(),
                keys,
                limit,
                &mut page,
                &mut found,
            )?;
        }
        ask.check(&page.about)?;
        // The order of parts is that of how they are merged.
        found.sort_by(|a, b| self.view.order(&a.0, &b.0));
        for (key, of_snapshot, state) in found {
            if page.rows.last().is_none_or(|(last, _)| *last != key) {
                if page.rows.len() >= limit {
                    page.more = true;
                    break;
                }
                page.rows.push((key, Merged::empty(snapshot)));
            }
            if let Some((_, merged)) = page.rows.last_mut() {
                let sum = match of_snapshot {
                    true => &mut merged.batch,
                    false => &mut merged.speed,
                };
                add(self.view.aggregate(), sum, Some(state));
            }
        }
        Ok(page)
    }

    /// Whether a key is wanted.
    fn has(&self, keys: &Keys, name: &[u8]) -> bool {
        let (key, window) = self.view.split(name);
        let after = match &keys.from {
            Bound::Unbounded => true,
            Bound::Included(from) => self.view.order(name, from).is_ge(),
            Bound::Excluded(from) => self.view.order(name, from).is_gt(),
        };
        let before = match &keys.to {
            Bound::Unbounded => true,
            Bound::Included(to) => self.view.order(name, to).is_le(),
            Bound::Excluded(to) => self.view.order(name, to).is_lt(),
        };
        let (first, last) = keys.windows;
        after
            && before
            && key.starts_with(&keys.prefix)
            && window.is_none_or(|start| (first..=last).contains(&start))
    }

    fn of_snapshot(
        &self,
        loaded: &Loaded,
        part: Part,
        keys: &Keys,
        limit: usize,
        found: &mut Vec<(Vec<u8>, bool, A::State)>,
    ) -> Result<bool, QueryError> {
        let Some(states) = loaded.states(part) else {
            return Ok(false);
        };
        let mut at = match &keys.from {
            Bound::Unbounded => 0,
            Bound::Included(from) | Bound::Excluded(from) => {
                let place = states.find(|own| self.view.order(own, from));
                place.unwrap_or_else(|place| place)
            }
        };
        let mut count = 0;
        while at < states.keys.len() {
            let key = states.keys.get(at);
            let beyond = match &keys.to {
                Bound::Unbounded => false,
                Bound::Included(to) => self.view.order(key, to).is_gt(),
                Bound::Excluded(to) => self.view.order(key, to).is_ge(),
            };
            if beyond {
                break;
            }
            if self.has(keys, key) {
                if count >= limit {
                    return Ok(true);
                }
                let state = kept::read(states.states.get(at)).map_err(QueryError::State)?;
                found.push((key.to_vec(), true, state));
                count += 1;
            }
            at += 1;
        }
        Ok(false)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "all of it is one look at one partition"
    )]
    fn of_segments(
        &self,
        topic: &str,
        part: Part,
        loaded: Option<&Loaded>,
        keys: &Keys,
        limit: usize,
        page: &mut Page<A::State>,
        found: &mut Vec<(Vec<u8>, bool, A::State)>,
    ) -> Result<bool, QueryError> {
        let live = self.live(topic, part)?;
        let segments = live.segments.read();
        let seen = self.seen(topic, part, loaded, &segments)?;
        let (mut names, mut more) = (Vec::new(), false);
        for segment in seen.run.iter().filter(|_| !keys.none) {
            // Its first keys: the largest of them makes room for a smaller one.
            let mut first: BinaryHeap<Ordered<'_, K, A>> = BinaryHeap::new();
            for (key, _) in segment.iter().filter(|(key, _)| self.has(keys, key)) {
                if first.len() >= limit {
                    more = true;
                    let last = first.peek();
                    if last.is_none_or(|last| self.view.order(key, &last.key).is_ge()) {
                        continue;
                    }
                    first.pop();
                }
                let key = key.to_vec();
                first.push(Ordered { key, site: self });
            }
            names.extend(first.into_iter().map(|own| own.key));
        }
        names.sort_unstable_by(|a, b| self.view.order(a, b));
        names.dedup();
        more |= names.len() > limit;
        names.truncate(limit);
        for name in names {
            let hash = segments.hash(&name);
            for segment in seen.run.iter() {
                if let Some(state) = segment.get(hash, &name) {
                    found.push((name.clone(), false, state.0.clone()));
                }
            }
        }
        page.about.note(topic, part.1, &seen, live.fresh());
        Ok(more)
    }
}
