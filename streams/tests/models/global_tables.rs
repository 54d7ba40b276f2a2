//! Streams that look things up in global tables.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_streams::StreamsBuilder;

use crate::harness::{ByKey, KEYS, inputs, push, read, run};
use crate::seed::cases;

fn show(left: Option<i64>, right: Option<&i64>) -> String {
    format!("{left:?} {right:?}")
}

proptest! {
    #![proptest_config(cases(96))]

    /// What there is of the table's topic is in the table in front of what there is of the stream.
    #[test]
    fn find_the_last_value_of_any_key(input in inputs()) {
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(["a"], input.consumed::<Option<i64>>());
        let table = builder.global_table::<i64, i64>("b");
        let some = table.filter(|_, value| value % 3 == 1).map_values(|value| -value);
        // Mostly keys of other partitions.
        let next = |key: &i64, _: &Option<i64>| (key + 1) % KEYS;
        stream
            .join_global(&table, next, |left, right| show(*left, Some(right)))
            .to("inner");
        stream
            .left_join_global(&some, next, |left, right| show(*left, right))
            .to("left");
        let mut driver = run(&builder.build()?, &input)?;
        let mut table: BTreeMap<i64, i64> = BTreeMap::new();
        let (mut inner, mut left) = (ByKey::new(), ByKey::new());
        for part in input.parts() {
            for event in part.iter().filter(|event| event.topic == 1) {
                match event.value {
                    Some(value) => table.insert(event.key, value),
                    None => table.remove(&event.key),
                };
            }
            let driving = part.iter().filter(|event| event.topic == 0 && event.value.is_some());
            for event in driving {
                let found = table.get(&((event.key + 1) % KEYS));
                if found.is_some() {
                    push(&mut inner, event.key, show(event.value, found), event.timestamp);
                }
                let some = found.filter(|value| *value % 3 == 1).map(|value| -value);
                let result = show(event.value, some.as_ref());
                push(&mut left, event.key, result, event.timestamp);
            }
        }
        prop_assert_eq!(read(&mut driver, "inner"), inner);
        prop_assert_eq!(read(&mut driver, "left"), left);
    }
}
