//! How rows are found in a store, whatever its kind.

use std::any::{Any, type_name};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use super::Kind;
use crate::data::{Data, DataError, decode_slice};
use crate::state::{GlobalStore, KeyValueStore, Span, SpanStore, VersionedStore, WindowStore};
use crate::time::Window;

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) keys: Keys<'a>,
    /// Starts of windows, both included; for sessions, times that they have to meet.
    pub(crate) times: (i64, i64),
    /// The first so many rows of the order in which rows are.
    pub(crate) limit: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys<'a> {
    One(&'a [u8]),
    Range(Bound<&'a [u8]>, Bound<&'a [u8]>),
}

impl Keys<'_> {
    pub(crate) const ALL: Self = Self::Range(Bound::Unbounded, Bound::Unbounded);
}

/// What has been found.
#[derive(Clone, Debug)]
pub(crate) struct Row<V> {
    pub(crate) key: Vec<u8>,
    pub(crate) window: Option<Window>,
    pub(crate) value: V,
    pub(crate) timestamp: i64,
}

/// The rows of one task.
pub(crate) type Rows<V> = Result<Vec<Row<V>>, DataError>;
type EndOf = Arc<dyn Fn(i64) -> Window + Send + Sync>;
type StartsOver = Arc<dyn Fn(i64) -> Vec<i64> + Send + Sync>;
type Merge<K, V> = Arc<dyn Fn(&K, &mut Option<V>, V) + Send + Sync>;

/// How a store with these keys and values is read.
pub(crate) enum Reads<K, V> {
    KeyValue,
    Windows {
        /// The window that starts there.
        window: EndOf,
        /// If windows share slices of time.
        slices: Option<Slices<K, V>>,
    },
    Spans(Kind),
}

impl<K, V> Reads<K, V> {
    pub(crate) fn windows(
        window: impl Fn(i64) -> Window + Send + Sync + 'static,
        slices: Option<Slices<K, V>>,
    ) -> Self {
        Self::Windows {
            window: Arc::new(window),
            slices,
        }
    }
}

/// How windows are put together from the slices that they share.
pub(crate) struct Slices<K, V> {
    /// The starts of the windows over a slice.
    starts: StartsOver,
    merge: Merge<K, V>,
}

impl<K, V> Slices<K, V> {
    pub(crate) fn new(
        starts: impl Fn(i64) -> Vec<i64> + Send + Sync + 'static,
        merge: impl Fn(&K, &mut Option<V>, V) + Send + Sync + 'static,
    ) -> Self {
        Self {
            starts: Arc::new(starts),
            merge: Arc::new(merge),
        }
    }
}

/// [`Reads`] of whatever types.
pub(crate) trait AnyReads: Any + Send + Sync {
    fn kind(&self) -> Kind;

    /// The types of keys and values, in words.
    fn key_type(&self) -> String;
    fn value_type(&self) -> String;

    /// The bytes of a key that a person has written.
    fn key_of_text(&self, text: &str) -> Result<Vec<u8>, DataError>;

    fn key_to_json(&self, key: &[u8]) -> Value;

    /// The rows as people are shown them.
    fn json(&self, store: &dyn Any, query: &Query<'_>) -> Rows<Value>;

    /// The order of rows of different tasks.
    fn order(&self, a: Place<'_>, b: Place<'_>) -> Ordering;
}

/// Where a row is in the order of rows.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) window: Option<Window>,
}

impl<V> Row<V> {
    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            key: &self.key,
            window: self.window,
        }
    }
}

/// By the window, if there is one, then by the key.
fn order<K: Data>(a: Place<'_>, b: Place<'_>) -> Ordering {
    let windows = a.window.cmp(&b.window);
    windows.then_with(|| K::order(a.key, b.key))
}

impl<K: Data, V: Data> AnyReads for Reads<K, V> {
    fn kind(&self) -> Kind {
        match self {
            Self::KeyValue => Kind::KeyValue,
            Self::Windows { .. } => Kind::Windows,
            Self::Spans(kind) => *kind,
        }
    }

    fn key_type(&self) -> String {
        short_name(type_name::<K>())
    }

    fn value_type(&self) -> String {
        short_name(type_name::<V>())
    }

    fn key_of_text(&self, text: &str) -> Result<Vec<u8>, DataError> {
        key_bytes(&K::from_text(text)?)
    }

    fn key_to_json(&self, key: &[u8]) -> Value {
        match decode_slice::<K>(Some(key)) {
            Ok(key) => key.to_json(),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        }
    }

    fn json(&self, store: &dyn Any, query: &Query<'_>) -> Rows<Value> {
        let rows = self.rows(store, query)?.into_iter().map(|row| Row {
            value: row.value.to_json(),
            key: row.key,
            window: row.window,
            timestamp: row.timestamp,
        });
        Ok(rows.collect())
    }

    fn order(&self, a: Place<'_>, b: Place<'_>) -> Ordering {
        order::<K>(a, b)
    }
}

pub(crate) fn key_bytes<K: Data>(key: &K) -> Result<Vec<u8>, DataError> {
    let mut scratch = Vec::new();
    let bytes = key.encode(&mut scratch)?.map(<[u8]>::to_vec);
    bytes.ok_or_else(|| DataError::null("a key"))
}

impl<K: Data, V: Data> Reads<K, V> {
    /// The first rows that the query asks for, in no order.
    pub(crate) fn rows(&self, store: &dyn Any, query: &Query<'_>) -> Rows<V> {
        let found = match self {
            Self::KeyValue => latest::<K, V>(store, query).map(Ok),
            Self::Windows { window, slices } => store.downcast_ref().map(|store| match slices {
                None => Ok(windows::<K, V>(store, window, query)),
                Some(slices) => sliced(store, window, slices, query),
            }),
            Self::Spans(kind) => store
                .downcast_ref()
                .map(|s| Ok(spans::<K, V>(s, *kind, query))),
        };
        found.unwrap_or_else(|| Err(DataError::new("the store is of another kind")))
    }
}

/// The first of many rows.
struct First<'a, K, V> {
    rows: Vec<(Place<'a>, &'a V, i64)>,
    limit: usize,
    types: std::marker::PhantomData<fn(K)>,
}

impl<'a, K: Data, V: Data> First<'a, K, V> {
    fn new(limit: usize) -> Self {
        Self {
            rows: Vec::new(),
            limit,
            types: std::marker::PhantomData,
        }
    }

    fn push(&mut self, place: Place<'a>, value: &'a V, timestamp: i64) {
        self.rows.push((place, value, timestamp));
        if self.rows.len() >= self.limit.saturating_mul(2).saturating_add(1024) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.rows.len() > self.limit {
            let by = |a: &(Place<'_>, &V, i64), b: &(Place<'_>, &V, i64)| order::<K>(a.0, b.0);
            self.rows.select_nth_unstable_by(self.limit, by);
            self.rows.truncate(self.limit);
        }
    }

    fn finish(mut self) -> Vec<Row<V>> {
        self.cut();
        let rows = self.rows.into_iter().map(|(place, value, timestamp)| Row {
            key: place.key.to_vec(),
            window: place.window,
            value: value.clone(),
            timestamp,
        });
        rows.collect()
    }
}

fn within<K: Data>(key: &[u8], from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    let behind = match from {
        Bound::Unbounded => true,
        Bound::Included(from) => K::order(key, from).is_ge(),
        Bound::Excluded(from) => K::order(key, from).is_gt(),
    };
    behind
        && match to {
            Bound::Unbounded => true,
            Bound::Included(to) => K::order(key, to).is_le(),
            Bound::Excluded(to) => K::order(key, to).is_lt(),
        }
}

/// The latest values of keys, in whichever store has them.
fn latest<K: Data, V: Data>(store: &dyn Any, query: &Query<'_>) -> Option<Vec<Row<V>>> {
    if let Some(store) = store.downcast_ref::<KeyValueStore<V>>() {
        let found = find::<K, V, _>(query, |key| store.get(key), || store.iter());
        return Some(found);
    }
    if let Some(store) = store.downcast_ref::<VersionedStore<V>>() {
        let found = find::<K, V, _>(query, |key| store.get(key), || store.iter());
        return Some(found);
    }
    let store = store.downcast_ref::<GlobalStore<V>>()?.read();
    Some(find::<K, V, _>(
        query,
        |key| store.get(key),
        || store.iter(),
    ))
}

fn find<'a, K: Data, V: Data, I>(
    query: &Query<'a>,
    get: impl Fn(&'a [u8]) -> Option<(&'a V, i64)>,
    all: impl FnOnce() -> I,
) -> Vec<Row<V>>
where
    I: Iterator<Item = (&'a [u8], &'a V, i64)>,
{
    let mut first = First::<K, V>::new(query.limit);
    let place = |key| Place { key, window: None };
    match query.keys {
        Keys::One(key) => {
            if let Some((value, timestamp)) = get(key) {
                first.push(place(key), value, timestamp);
            }
        }
        Keys::Range(from, to) => {
            for (key, value, timestamp) in all() {
                if within::<K>(key, from, to) {
                    first.push(place(key), value, timestamp);
                }
            }
        }
    }
    first.finish()
}

fn windows<K: Data, V: Data>(
    store: &WindowStore<V>,
    window: &EndOf,
    query: &Query<'_>,
) -> Vec<Row<V>> {
    let (from, to) = query.times;
    let mut rows = Vec::new();
    let starts = store.starts(from).take_while(|start| *start <= to);
    for start in starts.filter(|start| store.keeps(*start)) {
        let Some(pane) = store.pane(start) else {
            continue;
        };
        // Windows are in order, so what is still wanted is of this one and those behind it.
        let mut first = First::<K, V>::new(query.limit - rows.len());
        let window = Some(window(start));
        match query.keys {
            Keys::One(key) => {
                if let Some((value, timestamp)) = pane.get(store.hash(key), key) {
                    first.push(Place { key, window }, value, timestamp);
                }
            }
            Keys::Range(from, to) => {
                for (key, value, timestamp) in pane.iter() {
                    if within::<K>(key, from, to) {
                        first.push(Place { key, window }, value, timestamp);
                    }
                }
            }
        }
        rows.extend(first.finish());
        if rows.len() >= query.limit {
            break;
        }
    }
    rows
}

fn sliced<K: Data, V: Data>(
    store: &WindowStore<V>,
    window: &EndOf,
    slices: &Slices<K, V>,
    query: &Query<'_>,
) -> Rows<V> {
    let (from, to) = query.times;
    let mut starts = BTreeSet::new();
    for slice in store.starts(from) {
        let over = (slices.starts)(slice).into_iter();
        let before = starts.len();
        let (mut some, mut above) = (false, true);
        for start in over {
            some = true;
            above &= start > to;
            if start >= from && start <= to && store.keeps(start) {
                starts.insert(start);
            }
        }
        if some && above && before == starts.len() {
            break;
        }
    }
    let mut rows = Vec::new();
    for start in starts {
        let window = window(start);
        let mut merged: BTreeMap<Vec<u8>, (Option<V>, i64)> = BTreeMap::new();
        let slices_in = store.starts(start).take_while(|slice| *slice < window.end);
        let slices_in = slices_in.filter(|slice| (slices.starts)(*slice).contains(&start));
        for pane in slices_in.filter_map(|slice| store.pane(slice)) {
            let mut add = |bytes: &[u8], value: &V, timestamp: i64| -> Result<(), DataError> {
                let key = decode_slice::<K>(Some(bytes))?;
                let none = (None, i64::MIN);
                let (state, latest) = merged.entry(bytes.to_vec()).or_insert(none);
                (slices.merge)(&key, state, value.clone());
                *latest = timestamp.max(*latest);
                Ok(())
            };
            match query.keys {
                Keys::One(key) => {
                    if let Some((value, timestamp)) = pane.get(store.hash(key), key) {
                        add(key, value, timestamp)?;
                    }
                }
                Keys::Range(from, to) => {
                    for (key, value, timestamp) in pane.iter() {
                        if within::<K>(key, from, to) {
                            add(key, value, timestamp)?;
                        }
                    }
                }
            }
        }
        let mut of_window: Vec<Row<V>> = Vec::new();
        for (key, (value, timestamp)) in merged {
            of_window.extend(value.map(|value| Row {
                key,
                window: Some(window),
                value,
                timestamp,
            }));
        }
        of_window.sort_by(|a, b| K::order(&a.key, &b.key));
        of_window.truncate(query.limit - rows.len());
        rows.extend(of_window);
        if rows.len() >= query.limit {
            break;
        }
    }
    Ok(rows)
}

fn spans<K: Data, V: Data>(store: &SpanStore<V>, kind: Kind, query: &Query<'_>) -> Vec<Row<V>> {
    let mut first = First::<K, V>::new(query.limit);
    match query.keys {
        Keys::One(key) => add_spans(&mut first, key, store.of(key), kind, query.times),
        Keys::Range(from, to) => {
            for (key, spans) in store.iter() {
                if within::<K>(key, from, to) {
                    add_spans(&mut first, key, spans, kind, query.times);
                }
            }
        }
    }
    first.finish()
}

fn add_spans<'a, K: Data, V: Data>(
    first: &mut First<'a, K, V>,
    key: &'a [u8],
    spans: &'a [Span<V>],
    kind: Kind,
    (from, to): (i64, i64),
) {
    for span in spans {
        let window = Window {
            start: span.start,
            end: span.end,
        };
        let wanted = match kind {
            Kind::Sessions => window.start <= to && window.end >= from,
            _ => (from..=to).contains(&window.start),
        };
        if let (true, Some(value)) = (wanted, &span.value) {
            let window = Some(window);
            first.push(Place { key, window }, value, span.timestamp);
        }
    }
}

/// A type's name without the paths of modules.
fn short_name(name: &str) -> String {
    let mut short = String::new();
    for part in name.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}
