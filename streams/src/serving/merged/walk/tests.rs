use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::record::Record;
use crate::serving::aggregate::Count;
use crate::serving::merged::fixture::site_of;
use crate::serving::speed::segments::Segments;
use crate::serving::view::{Keyed, View};

type Counts = Count<()>;

/// How often each number is there.
fn site(partitions: &[Vec<i64>]) -> Arc<Site<i64, Counts>> {
    let view = View::new("counts", 1, Counts::new())
        .source("numbers", |record: Record<(), i64>| {
            [Keyed::new(record.value, ())]
        });
    let partitions: Vec<Vec<Vec<u8>>> = partitions
        .iter()
        .map(|own| own.iter().map(|key| key.to_be_bytes().to_vec()).collect())
        .collect();
    site_of(view, &partitions)
}

fn counts(partitions: &[Vec<i64>]) -> Vec<(i64, u64)> {
    let mut counts = BTreeMap::new();
    for key in partitions.iter().flatten() {
        *counts.entry(*key).or_default() += 1;
    }
    counts.into_iter().collect()
}

fn row(found: &Found<u64>) -> (i64, u64) {
    let key = i64::from_be_bytes(found.name[..].try_into().unwrap());
    (key, found.halves.whole(&Counts::new()).unwrap())
}

fn partitions() -> impl Strategy<Value = Vec<Vec<i64>>> {
    let numbers = proptest::collection::vec(-8_i64..8, 0..30);
    proptest::collection::vec(numbers, 1..4)
}

proptest! {
    /// Whatever is copied for a page, all pages together have every key once, in its order.
    #[test]
    fn pages_have_everything(
        partitions in partitions(),
        limit in 1_usize..6,
        room in prop_oneof![0_usize..200, Just(usize::MAX)],
    ) {
        let site = site(&partitions);
        let (mut found, mut last) = (Vec::new(), None);
        loop {
            let keys = Keys::all().after(last.take());
            let mut walk = site.walk(&keys, limit + 1, room, &Ask::default()).unwrap();
            let mut rows = Vec::new();
            let more = loop {
                match walk.next().unwrap() {
                    None => break walk.is_cut(),
                    Some(_) if rows.len() == limit => break true,
                    Some(next) => rows.push(next),
                }
            };
            found.extend(rows.iter().map(row));
            if !more {
                break;
            }
            // Each one gets on.
            last = rows.pop().map(|row| row.name);
            prop_assert!(last.is_some());
        }
        prop_assert_eq!(found, counts(&partitions));
    }

    /// Keys are looked for bit by bit, and some come meanwhile: what is copied is what is there then.
    #[test]
    fn what_has_been_looked_for_before_is_copied_as_it_is(
        numbers in proptest::collection::vec(-8_i64..8, 0..40),
        later in proptest::collection::vec(-8_i64..8, 0..10),
        after in -9_i64..4,
        most in 1_usize..6,
        at_once in 1_usize..6,
    ) {
        let site = site(std::slice::from_ref(&numbers));
        let keys = Keys::all().after(Some(after.to_be_bytes().to_vec()));
        let looked = site.look_through(&keys, most, at_once);
        let [(_, looked)] = &looked[..] else {
            panic!("a partition");
        };
        let (_, live) = site.parts().remove(0);
        let mut segments = live.segments.write();
        for key in &later {
            let offset = segments.applied();
            segments.record(offset, |adding| {
                adding.add(&key.to_be_bytes(), 0, |state| {
                    state.get_or_insert_with(|| Kept(0)).0 += 1;
                });
            });
        }
        let (mut found, other) = (0, Arc::new(Live::new(Segments::new(0, 1, 0), Arc::default())));
        for segment in segments.changing() {
            prop_assert!(looked.of(&other, segment).is_none());
            let known = looked.of(&live, segment).unwrap();
            let (copies, whole) = site.copies(segment, Some(known), &keys, (most, usize::MAX));
            let anew = site.copies(segment, None, &keys, (most, usize::MAX));
            found += known.looked_at;
            prop_assert_eq!((copies, whole), anew);
        }
        prop_assert!(numbers.is_empty() || found > 0);
    }

    /// The largest ones are the first of all in their order, up to the one that fills an answer.
    #[test]
    fn the_largest_are_the_first_in_their_order(
        partitions in partitions(),
        k in 0_usize..12,
        room in prop_oneof![0_usize..60, Just(usize::MAX)],
    ) {
        let bytes = |key: i64| key.unsigned_abs() as usize;
        let site = site(&partitions);
        let keys = Keys::all();
        let mut walk = site.walk(&keys, usize::MAX, usize::MAX, &Ask::default()).unwrap();
        let largest = walk.top(
            k,
            room,
            |found| Ok::<_, QueryError>(Some(row(found).1).filter(|count| *count > 1)),
            |found| {
                let row = row(&found);
                Ok((row, bytes(row.0)))
            },
        );
        let largest = largest.unwrap();
        let (mut all, none): (Vec<_>, Vec<_>) =
            counts(&partitions).into_iter().partition(|(_, count)| *count > 1);
        prop_assert_eq!(largest.ranked, all.len() as u64);
        prop_assert_eq!(largest.left_out, none.len() as u64);
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut size = 0;
        let fits = |(key, _): &(i64, u64)| {
            let fits = size < room;
            size += bytes(*key);
            fits
        };
        let expected: Vec<_> = all.into_iter().take(k).take_while(fits).collect();
        prop_assert_eq!(largest.rows, expected);
    }
}
