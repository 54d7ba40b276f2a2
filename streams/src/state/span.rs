//! Values by key and span of time, where spans are the keys' own: sessions and sliding windows.

use std::any::Any;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::far::{self, FarValues};
use super::table::{INLINE_KEY, KeyHasher, read_stamped, write_stamped};
use super::{Entry, Expiry, Store, StoreTime};
use crate::data::{Data, DataError};

/// Spans by key, those of a key in the order of their starts, of which no two are equal (Kafka:
/// `SessionStore`).
///
/// When something is to be done about spans is kept as one timer per key, which is looked at when it
/// runs out: a span that has become longer by then gets another one. So a record that makes a span
/// longer costs no timer.
pub(crate) struct SpanStore<A> {
    index: HashTable<u32>,
    slots: Vec<Slot<A>>,
    /// Slots without a key.
    free: Vec<u32>,
    timers: BinaryHeap<Reverse<(i64, u32)>>,
    /// Slots that have changed since the changes were told, each once.
    changed: Vec<u32>,
    /// Those of them that are being told, the next one last.
    telling: Vec<u32>,
    hasher: KeyHasher,
    times: SpanTimes,
    /// Whether what comes out of it does so when the watermark closes its spans.
    closes: bool,
    time: StoreTime,
    len: usize,
    /// The last end of all spans that there have been.
    latest: i64,
    /// Bytes of keys and lists of spans that lie outside of the slots.
    far: usize,
    far_values: FarValues,
}

/// When something is done about a span: milliseconds after its end, on the scale of
/// [`StoreTime::closed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanTimes {
    /// Its result comes out; `None` if results come out as records come.
    pub(crate) fire: Option<i64>,
    /// It goes.
    pub(crate) keep: i64,
    /// The length of all spans, if they have one. Then a span's timestamp is kept in its place.
    pub(crate) length: Option<i64>,
}

/// One span of a key.
pub(crate) struct Span<A> {
    pub(crate) start: i64,
    /// The last millisecond.
    pub(crate) end: i64,
    /// The largest timestamp of what is in it.
    pub(crate) timestamp: i64,
    pub(crate) value: Option<A>,
    changed: bool,
    /// Whether the changelog has it under this start.
    told: bool,
}

impl<A> Span<A> {
    pub(crate) fn new(start: i64, end: i64, timestamp: i64) -> Self {
        Self {
            start,
            end,
            timestamp,
            value: None,
            changed: false,
            told: false,
        }
    }
}

struct Slot<A> {
    hash: u64,
    key: SmallVec<[u8; INLINE_KEY]>,
    spans: SmallVec<[Span<A>; 1]>,
    /// Starts of spans that the changelog has and that are no more.
    gone: Vec<i64>,
    /// The earliest timer; others are no longer good.
    timer: i64,
    changed: bool,
}

/// Spans that are looked at because event time has moved on.
#[derive(Default)]
pub(crate) struct Passing {
    slots: Vec<usize>,
    /// When results come out, of which slot's span.
    fired: Vec<(i64, usize, usize)>,
    /// How many have been told.
    told: usize,
}

/// A span whose result comes out.
pub(crate) struct Fired<'a, A> {
    pub(crate) key: &'a [u8],
    pub(crate) span: &'a Span<A>,
    /// The event time at which it does.
    pub(crate) at: i64,
}

impl<A> SpanStore<A> {
    pub(crate) fn new(seed: u64, times: SpanTimes) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            timers: BinaryHeap::new(),
            changed: Vec::new(),
            telling: Vec::new(),
            hasher: KeyHasher::new(seed),
            times,
            closes: true,
            time: StoreTime::default(),
            len: 0,
            latest: i64::MIN,
            far: 0,
            far_values: FarValues::default(),
        }
    }

    /// One whose spans go with time, but without anything that comes out of them: a processor's.
    pub(crate) fn of_processor(seed: u64, keep: i64) -> Self {
        let times = SpanTimes {
            fire: None,
            keep,
            length: None,
        };
        Self {
            closes: false,
            ..Self::new(seed, times)
        }
    }

    /// Whether a span that ends there is kept, or would be.
    pub(crate) fn keeps(&self, end: i64) -> bool {
        end.saturating_add(self.times.keep) > self.time.closed
    }

    #[inline]
    pub(crate) fn time(&self) -> StoreTime {
        self.time
    }

    #[inline]
    pub(crate) fn time_mut(&mut self) -> &mut StoreTime {
        &mut self.time
    }

    /// The place of a key, made if there was none. It is good until time passes or changes are told.
    #[inline]
    pub(crate) fn slot(&mut self, key: &[u8]) -> usize {
        let hash = self.hasher.hash(key).number();
        let found = self.index.find(hash, |at| {
            let slot = &self.slots[*at as usize];
            slot.hash == hash && slot.key[..] == *key
        });
        match found {
            Some(at) => *at as usize,
            None => self.add(hash, key),
        }
    }

    fn add(&mut self, hash: u64, key: &[u8]) -> usize {
        self.far += far::key(key);
        let slot = Slot {
            hash,
            key: SmallVec::from_slice(key),
            spans: SmallVec::new(),
            gone: Vec::new(),
            timer: i64::MAX,
            changed: false,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                let at = u32::try_from(self.slots.len()).expect("a store has less than 2^32 keys");
                self.slots.push(slot);
                at
            }
        };
        let slots = &self.slots;
        self.index
            .insert_unique(hash, at, |at| slots[*at as usize].hash);
        at as usize
    }

    /// The spans of a key that may not be there, the earliest first.
    pub(crate) fn of(&self, key: &[u8]) -> &[Span<A>] {
        let hash = self.hasher.hash(key).number();
        let found = self.index.find(hash, |at| {
            let slot = &self.slots[*at as usize];
            slot.hash == hash && slot.key[..] == *key
        });
        found.map_or(&[], |at| self.spans(*at as usize))
    }

    /// Tells some keys with their spans, of up to `most` slots from one on; gives where to go on, `None`
    /// if that was all. Keys stay in their slots, so whatever is there all the time is told.
    pub(crate) fn scan(
        &self,
        from: usize,
        most: usize,
        each: &mut dyn FnMut(&[u8], &[Span<A>]),
    ) -> Option<usize> {
        let slots = self.slots.get(from..).unwrap_or_default();
        for slot in slots.iter().take(most) {
            if !slot.spans.is_empty() {
                each(&slot.key, &slot.spans);
            }
        }
        (slots.len() > most).then(|| from + most)
    }

    /// A key's spans, the earliest first.
    #[inline]
    pub(crate) fn spans(&self, slot: usize) -> &[Span<A>] {
        &self.slots[slot].spans
    }

    /// Changes one span in place: all but its start.
    #[inline]
    pub(crate) fn span_mut(&mut self, slot: usize, at: usize) -> &mut Span<A> {
        let here = &mut self.slots[slot];
        if !here.changed {
            here.changed = true;
            self.changed.push(slot as u32);
        }
        let span = &mut here.spans[at];
        span.changed = true;
        span
    }

    /// Gives a span another start.
    pub(crate) fn move_start(&mut self, slot: usize, at: usize, start: i64) {
        let span = self.span_mut(slot, at);
        if span.start == start {
            return;
        }
        let old = std::mem::replace(&mut span.start, start);
        if std::mem::take(&mut span.told) {
            self.slots[slot].gone.push(old);
        }
    }

    /// Puts a span in at its place among the key's.
    pub(crate) fn insert(&mut self, slot: usize, at: usize, span: Span<A>) {
        self.put_in(slot, at, span);
        self.span_mut(slot, at);
    }

    fn put_in(&mut self, slot: usize, at: usize, span: Span<A>) {
        let spans = &mut self.slots[slot].spans;
        let before = far::list(spans);
        spans.insert(at, span);
        self.far += far::list(spans) - before;
        self.len += 1;
    }

    /// Takes a span out.
    pub(crate) fn remove(&mut self, slot: usize, at: usize) -> Span<A> {
        self.span_mut(slot, at);
        let here = &mut self.slots[slot];
        let span = here.spans.remove(at);
        if span.told {
            here.gone.push(span.start);
        }
        self.len -= 1;
        span
    }

    /// Lets a key that has got no span go.
    pub(crate) fn leave(&mut self, slot: usize) {
        let here = &self.slots[slot];
        if here.spans.is_empty() && !here.changed {
            self.forget(slot);
        }
    }

    fn forget(&mut self, slot: usize) {
        let here = &mut self.slots[slot];
        self.far -= far::key(&here.key) + far::list(&here.spans);
        here.key = SmallVec::new();
        here.spans = SmallVec::new();
        here.timer = i64::MAX;
        let hash = here.hash;
        if let Ok(found) = self.index.find_entry(hash, |at| *at as usize == slot) {
            found.remove();
        }
        self.free.push(slot as u32);
    }

    /// The next event time above `now` at which something is to be done about a span that ends there.
    #[inline]
    fn due(&self, end: i64, now: i64) -> i64 {
        let fire = self.times.fire.map(|delay| end.saturating_add(delay));
        let keep = end.saturating_add(self.times.keep);
        fire.filter(|fire| *fire > now)
            .map_or(keep, |fire| fire.min(keep))
    }

    /// Sees to it that a span that ends there is looked at in time.
    #[inline]
    pub(crate) fn schedule(&mut self, slot: usize, end: i64) {
        let due = self.due(end, self.time.closed);
        self.latest = self.latest.max(end);
        let here = &mut self.slots[slot];
        if due < here.timer {
            here.timer = due;
            self.timers.push(Reverse((due, slot as u32)));
        }
    }

    /// The event time at which something is to be done, at the earliest.
    #[inline]
    pub(crate) fn first_due(&self) -> i64 {
        self.timers.peek().map_or(i64::MAX, |next| next.0.0)
    }

    /// Event time has come from `before` to where [`StoreTime::closed`] is: finds the spans whose results
    /// come out, in the order of time and keys. [`Self::end_pass`] has to follow before anything is
    /// changed.
    pub(crate) fn pass(&mut self, before: i64) -> Passing {
        let now = self.time.closed;
        let mut passing = Passing::default();
        while let Some(Reverse((due, slot))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            if self.slots[slot as usize].timer == due {
                self.slots[slot as usize].timer = i64::MAX;
                passing.slots.push(slot as usize);
            }
        }
        let Some(fire) = self.times.fire else {
            return passing;
        };
        for slot in &passing.slots {
            for (at, span) in self.slots[*slot].spans.iter().enumerate() {
                let fires = span.end.saturating_add(fire);
                if fires > before && fires <= now && span.value.is_some() {
                    passing.fired.push((fires, *slot, at));
                }
            }
        }
        let key = |slot: usize| &self.slots[slot].key;
        let order = |a: &(i64, usize, usize), b: &(i64, usize, usize)| {
            (a.0, key(a.1), a.2).cmp(&(b.0, key(b.1), b.2))
        };
        passing.fired.sort_unstable_by(order);
        passing
    }

    /// The next span whose result comes out.
    pub(crate) fn next_fired(&self, passing: &mut Passing) -> Option<Fired<'_, A>> {
        let (at, slot, span) = *passing.fired.get(passing.told)?;
        passing.told += 1;
        let slot = &self.slots[slot];
        Some(Fired {
            key: &slot.key,
            span: &slot.spans[span],
            at,
        })
    }

    /// Lets go what is over.
    pub(crate) fn end_pass(&mut self, passing: Passing) {
        for slot in passing.slots {
            self.let_go(slot);
        }
    }

    /// Drops a key's spans that are over, and sets its next timer.
    fn let_go(&mut self, slot: usize) {
        let (now, keep) = (self.time.closed, self.times.keep);
        let here = &mut self.slots[slot];
        let had = here.spans.len();
        here.spans
            .retain(|span| span.end.saturating_add(keep) > now);
        self.len -= had - here.spans.len();
        let here = &self.slots[slot];
        let next = here.spans.iter().map(|span| self.due(span.end, now)).min();
        match next {
            Some(due) => {
                self.slots[slot].timer = due;
                self.timers.push(Reverse((due, slot as u32)));
            }
            None => self.leave(slot),
        }
    }
}

impl<A: Data> Store for SpanStore<A> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    /// In the order of keys, those of a key by their starts. What is changed in the midst of that comes
    /// with its key if that one is still to be told, else behind all the others.
    fn take_changes(&mut self, tell: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<(), DataError> {
        let mut writer = Writer::new(self.times.length.is_some());
        let (mut written, mut count) = (0, 0);
        let mut tell = |entry: Entry<'_>| {
            written += entry.value.map_or(0, <[u8]>::len);
            count += usize::from(entry.value.is_some());
            tell(entry)
        };
        loop {
            if self.telling.is_empty() {
                self.telling = std::mem::take(&mut self.changed);
                let key = |slot: &u32| &self.slots[*slot as usize].key;
                self.telling.sort_unstable_by(|a, b| key(b).cmp(key(a)));
            }
            let Some(slot) = self.telling.last() else {
                break;
            };
            let slot = *slot as usize;
            let go_on = self.slots[slot].tell(&mut writer, &mut tell)?;
            if !self.slots[slot].changed {
                self.telling.pop();
                self.leave(slot);
            }
            if !go_on {
                break;
            }
        }
        self.far_values.note::<A>(written, count);
        Ok(())
    }

    fn entries(&self, tell: &mut dyn FnMut(Entry<'_>)) -> Result<(), DataError> {
        let live = self.slots.iter().filter(|slot| !slot.spans.is_empty());
        let mut slots: Vec<&Slot<A>> = live.collect();
        slots.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let mut writer = Writer::new(self.times.length.is_some());
        for slot in slots {
            for span in &slot.spans {
                tell(writer.span(&slot.key, span)?);
            }
        }
        Ok(())
    }

    fn restore(&mut self, entry: Entry<'_>) -> Result<(), DataError> {
        let (key, start) = entry
            .key
            .split_last_chunk::<8>()
            .ok_or_else(|| DataError::new("a span's key without its start"))?;
        let start = i64::from_be_bytes(*start);
        let slot = self.slot(key);
        let found = self.slots[slot]
            .spans
            .binary_search_by_key(&start, |span| span.start);
        let Some(value) = entry.value else {
            if let Ok(at) = found {
                self.slots[slot].spans.remove(at);
                self.len -= 1;
            }
            self.leave(slot);
            return Ok(());
        };
        self.far_values.note_one::<A>(value.len());
        let (stamp, value) = read_stamped(value)?;
        let end = match self.times.length {
            Some(length) => start.saturating_add(length),
            None => stamp,
        };
        self.latest = self.latest.max(end);
        let span = Span {
            value: Some(value),
            told: true,
            ..Span::new(start, end, stamp)
        };
        match found {
            Ok(at) => self.slots[slot].spans[at] = span,
            Err(at) => self.put_in(slot, at, span),
        }
        Ok(())
    }

    fn time(&self) -> StoreTime {
        self.time
    }

    fn set_time(&mut self, time: StoreTime) {
        self.time = time;
        for slot in 0..self.slots.len() {
            if !self.slots[slot].spans.is_empty() {
                self.let_go(slot);
            }
        }
    }

    fn horizon(&self) -> Option<i64> {
        let slots = self.slots.iter().filter(|_| self.closes);
        let ends = slots.flat_map(|slot| &slot.spans);
        let last = ends.map(|span| span.end).max()?;
        Some(last.saturating_add(self.times.keep))
    }

    fn expiry(&self) -> Option<Expiry> {
        let last = match self.len {
            0 => i64::MIN,
            _ => self.latest.saturating_add(self.times.keep),
        };
        Some(Expiry {
            now: self.time.closed,
            last,
        })
    }

    fn bytes(&self) -> usize {
        let numbers = self.free.capacity() + self.changed.capacity() + self.telling.capacity();
        self.slots.capacity() * size_of::<Slot<A>>()
            + far::index(self.index.capacity())
            + self.timers.capacity() * size_of::<(i64, u32)>()
            + numbers * size_of::<u32>()
            + self.far
            + self.far_values.of(self.len)
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl<A: Data> Slot<A> {
    /// Tells what has changed of a key until `tell` says `false`; whether it did not. A slot of which
    /// everything has been told counts as changed no more.
    fn tell(
        &mut self,
        writer: &mut Writer,
        tell: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<bool, DataError> {
        self.gone.sort_unstable();
        self.gone.dedup();
        let (mut told, mut go_on) = (0, true);
        for span in &mut self.spans {
            while let Some(start) = self.gone.get(told).filter(|start| **start < span.start)
                && go_on
            {
                go_on = tell(writer.gone(&self.key, *start));
                told += 1;
            }
            if !go_on {
                break;
            }
            if span.changed {
                // What has come back under the same start is told as it is now.
                told += usize::from(self.gone.get(told) == Some(&span.start));
                go_on = tell(writer.span(&self.key, span)?);
                (span.changed, span.told) = (false, true);
                span.value.detach();
            }
        }
        while let Some(start) = self.gone.get(told)
            && go_on
        {
            go_on = tell(writer.gone(&self.key, *start));
            told += 1;
        }
        self.gone.drain(..told);
        let left = || !self.gone.is_empty() || self.spans.iter().any(|span| span.changed);
        self.changed = !go_on && left();
        Ok(go_on)
    }
}

/// Writes spans as changelogs have them: the key's bytes and the start, 8 bytes, big-endian; the value
/// behind the end, or behind the timestamp where all spans have one length.
struct Writer {
    stamped: bool,
    key: Vec<u8>,
    value: Vec<u8>,
    scratch: Vec<u8>,
}

impl Writer {
    fn new(stamped: bool) -> Self {
        Self {
            stamped,
            key: Vec::new(),
            value: Vec::new(),
            scratch: Vec::new(),
        }
    }

    fn name(&mut self, key: &[u8], start: i64) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.key.extend_from_slice(&start.to_be_bytes());
    }

    fn gone(&mut self, key: &[u8], start: i64) -> Entry<'_> {
        self.name(key, start);
        Entry {
            key: &self.key,
            value: None,
        }
    }

    fn span<A: Data>(&mut self, key: &[u8], span: &Span<A>) -> Result<Entry<'_>, DataError> {
        self.name(key, span.start);
        let stamp = if self.stamped {
            span.timestamp
        } else {
            span.end
        };
        let value = match &span.value {
            Some(value) => {
                write_stamped(value, stamp, &mut self.value, &mut self.scratch)?;
                Some(&self.value[..])
            }
            None => None,
        };
        Ok(Entry {
            key: &self.key,
            value,
        })
    }
}
