//! Questions in this process.

use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use super::answer::{Ask, Halves, Merged};
use super::range::Keys;
use super::{Answer, QueryError, Site};
use crate::data::{Data, DataError, Payload};
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;

/// Asks a view, each time for what is newest, unless something else is said. It may be cloned and kept.
pub struct Reader<K, A: Aggregate> {
    site: Arc<Site<K, A>>,
    ask: Ask,
}

impl<K, A: Aggregate> Clone for Reader<K, A> {
    fn clone(&self) -> Self {
        Self {
            site: Arc::clone(&self.site),
            ask: self.ask.clone(),
        }
    }
}

/// One key of an answer of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<K, V> {
    /// The key.
    pub key: K,
    /// In views by window, where the window starts: milliseconds since 1970.
    pub window: Option<i64>,
    /// The value.
    pub value: V,
    /// What the snapshot has of it.
    pub batch: Option<V>,
    /// What is newer.
    pub speed: Option<V>,
    /// Whether its window has passed ([`Answer::is_final`]).
    pub is_final: bool,
}

/// Keys in their order, as of one coverage.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows<K, V> {
    /// The keys.
    pub rows: Vec<Row<K, V>>,
    /// Where the next ones begin; `None` if there are no more.
    pub next: Option<Next>,
    /// See [`Answer::begin`].
    pub begin: Coverage,
    /// See [`Answer::coverage`].
    pub coverage: Coverage,
    /// See [`Answer::snapshot`].
    pub snapshot: Option<u64>,
    /// See [`Answer::fresh_at`].
    pub fresh_at: Option<i64>,
}

/// Where the next rows begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next(Vec<u8>);

/// The rows of an answer.
pub type Answered<K, A> = Result<Rows<K, <A as Aggregate>::Value>, QueryError>;

impl<K: Data, A: Aggregate> Reader<K, A> {
    pub(crate) fn new(site: Arc<Site<K, A>>) -> Self {
        Self {
            site,
            ask: Ask::default(),
        }
    }

    /// Reads with that snapshot, as long as it is held ([`crate::serving::LambdaConfig::hold`]). What is newer
    /// is added all the same, up to the same offsets as without it: only the batch part stays as it is.
    #[must_use]
    pub fn snapshot(mut self, snapshot: u64) -> Self {
        self.ask.snapshot = Some(snapshot);
        self
    }

    /// Refuses answers that do not cover that much ([`QueryError::Behind`]).
    /// [`crate::serving::Lambda::covers`] waits until they do.
    #[must_use]
    pub fn at_least(mut self, coverage: Coverage) -> Self {
        self.ask.at_least = Some(coverage);
        self
    }

    /// The answer for a key; `None` as its value if there is nothing of it.
    ///
    /// # Errors
    ///
    /// [`QueryError`]; there is no answer with a gap.
    pub fn get(&self, key: &K) -> Result<Answer<A::Value>, QueryError> {
        let name = self.site.name(key, None, &mut Vec::new())?;
        self.site.answer(&name, &self.ask)
    }

    /// The answer for a window of a key: the one that starts there, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// [`QueryError`]; also if the view has no windows, or none that starts there.
    pub fn window(&self, key: &K, start: i64) -> Result<Answer<A::Value>, QueryError> {
        let name = self.site.name(key, Some(start), &mut Vec::new())?;
        self.site.check_start(start)?;
        self.site.answer(&name, &self.ask)
    }

    /// The answers for several keys. Each has a coverage of its own.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub fn many(&self, keys: &[K]) -> Result<Vec<Answer<A::Value>>, QueryError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Up to `limit` keys of a range, with all their windows, behind the page that gave `next`.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub fn range(
        &self,
        range: impl RangeBounds<K>,
        limit: usize,
        next: Option<&Next>,
    ) -> Answered<K, A> {
        let keys = Keys {
            from: self.bound(range.start_bound(), Side::Start)?,
            to: self.bound(range.end_bound(), Side::End)?,
            ..Keys::all()
        };
        self.page(keys, limit, next)
    }

    /// Up to `limit` windows of a key that start in a range of time, in milliseconds since 1970, behind the page
    /// that gave `next`.
    ///
    /// # Errors
    ///
    /// [`QueryError`]; also if the view has no windows.
    pub fn windows(
        &self,
        key: &K,
        starts: Range<i64>,
        limit: usize,
        next: Option<&Next>,
    ) -> Answered<K, A> {
        let name = |start| self.site.name(key, Some(start), &mut Vec::new());
        let keys = Keys {
            from: Bound::Included(name(starts.start)?),
            to: Bound::Excluded(name(starts.end)?),
            ..Keys::all()
        };
        self.page(keys, limit, next)
    }

    /// The `k` keys whose values have the largest rank; of equal ones the one that comes first in the view's
    /// order. It goes through all keys once, as of one coverage.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub fn top<R: Ord>(&self, k: usize, rank: impl Fn(&A::Value) -> R) -> Answered<K, A> {
        let keys = Keys::all();
        let mut walk = self.site.walk(&keys, usize::MAX, usize::MAX, &self.ask)?;
        let aggregate = self.site.view.aggregate();
        let largest = walk.top(
            k,
            usize::MAX,
            |found| {
                let whole = found.halves.whole(aggregate);
                Ok::<_, QueryError>(whole.map(|whole| rank(&aggregate.value(&whole))))
            },
            |found| Ok(((found.name, found.halves), 0)),
        )?;
        self.rows(largest.rows, false, walk.about)
    }

    fn bound(&self, bound: Bound<&K>, side: Side) -> Result<Bound<Vec<u8>>, QueryError> {
        let windowed = self.site.view.windows().is_some();
        // A key's windows lie behind one another: all of them are in front of an end that includes it, or
        // behind a start.
        let name = |key: &K, start: i64| {
            let start = windowed.then_some(start);
            self.site.name(key, start, &mut Vec::new())
        };
        Ok(match (bound, side) {
            (Bound::Unbounded, _) => Bound::Unbounded,
            (Bound::Included(key), Side::Start) => Bound::Included(name(key, i64::MIN)?),
            (Bound::Excluded(key), Side::Start) => Bound::Excluded(name(key, i64::MAX)?),
            (Bound::Included(key), Side::End) => Bound::Included(name(key, i64::MAX)?),
            (Bound::Excluded(key), Side::End) => Bound::Excluded(name(key, i64::MIN)?),
        })
    }

    fn page(&self, keys: Keys, limit: usize, next: Option<&Next>) -> Answered<K, A> {
        let keys = keys.after(next.map(|next| next.0.clone()));
        let page = self.site.range(&keys, limit, &self.ask)?;
        self.rows(page.rows, page.more, page.about)
    }

    fn rows(
        &self,
        found: Vec<(Vec<u8>, Halves<A::State>)>,
        more: bool,
        about: Merged<A::State>,
    ) -> Answered<K, A> {
        let view = &self.site.view;
        let aggregate = view.aggregate();
        let last = found.last().filter(|_| more);
        let next = last.map(|(name, _)| Next(name.clone()));
        let value = |state: &Option<A::State>| state.as_ref().map(|state| aggregate.value(state));
        let mut rows = Vec::new();
        for (name, halves) in found {
            let (key, window) = view.split(&name);
            let key = K::decode(Payload::new(Some(key))).map_err(QueryError::Key)?;
            let whole = halves.whole(aggregate);
            let whole = whole.ok_or_else(|| QueryError::Key(DataError::new("it has no state")))?;
            rows.push(Row {
                key,
                window,
                value: aggregate.value(&whole),
                batch: value(&halves.batch),
                speed: value(&halves.speed),
                is_final: view.is_final(&name, about.time),
            });
        }
        Ok(Rows {
            rows,
            next,
            begin: about.begin,
            coverage: about.coverage,
            snapshot: about.snapshot,
            fresh_at: about.fresh,
        })
    }
}

impl<A: Aggregate> Reader<String, A> {
    /// Up to `limit` keys that begin so, with all their windows, behind the page that gave `next`.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    pub fn prefix(&self, prefix: &str, limit: usize, next: Option<&Next>) -> Answered<String, A> {
        let windowed = self.site.view.windows().is_some();
        self.page(Keys::beginning_with(prefix, windowed), limit, next)
    }
}

/// Of a range.
#[derive(Clone, Copy)]
enum Side {
    Start,
    End,
}
