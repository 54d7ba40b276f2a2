//! Ranges of keys, page by page.

use std::ops::Bound;

use super::answer::{Ask, Halves, Merged};
use super::{QueryError, Site};
use crate::data::Data;
use crate::serving::aggregate::Aggregate;
use crate::serving::view::View;

/// Which keys are wanted, by their bytes (in views by window with the window's start behind them).
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) from: Bound<Vec<u8>>,
    pub(crate) to: Bound<Vec<u8>>,
    /// Only those behind it, too: the page before ended there.
    pub(super) after: Option<Vec<u8>>,
    /// Only those whose own bytes begin so.
    pub(super) prefix: Vec<u8>,
}

impl Keys {
    /// All of them.
    pub(crate) fn all() -> Self {
        Self {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            after: None,
            prefix: Vec::new(),
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
            ..Self::all()
        }
    }

    /// Those behind that one only: the page before ended there.
    pub(crate) fn after(self, last: Option<Vec<u8>>) -> Self {
        Self {
            after: last,
            ..self
        }
    }

    /// Whether a key is wanted.
    pub(super) fn has<K: Data, A: Aggregate>(&self, view: &View<K, A>, name: &[u8]) -> bool {
        let (key, _) = view.split(name);
        !self.is_before(view, name) && !self.is_behind(view, name) && key.starts_with(&self.prefix)
    }

    /// Whether a key is in front of all that are wanted.
    pub(super) fn is_before<K: Data, A: Aggregate>(&self, view: &View<K, A>, name: &[u8]) -> bool {
        let is_before = match &self.from {
            Bound::Unbounded => false,
            Bound::Included(from) => view.order(name, from).is_lt(),
            Bound::Excluded(from) => view.order(name, from).is_le(),
        };
        let after = self.after.as_ref();
        is_before || after.is_some_and(|after| view.order(name, after).is_le())
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
    /// Keys with their states.
    pub(crate) rows: Vec<(Vec<u8>, Halves<S>)>,
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
        let mut walk = self.walk(keys, limit.saturating_add(1), usize::MAX, ask)?;
        let (mut rows, mut more) = (Vec::new(), false);
        while let Some(found) = walk.next()? {
            if rows.len() >= limit {
                more = true;
                break;
            }
            rows.push((found.name, found.halves));
        }
        Ok(Page {
            rows,
            more,
            about: walk.about,
        })
    }
}
