//! How rows are found in a store, whatever its kind.

use std::any::{Any, type_name};
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use super::Kind;
use crate::data::{Data, DataError, decode_slice, is_within, with_bytes};
use crate::operator::window_aggregate::{self, OneKey};
use crate::state::table::Table;
use crate::state::{GlobalStore, KeyValueStore, Span, SpanStore, VersionedStore, WindowStore};
use crate::time::Window;

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) keys: Keys<'a>,
    /// Starts of windows, both included; for sessions, times that they have to meet.
    pub(crate) times: (i64, i64),
    /// Only what is behind this in the order in which rows are.
    pub(crate) after: Option<Place<'a>>,
    /// The first so many rows of that order.
    pub(crate) limit: usize,
    /// Nothing is read behind the row with which what is told becomes larger than so many bytes.
    pub(crate) bytes: usize,
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

impl Row<String> {
    /// How large it is, as its value is told.
    pub(crate) fn told_bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// The rows of one task.
pub(crate) type Rows<V> = Result<Vec<Row<V>>, DataError>;
type EndOf = Arc<dyn Fn(i64) -> Window + Send + Sync>;
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
    slices: window_aggregate::Slices,
    merge: Merge<K, V>,
}

impl<K, V> Slices<K, V> {
    pub(crate) fn new(
        slices: window_aggregate::Slices,
        merge: impl Fn(&K, &mut Option<V>, V) + Send + Sync + 'static,
    ) -> Self {
        Self {
            slices,
            merge: Arc::new(merge),
        }
    }
}

/// [`Reads`] of whatever types.
pub(crate) trait AnyReads: Any + Send + Sync {
    fn kind(&self) -> Kind;

    /// How many rows are read at once, while the task waits.
    fn rows_in_a_step(&self) -> usize;

    /// The types of keys and values, in words.
    fn key_type(&self) -> String;
    fn value_type(&self) -> String;

    /// The bytes of a key that a person has written.
    fn key_of_text(&self, text: &str) -> Result<Vec<u8>, DataError>;

    fn key_to_json(&self, key: &[u8]) -> Value;

    /// The rows of one key, their values as people are shown them: of those that are beyond the query's
    /// limits no more than one, which tells that there are some.
    fn json(&self, store: &dyn Any, query: &Query<'_>) -> Rows<String>;

    /// Finds some of the rows that a query for a range of keys asks for, without their values.
    fn scan(&self, store: &dyn Any, query: &Query<'_>, scan: &mut Scan) -> Result<(), DataError>;

    /// The order of rows.
    fn order(&self, a: Place<'_>, b: Place<'_>) -> Ordering;
}

/// Where a row is in the order of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) window: Option<Window>,
}

impl<V> Row<V> {
    /// The row with another value.
    fn map<W>(self, map: impl FnOnce(V) -> W) -> Row<W> {
        Row {
            key: self.key,
            window: self.window,
            value: map(self.value),
            timestamp: self.timestamp,
        }
    }

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

    fn rows_in_a_step(&self) -> usize {
        match self {
            // Each is put together of as many slices as there are.
            Self::Windows {
                slices: Some(_), ..
            } => 16,
            _ => 512,
        }
    }

    fn key_type(&self) -> String {
        short_name(type_name::<K>())
    }

    fn value_type(&self) -> String {
        short_name(type_name::<V>())
    }

    fn key_of_text(&self, text: &str) -> Result<Vec<u8>, DataError> {
        with_bytes(&K::from_text(text)?, <[u8]>::to_vec)
    }

    fn key_to_json(&self, key: &[u8]) -> Value {
        match decode_slice::<K>(Some(key)) {
            Ok(key) => key.to_json(),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        }
    }

    fn json(&self, store: &dyn Any, query: &Query<'_>) -> Rows<String> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        self.visit(store, query, &mut |row| {
            let within = bytes <= query.bytes && rows.len() < query.limit;
            let row = row.map(|value| value.to_json().to_string());
            bytes += row.told_bytes();
            rows.push(row);
            within
        })?;
        Ok(rows)
    }

    fn scan(&self, store: &dyn Any, query: &Query<'_>, scan: &mut Scan) -> Result<(), DataError> {
        let Keys::Range(from, to) = query.keys else {
            return Err(DataError::new("one key is not looked for"));
        };
        let wanted = |place: Place<'_>| {
            let behind = query
                .after
                .is_none_or(|after| order::<K>(place, after).is_gt());
            behind && is_within::<K>(place.key, from, to)
        };
        let mut finds = Finds::<K, _> {
            scan,
            wanted,
            key: std::marker::PhantomData,
        };
        let found = match self {
            Self::KeyValue => keys::<K, V, _>(store, &mut finds),
            Self::Windows { window, slices } => store.downcast_ref().map(|store| {
                // Rows go by window first: what lies in front of the last one need not be looked at.
                let after = query.after.and_then(|after| after.window);
                let from = after.map_or(i64::MIN, |after| after.start);
                let times = (query.times.0.max(from), query.times.1);
                in_windows::<K, V, _>(store, window, slices.as_ref(), times, &mut finds);
            }),
            Self::Spans(kind) => store
                .downcast_ref()
                .map(|store| in_spans::<K, V, _>(store, *kind, query.times, &mut finds)),
        };
        found.ok_or_else(other_kind)?;
        if finds.scan.done {
            finds.cut();
        }
        Ok(())
    }

    fn order(&self, a: Place<'_>, b: Place<'_>) -> Ordering {
        order::<K>(a, b)
    }
}

fn other_kind() -> DataError {
    DataError::new("the store is of another kind")
}

impl<K: Data, V: Data> Reads<K, V> {
    /// The rows of one key.
    pub(crate) fn rows(&self, store: &dyn Any, query: &Query<'_>) -> Rows<V> {
        let mut rows = Vec::new();
        self.visit(store, query, &mut |row| {
            rows.push(row.map(V::clone));
            true
        })?;
        Ok(rows)
    }

    /// Shows each row of one key, as long as `each` says so.
    fn visit(
        &self,
        store: &dyn Any,
        query: &Query<'_>,
        each: Each<'_, V>,
    ) -> Result<(), DataError> {
        let Keys::One(key) = query.keys else {
            return Err(DataError::new(
                "a range of keys is looked for before it is read",
            ));
        };
        let mut each = |row: Row<&V>| {
            let behind = |after| order::<K>(row.place(), after).is_gt();
            !query.after.is_none_or(behind) || each(row)
        };
        match self {
            Self::KeyValue => latest(store, key, &mut each).map(Ok),
            Self::Windows { window, slices } => store.downcast_ref().map(|store| match slices {
                None => {
                    windows(store, window, key, query.times, &mut each);
                    Ok(())
                }
                Some(slices) => sliced(store, window, slices, key, query.times, &mut each),
            }),
            Self::Spans(kind) => store.downcast_ref().map(|store: &SpanStore<V>| {
                spans(store, *kind, key, query.times, &mut each);
                Ok(())
            }),
        }
        .unwrap_or_else(|| Err(other_kind()))
    }
}

/// What rows are shown to; it says whether it wants more.
type Each<'a, V> = &'a mut dyn FnMut(Row<&V>) -> bool;

/// A search for the rows of a range. It is done in steps, so that nobody waits for all of it: what is
/// there all the time is found, what comes or goes meanwhile may be found or not.
pub(crate) struct Scan {
    /// What has been found: at least the first ones; in their order, each once, when it is done.
    pub(crate) places: Vec<Found>,
    /// Whether all has been looked at.
    pub(crate) done: bool,
    /// Whether there is more behind the last one, which has been left out because of its size.
    pub(crate) more: bool,
    limit: usize,
    bytes: usize,
    /// Bytes of the keys that have been found.
    held: usize,
    /// How many there were when they were last cut to those that are wanted, each once.
    kept: usize,
    /// Where to go on: a window's start, a part of it, and a slot.
    window: Option<i64>,
    part: Option<i64>,
    slot: Option<usize>,
}

impl Scan {
    /// So many slots are looked at in one step.
    const STEP: usize = 1 << 14;

    /// A search for the first `limit` rows, up to the one with whose key all keys become larger than
    /// `bytes`: an answer that ends with so many bytes goes no further.
    pub(crate) fn new(limit: usize, bytes: usize) -> Self {
        Self {
            places: Vec::new(),
            done: false,
            more: false,
            limit,
            bytes,
            held: 0,
            kept: 0,
            window: None,
            part: None,
            slot: None,
        }
    }
}

/// What is wanted, and where it goes.
struct Finds<'a, K, F> {
    scan: &'a mut Scan,
    wanted: F,
    key: std::marker::PhantomData<fn(K)>,
}

impl<K: Data, F: Fn(Place<'_>) -> bool> Finds<'_, K, F> {
    fn found(&mut self, key: &[u8], window: Option<Window>) {
        if !(self.wanted)(Place { key, window }) {
            return;
        }
        let scan = &mut *self.scan;
        scan.places.push((key.to_vec(), window));
        scan.held = scan.held.saturating_add(key.len());
        // A key comes once for each slice of its window, so there can be many more than there are rows.
        if scan.places.len() >= scan.kept.saturating_mul(2).saturating_add(1024)
            || scan.held > scan.bytes.saturating_mul(2)
        {
            self.cut();
        }
    }

    /// Leaves the first so many, each once.
    fn cut(&mut self) {
        let scan = &mut *self.scan;
        scan.places
            .sort_unstable_by(|a, b| order::<K>(place(a), place(b)));
        scan.places.dedup();
        scan.places.truncate(scan.limit);
        // Where it was cut because of its size it is cut again: what has been left out is behind that.
        if let Some(most) = up_to_bytes(&scan.places, |place| place, scan.bytes) {
            scan.places.truncate(most);
            scan.more = true;
        }
        scan.kept = scan.places.len();
        scan.held = scan.places.iter().map(|(key, _)| key.len()).sum();
    }

    /// Whether nothing that is found behind all that there is can be wanted.
    fn is_full(&mut self) -> bool {
        if self.scan.places.len() >= self.scan.limit || self.scan.held > self.scan.bytes {
            self.cut();
        }
        self.scan.more || self.scan.places.len() >= self.scan.limit
    }
}

/// How many of these there are up to the one with whose key all of their keys become larger than so many
/// bytes; `None` if there is nothing behind that one.
pub(crate) fn up_to_bytes<T>(
    found: &[T],
    own: impl Fn(&T) -> &Found,
    bytes: usize,
) -> Option<usize> {
    let mut sum: usize = 0;
    let large = found.iter().position(|found| {
        sum = sum.saturating_add(own(found).0.len());
        sum > bytes
    });
    large.map(|at| at + 1).filter(|most| *most < found.len())
}

/// A row that has been found, by its key and window.
pub(crate) type Found = (Vec<u8>, Option<Window>);

pub(crate) fn place((key, window): &Found) -> Place<'_> {
    Place {
        key,
        window: *window,
    }
}

/// Looks for keys in whichever store has the latest values.
fn keys<K: Data, V: Data, F: Fn(Place<'_>) -> bool>(
    store: &dyn Any,
    finds: &mut Finds<'_, K, F>,
) -> Option<()> {
    let slot = finds.scan.slot;
    let mut each = |key: &[u8]| finds.found(key, None);
    let next = if let Some(store) = store.downcast_ref::<KeyValueStore<V>>() {
        store.scan(slot, Scan::STEP, &mut each)
    } else if let Some(store) = store.downcast_ref::<VersionedStore<V>>() {
        store.scan(slot, Scan::STEP, &mut each)
    } else {
        let store = store.downcast_ref::<GlobalStore<V>>()?;
        store.read().scan(slot, Scan::STEP, &mut each)
    };
    finds.scan.slot = next;
    finds.scan.done = next.is_none();
    Some(())
}

/// Looks for keys window by window, the earliest first.
fn in_windows<K: Data, V: Data, F: Fn(Place<'_>) -> bool>(
    store: &WindowStore<V>,
    window: &EndOf,
    slices: Option<&Slices<K, V>>,
    (from, to): (i64, i64),
    finds: &mut Finds<'_, K, F>,
) {
    let mut left = Scan::STEP;
    loop {
        // Windows that have gone meanwhile are passed over.
        let at = finds.scan.window.unwrap_or(from);
        let Some(start) = next_window(store, slices, at, to) else {
            finds.scan.done = true;
            return;
        };
        if finds.scan.window != Some(start) {
            (finds.scan.window, finds.scan.part, finds.scan.slot) = (Some(start), None, None);
        }
        let own = window(start);
        let part = finds.scan.part.unwrap_or(start);
        let next = match slices {
            None => Some(start).filter(|start| *start >= part),
            Some(_) => parts(store, part.max(start), own).next(),
        };
        if let Some(pane) = next {
            if finds.scan.part != Some(pane) {
                (finds.scan.part, finds.scan.slot) = (Some(pane), None);
            }
            let table = store.pane(pane);
            let upto = finds.scan.slot.or(table.map(Table::slots));
            let looked = upto.unwrap_or(0).min(left);
            let goes_on = table
                .and_then(|table| table.scan(upto, looked, &mut |key| finds.found(key, Some(own))));
            left -= looked;
            if goes_on.is_some() {
                finds.scan.slot = goes_on;
                return;
            }
            // Panes without anything count, too.
            left = left.saturating_sub(1);
            if let Some(behind) = pane.checked_add(1) {
                (finds.scan.part, finds.scan.slot) = (Some(behind), None);
                if left > 0 {
                    continue;
                }
                return;
            }
        }
        // The window has been looked through, and those behind it come later in the order.
        let next = start.checked_add(1).filter(|next| *next <= to);
        let is_full = finds.is_full();
        match next {
            Some(next) if !is_full => {
                (finds.scan.window, finds.scan.part, finds.scan.slot) = (Some(next), None, None);
            }
            _ => {
                finds.scan.done = true;
                return;
            }
        }
        if left == 0 {
            return;
        }
    }
}

/// The first window from `from` to `to` in which something may be.
fn next_window<K: Data, V: Data>(
    store: &WindowStore<V>,
    slices: Option<&Slices<K, V>>,
    from: i64,
    to: i64,
) -> Option<i64> {
    let Some(slices) = slices else {
        let mut starts = store.starts(from).take_while(|start| *start <= to);
        return starts.find(|start| store.keeps(*start));
    };
    // Slices come in order, and so do the first windows over them.
    store.starts(from).find_map(|slice| {
        let over = slices.slices.windows_over(slice);
        let mut over = over.filter(|start| *start >= from && *start <= to);
        over.find(|start| store.keeps(*start))
    })
}

/// Looks for the spans of keys.
fn in_spans<K: Data, V: Data, F: Fn(Place<'_>) -> bool>(
    store: &SpanStore<V>,
    kind: Kind,
    times: (i64, i64),
    finds: &mut Finds<'_, K, F>,
) {
    let from = finds.scan.slot.unwrap_or(0);
    let next = store.scan(from, Scan::STEP, &mut |key, spans| {
        for (window, _, _) in wanted_spans(spans, kind, times) {
            finds.found(key, Some(window));
        }
    });
    finds.scan.slot = next;
    finds.scan.done = next.is_none();
}

/// The latest value of a key, in whichever store has it.
fn latest<V: Data>(store: &dyn Any, key: &[u8], each: Each<'_, V>) -> Option<()> {
    let mut show = |found: Option<(&V, i64)>| {
        if let Some((value, timestamp)) = found {
            each(Row {
                key: key.to_vec(),
                window: None,
                value,
                timestamp,
            });
        }
    };
    if let Some(store) = store.downcast_ref::<KeyValueStore<V>>() {
        show(store.get(key));
    } else if let Some(store) = store.downcast_ref::<VersionedStore<V>>() {
        show(store.get(key));
    } else {
        show(store.downcast_ref::<GlobalStore<V>>()?.read().get(key));
    }
    Some(())
}

fn windows<V: Data>(
    store: &WindowStore<V>,
    window: &EndOf,
    key: &[u8],
    (from, to): (i64, i64),
    each: Each<'_, V>,
) {
    let hash = store.hash(key);
    let starts = store.starts(from).take_while(|start| *start <= to);
    for start in starts.filter(|start| store.keeps(*start)) {
        let found = store.pane(start).and_then(|pane| pane.get(hash, key));
        let Some((value, timestamp)) = found else {
            continue;
        };
        let row = Row {
            key: key.to_vec(),
            window: Some(window(start)),
            value,
            timestamp,
        };
        if !each(row) {
            return;
        }
    }
}

/// The slices that there are of a window, from one on. Windows begin and end where slices do, so all
/// that begin in it are of it.
fn parts<V: Data>(store: &WindowStore<V>, from: i64, window: Window) -> impl Iterator<Item = i64> {
    store
        .upto(from, window.end, window.end == i64::MAX)
        .map(|(slice, _)| slice)
}

fn sliced<K: Data, V: Data>(
    store: &WindowStore<V>,
    window: &EndOf,
    slices: &Slices<K, V>,
    bytes: &[u8],
    (from, to): (i64, i64),
    each: Each<'_, V>,
) -> Result<(), DataError> {
    let key = decode_slice::<K>(Some(bytes))?;
    let hash = store.hash(bytes);
    let mut next = next_window(store, Some(slices), from, to);
    let reach = slices.slices.reach(to);
    let mut own = OneKey::new(store, hash, bytes, next.unwrap_or(to), reach);
    if own.is_empty() {
        return Ok(());
    }
    while let Some(start) = next {
        let window = window(start);
        let across = slices.slices.across(start);
        let merged = own.window(&across, |a, b| (slices.merge)(&key, a, b));
        if let Some((Some(value), timestamp)) = &merged {
            let row = Row {
                key: bytes.to_vec(),
                window: Some(window),
                value,
                timestamp: *timestamp,
            };
            if !each(row) {
                break;
            }
        }
        let behind = start.checked_add(1).filter(|from| *from <= to);
        next = behind.and_then(|from| next_window(store, Some(slices), from, to));
    }
    Ok(())
}

fn spans<V: Data>(
    store: &SpanStore<V>,
    kind: Kind,
    key: &[u8],
    times: (i64, i64),
    each: Each<'_, V>,
) {
    for (window, value, timestamp) in wanted_spans(store.of(key), kind, times) {
        let row = Row {
            key: key.to_vec(),
            window: Some(window),
            value,
            timestamp,
        };
        if !each(row) {
            return;
        }
    }
}

fn wanted_spans<V>(
    spans: &[Span<V>],
    kind: Kind,
    (from, to): (i64, i64),
) -> impl Iterator<Item = (Window, &V, i64)> {
    spans.iter().filter_map(move |span| {
        let window = Window {
            start: span.start,
            end: span.end,
        };
        let wanted = match kind {
            Kind::Sessions => window.start <= to && window.end >= from,
            _ => (from..=to).contains(&window.start),
        };
        let value = span.value.as_ref().filter(|_| wanted)?;
        Some((window, value, span.timestamp))
    })
}

/// A type's name without the paths of modules.
fn short_name(name: &str) -> String {
    let mut short = String::new();
    for part in name.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

#[cfg(test)]
mod tests;
