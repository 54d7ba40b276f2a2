//! Tables with a history, and what joins find in it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_streams::StreamsBuilder;
use tidemark_streams::time::EventTime;

use crate::harness::{ByKey, Event, Input, KEYS, Taken, inputs, ms, push, read, run};
use crate::seed::cases;

fn show(left: Option<i64>, right: Option<&i64>) -> String {
    format!("{left:?} {right:?}")
}

/// All changes of a key that the table took, in the order in which it did.
struct Table {
    changes: BTreeMap<i64, Vec<(i64, Option<i64>)>>,
    latest: i64,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            changes: BTreeMap::new(),
            latest: i64::MIN,
        }
    }
}

impl Table {
    fn put(&mut self, event: &Event, history: i64) {
        if event.timestamp >= self.latest.saturating_sub(history) {
            let changes = self.changes.entry(event.key).or_default();
            changes.push((event.timestamp, event.value));
            self.latest = self.latest.max(event.timestamp);
        }
    }

    /// The value of a key at that time: of changes of one time the last counts. Those that are not the
    /// key's latest are known for as long as the history goes back.
    fn at(&self, key: i64, time: i64, history: i64) -> Option<i64> {
        let changes = self.changes.get(&key)?;
        let until = changes.iter().filter(|(from, _)| *from <= time);
        let (from, value) = until.max_by_key(|(from, _)| *from)?;
        let is_latest = changes.iter().all(|(other, _)| other <= from);
        value.filter(|_| is_latest || time >= self.latest.saturating_sub(history))
    }
}

/// Goes through the records of each partition as they are taken.
fn model(input: &Input, history: i64) -> ByKey<String> {
    let mut rows = ByKey::new();
    for partition in input.taken(2) {
        let mut table = Table::default();
        for event in partition.iter().map(|taken| &taken.event) {
            if event.topic == 1 {
                table.put(event, history);
            } else if event.value.is_some() {
                let found = table.at(event.key, event.timestamp, history);
                let result = show(event.value, found.as_ref());
                push(&mut rows, event.key, result, event.timestamp);
            }
        }
    }
    rows
}

/// The value that is valid last, whatever order changes came in.
fn final_value(input: &Input, topic: usize, key: i64) -> Option<i64> {
    let of_key = |event: &&Taken| event.event.topic == topic && event.event.key == key;
    let taken = input.taken(2);
    let changes = taken.iter().flatten().filter(of_key);
    let last = changes.max_by_key(|taken| taken.event.timestamp)?;
    last.event.value
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn joins_find_what_was_valid_as_far_as_it_is_known(input in inputs(), history in prop_oneof![0..8_i64, 0..40_i64]) {
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(["a"], input.consumed::<Option<i64>>());
        let table = builder.table_with::<i64, i64>("b", input.consumed()).versioned(ms(history));
        stream.left_join_table(&table, |left, right| show(*left, right)).to("out");
        let mut driver = run(&builder.build()?, &input)?;
        prop_assert_eq!(read(&mut driver, "out"), model(&input, history));
    }

    /// In the order of time, and with nothing late, the order of arrival does not count.
    #[test]
    fn joins_in_order_find_what_was_valid_of_all(mut input in inputs()) {
        input.delay = 100_000;
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(["a"], input.consumed::<Option<i64>>());
        let table = builder.table_with::<i64, i64>("b", input.consumed()).versioned(ms(100_000));
        let sorted = stream.in_order(ms(0), EventTime::Watermark);
        sorted.left_join_table(&table, |left, right| show(*left, right)).to("out");
        let mut driver = run(&builder.build()?, &input)?;
        let mut wanted = ByKey::new();
        for partition in input.taken(2) {
            let mut table = Table::default();
            for taken in partition.iter().filter(|taken| taken.event.topic == 1) {
                table.put(&taken.event, 100_000);
            }
            let stream = partition.iter().filter(|taken| taken.event.topic == 0);
            for event in stream.map(|taken| taken.event).filter(|event| event.value.is_some()) {
                let found = table.at(event.key, event.timestamp, 100_000);
                let result = show(event.value, found.as_ref());
                push(&mut wanted, event.key, result, event.timestamp);
            }
        }
        wanted.values_mut().for_each(|rows| rows.sort_by_key(|(_, timestamp)| *timestamp));
        prop_assert_eq!(read(&mut driver, "out"), wanted);
    }

    #[test]
    fn joins_of_tables_are_those_of_the_latest_versions(input in inputs()) {
        let builder = StreamsBuilder::new();
        let [a, b] = ["a", "b"].map(|topic| {
            builder.table_with::<i64, i64>(topic, input.consumed()).versioned(ms(100_000))
        });
        let joined = a.left_join(&b, |left, right| show(Some(*left), right));
        joined.to_stream().to("out");
        let mut driver = run(&builder.build()?, &input)?;
        let rows = read::<Option<String>>(&mut driver, "out").into_iter();
        let last = rows.filter_map(|(key, all)| Some((key, all.last()?.0.clone()?)));
        let last: BTreeMap<i64, String> = last.collect();
        let all = (0..KEYS).filter_map(|key| {
            let left = final_value(&input, 0, key)?;
            Some((key, show(Some(left), final_value(&input, 1, key).as_ref())))
        });
        prop_assert_eq!(last, all.collect::<BTreeMap<_, _>>());
    }
}
