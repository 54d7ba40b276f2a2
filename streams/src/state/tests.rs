//! What holds for stores of all kinds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::record::{Change, Headers};
use crate::time::EventTime;

/// What is done to a store: with which key, at what time, and what.
type Step = (u8, i64, u8);
type Told = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// How long stores keep what they hold.
const KEEP: i64 = 30;

/// One kind of stores.
struct Kind<S> {
    make: fn() -> S,
    /// Does a step; values are the numbers of steps, so that none comes twice.
    change: fn(&mut S, &[u8], Step, i64),
    /// Whether it tells only what is not as it was told before.
    strict: bool,
}

fn key(number: u8) -> Vec<u8> {
    let key = [b'a' + number % 5];
    key.repeat(1 + 20 * usize::from(number % 2))
}

/// Takes up to so many changes.
fn take<S: Store>(store: &mut S, most: usize) -> Told {
    let mut told = Vec::new();
    let taken = store.take_changes(&mut |entry| {
        told.push((entry.key.to_vec(), entry.value.map(<[u8]>::to_vec)));
        told.len() < most
    });
    taken.unwrap();
    assert!(told.len() <= most, "{} of {most}", told.len());
    told
}

fn entries<S: Store>(store: &S) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut tell = |entry: Entry<'_>| {
        all.insert(entry.key.to_vec(), entry.value.unwrap_or_default().to_vec());
    };
    store.entries(&mut tell).unwrap();
    all
}

impl<S: Store> Kind<S> {
    fn done(&self, steps: &[Step]) -> S {
        let mut store = (self.make)();
        for (number, step) in steps.iter().enumerate() {
            (self.change)(&mut store, &key(step.0), *step, number as i64);
        }
        store
    }

    /// Told in pieces it is the same, in the same order, as told at once.
    fn pieces_are_the_whole(&self, steps: &[Step], most: usize) {
        let whole = take(&mut self.done(steps), usize::MAX);
        let mut store = self.done(steps);
        let mut pieces = Vec::new();
        loop {
            let piece = take(&mut store, most);
            if piece.is_empty() {
                break;
            }
            pieces.extend(piece);
        }
        assert_eq!(pieces, whole);
    }

    /// When things change between the pieces nothing is lost, and nothing is told twice.
    fn nothing_is_lost_between_pieces(&self, steps: &[(Step, Option<usize>)]) {
        let mut store = (self.make)();
        let mut log = BTreeMap::new();
        let mut note = |told: Told| {
            for (key, value) in told {
                let had = log.insert(key.clone(), value.clone()).flatten();
                assert!(!self.strict || had != value, "{key:?} is told again");
            }
        };
        for (number, (step, most)) in steps.iter().enumerate() {
            (self.change)(&mut store, &key(step.0), *step, number as i64);
            if let Some(most) = most {
                note(take(&mut store, *most));
            }
        }
        note(take(&mut store, usize::MAX));
        assert!(take(&mut store, usize::MAX).is_empty());
        let mut restored = (self.make)();
        for (key, value) in &log {
            let value = value.as_deref();
            restored.restore(Entry { key, value }).unwrap();
        }
        restored.set_time(store.time());
        assert_eq!(entries(&restored), entries(&store));
    }
}

fn kv() -> Kind<KeyValueStore<i64>> {
    Kind {
        make: || KeyValueStore::new(0),
        change: |store, key, (_, time, what), value| {
            store.put(key, (what > 2).then_some(value), time);
        },
        strict: false,
    }
}

fn versioned() -> Kind<VersionedStore<i64>> {
    Kind {
        make: || VersionedStore::new(0, KEEP),
        change: |store, key, (_, time, what), value| {
            store.put(key, (what > 2).then_some(value), time);
        },
        strict: false,
    }
}

fn held() -> Kind<BufferStore<i64>> {
    Kind {
        make: || BufferStore::new(0, Some(KEEP), true),
        change: |store, key, (_, time, what), value| {
            let change = Change {
                new: Some(value),
                old: None,
            };
            let headers = Headers::default();
            let update = Held {
                time,
                change,
                headers,
            };
            match what {
                0..2 => drop(store.pop().unwrap()),
                _ => store.put(key, update, time).unwrap(),
            }
        },
        strict: false,
    }
}

fn windows() -> Kind<WindowStore<i64>> {
    Kind {
        make: || WindowStore::new(0, KEEP),
        change: |store, key, (_, time, what), value| {
            if what == 0 {
                let closed = &mut store.time_mut().closed;
                *closed = time.max(*closed);
                store.expire();
            }
            let start = time / 10 * 10;
            if store.keeps(start) {
                let hash = store.hash(key);
                let pane = store.pane_mut(start);
                let at = pane.slot(hash, key);
                pane.change(at, |slot| slot.value = (what > 2).then_some(value));
            }
        },
        strict: false,
    }
}

fn spans() -> Kind<SpanStore<i64>> {
    Kind {
        make: || SpanStore::of_processor(0, KEEP),
        change: |store, key, (_, time, what), value| {
            if what == 0 {
                let before = store.time().closed;
                store.time_mut().closed = time.max(before);
                let passing = store.pass(before);
                store.end_pass(passing);
            }
            if !store.keeps(time) {
                return;
            }
            let slot = store.slot(key);
            let found = store
                .spans(slot)
                .binary_search_by_key(&time, |span| span.start);
            match (found, what) {
                (Ok(at), 0..3) => {
                    store.remove(slot, at);
                    store.leave(slot);
                    return;
                }
                (Ok(at), 3..6) => {
                    let first = match at {
                        0 => i64::MIN,
                        _ => store.spans(slot)[at - 1].start,
                    };
                    if first < time - 1 {
                        store.move_start(slot, at, time - 1);
                    }
                    store.span_mut(slot, at).value = Some(value);
                }
                (Ok(at), _) => store.span_mut(slot, at).value = Some(value),
                (Err(at), _) => {
                    let mut span = Span::new(time, time, time);
                    span.value = Some(value);
                    store.insert(slot, at, span);
                }
            }
            store.schedule(slot, time);
        },
        strict: true,
    }
}

fn join_buffer() -> Kind<JoinBuffer<i64>> {
    Kind {
        make: || JoinBuffer::new(0, KEEP, EventTime::Watermark),
        change: |store, key, (_, time, what), value| {
            if what == 0 {
                let closed = &mut store.time_mut().closed;
                *closed = time.max(*closed);
                store.expire();
            }
            if store.keeps(time) {
                let hash = store.hash(key);
                store.put(hash, key, time, value);
            }
        },
        strict: true,
    }
}

fn unmatched() -> Kind<Unmatched<i64>> {
    Kind {
        make: || Unmatched::new(KEEP),
        change: |store, key, (_, time, what), value| match what {
            0 => drop(store.take_first()),
            1..4 => store.remove(time / 8, key),
            _ => store.put(time / 8, key, value),
        },
        strict: true,
    }
}

fn steps() -> impl Strategy<Value = Vec<(Step, Option<usize>)>> {
    // Time goes on, but not step by step.
    let step = (any::<u8>(), 0_i64..40, 0_u8..10);
    let most = proptest::option::weighted(0.3, 1_usize..12);
    let steps = proptest::collection::vec((step, most), 0..300);
    steps.prop_map(|mut steps| {
        for (at, (step, _)) in steps.iter_mut().enumerate() {
            step.1 += at as i64 / 4;
        }
        steps
    })
}

macro_rules! told_in_pieces {
    ($($kind:ident)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(128))]

            $(
                #[test]
                fn $kind(steps in steps(), most in 1_usize..20) {
                    let only: Vec<Step> = steps.iter().map(|(step, _)| *step).collect();
                    super::$kind().pieces_are_the_whole(&only, most);
                    super::$kind().nothing_is_lost_between_pieces(&steps);
                }
            )*
        }
    };
}

/// Whatever is changed, stores tell of it in pieces as they do at once.
mod told_in_pieces {
    use super::*;

    told_in_pieces!(kv versioned held windows spans join_buffer unmatched);
}
