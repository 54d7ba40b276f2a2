//! Values by key and session.

use std::marker::PhantomData;
use std::sync::Arc;

use super::private;
use crate::data::{Data, DataError, decode_slice, with_bytes};
use crate::query::{Kind, Reads};
use crate::state::{Span, SpanStore, StoreId, Stores};
use crate::time::{Window, millis};
use crate::topology::{Changelog, StoreSpec};

/// A store of values by key and session, with a changelog (Kafka: `SessionStore`). A session's window is
/// from its first record to its last one, which belongs to it. A key has one session for each start: to
/// make one of several, remove those and put the new one in. Sessions that ended longer ago than the
/// retention, counted back from the latest end that was put in, are dropped.
pub struct SessionValue<K, V> {
    name: String,
    retention: i64,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Data, V: Data> SessionValue<K, V> {
    /// One of that name, with that retention.
    #[must_use]
    pub fn new(name: &str, retention: std::time::Duration) -> Self {
        Self {
            name: name.to_owned(),
            retention: millis(retention),
            types: PhantomData,
        }
    }
}

#[allow(private_interfaces, reason = "sealed")]
impl<K: Data, V: Data> private::Kind for SessionValue<K, V> {
    type View<'a> = SessionValueView<'a, K, V>;

    fn spec(&self) -> StoreSpec {
        let retention = self.retention;
        StoreSpec {
            name: self.name.clone(),
            make: Arc::new(move |seed| Box::new(SpanStore::<V>::of_processor(seed, retention))),
            holds: StoreSpec::holds::<K, V>("sessions"),
            changelog: Some(Changelog::Windows),
            reads: Some(Arc::new(Reads::<K, V>::Spans(Kind::Sessions))),
        }
    }

    fn view(stores: &mut Stores, id: StoreId) -> Self::View<'_> {
        SessionValueView {
            store: stores.get(id),
            key: PhantomData,
        }
    }
}

/// A session store of a task. A key that is null is an error.
pub struct SessionValueView<'a, K, V> {
    store: &'a mut SpanStore<V>,
    key: PhantomData<fn(K)>,
}

impl<K: Data, V: Data> SessionValueView<'_, K, V> {
    /// The sessions of a key, the earliest first.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn of(&self, key: &K) -> Result<Vec<(Window, V)>, DataError> {
        self.of_within(key, i64::MIN, i64::MAX)
    }

    /// The sessions of a key that have something to do with the time from `from` to `to`, both included,
    /// the earliest first (Kafka: `findSessions`). For those that a record may join: its time less and
    /// plus the gap.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn of_within(&self, key: &K, from: i64, to: i64) -> Result<Vec<(Window, V)>, DataError> {
        with_bytes(key, |key| {
            let spans = self.store.of(key).iter();
            let met = spans.filter(|span| span.start <= to && span.end >= from);
            met.filter_map(row).collect()
        })
    }

    /// All sessions, in the order of the keys' bytes, those of a key the earliest first.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that does not decode.
    pub fn all(&self) -> Result<Vec<(K, Window, V)>, DataError> {
        let mut rows: Vec<(Vec<u8>, Window, V)> = Vec::new();
        self.store.scan(0, usize::MAX, &mut |key, spans| {
            let own = spans.iter().filter_map(row);
            rows.extend(own.map(|(window, value)| (key.to_vec(), window, value)));
        });
        // Those of a key are in order.
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let rows = rows.into_iter();
        rows.map(|(key, window, value)| Ok((decode_slice(Some(&key))?, window, value)))
            .collect()
    }

    /// Puts a session in, instead of the one that starts when it does, if there is one. `false` if it
    /// ended longer ago than the retention: then nothing is stored.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes, or of a session that ends before it starts.
    pub fn put(&mut self, key: &K, window: Window, value: V) -> Result<bool, DataError> {
        let Window { start, end } = window;
        if end < start {
            return Err(DataError::new("a session that ends before it starts"));
        }
        let store = &mut *self.store;
        let before = store.time().closed;
        if end > before {
            store.time_mut().closed = end;
            let passing = store.pass(before);
            store.end_pass(passing);
        }
        if !store.keeps(end) {
            return Ok(false);
        }
        with_bytes(key, |key| {
            let slot = store.slot(key);
            let spans = store.spans(slot);
            match spans.binary_search_by_key(&start, |span| span.start) {
                Ok(at) => {
                    let span = store.span_mut(slot, at);
                    (span.end, span.timestamp, span.value) = (end, end, Some(value));
                }
                Err(at) => {
                    let mut span = Span::new(start, end, end);
                    span.value = Some(value);
                    store.insert(slot, at, span);
                }
            }
            store.schedule(slot, end);
            true
        })
    }

    /// Takes the session of a key out that starts there.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a key that has no bytes.
    pub fn remove(&mut self, key: &K, start: i64) -> Result<Option<V>, DataError> {
        let store = &mut *self.store;
        with_bytes(key, |key| {
            if store.of(key).is_empty() {
                return None;
            }
            let slot = store.slot(key);
            let spans = store.spans(slot);
            let at = spans.binary_search_by_key(&start, |span| span.start).ok()?;
            let removed = store.remove(slot, at);
            store.leave(slot);
            removed.value
        })
    }
}

fn row<V: Clone>(span: &Span<V>) -> Option<(Window, V)> {
    let (start, end) = (span.start, span.end);
    Some((Window { start, end }, span.value.clone()?))
}
