use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever is put in, taken out and told, the table is what a map would be, and what it tells
    /// makes the same table again.
    #[test]
    fn a_table_is_a_map(steps in proptest::collection::vec((0_u8..40, proptest::option::of(any::<i64>()), any::<bool>()), 0..300)) {
        let hasher = KeyHasher::new(7);
        let mut table = Table::<i64>::default();
        let mut copy = Table::<i64>::default();
        let mut model = BTreeMap::new();
        for (number, value, commit) in steps {
            let key = vec![number; usize::from(number)];
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
            if commit {
                table.changes(|key, out| out.extend_from_slice(key), &mut |entry| {
                    copy.restore(hasher.hash(entry.key), entry.key, entry.value).unwrap();
                }).unwrap();
                prop_assert_eq!(table.sorted(), copy.sorted());
            }
            prop_assert_eq!(table.len(), model.len());
        }
        let all: Vec<_> = table.sorted().into_iter().map(|(key, value, _)| (key.to_vec(), *value)).collect();
        prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    }
}
