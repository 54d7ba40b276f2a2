use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is put in, taken out and told, some at a time or all at once, the table is what a map
    /// would be, and what it tells makes the same table again.
    #[test]
    fn a_table_is_a_map(
        keys in 1_u16..3000,
        steps in proptest::collection::vec(
            (any::<u16>(), proptest::option::weighted(0.7, any::<i64>()), proptest::option::weighted(0.1, 1_usize..50)),
            0..4000,
        ),
    ) {
        let hasher = KeyHasher::new(7);
        let mut table = Table::<i64>::default();
        let mut copy = Table::<i64>::default();
        let mut model = BTreeMap::new();
        let tell = |table: &mut Table<i64>, copy: &mut Table<i64>, most: usize| {
            let mut told = 0;
            let changes = table.changes(|key, out| out.extend_from_slice(key), &mut |entry| {
                copy.restore(hasher.hash(entry.key), entry.key, entry.value).unwrap();
                told += 1;
                told < most
            });
            changes.unwrap();
        };
        for (number, value, commit) in steps {
            let number = number % keys;
            let key = number.to_be_bytes().repeat(1 + usize::from(number % 12));
            let hash = hasher.hash(&key);
            let at = table.slot(hash, &key);
            table.change(at, |slot| {
                slot.value = value;
                slot.timestamp = 5;
            });
            match value {
                Some(value) => model.insert(key.clone(), value),
                None => model.remove(&key),
            };
            prop_assert_eq!(table.get(hash, &key).map(|(value, _)| *value), value);
            if let Some(most) = commit {
                tell(&mut table, &mut copy, most);
            }
            prop_assert_eq!(table.len(), model.len());
        }
        table.touch(&[hasher.hash(b"a"), Hash::NONE]);
        tell(&mut table, &mut copy, usize::MAX);
        prop_assert_eq!(table.sorted(), copy.sorted());
        for key in model.keys() {
            prop_assert!(table.get(hasher.hash(key), key).is_some());
        }
        let all: Vec<_> = table.sorted().into_iter().map(|(key, value, _)| (key.to_vec(), *value)).collect();
        prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes and goes between the steps of a scan, what is there all the time is told.
    #[test]
    fn a_scan_tells_what_is_there_all_the_time(
        stays in proptest::collection::btree_set(0_u16..400, 0..200),
        steps in proptest::collection::vec((0_u16..400, any::<bool>()), 0..400),
        most in 1_usize..40,
    ) {
        let hasher = KeyHasher::new(3);
        let mut table = Table::<i64>::default();
        let put = |table: &mut Table<i64>, key: u16, value: Option<i64>| {
            let key = key.to_be_bytes();
            let at = table.slot(hasher.hash(&key), &key);
            table.change(at, |slot| slot.value = value);
        };
        for key in 0..400 {
            put(&mut table, key, Some(1));
        }
        let mut steps = steps.chunks(11);
        let (mut told, mut upto) = (std::collections::BTreeSet::new(), None);
        loop {
            let mut each = |key: &[u8]| {
                told.insert(u16::from_be_bytes(key.try_into().unwrap()));
            };
            let Some(next) = table.scan(upto, most, &mut each) else { break };
            upto = Some(next);
            for (key, comes) in steps.next().unwrap_or_default() {
                if !stays.contains(key) {
                    put(&mut table, *key, comes.then_some(2));
                }
            }
            table.take_changed(&mut |_| true);
        }
        prop_assert!(stays.is_subset(&told));
    }
}

#[test]
fn what_values_hold_counts() {
    let (hasher, mut table) = (KeyHasher::new(0), Table::<String>::default());
    for key in 0..100_u32 {
        let key = key.to_be_bytes();
        let at = table.slot(hasher.hash(&key), &key);
        table.change(at, |slot| slot.value = Some("x".repeat(1000)));
    }
    table.changes(|_, _| {}, &mut |_| true).unwrap();
    assert!(table.bytes() > 100_000, "{}", table.bytes());
    let mut restored = Table::<String>::default();
    table
        .entries(
            |key, out| out.extend_from_slice(key),
            &mut |entry: Entry<'_>| {
                let hash = hasher.hash(entry.key);
                restored.restore(hash, entry.key, entry.value).unwrap();
            },
        )
        .unwrap();
    assert!(restored.bytes() > 90_000, "{}", restored.bytes());
}

/// Telling that many keys are gone, some at a time, takes time by their number and not by its square.
#[test]
fn much_goes_some_at_a_time() {
    const KEYS: u32 = 400_000;
    let (hasher, mut table) = (KeyHasher::new(0), Table::<i64>::default());
    for value in [Some(1), None] {
        for key in 0..KEYS {
            let key = key.to_be_bytes();
            let at = table.slot(hasher.hash(&key), &key);
            table.change(at, |slot| slot.value = value);
        }
        let mut told = 0;
        while table.has_changed() {
            let mut most = 2000;
            let changes = table.changes(|_, _| {}, &mut |_| {
                told += 1;
                most -= 1;
                most > 0
            });
            changes.unwrap();
        }
        assert_eq!(told, KEYS);
    }
    assert_eq!((table.len(), table.slots.len()), (0, 0));
}

/// A value that was cut out of something large does not keep it in memory once it has been told.
#[test]
fn what_is_kept_lets_go_of_what_it_came_with() {
    let (hasher, mut table) = (KeyHasher::new(0), Table::<Option<bytes::Bytes>>::default());
    let fetched = bytes::Bytes::from(vec![7; 1 << 20]);
    let at = table.slot(hasher.hash(b"a"), b"a");
    let value = fetched.slice(10..13);
    table.change(at, |slot| slot.value = Some(Some(value)));
    assert!(!fetched.is_unique());
    table.changes(|_, _| {}, &mut |_| true).unwrap();
    assert!(fetched.is_unique());
    let kept = table.get(hasher.hash(b"a"), b"a").unwrap().0;
    assert_eq!(kept.as_deref(), Some(&[7, 7, 7][..]));
}
