//! Aggregates of streams without windows, and of several streams together.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_streams::time::{TimeWindows, Windowed};
use tidemark_streams::{Contribution, Emit, Fold, StreamsBuilder};

use crate::harness::{ByKey, Event, Input, TOPICS, inputs, ms, push, read, run};
use crate::seed::cases;
use crate::windows_behind::{add_windows, check_windows};

/// Values in a row, as the tests' aggregates write them.
fn append(list: &mut String, topic: usize, value: i64) {
    *list += &format!("{}{value} ", TOPICS[topic]);
}

/// What an aggregate of all values is behind each record, and the latest time that it has seen.
fn model<A: Clone + Default>(input: &Input, add: impl Fn(&mut A, usize, i64)) -> ByKey<A> {
    let mut rows = ByKey::new();
    for taken in input.taken(2).iter().flatten() {
        let event = taken.event;
        let Some(value) = event.value else { continue };
        let last = rows
            .get(&event.key)
            .and_then(|all: &Vec<(A, i64)>| all.last());
        let (mut state, mut at) = last.cloned().unwrap_or((A::default(), i64::MIN));
        add(&mut state, event.topic, value);
        at = at.max(event.timestamp);
        push(&mut rows, event.key, state, at);
    }
    rows
}

fn group_of(value: Option<i64>) -> i64 {
    value.map_or(0, |value| value % 3)
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn are_those_of_all_values_so_far(input in inputs()) {
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(TOPICS, input.consumed::<Option<i64>>());
        let grouped = stream.group_by_key();
        grouped.count().values().to("counts");
        let sum = |a: Option<i64>, b: Option<i64>| a.zip(b).map(|(a, b)| a + b);
        grouped.reduce(sum).values().to("sums");
        let add = |_: &i64, value: Option<i64>, list: &mut String| {
            append(list, 0, value.unwrap_or_default());
        };
        grouped.aggregate(Fold::new(String::new, add)).values().to("lists");
        let mut driver = run(&builder.build()?, &input)?;
        let counts = model(&input, |count: &mut i64, _, _| *count += 1);
        prop_assert_eq!(read(&mut driver, "counts"), counts);
        let sums = model(&input, |sum: &mut i64, _, value| *sum += value);
        prop_assert_eq!(read(&mut driver, "sums"), sums);
        let lists = model(&input, |list: &mut String, _, value| append(list, 0, value));
        prop_assert_eq!(read(&mut driver, "lists"), lists);
    }

    #[test]
    fn of_other_keys_are_those_of_all_values(input in inputs()) {
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(TOPICS, input.consumed::<Option<i64>>());
        let grouped = stream.group_by(|_, value| group_of(*value));
        grouped.count().values().to("counts");
        let mut driver = run(&builder.build()?, &input)?;
        let mut wanted: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for event in input.events.iter().filter(|event| event.value.is_some()) {
            let (count, at) = wanted.entry(group_of(event.value)).or_insert((0, i64::MIN));
            *count += 1;
            *at = (*at).max(event.timestamp);
        }
        let rows = read::<i64>(&mut driver, "counts").into_iter();
        let last = rows.map(|(key, all)| (key, all[all.len() - 1]));
        prop_assert_eq!(last.collect::<BTreeMap<_, _>>(), wanted);
    }

    #[test]
    fn of_several_streams_have_the_values_of_all(input in inputs(), grace in 0..20_i64) {
        let builder = StreamsBuilder::new();
        let [a, b] = TOPICS.map(|topic| {
            let stream = builder.stream_with([topic], input.consumed::<Option<i64>>());
            stream.group_by_key()
        });
        let add = |topic| {
            move |_: &i64, value: Option<i64>, list: &mut String| {
                append(list, topic, value.unwrap_or_default());
            }
        };
        let together = a.cogroup(add(0)).and(&b, add(1));
        together.aggregate(String::new).values().to("lists");
        let windows = TimeWindows::tumbling(ms(10)).allowed_lateness(ms(grace));
        let windowed = together.windowed_by(windows).emit(Emit::Final);
        windowed.aggregate(Contribution::fold(String::new)).values().to("windows");
        let mut driver = run(&builder.build()?, &input)?;
        let lists = model(&input, append);
        prop_assert_eq!(read(&mut driver, "lists"), lists);

        let mut wanted: BTreeMap<(i64, i64), String> = BTreeMap::new();
        for taken in input.taken(2).iter().flatten() {
            let event = taken.event;
            let start = event.timestamp.div_euclid(10) * 10;
            // As Kafka, windows leave out null keys, and not null values.
            if start + 9 + grace > taken.front {
                let list = wanted.entry((event.key, start)).or_default();
                append(list, event.topic, event.value.unwrap_or_default());
            }
        }
        let rows = driver.read::<Windowed<i64>, String>("windows")?.into_iter();
        let got = rows.map(|row| ((row.key.key, row.key.window.start), row.value));
        let got: Vec<_> = got.collect();
        prop_assert_eq!(got.len(), wanted.len());
        prop_assert_eq!(got.into_iter().collect::<BTreeMap<_, _>>(), wanted);
    }

    /// Behind a repartition topic records are late at most if they were so in front of it: what is on the
    /// way, and the watermarks of several tasks, make none late.
    #[test]
    fn windows_of_other_keys_miss_nothing_that_came_in_time(
        input in inputs(),
        size in 1..30_i64,
        grace in 0..20_i64,
    ) {
        let input = input.without_nulls();
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(TOPICS, input.consumed::<i64>());
        let other = stream.select_key(|_, value| value % 3);
        add_windows(&other, size, grace);
        let mut driver = run(&builder.build()?, &input)?;
        let key = |event: &Event| event.value.unwrap() % 3;
        check_windows(&mut driver, &input, (size, grace), key)?;
    }
}
