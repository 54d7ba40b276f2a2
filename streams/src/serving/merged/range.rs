//! Ranges of keys, page by page.

use std::ops::Bound;

use super::answer::{Ask, Merged};
use super::{QueryError, Site};
use crate::data::Data;
use crate::serving::aggregate::Aggregate;
use crate::serving::view::View;

/// Which keys are wanted, by their bytes (in views by window with the window's start behind them).
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) from: Bound<Vec<u8>>,
    pub(crate) to: Bound<Vec<u8>>,
    /// Only those whose own bytes begin so.
    pub(super) prefix: Vec<u8>,
    pub(super) none: bool,
}

impl Keys {
    /// All of them.
    pub(crate) fn all() -> Self {
        Self {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            prefix: Vec::new(),
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

    /// Those of text that begin so. `windowed` says whether windows' starts are behind them.
    pub(crate) fn beginning_with(prefix: &str, windowed: bool) -> Self {
        let (mut from, mut to) = (prefix.as_bytes().to_vec(), behind(prefix.as_bytes()));
        if windowed {
            from.extend(i64::MIN.to_be_bytes());
            to.iter_mut()
                .for_each(|to| to.extend(i64::MIN.to_be_bytes()));
        }
        Self {
            from: Bound::Included(from),
            to: to.map_or(Bound::Unbounded, Bound::Excluded),
            prefix: prefix.as_bytes().to_vec(),
            none: false,
        }
    }

    /// Those behind that one only: the page before ended there.
    pub(crate) fn after(mut self, last: Option<Vec<u8>>) -> Self {
        if let Some(last) = last {
            self.from = Bound::Excluded(last);
        }
        self
    }

    /// Whether a key is wanted.
    pub(super) fn has<K: Data, A: Aggregate>(&self, view: &View<K, A>, name: &[u8]) -> bool {
        let after = match &self.from {
            Bound::Unbounded => true,
            Bound::Included(from) => view.order(name, from).is_ge(),
            Bound::Excluded(from) => view.order(name, from).is_gt(),
        };
        let (key, _) = view.split(name);
        after && !self.is_behind(view, name) && key.starts_with(&self.prefix)
    }

    /// Whether a key is behind all that are wanted.
    pub(super) fn is_behind<K: Data, A: Aggregate>(&self, view: &View<K, A>, name: &[u8]) -> bool {
        match &self.to {
            Bound::Unbounded => false,
            Bound::Included(to) => view.order(name, to).is_gt(),
            Bound::Excluded(to) => view.order(name, to).is_ge(),
        }
    }
}

/// The first bytes that are behind all that begin so; `None` if there are none.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut behind = prefix[..=last].to_vec();
    behind[last] += 1;
    Some(behind)
}

/// Some keys in their order.
pub(crate) struct Page<S> {
    /// Keys with their states; what belongs to all of them is in [`Self::about`].
    pub(crate) rows: Vec<(Vec<u8>, Merged<S>)>,
    /// Whether there are more behind the last one.
    pub(crate) more: bool,
    /// Coverage, snapshot and times of all rows.
    pub(crate) about: Merged<S>,
}

impl<K: Data, A: Aggregate> Site<K, A> {
    /// Up to `limit` keys.
    pub(crate) fn range(
        &self,
        keys: &Keys,
        limit: usize,
        ask: &Ask,
    ) -> Result<Page<A::State>, QueryError> {
        let mut walk = self.walk(keys, limit.saturating_add(1), ask)?;
        let snapshot = walk.about.snapshot;
        let (mut rows, mut more) = (Vec::new(), false);
        while let Some(found) = walk.next()? {
            if rows.len() >= limit {
                more = true;
                break;
            }
            let mut merged = Merged::empty(snapshot);
            (merged.batch, merged.speed) = (found.batch, found.speed);
            rows.push((found.name, merged));
        }
        Ok(Page {
            rows,
            more,
            about: walk.about,
        })
    }
}
